//! Packets of the sockets of a socket map.

use super::base::{SOCKET_CASTS, grant, with_base};
use super::context::{FieldSet, Fields, When, read, write};
use super::sk_buff::{ADDRESSES, COMMON, SK_BUFF};
use super::{Context, KfuncHook, PacketAccess, ProgramType, Sleepable};
use crate::ProgType;
use crate::helpers::{HelperSet, id::*};

pub(super) const SK_SKB: ProgramType = ProgramType {
    prog_type: ProgType::SkSkb,
    context: Context::Fields(Fields {
        layout: &SK_BUFF,
        rules: &[
            read(FieldSet::of(&SK_BUFF, COMMON), When::Always),
            read(FieldSet::of(&SK_BUFF, ADDRESSES), When::Always),
            read(FieldSet::of(&SK_BUFF, &["data", "data_end"]), When::Always),
            write(
                FieldSet::of(&SK_BUFF, &["priority", "tc_index"]),
                When::Always,
            ),
        ],
    }),
    helpers: with_base!(
        grant(SOCKET_CASTS),
        grant(HelperSet::of(&[
            BPF_FUNC_skb_store_bytes,
            BPF_FUNC_perf_event_output,
            BPF_FUNC_skb_load_bytes,
            BPF_FUNC_skb_change_tail,
            BPF_FUNC_skb_pull_data,
            BPF_FUNC_skb_change_head,
            BPF_FUNC_get_socket_cookie,
            BPF_FUNC_get_socket_uid,
            BPF_FUNC_skb_adjust_room,
            BPF_FUNC_sk_redirect_map,
            BPF_FUNC_sk_redirect_hash,
            BPF_FUNC_sk_lookup_tcp,
            BPF_FUNC_sk_lookup_udp,
            BPF_FUNC_sk_release,
            BPF_FUNC_skc_lookup_tcp,
        ])),
    ),
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::ReadWrite,
    packet_loads: false,
    kfuncs: Some(KfuncHook::SkSkb),
};
