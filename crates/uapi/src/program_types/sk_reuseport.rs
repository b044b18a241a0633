//! Choice of a socket among those that share a port.

use super::base::{grant, with_base};
use super::context::{
    Field, FieldKind, FieldSet, Fields, Layout, Sizes, When, eight, four, narrow, read,
};
use super::{Context, PacketAccess, ProgramType, Sleepable};
use crate::ProgType;
use crate::helpers::{HelperSet, id::*};

static SK_REUSEPORT_MD: Layout = Layout {
    name: "sk_reuseport_md",
    size: 56,
    fields: &[
        eight("data", 0).kind(FieldKind::PacketData),
        eight("data_end", 8).kind(FieldKind::PacketEnd),
        narrow("len", 16, 4),
        Field::new("eth_protocol", 20, 4, Sizes(2 | 4)),
        narrow("ip_protocol", 24, 4),
        narrow("bind_inany", 28, 4),
        four("hash", 32),
        eight("sk", 40).kind(FieldKind::Socket),
        eight("migrating_sk", 48).kind(FieldKind::SockCommonOrNull),
    ],
};

pub(super) const SK_REUSEPORT: ProgramType = ProgramType {
    prog_type: ProgType::SkReuseport,
    context: Context::Fields(Fields {
        layout: &SK_REUSEPORT_MD,
        rules: &[read(FieldSet::all(&SK_REUSEPORT_MD), When::Always)],
    }),
    helpers: with_base!(grant(HelperSet::of(&[
        BPF_FUNC_skb_load_bytes,
        BPF_FUNC_get_socket_cookie,
        BPF_FUNC_skb_load_bytes_relative,
        BPF_FUNC_sk_select_reuseport,
        BPF_FUNC_ktime_get_coarse_ns,
    ])),),
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::Read,
    packet_loads: false,
    kfuncs: None,
};
