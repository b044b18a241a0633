//! From slots to instructions. What RFC 9669 does not define is refused, with the field at fault.

use core::fmt;

use crate::{
    AluOp, AtomicOp, ByteOrder, CallTarget, Condition, Imm64, Instruction, Operand, PacketMode,
    Reg, Size, Slot, Width, opcode::*,
};

/// A field of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The opcode byte.
    Opcode,
    /// The destination register's nibble.
    Dst,
    /// The source register's nibble.
    Src,
    /// The offset.
    Offset,
    /// The immediate.
    Imm,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::Opcode => "opcode",
            Field::Dst => "destination register",
            Field::Src => "source register",
            Field::Offset => "offset",
            Field::Imm => "immediate",
        })
    }
}

/// A slot that is no instruction. The mistake is the program's (or its compiler's).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("slot {slot}: {kind}")]
pub struct DecodeError {
    /// Where: the slot that could not be decoded.
    pub slot: usize,
    /// The slot's contents; zero past the end.
    pub raw: Slot,
    /// What is wrong with it.
    pub kind: DecodeErrorKind,
}

/// What is wrong with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DecodeErrorKind {
    /// No instruction has this opcode.
    #[error("unknown opcode {0:#04x}")]
    UnknownOpcode(u8),
    /// A field that the instruction does not use is not zero.
    #[error("opcode {opcode:#04x} uses reserved field: {field} is {value}, must be 0")]
    ReservedField {
        /// The instruction's opcode.
        opcode: u8,
        /// The field.
        field: Field,
        /// What it holds.
        value: i32,
    },
    /// A field that selects a variant of the instruction has a value without meaning.
    #[error("opcode {opcode:#04x} has no variant with {field} {value:#x}")]
    UnknownVariant {
        /// The instruction's opcode.
        opcode: u8,
        /// The field.
        field: Field,
        /// What it holds.
        value: i32,
    },
    /// There are only `r0` to `r10`.
    #[error("{field} r{number} does not exist")]
    BadRegister {
        /// Which of the two.
        field: Field,
        /// 11 to 15.
        number: u8,
    },
    /// The program ends in the middle of a 64-bit immediate load.
    #[error("64-bit immediate load lacks its second slot")]
    TruncatedLoadImm64,
    /// The second slot of a 64-bit immediate load uses more than its immediate.
    #[error("second slot of 64-bit immediate load: {field} must be 0")]
    BadSecondSlot {
        /// The field at fault.
        field: Field,
    },
    /// The bytes do not fill whole slots.
    #[error("program ends within a slot: {0} bytes left over")]
    PartialSlot(usize),
}

type Result<T> = core::result::Result<T, DecodeErrorKind>;

impl Instruction {
    /// Decodes the instruction that begins at `slot`.
    ///
    /// # Errors
    /// Whatever is not exactly an instruction of RFC 9669 or of those that Linux 6.18 added
    /// (`may_goto`, load-acquire, store-release, address space casts), and a `slot` past the end.
    pub fn decode(slots: &[Slot], slot: usize) -> core::result::Result<Instruction, DecodeError> {
        let Some(&raw) = slots.get(slot) else {
            let kind = DecodeErrorKind::PartialSlot(0);
            return Err(DecodeError {
                slot,
                raw: Slot::default(),
                kind,
            });
        };
        let next = slot.checked_add(1).and_then(|n| slots.get(n));
        decode(raw, next.copied()).map_err(|kind| DecodeError { slot, raw, kind })
    }
}

fn decode(raw: Slot, next: Option<Slot>) -> Result<Instruction> {
    match raw.opcode & 0x07 {
        CLASS_LD => load_special(raw, next),
        CLASS_LDX => load(raw),
        CLASS_ST => store_imm(raw),
        CLASS_STX => store_reg(raw),
        CLASS_ALU => alu(raw, Width::W32),
        CLASS_ALU64 => alu(raw, Width::W64),
        CLASS_JMP => jump(raw),
        _ => jump32(raw),
    }
}

fn unknown<T>(raw: Slot) -> Result<T> {
    Err(DecodeErrorKind::UnknownOpcode(raw.opcode))
}

fn variant<T>(raw: Slot, field: Field, value: i32) -> Result<T> {
    Err(DecodeErrorKind::UnknownVariant {
        opcode: raw.opcode,
        field,
        value,
    })
}

