//! What may become of an operation, by its code. Tables, because what comes next in a program is nothing
//! that a machine could foresee.

use crate::op::{Code, is_pure};

/// Properties of operations, a bit for each.
pub type Class = u16;

/// It does nothing but give its register another value.
pub const PURE: Class = 1;
/// Rows that have a template of their own may begin with it.
pub const ROW: Class = 2;
/// It may be a sum that is not written down at once.
pub const SUM: Class = 4;
/// Its second operand may be a register that was copied.
pub const BY_REGISTER: Class = 8;
/// A plain access, by a register that may be a sum.
pub const ACCESS: Class = 16;
/// An access of any kind.
pub const MEMORY: Class = 32;
/// It copies a register.
pub const COPY: Class = 64;
/// Arithmetic that the machine has an instruction for.
pub const ALU: Class = 128;
/// A shift by a number.
pub const SHIFT: Class = 256;
/// A product.
pub const PRODUCT: Class = 512;

/// Branches, by a number and by a register.
pub const BRANCHES: Class = ROW;
pub const BRANCHES_BY_REGISTER: Class = ROW | BY_REGISTER;
/// Unsigned loads, and stores of registers.
pub const FRAME_LOADS: Class = PURE | ROW | MEMORY;
pub const LOADS: Class = PURE | ROW | ACCESS | MEMORY;
pub const FRAME_STORES: Class = BY_REGISTER | MEMORY;
pub const STORES: Class = BY_REGISTER | ACCESS | MEMORY;
/// Sums that have a class of their own.
const NUMBER: Class = PURE | SUM;
const COPIES: Class = PURE | ROW | SUM | BY_REGISTER | COPY;
const ADDS: Class = PURE | ROW | SUM | BY_REGISTER | ALU;

/// Frequent classes.
pub const FREQUENT: [Class; 21] = [
    BRANCHES,
    BRANCHES_BY_REGISTER,
    FRAME_LOADS,
    LOADS,
    FRAME_STORES,
    STORES,
    ACCESS | MEMORY,
    MEMORY,
    NUMBER,
    COPIES,
    PURE | ROW | BY_REGISTER | COPY,
    ADDS,
    PURE | ROW | SUM | ALU,
    PURE | ROW | ALU,
    PURE | ROW | BY_REGISTER | ALU,
    PURE | ROW | SUM | SHIFT,
    PURE | SHIFT,
    PURE | PRODUCT,
    PURE | BY_REGISTER | PRODUCT,
    PURE,
    PURE | BY_REGISTER,
];

/// From here on [`kind`] says that nothing is written.
pub const DEAD: u8 = 32;

/// The place of an operation's class in [`FREQUENT`], or a number above all; [`DEAD`] and above where it
/// is dead.
#[inline(always)]
pub fn kind(code: Code, is_dead: bool) -> u8 {
    static KINDS: [u8; 256] = {
        let mut kinds = [FREQUENT.len() as u8; 256];
        let mut code = 0;
        while code < kinds.len() {
            let mut kind = 0;
            while kind < FREQUENT.len() {
                if FREQUENT[kind] == TABLE[code] {
                    kinds[code] = kind as u8;
                }
                kind += 1;
            }
            code += 1;
        }
        kinds
    };
    KINDS[code as usize] | u8::from(is_dead) << DEAD.trailing_zeros()
}

/// The code of sums of a class, where they have but one.
#[inline(always)]
pub const fn sum(class: Class) -> Option<Code> {
    match class {
        NUMBER => Some(Code::Mov64K),
        COPIES => Some(Code::Mov64X),
        ADDS => Some(Code::Add64X),
        _ => None,
    }
}

/// Whether operations of a class do nothing with registers but write `dst`, those that are pure, and read
/// it, and `src` those that are accesses or have it as second operand.
#[inline(always)]
pub const fn is_plain(class: Class) -> bool {
    match class & PURE {
        0 => matches!(
            class,
            BRANCHES | BRANCHES_BY_REGISTER | FRAME_STORES | STORES
        ),
        _ => class & MEMORY == 0 || matches!(class, FRAME_LOADS | LOADS),
    }
}

/// What comes second in rows: a branch on zero, a shift, a mask or a sum, arithmetic.
const ZERO: u8 = 1;
const SHIFTED: u8 = 2;
const MORE: u8 = 4;
const ANY: u8 = 8;
/// What a branch may go over.
pub const OVER: u8 = 16;

/// What a row may go on with that begins with an operation.
#[inline]
pub fn first(code: Code) -> u8 {
    static FIRSTS: [u8; 256] = {
        use Code::*;
        let painted = paint(&[
            (Add64K, Sub32X, ZERO as Class),
            (Or64K, Xor32X, ZERO as Class),
            (Lsh64K, Lsh64K, SHIFTED as Class),
            (Lsh32K, Lsh32K, SHIFTED as Class),
            (Mov64X, Mov64X, (SHIFTED | MORE) as Class),
            (Mov32X, Mov32X, (SHIFTED | MORE) as Class),
            (Ld8, Ld64, ANY as Class),
            (LdFrame8, LdFrame64, ANY as Class),
        ]);
        low_bytes(painted)
    };
    FIRSTS[code as usize]
}

