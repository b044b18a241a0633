//! A program that overwrites all memory that it can reach: what lies in the cage is the programs'
//! own affair, and the host believes none of it.

use panal_uapi::{ProgType, kernel::Kernel};

use crate::arena::{Arena, ringbuf};

/// Words that lead astray as sizes, indices and addresses.
const GARBAGE: [u64; 6] = [
    u64::MAX,
    0,
    0x4141_4141_4141_4141,
    0x8000_0000_8000_0000,
    0x7fff_ffff_ffff_fff8,
    0x0000_0001_0000_0001,
];

/// Bytes from the cage's start: more than these kernels have allocated.
const REACH: u64 = 24 << 20;

pub fn all_of_the_cage(arena: &mut Arena) {
    let (cage, _) = arena.kernel.cage();
    for garbage in GARBAGE {
        for prog_type in [ProgType::SocketFilter, ProgType::Xdp, ProgType::SchedCls] {
            let text = format!(
                "r1 = {cage:#x} ll\nr2 = {:#x} ll\nr3 = {garbage:#x} ll\nagain:\n*(u64 *)(r1 + 0) = r3\n\
                 r1 += 8\nif r1 < r2 goto again\nr0 = 0\nexit",
                cage + REACH
            );
            let program = arena.load(prog_type, &text);
            let outcome = arena.started(&program, &text);
            assert_eq!(outcome, Ok(0), "{text}");
            use_all(arena);
        }
    }
    // Afterwards the kernel is as good as new for those who write first.
    arena.attack("*(u64 *)(r10 - 8) = 1\nr1 = map[hash] ll\nr2 = r10\nr2 += -8\nr3 = r2\nr4 = 0\ncall 2\nr0 = 0\nexit")
        .expect("a run");
}

/// Every map, as user space and as programs use it.
fn use_all(arena: &mut Arena) {
    for (name, fd) in arena.maps.iter() {
        let info = arena.kernel.map(fd).expect("a map");
        let (key, value) = (
            info.info().key_size as usize,
            info.info().value_size as usize,
        );
        let mut key = vec![0; key];
        let _ = arena.kernel.map_lookup(fd, &key, 0);
        let _ = arena.kernel.map_update(fd, &key, &vec![1; value.max(1)], 0);
        for _ in 0..100 {
            match arena.kernel.map_next_key(fd, Some(&key)) {
                Ok(Some(next)) => key = next,
                _ => break,
            }
        }
        let _ = arena.kernel.map_delete(fd, &key);
        if let Some(ring) = ringbuf(&info) {
            for _ in 0..3 {
                ring.consume(&mut |record| assert!(record.len() <= 4096, "{name}"));
                let _ = ring.output(&[1; 16], 0);
            }
        }
    }
    for text in [
        "r1 = map[hash] ll\nr2 = r10\nr2 += -8\ncall 1\nr0 = 0\nexit",
        "r1 = map[hash] ll\nr2 = r10\nr2 += -8\nr3 = r2\nr3 += -16\nr4 = 0\ncall 2\nr0 = 0\nexit",
        "r1 = map[queue] ll\nr2 = r10\nr2 += -8\nr3 = 0\ncall 87\nr1 = map[queue] ll\nr2 = r10\nr2 += -8\ncall 88\nr0 = 0\nexit",
        "r1 = map[ring] ll\nr2 = 32\nr3 = 0\ncall 131\nr1 = r0\nr2 = 0\ncall 132\nr0 = 0\nexit",
        "r1 = map[hash] ll\nr2 = subprog[f] ll\nr3 = 0\nr4 = 0\ncall 164\nr0 = 0\nexit\nf:\nr0 = 0\nexit",
        "r2 = map[programs] ll\nr3 = 1\ncall 12\nr0 = 0\nexit",
    ] {
        let outcome = arena.attack(text);
        assert_eq!(outcome, Ok(0), "{text}");
    }
}
