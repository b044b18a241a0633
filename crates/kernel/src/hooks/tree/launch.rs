//! Starts a command so that not one of its system calls escapes.
//!
//! The child waits until it is seized, installs the filter and executes; the supervisor takes the
//! filter's listener at the very return of seccomp(2), when the child stands in a ptrace stop.
//! Everything between fork and exec is async-signal-safe: the parent may have threads.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicI32, AtomicUsize, Ordering},
};

use crate::hooks::command::{Command, Prepared, StartError};

use super::ptrace::{self, Resume, Stop, SyscallInfo};

/// A child about to execute its command.
pub(super) struct Launched {
    /// Its process id.
    pub pid: u32,
    /// The filter's listener, when the filter notifies.
    pub listener: Option<OwnedFd>,
    /// Where it reports a failed exec.
    pub report: Report,
}

/// A word of memory shared with the child: what failed before the command ran.
pub(super) struct Report(*mut Shared);

// SAFETY: the mapping is only accessed through atomics.
unsafe impl Send for Report {}

struct Shared {
    errno: AtomicI32,
    step: AtomicUsize,
}

const STEPS: [&str; 5] = [
    "execve",
    "prctl(PR_SET_NO_NEW_PRIVS)",
    "seccomp",
    "setuid",
    "read",
];

impl Report {
    fn new() -> Result<Self, StartError> {
        // SAFETY: a fresh anonymous mapping; no memory of ours is touched.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<Shared>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        match memory {
            libc::MAP_FAILED => Err(StartError::last("mmap")),
            memory => Ok(Report(memory.cast())),
        }
    }

    fn shared(&self) -> &Shared {
        // SAFETY: the mapping lives as long as `self` and zeroes are valid atomics.
        unsafe { &*self.0 }
    }

    /// What went wrong in the child before the command's first instruction, if anything did.
    pub fn failure(&self, shown: &str) -> Option<StartError> {
        let errno = self.shared().errno.load(Ordering::Acquire);
        if errno == 0 {
            return None;
        }
        let error = io::Error::from_raw_os_error(errno);
        Some(
            match STEPS.get(self.shared().step.load(Ordering::Acquire)) {
                Some(&"execve") | None => StartError::NotExecutable(shown.into(), error),
                Some(step) => StartError::of(step, error),
            },
        )
    }

    /// In the child: records and ends.
    fn fail(&self, step: usize) -> ! {
        // SAFETY: errno's location is always valid; _exit never returns.
        unsafe {
            let errno = *libc::__errno_location();
            self.shared().step.store(step, Ordering::Release);
            self.shared().errno.store(errno, Ordering::Release);
            libc::_exit(127)
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, not used afterwards.
        unsafe { libc::munmap(self.0.cast(), size_of::<Shared>()) };
    }
}

/// Forks, seizes, installs `filter` (none when empty) and lets the child go to its exec.
///
/// The calling thread becomes the tracer of the whole tree. `default_signals` are those that the
/// supervisor handles and the command shall not.
///
/// # Errors
/// [`StartError`]; the child is gone then.
pub(super) fn launch(
    command: &Command,
    filter: &[libc::sock_filter],
    default_signals: &[libc::c_int],
) -> Result<(Prepared, Launched), StartError> {
    let mut prepared = command.prepare()?;
    prepared.default_signals = default_signals.to_vec();
    let report = Report::new()?;
    let (go_read, go_write) = pipe()?;
    let pointers = |strings: &[std::ffi::CString]| -> Vec<*const libc::c_char> {
        strings
            .iter()
            .map(|s| s.as_ptr())
            .chain([ptr::null()])
            .collect()
    };
    let argv = pointers(&prepared.args);
    let environment = pointers(&prepared.environment);
    let program = libc::sock_fprog {
        len: filter.len() as libc::c_ushort,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the child calls only async-signal-safe functions on memory prepared before the fork.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(StartError::last("fork"));
    }
    if pid == 0 {
        drop_in_child(&go_write);
        child(&prepared, &argv, &environment, &program, &go_read, &report);
    }
    let pid = pid as u32;
    drop(go_read);
    match guide(pid, go_write, !filter.is_empty()) {
        Ok(listener) => Ok((
            prepared,
            Launched {
                pid,
                listener,
                report,
            },
        )),
        Err(error) => {
            // SAFETY: the child is ours and not yet reaped.
            unsafe { libc::kill(pid as i32, libc::SIGKILL) };
            while let Ok(Some((_, stop))) = ptrace::wait_for(pid) {
                if matches!(stop, Stop::Exited(_) | Stop::Signaled(..)) {
                    break;
                }
            }
            Err(report.failure(&prepared.shown).unwrap_or(error))
        }
    }
}

fn drop_in_child(fd: &OwnedFd) {
    // SAFETY: the child's copy of the descriptor; the child never runs destructors.
    unsafe { libc::close(fd.as_raw_fd()) };
}

