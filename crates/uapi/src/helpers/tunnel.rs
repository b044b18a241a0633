//! Tunnel metadata of a packet.

use super::signature::{Return::*, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_skb_get_tunnel_key = 20, (4, 3), "Reads the packet's tunnel key.",
        sig(&[CTX, MEM_OUT, SIZE, ANY], Integer);
    BPF_FUNC_skb_set_tunnel_key = 21, (4, 3), "Sets the packet's tunnel key.",
        sig(&[CTX, MEM_RO, SIZE, ANY], Integer);
    BPF_FUNC_skb_get_tunnel_opt = 29, (4, 6), "Reads the packet's tunnel options.",
        sig(&[CTX, MEM_OUT, SIZE], Integer);
    BPF_FUNC_skb_set_tunnel_opt = 30, (4, 6), "Sets the packet's tunnel options.",
        sig(&[CTX, MEM_RO, SIZE], Integer);
}
