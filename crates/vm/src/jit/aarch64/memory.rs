//! Templates of loads, stores and atomics.

use core::mem::offset_of;

use super::{
    a64::{Alu, Cc, Gpr, If, W, ZERO},
    compile::{FRAME, RUN, Round, SPARE, TEMP, TEMPS, gpr},
};
use crate::{
    Run,
    op::{Atomic, Code, Op},
};

impl Round<'_> {
    /// Writes a memory operation; false if it is none.
    pub fn memory(&mut self, op: &Op) -> bool {
        use Code::*;
        let (dst, src) = (gpr(op.dst), gpr(op.src));
        let source = (src, op.off);
        let place = (dst, op.off);
        let frame = (FRAME, op.off);
        self.confine_operation(op);
        match op.code {
            Ld8 => self.x.load(1, dst, source, SPARE),
            Ld16 => self.x.load(2, dst, source, SPARE),
            Ld32 => self.x.load(4, dst, source, SPARE),
            Ld64 => self.x.load(8, dst, source, SPARE),
            LdS8 => self.x.load_signed(1, dst, source, SPARE),
            LdS16 => self.x.load_signed(2, dst, source, SPARE),
            LdS32 => self.x.load_signed(4, dst, source, SPARE),
            Probe8 => self.probe(dst, source, 1, false),
            Probe16 => self.probe(dst, source, 2, false),
            Probe32 => self.probe(dst, source, 4, false),
            Probe64 => self.probe(dst, source, 8, false),
            ProbeS8 => self.probe(dst, source, 1, true),
            ProbeS16 => self.probe(dst, source, 2, true),
            ProbeS32 => self.probe(dst, source, 4, true),
            LdFrame8 => self.x.load(1, dst, frame, SPARE),
            LdFrame16 => self.x.load(2, dst, frame, SPARE),
            LdFrame32 => self.x.load(4, dst, frame, SPARE),
            LdFrame64 => self.x.load(8, dst, frame, SPARE),
            LdFrameS8 => self.x.load_signed(1, dst, frame, SPARE),
            LdFrameS16 => self.x.load_signed(2, dst, frame, SPARE),
            LdFrameS32 => self.x.load_signed(4, dst, frame, SPARE),
            St8K => self.store_imm(1, place, op.imm & 0xff),
            St16K => self.store_imm(2, place, op.imm & 0xffff),
            St32K => self.store_imm(4, place, W::D.cut(op.imm)),
            St64K => self.store_imm(8, place, op.imm),
            St8X => self.x.store(1, src, place, SPARE),
            St16X => self.x.store(2, src, place, SPARE),
            St32X => self.x.store(4, src, place, SPARE),
            St64X => self.x.store(8, src, place, SPARE),
            StFrame8K => self.store_imm(1, frame, op.imm & 0xff),
            StFrame16K => self.store_imm(2, frame, op.imm & 0xffff),
            StFrame32K => self.store_imm(4, frame, W::D.cut(op.imm)),
            StFrame64K => self.store_imm(8, frame, op.imm),
            StFrame8X => self.x.store(1, src, frame, SPARE),
            StFrame16X => self.x.store(2, src, frame, SPARE),
            StFrame32X => self.x.store(4, src, frame, SPARE),
            StFrame64X => self.x.store(8, src, frame, SPARE),
            Atomic32 => self.atomic(W::D, op),
            Atomic64 => self.atomic(W::Q, op),
            LdAcq8 => self.load_acquire(1, dst, source),
            LdAcq16 => self.load_acquire(2, dst, source),
            LdAcq32 => self.load_acquire(4, dst, source),
            LdAcq64 => self.load_acquire(8, dst, source),
            StRel8 => self.store_release(1, src, place),
            StRel16 => self.store_release(2, src, place),
            StRel32 => self.store_release(4, src, place),
            StRel64 => self.store_release(8, src, place),
            ArrayLookup => self.array_lookup(op),
            OfRun => {
                let (at, bytes) = op.of_run().place();
                self.x.load(bytes, dst, (RUN, at as i32), SPARE);
            }
            _ => return false,
        }
        true
    }

    fn store_imm(&mut self, bytes: u8, place: (Gpr, i32), imm: u64) {
        let value = if imm == 0 {
            ZERO
        } else {
            self.x.mov_imm(TEMP, imm);
            TEMP
        };
        self.x.store(bytes, value, place, SPARE);
    }

    /// The address in a register: these instructions have no room for an offset.
    fn addressed(&mut self, place: (Gpr, i32)) -> Gpr {
        if place.1 == 0 {
            return place.0;
        }
        self.add(TEMP, place);
        TEMP
    }

    fn load_acquire(&mut self, bytes: u8, dst: Gpr, source: (Gpr, i32)) {
        let address = self.addressed(source);
        self.x.load_acquire(bytes, dst, address);
    }

    fn store_release(&mut self, bytes: u8, src: Gpr, place: (Gpr, i32)) {
        let address = self.addressed(place);
        self.x.store_release(bytes, src, address);
    }

    /// A load that gives 0 outside of the cage.
    fn probe(&mut self, dst: Gpr, source: (Gpr, i32), bytes: u8, signed: bool) {
        let [address, offset, most, _] = TEMPS;
        self.add(address, source);
        for (field, to) in [
            (offset_of!(Run, cage_base), offset),
            (offset_of!(Run, cage_size), most),
        ] {
            self.x.load(8, to, (RUN, field as i32), SPARE);
        }
        self.x.alu(W::Q, Alu::Sub, offset, address, offset);
        self.alu_imm(W::Q, Alu::Sub, most, most, u64::from(bytes));
        self.x.alu(W::Q, Alu::Subs, ZERO, offset, most);
        let outside = self.x.branch_if(If::Flags(Cc::Hi), true);
        if signed {
            self.x.load_signed(bytes, dst, (address, 0), SPARE);
        } else {
            self.x.load(bytes, dst, (address, 0), SPARE);
        }
        let done = self.x.branch();
        self.x.land(outside);
        self.x.mov_imm(dst, 0);
        self.x.land(done);
    }

    /// A loop until nobody else wrote meanwhile, and a barrier: ordered with all accesses around.
    fn atomic(&mut self, w: W, op: &Op) {
        let (src, place) = (gpr(op.src), (gpr(op.dst), op.off));
        let [_, old, new, failed] = TEMPS;
        let address = self.addressed(place);
        let kind = Atomic::ALL[op.imm as usize % Atomic::ALL.len()];
        let top = self.x.here();
        self.x.load_exclusive(w, old, address);
        let mut other = None;
        let value = match kind {
            Atomic::Xchg => src,
            Atomic::CmpXchg => {
                self.x.alu(w, Alu::Subs, ZERO, old, gpr(0));
                other = Some(self.x.branch_if(If::Flags(Cc::Ne), true));
                src
            }
            kind => {
                let alu = match kind {
                    Atomic::Add | Atomic::FetchAdd => Alu::Add,
                    Atomic::Or | Atomic::FetchOr => Alu::Or,
                    Atomic::And | Atomic::FetchAnd => Alu::And,
                    _ => Alu::Xor,
                };
                self.x.alu(w, alu, new, old, src);
                new
            }
        };
        self.x.store_exclusive(w, failed, value, address);
        self.back_if(If::NotZero(W::D, failed), top);
        if let Some(other) = other {
            self.x.land(other);
        }
        self.x.barrier();
        if let Some(register) = op.written() {
            // What was loaded of 32 bits is zero-extended.
            self.x.mov(W::Q, gpr(register), old);
        }
    }

    fn array_lookup(&mut self, op: &Op) {
        let result = gpr(0);
        let Some(array) = self.executable.arrays.get(op.imm as usize).copied() else {
            return self.x.mov_imm(result, 0);
        };
        let index = TEMPS[1];
        self.x.load(4, index, (gpr(2), 0), SPARE);
        self.alu_imm(W::D, Alu::Subs, ZERO, index, array.count.into());
        let outside = self.x.branch_if(If::Flags(Cc::Hs), true);
        self.x.mov_imm(result, array.first);
        if array.stride.is_power_of_two() {
            let shift = array.stride.trailing_zeros() as u8;
            self.x
                .alu_shifted(W::Q, Alu::Add, result, result, (index, shift));
        } else {
            self.x.mov_imm(TEMP, array.stride.into());
            self.x.alu(W::Q, Alu::Mul, index, index, TEMP);
            self.x.alu(W::Q, Alu::Add, result, result, index);
        }
        if array.plane != 0 {
            self.x
                .load(4, TEMP, (RUN, offset_of!(Run, cpu) as i32), SPARE);
            self.x.mov_imm(index, array.plane.into());
            self.x.alu(W::Q, Alu::Mul, index, index, TEMP);
            self.x.alu(W::Q, Alu::Add, result, result, index);
        }
        let done = self.x.branch();
        self.x.land(outside);
        self.x.mov_imm(result, 0);
        self.x.land(done);
    }
}
