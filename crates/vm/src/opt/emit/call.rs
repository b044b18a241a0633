//! The way into a program, out of it, and from function to function; the budget.

use super::*;

impl Emitter<'_> {
    /// The ways in and out.
    pub(super) fn trampolines(&mut self) {
        let begin = self.x.here();
        convention::enter_main(&mut self.x);
        let main = self.x.call_near();
        self.calls.push((main, 0));
        convention::way_out(&mut self.x, self.options.budget);
        self.x.bytes.resize(begin + convention::WAY, 0xcc);
        convention::enter(&mut self.x);
        self.x.call(Gpr::Rax);
        convention::way_out(&mut self.x, self.options.budget);
        self.leave = convention::leave_stopped(&mut self.x);
        if self.options.budget {
            self.ask = self.x.here();
            self.ask_for_budget();
        }
    }

    /// The routine that stubs call with the slot on the stack: all registers keep their values.
    pub(super) fn ask_for_budget(&mut self) {
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
    pub(super) fn give_budget(&mut self) {
        convention::give_budget(&mut self.x);
    }

    /// Reads the budget back: a helper's callbacks have used it too.
    pub(super) fn take_budget(&mut self) {
        convention::take_budget(&mut self.x);
    }

    pub(super) fn leave_if_stopped(&mut self) {
        self.fits &= convention::leave_if_stopped(&mut self.x, self.leave);
    }

    pub(super) fn prologue(&mut self, frame: &Frame<'_>) {
        for register in &frame.saved {
            self.x.push(*register);
        }
        if frame.room > 0 {
            self.x.alu_imm(W::Q, Alu::Sub, Gpr::Rsp, frame.room);
        }
    }

    pub(super) fn epilogue(&mut self, frame: &Frame<'_>) {
        if frame.room > 0 {
            self.x.alu_imm(W::Q, Alu::Add, Gpr::Rsp, frame.room);
        }
        for register in frame.saved.iter().rev() {
            self.x.pop(*register);
        }
    }

    /// Tells the run where a callback's frame would begin, and whose functions it means.
    pub(super) fn remember(&mut self, frame: &Frame<'_>) {
        let temp = TEMP;
        let own = self.plan.frame[frame.body.index] as i32;
        self.x.lea(W::Q, temp, at(Gpr::Rbp, -own));
        self.x.store(8, field(offset_of!(Run, stack_top)), temp);
        self.x.lea_code(temp, 0);
        self.x.store(8, field(offset_of!(Run, machine)), temp);
    }

    pub(super) fn call(&mut self, frame: &mut Frame<'_>, target: Target) {
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
    pub(super) fn call_outside(&mut self, function: u64) {
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
    pub(super) fn tail_call(&mut self, frame: &Frame<'_>, find: u64) {
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
}
