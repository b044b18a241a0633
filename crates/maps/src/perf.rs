//! `BPF_MAP_TYPE_PERF_EVENT_ARRAY` as Panal's kernel has it: a queue of samples for each CPU, once
//! somebody reads them.

use std::{
    any::Any,
    ptr::NonNull,
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use panal_uapi::Errno;

use crate::{CreateError, Map, MapBase, MapDef, MapHost, Object, ObjectArray, ringbuf::Listener};

/// Bytes of samples that a CPU's queue holds: libbpf's usual 64 pages.
const QUEUE_MOST: usize = 64 * 4096;
/// What a sample costs beside its bytes: a record's header and size.
const SAMPLE_HEADER: usize = 16;

#[derive(Default)]
struct Queue {
    /// The samples, each behind a word with its length.
    bytes: Vec<u8>,
    samples: usize,
    /// What the samples cost ([`QUEUE_MOST`]).
    cost: usize,
    lost: u64,
}

/// Bytes of a sample's length.
const LENGTH_WORD: usize = 4;

impl Queue {
    /// A place for a sample of so many bytes; `None` when it is lost.
    #[inline]
    fn place(&mut self, len: usize) -> Option<&mut [u8]> {
        // Readers on Linux see the zeros behind a sample, too.
        let len = (len + LENGTH_WORD).next_multiple_of(8) - LENGTH_WORD;
        let cost = len + SAMPLE_HEADER;
        if self.cost + cost > QUEUE_MOST {
            self.lost += 1;
            return None;
        }
        self.cost += cost;
        self.samples += 1;
        self.bytes.extend_from_slice(&(len as u32).to_ne_bytes());
        let from = self.bytes.len();
        self.bytes.resize(from + len, 0);
        Some(&mut self.bytes[from..])
    }

    /// The samples in order.
    fn each(&self, mut act: impl FnMut(&[u8])) {
        let mut rest = &self.bytes[..];
        while let Some((word, after)) = rest.split_first_chunk::<LENGTH_WORD>() {
            let (sample, after) = after.split_at(u32::from_ne_bytes(*word) as usize);
            act(sample);
            rest = after;
        }
    }
}

/// An array of perf events, one for each CPU.
pub struct PerfEventArray {
    /// Events that user space opened and put here.
    events: ObjectArray,
    queues: Box<[Mutex<Queue>]>,
    /// Whether anybody has asked for samples. Before that there are no events: nothing is kept.
    open: AtomicBool,
    /// How many wait for the next sample.
    waiting: AtomicU32,
    wakes: Mutex<u64>,
    woken: Condvar,
    listened: AtomicBool,
    listener: Mutex<Option<Listener>>,
    samples: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PerfEventArray {
    /// Creates one.
    pub fn new(host: &MapHost, def: &MapDef) -> Result<PerfEventArray, CreateError> {
        Ok(PerfEventArray {
            events: ObjectArray::new(host, def)?,
            queues: (0..host.cpus.count()).map(|_| Mutex::default()).collect(),
            open: AtomicBool::new(false),
            waiting: AtomicU32::new(0),
            wakes: Mutex::default(),
            woken: Condvar::new(),
            listened: AtomicBool::new(false),
            listener: Mutex::default(),
            samples: AtomicU64::new(0),
        })
    }

    /// The events that user space put here.
    pub fn events(&self) -> &ObjectArray {
        &self.events
    }

    /// `BPF_MAP_UPDATE_ELEM` with the event behind the descriptor.
    pub fn set(&self, key: &[u8], event: Object, flags: u64) -> Result<(), Errno> {
        self.events.set(key, event, flags)
    }

    /// `bpf_perf_event_output`: a sample of these parts on the queue at `index`. `E2BIG` beyond the
    /// array, `ENOENT` where there is no such CPU or nobody has asked for samples yet, `ENOSPC` when it
    /// is lost.
    pub fn output(&self, index: u32, parts: &[&[u8]]) -> Result<(), Errno> {
        let len = parts.iter().map(|part| part.len()).sum();
        self.output_with(index, len, |mut at| {
            for part in parts {
                let (to, rest) = at.split_at_mut(part.len());
                to.copy_from_slice(part);
                at = rest;
            }
            Ok(())
        })
    }

    /// The same of so many bytes that `fill` writes, unless it fails.
    ///
    /// Zeros follow, so that a sample and its length, a word, take a multiple of eight bytes.
    #[inline]
    pub fn output_with(
        &self,
        index: u32,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        if index >= self.base().def().max_entries {
            return Err(Errno::E2BIG);
        }
        let queue = self.queues.get(index as usize).ok_or(Errno::ENOENT)?;
        if !self.open.load(Ordering::Relaxed) {
            return Err(Errno::ENOENT);
        }
        let mut queue = lock(queue);
        let (bytes, samples, cost) = (queue.bytes.len(), queue.samples, queue.cost);
        let place = queue.place(len).ok_or(Errno::ENOSPC)?;
        if let Err(errno) = fill(&mut place[..len]) {
            queue.bytes.truncate(bytes);
            (queue.samples, queue.cost) = (samples, cost);
            return Err(errno);
        }
        drop(queue);
        self.samples.fetch_add(1, Ordering::Relaxed);
        // Whoever waits has said so before it looked at the queue.
        if self.waiting.load(Ordering::SeqCst) != 0 {
            *lock(&self.wakes) += 1;
            self.woken.notify_all();
        }
        if self.listened.load(Ordering::Acquire)
            && let Some(listener) = lock(&self.listener).clone()
        {
            listener();
        }
        Ok(())
    }

    /// Hands every sample that waits to `sink` (CPU, bytes) and what was lost to `lost` (CPU,
    /// count); how many samples there were. From the first time on, samples are kept.
    pub fn consume(
        &self,
        sink: &mut dyn FnMut(u32, &[u8]),
        lost: &mut dyn FnMut(u32, u64),
    ) -> usize {
        self.open.store(true, Ordering::Relaxed);
        let mut count = 0;
        for (cpu, queue) in self.queues.iter().enumerate() {
            let mut taken = std::mem::take(&mut *lock(queue));
            taken.each(|sample| sink(cpu as u32, sample));
            count += taken.samples;
            if taken.lost > 0 {
                lost(cpu as u32, taken.lost);
            }
            // Its memory is used again, unless samples have come meanwhile.
            taken.bytes.clear();
            let mut queue = lock(queue);
            if queue.bytes.capacity() == 0 {
                queue.bytes = taken.bytes;
            }
        }
        count
    }

    /// Sets who is called when a sample arrives.
    pub fn set_listener(&self, listener: Option<Listener>) {
        let mut now = lock(&self.listener);
        *now = listener;
        self.listened.store(now.is_some(), Ordering::Release);
        self.open.fetch_or(now.is_some(), Ordering::Relaxed);
    }

    /// Waits for the next sample; false when the time is over first.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.open.store(true, Ordering::Relaxed);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let came = self.wait_for_sample(timeout);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        came
    }

    fn wait_for_sample(&self, timeout: Duration) -> bool {
        let wakes = lock(&self.wakes);
        let before = *wakes;
        if self.queues.iter().any(|q| lock(q).samples != 0) {
            return true;
        }
        let result = self
            .woken
            .wait_timeout_while(wakes, timeout, |now| *now == before);
        !result.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// How many samples there were in all.
    pub fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }
}

impl Map for PerfEventArray {
    fn base(&self) -> &MapBase {
        self.events.base()
    }

    fn lookup(&self, _key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        None
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        self.events.delete(key)
    }

    fn user_lookup(&self, key: &[u8], out: &mut [u8]) -> Result<(), Errno> {
        self.events.user_lookup(key, out)
    }

    fn user_update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.events.user_update(key, value, flags)
    }

    fn next_key(&self, key: Option<&[u8]>, out: &mut [u8]) -> Result<(), Errno> {
        self.events.next_key(key, out)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory(&self) -> u64 {
        self.events.memory()
    }
}
