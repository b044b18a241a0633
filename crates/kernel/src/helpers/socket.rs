//! Sockets: that of a test run's packet, and those that policies see. There is no table in which
//! others could be found.

use std::mem::offset_of;

use panal_uapi::{Errno, ProgType};

use super::call::{Call, implement};
use crate::{
    program_types::skb,
    socket_mirror,
    types::socket::{Sock, SockCommon},
};

implement! {
    BPF_FUNC_get_socket_cookie => get_socket_cookie;
    BPF_FUNC_get_socket_uid => get_socket_uid;
    BPF_FUNC_sk_lookup_tcp => sk_lookup_tcp;
    BPF_FUNC_sk_lookup_udp => sk_lookup_udp;
    BPF_FUNC_skc_lookup_tcp => skc_lookup_tcp;
    BPF_FUNC_sk_release => sk_release;
    BPF_FUNC_sk_fullsock => sk_fullsock;
    BPF_FUNC_tcp_sock => tcp_sock;
    BPF_FUNC_get_listener_sock => get_listener_sock;
    BPF_FUNC_skc_to_tcp6_sock => skc_to_tcp6_sock;
    BPF_FUNC_skc_to_tcp_sock => skc_to_tcp_sock;
    BPF_FUNC_skc_to_tcp_timewait_sock => skc_to_tcp_timewait_sock;
    BPF_FUNC_skc_to_tcp_request_sock => skc_to_tcp_request_sock;
    BPF_FUNC_skc_to_udp6_sock => skc_to_udp6_sock;
    BPF_FUNC_skc_to_unix_sock => skc_to_unix_sock;
    BPF_FUNC_skc_to_mptcp_sock => skc_to_mptcp_sock;
    BPF_FUNC_get_netns_cookie => get_netns_cookie;
    BPF_FUNC_sk_assign => sk_assign;
    BPF_FUNC_sk_cgroup_id => sk_cgroup_id;
    BPF_FUNC_sk_ancestor_cgroup_id => sk_ancestor_cgroup_id;
    BPF_FUNC_tcp_check_syncookie => tcp_check_syncookie;
    BPF_FUNC_tcp_gen_syncookie => tcp_gen_syncookie;
    BPF_FUNC_skb_cgroup_id => skb_cgroup_id;
    BPF_FUNC_skb_ancestor_cgroup_id => skb_ancestor_cgroup_id;
    BPF_FUNC_skb_cgroup_classid => skb_cgroup_classid;
}

/// `overflowuid`: nobody's.
const OVERFLOW_UID: u64 = 65534;

const NULL: u64 = 0;

/// The cgroup that everything is in, the root.
const CGROUP: u64 = 1;

/// Helpers that are about sockets of TCP, UDP and Unix, of which there are none here: the socket of a
/// test run is of no protocol.
macro_rules! without_protocol {
    ($($function:ident -> $answer:expr;)*) => {
        $(fn $function(_: &mut Call<'_>) -> Result<u64, Errno> {
            $answer
        })*
    };
}

without_protocol! {
    skc_to_tcp6_sock -> Ok(NULL);
    skc_to_tcp_sock -> Ok(NULL);
    skc_to_tcp_timewait_sock -> Ok(NULL);
    skc_to_tcp_request_sock -> Ok(NULL);
    skc_to_udp6_sock -> Ok(NULL);
    skc_to_unix_sock -> Ok(NULL);
    skc_to_mptcp_sock -> Ok(NULL);
    tcp_check_syncookie -> Err(Errno::EINVAL);
    tcp_gen_syncookie -> Err(Errno::EINVAL);
}

/// How a program sees sockets.
enum Seen {
    /// By the packet that belongs to one.
    Packet,
    /// By the context of a cgroup's hook.
    Address,
    /// As the kernel's own structures.
    Kernel,
    /// As what programs see of them, handed over itself.
    Mirror,
}

