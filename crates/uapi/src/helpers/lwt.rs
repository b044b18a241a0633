//! Light-weight tunnels and segment routing.

use super::signature::{Return::*, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_lwt_push_encap = 73, (4, 18), "Puts an outer header around the packet.",
        sig(&[CTX, ANY, MEM_RO, SIZE], Integer).changes_packet();
    BPF_FUNC_lwt_seg6_store_bytes = 74, (4, 18), "Writes into the segment routing header.",
        sig(&[CTX, ANY, MEM_RO, SIZE], Integer).changes_packet();
    BPF_FUNC_lwt_seg6_adjust_srh = 75, (4, 18), "Grows or shrinks the segment routing header.",
        sig(&[CTX, ANY, ANY], Integer).changes_packet();
    BPF_FUNC_lwt_seg6_action = 76, (4, 18), "Applies a segment routing action.",
        sig(&[CTX, ANY, MEM_RO, SIZE], Integer).changes_packet();
}
