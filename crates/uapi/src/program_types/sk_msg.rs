//! Messages that the sockets of a socket map send.

use super::base::{SOCKET_CASTS, grant, with_base};
use super::context::{Field, FieldKind, FieldSet, Fields, Layout, Sizes, When, eight, four, read};
use super::{Context, PacketAccess, ProgramType, Sleepable};
use crate::ProgType;
use crate::helpers::{HelperSet, id::*};

static SK_MSG_MD: Layout = Layout {
    name: "sk_msg_md",
    size: 80,
    fields: &[
        eight("data", 0).kind(FieldKind::PacketData),
        eight("data_end", 8).kind(FieldKind::PacketEnd),
        four("family", 16),
        four("remote_ip4", 20),
        four("local_ip4", 24),
        Field::new("remote_ip6", 28, 16, Sizes::FOUR),
        Field::new("local_ip6", 44, 16, Sizes::FOUR),
        four("remote_port", 60),
        four("local_port", 64),
        four("size", 68),
        eight("sk", 72).kind(FieldKind::Socket),
    ],
};

pub(super) const SK_MSG: ProgramType = ProgramType {
    prog_type: ProgType::SkMsg,
    context: Context::Fields(Fields {
        layout: &SK_MSG_MD,
        rules: &[read(FieldSet::all(&SK_MSG_MD), When::Always)],
    }),
    helpers: with_base!(
        grant(SOCKET_CASTS),
        grant(HelperSet::of(&[
            BPF_FUNC_perf_event_output,
            BPF_FUNC_msg_redirect_map,
            BPF_FUNC_msg_apply_bytes,
            BPF_FUNC_msg_cork_bytes,
            BPF_FUNC_msg_pull_data,
            BPF_FUNC_msg_redirect_hash,
            BPF_FUNC_msg_push_data,
            BPF_FUNC_msg_pop_data,
            BPF_FUNC_sk_storage_get,
            BPF_FUNC_sk_storage_delete,
            BPF_FUNC_get_netns_cookie,
        ])),
    ),
    returns: &[],
    sleepable: Sleepable::Never,
    packet: PacketAccess::ReadWrite,
    packet_loads: false,
    kfuncs: None,
};