fn seen(call: &mut Call<'_>) -> Seen {
    match call.host().program.prog_type() {
        ProgType::Tracing | ProgType::Lsm | ProgType::StructOps => Seen::Kernel,
        ProgType::CgroupSockAddr => Seen::Address,
        ProgType::SkReuseport => Seen::Mirror,
        _ => Seen::Packet,
    }
}

/// What the kernel knows a socket by, from where the program sees it; `None` for null, or one that
/// has no number.
pub(super) fn cookie(call: &mut Call<'_>, socket: u64) -> Option<u64> {
    let at = match seen(call) {
        Seen::Kernel => offset_of!(Sock, __sk_common) + offset_of!(SockCommon, skc_cookie),
        Seen::Packet | Seen::Address | Seen::Mirror => socket_mirror::COOKIE,
    };
    if socket == 0 {
        return None;
    }
    let word = call.word(socket.wrapping_add(at as u64)).ok()?;
    Some(word).filter(|cookie| *cookie != 0)
}

/// The socket of the program's context, or 0.
fn own_socket(call: &mut Call<'_>) -> u64 {
    /// Of `sk` in `struct bpf_sock_addr`.
    const ADDRESS_SK: u64 = 64;
    match seen(call) {
        Seen::Kernel | Seen::Mirror => call.arg(0),
        Seen::Packet => match call.packet() {
            Ok(packet) => {
                let at = packet.context().wrapping_add(skb::SK as u64);
                call.word(at).unwrap_or(0)
            }
            Err(_) => 0,
        },
        Seen::Address => {
            let at = call.arg(0).wrapping_add(ADDRESS_SK);
            call.word(at).unwrap_or(0)
        }
    }
}

fn get_socket_cookie(call: &mut Call<'_>) -> u64 {
    let socket = own_socket(call);
    cookie(call, socket).unwrap_or(0)
}

/// Sockets of test runs are root's.
fn get_socket_uid(call: &mut Call<'_>) -> u64 {
    match own_socket(call) {
        0 => OVERFLOW_UID,
        _ => 0,
    }
}

/// There is one network namespace, the first.
fn get_netns_cookie(_: &mut Call<'_>) -> u64 {
    1
}

/// Nothing here is between two ends of a connection, so no packet is steered to a socket.
fn sk_assign(call: &mut Call<'_>) -> Result<(), Errno> {
    Err(if call.arg(1) == 0 || call.arg(2) != 0 {
        Errno::EINVAL
    } else {
        Errno::EOPNOTSUPP
    })
}

fn sk_lookup_tcp(_: &mut Call<'_>) -> u64 {
    NULL
}

fn sk_lookup_udp(_: &mut Call<'_>) -> u64 {
    NULL
}

fn skc_lookup_tcp(_: &mut Call<'_>) -> u64 {
    NULL
}

fn sk_release(_: &mut Call<'_>) -> u64 {
    0
}

fn sk_fullsock(call: &mut Call<'_>) -> u64 {
    call.arg(0)
}

fn tcp_sock(_: &mut Call<'_>) -> u64 {
    NULL
}

fn get_listener_sock(_: &mut Call<'_>) -> u64 {
    NULL
}

fn cgroup(socket: u64) -> u64 {
    if socket == 0 { 0 } else { CGROUP }
}

fn ancestor(socket: u64, level: u32) -> u64 {
    if level == 0 { cgroup(socket) } else { 0 }
}

fn skb_cgroup_id(call: &mut Call<'_>) -> u64 {
    cgroup(own_socket(call))
}

fn skb_ancestor_cgroup_id(call: &mut Call<'_>) -> u64 {
    ancestor(own_socket(call), call.arg32(1))
}

fn sk_cgroup_id(call: &mut Call<'_>) -> u64 {
    cgroup(call.arg(0))
}

fn sk_ancestor_cgroup_id(call: &mut Call<'_>) -> u64 {
    ancestor(call.arg(0), call.arg32(1))
}

fn skb_cgroup_classid(_: &mut Call<'_>) -> u64 {
    0
}