fn pipe() -> Result<(OwnedFd, OwnedFd), StartError> {
    let mut fds = [0; 2];
    // SAFETY: `fds` has room for two descriptors; on success both are ours.
    unsafe {
        if libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) != 0 {
            return Err(StartError::last("pipe2"));
        }
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

/// Everything that the child does: one straight line.
fn child(
    prepared: &Prepared,
    argv: &[*const libc::c_char],
    environment: &[*const libc::c_char],
    program: &libc::sock_fprog,
    go: &OwnedFd,
    report: &Report,
) -> ! {
    // SAFETY: all pointers were prepared before the fork and live in this process's copy; only
    // async-signal-safe calls are made.
    unsafe {
        // The supervisor hands signals on; the command has them in their default, unless it was
        // started with them ignored. Rust's own start-up ignores SIGPIPE; no command expects that.
        for signal in prepared.default_signals.iter().chain(&[libc::SIGPIPE]) {
            libc::signal(*signal, libc::SIG_DFL);
        }
        let mut none = MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
        if let Some((uid, gid)) = prepared.user
            && (libc::setgroups(0, ptr::null()) != 0
                || libc::setresgid(gid, gid, gid) != 0
                || libc::setresuid(uid, uid, uid) != 0)
        {
            report.fail(3);
        }
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            report.fail(1);
        }
        let mut byte = 0u8;
        loop {
            match libc::read(go.as_raw_fd(), (&raw mut byte).cast(), 1) {
                1 => break,
                // The supervisor died before it seized us.
                0 => libc::_exit(127),
                _ if *libc::__errno_location() == libc::EINTR => {}
                _ => report.fail(4),
            }
        }
        if program.len > 0 {
            let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | WAIT_KILLABLE_RECV;
            let mode = libc::SECCOMP_SET_MODE_FILTER;
            let program: *const libc::sock_fprog = program;
            if libc::syscall(libc::SYS_seccomp, mode, flags, program) < 0 {
                report.fail(2);
            }
        }
        libc::execve(prepared.path.as_ptr(), argv.as_ptr(), environment.as_ptr());
        report.fail(0)
    }
}

/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (Linux 5.19): once received, only a fatal signal ends a
/// notification, so that a timer's signal cannot make a call happen twice.
const WAIT_KILLABLE_RECV: libc::c_ulong = 1 << 5;

/// Seizes the child, walks it through seccomp(2), and takes the listener.
fn guide(pid: u32, go: OwnedFd, filtered: bool) -> Result<Option<OwnedFd>, StartError> {
    let traced = |e| StartError::of("ptrace", e);
    ptrace::seize(pid).map_err(traced)?;
    ptrace::interrupt(pid).map_err(traced)?;
    expect_stop(pid)?;
    ptrace::resume(pid, step(filtered), 0).map_err(traced)?;
    // SAFETY: one byte from a valid place.
    if unsafe { libc::write(go.as_raw_fd(), c"g".as_ptr().cast(), 1) } != 1 {
        return Err(StartError::last("write"));
    }
    if !filtered {
        return Ok(None);
    }
    let mut in_seccomp = false;
    loop {
        let signal = match expect_stop(pid)? {
            Stop::Syscall => {
                match ptrace::syscall_info(pid).map_err(traced)? {
                    SyscallInfo::Entry { number, .. } => {
                        in_seccomp = number == libc::SYS_seccomp as u64;
                    }
                    SyscallInfo::Exit { value } if in_seccomp && value >= 0 => {
                        let listener = take_descriptor(pid, value as i32)?;
                        ptrace::resume(pid, Resume::Run, 0).map_err(traced)?;
                        return Ok(Some(listener));
                    }
                    _ => {}
                }
                0
            }
            Stop::Signal(signal) => signal,
            _ => 0,
        };
        ptrace::resume(pid, Resume::ToSyscall, signal).map_err(traced)?;
    }
}

fn step(filtered: bool) -> Resume {
    if filtered {
        Resume::ToSyscall
    } else {
        Resume::Run
    }
}

fn expect_stop(pid: u32) -> Result<Stop, StartError> {
    match ptrace::wait_for(pid) {
        Ok(Some((_, Stop::Exited(_) | Stop::Signaled(..)))) | Ok(None) => Err(StartError::of(
            "ptrace",
            io::Error::from_raw_os_error(libc::ESRCH),
        )),
        Ok(Some((_, stop))) => Ok(stop),
        Err(error) => Err(StartError::of("waitpid", error)),
    }
}

/// Duplicates a descriptor of another process.
pub(super) fn take_descriptor(pid: u32, number: i32) -> Result<OwnedFd, StartError> {
    // SAFETY: plain system calls on numbers; both descriptors are owned from here on.
    unsafe {
        let pidfd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        if pidfd < 0 {
            return Err(StartError::last("pidfd_open"));
        }
        let pidfd = OwnedFd::from_raw_fd(pidfd as i32);
        let fd = libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0);
        if fd < 0 {
            return Err(StartError::last("pidfd_getfd"));
        }
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}
