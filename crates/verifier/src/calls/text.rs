//! Words of Linux's messages.

use alloc::{format, string::String};

use crate::state::RegState;

/// A variable offset in Linux's manner.
pub fn tnum_text(state: &RegState) -> String {
    format!("({:#x}; {:#x})", state.num.bits.value, state.num.bits.mask)
}
