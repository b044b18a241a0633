//! From instructions to slots: the inverse of decoding.

use alloc::vec::Vec;

use crate::{
    AluOp, AtomicOp, ByteOrder, CallTarget, Condition, Imm64, Instruction, Operand, PacketMode,
    Reg, Size, Slot, Width, opcode::*,
};

impl Instruction {
    /// The first slot, and the second for [`Instruction::LoadImm64`].
    ///
    /// For every instruction that decoding gives, this is what it was decoded from. Variants that
    /// no encoding has (such as a sign-extending `DW` load) give slots that decoding refuses.
    pub fn encode(&self) -> (Slot, Option<Slot>) {
        if let Instruction::LoadImm64 { dst, imm } = *self {
            let (src, low, high) = imm64(imm);
            let second = Slot {
                imm: high,
                ..Slot::default()
            };
            return (slot(LD_IMM64, dst, src, 0, low), Some(second));
        }
        (single(self), None)
    }

    /// Appends the slots to `code`.
    pub fn encode_to(&self, code: &mut Vec<Slot>) {
        let (first, second) = self.encode();
        code.push(first);
        code.extend(second);
    }
}

const fn slot(opcode: u8, dst: Reg, src: u8, offset: i16, imm: i32) -> Slot {
    Slot {
        opcode,
        registers: dst.number() | src << 4,
        offset,
        imm,
    }
}

fn single(instruction: &Instruction) -> Slot {
    match *instruction {
        Instruction::Alu {
            width,
            op,
            dst,
            src,
        } => {
            let (code, offset) = alu_op(op);
            with_operand(alu_class(width) | code, dst, src, offset)
        }
        Instruction::Neg { width, dst } => slot(alu_class(width) | ALU_NEG, dst, 0, 0, 0),
        Instruction::MovSx {
            width,
            from,
            dst,
            src,
        } => {
            let bits = from.bytes() as i16 * 8;
            slot(
                alu_class(width) | ALU_MOV | SRC_X,
                dst,
                src.number(),
                bits,
                0,
            )
        }
        Instruction::AddrSpaceCast { dst, src, to, from } => {
            let imm = (u32::from(to) << 16 | u32::from(from)) as i32;
            let opcode = CLASS_ALU64 | ALU_MOV | SRC_X;
            slot(opcode, dst, src.number(), OFFSET_ADDR_SPACE_CAST, imm)
        }
        Instruction::Endian { order, size, dst } => {
            let opcode = ALU_END
                | match order {
                    ByteOrder::Little => CLASS_ALU,
                    ByteOrder::Big => CLASS_ALU | SRC_X,
                    ByteOrder::Swap => CLASS_ALU64,
                };
            slot(opcode, dst, 0, 0, size.bytes() as i32 * 8)
        }
        Instruction::LoadImm64 { dst, imm } => {
            let (src, low, _) = imm64(imm);
            slot(LD_IMM64, dst, src, 0, low)
        }
        Instruction::Load {
            size,
            signed,
            dst,
            base,
            offset,
        } => {
            let mode = if signed { MODE_MEMSX } else { MODE_MEM };
            slot(
                CLASS_LDX | mode | size_bits(size),
                dst,
                base.number(),
                offset,
                0,
            )
        }
        Instruction::Store {
            size,
            base,
            offset,
            src,
        } => match src {
            Operand::Reg(src) => slot(
                CLASS_STX | MODE_MEM | size_bits(size),
                base,
                src.number(),
                offset,
                0,
            ),
            Operand::Imm(imm) => slot(CLASS_ST | MODE_MEM | size_bits(size), base, 0, offset, imm),
        },
        Instruction::Atomic {
            op,
            size,
            base,
            offset,
            src,
        } => {
            let opcode = CLASS_STX | MODE_ATOMIC | size_bits(size);
            let (dst, src) = match op {
                AtomicOp::LoadAcquire => (src, base),
                _ => (base, src),
            };
            slot(opcode, dst, src.number(), offset, atomic_imm(op))
        }
        Instruction::PacketLoad { size, mode, imm } => {
            let (mode, src) = match mode {
                PacketMode::Absolute => (MODE_ABS, 0),
                PacketMode::Indirect(reg) => (MODE_IND, reg.number()),
            };
            slot(CLASS_LD | mode | size_bits(size), Reg::R0, src, 0, imm)
        }
        Instruction::Jump {
            offset,
            long: false,
        } => slot(CLASS_JMP | JMP_JA, Reg::R0, 0, offset as i16, 0),
        Instruction::Jump { offset, long: true } => {
            slot(CLASS_JMP32 | JMP_JA, Reg::R0, 0, 0, offset)
        }
        Instruction::Branch {
            width,
            cond,
            dst,
            src,
            offset,
        } => {
            let class = match width {
                Width::W32 => CLASS_JMP32,
                Width::W64 => CLASS_JMP,
            };
            with_operand(class | condition(cond), dst, src, offset)
        }
        Instruction::MayGoto { offset } => slot(CLASS_JMP | JMP_JCOND, Reg::R0, 0, offset, 0),
        Instruction::Call(target) => call(target),
        Instruction::Exit => slot(CLASS_JMP | JMP_EXIT, Reg::R0, 0, 0, 0),
    }
}

