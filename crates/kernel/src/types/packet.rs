//! Packets: the kernel's own structures around them, and the headers in them.

use super::{
    describe::{Ptr, Void, kernel_structs, opaque_structs},
    socket::{In6Addr, PossibleNet, Sock},
    task::Net,
};

opaque_structs! {
    BpfProg = "bpf_prog",
}

kernel_structs! {
    /// A map, as far as programs may read it: what a map's header in the cage shows.
    struct BpfMap = "bpf_map" {
        map_type: u32,
        key_size: u32 [ "u32" ],
        value_size: u32 [ "u32" ],
        max_entries: u32 [ "u32" ],
        id: u32 [ "u32" ],
    }

    /// A network interface.
    struct NetDevice = "net_device" {
        name: [i8; 16],
        ifindex: i32,
        mtu: u32,
        flags: u32,
        nd_net: PossibleNet [ "possible_net_t" ],
    }

    /// What an XDP program's packet was received by.
    struct XdpRxqInfo = "xdp_rxq_info" {
        dev: Ptr<NetDevice>,
        queue_index: u32 [ "u32" ],
    }

    /// Where an XDP program's packet goes.
    struct XdpTxqInfo = "xdp_txq_info" { dev: Ptr<NetDevice> }

    /// A packet before it is a `sk_buff`.
    struct XdpBuff = "xdp_buff" {
        data: Ptr<Void>,
        data_end: Ptr<Void>,
        data_meta: Ptr<Void>,
        data_hard_start: Ptr<Void>,
        rxq: Ptr<XdpRxqInfo>,
        txq: Ptr<XdpTxqInfo>,
        frame_sz: u32 [ "u32" ],
        flags: u32 [ "u32" ],
    }

    /// A packet that was redirected.
    struct XdpFrame = "xdp_frame" {
        data: Ptr<Void>,
        len: u32 [ "u32" ],
        headroom: u32 [ "u32" ],
        metasize: u32 [ "u32" ],
        frame_sz: u32 [ "u32" ],
        dev_rx: Ptr<NetDevice>,
    }

    /// What a cpumap's thread did.
    struct XdpCpumapStats = "xdp_cpumap_stats" { redirect: u32, pass: u32, drop: u32 }

    /// A packet of the stack.
    struct SkBuff = "sk_buff" {
        dev: Ptr<NetDevice>,
        sk: Ptr<Sock>,
        len: u32,
        data_len: u32,
        mac_len: u16 [ "__u16" ],
        hdr_len: u16 [ "__u16" ],
        queue_mapping: u16 [ "__u16" ],
        protocol: u16 [ "__be16" ],
        priority: u32 [ "__u32" ],
        skb_iif: i32,
        hash: u32 [ "__u32" ],
        mark: u32 [ "__u32" ],
        transport_header: u16 [ "__u16" ],
        network_header: u16 [ "__u16" ],
        mac_header: u16 [ "__u16" ],
        head: Ptr<u8>,
        data: Ptr<u8>,
    }

    /// Where in netfilter a packet is.
    struct NfHookState = "nf_hook_state" {
        hook: u8 [ "u8" ],
        pf: u8 [ "u8" ],
        r#in: Ptr<NetDevice>,
        out: Ptr<NetDevice>,
        sk: Ptr<Sock>,
        net: Ptr<Net>,
        okfn: Ptr<Void>,
    }

    /// What a netfilter program sees.
    struct BpfNfCtx = "bpf_nf_ctx" { state: Ptr<NfHookState>, skb: Ptr<SkBuff> }

    /// Ethernet (IEEE 802.3).
    struct EthHdr = "ethhdr" {
        h_dest: [u8; 6],
        h_source: [u8; 6],
        h_proto: u16 [ "__be16" ],
    }

    /// A VLAN tag behind an Ethernet header (IEEE 802.1Q).
    struct VlanHdr = "vlan_hdr" {
        h_vlan_TCI: u16 [ "__be16" ],
        h_vlan_encapsulated_proto: u16 [ "__be16" ],
    }

    /// IPv4 (RFC 791).
    struct IpHdr = "iphdr" {
        version_ihl: u8 [ "__u8" ] { ihl: 4, version: 4 },
        tos: u8 [ "__u8" ],
        tot_len: u16 [ "__be16" ],
        id: u16 [ "__be16" ],
        frag_off: u16 [ "__be16" ],
        ttl: u8 [ "__u8" ],
        protocol: u8 [ "__u8" ],
        check: u16 [ "__sum16" ],
        saddr: u32 [ "__be32" ],
        daddr: u32 [ "__be32" ],
    }

    /// IPv6 (RFC 8200).
    struct Ipv6Hdr = "ipv6hdr" {
        version_priority: u8 [ "__u8" ] { priority: 4, version: 4 },
        flow_lbl: [u8; 3],
        payload_len: u16 [ "__be16" ],
        nexthdr: u8 [ "__u8" ],
        hop_limit: u8 [ "__u8" ],
        saddr: In6Addr,
        daddr: In6Addr,
    }

    /// An IPv6 extension header (RFC 8200).
    struct Ipv6OptHdr = "ipv6_opt_hdr" { nexthdr: u8 [ "__u8" ], hdrlen: u8 [ "__u8" ] }

    /// TCP (RFC 9293).
    struct TcpHdr = "tcphdr" {
        source: u16 [ "__be16" ],
        dest: u16 [ "__be16" ],
        seq: u32 [ "__be32" ],
        ack_seq: u32 [ "__be32" ],
        flags: u16 [ "__u16" ] {
            ae: 1, res1: 3, doff: 4, fin: 1, syn: 1, rst: 1, psh: 1, ack: 1, urg: 1, ece: 1,
            cwr: 1,
        },
        window: u16 [ "__be16" ],
        check: u16 [ "__sum16" ],
        urg_ptr: u16 [ "__be16" ],
    }

    /// UDP (RFC 768).
    struct UdpHdr = "udphdr" {
        source: u16 [ "__be16" ],
        dest: u16 [ "__be16" ],
        len: u16 [ "__be16" ],
        check: u16 [ "__sum16" ],
    }

    /// The part of an ICMP header that its type defines: an echo.
    struct IcmpEcho = "" { id: u16 [ "__be16" ], sequence: u16 [ "__be16" ] }

    /// The part of an ICMP header that its type defines.
    union IcmpRest = "" { echo: IcmpEcho, gateway: u32 [ "__be32" ] }

    /// ICMP (RFC 792).
    struct IcmpHdr = "icmphdr" {
        r#type: u8 [ "__u8" ],
        code: u8 [ "__u8" ],
        checksum: u16 [ "__sum16" ],
        un: IcmpRest,
    }

    /// ICMPv6 (RFC 4443).
    struct Icmp6Hdr = "icmp6hdr" {
        icmp6_type: u8 [ "__u8" ],
        icmp6_code: u8 [ "__u8" ],
        icmp6_cksum: u16 [ "__sum16" ],
        icmp6_dataun: u32 [ "__be32" ],
    }
}
