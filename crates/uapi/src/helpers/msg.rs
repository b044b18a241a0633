//! Messages and sockets of socket maps.

use super::signature::{Return::*, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_sk_redirect_map = 52, (4, 14), "Sends the packet to a socket of a map.",
        sig(&[CTX, MAP, ANY, ANY], Integer);
    BPF_FUNC_sock_map_update = 53, (4, 14), "Puts the context's socket into a map.",
        sig(&[CTX, MAP, KEY, ANY], Integer).packet();
    BPF_FUNC_msg_redirect_map = 60, (4, 17), "Sends the message to a socket of a map.",
        sig(&[CTX, MAP, ANY, ANY], Integer);
    BPF_FUNC_msg_apply_bytes = 61, (4, 17), "Lets the verdict hold for the next bytes.",
        sig(&[CTX, ANY], Integer);
    BPF_FUNC_msg_cork_bytes = 62, (4, 17), "Waits for more bytes before the next run.",
        sig(&[CTX, ANY], Integer);
    BPF_FUNC_msg_pull_data = 63, (4, 17), "Makes bytes of the message directly readable.",
        sig(&[CTX, ANY, ANY, ANY], Integer).changes_packet();
    BPF_FUNC_sock_hash_update = 70, (4, 18), "Puts the context's socket into a hash.",
        sig(&[CTX, MAP, KEY, ANY], Integer).packet();
    BPF_FUNC_msg_redirect_hash = 71, (4, 18), "Sends the message to a socket of a hash.",
        sig(&[CTX, MAP, KEY, ANY], Integer);
    BPF_FUNC_sk_redirect_hash = 72, (4, 18), "Sends the packet to a socket of a hash.",
        sig(&[CTX, MAP, KEY, ANY], Integer);
    BPF_FUNC_sk_select_reuseport = 82, (4, 19), "Chooses a socket of a reuse-port group.",
        sig(&[CTX, MAP, KEY, ANY], Integer);
    BPF_FUNC_msg_push_data = 90, (4, 20), "Inserts bytes into the message.",
        sig(&[CTX, ANY, ANY, ANY], Integer).changes_packet();
    BPF_FUNC_msg_pop_data = 91, (5, 0), "Removes bytes from the message.",
        sig(&[CTX, ANY, ANY, ANY], Integer).changes_packet();
}
