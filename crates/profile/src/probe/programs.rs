//! Program types, the helpers that each may call, instructions, and what the verifier allows.

use std::collections::BTreeMap;

use panal_isa::{
    AluOp, AtomicOp, ByteOrder, CallTarget, Condition, Imm64, Instruction, Operand, Reg, Size,
    Width,
};
use panal_uapi::{Errno, ProgType, helpers, instructions::InstructionGroup, profile::BPF_MAXINSNS};

use super::loads::{Loads, Outcome, refused};
use crate::Answer;

const fn zero(dst: Reg) -> Instruction {
    Instruction::Alu {
        width: Width::W64,
        op: AluOp::Mov,
        dst,
        src: Operand::Imm(0),
    }
}

/// Returns nothing.
const NOTHING: [Instruction; 2] = [zero(Reg::R0), Instruction::Exit];

/// Whether programs of each type can be loaded.
pub fn types(loads: &Loads<'_>) -> BTreeMap<String, Answer> {
    let known = ProgType::ALL.iter().filter(|t| **t != ProgType::Unspec);
    known
        .map(|&prog_type| {
            let answer = match loads.load(prog_type, &NOTHING) {
                Outcome::Accepted | Outcome::Rejected(_) => Answer::YES,
                Outcome::Refused(Errno::EINVAL) => Answer::NO,
                // Tied to a type that is none of theirs.
                Outcome::Refused(Errno::ENOTSUPP) if prog_type == ProgType::StructOps => {
                    Answer::YES
                }
                Outcome::Refused(errno) => refused(errno),
            };
            (prog_type.short_name().to_owned(), answer)
        })
        .collect()
}

/// Words by which kernels of any age say that a program may not call a helper.
const NOT_THIS: [&str; 3] = [
    "invalid func ",
    "unknown func ",
    "program of this type cannot use helper",
];

/// The helpers that programs of each type may call: one load for each.
pub fn helpers(
    loads: &Loads<'_>,
    types: &BTreeMap<String, Answer>,
) -> BTreeMap<String, Result<Vec<String>, String>> {
    types
        .iter()
        .filter_map(|(name, here)| Some((name, here, ProgType::from_name(name)?)))
        .map(|(name, here, prog_type)| {
            let said = match here {
                Answer::Known(true) => of_type(loads, prog_type),
                Answer::Known(false) => Ok(Vec::new()),
                Answer::Unknown(why) => Err(why.clone()),
            };
            (name.clone(), said)
        })
        .collect()
}

fn of_type(loads: &Loads<'_>, prog_type: ProgType) -> Result<Vec<String>, String> {
    let mut allowed = Vec::new();
    for helper in helpers::all() {
        let call = Instruction::Call(CallTarget::Helper(helper.id));
        match loads.load(prog_type, &[call, zero(Reg::R0), Instruction::Exit]) {
            Outcome::Rejected(log) => {
                // What is said before the verifier comes to the call says nothing of it.
                if !log.contains("call ") && !NOT_THIS.iter().any(|words| log.contains(words)) {
                    let last = log.lines().next().unwrap_or_default();
                    return Err(format!("rejected before the call: {last}"));
                }
                if !NOT_THIS.iter().any(|words| log.contains(words)) {
                    allowed.push(helper.name.to_owned());
                }
            }
            Outcome::Accepted => allowed.push(helper.name.to_owned()),
            // Of a type that is loaded otherwise: Panal's verifier knows helpers that it cannot run.
            Outcome::Refused(Errno::EOPNOTSUPP) => {}
            Outcome::Refused(errno) => {
                return Err(format!("refused with {errno} before it was looked at"));
            }
        }
    }
    Ok(allowed)
}

