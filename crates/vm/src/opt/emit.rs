//! Machine code of allocated functions: entry and exits, calls, and each instruction's bytes.
//!
//! The conventions are those of the templates, so that programs of both call each other's tails:
//! arguments in `rdi rsi rdx rcx r8`, the result in `rax`, the frame pointer in `rbp`, the run in
//! `r12`, what is left of its budget in `r10`. A caller within the program knows which registers
//! its callee writes.

use alloc::{vec, vec::Vec};
use core::mem::offset_of;

use super::{
    Why,
    allocate::{Allocated, Home, Step},
    machine::{Addr, Base, Compare, Inst, Locked, Reg, Src, Target},
    plan::Plan,
};
use crate::{
    Executable, Run,
    jit::{
        Options,
        convention::{self, BUDGET, RUN, TEMP, field},
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
        fits: true,
    };
    emitter.x.bytes.resize(table::size(count), 0);
    emitter.trampoline();
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
    /// The way in: `fn(run, frame, args, function) -> r0`, and the way out.
    fn trampoline(&mut self) {
        convention::enter(&mut self.x);
        self.x.call(Gpr::Rax);
        if self.options.budget {
            self.give_budget();
        }
        self.leave = convention::leave(&mut self.x);
        if self.options.budget {
            self.ask = self.x.here();
            self.ask_for_budget();
        }
    }

    /// The routine that stubs call with the slot on the stack: all registers keep their values.
    fn ask_for_budget(&mut self) {
        self.give_budget();
        for register in ASKING {
            self.x.push(register);
        }
        self.x.push(Gpr::Rbx);
        self.x.mov(W::Q, Gpr::Rbx, Gpr::Rsp);
        self.x.mov(W::Q, Gpr::Rdi, RUN);
        let pushed = 8 * (ASKING.len() as i32 + 1);
        self.x.load(4, Gpr::Rsi, at(Gpr::Rbx, pushed + 8));
        self.x.alu_imm(W::Q, Alu::And, Gpr::Rsp, -16);
        let refill: unsafe extern "C" fn(*mut Run, u32) = runtime::refill;
        self.x.mov_imm(Gpr::Rax, refill as usize as u64);
        self.x.call(Gpr::Rax);
        self.x.mov(W::Q, Gpr::Rsp, Gpr::Rbx);
        self.x.pop(Gpr::Rbx);
        for register in ASKING.into_iter().rev() {
            self.x.pop(register);
        }
        self.take_budget();
        self.leave_if_stopped();
        self.x.ret();
    }

    /// Writes the budget to the run: before what is not the program's code.
    fn give_budget(&mut self) {
        convention::give_budget(&mut self.x);
    }

    /// Reads the budget back: a helper's callbacks have used it too.
    fn take_budget(&mut self) {
        convention::take_budget(&mut self.x);
    }

    fn leave_if_stopped(&mut self) {
        self.fits &= convention::leave_if_stopped(&mut self.x, self.leave);
    }

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
            for step in steps {
                match step {
                    Step::Copy { from, to } => self.copy(*from, *to),
                    Step::Inst(inst) => self.inst(frame, index, inst),
                }
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

    fn prologue(&mut self, frame: &Frame<'_>) {
        for register in &frame.saved {
            self.x.push(*register);
        }
        if frame.room > 0 {
            self.x.alu_imm(W::Q, Alu::Sub, Gpr::Rsp, frame.room);
        }
    }

    fn epilogue(&mut self, frame: &Frame<'_>) {
        if frame.room > 0 {
            self.x.alu_imm(W::Q, Alu::Add, Gpr::Rsp, frame.room);
        }
        for register in frame.saved.iter().rev() {
            self.x.pop(*register);
        }
    }

    /// Tells the run where a callback's frame would begin, and whose functions it means.
    fn remember(&mut self, frame: &Frame<'_>) {
        let temp = TEMP;
        let own = self.plan.frame[frame.body.index] as i32;
        self.x.lea(W::Q, temp, at(Gpr::Rbp, -own));
        self.x.store(8, field(offset_of!(Run, stack_top)), temp);
        self.x.lea_code(temp, 0);
        self.x.store(8, field(offset_of!(Run, machine)), temp);
    }

    fn copy(&mut self, from: Home, to: Home) {
        let slot = |slot: u32| at(Gpr::Rsp, 8 * slot as i32);
        match (from, to) {
            (Home::Reg(from), Home::Reg(to)) => self.x.mov(W::Q, to, from),
            (Home::Slot(from), Home::Reg(to)) => self.x.load(8, to, slot(from)),
            (Home::Reg(from), Home::Slot(to)) => self.x.store(8, slot(to), from),
            // The allocator never writes such a copy.
            (Home::Slot(_), Home::Slot(_)) => self.fits = false,
        }
    }

    fn mem(&self, addr: Addr) -> Mem {
        Mem {
            base: match addr.base {
                Base::Reg(base) => gpr(base),
                Base::Frame => Gpr::Rbp,
            },
            index: addr.index.map(|(index, _)| gpr(index)),
            scale: addr.index.map_or(0, |(_, scale)| scale),
            disp: addr.disp,
        }
    }

    fn alu(&mut self, w: W, alu: Alu, dst: Gpr, src: Src) {
        match src {
            Src::Reg(src) => self.x.alu(w, alu, dst, gpr(src)),
            Src::Imm(imm) => self.x.alu_imm(w, alu, dst, imm),
            Src::Mem(addr) => {
                let mem = self.mem(addr);
                self.x.alu_load(w, alu, dst, mem);
            }
        }
    }

    fn compare(&mut self, compare: &Compare) {
        let w = if compare.bytes == 8 { W::Q } else { W::D };
        match (compare.a, compare.b) {
            (Src::Mem(addr), Src::Imm(imm)) => {
                let mem = self.mem(addr);
                self.x.alu_store_imm(compare.bytes, Alu::Cmp, mem, imm);
            }
            (Src::Reg(a), Src::Reg(b)) if compare.test => self.x.test(w, gpr(a), gpr(b)),
            (Src::Reg(a), Src::Imm(imm)) if compare.test => self.x.test_imm(w, gpr(a), imm),
            (Src::Reg(a), b) => self.alu(w, Alu::Cmp, gpr(a), b),
            // The selection writes no other forms.
            _ => self.fits = false,
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

    fn inst(&mut self, frame: &mut Frame<'_>, index: usize, inst: &Inst) {
        match *inst {
            Inst::Args(_) => {}
            Inst::Imm(dst, value) => self.x.mov_imm(gpr(dst), value),
            Inst::Cpu(dst) => self.x.load(4, gpr(dst), field(offset_of!(Run, cpu))),
            Inst::Lea(w, dst, addr) => {
                let mem = self.mem(addr);
                self.x.lea(w, gpr(dst), mem);
            }
            Inst::Alu(w, alu, dst, _, src) => self.alu(w, alu, gpr(dst), src),
            Inst::Mul(w, dst, _, Src::Mem(addr)) => {
                let mem = self.mem(addr);
                self.x.imul_load(w, gpr(dst), mem);
            }
            Inst::Mul(w, dst, _, Src::Reg(src)) => self.x.imul(w, gpr(dst), gpr(src)),
            Inst::Mul(w, dst, _, Src::Imm(imm)) => {
                self.x.imul_imm(w, gpr(dst), gpr(dst), imm);
            }
            Inst::MulImm(w, dst, Src::Mem(addr), imm) => {
                let mem = self.mem(addr);
                self.x.imul_load_imm(w, gpr(dst), mem, imm);
            }
            Inst::MulImm(w, dst, Src::Reg(src), imm) => {
                self.x.imul_imm(w, gpr(dst), gpr(src), imm);
            }
            Inst::MulImm(_, _, Src::Imm(_), _) => self.fits = false,
            Inst::MulHigh(_, _, b) => self.x.mul(W::Q, gpr(b)),
            Inst::Neg(w, dst, _) => self.x.neg(w, gpr(dst)),
            Inst::Swap(bits, dst, _) => match bits {
                16 => {
                    self.x.swap16(gpr(dst));
                    self.x.movzx(16, gpr(dst), gpr(dst));
                }
                32 => self.x.bswap(W::D, gpr(dst)),
                _ => self.x.bswap(W::Q, gpr(dst)),
            },
            Inst::Shift(w, shift, dst, _, count) => self.x.shift_imm(w, shift, gpr(dst), count),
            Inst::ShiftX(w, shift, dst, a, count) => {
                self.x.shift_x(w, shift, gpr(dst), gpr(a), gpr(count));
            }
            Inst::ShiftCl(w, shift, dst, _, _) => self.x.shift_cl(w, shift, gpr(dst)),
            Inst::Rol(w, dst, a, count) if dst == a => self.x.rol(w, gpr(dst), count),
            Inst::Rol(w, dst, a, count) => {
                let bits = if w == W::Q { 64 } else { 32 };
                self.x.rorx(w, gpr(dst), gpr(a), bits - count);
            }
            Inst::RolCl(w, dst, _, _) => self.x.rol_cl(w, gpr(dst)),
            Inst::Zext(32, dst, src) => self.x.mov(W::D, gpr(dst), gpr(src)),
            Inst::Zext(bits, dst, src) => self.x.movzx(bits, gpr(dst), gpr(src)),
            Inst::Sext(w, bits, dst, src) => self.x.movsx(w, bits, gpr(dst), gpr(src)),
            Inst::Load(bytes, dst, addr) => {
                let mem = self.mem(addr);
                self.x.load(bytes, gpr(dst), mem);
            }
            Inst::LoadSigned(bytes, dst, addr) => {
                let mem = self.mem(addr);
                self.x.load_signed(bytes, gpr(dst), mem);
            }
            Inst::Store(bytes, addr, src) => {
                let mem = self.mem(addr);
                match src {
                    Src::Reg(src) => self.x.store(bytes, mem, gpr(src)),
                    Src::Imm(imm) => self.x.store_imm(bytes, mem, imm),
                    Src::Mem(_) => self.fits = false,
                }
            }
            Inst::AluMem(bytes, alu, addr, src) => {
                let mem = self.mem(addr);
                match src {
                    Src::Reg(src) => self.x.alu_store(bytes, alu, mem, gpr(src)),
                    Src::Imm(imm) => self.x.alu_store_imm(bytes, alu, mem, imm),
                    Src::Mem(_) => self.fits = false,
                }
            }
            Inst::Select(ref compare, cc, dst, _, then) => {
                self.compare(compare);
                self.x.cmov(W::Q, cc, gpr(dst), gpr(then));
            }
            Inst::Set(ref compare, cc, dst) => {
                self.compare(compare);
                self.x.set(cc, gpr(dst));
                self.x.movzx(8, gpr(dst), gpr(dst));
            }
            Inst::Carry(w, ref compare, carries, dst, _) => {
                self.compare(compare);
                match carries {
                    true => self.x.adc_imm(w, gpr(dst), 0),
                    false => self.x.sbb_imm(w, gpr(dst), -1),
                }
            }
            Inst::Div {
                w,
                signed,
                quotient,
                b,
                known,
                ..
            } => self.divide(w, signed, quotient, gpr(b), known),
            Inst::Probe(bytes, signed, dst, addr, one, two) => {
                let mem = self.mem(addr);
                let free = [gpr(one), gpr(two)];
                convention::probe(&mut self.x, bytes, signed, gpr(dst), mem, free);
            }
            Inst::Locked(w, locked, _, addr, src) => {
                let mem = self.mem(addr);
                match locked {
                    Locked::Alu(alu) => self.x.lock_alu(w, alu, mem, gpr(src)),
                    Locked::Xadd => self.x.lock_xadd(w, mem, gpr(src)),
                    Locked::Xchg => self.x.xchg_mem(w, mem, gpr(src)),
                }
            }
            Inst::CmpXchg(w, dst, addr, src, _) => {
                let mem = self.mem(addr);
                self.x.lock_cmpxchg(w, mem, gpr(src));
                if w == W::D {
                    // On success the machine leaves the upper half of rax as it was.
                    self.x.mov(W::D, gpr(dst), gpr(dst));
                }
            }
            Inst::FetchLoop(w, alu, dst, addr, src, temp) => {
                let mem = self.mem(addr);
                self.fetch_loop(w, alu, gpr(dst), mem, gpr(src), gpr(temp));
            }
            Inst::Call(target, _, _) => self.call(frame, target),
            Inst::Charge(steps, op, may_end) => {
                self.x.alu_imm(W::Q, Alu::Sub, BUDGET, steps as i32);
                if may_end {
                    let fixup = self.x.jcc(Cc::L, false);
                    let resume = self.x.here();
                    frame.stubs.push((fixup, Stub::Refill(op, resume)));
                }
            }
            Inst::Jump => {
                let to = self.follow(frame, frame.body.allocated.next[index][0]);
                if !self.falls(frame, index, to) {
                    self.jump(frame, index, to);
                }
            }
            Inst::Branch(ref compare, cc) => {
                self.compare(compare);
                let next = &frame.body.allocated.next[index];
                let (then, other) = (next[0], next[1]);
                let (then, other) = (self.follow(frame, then), self.follow(frame, other));
                if self.falls(frame, index, then) {
                    self.jump_if(frame, cc.inverted(), index, other);
                } else {
                    self.jump_if(frame, cc, index, then);
                    if !self.falls(frame, index, other) {
                        self.jump(frame, index, other);
                    }
                }
            }
            Inst::Return(_) => {
                self.epilogue(frame);
                if frame.body.index == 0 && !self.options.budget {
                    // A tail call may have come from code that counts.
                    self.take_budget();
                }
                self.x.ret();
            }
            Inst::Trap(op) => {
                let slot = self.executable.slots.get(op as usize).copied().unwrap_or(0);
                if self.options.budget {
                    self.give_budget();
                }
                self.x.load(8, Gpr::Rsp, field(offset_of!(Run, exit)));
                self.x.mov(W::Q, Gpr::Rdi, RUN);
                self.x.mov_imm(Gpr::Rsi, u64::from(slot));
                let stop: unsafe extern "C" fn(*mut Run, u32) = runtime::stop_unreachable;
                self.x.mov_imm(TEMP, stop as usize as u64);
                self.x.call(TEMP);
                let fixup = self.x.jmp(false);
                self.fits &= self.x.fix(fixup, self.leave);
            }
        }
    }

    fn call(&mut self, frame: &mut Frame<'_>, target: Target) {
        match target {
            Target::Outside(function, back) => {
                if back {
                    self.remember(frame);
                }
                self.x.mov(W::Q, Gpr::R9, RUN);
                self.call_outside(function);
            }
            Target::Local(function) => {
                let function = function as usize;
                let frames = self.outlines[function].frames;
                let own = self.plan.frame[frame.body.index] as i32;
                if frames {
                    self.x.alu_imm(W::Q, Alu::Sub, Gpr::Rbp, own);
                }
                let fixup = self.x.call_near();
                self.calls.push((fixup, function));
                if frames {
                    self.x.alu_imm(W::Q, Alu::Add, Gpr::Rbp, own);
                }
            }
            Target::Tail(find) => self.tail_call(frame, find),
        }
    }

    /// Calls a function of the kernel; leaves when the run was stopped meanwhile.
    fn call_outside(&mut self, function: u64) {
        if self.options.budget {
            self.give_budget();
        }
        self.x.mov_imm(TEMP, function);
        self.x.call(TEMP);
        if self.options.budget {
            self.take_budget();
        }
        self.leave_if_stopped();
    }

    /// Asks for the target; jumps there with this function's frame given up, or goes on.
    fn tail_call(&mut self, frame: &Frame<'_>, find: u64) {
        self.x.mov(W::Q, Gpr::Rcx, RUN);
        self.x.mov_imm(Gpr::R8, find);
        self.x.mov(W::Q, Gpr::R9, Gpr::Rbp);
        let finder: unsafe extern "C" fn(u64, u64, u64, *mut Run, u64, u64) -> *const u8 =
            runtime::tail_target;
        self.call_outside(finder as usize as u64);
        self.x.test(W::Q, Gpr::Rax, Gpr::Rax);
        let none = self.x.jcc(Cc::E, true);
        self.x
            .load(8, Gpr::Rdi, field(offset_of!(Run, tail_context)));
        if !self.options.budget {
            self.take_budget();
        }
        self.epilogue(frame);
        self.x.jmp_reg(Gpr::Rax);
        self.x.land(none);
    }

    /// `rax` or `rdx` becomes the quotient or remainder of `rax` and `b`.
    fn divide(&mut self, w: W, signed: bool, quotient: bool, b: Gpr, known: bool) {
        let zero = (!known).then(|| {
            self.x.test(w, b, b);
            self.x.jcc(Cc::E, true)
        });
        // MIN / -1 does not fit and would fault: negate instead.
        let minus_one = signed.then(|| {
            self.x.alu_imm(w, Alu::Cmp, b, -1);
            self.x.jcc(Cc::E, true)
        });
        if signed {
            self.x.sign_to_rdx(w);
            self.x.idiv(w, b);
        } else {
            self.x.alu(W::D, Alu::Xor, Gpr::Rdx, Gpr::Rdx);
            self.x.div(w, b);
        }
        let mut done = [None, None];
        if let Some(minus_one) = minus_one {
            done[0] = Some(self.x.jmp(true));
            self.x.land(minus_one);
            if quotient {
                self.x.neg(w, Gpr::Rax);
            } else {
                self.x.mov_imm(Gpr::Rdx, 0);
            }
        }
        if let Some(zero) = zero {
            done[1] = Some(self.x.jmp(true));
            self.x.land(zero);
            if quotient {
                self.x.mov_imm(Gpr::Rax, 0);
            } else {
                self.x.mov(w, Gpr::Rdx, Gpr::Rax);
            }
        }
        for jump in done.into_iter().flatten() {
            self.x.land(jump);
        }
    }

    /// Fetch-and-operate where the machine has only compare-and-exchange; `dst` is `rax`.
    fn fetch_loop(&mut self, w: W, alu: Alu, dst: Gpr, place: Mem, src: Gpr, temp: Gpr) {
        self.x.load(if w == W::Q { 8 } else { 4 }, dst, place);
        let top = self.x.here();
        self.x.mov(W::Q, temp, dst);
        self.x.alu(w, alu, temp, src);
        self.x.lock_cmpxchg(w, place, temp);
        let again = self.x.jcc(Cc::Ne, true);
        self.fits &= self.x.fix(again, top);
        if w == W::D {
            self.x.mov(W::D, dst, dst);
        }
    }
}
