//! Access of the tasks of a cgroup to sysctls.

use super::base::{grant, with_base};
use super::context::{FieldSet, Fields, Layout, Sizes, When, narrow, read, write};
use super::{Context, KfuncHook, PacketAccess, ProgramType, Returns, Sleepable};
use crate::ProgType;
use crate::helpers::{HelperSet, id::*};

static SYSCTL: Layout = Layout {
    name: "bpf_sysctl",
    size: 8,
    fields: &[
        narrow("write", 0, 4),
        narrow("file_pos", 4, 4).write(Sizes::FOUR),
    ],
};

pub(super) const CGROUP_SYSCTL: ProgramType = ProgramType {
    prog_type: ProgType::CgroupSysctl,
    context: Context::Fields(Fields {
        layout: &SYSCTL,
        rules: &[
            read(FieldSet::all(&SYSCTL), When::Always),
            write(FieldSet::of(&SYSCTL, &["file_pos"]), When::Always),
        ],
    }),
    helpers: with_base!(grant(HelperSet::of(&[
        BPF_FUNC_perf_event_output,
        BPF_FUNC_get_local_storage,
        BPF_FUNC_sysctl_get_name,
        BPF_FUNC_sysctl_get_current_value,
        BPF_FUNC_sysctl_get_new_value,
        BPF_FUNC_sysctl_set_new_value,
        BPF_FUNC_ktime_get_coarse_ns,
        BPF_FUNC_get_retval,
        BPF_FUNC_set_retval,
    ])),),
    returns: &[(When::Always, Returns::Range(0, 1))],
    sleepable: Sleepable::Never,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Cgroup),
};