/// Refuses the fields that the instruction does not use.
fn reserved(raw: Slot, fields: &[Field]) -> Result<()> {
    for &field in fields {
        let value = match field {
            Field::Opcode => 0,
            Field::Dst => i32::from(raw.dst()),
            Field::Src => i32::from(raw.src()),
            Field::Offset => i32::from(raw.offset),
            Field::Imm => raw.imm,
        };
        if value != 0 {
            return Err(DecodeErrorKind::ReservedField {
                opcode: raw.opcode,
                field,
                value,
            });
        }
    }
    Ok(())
}

fn dst(raw: Slot) -> Result<Reg> {
    let number = raw.dst();
    Reg::new(number).ok_or(DecodeErrorKind::BadRegister {
        field: Field::Dst,
        number,
    })
}

fn src(raw: Slot) -> Result<Reg> {
    let number = raw.src();
    Reg::new(number).ok_or(DecodeErrorKind::BadRegister {
        field: Field::Src,
        number,
    })
}

/// The second operand by the opcode's source bit; the other field must be zero.
fn operand(raw: Slot) -> Result<Operand> {
    if raw.opcode & SRC_X != 0 {
        reserved(raw, &[Field::Imm])?;
        Ok(Operand::Reg(src(raw)?))
    } else {
        reserved(raw, &[Field::Src])?;
        Ok(Operand::Imm(raw.imm))
    }
}

fn size(raw: Slot) -> Size {
    match raw.opcode & 0x18 {
        0x00 => Size::W,
        0x08 => Size::H,
        0x10 => Size::B,
        _ => Size::DW,
    }
}

fn alu(raw: Slot, width: Width) -> Result<Instruction> {
    let signed = |plain, signed| match raw.offset {
        0 => Ok(plain),
        OFFSET_SIGNED => Ok(signed),
        other => variant(raw, Field::Offset, i32::from(other)),
    };
    let op = match raw.opcode & 0xf0 {
        0x00 => AluOp::Add,
        0x10 => AluOp::Sub,
        0x20 => AluOp::Mul,
        0x30 => signed(AluOp::Div, AluOp::SDiv)?,
        0x40 => AluOp::Or,
        0x50 => AluOp::And,
        0x60 => AluOp::Lsh,
        0x70 => AluOp::Rsh,
        ALU_NEG => return neg(raw, width),
        0x90 => signed(AluOp::Mod, AluOp::SMod)?,
        0xa0 => AluOp::Xor,
        ALU_MOV => return mov(raw, width),
        0xc0 => AluOp::Arsh,
        ALU_END => return endian(raw, width),
        _ => return unknown(raw),
    };
    if !matches!(op, AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod) {
        reserved(raw, &[Field::Offset])?;
    }
    Ok(Instruction::Alu {
        width,
        op,
        dst: dst(raw)?,
        src: operand(raw)?,
    })
}

fn neg(raw: Slot, width: Width) -> Result<Instruction> {
    if raw.opcode & SRC_X != 0 {
        return unknown(raw);
    }
    reserved(raw, &[Field::Src, Field::Offset, Field::Imm])?;
    Ok(Instruction::Neg {
        width,
        dst: dst(raw)?,
    })
}

fn mov(raw: Slot, width: Width) -> Result<Instruction> {
    let dst = dst(raw)?;
    if raw.opcode & SRC_X == 0 {
        reserved(raw, &[Field::Offset])?;
        return Ok(Instruction::Alu {
            width,
            op: AluOp::Mov,
            dst,
            src: operand(raw)?,
        });
    }
    let from = match (raw.offset, width) {
        (0, _) => {
            return Ok(Instruction::Alu {
                width,
                op: AluOp::Mov,
                dst,
                src: operand(raw)?,
            });
        }
        (OFFSET_ADDR_SPACE_CAST, Width::W64) => {
            let (to, from) = ((raw.imm as u32 >> 16) as u16, raw.imm as u16);
            return Ok(Instruction::AddrSpaceCast {
                dst,
                src: src(raw)?,
                to,
                from,
            });
        }
        (8, _) => Size::B,
        (16, _) => Size::H,
        (32, Width::W64) => Size::W,
        (other, _) => return variant(raw, Field::Offset, i32::from(other)),
    };
    reserved(raw, &[Field::Imm])?;
    Ok(Instruction::MovSx {
        width,
        from,
        dst,
        src: src(raw)?,
    })
}

