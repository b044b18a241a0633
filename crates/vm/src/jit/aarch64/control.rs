//! Templates of jumps, calls and returns; entry and exits.

use core::mem::offset_of;

use panal_uapi::profile::BPF_MAX_LOOPS;

use super::{
    a64::{Alu, Cc, Gpr, If, LINK, SP, W, ZERO},
    cage::Fault,
    compile::{BUDGET, CAGE, CALLEE, FRAME, RUN, Round, SPARE, TEMP, TEMPS, Target, gpr},
};
use crate::{
    Run,
    jit::plan::StopKind,
    op::{Code, NO_REGISTER, Op, SCRATCH},
};

/// Registers that the C calling convention gives away and programs keep across an access, in pairs.
const VOLATILE: [(Gpr, Gpr); 4] = [
    (Gpr(0), Gpr(1)),
    (Gpr(2), Gpr(3)),
    (Gpr(4), Gpr(6)),
    (Gpr(7), LINK),
];
/// Registers that the C calling convention keeps and machine code uses, in pairs.
const KEPT: [(Gpr, Gpr); 4] = [
    (Gpr(19), Gpr(20)),
    (Gpr(21), Gpr(22)),
    (Gpr(23), Gpr(24)),
    (Gpr(25), Gpr(26)),
];
/// Arguments and result of C functions.
const C: [Gpr; 6] = [Gpr(0), Gpr(1), Gpr(2), Gpr(3), Gpr(4), Gpr(5)];

fn field(offset: usize) -> (Gpr, i32) {
    (RUN, offset as i32)
}

/// An argument of a function that a template calls.
#[derive(Clone, Copy)]
enum Arg {
    Reg(Gpr),
    Imm(i32),
}

