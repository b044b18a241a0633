//! Infrared remote controls: decodes pulses.

use super::base::{grant, with_base};
use super::context::{FieldSet, Fields, Layout, When, four, read};
use super::{Context, PacketAccess, ProgramType, Sleepable};
use crate::ProgType;
use crate::helpers::{HelperSet, id::*};

/// A pulse or space: its length, with the kind in the top byte.
static SAMPLE: Layout = Layout {
    name: "lirc sample",
    size: 4,
    fields: &[four("sample", 0)],
};

pub(super) const LIRC_MODE2: ProgramType = ProgramType {
    prog_type: ProgType::LircMode2,
    context: Context::Fields(Fields {
        layout: &SAMPLE,
        rules: &[read(FieldSet::all(&SAMPLE), When::Always)],
    }),
    helpers: with_base!(grant(HelperSet::of(&[
        BPF_FUNC_rc_repeat,
        BPF_FUNC_rc_keydown,
        BPF_FUNC_rc_pointer_rel,
    ])),),
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: None,
};
