//! What templates need to know of a program before they write it: its functions, and where jumps
//! lead.

use alloc::{vec, vec::Vec};

use crate::{
    Executable,
    executable::Function,
    op::{Code, Op},
};

/// Why a run is stopped by its own code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopKind {
    Stack,
    Unreachable,
}

/// A function of the program, as the templates see it.
#[derive(Clone, Debug)]
pub struct FunctionPlan {
    pub frame: i32,
    /// Registers of the program that it writes, a bit for each.
    written: u16,
    /// Whether it calls anything that may look at the frame's lower end.
    pub calls: bool,
    pub may_goto: bool,
    /// Steps that a call of it is charged; 0 for one that is not called.
    pub steps: u32,
    /// Whether it calls functions of the program, itself perhaps.
    pub nests: bool,
    /// Whether it calls anything.
    pub links: bool,
    /// Operations, from and to.
    pub start: usize,
    pub end: usize,
}

impl FunctionPlan {
    /// The registers that a function keeps for its caller, of those that it writes.
    pub fn saved(&self) -> impl DoubleEndedIterator<Item = u8> + use<> {
        let written = self.written;
        (6..=9).filter(move |register| written >> register & 1 != 0)
    }
}

/// What jumps to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// None: only the operation before it leads there.
    Through,
    Forward,
    /// The head of a loop; operations of the shortest way back.
    Back(u32),
}

/// Where a jump of the operation at `index` leads.
pub fn target(executable: &Executable, index: usize, op: &Op) -> usize {
    (index as i64 + 1 + i64::from(op.off)).clamp(0, executable.ops.len() as i64 - 1) as usize
}

/// Finds what jumps to each operation.
pub fn reached(executable: &Executable) -> Vec<Reached> {
    let mut reached = vec![Reached::Through; executable.ops.len()];
    for (index, op) in executable.ops.iter().enumerate() {
        if !(Code::JEq64K..=Code::MayGoto).contains(&op.code) {
            continue;
        }
        let target = target(executable, index, op);
        let Some(now) = reached.get_mut(target) else {
            continue;
        };
        *now = match (index.checked_sub(target), *now) {
            (None, Reached::Through) => Reached::Forward,
            (None, now) => now,
            (Some(way), Reached::Back(least)) => Reached::Back(least.min(way as u32 + 1)),
            (Some(way), _) => Reached::Back(way as u32 + 1),
        };
    }
    reached
}

/// Finds each function's operations and what it uses.
pub fn plan(executable: &Executable) -> Vec<FunctionPlan> {
    let mut starts: Vec<usize> = executable
        .functions
        .iter()
        .map(|f| f.start as usize)
        .collect();
    starts.sort_unstable();
    let end_of = |start: usize| {
        let after = starts.partition_point(|s| *s <= start);
        starts.get(after).copied().unwrap_or(executable.ops.len())
    };
    let mut called = vec![false; executable.ops.len()];
    for (index, op) in executable.ops.iter().enumerate() {
        if op.code == Code::Local {
            called[target(executable, index, op)] = true;
        }
    }
    let plan = |function: &Function| {
        let start = function.start as usize;
        let end = end_of(start);
        let ops = executable.ops.get(start..end).unwrap_or_default();
        FunctionPlan {
            frame: function.frame as i32,
            written: ops
                .iter()
                .filter_map(Op::written)
                .fold(0, |all, register| all | 1 << (register & 15)),
            calls: ops.iter().any(|op| looks_at_frame(op.code)),
            may_goto: ops.iter().any(|op| op.code == Code::MayGoto),
            steps: match called.get(start) {
                Some(true) => ops.len().min(CALL_STEPS_MOST) as u32,
                _ => 0,
            },
            nests: ops.iter().any(|op| op.code == Code::Local),
            links: ops
                .iter()
                .any(|op| looks_at_frame(op.code) || op.code == Code::TailCall),
            start,
            end,
        }
    };
    executable.functions.iter().map(plan).collect()
}

/// Most steps that a call is charged beforehand: longer ways are rarely walked to their end.
const CALL_STEPS_MOST: usize = 64;

fn looks_at_frame(code: Code) -> bool {
    matches!(
        code,
        Code::Helper
            | Code::Computed
            | Code::ComputedStore
            | Code::ArenaPlace
            | Code::PacketLoad
            | Code::Local
    )
}
