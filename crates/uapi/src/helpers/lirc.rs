//! Infrared remote controls.

use super::signature::{Return::*, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_rc_repeat = 77, (4, 18), "Reports that the last key is still held.",
        sig(&[CTX], Integer).gpl();
    BPF_FUNC_rc_keydown = 78, (4, 18), "Reports a key.",
        sig(&[CTX, ANY, ANY, ANY], Integer).gpl();
    BPF_FUNC_rc_pointer_rel = 92, (5, 0), "Reports a pointer's movement.",
        sig(&[CTX, ANY, ANY], Integer).gpl();
}
