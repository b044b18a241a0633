//! The system calls: bpf(2) with its attribute as bytes, and what memory mapping needs.

use std::{
    ffi::CString,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use panal_uapi::{
    Command, Errno,
    kernel::{CloseFd, Failure, Fd},
};

/// The number of the last failed system call.
pub fn last_errno() -> Errno {
    Errno(
        io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO),
    )
}

/// The number behind an error of the standard library.
pub fn io_errno(error: &io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(libc::EIO))
}

/// A failure of a command.
pub fn failure(command: Command, errno: Errno, detail: impl Into<String>) -> Failure {
    Failure {
        command: command.uapi_name(),
        errno,
        detail: detail.into(),
    }
}

/// bpf(2). The attribute is updated in place where the kernel answers in it.
///
/// # Safety
/// Every address within the attribute must point to memory of the size that the command reads or
/// writes there, alive for the duration of the call.
pub unsafe fn bpf(command: Command, attr: &mut [u8]) -> Result<i32, Errno> {
    loop {
        // SAFETY: the attribute's own memory is the slice; what it points to is the caller's
        // promise.
        let r = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                command.number() as libc::c_long,
                attr.as_mut_ptr(),
                attr.len(),
            )
        };
        if r >= 0 {
            return Ok(r as i32);
        }
        match last_errno() {
            // The verifier was interrupted by a signal: asks to be called again.
            Errno::EAGAIN if command == Command::ProgLoad => continue,
            Errno::EINTR => continue,
            Errno::EPERM if takes_memory(command) && raise_memlock() => continue,
            errno => return Err(errno),
        }
    }
}

/// Commands whose objects count as locked memory before Linux 5.11.
fn takes_memory(command: Command) -> bool {
    matches!(
        command,
        Command::MapCreate | Command::ProgLoad | Command::BtfLoad
    )
}

/// Lifts the limit of locked memory, once, where that may be why a command failed; whether it did.
fn raise_memlock() -> bool {
    const COUNTS_BY_CGROUP: u32 = 5 << 16 | 11 << 8;
    static TRIED: AtomicBool = AtomicBool::new(false);
    if crate::kernel::running_version() >= COUNTS_BY_CGROUP || TRIED.swap(true, Ordering::Relaxed) {
        return false;
    }
    let unlimited = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the structure lives on this stack, and the call only reads it.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &unlimited) == 0 }
}

/// Closes descriptors of the process.
struct Closer;

impl CloseFd for Closer {
    fn close(&self, number: i32) {
        // SAFETY: the number came from `into_fd`, which took ownership of it, and `Fd` calls this
        // once.
        drop(unsafe { OwnedFd::from_raw_fd(number) });
    }
}

/// Takes ownership of a descriptor that a system call returned.
pub fn into_fd(number: RawFd) -> Fd {
    Fd::new(number, Arc::new(Closer))
}

/// Takes a descriptor that Rust owns.
pub fn from_owned(fd: OwnedFd) -> Fd {
    use std::os::fd::IntoRawFd;
    into_fd(fd.into_raw_fd())
}

/// A path or name as C wants it; names with a zero byte inside are invalid.
pub fn c_string(text: &str) -> Result<CString, Errno> {
    CString::new(text).map_err(|_| Errno::EINVAL)
}

/// A shared mapping of a descriptor, unmapped when dropped.
pub struct Mapping {
    address: *mut u8,
    len: usize,
}

// SAFETY: a mapping is memory shared with the kernel; all accesses go through raw pointers with
// atomic or single-reader discipline in `buffers`.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `len` bytes from `offset`.
    pub fn new(fd: &impl AsRawFd, len: usize, offset: i64, writable: bool) -> Result<Self, Errno> {
        let protection = if writable {
            libc::PROT_READ | libc::PROT_WRITE
        } else {
            libc::PROT_READ
        };
        // SAFETY: a new mapping at an address that the kernel chooses disturbs no memory.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                offset,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(last_errno());
        }
        Ok(Mapping {
            address: address.cast(),
            len,
        })
    }

    /// Maps `len` bytes from the start at an address, where nothing is yet; writable.
    pub fn at(fd: &impl AsRawFd, len: usize, address: usize) -> Result<Self, Errno> {
        // SAFETY: with MAP_FIXED_NOREPLACE, a mapping that would disturb another is refused.
        let mapped = unsafe {
            libc::mmap(
                address as *mut libc::c_void,
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE,
                fd.as_raw_fd(),
                0,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(last_errno());
        }
        Ok(Mapping {
            address: mapped.cast(),
            len,
        })
    }

    /// Where it begins.
    pub fn as_ptr(&self) -> *mut u8 {
        self.address
    }

    /// How many bytes it spans.
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: address and length are those of the mapping made in `new`.
        unsafe { libc::munmap(self.address.cast(), self.len) };
    }
}

/// A borrowed descriptor number.
pub struct Borrowed(pub RawFd);

impl AsRawFd for Borrowed {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}
