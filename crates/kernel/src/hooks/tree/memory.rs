//! Strings in the memory of a supervised task, as system calls take them.
//!
//! The task stands still while it is read (it waits in a seccomp notification or a ptrace stop);
//! its sibling threads may still write.

use panal_uapi::Errno;

use crate::{memory::read_process, task::read_string_by_pages};

/// A string of less than `limit` bytes, without its zero.
///
/// # Errors
/// `EFAULT` when it cannot be read; `ENAMETOOLONG` when there is no zero within `limit` bytes.
pub(super) fn read_c_string(tid: u32, address: u64, limit: usize) -> Result<Vec<u8>, Errno> {
    let read = |at: u64, into: &mut [u8]| read_process(tid, at, into);
    let mut size = limit.min(255);
    loop {
        // A last byte of our own: a string that fills the rest is longer than `size`.
        let mut buffer = vec![0u8; size + 1];
        let got = read_string_by_pages(read, address, &mut buffer)?;
        if got <= size {
            buffer.truncate(got.saturating_sub(1));
            return Ok(buffer);
        }
        if size == limit {
            return Err(Errno::ENAMETOOLONG);
        }
        size = limit;
    }
}

/// The calling thread's `errno`.
pub(super) fn last_errno() -> Errno {
    Errno(
        std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;

    fn me() -> u32 {
        std::process::id()
    }

    /// Two pages, of which the second cannot be read; the text ends where the first ends.
    fn at_the_edge(text: &[u8]) -> u64 {
        // SAFETY: a fresh private mapping, leaked; the second page loses all rights; the text fits
        // in the first.
        unsafe {
            let base = libc::mmap(
                std::ptr::null_mut(),
                2 * PAGE as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(base, libc::MAP_FAILED);
            assert_eq!(
                libc::mprotect(base.byte_add(PAGE as usize), PAGE as usize, 0),
                0
            );
            let start = base.cast::<u8>().add(PAGE as usize - text.len());
            std::ptr::copy_nonoverlapping(text.as_ptr(), start, text.len());
            start as u64
        }
    }

    #[test]
    fn a_string_that_ends_at_an_unreadable_page_is_read() {
        let address = at_the_edge(b"hello\0");
        assert_eq!(read_c_string(me(), address, 4096), Ok(b"hello".to_vec()));
        let address = at_the_edge(b"hello");
        assert_eq!(read_c_string(me(), address, 4096), Err(Errno::EFAULT));
    }

    #[test]
    fn strings_are_read_whole_or_refused() {
        for length in [0usize, 1, 254, 255, 256, 257, 999] {
            let mut text = vec![b'a'; length];
            text.push(0);
            let read = |limit| read_c_string(me(), text.as_ptr() as u64, limit).map(|s| s.len());
            assert_eq!(read(4096), Ok(length));
            assert_eq!(read(length + 1), Ok(length));
            assert_eq!(read(length), Err(Errno::ENAMETOOLONG));
        }
        assert_eq!(read_c_string(me(), 0, 4096), Err(Errno::EFAULT));
    }
}
