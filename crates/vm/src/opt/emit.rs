//! Machine code of allocated functions: entry and exits, calls, and each instruction's bytes.
//!
//! The conventions are those of the templates, so that programs of both call each other's tails:
//! arguments in `rdi rsi rdx rcx r8`, the result in `rax`, the frame pointer in `rbp`, the run in
//! `r12`, what is left of its budget in `r10`. A caller within the program knows which registers
//! its callee writes.

mod call;
mod flags;
mod instruction;

use alloc::{vec, vec::Vec};
use core::mem::offset_of;

use flags::Flags;

use super::{
    Why,
    allocate::{Allocated, Home, Step},
    machine::{Addr, Base, Compare, Inst, Locked, Reg, SPILLED, Src, Target},
    plan::Plan,
};
use crate::{
    Executable, Run,
    jit::{
        Options,
        convention::{self, BUDGET, RUN, TEMP, field},
        pages::ALIGNMENT,
        runtime, table,
        x86::{Alu, Cc, Code as X86, Fixup, Gpr, Mem, W, at},
    },
};

/// Those that functions of the program keep, of which they are given.
const SAVED: [Gpr; 4] = [Gpr::Rbx, Gpr::R13, Gpr::R14, Gpr::R15];
/// What asking for more budget must keep.
const ASKING: [Gpr; 8] = [
    Gpr::Rax,
    Gpr::Rdi,
    Gpr::Rsi,
    Gpr::Rdx,
    Gpr::Rcx,
    Gpr::R8,
    Gpr::R9,
    Gpr::R11,
];
/// Heads of loops begin at a multiple of this.
const LOOP_ALIGN: usize = 16;
const _: () = assert!(LOOP_ALIGN <= ALIGNMENT);

pub const fn saved_set() -> u16 {
    let mut set = 0;
    let mut i = 0;
    while i < SAVED.len() {
        set |= 1 << SAVED[i] as u8;
        i += 1;
    }
    set
}

fn gpr(reg: Reg) -> Gpr {
    Gpr::ALL[reg as usize % 16]
}

/// The place of a register that is none.
fn spilled(slot: Reg) -> Mem {
    at(Gpr::Rsp, 8 * (slot - SPILLED) as i32)
}

/// What callers know of a function.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// Registers that it leaves with other values.
    pub written: u16,
    /// Arguments that it reads.
    pub takes: [bool; 5],
    /// Whether it, or one that it calls, needs the frame pointer.
    pub frames: bool,
}

/// A function to be written.
pub struct Body {
    pub index: usize,
    pub allocated: Allocated,
    /// Heads of inner loops, by block.
    pub heads: Vec<bool>,
}

/// Writes the program.
pub fn write(
    executable: &Executable,
    options: Options,
    plan: &Plan,
    outlines: &[Outline],
    bodies: &[Body],
) -> Result<Vec<u8>, Why> {
    let count = executable.functions.len();
    let mut emitter = Emitter {
        executable,
        options,
        plan,
        outlines,
        x: X86::default(),
        leave: 0,
        ask: 0,
        calls: Vec::new(),
        flags: Flags::Unknown,
        fits: true,
    };
    emitter.x.bytes.resize(table::size(count), 0);
    emitter.trampolines();
    let mut places = vec![0u32; count];
    for body in bodies {
        emitter.x.align(LOOP_ALIGN);
        places[body.index] = emitter.x.here() as u32;
        emitter.function(body);
    }
    for (fixup, function) in core::mem::take(&mut emitter.calls) {
        emitter.fits &= emitter.x.fix(fixup, places[function] as usize);
    }
    if !emitter.fits || i32::try_from(emitter.x.here()).is_err() {
        return Err(Why::TooLarge);
    }
    table::write(
        &mut emitter.x.bytes,
        executable,
        &places,
        plan.depth.iter().copied(),
    );
    Ok(emitter.x.bytes)
}

struct Emitter<'e> {
    executable: &'e Executable,
    options: Options,
    plan: &'e Plan,
    outlines: &'e [Outline],
    x: X86,
    /// Offset of the code that leaves a stopped run.
    leave: usize,
    /// Offset of the code that asks for more budget.
    ask: usize,
    calls: Vec<(Fixup, usize)>,
    /// What the flags say before the next step.
    flags: Flags,
    /// Cleared when some distance does not fit.
    fits: bool,
}

/// What lies behind a function's blocks.
enum Stub {
    /// Asks for budget at an operation, goes on at an offset.
    Refill(u32, usize),
}

/// A function under way.
struct Frame<'b> {
    body: &'b Body,
    saved: Vec<Gpr>,
    /// Bytes below the saved registers.
    room: i32,
    /// Offsets of the blocks in the round before.
    before: Option<Vec<usize>>,
    at: Vec<usize>,
    jumps: Vec<(Fixup, usize)>,
    stubs: Vec<(Fixup, Stub)>,
}

