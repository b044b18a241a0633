//! Packets of the sockets of a cgroup.

use super::base::{SOCKET_CASTS, grant, with_base};
use super::context::{FieldSet, Fields, When, read, write};
use super::sk_buff::{ADDRESSES, COMMON, SK_BUFF};
use super::{Context, KfuncHook, PacketAccess, ProgramType, Returns, Sleepable};
use crate::helpers::{HelperSet, id::*};
use crate::{AttachType, ProgType};

pub(super) const CGROUP_SKB: ProgramType = ProgramType {
    prog_type: ProgType::CgroupSkb,
    context: Context::Fields(Fields {
        layout: &SK_BUFF,
        rules: &[
            read(FieldSet::of(&SK_BUFF, COMMON), When::Always),
            read(FieldSet::of(&SK_BUFF, ADDRESSES), When::Always),
            read(
                FieldSet::of(&SK_BUFF, &["mark", "tstamp", "hwtstamp"]),
                When::Always,
            ),
            read(FieldSet::of(&SK_BUFF, &["data", "data_end"]), When::Bpf),
            write(
                FieldSet::of(&SK_BUFF, &["mark", "priority", "cb"]),
                When::Always,
            ),
            write(FieldSet::of(&SK_BUFF, &["tstamp"]), When::Bpf),
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
            BPF_FUNC_skb_cgroup_id,
            BPF_FUNC_get_local_storage,
            BPF_FUNC_skb_ancestor_cgroup_id,
            BPF_FUNC_sk_lookup_tcp,
            BPF_FUNC_sk_lookup_udp,
            BPF_FUNC_sk_release,
            BPF_FUNC_sk_fullsock,
            BPF_FUNC_tcp_sock,
            BPF_FUNC_skb_ecn_set_ce,
            BPF_FUNC_get_listener_sock,
            BPF_FUNC_skc_lookup_tcp,
            BPF_FUNC_sk_storage_get,
            BPF_FUNC_sk_storage_delete,
            BPF_FUNC_get_netns_cookie,
            BPF_FUNC_sk_cgroup_id,
            BPF_FUNC_sk_ancestor_cgroup_id,
        ])),
    ),
    returns: &[
        (
            When::At(&[AttachType::CgroupInetEgress]),
            Returns::Range(0, 3),
        ),
        (When::Always, Returns::Range(0, 1)),
    ],
    sleepable: Sleepable::Never,
    packet: PacketAccess::Read,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Cgroup),
};
