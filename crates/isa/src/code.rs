//! A sequence of instructions, addressed by slot as in the kernel.

use alloc::vec::Vec;

use crate::{CallTarget, DecodeError, DecodeErrorKind, Imm64, Instruction, Slot};

/// Decoded code. Index is the slot; the second slot of a 64-bit immediate load holds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    slots: Vec<Slot>,
    instructions: Vec<Option<Instruction>>,
}

impl Code {
    /// Decodes every slot.
    ///
    /// # Errors
    /// The first slot that is no instruction.
    pub fn decode(slots: &[Slot]) -> Result<Code, DecodeError> {
        let mut instructions = Vec::with_capacity(slots.len());
        while instructions.len() < slots.len() {
            let instruction = Instruction::decode(slots, instructions.len())?;
            instructions.push(Some(instruction));
            if instruction.slots() == 2 {
                instructions.push(None);
            }
        }
        Ok(Code {
            slots: slots.to_vec(),
            instructions,
        })
    }

    /// Decodes little-endian bytes, as they stand in an object's section.
    ///
    /// # Errors
    /// The first slot that is no instruction, or that is not whole.
    pub fn from_bytes(bytes: &[u8]) -> Result<Code, DecodeError> {
        let (slots, rest) = Slot::read_all(bytes);
        let code = Code::decode(&slots)?;
        if rest != 0 {
            let kind = DecodeErrorKind::PartialSlot(rest);
            return Err(DecodeError {
                slot: slots.len(),
                raw: Slot::default(),
                kind,
            });
        }
        Ok(code)
    }

    /// The code of these instructions.
    pub fn from_instructions(list: impl IntoIterator<Item = Instruction>) -> Code {
        let mut code = Code::default();
        for instruction in list {
            instruction.encode_to(&mut code.slots);
            code.instructions.push(Some(instruction));
            code.instructions.resize(code.slots.len(), None);
        }
        code
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The slots as they were decoded.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Instructions by slot; `None` at the second slot of a 64-bit immediate load.
    pub fn by_slot(&self) -> &[Option<Instruction>] {
        &self.instructions
    }

    /// The same, to keep.
    pub fn into_by_slot(self) -> Vec<Option<Instruction>> {
        self.instructions
    }

    /// The instruction that begins at this slot.
    pub fn get(&self, slot: usize) -> Option<&Instruction> {
        self.instructions.get(slot)?.as_ref()
    }

    /// Every instruction with its slot.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (usize, &Instruction)> {
        self.instructions
            .iter()
            .enumerate()
            .filter_map(|(slot, i)| Some((slot, i.as_ref()?)))
    }

    /// Slot of the instruction after the one at `slot`; may be one past the end.
    pub fn next(&self, slot: usize) -> usize {
        slot.saturating_add(self.get(slot).map_or(1, Instruction::slots))
    }

    /// The slot to which the instruction at `slot` jumps, if it does, and if an instruction begins
    /// there. Calls do not jump; see [`Code::callee`].
    pub fn target(&self, slot: usize) -> Option<usize> {
        self.resolve(slot, self.get(slot)?.jump_offset()?)
    }

    /// The slot of the subprogram that the instruction at `slot` calls, or whose address it takes,
    /// if an instruction begins there.
    pub fn callee(&self, slot: usize) -> Option<usize> {
        self.resolve(slot, self.get(slot)?.function_offset()?)
    }

    fn resolve(&self, slot: usize, offset: i32) -> Option<usize> {
        let target = target_of(slot, offset)?;
        self.get(target).map(|_| target)
    }

    /// The code as little-endian bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.slots.iter().flat_map(|slot| slot.to_bytes()).collect()
    }
}

/// The slot that is `offset` slots after the one that follows `slot`; `None` before the start.
fn target_of(slot: usize, offset: i32) -> Option<usize> {
    slot.checked_add(1)?.checked_add_signed(offset as isize)
}

impl Instruction {
    /// Of a jump, conditional or not: slots from the following slot to the target.
    pub const fn jump_offset(&self) -> Option<i32> {
        match *self {
            Instruction::Jump { offset, .. } => Some(offset),
            Instruction::Branch { offset, .. } | Instruction::MayGoto { offset } => {
                Some(offset as i32)
            }
            _ => None,
        }
    }

    /// Of a call of a subprogram, or of a load of its address: slots from the following slot
    /// (for the load, the second one of the load itself) to the subprogram.
    pub const fn function_offset(&self) -> Option<i32> {
        match *self {
            Instruction::Call(CallTarget::Local(offset)) => Some(offset),
            Instruction::LoadImm64 {
                imm: Imm64::Func(offset),
                ..
            } => Some(offset),
            _ => None,
        }
    }

    /// Whether control never reaches the instruction after it.
    pub const fn ends_block(&self) -> bool {
        matches!(self, Instruction::Jump { .. } | Instruction::Exit)
    }
}

impl Slot {
    /// Reads as many whole slots as there are; the second number is how many bytes are left over.
    pub fn read_all(bytes: &[u8]) -> (Vec<Slot>, usize) {
        let (chunks, rest) = bytes.as_chunks::<{ Slot::SIZE }>();
        (
            chunks
                .iter()
                .map(|chunk| Slot::from_bytes(*chunk))
                .collect(),
            rest.len(),
        )
    }
}
