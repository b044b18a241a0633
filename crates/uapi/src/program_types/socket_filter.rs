//! Socket filters: what a socket receives.

use super::base::{SOCKET_CASTS, grant, with_base};
use super::context::{FieldSet, Fields, When, read, write};
use super::sk_buff::{COMMON, SK_BUFF};
use super::{Context, KfuncHook, PacketAccess, ProgramType, Sleepable};
use crate::ProgType;
use crate::helpers::{HelperSet, id::*};

pub(super) const SOCKET_FILTER: ProgramType = ProgramType {
    prog_type: ProgType::SocketFilter,
    context: Context::Fields(Fields {
        layout: &SK_BUFF,
        rules: &[
            read(FieldSet::of(&SK_BUFF, COMMON), When::Always),
            read(FieldSet::of(&SK_BUFF, &["mark"]), When::Always),
            write(FieldSet::of(&SK_BUFF, &["cb"]), When::Always),
        ],
    }),
    helpers: with_base!(
        grant(SOCKET_CASTS),
        grant(HelperSet::of(&[
            BPF_FUNC_perf_event_output,
            BPF_FUNC_skb_load_bytes,
            BPF_FUNC_get_socket_cookie,
            BPF_FUNC_get_socket_uid,
            BPF_FUNC_skb_load_bytes_relative,
            BPF_FUNC_get_netns_cookie,
        ])),
    ),
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::None,
    packet_loads: true,
    kfuncs: Some(KfuncHook::SocketFilter),
};
