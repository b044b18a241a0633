//! Netfilter hooks.

use super::base::with_base;
use super::context::{FieldKind, FieldSet, Fields, Layout, When, eight, read};
use super::{Context, KfuncHook, PacketAccess, ProgramType, Returns, Sleepable};
use crate::ProgType;

static HOOK: Layout = Layout {
    name: "bpf_nf_ctx",
    size: 16,
    fields: &[
        eight("state", 0).kind(FieldKind::TrustedBtf("nf_hook_state")),
        eight("skb", 8).kind(FieldKind::TrustedBtf("sk_buff")),
    ],
};

pub(super) const NETFILTER: ProgramType = ProgramType {
    prog_type: ProgType::Netfilter,
    context: Context::Fields(Fields {
        layout: &HOOK,
        rules: &[read(FieldSet::all(&HOOK), When::Always)],
    }),
    helpers: with_base!(),
    returns: &[(When::Always, Returns::Range(0, 1))],
    sleepable: Sleepable::Never,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Netfilter),
};
