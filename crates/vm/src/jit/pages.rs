//! Executable memory: written once, then sealed. Never writable and executable at once.
//!
//! Programs leave pages, wiped and writable, for the next ones ([`Spare`]): asking the system for some, and
//! its zeroing them, takes longer than compiling a small program. Spare pages lie between pages that
//! nobody may touch: beside others, the system would have to cut areas of memory in two, and to join them,
//! each time that it changes what may be done with them. Nothing is shared with another process, so
//! that a fork's code is its own.

use core::{
    fmt,
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering},
};

use system::{map, map_guarded, seal, unmap, unseal};

/// Pages of machine code.
#[derive(Debug)]
pub struct Pages {
    address: NonNull<u8>,
    mapped: usize,
    /// Where in them the code begins, and how long it is.
    start: usize,
    len: usize,
    /// Whether they lie between pages that nobody may touch.
    guarded: bool,
}

// SAFETY: sealed pages are never written again; reading and running them from any thread is fine.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

/// The system call that failed, with its errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagesError {
    call: &'static str,
    errno: i32,
}

impl fmt::Display for PagesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed with errno {}", self.call, self.errno)
    }
}

const PAGE: usize = 4096;
/// What code is aligned to within its pages: its own parts are not aligned to more.
pub const ALIGNMENT: usize = 16;

impl Pages {
    /// Copies code into pages and makes them executable. `chance` says where in the room that it leaves it
    /// begins, at a multiple of [`ALIGNMENT`].
    pub fn new(code: &[u8], chance: u64) -> Result<Self, PagesError> {
        let mut pages = Self::writable(code.len())?;
        let places = (pages.mapped - code.len()) / ALIGNMENT + 1;
        let start = (chance % places as u64) as usize * ALIGNMENT;
        // SAFETY: the mapping is ours and writable; the code fits into it from its start on.
        unsafe {
            let at = pages.address.as_ptr().add(start);
            ptr::copy_nonoverlapping(code.as_ptr(), at, code.len());
            pages.start = start;
            pages.len = code.len();
            if !pages.guarded {
                // Spare ones have traps everywhere.
                ptr::write_bytes(pages.address.as_ptr(), TRAP, start);
                let end = start + code.len();
                ptr::write_bytes(at.add(code.len()), TRAP, pages.mapped - end);
            }
            flush(pages.address, pages.mapped);
            seal(pages.address, pages.mapped)?;
        }
        Ok(pages)
    }

    /// Writable pages for so many bytes. Spare ones are full of traps.
    fn writable(bytes: usize) -> Result<Self, PagesError> {
        let mapped = bytes.max(1).next_multiple_of(PAGE);
        let spare = Class::of(mapped).and_then(|class| SPARE.take(class));
        let address = match spare {
            Some(address) => address,
            None => map(mapped)?,
        };
        Ok(Pages {
            address,
            mapped,
            start: 0,
            len: 0,
            guarded: spare.is_some(),
        })
    }

    /// Address of a byte of the code.
    pub fn address(&self, offset: usize) -> *const u8 {
        debug_assert!(offset < self.len);
        self.address.as_ptr().wrapping_add(self.start + offset)
    }

    /// The code.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the pages are mapped, readable and unchanging as long as `self` lives, and hold
        // at least `len` bytes.
        unsafe { core::slice::from_raw_parts(self.address(0), self.len) }
    }

    /// Bytes of code.
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let room = Class::of(self.mapped).filter(|class| SPARE.has_room(*class));
        // SAFETY: the mapping is ours; nobody runs the code of an executable that is dropped.
        unsafe {
            if !self.guarded {
                unmap(self.address, self.mapped);
                if let Some(class) = room {
                    SPARE.add(class);
                }
            } else if let Some(class) = room
                && unseal(self.address, self.mapped).is_ok()
            {
                ptr::write_bytes(self.address.as_ptr().add(self.start), TRAP, self.len);
                SPARE.give(class, self.address);
            } else {
                unmap_guarded(self.address, self.mapped);
            }
        }
    }
}

/// What is no code.
const TRAP: u8 = 0xcc;

/// Sizes that are kept: one page less than it says.
#[derive(Clone, Copy, Debug)]
struct Class(usize);

impl Class {
    const COUNT: usize = 8;

    /// What so many bytes fit in.
    fn of(bytes: usize) -> Option<Class> {
        let class = bytes.saturating_sub(1) / PAGE;
        (class < Self::COUNT).then_some(Class(class))
    }

    /// Bytes of such pages.
    fn bytes(self) -> usize {
        (self.0 + 1) * PAGE
    }
}

/// How many of a size are kept: 576 KiB of all sizes at most.
const KEPT: usize = 4;

/// Most pages between others that there are at once: each has two of the 65,530 areas that Linux gives a
/// process (`vm.max_map_count`).
const GUARDED_MOST: usize = 1024;

/// How many there are, spare ones too.
static GUARDED: AtomicUsize = AtomicUsize::new(0);

