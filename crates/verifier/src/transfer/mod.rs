//! What each instruction does to the state.

mod alu;
mod branch;
pub mod exit;
mod linked;
mod load_store;
mod packet_range;
mod pointer;
mod speculation;

use panal_isa::{CallTarget, Instruction, Reg};
use panal_uapi::{helpers::id::BPF_FUNC_tail_call, profile::at_least};

use crate::{
    calls,
    env::Env,
    error::{Check, reject},
    explore,
    state::{RegKind, RegState, State},
    subprograms,
};

pub use alu::{link_before_copy, unlink, width_of};
pub use branch::mark_not_null;
pub use load_store::check_map_loads;
pub use speculation::AluLimit;

/// Where control goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// To this slot.
    To(usize),
    /// The path ends.
    End,
}

/// Does one instruction.
///
/// # Errors
/// Whatever the rules forbid.
pub fn step(env: &mut Env<'_>, st: &mut State, instruction: &Instruction) -> Check<Flow> {
    let next = env.slot + instruction.slots();
    match *instruction {
        Instruction::Alu {
            width,
            op,
            dst,
            src,
        } => alu::binary(env, st, width, op, dst, src)?,
        Instruction::Neg { width, dst } => alu::negate(env, st, width, dst)?,
        Instruction::Endian { order, size, dst } => alu::swap(env, st, order, size, dst)?,
        Instruction::MovSx {
            width,
            from,
            dst,
            src,
        } => {
            alu::move_sign_extended(env, st, width, from, dst, src)?;
        }
        Instruction::AddrSpaceCast { dst, src, to, from } => {
            alu::cast_address_space(env, st, (dst, src), (to, from))?;
        }
        Instruction::LoadImm64 { dst, imm } => load_store::load_imm64(env, st, dst, imm)?,
        Instruction::Load {
            size,
            signed,
            dst,
            base,
            offset,
        } => {
            load_store::load(env, st, size, signed, dst, base, offset)?;
        }
        Instruction::Store {
            size,
            base,
            offset,
            src,
        } => {
            load_store::store(env, st, size, base, offset, src)?;
        }
        Instruction::Atomic {
            op,
            size,
            base,
            offset,
            src,
        } => {
            load_store::atomic(env, st, op, size, base, offset, src)?;
        }
        Instruction::PacketLoad { mode, .. } => load_store::packet_load(env, st, mode)?,
        Instruction::Jump { offset, .. } => {
            env.search.jumps += 1;
            return Ok(Flow::To((next as i64 + i64::from(offset)) as usize));
        }
        Instruction::Branch {
            width,
            cond,
            dst,
            src,
            offset,
        } => {
            env.search.jumps += 1;
            let target = (next as i64 + i64::from(offset)) as usize;
            return branch::conditional(env, st, width, cond, (dst, src), target);
        }
        Instruction::MayGoto { offset } => {
            env.search.jumps += 1;
            let target = (next as i64 + i64::from(offset)) as usize;
            return branch::may_goto(env, st, target);
        }
        Instruction::Call(target) => {
            env.search.jumps += 1;
            return call(env, st, target, next);
        }
        Instruction::Exit => {
            env.search.jumps += 1;
            return exit::exit(env, st);
        }
    }
    Ok(Flow::To(next))
}

fn call(env: &mut Env<'_>, st: &mut State, target: CallTarget, next: usize) -> Check<Flow> {
    match target {
        CallTarget::Local(_) => subprograms::call(env, st, next),
        CallTarget::Helper(id) => {
            calls::check_helper(env, st, id)?;
            if id == BPF_FUNC_tail_call && st.level() > 0 {
                return tail_call_returns(env, st, next);
            }
            Ok(Flow::To(next))
        }
        CallTarget::Kfunc { id, object } => {
            calls::check_kfunc(env, st, id, object)?;
            if env.program.call(env.slot).is_some_and(|c| c.no_return) {
                return exit::throw(env, st);
            }
            Ok(Flow::To(next))
        }
        CallTarget::Reg(_) => Err(reject!(
            InvalidInstruction,
            EINVAL,
            "BPF_CALL uses reserved fields"
        )),
    }
}

/// A tail call from a subprogram that finds its program: that one returns to the subprogram's
/// caller, and may have changed the packet. When it finds none, the path goes on as after any call.
fn tail_call_returns(env: &mut Env<'_>, st: &mut State, next: usize) -> Check<Flow> {
    if !at_least(env.request.profile.version, calls::TAIL_CALLS_RETURN) {
        return Ok(Flow::To(next));
    }
    explore::push_branch(env, st, next)?;
    st.invalidate_packet_pointers(env.invalidated());
    *st.reg_mut(Reg::R0) = RegState::UNKNOWN;
    exit::return_to_caller(env, st)
}

/// The register is read.
///
/// # Errors
/// It was never written.
pub fn read_ok(st: &State, reg: Reg) -> Check {
    if matches!(st.reg(reg).kind, RegKind::NotInit) {
        let number = reg.number();
        return Err(reject!(Uninitialized, EACCES, "R{number} !read_ok")
            .because(alloc::format!(
                "r{number} is read, but nothing was written to it on this path"
            ))
            .help("calls leave r1 to r5 without a value; initialise the variable on every path"));
    }
    Ok(())
}

/// The register is written.
///
/// # Errors
/// It is the frame pointer.
pub fn write_ok(reg: Reg) -> Check {
    if reg == Reg::R10 {
        return Err(reject!(WrongType, EACCES, "frame pointer is read only"));
    }
    Ok(())
}
