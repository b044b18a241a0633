//! Access of the tasks of a cgroup to devices.

use super::base::{grant, with_base};
use super::context::{FieldSet, Fields, Layout, When, four, narrow, read};
use super::{Context, KfuncHook, PacketAccess, ProgramType, Returns, Sleepable};
use crate::ProgType;
use crate::helpers::{HelperSet, id::*};

static DEVICE: Layout = Layout {
    name: "bpf_cgroup_dev_ctx",
    size: 12,
    fields: &[
        narrow("access_type", 0, 4),
        four("major", 4),
        four("minor", 8),
    ],
};

pub(super) const CGROUP_DEVICE: ProgramType = ProgramType {
    prog_type: ProgType::CgroupDevice,
    context: Context::Fields(Fields {
        layout: &DEVICE,
        rules: &[read(FieldSet::all(&DEVICE), When::Always)],
    }),
    helpers: with_base!(grant(HelperSet::of(&[
        BPF_FUNC_perf_event_output,
        BPF_FUNC_get_local_storage,
        BPF_FUNC_get_retval,
        BPF_FUNC_set_retval,
    ])),),
    returns: &[(When::Always, Returns::Range(0, 1))],
    sleepable: Sleepable::Never,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Cgroup),
};