fn endian(raw: Slot, width: Width) -> Result<Instruction> {
    let order = match (width, raw.opcode & SRC_X != 0) {
        (Width::W32, false) => ByteOrder::Little,
        (Width::W32, true) => ByteOrder::Big,
        (Width::W64, false) => ByteOrder::Swap,
        (Width::W64, true) => return unknown(raw),
    };
    reserved(raw, &[Field::Src, Field::Offset])?;
    let size = match raw.imm {
        16 => Size::H,
        32 => Size::W,
        64 => Size::DW,
        other => return variant(raw, Field::Imm, other),
    };
    Ok(Instruction::Endian {
        order,
        size,
        dst: dst(raw)?,
    })
}

fn load(raw: Slot) -> Result<Instruction> {
    let (size, signed) = match (raw.opcode & 0xe0, size(raw)) {
        (MODE_MEM, size) => (size, false),
        (MODE_MEMSX, size @ (Size::B | Size::H | Size::W)) => (size, true),
        _ => return unknown(raw),
    };
    reserved(raw, &[Field::Imm])?;
    Ok(Instruction::Load {
        size,
        signed,
        dst: dst(raw)?,
        base: src(raw)?,
        offset: raw.offset,
    })
}

fn store_imm(raw: Slot) -> Result<Instruction> {
    if raw.opcode & 0xe0 != MODE_MEM {
        return unknown(raw);
    }
    reserved(raw, &[Field::Src])?;
    Ok(Instruction::Store {
        size: size(raw),
        base: dst(raw)?,
        offset: raw.offset,
        src: Operand::Imm(raw.imm),
    })
}

fn store_reg(raw: Slot) -> Result<Instruction> {
    let size = size(raw);
    match raw.opcode & 0xe0 {
        MODE_MEM => {
            reserved(raw, &[Field::Imm])?;
            let src = Operand::Reg(src(raw)?);
            Ok(Instruction::Store {
                size,
                base: dst(raw)?,
                offset: raw.offset,
                src,
            })
        }
        MODE_ATOMIC => atomic(raw, size),
        _ => unknown(raw),
    }
}

fn atomic(raw: Slot, size: Size) -> Result<Instruction> {
    let fetch = raw.imm & ATOMIC_FETCH != 0;
    let op = match raw.imm {
        ATOMIC_XCHG => AtomicOp::Xchg,
        ATOMIC_CMPXCHG => AtomicOp::CmpXchg,
        ATOMIC_LOAD_ACQ => AtomicOp::LoadAcquire,
        ATOMIC_STORE_REL => AtomicOp::StoreRelease,
        imm => match imm & !ATOMIC_FETCH {
            ATOMIC_ADD => AtomicOp::Add { fetch },
            ATOMIC_OR => AtomicOp::Or { fetch },
            ATOMIC_AND => AtomicOp::And { fetch },
            ATOMIC_XOR => AtomicOp::Xor { fetch },
            _ => return variant(raw, Field::Imm, imm),
        },
    };
    let any_size = matches!(op, AtomicOp::LoadAcquire | AtomicOp::StoreRelease);
    if !any_size && matches!(size, Size::B | Size::H) {
        return variant(raw, Field::Imm, raw.imm);
    }
    let (base, src) = match op {
        AtomicOp::LoadAcquire => (src(raw)?, dst(raw)?),
        _ => (dst(raw)?, src(raw)?),
    };
    Ok(Instruction::Atomic {
        op,
        size,
        base,
        offset: raw.offset,
        src,
    })
}

fn load_special(raw: Slot, next: Option<Slot>) -> Result<Instruction> {
    if raw.opcode == LD_IMM64 {
        return load_imm64(raw, next);
    }
    let size = size(raw);
    let mode = match raw.opcode & 0xe0 {
        MODE_ABS if size != Size::DW => {
            reserved(raw, &[Field::Src])?;
            PacketMode::Absolute
        }
        MODE_IND if size != Size::DW => PacketMode::Indirect(src(raw)?),
        _ => return unknown(raw),
    };
    reserved(raw, &[Field::Dst, Field::Offset])?;
    Ok(Instruction::PacketLoad {
        size,
        mode,
        imm: raw.imm,
    })
}

