//! From instructions to text, as llvm-objdump prints it or as the kernel's verifier log does.

use alloc::borrow::Cow;
use core::fmt::{self, Display, Formatter};

use crate::{
    AluOp, AtomicOp, ByteOrder, CallTarget, Code, Condition, Imm64, Instruction, Operand,
    PacketMode, Reg, Size, Width,
};

/// Whose manner of writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// llvm-objdump: `w1 = *(u32 *)(r2 + 4)`, `if r1 > r2 goto +3`, `call 12`.
    #[default]
    Llvm,
    /// The verifier's log, with the opcode in front: `(61) r1 = *(u32 *)(r2 +4)`,
    /// `(2d) if r1 > r2 goto pc+3`, `(85) call bpf_tail_call#12`.
    Kernel,
}

/// Names for the numbers in instructions. Each may say `None`: then the number is printed.
pub trait Names {
    /// Name of a helper.
    fn helper(&self, _id: u32) -> Option<Cow<'_, str>> {
        None
    }

    /// Name of a kernel function by BTF id.
    fn kfunc(&self, _id: i32, _object: i16) -> Option<Cow<'_, str>> {
        None
    }

    /// Text for a 64-bit immediate, such as the map that it stands for: `map[counts]`. Asked for
    /// everything but plain numbers.
    fn imm64(&self, _imm: Imm64) -> Option<Cow<'_, str>> {
        None
    }

    /// Label of a slot, for jumps and calls of subprograms.
    fn label(&self, _slot: usize) -> Option<Cow<'_, str>> {
        None
    }
}

/// No names at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl Names for NoNames {}

/// How to print.
#[derive(Clone, Copy)]
pub struct Style<'a> {
    /// In whose manner.
    pub dialect: Dialect,
    /// Numbers in hexadecimal, as llvm-objdump does by default; no meaning in the kernel's dialect.
    pub hex: bool,
    /// Names for numbers.
    pub names: &'a dyn Names,
}

impl Style<'static> {
    /// As llvm-objdump with `--no-print-imm-hex`.
    pub const LLVM: Style<'static> = Style {
        dialect: Dialect::Llvm,
        hex: false,
        names: &NoNames,
    };
    /// As llvm-objdump by default.
    pub const LLVM_HEX: Style<'static> = Style {
        dialect: Dialect::Llvm,
        hex: true,
        names: &NoNames,
    };
    /// As the verifier's log.
    pub const KERNEL: Style<'static> = Style {
        dialect: Dialect::Kernel,
        hex: false,
        names: &NoNames,
    };
}

/// An instruction at its place, ready to be printed. Made by [`Instruction::text`].
#[derive(Clone, Copy)]
pub struct Text<'a> {
    instruction: Instruction,
    slot: Option<usize>,
    style: Style<'a>,
}

impl Instruction {
    /// The instruction as text. The slot is where it stands: without it no label can be named.
    pub fn text<'a>(&self, slot: Option<usize>, style: Style<'a>) -> Text<'a> {
        Text {
            instruction: *self,
            slot,
            style,
        }
    }
}

impl Display for Instruction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.text(None, Style::LLVM).fmt(f)
    }
}

impl Code {
    /// All instructions, each with its slot and text.
    pub fn texts<'a>(&'a self, style: Style<'a>) -> impl Iterator<Item = (usize, Text<'a>)> {
        self.iter()
            .map(move |(slot, i)| (slot, i.text(Some(slot), style)))
    }
}

impl Display for Reg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.number())
    }
}

/// A register under the name of a width: `r1` or `w1`.
struct Named(Width, Reg);

impl Display for Named {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let letter = match self.0 {
            Width::W32 => 'w',
            Width::W64 => 'r',
        };
        write!(f, "{letter}{}", self.1.number())
    }
}

/// A signed number, in hexadecimal with the sign in front where that is asked for.
struct Number(i64, bool);

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.1, self.0 < 0) {
            (false, _) => write!(f, "{}", self.0),
            (true, false) => write!(f, "{:#x}", self.0),
            (true, true) => write!(f, "-{:#x}", self.0.unsigned_abs()),
        }
    }
}

/// A number that always has a sign: `+3`.
struct Signed(i64, bool);

impl Display for Signed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "" } else { "+" };
        write!(f, "{sign}{}", Number(self.0, self.1))
    }
}

