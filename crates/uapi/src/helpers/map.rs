//! Maps: look up, change, walk.

use super::signature::{Return::*, Traits, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_map_lookup_elem = 1, (3, 19), "The value of a key, or null.",
        sig(&[MAP, KEY], MapValueOrNull).packet();
    BPF_FUNC_map_update_elem = 2, (3, 19), "Sets the value of a key.",
        sig(&[MAP, KEY, VALUE, ANY], Integer).packet();
    BPF_FUNC_map_delete_elem = 3, (3, 19), "Removes a key.",
        sig(&[MAP, KEY], Integer).packet();
    BPF_FUNC_map_push_elem = 87, (4, 20), "Adds a value to a queue, stack or bloom filter.",
        sig(&[MAP, VALUE, ANY], Integer).packet();
    BPF_FUNC_map_pop_elem = 88, (4, 20), "Takes a value off a queue or stack.",
        sig(&[MAP, VALUE_OUT], Integer);
    BPF_FUNC_map_peek_elem = 89, (4, 20), "Reads the next value of a queue or stack, or asks a bloom filter.",
        sig(&[MAP, VALUE_OUT], Integer);
    BPF_FUNC_for_each_map_elem = 164, (5, 13), "Calls a function for each element.",
        sig(&[MAP, FUNC, STACK_OR_NULL, ANY], Integer).with(Traits::SYNC_CALLBACK);
    BPF_FUNC_map_lookup_percpu_elem = 195, (5, 19), "The value of a key on a given CPU, or null.",
        sig(&[MAP, KEY, ANY], MapValueOrNull).packet();
}
