//! Operations that only a proof brings: computed fields, probes, arenas, lookups by index. Each row is
//! run by the interpreter here and by an emulated CPU.

extern crate std;

#[path = "../../../tests/aarch64/emulator.rs"]
mod emulator;

use alloc::{boxed::Box, format, string::String, vec, vec::Vec};

use panal_maps::Cage;

use self::emulator::{CAGE, Emulator, Memory, gate};
use super::{Gates, RunLayout, compile};
use crate::{
    CageShape, Executable, HelperFn, IndexedValues, Run,
    executable::Function,
    jit::Options,
    op::{
        Code::{self, *},
        NO_REGISTER, Op, SCRATCH,
    },
};

/// Bytes that programs are given.
const GIVEN: usize = 4096;
const CAGE_SIZE: u64 = 1 << 26;

/// Where things are in one of the two processes.
struct World {
    field: u64,
    place: u64,
    packet: u64,
    given: u64,
    cage: u64,
}

unsafe extern "C" fn field(at: u64, value: u64, third: u64, _: u64, _: u64, _: *mut Run) -> u64 {
    let at = at as *mut u64;
    // SAFETY: the operations below are given the tests' memory.
    unsafe {
        if value != 0 {
            at.write_unaligned(value.wrapping_add(third));
        }
        at.read_unaligned().wrapping_mul(2).wrapping_add(third)
    }
}

/// What the run's host points to: the address of the memory.
unsafe fn given(run: *mut Run) -> u64 {
    // SAFETY: `run` is the run that calls.
    unsafe { (*run).host as u64 }
}

unsafe extern "C" fn place(p: u64, arena: u64, off: u64, _: u64, _: u64, run: *mut Run) -> u64 {
    // SAFETY: as for `given`.
    unsafe { given(run) + (p.wrapping_add(off).wrapping_add(arena) & 0xff8) }
}

unsafe extern "C" fn packet(_: u64, at: u64, _: u64, _: u64, _: u64, run: *mut Run) -> u64 {
    if at >= GIVEN as u64 {
        return u64::MAX;
    }
    // SAFETY: as for `given`; the byte lies in the memory.
    unsafe { ((given(run) + at) as *const u8).read() }.into()
}

fn address(function: HelperFn) -> u64 {
    function as usize as u64
}

fn op(code: Code, dst: u8, src: u8, off: i32, imm: u64) -> Op {
    Op {
        code,
        dst,
        src,
        tag: crate::op::Tag::None,
        off,
        imm,
    }
}

/// Registers with numbers of their own; `r9` has the memory, as `r1` at first.
fn numbers() -> Vec<Op> {
    let mut ops = vec![op(Mov64X, 9, 1, 0, 0)];
    ops.extend((0..9).map(|n| op(Mov64K, n, 0, 0, 0x0101_0101_0101 * (u64::from(n) + 1))));
    ops
}

/// All registers in `r0`.
fn folded() -> Vec<Op> {
    let mut ops = Vec::new();
    for n in 1..9 {
        ops.extend([op(Mul64K, 0, 0, 0, 31), op(Add64X, 0, n, 0, 0)]);
    }
    ops.push(Op::new(Exit));
    ops
}

/// The rows, by what they are about.
fn rows(world: &World) -> Vec<(String, Vec<Op>)> {
    let mut rows: Vec<(String, Vec<Op>)> = Vec::new();
    let mut add = |name: String, ops: &[Op]| rows.push((name, ops.to_vec()));
    for register in 0..9u8 {
        let (w, other) = (world, (register + 3) % 9);
        add(
            format!("field to r{register}"),
            &[op(Computed, register, 9, 16, w.field)],
        );
        add(
            format!("field by r{register}"),
            &[
                op(Mov64X, register, 9, 0, 0),
                op(Computed, register, register, 8, w.field),
            ],
        );
        add(
            format!("field of r{register}"),
            &[
                op(Mov64X, SCRATCH, register, 0, 0),
                op(ComputedStore, 9, SCRATCH, 24, w.field),
            ],
        );
        add(
            format!("stored r{register} by r{other}"),
            &[
                op(Mov64X, other, 9, 0, 0),
                op(ComputedStore, other, register, 40, w.field),
                op(Mov64K, other, 0, 0, 0),
            ],
        );
        add(
            format!("arena by r{register}"),
            &[
                op(Mov64K, SCRATCH, 0, 0, 800),
                op(ArenaPlace, SCRATCH, register, -24, w.place),
                op(Ld32, other, SCRATCH, 4, 0),
                op(St16X, SCRATCH, register, 2, 0),
            ],
        );
        add(
            format!("casts to r{register}"),
            &[
                op(CastUser, register, other, 0, 0x7fff_0000_0000_0000),
                op(CastKernel, other, register, 0, 0),
                op(Mov64K, SCRATCH, 0, 0, 7 << 32),
                op(CastUser, SCRATCH, SCRATCH, 0, 0x7fff_0000_0000_0000),
                op(Add64X, register, SCRATCH, 0, 0),
            ],
        );
        for (code, off) in [
            (Probe8, 5),
            (Probe16, 70),
            (Probe32, 500),
            (Probe64, 9),
            (ProbeS8, 200),
            (ProbeS16, 129),
            (ProbeS32, 1000),
        ] {
            add(
                format!("{code:?} to r{register}"),
                &[op(code, register, 9, off, 0)],
            );
            // Over the end, before the start, the last bytes, nowhere.
            for (from, off) in [
                (w.cage + CAGE_SIZE, -1),
                (w.cage + CAGE_SIZE, -8),
                (w.cage, -1),
                (w.cage, 0),
                (0, 0),
                (u64::MAX, 0),
                (0xffff_8000_0000_0000, 32767),
            ] {
                add(
                    format!("{code:?} to r{register} from {off} beside the cage"),
                    &[
                        op(Mov64K, other, 0, 0, from),
                        op(code, register, other, off, 0),
                        op(Mov64K, other, 0, 0, 1),
                    ],
                );
            }
        }
    }
    for (index, array) in [0u64, 1, 2, 3, 9, u64::from(u32::MAX)]
        .into_iter()
        .flat_map(|index| [(index, 0), (index, 1), (index, 2)])
    {
        add(
            format!("element {index} of array {array}"),
            &[
                op(StFrame32K, 0, 0, -4, index),
                op(Mov64X, 2, 10, 0, 0),
                op(Add64K, 2, 0, 0, -4i64 as u64),
                op(ArrayLookup, 0, 0, 0, array),
                op(Mov64K, 2, 0, 0, 0),
                op(JEq64K, 0, 0, 1, 0),
                op(Ld64, 0, 0, 0, 0),
            ],
        );
    }
    for (src, off) in [
        (NO_REGISTER, 12),
        (NO_REGISTER, 5000),
        (3, 100),
        (6, -1),
        (7, 40),
    ] {
        add(
            format!("packet at r{src} + {off}"),
            &[
                op(Mov64K, 3, 0, 0, 77),
                op(Mov64K, 7, 0, 0, u64::MAX - 8),
                op(PacketLoad, 0, src, off, world.packet),
                op(Mov64K, 1, 0, 0, 0),
                op(Mov64K, 2, 0, 0, 0),
                op(Mov64K, 3, 0, 0, 0),
                op(Mov64K, 4, 0, 0, 0),
                op(Mov64K, 5, 0, 0, 0),
            ],
        );
    }
    rows
}

