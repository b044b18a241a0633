//! The example firewall: every byte of the output is what a slow model of the same rules says, over a
//! generated capture, and packet by packet on every kernel.

mod model;

use std::{collections::HashMap, io};

use model::{Outcome, SECOND, generate, mapped, rules};
use panal_kernel::{
    PanalKernel,
    hooks::packets::{Capture, Frame, Options, PcapWriter, Processed, Sink, Summary},
};
use panal_loader::Loaded;
use panal_testkit::{Random, commands::example, on_both};
use panal_uapi::kernel::{Kernel, TestRun};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;

/// How many packets each kernel sees one by one.
const PACKETS: usize = 200;

/// Writes what is forwarded.
struct Output(PcapWriter<Vec<u8>>);

impl Sink for Output {
    fn packet(&mut self, packet: &Processed<'_>) -> io::Result<()> {
        match packet.verdict.is_forwarded() {
            true => self.0.write(&packet.frame),
            false => Ok(()),
        }
    }
}

#[test]
fn every_byte_of_the_output_is_the_models() {
    let kernel = PanalKernel::new().unwrap();
    let open = example("firewall.bpf.o");
    let loaded = open.prepare(&kernel).unwrap().load().unwrap();
    let mut model = rules(&kernel, &loaded, true);

    let mut random = Random::new(3);
    let mut input = PcapWriter::new(Vec::new()).unwrap();
    let mut expected = PcapWriter::new(Vec::new()).unwrap();
    let mut outcomes: HashMap<Outcome, u64> = HashMap::new();
    let mut time_ns = 1_700_000_000 * SECOND;
    for number in 1..=4000 {
        time_ns += random.next() % (SECOND / 150);
        let write = |to: &mut PcapWriter<Vec<u8>>, data: &[u8]| {
            let original_len = data.len() as u32;
            to.write(&Frame {
                number,
                time_ns,
                original_len,
                data,
            })
            .unwrap();
        };
        let packet = generate(&mut random, &model);
        let frame = packet.frame();
        let (outcome, after) = match random.next() % 50 {
            // Cut within the IP header.
            0 => {
                write(&mut input, &frame[..20]);
                (Outcome::Malformed, None)
            }
            // No IP at all.
            1 => {
                let mut other = frame.clone();
                other[12..14].copy_from_slice(&[0x08, 0x06]);
                write(&mut input, &other);
                (Outcome::Passed, Some(other))
            }
            _ => {
                write(&mut input, &frame);
                let (outcome, after) = model.packet(&packet, time_ns);
                (outcome, Some(after.frame()))
            }
        };
        *outcomes.entry(outcome).or_default() += 1;
        if let (Outcome::Passed | Outcome::Forwarded | Outcome::Returned, Some(after)) =
            (outcome, after)
        {
            write(&mut expected, &after);
        }
    }

    let program = kernel
        .program(&loaded.program("firewall").unwrap().fd)
        .unwrap();
    let input = input.finish().unwrap();
    let mut output = Output(PcapWriter::new(Vec::new()).unwrap());
    let mut summary = Summary::default();
    let mut capture = Capture::open(input.as_slice()).unwrap();
    kernel
        .run_packets(
            &[program],
            &Options::default(),
            &mut capture,
            &mut output,
            &mut summary,
        )
        .unwrap();
    assert!(
        output.0.finish().unwrap() == expected.finish().unwrap(),
        "the captures differ"
    );

    use Outcome::*;
    let counted = counts(&kernel, &loaded);
    for outcome in [Passed, Blocked, Limited, Forwarded, Returned, Malformed] {
        let sum = counted[outcome as usize];
        assert_eq!(sum, outcomes[&outcome], "{outcome:?}");
        assert!(sum > 50, "{outcome:?} was hardly tried: {sum}");
    }
}

