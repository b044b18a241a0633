//! The value's own spin lock (`struct bpf_spin_lock`): four bytes, 0 when free.

use std::{
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
};

use panal_uapi::kernel::update;

use crate::MapDef;

/// Rounds of waiting before the lock is taken by force. A program that was stopped, or one that
/// overwrote the lock, must not hang the host: the lock protects the programs' own data only.
const PATIENCE: u32 = 1 << 20;

/// Takes the lock at `at`; waits for it, but not for ever.
///
/// # Safety
/// `at` is mapped for four bytes and aligned to them.
pub unsafe fn lock(at: NonNull<u8>) {
    // SAFETY: the caller's promise.
    unsafe { lock_unless(at, || false) };
}

/// Takes the lock at `at` as [`lock`] does, unless `over` says now and then that the wait has to
/// end; whether it was taken.
///
/// # Safety
/// As for [`lock`].
pub unsafe fn lock_unless(at: NonNull<u8>, mut over: impl FnMut() -> bool) -> bool {
    // SAFETY: the caller's promise.
    let lock = unsafe { AtomicU32::from_ptr(at.as_ptr().cast()) };
    for round in 0..PATIENCE {
        if lock
            .compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
        {
            return true;
        }
        if round % 64 == 63 {
            if over() {
                return false;
            }
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
    lock.store(1, Ordering::SeqCst);
    true
}

/// Releases the lock at `at`.
///
/// # Safety
/// As for [`lock`].
pub unsafe fn unlock(at: NonNull<u8>) {
    // SAFETY: the caller's promise.
    unsafe { AtomicU32::from_ptr(at.as_ptr().cast()) }.store(0, Ordering::Release);
}

/// Does `work` under the value's lock if `flags` ask for it (`BPF_F_LOCK`) and there is one.
///
/// # Safety
/// `value` is a value of a map of this definition.
pub(crate) unsafe fn with<T>(
    def: &MapDef,
    value: NonNull<u8>,
    flags: u64,
    work: impl FnOnce() -> T,
) -> T {
    let at = def.spin_lock.filter(|offset| {
        flags & update::BPF_F_LOCK != 0
            && offset
                .checked_add(4)
                .is_some_and(|end| end <= def.value_size)
    });
    match at {
        Some(offset) => {
            // SAFETY: inside the value. Values are aligned to 8; an odd offset would be a
            // definition that BTF does not allow, and is not locked.
            unsafe {
                let at = value.add(offset as usize);
                if !(at.as_ptr() as usize).is_multiple_of(4) {
                    return work();
                }
                lock(at);
                let result = work();
                unlock(at);
                result
            }
        }
        None => work(),
    }
}
