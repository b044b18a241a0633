//! Sockets' uapi mirrors: what a pointer to a socket lets a program read.

use super::context::{FieldSet, Fields, Layout, Sizes, When, eight, four, narrow, read};

/// `struct bpf_sock`; as a context, `cgroup_sock` programs may also write some of it.
pub(super) static BPF_SOCK: Layout = Layout {
    name: "bpf_sock",
    size: 80,
    fields: &[
        four("bound_dev_if", 0).write(Sizes::FOUR),
        narrow("family", 4, 4).at_start(),
        narrow("type", 8, 4).at_start(),
        narrow("protocol", 12, 4).at_start(),
        four("mark", 16).write(Sizes::FOUR),
        four("priority", 20).write(Sizes::FOUR),
        narrow("src_ip4", 24, 4),
        narrow("src_ip6", 28, 16),
        narrow("src_port", 44, 4).at_start(),
        // A 16-bit field that used to be 32 bits wide: loads of 4 bytes still work.
        narrow("dst_port", 48, 2),
        four("dst_port", 48),
        narrow("dst_ip4", 52, 4),
        narrow("dst_ip6", 56, 16),
        narrow("state", 72, 4).at_start(),
        narrow("rx_queue_mapping", 76, 4).at_start(),
    ],
};

static BPF_TCP_SOCK: Layout = Layout {
    name: "bpf_tcp_sock",
    size: 112,
    fields: &[
        four("snd_cwnd", 0),
        four("srtt_us", 4),
        four("rtt_min", 8),
        four("snd_ssthresh", 12),
        four("rcv_nxt", 16),
        four("snd_nxt", 20),
        four("snd_una", 24),
        four("mss_cache", 28),
        four("ecn_flags", 32),
        four("rate_delivered", 36),
        four("rate_interval_us", 40),
        four("packets_out", 44),
        four("retrans_out", 48),
        four("total_retrans", 52),
        four("segs_in", 56),
        four("data_segs_in", 60),
        four("segs_out", 64),
        four("data_segs_out", 68),
        four("lost_out", 72),
        four("sacked_out", 76),
        eight("bytes_received", 80),
        eight("bytes_acked", 88),
        four("dsack_dups", 96),
        four("delivered", 100),
        four("delivered_ce", 104),
        four("icsk_retransmits", 108),
    ],
};

static BPF_XDP_SOCK: Layout = Layout {
    name: "bpf_xdp_sock",
    size: 4,
    fields: &[four("queue_id", 0)],
};

/// A full socket.
pub static SOCKET: Fields = Fields {
    layout: &BPF_SOCK,
    rules: &[read(FieldSet::all(&BPF_SOCK), When::Always)],
};

/// A socket of any kind: without what only full sockets have.
pub static SOCK_COMMON: Fields = Fields {
    layout: &BPF_SOCK,
    rules: &[read(
        FieldSet::except(&BPF_SOCK, &["type", "protocol", "mark", "priority"]),
        When::Always,
    )],
};

/// A TCP socket.
pub static TCP_SOCK: Fields = Fields {
    layout: &BPF_TCP_SOCK,
    rules: &[read(FieldSet::all(&BPF_TCP_SOCK), When::Always)],
};

/// An AF_XDP socket.
pub static XDP_SOCK: Fields = Fields {
    layout: &BPF_XDP_SOCK,
    rules: &[read(FieldSet::all(&BPF_XDP_SOCK), When::Always)],
};

/// Bytes of `struct bpf_flow_keys`: all of it may be read and written, at any offset.
pub const FLOW_KEYS_SIZE: u32 = 56;
