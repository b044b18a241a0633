//! A64 encodings (Arm Architecture Reference Manual, C6.2): the few that the templates use.

#[cfg(test)]
mod tests;

use alloc::vec::Vec;

/// A general register; 31 is the stack pointer or zero, as the instruction has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gpr(pub u8);

/// The stack pointer, as a base and in additions of immediates.
pub const SP: Gpr = Gpr(31);
/// Zero, elsewhere.
pub const ZERO: Gpr = Gpr(31);
/// Where calls return to.
pub const LINK: Gpr = Gpr(30);

impl Gpr {
    const fn d(self) -> u32 {
        self.0 as u32
    }
    const fn n(self) -> u32 {
        (self.0 as u32) << 5
    }
    const fn a(self) -> u32 {
        (self.0 as u32) << 10
    }
    const fn m(self) -> u32 {
        (self.0 as u32) << 16
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

impl W {
    const fn sf(self) -> u32 {
        (self as u32) << 31
    }

    /// Bits of an operand.
    pub const fn bits(self) -> u32 {
        32 << self as u32
    }

    /// An immediate as the operand that it is.
    pub const fn cut(self, imm: u64) -> u64 {
        match self {
            W::D => imm as u32 as u64,
            W::Q => imm,
        }
    }
}

/// Operations of two registers; the number is the encoding of the shifted-register form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
#[repr(u32)]
pub enum Alu {
    And = 0x0a00_0000,
    Add = 0x0b00_0000,
    Or = 0x2a00_0000,
    Xor = 0x4a00_0000,
    Sub = 0x4b00_0000,
    /// Sets the flags.
    Subs = 0x6b00_0000,
    /// Sets the flags.
    Ands = 0x6a00_0000,
    Udiv = 0x1ac0_0800,
    Sdiv = 0x1ac0_0c00,
    Lsl = 0x1ac0_2000,
    Lsr = 0x1ac0_2400,
    Asr = 0x1ac0_2800,
    Mul = 0x1b00_7c00,
}

/// Condition codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Cc {
    Eq = 0,
    Ne = 1,
    Hs = 2,
    Lo = 3,
    Hi = 8,
    Ls = 9,
    Ge = 10,
    Lt = 11,
    Gt = 12,
    Le = 13,
}

/// When a conditional branch is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum If {
    /// By the flags.
    Flags(Cc),
    /// The register is zero.
    Zero(W, Gpr),
    /// The register is not zero.
    NotZero(W, Gpr),
}

impl If {
    const fn word(self) -> u32 {
        match self {
            If::Flags(cc) => 0x5400_0000 | cc as u32,
            If::Zero(w, t) => 0x3400_0000 | w.sf() | t.d(),
            If::NotZero(w, t) => 0x3500_0000 | w.sf() | t.d(),
        }
    }

    /// The word for the opposite.
    const fn inverted(self) -> u32 {
        match self {
            If::Flags(_) => self.word() ^ 1,
            _ => self.word() ^ 1 << 24,
        }
    }
}

/// How far a branch reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// 19 bits of words, at bit 5.
    Near,
    /// 26 bits of words.
    Far,
}

/// A branch whose distance is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixup {
    at: usize,
    reach: Reach,
}

/// Bytes that a conditional branch reaches, in either direction.
pub const NEAR: i64 = 1 << 20;
/// Bytes that a branch reaches, in either direction.
pub const FAR: i64 = 1 << 27;

/// Code that grows.
#[derive(Default)]
pub struct Code {
    pub bytes: Vec<u8>,
}

impl Code {
    /// Where the next instruction goes.
    pub fn here(&self) -> usize {
        self.bytes.len()
    }

    fn word(&mut self, word: u32) {
        self.bytes.extend_from_slice(&word.to_le_bytes());
    }

    /// `d = n op m`
    pub fn alu(&mut self, w: W, op: Alu, d: Gpr, n: Gpr, m: Gpr) {
        self.word(op as u32 | w.sf() | m.m() | n.n() | d.d());
    }

    /// `d = n op (m << count)`, for the operations of a shifted register.
    pub fn alu_shifted(&mut self, w: W, op: Alu, d: Gpr, n: Gpr, (m, count): (Gpr, u8)) {
        let count = u32::from(count) & (w.bits() - 1);
        self.word(op as u32 | w.sf() | m.m() | count << 10 | n.n() | d.d());
    }

