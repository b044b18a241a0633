//! The memory that both kinds of ring buffers have, in Linux's layout.
//!
//! A page with the consumer's position, a page with the producer's, then twice the data's size: a
//! record that begins before the end of the data runs on linearly into the second half, so that who
//! maps the file reads and writes it linearly too.

use std::{
    os::fd::BorrowedFd,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use panal_uapi::kernel::MapFlags;

use crate::{Block, CreateError, MapDef, MapHost, def::check_flags};

/// `BPF_RINGBUF_BUSY_BIT`: the record is being written.
pub(crate) const BUSY: u32 = 1 << 31;
/// `BPF_RINGBUF_DISCARD_BIT`: the record is to be skipped.
pub(crate) const DISCARD: u32 = 1 << 30;
/// Bytes of a record's header.
pub(crate) const HEADER: u64 = 8;

/// Most bytes of a buffer that are made ready beforehand, in a few milliseconds.
const READY_MOST: usize = 32 << 20;

/// Positions and data of a ring buffer. Programs and user space may write them at any time.
pub(crate) struct RingPages {
    block: Block,
    page: u64,
    size: u64,
}

impl RingPages {
    /// Checks the definition, and makes the memory (`ringbuf_map_alloc`).
    pub fn new(host: &MapHost, def: &MapDef) -> Result<RingPages, CreateError> {
        check_flags(def, MapFlags::NUMA_NODE)?;
        if def.key_size != 0 || def.value_size != 0 {
            return Err(CreateError::invalid(
                "a ring buffer has neither keys nor values",
            ));
        }
        let page = host.cage.page_size() as u64;
        if !def.max_entries.is_power_of_two() || !u64::from(def.max_entries).is_multiple_of(page) {
            return Err(CreateError::invalid(format!(
                "max_entries {} of a ring buffer: it must be a power of two and whole pages of {page}",
                def.max_entries
            )));
        }
        let size = u64::from(def.max_entries);
        let len = usize::try_from(2 * page + 2 * size).map_err(|_| CreateError::no_memory())?;
        let block = match host.cage.allocate_shared(len) {
            Ok(block) => block,
            // Without a file it works all the same, but nobody can map it.
            Err(_) => host.cage.allocate(len, host.cage.page_size())?,
        };
        // As Linux: records should not wait for pages. The second half is written rarely.
        block.populate(READY_MOST.min(len / 2));
        Ok(RingPages { block, page, size })
    }

    /// Address of the first page.
    #[inline(always)]
    pub fn address(&self) -> u64 {
        self.block.address()
    }

    /// Bytes of a page of positions.
    pub fn page(&self) -> u64 {
        self.page
    }

    /// Bytes of data.
    #[inline(always)]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes in all.
    pub fn len(&self) -> u64 {
        self.block.len() as u64
    }

    /// The file behind it.
    pub fn memfd(&self) -> Option<BorrowedFd<'_>> {
        self.block.memfd()
    }

    #[inline(always)]
    fn word(&self, offset: u64) -> &AtomicU64 {
        // SAFETY: callers pass 0 or one page: aligned, inside the block.
        unsafe { AtomicU64::from_ptr(self.block.pointer().add(offset as usize).as_ptr().cast()) }
    }

    /// The consumer's position.
    #[inline(always)]
    pub fn consumer(&self) -> &AtomicU64 {
        self.word(0)
    }

    /// The producer's position.
    #[inline(always)]
    pub fn producer(&self) -> &AtomicU64 {
        self.word(self.page)
    }

    /// The consumer's position, to be compared with what was produced.
    #[inline(always)]
    pub fn consumed(&self) -> u64 {
        self.consumer().load(Ordering::Acquire)
    }

    /// Address of the data.
    #[inline(always)]
    pub fn data(&self) -> u64 {
        self.block.address() + 2 * self.page
    }

    /// Address of the header of the record at a position.
    #[inline(always)]
    fn header_at(&self, position: u64) -> u64 {
        self.data() + (position & (self.size - 1) & !7)
    }

    /// The length word of the record at a position.
    #[inline(always)]
    pub fn header(&self, position: u64) -> &AtomicU32 {
        // SAFETY: a multiple of eight below the data's size, hence inside and aligned.
        unsafe { AtomicU32::from_ptr(self.header_at(position) as *mut u32) }
    }

    /// The word after the length of the record at a position.
    pub fn second_word(&self, position: u64) -> &AtomicU32 {
        // SAFETY: the second half of the header.
        unsafe { AtomicU32::from_ptr((self.header_at(position) + 4) as *mut u32) }
    }

    /// Writes the header of a record that is being written; its address.
    #[inline(always)]
    pub fn begin(&self, position: u64, len: u32) -> u64 {
        let at = self.header_at(position);
        // The page of the header, counted from the buffer's start: as Linux writes it.
        let page = (at - self.address()) >> self.page.ilog2();
        // SAFETY: both words lie in the eight bytes of the header, which is aligned.
        unsafe {
            AtomicU32::from_ptr((at + 4) as *mut u32).store(page as u32, Ordering::Relaxed);
            AtomicU32::from_ptr(at as *mut u32).store(len | BUSY, Ordering::Relaxed);
        }
        at
    }
}

/// Bytes of the record that a header begins, without it.
#[inline(always)]
pub(crate) fn record_len(header: u32) -> u64 {
    u64::from(header & !(BUSY | DISCARD))
}

/// Bytes from a record to the next.
#[inline(always)]
pub(crate) fn step(header: u32) -> u64 {
    (record_len(header) + HEADER).next_multiple_of(8)
}
