//! Internet checksums.

use super::signature::{Return::*, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_l3_csum_replace = 10, (4, 1), "Recomputes an IP header's checksum after a change.",
        sig(&[CTX, ANY, ANY, ANY, ANY], Integer).changes_packet();
    BPF_FUNC_l4_csum_replace = 11, (4, 1), "Recomputes a TCP or UDP checksum after a change.",
        sig(&[CTX, ANY, ANY, ANY, ANY], Integer).changes_packet();
    BPF_FUNC_csum_diff = 28, (4, 6), "The difference that a change of bytes makes to a checksum.",
        sig(&[MEM_RO.or_null(), SIZE0, MEM_RO.or_null(), SIZE0, ANY], Integer).packet();
    BPF_FUNC_csum_update = 40, (4, 9), "Adds to the packet's complete checksum.",
        sig(&[CTX, ANY], Integer);
    BPF_FUNC_csum_level = 135, (5, 8), "Changes how many checksums of the packet count as verified.",
        sig(&[CTX, ANY], Integer);
}
