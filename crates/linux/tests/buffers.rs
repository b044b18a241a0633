//! Ring buffers and perf buffers under load, held to a model: which records there are follows from
//! their numbers.
#![cfg(target_os = "linux")]

mod common;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use common::{alone, linux, load};
use panal_linux::LinuxKernel;
use panal_loader::Loaded;
use panal_uapi::kernel::{Fd, Kernel, TestRun};

const OBJECT: &str = "buffers.bpf.o";
const PRODUCERS: u32 = 4;
/// Records of each producer, in runs: many times what the buffers hold.
const NUMBERS: u32 = 32_000;
const RUN: u32 = 16;

fn run(kernel: &LinuxKernel, program: &Fd, arguments: [u64; 3]) -> u32 {
    let ctx_in = arguments.iter().flat_map(|a| a.to_ne_bytes()).collect();
    let test = TestRun {
        ctx_in,
        ..TestRun::default()
    };
    kernel.prog_test_run(program, &test).expect("runs").retval
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

/// What has been read.
#[derive(Default)]
struct Read {
    /// The next number that each producer may have.
    next: BTreeMap<u32, u32>,
    count: u64,
}

impl Read {
    /// Checks a record: that it is whole, and comes after its producer's last.
    fn take(&mut self, record: &[u8], exact: bool) {
        let (producer, number, len) = (u32_at(record, 0), u32_at(record, 4), u32_at(record, 8));
        let expected = 12 + (number.wrapping_mul(2_654_435_761) >> 24);
        assert_eq!(len, expected, "record {number} of {producer}");
        match exact {
            true => assert_eq!(record.len(), len as usize, "record {number} of {producer}"),
            // Perf samples are padded.
            false => assert!(record.len() >= len as usize && record.len() < len as usize + 8),
        }
        let rest = &record[12..len as usize];
        assert!(
            rest.iter().all(|byte| *byte == number as u8),
            "record {number} of {producer} is mixed up: {rest:?}"
        );
        let next = self.next.entry(producer).or_insert(0);
        assert!(number >= *next, "{number} of {producer} after {next}");
        *next = number + 1;
        self.count += 1;
    }
}

/// Sum of an array's numbers.
fn refused(loaded: &Loaded<'_>) -> u64 {
    let map = &loaded.map("refused").expect("the map").fd;
    (0..PRODUCERS)
        .map(|producer| {
            let value = loaded.kernel().map_lookup(map, &producer.to_ne_bytes(), 0);
            let value = value.expect("readable").expect("an element");
            u64::from_ne_bytes(value.try_into().expect("8 bytes"))
        })
        .sum()
}

/// Lets the producers run while `read` is called over and over, and once more at the end.
fn produce(kernel: &LinuxKernel, program: &Fd, mut read: impl FnMut()) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                scope.spawn(move || {
                    for first in (0..NUMBERS).step_by(RUN as usize) {
                        let arguments = [u64::from(producer), u64::from(first), u64::from(RUN)];
                        assert_eq!(run(kernel, program, arguments), 0);
                        // A full buffer refuses faster than anybody can read.
                        thread::sleep(std::time::Duration::from_micros(20));
                    }
                })
            })
            .collect();
        // Also when one of them panics, which the scope tells in the end.
        scope.spawn(|| {
            let ended: Vec<_> = producers.into_iter().map(|p| p.join()).collect();
            done.store(true, Ordering::Release);
            assert!(ended.iter().all(Result::is_ok), "a producer failed");
        });
        // However fast the reader is, the buffer is full once.
        thread::sleep(std::time::Duration::from_millis(50));
        while !done.load(Ordering::Acquire) {
            read();
        }
    });
    read();
}

