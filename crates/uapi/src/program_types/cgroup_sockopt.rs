//! Socket options that the tasks of a cgroup read and set.

use super::base::{grant, with_base};
use super::context::{FieldKind, FieldSet, Fields, Layout, Sizes, When, eight, four, read, write};
use super::{Context, Grant, KfuncHook, PacketAccess, ProgramType, Returns, Sleepable};
use crate::helpers::{HelperSet, id::*};
use crate::{AttachType, ProgType};

static SOCKOPT: Layout = Layout {
    name: "bpf_sockopt",
    size: 40,
    fields: &[
        eight("sk", 0).kind(FieldKind::Socket),
        eight("optval", 8).kind(FieldKind::PacketData),
        eight("optval_end", 16).kind(FieldKind::PacketEnd),
        four("level", 24).write(Sizes::FOUR),
        four("optname", 28).write(Sizes::FOUR),
        four("optlen", 32).write(Sizes::FOUR),
        four("retval", 36).write(Sizes::FOUR),
    ],
};

const GET: When = When::At(&[AttachType::CgroupGetsockopt]);
const SET: When = When::At(&[AttachType::CgroupSetsockopt]);

pub(super) const CGROUP_SOCKOPT: ProgramType = ProgramType {
    prog_type: ProgType::CgroupSockopt,
    context: Context::Fields(Fields {
        layout: &SOCKOPT,
        rules: &[
            read(FieldSet::except(&SOCKOPT, &["retval"]), When::Always),
            read(FieldSet::of(&SOCKOPT, &["retval"]), GET),
            write(FieldSet::of(&SOCKOPT, &["optlen"]), When::Always),
            write(FieldSet::of(&SOCKOPT, &["retval"]), GET),
            write(FieldSet::of(&SOCKOPT, &["level", "optname"]), SET),
        ],
    }),
    helpers: with_base!(
        grant(HelperSet::of(&[
            BPF_FUNC_perf_event_output,
            BPF_FUNC_get_local_storage,
            BPF_FUNC_tcp_sock,
            BPF_FUNC_sk_storage_get,
            BPF_FUNC_sk_storage_delete,
            BPF_FUNC_get_netns_cookie,
            BPF_FUNC_get_retval,
            BPF_FUNC_set_retval,
        ])),
        Grant {
            helpers: HelperSet::of(&[BPF_FUNC_setsockopt, BPF_FUNC_getsockopt]),
            when: SET,
        },
    ),
    returns: &[(When::Always, Returns::Range(0, 1))],
    sleepable: Sleepable::Never,
    packet: PacketAccess::ReadWrite,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Cgroup),
};
