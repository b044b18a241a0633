//! Choice of the socket that receives a connection.

use super::base::{SOCKET_CASTS, grant, with_base};
use super::context::{FieldKind, FieldSet, Fields, Layout, When, eight, narrow, read};
use super::{Context, PacketAccess, ProgramType, Returns, Sleepable};
use crate::ProgType;
use crate::helpers::{HelperSet, id::*};

static LOOKUP: Layout = Layout {
    name: "bpf_sk_lookup",
    size: 72,
    fields: &[
        eight("sk", 0).kind(FieldKind::SocketOrNull),
        narrow("family", 8, 4),
        narrow("protocol", 12, 4),
        narrow("remote_ip4", 16, 4),
        narrow("remote_ip6", 20, 16),
        narrow("remote_port", 36, 4),
        narrow("local_ip4", 40, 4),
        narrow("local_ip6", 44, 16),
        narrow("local_port", 60, 4),
        narrow("ingress_ifindex", 64, 4),
    ],
};

pub(super) const SK_LOOKUP: ProgramType = ProgramType {
    prog_type: ProgType::SkLookup,
    context: Context::Fields(Fields {
        layout: &LOOKUP,
        rules: &[read(FieldSet::all(&LOOKUP), When::Always)],
    }),
    helpers: with_base!(
        grant(SOCKET_CASTS),
        grant(HelperSet::of(&[
            BPF_FUNC_perf_event_output,
            BPF_FUNC_sk_release,
            BPF_FUNC_sk_assign,
        ])),
    ),
    returns: &[(When::Always, Returns::Range(0, 1))],
    sleepable: Sleepable::Never,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: None,
};