impl Emitter<'_> {
    /// Writes a function: twice, the second time with short jumps where the first round's
    /// distances allow them.
    fn function(&mut self, body: &Body) {
        let saved: Vec<Gpr> = SAVED
            .into_iter()
            .filter(|gpr| body.allocated.written >> *gpr as u8 & 1 == 1)
            .collect();
        let steps = || body.allocated.blocks.iter().flatten();
        let calls = steps().any(|s| matches!(s, Step::Inst(Inst::Call(..))));
        let mut room = 8 * body.allocated.slots as i32;
        // Return address and saved registers: together with the room they keep the stack even.
        let above = 8 + 8 * saved.len() as i32;
        if calls && (above + room) % 16 != 0 {
            room += 8;
        }
        let blocks = body.allocated.blocks.len();
        let mut frame = Frame {
            body,
            saved,
            room,
            before: None,
            at: vec![0; blocks],
            jumps: Vec::new(),
            stubs: Vec::new(),
        };
        let (start, calls) = (self.x.here(), self.calls.len());
        self.round(&mut frame);
        self.x.bytes.truncate(start);
        self.calls.truncate(calls);
        frame.before = Some(core::mem::replace(&mut frame.at, vec![0; blocks]));
        self.round(&mut frame);
    }

    fn round(&mut self, frame: &mut Frame<'_>) {
        self.prologue(frame);
        let blocks = &frame.body.allocated.blocks;
        for (index, steps) in blocks.iter().enumerate() {
            // Whoever leads here goes on at once.
            if self.is_left_out(frame, index) {
                continue;
            }
            if frame.body.heads[index] {
                self.x.align(LOOP_ALIGN);
            }
            frame.at[index] = self.x.here();
            self.flags = Flags::Unknown;
            for at in 0..steps.len() {
                self.step(frame, index, at);
            }
        }
        for (fixup, stub) in core::mem::take(&mut frame.stubs) {
            self.fits &= self.x.fix(fixup, self.x.here());
            let Stub::Refill(op, resume) = stub;
            let slot = self.executable.slots.get(op as usize).copied().unwrap_or(0);
            self.x.push_imm(slot as i32);
            let call = self.x.call_near();
            self.fits &= self.x.fix(call, self.ask);
            self.x.lea(W::Q, Gpr::Rsp, at(Gpr::Rsp, 8));
            let back = self.x.jmp(false);
            self.fits &= self.x.fix(back, resume);
        }
        for (fixup, block) in core::mem::take(&mut frame.jumps) {
            self.fits &= self.x.fix(fixup, frame.at[block]);
        }
    }

    /// Whether a jump from here to a block fits in a byte.
    fn short(&self, frame: &Frame<'_>, index: usize, to: usize) -> bool {
        let Some(before) = &frame.before else {
            return false;
        };
        if to <= index {
            return self.x.here() as i64 + 6 - frame.at[to] as i64 <= 128;
        }
        // Code only shrinks between the rounds, but for what alignment adds.
        let heads = frame.body.heads[index + 1..=to].iter().filter(|h| **h);
        before[to] as i64 - before[index] as i64 <= 127 - LOOP_ALIGN as i64 * heads.count() as i64
    }

    /// Where a jump to a block leads in the end: through blocks that only jump on.
    fn follow(&self, frame: &Frame<'_>, mut to: usize) -> usize {
        for _ in 0..frame.body.allocated.blocks.len() {
            match frame.body.allocated.blocks[to][..] {
                [Step::Inst(Inst::Jump)] => to = frame.body.allocated.next[to][0],
                _ => break,
            }
        }
        to
    }

    /// Whether a block only jumps on, to one that does something.
    fn is_left_out(&self, frame: &Frame<'_>, index: usize) -> bool {
        let blocks = &frame.body.allocated.blocks;
        let jumps = |at: usize| matches!(blocks[at][..], [Step::Inst(Inst::Jump)]);
        index > 0 && jumps(index) && !jumps(self.follow(frame, index))
    }

    fn jump(&mut self, frame: &mut Frame<'_>, index: usize, to: usize) {
        let short = self.short(frame, index, to);
        let fixup = self.x.jmp(short);
        frame.jumps.push((fixup, to));
    }

    fn jump_if(&mut self, frame: &mut Frame<'_>, cc: Cc, index: usize, to: usize) {
        let short = self.short(frame, index, to);
        let fixup = self.x.jcc(cc, short);
        frame.jumps.push((fixup, to));
    }

    /// Whether what follows a block in order leads to `to` with nothing between.
    fn falls(&self, frame: &Frame<'_>, index: usize, to: usize) -> bool {
        let blocks = &frame.body.allocated.blocks;
        let mut next = index + 1;
        while next < blocks.len() {
            if next == to {
                return true;
            }
            // Such blocks are not written.
            if !self.is_left_out(frame, next) {
                return false;
            }
            next += 1;
        }
        false
    }
}