/// A small program with an instruction of each group that needs nothing else.
fn example(group: InstructionGroup) -> Option<Vec<Instruction>> {
    use InstructionGroup as G;
    let slot = |src| Instruction::Store {
        size: Size::DW,
        base: Reg::R10,
        offset: -8,
        src,
    };
    let atomic = |op| Instruction::Atomic {
        op,
        size: Size::DW,
        base: Reg::R10,
        offset: -8,
        src: Reg::R0,
    };
    let branch = |width, cond| Instruction::Branch {
        width,
        cond,
        dst: Reg::R0,
        src: Operand::Imm(1),
        offset: 0,
    };
    let tried = match group {
        G::Base => vec![],
        G::V2 => vec![branch(Width::W64, Condition::Lt)],
        G::V3 => vec![branch(Width::W32, Condition::Eq)],
        G::V4 => vec![Instruction::Endian {
            order: ByteOrder::Swap,
            size: Size::DW,
            dst: Reg::R0,
        }],
        G::Calls => vec![
            Instruction::Call(CallTarget::Local(2)),
            zero(Reg::R0),
            Instruction::Exit,
        ],
        G::Atomics => vec![
            slot(Operand::Reg(Reg::R0)),
            atomic(AtomicOp::Add { fetch: true }),
        ],
        G::AcquireRelease => vec![slot(Operand::Reg(Reg::R0)), atomic(AtomicOp::LoadAcquire)],
        G::MayGoto => vec![Instruction::MayGoto { offset: 0 }],
        // They name maps, types or functions: a load that gets as far as those knows the instruction.
        G::MapValues | G::KernelVariables | G::MapIndexes | G::KernelFunctions => {
            vec![naming(group)?]
        }
        G::Callbacks | G::AddressSpaces => return None,
    };
    let mut code = vec![zero(Reg::R0)];
    code.extend(tried);
    code.extend(NOTHING);
    Some(code)
}

/// An instruction that names what is not there.
fn naming(group: InstructionGroup) -> Option<Instruction> {
    use InstructionGroup as G;
    let imm = match group {
        G::MapValues => Imm64::MapValue { fd: -1, offset: 0 },
        G::KernelVariables => Imm64::BtfVar { id: 1, object: 0 },
        G::MapIndexes => Imm64::MapIndex(0),
        G::KernelFunctions => {
            return Some(Instruction::Call(CallTarget::Kfunc { id: 1, object: 0 }));
        }
        _ => return None,
    };
    Some(Instruction::LoadImm64 { dst: Reg::R1, imm })
}

/// Whether each group of instructions is known.
pub fn instructions(loads: &Loads<'_>) -> BTreeMap<String, Answer> {
    InstructionGroup::all()
        .map(|group| (group.name().to_owned(), group_is_known(loads, group)))
        .collect()
}

fn group_is_known(loads: &Loads<'_>, group: InstructionGroup) -> Answer {
    let Some(code) = example(group) else {
        return Answer::Unknown("needs a program with types or an arena".into());
    };
    // Words for an encoding that is not known.
    let unknown = |log: &str| {
        [
            "reserved fields",
            "unknown opcode",
            "invalid bpf_ld_imm64",
            "invalid atomic opcode",
        ]
        .iter()
        .any(|words| log.contains(words))
    };
    match loads.load(ProgType::SocketFilter, &code) {
        Outcome::Accepted => Answer::YES,
        Outcome::Rejected(log) => Answer::Known(!unknown(&log)),
        // Descriptors that are none, before anything is logged.
        Outcome::Refused(Errno::EBADF | Errno::EPROTO) => Answer::YES,
        Outcome::Refused(Errno::EINVAL) => Answer::NO,
        Outcome::Refused(errno) => refused(errno),
    }
}

/// What the verifier allows, beyond instructions.
pub fn verifier(loads: &Loads<'_>) -> BTreeMap<String, Answer> {
    let say = |code: &[Instruction]| match loads.load(ProgType::SocketFilter, code) {
        Outcome::Accepted => Answer::YES,
        Outcome::Rejected(_) | Outcome::Refused(Errno::E2BIG | Errno::EINVAL) => Answer::NO,
        Outcome::Refused(errno) => refused(errno),
    };
    let mut large = vec![zero(Reg::R0); BPF_MAXINSNS as usize];
    large.push(Instruction::Exit);
    let counted = [
        zero(Reg::R0),
        Instruction::Alu {
            width: Width::W64,
            op: AluOp::Add,
            dst: Reg::R0,
            src: Operand::Imm(1),
        },
        Instruction::Branch {
            width: Width::W64,
            cond: Condition::Ne,
            dst: Reg::R0,
            src: Operand::Imm(10),
            offset: -2,
        },
        Instruction::Exit,
    ];
    [
        ("bounded_loops", say(&counted)),
        ("large_insn_limit", say(&large)),
    ]
    .map(|(name, answer)| (name.to_owned(), answer))
    .into()
}
