//! Traffic control: classifiers and actions, tcx and netkit.

use super::base::{SOCKET_CASTS, grant, with_base};
use super::context::{FieldSet, Fields, When, read, write};
use super::sk_buff::{COMMON, SK_BUFF};
use super::{Context, Grant, KfuncHook, PacketAccess, ProgramType, Sleepable};
use crate::ProgType;
use crate::helpers::{HelperSet, id::*};

const CONTEXT: Context = Context::Fields(Fields {
    layout: &SK_BUFF,
    rules: &[
        read(FieldSet::of(&SK_BUFF, COMMON), When::Always),
        read(
            FieldSet::of(
                &SK_BUFF,
                &[
                    "mark",
                    "tc_classid",
                    "data",
                    "data_end",
                    "data_meta",
                    "tstamp",
                    "wire_len",
                    "tstamp_type",
                    "hwtstamp",
                ],
            ),
            When::Always,
        ),
        write(
            FieldSet::of(
                &SK_BUFF,
                &[
                    "mark",
                    "queue_mapping",
                    "priority",
                    "tc_index",
                    "cb",
                    "tc_classid",
                    "tstamp",
                ],
            ),
            When::Always,
        ),
    ],
});

const HELPERS: &[Grant] = with_base!(
    grant(SOCKET_CASTS),
    grant(HelperSet::of(&[
        BPF_FUNC_skb_store_bytes,
        BPF_FUNC_l3_csum_replace,
        BPF_FUNC_l4_csum_replace,
        BPF_FUNC_clone_redirect,
        BPF_FUNC_skb_vlan_push,
        BPF_FUNC_skb_vlan_pop,
        BPF_FUNC_skb_get_tunnel_key,
        BPF_FUNC_skb_set_tunnel_key,
        BPF_FUNC_redirect,
        BPF_FUNC_get_route_realm,
        BPF_FUNC_perf_event_output,
        BPF_FUNC_skb_load_bytes,
        BPF_FUNC_csum_diff,
        BPF_FUNC_skb_get_tunnel_opt,
        BPF_FUNC_skb_set_tunnel_opt,
        BPF_FUNC_skb_change_proto,
        BPF_FUNC_skb_change_type,
        BPF_FUNC_skb_under_cgroup,
        BPF_FUNC_get_hash_recalc,
        BPF_FUNC_skb_change_tail,
        BPF_FUNC_skb_pull_data,
        BPF_FUNC_csum_update,
        BPF_FUNC_set_hash_invalid,
        BPF_FUNC_skb_change_head,
        BPF_FUNC_get_socket_cookie,
        BPF_FUNC_get_socket_uid,
        BPF_FUNC_set_hash,
        BPF_FUNC_skb_adjust_room,
        BPF_FUNC_skb_get_xfrm_state,
        BPF_FUNC_skb_load_bytes_relative,
        BPF_FUNC_fib_lookup,
        BPF_FUNC_skb_cgroup_id,
        BPF_FUNC_skb_ancestor_cgroup_id,
        BPF_FUNC_sk_lookup_tcp,
        BPF_FUNC_sk_lookup_udp,
        BPF_FUNC_sk_release,
        BPF_FUNC_sk_fullsock,
        BPF_FUNC_tcp_sock,
        BPF_FUNC_skb_ecn_set_ce,
        BPF_FUNC_get_listener_sock,
        BPF_FUNC_skc_lookup_tcp,
        BPF_FUNC_tcp_check_syncookie,
        BPF_FUNC_sk_storage_get,
        BPF_FUNC_sk_storage_delete,
        BPF_FUNC_tcp_gen_syncookie,
        BPF_FUNC_get_netns_cookie,
        BPF_FUNC_sk_assign,
        BPF_FUNC_csum_level,
        BPF_FUNC_skb_cgroup_classid,
        BPF_FUNC_redirect_neigh,
        BPF_FUNC_redirect_peer,
        BPF_FUNC_check_mtu,
        BPF_FUNC_skb_set_tstamp,
        BPF_FUNC_tcp_raw_gen_syncookie_ipv4,
        BPF_FUNC_tcp_raw_gen_syncookie_ipv6,
        BPF_FUNC_tcp_raw_check_syncookie_ipv4,
        BPF_FUNC_tcp_raw_check_syncookie_ipv6,
    ])),
);

pub(super) const SCHED_CLS: ProgramType = ProgramType {
    prog_type: ProgType::SchedCls,
    context: CONTEXT,
    helpers: HELPERS,
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::ReadWrite,
    packet_loads: true,
    kfuncs: Some(KfuncHook::Tc),
};

pub(super) const SCHED_ACT: ProgramType = ProgramType {
    prog_type: ProgType::SchedAct,
    context: CONTEXT,
    helpers: HELPERS,
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::ReadWrite,
    packet_loads: true,
    kfuncs: Some(KfuncHook::SchedAct),
};
