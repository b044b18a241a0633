//! The supervisor's side of seccomp user notification: hears of a call before it is made, and
//! lets it proceed, answers it, or makes it itself and hands over the result.

use std::{
    io, mem,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    sync::Arc,
};

use panal_uapi::Errno;

use super::{
    memory::last_errno,
    perform::Performer,
    traced::Tasks,
    watcher::{Demand, Syscall, Watcher},
};

/// A call that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notification {
    /// Cookie of the notification.
    pub id: u64,
    /// Who makes it.
    pub tid: u32,
    /// What it is.
    pub call: Syscall,
}

/// The listener of a filter.
#[derive(Debug)]
pub(super) struct Listener(OwnedFd);

// linux/seccomp.h: ioctls of the listener, `_IOWR('!', n, …)`.
const fn ioctl_number(direction: u64, number: u64, size: usize) -> libc::Ioctl {
    (direction << 30 | (size as u64) << 16 | 0x21 << 8 | number) as libc::Ioctl
}
const READ_WRITE: u64 = 3;
const WRITE: u64 = 1;
const RECV: libc::Ioctl = ioctl_number(READ_WRITE, 0, size_of::<libc::seccomp_notif>());
const SEND: libc::Ioctl = ioctl_number(READ_WRITE, 1, size_of::<libc::seccomp_notif_resp>());
const ID_VALID: libc::Ioctl = ioctl_number(WRITE, 2, size_of::<u64>());
const ADDFD: libc::Ioctl = ioctl_number(WRITE, 3, size_of::<libc::seccomp_notif_addfd>());
const SET_FLAGS: libc::Ioctl = ioctl_number(WRITE, 4, size_of::<u64>());
/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` (Linux 6.6)
const SYNC_WAKE_UP: u64 = 1;
/// `SECCOMP_ADDFD_FLAG_SEND`: the call returns the new descriptor.
const ADDFD_SEND: u32 = 2;

impl Listener {
    pub fn new(fd: OwnedFd) -> Self {
        // The supervisor runs next, on the same CPU, while the caller waits: halves the cost where
        // Linux has it, and no matter where not.
        // SAFETY: SET_FLAGS takes its flags by value.
        unsafe { libc::ioctl(fd.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) };
        Listener(fd)
    }

    /// The next call that waits; `None` when no task is left.
    pub fn next(&self) -> io::Result<Option<Notification>> {
        loop {
            let mut poll = libc::pollfd {
                fd: self.raw(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one valid pollfd.
            if unsafe { libc::poll(&mut poll, 1, -1) } < 0 {
                match io::Error::last_os_error() {
                    e if e.raw_os_error() == Some(libc::EINTR) => continue,
                    e => return Err(e),
                }
            }
            if poll.revents & libc::POLLIN == 0 {
                return Ok(None);
            }
            // SAFETY: an all-zero notification is a valid one, and what Linux demands.
            let mut raw: libc::seccomp_notif = unsafe { mem::zeroed() };
            // SAFETY: `raw` has the size that the request's number says.
            if unsafe { libc::ioctl(self.raw(), RECV, &mut raw) } == 0 {
                let call = Syscall {
                    number: raw.data.nr as u32,
                    args: raw.data.args,
                    ip: raw.data.instruction_pointer,
                    sp: 0,
                };
                return Ok(Some(Notification {
                    id: raw.id,
                    tid: raw.pid,
                    call,
                }));
            }
            match io::Error::last_os_error() {
                // It was killed, or interrupted before we got it.
                e if matches!(e.raw_os_error(), Some(libc::EINTR | libc::ENOENT)) => {}
                e => return Err(e),
            }
        }
    }

    /// Whether the caller still waits: what was read of it was its own.
    pub fn is_valid(&self, id: u64) -> bool {
        // SAFETY: `id` is a valid place of the size that the request's number says.
        unsafe { libc::ioctl(self.raw(), ID_VALID, &id) == 0 }
    }

    /// Lets the call proceed, as if nobody had asked.
    pub fn proceed(&self, id: u64) {
        let flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        self.send(libc::seccomp_notif_resp {
            id,
            val: 0,
            error: 0,
            flags,
        });
    }

    /// The call returns this.
    pub fn answer(&self, id: u64, result: Result<i64, Errno>) {
        let (val, error) = match result {
            Ok(value) => (value, 0),
            Err(errno) => (0, -errno.0),
        };
        self.send(libc::seccomp_notif_resp {
            id,
            val,
            error,
            flags: 0,
        });
    }

    /// A failed answer means that the caller is gone: nobody to tell.
    fn send(&self, mut response: libc::seccomp_notif_resp) {
        // SAFETY: `response` has the size that the request's number says.
        unsafe { libc::ioctl(self.raw(), SEND, &mut response) };
    }

    /// Gives the caller a duplicate of `file` at its lowest free descriptor; the call returns it.
    ///
    /// # Errors
    /// Linux's (`EMFILE`); the call still waits for its answer then.
    pub fn answer_with_file(&self, id: u64, file: RawFd, cloexec: bool) -> Result<i64, Errno> {
        let mut request = libc::seccomp_notif_addfd {
            id,
            flags: ADDFD_SEND,
            srcfd: file as u32,
            newfd: 0,
            newfd_flags: if cloexec { libc::O_CLOEXEC as u32 } else { 0 },
        };
        // SAFETY: `request` has the size that the request's number says; `file` is open.
        match unsafe { libc::ioctl(self.raw(), ADDFD, &mut request) } {
            number if number >= 0 => Ok(number.into()),
            _ => Err(last_errno()),
        }
    }

    fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Serves a tree's notifications until no task is left.
pub(super) fn serve(
    listener: OwnedFd,
    watcher: Arc<dyn Watcher>,
    demand: Arc<Demand>,
    tasks: Arc<Tasks>,
) -> io::Result<()> {
    let listener = Arc::new(Listener::new(listener));
    let guarded = demand.guards.calls();
    let mut performer = Performer::new(
        listener.clone(),
        watcher.clone(),
        demand.clone(),
        tasks.clone(),
    )?;
    while let Some(notification) = listener.next()? {
        let call = &notification.call;
        if demand.enter.contains(call.number) {
            watcher.sys_enter(&tasks.get(notification.tid), call);
        }
        match guarded.contains(call.number) {
            true => performer.perform(notification),
            false => listener.proceed(notification.id),
        }
    }
    Ok(())
}
