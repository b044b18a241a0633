//! Probes of kernel and user functions.

use super::base::{TRACING, grant, with_base};
use super::context::{Field, FieldSet, Fields, Layout, Sizes, When, read};
use super::{Context, KfuncHook, PacketAccess, ProgramType, Returns, Sleepable};
use crate::helpers::{HelperSet, id::*};
use crate::{AttachType, ProgType};

/// The saved registers (x86-64): `r15` to `ss`, 8 bytes each.
static PT_REGS: Layout = Layout {
    name: "pt_regs",
    size: 168,
    fields: &[Field::new("registers", 0, 168, Sizes::ANY)],
};

pub(super) const KPROBE: ProgramType = ProgramType {
    prog_type: ProgType::Kprobe,
    context: Context::Fields(Fields {
        layout: &PT_REGS,
        rules: &[read(FieldSet::all(&PT_REGS), When::Always)],
    }),
    helpers: with_base!(
        grant(TRACING),
        grant(HelperSet::of(&[BPF_FUNC_override_return]))
    ),
    returns: &[(
        When::At(&[
            AttachType::TraceKprobeSession,
            AttachType::TraceUprobeSession,
        ]),
        Returns::Range(0, 1),
    )],
    sleepable: Sleepable::Possible,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Kprobe),
};
