//! Waiting: for records, for signals, for the end of a command.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    time::Duration,
};

/// The signals that ask this process to end, as a descriptor: from now on they do nothing else.
pub struct Signals {
    fd: OwnedFd,
    before: libc::sigset_t,
}

/// What asked the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `SIGINT`, `SIGQUIT` of the terminal, which sends them to its whole foreground group.
    Terminal(i32),
    /// Any that was sent to this process.
    Process(i32),
}

const ASKING: [i32; 4] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP];

impl Signals {
    /// Blocks them for this thread and those that it starts: to be called before there are others.
    pub fn block() -> io::Result<Signals> {
        // SAFETY: sets live on this stack, and the calls fill or read them.
        unsafe {
            let mut set = std::mem::zeroed();
            let mut before = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            for signal in ASKING {
                libc::sigaddset(&mut set, signal);
            }
            let error = libc::pthread_sigmask(libc::SIG_BLOCK, &set, &mut before);
            if error != 0 {
                return Err(io::Error::from_raw_os_error(error));
            }
            let fd = libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                let error = io::Error::last_os_error();
                libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
                return Err(error);
            }
            Ok(Signals {
                fd: OwnedFd::from_raw_fd(fd),
                before,
            })
        }
    }

    /// The next one that came, if any.
    pub fn take(&self) -> Option<Asked> {
        // SAFETY: an all-zero `signalfd_siginfo` is valid, and read fills at most its size.
        let (read, info) = unsafe {
            let mut info: libc::signalfd_siginfo = std::mem::zeroed();
            let size = size_of::<libc::signalfd_siginfo>();
            let read = libc::read(self.fd.as_raw_fd(), (&raw mut info).cast(), size);
            (read == size as isize, info)
        };
        let signal = info.ssi_signo as i32;
        // What kill(2) sends has another code.
        const SI_KERNEL: i32 = 0x80;
        read.then_some(match signal {
            libc::SIGINT | libc::SIGQUIT if info.ssi_code == SI_KERNEL => Asked::Terminal(signal),
            _ => Asked::Process(signal),
        })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // SAFETY: restores the set that `block` found.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}

/// Waits until one of the descriptors has something to read, or the time is over.
pub fn wait(descriptors: &[RawFd], most: Option<Duration>) -> io::Result<()> {
    let mut polled: Vec<_> = descriptors
        .iter()
        .map(|fd| libc::pollfd {
            fd: *fd,
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    // Rounded up: a wait that ends too early would be repeated.
    let milliseconds = most.map_or(-1, |most| {
        i32::try_from(most.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
    });
    // SAFETY: the array has the length that is told.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as _, milliseconds) };
    match ready {
        -1 if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted => {
            Err(io::Error::last_os_error())
        }
        _ => Ok(()),
    }
}
