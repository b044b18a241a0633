//! One instruction, from its opcode and operands to its bytes.

use super::{Gpr, Mem, W};

/// An opcode of one to three bytes, the first lowest.
#[derive(Clone, Copy)]
pub(super) struct Opcode {
    bytes: u32,
    len: u32,
}

pub(super) const fn one(a: u8) -> Opcode {
    Opcode {
        bytes: a as u32,
        len: 1,
    }
}

pub(super) const fn two(a: u8, b: u8) -> Opcode {
    Opcode {
        bytes: a as u32 | (b as u32) << 8,
        len: 2,
    }
}

/// An instruction as it is put together, without branches: which bytes one has is nothing that could
/// be foreseen. What lies above the lengths does not count.
#[derive(Clone, Copy)]
pub(super) struct Instruction {
    /// Prefixes, opcode, ModRM, SIB.
    pub(super) head: u64,
    pub(super) head_len: u32,
    /// Displacement and immediate.
    pub(super) tail: u64,
    pub(super) tail_len: u32,
}

/// No instruction is longer: two words.
pub(super) const LONGEST: usize = 16;

impl Instruction {
    /// Up to the opcode. REX where it is needed; `byte` forces it, so that `sil` and its like can be
    /// named. `reg`, `index` and `base` are the fourth bits of registers.
    #[inline]
    pub(super) fn new(
        w: W,
        opcode: Opcode,
        [reg, index, base]: [u8; 3],
        byte: bool,
    ) -> Instruction {
        let rex = 0x40 | u8::from(w == W::Q) << 3 | reg << 2 | index << 1 | base;
        let has = u32::from(rex != 0x40 || byte);
        Instruction {
            head: (u64::from(rex) | u64::from(opcode.bytes) << 8) >> (8 - 8 * has),
            head_len: has + opcode.len,
            tail: 0,
            tail_len: 0,
        }
    }

    /// Without operands that need REX.
    #[inline]
    pub(super) fn plain(opcode: Opcode) -> Instruction {
        Instruction::new(W::D, opcode, [0; 3], false)
    }

    /// Another prefix in front.
    #[inline]
    pub(super) fn behind(self, prefix: u8) -> Instruction {
        Instruction {
            head: self.head << 8 | u64::from(prefix),
            head_len: self.head_len + 1,
            ..self
        }
    }

    #[inline]
    pub(super) fn byte(self, byte: u8) -> Instruction {
        Instruction {
            head: self.head | u64::from(byte) << (8 * self.head_len),
            head_len: self.head_len + 1,
            ..self
        }
    }

    /// ModRM with a register.
    #[inline]
    pub(super) fn register(self, reg: u8, rm: Gpr) -> Instruction {
        self.byte(0xc0 | (reg & 7) << 3 | rm.low())
    }

    /// ModRM, SIB and displacement of a memory operand.
    #[inline]
    pub(super) fn memory(self, reg: u8, mem: Mem) -> Instruction {
        let base = mem.base.low();
        // rbp and r13 as base need a displacement.
        let has = mem.disp != 0 || base == 5;
        let wide = i8::try_from(mem.disp).is_err();
        let mode = u8::from(has) + u8::from(wide);
        let sib = mem.index.is_some() || base == 4;
        let rm = if sib { 4 } else { base };
        let index = mem.index.map_or(4, Gpr::low);
        let with = self
            .byte(mode << 6 | (reg & 7) << 3 | rm)
            .byte(mem.scale << 6 | index << 3 | base);
        // Taken back where there is none: what follows goes over it.
        let none = u32::from(!sib);
        let kept = u64::MAX >> (64 - 8 * (with.head_len - none));
        Instruction {
            head: with.head & kept,
            head_len: with.head_len - none,
            tail: u64::from(mem.disp as u32) & ((0xffff_ffff * u64::from(wide)) | 0xff),
            tail_len: u32::from(has) + 3 * u32::from(wide),
        }
    }

    /// ModRM and displacement of `[base + disp]`, for a base that needs no SIB.
    #[inline(always)]
    pub(super) fn based(self, reg: u8, base: Gpr, disp: i32) -> Instruction {
        debug_assert!(base.low() != 4, "rsp and r12 need a SIB");
        let has = disp != 0 || base.low() == 5;
        let wide = i8::try_from(disp).is_err();
        let mode = u8::from(has) + u8::from(wide);
        Instruction {
            tail: u64::from(disp as u32),
            tail_len: u32::from(has) + 3 * u32::from(wide),
            ..self.byte(mode << 6 | (reg & 7) << 3 | base.low())
        }
    }

    /// An immediate of so many bytes, at most four.
    #[inline]
    pub(super) fn imm(self, imm: i32, bytes: u32) -> Instruction {
        Instruction {
            tail: self.tail | u64::from(imm as u32) << (8 * self.tail_len),
            tail_len: self.tail_len + bytes,
            ..self
        }
    }
}

/// An instruction with an operand in memory; `reg` is a register's number or an opcode extension.
#[inline]
pub(super) fn with_memory(w: W, opcode: Opcode, reg: u8, mem: Mem, byte: bool) -> Instruction {
    let index = mem.index.map_or(0, Gpr::high);
    Instruction::new(w, opcode, [reg >> 3, index, mem.base.high()], byte).memory(reg, mem)
}

/// An instruction whose register is the opcode's low bits.
#[inline]
pub(super) fn with_low(w: W, opcode: u8, reg: Gpr) -> Instruction {
    Instruction::new(w, one(opcode | reg.low()), [0, 0, reg.high()], false)
}

/// The opcode of arithmetic with an immediate, and the immediate's bytes.
#[inline]
pub(super) fn sized(small: bool) -> (u8, u32) {
    if small { (0x83, 1) } else { (0x81, 4) }
}

/// The same of products.
#[inline]
pub(super) fn product(small: bool) -> (u8, u32) {
    if small { (0x6b, 1) } else { (0x69, 4) }
}

/// An instruction of three registers (BMI2). VEX: inverted R, X, B, the opcode's map (0F38 is 2,
/// 0F3A is 3); W, the inverted second register, `pp` the prefix that it stands for.
pub(super) fn vex(w: W, map: u8, pp: u8, second: u8, opcode: u8, reg: Gpr, rm: Gpr) -> Instruction {
    Instruction::plain(one(0xc4))
        .byte((reg.high() ^ 1) << 7 | 1 << 6 | (rm.high() ^ 1) << 5 | map)
        .byte(u8::from(w == W::Q) << 7 | (second ^ 15) << 3 | pp)
        .byte(opcode)
        .register(reg.low(), rm)
}
