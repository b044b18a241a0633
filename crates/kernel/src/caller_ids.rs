//! The process and thread that runs programs, without a system call each time.
//!
//! Ids change by fork alone. A page that the kernel clears in a child tells of one, however it was
//! made: what a thread remembers goes with a number that stands there, and is not believed under
//! another.

/// Process and thread id of the calling thread.
pub(crate) fn caller_ids() -> (u32, u32) {
    #[cfg(target_os = "linux")]
    if let Some(ids) = remembered() {
        return ids;
    }
    ask()
}

fn ask() -> (u32, u32) {
    let tid = rustix::thread::gettid().as_raw_nonzero().get();
    (std::process::id(), tid as u32)
}

/// What this thread remembers, if there is such a page.
#[cfg(target_os = "linux")]
fn remembered() -> Option<(u32, u32)> {
    use std::{
        cell::Cell,
        sync::atomic::{AtomicU64, Ordering::Relaxed},
    };

    /// Numbers that were given out; a child goes on from its parent's.
    static GIVEN: AtomicU64 = AtomicU64::new(0);
    thread_local!(static SEEN: Cell<(u64, (u32, u32))> = const { Cell::new((0, (0, 0))) });

    let word = page()?;
    let mut number = word.load(Relaxed);
    if number == 0 {
        let new = GIVEN.fetch_add(1, Relaxed) + 1;
        number = match word.compare_exchange(0, new, Relaxed, Relaxed) {
            Ok(_) => new,
            Err(seen) => seen,
        };
    }
    let (of, ids) = SEEN.get();
    if of == number {
        return Some(ids);
    }
    let ids = ask();
    SEEN.set((number, ids));
    Some(ids)
}

/// A word that is 0 at first and in every child; `None` on a kernel that cannot do that.
#[cfg(target_os = "linux")]
#[inline]
fn page() -> Option<&'static std::sync::atomic::AtomicU64> {
    use std::sync::{OnceLock, atomic::AtomicU64};

    static PAGE: OnceLock<Option<&'static AtomicU64>> = OnceLock::new();
    const LEN: usize = 4096;
    *PAGE.get_or_init(|| {
        // SAFETY: a new mapping of its own, which is never unmapped unless it is of no use.
        unsafe {
            let (read_write, private) = (
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            );
            let at = libc::mmap(std::ptr::null_mut(), LEN, read_write, private, -1, 0);
            if at == libc::MAP_FAILED {
                return None;
            }
            if libc::madvise(at, LEN, libc::MADV_WIPEONFORK) != 0 {
                libc::munmap(at, LEN);
                return None;
            }
            Some(AtomicU64::from_ptr(at.cast()))
        }
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn threads_and_children_have_ids_of_their_own() {
        assert_eq!(caller_ids(), ask());
        let other = std::thread::spawn(|| (caller_ids(), ask())).join().unwrap();
        assert_eq!(other.0, other.1);
        assert_ne!(other.0, caller_ids());
        // SAFETY: the child calls nothing but functions that need no lock, and ends at once.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(i32::from(caller_ids() != ask() || caller_ids().0 == 0));
            }
            let mut status = -1;
            assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
            assert_eq!(status, 0);
        }
        assert_eq!(caller_ids(), ask());
    }
}
