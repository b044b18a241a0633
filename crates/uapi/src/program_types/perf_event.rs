//! Samples of perf events.

use super::base::{TRACING, grant, with_base};
use super::context::{Field, FieldSet, Fields, Layout, Sizes, When, read};
use super::{Context, KfuncHook, PacketAccess, ProgramType, Sleepable};
use crate::ProgType;
use crate::helpers::{HelperSet, id::*};

static DATA: Layout = Layout {
    name: "bpf_perf_event_data",
    size: 184,
    fields: &[
        Field::new("regs", 0, 168, Sizes::EIGHT),
        Field::new("sample_period", 168, 8, Sizes::ANY),
        Field::new("addr", 176, 8, Sizes::ANY),
    ],
};

pub(super) const PERF_EVENT: ProgramType = ProgramType {
    prog_type: ProgType::PerfEvent,
    context: Context::Fields(Fields {
        layout: &DATA,
        rules: &[read(FieldSet::all(&DATA), When::Always)],
    }),
    helpers: with_base!(
        grant(TRACING),
        grant(HelperSet::of(&[
            BPF_FUNC_perf_prog_read_value,
            BPF_FUNC_read_branch_records,
        ])),
    ),
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Tracing),
};
