//! x86-64 encodings (Intel SDM volume 2): the few that the templates use.

#[cfg(test)]
mod tests;

use alloc::vec::Vec;

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
    pub fn here(&self) -> usize {
        self.bytes.len()
    }

    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    fn imm32(&mut self, imm: i32) {
        self.bytes.extend_from_slice(&imm.to_le_bytes());
    }

    /// REX, if it is needed. `byte` forces it, so that `sil` and its like can be named.
    fn rex(&mut self, w: W, reg: u8, index: u8, base: u8, byte: bool) {
        let rex = 0x40 | u8::from(w == W::Q) << 3 | reg << 2 | index << 1 | base;
        if rex != 0x40 || byte {
            self.byte(rex);
        }
    }

    /// An instruction whose operands are two registers.
    fn rr(&mut self, w: W, opcode: &[u8], reg: Gpr, rm: Gpr) {
        self.rex(w, reg.high(), 0, rm.high(), false);
        self.bytes.extend_from_slice(opcode);
        self.byte(0xc0 | reg.low() << 3 | rm.low());
    }

    /// An instruction with an opcode extension and a register.
    fn ext(&mut self, w: W, opcode: u8, extension: u8, rm: Gpr) {
        self.rex(w, 0, 0, rm.high(), false);
        self.byte(opcode);
        self.byte(0xc0 | extension << 3 | rm.low());
    }

    /// ModRM, SIB and displacement of a memory operand.
    fn address(&mut self, reg: u8, mem: Mem) {
        let small = i8::try_from(mem.disp).is_ok();
        // rbp and r13 as base need a displacement.
        let mode = match mem.disp {
            0 if mem.base.low() != 5 => 0,
            _ if small => 1,
            _ => 2,
        };
        if mem.index.is_some() || mem.base.low() == 4 {
            self.byte(mode << 6 | reg << 3 | 4);
            let index = mem.index.map_or(4, Gpr::low);
            self.byte(mem.scale << 6 | index << 3 | mem.base.low());
        } else {
            self.byte(mode << 6 | reg << 3 | mem.base.low());
        }
        match mode {
            1 => self.byte(mem.disp as u8),
            2 => self.imm32(mem.disp),
            _ => {}
        }
    }

    fn rm(&mut self, w: W, opcode: &[u8], reg: Gpr, mem: Mem, byte: bool) {
        self.ext_rm(w, opcode, reg as u8, mem, byte);
    }

    /// `reg` is a register's number or an opcode extension.
    fn ext_rm(&mut self, w: W, opcode: &[u8], reg: u8, mem: Mem, byte: bool) {
        let index = mem.index.map_or(0, Gpr::high);
        self.rex(w, reg >> 3, index, mem.base.high(), byte);
        self.bytes.extend_from_slice(opcode);
        self.address(reg & 7, mem);
    }

    /// `dst = src`
    pub fn mov(&mut self, w: W, dst: Gpr, src: Gpr) {
        self.rr(w, &[0x89], src, dst);
    }

    /// `dst = imm`, in the shortest form. Clobbers the flags.
    pub fn mov_imm(&mut self, dst: Gpr, imm: u64) {
        if imm == 0 {
            self.alu(W::D, Alu::Xor, dst, dst);
        } else if let Ok(imm) = u32::try_from(imm) {
            self.rex(W::D, 0, 0, dst.high(), false);
            self.byte(0xb8 | dst.low());
            self.imm32(imm as i32);
        } else if let Ok(imm) = i32::try_from(imm as i64) {
            self.ext(W::Q, 0xc7, 0, dst);
            self.imm32(imm);
        } else {
            self.rex(W::Q, 0, 0, dst.high(), false);
            self.byte(0xb8 | dst.low());
            self.bytes.extend_from_slice(&imm.to_le_bytes());
        }
    }

    /// `dst = 0`, which keeps the flags.
    pub fn mov_zero(&mut self, dst: Gpr) {
        self.rex(W::D, 0, 0, dst.high(), false);
        self.byte(0xb8 | dst.low());
        self.imm32(0);
    }

    /// `dst op= src`
    pub fn alu(&mut self, w: W, op: Alu, dst: Gpr, src: Gpr) {
        self.rr(w, &[(op as u8) << 3 | 1], src, dst);
    }

    /// `dst op= imm`
    pub fn alu_imm(&mut self, w: W, op: Alu, dst: Gpr, imm: i32) {
        if i8::try_from(imm).is_ok() {
            self.ext(w, 0x83, op as u8, dst);
            self.byte(imm as u8);
        } else if dst == Gpr::Rax {
            self.rex(w, 0, 0, 0, false);
            self.byte((op as u8) << 3 | 5);
            self.imm32(imm);
        } else {
            self.ext(w, 0x81, op as u8, dst);
            self.imm32(imm);
        }
    }

    /// `dst op= [mem]`
    pub fn alu_load(&mut self, w: W, op: Alu, dst: Gpr, mem: Mem) {
        self.rm(w, &[(op as u8) << 3 | 3], dst, mem, false);
    }

    /// `[mem] op= src`, of `bytes` bytes
    pub fn alu_store(&mut self, bytes: u8, op: Alu, mem: Mem, src: Gpr) {
        let opcode = (op as u8) << 3;
        match bytes {
            1 => self.rm(W::D, &[opcode], src, mem, true),
            2 => {
                self.byte(0x66);
                self.rm(W::D, &[opcode | 1], src, mem, false);
            }
            4 => self.rm(W::D, &[opcode | 1], src, mem, false),
            _ => self.rm(W::Q, &[opcode | 1], src, mem, false),
        }
    }

    /// `[mem] op= imm`, of `bytes` bytes
    pub fn alu_store_imm(&mut self, bytes: u8, op: Alu, mem: Mem, imm: i32) {
        match bytes {
            1 => {
                self.ext_rm(W::D, &[0x80], op as u8, mem, false);
                self.byte(imm as u8);
            }
            2 if i8::try_from(imm).is_ok() => {
                self.byte(0x66);
                self.ext_rm(W::D, &[0x83], op as u8, mem, false);
                self.byte(imm as u8);
            }
            2 => {
                self.byte(0x66);
                self.ext_rm(W::D, &[0x81], op as u8, mem, false);
                self.bytes.extend_from_slice(&(imm as i16).to_le_bytes());
            }
            4 => self.alu_mem_imm(W::D, op, mem, imm),
            _ => self.alu_mem_imm(W::Q, op, mem, imm),
        }
    }

    /// `dst = src` if the condition holds
    pub fn cmov(&mut self, w: W, cc: Cc, dst: Gpr, src: Gpr) {
        self.rr(w, &[0x0f, 0x40 | cc as u8], dst, src);
    }

    /// `dst = 1` if the condition holds, else 0: the low byte alone
    pub fn set(&mut self, cc: Cc, dst: Gpr) {
        self.rex(W::D, 0, 0, dst.high(), true);
        self.bytes.extend_from_slice(&[0x0f, 0x90 | cc as u8]);
        self.byte(0xc0 | dst.low());
    }

    /// `dst += imm + carry`
    pub fn adc_imm(&mut self, w: W, dst: Gpr, imm: i8) {
        self.ext(w, 0x83, 2, dst);
        self.byte(imm as u8);
    }

    /// `dst -= imm + carry`
    pub fn sbb_imm(&mut self, w: W, dst: Gpr, imm: i8) {
        self.ext(w, 0x83, 3, dst);
        self.byte(imm as u8);
    }

    /// `[mem] op= imm`
    pub fn alu_mem_imm(&mut self, w: W, op: Alu, mem: Mem, imm: i32) {
        if i8::try_from(imm).is_ok() {
            self.ext_rm(w, &[0x83], op as u8, mem, false);
            self.byte(imm as u8);
        } else {
            self.ext_rm(w, &[0x81], op as u8, mem, false);
            self.imm32(imm);
        }
    }

    /// Flags of `a & b`
    pub fn test(&mut self, w: W, a: Gpr, b: Gpr) {
        self.rr(w, &[0x85], b, a);
    }

    /// Flags of `a & imm`
    pub fn test_imm(&mut self, w: W, a: Gpr, imm: i32) {
        self.ext(w, 0xf7, 0, a);
        self.imm32(imm);
    }

    /// `dst *= src`
    pub fn imul(&mut self, w: W, dst: Gpr, src: Gpr) {
        self.rr(w, &[0x0f, 0xaf], dst, src);
    }

    /// `dst *= [mem]`
    pub fn imul_load(&mut self, w: W, dst: Gpr, mem: Mem) {
        self.rm(w, &[0x0f, 0xaf], dst, mem, false);
    }

    /// `dst = [mem] * imm`
    pub fn imul_load_imm(&mut self, w: W, dst: Gpr, mem: Mem, imm: i32) {
        if i8::try_from(imm).is_ok() {
            self.rm(w, &[0x6b], dst, mem, false);
            self.byte(imm as u8);
        } else {
            self.rm(w, &[0x69], dst, mem, false);
            self.imm32(imm);
        }
    }

    /// `rdx:rax = rax * src`
    pub fn mul(&mut self, w: W, src: Gpr) {
        self.ext(w, 0xf7, 4, src);
    }

    /// `dst = src * imm`
    pub fn imul_imm(&mut self, w: W, dst: Gpr, src: Gpr, imm: i32) {
        if i8::try_from(imm).is_ok() {
            self.rr(w, &[0x6b], dst, src);
            self.byte(imm as u8);
        } else {
            self.rr(w, &[0x69], dst, src);
            self.imm32(imm);
        }
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
        self.rex(w, 0, 0, 0, false);
        self.byte(0x99);
    }

    /// `dst = -dst`
    pub fn neg(&mut self, w: W, dst: Gpr) {
        self.ext(w, 0xf7, 3, dst);
    }

    /// `dst shift= imm`
    pub fn shift_imm(&mut self, w: W, shift: Shift, dst: Gpr, imm: u8) {
        if imm == 1 {
            self.ext(w, 0xd1, shift as u8, dst);
        } else {
            self.ext(w, 0xc1, shift as u8, dst);
            self.byte(imm);
        }
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
        // VEX: inverted R, X, B, map 0F38; W, inverted count, L = 0.
        self.byte(0xc4);
        self.byte((dst.high() ^ 1) << 7 | 1 << 6 | (src.high() ^ 1) << 5 | 2);
        self.byte(u8::from(w == W::Q) << 7 | (count as u8 ^ 15) << 3 | pp);
        self.byte(0xf7);
        self.byte(0xc0 | dst.low() << 3 | src.low());
    }

    /// `dst = rotate_left(dst, imm)`
    pub fn rol(&mut self, w: W, dst: Gpr, imm: u8) {
        self.ext(w, 0xc1, 0, dst);
        self.byte(imm);
    }

    /// `dst = rotate_left(dst, cl)`
    pub fn rol_cl(&mut self, w: W, dst: Gpr) {
        self.ext(w, 0xd3, 0, dst);
    }

    /// `high, low = rdx * src` (BMI2); the upper half where both are one register
    pub fn mulx(&mut self, w: W, high: Gpr, low: Gpr, src: Gpr) {
        // VEX: inverted R, X, B, map 0F38; W, inverted low, pp = F2.
        self.byte(0xc4);
        self.byte((high.high() ^ 1) << 7 | 1 << 6 | (src.high() ^ 1) << 5 | 2);
        self.byte(u8::from(w == W::Q) << 7 | (low as u8 ^ 15) << 3 | 3);
        self.byte(0xf6);
        self.byte(0xc0 | high.low() << 3 | src.low());
    }

    /// `dst = rotate_right(src, imm)` (BMI2)
    pub fn rorx(&mut self, w: W, dst: Gpr, src: Gpr, imm: u8) {
        // VEX: inverted R, X, B, map 0F3A; W, no second source, pp = F2.
        self.byte(0xc4);
        self.byte((dst.high() ^ 1) << 7 | 1 << 6 | (src.high() ^ 1) << 5 | 3);
        self.byte(u8::from(w == W::Q) << 7 | 15 << 3 | 3);
        self.byte(0xf0);
        self.byte(0xc0 | dst.low() << 3 | src.low());
        self.byte(imm);
    }

    /// Swaps the two low bytes.
    pub fn swap16(&mut self, dst: Gpr) {
        self.byte(0x66);
        self.rol(W::D, dst, 8);
    }

    /// Reverses the bytes.
    pub fn bswap(&mut self, w: W, dst: Gpr) {
        self.rex(w, 0, 0, dst.high(), false);
        self.byte(0x0f);
        self.byte(0xc8 | dst.low());
    }

    /// `dst = zero_extend(low 8 or 16 bits of src)`
    pub fn movzx(&mut self, bits: u8, dst: Gpr, src: Gpr) {
        self.rex(W::D, dst.high(), 0, src.high(), bits == 8);
        self.byte(0x0f);
        self.byte(if bits == 8 { 0xb6 } else { 0xb7 });
        self.byte(0xc0 | dst.low() << 3 | src.low());
    }

    /// `dst = sign_extend(low 8, 16 or 32 bits of src)` to the width
    pub fn movsx(&mut self, w: W, bits: u8, dst: Gpr, src: Gpr) {
        self.rex(w, dst.high(), 0, src.high(), bits == 8);
        match bits {
            8 => self.bytes.extend_from_slice(&[0x0f, 0xbe]),
            16 => self.bytes.extend_from_slice(&[0x0f, 0xbf]),
            _ => self.byte(0x63),
        }
        self.byte(0xc0 | dst.low() << 3 | src.low());
    }

    /// `dst = address of mem`
    pub fn lea(&mut self, w: W, dst: Gpr, mem: Mem) {
        self.rm(w, &[0x8d], dst, mem, false);
    }

    /// `dst = address of the byte at this offset of the code`
    pub fn lea_code(&mut self, dst: Gpr, offset: usize) {
        self.rex(W::Q, dst.high(), 0, 0, false);
        self.byte(0x8d);
        self.byte(dst.low() << 3 | 5);
        let distance = offset as i64 - (self.here() as i64 + 4);
        self.imm32(distance as i32);
    }

    /// Loads `bytes` bytes, zero-extended to 64 bits.
    pub fn load(&mut self, bytes: u8, dst: Gpr, mem: Mem) {
        match bytes {
            1 => self.rm(W::D, &[0x0f, 0xb6], dst, mem, false),
            2 => self.rm(W::D, &[0x0f, 0xb7], dst, mem, false),
            4 => self.rm(W::D, &[0x8b], dst, mem, false),
            _ => self.rm(W::Q, &[0x8b], dst, mem, false),
        }
    }

    /// Loads 1, 2 or 4 bytes, sign-extended to 64 bits.
    pub fn load_signed(&mut self, bytes: u8, dst: Gpr, mem: Mem) {
        match bytes {
            1 => self.rm(W::Q, &[0x0f, 0xbe], dst, mem, false),
            2 => self.rm(W::Q, &[0x0f, 0xbf], dst, mem, false),
            _ => self.rm(W::Q, &[0x63], dst, mem, false),
        }
    }

    /// Stores the low `bytes` bytes.
    pub fn store(&mut self, bytes: u8, mem: Mem, src: Gpr) {
        match bytes {
            1 => self.rm(W::D, &[0x88], src, mem, true),
            2 => {
                self.byte(0x66);
                self.rm(W::D, &[0x89], src, mem, false);
            }
            4 => self.rm(W::D, &[0x89], src, mem, false),
            _ => self.rm(W::Q, &[0x89], src, mem, false),
        }
    }

    /// Stores an immediate of `bytes` bytes; eight are sign-extended from 32 bits.
    pub fn store_imm(&mut self, bytes: u8, mem: Mem, imm: i32) {
        match bytes {
            1 => {
                self.ext_rm(W::D, &[0xc6], 0, mem, false);
                self.byte(imm as u8);
            }
            2 => {
                self.byte(0x66);
                self.ext_rm(W::D, &[0xc7], 0, mem, false);
                self.bytes.extend_from_slice(&(imm as i16).to_le_bytes());
            }
            4 => {
                self.ext_rm(W::D, &[0xc7], 0, mem, false);
                self.imm32(imm);
            }
            _ => {
                self.ext_rm(W::Q, &[0xc7], 0, mem, false);
                self.imm32(imm);
            }
        }
    }

    /// `lock [mem] op= src`
    pub fn lock_alu(&mut self, w: W, op: Alu, mem: Mem, src: Gpr) {
        self.byte(0xf0);
        self.rm(w, &[(op as u8) << 3 | 1], src, mem, false);
    }

    /// `lock xadd [mem], reg`
    pub fn lock_xadd(&mut self, w: W, mem: Mem, reg: Gpr) {
        self.byte(0xf0);
        self.rm(w, &[0x0f, 0xc1], reg, mem, false);
    }

    /// `xchg [mem], reg`, locked by nature
    pub fn xchg_mem(&mut self, w: W, mem: Mem, reg: Gpr) {
        self.rm(w, &[0x87], reg, mem, false);
    }

    /// `lock cmpxchg [mem], src`, against `rax`
    pub fn lock_cmpxchg(&mut self, w: W, mem: Mem, src: Gpr) {
        self.byte(0xf0);
        self.rm(w, &[0x0f, 0xb1], src, mem, false);
    }

    /// `push reg`
    pub fn push(&mut self, reg: Gpr) {
        self.rex(W::D, 0, 0, reg.high(), false);
        self.byte(0x50 | reg.low());
    }

    /// `pop reg`
    pub fn pop(&mut self, reg: Gpr) {
        self.rex(W::D, 0, 0, reg.high(), false);
        self.byte(0x58 | reg.low());
    }

    /// `push imm`, sign-extended
    pub fn push_imm(&mut self, imm: i32) {
        self.byte(0x68);
        self.imm32(imm);
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
        self.byte(0xc3);
    }

    /// `jmp` with a distance of 8 or 32 bits, still to be filled in; where it stands.
    pub fn jmp(&mut self, short: bool) -> Fixup {
        if short {
            self.byte(0xeb);
        } else {
            self.byte(0xe9);
        }
        self.distance(short)
    }

    /// `jcc`, likewise.
    pub fn jcc(&mut self, cc: Cc, short: bool) -> Fixup {
        if short {
            self.byte(0x70 | cc as u8);
        } else {
            self.byte(0x0f);
            self.byte(0x80 | cc as u8);
        }
        self.distance(short)
    }

    /// `call` with a distance of 32 bits.
    pub fn call_near(&mut self) -> Fixup {
        self.byte(0xe8);
        self.distance(false)
    }

    fn distance(&mut self, short: bool) -> Fixup {
        let fixup = Fixup {
            at: self.here(),
            short,
        };
        if short {
            self.byte(0);
        } else {
            self.imm32(0);
        }
        fixup
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
