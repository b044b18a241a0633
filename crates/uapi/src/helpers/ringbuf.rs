//! Ring buffers, from and to user space.

use super::signature::{DynptrKind, Return::*, Traits, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_ringbuf_output = 130, (5, 8), "Copies a record into a ring buffer.",
        sig(&[MAP, MEM_RO, SIZE0, ANY], Integer);
    BPF_FUNC_ringbuf_reserve = 131, (5, 8), "Reserves a record in a ring buffer, or null.",
        sig(&[MAP, ALLOC, ANY], RingbufMemOrNull).acquires();
    BPF_FUNC_ringbuf_submit = 132, (5, 8), "Submits a reserved record.",
        sig(&[RECORD, ANY], Void);
    BPF_FUNC_ringbuf_discard = 133, (5, 8), "Gives up a reserved record.",
        sig(&[RECORD, ANY], Void);
    BPF_FUNC_ringbuf_query = 134, (5, 8), "Asks a ring buffer for its size or positions.",
        sig(&[MAP, ANY], Integer);
    BPF_FUNC_ringbuf_reserve_dynptr = 198, (5, 19), "Reserves a record of any size behind a dynptr.",
        sig(&[MAP, ANY, ANY, dynptr_out(DynptrKind::Ringbuf)], Integer);
    BPF_FUNC_ringbuf_submit_dynptr = 199, (5, 19), "Submits the record behind a dynptr.",
        sig(&[dynptr_release(DynptrKind::Ringbuf), ANY], Void);
    BPF_FUNC_ringbuf_discard_dynptr = 200, (5, 19), "Gives up the record behind a dynptr.",
        sig(&[dynptr_release(DynptrKind::Ringbuf), ANY], Void);
    BPF_FUNC_user_ringbuf_drain = 209, (6, 1), "Calls a function for each record that user space wrote.",
        sig(&[MAP, FUNC, STACK_OR_NULL, ANY], Integer).with(Traits::SYNC_CALLBACK);
}
