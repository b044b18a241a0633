//! `BPF_MAP_TYPE_ARENA`: memory that programs take in pages and hold pointers into, which mean the
//! same to user space.
//!
//! A pointer's low half is a place in the arena. Every access looks its page up: pages that are not
//! allocated read as zero, and what is stored there is lost, as on Linux, where such accesses fault
//! and are made up for. Pages lie in the cage, in pieces that are taken when they are needed: all of
//! a small arena is one piece, which user space can map.

use std::{
    any::Any,
    os::fd::BorrowedFd,
    ptr::NonNull,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use panal_uapi::{Errno, kernel::MapFlags};

use crate::{
    Block, CreateError, Map, MapBase, MapDef, MapHost, bytes, free_pages::FreePages,
    map::in_element, zeroed::zeroed,
};

/// Bytes of a page of an arena, whatever the host's are.
pub const PAGE: u64 = 4096;

/// Most pages: what a pointer's low half can tell apart.
const PAGES_MOST: u64 = (1 << 32) / PAGE;
/// Pages of an arena that is one piece.
const WHOLE_MOST: u32 = 4096;
/// Pages of a piece of a larger one.
const PIECE: u32 = 512;

/// The page may be accessed.
const ALLOCATED: u64 = 1;
/// The page was used before: it is cleared when it is allocated again.
const USED: u64 = 2;
const FLAGS: u64 = PAGE - 1;

/// Where user space sees an arena that did not say where: one after another, far from everything.
const USER_FIRST: u64 = 1 << 44;

/// An arena.
pub struct Arena {
    base: MapBase,
    host: MapHost,
    user_base: u64,
    /// Address and flags of each page; 0 for one that never was.
    table: Box<[AtomicU64]>,
    pieces: Box<[OnceLock<Block>]>,
    piece_pages: u32,
    free: Mutex<FreePages>,
    /// What is read where nothing is: eight zeros that nobody writes.
    zeros: Block,
    /// Where stores to nothing go.
    sink: Block,
}

impl Arena {
    /// Creates one (`arena_map_alloc`).
    pub fn new(host: &MapHost, def: &MapDef) -> Result<Arena, CreateError> {
        check(def)?;
        let pages = def.max_entries;
        let piece_pages = if pages <= WHOLE_MOST { pages } else { PIECE };
        let pieces: Box<[OnceLock<Block>]> = (0..pages.div_ceil(piece_pages))
            .map(|_| OnceLock::new())
            .collect();
        if let [whole] = &*pieces {
            let len = (u64::from(pages) * PAGE) as usize;
            // Without a file it works all the same, but nobody can map it.
            if let Ok(block) = host.cage.allocate_shared(len) {
                let _ = whole.set(block);
            }
        }
        Ok(Arena {
            base: MapBase::new(def.clone()),
            user_base: match def.extra {
                0 => next_user_base(),
                given => given,
            },
            table: zeroed(pages as usize).ok_or_else(CreateError::no_memory)?,
            pieces,
            piece_pages,
            free: Mutex::new(FreePages::new(pages)),
            zeros: host.cage.allocate(8, 8)?,
            sink: host.cage.allocate(8, 8)?,
            host: host.clone(),
        })
    }

    /// The address that user space knows it by.
    pub fn user_base(&self) -> u64 {
        self.user_base
    }

    fn pages(&self) -> u32 {
        self.base.def().max_entries
    }

    /// The page that a pointer's low half leads to; beyond the last for what lies outside.
    fn page_of(&self, pointer: u64) -> u32 {
        (pointer as u32).wrapping_sub(self.user_base as u32) / PAGE as u32
    }

    fn pointer_to(&self, page: u32) -> u64 {
        let low = (self.user_base as u32).wrapping_add(page.wrapping_mul(PAGE as u32));
        self.user_base >> 32 << 32 | u64::from(low)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, FreePages> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `bpf_arena_alloc_pages`: a pointer to so many pages, at `pointer` unless that is 0. `None`
    /// when there is no room.
    pub fn allocate(&self, pointer: u64, count: u32) -> Option<u64> {
        let most = self.pages();
        if count == 0 || count > most {
            return None;
        }
        let mut free = self.lock();
        let first = if pointer == 0 {
            free.find(count)?
        } else {
            let first = self.page_of(pointer);
            if !pointer.is_multiple_of(PAGE) || first > most - count {
                return None;
            }
            free.holds(first, count).then_some(first)?
        };
        self.make(first, count).ok()?;
        free.take(first, count);
        Some(self.pointer_to(first))
    }

    /// `bpf_arena_reserve_pages`: so many pages are kept from being given away, and not allocated.
    pub fn reserve(&self, pointer: u64, count: u32) -> Result<(), Errno> {
        if count == 0 {
            return Ok(());
        }
        let first = self.page_of(pointer);
        if first
            .checked_add(count)
            .is_none_or(|end| end > self.pages())
        {
            return Err(Errno::EINVAL);
        }
        let mut free = self.lock();
        if !free.holds(first, count) {
            return Err(Errno::EBUSY);
        }
        free.take(first, count);
        Ok(())
    }

    /// `bpf_arena_free_pages`: so many pages from that which a pointer leads to, as far as there are
    /// so many.
    pub fn free(&self, pointer: u64, count: u32) {
        let first = self.page_of(pointer);
        let count = count.min(self.pages().saturating_sub(first));
        if count == 0 {
            return;
        }
        let mut free = self.lock();
        for page in first..first + count {
            if let Some(entry) = self.table.get(page as usize) {
                entry.fetch_and(!ALLOCATED, Ordering::AcqRel);
            }
        }
        free.give(first, count);
    }

    /// Writes bytes as user space does, `offset` bytes from the start: pages come to be where it
    /// touches them.
    pub fn write(&self, offset: u64, from: &[u8]) -> Result<(), Errno> {
        let end = offset.checked_add(from.len() as u64);
        let end = end.filter(|end| *end <= u64::from(self.pages()) * PAGE);
        let end = end.ok_or(Errno::EFAULT)?;
        let mut rest = from;
        for page in (offset / PAGE) as u32..end.div_ceil(PAGE) as u32 {
            let start = (offset.max(u64::from(page) * PAGE)) % PAGE;
            let (part, after) = rest.split_at(rest.len().min((PAGE - start) as usize));
            let mut free = self.lock();
            if free.holds(page, 1) {
                self.make(page, 1)?;
                free.take(page, 1);
            }
            drop(free);
            let entry = self.table.get(page as usize).ok_or(Errno::EFAULT)?;
            let entry = entry.load(Ordering::Acquire);
            if entry & ALLOCATED == 0 {
                return Err(Errno::EFAULT);
            }
            let at = (entry & !FLAGS) + start;
            // SAFETY: inside a page of the arena's, which stays mapped while the arena lives.
            unsafe { bytes::write(NonNull::new_unchecked(at as *mut u8), part) };
            rest = after;
        }
        Ok(())
    }

    /// Makes pages accessible, and zero. The caller holds the lock.
    fn make(&self, first: u32, count: u32) -> Result<(), Errno> {
        // All pieces first: nothing is half done where one is missing.
        for piece in first / self.piece_pages..=(first + count - 1) / self.piece_pages {
            self.piece(piece)?;
        }
        for page in first..first + count {
            let (piece, within) = (page / self.piece_pages, page % self.piece_pages);
            let address = self.piece(piece)?.address() + u64::from(within) * PAGE;
            let Some(entry) = self.table.get(page as usize) else {
                return Err(Errno::ENOMEM);
            };
            if entry.load(Ordering::Acquire) & USED != 0 {
                // SAFETY: a page of the arena's own memory.
                unsafe {
                    bytes::zero(NonNull::new_unchecked(address as *mut u8), PAGE as usize);
                }
            }
            entry.store(address | ALLOCATED | USED, Ordering::Release);
        }
        Ok(())
    }

    fn piece(&self, index: u32) -> Result<&Block, Errno> {
        let place = self.pieces.get(index as usize).ok_or(Errno::ENOMEM)?;
        if let Some(block) = place.get() {
            return Ok(block);
        }
        let len = (u64::from(self.piece_pages) * PAGE) as usize;
        let cage = &self.host.cage;
        let block = cage.allocate(len, cage.page_size());
        let block = block.map_err(|_| Errno::ENOMEM)?;
        Ok(place.get_or_init(|| block))
    }

    /// Address in the cage at which an access of up to eight bytes is made, `offset` bytes from where
    /// a pointer's low half leads: that of the memory where all of it is allocated, of zeros or a
    /// sink otherwise.
    pub fn place(&self, pointer: u64, offset: i64, len: u64, write: bool) -> u64 {
        let start = i64::from(self.user_base as u32);
        let at = i64::from(pointer as u32).wrapping_add(offset);
        // What lies before the arena is beyond any page, too.
        let at = at.wrapping_sub(start) as u64;
        let (page, within) = (at / PAGE, at % PAGE);
        let entry = |page: u64| {
            let entry = self.table.get(usize::try_from(page).ok()?)?;
            let entry = entry.load(Ordering::Acquire);
            (entry & ALLOCATED != 0).then_some(entry & !FLAGS)
        };
        let found = entry(page).filter(|address| {
            // The access may run on into the next page, which must follow in the cage, too.
            within + len <= PAGE || entry(page + 1) == Some(address + PAGE)
        });
        match found {
            Some(address) => address + within,
            None if write => {
                // SAFETY: the block's eight bytes; what is left of an earlier store is nobody's.
                unsafe { bytes::zero(self.sink.pointer(), 8) };
                self.sink.address()
            }
            None => self.zeros.address(),
        }
    }
}

fn next_user_base() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Each begins a range of 4 GiB, which no arena crosses.
    let turn = NEXT.fetch_add(1, Ordering::Relaxed) % (1 << 14);
    USER_FIRST + (turn << 32)
}

fn check(def: &MapDef) -> Result<(), CreateError> {
    const SEGV_ON_FAULT: u32 = 1 << 17;
    const NO_USER_CONV: u32 = 1 << 18;
    let known = MapFlags::MMAPABLE.bits() | SEGV_ON_FAULT | NO_USER_CONV;
    if def.key_size != 0 || def.value_size != 0 || def.max_entries == 0 {
        return Err(CreateError::invalid(
            "an arena has neither keys nor values, and pages as entries",
        ));
    }
    if def.flags.bits() & !known != 0 || !def.flags.contains(MapFlags::MMAPABLE) {
        return Err(CreateError::invalid(
            "an arena has BPF_F_MMAPABLE, and may have BPF_F_SEGV_ON_FAULT and BPF_F_NO_USER_CONV",
        ));
    }
    if !def.extra.is_multiple_of(PAGE) {
        return Err(CreateError::invalid(
            "map_extra of an arena: an address of a page",
        ));
    }
    let pages = u64::from(def.max_entries);
    if pages > PAGES_MOST {
        return Err(CreateError::new(
            Errno::E2BIG,
            format!("an arena of {pages} pages: {PAGES_MOST} are the most"),
        ));
    }
    if def.extra >> 32 != def.extra.wrapping_add(pages * PAGE - 1) >> 32 {
        return Err(CreateError::new(
            Errno::ERANGE,
            "an arena crosses no boundary of 4 GiB",
        ));
    }
    Ok(())
}

impl Map for Arena {
    fn base(&self) -> &MapBase {
        &self.base
    }

    fn lookup(&self, _key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        None
    }

    fn user_lookup(&self, _key: &[u8], _out: &mut [u8]) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn next_key(&self, _key: Option<&[u8]>, _out: &mut [u8]) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn memfd(&self) -> Option<BorrowedFd<'_>> {
        match &*self.pieces {
            [whole] => whole.get()?.memfd(),
            _ => None,
        }
    }

    fn holds(&self, address: u64, len: u64, write: bool) -> bool {
        let piece = self.piece_pages as u64 * PAGE;
        let within = |block: &Block, size| in_element(block.address(), size, 1, size, address, len);
        within(&self.sink, 8)
            || (!write && within(&self.zeros, 8))
            || self
                .pieces
                .iter()
                .filter_map(OnceLock::get)
                .any(|block| within(block, piece))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory(&self) -> u64 {
        let taken = self.pieces.iter().filter_map(OnceLock::get);
        taken.map(|block| block.len() as u64).sum::<u64>() + 8 * self.table.len() as u64
    }
}
