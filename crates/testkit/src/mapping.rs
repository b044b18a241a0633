//! A part of a map's memory, as user space maps it.

use std::ptr;

/// A mapped range of a file.
pub struct Mapping {
    start: *mut libc::c_void,
    mapped: usize,
    skipped: usize,
    len: usize,
}

impl Mapping {
    /// `len` bytes from an offset of a descriptor's file; writable where the kernel allows it.
    ///
    /// # Errors
    /// When it cannot be mapped.
    pub fn new(file: i32, offset: usize, len: usize) -> Result<Mapping, String> {
        // SAFETY: sysconf reads no memory of ours.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let first = offset / page * page;
        let (skipped, mapped) = (offset - first, offset - first + len);
        for protection in [libc::PROT_READ | libc::PROT_WRITE, libc::PROT_READ] {
            // SAFETY: a new mapping at an address of the system's choice touches nothing.
            let start = unsafe {
                libc::mmap(
                    ptr::null_mut(),
                    mapped,
                    protection,
                    libc::MAP_SHARED,
                    file,
                    first as libc::off_t,
                )
            };
            if start != libc::MAP_FAILED {
                return Ok(Mapping {
                    start,
                    mapped,
                    skipped,
                    len,
                });
            }
        }
        Err(format!("mmap: {}", std::io::Error::last_os_error()))
    }

    /// Writes the range, from its start.
    ///
    /// # Panics
    /// When there are more bytes than it has.
    pub fn write(&self, bytes: &[u8]) {
        assert!(bytes.len() <= self.len);
        // SAFETY: the range is mapped, and no program runs meanwhile.
        unsafe {
            let to = self.start.cast::<u8>().add(self.skipped);
            ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }

    /// The range's bytes.
    pub fn read(&self) -> Vec<u8> {
        let mut out = vec![0; self.len];
        // SAFETY: as above.
        unsafe {
            let from = self.start.cast::<u8>().add(self.skipped);
            ptr::copy_nonoverlapping(from, out.as_mut_ptr(), self.len);
        }
        out
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nobody holds a reference into it.
        unsafe { libc::munmap(self.start, self.mapped) };
    }
}
