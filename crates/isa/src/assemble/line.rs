//! One line: labels, what surrounds an instruction, and the instruction.

use alloc::{borrow::ToOwned, format, vec::Vec};

use super::{
    Symbols,
    error::AssembleErrorKind,
    scan::{Result, Scanner},
};
use crate::{AluOp, AtomicOp, CallTarget, Condition, Instruction, Operand, Reg, Size, Width};

/// A label that an instruction waits for.
#[derive(Clone, Copy)]
pub struct Pending<'t> {
    pub label: &'t str,
    pub column: usize,
}

/// What a line holds.
#[derive(Default)]
pub struct Parsed<'t> {
    /// Labels with their columns.
    pub labels: Vec<(&'t str, usize)>,
    pub instruction: Option<Instruction>,
    /// The instruction's offset is 0 until this label is known.
    pub pending: Option<Pending<'t>>,
}

/// Where a jump goes: known, or 0 and a label.
type Target<'t> = (i64, Option<Pending<'t>>);

pub(super) struct Line<'t, 's> {
    pub(super) scan: Scanner<'t>,
    pub(super) symbols: &'s mut dyn Symbols,
    /// The opcode that the kernel's log prints in front.
    pub(super) opcode: Option<u8>,
    pub(super) pending: Option<Pending<'t>>,
}

pub fn parse<'t>(text: &'t str, symbols: &mut dyn Symbols) -> Result<Parsed<'t>> {
    let mut line = Line {
        scan: Scanner::new(text),
        symbols,
        opcode: None,
        pending: None,
    };
    let mut parsed = Parsed {
        labels: line.labels()?,
        ..Parsed::default()
    };
    if line.scan.at_end() {
        return Ok(parsed);
    }
    parsed.instruction = Some(line.instruction()?);
    line.end()?;
    parsed.pending = line.pending;
    Ok(parsed)
}

const I32: (i64, i64) = (i32::MIN as i64, i32::MAX as i64);

