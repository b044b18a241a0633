//! Executable memory: written once, then sealed. Never writable and executable at once.
//!
//! What programs leave is kept, wiped and writable, for the next ones ([`Spare`]): asking the system for
//! pages, and its zeroing them, takes longer than compiling a small program. Nothing is shared with
//! another process, so that a fork's code is its own.

use core::{
    fmt,
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, Ordering},
};

use system::{map, seal, unmap, unseal};

/// Pages of machine code.
#[derive(Debug)]
pub struct Pages {
    address: NonNull<u8>,
    mapped: usize,
    len: usize,
}

// SAFETY: sealed pages are never written again; reading and running them from any thread is fine.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

/// The system call that failed, with its errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagesError {
    call: &'static str,
    errno: i32,
}

impl fmt::Display for PagesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed with errno {}", self.call, self.errno)
    }
}

const PAGE: usize = 4096;

impl Pages {
    /// Copies code into pages and makes them executable.
    pub fn new(code: &[u8]) -> Result<Self, PagesError> {
        let class = Class::of(code.len());
        let mapped = code.len().max(1).next_multiple_of(PAGE);
        let spare = class.and_then(|class| SPARE.take(class));
        let start = match spare {
            Some(start) => start,
            None => map(mapped)?,
        };
        let mut pages = Pages {
            address: start,
            mapped,
            len: 0,
        };
        // SAFETY: the mapping is ours, writable, and at least as long as the code; the rest is
        // filled with traps: that of spare pages is already.
        unsafe {
            ptr::copy_nonoverlapping(code.as_ptr(), start.as_ptr(), code.len());
            pages.len = code.len();
            if spare.is_none() {
                ptr::write_bytes(start.as_ptr().add(code.len()), TRAP, mapped - code.len());
            }
            flush(start, mapped);
            seal(start, mapped)?;
        }
        Ok(pages)
    }

    /// Address of a byte of the code.
    pub fn address(&self, offset: usize) -> *const u8 {
        debug_assert!(offset < self.len);
        self.address.as_ptr().wrapping_add(offset)
    }

    /// The code.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the pages are mapped, readable and unchanging as long as `self` lives, and hold
        // at least `len` bytes.
        unsafe { core::slice::from_raw_parts(self.address(0), self.len) }
    }

    /// Bytes of code.
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours; nobody runs the code of an executable that is dropped.
        unsafe {
            if let Some(class) = Class::of(self.mapped)
                && SPARE.has_room(class)
                && unseal(self.address, self.mapped).is_ok()
            {
                ptr::write_bytes(self.address.as_ptr(), TRAP, self.len);
                if SPARE.give(class, self.address) {
                    return;
                }
            }
            unmap(self.address, self.mapped);
        }
    }
}

/// What is no code.
const TRAP: u8 = 0xcc;

/// Sizes that are kept: one page less than it says.
#[derive(Clone, Copy)]
struct Class(usize);

impl Class {
    const COUNT: usize = 8;

    /// What so many bytes fit in.
    fn of(bytes: usize) -> Option<Class> {
        let class = bytes.saturating_sub(1) / PAGE;
        (class < Self::COUNT).then_some(Class(class))
    }
}

/// How many of a size are kept: 576 KiB of all sizes at most.
const KEPT: usize = 4;

/// Pages that nobody uses: writable, full of traps. Null where there are none.
struct Spare([[AtomicPtr<u8>; KEPT]; Class::COUNT]);

static SPARE: Spare =
    Spare([const { [const { AtomicPtr::new(ptr::null_mut()) }; KEPT] }; Class::COUNT]);

impl Spare {
    fn take(&self, class: Class) -> Option<NonNull<u8>> {
        self.0[class.0].iter().find_map(|place| {
            // Others' writes to the pages are seen with their address.
            match place.load(Ordering::Relaxed).is_null() {
                true => None,
                false => NonNull::new(place.swap(ptr::null_mut(), Ordering::Acquire)),
            }
        })
    }

    fn has_room(&self, class: Class) -> bool {
        let mut places = self.0[class.0].iter();
        places.any(|place| place.load(Ordering::Relaxed).is_null())
    }

    /// Keeps pages; false where there is no room.
    fn give(&self, class: Class, pages: NonNull<u8>) -> bool {
        let (null, pages) = (ptr::null_mut(), pages.as_ptr());
        self.0[class.0].iter().any(|place| {
            let given = place.compare_exchange(null, pages, Ordering::Release, Ordering::Relaxed);
            given.is_ok()
        })
    }
}

/// Makes what was written visible to the fetching of instructions: x86-64 sees to that by itself.
///
/// # Safety
/// The bytes are mapped.
#[cfg(not(target_arch = "aarch64"))]
unsafe fn flush(_: NonNull<u8>, _: usize) {}

