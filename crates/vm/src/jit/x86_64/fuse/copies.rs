//! Rows that begin with a copy of a register.

use super::*;

impl Round<'_> {
    /// Rows that begin with a copy.
    pub(super) fn copied(&mut self, index: usize, first: &Op) -> Option<usize> {
        let w = copy(first)?;
        let second = self.next(index, 1)?;
        if second.dst != first.dst && shift(&second).is_none() {
            return None;
        }
        if let Some(taken) = self
            .rotation(index, w)
            .or_else(|| self.rotation_of_copies(index, w))
        {
            return Some(taken);
        }
        if second.dst != first.dst {
            return None;
        }
        if matches!(second.code, Code::Lsh64K | Code::Lsh32K)
            && let Some(taken) = self.extension(index, Some(first))
        {
            return Some(taken);
        }
        if matches!(second.code, Code::And64K | Code::And32K)
            && let Some(taken) = self
                .test_bits(index, Some(first))
                .or_else(|| self.masked_copy(index, first, &second))
        {
            return Some(taken);
        }
        let (dst, src) = (gpr(first.dst), gpr(first.src));
        match (w, second.code) {
            // Sums of 64 bits are postponed instead.
            (W::D, Code::Add32X) if second.src != first.dst => {
                self.settle_row(index, 2);
                self.x.lea(W::D, dst, indexed(src, gpr(second.src), 0));
            }
            (W::D, Code::Add32K) => {
                self.settle_row(index, 2);
                self.x.lea(w, dst, at(src, simm(w, second.imm)?));
            }
            (W::Q, Code::Mul64K) | (W::D, Code::Mul32K) => {
                let imm = simm(w, second.imm).filter(|imm| imm.count_ones() != 1)?;
                self.settle_row(index, 2);
                self.x.imul_imm(w, dst, src, imm);
            }
            _ => return None,
        }
        Some(2)
    }

    /// The low byte, or the two low bytes, of another register.
    fn masked_copy(&mut self, index: usize, first: &Op, second: &Op) -> Option<usize> {
        let bits = match second.imm {
            0xff => 8,
            0xffff => 16,
            _ => return None,
        };
        self.settle_row(index, 2);
        self.x.movzx(bits, gpr(first.dst), gpr(first.src));
        Some(2)
    }
}
