//! `BPF_MAP_TYPE_PERF_EVENT_ARRAY` as Panal's kernel has it: a queue of samples for each CPU.

use std::{
    any::Any,
    collections::VecDeque,
    ptr::NonNull,
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
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
    samples: VecDeque<Box<[u8]>>,
    bytes: usize,
    lost: u64,
}

/// An array of perf events, one for each CPU.
pub struct PerfEventArray {
    /// Events that user space opened and put here.
    events: ObjectArray,
    queues: Box<[Mutex<Queue>]>,
    wakes: Mutex<u64>,
    woken: Condvar,
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
            wakes: Mutex::default(),
            woken: Condvar::new(),
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
    /// array, `ENOENT` where there is no such CPU, `ENOSPC` when it is lost.
    ///
    /// Zeros follow, so that a sample and its length, a word, take a multiple of eight bytes: readers
    /// on Linux see them, too.
    pub fn output(&self, index: u32, parts: &[&[u8]]) -> Result<(), Errno> {
        if index >= self.base().def().max_entries {
            return Err(Errno::E2BIG);
        }
        let queue = self.queues.get(index as usize).ok_or(Errno::ENOENT)?;
        const LENGTH_WORD: usize = 4;
        let len: usize = parts.iter().map(|p| p.len()).sum();
        let len = (len + LENGTH_WORD).next_multiple_of(8) - LENGTH_WORD;
        let cost = len + SAMPLE_HEADER;
        let mut queue = lock(queue);
        if queue.bytes + cost > QUEUE_MOST {
            queue.lost += 1;
            return Err(Errno::ENOSPC);
        }
        let mut sample = Vec::with_capacity(len);
        for part in parts {
            sample.extend_from_slice(part);
        }
        sample.resize(len, 0);
        queue.bytes += cost;
        queue.samples.push_back(sample.into_boxed_slice());
        drop(queue);
        self.samples.fetch_add(1, Ordering::Relaxed);
        *lock(&self.wakes) += 1;
        self.woken.notify_all();
        let listener = lock(&self.listener).clone();
        if let Some(listener) = listener {
            listener();
        }
        Ok(())
    }

    /// Hands every sample that waits to `sink` (CPU, bytes) and what was lost to `lost` (CPU,
    /// count); how many samples there were.
    pub fn consume(
        &self,
        sink: &mut dyn FnMut(u32, &[u8]),
        lost: &mut dyn FnMut(u32, u64),
    ) -> usize {
        let mut count = 0;
        for (cpu, queue) in self.queues.iter().enumerate() {
            let taken = std::mem::take(&mut *lock(queue));
            for sample in &taken.samples {
                sink(cpu as u32, sample);
            }
            count += taken.samples.len();
            if taken.lost > 0 {
                lost(cpu as u32, taken.lost);
            }
        }
        count
    }

    /// Sets who is called when a sample arrives.
    pub fn set_listener(&self, listener: Option<Listener>) {
        *lock(&self.listener) = listener;
    }

    /// Waits for the next sample; false when the time is over first.
    pub fn wait(&self, timeout: Duration) -> bool {
        let wakes = lock(&self.wakes);
        let before = *wakes;
        if self.queues.iter().any(|q| !lock(q).samples.is_empty()) {
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
