//! Static tracepoints: the fields of the event follow 8 common bytes.

use super::base::{TRACING, grant, with_base};
use super::context::{Field, FieldSet, Fields, Layout, Sizes, When, read};
use super::{Context, KfuncHook, PacketAccess, ProgramType, Sleepable};
use crate::ProgType;

/// An event's record; its format stands in the tracing file system.
static RECORD: Layout = Layout {
    name: "trace event",
    size: 8192,
    fields: &[Field::new("fields", 8, 8184, Sizes::ANY)],
};

pub(super) const TRACEPOINT: ProgramType = ProgramType {
    prog_type: ProgType::Tracepoint,
    context: Context::Fields(Fields {
        layout: &RECORD,
        rules: &[read(FieldSet::all(&RECORD), When::Always)],
    }),
    helpers: with_base!(grant(TRACING)),
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Tracing),
};
