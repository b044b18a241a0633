//! The flow dissector: parses headers.

use super::base::{SOCKET_CASTS, grant, with_base};
use super::context::{FieldSet, Fields, When, read};
use super::sk_buff::SK_BUFF;
use super::{Context, PacketAccess, ProgramType, Sleepable};
use crate::ProgType;
use crate::helpers::{HelperSet, id::*};

pub(super) const FLOW_DISSECTOR: ProgramType = ProgramType {
    prog_type: ProgType::FlowDissector,
    context: Context::Fields(Fields {
        layout: &SK_BUFF,
        rules: &[read(
            FieldSet::of(&SK_BUFF, &["data", "data_end", "flow_keys"]),
            When::Always,
        )],
    }),
    helpers: with_base!(
        grant(SOCKET_CASTS),
        grant(HelperSet::of(&[BPF_FUNC_skb_load_bytes,])),
    ),
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::Read,
    packet_loads: false,
    kfuncs: None,
};
