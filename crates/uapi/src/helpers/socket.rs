//! Sockets: find, release, cast, identify.

use super::signature::{ArgFlags, Return::*, args::*, sig};
use super::table::helpers;
use crate::ProgType;

helpers! {
    BPF_FUNC_get_socket_cookie = 46, (4, 12), "A number that identifies a socket.",
        sig(&[CTX], Integer),
        for [ProgType::Tracing, ProgType::Lsm, ProgType::Syscall, ProgType::SkReuseport] =>
            sig(&[SK.or_null()], Integer);
    BPF_FUNC_get_socket_uid = 47, (4, 12), "The owner of the packet's socket.",
        sig(&[CTX], Integer);
    BPF_FUNC_sk_lookup_tcp = 84, (4, 20), "Finds a TCP socket, or null.",
        sig(&[CTX, MEM_RO, SIZE0, ANY, ANY], SocketOrNull).packet().acquires(),
        for [ProgType::CgroupSockAddr] =>
            sig(&[CTX, MEM_RO, SIZE0, ANY, ANY], SocketOrNull).acquires();
    BPF_FUNC_sk_lookup_udp = 85, (4, 20), "Finds a UDP socket, or null.",
        sig(&[CTX, MEM_RO, SIZE0, ANY, ANY], SocketOrNull).packet().acquires(),
        for [ProgType::CgroupSockAddr] =>
            sig(&[CTX, MEM_RO, SIZE0, ANY, ANY], SocketOrNull).acquires();
    BPF_FUNC_sk_release = 86, (4, 20), "Releases a socket that was found.",
        sig(&[SK.with(ArgFlags::RELEASE)], Integer);
    BPF_FUNC_sk_fullsock = 95, (5, 1), "The full socket of a socket, or null.",
        sig(&[SKC], SocketOrNull).casts();
    BPF_FUNC_tcp_sock = 96, (5, 1), "The TCP side of a socket, or null.",
        sig(&[SKC], TcpSockOrNull).casts();
    BPF_FUNC_get_listener_sock = 98, (5, 1), "The listening socket behind a socket, or null.",
        sig(&[SKC], SocketOrNull);
    BPF_FUNC_skc_lookup_tcp = 99, (5, 2), "Finds a TCP socket of any state, or null.",
        sig(&[CTX, MEM_RO, SIZE0, ANY, ANY], SockCommonOrNull).packet().acquires(),
        for [ProgType::CgroupSockAddr] =>
            sig(&[CTX, MEM_RO, SIZE0, ANY, ANY], SockCommonOrNull).acquires();
    BPF_FUNC_get_netns_cookie = 122, (5, 7), "A number that identifies a network namespace.",
        sig(&[CTX.or_null()], Integer);
    BPF_FUNC_sk_assign = 124, (5, 7), "Gives the packet to a socket.",
        sig(&[CTX, SK, ANY], Integer),
        for [ProgType::SkLookup] => sig(&[CTX, SOCKET.or_null(), ANY], Integer);
    BPF_FUNC_skc_to_tcp6_sock = 136, (5, 9), "The socket as a tcp6_sock, or null.",
        sig(&[SK], BtfOrNull("tcp6_sock")).casts();
    BPF_FUNC_skc_to_tcp_sock = 137, (5, 9), "The socket as a tcp_sock, or null.",
        sig(&[SK], BtfOrNull("tcp_sock")).casts();
    BPF_FUNC_skc_to_tcp_timewait_sock = 138, (5, 9), "The socket as a tcp_timewait_sock, or null.",
        sig(&[SK], BtfOrNull("tcp_timewait_sock")).casts();
    BPF_FUNC_skc_to_tcp_request_sock = 139, (5, 9), "The socket as a tcp_request_sock, or null.",
        sig(&[SK], BtfOrNull("tcp_request_sock")).casts();
    BPF_FUNC_skc_to_udp6_sock = 140, (5, 9), "The socket as a udp6_sock, or null.",
        sig(&[SK], BtfOrNull("udp6_sock")).casts();
    BPF_FUNC_sock_from_file = 162, (5, 11), "The socket behind a file, or null.",
        sig(&[btf("file")], BtfOrNull("socket"));
    BPF_FUNC_skc_to_unix_sock = 178, (5, 16), "The socket as a unix_sock, or null.",
        sig(&[SK], BtfOrNull("unix_sock")).casts();
    BPF_FUNC_skc_to_mptcp_sock = 196, (5, 19), "The socket as an mptcp_sock, or null.",
        sig(&[SKC], BtfOrNull("mptcp_sock")).casts();
}
