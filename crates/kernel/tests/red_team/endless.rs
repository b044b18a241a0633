//! Programs that do not end by themselves, and what they hold when they are ended.

use std::time::{Duration, Instant};

use panal_kernel::Budget;
use panal_uapi::{ProgType, kernel::TestRun};

use crate::arena::{Arena, ringbuf};

/// Each runs for hours if nobody ends it.
const ENDLESS: &[&str] = &[
    "again: goto again",
    "r0 = 0\nagain:\nr0 += 1\ngoto again",
    "again:\nr0 = *(u64 *)(r10 - 8)\nr0 *= 31\n*(u64 *)(r10 - 8) = r0\ngoto again",
    "again:\ncall 7\ngoto again",
    "again:\ncall f\ngoto again\nf:\nr0 = 0\nexit",
    // Two calls each, thirty levels deep, and no jump back at all.
    "call f\ncall f\nr0 = 0\nexit\nf:\n*(u64 *)(r10 - 8) = 1\ncall g\ncall g\nexit\ng:\ncall h\ncall h\nexit\nh:\ncall i\ncall i\nexit\n\
     i:\ncall j\ncall j\nexit\nj:\ncall k\ncall k\nexit\nk:\ncall l\ncall l\nexit\nl:\ncall m\ncall m\nexit\nm:\ncall n\ncall n\nexit\n\
     n:\ncall o\ncall o\nexit\no:\ncall p\ncall p\nexit\np:\ncall q\ncall q\nexit\nq:\ncall r\ncall r\nexit\nr:\ncall s\ncall s\nexit\n\
     s:\ncall t\ncall t\nexit\nt:\ncall u\ncall u\nexit\nu:\ncall v\ncall v\nexit\nv:\ncall w\ncall w\nexit\nw:\ncall x\ncall x\nexit\n\
     x:\ncall y\ncall y\nexit\ny:\ncall z\ncall z\nexit\nz:\ncall aa\ncall aa\nexit\naa:\ncall bb\ncall bb\nexit\nbb:\ncall cc\ncall cc\nexit\n\
     cc:\ncall dd\ncall dd\nexit\ndd:\ncall ee\ncall ee\nexit\nee:\nr0 = 0\nexit",
    // `bpf_loop` in `bpf_loop`.
    "r1 = 8388608\nr2 = subprog[f] ll\nr3 = 0\nr4 = 0\ncall 181\nr0 = 0\nexit\n\
     f:\nr1 = 8388608\nr2 = subprog[g] ll\nr3 = 0\nr4 = 0\ncall 181\nr0 = 0\nexit\ng:\nr0 = 0\nexit",
    // A lock that is held already.
    "again:\nr1 = r10\nr1 += -4\ncall 93\ngoto again",
    // Long work within one call: checksums and copies of 16 MiB.
    "r6 = r10\nr6 >>= 32\nr6 <<= 32\nagain:\nr1 = 0\nr2 = 0\nr3 = r6\nr4 = 0xfffff0\nr5 = 0\ncall 28\ngoto again",
    "r6 = r10\nr6 >>= 32\nr6 <<= 32\nr7 = 0x20000000\nr6 += r7\nagain:\nr1 = r6\nr2 = 0xfffff0\nr3 = 0\ncall 113\ngoto again",
];

/// How late a run may end. A machine that does other things, too, takes the processor away for
/// longer: one try of many is enough.
const LATE: Duration = Duration::from_millis(1);
const TRIES: usize = 400;

pub fn programs(arena: &mut Arena) {
    let time = Duration::from_millis(3);
    let mut timed = arena.again(Budget {
        steps: None,
        time: Some(time),
    });
    for text in ENDLESS {
        eprintln!("{text}");
        // Steps do not count the time within a helper.
        if !["call 28", "call 93", "call 113"]
            .iter()
            .any(|call| text.contains(call))
        {
            arena.stops(text, "budget of steps");
        }
        let program = timed.load(ProgType::SocketFilter, text);
        let mut best = Duration::MAX;
        for _ in 0..TRIES {
            let start = Instant::now();
            let outcome = timed.started(&program, text);
            best = best.min(start.elapsed());
            assert!(
                outcome
                    .as_ref()
                    .is_err_and(|why| why.contains("time budget")),
                "{outcome:?}\n{text}"
            );
            if best < time + LATE {
                break;
            }
        }
        // The canaries are looked at in the meantime, too.
        assert!(
            best >= time && best < time + LATE,
            "{best:?} for {time:?}\n{text}"
        );
    }
}

pub fn stopped_from_outside(arena: &mut Arena) {
    let arena = arena.again(Budget {
        steps: Some(u64::MAX >> 1),
        time: None,
    });
    for text in ENDLESS {
        eprintln!("{text}");
        let program = arena.load(ProgType::SocketFilter, text);
        let mut best = Duration::MAX;
        for _ in 0..TRIES {
            let kernel = arena.kernel.clone();
            let runner = std::thread::spawn({
                let (kernel, program) = (kernel.clone(), program.clone());
                move || {
                    let input = TestRun {
                        data_in: vec![1; 64],
                        ..TestRun::default()
                    };
                    let result = kernel.test_run(&program, &input).expect("a run");
                    (result.stopped, Instant::now())
                }
            });
            std::thread::sleep(Duration::from_millis(3));
            let asked = Instant::now();
            kernel.stop_runs();
            let (stopped, ended) = runner.join().expect("the host lives");
            kernel.resume_runs();
            let why = stopped.expect("it does not end by itself");
            assert!(why.contains("from outside"), "{why}\n{text}");
            best = best.min(ended.saturating_duration_since(asked));
            if best < LATE {
                break;
            }
        }
        assert!(best < LATE, "{best:?}\n{text}");
    }
}