    /// `d = m`; not for the stack pointer.
    pub fn mov(&mut self, w: W, d: Gpr, m: Gpr) {
        self.alu(w, Alu::Or, d, ZERO, m);
    }

    /// `d = -m`
    pub fn neg(&mut self, w: W, d: Gpr, m: Gpr) {
        self.alu(w, Alu::Sub, d, ZERO, m);
    }

    /// `d = a - n * m`
    pub fn msub(&mut self, w: W, d: Gpr, n: Gpr, m: Gpr, a: Gpr) {
        self.word(0x1b00_8000 | w.sf() | m.m() | a.a() | n.n() | d.d());
    }

    /// `d = imm`: as few halves as it takes.
    pub fn mov_imm(&mut self, d: Gpr, imm: u64) {
        // What fits in 32 bits needs no sign.
        let w = if imm <= u64::from(u32::MAX) {
            W::D
        } else {
            W::Q
        };
        if let Some(bits) = bitmask(w, imm) {
            let single = |v: u64| (0..4).filter(|i| v >> (16 * i) & 0xffff != 0).count() <= 1;
            let inverted = w.cut(!imm);
            if !single(imm) && !single(inverted) {
                return self.word(0x3200_0000 | w.sf() | bits | ZERO.n() | d.d());
            }
        }
        let halves = (0..w.bits() / 16).map(|i| (i, (imm >> (16 * i)) as u16));
        let filler = |fill: u16| halves.clone().filter(|&(_, half)| half == fill).count();
        let (fill, first) = if filler(0xffff) > filler(0) {
            (0xffff, 0x1280_0000)
        } else {
            (0, 0x5280_0000)
        };
        let mut rest = halves.filter(|&(_, half)| half != fill);
        let (i, half) = rest.next().unwrap_or((0, fill));
        self.word(first | w.sf() | i << 21 | u32::from(half ^ fill) << 5 | d.d());
        for (i, half) in rest {
            self.word(0x7280_0000 | w.sf() | i << 21 | u32::from(half) << 5 | d.d());
        }
    }

    /// `d = n op imm` for additions, subtractions and logic, where an instruction has room for the
    /// immediate; false if none has.
    #[must_use]
    pub fn alu_imm(&mut self, w: W, op: Alu, d: Gpr, n: Gpr, imm: u64) -> bool {
        let imm = w.cut(imm);
        let (plus, minus, flags) = match op {
            Alu::Add => (0x1100_0000, 0x5100_0000, 0),
            Alu::Sub => (0x5100_0000, 0x1100_0000, 0),
            Alu::Subs => (0x5100_0000, 0x1100_0000, 1 << 29),
            _ => return self.logic_imm(w, op, d, n, imm),
        };
        let negative = w.cut(imm.wrapping_neg());
        // Comparing with 0 by adding it would set another carry: the plain form goes first.
        let (word, size) = if imm >> 24 == 0 {
            (plus, imm)
        } else if negative >> 24 == 0 {
            (minus, negative)
        } else {
            return false;
        };
        let word = word | flags | w.sf() | d.d() | n.n();
        match (size as u32 & 0xfff, size as u32 >> 12) {
            (low, 0) => self.word(word | low << 10),
            (0, high) => self.word(word | 1 << 22 | high << 10),
            _ => return false,
        }
        true
    }

    fn logic_imm(&mut self, w: W, op: Alu, d: Gpr, n: Gpr, imm: u64) -> bool {
        let word = match op {
            Alu::And => 0x1200_0000,
            Alu::Or => 0x3200_0000,
            Alu::Xor => 0x5200_0000,
            Alu::Ands => 0x7200_0000,
            _ => return false,
        };
        let Some(bits) = bitmask(w, imm) else {
            return false;
        };
        self.word(word | w.sf() | bits | n.n() | d.d());
        true
    }

    /// Bits `from..=to` of `n` to the bottom of `d`, with the sign of the highest or zeros above.
    fn bitfield(&mut self, w: W, signed: bool, d: Gpr, n: Gpr, (immr, imms): (u32, u32)) {
        let word = if signed { 0x1300_0000 } else { 0x5300_0000 };
        let n_bit = (w as u32) << 22;
        self.word(word | w.sf() | n_bit | immr << 16 | imms << 10 | n.n() | d.d());
    }

