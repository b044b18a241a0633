//! Events of TCP connections.

use super::base::{SOCKET_CASTS, grant, with_base};
use super::context::{
    Field, FieldKind, FieldSet, Fields, Layout, Sizes, When, eight, four, narrow, read, write,
};
use super::{Context, KfuncHook, PacketAccess, ProgramType, Returns, Sleepable};
use crate::ProgType;
use crate::helpers::{HelperSet, id::*};

static EVENT: Layout = Layout {
    name: "bpf_sock_ops",
    size: 224,
    fields: &[
        four("op", 0),
        // `reply` and `args[0]` share 4 bytes; the other `args` are only read.
        Field::new("args", 4, 16, Sizes::FOUR)
            .write(Sizes::FOUR)
            .written_at_start(),
        four("family", 20),
        four("remote_ip4", 24),
        four("local_ip4", 28),
        Field::new("remote_ip6", 32, 16, Sizes::FOUR),
        Field::new("local_ip6", 48, 16, Sizes::FOUR),
        four("remote_port", 64),
        four("local_port", 68),
        four("is_fullsock", 72),
        four("snd_cwnd", 76),
        four("srtt_us", 80),
        four("bpf_sock_ops_cb_flags", 84),
        four("state", 88),
        four("rtt_min", 92),
        four("snd_ssthresh", 96),
        four("rcv_nxt", 100),
        four("snd_nxt", 104),
        four("snd_una", 108),
        four("mss_cache", 112),
        four("ecn_flags", 116),
        four("rate_delivered", 120),
        four("rate_interval_us", 124),
        four("packets_out", 128),
        four("retrans_out", 132),
        four("total_retrans", 136),
        four("segs_in", 140),
        four("data_segs_in", 144),
        four("segs_out", 148),
        four("data_segs_out", 152),
        four("lost_out", 156),
        four("sacked_out", 160),
        four("sk_txhash", 164).write(Sizes::FOUR),
        eight("bytes_received", 168),
        eight("bytes_acked", 176),
        eight("sk", 184).kind(FieldKind::SocketOrNull),
        eight("skb_data", 192).kind(FieldKind::PacketData),
        eight("skb_data_end", 200).kind(FieldKind::PacketEnd),
        four("skb_len", 208),
        narrow("skb_tcp_flags", 212, 4).at_start(),
        eight("skb_hwtstamp", 216),
    ],
};

pub(super) const SOCK_OPS: ProgramType = ProgramType {
    prog_type: ProgType::SockOps,
    context: Context::Fields(Fields {
        layout: &EVENT,
        rules: &[
            read(FieldSet::all(&EVENT), When::Always),
            write(FieldSet::of(&EVENT, &["args", "sk_txhash"]), When::Always),
        ],
    }),
    helpers: with_base!(
        grant(SOCKET_CASTS),
        grant(HelperSet::of(&[
            BPF_FUNC_perf_event_output,
            BPF_FUNC_get_socket_cookie,
            BPF_FUNC_setsockopt,
            BPF_FUNC_sock_map_update,
            BPF_FUNC_getsockopt,
            BPF_FUNC_sock_ops_cb_flags_set,
            BPF_FUNC_sock_hash_update,
            BPF_FUNC_get_local_storage,
            BPF_FUNC_tcp_sock,
            BPF_FUNC_sk_storage_get,
            BPF_FUNC_sk_storage_delete,
            BPF_FUNC_get_netns_cookie,
            BPF_FUNC_load_hdr_opt,
            BPF_FUNC_store_hdr_opt,
            BPF_FUNC_reserve_hdr_opt,
        ])),
    ),
    returns: &[(When::Always, Returns::Range(0, 1))],
    sleepable: Sleepable::Never,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Cgroup),
};