/// What takes something that a second run lacks until it is given back, and the value of a run that did
/// not get it.
const TAKEN: &[&str] = &[
    "r1 = map[ring] ll\nr2 = 4000\nr3 = 0\ncall 131\nif r0 == 0 goto none\n",
    "r1 = map[ring] ll\nr2 = 4000\nr3 = 0\nr4 = r10\nr4 += -16\ncall 198\nif r0 != 0 goto none\n",
    "*(u32 *)(r10 - 4) = 0\nr1 = map[array] ll\nr2 = r10\nr2 += -4\ncall 1\nif r0 == 0 goto none\nr6 = r0\n\
     r0 = *(u32 *)(r6 + 0)\nif r0 != 0 goto none\nr1 = r6\ncall 93\n",
];

/// Time and another thread end runs that hold something, in a loop, in a callback, in a function.
pub fn what_is_held_when_others_end_it(arena: &mut Arena) {
    let timed = arena.again(Budget {
        steps: None,
        time: Some(Duration::from_micros(200)),
    });
    let asked = arena.again(Budget {
        steps: Some(u64::MAX >> 1),
        time: None,
    });
    let ends = [
        ("again: goto again", ""),
        ("again:\ncall f\ngoto again", "f:\nr0 = 0\nexit\n"),
        (
            "r1 = 8388608\nr2 = subprog[f] ll\nr3 = 0\nr4 = 0\ncall 181\nexit",
            "f:\nagain2:\nr0 = 0\ngoto again2\n",
        ),
        ("call f\nexit", "f:\nagain2:\nr0 = 0\ngoto again2\n"),
    ];
    for take in TAKEN {
        for (end, functions) in ends {
            let text = format!("{take}{end}\nnone:\nr0 = 77\nexit\n{functions}");
            let program = timed.load(ProgType::SocketFilter, &text);
            for round in 0..3 {
                let stopped = run_here(&timed, &program).stopped;
                let why = stopped.unwrap_or_else(|| panic!("round {round}: still taken\n{text}"));
                assert!(why.contains("time budget"), "{why}\n{text}");
                nothing_was_submitted(&timed, &text);
            }
            let program = asked.load(ProgType::SocketFilter, &text);
            for round in 0..3 {
                let stopped = std::thread::scope(|scope| {
                    let runner = scope.spawn(|| run_here(&asked, &program).stopped);
                    std::thread::sleep(Duration::from_millis(2));
                    asked.kernel.stop_runs();
                    runner.join().expect("the host lives")
                });
                asked.kernel.resume_runs();
                let why = stopped.unwrap_or_else(|| panic!("round {round}: still taken\n{text}"));
                assert!(why.contains("from outside"), "{why}\n{text}");
                nothing_was_submitted(&asked, &text);
            }
        }
    }
}

/// Records that were given back take room until the consumer has passed them.
fn nothing_was_submitted(arena: &Arena, text: &str) {
    for (name, fd) in arena.maps.iter() {
        if name == "ring" {
            let ring = arena.kernel.map(fd).expect("a map");
            ringbuf(&ring)
                .expect("a ring buffer")
                .consume(&mut |_| panic!("a record that was not submitted\n{text}"));
        }
    }
}

fn run_here(arena: &Arena, program: &panal_kernel::Program) -> panal_uapi::kernel::TestRunResult {
    let input = TestRun {
        data_in: vec![1; 64],
        ..TestRun::default()
    };
    arena.kernel.test_run(program, &input).expect("a run")
}

/// Ends of runs that hold something.
pub fn what_is_held_is_given_back(arena: &mut Arena) {
    let bad = format!("{:#x}", arena.targets()[0]);
    // The main program's end, and the functions behind it.
    let ends = [
        ("again: goto again".to_owned(), ""),
        (format!("r1 = {bad} ll\nr0 = *(u64 *)(r1 + 0)\nexit"), ""),
        ("r0 = 0\nexit".to_owned(), ""),
        (
            "r1 = 1\nr2 = 99\nr3 = 0\nr4 = 0\ncall 181\nexit".to_owned(),
            "",
        ),
        ("call f\nexit".to_owned(), "f:\ncall f\nexit\n"),
    ];
    // Each reserves as much as there is: a second run gets its record only if the first one's is
    // given back and consumed.
    for take in TAKEN {
        for (end, functions) in &ends {
            let text = format!("{take}{end}\nnone:\nr0 = 77\nexit\n{functions}");
            for round in 0..3 {
                let outcome = arena.attack(&text);
                assert_ne!(
                    outcome,
                    Ok(77),
                    "round {round}: what it needs is still taken\n{text}"
                );
                nothing_was_submitted(arena, &text);
            }
        }
    }
}
