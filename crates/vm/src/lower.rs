//! From a proof to an executable: everything that can be resolved once is resolved here.

mod dynptr;
mod emit;
mod inline;
mod instruction;
mod key;
mod memory;
mod plain;
#[cfg(test)]
mod tests;

use alloc::{string::String, vec, vec::Vec};

use panal_isa::{Code, DecodeError, Imm64, Instruction, Slot};
use panal_verifier::{CallFact, Fact, Proof};

use crate::{Executable, Few, Linkage, executable::Function};
use emit::Emitter;

/// Why a program cannot be lowered for this kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// The kernel lacks a helper. The kernel's limit, not the program's mistake.
    #[error("slot {slot} calls {}, which this kernel does not implement", helper_name(*id))]
    Helper {
        /// The call.
        slot: u32,
        /// The helper's number.
        id: u32,
    },
    /// The kernel lacks a kfunc.
    #[error(
        "slot {slot} calls the kernel function with BTF id {id}, which this kernel does not implement"
    )]
    Kfunc {
        /// The call.
        slot: u32,
        /// BTF id.
        id: i32,
    },
    /// The kernel lacks what an instruction needs.
    #[error("slot {slot} needs {what}, which this kernel does not have")]
    Missing {
        /// The instruction.
        slot: u32,
        /// What it needs.
        what: &'static str,
    },
    /// A map that the request does not name, or that has no such part.
    #[error("slot {slot} names map {map}, which is not there or has no values to point to")]
    Map {
        /// The instruction.
        slot: u32,
        /// Index in the request.
        map: u32,
    },
    /// A kernel variable that is not there.
    #[error("slot {slot} names the kernel variable with BTF id {id}, which is not there")]
    Variable {
        /// The instruction.
        slot: u32,
        /// BTF id.
        id: u32,
    },
    /// An instruction that only its loader can resolve, or that no kernel runs.
    #[error("slot {slot}: {what}")]
    Unresolved {
        /// The instruction.
        slot: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// Slots that are no program at all (only without a proof).
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// More slots than a program may have.
    #[error("{0} slots are too many")]
    TooLong(usize),
}

/// `bpf_map_lookup_elem (#1)`, or only the number of a helper that nobody knows.
fn helper_name(id: u32) -> String {
    match panal_uapi::helpers::by_id(id) {
        Some(helper) => alloc::format!("bpf_{} (#{id})", helper.name),
        None => alloc::format!("helper #{id}"),
    }
}

/// What is lowered: a proof, or slots without one.
struct Source<'a> {
    name: &'a str,
    slots: &'a [Slot],
    instructions: &'a [Option<Instruction>],
    facts: &'a [Fact],
    /// By slot, in order.
    calls: &'a [(u32, CallFact)],
    /// First slot and stack of every function, in order; the first is the main program.
    functions: Few<(u32, u32)>,
    exception: Option<u32>,
    proven: bool,
    longest_run: Option<u64>,
}

impl Executable {
    /// Lowers a proven program for the kernel that `linkage` speaks for.
    pub fn new(proof: &Proof, linkage: &dyn Linkage) -> Result<Executable, LowerError> {
        let functions = proof
            .subprograms()
            .iter()
            .map(|s| (s.start, s.stack_depth))
            .collect();
        lower(
            &Source {
                name: proof.name(),
                slots: proof.slots(),
                instructions: proof.instructions(),
                facts: proof.facts(),
                calls: proof.calls(),
                functions,
                exception: None,
                proven: true,
                longest_run: proof.longest_run(),
            },
            linkage,
        )
    }

    /// Lowers slots that nobody proved: for fuzzing, and for showing that the second wall holds.
    ///
    /// # Safety
    /// The program can call the kernel's helpers with any arguments. Whoever runs it vouches that
    /// the helpers of `linkage` stand that. All other accesses are confined to the cage, by the
    /// interpreter and by machine code with a cage; it is not compiled without one.
    pub unsafe fn from_unproven(
        name: &str,
        slots: &[Slot],
        linkage: &dyn Linkage,
    ) -> Result<Executable, LowerError> {
        let code = Code::decode(slots)?;
        let mut starts: Vec<u32> = code
            .iter()
            .filter_map(|(slot, _)| code.callee(slot))
            .filter_map(|callee| u32::try_from(callee).ok())
            .filter(|&callee| (callee as usize) < slots.len())
            .chain([0])
            .collect();
        starts.sort_unstable();
        starts.dedup();
        lower(
            &Source {
                name,
                slots,
                instructions: code.by_slot(),
                facts: &vec![Fact::default(); slots.len()],
                calls: &[],
                functions: starts.into_iter().map(|start| (start, 512)).collect(),
                exception: None,
                proven: false,
                longest_run: None,
            },
            linkage,
        )
    }
}

/// Most slots of a program (`BPF_COMPLEXITY_LIMIT_INSNS`).
const SLOTS_MOST: usize = 1_000_000;

fn lower(source: &Source<'_>, linkage: &dyn Linkage) -> Result<Executable, LowerError> {
    if source.instructions.len() > SLOTS_MOST {
        return Err(LowerError::TooLong(source.instructions.len()));
    }
    let mut emitter = Emitter::new(source, linkage);
    let unknown = Fact::default();
    let mut slot = 0;
    while let Some(first) = source.instructions.get(slot) {
        // The second slot of a wide immediate, which no path reaches: nothing begins there.
        if first.is_none() {
            slot += 1;
            continue;
        }
        emitter.enter(slot as u32);
        slot = emitter.all_plain(slot);
        if slot >= emitter.next_slot as usize {
            continue;
        }
        let Some(Some(instruction)) = source.instructions.get(slot) else {
            continue;
        };
        emitter.begin(slot as u32);
        let fact = source.facts.get(slot).unwrap_or(&unknown);
        if fact.dead {
            emitter.dead();
        } else {
            emitter.learn(fact);
            emitter.instruction(instruction)?;
        }
        slot += 1;
    }
    emitter.finish()
}

/// Functions as the executable has them, their operations not yet known.
fn functions(source: &Source<'_>) -> Vec<Function> {
    let frame = |stack: u32| stack.clamp(1, 512).next_multiple_of(16);
    let mut functions: Vec<Function> = source
        .functions
        .iter()
        .map(|&(slot, stack)| Function {
            start: 0,
            slot,
            frame: frame(stack),
        })
        .collect();
    if functions.is_empty() {
        functions.push(Function {
            start: 0,
            slot: 0,
            frame: frame(512),
        });
    }
    functions
}

/// Keeps a name to what is printed.
fn name_of(source: &Source<'_>) -> String {
    String::from(source.name)
}

/// The map that a 64-bit immediate names.
fn map_of(imm: &Imm64) -> Option<u32> {
    match imm {
        Imm64::MapIndex(index) | Imm64::MapIndexValue { index, .. } => Some(*index),
        _ => None,
    }
}
