//! The lowered form: one fixed-size operation for each thing that the interpreter can do.
//!
//! `64`/`32` is the width, `K` an immediate as second operand, `X` a register. An operation's
//! fields mean: `dst` and `src` registers (masked to the register file), `off` bytes added to an
//! address or operations to jump from the next one, `imm` the immediate, already extended.

use panal_isa::{AluOp, Condition, Width};

use crate::RunWord;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[rustfmt::skip]
#[allow(missing_docs)] // the names say it; the module says what the suffixes mean
pub(crate) enum Code {
    Add64K, Add64X, Add32K, Add32X,
    Sub64K, Sub64X, Sub32K, Sub32X,
    Mul64K, Mul64X, Mul32K, Mul32X,
    Div64K, Div64X, Div32K, Div32X,
    SDiv64K, SDiv64X, SDiv32K, SDiv32X,
    Mod64K, Mod64X, Mod32K, Mod32X,
    SMod64K, SMod64X, SMod32K, SMod32X,
    Or64K, Or64X, Or32K, Or32X,
    And64K, And64X, And32K, And32X,
    Xor64K, Xor64X, Xor32K, Xor32X,
    Lsh64K, Lsh64X, Lsh32K, Lsh32X,
    Rsh64K, Rsh64X, Rsh32K, Rsh32X,
    Arsh64K, Arsh64X, Arsh32K, Arsh32X,
    Mov64K, Mov64X, Mov32K, Mov32X,
    Neg64, Neg32,
    // Sign extension: from, to.
    Sx8To64, Sx16To64, Sx32To64, Sx8To32, Sx16To32,
    // Truncation, byte swaps.
    Zext16, Zext32, Swap16, Swap32, Swap64,
    JEq64K, JEq64X, JEq32K, JEq32X,
    JNe64K, JNe64X, JNe32K, JNe32X,
    JSet64K, JSet64X, JSet32K, JSet32X,
    JGt64K, JGt64X, JGt32K, JGt32X,
    JGe64K, JGe64X, JGe32K, JGe32X,
    JLt64K, JLt64X, JLt32K, JLt32X,
    JLe64K, JLe64X, JLe32K, JLe32X,
    JSGt64K, JSGt64X, JSGt32K, JSGt32X,
    JSGe64K, JSGe64X, JSGe32K, JSGe32X,
    JSLt64K, JSLt64X, JSLt32K, JSLt32X,
    JSLe64K, JSLe64X, JSLe32K, JSLe32X,
    Jump,
    /// `may_goto`: jumps when the frame's count is used up.
    MayGoto,
    // Loads: unsigned, signed.
    Ld8, Ld16, Ld32, Ld64, LdS8, LdS16, LdS32,
    // Loads that give 0 where nothing may be read.
    Probe8, Probe16, Probe32, Probe64, ProbeS8, ProbeS16, ProbeS32,
    // Loads from this frame at `off` from its pointer, in range as the lowering saw.
    LdFrame8, LdFrame16, LdFrame32, LdFrame64, LdFrameS8, LdFrameS16, LdFrameS32,
    // Stores.
    St8K, St16K, St32K, St64K, St8X, St16X, St32X, St64X,
    StFrame8K, StFrame16K, StFrame32K, StFrame64K, StFrame8X, StFrame16X, StFrame32X, StFrame64X,
    // Atomics; `dst` is the base, `src` the operand, `imm` an [`Atomic`].
    Atomic32, Atomic64,
    // Acquire loads: `dst` is the destination, `src` the base.
    LdAcq8, LdAcq16, LdAcq32, LdAcq64,
    StRel8, StRel16, StRel32, StRel64,
    /// `dst = f(src + off)`: a field of the context that is computed; `imm` is the function.
    Computed,
    /// `f(dst + off, src)`: likewise, written.
    ComputedStore,
    /// `r0 = packet[...]` or leave: `imm` is the function, `off` the fixed part, `src` the
    /// register added to it (or [`NO_REGISTER`]).
    PacketLoad,
    /// `dst = f(src, dst, off)`: where an arena's access is made; `imm` is the function.
    ArenaPlace,
    /// Arena pointer to program form: the low half.
    CastKernel,
    /// Arena pointer to user form: `imm` is the upper half, unless the low half is zero.
    CastUser,
    /// Calls the helper at `imm`, which has `src` arguments; `off` is 1 for one that calls functions of
    /// the program.
    Helper,
    /// `r0 = &values[*(u32 *)r2]`, or 0: `imm` is the index of the array.
    ArrayLookup,
    /// `dst` = what the run knows of its surroundings: `imm` is a [`RunWord`].
    OfRun,
    /// Calls a subprogram at `off`; `imm` has the caller's frame size, and the callee's above 32.
    Local,
    TailCall,
    Exit,
    /// What no path reaches.
    Trap,
}

