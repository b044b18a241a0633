//! Templates of jumps, calls and returns; entry and exits.

use core::mem::offset_of;

use panal_uapi::profile::BPF_MAX_LOOPS;

use super::{
    cage::Fault,
    compile::{Round, TEMP2, Target, gpr},
    convention::{self, BUDGET, RUN, TEMP, field},
    runtime,
    x86::{Alu, Cc, Gpr, Mem, Shift, W, at},
};
use crate::{
    Run,
    jit::plan::StopKind,
    key::Key,
    op::{Code, NO_REGISTER, Op},
};

/// What a round of `bpf_loop` is charged, beside what its function is.
const ROUND_STEPS: i32 = 8;
/// Registers that the C calling convention gives away and programs keep across an access.
const VOLATILE: [Gpr; 6] = [Gpr::Rax, Gpr::Rdi, Gpr::Rsi, Gpr::Rdx, Gpr::Rcx, Gpr::R8];
/// Registers that are no arguments: at an entry they have the host's values, which are not for a
/// program without a proof.
const HOSTS: [Gpr; 6] = [Gpr::Rax, Gpr::Rbx, Gpr::R13, Gpr::R14, Gpr::R15, TEMP2];
/// An argument of a function that a template calls.
#[derive(Clone, Copy)]
enum Arg {
    /// In a register that no argument before it is put into.
    Reg(Gpr),
    Imm(i32),
}

