//! Packets to other devices, CPUs and sockets.

use super::signature::{Return::*, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_clone_redirect = 13, (4, 2), "Sends a copy of the packet out of a device.",
        sig(&[CTX, ANY, ANY], Integer).changes_packet();
    BPF_FUNC_redirect = 23, (4, 4), "Sends the packet out of a device once the program has returned.",
        sig(&[ANY, ANY], Integer);
    BPF_FUNC_redirect_map = 51, (4, 14), "Sends the packet where a map's entry says.",
        sig(&[MAP, ANY, ANY], Integer);
    BPF_FUNC_redirect_neigh = 152, (5, 10), "Sends the packet out of a device, to a neighbour.",
        sig(&[ANY, MEM_RO.or_null(), SIZE0, ANY], Integer);
    BPF_FUNC_redirect_peer = 155, (5, 10), "Sends the packet to a device's peer in another network namespace.",
        sig(&[ANY, ANY], Integer);
}
