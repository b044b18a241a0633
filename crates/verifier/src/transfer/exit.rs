//! Return from functions and from the program.

use alloc::string::String;

use panal_isa::Reg;
use panal_uapi::{AttachType, ProgType};

use super::{Flow, read_ok};
use crate::{
    access::{arguments, context},
    domain::Scalar,
    env::Env,
    error::{Check, Reject, reject},
    precision, privilege, prune,
    state::{CallbackKind, RefKind, RegKind, State},
};

/// What loads by the instructions of classic BPF are called.
pub const PACKET_LOAD: &str = "BPF_LD_[ABS|IND]";
/// What a tail call is called.
pub const TAIL_CALL: &str = "tail_call";

/// `exit`
pub fn exit(env: &mut Env<'_>, st: &mut State) -> Check<Flow> {
    let outermost = st.level() == 0;
    check_nothing_held(
        env,
        st,
        false,
        outermost,
        "BPF_EXIT instruction in main prog",
    )?;
    if !outermost {
        return return_to_caller(env, st);
    }
    check_return_value(env, st)?;
    Ok(Flow::End)
}

/// `bpf_throw()`: leaves all frames at once.
pub fn throw(env: &mut Env<'_>, st: &mut State) -> Check<Flow> {
    check_nothing_held(env, st, true, true, "bpf_throw")?;
    Ok(Flow::End)
}

/// No references, and with `locks` no locks and sections either.
///
/// # Errors
/// Something is still held.
pub fn check_nothing_held(
    env: &mut Env<'_>,
    st: &State,
    throws: bool,
    locks: bool,
    what: &str,
) -> Check {
    let ends = ![PACKET_LOAD, TAIL_CALL].contains(&what);
    let old = !env.since(6, 13);
    let inside = |section: &str| {
        let missing = match section {
            "bpf_spin_lock" => "bpf_spin_unlock is missing",
            "bpf_rcu_read_lock" => "bpf_rcu_read_unlock is missing",
            _ => "",
        };
        if old && ends && !missing.is_empty() {
            reject!(Locking, EINVAL, "{missing}")
        } else {
            reject!(
                Locking,
                EINVAL,
                "{what} cannot be used inside {section}-ed region"
            )
        }
    };
    if locks && st.refs.locks != 0 {
        return Err(inside("bpf_spin_lock"));
    }
    check_references(env, st, throws, what)?;
    if locks && st.refs.irq != 0 {
        return Err(inside("bpf_local_irq_save"));
    }
    if locks && st.refs.rcu != 0 {
        return Err(inside("bpf_rcu_read_lock"));
    }
    if locks && st.refs.preempt != 0 {
        return Err(inside("bpf_preempt_disable"));
    }
    Ok(())
}

fn check_references(env: &Env<'_>, st: &State, throws: bool, what: &str) -> Check {
    if !throws && st.level() != 0 {
        return Ok(());
    }
    // A struct_ops function may hand a reference back to the kernel.
    let returned = match env.request.prog_type {
        ProgType::StructOps if !throws => st.reg(Reg::R0).ref_id,
        _ => 0,
    };
    let mut lines = String::new();
    for held in &st.refs.list {
        if held.kind != RefKind::Pointer || (returned != 0 && held.id == returned) {
            continue;
        }
        if !lines.is_empty() {
            lines.push('\n');
        }
        let line = alloc::format!(
            "Unreleased reference id={} alloc_insn={}",
            held.id,
            held.slot
        );
        lines.push_str(&line);
    }
    if lines.is_empty() {
        return Ok(());
    }
    if env.since(6, 13) || what == TAIL_CALL {
        lines.push_str(&alloc::format!("\n{what} would lead to reference leak"));
    } else if what == PACKET_LOAD {
        lines.push_str("\nBPF_LD_[ABS|IND] cannot be mixed with socket references");
    }
    Err(reject!(Reference, EINVAL, "{lines}")
        .because("the program ends while it still holds a reference")
        .help("release the object on every path to the end"))
}

