//! The cage: one reserved region of address space that holds all memory a program can touch.
//!
//! Every address inside is mapped readable and writable and backed lazily, so that no access there
//! can hurt the host; so are guard zones on both sides, which nobody uses: they catch what a confined
//! address plus a small offset may still reach, without a fault.

use std::{
    ffi::c_void,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    ptr::NonNull,
    sync::{Arc, Mutex, PoisonError},
};

use rustix::mm::{self, MapFlags, MprotectFlags, ProtFlags};

use crate::space::{Extent, Space};

/// Bytes of each guard zone: more than a signed 16-bit offset can reach, and as many as machine code
/// relies on.
const GUARD: usize = 1 << 20;

/// Why there is no cage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CageError {
    /// Not a power of two between 1 MiB and 4 GiB.
    #[error("a cage of {0} bytes: it must be a power of two from 1 MiB to 4 GiB")]
    Size(u64),
    /// The host system gives no address space of that size.
    #[error(
        "cannot reserve a cage of {size} bytes: {errno} (limit on address space or overcommit?)"
    )]
    Reserve {
        /// Bytes asked for.
        size: u64,
        /// What the system said.
        errno: rustix::io::Errno,
    },
}

/// The cage has no room for an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {0} bytes left in the cage")]
pub struct OutOfCage(pub usize);

/// A reserved region, aligned to its own size, with an allocator in it.
pub struct Cage {
    base: usize,
    size: usize,
    reserved: (usize, usize),
    page: usize,
    space: Mutex<Space>,
}

impl Cage {
    /// The full size: an address in it is the base plus a 32-bit number.
    pub const FULL: u64 = 1 << 32;
    /// The smallest size that [`Cage::largest`] tries.
    pub const LEAST: u64 = 64 << 20;