/// `*(u32 *)(r2 + 4)` without the star in front.
struct Memory<'a> {
    text: &'a Text<'a>,
    size: Size,
    signed: bool,
    base: Reg,
    offset: i16,
}

impl Display for Memory<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let letter = if self.signed { 's' } else { 'u' };
        write!(f, "({letter}{} *)(", self.size.bytes() * 8)?;
        self.text.address(f, self.base, self.offset)?;
        f.write_str(")")
    }
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.kernel() {
            write!(f, "({:02x}) ", self.instruction.encode().0.opcode)?;
        }
        self.body(f)
    }
}

impl Text<'_> {
    fn kernel(&self) -> bool {
        self.style.dialect == Dialect::Kernel
    }

    fn number(&self, value: i32) -> Number {
        Number(i64::from(value), self.style.hex && !self.kernel())
    }

    /// The register of a memory access: LLVM calls it `w` where at most 32 bits travel.
    fn value(&self, size: Size, signed: bool, reg: Reg) -> Named {
        let narrow = size != Size::DW && !signed && !self.kernel();
        Named(if narrow { Width::W32 } else { Width::W64 }, reg)
    }

    fn memory(&self, size: Size, base: Reg, offset: i16) -> Memory<'_> {
        Memory {
            text: self,
            size,
            signed: false,
            base,
            offset,
        }
    }

    fn address(&self, f: &mut Formatter<'_>, base: Reg, offset: i16) -> fmt::Result {
        if self.kernel() {
            return write!(f, "{base} {}", Signed(i64::from(offset), false));
        }
        let sign = if offset < 0 { '-' } else { '+' };
        write!(
            f,
            "{base} {sign} {}",
            self.number(i32::from(offset.unsigned_abs()))
        )
    }

    fn body(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.instruction {
            Instruction::Alu {
                width,
                op,
                dst,
                src,
            } => {
                write!(f, "{} {} ", Named(width, dst), op.symbol())?;
                self.operand(f, width, src)
            }
            Instruction::Neg { width, dst } => {
                write!(f, "{} = -{}", Named(width, dst), Named(width, dst))
            }
            Instruction::MovSx {
                width,
                from,
                dst,
                src,
            } => {
                let bits = from.bytes() * 8;
                write!(f, "{} = (s{bits}){}", Named(width, dst), Named(width, src))
            }
            Instruction::AddrSpaceCast { dst, src, to, from } => {
                let (to, from) = (self.number(i32::from(to)), self.number(i32::from(from)));
                write!(f, "{dst} = addr_space_cast({src}, {to}, {from})")
            }
            Instruction::Endian { order, size, dst } => {
                let name = match order {
                    ByteOrder::Little => "le",
                    ByteOrder::Big => "be",
                    ByteOrder::Swap => "bswap",
                };
                write!(f, "{dst} = {name}{} {dst}", size.bytes() * 8)
            }
            Instruction::LoadImm64 { dst, imm } => self.load_imm64(f, dst, imm),
            Instruction::Load {
                size,
                signed,
                dst,
                base,
                offset,
            } => {
                let memory = Memory {
                    text: self,
                    size,
                    signed,
                    base,
                    offset,
                };
                write!(f, "{} = *{memory}", self.value(size, signed, dst))
            }
            Instruction::Store {
                size,
                base,
                offset,
                src,
            } => {
                write!(f, "*{} = ", self.memory(size, base, offset))?;
                match src {
                    Operand::Reg(reg) => write!(f, "{}", self.value(size, false, reg)),
                    Operand::Imm(imm) => write!(f, "{}", self.number(imm)),
                }
            }
            Instruction::Atomic {
                op,
                size,
                base,
                offset,
                src,
            } => self.atomic(f, op, size, self.memory(size, base, offset), src),
            Instruction::PacketLoad { size, mode, imm } => {
                write!(f, "r0 = *(u{} *)skb[", size.bytes() * 8)?;
                match mode {
                    PacketMode::Absolute => write!(f, "{}]", self.number(imm)),
                    PacketMode::Indirect(reg) if imm == 0 && !self.kernel() => write!(f, "{reg}]"),
                    PacketMode::Indirect(reg) => write!(f, "{reg} + {}]", self.number(imm)),
                }
            }
            Instruction::Jump { offset, long } => {
                f.write_str(if long { "gotol " } else { "goto " })?;
                self.destination(f, offset)
            }
            Instruction::Branch {
                width,
                cond,
                dst,
                src,
                offset,
            } => {
                write!(f, "if {} {} ", Named(width, dst), cond.symbol())?;
                match src {
                    Operand::Imm(imm) if self.kernel() => write!(f, "{imm:#x}")?,
                    src => self.operand(f, width, src)?,
                }
                f.write_str(" goto ")?;
                self.destination(f, i32::from(offset))
            }
            Instruction::MayGoto { offset } => {
                f.write_str("may_goto ")?;
                self.destination(f, i32::from(offset))
            }
            Instruction::Call(target) => self.call(f, target),
            Instruction::Exit => f.write_str("exit"),
        }
    }

    fn operand(&self, f: &mut Formatter<'_>, width: Width, operand: Operand) -> fmt::Result {
        match operand {
            Operand::Reg(reg) => Named(width, reg).fmt(f),
            Operand::Imm(imm) => self.number(imm).fmt(f),
        }
    }

    /// The label of what lies `offset` slots after the following slot.
    fn label(&self, offset: i32) -> Option<Cow<'_, str>> {
        let target = self
            .slot?
            .checked_add(1)?
            .checked_add_signed(offset as isize)?;
        self.style.names.label(target)
    }

    fn destination(&self, f: &mut Formatter<'_>, offset: i32) -> fmt::Result {
        if let Some(label) = self.label(offset) {
            return f.write_str(&label);
        }
        let pc = if self.kernel() { "pc" } else { "" };
        write!(
            f,
            "{pc}{}",
            Signed(i64::from(offset), self.style.hex && !self.kernel())
        )
    }

    fn load_imm64(&self, f: &mut Formatter<'_>, dst: Reg, imm: Imm64) -> fmt::Result {
        write!(f, "{dst} = ")?;
        match imm {
            Imm64::Value(value) if self.kernel() => return write!(f, "{value:#x}"),
            Imm64::Value(value) => write!(f, "{}", Number(value as i64, self.style.hex))?,
            imm => match self.style.names.imm64(imm) {
                Some(name) => f.write_str(&name)?,
                None => self.pseudo(f, imm)?,
            },
        }
        if self.kernel() {
            Ok(())
        } else {
            f.write_str(" ll")
        }
    }

    /// Immediates that stand for something else. llvm-objdump and the log have no text for most of
    /// them; this one follows bpftool's.
    fn pseudo(&self, f: &mut Formatter<'_>, imm: Imm64) -> fmt::Result {
        match imm {
            Imm64::Value(value) => write!(f, "{value:#x}"),
            Imm64::MapFd(fd) => write!(f, "map[fd:{fd}]"),
            Imm64::MapValue { fd, offset } => write!(f, "map[fd:{fd}][0]+{offset}"),
            Imm64::MapIndex(index) => write!(f, "map[idx:{index}]"),
            Imm64::MapIndexValue { index, offset } => write!(f, "map[idx:{index}][0]+{offset}"),
            Imm64::BtfVar { id, object: 0 } => write!(f, "btf_var[{id}]"),
            Imm64::BtfVar { id, object } => write!(f, "btf_var[{id}@{object}]"),
            Imm64::Func(offset) => match self.label(offset) {
                Some(label) => write!(f, "subprog[{label}]"),
                None => write!(f, "subprog[{}]", Signed(i64::from(offset), false)),
            },
        }
    }

    fn call(&self, f: &mut Formatter<'_>, target: CallTarget) -> fmt::Result {
        match target {
            CallTarget::Helper(id) => match self.style.names.helper(id) {
                Some(name) => write!(f, "call {name}#{id}"),
                None if self.kernel() => write!(f, "call unknown#{id}"),
                None => write!(f, "call {}", self.number(id as i32)),
            },
            CallTarget::Local(offset) => match self.label(offset) {
                Some(label) => write!(f, "call {label}"),
                None => write!(f, "call pc{}", Signed(i64::from(offset), false)),
            },
            CallTarget::Kfunc { id, object } => match self.style.names.kfunc(id, object) {
                Some(name) if self.kernel() => write!(f, "call {name}#{id}"),
                // The name would read as a helper's: the number is what tells them apart.
                _ if object == 0 => write!(f, "call kfunc#{id}"),
                _ => write!(f, "call kfunc#{id}@{object}"),
            },
            CallTarget::Reg(reg) => write!(f, "callx {reg}"),
        }
    }

    fn atomic(
        &self,
        f: &mut Formatter<'_>,
        op: AtomicOp,
        size: Size,
        memory: Memory<'_>,
        src: Reg,
    ) -> fmt::Result {
        let reg = self.value(size, false, src);
        let r0 = self.value(size, false, Reg::R0);
        let plain = match op {
            AtomicOp::Add { fetch } => ("+=", "add", fetch),
            AtomicOp::Or { fetch } => ("|=", "or", fetch),
            AtomicOp::And { fetch } => ("&=", "and", fetch),
            AtomicOp::Xor { fetch } => ("^=", "xor", fetch),
            AtomicOp::LoadAcquire => return write!(f, "{reg} = load_acquire({memory})"),
            AtomicOp::StoreRelease => return write!(f, "store_release({memory}, {reg})"),
            AtomicOp::Xchg if self.kernel() => {
                return write!(f, "{reg} = atomic{}_xchg({memory}, {reg})", wide(size));
            }
            AtomicOp::CmpXchg if self.kernel() => {
                return write!(
                    f,
                    "{r0} = atomic{}_cmpxchg({memory}, {r0}, {reg})",
                    wide(size)
                );
            }
            AtomicOp::Xchg => {
                write!(f, "{reg} = xchg{}(", narrow(size))?;
                self.address(f, memory.base, memory.offset)?;
                return write!(f, ", {reg})");
            }
            AtomicOp::CmpXchg => {
                write!(f, "{r0} = cmpxchg{}(", narrow(size))?;
                self.address(f, memory.base, memory.offset)?;
                return write!(f, ", {r0}, {reg})");
            }
        };
        match plain {
            (symbol, _, false) => write!(f, "lock *{memory} {symbol} {reg}"),
            (_, name, true) => {
                let wide = if self.kernel() { wide(size) } else { "" };
                write!(f, "{reg} = atomic{wide}_fetch_{name}({memory}, {reg})")
            }
        }
    }
}