fn load_imm64(raw: Slot, next: Option<Slot>) -> Result<Instruction> {
    let next = next.ok_or(DecodeErrorKind::TruncatedLoadImm64)?;
    let bad = |field| Err(DecodeErrorKind::BadSecondSlot { field });
    if next.opcode != 0 {
        return bad(Field::Opcode);
    }
    if next.dst() != 0 {
        return bad(Field::Dst);
    }
    if next.src() != 0 {
        return bad(Field::Src);
    }
    if next.offset != 0 {
        return bad(Field::Offset);
    }
    reserved(raw, &[Field::Offset])?;
    let dst = dst(raw)?;
    let imm = match raw.src() {
        0 => Imm64::Value(u64::from(raw.imm as u32) | u64::from(next.imm as u32) << 32),
        PSEUDO_MAP_VALUE => Imm64::MapValue {
            fd: raw.imm,
            offset: next.imm as u32,
        },
        PSEUDO_BTF_ID => Imm64::BtfVar {
            id: raw.imm as u32,
            object: next.imm,
        },
        PSEUDO_MAP_IDX_VALUE => Imm64::MapIndexValue {
            index: raw.imm as u32,
            offset: next.imm as u32,
        },
        selector @ (PSEUDO_MAP_FD | PSEUDO_FUNC | PSEUDO_MAP_IDX) => {
            if next.imm != 0 {
                return bad(Field::Imm);
            }
            match selector {
                PSEUDO_MAP_FD => Imm64::MapFd(raw.imm),
                PSEUDO_FUNC => Imm64::Func(raw.imm),
                _ => Imm64::MapIndex(raw.imm as u32),
            }
        }
        other => return variant(raw, Field::Src, i32::from(other)),
    };
    Ok(Instruction::LoadImm64 { dst, imm })
}

fn jump(raw: Slot) -> Result<Instruction> {
    let by_reg = raw.opcode & SRC_X != 0;
    match (raw.opcode & 0xf0, by_reg) {
        (JMP_JA, false) => {
            reserved(raw, &[Field::Dst, Field::Src, Field::Imm])?;
            Ok(Instruction::Jump {
                offset: i32::from(raw.offset),
                long: false,
            })
        }
        (JMP_CALL, false) => call(raw),
        (JMP_CALL, true) => {
            reserved(raw, &[Field::Src, Field::Offset, Field::Imm])?;
            Ok(Instruction::Call(CallTarget::Reg(dst(raw)?)))
        }
        (JMP_EXIT, false) => {
            reserved(raw, &[Field::Dst, Field::Src, Field::Offset, Field::Imm])?;
            Ok(Instruction::Exit)
        }
        (JMP_JCOND, false) => {
            // The source selects the condition; 0 (`BPF_MAY_GOTO`) is the only one so far.
            if raw.src() != 0 {
                return variant(raw, Field::Src, i32::from(raw.src()));
            }
            reserved(raw, &[Field::Dst, Field::Imm])?;
            Ok(Instruction::MayGoto { offset: raw.offset })
        }
        _ => branch(raw, Width::W64),
    }
}

fn jump32(raw: Slot) -> Result<Instruction> {
    if raw.opcode & 0xf8 == JMP_JA {
        reserved(raw, &[Field::Dst, Field::Src, Field::Offset])?;
        return Ok(Instruction::Jump {
            offset: raw.imm,
            long: true,
        });
    }
    branch(raw, Width::W32)
}

fn branch(raw: Slot, width: Width) -> Result<Instruction> {
    let cond = match raw.opcode & 0xf0 {
        0x10 => Condition::Eq,
        0x20 => Condition::Gt,
        0x30 => Condition::Ge,
        0x40 => Condition::Set,
        0x50 => Condition::Ne,
        0x60 => Condition::SGt,
        0x70 => Condition::SGe,
        0xa0 => Condition::Lt,
        0xb0 => Condition::Le,
        0xc0 => Condition::SLt,
        0xd0 => Condition::SLe,
        _ => return unknown(raw),
    };
    Ok(Instruction::Branch {
        width,
        cond,
        dst: dst(raw)?,
        src: operand(raw)?,
        offset: raw.offset,
    })
}

fn call(raw: Slot) -> Result<Instruction> {
    reserved(raw, &[Field::Dst])?;
    let target = match raw.src() {
        CALL_HELPER => {
            reserved(raw, &[Field::Offset])?;
            CallTarget::Helper(raw.imm as u32)
        }
        CALL_LOCAL => {
            reserved(raw, &[Field::Offset])?;
            CallTarget::Local(raw.imm)
        }
        CALL_KFUNC => CallTarget::Kfunc {
            id: raw.imm,
            object: raw.offset,
        },
        other => return variant(raw, Field::Src, i32::from(other)),
    };
    Ok(Instruction::Call(target))
}
