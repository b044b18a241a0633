//! Loads whose value goes into one more operation, and nowhere else: the operation reads memory
//! itself, or changes it there.

use super::{super::compile::Target, branch::on_flags, *};

/// Bytes of a load, and whether it is from the frame.
fn load(code: Code) -> Option<(u8, bool)> {
    Some(match code {
        Code::Ld8 => (1, false),
        Code::Ld16 => (2, false),
        Code::Ld32 => (4, false),
        Code::Ld64 => (8, false),
        Code::LdFrame8 => (1, true),
        Code::LdFrame16 => (2, true),
        Code::LdFrame32 => (4, true),
        Code::LdFrame64 => (8, true),
        _ => return None,
    })
}

/// Bytes of a store of a register, and whether it is to the frame.
fn store(code: Code) -> Option<(u8, bool)> {
    Some(match code {
        Code::St8X => (1, false),
        Code::St16X => (2, false),
        Code::St32X => (4, false),
        Code::St64X => (8, false),
        Code::StFrame8X => (1, true),
        Code::StFrame16X => (2, true),
        Code::StFrame32X => (4, true),
        Code::StFrame64X => (8, true),
        _ => return None,
    })
}

impl Round<'_> {
    /// Rows that begin with a load. In a cage its place is compared, which is the store's, too.
    pub(super) fn loaded(&mut self, index: usize, first: &Op) -> Option<usize> {
        let second = self.next(index, 1)?;
        if second.dst != first.dst && second.src != first.dst {
            return None;
        }
        let (bytes, frame) = load(first.code)?;
        self.changed_in_place(index, first, &second)
            .or_else(|| self.operand_in_memory(index, first, &second, (bytes, frame)))
    }

    /// `reg op= [mem]`, `if reg op [mem]`
    fn operand_in_memory(
        &mut self,
        index: usize,
        first: &Op,
        second: &Op,
        (bytes, frame): (u8, bool),
    ) -> Option<usize> {
        let w = match bytes {
            4 => W::D,
            8 => W::Q,
            _ => return None,
        };
        if second.src != first.dst || second.dst == first.dst {
            return None;
        }
        let is_branch = second.code.is_branch();
        let read = if is_branch {
            let target = self.target(index + 1, second);
            self.plan.live.before(target) | self.plan.live.before(index + 2)
        } else {
            self.plan.live.behind(index + 1)
        };
        if read & only(first.dst) != 0 {
            return None;
        }
        if is_branch {
            let (cc, compared) = self.condition_of_registers(second)?;
            // A comparison over one operation has a form of its own.
            if compared != w || self.target(index + 1, second) == index + 3 {
                return None;
            }
            let target = self.target(index + 1, second);
            self.settle(only(second.dst));
            self.settle(self.plan.live.before(target));
            let place = self.place_of_load(index, first, (bytes, frame));
            self.x.alu_load(w, Alu::Cmp, gpr(second.dst), place);
            self.jump_if(cc, Target::Op(target));
            return Some(2);
        }
        let product = matches!(
            (second.code, w),
            (Code::Mul64X, W::Q) | (Code::Mul32X, W::D)
        );
        let sum = on_flags(second.code).filter(|(_, width, imm)| *width == w && !imm);
        if !product && sum.is_none() {
            return None;
        }
        self.settle(only(second.dst));
        self.overwrite(only(second.dst));
        let place = self.place_of_load(index, first, (bytes, frame));
        match sum {
            Some((alu, ..)) => self.x.alu_load(w, alu, gpr(second.dst), place),
            None => self.x.imul_load(w, gpr(second.dst), place),
        }
        Some(2)
    }

    fn place_of_load(&mut self, index: usize, load: &Op, (bytes, frame): (u8, bool)) -> Mem {
        if frame {
            return at(Gpr::Rbp, load.off);
        }
        let place = self.place_of(index, load.src, load.off);
        self.confine_place(index, (load.src, load.off), place, bytes, false);
        place
    }

    /// A load, an operation, and a store to where the load was from.
    fn changed_in_place(&mut self, index: usize, first: &Op, second: &Op) -> Option<usize> {
        let (bytes, frame) = load(first.code)?;
        let (alu, w, by_number) = on_flags(second.code)?;
        let third = self.next(index, 2)?;
        let value = first.dst;
        let place = (first.src, first.off);
        let same = store(third.code) == Some((bytes, frame))
            && third.src == value
            && second.dst == value
            && (frame || third.dst == place.0)
            && third.off == place.1;
        // Eight bytes of a result of 32 bits have zeros above.
        let whole = bytes < 8 || w == W::Q;
        let imm = if bytes == 8 {
            i32::try_from(second.imm as i64).ok()
        } else {
            Some(second.imm as i32)
        };
        if !same
            || !whole
            || (!frame && place.0 == value)
            || (!by_number && second.src == value)
            || (by_number && imm.is_none())
            || self.is_read_behind(value, index + 2)
        {
            return None;
        }
        if !by_number {
            self.settle(only(second.src));
        }
        // Its register may be read again behind the store.
        let place = if frame {
            at(Gpr::Rbp, first.off)
        } else {
            let place = self.place_of(index + 2, first.src, first.off);
            self.confine_place(index, (first.src, first.off), place, bytes, false);
            place
        };
        match imm {
            Some(imm) if by_number => self.x.alu_store_imm(bytes, alu, place, imm),
            _ => self.x.alu_store(bytes, alu, place, gpr(second.src)),
        }
        Some(3)
    }
}
