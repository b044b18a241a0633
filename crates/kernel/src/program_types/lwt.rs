//! Lightweight tunnels: packets without their link header. Test runs only.

use super::{Behaviour, no_hook, skb};

pub(crate) const LWT: Behaviour = Behaviour {
    context_access: skb::context_access,
    test_run: Some(skb::test_run),
    hook_point: no_hook,
};