    /// Reserves a cage of `size` bytes, a power of two from 1 MiB to 4 GiB.
    pub fn new(size: u64) -> Result<Arc<Cage>, CageError> {
        if !size.is_power_of_two() || !(1 << 20..=Self::FULL).contains(&size) {
            return Err(CageError::Size(size));
        }
        let reserve = |errno| CageError::Reserve { size, errno };
        let page = rustix::param::page_size();
        let bytes = usize::try_from(size).map_err(|_| reserve(rustix::io::Errno::NOMEM))?;
        let total = bytes
            .checked_mul(2)
            .and_then(|b| b.checked_add(2 * GUARD))
            .ok_or(reserve(rustix::io::Errno::NOMEM))?;
        // SAFETY: a new anonymous mapping at an address of the system's choice touches nothing.
        let start = unsafe {
            mm::mmap_anonymous(
                std::ptr::null_mut(),
                total,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }
        .map_err(reserve)? as usize;
        let base = (start + GUARD).next_multiple_of(bytes);
        let (low, high) = (base - GUARD, base + bytes + GUARD);
        // SAFETY: both ranges are parts of the mapping just made that nothing uses.
        unsafe {
            if low > start {
                let _ = mm::munmap(start as *mut c_void, low - start);
            }
            if start + total > high {
                let _ = mm::munmap(high as *mut c_void, start + total - high);
            }
        }
        // From here on the drop unmaps it, also when the next step fails.
        let cage = Cage {
            base,
            size: bytes,
            reserved: (low, high - low),
            page,
            space: Mutex::new(Space::new(bytes as u64, page as u32)),
        };
        // SAFETY: the range belongs to this cage alone.
        unsafe {
            mm::mprotect(
                low as *mut c_void,
                high - low,
                MprotectFlags::READ | MprotectFlags::WRITE,
            )
        }
        .map_err(reserve)?;
        Ok(Arc::new(cage))
    }

    /// Reserves the largest cage that the system gives, from 4 GiB down to 64 MiB.
    pub fn largest() -> Result<Arc<Cage>, CageError> {
        let mut size = Self::FULL;
        loop {
            match Self::new(size) {
                Err(e) if size <= Self::LEAST => return Err(e),
                Err(_) => size /= 2,
                Ok(cage) => return Ok(cage),
            }
        }
    }

    /// Lowest address.
    #[inline]
    pub fn base(&self) -> u64 {
        self.base as u64
    }

    /// Bytes.
    #[inline]
    pub fn size(&self) -> u64 {
        self.size as u64
    }

    /// Bytes of a page of the host.
    pub fn page_size(&self) -> usize {
        self.page
    }

    /// Whether `len` bytes at `address` lie inside.
    pub fn contains(&self, address: u64, len: u64) -> bool {
        let offset = address.wrapping_sub(self.base as u64);
        offset <= self.size as u64 && len <= self.size as u64 - offset
    }

    /// Allocates zeroed memory. `align` is a power of two, at most a page.
    pub fn allocate(self: &Arc<Self>, len: usize, align: usize) -> Result<Block, OutOfCage> {
        if !align.is_power_of_two() || align > self.page || len > self.size {
            return Err(OutOfCage(len));
        }
        let extent = self
            .lock()
            .take(len as u64, align as u32)
            .ok_or(OutOfCage(len))?;
        let block = Block {
            address: self.base() + extent.offset,
            cage: self.clone(),
            extent,
            len,
            memfd: None,
        };
        if extent.dirty {
            // SAFETY: the extent was just handed out: it lies in the cage and belongs to the block.
            unsafe { crate::bytes::zero(block.pointer(), extent.len as usize) };
        }
        Ok(block)
    }

    /// Allocates zeroed, page-aligned memory that is a file: others can map it too.
    pub fn allocate_shared(self: &Arc<Self>, len: usize) -> Result<Block, OutOfCage> {
        let rounded = len
            .checked_next_multiple_of(self.page)
            .filter(|&l| l > 0 && l <= self.size)
            .ok_or(OutOfCage(len))?;
        let memfd = memfd(rounded as u64).map_err(|_| OutOfCage(len))?;
        let extent = self
            .lock()
            .take_pages(rounded as u64)
            .ok_or(OutOfCage(len))?;
        let mut block = Block {
            address: self.base() + extent.offset,
            cage: self.clone(),
            extent,
            len,
            memfd: None,
        };
        // SAFETY: the extent consists of whole pages that belong to the block alone.
        unsafe {
            mm::mmap(
                block.pointer().as_ptr().cast(),
                rounded,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::FIXED,
                memfd.as_fd(),
                0,
            )
        }
        .map_err(|_| OutOfCage(len))?;
        block.memfd = Some(memfd);
        Ok(block)
    }

    /// Bytes that are allocated now, rounded as the allocator rounds.
    pub fn allocated(&self) -> u64 {
        self.lock().allocated()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Space> {
        // The allocator's state is consistent between its methods, none of which panics midway.
        self.space.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, extent: Extent, shared: bool) {
        let mut extent = extent;
        // Small pieces stay; whole pages return to the system. Should that fail, the pages remain
        // what they are, harmless and dirty; a file's pages cannot be used again then.
        if extent.pages {
            // SAFETY: the pages belong to the extent whose owner is being dropped; they stay mapped
            // readable and writable throughout, since the new mapping replaces the old at once.
            let fresh = unsafe {
                mm::mmap_anonymous(
                    (self.base + extent.offset as usize) as *mut c_void,
                    extent.len as usize,
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED,
                )
            };
            extent.dirty = fresh.is_err();
            if extent.dirty && shared {
                return;
            }
        }
        self.lock().put(extent);
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        // SAFETY: blocks hold the cage, so nobody uses the region any more.
        unsafe {
            let _ = mm::munmap(self.reserved.0 as *mut c_void, self.reserved.1);
        }
    }
}

impl std::fmt::Debug for Cage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cage")
            .field("base", &(self.base as *const u8))
            .field("size", &self.size)
            .finish()
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn memfd(len: u64) -> rustix::io::Result<OwnedFd> {
    use rustix::fs::MemfdFlags;
    let fd =
        rustix::fs::memfd_create("panal-map", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    rustix::fs::ftruncate(&fd, len)?;
    Ok(fd)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn memfd(_len: u64) -> rustix::io::Result<OwnedFd> {
    Err(rustix::io::Errno::NOSYS)
}

/// Memory in the cage, zeroed when it was allocated; given back when dropped.
pub struct Block {
    /// Of the first byte: at hand, for those who ask often.
    address: u64,
    cage: Arc<Cage>,
    extent: Extent,
    len: usize,
    memfd: Option<OwnedFd>,
}

impl Block {
    /// Has the system make the memory of the first bytes ready, where it can: whoever writes it first
    /// need not wait for that. The block begins at a page.
    pub(crate) fn populate(&self, bytes: usize) {
        #[cfg(target_os = "linux")]
        // SAFETY: memory of this block, which is mapped as long as it lives; what it holds does not
        // change.
        let _ = unsafe {
            mm::madvise(
                self.pointer().as_ptr().cast(),
                bytes.min(self.len()),
                mm::Advice::LinuxPopulateWrite,
            )
        };
        #[cfg(not(target_os = "linux"))]
        let _ = bytes;
    }

    /// Address of the first byte.
    #[inline]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The first byte. Programs and other threads may write at any time: see [`crate::bytes`].
    #[inline]
    pub fn pointer(&self) -> NonNull<u8> {
        // SAFETY: inside the cage, hence not null.
        unsafe { NonNull::new_unchecked(self.address() as *mut u8) }
    }

    /// Bytes asked for.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no bytes were asked for.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The file behind shared memory.
    pub fn memfd(&self) -> Option<BorrowedFd<'_>> {
        self.memfd.as_ref().map(AsFd::as_fd)
    }

    /// The cage that it lies in.
    pub fn cage(&self) -> &Arc<Cage> {
        &self.cage
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.cage.give_back(self.extent, self.memfd.is_some());
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Block({:#x}, {} bytes)", self.address(), self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cage_is_aligned_and_every_byte_is_usable() {
        let cage = Cage::new(1 << 26).unwrap();
        assert_eq!(cage.base() % (1 << 26), 0);
        let guard = GUARD as i64;
        for offset in [
            0,
            4095,
            1 << 20,
            (1 << 26) - 1,
            -guard,
            (1 << 26) + guard - 1,
        ] {
            let p = cage.base().wrapping_add_signed(offset) as *mut u8;
            // SAFETY: inside the cage or its guard zones, not allocated to anyone.
            unsafe {
                p.write_volatile(7);
                assert_eq!(p.read_volatile(), 7);
            }
        }
        assert!(cage.contains(cage.base(), 1 << 26));
        assert!(!cage.contains(cage.base(), (1 << 26) + 1));
        assert!(!cage.contains(cage.base() - 1, 1));
        assert!(!cage.contains(cage.base() + 8, u64::MAX));
    }

    #[test]
    fn odd_sizes_are_refused() {
        for size in [0, 3, 4096, (1 << 26) + 1, 1 << 33] {
            assert_eq!(Cage::new(size).unwrap_err(), CageError::Size(size));
        }
    }

    #[test]
    fn reused_memory_is_zero_again() {
        let cage = Cage::new(1 << 24).unwrap();
        for len in [8usize, 100, 5000, 100_000] {
            for _ in 0..3 {
                let block = cage.allocate(len, 8).unwrap();
                // SAFETY: the block is ours.
                unsafe {
                    let bytes = std::slice::from_raw_parts_mut(block.pointer().as_ptr(), len);
                    assert!(bytes.iter().all(|&b| b == 0), "{len}");
                    bytes.fill(0xaa);
                }
            }
        }
        assert_eq!(cage.allocated(), 0);
    }

    #[test]
    fn shared_memory_is_the_file() {
        let cage = Cage::new(1 << 24).unwrap();
        let Ok(block) = cage.allocate_shared(5000) else {
            eprintln!("skipped: no memfd on this system");
            return;
        };
        // SAFETY: the block is ours.
        unsafe { block.pointer().as_ptr().write(42) };
        let mut byte = [0u8];
        rustix::io::pread(block.memfd().unwrap(), &mut byte, 0).unwrap();
        assert_eq!(byte, [42]);
        let (address, len) = (block.address(), block.len());
        drop(block);
        // SAFETY: still inside the cage, which stays mapped.
        let byte = unsafe { (address as *const u8).read_volatile() };
        assert_eq!(byte, 0, "{len}");
    }

    #[test]
    fn exhaustion_is_an_error_and_heals() {
        let cage = Cage::new(1 << 20).unwrap();
        assert_eq!(cage.allocate(2 << 20, 8).unwrap_err(), OutOfCage(2 << 20));
        let mut blocks = Vec::new();
        while let Ok(b) = cage.allocate(20_000, 8) {
            blocks.push(b);
        }
        assert!(blocks.len() > 40);
        blocks.clear();
        assert!(cage.allocate(900_000, 8).is_ok());
    }
}
