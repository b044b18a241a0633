//! Sockets: packets here belong to none, so there is none to be found.

use panal_uapi::Errno;

use super::call::{Call, implement};

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
    BPF_FUNC_sk_storage_get => sk_storage_get;
    BPF_FUNC_sk_storage_delete => sk_storage_delete;
    BPF_FUNC_sk_assign => sk_assign;
    BPF_FUNC_sk_cgroup_id => sk_cgroup_id;
    BPF_FUNC_sk_ancestor_cgroup_id => sk_ancestor_cgroup_id;
    BPF_FUNC_tcp_check_syncookie => tcp_check_syncookie;
    BPF_FUNC_tcp_gen_syncookie => tcp_gen_syncookie;
    BPF_FUNC_skb_cgroup_id => skb_cgroup_id;
    BPF_FUNC_skb_ancestor_cgroup_id => skb_ancestor_cgroup_id;
    BPF_FUNC_skb_cgroup_classid => skb_cgroup_classid;
    BPF_FUNC_skb_get_tunnel_key => skb_get_tunnel_key;
    BPF_FUNC_skb_get_tunnel_opt => skb_get_tunnel_opt;
}

/// `overflowuid`: nobody's.
const OVERFLOW_UID: u64 = 65534;

const NULL: u64 = 0;

/// Helpers that take a socket: a program that asks for one gets none, so these are reached only with
/// null, if at all.
macro_rules! without_socket {
    ($($function:ident -> $answer:expr;)*) => {
        $(fn $function(_: &mut Call<'_>) -> Result<u64, Errno> {
            $answer
        })*
    };
}

without_socket! {
    skc_to_tcp6_sock -> Ok(NULL);
    skc_to_tcp_sock -> Ok(NULL);
    skc_to_tcp_timewait_sock -> Ok(NULL);
    skc_to_tcp_request_sock -> Ok(NULL);
    skc_to_udp6_sock -> Ok(NULL);
    skc_to_unix_sock -> Ok(NULL);
    skc_to_mptcp_sock -> Ok(NULL);
    sk_storage_get -> Ok(NULL);
    sk_storage_delete -> Err(Errno::EINVAL);
    sk_assign -> Err(Errno::EINVAL);
    sk_cgroup_id -> Err(Errno::EINVAL);
    sk_ancestor_cgroup_id -> Err(Errno::EINVAL);
    tcp_check_syncookie -> Err(Errno::EINVAL);
    tcp_gen_syncookie -> Err(Errno::EINVAL);
}

fn get_socket_cookie(_: &mut Call<'_>) -> u64 {
    0
}

fn get_socket_uid(_: &mut Call<'_>) -> u64 {
    OVERFLOW_UID
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

fn sk_fullsock(_: &mut Call<'_>) -> u64 {
    NULL
}

fn tcp_sock(_: &mut Call<'_>) -> u64 {
    NULL
}

fn get_listener_sock(_: &mut Call<'_>) -> u64 {
    NULL
}

fn skb_cgroup_id(_: &mut Call<'_>) -> u64 {
    0
}

fn skb_ancestor_cgroup_id(_: &mut Call<'_>) -> u64 {
    0
}

fn skb_cgroup_classid(_: &mut Call<'_>) -> u64 {
    0
}

/// No packet came through a tunnel device: `EINVAL` and zeros, as on Linux.
fn no_tunnel(call: &mut Call<'_>) -> Result<(), Errno> {
    call.zero(call.arg(1), call.arg32(2) as usize)?;
    Err(Errno::EINVAL)
}

fn skb_get_tunnel_key(call: &mut Call<'_>) -> Result<(), Errno> {
    no_tunnel(call)
}

fn skb_get_tunnel_opt(call: &mut Call<'_>) -> Result<(), Errno> {
    no_tunnel(call)
}
