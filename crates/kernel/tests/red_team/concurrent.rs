//! One thread overwrites all of the cage again and again, while another runs programs, whose frames,
//! arguments, maps and records lie there: what it reads may be anything at any moment.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use panal_uapi::{
    ProgType,
    kernel::{Kernel, TestRun},
};

use crate::arena::Arena;

/// Bytes from the cage's start: more than these kernels have allocated.
const REACH: u64 = 24 << 20;
/// Runs of each victim while it is under attack.
const RUNS: usize = 300;

/// Programs that lean on what lies in the cage.
const VICTIMS: &[&str] = &[
    // Frames, arguments and saved registers across calls.
    "r6 = r10\nr7 = 9\nr8 = 0\nagain:\nr1 = r10\ncall f\nr8 += 1\nif r8 < 50 goto again\nr0 = r7\nexit\n\
     f:\nr7 = 1\n*(u64 *)(r10 - 8) = r1\nr1 = *(u64 *)(r10 - 8)\nr0 = 0\nexit",
    // Callbacks whose frames are overwritten.
    "r1 = 100\nr2 = subprog[f] ll\nr3 = r10\nr4 = 0\ncall 181\nr0 = 9\nexit\nf:\n*(u64 *)(r10 - 8) = r1\nr0 = 0\nexit",
    // Maps by keys and values of the frame.
    "*(u64 *)(r10 - 8) = 1\nr1 = map[hash] ll\nr2 = r10\nr2 += -8\nr3 = r10\nr3 += -32\nr4 = 0\ncall 2\n\
     r1 = map[hash] ll\nr2 = r10\nr2 += -8\ncall 1\nr1 = map[hash] ll\nr2 = r10\nr2 += -8\ncall 3\nr0 = 9\nexit",
    "r1 = map[hash] ll\nr2 = subprog[f] ll\nr3 = 0\nr4 = 0\ncall 164\nr0 = 9\nexit\nf:\nr0 = 0\nexit",
    // Records, whose headers lie in the cage.
    "r1 = map[ring] ll\nr2 = 64\nr3 = 0\ncall 131\nif r0 == 0 goto none\nr1 = r0\nr2 = 0\ncall 132\nnone:\nr0 = 9\nexit",
    "r1 = map[ring] ll\nr2 = r10\nr2 += -64\nr3 = 64\nr4 = 0\ncall 130\nr0 = 9\nexit",
    // Queues, texts, numbers as text, packets.
    "r1 = map[queue] ll\nr2 = r10\nr2 += -8\nr3 = 0\ncall 87\nr1 = map[queue] ll\nr2 = r10\nr2 += -8\ncall 88\nr0 = 9\nexit",
    "r6 = r10\nr6 += -64\nr1 = r6\nr2 = 16\nr3 = 0\nr4 = r10\nr4 += -8\ncall 105\nr1 = r6\nr2 = 16\nr3 = r6\ncall 182\nr0 = 9\nexit",
    "r2 = 0\nr3 = r10\nr3 += -64\nr4 = 32\ncall 26\nr0 = 9\nexit",
    "r6 = r10\nr6 += -64\nr1 = r6\nr2 = 64\nr3 = r6\nr4 = 32\nr5 = 0\ncall 28\nr0 = 9\nexit",
];

pub fn corruption_meanwhile(arena: &mut Arena) {
    let (cage, _) = arena.kernel.cage();
    let writer = format!(
        "r1 = {cage:#x} ll\nr2 = {:#x} ll\nr3 = 0x4141414141414141 ll\nr4 = 0\nagain:\n*(u64 *)(r1 + 0) = r3\n\
         r3 *= 31\nr3 += r4\nr4 += 1\nr1 += 8\nif r1 < r2 goto again\nr0 = 0\nexit",
        cage + REACH
    );
    let writer = arena.load(ProgType::SocketFilter, &writer);
    let over = Arc::new(AtomicBool::new(false));
    let attacker = std::thread::spawn({
        let (kernel, over) = (arena.kernel.clone(), over.clone());
        move || {
            let input = TestRun {
                data_in: vec![1; 64],
                ..TestRun::default()
            };
            let mut runs = 0u64;
            while !over.load(Ordering::Relaxed) {
                // It overwrites its own frame, too; how it ends does not matter.
                let _ = kernel.test_run(&writer, &input);
                runs += 1;
            }
            runs
        }
    });
    for victim in VICTIMS {
        for prog_type in [ProgType::SocketFilter, ProgType::SchedCls] {
            let program = arena.load(prog_type, victim);
            for _ in 0..RUNS {
                // Stopped or not, with whatever value: the canaries are looked at.
                let _ = arena.started(&program, victim);
            }
        }
        for (_, fd) in arena.maps.iter() {
            let info = arena.kernel.map(fd).expect("a map");
            let key = vec![0; info.info().key_size as usize];
            let _ = arena.kernel.map_lookup(fd, &key, 0);
        }
    }
    over.store(true, Ordering::Relaxed);
    let runs = attacker.join().expect("the host lives");
    assert!(runs > 0, "nothing was overwritten");
    // Afterwards calls keep their registers again, and return.
    let calm = "r6 = 5\ncall f\nr0 += r6\nexit\nf:\nr6 = 1\nr0 = 7\nexit";
    assert_eq!(arena.attack(calm), Ok(12));
}