/// Pages that nobody uses: writable, full of traps, guarded. Null where there are none.
struct Spare([[AtomicPtr<u8>; KEPT]; Class::COUNT]);

static SPARE: Spare =
    Spare([const { [const { AtomicPtr::new(ptr::null_mut()) }; KEPT] }; Class::COUNT]);

impl Spare {
    fn take(&self, class: Class) -> Option<NonNull<u8>> {
        self.0[class.0].iter().find_map(|place| {
            // Others' writes to the pages are seen with their address.
            match place.load(Ordering::Relaxed).is_null() {
                true => None,
                false => NonNull::new(place.swap(ptr::null_mut(), Ordering::Acquire)),
            }
        })
    }

    fn has_room(&self, class: Class) -> bool {
        let mut places = self.0[class.0].iter();
        places.any(|place| place.load(Ordering::Relaxed).is_null())
    }

    /// Keeps pages that are wiped, where there is still room.
    ///
    /// # Safety
    /// They are guarded and of this class; nobody uses them any more.
    unsafe fn give(&self, class: Class, pages: NonNull<u8>) {
        let (null, address) = (ptr::null_mut(), pages.as_ptr());
        let given = self.0[class.0].iter().any(|place| {
            let given = place.compare_exchange(null, address, Ordering::Release, Ordering::Relaxed);
            given.is_ok()
        });
        if !given {
            // SAFETY: the caller's promise.
            unsafe { unmap_guarded(pages, class.bytes()) };
        }
    }

    /// Keeps new pages. Where the system has none, there are none.
    fn add(&self, class: Class) {
        if GUARDED.fetch_add(1, Ordering::Relaxed) < GUARDED_MOST
            && let Ok(pages) = map_guarded(class.bytes())
        {
            // SAFETY: the mapping is new and writable.
            unsafe {
                ptr::write_bytes(pages.as_ptr(), TRAP, class.bytes());
                self.give(class, pages);
            }
        } else {
            GUARDED.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Gives back pages with those around them.
///
/// # Safety
/// They are guarded, and nobody uses them any more.
unsafe fn unmap_guarded(pages: NonNull<u8>, len: usize) {
    // SAFETY: the caller's promise: all was mapped in one.
    unsafe {
        let around = NonNull::new_unchecked(pages.as_ptr().wrapping_sub(PAGE));
        unmap(around, len + 2 * PAGE);
    }
    GUARDED.fetch_sub(1, Ordering::Relaxed);
}

/// Makes what was written visible to the fetching of instructions: x86-64 sees to that by itself.
///
/// # Safety
/// The bytes are mapped.
#[cfg(not(target_arch = "aarch64"))]
unsafe fn flush(_: NonNull<u8>, _: usize) {}

/// Makes what was written visible to the fetching of instructions (Arm ARM B2.4.4): data out to
/// where both caches meet, then the instruction cache's lines away.
///
/// # Safety
/// The bytes are mapped.
#[cfg(target_arch = "aarch64")]
unsafe fn flush(start: NonNull<u8>, len: usize) {
    use core::arch::asm;
    let sizes: u64;
    // SAFETY: reads a register that user space may read.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) sizes, options(nomem, nostack)) };
    let line = |shift: u32| 4usize << (sizes >> shift & 15);
    let first = start.as_ptr() as usize;
    let lines = |size: usize| (first & !(size - 1)..first + len).step_by(size);
    // SAFETY: maintenance of mapped bytes' lines changes no memory.
    unsafe {
        for at in lines(line(16)) {
            asm!("dc cvau, {}", in(reg) at, options(nostack));
        }
        asm!("dsb ish", options(nostack));
        for at in lines(line(0)) {
            asm!("ic ivau, {}", in(reg) at, options(nostack));
        }
        asm!("dsb ish", "isb", options(nostack));
    }
}

#[cfg(unix)]
mod system {
    //! Memory from the system.

    use core::ptr::NonNull;

    use rustix::{
        io::Errno,
        mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap},
    };

    use super::{PAGE, PagesError};

    fn error(call: &'static str) -> impl Fn(Errno) -> PagesError {
        move |errno| PagesError {
            call,
            errno: errno.raw_os_error(),
        }
    }

    /// Memory to be written.
    pub fn map(len: usize) -> Result<NonNull<u8>, PagesError> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the system chooses.
        let address = unsafe {
            mmap_anonymous(
                core::ptr::null_mut(),
                len,
                protection,
                MapFlags::PRIVATE | AT_ONCE,
            )
        };
        NonNull::new(address.map_err(error("mmap"))?.cast()).ok_or(NOWHERE)
    }

    /// The same between two pages that nobody may touch.
    pub fn map_guarded(len: usize) -> Result<NonNull<u8>, PagesError> {
        let nowhere = core::ptr::null_mut();
        let around = len + 2 * PAGE;
        // SAFETY: a new mapping at an address that the system chooses.
        let start =
            unsafe { mmap_anonymous(nowhere, around, ProtFlags::empty(), MapFlags::PRIVATE) }
                .map_err(error("mmap"))?;
        let inside = start.cast::<u8>().wrapping_add(PAGE);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | AT_ONCE;
        // SAFETY: it replaces the middle of what was just mapped, which nobody knows of yet.
        let mapped = unsafe { mmap_anonymous(inside.cast(), len, protection, flags) };
        match (mapped, NonNull::new(inside)) {
            (Ok(_), Some(inside)) => Ok(inside),
            (failed, _) => {
                // SAFETY: as above.
                let _ = unsafe { munmap(start, around) };
                Err(failed.map_or_else(error("mmap"), |_| NOWHERE))
            }
        }
    }

    /// All of it is written at once: one call for all pages, not a fault for each.
    #[cfg(target_os = "linux")]
    const AT_ONCE: MapFlags = MapFlags::POPULATE;
    #[cfg(not(target_os = "linux"))]
    const AT_ONCE: MapFlags = MapFlags::empty();

    /// What is no place for anything.
    const NOWHERE: PagesError = PagesError {
        call: "mmap",
        errno: 0,
    };

    /// Makes it executable, and no longer writable.
    ///
    /// # Safety
    /// `start` is what [`map`] or [`map_guarded`] gave for this length; nobody writes to it any more.
    pub unsafe fn seal(start: NonNull<u8>, len: usize) -> Result<(), PagesError> {
        let flags = MprotectFlags::READ | MprotectFlags::EXEC;
        // SAFETY: the caller's promise.
        unsafe { mprotect(start.as_ptr().cast(), len, flags) }.map_err(error("mprotect"))
    }

    /// Makes it writable again, and no longer executable.
    ///
    /// # Safety
    /// `start` is what [`map`] or [`map_guarded`] gave for this length; nobody runs it any more.
    pub unsafe fn unseal(start: NonNull<u8>, len: usize) -> Result<(), PagesError> {
        let flags = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: the caller's promise.
        unsafe { mprotect(start.as_ptr().cast(), len, flags) }.map_err(error("mprotect"))
    }

    /// Gives it back.
    ///
    /// # Safety
    /// It was mapped here, all of it, and nobody uses it any more.
    pub unsafe fn unmap(start: NonNull<u8>, len: usize) {
        // SAFETY: the caller's promise.
        let _ = unsafe { munmap(start.as_ptr().cast(), len) };
    }
}

#[cfg(not(unix))]
mod system {
    //! No memory from a system that has no such calls.

