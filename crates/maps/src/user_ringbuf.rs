//! `BPF_MAP_TYPE_USER_RINGBUF`: records from user space to programs.
//!
//! User space may map the file and write positions and headers itself, so a program that drains the
//! buffer trusts neither.

use std::{
    any::Any,
    os::fd::BorrowedFd,
    ptr::NonNull,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use panal_uapi::Errno;

use crate::{
    CreateError, Map, MapBase, MapDef, MapHost, bytes,
    map::in_element,
    ring_pages::{BUSY, DISCARD, HEADER, RingPages, record_len, step},
    ringbuf::flags,
};

/// Most records that are taken at once (`BPF_MAX_USER_RINGBUF_SAMPLES`).
const SAMPLES_MOST: u64 = 128 * 1024;
/// Longest record that a program can see: as long as a dynptr can be.
const RECORD_MOST: u64 = (1 << 24) - 1;

/// A record in the cage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Address of its bytes.
    pub address: u64,
    /// How many.
    pub len: u32,
}

/// What stands where the next record should be.
enum Next {
    Sample(Sample),
    Discarded,
    Nothing,
}

/// A user ring buffer.
pub struct UserRingBuf {
    base: MapBase,
    pages: RingPages,
    /// Whether a program takes records at the moment.
    busy: AtomicBool,
    /// The record that a program sees at the moment: address and length.
    shown: (AtomicU64, AtomicU64),
    /// Only one thread writes at a time.
    writer: Mutex<()>,
    wakes: Mutex<u64>,
    woken: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One program takes records until this is dropped.
struct Draining<'a>(&'a UserRingBuf);

impl Drop for Draining<'_> {
    fn drop(&mut self) {
        self.0.shown.1.store(0, Ordering::Relaxed);
        self.0.busy.store(false, Ordering::Release);
    }
}

impl UserRingBuf {
    /// Creates one (`ringbuf_map_alloc`).
    pub fn new(host: &MapHost, def: &MapDef) -> Result<UserRingBuf, CreateError> {
        Ok(UserRingBuf {
            base: MapBase::new(def.clone()),
            pages: RingPages::new(host, def)?,
            busy: AtomicBool::new(false),
            shown: (AtomicU64::new(0), AtomicU64::new(0)),
            writer: Mutex::default(),
            wakes: Mutex::default(),
            woken: Condvar::new(),
        })
    }

    /// Puts a record in, as user space does in the mapped buffer; false when there is no room for it
    /// now, `E2BIG` when there never is.
    pub fn write(&self, record: &[u8]) -> Result<bool, Errno> {
        let space = (record.len() as u64 + HEADER).next_multiple_of(8);
        if space > self.pages.size() {
            return Err(Errno::E2BIG);
        }
        let _one = lock(&self.writer);
        let position = self.pages.producer().load(Ordering::Relaxed);
        let used = position.wrapping_sub(self.pages.consumed());
        if self.pages.size().saturating_sub(used) < space {
            return Ok(false);
        }
        let header = self.pages.header(position);
        let at = header.as_ptr() as u64 + HEADER;
        // SAFETY: a record begins below the data's size and is no longer than it: it ends inside
        // the second half.
        unsafe { bytes::write(NonNull::new_unchecked(at as *mut u8), record) };
        self.pages.second_word(position).store(0, Ordering::Relaxed);
        header.store(record.len() as u32, Ordering::Release);
        self.pages
            .producer()
            .store(position.wrapping_add(space), Ordering::Release);
        Ok(true)
    }

    /// `bpf_user_ringbuf_drain`: hands records to `each`, in order, until it returns false; how many
    /// there were.
    ///
    /// # Errors
    /// `EINVAL` for unknown flags, or for positions and headers that contradict each other; `E2BIG`
    /// for a record that is longer than the buffer, or than a program can see; `EBUSY` while another
    /// program takes records.
    pub fn drain(&self, flags: u64, each: &mut dyn FnMut(Sample) -> bool) -> Result<u64, Errno> {
        if flags & !(flags::NO_WAKEUP | flags::FORCE_WAKEUP) != 0 {
            return Err(Errno::EINVAL);
        }
        if self.busy.swap(true, Ordering::Acquire) {
            return Err(Errno::EBUSY);
        }
        let draining = Draining(self);
        let mut taken = 0;
        let result = self.take_all(each, &mut taken);
        drop(draining);
        if flags & flags::FORCE_WAKEUP != 0 || (flags & flags::NO_WAKEUP == 0 && taken > 0) {
            *lock(&self.wakes) += 1;
            self.woken.notify_all();
        }
        result
    }

    /// Takes records. `taken` counts those that were discarded, too.
    fn take_all(
        &self,
        each: &mut dyn FnMut(Sample) -> bool,
        taken: &mut u64,
    ) -> Result<u64, Errno> {
        let mut samples = 0;
        while *taken < SAMPLES_MOST {
            let sample = match self.peek()? {
                Next::Nothing => break,
                Next::Discarded => {
                    *taken += 1;
                    continue;
                }
                Next::Sample(sample) => sample,
            };
            self.shown.0.store(sample.address, Ordering::Relaxed);
            self.shown.1.store(sample.len.into(), Ordering::Relaxed);
            let goes_on = each(sample);
            self.pass(step(sample.len));
            *taken += 1;
            samples += 1;
            if !goes_on {
                break;
            }
        }
        Ok(samples)
    }

    /// What stands at the consumer's position; steps over what is to be skipped.
    fn peek(&self) -> Result<Next, Errno> {
        let produced = self.pages.producer().load(Ordering::Acquire);
        if !produced.is_multiple_of(8) {
            return Err(Errno::EINVAL);
        }
        let position = self.pages.consumed();
        if position >= produced {
            return Ok(Next::Nothing);
        }
        let header = self.pages.header(position);
        let word = header.load(Ordering::Acquire);
        let (len, whole) = (record_len(word), step(word));
        if whole > produced - position {
            return Err(Errno::EINVAL);
        }
        if whole > self.pages.size() || len > RECORD_MOST {
            return Err(Errno::E2BIG);
        }
        if word & DISCARD != 0 {
            self.pass(whole);
            return Ok(Next::Discarded);
        }
        if word & BUSY != 0 {
            return Ok(Next::Nothing);
        }
        Ok(Next::Sample(Sample {
            address: header.as_ptr() as u64 + HEADER,
            len: len as u32,
        }))
    }

    fn pass(&self, whole: u64) {
        let position = self.pages.consumed().wrapping_add(whole);
        self.pages.consumer().store(position, Ordering::Release);
    }

    /// Waits until a program has taken records; false when the time is over first. True at once
    /// when there is none in it.
    pub fn wait(&self, timeout: Duration) -> bool {
        let wakes = lock(&self.wakes);
        let before = *wakes;
        if self.pages.consumed() == self.pages.producer().load(Ordering::Acquire) {
            return true;
        }
        let result = self
            .woken
            .wait_timeout_while(wakes, timeout, |now| *now == before);
        !result.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Map for UserRingBuf {
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
        self.pages.memfd()
    }

    /// Programs see the record that they are given, while they are given it.
    fn holds(&self, address: u64, len: u64, _write: bool) -> bool {
        let base = self.shown.0.load(Ordering::Relaxed);
        let size = self.shown.1.load(Ordering::Relaxed);
        in_element(base, size.max(1), 1, size, address, len)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory(&self) -> u64 {
        self.pages.len()
    }
}