fn with_operand(opcode: u8, dst: Reg, src: Operand, offset: i16) -> Slot {
    match src {
        Operand::Reg(src) => slot(opcode | SRC_X, dst, src.number(), offset, 0),
        Operand::Imm(imm) => slot(opcode, dst, 0, offset, imm),
    }
}

fn call(target: CallTarget) -> Slot {
    let opcode = CLASS_JMP | JMP_CALL;
    match target {
        CallTarget::Helper(id) => slot(opcode, Reg::R0, CALL_HELPER, 0, id as i32),
        CallTarget::Local(offset) => slot(opcode, Reg::R0, CALL_LOCAL, 0, offset),
        CallTarget::Kfunc { id, object } => slot(opcode, Reg::R0, CALL_KFUNC, object, id),
        CallTarget::Reg(reg) => slot(opcode | SRC_X, reg, 0, 0, 0),
    }
}

const fn alu_class(width: Width) -> u8 {
    match width {
        Width::W32 => CLASS_ALU,
        Width::W64 => CLASS_ALU64,
    }
}

const fn alu_op(op: AluOp) -> (u8, i16) {
    match op {
        AluOp::Add => (0x00, 0),
        AluOp::Sub => (0x10, 0),
        AluOp::Mul => (0x20, 0),
        AluOp::Div => (0x30, 0),
        AluOp::SDiv => (0x30, OFFSET_SIGNED),
        AluOp::Or => (0x40, 0),
        AluOp::And => (0x50, 0),
        AluOp::Lsh => (0x60, 0),
        AluOp::Rsh => (0x70, 0),
        AluOp::Mod => (0x90, 0),
        AluOp::SMod => (0x90, OFFSET_SIGNED),
        AluOp::Xor => (0xa0, 0),
        AluOp::Mov => (ALU_MOV, 0),
        AluOp::Arsh => (0xc0, 0),
    }
}

const fn condition(cond: Condition) -> u8 {
    match cond {
        Condition::Eq => 0x10,
        Condition::Gt => 0x20,
        Condition::Ge => 0x30,
        Condition::Set => 0x40,
        Condition::Ne => 0x50,
        Condition::SGt => 0x60,
        Condition::SGe => 0x70,
        Condition::Lt => 0xa0,
        Condition::Le => 0xb0,
        Condition::SLt => 0xc0,
        Condition::SLe => 0xd0,
    }
}

const fn size_bits(size: Size) -> u8 {
    match size {
        Size::W => 0x00,
        Size::H => 0x08,
        Size::B => 0x10,
        Size::DW => 0x18,
    }
}

const fn atomic_imm(op: AtomicOp) -> i32 {
    let (imm, fetch) = match op {
        AtomicOp::Add { fetch } => (ATOMIC_ADD, fetch),
        AtomicOp::Or { fetch } => (ATOMIC_OR, fetch),
        AtomicOp::And { fetch } => (ATOMIC_AND, fetch),
        AtomicOp::Xor { fetch } => (ATOMIC_XOR, fetch),
        AtomicOp::Xchg => (ATOMIC_XCHG, false),
        AtomicOp::CmpXchg => (ATOMIC_CMPXCHG, false),
        AtomicOp::LoadAcquire => (ATOMIC_LOAD_ACQ, false),
        AtomicOp::StoreRelease => (ATOMIC_STORE_REL, false),
    };
    if fetch { imm | ATOMIC_FETCH } else { imm }
}

/// Selector, low and high immediate.
const fn imm64(imm: Imm64) -> (u8, i32, i32) {
    match imm {
        Imm64::Value(value) => (0, value as i32, (value >> 32) as i32),
        Imm64::MapFd(fd) => (PSEUDO_MAP_FD, fd, 0),
        Imm64::MapValue { fd, offset } => (PSEUDO_MAP_VALUE, fd, offset as i32),
        Imm64::BtfVar { id, object } => (PSEUDO_BTF_ID, id as i32, object),
        Imm64::Func(offset) => (PSEUDO_FUNC, offset, 0),
        Imm64::MapIndex(index) => (PSEUDO_MAP_IDX, index as i32, 0),
        Imm64::MapIndexValue { index, offset } => {
            (PSEUDO_MAP_IDX_VALUE, index as i32, offset as i32)
        }
    }
}