/// Which atomic operation; the old value is fetched where the name says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Atomic {
    Add,
    Or,
    And,
    Xor,
    FetchAdd,
    FetchOr,
    FetchAnd,
    FetchXor,
    Xchg,
    CmpXchg,
}

impl Atomic {
    pub const ALL: [Atomic; 10] = [
        Atomic::Add,
        Atomic::Or,
        Atomic::And,
        Atomic::Xor,
        Atomic::FetchAdd,
        Atomic::FetchOr,
        Atomic::FetchAnd,
        Atomic::FetchXor,
        Atomic::Xchg,
        Atomic::CmpXchg,
    ];
}

/// `src` of a packet load without a register.
pub(crate) const NO_REGISTER: u8 = 12;
/// A register that programs do not have; the lowering uses it between two operations of one
/// instruction.
pub(crate) const SCRATCH: u8 = 11;
/// The register file's size: a power of two, so that masking keeps any number inside.
pub(crate) const FILE: usize = 16;

/// Which memory an access is to, where the proof says: kinds that never overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Tag {
    /// Any.
    #[default]
    None,
    /// Frames of this or a calling function.
    Stack,
    /// The context.
    Context,
    /// Bytes of a packet.
    Packet,
    /// Values of maps, arenas: other threads and user space use them meanwhile.
    Shared,
}

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Op {
    pub code: Code,
    pub dst: u8,
    pub src: u8,
    /// What memory it accesses.
    pub tag: Tag,
    pub off: i32,
    pub imm: u64,
}

impl Op {
    pub const fn new(code: Code) -> Op {
        Op {
            code,
            dst: 0,
            src: 0,
            tag: Tag::None,
            off: 0,
            imm: 0,
        }
    }
}

/// How most operations use their registers: [`plainly`].
pub(crate) const READS_DST: u8 = 1;
pub(crate) const READS_SRC: u8 = 2;
pub(crate) const WRITES_DST: u8 = 4;
/// Not only so.
pub(crate) const OTHERWISE: u8 = 8;
/// Something else may follow than the next operation, or it calls something.
pub(crate) const FLOW: u8 = 16;
/// It does nothing but give `dst` another value.
pub(crate) const PURE: u8 = 32;

/// How an operation uses its registers. A table, because what comes next in a program is nothing that
/// a machine could foresee, and passes ask this of every operation.
#[inline]
pub(crate) fn plainly(code: Code) -> u8 {
    static PLAINLY: [u8; 256] = {
        let mut table = [0; 256];
        let mut code = 0;
        while code < table.len() {
            table[code] = plain(code as u8);
            if is_pure(code as u8) {
                table[code] |= PURE;
            }
            code += 1;
        }
        table
    };
    PLAINLY[code as usize]
}

/// Whether the operation of a code does nothing but give its register another value.
pub(crate) const fn is_pure(code: u8) -> bool {
    code <= Code::Swap64 as u8
        || (code >= Code::Ld8 as u8 && code <= Code::LdFrameS32 as u8)
        || code == Code::CastKernel as u8
        || code == Code::CastUser as u8
}

const fn plain(code: u8) -> u8 {
    use Code::*;
    // Forms in the order 64K, 64X, 32K, 32X.
    const fn within(code: u8, from: Code, to: Code) -> bool {
        code >= from as u8 && code <= to as u8
    }
    const fn second(code: u8, from: Code) -> u8 {
        if (code - from as u8) % 2 == 1 {
            READS_SRC
        } else {
            0
        }
    }
    if code < Mov64K as u8 {
        READS_DST | WRITES_DST | second(code, Add64K)
    } else if within(code, Mov64K, Mov32X) {
        WRITES_DST | second(code, Mov64K)
    } else if within(code, Neg64, Neg32) || within(code, Zext16, Swap64) {
        READS_DST | WRITES_DST
    } else if within(code, Sx8To64, Sx16To32) || within(code, Ld8, ProbeS32) {
        READS_SRC | WRITES_DST
    } else if within(code, JEq64K, JSLe32X) {
        READS_DST | second(code, JEq64K) | FLOW
    } else if within(code, Jump, MayGoto)
        || within(code, Computed, ArenaPlace)
        || within(code, Helper, Helper)
        || within(code, Local, Trap)
    {
        OTHERWISE | FLOW
    } else if within(code, LdFrame8, LdFrameS32) {
        WRITES_DST
    } else if within(code, St8K, St64K) {
        READS_DST
    } else if within(code, St8X, St64X) || within(code, StRel8, StRel64) {
        READS_DST | READS_SRC
    } else if within(code, StFrame8K, StFrame64K) {
        0
    } else if within(code, StFrame8X, StFrame64X) {
        READS_SRC
    } else {
        OTHERWISE
    }
}

