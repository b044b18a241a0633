//! Security policies.

use super::base::{TRACING, grant, with_base};
use super::context::When;
use super::tracing::TYPED;
use super::{Context, Grant, KfuncHook, PacketAccess, ProgramType, Returns, Sleepable};
use crate::helpers::{HelperSet, id::*};
use crate::{AttachType, ProgType};

/// Only at cgroup hooks.
const CGROUP: HelperSet = HelperSet::of(&[
    BPF_FUNC_get_local_storage,
    BPF_FUNC_get_retval,
    BPF_FUNC_set_retval,
    BPF_FUNC_setsockopt,
    BPF_FUNC_getsockopt,
]);

const OWN: HelperSet = HelperSet::of(&[
    BPF_FUNC_inode_storage_get,
    BPF_FUNC_inode_storage_delete,
    BPF_FUNC_bprm_opts_set,
    BPF_FUNC_ima_inode_hash,
    BPF_FUNC_ima_file_hash,
]);

pub(super) const LSM: ProgramType = ProgramType {
    prog_type: ProgType::Lsm,
    context: Context::Arguments,
    helpers: with_base!(
        grant(TRACING.union(TYPED).union(OWN)),
        Grant {
            helpers: super::tracing::FUNCTION,
            when: When::NotAt(&[AttachType::LsmCgroup])
        },
        Grant {
            helpers: CGROUP,
            when: When::At(&[AttachType::LsmCgroup])
        },
    ),
    returns: &[(When::Always, Returns::OfHook)],
    sleepable: Sleepable::Possible,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Tracing),
};