    /// `d = n shift count`; the shift is one of [`Alu`]'s.
    pub fn shift_imm(&mut self, w: W, shift: Alu, d: Gpr, n: Gpr, count: u8) {
        let (bits, count) = (w.bits(), u32::from(count) & (w.bits() - 1));
        let field = match shift {
            Alu::Lsl => (bits.wrapping_sub(count) & (bits - 1), bits - 1 - count),
            _ => (count, bits - 1),
        };
        self.bitfield(w, shift == Alu::Asr, d, n, field);
    }

    /// `d = sign_extend(low bits of n)` to the width.
    pub fn sign_extend(&mut self, w: W, bits: u8, d: Gpr, n: Gpr) {
        self.bitfield(w, true, d, n, (0, u32::from(bits) - 1));
    }

    /// `d = zero_extend(low 8 or 16 bits of n)`
    pub fn zero_extend(&mut self, bits: u8, d: Gpr, n: Gpr) {
        self.bitfield(W::D, false, d, n, (0, u32::from(bits) - 1));
    }

    /// `d = bytes of n, reversed`
    pub fn reverse(&mut self, w: W, d: Gpr, n: Gpr) {
        let opcode = if w == W::Q { 0xc00 } else { 0x800 };
        self.word(0x5ac0_0000 | w.sf() | opcode | n.n() | d.d());
    }

    /// Swaps the bytes of each half word of 32 bits.
    pub fn reverse16(&mut self, d: Gpr, n: Gpr) {
        self.word(0x5ac0_0400 | n.n() | d.d());
    }

    /// Loads or stores at `[n + off]`; false when the offset has no room.
    fn access(&mut self, opcode: u32, bytes: u8, t: Gpr, n: Gpr, off: i32) -> bool {
        let scale = bytes.trailing_zeros();
        let word = scale << 30 | opcode | n.n() | t.d();
        if off >= 0 && off % i32::from(bytes) == 0 && off >> scale < 4096 {
            self.word(word | 0x0100_0000 | (off as u32 >> scale) << 10);
        } else if (-256..256).contains(&off) {
            self.word(word | (off as u32 & 0x1ff) << 12);
        } else {
            return false;
        }
        true
    }

    /// The same with the offset in `spare` where it has no room.
    fn access_any(&mut self, opcode: u32, bytes: u8, t: Gpr, (n, off): (Gpr, i32), spare: Gpr) {
        if !self.access(opcode, bytes, t, n, off) {
            self.mov_imm(spare, i64::from(off) as u64);
            let scale = bytes.trailing_zeros();
            let word = scale << 30 | opcode | 0x0020_6800;
            self.word(word | spare.m() | n.n() | t.d());
        }
    }

    /// Loads `bytes` bytes from `[n + off]`, zero-extended to 64 bits.
    pub fn load(&mut self, bytes: u8, t: Gpr, place: (Gpr, i32), spare: Gpr) {
        self.access_any(0x3840_0000, bytes, t, place, spare);
    }

    /// Loads 1, 2 or 4 bytes, sign-extended to 64 bits.
    pub fn load_signed(&mut self, bytes: u8, t: Gpr, place: (Gpr, i32), spare: Gpr) {
        self.access_any(0x3880_0000, bytes, t, place, spare);
    }

    /// Stores the low `bytes` bytes.
    pub fn store(&mut self, bytes: u8, t: Gpr, place: (Gpr, i32), spare: Gpr) {
        self.access_any(0x3800_0000, bytes, t, place, spare);
    }

    /// Two registers onto the stack.
    pub fn push(&mut self, a: Gpr, b: Gpr) {
        self.word(0xa9bf_0000 | b.a() | SP.n() | a.d());
    }

    /// Two registers off the stack.
    pub fn pop(&mut self, a: Gpr, b: Gpr) {
        self.word(0xa8c1_0000 | b.a() | SP.n() | a.d());
    }

    /// Loads with acquire semantics.
    pub fn load_acquire(&mut self, bytes: u8, t: Gpr, n: Gpr) {
        self.word(bytes.trailing_zeros() << 30 | 0x08df_fc00 | n.n() | t.d());
    }

    /// Stores with release semantics.
    pub fn store_release(&mut self, bytes: u8, t: Gpr, n: Gpr) {
        self.word(bytes.trailing_zeros() << 30 | 0x089f_fc00 | n.n() | t.d());
    }

