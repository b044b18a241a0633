//! Templates of loads, stores and atomics.

use core::mem::offset_of;

use super::{
    compile::{Round, TEMP2, gpr},
    convention::{self, BUDGET, TEMP, field},
    x86::{Alu, Amount, Cc, Gpr, Mem, Shift, W, at},
};
use crate::{
    Run,
    jit::live::{self, only},
    op::{Atomic, Code, Op},
};

/// How much an operation accesses, of those in order from one byte on.
#[inline(always)]
fn amount(code: Code, first: Code) -> Amount {
    const AMOUNTS: [Amount; 4] = [Amount::One, Amount::Two, Amount::Four, Amount::Eight];
    AMOUNTS[usize::from(code as u8 - first as u8) % AMOUNTS.len()]
}

impl Round<'_> {
    /// Writes an operation of [`class::FRAME_LOADS`](super::class::FRAME_LOADS).
    #[inline(always)]
    pub fn load_frame(&mut self, op: &Op) {
        let amount = amount(op.code, Code::LdFrame8);
        self.x.load_at(amount, gpr(op.dst), Gpr::Rbp, op.off);
    }

    /// Writes an operation of [`class::LOADS`](super::class::LOADS).
    #[inline(always)]
    pub fn load(&mut self, op: &Op) {
        if self.options.cage.is_some() {
            self.confine_operation(op);
        }
        let amount = amount(op.code, Code::Ld8);
        self.x.load_at(amount, gpr(op.dst), gpr(op.src), op.off);
    }

    /// Writes an operation of [`class::FRAME_STORES`](super::class::FRAME_STORES).
    #[inline(always)]
    pub fn store_frame(&mut self, op: &Op) {
        let amount = amount(op.code, Code::StFrame8X);
        self.x.store_at(amount, Gpr::Rbp, op.off, gpr(op.src));
    }

    /// Writes an operation of [`class::STORES`](super::class::STORES).
    #[inline(always)]
    pub fn store(&mut self, op: &Op) {
        if self.options.cage.is_some() {
            self.confine_operation(op);
        }
        let amount = amount(op.code, Code::St8X);
        self.x.store_at(amount, gpr(op.dst), op.off, gpr(op.src));
    }

    /// Writes a memory operation; false if it is none.
    pub fn memory(&mut self, op: &Op) -> bool {
        use Code::*;
        let source = self.address(op.src, op.off);
        let place = self.address(op.dst, op.off);
        let frame = at(Gpr::Rbp, op.off);
        let (dst, src) = (gpr(op.dst), gpr(op.src));
        self.confine_operation(op);
        match op.code {
            Ld8 | LdAcq8 => self.x.load(1, dst, source),
            Ld16 | LdAcq16 => self.x.load(2, dst, source),
            Ld32 | LdAcq32 => self.x.load(4, dst, source),
            Ld64 | LdAcq64 => self.x.load(8, dst, source),
            LdS8 => self.x.load_signed(1, dst, source),
            LdS16 => self.x.load_signed(2, dst, source),
            LdS32 => self.x.load_signed(4, dst, source),
            Probe8 => self.probe(dst, source, 1, false),
            Probe16 => self.probe(dst, source, 2, false),
            Probe32 => self.probe(dst, source, 4, false),
            Probe64 => self.probe(dst, source, 8, false),
            ProbeS8 => self.probe(dst, source, 1, true),
            ProbeS16 => self.probe(dst, source, 2, true),
            ProbeS32 => self.probe(dst, source, 4, true),
            LdFrame8 => self.x.load(1, dst, frame),
            LdFrame16 => self.x.load(2, dst, frame),
            LdFrame32 => self.x.load(4, dst, frame),
            LdFrame64 => self.x.load(8, dst, frame),
            LdFrameS8 => self.x.load_signed(1, dst, frame),
            LdFrameS16 => self.x.load_signed(2, dst, frame),
            LdFrameS32 => self.x.load_signed(4, dst, frame),
            St8K => self.store_imm(1, place, op.imm),
            St16K => self.store_imm(2, place, op.imm),
            St32K => self.store_imm(4, place, op.imm),
            St64K => self.store_imm(8, place, op.imm),
            // A release is any store on x86-64.
            St8X | StRel8 => self.x.store(1, place, src),
            St16X | StRel16 => self.x.store(2, place, src),
            St32X | StRel32 => self.x.store(4, place, src),
            St64X | StRel64 => self.x.store(8, place, src),
            StFrame8K => self.store_imm(1, frame, op.imm),
            StFrame16K => self.store_imm(2, frame, op.imm),
            StFrame32K => self.store_imm(4, frame, op.imm),
            StFrame64K => self.store_imm(8, frame, op.imm),
            StFrame8X => self.x.store(1, frame, src),
            StFrame16X => self.x.store(2, frame, src),
            StFrame32X => self.x.store(4, frame, src),
            StFrame64X => self.x.store(8, frame, src),
            Atomic32 => self.atomic(W::D, op, place),
            Atomic64 => self.atomic(W::Q, op, place),
            ArrayLookup => self.array_lookup(op, at(gpr(2), 0)),
            OfRun => {
                let (at, bytes) = op.of_run().place();
                self.x.load(bytes, dst, field(at));
            }
            _ => return false,
        }
        true
    }

    /// Writes a plain access by a register that is pending; false if it is none.
    pub fn access(&mut self, index: usize, op: &Op) -> bool {
        use Code::*;
        let (base, load, bytes) = match op.code {
            Ld8 | LdS8 => (op.src, true, 1),
            Ld16 | LdS16 => (op.src, true, 2),
            Ld32 | LdS32 => (op.src, true, 4),
            Ld64 => (op.src, true, 8),
            St8K | St8X => (op.dst, false, 1),
            St16K | St16X => (op.dst, false, 2),
            St32K | St32X => (op.dst, false, 4),
            St64K | St64X => (op.dst, false, 8),
            ArrayLookup => (2, true, 0),
            _ => return false,
        };
        if !self.is_pending(base) {
            return false;
        }
        match op.code {
            ArrayLookup => {
                self.overwrite_beside(live::effects(op).writes, base);
                let place = self.place_of(index, base, 0);
                self.confine_place(index, (base, 0), place, 4, false);
                self.array_lookup(op, place);
                self.forget_dead(self.plan.live.behind(index));
                self.overwrite(live::effects(op).writes);
            }
            _ if load => {
                self.overwrite_beside(only(op.dst), base);
                let place = self.place_of(index, base, op.off);
                self.confine_place(index, (base, op.off), place, bytes, false);
                let dst = gpr(op.dst);
                match op.code {
                    LdS8 | LdS16 | LdS32 => self.x.load_signed(bytes, dst, place),
                    _ => self.x.load(bytes, dst, place),
                }
                self.forget_dead(self.plan.live.behind(index));
                self.overwrite(only(op.dst));
            }
            St8K | St16K | St32K | St64K => {
                if bytes == 8 && i32::try_from(op.imm as i64).is_err() {
                    self.settle(only(base));
                }
                let place = self.place_of(index, base, op.off);
                self.confine_place(index, (base, op.off), place, bytes, true);
                self.store_imm(bytes, place, op.imm);
            }
            _ => {
                self.settle(only(op.src));
                let place = self.place_of(index, base, op.off);
                self.confine_place(index, (base, op.off), place, bytes, true);
                self.x.store(bytes, place, gpr(op.src));
            }
        }
        true
    }

    fn store_imm(&mut self, bytes: u8, place: Mem, imm: u64) {
        if bytes == 8 && i32::try_from(imm as i64).is_err() {
            self.x.mov_imm(TEMP, imm);
            self.x.store(8, place, TEMP);
        } else {
            self.x.store_imm(bytes, place, imm as i32);
        }
    }

    /// A load that gives 0 outside of the cage.
    fn probe(&mut self, dst: Gpr, source: Mem, bytes: u8, signed: bool) {
        convention::probe(&mut self.x, bytes, signed, dst, source, [TEMP, TEMP2]);
    }

    fn atomic(&mut self, w: W, op: &Op, place: Mem) {
        let src = gpr(op.src);
        match Atomic::ALL[op.imm as usize % Atomic::ALL.len()] {
            Atomic::Add => self.x.lock_alu(w, Alu::Add, place, src),
            Atomic::Or => self.x.lock_alu(w, Alu::Or, place, src),
            Atomic::And => self.x.lock_alu(w, Alu::And, place, src),
            Atomic::Xor => self.x.lock_alu(w, Alu::Xor, place, src),
            Atomic::FetchAdd => self.x.lock_xadd(w, place, src),
            Atomic::FetchOr => self.fetch_loop(w, Alu::Or, place, src),
            Atomic::FetchAnd => self.fetch_loop(w, Alu::And, place, src),
            Atomic::FetchXor => self.fetch_loop(w, Alu::Xor, place, src),
            Atomic::Xchg => self.x.xchg_mem(w, place, src),
            Atomic::CmpXchg => {
                self.x.lock_cmpxchg(w, place, src);
                if w == W::D {
                    // On success the machine leaves the upper half of rax as it was.
                    self.x.mov(W::D, Gpr::Rax, Gpr::Rax);
                }
            }
        }
        // xadd and xchg of 32 bits clear the upper half by themselves.
    }

    /// Fetch-and-operate where the machine has only compare-and-exchange.
    fn fetch_loop(&mut self, w: W, alu: Alu, place: Mem, src: Gpr) {
        // rax is taken: the address moves out of its way if it is there, and r0 is kept aside, as
        // is the budget for a third temporary.
        self.x.lea(W::Q, TEMP2, place);
        if src != Gpr::Rax {
            self.x.push(Gpr::Rax);
        }
        self.x.push(BUDGET);
        self.x.mov(W::Q, TEMP, src);
        self.x
            .load(if w == W::Q { 8 } else { 4 }, Gpr::Rax, at(TEMP2, 0));
        let top = self.x.here();
        self.x.mov(W::Q, BUDGET, Gpr::Rax);
        self.x.alu(w, alu, BUDGET, TEMP);
        self.x.lock_cmpxchg(w, at(TEMP2, 0), BUDGET);
        let again = self.x.jcc(Cc::Ne, true);
        let near = self.x.fix(again, top);
        debug_assert!(near, "a short loop");
        self.x.pop(BUDGET);
        if src != Gpr::Rax {
            self.x.mov(w, src, Gpr::Rax);
            self.x.pop(Gpr::Rax);
        } else if w == W::D {
            self.x.mov(W::D, Gpr::Rax, Gpr::Rax);
        }
    }

    fn array_lookup(&mut self, op: &Op, key: Mem) {
        let Some(array) = self.executable.arrays.get(op.imm as usize).copied() else {
            return self.x.mov_imm(Gpr::Rax, 0);
        };
        self.x.load(4, Gpr::Rax, key);
        self.x.alu_imm(W::D, Alu::Cmp, Gpr::Rax, array.count as i32);
        let outside = self.x.jcc(Cc::Ae, true);
        if array.stride.is_power_of_two() {
            let shift = array.stride.trailing_zeros() as u8;
            if shift != 0 {
                self.x.shift_imm(W::Q, Shift::Shl, Gpr::Rax, shift);
            }
        } else {
            self.x
                .imul_imm(W::Q, Gpr::Rax, Gpr::Rax, array.stride as i32);
        }
        self.x.mov_imm(TEMP, array.first);
        self.x.alu(W::Q, Alu::Add, Gpr::Rax, TEMP);
        if array.plane != 0 {
            let cpu = field(offset_of!(Run, cpu));
            self.x.load(4, TEMP, cpu);
            self.x.imul_imm(W::Q, TEMP, TEMP, array.plane as i32);
            self.x.alu(W::Q, Alu::Add, Gpr::Rax, TEMP);
        }
        let done = self.x.jmp(true);
        self.x.land(outside);
        self.x.mov_imm(Gpr::Rax, 0);
        self.x.land(done);
    }
}
