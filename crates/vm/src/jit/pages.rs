//! Executable memory: written once, then sealed. Never writable and executable at once.

use core::{fmt, ptr::NonNull};

use system::{map, seal, unmap};

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
    /// Copies code into new pages and makes them executable.
    pub fn new(code: &[u8]) -> Result<Self, PagesError> {
        let mapped = code.len().max(1).next_multiple_of(PAGE);
        let start = map(mapped)?;
        let pages = Pages {
            address: start,
            mapped,
            len: code.len(),
        };
        // SAFETY: the mapping is ours, writable, and at least as long as the code; the rest is
        // filled with traps.
        unsafe {
            core::ptr::copy_nonoverlapping(code.as_ptr(), start.as_ptr(), code.len());
            core::ptr::write_bytes(start.as_ptr().add(code.len()), 0xcc, mapped - code.len());
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
        // SAFETY: the mapping made in `new`; nobody runs the code of an executable that is dropped.
        unsafe { unmap(self.address, self.mapped) };
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
        let (nowhere, flags) = (core::ptr::null_mut(), MapFlags::PRIVATE);
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

    /// Gives it back.
    ///
    /// # Safety
    /// As for [`seal`], and nobody uses it any more.
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

    pub unsafe fn unmap(_: NonNull<u8>, _: usize) {}
}
