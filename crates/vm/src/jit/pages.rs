//! Executable memory: written once, then sealed. Never writable and executable at once.

use core::{fmt, ptr::NonNull};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

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
        let error = |call| {
            move |e: rustix::io::Errno| PagesError {
                call,
                errno: e.raw_os_error(),
            }
        };
        // SAFETY: a new mapping at an address that the system chooses.
        let address = unsafe {
            mmap_anonymous(
                core::ptr::null_mut(),
                mapped,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }
        .map_err(error("mmap"))?;
        let Some(start) = NonNull::new(address.cast::<u8>()) else {
            return Err(PagesError {
                call: "mmap",
                errno: 0,
            });
        };
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
            mprotect(address, mapped, MprotectFlags::READ | MprotectFlags::EXEC)
                .map_err(error("mprotect"))?;
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
        let _ = unsafe { munmap(self.address.as_ptr().cast(), self.mapped) };
    }
}
