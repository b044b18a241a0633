//! Programs that see only some processes: a few instructions before a tracing program's own end it
//! at once when another process runs.
//!
//! Linux calls tracing programs for every process of the machine. What a command's tree does is
//! told by its cgroup, which children inherit.

use panal_isa::{AluOp, CallTarget, Condition, Imm64, Instruction, Operand, Reg, Slot, Width};
use panal_uapi::{
    AttachType, ProgType,
    helpers::id::{BPF_FUNC_get_current_cgroup_id, BPF_FUNC_get_current_pid_tgid},
    kernel::{FuncInfo, LineInfo},
};

use crate::{ProgramPlan, assemble::Assembled};

/// Whose events a program sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One process, with its threads: its number in the first PID namespace.
    Process(u32),
    /// The processes that are in this cgroup itself, by its id (the directory's inode number).
    Cgroup(u64),
}

/// Whether a program of this kind runs on behalf of the process that causes its event.
///
/// Iterators run for their reader, and `perf_event` programs are attached to processes.
pub(crate) fn has_current(plan: &ProgramPlan) -> bool {
    use ProgType::*;
    match plan.prog_type {
        Some(Kprobe | Tracepoint | RawTracepoint | RawTracepointWritable) => true,
        Some(Tracing) => plan.attach_type != Some(AttachType::TraceIter),
        Some(Lsm) => plan.attach_type != Some(AttachType::LsmCgroup),
        _ => false,
    }
}

/// Puts the check before a program.
pub(crate) fn restrict(assembled: &mut Assembled, scope: Scope) {
    let check = check(scope);
    let by = check.len() as u32;
    assembled.code.splice(0..0, check);
    for (_, start) in &mut assembled.pieces {
        *start += by;
    }
    for relocation in &mut assembled.relocations {
        relocation.slot += by;
    }
    // The program's own function begins with the check.
    for FuncInfo { slot, .. } in assembled.funcs.iter_mut().skip(1) {
        *slot += by;
    }
    for LineInfo { slot, .. } in assembled.lines.iter_mut().skip(1) {
        *slot += by;
    }
}

/// `r6 = ctx; if (it is not one of them) return 0; r1 = ctx`
fn check(scope: Scope) -> Vec<Slot> {
    let mov = |dst, src| Instruction::Alu {
        width: Width::W64,
        op: AluOp::Mov,
        dst,
        src,
    };
    let mut body = vec![mov(Reg::R6, Operand::Reg(Reg::R1))];
    let wanted = match scope {
        Scope::Process(pid) => {
            body.push(Instruction::Call(CallTarget::Helper(
                BPF_FUNC_get_current_pid_tgid,
            )));
            body.push(Instruction::Alu {
                width: Width::W64,
                op: AluOp::Rsh,
                dst: Reg::R0,
                src: Operand::Imm(32),
            });
            u64::from(pid)
        }
        Scope::Cgroup(id) => {
            body.push(Instruction::Call(CallTarget::Helper(
                BPF_FUNC_get_current_cgroup_id,
            )));
            id
        }
    };
    body.extend([
        Instruction::LoadImm64 {
            dst: Reg::R1,
            imm: Imm64::Value(wanted),
        },
        Instruction::Branch {
            width: Width::W64,
            cond: Condition::Eq,
            dst: Reg::R0,
            src: Operand::Reg(Reg::R1),
            offset: 2,
        },
        mov(Reg::R0, Operand::Imm(0)),
        Instruction::Exit,
        mov(Reg::R1, Operand::Reg(Reg::R6)),
    ]);
    let mut slots = Vec::new();
    for instruction in &body {
        instruction.encode_to(&mut slots);
    }
    slots
}
