//! Instructions of x86-64 over registers that are still to be found.

use crate::{
    RunWord,
    jit::x86::{Alu, Cc, Gpr, Shift, W},
};

/// A register: virtual before allocation, the machine's number afterwards.
pub type Reg = u32;

/// What is required of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Use,
    /// A use of a register or a place on the stack ([`SPILLED`]).
    UseAny,
    /// A use that no result may overwrite.
    UseLate,
    UseFixed(Gpr),
    Def,
    DefFixed(Gpr),
    /// A result in the register of the operand of this index.
    DefReuse(usize),
    /// A register for the instruction's own use.
    Temp,
}

impl Need {
    /// Whether the instruction writes the register.
    pub const fn writes(self) -> bool {
        !matches!(
            self,
            Need::Use | Need::UseAny | Need::UseLate | Need::UseFixed(_)
        )
    }
}

/// From this number on, registers of [`Need::UseAny`] mean places on the stack.
pub const SPILLED: Reg = 16;

/// What an address counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    Reg(Reg),
    /// The frame pointer.
    Frame,
}

/// `[base + index << scale + disp]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Addr {
    pub base: Base,
    pub index: Option<(Reg, u8)>,
    pub disp: i32,
}

/// A second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Src {
    Reg(Reg),
    Imm(i32),
    Mem(Addr),
}

/// A comparison that sets the flags: `cmp` or `test`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Compare {
    pub test: bool,
    /// Bytes of the operands: 1 only for memory and an immediate, else 4 or 8.
    pub bytes: u8,
    pub a: Src,
    pub b: Src,
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// At an address; whether it calls functions of the program.
    Outside(u64, bool),
    Local(u32),
    Tail(u64),
}

/// An atomic operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    Alu(Alu),
    Xadd,
    Xchg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Inst {
    /// The function's arguments.
    Args([Option<Reg>; 5]),
    Imm(Reg, u64),
    /// What the run knows of its surroundings.
    OfRun(Reg, RunWord),
    Lea(W, Reg, Addr),
    Alu(W, Alu, Reg, Reg, Src),
    Mul(W, Reg, Reg, Src),
    MulImm(W, Reg, Src, i32),
    MulHigh(Reg, Reg, Reg),
    Neg(W, Reg, Reg),
    Swap(u8, Reg, Reg),
    Shift(W, Shift, Reg, Reg, u8),
    /// By a register, with BMI2.
    ShiftX(W, Shift, Reg, Reg, Reg),
    /// By `cl`.
    ShiftCl(W, Shift, Reg, Reg, Reg),
    Rol(W, Reg, Reg, u8),
    RolCl(W, Reg, Reg, Reg),
    /// Zero-extension of 8, 16 or 32 bits.
    Zext(u8, Reg, Reg),
    Sext(W, u8, Reg, Reg),
    Load(u8, Reg, Addr),
    LoadSigned(u8, Reg, Addr),
    Store(u8, Addr, Src),
    /// Memory of so many bytes, operated on.
    AluMem(u8, Alu, Addr, Src),
    /// The second value if the condition holds, else the first.
    Select(Compare, Cc, Reg, Reg, Reg),
    /// 1 if the condition holds, else 0.
    Set(Compare, Cc, Reg),
    /// A number plus the carry of a comparison, or plus 1 where there is none.
    Carry(W, Compare, bool, Reg, Reg),
    /// Quotient or remainder; signed; the dividend, the divisor; whether it may be 0.
    Div {
        w: W,
        signed: bool,
        quotient: bool,
        dst: Reg,
        a: Reg,
        b: Reg,
        known: bool,
    },
    /// Bytes, signed, result, two temporaries.
    Probe(u8, bool, Reg, Addr, Reg, Reg),
    Locked(W, Locked, Option<Reg>, Addr, Reg),
    CmpXchg(W, Reg, Addr, Reg, Reg),
    /// Fetch and operate: result, address, operand, temporary.
    FetchLoop(W, Alu, Reg, Addr, Reg, Reg),
    Call(Target, [Option<Reg>; 5], Option<Reg>),
    /// Steps, operation, whether the budget may run out.
    Charge(u32, u32, bool),
    Jump,
    Branch(Compare, Cc),
    Return(Reg),
    Trap(u32),
}

/// Registers of arguments.
pub const ARGS: [Gpr; 5] = [Gpr::Rdi, Gpr::Rsi, Gpr::Rdx, Gpr::Rcx, Gpr::R8];

impl Addr {
    fn visit(&mut self, f: &mut impl FnMut(&mut Reg, Need), need: Need) {
        if let Base::Reg(base) = &mut self.base {
            f(base, need);
        }
        if let Some((index, _)) = &mut self.index {
            f(index, need);
        }
    }
}

impl Src {
    /// The same where memory does as well.
    fn visit_any(&mut self, f: &mut impl FnMut(&mut Reg, Need)) {
        match self {
            Src::Reg(reg) => f(reg, Need::UseAny),
            other => other.visit(f),
        }
    }

    fn visit(&mut self, f: &mut impl FnMut(&mut Reg, Need)) {
        match self {
            Src::Reg(reg) => f(reg, Need::Use),
            Src::Imm(_) => {}
            Src::Mem(addr) => addr.visit(f, Need::Use),
        }
    }
}

impl Compare {
    fn visit(&mut self, f: &mut impl FnMut(&mut Reg, Need)) {
        self.a.visit(f);
        match self.test {
            true => self.b.visit(f),
            false => self.b.visit_any(f),
        }
    }
}

