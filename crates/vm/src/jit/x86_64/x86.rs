//! x86-64 encodings (Intel SDM volume 2): the few that the templates use.

mod instruction;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use self::instruction::{
    Instruction, LONGEST, Opcode, one, product, sized, two, vex, with_low, with_memory,
};

/// A general register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Gpr {
    Rax,
    Rcx,
    Rdx,
    Rbx,
    Rsp,
    Rbp,
    Rsi,
    Rdi,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
}

impl Gpr {
    /// All, by their numbers.
    pub const ALL: [Gpr; 16] = [
        Gpr::Rax,
        Gpr::Rcx,
        Gpr::Rdx,
        Gpr::Rbx,
        Gpr::Rsp,
        Gpr::Rbp,
        Gpr::Rsi,
        Gpr::Rdi,
        Gpr::R8,
        Gpr::R9,
        Gpr::R10,
        Gpr::R11,
        Gpr::R12,
        Gpr::R13,
        Gpr::R14,
        Gpr::R15,
    ];

    const fn low(self) -> u8 {
        self as u8 & 7
    }
    const fn high(self) -> u8 {
        self as u8 >> 3
    }
}

/// Operand width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum W {
    /// 32 bits; clears the upper half.
    D,
    /// 64 bits.
    Q,
}

/// The eight operations that share an encoding; the number is the opcode extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Alu {
    Add = 0,
    Or = 1,
    And = 4,
    Sub = 5,
    Xor = 6,
    Cmp = 7,
}

/// Shifts; the number is the opcode extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Shift {
    Shl = 4,
    Shr = 5,
    Sar = 7,
}

/// Condition codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Cc {
    B = 2,
    Ae = 3,
    E = 4,
    Ne = 5,
    Be = 6,
    A = 7,
    L = 12,
    Ge = 13,
    Le = 14,
    G = 15,
}

impl Cc {
    /// What holds where this does not.
    pub const fn inverted(self) -> Cc {
        match self {
            Cc::B => Cc::Ae,
            Cc::Ae => Cc::B,
            Cc::E => Cc::Ne,
            Cc::Ne => Cc::E,
            Cc::Be => Cc::A,
            Cc::A => Cc::Be,
            Cc::L => Cc::Ge,
            Cc::Ge => Cc::L,
            Cc::Le => Cc::G,
            Cc::G => Cc::Le,
        }
    }
}

/// `[base + (index << scale) + disp]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mem {
    pub base: Gpr,
    pub index: Option<Gpr>,
    /// At most 3.
    pub scale: u8,
    pub disp: i32,
}

/// `[base + disp]`
pub const fn at(base: Gpr, disp: i32) -> Mem {
    Mem {
        base,
        index: None,
        scale: 0,
        disp,
    }
}

/// How many bytes an access has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    One,
    Two,
    Four,
    Eight,
}

/// Code that grows.
#[derive(Default)]
pub struct Code {
    pub bytes: Vec<u8>,
}

impl Code {
    /// Empty, with room for so many bytes.
    pub fn with_room(bytes: usize) -> Code {
        Code {
            bytes: Vec::with_capacity(bytes),
        }
    }

