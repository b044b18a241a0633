//! The packet as an XDP frame.

use super::signature::{Return::*, args::*, sig};
use super::table::helpers;
use crate::ProgType;

helpers! {
    BPF_FUNC_xdp_adjust_head = 44, (4, 10), "Moves the start of the frame.",
        sig(&[CTX, ANY], Integer).changes_packet();
    BPF_FUNC_xdp_adjust_meta = 54, (4, 15), "Moves the start of the metadata.",
        sig(&[CTX, ANY], Integer).changes_packet();
    BPF_FUNC_xdp_adjust_tail = 65, (4, 18), "Moves the end of the frame.",
        sig(&[CTX, ANY], Integer).changes_packet();
    BPF_FUNC_xdp_get_buff_len = 188, (5, 18), "Bytes of the frame, fragments included.",
        sig(&[CTX], Integer),
        for [ProgType::Tracing, ProgType::Syscall] => sig(&[btf("xdp_buff")], Integer);
    BPF_FUNC_xdp_load_bytes = 189, (5, 18), "Reads from the frame, fragments included.",
        sig(&[CTX, ANY, MEM_OUT, SIZE], Integer);
    BPF_FUNC_xdp_store_bytes = 190, (5, 18), "Writes into the frame, fragments included.",
        sig(&[CTX, ANY, MEM_RO, SIZE], Integer);
}