impl Inst {
    /// Calls `f` with each register and what is required of it, always in the same order.
    pub fn visit(&mut self, f: &mut impl FnMut(&mut Reg, Need)) {
        match self {
            Inst::Args(args) => {
                for (arg, fixed) in args.iter_mut().zip(ARGS) {
                    if let Some(arg) = arg {
                        f(arg, Need::DefFixed(fixed));
                    }
                }
            }
            Inst::Imm(dst, _) | Inst::OfRun(dst, _) => f(dst, Need::Def),
            Inst::Zext(_, dst, src) | Inst::Sext(_, _, dst, src) => {
                f(src, Need::Use);
                f(dst, Need::Def);
            }
            Inst::Lea(_, dst, addr) | Inst::Load(_, dst, addr) | Inst::LoadSigned(_, dst, addr) => {
                addr.visit(f, Need::Use);
                f(dst, Need::Def);
            }
            Inst::Alu(_, _, dst, a, b) | Inst::Mul(_, dst, a, b) => {
                f(a, Need::Use);
                b.visit_any(f);
                f(dst, Need::DefReuse(0));
            }
            Inst::MulImm(_, dst, src, _) => {
                src.visit(f);
                f(dst, Need::Def);
            }
            Inst::MulHigh(dst, a, b) => {
                f(a, Need::UseFixed(Gpr::Rax));
                f(b, Need::Use);
                f(dst, Need::DefFixed(Gpr::Rdx));
            }
            Inst::Neg(_, dst, a)
            | Inst::Swap(_, dst, a)
            | Inst::Shift(_, _, dst, a, _)
            | Inst::Rol(_, dst, a, _) => {
                f(a, Need::Use);
                f(dst, Need::DefReuse(0));
            }
            Inst::ShiftX(_, _, dst, a, count) => {
                f(a, Need::Use);
                f(count, Need::Use);
                f(dst, Need::Def);
            }
            Inst::ShiftCl(_, _, dst, a, count) | Inst::RolCl(_, dst, a, count) => {
                f(a, Need::Use);
                f(count, Need::UseFixed(Gpr::Rcx));
                f(dst, Need::DefReuse(0));
            }
            Inst::Store(_, addr, src) | Inst::AluMem(_, _, addr, src) => {
                addr.visit(f, Need::Use);
                src.visit(f);
            }
            Inst::Select(compare, _, dst, a, b) => {
                f(a, Need::Use);
                f(b, Need::Use);
                compare.visit(f);
                f(dst, Need::DefReuse(0));
            }
            Inst::Set(compare, _, dst) => {
                compare.visit(f);
                f(dst, Need::Def);
            }
            Inst::Carry(_, compare, _, dst, a) => {
                f(a, Need::Use);
                compare.visit(f);
                f(dst, Need::DefReuse(0));
            }
            Inst::Div {
                quotient,
                dst,
                a,
                b,
                ..
            } => {
                f(a, Need::UseFixed(Gpr::Rax));
                f(b, Need::UseLate);
                let result = if *quotient { Gpr::Rax } else { Gpr::Rdx };
                f(dst, Need::DefFixed(result));
            }
            Inst::Probe(_, _, dst, addr, one, two) => {
                addr.visit(f, Need::Use);
                f(one, Need::Temp);
                f(two, Need::Temp);
                f(dst, Need::Def);
            }
            Inst::Locked(_, _, dst, addr, src) => {
                f(src, Need::Use);
                addr.visit(f, Need::Use);
                if let Some(dst) = dst {
                    f(dst, Need::DefReuse(0));
                }
            }
            Inst::CmpXchg(_, dst, addr, src, expected) => {
                f(expected, Need::UseFixed(Gpr::Rax));
                f(src, Need::Use);
                addr.visit(f, Need::Use);
                f(dst, Need::DefFixed(Gpr::Rax));
            }
            Inst::FetchLoop(_, _, dst, addr, src, temp) => {
                f(src, Need::UseLate);
                addr.visit(f, Need::UseLate);
                f(temp, Need::Temp);
                f(dst, Need::DefFixed(Gpr::Rax));
            }
            Inst::Call(_, args, dst) => {
                for (arg, fixed) in args.iter_mut().zip(ARGS) {
                    if let Some(arg) = arg {
                        f(arg, Need::UseFixed(fixed));
                    }
                }
                if let Some(dst) = dst {
                    f(dst, Need::DefFixed(Gpr::Rax));
                }
            }
            Inst::Branch(compare, _) => compare.visit(f),
            Inst::Return(value) => f(value, Need::UseFixed(Gpr::Rax)),
            Inst::Charge(..) | Inst::Jump | Inst::Trap(_) => {}
        }
    }

    /// Registers that it leaves with other values, beside its results.
    pub fn clobbers(&self, local: impl Fn(u32) -> u16) -> u16 {
        const fn bit(gpr: Gpr) -> u16 {
            1 << gpr as u8
        }
        match self {
            Inst::MulHigh(..) => bit(Gpr::Rax),
            Inst::Div { quotient: true, .. } => bit(Gpr::Rdx),
            Inst::Div { .. } => bit(Gpr::Rax),
            Inst::Call(target, _, dst) => {
                let all = match target {
                    Target::Local(function) => local(*function),
                    _ => VOLATILE,
                };
                match dst {
                    Some(_) => all & !bit(Gpr::Rax),
                    None => all | bit(Gpr::Rax),
                }
            }
            _ => 0,
        }
    }
}

/// Registers that the C calling convention gives away.
pub const VOLATILE: u16 = {
    let mut set = 1 << Gpr::Rax as u8 | 1 << Gpr::R9 as u8 | 1 << Gpr::R10 as u8;
    set |= 1 << Gpr::R11 as u8;
    let mut at = 0;
    while at < ARGS.len() {
        set |= 1 << ARGS[at] as u8;
        at += 1;
    }
    set
};