impl Op {
    /// What an [`Code::OfRun`] loads.
    pub fn of_run(&self) -> RunWord {
        RunWord::ALL[self.imm as usize % RunWord::ALL.len()]
    }

    /// The register that it writes, beside those that a call gives away ([`Code::is_call`]).
    pub fn written(&self) -> Option<u8> {
        use Code::*;
        let plain = plainly(self.code);
        if plain & OTHERWISE == 0 {
            return (plain & WRITES_DST != 0).then_some(self.dst);
        }
        match self.code {
            LdAcq8 | LdAcq16 | LdAcq32 | LdAcq64 | Computed | ArenaPlace | CastKernel
            | CastUser | OfRun => Some(self.dst),
            Atomic32 | Atomic64 => match Atomic::ALL[self.imm as usize % Atomic::ALL.len()] {
                Atomic::Add | Atomic::Or | Atomic::And | Atomic::Xor => None,
                Atomic::CmpXchg => Some(0),
                _ => Some(self.src),
            },
            PacketLoad | Helper | ArrayLookup | Local | TailCall => Some(0),
            _ => None,
        }
    }
}

impl Code {
    /// Whether `r0` to `r5` hold other values afterwards.
    pub fn is_call(self) -> bool {
        matches!(
            self,
            Code::Helper | Code::PacketLoad | Code::Local | Code::TailCall
        )
    }

    /// Whether it compares two numbers, and jumps if that holds.
    pub fn is_branch(self) -> bool {
        (Code::JEq64K..=Code::JSLe32X).contains(&self)
    }

    /// Whether it may jump.
    pub fn jumps(self) -> bool {
        self.is_branch() || matches!(self, Code::Jump | Code::MayGoto)
    }

    /// Whether nothing follows in order.
    pub fn ends(self) -> bool {
        matches!(self, Code::Jump | Code::Exit | Code::Trap)
    }
}

/// Picks among the four forms of an operation.
const fn form(forms: [Code; 4], width: Width, imm: bool) -> Code {
    forms[matches!(width, Width::W32) as usize * 2 + !imm as usize]
}

/// The operation of an arithmetic instruction.
#[rustfmt::skip]
pub(crate) const fn alu(op: AluOp, width: Width, imm: bool) -> Code {
    use Code::*;
    let forms = match op {
        AluOp::Add => [Add64K, Add64X, Add32K, Add32X],
        AluOp::Sub => [Sub64K, Sub64X, Sub32K, Sub32X],
        AluOp::Mul => [Mul64K, Mul64X, Mul32K, Mul32X],
        AluOp::Div => [Div64K, Div64X, Div32K, Div32X],
        AluOp::SDiv => [SDiv64K, SDiv64X, SDiv32K, SDiv32X],
        AluOp::Mod => [Mod64K, Mod64X, Mod32K, Mod32X],
        AluOp::SMod => [SMod64K, SMod64X, SMod32K, SMod32X],
        AluOp::Or => [Or64K, Or64X, Or32K, Or32X],
        AluOp::And => [And64K, And64X, And32K, And32X],
        AluOp::Xor => [Xor64K, Xor64X, Xor32K, Xor32X],
        AluOp::Lsh => [Lsh64K, Lsh64X, Lsh32K, Lsh32X],
        AluOp::Rsh => [Rsh64K, Rsh64X, Rsh32K, Rsh32X],
        AluOp::Arsh => [Arsh64K, Arsh64X, Arsh32K, Arsh32X],
        AluOp::Mov => [Mov64K, Mov64X, Mov32K, Mov32X],
    };
    form(forms, width, imm)
}

/// The operation of a conditional jump.
#[rustfmt::skip]
pub(crate) const fn branch(cond: Condition, width: Width, imm: bool) -> Code {
    use Code::*;
    let forms = match cond {
        Condition::Eq => [JEq64K, JEq64X, JEq32K, JEq32X],
        Condition::Ne => [JNe64K, JNe64X, JNe32K, JNe32X],
        Condition::Set => [JSet64K, JSet64X, JSet32K, JSet32X],
        Condition::Gt => [JGt64K, JGt64X, JGt32K, JGt32X],
        Condition::Ge => [JGe64K, JGe64X, JGe32K, JGe32X],
        Condition::Lt => [JLt64K, JLt64X, JLt32K, JLt32X],
        Condition::Le => [JLe64K, JLe64X, JLe32K, JLe32X],
        Condition::SGt => [JSGt64K, JSGt64X, JSGt32K, JSGt32X],
        Condition::SGe => [JSGe64K, JSGe64X, JSGe32K, JSGe32X],
        Condition::SLt => [JSLt64K, JSLt64X, JSLt32K, JSLt32X],
        Condition::SLe => [JSLe64K, JSLe64X, JSLe32K, JSLe32X],
    };
    form(forms, width, imm)
}
