//! `struct __sk_buff`, the packet as most networking programs see it.

use super::context::{Field, FieldKind, Layout, Sizes, eight, four, narrow};

/// The structure; who may read and write what stands with the program types.
pub(super) static SK_BUFF: Layout = Layout {
    name: "__sk_buff",
    size: 192,
    fields: &[
        narrow("len", 0, 4),
        narrow("pkt_type", 4, 4),
        narrow("mark", 8, 4).write(Sizes::FOUR),
        narrow("queue_mapping", 12, 4).write(Sizes::FOUR),
        narrow("protocol", 16, 4),
        narrow("vlan_present", 20, 4),
        narrow("vlan_tci", 24, 4),
        narrow("vlan_proto", 28, 4),
        narrow("priority", 32, 4).write(Sizes::FOUR),
        narrow("ingress_ifindex", 36, 4),
        narrow("ifindex", 40, 4),
        narrow("tc_index", 44, 4).write(Sizes::FOUR),
        Field::new("cb", 48, 20, Sizes::ANY).write(Sizes::ANY),
        narrow("hash", 68, 4),
        narrow("tc_classid", 72, 4).write(Sizes::FOUR),
        four("data", 76).kind(FieldKind::PacketData),
        four("data_end", 80).kind(FieldKind::PacketEnd),
        narrow("napi_id", 84, 4),
        narrow("family", 88, 4),
        four("remote_ip4", 92),
        four("local_ip4", 96),
        Field::new("remote_ip6", 100, 16, Sizes::FOUR),
        Field::new("local_ip6", 116, 16, Sizes::FOUR),
        narrow("remote_port", 132, 4),
        narrow("local_port", 136, 4),
        four("data_meta", 140).kind(FieldKind::PacketMeta),
        eight("flow_keys", 144).kind(FieldKind::FlowKeys),
        eight("tstamp", 152).write(Sizes::EIGHT),
        narrow("wire_len", 160, 4),
        narrow("gso_segs", 164, 4),
        eight("sk", 168).kind(FieldKind::SockCommonOrNull),
        narrow("gso_size", 176, 4),
        Field::new("tstamp_type", 180, 1, Sizes(1)),
        eight("hwtstamp", 184),
    ],
};

/// What every type but the flow dissector may read.
pub(super) const COMMON: &[&str] = &[
    "len",
    "pkt_type",
    "queue_mapping",
    "protocol",
    "vlan_present",
    "vlan_tci",
    "vlan_proto",
    "priority",
    "ingress_ifindex",
    "ifindex",
    "tc_index",
    "cb",
    "hash",
    "napi_id",
    "gso_segs",
    "sk",
    "gso_size",
];

/// The addresses of the packet's socket.
pub(super) const ADDRESSES: &[&str] = &[
    "family",
    "remote_ip4",
    "local_ip4",
    "remote_ip6",
    "local_ip6",
    "remote_port",
    "local_port",
];
