//! Packets as the driver receives them.

use super::base::{SOCKET_CASTS, grant, with_base};
use super::context::{FieldKind, FieldSet, Fields, Layout, When, four, read};
use super::{Context, KfuncHook, PacketAccess, ProgramType, Sleepable};
use crate::helpers::{HelperSet, id::*};
use crate::{AttachType, ProgType};

static XDP_MD: Layout = Layout {
    name: "xdp_md",
    size: 24,
    fields: &[
        four("data", 0).kind(FieldKind::PacketData),
        four("data_end", 4).kind(FieldKind::PacketEnd),
        four("data_meta", 8).kind(FieldKind::PacketMeta),
        four("ingress_ifindex", 12),
        four("rx_queue_index", 16),
        four("egress_ifindex", 20),
    ],
};

pub(super) const XDP: ProgramType = ProgramType {
    prog_type: ProgType::Xdp,
    context: Context::Fields(Fields {
        layout: &XDP_MD,
        rules: &[
            read(FieldSet::except(&XDP_MD, &["egress_ifindex"]), When::Always),
            read(
                FieldSet::of(&XDP_MD, &["egress_ifindex"]),
                When::At(&[AttachType::XdpDevmap]),
            ),
        ],
    }),
    helpers: with_base!(
        grant(SOCKET_CASTS),
        grant(HelperSet::of(&[
            BPF_FUNC_redirect,
            BPF_FUNC_perf_event_output,
            BPF_FUNC_csum_diff,
            BPF_FUNC_xdp_adjust_head,
            BPF_FUNC_redirect_map,
            BPF_FUNC_xdp_adjust_meta,
            BPF_FUNC_xdp_adjust_tail,
            BPF_FUNC_fib_lookup,
            BPF_FUNC_sk_lookup_tcp,
            BPF_FUNC_sk_lookup_udp,
            BPF_FUNC_sk_release,
            BPF_FUNC_skc_lookup_tcp,
            BPF_FUNC_tcp_check_syncookie,
            BPF_FUNC_tcp_gen_syncookie,
            BPF_FUNC_check_mtu,
            BPF_FUNC_xdp_get_buff_len,
            BPF_FUNC_xdp_load_bytes,
            BPF_FUNC_xdp_store_bytes,
            BPF_FUNC_tcp_raw_gen_syncookie_ipv4,
            BPF_FUNC_tcp_raw_gen_syncookie_ipv6,
            BPF_FUNC_tcp_raw_check_syncookie_ipv4,
            BPF_FUNC_tcp_raw_check_syncookie_ipv6,
        ])),
    ),
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::ReadWrite,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Xdp),
};
