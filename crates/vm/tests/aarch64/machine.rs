//! Programs on the emulated CPU, and the same by the interpreter.

use std::{cell::Cell, fmt::Write as _};

use panal_isa::Slot;
use panal_vm::{
    Aarch64Gates, CageShape, Executable, HelperFn, JitOptions, Linkage, Outcome, Run, RunLayout,
    Stop, TailCallFn,
};

use crate::{
    common::Home,
    emulator::{CAGE, Code, Emulator, Memory, gate},
};

/// Bytes that programs are given by `r1`.
pub const MEMORY: usize = 4096;

/// How programs are compiled.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub budget: bool,
    pub cage: bool,
}

pub const SETTINGS: [Setting; 3] = [
    Setting {
        budget: true,
        cage: false,
    },
    Setting {
        budget: false,
        cage: false,
    },
    Setting {
        budget: true,
        cage: true,
    },
];

/// A program to be run.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    pub slots: &'a [Slot],
    /// Steps.
    pub budget: u64,
    /// Where its tail calls lead.
    pub tail: Option<&'a [Slot]>,
}

impl<'a> Job<'a> {
    /// A program that ends by itself.
    pub fn of(slots: &'a [Slot]) -> Job<'a> {
        Job {
            slots,
            budget: 100_000_000,
            tail: None,
        }
    }
}

/// How a run ended: in words that both sides use, and a hash of the program's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    how: String,
    memory: u64,
}

impl End {
    /// What the program returned.
    pub fn value(&self) -> Option<u64> {
        u64::from_str_radix(self.how.strip_prefix("ok ")?, 16).ok()
    }

    /// Where the run was stopped differs where budgets are counted otherwise.
    fn new(how: &str, memory: u64) -> End {
        let how = if how.starts_with("budget") {
            "budget"
        } else {
            how
        };
        // What is left in memory then depends on when.
        let memory = if how == "budget" { 0 } else { memory };
        End {
            how: how.to_owned(),
            memory,
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} with memory {:x}", self.how, self.memory)
    }
}