impl Round<'_> {
    /// The ways in and out.
    pub fn trampolines(&mut self) {
        let begin = self.x.here();
        convention::enter_main(&mut self.x);
        if self.options.cage.is_some() {
            self.clear(&HOSTS);
            self.clear(&[Gpr::Rsi, Gpr::Rdx, Gpr::Rcx, Gpr::R8]);
        }
        let main = self.plan.functions.first().map_or(0, |main| main.start);
        self.call_function(main);
        convention::way_out(&mut self.x, self.options.budget);
        self.x.bytes.resize(begin + convention::WAY, 0xcc);
        convention::enter(&mut self.x);
        if self.options.cage.is_some() {
            // The function moves aside.
            self.x.mov(W::Q, TEMP, Gpr::Rax);
            self.clear(&HOSTS);
            self.x.call(TEMP);
        } else {
            self.x.call(Gpr::Rax);
        }
        convention::way_out(&mut self.x, self.options.budget);
        self.leave = convention::leave_stopped(&mut self.x);
        if self.options.budget {
            self.refill = self.x.here();
            self.ask_for_budget();
        }
    }

    fn clear(&mut self, registers: &[Gpr]) {
        for register in registers {
            self.x.mov_imm(*register, 0);
        }
    }

    /// The routine that the stubs of [`Target::Refill`] call with the slot in the temporary: all
    /// registers keep their values.
    fn ask_for_budget(&mut self) {
        self.give_budget();
        for register in VOLATILE {
            self.x.push(register);
        }
        // Return address and six pushes: eight more to be aligned.
        self.x.alu_imm(W::Q, Alu::Sub, Gpr::Rsp, 8);
        self.x.mov(W::Q, Gpr::Rdi, RUN);
        self.x.mov(W::D, Gpr::Rsi, TEMP);
        let refill: unsafe extern "C" fn(*mut Run, u32) = runtime::refill;
        self.x.mov_imm(TEMP, refill as usize as u64);
        self.x.call(TEMP);
        self.x.alu_imm(W::Q, Alu::Add, Gpr::Rsp, 8);
        for register in VOLATILE.into_iter().rev() {
            self.x.pop(register);
        }
        self.take_budget();
        self.leave_if_stopped();
        self.x.ret();
    }

    /// Asks for more budget, and goes on.
    pub fn refill_stub(&mut self, op: usize, resume: usize) {
        let slot = self.executable.slots.get(op).copied().unwrap_or(0);
        self.x.mov_imm(TEMP, u64::from(slot));
        let call = self.x.call_near();
        let near = self.x.fix(call, self.refill);
        let back = self.x.jmp(false);
        let near = near && self.x.fix(back, resume);
        self.too_large |= !near;
    }

    /// Bytes that keep the machine's stack aligned to 16 within the function.
    fn padding(&self) -> i32 {
        let pushed = self.function.saved().count() as i32 * 8 + 8;
        let own = if self.function.may_goto { 8 } else { 0 };
        own + (16 - (pushed + own) % 16) % 16
    }

    pub fn prologue(&mut self) {
        for register in self.function.saved() {
            self.x.push(gpr(register));
        }
        let padding = self.padding();
        if padding > 0 {
            self.x.alu_imm(W::Q, Alu::Sub, Gpr::Rsp, padding);
        }
        if self.function.may_goto {
            self.x.store_imm(4, at(Gpr::Rsp, 0), BPF_MAX_LOOPS as i32);
        }
        self.charge_call();
    }

    /// Takes a call off the budget. Calls alone can make a run long: each of eight functions that
    /// calls the next ten times. One that calls nothing leaves the question to its caller.
    fn charge_call(&mut self) {
        let steps = self.function.steps;
        if steps == 0 {
            return;
        }
        self.x.alu_imm(W::Q, Alu::Sub, BUDGET, steps as i32);
        if self.function.nests {
            self.refill_if_used_up();
        }
    }

    /// After a subtraction from the budget.
    fn refill_if_used_up(&mut self) {
        let index = self.current();
        let fixup = self.x.jcc(Cc::L, false);
        let resume = self.x.here();
        self.later(fixup, Target::Refill(index, resume));
    }

    /// Tells the run where a callback's frame would begin, and whose functions it means.
    fn remember_frame(&mut self) {
        self.x.lea(W::Q, TEMP, at(Gpr::Rbp, -self.function.frame));
        self.x.store(8, field(offset_of!(Run, stack_top)), TEMP);
        if self.executable.functions.len() > 1 {
            self.x.lea_code(TEMP, 0);
            self.x.store(8, field(offset_of!(Run, machine)), TEMP);
        }
    }

    fn epilogue(&mut self) {
        let padding = self.padding();
        if padding > 0 {
            self.x.alu_imm(W::Q, Alu::Add, Gpr::Rsp, padding);
        }
        for register in self.function.saved().rev() {
            self.x.pop(gpr(register));
        }
    }

    /// Writes a jump; false if it is none.
    pub fn branch(&mut self, index: usize, op: &Op) -> bool {
        match op.code {
            Code::Jump => {
                let target = self.target(index, op);
                self.settle_all();
                if target != index + 1 {
                    self.jump(Target::Op(target));
                }
            }
            Code::MayGoto => {
                let target = self.target(index, op);
                self.settle(self.plan.live.before(target));
                self.x.alu_mem_imm(W::D, Alu::Cmp, at(Gpr::Rsp, 0), 0);
                self.jump_if(Cc::E, Target::Op(target));
                self.x.alu_mem_imm(W::D, Alu::Sub, at(Gpr::Rsp, 0), 1);
            }
            code if code.is_branch() => self.conditional(index, op),
            _ => return false,
        }
        true
    }

    /// Takes a round of a loop off the budget, at the loop's head: every way around passes it.
    pub fn charge(&mut self, index: usize) {
        if let Some(steps) = self.plan.charged_at(index) {
            self.x.alu_imm(W::Q, Alu::Sub, BUDGET, steps as i32);
            self.refill_if_used_up();
        }
    }

    /// Writes what is left: calls, returns, traps.
    pub fn control(&mut self, index: usize, op: &Op) {
        match op.code {
            Code::Helper => match self.plan.loop_at(index) {
                Some(function) => self.r#loop(op, function),
                None => match self.executable.key_at(index) {
                    Some(key) => self.helper_with_key(key),
                    None => self.helper(op),
                },
            },
            Code::Computed => {
                let place = at(gpr(op.src), op.off);
                self.computed(op.imm, place, [None; 2], Some(gpr(op.dst)));
            }
            Code::ComputedStore => {
                let place = at(gpr(op.dst), op.off);
                self.computed(op.imm, place, [Some(Arg::Reg(gpr(op.src))), None], None);
            }
            Code::ArenaPlace => {
                let args = [Some(Arg::Reg(gpr(op.dst))), Some(Arg::Imm(op.off))];
                self.computed(op.imm, at(gpr(op.src), 0), args, Some(gpr(op.dst)));
            }
            Code::PacketLoad => self.packet_load(op),
            Code::Local => self.local(index, op),
            Code::TailCall => self.tail_call(op),
            Code::Exit => self.exit(),
            _ => self.jump(Target::Stop(StopKind::Unreachable, index)),
        }
    }

    /// Leaves the function. Who has tail-called a main program that counts nothing may count.
    fn exit(&mut self) {
        let is_main = self.plan.functions.first().map(|main| main.start);
        if is_main == Some(self.function.start) && !self.options.budget {
            convention::take_budget(&mut self.x);
        }
        self.epilogue();
        self.x.ret();
    }

    fn helper(&mut self, op: &Op) {
        if op.off != 0 {
            self.remember_frame();
        }
        self.x.mov(W::Q, TEMP2, RUN);
        self.call_outside(op.imm);
        self.clear_given_away();
    }

    /// A helper that gets its key by value: read in pieces from this function's frame, as the
    /// lowering saw.
    fn helper_with_key(&mut self, key: &Key) {
        for (word, &argument) in key.arguments.iter().enumerate() {
            for (n, piece) in key.pieces_of(word).enumerate() {
                let place = at(Gpr::Rbp, key.place + i32::from(piece.at));
                let part = if n == 0 { gpr(argument) } else { gpr(0) };
                self.x.load(piece.bytes, part, place);
                if piece.shift() != 0 {
                    self.x.shift_imm(W::Q, Shift::Shl, part, piece.shift());
                }
                if n > 0 {
                    self.x.alu(W::Q, Alu::Or, gpr(argument), part);
                }
            }
        }
        self.x.mov(W::Q, TEMP2, RUN);
        self.call_outside(key.function as usize as u64);
        self.clear_given_away();
    }

    /// `bpf_loop` with a callback that is known: its rounds are made here. What the helper refuses
    /// is left to it.
    fn r#loop(&mut self, op: &Op, function: usize) {
        let own = self.function.frame;
        // Flags, and too many rounds.
        self.x.test(W::Q, gpr(4), gpr(4));
        let flags = self.x.jcc(Cc::Ne, false);
        self.x.alu_imm(W::D, Alu::Cmp, gpr(1), BPF_MAX_LOOPS as i32);
        let many = self.x.jcc(Cc::A, false);
        // On the machine's stack: rounds, round, the callback's context.
        let (rounds, round, context) = (at(Gpr::Rsp, 0), at(Gpr::Rsp, 4), at(Gpr::Rsp, 8));
        self.x.push(gpr(3));
        self.x.push(gpr(1));
        self.x.store_imm(4, round, 0);
        self.move_frame(-own);
        let top = self.x.here();
        self.x.load(4, gpr(1), round);
        self.x.alu_load(W::D, Alu::Cmp, gpr(1), rounds);
        let over = self.x.jcc(Cc::Ae, false);
        if self.options.budget {
            self.x.alu_imm(W::Q, Alu::Sub, BUDGET, ROUND_STEPS);
            self.refill_if_used_up();
        }
        self.x.load(8, gpr(2), context);
        self.call_function(self.plan.functions[function].start);
        self.x.alu_mem_imm(W::D, Alu::Add, round, 1);
        self.x.test(W::Q, Gpr::Rax, Gpr::Rax);
        let again = self.x.jcc(Cc::E, false);
        let near = self.x.fix(again, top) && self.x.fix(over, self.x.here());
        self.move_frame(own);
        self.x.load(4, Gpr::Rax, round);
        self.x.alu_imm(W::Q, Alu::Add, Gpr::Rsp, 16);
        let done = self.x.jmp(false);
        let here = self.x.here();
        let near = near && self.x.fix(flags, here) && self.x.fix(many, here);
        self.helper(op);
        let near = near && self.x.fix(done, self.x.here());
        self.too_large |= !near;
    }

    /// Calls a function of the kernel; leaves when the run was stopped meanwhile.
    fn call_outside(&mut self, function: u64) {
        self.give_budget();
        self.x.mov_imm(TEMP, function);
        self.x.call(TEMP);
        self.take_budget();
        self.leave_if_stopped();
    }

    /// Writes the budget to the run: before what is not the program's code. Code that counts nothing leaves
    /// it there.
    fn give_budget(&mut self) {
        if self.options.budget {
            convention::give_budget(&mut self.x);
        }
    }

    /// Reads the budget back: a helper's callbacks have used it too.
    fn take_budget(&mut self) {
        if self.options.budget {
            convention::take_budget(&mut self.x);
        }
    }

    fn leave_if_stopped(&mut self) {
        let near = convention::leave_if_stopped(&mut self.x, self.leave);
        self.too_large |= !near;
    }

    /// A context field that is a function of the context: looks like a load or store, so every
    /// register keeps its value.
    fn computed(
        &mut self,
        function: u64,
        place: Mem,
        [second, third]: [Option<Arg>; 2],
        target: Option<Gpr>,
    ) {
        for register in VOLATILE {
            self.x.push(register);
        }
        // Six pushes: still aligned. The value may be in the second temporary.
        self.x.lea(W::Q, TEMP, place);
        for (to, arg) in [(Gpr::Rsi, second), (Gpr::Rdx, third)] {
            match arg {
                Some(Arg::Reg(value)) => self.x.mov(W::Q, to, value),
                Some(Arg::Imm(imm)) => self.x.mov_imm(to, i64::from(imm) as u64),
                None => self.x.mov_imm(to, 0),
            }
        }
        self.x.mov(W::Q, Gpr::Rdi, TEMP);
        for register in [Gpr::Rcx, Gpr::R8] {
            self.x.mov_imm(register, 0);
        }
        self.x.mov(W::Q, TEMP2, RUN);
        self.give_budget();
        self.x.mov_imm(TEMP, function);
        self.x.call(TEMP);
        self.take_budget();
        self.x.mov(W::Q, TEMP2, Gpr::Rax);
        for register in VOLATILE.into_iter().rev() {
            self.x.pop(register);
        }
        if let Some(target) = target {
            self.x.mov(W::Q, target, TEMP2);
        }
        self.leave_if_stopped();
    }

    fn packet_load(&mut self, op: &Op) {
        if op.src == NO_REGISTER {
            self.x.mov_imm(Gpr::Rsi, i64::from(op.off) as u64);
        } else {
            self.x.lea(W::D, Gpr::Rsi, at(gpr(op.src), op.off));
            self.x.movsx(W::Q, 32, Gpr::Rsi, Gpr::Rsi);
        }
        self.x.mov(W::Q, Gpr::Rdi, gpr(6));
        for register in [Gpr::Rdx, Gpr::Rcx, Gpr::R8] {
            self.x.mov_imm(register, 0);
        }
        self.x.mov(W::Q, TEMP2, RUN);
        self.call_outside(op.imm);
        self.clear_given_away();
        self.x.test(W::Q, Gpr::Rax, Gpr::Rax);
        let inside = self.x.jcc(Cc::Ge, true);
        self.x.mov_imm(Gpr::Rax, 0);
        self.exit();
        self.x.land(inside);
    }

    /// A call of a subprogram: its frame lies below this one's.
    fn local(&mut self, index: usize, op: &Op) {
        let (own, callee) = (op.imm as u32 as i32, (op.imm >> 32) as i32);
        if !self.plan.stack_is_static {
            self.x.mov(W::Q, TEMP, Gpr::Rbp);
            self.x
                .alu_load(W::Q, Alu::Sub, TEMP, field(offset_of!(Run, stack)));
            self.x
                .alu_imm(W::Q, Alu::Cmp, TEMP, own.saturating_add(callee));
            self.jump_if(Cc::B, Target::Stop(StopKind::Stack, index));
        }
        self.move_frame(-own);
        let target = self.target(index, op);
        self.call_function(target);
        self.move_frame(own);
    }

    fn move_frame(&mut self, by: i32) {
        if by != 0 {
            self.x.alu_imm(W::Q, Alu::Add, Gpr::Rbp, by);
        }
    }

    /// Asks for the target; jumps there with this function's frame given up, or goes on.
    fn tail_call(&mut self, op: &Op) {
        self.x.mov(W::Q, Gpr::Rcx, RUN);
        self.x.mov_imm(Gpr::R8, op.imm);
        self.x.mov(W::Q, TEMP2, Gpr::Rbp);
        let finder: unsafe extern "C" fn(u64, u64, u64, *mut Run, u64, u64) -> *const u8 =
            runtime::tail_target;
        self.call_outside(finder as usize as u64);
        self.x.test(W::Q, Gpr::Rax, Gpr::Rax);
        let none = self.x.jcc(Cc::E, true);
        self.x
            .load(8, Gpr::Rdi, field(offset_of!(Run, tail_context)));
        // The target may count though this does not.
        convention::take_budget(&mut self.x);
        self.epilogue();
        if self.options.cage.is_some() {
            self.x.mov(W::Q, TEMP, Gpr::Rax);
            for register in [Gpr::Rax, Gpr::Rsi, Gpr::Rdx, Gpr::Rcx, Gpr::R8] {
                self.x.mov_imm(register, 0);
            }
            self.x.jmp_reg(TEMP);
        } else {
            self.x.jmp_reg(Gpr::Rax);
        }
        self.x.land(none);
        self.clear_given_away();
    }

    /// Stops the run: on the machine's stack as it was at the entry.
    pub fn stop_stub(&mut self, kind: StopKind, op: usize) {
        let slot = self.executable.slots.get(op).copied().unwrap_or(0);
        let stopper: unsafe extern "C" fn(*mut Run, u32) = match kind {
            StopKind::Stack => runtime::stop_stack,
            StopKind::Unreachable => runtime::stop_unreachable,
        };
        self.give_budget();
        self.x.mov_imm(Gpr::Rsi, u64::from(slot));
        self.leave_by(stopper as usize as u64);
    }

    /// Stops the run because of an access.
    pub fn fault_stub(&mut self, fault: &Fault, op: usize) {
        let slot = self.executable.slots.get(op).copied().unwrap_or(0);
        self.give_budget();
        self.x.lea(W::Q, Gpr::Rsi, fault.place);
        self.x.mov_imm(Gpr::Rdx, u64::from(slot));
        self.x.mov_imm(Gpr::Rcx, u64::from(fault.bytes));
        self.x.mov_imm(Gpr::R8, u64::from(fault.write));
        let is_misaligned = fault.misaligned;
        let (outside, misaligned): (runtime::Stopper, runtime::Stopper) =
            (runtime::stop_fault, runtime::stop_misaligned);
        let stopper = if is_misaligned { misaligned } else { outside };
        self.leave_by(stopper as usize as u64);
    }

    /// Leaves on the machine's stack as it was at the entry, by a function that says why.
    fn leave_by(&mut self, stopper: u64) {
        self.x.load(8, Gpr::Rsp, field(offset_of!(Run, exit)));
        self.x.mov(W::Q, Gpr::Rdi, RUN);
        self.x.mov_imm(TEMP, stopper);
        self.x.call(TEMP);
        let leave = self.leave;
        let fixup = self.x.jmp(false);
        let near = self.x.fix(fixup, leave);
        self.too_large |= !near;
    }
}