    /// Loads, and watches the place.
    pub fn load_exclusive(&mut self, w: W, t: Gpr, n: Gpr) {
        self.word(0x885f_7c00 | (w as u32) << 30 | n.n() | t.d());
    }

    /// Stores with release semantics if nobody else did; `s` is 0 then.
    pub fn store_exclusive(&mut self, w: W, s: Gpr, t: Gpr, n: Gpr) {
        self.word(0x8800_fc00 | (w as u32) << 30 | s.m() | n.n() | t.d());
    }

    /// Orders all accesses before with all after.
    pub fn barrier(&mut self) {
        self.word(0xd503_3bbf);
    }

    /// `d = address of the page of the byte at this offset`, when code begins at a page's start.
    pub fn page_of(&mut self, d: Gpr, offset: usize) {
        let pages = (offset as i64 >> 12) - (self.here() as i64 >> 12);
        let pages = pages as u32;
        self.word(0x9000_0000 | (pages & 3) << 29 | (pages >> 2 & 0x7_ffff) << 5 | d.d());
    }

    /// Calls the code in a register.
    pub fn call(&mut self, n: Gpr) {
        self.word(0xd63f_0000 | n.n());
    }

    /// Goes to the code in a register.
    pub fn jump_to(&mut self, n: Gpr) {
        self.word(0xd61f_0000 | n.n());
    }

    /// Returns.
    pub fn ret(&mut self) {
        self.word(0xd65f_0000 | LINK.n());
    }

    /// Branches.
    pub fn branch(&mut self) -> Fixup {
        self.fixup(0x1400_0000, Reach::Far)
    }

    /// Branches, with the way back in the link register.
    pub fn branch_link(&mut self) -> Fixup {
        self.fixup(0x9400_0000, Reach::Far)
    }

    /// Branches under a condition; what is `near` must stay so.
    pub fn branch_if(&mut self, condition: If, near: bool) -> Fixup {
        if near {
            return self.fixup(condition.word(), Reach::Near);
        }
        // Over the next instruction.
        self.word(condition.inverted() | 2 << 5);
        self.branch()
    }

    fn fixup(&mut self, word: u32, reach: Reach) -> Fixup {
        let at = self.here();
        self.word(word);
        Fixup { at, reach }
    }

    /// Makes a branch lead to `target`; false when it is too far for its form.
    #[must_use]
    pub fn fix(&mut self, fixup: Fixup, target: usize) -> bool {
        let distance = target as i64 - fixup.at as i64;
        let words = (distance >> 2) as u32;
        let (limit, field) = match fixup.reach {
            Reach::Near => (NEAR, (words & 0x7_ffff) << 5),
            Reach::Far => (FAR, words & 0x3ff_ffff),
        };
        if !(-limit..limit).contains(&distance) {
            return false;
        }
        if let Some(bytes) = self.bytes.get_mut(fixup.at..fixup.at + 4) {
            let now = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            bytes.copy_from_slice(&(now | field).to_le_bytes());
        }
        true
    }

    /// Makes a branch lead here: for distances that are always small.
    pub fn land(&mut self, fixup: Fixup) {
        let near = self.fix(fixup, self.here());
        debug_assert!(near, "templates are shorter than a near branch");
    }
}

/// `N`, `immr` and `imms` of a logical immediate, in place: a run of ones, rotated, repeated. `None`
/// for other numbers.
fn bitmask(w: W, imm: u64) -> Option<u32> {
    let imm = match w {
        W::D => u64::from(imm as u32) | imm << 32,
        W::Q => imm,
    };
    if imm == 0 || imm == u64::MAX {
        return None;
    }
    // The shortest element that repeats.
    let mut size = 64u32;
    while size > 2 {
        let half = size / 2;
        let mask = (1u64 << half) - 1;
        if imm & mask != imm >> half & mask {
            break;
        }
        size = half;
    }
    let mask = u64::MAX >> (64 - size);
    let element = imm & mask;
    let rotate = |by: u32| match by {
        0 => element,
        _ => (element >> by | element << (size - by)) & mask,
    };
    // Rotated right until the ones are at the bottom.
    let ones = element.count_ones();
    let bottom = (1u64 << ones) - 1;
    let turned = (0..size).find(|by| rotate(*by) == bottom)?;
    let immr = (size - turned) % size;
    let n = u32::from(size == 64);
    let imms = (!(size * 2 - 1) & 0x3f) | (ones - 1);
    Some(n << 22 | immr << 16 | imms << 10)
}
