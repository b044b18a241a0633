//! `BPF_MAP_TYPE_RINGBUF`: records from programs to user space.

use std::{
    any::Any,
    os::fd::BorrowedFd,
    ptr::{self, NonNull},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use panal_uapi::Errno;

use crate::{
    Cage, CreateError, Map, MapBase, MapDef, MapHost, bytes,
    map::in_element,
    ring_pages::{BUSY, DISCARD, HEADER, RingPages, record_len, step},
    wait::Wait,
    zeroed::zeroed,
};

/// Flags and selectors of the helpers (`bpf.h`).
pub mod flags {
    /// `BPF_RB_NO_WAKEUP`
    pub const NO_WAKEUP: u64 = 1;
    /// `BPF_RB_FORCE_WAKEUP`
    pub const FORCE_WAKEUP: u64 = 2;
    /// `BPF_RB_AVAIL_DATA`
    pub const AVAIL_DATA: u64 = 0;
    /// `BPF_RB_RING_SIZE`
    pub const RING_SIZE: u64 = 1;
    /// `BPF_RB_CONS_POS`
    pub const CONS_POS: u64 = 2;
    /// `BPF_RB_PROD_POS`
    pub const PROD_POS: u64 = 3;
}

/// Longest record (`RINGBUF_MAX_RECORD_SZ`).
const RECORD_MOST: u64 = (u32::MAX / 4) as u64;

/// Called when a consumer should look.
pub type Listener = Arc<dyn Fn() + Send + Sync>;

/// The producer's own positions. Programs could overwrite those in the cage.
#[derive(Default)]
struct Producer {
    /// Where the next record begins; [`LOCKED`] while a thread makes one. Records have headers that
    /// say so before the position shows them, and a thread that was second could not tell when the
    /// first one's header stands: hence a lock, which is taken with the position in one operation.
    position: AtomicU64,
    /// Where the oldest record that is still being written begins, at the latest. Belongs to the
    /// lock's holder.
    pending: AtomicU64,
}

/// Positions are multiples of eight.
const LOCKED: u64 = 1;

impl Producer {
    /// Where the next record begins.
    #[inline]
    fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire) & !LOCKED
    }

    /// Locks; where the next record begins. [`Producer::unlock`] follows.
    #[inline(always)]
    fn lock(&self) -> u64 {
        let mut wait = Wait::default();
        loop {
            let position = self.position.load(Ordering::Relaxed);
            let taken = position & LOCKED == 0
                && self
                    .position
                    .compare_exchange_weak(
                        position,
                        position | LOCKED,
                        Ordering::Acquire,
                        Ordering::Relaxed,
                    )
                    .is_ok();
            if taken {
                return position;
            }
            wait.a_moment();
        }
    }

    /// Unlocks; the next record begins here.
    #[inline(always)]
    fn unlock(&self, position: u64) {
        self.position.store(position, Ordering::Release);
    }
}

/// The part that records lead to.
struct Ring {
    pages: RingPages,
    producer: Producer,
    consumer: Mutex<()>,
    listener: Mutex<Option<Listener>>,
    listening: AtomicU32,
    wakes: Mutex<u64>,
    woken: Condvar,
}

