//! The task that an event belongs to, as helpers see it.

use panal_uapi::Errno;

use crate::caller_ids::caller_ids;

/// A thread of some process: whose event it is.
///
/// Hooks implement it for the processes that they watch; [`Caller`] is the thread that runs the
/// program itself.
pub trait Task {
    /// Process id (`tgid` in the kernel's words).
    fn tgid(&self) -> u32;
    /// Thread id (`pid` in the kernel's words).
    fn tid(&self) -> u32;
    /// Both: process id, thread id.
    fn ids(&self) -> (u32, u32) {
        (self.tgid(), self.tid())
    }
    /// Process id of the parent.
    fn parent_tgid(&self) -> u32;
    /// Real user id.
    fn uid(&self) -> u32;
    /// Real group id.
    fn gid(&self) -> u32;
    /// Name, padded with zeros.
    fn comm(&self) -> [u8; 16];
    /// Reads the task's memory. `EFAULT`, and nothing is promised about `buffer`, when a byte of
    /// it cannot be read.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Errno>;
    /// Writes the task's memory (`bpf_probe_write_user`).
    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno>;
    /// Reads a string until its zero byte, which counts and is stored; cut, and ended with a zero,
    /// at the buffer's end. Returns its length with the zero.
    fn read_string(&self, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        read_string_by_pages(|a, b| self.read(a, b), address, buffer)
    }
    /// Id of its cgroup (version 2), 0 when not known.
    fn cgroup_id(&self) -> u64 {
        0
    }
    /// Address, in the cage, of its `task_struct` as the kernel's BTF describes it; 0 when the hook
    /// made none.
    fn object(&self) -> u64 {
        0
    }
}

/// A task's ids as `bpf_get_current_pid_tgid` gives them.
pub(crate) fn pid_tgid(task: &dyn Task) -> u64 {
    let (tgid, tid) = task.ids();
    u64::from(tgid) << 32 | u64::from(tid)
}

/// Page size to split foreign reads at: no page of a supported machine is smaller.
const PAGE: u64 = 4096;

/// Reads a string in pieces that never cross a page, so that a string that ends just before an
/// unreadable page is still read.
pub fn read_string_by_pages(
    read: impl Fn(u64, &mut [u8]) -> Result<(), Errno>,
    address: u64,
    buffer: &mut [u8],
) -> Result<usize, Errno> {
    let mut done = 0;
    while done < buffer.len() {
        let at = address.checked_add(done as u64).ok_or(Errno::EFAULT)?;
        let to_page_end = (PAGE - at % PAGE) as usize;
        let piece = to_page_end.min(buffer.len() - done).min(256);
        let part = &mut buffer[done..done + piece];
        read(at, part)?;
        if let Some(zero) = part.iter().position(|&b| b == 0) {
            return Ok(done + zero + 1);
        }
        done += piece;
    }
    match buffer.last_mut() {
        Some(last) => {
            *last = 0;
            Ok(buffer.len())
        }
        None => Ok(0),
    }
}

/// The thread that runs the program: the task of test runs and of packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller;

impl Task for Caller {
    fn tgid(&self) -> u32 {
        caller_ids().0
    }

    fn tid(&self) -> u32 {
        caller_ids().1
    }

    fn ids(&self) -> (u32, u32) {
        caller_ids()
    }

    fn parent_tgid(&self) -> u32 {
        rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get() as u32)
    }

    fn uid(&self) -> u32 {
        rustix::process::getuid().as_raw()
    }

    fn gid(&self) -> u32 {
        rustix::process::getgid().as_raw()
    }

    fn comm(&self) -> [u8; 16] {
        let mut out = [0; 16];
        if let Ok(name) = rustix::thread::name() {
            let bytes = name.as_bytes();
            let len = bytes.len().min(15);
            out[..len].copy_from_slice(&bytes[..len]);
        }
        out
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        crate::memory::read_own(address, buffer)
    }

    fn write(&self, _address: u64, _bytes: &[u8]) -> Result<(), Errno> {
        // The caller's memory is Panal's own: a program has no business in it.
        Err(Errno::EPERM)
    }
}

/// The same with a `task_struct` that programs can follow.
pub(crate) struct ShownCaller {
    object: u64,
}

impl ShownCaller {
    /// Puts its `task_struct` into the cage, until the session is cleared.
    pub fn place(session: &mut crate::Session<'_>) -> Self {
        use crate::types::task::TaskStruct;
        use std::mem::{align_of, offset_of};
        let mut bytes = vec![0; size_of::<TaskStruct>()];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(offset_of!(TaskStruct, pid), &Caller.tid().to_ne_bytes());
        put(offset_of!(TaskStruct, tgid), &Caller.tgid().to_ne_bytes());
        put(offset_of!(TaskStruct, comm), &Caller.comm());
        let at = session.next_place(align_of::<TaskStruct>());
        put(offset_of!(TaskStruct, group_leader), &at.to_ne_bytes());
        let object = session.place(&bytes, align_of::<TaskStruct>());
        ShownCaller {
            object: object.unwrap_or(0),
        }
    }
}

impl Task for ShownCaller {
    fn tgid(&self) -> u32 {
        Caller.tgid()
    }

    fn tid(&self) -> u32 {
        Caller.tid()
    }

    fn ids(&self) -> (u32, u32) {
        Caller.ids()
    }

    fn parent_tgid(&self) -> u32 {
        Caller.parent_tgid()
    }

    fn uid(&self) -> u32 {
        Caller.uid()
    }

    fn gid(&self) -> u32 {
        Caller.gid()
    }

    fn comm(&self) -> [u8; 16] {
        Caller.comm()
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        Caller.read(address, buffer)
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        Caller.write(address, bytes)
    }

    fn object(&self) -> u64 {
        self.object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_that_ends_before_an_unreadable_page_is_read() {
        let end = 3 * PAGE;
        let memory = |address: u64, buffer: &mut [u8]| {
            if address + buffer.len() as u64 > end {
                return Err(Errno::EFAULT);
            }
            for (i, b) in buffer.iter_mut().enumerate() {
                *b = if address + i as u64 == end - 1 {
                    0
                } else {
                    b'x'
                };
            }
            Ok(())
        };
        let mut buffer = [0xff; 64];
        assert_eq!(read_string_by_pages(memory, end - 10, &mut buffer), Ok(10));
        assert_eq!(&buffer[..10], b"xxxxxxxxx\0");
        assert_eq!(read_string_by_pages(memory, end - 100, &mut buffer), Ok(64));
        assert_eq!(buffer[63], 0);
        assert_eq!(
            read_string_by_pages(memory, end, &mut buffer),
            Err(Errno::EFAULT)
        );
    }
}
