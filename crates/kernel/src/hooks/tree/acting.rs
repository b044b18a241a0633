//! Acting as a task: with its credentials and umask, for the time of one call.
//!
//! An ordinary user's supervisor has the same credentials as its tree and nothing changes. Root's
//! supervisor takes on those of the task, for its own thread alone: the system calls below are
//! made directly, as the C library would change all threads.

use std::fs;

use panal_uapi::Errno;

use super::{memory::last_errno, traced::Identity};

/// The supervisor's thread that makes calls for tasks.
pub(super) struct Actor {
    own: Rights,
    /// Nothing to change: no capability, so nothing could be changed either.
    ordinary: bool,
    umask: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rights {
    user: u32,
    group: u32,
    groups: Vec<u32>,
    capabilities: u64,
}

/// `_LINUX_CAPABILITY_VERSION_3`
const CAPABILITY_VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

impl Actor {
    /// For the calling thread, which gets a umask of its own.
    ///
    /// # Errors
    /// Linux's, when it cannot.
    pub fn new() -> Result<Self, Errno> {
        // SAFETY: affects only this thread: its umask and working directory become its own.
        if unsafe { libc::unshare(libc::CLONE_FS) } != 0 {
            return Err(last_errno());
        }
        let data = capabilities()?;
        let permitted = u64::from(data[0].permitted) | u64::from(data[1].permitted) << 32;
        // SAFETY: these calls have no preconditions.
        let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
        let groups = rustix::process::getgroups().unwrap_or_default();
        let groups = groups.iter().map(|g| g.as_raw()).collect();
        let own = Rights {
            user,
            group,
            groups,
            capabilities: permitted,
        };
        Ok(Actor {
            ordinary: permitted == 0,
            own,
            umask: u32::MAX,
        })
    }

    /// Does something with the rights of a task.
    ///
    /// # Errors
    /// `EPERM` when they cannot be had; what `act` returns.
    pub fn act<T>(
        &self,
        identity: &Identity,
        act: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let wanted = self.rights(identity);
        if self.ordinary || wanted == self.own {
            return act();
        }
        let outcome = self.take(&wanted).and_then(|()| act());
        // Its own rights must come back: what follows reads the memory of tasks.
        match self.take(&self.own) {
            Ok(()) => outcome,
            Err(_) => Err(Errno::EPERM),
        }
    }

    fn rights(&self, identity: &Identity) -> Rights {
        Rights {
            user: identity.uids[3],
            group: identity.gids[3],
            groups: identity.groups.clone(),
            capabilities: match identity.foreign_user_namespace {
                // Capabilities there are none here.
                true => 0,
                false => identity.capabilities & self.own.capabilities,
            },
        }
    }

    fn take(&self, rights: &Rights) -> Result<(), Errno> {
        set_effective(self.own.capabilities, self.own.capabilities)?;
        // SAFETY: the groups are a valid array; the calls change this thread's credentials only,
        // as they do not go through the C library.
        unsafe {
            let groups = (rights.groups.len(), rights.groups.as_ptr());
            if libc::syscall(libc::SYS_setgroups, groups.0, groups.1) != 0 {
                return Err(last_errno());
            }
            libc::syscall(libc::SYS_setfsgid, rights.group);
            libc::syscall(libc::SYS_setfsuid, rights.user);
            // They tell no errors: asking with an impossible id tells what holds.
            if libc::syscall(libc::SYS_setfsgid, -1) != libc::c_long::from(rights.group)
                || libc::syscall(libc::SYS_setfsuid, -1) != libc::c_long::from(rights.user)
            {
                return Err(Errno::EPERM);
            }
        }
        set_effective(rights.capabilities, self.own.capabilities)
    }

    /// Takes on a task's umask, for files that are made.
    ///
    /// # Errors
    /// `ESRCH` when it is gone.
    pub fn take_umask(&mut self, tid: u32) -> Result<(), Errno> {
        let status = fs::read_to_string(format!("/proc/{tid}/status")).map_err(|_| Errno::ESRCH)?;
        let umask = status
            .lines()
            .find_map(|line| u32::from_str_radix(line.strip_prefix("Umask:")?.trim(), 8).ok())
            .ok_or(Errno::ESRCH)?;
        if umask != self.umask {
            // SAFETY: changes this thread's umask, which is its own since `new`.
            unsafe { libc::umask(umask) };
            self.umask = umask;
        }
        Ok(())
    }
}

fn capabilities() -> Result<[CapData; 2], Errno> {
    let header = CapHeader {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    let mut data = [CapData::default(); 2];
    // SAFETY: version 3 fills two elements.
    match unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) } {
        0 => Ok(data),
        _ => Err(last_errno()),
    }
}

fn set_effective(effective: u64, permitted: u64) -> Result<(), Errno> {
    let header = CapHeader {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    let inheritable = capabilities()?;
    let half = |set: u64, n: usize| (set >> (32 * n)) as u32;
    let data = [0, 1].map(|n| CapData {
        effective: half(effective, n),
        permitted: half(permitted, n),
        inheritable: inheritable[n].inheritable,
    });
    // SAFETY: version 3 reads two elements.
    match unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}
