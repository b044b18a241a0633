//! Dynptrs: memory whose bounds are checked when it is used.

use super::signature::{DynptrKind, Return::*, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_dynptr_from_mem = 197, (5, 19), "Makes a dynptr over a map value.",
        sig(&[MEM_OUT, SIZE0, ANY, dynptr_out(DynptrKind::Local)], Integer);
    BPF_FUNC_dynptr_read = 201, (5, 19), "Copies from a dynptr.",
        sig(&[MEM_OUT, SIZE0, DYNPTR_RO, ANY, ANY], Integer);
    BPF_FUNC_dynptr_write = 202, (5, 19), "Copies to a dynptr.",
        sig(&[DYNPTR_RO, ANY, MEM_RO, SIZE0, ANY], Integer);
    BPF_FUNC_dynptr_data = 203, (5, 19), "A pointer to bytes behind a dynptr, or null.",
        sig(&[DYNPTR_RO, ANY, ALLOC], DynptrMemOrNull);
}
