//! Linked lists and red-black trees of allocated objects.

use panal_isa::CallTarget;

use crate::{
    env::Env,
    state::{CallbackKind, State},
};

/// Whether the path is inside the comparison function of a tree's insertion.
pub fn in_less_callback(env: &Env<'_>, st: &State) -> bool {
    let Some(CallbackKind::Sync { call }) = st.frame().callback else {
        return false;
    };
    matches!(
        env.program.call_target(call as usize),
        Some(CallTarget::Kfunc { id, .. }) if super::kfunc_name(env, id) == Some("bpf_rbtree_add_impl")
    )
}