/// Runs programs on the emulator, in order. Fewer ends than programs when one brought it down.
pub fn run(emulator: &Emulator, home: &Home, jobs: &[Job<'_>], setting: Setting) -> Vec<End> {
    let offset = |address: u64| address - home.cage.base();
    let memory = Memory {
        cage_size: home.cage.size(),
        stack: offset(home.stack.address()),
        stack_size: home.stack.len() as u64,
        given: offset(home.memory.address()),
        given_size: MEMORY as u64,
    };
    let codes: Vec<Code> = jobs
        .iter()
        .map(|job| Code {
            bytes: compile(home, job.slots, setting),
            budget: job.budget,
            tail: job.tail.map(|tail| compile(home, tail, setting)),
        })
        .collect();
    let ends = emulator.run(&memory, &codes);
    ends.into_iter()
        .map(|(how, memory)| End::new(&how, memory))
        .collect()
}

/// The emulator, or why it cannot be had.
pub fn emulator() -> Result<Emulator, String> {
    Emulator::new(&RunLayout::HERE.named())
}

/// Machine code for the other process. The cage lies where it is there: no address in a program
/// depends on it.
fn compile(home: &Home, slots: &[Slot], setting: Setting) -> Vec<u8> {
    // SAFETY: it is not run here.
    let mut executable = unsafe { Executable::from_unproven("test", slots, &There) }.unwrap();
    // SAFETY: as above.
    unsafe { executable.trust() };
    let options = JitOptions {
        bmi2: false,
        optimise: false,
        budget: setting.budget,
        cage: setting
            .cage
            .then(|| CageShape::new(CAGE, home.cage.size()).expect("a shape")),
        ..JitOptions::host()
    };
    let gates = Aarch64Gates {
        refill: gate("refill"),
        tail_target: gate("tail_target"),
        stop_fault: gate("stop_fault"),
        stop_misaligned: gate("stop_misaligned"),
        stop_stack: gate("stop_stack"),
        stop_unreachable: gate("stop_unreachable"),
    };
    executable
        .compile_for_aarch64(options, &gates)
        .expect("machine code")
}

/// The helpers of the other process, by their addresses there.
struct There;

fn foreign(address: u64) -> HelperFn {
    // SAFETY: an address that is never called here; function pointers only have to be not null.
    unsafe { std::mem::transmute::<usize, HelperFn>(address as usize) }
}

unsafe extern "C" fn no_target(_: u64, _: u64, _: u64, _: *mut Run) -> *const Executable {
    std::ptr::null()
}

impl Linkage for There {
    fn helper(&self, id: u32) -> Option<HelperFn> {
        match id {
            1 => Some(foreign(gate("repeat"))),
            2 => Some(foreign(gate("mix"))),
            _ => None,
        }
    }
    fn tail_call(&self) -> Option<TailCallFn> {
        Some(no_target)
    }
}

/// The same helpers for the interpreter.
struct Here;

thread_local! {
    /// What tail calls lead to.
    static TARGET: Cell<*const Executable> = const { Cell::new(std::ptr::null()) };
}

unsafe extern "C" fn find(_: u64, _: u64, index: u64, _: *mut Run) -> *const Executable {
    match index {
        0 => TARGET.get(),
        _ => std::ptr::null(),
    }
}

unsafe extern "C" fn repeat(
    count: u64,
    function: u64,
    extra: u64,
    _: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    let mut sum = 0u64;
    for i in 0..count {
        // SAFETY: `run` is the run that calls.
        match unsafe { Run::call_back(run, function, [i, extra, 0, 0, 0]) } {
            Ok(value) => sum = sum.wrapping_add(value),
            Err(_) => return 0,
        }
    }
    sum
}

unsafe extern "C" fn mix(a: u64, b: u64, c: u64, d: u64, e: u64, _: *mut Run) -> u64 {
    [(b, 3), (c, 5), (d, 7), (e, 11u64)]
        .iter()
        .fold(a, |sum, (value, by)| {
            sum.wrapping_add(value.wrapping_mul(*by))
        })
}

impl Linkage for Here {
    fn helper(&self, id: u32) -> Option<HelperFn> {
        match id {
            1 => Some(repeat),
            2 => Some(mix),
            _ => None,
        }
    }
    fn tail_call(&self) -> Option<TailCallFn> {
        Some(find)
    }
}

/// How the interpreter ends.
pub fn interpret(home: &Home, slots: &[Slot], budget: u64, tail: Option<&[Slot]>) -> End {
    // SAFETY: the helpers take no pointers.
    let lower = |slots| unsafe { Executable::from_unproven("test", slots, &Here) }.unwrap();
    let executable = lower(slots);
    let target = tail.map(lower);
    TARGET.set(target.as_ref().map_or(std::ptr::null(), std::ptr::from_ref));
    let start: Vec<u8> = (0..MEMORY).map(|i| (i * 7 + 1) as u8).collect();
    // SAFETY: the blocks are ours, and that long.
    unsafe {
        panal_maps::bytes::write(home.memory.pointer(), &start);
        panal_maps::bytes::write(home.stack.pointer(), &vec![0; home.stack.len()]);
    }
    let mut run = home.run();
    run.budget = budget;
    let outcome = executable.run(&mut run, home.memory.address());
    // SAFETY: as above; nothing writes to it meanwhile.
    let memory = unsafe { std::slice::from_raw_parts(home.memory.address() as *const u8, MEMORY) };
    let hash = memory.iter().fold(0xcbf2_9ce4_8422_2325u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    End::new(&words(home, outcome), hash)
}

/// An outcome as the harness says it.
fn words(home: &Home, outcome: Outcome) -> String {
    let place = |address: u64| {
        let offset = address.wrapping_sub(home.cage.base());
        let near = offset.wrapping_add(CageShape::GUARD) < home.cage.size() + 2 * CageShape::GUARD;
        if near {
            format!("cage+{offset:x}")
        } else {
            format!("{address:x}")
        }
    };
    let mut text = String::new();
    let written = match outcome {
        Ok(value) => write!(text, "ok {value:x}"),
        Err(Stop::Fault {
            slot,
            address,
            size,
            write,
        }) => write!(
            text,
            "fault {slot} {} {size} {}",
            place(address),
            u8::from(write)
        ),
        Err(Stop::Misaligned {
            slot,
            address,
            size,
        }) => write!(text, "misaligned {slot} {} {size} 0", place(address)),
        Err(Stop::Stack { slot }) => write!(text, "stack {slot}"),
        Err(Stop::Unreachable { slot }) => write!(text, "unreachable {slot}"),
        Err(Stop::Budget { .. }) => write!(text, "budget"),
        Err(Stop::NoFunction(_)) => write!(text, "no function"),
        Err(other) => write!(text, "{other}"),
    };
    written.expect("a string");
    text
}