    use core::ptr::NonNull;

    use super::PagesError;

    pub fn map(_: usize) -> Result<NonNull<u8>, PagesError> {
        Err(PagesError {
            call: "mmap",
            errno: 0,
        })
    }

    pub fn map_guarded(len: usize) -> Result<NonNull<u8>, PagesError> {
        map(len)
    }

    pub unsafe fn seal(_: NonNull<u8>, _: usize) -> Result<(), PagesError> {
        Ok(())
    }

    pub unsafe fn unseal(_: NonNull<u8>, _: usize) -> Result<(), PagesError> {
        Ok(())
    }

    pub unsafe fn unmap(_: NonNull<u8>, _: usize) {}
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_program_that_is_gone_have_nothing_of_it() {
        for round in 0..2 * KEPT {
            drop(Pages::new(&[0x90; 4000], round as u64).unwrap());
            let pages = Pages::new(&[0xc3], round as u64 / 2).unwrap();
            // SAFETY: the whole page is mapped and readable.
            let page = unsafe { core::slice::from_raw_parts(pages.address.as_ptr(), PAGE) };
            assert_eq!(page[ALIGNMENT * (round / 2)], 0xc3);
            assert_eq!(pages.bytes(), [0xc3]);
            let traps = page.iter().filter(|byte| **byte == TRAP);
            assert_eq!(traps.count(), PAGE - 1, "{round}");
        }
    }

    #[test]
    fn code_fits_wherever_chance_puts_it() {
        for len in [1, PAGE - 16, PAGE - 15, PAGE, PAGE + 1, 2 * PAGE] {
            let code = alloc::vec![0x90; len];
            for chance in [0, 1, 254, 255, 256, u64::MAX] {
                let pages = Pages::new(&code, chance).unwrap();
                assert_eq!(pages.bytes(), code);
                assert!(pages.start.is_multiple_of(ALIGNMENT));
                assert_eq!(pages.mapped, len.next_multiple_of(PAGE));
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn spare_pages_are_areas_of_their_own_sealed_or_not() {
        extern crate std;
        // No other test has code of this size.
        const LEN: usize = Class::COUNT * PAGE;
        for _ in 0..2 * KEPT {
            drop([Pages::new(&[0xc3; LEN], 0), Pages::new(&[0xc3; LEN], 0)]);
        }
        let pages = Pages::new(&[0xc3; LEN], 0).unwrap();
        assert!(pages.guarded);
        let start = pages.address(0) as usize;
        let is_area = |protection: &str| {
            let area = std::format!("{start:x}-{:x} {protection} ", start + LEN);
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            assert!(maps.contains(&area), "{area}: {maps}");
        };
        is_area("r-xp");
        drop(pages);
        is_area("rw-p");
    }
}
