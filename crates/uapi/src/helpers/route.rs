//! Routing.

use super::signature::{ArgFlags, Return::*, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_get_route_realm = 24, (4, 4), "The realm of the packet's route.",
        sig(&[CTX], Integer);
    BPF_FUNC_fib_lookup = 69, (4, 18), "Looks up the route of addresses.",
        sig(&[CTX, MEM_RW, SIZE, ANY], Integer).gpl();
    BPF_FUNC_check_mtu = 163, (5, 12), "Checks a length against a device's MTU.",
        sig(&[CTX, ANY, fixed(4).with(ArgFlags::WRITE.union(ArgFlags::ALIGNED)), ANY, ANY], Integer).gpl();
}
