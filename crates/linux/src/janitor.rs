//! A process that does something once this one is dead: for what no descriptor of ours ends.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

/// Waits for the end of this process; its dropping counts as that, too.
pub struct Janitor {
    alive: OwnedFd,
}

impl Janitor {
    /// Starts one. When this process ends, however it does, or the result is dropped, `work` is done
    /// there, with the descriptors of `keep` and no others.
    ///
    /// `work` runs in a copy of this process that has one thread: it must make system calls only,
    /// and take no locks.
    pub fn start(keep: &[RawFd], work: impl FnOnce()) -> io::Result<Janitor> {
        let (read, alive) = io::pipe()?;
        let wait = read.as_raw_fd();
        let mut keep = [keep, &[wait]].concat();
        keep.sort_unstable();
        // SAFETY: between fork and _exit the child only makes system calls on memory that it has;
        // `work` keeps to that by contract.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                // SAFETY: the calls get numbers; `_exit` runs nothing of the parent's.
                unsafe {
                    // A child of its own, so that nobody has to wait for it; out of reach of the
                    // terminal's signals; without the parent's other descriptors.
                    if libc::fork() != 0 {
                        libc::_exit(0);
                    }
                    libc::setsid();
                    close_all_but(&keep);
                    let mut byte = 0u8;
                    let told = loop {
                        match libc::read(wait, (&raw mut byte).cast(), 1) {
                            -1 if *libc::__errno_location() == libc::EINTR => {}
                            told => break told,
                        }
                    };
                    if told <= 0 {
                        work();
                    }
                    libc::_exit(0)
                }
            }
            child => {
                // SAFETY: waits for the child just made, which exits at once.
                unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
                Ok(Janitor {
                    alive: alive.into(),
                })
            }
        }
    }

    /// Sends it home: the work is done already.
    pub fn dismiss(self) {
        let byte = 1u8;
        // SAFETY: one byte of this function. A janitor that is gone needs no telling, and the signal
        // for a closed pipe is ignored in Rust programs.
        unsafe { libc::write(self.alive.as_raw_fd(), (&raw const byte).cast(), 1) };
    }
}

/// Closes every descriptor that is not in the sorted list.
fn close_all_but(keep: &[RawFd]) {
    let mut low = 0;
    let close = |low: libc::c_uint, high: libc::c_uint| {
        if low <= high {
            // SAFETY: the call takes numbers; what it closes is used by nobody in this process.
            unsafe { libc::syscall(libc::SYS_close_range, low, high, 0) };
        }
    };
    for fd in keep {
        let fd = *fd as libc::c_uint;
        if fd > low {
            close(low, fd - 1);
        }
        low = fd + 1;
    }
    close(low, libc::c_uint::MAX);
}
