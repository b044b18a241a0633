//! Addresses that the sockets of a cgroup bind, connect, send and receive with.

use super::base::{SOCKET_CASTS, grant, with_base};
use super::context::{
    Field, FieldKind, FieldSet, Fields, Layout, Sizes, When, eight, four, narrow, read, write,
};
use super::{Context, Grant, KfuncHook, PacketAccess, ProgramType, Returns, Sleepable};
use crate::helpers::{HelperSet, id::*};
use crate::{AttachType, AttachType::*, ProgType};

static SOCK_ADDR: Layout = Layout {
    name: "bpf_sock_addr",
    size: 72,
    fields: &[
        four("user_family", 0),
        narrow("user_ip4", 4, 4).write(Sizes::FOUR),
        Field::new("user_ip6", 8, 16, Sizes::ANY).write(Sizes::FOUR_EIGHT),
        narrow("user_port", 24, 4).write(Sizes::FOUR),
        four("family", 28),
        four("type", 32),
        four("protocol", 36),
        narrow("msg_src_ip4", 40, 4).write(Sizes::FOUR),
        Field::new("msg_src_ip6", 44, 16, Sizes::ANY).write(Sizes::FOUR_EIGHT),
        eight("sk", 64).kind(FieldKind::Socket),
    ],
};

const IPV4: When = When::At(&[
    CgroupInet4Bind,
    CgroupInet4Connect,
    CgroupInet4Getpeername,
    CgroupInet4Getsockname,
    CgroupUdp4Sendmsg,
    CgroupUdp4Recvmsg,
]);
const IPV6: When = When::At(&[
    CgroupInet6Bind,
    CgroupInet6Connect,
    CgroupInet6Getpeername,
    CgroupInet6Getsockname,
    CgroupUdp6Sendmsg,
    CgroupUdp6Recvmsg,
]);
const SEND4: When = When::At(&[CgroupUdp4Sendmsg]);
const SEND6: When = When::At(&[CgroupUdp6Sendmsg]);
const BIND: When = When::At(&[CgroupInet4Bind, CgroupInet6Bind]);
const CONNECT: When = When::At(&[CgroupInet4Connect, CgroupInet6Connect]);
/// Hooks that can only observe: they return 1.
const OBSERVE: &[AttachType] = &[
    CgroupInet4Getpeername,
    CgroupInet6Getpeername,
    CgroupUnixGetpeername,
    CgroupInet4Getsockname,
    CgroupInet6Getsockname,
    CgroupUnixGetsockname,
    CgroupUdp4Recvmsg,
    CgroupUdp6Recvmsg,
    CgroupUnixRecvmsg,
];

pub(super) const CGROUP_SOCK_ADDR: ProgramType = ProgramType {
    prog_type: ProgType::CgroupSockAddr,
    context: Context::Fields(Fields {
        layout: &SOCK_ADDR,
        rules: &[
            read(
                FieldSet::of(
                    &SOCK_ADDR,
                    &[
                        "user_family",
                        "user_port",
                        "family",
                        "type",
                        "protocol",
                        "sk",
                    ],
                ),
                When::Always,
            ),
            write(FieldSet::of(&SOCK_ADDR, &["user_port"]), When::Always),
            read(FieldSet::of(&SOCK_ADDR, &["user_ip4"]), IPV4),
            write(FieldSet::of(&SOCK_ADDR, &["user_ip4"]), IPV4),
            read(FieldSet::of(&SOCK_ADDR, &["user_ip6"]), IPV6),
            write(FieldSet::of(&SOCK_ADDR, &["user_ip6"]), IPV6),
            read(FieldSet::of(&SOCK_ADDR, &["msg_src_ip4"]), SEND4),
            write(FieldSet::of(&SOCK_ADDR, &["msg_src_ip4"]), SEND4),
            read(FieldSet::of(&SOCK_ADDR, &["msg_src_ip6"]), SEND6),
            write(FieldSet::of(&SOCK_ADDR, &["msg_src_ip6"]), SEND6),
        ],
    }),
    helpers: with_base!(
        grant(SOCKET_CASTS),
        grant(HelperSet::of(&[
            BPF_FUNC_perf_event_output,
            BPF_FUNC_get_socket_cookie,
            BPF_FUNC_setsockopt,
            BPF_FUNC_getsockopt,
            BPF_FUNC_get_local_storage,
            BPF_FUNC_sk_lookup_tcp,
            BPF_FUNC_sk_lookup_udp,
            BPF_FUNC_sk_release,
            BPF_FUNC_skc_lookup_tcp,
            BPF_FUNC_sk_storage_get,
            BPF_FUNC_sk_storage_delete,
            BPF_FUNC_get_netns_cookie,
        ])),
        Grant {
            helpers: HelperSet::of(&[BPF_FUNC_get_retval, BPF_FUNC_set_retval]),
            when: When::NotAt(OBSERVE),
        },
        Grant {
            helpers: HelperSet::of(&[BPF_FUNC_bind]),
            when: CONNECT
        },
    ),
    returns: &[
        (When::At(OBSERVE), Returns::Range(1, 1)),
        (BIND, Returns::Range(0, 3)),
        (When::Always, Returns::Range(0, 1)),
    ],
    sleepable: Sleepable::Never,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Cgroup),
};
