//! Light-weight tunnels.

use super::base::{SOCKET_CASTS, grant, with_base};
use super::context::{FieldSet, Fields, When, read, write};
use super::sk_buff::{COMMON, SK_BUFF};
use super::{Context, KfuncHook, PacketAccess, ProgramType, Sleepable};
use crate::ProgType;
use crate::helpers::{HelperSet, id::*};

const CONTEXT: Context = Context::Fields(Fields {
    layout: &SK_BUFF,
    rules: &[
        read(FieldSet::of(&SK_BUFF, COMMON), When::Always),
        read(
            FieldSet::of(&SK_BUFF, &["mark", "data", "data_end"]),
            When::Always,
        ),
        write(
            FieldSet::of(&SK_BUFF, &["mark", "priority", "cb"]),
            When::Always,
        ),
    ],
});

/// What all directions share.
const SHARED: HelperSet = SOCKET_CASTS.union(HelperSet::of(&[
    BPF_FUNC_get_route_realm,
    BPF_FUNC_perf_event_output,
    BPF_FUNC_skb_load_bytes,
    BPF_FUNC_csum_diff,
    BPF_FUNC_skb_under_cgroup,
    BPF_FUNC_get_hash_recalc,
    BPF_FUNC_skb_pull_data,
]));

pub(super) const LWT_IN: ProgramType = ProgramType {
    prog_type: ProgType::LwtIn,
    context: CONTEXT,
    helpers: with_base!(
        grant(SHARED),
        grant(HelperSet::of(&[BPF_FUNC_lwt_push_encap,])),
    ),
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::Read,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Lwt),
};

pub(super) const LWT_OUT: ProgramType = ProgramType {
    prog_type: ProgType::LwtOut,
    context: CONTEXT,
    helpers: with_base!(grant(SHARED)),
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::Read,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Lwt),
};

pub(super) const LWT_XMIT: ProgramType = ProgramType {
    prog_type: ProgType::LwtXmit,
    context: CONTEXT,
    helpers: with_base!(
        grant(SHARED),
        grant(HelperSet::of(&[
            BPF_FUNC_skb_store_bytes,
            BPF_FUNC_l3_csum_replace,
            BPF_FUNC_l4_csum_replace,
            BPF_FUNC_clone_redirect,
            BPF_FUNC_skb_get_tunnel_key,
            BPF_FUNC_skb_set_tunnel_key,
            BPF_FUNC_redirect,
            BPF_FUNC_skb_get_tunnel_opt,
            BPF_FUNC_skb_set_tunnel_opt,
            BPF_FUNC_skb_change_tail,
            BPF_FUNC_csum_update,
            BPF_FUNC_set_hash_invalid,
            BPF_FUNC_skb_change_head,
            BPF_FUNC_lwt_push_encap,
            BPF_FUNC_csum_level,
        ])),
    ),
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::ReadWrite,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Lwt),
};

pub(super) const LWT_SEG6LOCAL: ProgramType = ProgramType {
    prog_type: ProgType::LwtSeg6local,
    context: CONTEXT,
    helpers: with_base!(
        grant(SHARED),
        grant(HelperSet::of(&[
            BPF_FUNC_lwt_seg6_store_bytes,
            BPF_FUNC_lwt_seg6_adjust_srh,
            BPF_FUNC_lwt_seg6_action,
        ])),
    ),
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::Read,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Lwt),
};
