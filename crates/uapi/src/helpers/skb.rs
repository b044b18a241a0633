//! The packet as an sk_buff.

use super::signature::{Return::*, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_skb_store_bytes = 9, (4, 1), "Writes into the packet.",
        sig(&[CTX, ANY, MEM_RO, SIZE, ANY], Integer).changes_packet();
    BPF_FUNC_skb_vlan_push = 18, (4, 3), "Adds a VLAN tag.",
        sig(&[CTX, ANY, ANY], Integer).changes_packet();
    BPF_FUNC_skb_vlan_pop = 19, (4, 3), "Removes a VLAN tag.",
        sig(&[CTX], Integer).changes_packet();
    BPF_FUNC_skb_load_bytes = 26, (4, 5), "Reads from the packet.",
        sig(&[CTX, ANY, MEM_OUT, SIZE], Integer);
    BPF_FUNC_skb_change_proto = 31, (4, 8), "Turns IPv4 into IPv6 or back.",
        sig(&[CTX, ANY, ANY], Integer).changes_packet();
    BPF_FUNC_skb_change_type = 32, (4, 8), "Changes to whom the packet is addressed.",
        sig(&[CTX, ANY], Integer);
    BPF_FUNC_get_hash_recalc = 34, (4, 8), "The packet's flow hash, computed when needed.",
        sig(&[CTX], Integer);
    BPF_FUNC_skb_change_tail = 38, (4, 9), "Grows or trims the packet's end.",
        sig(&[CTX, ANY, ANY], Integer).changes_packet();
    BPF_FUNC_skb_pull_data = 39, (4, 9), "Makes bytes of the packet directly accessible.",
        sig(&[CTX, ANY], Integer).changes_packet();
    BPF_FUNC_set_hash_invalid = 41, (4, 9), "Forgets the packet's flow hash.",
        sig(&[CTX], Integer);
    BPF_FUNC_skb_change_head = 43, (4, 10), "Adds room before the packet.",
        sig(&[CTX, ANY, ANY], Integer).changes_packet();
    BPF_FUNC_set_hash = 48, (4, 13), "Sets the packet's flow hash.",
        sig(&[CTX, ANY], Integer);
    BPF_FUNC_skb_adjust_room = 50, (4, 13), "Grows or shrinks room within the headers.",
        sig(&[CTX, ANY, ANY, ANY], Integer).changes_packet();
    BPF_FUNC_skb_get_xfrm_state = 66, (4, 18), "The packet's IPsec state.",
        sig(&[CTX, ANY, MEM_OUT, SIZE, ANY], Integer);
    BPF_FUNC_skb_load_bytes_relative = 68, (4, 18), "Reads from the packet, from a header on.",
        sig(&[CTX, ANY, MEM_OUT, SIZE, ANY], Integer);
    BPF_FUNC_skb_ecn_set_ce = 97, (5, 1), "Marks congestion.",
        sig(&[CTX], Integer);
    BPF_FUNC_skb_set_tstamp = 192, (5, 18), "Sets the packet's time of delivery.",
        sig(&[CTX, ANY, ANY], Integer);
}