/// Makes what was written visible to the fetching of instructions (Arm ARM B2.4.4): data out to
/// where both caches meet, then the instruction cache's lines away.
///
/// # Safety
/// The bytes are mapped.
#[cfg(target_arch = "aarch64")]
unsafe fn flush(start: NonNull<u8>, len: usize) {
    use core::arch::asm;
    let sizes: u64;
    // SAFETY: reads a register that user space may read.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) sizes, options(nomem, nostack)) };
    let line = |shift: u32| 4usize << (sizes >> shift & 15);
    let first = start.as_ptr() as usize;
    let lines = |size: usize| (first & !(size - 1)..first + len).step_by(size);
    // SAFETY: maintenance of mapped bytes' lines changes no memory.
    unsafe {
        for at in lines(line(16)) {
            asm!("dc cvau, {}", in(reg) at, options(nostack));
        }
        asm!("dsb ish", options(nostack));
        for at in lines(line(0)) {
            asm!("ic ivau, {}", in(reg) at, options(nostack));
        }
        asm!("dsb ish", "isb", options(nostack));
    }
}

#[cfg(unix)]
mod system {
    //! Memory from the system.

    use core::ptr::NonNull;

    use rustix::{
        io::Errno,
        mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap},
    };

    use super::PagesError;

    fn error(call: &'static str) -> impl Fn(Errno) -> PagesError {
        move |errno| PagesError {
            call,
            errno: errno.raw_os_error(),
        }
    }

    /// Memory to be written.
    pub fn map(len: usize) -> Result<NonNull<u8>, PagesError> {
        // All of it is written at once: one call for all pages, not a fault for each.
        #[cfg(target_os = "linux")]
        let flags = MapFlags::PRIVATE | MapFlags::POPULATE;
        #[cfg(not(target_os = "linux"))]
        let flags = MapFlags::PRIVATE;
        let nowhere = core::ptr::null_mut();
        // SAFETY: a new mapping at an address that the system chooses.
        let address =
            unsafe { mmap_anonymous(nowhere, len, ProtFlags::READ | ProtFlags::WRITE, flags) }
                .map_err(error("mmap"))?;
        NonNull::new(address.cast()).ok_or(PagesError {
            call: "mmap",
            errno: 0,
        })
    }

    /// Makes it executable, and no longer writable.
    ///
    /// # Safety
    /// `start` is what [`map`] gave for this length; nobody writes to it any more.
    pub unsafe fn seal(start: NonNull<u8>, len: usize) -> Result<(), PagesError> {
        let flags = MprotectFlags::READ | MprotectFlags::EXEC;
        // SAFETY: the caller's promise.
        unsafe { mprotect(start.as_ptr().cast(), len, flags) }.map_err(error("mprotect"))
    }

    /// Makes it writable again, and no longer executable.
    ///
    /// # Safety
    /// `start` is what [`map`] gave for this length; nobody runs it any more.
    pub unsafe fn unseal(start: NonNull<u8>, len: usize) -> Result<(), PagesError> {
        let flags = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: the caller's promise.
        unsafe { mprotect(start.as_ptr().cast(), len, flags) }.map_err(error("mprotect"))
    }

    /// Gives it back.
    ///
    /// # Safety
    /// As for [`unseal`], and nobody uses it any more.
    pub unsafe fn unmap(start: NonNull<u8>, len: usize) {
        // SAFETY: the caller's promise.
        let _ = unsafe { munmap(start.as_ptr().cast(), len) };
    }
}

#[cfg(not(unix))]
mod system {
    //! No memory from a system that has no such calls.

    use core::ptr::NonNull;

    use super::PagesError;

    pub fn map(_: usize) -> Result<NonNull<u8>, PagesError> {
        Err(PagesError {
            call: "mmap",
            errno: 0,
        })
    }

    pub unsafe fn seal(_: NonNull<u8>, _: usize) -> Result<(), PagesError> {
        Ok(())
    }

    pub unsafe fn unseal(_: NonNull<u8>, _: usize) -> Result<(), PagesError> {
        Ok(())
    }

    pub unsafe fn unmap(_: NonNull<u8>, _: usize) {}
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_program_that_is_gone_have_nothing_of_it() {
        for round in 0..8 {
            drop(Pages::new(&[0x90; 4000]).unwrap());
            let pages = Pages::new(&[0xc3]).unwrap();
            // SAFETY: the whole page is mapped and readable.
            let page = unsafe { core::slice::from_raw_parts(pages.address(0), PAGE) };
            assert_eq!(page[0], 0xc3);
            assert!(page[1..].iter().all(|byte| *byte == TRAP), "{round}");
        }
    }
}