/// What the program counted, by outcome.
fn counts(kernel: &dyn Kernel, loaded: &Loaded<'_>) -> Vec<u64> {
    let fd = &loaded.map("outcomes").unwrap().fd;
    let count = |key: u32| {
        let counts = kernel.map_lookup(fd, &key.to_ne_bytes(), 0);
        let counts = counts.unwrap().unwrap();
        let words = counts.as_chunks::<8>().0.iter();
        words.map(|c| u64::from_ne_bytes(*c)).sum()
    };
    (0..6).map(count).collect()
}

/// Every kernel decides alike about the same packets, and writes the same bytes: the model's.
#[test]
fn packets_become_the_models_on_every_kernel() {
    on_both(|kernel| {
        let loaded = example("firewall.bpf.o").prepare(kernel).unwrap();
        let loaded = loaded.load().unwrap();
        let program = &loaded.program("firewall").unwrap().fd;
        let mut model = rules(kernel, &loaded, false);
        let mut random = Random::new(5);
        let mut outcomes = vec![0; 6];
        // A test run of XDP takes Linux some milliseconds.
        for _ in 0..PACKETS {
            let packet = generate(&mut random, &model);
            let (outcome, after) = model.packet(&packet, 0);
            let run = TestRun {
                data_in: packet.frame(),
                ..TestRun::default()
            };
            let result = kernel.prog_test_run(program, &run).unwrap();
            let verdict = match outcome {
                Outcome::Passed => XDP_PASS,
                Outcome::Forwarded | Outcome::Returned => XDP_TX,
                Outcome::Blocked | Outcome::Limited | Outcome::Malformed => XDP_DROP,
            };
            assert_eq!(result.retval, verdict, "{outcome:?}: {:02x?}", run.data_in);
            assert!(result.data_out == after.frame(), "{outcome:?}");
            outcomes[outcome as usize] += 1;
        }
        assert_eq!(counts(kernel, &loaded), outcomes);
        outcomes
    });
}

/// A source whose bucket is empty is limited, with the same bucket afterwards.
#[test]
fn an_empty_bucket_limits_on_every_kernel() {
    on_both(|kernel| {
        let loaded = example("firewall.bpf.o").prepare(kernel).unwrap();
        let loaded = loaded.load().unwrap();
        let program = &loaded.program("firewall").unwrap().fd;
        let mut model = rules(kernel, &loaded, true);
        let mut random = Random::new(8);
        let packet = loop {
            let packet = generate(&mut random, &model);
            if model.packet(&packet, 0).0 == Outcome::Forwarded {
                break packet;
            }
        };
        // A packet a second, none saved up: now, on the clock that programs see.
        let limits = &loaded.map("limits").unwrap().fd;
        let limit = [1u64.to_ne_bytes(), 1u64.to_ne_bytes()].concat();
        kernel.map_update(limits, &[0; 4], &limit, 0).unwrap();
        let buckets = &loaded.map("buckets").unwrap().fd;
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = now.tv_sec as u64 * SECOND + now.tv_nsec as u64;
        let bucket = [0u64.to_ne_bytes(), now.to_ne_bytes()].concat();
        let source = mapped(packet.src);
        kernel.map_update(buckets, &source, &bucket, 0).unwrap();
        let run = TestRun {
            data_in: packet.frame(),
            ..TestRun::default()
        };
        let first = kernel.prog_test_run(program, &run).unwrap();
        // Two seconds ago: by now there is one packet to spend.
        let bucket = [0u64.to_ne_bytes(), (now - 2 * SECOND).to_ne_bytes()].concat();
        kernel.map_update(buckets, &source, &bucket, 0).unwrap();
        let second = kernel.prog_test_run(program, &run).unwrap();
        let bucket = kernel.map_lookup(buckets, &source, 0).unwrap().unwrap();
        let tokens = u64::from_ne_bytes(bucket[..8].try_into().unwrap());
        assert_eq!((first.retval, second.retval, tokens), (XDP_DROP, XDP_TX, 0));
        assert!(first.data_out == run.data_in, "dropped, and yet changed");
        counts(kernel, &loaded)
    });
}