/// The program of a row.
fn executable(row: &[Op], world: &World) -> Executable {
    let ops: Vec<Op> = [numbers(), row.to_vec(), folded(), vec![Op::new(Trap)]].concat();
    let array = |stride, plane| IndexedValues {
        first: world.given + 64,
        stride,
        count: 3,
        plane,
    };
    Executable {
        name: "row".into(),
        slots: (0..ops.len() as u32).collect(),
        ops: ops.into_boxed_slice(),
        functions: Box::new([Function {
            start: 0,
            slot: 0,
            frame: 512,
        }]),
        arrays: Box::new([array(16, 0), array(24, 0), array(8, 40)]),
        loops: Box::new([]),
        keys: Box::new([]),
        exception: None,
        proven: true,
        longest_run: None,
        machine: None,
    }
}

/// FNV-1a
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[test]
fn what_proofs_bring_is_what_the_interpreter_does() {
    let emulator = match Emulator::new(&RunLayout::HERE.named()) {
        Ok(emulator) => emulator,
        Err(why) => return std::println!("skipped: {why}"),
    };
    let cage = Cage::new(CAGE_SIZE).expect("address space");
    let stack = cage.allocate(Run::STACK_SIZE as usize, 16).expect("room");
    let memory = cage.allocate(GIVEN, 16).expect("room");
    let here = World {
        field: address(field),
        place: address(place),
        packet: address(packet),
        given: memory.address(),
        cage: cage.base(),
    };
    let offset = |address: u64| address - cage.base();
    let there = World {
        field: gate("field"),
        place: gate("place"),
        packet: gate("packet"),
        given: CAGE + offset(memory.address()),
        cage: CAGE,
    };
    let layout = Memory {
        cage_size: CAGE_SIZE,
        stack: offset(stack.address()),
        stack_size: stack.len() as u64,
        given: offset(memory.address()),
        given_size: GIVEN as u64,
    };
    let interpret = |row: &[Op]| {
        let start: Vec<u8> = (0..GIVEN).map(|i| (i * 7 + 1) as u8).collect();
        // SAFETY: the block is ours and that long; the run's cage and stack are, too.
        let mut run = unsafe {
            panal_maps::bytes::write(memory.pointer(), &start);
            let mut run = Run::new(cage.base(), CAGE_SIZE, stack.address(), stack.len() as u64);
            run.host = memory.address() as *mut _;
            run
        };
        let value = executable(row, &here).run(&mut run, memory.address());
        // SAFETY: as above.
        let bytes = unsafe { core::slice::from_raw_parts(memory.address() as *const u8, GIVEN) };
        (value.expect("no stop"), hash(bytes))
    };
    let gates = Gates {
        refill: gate("refill"),
        tail_target: gate("tail_target"),
        stop_fault: gate("stop_fault"),
        stop_misaligned: gate("stop_misaligned"),
        stop_stack: gate("stop_stack"),
        stop_unreachable: gate("stop_unreachable"),
    };
    let expected: Vec<(u64, u64)> = rows(&here).iter().map(|(_, row)| interpret(row)).collect();
    for cage in [None, CageShape::new(CAGE, CAGE_SIZE)] {
        let options = Options {
            cage,
            ..Options::baseline()
        };
        let rows = rows(&there);
        let codes: Vec<emulator::Code> = rows
            .iter()
            .map(|(_, row)| emulator::Code {
                bytes: compile(&executable(row, &there), options, &gates).expect("code"),
                budget: 1 << 20,
                tail: None,
            })
            .collect();
        let ends = emulator.run(&layout, &codes);
        assert_eq!(ends.len(), rows.len(), "a row ended the emulator");
        for (((name, _), end), (value, hash)) in rows.iter().zip(ends).zip(&expected) {
            let expected = (format!("ok {value:x}"), *hash);
            assert_eq!(end, expected, "{name}, cage {cage:?}");
        }
    }
}
