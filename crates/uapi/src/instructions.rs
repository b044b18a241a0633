//! Groups of instructions, and since when Linux has them: the versions of the instruction set
//! (`-mcpu=v1` to `v4`), and what came one by one.

use panal_isa::{
    AluOp, AtomicOp, ByteOrder, CallTarget, Condition, Imm64, Instruction, Size, Width,
};

/// Instructions that a kernel has all of, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstructionGroup {
    /// What every kernel has.
    Base,
    /// Jumps on less, and on less or equal: version 2.
    V2,
    /// Jumps on 32 bits: version 3.
    V3,
    /// Sign extension, `bswap`, signed division, `gotol`: version 4.
    V4,
    /// Calls of functions of the program.
    Calls,
    /// Addresses of values of maps.
    MapValues,
    /// Addresses of kernel variables.
    KernelVariables,
    /// Atomic operations beyond the addition that returns nothing.
    Atomics,
    /// Calls of kernel functions.
    KernelFunctions,
    /// Addresses of functions of the program.
    Callbacks,
    /// Maps by their index among the descriptors of the load.
    MapIndexes,
    /// `may_goto`
    MayGoto,
    /// `addr_space_cast`
    AddressSpaces,
    /// Load-acquire and store-release.
    AcquireRelease,
}

/// A group as data.
struct Row {
    group: InstructionGroup,
    name: &'static str,
    what: &'static str,
    since: (u8, u8),
}

const fn row(
    group: InstructionGroup,
    name: &'static str,
    what: &'static str,
    since: (u8, u8),
) -> Row {
    Row {
        group,
        name,
        what,
        since,
    }
}

const ROWS: [Row; 14] = {
    use InstructionGroup as G;
    [
        row(
            G::Base,
            "base",
            "the instructions of the first kernels",
            (3, 18),
        ),
        row(G::V2, "v2", "jumps on less, and on less or equal", (4, 14)),
        row(G::V3, "v3", "jumps on 32 bits", (5, 1)),
        row(
            G::V4,
            "v4",
            "sign extension, bswap, signed division, gotol",
            (6, 6),
        ),
        row(
            G::Calls,
            "calls",
            "calls of the program's own functions",
            (4, 16),
        ),
        row(
            G::MapValues,
            "map_values",
            "addresses of values of maps",
            (5, 2),
        ),
        row(
            G::KernelVariables,
            "kernel_variables",
            "addresses of kernel variables",
            (5, 10),
        ),
        row(
            G::Atomics,
            "atomics",
            "atomic operations beyond addition",
            (5, 12),
        ),
        row(
            G::KernelFunctions,
            "kernel_functions",
            "calls of kernel functions",
            (5, 13),
        ),
        row(
            G::Callbacks,
            "callbacks",
            "addresses of the program's own functions",
            (5, 13),
        ),
        row(
            G::MapIndexes,
            "map_indexes",
            "maps by index into the load's descriptors",
            (5, 14),
        ),
        row(G::MayGoto, "may_goto", "may_goto", (6, 9)),
        row(
            G::AddressSpaces,
            "address_spaces",
            "addr_space_cast",
            (6, 9),
        ),
        row(
            G::AcquireRelease,
            "acquire_release",
            "load-acquire and store-release",
            (6, 15),
        ),
    ]
};

impl InstructionGroup {
    /// Every group.
    pub fn all() -> impl Iterator<Item = InstructionGroup> {
        ROWS.iter().map(|row| row.group)
    }

    fn row(self) -> &'static Row {
        ROWS.iter()
            .find(|row| row.group == self)
            .unwrap_or(&ROWS[0])
    }

    /// A name for machines.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The group of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        ROWS.iter()
            .find(|row| row.name == name)
            .map(|row| row.group)
    }

    /// What it is, for people.
    pub fn what(self) -> &'static str {
        self.row().what
    }

    /// The first version of Linux that has it.
    pub fn since(self) -> (u8, u8) {
        self.row().since
    }

    /// The group that an instruction belongs to.
    pub fn of(instruction: &Instruction) -> InstructionGroup {
        use InstructionGroup as G;
        match *instruction {
            Instruction::MovSx { .. }
            | Instruction::Load { signed: true, .. }
            | Instruction::Jump { long: true, .. } => G::V4,
            Instruction::Endian {
                order: ByteOrder::Swap,
                ..
            } => G::V4,
            Instruction::Alu {
                op: AluOp::SDiv | AluOp::SMod,
                ..
            } => G::V4,
            Instruction::Branch {
                width: Width::W32, ..
            } => G::V3,
            Instruction::Branch {
                cond: Condition::Lt | Condition::Le | Condition::SLt | Condition::SLe,
                ..
            } => G::V2,
            Instruction::Atomic { op, size, .. } => match op {
                AtomicOp::Add { fetch: false } if size != Size::B && size != Size::H => G::Base,
                AtomicOp::LoadAcquire | AtomicOp::StoreRelease => G::AcquireRelease,
                _ => G::Atomics,
            },
            Instruction::Call(CallTarget::Local(_)) => G::Calls,
            Instruction::Call(CallTarget::Kfunc { .. }) => G::KernelFunctions,
            Instruction::LoadImm64 { imm, .. } => match imm {
                Imm64::Value(_) | Imm64::MapFd(_) => G::Base,
                Imm64::MapValue { .. } => G::MapValues,
                Imm64::BtfVar { .. } => G::KernelVariables,
                Imm64::Func(_) => G::Callbacks,
                Imm64::MapIndex(_) | Imm64::MapIndexValue { .. } => G::MapIndexes,
            },
            Instruction::MayGoto { .. } => G::MayGoto,
            Instruction::AddrSpaceCast { .. } => G::AddressSpaces,
            _ => G::Base,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_a_row_and_a_name_of_its_own() {
        for group in InstructionGroup::all() {
            assert_eq!(InstructionGroup::from_name(group.name()), Some(group));
            assert_eq!(group.row().group, group);
        }
    }
}