/// A ring buffer.
pub struct RingBuf {
    base: MapBase,
    ring: Arc<Ring>,
    host: MapHost,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RingBuf {
    /// Creates one (`ringbuf_map_alloc`).
    pub fn new(host: &MapHost, def: &MapDef) -> Result<RingBuf, CreateError> {
        let ring = Arc::new(Ring {
            pages: RingPages::new(host, def)?,
            producer: Producer::default(),
            consumer: Mutex::default(),
            listener: Mutex::default(),
            listening: AtomicU32::new(0),
            wakes: Mutex::default(),
            woken: Condvar::new(),
        });
        host.rings.set(&ring, Arc::as_ptr(&ring).cast_mut());
        Ok(RingBuf {
            base: MapBase::new(def.clone()),
            ring,
            host: host.clone(),
        })
    }

    /// `bpf_ringbuf_reserve`: address of `len` bytes to be filled and then submitted or discarded.
    #[inline(always)]
    pub fn reserve(&self, len: u64) -> Option<NonNull<u8>> {
        self.ring.reserve(len)
    }

    /// `bpf_ringbuf_output`: `EAGAIN` when there is no room.
    pub fn output(&self, record: &[u8], flags: u64) -> Result<(), Errno> {
        if flags & !(flags::NO_WAKEUP | flags::FORCE_WAKEUP) != 0 {
            return Err(Errno::EINVAL);
        }
        let at = self
            .ring
            .reserve(record.len() as u64)
            .ok_or(Errno::EAGAIN)?;
        // SAFETY: just reserved with this length.
        unsafe { bytes::write(at, record) };
        self.ring.commit(at.as_ptr() as u64, flags, false);
        Ok(())
    }

    /// [`RingBuf::output`] of a record in the cage.
    ///
    /// # Safety
    /// `len` bytes at `record` are mapped readable.
    #[inline(always)]
    pub unsafe fn output_from(
        &self,
        record: NonNull<u8>,
        len: u32,
        flags: u64,
    ) -> Result<(), Errno> {
        if flags & !(flags::NO_WAKEUP | flags::FORCE_WAKEUP) != 0 {
            return Err(Errno::EINVAL);
        }
        let at = self.ring.reserve(len.into()).ok_or(Errno::EAGAIN)?;
        // SAFETY: the caller's promise, and just reserved with this length.
        unsafe { bytes::copy(record, at, len as usize) };
        self.ring.finish(at.as_ptr() as u64 - HEADER, flags, false);
        Ok(())
    }

    /// `bpf_ringbuf_query`: 0 for an unknown selector.
    pub fn query(&self, selector: u64) -> u64 {
        let ring = &self.ring;
        match selector {
            flags::AVAIL_DATA => ring
                .producer
                .position()
                .saturating_sub(ring.pages.consumed()),
            flags::RING_SIZE => ring.pages.size(),
            flags::CONS_POS => ring.pages.consumed(),
            flags::PROD_POS => ring.producer.position(),
            _ => 0,
        }
    }

    /// Hands every finished record to `sink`, in order; how many there were. One consumer at a
    /// time.
    pub fn consume(&self, sink: &mut dyn FnMut(&[u8])) -> usize {
        self.ring.consume(sink)
    }

    /// Sets who is called when a consumer should look.
    pub fn set_listener(&self, listener: Option<Listener>) {
        let count = u32::from(listener.is_some());
        *lock(&self.ring.listener) = listener;
        self.ring.listening.store(count, Ordering::Release);
    }

    /// Waits for the next wake-up; false when the time is over first.
    pub fn wait(&self, timeout: Duration) -> bool {
        let ring = &self.ring;
        let wakes = lock(&ring.wakes);
        let before = *wakes;
        if ring.finished(ring.pages.consumed()) {
            return true;
        }
        let result = ring
            .woken
            .wait_timeout_while(wakes, timeout, |now| *now == before);
        !result.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Ring {
    #[inline(always)]
    fn reserve(&self, len: u64) -> Option<NonNull<u8>> {
        if len > RECORD_MOST {
            return None;
        }
        let whole = (len + HEADER).next_multiple_of(8);
        let most = self.pages.size() - 1;
        let position = self.producer.lock();
        let end = position + whole;
        let pending = self.pending(position, 2);
        let fits = end.wrapping_sub(self.pages.consumed()) <= most
            && (end - pending <= most || self.fits_behind_pending(position, end));
        if !fits {
            self.producer.unlock(position);
            return None;
        }
        let at = self.pages.begin(position, len as u32);
        self.pages.producer().store(end, Ordering::Release);
        self.producer.unlock(end);
        NonNull::new((at + HEADER) as *mut u8)
    }

    /// Where the oldest record begins that is still being written, as far as looking at so many
    /// records tells: what is finished does not hold others up any more. Every record is passed
    /// once, and each that is made passes two. Under the producer's lock.
    #[inline(always)]
    fn pending(&self, position: u64, records: u32) -> u64 {
        let before = self.producer.pending.load(Ordering::Relaxed);
        let mut pending = before;
        for _ in 0..records {
            if pending >= position {
                break;
            }
            let header = self.pages.header(pending).load(Ordering::Acquire);
            if header & BUSY != 0 {
                break;
            }
            pending += step(header);
        }
        // A program that broke out of its bounds may have written any length.
        let pending = pending.min(position);
        if pending != before {
            self.producer.pending.store(pending, Ordering::Relaxed);
        }
        pending
    }

    #[cold]
    fn fits_behind_pending(&self, position: u64, end: u64) -> bool {
        end - self.pending(position, u32::MAX) < self.pages.size()
    }

    /// Finishes the record whose bytes begin at `address`; false if there is none being written.
    #[inline(always)]
    fn commit(&self, address: u64, flags: u64, discard: bool) -> bool {
        let Some(position) = address.checked_sub(self.pages.data() + HEADER) else {
            return false;
        };
        if position >= self.pages.size() || !position.is_multiple_of(8) {
            return false;
        }
        let busy = self.pages.header(position).load(Ordering::Relaxed) & BUSY != 0;
        if busy {
            self.finish(address - HEADER, flags, discard);
        }
        busy
    }

    /// Finishes the record whose header, in the first half of the data, is at this address.
    #[inline(always)]
    fn finish(&self, header_at: u64, flags: u64, discard: bool) {
        let position = header_at - self.pages.data();
        let header = self.pages.header(position);
        let old = header.load(Ordering::Relaxed);
        let mark = if discard { DISCARD } else { 0 };
        let new = old & !BUSY | mark;
        if flags & (flags::NO_WAKEUP | flags::FORCE_WAKEUP) != 0 {
            // Nothing depends on where the consumer is.
            header.store(new, Ordering::Release);
            if flags & flags::FORCE_WAKEUP != 0 {
                self.wake();
            }
            return;
        }
        // The consumer writes its position and then looks at the header: one of both sees the other.
        header.swap(new, Ordering::SeqCst);
        if self.pages.consumed() & (self.pages.size() - 1) == position {
            self.wake();
        }
    }

    #[cold]
    #[inline(never)]
    fn wake(&self) {
        *lock(&self.wakes) += 1;
        self.woken.notify_all();
        if self.listening.load(Ordering::Acquire) != 0 {
            let listener = lock(&self.listener).clone();
            if let Some(listener) = listener {
                listener();
            }
        }
    }

    /// Whether a finished record stands at this position.
    fn finished(&self, position: u64) -> bool {
        let produced = self.pages.producer().load(Ordering::Acquire);
        position < produced && self.pages.header(position).load(Ordering::Acquire) & BUSY == 0
    }

    /// Whether an access lies in a record that is being written.
    fn holds(&self, address: u64, len: u64) -> bool {
        let end = self.producer.lock();
        let mut position = self.producer.pending.load(Ordering::Relaxed);
        let mut found = false;
        while position < end && !found {
            let header = self.pages.header(position);
            let word = header.load(Ordering::Acquire);
            let (base, size) = (header.as_ptr() as u64 + HEADER, record_len(word));
            found = word & BUSY != 0 && in_element(base, size.max(1), 1, size, address, len);
            position += step(word);
        }
        self.producer.unlock(end);
        found
    }

    fn consume(&self, sink: &mut dyn FnMut(&[u8])) -> usize {
        let _one = lock(&self.consumer);
        let mut position = self.pages.consumed();
        let mut count = 0;
        let mut record = Vec::new();
        // Positions beyond what was written can only come from a program that broke out of its
        // bounds: nothing is to be had then.
        while position < self.producer.position() {
            let header = self.pages.header(position);
            let word = header.load(Ordering::Acquire);
            if word & BUSY != 0 {
                break;
            }
            let len = (u64::from(word & !DISCARD)).min(self.pages.size() - HEADER);
            if word & DISCARD == 0 {
                record.resize(len as usize, 0);
                let at = header.as_ptr() as u64 + HEADER;
                // SAFETY: the record begins below the data's size and is no longer than it: it
                // ends inside the second half.
                unsafe { bytes::read(NonNull::new_unchecked(at as *mut u8), &mut record) };
            }
            position += step(word);
            self.pages.consumer().store(position, Ordering::Release);
            if word & DISCARD == 0 {
                count += 1;
                sink(&record);
            }
        }
        count
    }
}

impl Map for RingBuf {
    fn base(&self) -> &MapBase {
        &self.base
    }

    fn lookup(&self, _key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        None
    }

    fn update(&self, _key: &[u8], _value: &[u8], _flags: u64, _cpu: u32) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn delete(&self, _key: &[u8]) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn user_lookup(&self, _key: &[u8], _out: &mut [u8]) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn next_key(&self, _key: Option<&[u8]>, _out: &mut [u8]) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn memfd(&self) -> Option<BorrowedFd<'_>> {
        self.ring.pages.memfd()
    }

    fn holds(&self, address: u64, len: u64, _write: bool) -> bool {
        self.ring.holds(address, len)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory(&self) -> u64 {
        self.ring.pages.len()
    }
}

impl Drop for RingBuf {
    fn drop(&mut self) {
        self.host.rings.set(&self.ring, ptr::null_mut());
        // A run may be about to submit a record: the ring waits for it.
        self.host.cpus.retire(Box::new(self.ring.clone()));
    }
}

/// Which ring buffer lies where: `bpf_ringbuf_submit` gets a record and nothing else.
pub struct RingDirectory {
    base: u64,
    /// Bytes of a page, as a power of two.
    shift: u32,
    pages: Box<[AtomicPtr<Ring>]>,
}

impl RingDirectory {
    pub(crate) fn new(cage: &Cage) -> RingDirectory {
        let page = cage.page_size() as u64;
        // Without memory for the directory no ring buffer is found: records stay unsubmitted.
        let pages = zeroed((cage.size() / page) as usize).unwrap_or_default();
        RingDirectory {
            base: cage.base(),
            shift: page.ilog2(),
            pages,
        }
    }

    fn set(&self, ring: &Ring, value: *mut Ring) {
        let first = ((ring.pages.address() - self.base) >> self.shift) as usize;
        // Records begin in the first half of the data; the first pages hold positions.
        let count = 2 + (ring.pages.size() / ring.pages.page()) as usize + 1;
        for page in self.pages.iter().skip(first).take(count) {
            page.store(value, Ordering::Release);
        }
    }

    /// `bpf_ringbuf_submit` and `bpf_ringbuf_discard` of the record whose bytes begin at
    /// `address`. False when that is no record being written.
    ///
    /// # Safety
    /// The calling thread is on a CPU of the host.
    #[inline(always)]
    pub unsafe fn commit(&self, address: u64, flags: u64, discard: bool) -> bool {
        let Some(offset) = address.checked_sub(self.base) else {
            return false;
        };
        let Some(page) = self.pages.get((offset >> self.shift) as usize) else {
            return false;
        };
        // SAFETY: null, or a ring that is retired and not dropped when its map goes.
        match unsafe { page.load(Ordering::Acquire).as_ref() } {
            Some(ring) => ring.commit(address, flags, discard),
            None => false,
        }
    }
}

impl std::fmt::Debug for RingDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RingDirectory").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpus;
    use panal_uapi::MapType;

    fn ring(size: u32) -> (MapHost, RingBuf) {
        let host = MapHost::new(Cage::new(1 << 24).unwrap(), Arc::new(Cpus::new(2)));
        let ring = RingBuf::new(&host, &MapDef::new(MapType::Ringbuf, 0, 0, size)).unwrap();
        (host, ring)
    }

    fn drain(ring: &RingBuf) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        ring.consume(&mut |r| all.push(r.to_vec()));
        all
    }

    #[test]
    fn records_come_out_in_order_around_the_end() {
        let (_host, ring) = ring(4096);
        let mut sent = 0u32;
        for round in 0..200u32 {
            let mut expected = Vec::new();
            for i in 0..5 {
                let record: Vec<u8> = (0..(round * 7 + i * 13) % 300)
                    .map(|b| (b + sent) as u8)
                    .collect();
                ring.output(&record, 0).unwrap();
                expected.push(record);
                sent += 1;
            }
            assert_eq!(drain(&ring), expected, "round {round}");
        }
    }

    #[test]
    fn a_busy_record_holds_back_those_after_it() {
        let (host, ring) = ring(4096);
        let first = ring.reserve(8).unwrap();
        let second = ring.reserve(8).unwrap();
        let third = ring.reserve(8).unwrap();
        // SAFETY: reserved with eight bytes each; one thread.
        unsafe {
            bytes::write(first, &[1; 8]);
            bytes::write(third, &[3; 8]);
            assert!(host.rings.commit(third.as_ptr() as u64, 0, false));
            assert!(drain(&ring).is_empty());
            assert!(host.rings.commit(second.as_ptr() as u64, 0, true));
            assert!(host.rings.commit(first.as_ptr() as u64, 0, false));
            assert!(!host.rings.commit(first.as_ptr() as u64, 0, false), "twice");
            for bad in [0, 8, host.cage.base(), first.as_ptr() as u64 + 1, u64::MAX] {
                assert!(!host.rings.commit(bad, 0, false), "{bad:#x}");
            }
        }
        assert_eq!(drain(&ring), [vec![1; 8], vec![3; 8]]);
    }

    #[test]
    fn a_full_ring_refuses_and_queries_tell() {
        let (_host, ring) = ring(4096);
        // A record of all the data never fits: one byte must stay free, as on Linux.
        assert!(ring.reserve(4096 - 8).is_none());
        assert!(ring.output(&[0; 4080 - 8], 0).is_ok());
        assert_eq!(ring.output(&[0; 8], 0), Err(Errno::EAGAIN));
        assert_eq!(ring.query(flags::AVAIL_DATA), 4080);
        assert_eq!(ring.query(flags::RING_SIZE), 4096);
        assert_eq!(ring.query(flags::PROD_POS), 4080);
        assert_eq!(drain(&ring).len(), 1);
        assert_eq!(ring.query(flags::CONS_POS), 4080);
        assert_eq!(ring.query(9), 0);
        assert!(ring.reserve(u64::from(u32::MAX)).is_none());
        assert!(ring.reserve(u64::MAX).is_none());
    }

    #[test]
    fn wake_ups_come_when_the_consumer_waits_at_the_record() {
        let (_host, ring) = ring(4096);
        let count = Arc::new(AtomicU32::new(0));
        let seen = count.clone();
        ring.set_listener(Some(Arc::new(move || {
            seen.fetch_add(1, Ordering::SeqCst);
        })));
        let woken = || count.load(Ordering::SeqCst);
        ring.output(&[1], 0).unwrap();
        assert_eq!(woken(), 1);
        ring.output(&[2], 0).unwrap();
        assert_eq!(woken(), 1, "the consumer has not caught up");
        ring.output(&[3], flags::FORCE_WAKEUP).unwrap();
        assert_eq!(woken(), 2);
        drain(&ring);
        ring.output(&[4], flags::NO_WAKEUP).unwrap();
        assert_eq!(woken(), 2);
        assert_eq!(ring.output(&[5], 4), Err(Errno::EINVAL));
        assert!(ring.wait(Duration::ZERO));
    }

    #[test]
    fn threads_produce_while_one_consumes() {
        let (_host, ring) = ring(1 << 16);
        let total = 20_000u64;
        std::thread::scope(|scope| {
            for thread in 0..2u64 {
                let ring = &ring;
                scope.spawn(move || {
                    for i in 0..total / 2 {
                        let record = (thread << 32 | i).to_ne_bytes();
                        while ring.output(&record, 0).is_err() {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            let mut next = [0u64; 2];
            let mut seen = 0;
            while seen < total {
                let n = ring.consume(&mut |record| {
                    let value = u64::from_ne_bytes(record.try_into().unwrap());
                    let thread = (value >> 32) as usize;
                    assert_eq!(value & 0xffff_ffff, next[thread]);
                    next[thread] += 1;
                });
                seen += n as u64;
                if n == 0 {
                    std::thread::yield_now();
                }
            }
        });
        assert!(drain(&ring).is_empty());
    }

    /// Several threads hold several records at once, finish them out of order, submit some and
    /// discard others, on a ring that is always full. What comes out is whole and, of each thread, in
    /// the order in which it was reserved.
    #[test]
    fn threads_reserve_and_finish_out_of_order_on_a_full_ring() {
        const THREADS: u64 = 4;
        const EACH: u64 = if cfg!(miri) { 30 } else { 30_000 };
        let (host, ring) = ring(4096);
        let done = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (ring, host, done) = (&ring, &host, &done);
                scope.spawn(move || {
                    let mut held: Vec<(u64, u64)> = Vec::new();
                    let finish = |(at, number): (u64, u64)| {
                        let flags = [0, flags::NO_WAKEUP, flags::FORCE_WAKEUP][number as usize % 3];
                        // SAFETY: the host's rings stay while the test lasts.
                        let finished = unsafe { host.rings.commit(at, flags, number % 5 == 0) };
                        assert!(finished);
                    };
                    for number in 0..EACH {
                        let words = 1 + (number + thread) % 6;
                        let record = loop {
                            match ring.reserve(words * 8) {
                                Some(record) => break record,
                                None => {
                                    held.drain(..).for_each(finish);
                                    std::thread::yield_now();
                                }
                            }
                        };
                        let value = (thread << 32 | number).to_ne_bytes().repeat(words as usize);
                        // SAFETY: just reserved with this length.
                        unsafe { bytes::write(record, &value) };
                        held.push((record.as_ptr() as u64, number));
                        if held.len() == 3 {
                            // The newest first.
                            held.drain(..).rev().for_each(finish);
                        }
                    }
                    held.drain(..).for_each(finish);
                    done.fetch_add(1, Ordering::Release);
                });
            }
            let mut last = [None; THREADS as usize];
            let mut seen = 0;
            loop {
                let over = done.load(Ordering::Acquire) == THREADS as u32;
                seen += ring.consume(&mut |record| {
                    let words = record
                        .chunks_exact(8)
                        .map(|w| u64::from_ne_bytes(w.try_into().unwrap()));
                    let words: Vec<u64> = words.collect();
                    let (thread, number) = (words[0] >> 32, words[0] & 0xffff_ffff);
                    assert_eq!(words.len() as u64, 1 + (number + thread) % 6);
                    assert!(words.iter().all(|&word| word == words[0]), "a torn record");
                    assert_ne!(number % 5, 0, "a discarded record");
                    let last = &mut last[thread as usize];
                    assert!(last.is_none_or(|last| last < number), "out of order");
                    *last = Some(number);
                }) as u64;
                if over {
                    break;
                }
                std::thread::yield_now();
            }
            assert_eq!(seen, THREADS * (EACH - EACH.div_ceil(5)));
        });
    }
}