/// What an operation is as the second of a row.
#[inline]
pub fn second(code: Code) -> u8 {
    static SECONDS: [u8; 256] = {
        use Code::*;
        let painted = paint(&[
            (JEq64K, JNe32X, ZERO as Class),
            (JEq64K, JSLe32X, ANY as Class),
            (Lsh64K, Arsh32X, SHIFTED as Class),
            (Add64K, Add32X, (ANY | MORE) as Class),
            (Sub64K, Sub32X, ANY as Class),
            (Mul64K, Mul32X, (ANY | MORE) as Class),
            (Or64K, Or32X, ANY as Class),
            (And64K, And32X, (ANY | MORE) as Class),
            (Xor64K, Xor32X, ANY as Class),
            (Jump, Jump, OVER as Class),
            (Mov64K, Mov64K, OVER as Class),
            (Mov32K, Mov32K, OVER as Class),
        ]);
        low_bytes(painted)
    };
    SECONDS[code as usize]
}

/// A table by code, from what ranges of codes have.
const fn paint(of: &[(Code, Code, Class)]) -> [Class; 256] {
    let mut table = [0; 256];
    let mut row = 0;
    while row < of.len() {
        let (from, to, class) = of[row];
        let mut code = from as usize;
        while code <= to as usize {
            table[code] |= class;
            code += 1;
        }
        row += 1;
    }
    table
}

const fn low_bytes(table: [Class; 256]) -> [u8; 256] {
    let mut bytes = [0; 256];
    let mut code = 0;
    while code < bytes.len() {
        bytes[code] = table[code] as u8;
        code += 1;
    }
    bytes
}

/// The class of an operation.
#[inline]
pub fn of(code: Code) -> Class {
    static CLASSES: [Class; 256] = TABLE;
    CLASSES[code as usize]
}

const TABLE: [Class; 256] = {
    use Code::*;
    let mut table = paint(&[
        (Add64K, Sub32X, ROW | ALU),
        (Or64K, Xor32X, ROW | ALU),
        (Mul64K, Mul32X, PRODUCT),
        (Lsh64K, Lsh64K, ROW | SUM),
        (Lsh32K, Lsh32K, ROW),
        (Mov64X, Mov64X, ROW | SUM | COPY),
        (Mov32X, Mov32X, ROW | COPY),
        (Mov64K, Mov64K, SUM),
        (Add64K, Add64X, SUM),
        (Sub64K, Sub64K, SUM),
        (Sx8To64, Sx16To32, BY_REGISTER),
        (CastKernel, CastUser, BY_REGISTER),
        (Ld8, Ld64, ROW),
        (LdFrame8, LdFrame64, ROW),
        (Ld8, LdS32, ACCESS),
        (St8K, St64X, ACCESS),
        (St8X, St64X, BY_REGISTER),
        (StFrame8X, StFrame64X, BY_REGISTER),
        (ArrayLookup, ArrayLookup, ACCESS),
        (Ld8, StRel64, MEMORY),
        (ArrayLookup, OfRun, MEMORY),
    ]);
    // Forms come in the order 64K, 64X, 32K, 32X.
    let mut code = 0;
    while code <= Mov32X as usize {
        if code % 2 == 1 {
            table[code] |= BY_REGISTER;
        } else if code >= Lsh64K as usize && code <= Arsh32K as usize {
            table[code] |= SHIFT;
        }
        code += 1;
    }
    code = JEq64K as usize;
    while code <= JSLe32X as usize {
        let second = (code - JEq64K as usize) % 2;
        table[code] |= if second == 1 {
            BRANCHES_BY_REGISTER
        } else {
            BRANCHES
        };
        code += 1;
    }
    code = 0;
    while code <= Trap as usize {
        if is_pure(code as u8) {
            table[code] |= PURE;
        }
        code += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        jit::live::{Effects, effects, only},
        op::Op,
    };

    fn codes() -> impl Iterator<Item = Code> {
        // SAFETY: the numbers of codes are those up to the last one.
        (0..=Code::Trap as u8).map(|code| unsafe { core::mem::transmute::<u8, Code>(code) })
    }

    #[test]
    fn plain_classes_use_registers_as_they_say() {
        let (dst, src) = (1, 2);
        let mut plain = 0;
        for code in codes() {
            let class = of(code);
            if !is_plain(class) {
                continue;
            }
            plain += 1;
            let op = Op {
                dst,
                src,
                ..Op::new(code)
            };
            let Effects { reads, writes } = effects(&op);
            let written = if class & PURE != 0 { only(dst) } else { 0 };
            let second = match class & (BY_REGISTER | ACCESS) {
                0 => 0,
                _ => only(src),
            };
            assert_eq!(writes, written, "{code:?}");
            assert_eq!(reads & !(only(dst) | second), 0, "{code:?}");
        }
        assert!(plain > 100, "{plain}");
    }

    #[test]
    fn kinds_say_the_class() {
        for code in codes() {
            match FREQUENT.get(usize::from(kind(code, false))) {
                Some(class) => assert_eq!(*class, of(code), "{code:?}"),
                None => assert!(!FREQUENT.contains(&of(code)), "{code:?}"),
            }
            assert!(kind(code, true) >= DEAD && kind(code, false) < DEAD);
        }
    }
}
