//! Sockets and their addresses.

use super::{
    describe::{Ptr, kernel_structs, opaque_structs},
    file::File,
    task::Net,
};

opaque_structs! {
    ProtoOps = "proto_ops",
}

kernel_structs! {
    /// An IPv6 address by bytes and by words.
    union In6Words = "" {
        u6_addr8: [u8; 16],
        u6_addr16: [u16; 8],
        u6_addr32: [u32; 4],
    }

    /// An IPv6 address.
    struct In6Addr = "in6_addr" { in6_u: In6Words }

    /// An IPv4 address.
    struct InAddr = "in_addr" { s_addr: u32 [ "__be32" ] }

    /// Any address: its family, and bytes.
    struct SockAddr = "sockaddr" {
        sa_family: u16 [ "sa_family_t" ],
        sa_data: [i8; 14],
    }

    /// An IPv4 address with its port.
    struct SockAddrIn = "sockaddr_in" {
        sin_family: u16 [ "__kernel_sa_family_t" ],
        sin_port: u16 [ "__be16" ],
        sin_addr: InAddr,
        __pad: [u8; 8],
    }

    /// An IPv6 address with its port.
    struct SockAddrIn6 = "sockaddr_in6" {
        sin6_family: u16,
        sin6_port: u16 [ "__be16" ],
        sin6_flowinfo: u32 [ "__be32" ],
        sin6_addr: In6Addr,
        sin6_scope_id: u32 [ "__u32" ],
    }

    /// A path as an address.
    struct SockAddrUn = "sockaddr_un" {
        sun_family: u16 [ "__kernel_sa_family_t" ],
        sun_path: [i8; 108],
    }

    /// A network namespace by pointer, as sockets hold it.
    struct PossibleNet = "" { net: Ptr<Net> }

    /// A counter.
    struct Atomic64 = "" { counter: i64 [ "s64" ] }

    /// What sockets of all kinds have in common.
    struct SockCommon = "sock_common" {
        skc_daddr: u32 [ "__be32" ],
        skc_rcv_saddr: u32 [ "__be32" ],
        skc_dport: u16 [ "__be16" ],
        skc_num: u16 [ "__u16" ],
        skc_family: u16,
        skc_state: u8,
        skc_bound_dev_if: i32,
        skc_net: PossibleNet [ "possible_net_t" ],
        skc_v6_daddr: In6Addr,
        skc_v6_rcv_saddr: In6Addr,
        skc_cookie: Atomic64 [ "atomic64_t" ],
    }

    /// A socket of the network.
    struct Sock = "sock" {
        __sk_common: SockCommon,
        sk_type: u16 [ "u16" ],
        sk_protocol: u16 [ "u16" ],
        sk_mark: u32 [ "__u32" ],
        sk_socket: Ptr<Socket>,
    }

    /// A socket of the internet protocols.
    struct InetSock = "inet_sock" { sk: Sock }

    /// One that has connections.
    struct InetConnectionSock = "inet_connection_sock" { icsk_inet: InetSock }

    /// One of TCP.
    struct TcpSock = "tcp_sock" { inet_conn: InetConnectionSock }

    /// One of TCP over IPv6.
    struct Tcp6Sock = "tcp6_sock" { tcp: TcpSock }

    /// What is left of a connection that was closed.
    struct InetTimewaitSock = "inet_timewait_sock" { __tw_common: SockCommon }

    /// The same of TCP.
    struct TcpTimewaitSock = "tcp_timewait_sock" { tw_sk: InetTimewaitSock }

    /// A connection that is asked for.
    struct RequestSock = "request_sock" { __req_common: SockCommon }

    /// The same of the internet protocols.
    struct InetRequestSock = "inet_request_sock" { req: RequestSock }

    /// The same of TCP.
    struct TcpRequestSock = "tcp_request_sock" { req: InetRequestSock }

    /// A socket of UDP.
    struct UdpSock = "udp_sock" { inet: InetSock }

    /// One of UDP over IPv6.
    struct Udp6Sock = "udp6_sock" { udp: UdpSock }

    /// One of this machine alone.
    struct UnixSock = "unix_sock" { sk: Sock }

    /// One of multipath TCP.
    struct MptcpSock = "mptcp_sock" { sk: InetConnectionSock }

    /// A socket of user space.
    struct Socket = "socket" {
        state: i32,
        r#type: i16,
        flags: u64,
        file: Ptr<File>,
        sk: Ptr<Sock>,
        ops: Ptr<ProtoOps>,
    }
}