impl<'t> Line<'t, '_> {
    /// Labels, slot numbers, raw bytes and the kernel's opcode.
    fn labels(&mut self) -> Result<Vec<(&'t str, usize)>> {
        let mut labels = Vec::new();
        loop {
            let start = self.scan.clone();
            let column = self.scan.column();
            let word = self.scan.word();
            if word.is_empty() || !self.scan.eat(":") {
                self.scan = start;
                break;
            }
            if word.bytes().all(|b| b.is_ascii_digit()) {
                self.skip_bytes();
            } else {
                labels.push((word, column));
            }
        }
        let start = self.scan.clone();
        if self.scan.eat("(") {
            let word = self.scan.word();
            match u8::from_str_radix(word, 16) {
                Ok(opcode) if word.len() == 2 && self.scan.eat(")") => self.opcode = Some(opcode),
                _ => self.scan = start,
            }
        }
        Ok(labels)
    }

    /// The bytes that llvm-objdump prints: 8 or 16 pairs of digits.
    fn skip_bytes(&mut self) {
        let start = self.scan.clone();
        let mut count = 0;
        loop {
            let before = self.scan.clone();
            let chunk = self.scan.chunk();
            if chunk.len() != 2 || !chunk.bytes().all(|b| b.is_ascii_hexdigit()) {
                self.scan = before;
                break;
            }
            count += 1;
        }
        if count != 8 && count != 16 {
            self.scan = start;
        }
    }

    fn end(&mut self) -> Result<()> {
        let rest = self.scan.rest();
        if rest.is_empty() || (rest.starts_with('<') && rest.ends_with('>')) {
            return Ok(());
        }
        self.scan.fail("the end of the line")
    }

    fn instruction(&mut self) -> Result<Instruction> {
        match self.scan.peek_word() {
            "" => {
                self.scan
                    .expect("*")
                    .or_else(|_| self.scan.fail("an instruction"))?;
                self.store()
            }
            "exit" => {
                self.scan.word();
                Ok(Instruction::Exit)
            }
            word @ ("goto" | "gotol" | "may_goto") => {
                self.scan.word();
                self.jump(word)
            }
            "if" => {
                self.scan.word();
                self.branch()
            }
            "call" => {
                self.scan.word();
                self.call()
            }
            "callx" => {
                self.scan.word();
                Ok(Instruction::Call(CallTarget::Reg(self.reg(Width::W64)?)))
            }
            "lock" => {
                self.scan.word();
                self.lock()
            }
            "store_release" => {
                self.scan.word();
                self.scan.expect("(")?;
                let (size, base, offset) = self.memory()?;
                self.scan.expect(",")?;
                let src = self.value(size)?;
                self.scan.expect(")")?;
                Ok(Instruction::Atomic {
                    op: AtomicOp::StoreRelease,
                    size,
                    base,
                    offset,
                    src,
                })
            }
            _ => self.assignment(),
        }
    }

    /// A register of either width.
    pub(super) fn any_reg(&mut self) -> Result<(Width, Reg)> {
        let column = self.scan.column();
        let word = self.scan.peek_word();
        let width = match word.as_bytes().first() {
            Some(b'r') => Width::W64,
            Some(b'w') => Width::W32,
            _ => return self.scan.fail("a register"),
        };
        let digits = word.get(1..).unwrap_or("");
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return self.scan.fail("a register");
        }
        let canonical = digits.len() == 1 || !digits.starts_with('0');
        match digits.parse().ok().and_then(Reg::new) {
            Some(reg) if canonical => {
                self.scan.word();
                Ok((width, reg))
            }
            _ => Err(AssembleErrorKind::NoRegister(word.to_owned()).at(column)),
        }
    }

    /// A register of this width.
    pub(super) fn reg(&mut self, wanted: Width) -> Result<Reg> {
        let column = self.scan.column();
        let word = self.scan.peek_word();
        let (width, reg) = self.any_reg()?;
        if width == wanted {
            return Ok(reg);
        }
        let letter = if wanted == Width::W32 { 'w' } else { 'r' };
        let right = format!("{letter}{}", reg.number());
        Err(AssembleErrorKind::WrongWidth(word.to_owned(), right).at(column))
    }

    /// A register that takes part in a memory access: `w` is as good as `r` up to 32 bits.
    pub(super) fn value(&mut self, size: Size) -> Result<Reg> {
        if size == Size::DW {
            self.reg(Width::W64)
        } else {
            Ok(self.any_reg()?.1)
        }
    }

    /// An immediate of 32 bits. At 32 bits' width, unsigned notation is as good as signed.
    pub(super) fn imm32(&mut self, width: Width) -> Result<i32> {
        let max = if width == Width::W32 {
            i64::from(u32::MAX)
        } else {
            I32.1
        };
        Ok(self.scan.number_in("32 signed bits", I32.0, max)? as i32)
    }

    fn operand(&mut self, width: Width) -> Result<Operand> {
        if self.scan.peek_word().starts_with(['r', 'w']) {
            return Ok(Operand::Reg(self.reg(width)?));
        }
        Ok(Operand::Imm(self.imm32(width)?))
    }

    /// `u32`, `s8`, …: size and sign.
    pub(super) fn access_type(&mut self) -> Result<(Size, bool)> {
        let kind = match self.scan.peek_word() {
            "u8" => (Size::B, false),
            "u16" => (Size::H, false),
            "u32" => (Size::W, false),
            "u64" => (Size::DW, false),
            "s8" => (Size::B, true),
            "s16" => (Size::H, true),
            "s32" => (Size::W, true),
            _ => return self.scan.fail("a type from u8 to u64 or s8 to s32"),
        };
        self.scan.word();
        Ok(kind)
    }

    /// `(u32 *)(r1 + 4)`
    pub(super) fn memory(&mut self) -> Result<(Size, Reg, i16)> {
        self.scan.expect("(")?;
        let column = self.scan.column();
        let (size, signed) = self.access_type()?;
        if signed {
            let kind = AssembleErrorKind::NoSuchSize("signed memory: only loads extend signs");
            return Err(kind.at(column));
        }
        self.scan.expect("*")?;
        self.scan.expect(")")?;
        self.scan.expect("(")?;
        let (base, offset) = self.address()?;
        self.scan.expect(")")?;
        Ok((size, base, offset))
    }

    /// `r1 + 4`, `r1 +4`, `r1`
    pub(super) fn address(&mut self) -> Result<(Reg, i16)> {
        let base = self.reg(Width::W64)?;
        if !self.scan.rest().starts_with(['+', '-']) {
            return Ok((base, 0));
        }
        let column = self.scan.column();
        let minus = self.scan.eat("-");
        if !minus {
            self.scan.eat("+");
        }
        let magnitude = self.scan.number()?;
        let value = if minus { -magnitude } else { magnitude };
        let (min, max) = (i64::from(i16::MIN), i64::from(i16::MAX));
        let field = "the 16 bits of an offset";
        let offset = i16::try_from(value).map_err(|_| {
            AssembleErrorKind::OutOfRange {
                value,
                field,
                min,
                max,
            }
            .at(column)
        })?;
        Ok((base, offset))
    }

    /// Where a jump goes, within the given range.
    fn target(&mut self, min: i64, max: i64) -> Result<Target<'t>> {
        let column = self.scan.column();
        let word = self.scan.peek_word();
        if word == "pc" {
            self.scan.word();
        } else if !word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit()) {
            self.scan.word();
            return Ok((
                0,
                Some(Pending {
                    label: word,
                    column,
                }),
            ));
        }
        if !self.scan.rest().starts_with(['+', '-']) {
            return self.scan.fail("a label or a signed number of slots");
        }
        Ok((
            self.scan.number_in("the offset of this jump", min, max)?,
            None,
        ))
    }

    fn near_target(&mut self) -> Result<i16> {
        let (offset, pending) = self.target(i64::from(i16::MIN), i64::from(i16::MAX))?;
        self.pending = pending;
        Ok(offset as i16)
    }

    fn far_target(&mut self) -> Result<i32> {
        let (offset, pending) = self.target(I32.0, I32.1)?;
        self.pending = pending;
        Ok(offset as i32)
    }

    fn jump(&mut self, word: &str) -> Result<Instruction> {
        Ok(match word {
            "goto" => Instruction::Jump {
                offset: i32::from(self.near_target()?),
                long: false,
            },
            "gotol" => Instruction::Jump {
                offset: self.far_target()?,
                long: true,
            },
            _ => Instruction::MayGoto {
                offset: self.near_target()?,
            },
        })
    }

    fn branch(&mut self) -> Result<Instruction> {
        const SYMBOLS: [&str; 11] = [
            "==", "!=", "s>=", "s<=", "s>", "s<", ">=", "<=", ">", "<", "&",
        ];
        let (width, dst) = self.any_reg()?;
        let Some(cond) = self.scan.eat_any(&SYMBOLS).and_then(Condition::from_symbol) else {
            return self.scan.fail("a comparison");
        };
        let column = self.scan.column();
        let (src, unsigned) = self.compared(width)?;
        if !self.scan.eat_word("goto") {
            return self.scan.fail("`goto`");
        }
        if let Some(value) = unsigned
            && !self.scan.rest().starts_with("pc")
        {
            let (min, max) = I32;
            let kind = AssembleErrorKind::OutOfRange {
                value: i128::from(value),
                field: "32 signed bits",
                min,
                max,
            };
            return Err(kind.at(column));
        }
        Ok(Instruction::Branch {
            width,
            cond,
            dst,
            src,
            offset: self.near_target()?,
        })
    }

    /// The right side of a comparison, and its value if it was written as the kernel's log writes
    /// a negative one: as an unsigned number of 32 bits. Only that dialect means it so.
    fn compared(&mut self, width: Width) -> Result<(Operand, Option<u32>)> {
        if self.scan.peek_word().starts_with(['r', 'w']) {
            return Ok((Operand::Reg(self.reg(width)?), None));
        }
        let value = self
            .scan
            .number_in("32 signed bits", I32.0, i64::from(u32::MAX))?;
        let unsigned = (width == Width::W64 && value > I32.1).then_some(value as u32);
        Ok((Operand::Imm(value as i32), unsigned))
    }

    fn call(&mut self) -> Result<Instruction> {
        let column = self.scan.column();
        if self.scan.peek_word() == "pc" || self.scan.rest().starts_with('+') {
            return Ok(Instruction::Call(CallTarget::Local(self.far_target()?)));
        }
        if self
            .scan
            .rest()
            .starts_with(|c: char| c.is_ascii_digit() || c == '-')
        {
            let id = self
                .scan
                .number_in("a helper's number", I32.0, i64::from(u32::MAX))?;
            return Ok(Instruction::Call(CallTarget::Helper(id as u32)));
        }
        let chunk = self.scan.chunk();
        let (name, number) = match chunk.split_once('#') {
            Some((name, number)) => (name, Some(number)),
            None => (chunk, None),
        };
        let target = match (name, number) {
            ("", _) => return self.scan.fail("a label, a helper or a kernel function"),
            ("kfunc", Some(number)) => kfunc(number),
            (_, Some(number)) => number.parse().ok().map(CallTarget::Helper),
            (name, None) => {
                if let Some(id) = self.symbols.helper(name) {
                    Some(CallTarget::Helper(id))
                } else if let Some((id, object)) = self.symbols.kfunc(name) {
                    Some(CallTarget::Kfunc { id, object })
                } else {
                    self.pending = Some(Pending {
                        label: name,
                        column,
                    });
                    Some(CallTarget::Local(0))
                }
            }
        };
        let unknown = || AssembleErrorKind::UnknownKfunc(chunk.to_owned()).at(column);
        Ok(Instruction::Call(target.ok_or_else(unknown)?))
    }

    fn store(&mut self) -> Result<Instruction> {
        let (size, base, offset) = self.memory()?;
        self.scan.expect("=")?;
        let src = if self.scan.peek_word().starts_with(['r', 'w']) {
            Operand::Reg(self.value(size)?)
        } else {
            let wide = if size == Size::DW {
                Width::W64
            } else {
                Width::W32
            };
            Operand::Imm(self.imm32(wide)?)
        };
        Ok(Instruction::Store {
            size,
            base,
            offset,
            src,
        })
    }

    /// Atomics work on 32 and 64 bits.
    pub(super) fn atomic_size(&mut self, column: usize, size: Size) -> Result<()> {
        match size {
            Size::W | Size::DW => Ok(()),
            Size::B => Err(AssembleErrorKind::NoSuchSize("8 bits").at(column)),
            Size::H => Err(AssembleErrorKind::NoSuchSize("16 bits").at(column)),
        }
    }

    fn lock(&mut self) -> Result<Instruction> {
        self.scan.expect("*")?;
        let column = self.scan.column();
        let (size, base, offset) = self.memory()?;
        self.atomic_size(column, size)?;
        let op = match self.scan.eat_any(&["+=", "|=", "&=", "^="]) {
            Some("+=") => AtomicOp::Add { fetch: false },
            Some("|=") => AtomicOp::Or { fetch: false },
            Some("&=") => AtomicOp::And { fetch: false },
            Some(_) => AtomicOp::Xor { fetch: false },
            None => return self.scan.fail("one of += |= &= ^="),
        };
        Ok(Instruction::Atomic {
            op,
            size,
            base,
            offset,
            src: self.value(size)?,
        })
    }

    fn assignment(&mut self) -> Result<Instruction> {
        const SYMBOLS: [&str; 14] = [
            "s>>=", "s/=", "s%=", "<<=", ">>=", "+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "=",
        ];
        if !self.scan.peek_word().starts_with(['r', 'w']) {
            return self.scan.fail("an instruction");
        }
        let (width, dst) = self.any_reg()?;
        let Some(op) = self.scan.eat_any(&SYMBOLS).and_then(AluOp::from_symbol) else {
            return self.scan.fail("an assignment such as = or +=");
        };
        if op == AluOp::Mov {
            return self.right_side(width, dst);
        }
        Ok(Instruction::Alu {
            width,
            op,
            dst,
            src: self.operand(width)?,
        })
    }
}

fn kfunc(number: &str) -> Option<CallTarget> {
    let (id, object) = number.split_once('@').unwrap_or((number, "0"));
    Some(CallTarget::Kfunc {
        id: id.parse().ok()?,
        object: object.parse().ok()?,
    })
}
