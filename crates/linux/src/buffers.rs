//! Readers of ring buffers and perf buffers (`BPF_MAP_TYPE_RINGBUF`,
//! `BPF_MAP_TYPE_PERF_EVENT_ARRAY`).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use panal_uapi::{
    Command, Errno,
    kernel::{Failure, Fd},
};

use crate::sys::{Borrowed, Mapping, failure};

const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;
const HEADER: u64 = 8;

/// User space's side of a ring buffer: kernel document `bpf/ringbuf.rst`.
pub struct RingBuffer {
    map: Fd,
    consumer: Mapping,
    producer: Mapping,
    size: u64,
    page: usize,
}

impl RingBuffer {
    /// Maps the buffer of `size` bytes.
    pub fn open(map: &Fd, size: u32) -> Result<Self, Failure> {
        let page = page_size();
        let wrong = |e| failure(Command::MapLookupElem, e, "mapping the ring buffer");
        let fd = Borrowed(map.number());
        let consumer = Mapping::new(&fd, page, 0, true).map_err(wrong)?;
        let producer =
            Mapping::new(&fd, page + 2 * size as usize, page as i64, false).map_err(wrong)?;
        Ok(RingBuffer {
            map: map.clone(),
            consumer,
            producer,
            size: u64::from(size),
            page,
        })
    }

    /// What poll(2) tells of: readable when a record waits.
    pub fn descriptor(&self) -> i32 {
        self.map.number()
    }

    /// Hands every finished record to `sink`.
    pub fn consume(&mut self, sink: &mut dyn FnMut(&[u8])) -> usize {
        // SAFETY: both positions are aligned u64 at the start of pages that live as long as self;
        // the kernel accesses them atomically as well.
        let (consumed, produced) = unsafe {
            (
                &*self.consumer.as_ptr().cast::<AtomicU64>(),
                &*self.producer.as_ptr().cast::<AtomicU64>(),
            )
        };
        let mut position = consumed.load(Ordering::Relaxed);
        let mut records = 0;
        while position < produced.load(Ordering::Acquire) {
            let at = self.page + (position & (self.size - 1)) as usize;
            // SAFETY: positions are multiples of 8 below the size, so the header lies within the
            // first window of the data pages.
            let header = unsafe { &*self.producer.as_ptr().add(at).cast::<AtomicU32>() };
            let word = header.load(Ordering::Acquire);
            if word & BUSY != 0 {
                break;
            }
            let len = u64::from(word & !(BUSY | DISCARD)).min(self.size - HEADER);
            if word & DISCARD == 0 {
                // SAFETY: a record starts in the first window and is shorter than the buffer, so it
                // ends within the second; the kernel does not touch it until it is consumed.
                let bytes = unsafe {
                    std::slice::from_raw_parts(
                        self.producer.as_ptr().add(at + HEADER as usize),
                        len as usize,
                    )
                };
                sink(bytes);
                records += 1;
            }
            position += (len + HEADER).next_multiple_of(8);
            consumed.store(position, Ordering::Release);
        }
        records
    }
}

/// Pages of data of each CPU's perf buffer; a power of two.
const PERF_PAGES: usize = 64;
const PERF_RECORD_LOST: u32 = 2;
const PERF_RECORD_SAMPLE: u32 = 9;
/// Offsets in `struct perf_event_mmap_page`.
const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;

/// One CPU's perf buffer.
struct PerCpu {
    cpu: u32,
    mapping: Mapping,
    event: Fd,
}

/// User space's side of a perf event array: one buffer for each CPU.
pub struct PerfBuffer {
    cpus: Vec<PerCpu>,
    page: usize,
}

impl PerfBuffer {
    /// Opens an event on each CPU and puts it into the array.
    pub fn open(map: &Fd, cpus: &[u32], total: u32) -> Result<Self, Failure> {
        let page = page_size();
        let mut opened = Vec::new();
        for &cpu in cpus {
            let event = output_event(cpu)?;
            let mapping = Mapping::new(&Borrowed(event.number()), page * (1 + PERF_PAGES), 0, true)
                .map_err(|e| failure(Command::MapUpdateElem, e, "mapping the perf buffer"))?;
            crate::maps::update(
                map,
                &cpu.to_ne_bytes(),
                &event.number().to_ne_bytes(),
                0,
                total,
            )?;
            opened.push(PerCpu {
                cpu,
                mapping,
                event,
            });
        }
        Ok(PerfBuffer { cpus: opened, page })
    }

    /// What poll(2) tells of: readable when a sample waits.
    pub fn descriptors(&self) -> impl Iterator<Item = i32> {
        self.cpus.iter().map(|cpu| cpu.event.number())
    }

    /// Hands every sample to `sink` and every loss to `lost`.
    pub fn consume(
        &mut self,
        sink: &mut dyn FnMut(u32, &[u8]),
        lost: &mut dyn FnMut(u32, u64),
    ) -> usize {
        let page = self.page;
        self.cpus
            .iter_mut()
            .map(|c| c.consume(page, sink, lost))
            .sum()
    }
}

impl PerCpu {
    fn consume(
        &mut self,
        page: usize,
        sink: &mut dyn FnMut(u32, &[u8]),
        lost: &mut dyn FnMut(u32, u64),
    ) -> usize {
        let size = self.mapping.len() - page;
        // SAFETY: head and tail are aligned u64 of the mapped control page.
        let (head, tail) = unsafe {
            (
                &*self.mapping.as_ptr().add(DATA_HEAD).cast::<AtomicU64>(),
                &*self.mapping.as_ptr().add(DATA_TAIL).cast::<AtomicU64>(),
            )
        };
        let end = head.load(Ordering::Acquire);
        let mut at = tail.load(Ordering::Relaxed);
        let mut samples = 0;
        while at < end {
            let header = self.copy(page, size, at, 8);
            let kind = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]);
            let len = usize::from(u16::from_ne_bytes([header[6], header[7]]));
            if len < 8 {
                break;
            }
            let body = self.copy(page, size, at + 8, len - 8);
            match kind {
                PERF_RECORD_SAMPLE if body.len() >= 4 => {
                    let raw = u32::from_ne_bytes([body[0], body[1], body[2], body[3]]) as usize;
                    sink(self.cpu, &body[4..(4 + raw).min(body.len())]);
                    samples += 1;
                }
                PERF_RECORD_LOST if body.len() >= 16 => {
                    let count = body[8..16].try_into().map_or(0, u64::from_ne_bytes);
                    lost(self.cpu, count);
                }
                _ => {}
            }
            at += len as u64;
        }
        tail.store(at, Ordering::Release);
        samples
    }

    /// Copies bytes out of the ring, around its end.
    fn copy(&self, page: usize, size: usize, from: u64, len: usize) -> Vec<u8> {
        (0..len as u64)
            .map(|i| {
                let at = page + ((from + i) as usize & (size - 1));
                // SAFETY: `at` lies within the data pages; the kernel does not write what lies
                // between tail and head.
                unsafe { self.mapping.as_ptr().add(at).read_volatile() }
            })
            .collect()
    }
}

/// `PERF_COUNT_SW_BPF_OUTPUT` with raw samples, enabled.
fn output_event(cpu: u32) -> Result<Fd, Failure> {
    crate::perf::open_output(cpu)
        .map(crate::sys::from_owned)
        .map_err(|e: Errno| failure(Command::MapUpdateElem, e, "perf_event_open for output"))
}

fn page_size() -> usize {
    // SAFETY: sysconf reads no memory of ours.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}
