//! TCP SYN cookies.

use super::signature::{Return::*, args::*, sig};
use super::table::helpers;

/// Bytes of `struct iphdr`, `struct ipv6hdr` and `struct tcphdr` without options.
const IPV4: u32 = 20;
const IPV6: u32 = 40;
const TCP: u32 = 20;

helpers! {
    BPF_FUNC_tcp_check_syncookie = 100, (5, 2), "Checks a SYN cookie.",
        sig(&[SK, MEM_RO, SIZE, MEM_RO, SIZE], Integer).gpl().packet();
    BPF_FUNC_tcp_gen_syncookie = 110, (5, 3), "Makes a SYN cookie.",
        sig(&[SK, MEM_RO, SIZE, MEM_RO, SIZE], Integer).gpl().packet();
    BPF_FUNC_tcp_raw_gen_syncookie_ipv4 = 204, (6, 0), "Makes a SYN cookie from headers alone (IPv4).",
        sig(&[fixed_ro(IPV4), MEM_RO, SIZE0], Integer).gpl().packet();
    BPF_FUNC_tcp_raw_gen_syncookie_ipv6 = 205, (6, 0), "Makes a SYN cookie from headers alone (IPv6).",
        sig(&[fixed_ro(IPV6), MEM_RO, SIZE0], Integer).gpl().packet();
    BPF_FUNC_tcp_raw_check_syncookie_ipv4 = 206, (6, 0), "Checks a SYN cookie by headers alone (IPv4).",
        sig(&[fixed_ro(IPV4), fixed_ro(TCP)], Integer).gpl().packet();
    BPF_FUNC_tcp_raw_check_syncookie_ipv6 = 207, (6, 0), "Checks a SYN cookie by headers alone (IPv6).",
        sig(&[fixed_ro(IPV6), fixed_ro(TCP)], Integer).gpl().packet();
}