    /// Where the next byte goes.
    #[inline]
    pub fn here(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn put(&mut self, instruction: Instruction) {
        let Instruction {
            head,
            head_len,
            tail,
            tail_len,
        } = instruction;
        debug_assert!(head_len <= 8 && tail_len <= 8);
        let (head_len, tail_len) = (head_len.min(8) as usize, tail_len.min(8) as usize);
        self.bytes.reserve(LONGEST);
        let len = self.bytes.len();
        // SAFETY: there is room for 16 bytes. A word is written at the end, another one at most eight
        // bytes behind it: all bytes up to the new length are.
        unsafe {
            let end = self.bytes.as_mut_ptr().add(len);
            end.cast::<[u8; 8]>().write(head.to_le_bytes());
            end.add(head_len)
                .cast::<[u8; 8]>()
                .write(tail.to_le_bytes());
            self.bytes.set_len(len + head_len + tail_len);
        }
    }

    /// An instruction whose operands are two registers.
    #[inline]
    fn rr(&mut self, w: W, opcode: Opcode, reg: Gpr, rm: Gpr) {
        let instruction = Instruction::new(w, opcode, [reg.high(), 0, rm.high()], false);
        self.put(instruction.register(reg.low(), rm));
    }

    /// An instruction with an opcode extension and a register.
    #[inline]
    fn ext(&mut self, w: W, opcode: u8, extension: u8, rm: Gpr) {
        self.ext_imm(w, opcode, extension, rm, 0, 0);
    }

    /// The same with an immediate of so many bytes.
    #[inline]
    fn ext_imm(&mut self, w: W, opcode: u8, extension: u8, rm: Gpr, imm: i32, bytes: u32) {
        let instruction = Instruction::new(w, one(opcode), [0, 0, rm.high()], false);
        self.put(instruction.register(extension, rm).imm(imm, bytes));
    }

    #[inline]
    fn rm(&mut self, w: W, opcode: Opcode, reg: Gpr, mem: Mem, byte: bool) {
        self.put(with_memory(w, opcode, reg as u8, mem, byte));
    }

    /// Loads from `[base + disp]`, zero-extended to 64 bits; `base` is neither `rsp` nor `r12`.
    #[inline(always)]
    pub fn load_at(&mut self, amount: Amount, dst: Gpr, base: Gpr, disp: i32) {
        const OPCODES: [Opcode; 4] = [two(0x0f, 0xb6), two(0x0f, 0xb7), one(0x8b), one(0x8b)];
        static TABLE: [Opcode; 4] = OPCODES;
        let w = if amount == Amount::Eight { W::Q } else { W::D };
        let opcode = TABLE[amount as usize];
        let instruction = Instruction::new(w, opcode, [dst.high(), 0, base.high()], false);
        self.put(instruction.based(dst.low(), base, disp));
    }

    /// Stores to `[base + disp]`; `base` is neither `rsp` nor `r12`.
    #[inline(always)]
    pub fn store_at(&mut self, amount: Amount, base: Gpr, disp: i32, src: Gpr) {
        let w = if amount == Amount::Eight { W::Q } else { W::D };
        let byte = amount == Amount::One;
        let opcode = one(0x88 | u8::from(!byte));
        let registers = [src.high(), 0, base.high()];
        let instruction = Instruction::new(w, opcode, registers, byte).based(src.low(), base, disp);
        // An operand of 16 bits has a prefix.
        let prefix = u32::from(amount == Amount::Two);
        self.put(Instruction {
            head: instruction.head << (8 * prefix) | u64::from(0x66 * prefix),
            head_len: instruction.head_len + prefix,
            ..instruction
        });
    }

    /// Flags of `a - imm`: by a test, where that is zero.
    #[inline]
    pub fn compare_imm(&mut self, w: W, a: Gpr, imm: i32) {
        if imm != 0 && a == Gpr::Rax && i8::try_from(imm).is_err() {
            return self.alu_imm(w, Alu::Cmp, a, imm);
        }
        let zero = imm == 0;
        let (opcode, bytes) = sized(i8::try_from(imm).is_ok());
        let opcode = if zero { 0x85 } else { opcode };
        let extension = Alu::Cmp as u8;
        let (reg, high) = if zero {
            (a.low(), a.high())
        } else {
            (extension, 0)
        };
        let instruction = Instruction::new(w, one(opcode), [high, 0, a.high()], false);
        let bytes = if zero { 0 } else { bytes };
        self.put(instruction.register(reg, a).imm(imm, bytes));
    }

    /// `dst = src`
    pub fn mov(&mut self, w: W, dst: Gpr, src: Gpr) {
        self.rr(w, one(0x89), src, dst);
    }

    /// `dst = imm`, in the shortest form. Clobbers the flags.
    pub fn mov_imm(&mut self, dst: Gpr, imm: u64) {
        if imm == 0 {
            self.alu(W::D, Alu::Xor, dst, dst);
        } else if let Ok(imm) = u32::try_from(imm) {
            self.put(with_low(W::D, 0xb8, dst).imm(imm as i32, 4));
        } else if let Ok(imm) = i32::try_from(imm as i64) {
            self.ext_imm(W::Q, 0xc7, 0, dst, imm, 4);
        } else {
            self.put(Instruction {
                tail: imm,
                tail_len: 8,
                ..with_low(W::Q, 0xb8, dst)
            });
        }
    }

    /// `dst = 0`, which keeps the flags.
    pub fn mov_zero(&mut self, dst: Gpr) {
        self.put(with_low(W::D, 0xb8, dst).imm(0, 4));
    }

    /// `dst op= src`
    pub fn alu(&mut self, w: W, op: Alu, dst: Gpr, src: Gpr) {
        self.rr(w, one((op as u8) << 3 | 1), src, dst);
    }

    /// `dst op= imm`
    pub fn alu_imm(&mut self, w: W, op: Alu, dst: Gpr, imm: i32) {
        let small = i8::try_from(imm).is_ok();
        if dst == Gpr::Rax && !small {
            let opcode = one((op as u8) << 3 | 5);
            return self.put(Instruction::new(w, opcode, [0; 3], false).imm(imm, 4));
        }
        let (opcode, bytes) = sized(small);
        self.ext_imm(w, opcode, op as u8, dst, imm, bytes);
    }

    /// `dst op= [mem]`
    pub fn alu_load(&mut self, w: W, op: Alu, dst: Gpr, mem: Mem) {
        self.rm(w, one((op as u8) << 3 | 3), dst, mem, false);
    }

    /// `[mem] op= src`, of `bytes` bytes
    pub fn alu_store(&mut self, bytes: u8, op: Alu, mem: Mem, src: Gpr) {
        let opcode = (op as u8) << 3;
        match bytes {
            1 => self.rm(W::D, one(opcode), src, mem, true),
            2 => self.put(with_memory(W::D, one(opcode | 1), src as u8, mem, false).behind(0x66)),
            4 => self.rm(W::D, one(opcode | 1), src, mem, false),
            _ => self.rm(W::Q, one(opcode | 1), src, mem, false),
        }
    }

    /// `[mem] op= imm`, of `bytes` bytes
    pub fn alu_store_imm(&mut self, bytes: u8, op: Alu, mem: Mem, imm: i32) {
        let reg = op as u8;
        match bytes {
            1 => self.put(with_memory(W::D, one(0x80), reg, mem, false).imm(imm, 1)),
            2 => {
                let (opcode, bytes) = sized(i8::try_from(imm).is_ok());
                let instruction = with_memory(W::D, one(opcode), reg, mem, false);
                self.put(instruction.imm(imm, bytes.min(2)).behind(0x66));
            }
            4 => self.alu_mem_imm(W::D, op, mem, imm),
            _ => self.alu_mem_imm(W::Q, op, mem, imm),
        }
    }

    /// `dst = src` if the condition holds
    pub fn cmov(&mut self, w: W, cc: Cc, dst: Gpr, src: Gpr) {
        self.rr(w, two(0x0f, 0x40 | cc as u8), dst, src);
    }

    /// `dst = 1` if the condition holds, else 0: the low byte alone
    pub fn set(&mut self, cc: Cc, dst: Gpr) {
        let opcode = two(0x0f, 0x90 | cc as u8);
        let instruction = Instruction::new(W::D, opcode, [0, 0, dst.high()], true);
        self.put(instruction.register(0, dst));
    }

    /// `dst += imm + carry`
    pub fn adc_imm(&mut self, w: W, dst: Gpr, imm: i8) {
        self.ext_imm(w, 0x83, 2, dst, imm.into(), 1);
    }

    /// `dst -= imm + carry`
    pub fn sbb_imm(&mut self, w: W, dst: Gpr, imm: i8) {
        self.ext_imm(w, 0x83, 3, dst, imm.into(), 1);
    }

    /// `[mem] op= imm`
    pub fn alu_mem_imm(&mut self, w: W, op: Alu, mem: Mem, imm: i32) {
        let (opcode, bytes) = sized(i8::try_from(imm).is_ok());
        self.put(with_memory(w, one(opcode), op as u8, mem, false).imm(imm, bytes));
    }

    /// Flags of `a & b`
    pub fn test(&mut self, w: W, a: Gpr, b: Gpr) {
        self.rr(w, one(0x85), b, a);
    }

    /// Flags of `a & imm`
    pub fn test_imm(&mut self, w: W, a: Gpr, imm: i32) {
        self.ext_imm(w, 0xf7, 0, a, imm, 4);
    }

    /// `dst *= src`
    pub fn imul(&mut self, w: W, dst: Gpr, src: Gpr) {
        self.rr(w, two(0x0f, 0xaf), dst, src);
    }

    /// `dst *= [mem]`
    pub fn imul_load(&mut self, w: W, dst: Gpr, mem: Mem) {
        self.rm(w, two(0x0f, 0xaf), dst, mem, false);
    }

    /// `dst = [mem] * imm`
    pub fn imul_load_imm(&mut self, w: W, dst: Gpr, mem: Mem, imm: i32) {
        let (opcode, bytes) = product(i8::try_from(imm).is_ok());
        self.put(with_memory(w, one(opcode), dst as u8, mem, false).imm(imm, bytes));
    }

    /// `rdx:rax = rax * src`
    pub fn mul(&mut self, w: W, src: Gpr) {
        self.ext(w, 0xf7, 4, src);
    }

    /// `dst = src * imm`
    pub fn imul_imm(&mut self, w: W, dst: Gpr, src: Gpr, imm: i32) {
        let (opcode, bytes) = product(i8::try_from(imm).is_ok());
        let instruction = Instruction::new(w, one(opcode), [dst.high(), 0, src.high()], false);
        self.put(instruction.register(dst.low(), src).imm(imm, bytes));
    }

    /// `rax, rdx = rdx:rax / divisor`
    pub fn div(&mut self, w: W, divisor: Gpr) {
        self.ext(w, 0xf7, 6, divisor);
    }

    /// Signed [`Code::div`].
    pub fn idiv(&mut self, w: W, divisor: Gpr) {
        self.ext(w, 0xf7, 7, divisor);
    }

    /// `rdx` = sign of `rax`
    pub fn sign_to_rdx(&mut self, w: W) {
        self.put(Instruction::new(w, one(0x99), [0; 3], false));
    }

    /// `dst = -dst`
    pub fn neg(&mut self, w: W, dst: Gpr) {
        self.ext(w, 0xf7, 3, dst);
    }

    /// `dst shift= imm`
    pub fn shift_imm(&mut self, w: W, shift: Shift, dst: Gpr, imm: u8) {
        let single = imm == 1;
        let opcode = if single { 0xd1 } else { 0xc1 };
        self.ext_imm(w, opcode, shift as u8, dst, imm.into(), (!single).into());
    }

    /// `dst shift= cl`
    pub fn shift_cl(&mut self, w: W, shift: Shift, dst: Gpr) {
        self.ext(w, 0xd3, shift as u8, dst);
    }

    /// `dst = src shift count` (BMI2)
    pub fn shift_x(&mut self, w: W, shift: Shift, dst: Gpr, src: Gpr, count: Gpr) {
        let pp = match shift {
            Shift::Shl => 1,
            Shift::Shr => 3,
            Shift::Sar => 2,
        };
        self.put(vex(w, 2, pp, count as u8, 0xf7, dst, src));
    }

    /// `dst = rotate_left(dst, imm)`
    pub fn rol(&mut self, w: W, dst: Gpr, imm: u8) {
        self.ext_imm(w, 0xc1, 0, dst, imm.into(), 1);
    }

    /// `dst = rotate_left(dst, cl)`
    pub fn rol_cl(&mut self, w: W, dst: Gpr) {
        self.ext(w, 0xd3, 0, dst);
    }

    /// `high, low = rdx * src` (BMI2); the upper half where both are one register
    pub fn mulx(&mut self, w: W, high: Gpr, low: Gpr, src: Gpr) {
        self.put(vex(w, 2, 3, low as u8, 0xf6, high, src));
    }

    /// `dst = rotate_right(src, imm)` (BMI2)
    pub fn rorx(&mut self, w: W, dst: Gpr, src: Gpr, imm: u8) {
        self.put(vex(w, 3, 3, 0, 0xf0, dst, src).imm(imm.into(), 1));
    }

    /// Swaps the two low bytes.
    pub fn swap16(&mut self, dst: Gpr) {
        let instruction = Instruction::new(W::D, one(0xc1), [0, 0, dst.high()], false);
        self.put(instruction.register(0, dst).imm(8, 1).behind(0x66));
    }

    /// Reverses the bytes.
    pub fn bswap(&mut self, w: W, dst: Gpr) {
        let opcode = two(0x0f, 0xc8 | dst.low());
        self.put(Instruction::new(w, opcode, [0, 0, dst.high()], false));
    }

    /// `dst = zero_extend(low 8 or 16 bits of src)`
    pub fn movzx(&mut self, bits: u8, dst: Gpr, src: Gpr) {
        let opcode = two(0x0f, if bits == 8 { 0xb6 } else { 0xb7 });
        let registers = [dst.high(), 0, src.high()];
        let instruction = Instruction::new(W::D, opcode, registers, bits == 8);
        self.put(instruction.register(dst.low(), src));
    }

    /// `dst = sign_extend(low 8, 16 or 32 bits of src)` to the width
    pub fn movsx(&mut self, w: W, bits: u8, dst: Gpr, src: Gpr) {
        let opcode = match bits {
            8 => two(0x0f, 0xbe),
            16 => two(0x0f, 0xbf),
            _ => one(0x63),
        };
        let registers = [dst.high(), 0, src.high()];
        let instruction = Instruction::new(w, opcode, registers, bits == 8);
        self.put(instruction.register(dst.low(), src));
    }

    /// `dst = address of mem`
    pub fn lea(&mut self, w: W, dst: Gpr, mem: Mem) {
        self.rm(w, one(0x8d), dst, mem, false);
    }

    /// `dst = address of the byte at this offset of the code`
    pub fn lea_code(&mut self, dst: Gpr, offset: usize) {
        // REX, opcode, ModRM, distance.
        let distance = offset as i64 - (self.here() as i64 + 7);
        let instruction = Instruction::new(W::Q, one(0x8d), [dst.high(), 0, 0], false);
        self.put(instruction.byte(dst.low() << 3 | 5).imm(distance as i32, 4));
    }

    /// Loads `bytes` bytes, zero-extended to 64 bits.
    pub fn load(&mut self, bytes: u8, dst: Gpr, mem: Mem) {
        match bytes {
            1 => self.rm(W::D, two(0x0f, 0xb6), dst, mem, false),
            2 => self.rm(W::D, two(0x0f, 0xb7), dst, mem, false),
            4 => self.rm(W::D, one(0x8b), dst, mem, false),
            _ => self.rm(W::Q, one(0x8b), dst, mem, false),
        }
    }

    /// Loads 1, 2 or 4 bytes, sign-extended to 64 bits.
    pub fn load_signed(&mut self, bytes: u8, dst: Gpr, mem: Mem) {
        match bytes {
            1 => self.rm(W::Q, two(0x0f, 0xbe), dst, mem, false),
            2 => self.rm(W::Q, two(0x0f, 0xbf), dst, mem, false),
            _ => self.rm(W::Q, one(0x63), dst, mem, false),
        }
    }

    /// Stores the low `bytes` bytes.
    pub fn store(&mut self, bytes: u8, mem: Mem, src: Gpr) {
        match bytes {
            1 => self.rm(W::D, one(0x88), src, mem, true),
            2 => self.put(with_memory(W::D, one(0x89), src as u8, mem, false).behind(0x66)),
            4 => self.rm(W::D, one(0x89), src, mem, false),
            _ => self.rm(W::Q, one(0x89), src, mem, false),
        }
    }

    /// Stores an immediate of `bytes` bytes; eight are sign-extended from 32 bits.
    pub fn store_imm(&mut self, bytes: u8, mem: Mem, imm: i32) {
        match bytes {
            1 => self.put(with_memory(W::D, one(0xc6), 0, mem, false).imm(imm, 1)),
            2 => {
                let instruction = with_memory(W::D, one(0xc7), 0, mem, false);
                self.put(instruction.imm(imm, 2).behind(0x66));
            }
            4 => self.put(with_memory(W::D, one(0xc7), 0, mem, false).imm(imm, 4)),
            _ => self.put(with_memory(W::Q, one(0xc7), 0, mem, false).imm(imm, 4)),
        }
    }

    /// `lock [mem] op= src`
    pub fn lock_alu(&mut self, w: W, op: Alu, mem: Mem, src: Gpr) {
        let opcode = one((op as u8) << 3 | 1);
        self.put(with_memory(w, opcode, src as u8, mem, false).behind(0xf0));
    }

    /// `lock xadd [mem], reg`
    pub fn lock_xadd(&mut self, w: W, mem: Mem, reg: Gpr) {
        self.put(with_memory(w, two(0x0f, 0xc1), reg as u8, mem, false).behind(0xf0));
    }

    /// `xchg [mem], reg`, locked by nature
    pub fn xchg_mem(&mut self, w: W, mem: Mem, reg: Gpr) {
        self.rm(w, one(0x87), reg, mem, false);
    }

    /// `lock cmpxchg [mem], src`, against `rax`
    pub fn lock_cmpxchg(&mut self, w: W, mem: Mem, src: Gpr) {
        self.put(with_memory(w, two(0x0f, 0xb1), src as u8, mem, false).behind(0xf0));
    }

    /// `push reg`
    pub fn push(&mut self, reg: Gpr) {
        self.put(with_low(W::D, 0x50, reg));
    }

    /// `pop reg`
    pub fn pop(&mut self, reg: Gpr) {
        self.put(with_low(W::D, 0x58, reg));
    }

    /// `push imm`, sign-extended
    pub fn push_imm(&mut self, imm: i32) {
        self.put(Instruction::plain(one(0x68)).imm(imm, 4));
    }

    /// Instructions that do nothing up to a multiple of `to`, at most 16.
    pub fn align(&mut self, to: usize) {
        // The forms that Intel recommends (SDM volume 2, NOP).
        const NOPS: [&[u8]; 9] = [
            &[0x90],
            &[0x66, 0x90],
            &[0x0f, 0x1f, 0x00],
            &[0x0f, 0x1f, 0x40, 0],
            &[0x0f, 0x1f, 0x44, 0, 0],
            &[0x66, 0x0f, 0x1f, 0x44, 0, 0],
            &[0x0f, 0x1f, 0x80, 0, 0, 0, 0],
            &[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
            &[0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
        ];
        let mut left = self.here().next_multiple_of(to) - self.here();
        while left > 0 {
            let nop = NOPS[left.min(NOPS.len()) - 1];
            self.bytes.extend_from_slice(nop);
            left -= nop.len();
        }
    }

    /// `call reg`
    pub fn call(&mut self, reg: Gpr) {
        self.ext(W::D, 0xff, 2, reg);
    }

    /// `jmp reg`
    pub fn jmp_reg(&mut self, reg: Gpr) {
        self.ext(W::D, 0xff, 4, reg);
    }

    /// `ret`
    pub fn ret(&mut self) {
        self.put(Instruction::plain(one(0xc3)));
    }

    /// `jmp` with a distance of 8 or 32 bits, still to be filled in; where it stands.
    pub fn jmp(&mut self, short: bool) -> Fixup {
        let opcode = if short { 0xeb } else { 0xe9 };
        self.leading(Instruction::plain(one(opcode)), short)
    }

    /// `jcc`, likewise.
    pub fn jcc(&mut self, cc: Cc, short: bool) -> Fixup {
        let opcode = match short {
            true => one(0x70 | cc as u8),
            false => two(0x0f, 0x80 | cc as u8),
        };
        self.leading(Instruction::plain(opcode), short)
    }

    /// `call` with a distance of 32 bits.
    pub fn call_near(&mut self) -> Fixup {
        self.leading(Instruction::plain(one(0xe8)), false)
    }

    /// An instruction with a distance behind it, still to be filled in.
    #[inline]
    fn leading(&mut self, instruction: Instruction, short: bool) -> Fixup {
        self.put(instruction.imm(0, if short { 1 } else { 4 }));
        Fixup {
            at: self.here() - if short { 1 } else { 4 },
            short,
        }
    }

    /// Makes a jump lead to `target`; false when it is too far for its form.
    #[must_use]
    pub fn fix(&mut self, fixup: Fixup, target: usize) -> bool {
        let size = if fixup.short { 1 } else { 4 };
        let distance = target as i64 - (fixup.at + size) as i64;
        if fixup.short {
            let Ok(distance) = i8::try_from(distance) else {
                return false;
            };
            self.bytes[fixup.at] = distance as u8;
        } else {
            let Ok(distance) = i32::try_from(distance) else {
                return false;
            };
            self.bytes[fixup.at..fixup.at + 4].copy_from_slice(&distance.to_le_bytes());
        }
        true
    }

    /// Makes a jump lead here: for distances that are always small.
    pub fn land(&mut self, fixup: Fixup) {
        let near = self.fix(fixup, self.here());
        debug_assert!(near, "templates are shorter than a short jump");
    }
}

/// A jump whose distance is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixup {
    at: usize,
    short: bool,
}
