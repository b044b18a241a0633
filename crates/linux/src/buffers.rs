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

    /// Hands every record to `sink` that was finished before the first that is still being
    /// written; of those that come meanwhile, none.
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
        let end = produced.load(Ordering::Acquire);
        while position < end {
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

/// The side of a user ring buffer (`BPF_MAP_TYPE_USER_RINGBUF`) that writes: this process.
pub struct UserRingBuffer {
    consumer: Mapping,
    producer: Mapping,
    size: u64,
    page: usize,
}

impl UserRingBuffer {
    /// Maps the buffer of `size` bytes.
    pub fn open(map: &Fd, size: u32) -> Result<Self, Failure> {
        let page = page_size();
        let wrong = |e| failure(Command::MapUpdateElem, e, "mapping the user ring buffer");
        let fd = Borrowed(map.number());
        let consumer = Mapping::new(&fd, page, 0, false).map_err(wrong)?;
        let len = page + 2 * size as usize;
        let producer = Mapping::new(&fd, len, page as i64, true).map_err(wrong)?;
        Ok(UserRingBuffer {
            consumer,
            producer,
            size: u64::from(size),
            page,
        })
    }

    /// Puts a record in; false when there is no room for it now.
    pub fn write(&mut self, record: &[u8]) -> Result<bool, Failure> {
        let space = (record.len() as u64 + HEADER).next_multiple_of(8);
        let len = u32::try_from(record.len()).ok();
        let Some(len) = len.filter(|_| space <= self.size) else {
            let detail = format!("the user ring buffer has {} bytes in all", self.size);
            return Err(failure(Command::MapUpdateElem, Errno::E2BIG, detail));
        };
        // SAFETY: both positions are aligned u64 at the start of pages that live as long as self;
        // the kernel accesses them atomically as well.
        let (consumed, produced) = unsafe {
            (
                &*self.consumer.as_ptr().cast::<AtomicU64>(),
                &*self.producer.as_ptr().cast::<AtomicU64>(),
            )
        };
        let position = produced.load(Ordering::Relaxed);
        let used = position.wrapping_sub(consumed.load(Ordering::Acquire));
        if self.size.saturating_sub(used) < space {
            return Ok(false);
        }
        let at = self.page + (position & (self.size - 1)) as usize;
        // SAFETY: positions are multiples of 8, so the header lies within the first window of the
        // data pages; the record is shorter than the buffer, so it ends within the second. The
        // kernel does not read it before the position below is stored, and nobody else writes:
        // this process alone holds the map's writing side, through `&mut self`.
        unsafe {
            let place = self.producer.as_ptr().add(at);
            place.cast::<u32>().write(len);
            place.add(4).cast::<u32>().write(0);
            place
                .add(HEADER as usize)
                .copy_from_nonoverlapping(record.as_ptr(), record.len());
        }
        produced.store(position + space, Ordering::Release);
        Ok(true)
    }
}

/// Pages of data of each CPU's perf buffer; a power of two.
const PERF_PAGES: usize = 64;
const PERF_RECORD_LOST: u32 = 2;
const PERF_RECORD_SAMPLE: u32 = 9;
/// `struct perf_event_header`: type, flags, size.
const RECORD_HEADER: usize = 8;
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
        let mut record = Vec::new();
        while at < end {
            let mut header = [0; RECORD_HEADER];
            self.copy(page, size, at, &mut header);
            let [k0, k1, k2, k3, _, _, low, high] = header;
            let len = usize::from(u16::from_ne_bytes([low, high]));
            if len < RECORD_HEADER {
                // No kernel writes this: nothing after it can be found.
                at = end;
                break;
            }
            record.resize(len - RECORD_HEADER, 0);
            self.copy(page, size, at + RECORD_HEADER as u64, &mut record);
            match (u32::from_ne_bytes([k0, k1, k2, k3]), &record[..]) {
                (PERF_RECORD_SAMPLE, [l0, l1, l2, l3, raw @ ..]) => {
                    let raw_len = u32::from_ne_bytes([*l0, *l1, *l2, *l3]) as usize;
                    sink(self.cpu, &raw[..raw_len.min(raw.len())]);
                    samples += 1;
                }
                (PERF_RECORD_LOST, [_, _, _, _, _, _, _, _, count @ ..]) => {
                    let count = count.first_chunk().map_or(0, |c| u64::from_ne_bytes(*c));
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
    fn copy(&self, page: usize, size: usize, from: u64, out: &mut [u8]) {
        let start = from as usize & (size - 1);
        let first = out.len().min(size - start);
        let (before, after) = out.split_at_mut(first);
        // SAFETY: both parts lie within the `size` bytes of data after the control page (a record is
        // shorter than 64 KiB, and the ring is not); the kernel does not write between tail and head.
        unsafe {
            let data = self.mapping.as_ptr().add(page);
            std::ptr::copy_nonoverlapping(data.add(start), before.as_mut_ptr(), before.len());
            std::ptr::copy_nonoverlapping(data, after.as_mut_ptr(), after.len());
        }
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
