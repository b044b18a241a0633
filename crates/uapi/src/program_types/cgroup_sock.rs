//! Creation, binding and release of the sockets of a cgroup.

use super::base::{grant, with_base};
use super::context::{FieldSet, Fields, When, read, write};
use super::sockets::BPF_SOCK;
use super::{Context, KfuncHook, PacketAccess, ProgramType, Returns, Sleepable};
use crate::helpers::{HelperSet, id::*};
use crate::{AttachType, ProgType};

const CREATE_RELEASE: When = When::At(&[
    AttachType::CgroupInetSockCreate,
    AttachType::CgroupInetSockRelease,
]);
const BIND4: When = When::At(&[AttachType::CgroupInet4PostBind]);
const BIND6: When = When::At(&[AttachType::CgroupInet6PostBind]);
const BIND: When = When::At(&[
    AttachType::CgroupInet4PostBind,
    AttachType::CgroupInet6PostBind,
]);

pub(super) const CGROUP_SOCK: ProgramType = ProgramType {
    prog_type: ProgType::CgroupSock,
    context: Context::Fields(Fields {
        layout: &BPF_SOCK,
        rules: &[
            read(
                FieldSet::of(
                    &BPF_SOCK,
                    &[
                        "family",
                        "type",
                        "protocol",
                        "dst_port",
                        "dst_ip4",
                        "dst_ip6",
                        "state",
                        "rx_queue_mapping",
                    ],
                ),
                When::Always,
            ),
            read(
                FieldSet::of(&BPF_SOCK, &["bound_dev_if", "mark", "priority"]),
                CREATE_RELEASE,
            ),
            write(
                FieldSet::of(&BPF_SOCK, &["bound_dev_if", "mark", "priority"]),
                CREATE_RELEASE,
            ),
            read(FieldSet::of(&BPF_SOCK, &["src_ip4"]), BIND4),
            read(FieldSet::of(&BPF_SOCK, &["src_ip6"]), BIND6),
            read(FieldSet::of(&BPF_SOCK, &["src_port"]), BIND),
        ],
    }),
    helpers: with_base!(grant(HelperSet::of(&[
        BPF_FUNC_perf_event_output,
        BPF_FUNC_get_socket_cookie,
        BPF_FUNC_get_local_storage,
        BPF_FUNC_sk_storage_get,
        BPF_FUNC_get_netns_cookie,
        BPF_FUNC_ktime_get_coarse_ns,
        BPF_FUNC_get_retval,
        BPF_FUNC_set_retval,
    ])),),
    returns: &[(When::Always, Returns::Range(0, 1))],
    sleepable: Sleepable::Never,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Cgroup),
};