impl Round<'_> {
    fn load_field(&mut self, to: Gpr, offset: usize) {
        self.x.load(8, to, field(offset), SPARE);
    }

    fn store_field(&mut self, from: Gpr, offset: usize) {
        self.x.store(8, from, field(offset), SPARE);
    }

    /// `d = n`, where one is the stack pointer.
    fn move_sp(&mut self, d: Gpr, n: Gpr) {
        self.alu_imm(W::Q, Alu::Add, d, n, 0);
    }

    /// The way in: `fn(run, frame, args, function) -> r0`, and the way out.
    pub fn trampoline(&mut self) {
        for (a, b) in KEPT {
            self.x.push(a, b);
        }
        self.x.mov(W::Q, RUN, C[0]);
        self.x.mov(W::Q, FRAME, C[1]);
        self.x.mov(W::Q, TEMP, C[2]);
        self.x.mov(W::Q, CALLEE, C[3]);
        // A run within a run (a callback) has its own way out.
        let exit = TEMPS[1];
        self.load_field(exit, offset_of!(Run, exit));
        self.x.push(LINK, exit);
        self.move_sp(exit, SP);
        self.store_field(exit, offset_of!(Run, exit));
        for register in 1..=5u8 {
            let place = (TEMP, (i32::from(register) - 1) * 8);
            self.x.load(8, gpr(register), place, SPARE);
        }
        self.take_budget();
        self.point_to_cage();
        if self.options.cage.is_some() {
            // The host's values are not for a program without a proof.
            for register in [0, 6, 7, 8, 9, SCRATCH] {
                self.x.mov_imm(gpr(register), 0);
            }
        }
        self.x.call(CALLEE);
        self.give_budget();
        self.leave = self.x.here();
        self.load_field(TEMP, offset_of!(Run, exit));
        self.move_sp(SP, TEMP);
        self.x.pop(LINK, TEMP);
        self.store_field(TEMP, offset_of!(Run, exit));
        self.x.mov(W::Q, C[0], gpr(0));
        for (a, b) in KEPT.into_iter().rev() {
            self.x.pop(a, b);
        }
        self.x.ret();
        if self.options.budget {
            self.refill = self.x.here();
            self.ask_for_budget();
        }
    }

    fn point_to_cage(&mut self) {
        if let Some(cage) = self.options.cage {
            self.x.mov_imm(CAGE, cage.base());
        }
    }

    /// The routine that the stubs of [`Target::Refill`] call with the slot in the temporary: all
    /// registers of the program keep their values.
    fn ask_for_budget(&mut self) {
        self.give_budget();
        self.keep_volatile();
        self.x.mov(W::Q, C[0], RUN);
        self.x.mov(W::D, C[1], TEMP);
        self.x.mov_imm(CALLEE, self.gates.refill);
        self.x.call(CALLEE);
        self.restore_volatile();
        self.take_budget();
        self.leave_if_stopped();
        self.x.ret();
    }

    fn keep_volatile(&mut self) {
        for (a, b) in VOLATILE {
            self.x.push(a, b);
        }
    }

    fn restore_volatile(&mut self) {
        for (a, b) in VOLATILE.into_iter().rev() {
            self.x.pop(a, b);
        }
    }

    /// Asks for more budget, and goes on. The function may not have kept its own way back.
    pub fn refill_stub(&mut self, op: usize, resume: usize) {
        let slot = self.slot(op);
        self.x.push(LINK, ZERO);
        self.x.mov_imm(TEMP, slot);
        let call = self.x.branch_link();
        self.back(call, self.refill);
        self.x.pop(LINK, SPARE);
        let branch = self.x.branch();
        self.back(branch, resume);
    }

    fn slot(&self, op: usize) -> u64 {
        self.executable.slots.get(op).copied().unwrap_or(0).into()
    }

    /// Registers that the function keeps for its caller, in pairs: zero fills the last one.
    fn saved(&self) -> impl DoubleEndedIterator<Item = (Gpr, Gpr)> + use<> {
        let link = self.function.links.then_some(LINK);
        let mut pairs = [(ZERO, ZERO); 3];
        let mut count = 0;
        for register in link.into_iter().chain(self.function.saved().map(gpr)) {
            let pair = &mut pairs[count / 2];
            *(if count % 2 == 0 {
                &mut pair.0
            } else {
                &mut pair.1
            }) = register;
            count += 1;
        }
        pairs.into_iter().take(count.div_ceil(2))
    }

    pub fn prologue(&mut self) {
        for (a, b) in self.saved() {
            self.x.push(a, b);
        }
        if self.function.may_goto {
            self.x.mov_imm(TEMP, BPF_MAX_LOOPS.into());
            self.x.push(TEMP, ZERO);
        }
        self.charge_call();
        if self.is_main() {
            // A tail call may come from a program without a cage.
            self.point_to_cage();
        }
    }

    fn is_main(&self) -> bool {
        let main = self.executable.functions.first();
        main.is_some_and(|main| main.start as usize == self.function.start)
    }

    fn epilogue(&mut self) {
        if self.function.may_goto {
            self.x.pop(TEMP, SPARE);
        }
        for (a, b) in self.saved().rev() {
            let or_spare = |g| if g == ZERO { SPARE } else { g };
            self.x.pop(a, or_spare(b));
        }
    }

    /// Takes a call off the budget. Calls alone can make a run long: each of eight functions that
    /// calls the next ten times. One that calls nothing leaves the question to its caller.
    fn charge_call(&mut self) {
        let steps = self.function.steps;
        if steps == 0 {
            return;
        }
        self.alu_imm(W::Q, Alu::Subs, BUDGET, BUDGET, steps.into());
        if self.function.nests {
            self.refill_if(If::Flags(Cc::Lt));
        }
    }

    /// Takes a round of a loop off the budget, at the loop's head: every way around passes it.
    pub fn charge(&mut self, index: usize) {
        if let Some(steps) = self.plan.charged_at(index) {
            self.alu_imm(W::Q, Alu::Subs, BUDGET, BUDGET, steps.into());
            self.refill_if(If::Flags(Cc::Lt));
        }
    }

    /// Tells the run where a callback's frame would begin, and whose functions it means.
    fn remember_frame(&mut self) {
        self.add(TEMP, (FRAME, -self.function.frame));
        self.store_field(TEMP, offset_of!(Run, stack_top));
        if self.executable.functions.len() > 1 {
            self.x.page_of(TEMP, 0);
            self.store_field(TEMP, offset_of!(Run, machine));
        }
    }

    /// Writes a jump; false if it is none.
    pub fn jumps(&mut self, index: usize, op: &Op) -> bool {
        let target = self.target(index, op);
        match op.code {
            Code::Jump => {
                if target != index + 1 {
                    self.jump(Target::Op(target));
                }
            }
            Code::MayGoto => {
                self.x.load(8, TEMP, (SP, 0), SPARE);
                self.jump_if(If::Zero(W::Q, TEMP), Target::Op(target));
                self.alu_imm(W::Q, Alu::Sub, TEMP, TEMP, 1);
                self.x.store(8, TEMP, (SP, 0), SPARE);
            }
            _ => match self.compare(op) {
                Some(condition) => self.jump_if(condition, Target::Op(target)),
                None => return false,
            },
        }
        true
    }

    /// Writes what is left: calls, returns, traps.
    pub fn control(&mut self, index: usize, op: &Op) {
        match op.code {
            Code::Helper => {
                if op.off != 0 {
                    self.remember_frame();
                }
                self.call_outside(op.imm);
                self.x.mov(W::Q, gpr(0), C[0]);
                self.clear_given_away();
            }
            Code::Computed => {
                let place = (gpr(op.src), op.off);
                self.computed(op.imm, place, [None; 2], Some(gpr(op.dst)));
            }
            Code::ComputedStore => {
                let place = (gpr(op.dst), op.off);
                self.computed(op.imm, place, [Some(Arg::Reg(gpr(op.src))), None], None);
            }
            Code::ArenaPlace => {
                let args = [Some(Arg::Reg(gpr(op.dst))), Some(Arg::Imm(op.off))];
                self.computed(op.imm, (gpr(op.src), 0), args, Some(gpr(op.dst)));
            }
            Code::PacketLoad => self.packet_load(op),
            Code::Local => self.local(index, op),
            Code::TailCall => self.tail_call(op),
            Code::Exit => self.leave_function(),
            _ => self.jump(Target::Stop(StopKind::Unreachable, index)),
        }
    }

    fn leave_function(&mut self) {
        self.epilogue();
        self.x.ret();
    }

    /// Calls a function of the kernel with the arguments that stand there and the run; leaves when
    /// the run was stopped meanwhile.
    fn call_outside(&mut self, function: u64) {
        self.x.mov(W::Q, C[5], RUN);
        self.give_budget();
        self.x.mov_imm(CALLEE, function);
        self.x.call(CALLEE);
        self.take_budget();
        self.leave_if_stopped();
    }

    /// Writes the budget to the run: before what is not the program's code.
    fn give_budget(&mut self) {
        self.store_field(BUDGET, offset_of!(Run, fuel));
    }

    /// Reads the budget back: a helper's callbacks have used it too.
    fn take_budget(&mut self) {
        self.load_field(BUDGET, offset_of!(Run, fuel));
    }

    fn leave_if_stopped(&mut self) {
        self.x.load(4, TEMP, field(offset_of!(Run, stopped)), SPARE);
        self.back_if(If::NotZero(W::D, TEMP), self.leave);
    }

    /// A context field that is a function of the context: looks like a load or store, so every
    /// register keeps its value.
    fn computed(
        &mut self,
        function: u64,
        place: (Gpr, i32),
        others: [Option<Arg>; 2],
        target: Option<Gpr>,
    ) {
        self.keep_volatile();
        // Out of the way of the arguments first.
        self.add(TEMP, place);
        let kept = [TEMPS[1], TEMPS[2]];
        for (to, arg) in kept.into_iter().zip(others) {
            match arg {
                Some(Arg::Reg(value)) => self.x.mov(W::Q, to, value),
                Some(Arg::Imm(imm)) => self.x.mov_imm(to, i64::from(imm) as u64),
                None => self.x.mov_imm(to, 0),
            }
        }
        self.x.mov(W::Q, C[0], TEMP);
        self.x.mov(W::Q, C[1], kept[0]);
        self.x.mov(W::Q, C[2], kept[1]);
        for register in [C[3], C[4]] {
            self.x.mov_imm(register, 0);
        }
        self.x.mov(W::Q, C[5], RUN);
        self.give_budget();
        self.x.mov_imm(CALLEE, function);
        self.x.call(CALLEE);
        self.take_budget();
        self.x.mov(W::Q, TEMPS[1], C[0]);
        self.restore_volatile();
        if let Some(target) = target {
            self.x.mov(W::Q, target, TEMPS[1]);
        }
        self.leave_if_stopped();
    }

    fn packet_load(&mut self, op: &Op) {
        if op.src == NO_REGISTER {
            self.x.mov_imm(C[1], i64::from(op.off) as u64);
        } else {
            let off = op.off as u32;
            self.alu_imm(W::D, Alu::Add, C[1], gpr(op.src), off.into());
            self.x.sign_extend(W::Q, 32, C[1], C[1]);
        }
        self.x.mov(W::Q, C[0], gpr(6));
        for register in [C[2], C[3], C[4]] {
            self.x.mov_imm(register, 0);
        }
        self.call_outside(op.imm);
        self.x.mov(W::Q, gpr(0), C[0]);
        self.clear_given_away();
        self.alu_imm(W::Q, Alu::Subs, ZERO, gpr(0), 0);
        let inside = self.x.branch_if(If::Flags(Cc::Ge), true);
        self.x.mov_imm(gpr(0), 0);
        self.leave_function();
        self.x.land(inside);
    }

    /// A call of a subprogram: its frame lies below this one's.
    fn local(&mut self, index: usize, op: &Op) {
        let (own, callee) = (op.imm as u32 as i32, (op.imm >> 32) as i32);
        if !self.plan.stack_is_static {
            self.load_field(TEMP, offset_of!(Run, stack));
            self.x.alu(W::Q, Alu::Sub, TEMP, FRAME, TEMP);
            let needed = own.saturating_add(callee) as u64;
            self.alu_imm(W::Q, Alu::Subs, ZERO, TEMP, needed);
            self.jump_if(If::Flags(Cc::Lo), Target::Stop(StopKind::Stack, index));
        }
        self.add(FRAME, (FRAME, -own));
        let target = self.target(index, op);
        self.call_function(target);
        self.add(FRAME, (FRAME, own));
    }

    /// Asks for the target; jumps there with this function's frame given up, or goes on.
    fn tail_call(&mut self, op: &Op) {
        self.x.mov(W::Q, C[3], RUN);
        self.x.mov_imm(C[4], op.imm);
        // As the sixth argument the frame, in place of the run.
        self.x.mov(W::Q, C[5], FRAME);
        self.give_budget();
        self.x.mov_imm(CALLEE, self.gates.tail_target);
        self.x.call(CALLEE);
        self.take_budget();
        self.x.mov(W::Q, CALLEE, C[0]);
        self.leave_if_stopped();
        self.x.mov_imm(gpr(0), 0);
        // What is behind a tail call finds nothing in the others.
        (2..=5).for_each(|register| self.x.mov_imm(gpr(register), 0));
        let none = self.x.branch_if(If::Zero(W::Q, CALLEE), true);
        self.load_field(gpr(1), offset_of!(Run, tail_context));
        self.epilogue();
        self.x.jump_to(CALLEE);
        self.x.land(none);
        self.x.mov_imm(gpr(1), 0);
    }

    /// Stops the run: on the machine's stack as it was at the entry.
    pub fn stop_stub(&mut self, kind: StopKind, op: usize) {
        let stopper = match kind {
            StopKind::Stack => self.gates.stop_stack,
            StopKind::Unreachable => self.gates.stop_unreachable,
        };
        self.give_budget();
        let slot = self.slot(op);
        self.x.mov_imm(C[1], slot);
        self.leave_by(stopper);
    }

    /// Stops the run because of an access.
    pub fn fault_stub(&mut self, fault: &Fault, op: usize) {
        self.give_budget();
        self.add(C[1], fault.place);
        let slot = self.slot(op);
        self.x.mov_imm(C[2], slot);
        self.x.mov_imm(C[3], fault.bytes.into());
        self.x.mov_imm(C[4], fault.write.into());
        self.leave_by(if fault.misaligned {
            self.gates.stop_misaligned
        } else {
            self.gates.stop_fault
        });
    }

    /// Leaves on the machine's stack as it was at the entry, by a function that says why.
    fn leave_by(&mut self, stopper: u64) {
        self.load_field(TEMP, offset_of!(Run, exit));
        self.move_sp(SP, TEMP);
        self.x.mov(W::Q, C[0], RUN);
        self.x.mov_imm(CALLEE, stopper);
        self.x.call(CALLEE);
        let branch = self.x.branch();
        self.back(branch, self.leave);
    }
}