/// Leaves the innermost frame.
///
/// # Errors
/// What it returns is not allowed.
pub fn return_to_caller(env: &mut Env<'_>, st: &mut State) -> Check<Flow> {
    let callee = st.frame();
    let result = callee.regs[0];
    let call = callee.call_slot as usize;
    let callback = callee.callback;
    if matches!(result.kind, RegKind::Stack { .. }) {
        return Err(reject!(
            Stack,
            EINVAL,
            "cannot return stack pointer to the caller"
        ));
    }
    if callback.is_some() {
        if !result.is_scalar() {
            return Err(reject!(ReturnValue, EACCES, "R0 not a scalar value"));
        }
        precision::mark_reg(env, st, Reg::R0)?;
        if let Some(range) = callee.return_range
            && !within(&result.num, range, false)
        {
            return Err(bad_return(&result.num, range, "At callback return"));
        }
    }
    if st.level() == 0 {
        return Ok(Flow::End);
    }
    let before = env.log.on().then(|| st.clone());
    st.frames.pop();
    if callback.is_none() {
        st.frame_mut().regs[0] = result;
    }
    if let Some(before) = before {
        crate::report::log_return(env, &before, st);
    }
    if callback.is_none() {
        return Ok(Flow::To(call + 1));
    }
    // Back to the helper, which may call again: what changed in this round and does not matter
    // exactly is forgotten, so that the rounds converge.
    if let Some(previous) = prune::previous_visit(env, st, call) {
        prune::widen(env, previous, st);
    }
    Ok(Flow::To(call))
}

/// Whether every value lies in the range.
fn within(num: &Scalar, (min, max): (i32, i32), subreg: bool) -> bool {
    if subreg {
        num.s32_min >= min && num.s32_max <= max
    } else {
        num.smin >= i64::from(min) && num.smax <= i64::from(max)
    }
}

fn bad_return(num: &Scalar, (min, max): (i32, i32), place: &str) -> Reject {
    let mut text = alloc::format!("{place} the register R0 has");
    if num.smin > i64::MIN {
        text.push_str(&alloc::format!(" smin={}", num.smin));
    }
    if num.smax < i64::MAX {
        text.push_str(&alloc::format!(" smax={}", num.smax));
    }
    if num.smin == i64::MIN && num.smax == i64::MAX {
        text.push_str(" unknown scalar value");
    }
    // Functions return an `int`, whatever the register's upper half.
    let known = match num.smin > i64::from(i32::MAX) && num.smax <= i64::from(u32::MAX) {
        true => (i64::from(num.s32_min), i64::from(num.s32_max)),
        false => (num.smin, num.smax),
    };
    reject!(
        ReturnValue,
        EINVAL,
        "{text} should have been in [{min}, {max}]"
    )
    .because(alloc::format!(
        "the return value may be outside of what is allowed here: {min} to {max}"
    ))
    .bound(panal_uapi::report::Quantity::Value, known, (min, max))
}

fn check_return_value(env: &mut Env<'_>, st: &mut State) -> Check {
    let frame = st.frame();
    let is_handler = frame.callback == Some(CallbackKind::Exception);
    let is_async = frame.callback == Some(CallbackKind::Async);
    let is_subprogram = frame.subprog != 0 && !is_handler;
    let visible = |env: &Env<'_>, st: &State| {
        read_ok(st, Reg::R0)?;
        privilege::check_leak(env, st, Reg::R0, "as return value")
    };
    if is_async {
        visible(env, st)?;
        let range = st.frame().return_range.unwrap_or((0, 0));
        return enforce(env, st, Some(range), false, "At async callback return");
    }
    if is_subprogram {
        visible(env, st)?;
        let result = st.reg(Reg::R0);
        if !result.is_scalar() {
            let name = result.type_name();
            return Err(reject!(
                ReturnValue,
                EINVAL,
                "At subprogram exit the register R0 is not a scalar value ({name})"
            ));
        }
        return Ok(());
    }
    let rule = context::return_rule(env)?;
    if returns_nothing(env) {
        return Ok(());
    }
    visible(env, st)?;
    if rule.range.is_none() {
        return Ok(());
    }
    enforce(env, st, rule.range, rule.subreg, "At program exit")
}

/// Whether the kernel function that the program stands for returns nothing.
fn returns_nothing(env: &Env<'_>) -> bool {
    matches!(env.request.prog_type, ProgType::Lsm | ProgType::StructOps)
        && env.request.attach_type != Some(AttachType::LsmCgroup)
        && arguments::hook(env).is_ok_and(|hook| hook.returns_nothing())
}

fn enforce(
    env: &mut Env<'_>,
    st: &mut State,
    range: Option<(i32, i32)>,
    subreg: bool,
    place: &str,
) -> Check {
    let result = *st.reg(Reg::R0);
    if !result.is_scalar() {
        let name = result.type_name();
        return Err(reject!(
            ReturnValue,
            EINVAL,
            "{place} the register R0 is not a known value ({name})"
        ));
    }
    precision::mark_reg(env, st, Reg::R0)?;
    match range {
        Some(range) if !within(&result.num, range, subreg) => {
            Err(bad_return(&result.num, range, place))
        }
        _ => Ok(()),
    }
}
