//! Raw tracepoints: the arguments of the tracepoint as numbers.

use super::base::{TRACING, grant, with_base};
use super::context::{
    Field, FieldKind, FieldSet, Fields, Layout, Sizes, When, eight, narrow, read,
};
use super::{Context, PacketAccess, ProgramType, Sleepable};
use crate::ProgType;

/// Twelve arguments of 8 bytes.
static ARGUMENTS: Layout = Layout {
    name: "bpf_raw_tracepoint_args",
    size: 96,
    fields: &[Field::new("args", 0, 96, Sizes::ANY)],
};

/// The first argument is a buffer that the program may write; the others are numbers.
static WRITABLE: Layout = Layout {
    name: "bpf_raw_tracepoint_args",
    size: 96,
    fields: &[
        eight("buffer", 0).kind(FieldKind::TracepointBuffer),
        narrow("args", 1, 7),
        Field::new("args", 8, 88, Sizes::ANY),
    ],
};

pub(super) const RAW_TRACEPOINT: ProgramType = ProgramType {
    prog_type: ProgType::RawTracepoint,
    context: Context::Fields(Fields {
        layout: &ARGUMENTS,
        rules: &[read(FieldSet::all(&ARGUMENTS), When::Always)],
    }),
    helpers: with_base!(grant(TRACING)),
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: None,
};

pub(super) const RAW_TRACEPOINT_WRITABLE: ProgramType = ProgramType {
    prog_type: ProgType::RawTracepointWritable,
    context: Context::Fields(Fields {
        layout: &WRITABLE,
        rules: &[read(FieldSet::all(&WRITABLE), When::Always)],
    }),
    helpers: with_base!(grant(TRACING)),
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: None,
};
