//! What asks this process to end is for the command that it runs: signals are handed on.
//!
//! The terminal sends its interrupts to the whole foreground group, so the command has them
//! already; what is sent to this process alone (by kill(2), a supervisor, a closing session) is
//! sent on. Which one it was, the signal itself tells.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::{
        Mutex,
        atomic::{AtomicI32, Ordering},
    },
};

/// The terminal's two, of which this process must not die before the command has answered.
const TERMINAL: [libc::c_int; 2] = [libc::SIGINT, libc::SIGQUIT];
/// Those that are left to whoever handles them already.
const OTHERS: [libc::c_int; 2] = [libc::SIGTERM, libc::SIGHUP];

/// Commands that run at once in this process and get its signals.
const MOST: usize = 16;
/// Descriptors (pidfd) of the commands; -1 where there is none.
static COMMANDS: [AtomicI32; MOST] = [const { AtomicI32::new(-1) }; MOST];

/// How many supervisors of this process hand signals on now, and what the first one found.
static HANDING: Mutex<(usize, Vec<(libc::c_int, libc::sigaction)>)> = Mutex::new((0, Vec::new()));

/// While it lives, signals go to the commands.
pub(super) struct HandedOn {
    /// Those that the command shall have in their default, as they were not ignored before.
    pub reset: Vec<libc::c_int>,
}

impl HandedOn {
    pub fn new() -> Self {
        let mut handing = super::traced::lock(&HANDING);
        if handing.0 == 0 {
            handing.1 = TERMINAL
                .into_iter()
                .chain(OTHERS)
                .filter_map(|signal| Some((signal, install(signal)?)))
                .collect();
        }
        handing.0 += 1;
        let reset = handing.1.iter().map(|(signal, _)| *signal).collect();
        HandedOn { reset }
    }
}

impl Drop for HandedOn {
    fn drop(&mut self) {
        let mut handing = super::traced::lock(&HANDING);
        handing.0 -= 1;
        if handing.0 == 0 {
            for (signal, before) in &handing.1 {
                // SAFETY: what was installed before is installed again.
                unsafe { libc::sigaction(*signal, before, std::ptr::null_mut()) };
            }
        }
    }
}

/// Installs the handler; what was there. `None` where signals are ignored, or somebody handles what
/// is not the terminal's.
fn install(signal: libc::c_int) -> Option<libc::sigaction> {
    // SAFETY: an all-zero sigaction is valid, and the calls fill or read one; the handler makes
    // only calls that are safe in one.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(signal, std::ptr::null(), &mut before) != 0 {
            return None;
        }
        let handled = before.sa_sigaction != libc::SIG_DFL;
        if before.sa_sigaction == libc::SIG_IGN || handled && OTHERS.contains(&signal) {
            return None;
        }
        let mut ours: libc::sigaction = std::mem::zeroed();
        ours.sa_sigaction = hand_on as *const () as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        (libc::sigaction(signal, &ours, std::ptr::null_mut()) == 0).then_some(before)
    }
}

/// The handler.
extern "C" fn hand_on(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes a valid siginfo; the calls take numbers, and are safe in a handler;
    // errno is kept for whom this interrupts.
    unsafe {
        let errno = *libc::__errno_location();
        const SI_KERNEL: libc::c_int = 0x80;
        let from_terminal = (*info).si_code == SI_KERNEL && TERMINAL.contains(&signal);
        let mut taken = from_terminal;
        for command in COMMANDS.iter().filter(|_| !from_terminal) {
            let fd = command.load(Ordering::Acquire);
            taken |= fd >= 0 && libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, 0, 0) == 0;
        }
        // No command is left to ask: what it started ends with this process.
        if !taken && OTHERS.contains(&signal) {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
        *libc::__errno_location() = errno;
    }
}

/// A command that gets signals while this lives.
pub(super) struct Receiver {
    place: Option<&'static AtomicI32>,
    _pidfd: Option<OwnedFd>,
}

impl Receiver {
    /// `pid` is a child that was not waited for yet.
    pub fn new(pid: u32) -> Self {
        // SAFETY: the call takes numbers; what it gives is new and owned by nobody else.
        let pidfd = unsafe {
            match libc::syscall(libc::SYS_pidfd_open, pid, 0) {
                fd @ 0.. => Ok(OwnedFd::from_raw_fd(fd as i32)),
                _ => Err(io::Error::last_os_error()),
            }
        };
        // Kernels before 5.3 have none: signals end this process as they always did.
        let pidfd = pidfd.ok();
        let place = pidfd.as_ref().and_then(|fd| {
            let own = fd.as_raw_fd();
            COMMANDS.iter().find(|place| {
                let free = place.compare_exchange(-1, own, Ordering::AcqRel, Ordering::Relaxed);
                free.is_ok()
            })
        });
        Receiver {
            place,
            _pidfd: pidfd,
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            place.store(-1, Ordering::Release);
        }
    }
}
