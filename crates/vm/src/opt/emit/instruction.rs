//! Bytes of single instructions.

use super::*;

impl Emitter<'_> {
    pub(super) fn copy(&mut self, from: Home, to: Home) {
        let slot = |slot: u32| at(Gpr::Rsp, 8 * slot as i32);
        match (from, to) {
            (Home::Reg(from), Home::Reg(to)) => self.x.mov(W::Q, to, from),
            (Home::Slot(from), Home::Reg(to)) => self.x.load(8, to, slot(from)),
            (Home::Reg(from), Home::Slot(to)) => self.x.store(8, slot(to), from),
            // The allocator never writes such a copy.
            (Home::Slot(_), Home::Slot(_)) => self.fits = false,
        }
    }

    pub(super) fn mem(&self, addr: Addr) -> Mem {
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

    pub(super) fn alu(&mut self, w: W, alu: Alu, dst: Gpr, src: Src) {
        match src {
            Src::Reg(slot) if slot >= SPILLED => self.x.alu_load(w, alu, dst, spilled(slot)),
            Src::Reg(src) => self.x.alu(w, alu, dst, gpr(src)),
            Src::Imm(imm) => self.x.alu_imm(w, alu, dst, imm),
            Src::Mem(addr) => {
                let mem = self.mem(addr);
                self.x.alu_load(w, alu, dst, mem);
            }
        }
    }

    pub(super) fn compare(&mut self, compare: &Compare) {
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

    pub(super) fn inst(&mut self, frame: &mut Frame<'_>, index: usize, inst: &Inst) {
        match *inst {
            Inst::Args(_) => {}
            Inst::Imm(dst, value) => self.x.mov_imm(gpr(dst), value),
            Inst::OfRun(dst, word) => {
                let (at, bytes) = word.place();
                self.x.load(bytes, gpr(dst), field(at));
            }
            Inst::Lea(w, dst, addr) => {
                let mem = self.mem(addr);
                self.x.lea(w, gpr(dst), mem);
            }
            Inst::Alu(w, alu, dst, _, src) => self.alu(w, alu, gpr(dst), src),
            Inst::Mul(w, dst, _, Src::Mem(addr)) => {
                let mem = self.mem(addr);
                self.x.imul_load(w, gpr(dst), mem);
            }
            Inst::Mul(w, dst, _, Src::Reg(slot)) if slot >= SPILLED => {
                self.x.imul_load(w, gpr(dst), spilled(slot));
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
                self.ask(compare, cc);
                self.x.cmov(W::Q, cc, gpr(dst), gpr(then));
            }
            Inst::Set(ref compare, cc, dst) => {
                self.ask(compare, cc);
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
                self.ask(compare, cc);
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

    /// `rax` or `rdx` becomes the quotient or remainder of `rax` and `b`.
    pub(super) fn divide(&mut self, w: W, signed: bool, quotient: bool, b: Gpr, known: bool) {
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
    pub(super) fn fetch_loop(&mut self, w: W, alu: Alu, dst: Gpr, place: Mem, src: Gpr, temp: Gpr) {
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
