//! A command that is there, with a process number, but does not run yet: so that what is attached
//! to it misses nothing.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command},
    thread::{self, JoinHandle},
};

use crate::sys::last_errno;

/// A process between fork and exec.
pub struct Held {
    pid: u32,
    /// A byte written here lets it go; closing it ends it.
    go: io::PipeWriter,
    spawner: JoinHandle<io::Result<Child>>,
}

/// A command that runs.
pub struct Running {
    child: Child,
    pidfd: OwnedFd,
}

impl Held {
    /// Forks. Environment, working directory and descriptors are inherited; the terminal's signals,
    /// which this process may block, are not blocked.
    pub fn start(program: &OsStr, arguments: &[OsString]) -> io::Result<Held> {
        let (mut told, tell) = io::pipe()?;
        let (wait, go) = io::pipe()?;
        let mut command = Command::new(program);
        command.args(arguments);
        let (tell, wait, ours) = (OwnedFd::from(tell), OwnedFd::from(wait), go.as_raw_fd());
        // SAFETY: the closure makes system calls and touches only its own variables.
        unsafe {
            command.pre_exec(move || hold(&tell, &wait, ours));
        }
        // `spawn` returns when the command's exec has succeeded, or not.
        let spawner = thread::Builder::new()
            .name("panal-spawn".into())
            .spawn(move || command.spawn())?;
        let mut pid = [0; 4];
        match told.read_exact(&mut pid) {
            Ok(()) => Ok(Held {
                pid: u32::from_ne_bytes(pid),
                go,
                spawner,
            }),
            // The fork failed: the thread has the error.
            Err(error) => Err(joined(spawner).err().unwrap_or(error)),
        }
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets it run.
    ///
    /// # Errors
    /// When the file is not found or cannot be executed.
    pub fn release(mut self) -> io::Result<Running> {
        // A child that died meanwhile gives EPIPE; the thread then says how.
        let _ = self.go.write_all(&[1]);
        let mut child = joined(self.spawner)?;
        match open_pid(child.id()) {
            Ok(pidfd) => Ok(Running { child, pidfd }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }
}

/// In the child: tells its number, and waits to be let go.
fn hold(tell: &OwnedFd, wait: &OwnedFd, ours: i32) -> io::Result<()> {
    // SAFETY: system calls on memory of this function. `ours` is the child's copy of the end that
    // lets go: it is closed so that the parent's death ends the wait, and nobody here owns it.
    unsafe {
        libc::close(ours);
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        let pid = libc::getpid().to_ne_bytes();
        if libc::write(tell.as_raw_fd(), pid.as_ptr().cast(), pid.len()) != pid.len() as isize {
            return Err(io::Error::last_os_error());
        }
        let mut byte = 0u8;
        loop {
            match libc::read(wait.as_raw_fd(), (&raw mut byte).cast(), 1) {
                1 => return Ok(()),
                -1 if last_errno().0 == libc::EINTR => {}
                // The parent gave up, or is gone: nobody could be told by returning.
                _ => libc::_exit(libc::ECANCELED),
            }
        }
    }
}

fn joined(spawner: JoinHandle<io::Result<Child>>) -> io::Result<Child> {
    spawner
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the thread that forks panicked")))
}

/// `pidfd_open`
fn open_pid(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::c_long, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that the call just made, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

impl Running {
    /// Becomes readable when the process ends.
    pub fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }

    /// How it ended, if it did.
    pub fn try_wait(&mut self) -> io::Result<Option<std::process::ExitStatus>> {
        self.child.try_wait()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: the call takes numbers, and the descriptor is this process's for certain.
        unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd() as libc::c_long,
                signal as libc::c_long,
                0,
                0,
            )
        };
    }
}