#[test]
fn every_record_of_a_ring_buffer_is_read_once_and_in_order() {
    let _alone = alone();
    let Some(kernel) = linux() else { return };
    let loaded = load(&kernel, OBJECT, "to_ring").expect("loads");
    let ring = &loaded.map("ring").expect("the map").fd;
    let mut read = Read::default();
    produce(&kernel, &loaded.programs()[0].fd, || {
        kernel
            .ring_buffer_consume(ring, &mut |record| read.take(record, true))
            .expect("readable");
    });
    // The programs give up every seventh.
    let kept = (0..NUMBERS).filter(|number| number % 7 != 3).count() as u64;
    let refused = refused(&loaded);
    assert_eq!(read.count + refused, u64::from(PRODUCERS) * kept);
    // Records went round the buffer many times.
    assert!(
        refused > 0 && read.count * 139 > 100 * 16384,
        "{} records",
        read.count
    );
    println!("{} records read, {refused} refused", read.count);
}

#[test]
fn every_sample_of_a_perf_buffer_is_read_or_counted_as_lost() {
    let _alone = alone();
    let Some(kernel) = linux() else { return };
    let loaded = load(&kernel, OBJECT, "to_perf").expect("loads");
    let perf = &loaded.map("perf").expect("the map").fd;
    let mut read = Read::default();
    let mut lost = 0;
    // The first opens the buffers.
    let mut consume = |read: &mut Read| {
        kernel
            .perf_buffer_consume(
                perf,
                &mut |_, record| read.take(record, false),
                &mut |_, count| lost += count,
            )
            .expect("readable");
    };
    consume(&mut read);
    // One CPU's buffer is in order, but a producer may move to another CPU: one at a time.
    let mut calls = 0u32;
    produce(&kernel, &loaded.programs()[0].fd, || {
        calls += 1;
        // Slow enough that some are lost.
        if calls.is_multiple_of(64) {
            thread::sleep(std::time::Duration::from_millis(20));
        }
        let mut unordered = Read::default();
        kernel
            .perf_buffer_consume(
                perf,
                &mut |_, record| {
                    unordered.next.clear();
                    unordered.take(record, false);
                },
                &mut |_, count| lost += count,
            )
            .expect("readable");
        read.count += unordered.count;
    });
    let refused = refused(&loaded);
    let all = u64::from(PRODUCERS) * u64::from(NUMBERS);
    // The kernel tells of losses with the next sample that has room.
    let untold = refused - lost;
    assert_eq!(
        read.count + lost + untold,
        all,
        "{lost} lost, {refused} refused"
    );
    println!(
        "{} samples read, {lost} told as lost of {refused}",
        read.count
    );
}

#[test]
fn a_program_takes_what_is_written_into_a_user_ring_buffer() {
    let _alone = alone();
    let Some(kernel) = linux() else { return };
    let loaded = load(&kernel, OBJECT, "from_user").expect("loads");
    let user = &loaded.map("user").expect("the map").fd;
    let program = &loaded.programs()[0].fd;
    let variables = || {
        let map = loaded.maps().iter().find(|m| m.plan.name.ends_with(".bss"));
        let value = kernel
            .map_lookup(&map.expect("variables").fd, &[0; 4], 0)
            .expect("readable")
            .expect("an element");
        let word = |at: usize| u64::from_ne_bytes(value[at..at + 8].try_into().expect("8 bytes"));
        let mut both = [word(0), word(8)];
        both.sort_unstable();
        both
    };
    let (mut written, mut sum) = (0u64, 0u64);
    for round in 0..50u64 {
        // Until it is full: 4096 bytes hold 128 records of 24 bytes with their headers.
        let mut number = round;
        loop {
            let mut record = vec![0; 24 - (number as usize % 3) * 8];
            record[..8].copy_from_slice(&number.to_ne_bytes());
            if !kernel
                .user_ring_buffer_write(user, &record)
                .expect("writable")
            {
                break;
            }
            written += 1;
            sum += number;
            number += 1;
        }
        run(&kernel, program, [0; 3]);
        let mut expected = [written, sum];
        expected.sort_unstable();
        assert_eq!(variables(), expected, "round {round}");
    }
    assert!(written > 50 * 100, "{written}");
    let too_long = kernel.user_ring_buffer_write(user, &[0; 4096]);
    let error = too_long.expect_err("longer than the buffer");
    assert_eq!(error.errno.name(), Some("E2BIG"));
}
