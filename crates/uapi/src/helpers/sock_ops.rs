//! Socket options and TCP events.

use super::signature::{Return::*, args::*, sig};
use super::table::helpers;
use crate::ProgType;

helpers! {
    BPF_FUNC_setsockopt = 49, (4, 13), "Sets a socket option.",
        sig(&[CTX, ANY, ANY, MEM_RO, SIZE], Integer),
        for [ProgType::CgroupSockopt, ProgType::Lsm, ProgType::StructOps, ProgType::Tracing] =>
            sig(&[SK, ANY, ANY, MEM_RO, SIZE], Integer);
    BPF_FUNC_getsockopt = 57, (4, 15), "Reads a socket option.",
        sig(&[CTX, ANY, ANY, MEM_OUT, SIZE], Integer),
        for [ProgType::CgroupSockopt, ProgType::Lsm, ProgType::StructOps, ProgType::Tracing] =>
            sig(&[SK, ANY, ANY, MEM_OUT, SIZE], Integer);
    BPF_FUNC_sock_ops_cb_flags_set = 59, (4, 16), "Chooses which events call the program.",
        sig(&[CTX, ANY], Integer);
    BPF_FUNC_bind = 64, (4, 17), "Binds the context's socket to an address.",
        sig(&[CTX, MEM_RO, SIZE], Integer);
    BPF_FUNC_tcp_send_ack = 116, (5, 6), "Sends an acknowledgement.",
        sig(&[btf("tcp_sock"), ANY], Integer);
    BPF_FUNC_load_hdr_opt = 142, (5, 10), "Reads a TCP header option.",
        sig(&[CTX, MEM_RW, SIZE, ANY], Integer);
    BPF_FUNC_store_hdr_opt = 143, (5, 10), "Writes a TCP header option.",
        sig(&[CTX, MEM_RO, SIZE, ANY], Integer).changes_packet();
    BPF_FUNC_reserve_hdr_opt = 144, (5, 10), "Reserves room for TCP header options.",
        sig(&[CTX, ANY, ANY], Integer);
}
