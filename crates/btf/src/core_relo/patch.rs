//! Writes a relocated value into its instruction.

use panal_isa::Slot;

use super::{CoreKind, Resolution};

/// The helper that poisoned instructions call: none has this number, so a verifier rejects a
/// program that can reach one, and never looks at one that is dead. libbpf's number, which tools
/// look for in the log.
pub const POISON_HELPER: i32 = 0x0bad_2310;

/// What was done to an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patched {
    /// It has the new value.
    Value,
    /// It became a call of [`POISON_HELPER`].
    Poisoned,
}

/// Why a value cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The instruction is not one that holds a relocatable value.
    #[error("instruction {index} (opcode {opcode:#04x}) cannot hold a relocated value")]
    Form {
        /// Slot of the instruction.
        index: usize,
        /// Its opcode.
        opcode: u8,
    },
    /// There is no such slot.
    #[error("there is no instruction {index}")]
    NoSuchSlot {
        /// Slot of the instruction.
        index: usize,
    },
    /// The instruction does not hold what the compiler is said to have put there.
    #[error("instruction {index} holds {found} instead of {expected}, which was to become {new}")]
    Unexpected {
        /// Slot of the instruction.
        index: usize,
        /// The value found.
        found: u64,
        /// The value recorded by the compiler.
        expected: u64,
        /// The value to be written.
        new: u64,
    },
    /// The offset of a load or store has 16 bits.
    #[error("instruction {index}: offset {value} does not fit 15 bits")]
    Offset {
        /// Slot of the instruction.
        index: usize,
        /// The new offset.
        value: u64,
    },
    /// A load's size is not that of the field.
    #[error("instruction {index} accesses {found} bytes of a field of {expected}")]
    Size {
        /// Slot of the instruction.
        index: usize,
        /// Bytes that it accesses.
        found: u32,
        /// Bytes that the field has in the object's types.
        expected: u32,
    },
    /// No load is of the new size.
    #[error("instruction {index}: no access is of {size} bytes")]
    NewSize {
        /// Slot of the instruction.
        index: usize,
        /// Bytes that the field has in the target.
        size: u32,
    },
}

// Instruction classes and fields (RFC 9669 section 3).
const LD: u8 = 0;
const LDX: u8 = 1;
const ST: u8 = 2;
const STX: u8 = 3;
const ALU: u8 = 4;
const ALU64: u8 = 7;
const CLASS: u8 = 0x07;
const SOURCE_REGISTER: u8 = 0x08;
const SIZE: u8 = 0x18;
const LOAD_IMM64: u8 = 0x18;
const CALL: u8 = 0x85;

impl Resolution {
    /// Writes the new value into the instruction at slot `index` of a program, or poisons it.
    pub fn patch(&self, program: &mut [Slot], index: usize) -> Result<Patched, PatchError> {
        let slot = *program.get(index).ok_or(PatchError::NoSuchSlot { index })?;
        let Some(new) = self.value else {
            poison(program, index);
            return Ok(Patched::Poisoned);
        };
        let form = PatchError::Form {
            index,
            opcode: slot.opcode,
        };
        match slot.opcode & CLASS {
            ALU | ALU64 => {
                if slot.opcode & SOURCE_REGISTER != 0 {
                    return Err(form);
                }
                self.expect(
                    index,
                    slot.imm as u32 as u64,
                    self.original as u32 as u64,
                    new,
                )?;
                program[index].imm = new as i32;
            }
            LDX | ST | STX => {
                self.expect(index, slot.offset as u16 as u64, self.original, new)?;
                let offset = i16::try_from(new);
                let offset = offset.map_err(|_| PatchError::Offset { index, value: new })?;
                if let Some(resize) = self.resize {
                    if !resize.safe {
                        poison(program, index);
                        return Ok(Patched::Poisoned);
                    }
                    let found = access_size(slot.opcode);
                    if found != resize.from {
                        let expected = resize.from;
                        return Err(PatchError::Size {
                            index,
                            found,
                            expected,
                        });
                    }
                    let size = size_bits(resize.to);
                    let size = size.ok_or(PatchError::NewSize {
                        index,
                        size: resize.to,
                    })?;
                    program[index].opcode = slot.opcode & !SIZE | size;
                }
                program[index].offset = offset;
            }
            LD => {
                let second = program.get(index + 1).copied().unwrap_or_default();
                let plain = slot.opcode == LOAD_IMM64
                    && slot.src() == 0
                    && slot.offset == 0
                    && index + 1 < program.len()
                    && Slot { imm: 0, ..second } == Slot::default();
                if !plain {
                    return Err(form);
                }
                let found = u64::from(second.imm as u32) << 32 | u64::from(slot.imm as u32);
                let mut expected = self.original;
                // Compilers extend an enumerator of 32 bits by its sign, or by zeros.
                if self.kind == CoreKind::EnumvalValue && found as u32 == expected as u32 {
                    let extended = found as i32 as i64 as u64;
                    if found == extended || found == u64::from(found as u32) {
                        expected = found;
                    }
                }
                self.expect(index, found, expected, new)?;
                program[index].imm = new as i32;
                program[index + 1].imm = (new >> 32) as i32;
            }
            _ => return Err(form),
        }
        Ok(Patched::Value)
    }

    fn expect(&self, index: usize, found: u64, expected: u64, new: u64) -> Result<(), PatchError> {
        if self.validate && found != expected {
            return Err(PatchError::Unexpected {
                index,
                found,
                expected,
                new,
            });
        }
        Ok(())
    }
}

/// Makes an instruction a call that no verifier lets pass; both slots of a 64-bit load.
fn poison(program: &mut [Slot], index: usize) {
    let call = Slot {
        opcode: CALL,
        registers: 0,
        offset: 0,
        imm: POISON_HELPER,
    };
    let wide = program[index].opcode == LOAD_IMM64;
    program[index] = call;
    if wide && let Some(second) = program.get_mut(index + 1) {
        *second = call;
    }
}

fn access_size(opcode: u8) -> u32 {
    match opcode & SIZE {
        0x00 => 4,
        0x08 => 2,
        0x10 => 1,
        _ => 8,
    }
}

fn size_bits(size: u32) -> Option<u8> {
    match size {
        4 => Some(0x00),
        2 => Some(0x08),
        1 => Some(0x10),
        8 => Some(0x18),
        _ => None,
    }
}