/// Part of the kernel's names for atomics of 64 bits.
fn wide(size: Size) -> &'static str {
    if size == Size::DW { "64" } else { "" }
}

/// Part of LLVM's names for exchanges.
fn narrow(size: Size) -> &'static str {
    if size == Size::DW { "_64" } else { "32_32" }
}

impl AluOp {
    /// The assignment operator: `+=`, `s>>=`, `=`.
    pub const fn symbol(self) -> &'static str {
        match self {
            AluOp::Add => "+=",
            AluOp::Sub => "-=",
            AluOp::Mul => "*=",
            AluOp::Div => "/=",
            AluOp::SDiv => "s/=",
            AluOp::Mod => "%=",
            AluOp::SMod => "s%=",
            AluOp::Or => "|=",
            AluOp::And => "&=",
            AluOp::Xor => "^=",
            AluOp::Lsh => "<<=",
            AluOp::Rsh => ">>=",
            AluOp::Arsh => "s>>=",
            AluOp::Mov => "=",
        }
    }

    pub(crate) fn from_symbol(symbol: &str) -> Option<AluOp> {
        use AluOp::*;
        [
            Add, Sub, Mul, Div, SDiv, Mod, SMod, Or, And, Xor, Lsh, Rsh, Arsh, Mov,
        ]
        .into_iter()
        .find(|op| op.symbol() == symbol)
    }
}

impl Condition {
    /// The comparison operator: `==`, `s>`, `&`.
    pub const fn symbol(self) -> &'static str {
        match self {
            Condition::Eq => "==",
            Condition::Ne => "!=",
            Condition::Set => "&",
            Condition::Gt => ">",
            Condition::Ge => ">=",
            Condition::Lt => "<",
            Condition::Le => "<=",
            Condition::SGt => "s>",
            Condition::SGe => "s>=",
            Condition::SLt => "s<",
            Condition::SLe => "s<=",
        }
    }

    pub(crate) fn from_symbol(symbol: &str) -> Option<Condition> {
        use Condition::*;
        [Eq, Ne, Set, Gt, Ge, Lt, Le, SGt, SGe, SLt, SLe]
            .into_iter()
            .find(|cond| cond.symbol() == symbol)
    }
}
