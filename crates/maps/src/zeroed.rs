//! Large zeroed tables of the host, which the system backs only where they are touched.

use std::alloc::{Layout, alloc_zeroed};

/// Types whose all-zero bytes are a valid value.
///
/// # Safety
/// Zero bytes must be a valid value of the type.
pub(crate) unsafe trait Zero {}

// SAFETY: atomics of integers may be zero.
unsafe impl Zero for std::sync::atomic::AtomicU8 {}
// SAFETY: as above.
unsafe impl Zero for std::sync::atomic::AtomicU32 {}
// SAFETY: as above.
unsafe impl Zero for std::sync::atomic::AtomicU64 {}

// SAFETY: null.
unsafe impl<T> Zero for std::sync::atomic::AtomicPtr<T> {}

/// `count` zeros; `None` when there is no memory for them.
pub(crate) fn zeroed<T: Zero>(count: usize) -> Option<Box<[T]>> {
    let layout = Layout::array::<T>(count).ok()?;
    if layout.size() == 0 {
        return Some(Box::default());
    }
    // SAFETY: the layout is not empty; the allocation is as long as the slice and holds zeros,
    // which are valid values; a box frees it with the same layout.
    unsafe {
        let p = alloc_zeroed(layout).cast::<T>();
        if p.is_null() {
            return None;
        }
        Some(Box::from_raw(std::ptr::slice_from_raw_parts_mut(p, count)))
    }
}
