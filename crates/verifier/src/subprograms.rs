//! Calls of subprograms: static ones are walked into, global ones are verified on their own,
//! callbacks are walked into as often as it takes.

use alloc::rc::Rc;

use panal_isa::Reg;

use crate::{
    env::Env,
    error::{Check, reject},
    explore, global,
    state::{CallbackKind, Frame, RegState, State},
    transfer::Flow,
};

/// When a callback runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackTime {
    /// Before the helper returns.
    Now,
    /// Later, on its own.
    Later {
        /// Whether it may sleep then.
        sleepable: bool,
    },
}

fn check_frames(env: &Env<'_>, st: &State) -> Check {
    if st.frames.len() >= env.request.profile.limits.frames as usize {
        return Err(reject!(
            Stack,
            E2BIG,
            "the call stack of {} frames is too deep",
            st.frames.len() + 1
        ));
    }
    Ok(())
}

/// `call` of a subprogram.
///
/// # Errors
/// Too many frames, arguments that a global function does not take, a lock held.
pub fn call(env: &mut Env<'_>, st: &mut State, next: usize) -> Check<Flow> {
    let callee = env
        .program
        .callee(env.slot)
        .ok_or_else(|| reject!(ControlFlow, EINVAL, "call to invalid destination"))?;
    if env.program.subprograms[callee as usize].exception_handler {
        return Err(reject!(
            ControlFlow,
            EINVAL,
            "insn {} cannot call exception cb directly",
            env.slot
        ));
    }
    if env.program.subprograms[callee as usize].global {
        global::call(env, st, callee)?;
        return Ok(Flow::To(next));
    }
    check_frames(env, st)?;
    let mut frame = Frame::new(st.frames.len() as u8, env.slot as u32, callee);
    frame.regs[1..6].copy_from_slice(&st.frame().regs[1..6]);
    st.frame_mut().clobber_caller_saved();
    st.frames.push(Rc::new(frame));
    if env.log.on() {
        crate::report::log_call(env, st);
    }
    Ok(Flow::To(env.program.subprograms[callee as usize].start))
}

/// The helper or kfunc at `env.slot` calls a subprogram back. `setup` fills the callee's arguments
/// (`r1` to `r5`; all are unreadable before) and may set its
/// [`Frame::return_range`] from the caller's frame.
///
/// The current state goes on after the call, as if the callback had not run; the callback's own
/// state is explored later and returns to the call.
///
/// # Errors
/// Too many frames or branches, a global function with other arguments, and what `setup` finds.
pub fn enter_callback(
    env: &mut Env<'_>,
    st: &mut State,
    subprog: u32,
    time: CallbackTime,
    setup: impl FnOnce(&mut Env<'_>, &Frame, &mut Frame) -> Check,
) -> Check {
    let start = env.program.subprograms[subprog as usize].start;
    env.program.subprograms[subprog as usize].callback = true;
    let caller = Rc::clone(&st.frames[st.level()]);
    match time {
        CallbackTime::Later { sleepable } => {
            env.program.subprograms[subprog as usize].async_callback = true;
            let mut frame = Frame::new(0, u32::MAX, subprog);
            frame.callback = Some(CallbackKind::Async);
            frame.async_entries = caller.async_entries + 1;
            setup(env, &caller, &mut frame)?;
            let mut state = State::new(frame);
            state.sleepable = sleepable;
            state.speculative = st.speculative;
            // It has a stack and arguments of its own, whoever asked for it: nothing on the way here
            // waits for its end. So a callback that asks for itself again ends where it was before.
            state.first_slot = start as u32;
            explore::push_state(env, state, start)?;
        }
        CallbackTime::Now => {
            check_frames(env, st)?;
            let mut inside = st.clone();
            let mut frame = Frame::new(inside.frames.len() as u8, env.slot as u32, subprog);
            frame.callback = Some(CallbackKind::Sync {
                call: env.slot as u32,
            });
            setup(env, &caller, &mut frame)?;
            inside.frame_mut().callback_depth += 1;
            inside.callback_unroll += 1;
            inside.frames.push(Rc::new(frame));
            explore::push_state(env, inside, start)?;
            st.frame_mut().callback_depth = 0;
        }
    }
    Ok(())
}

/// The state at entry of the main program, of a global subprogram or of the exception handler.
///
/// # Errors
/// A global function's types are not supported.
pub fn entry_state(env: &mut Env<'_>, subprog: u32) -> Check<State> {
    let mut frame = Frame::new(0, u32::MAX, subprog);
    let sub = &env.program.subprograms[subprog as usize];
    let is_handler = sub.exception_handler;
    if is_handler {
        global::check_handler(env, subprog)?;
        frame.callback = Some(CallbackKind::Exception);
        frame.regs[Reg::R1.index()] = RegState::UNKNOWN;
    } else if subprog == 0 {
        frame.regs[Reg::R1.index()] = crate::access::context::entry(env);
    } else {
        global::set_arguments(env, subprog, &mut frame)?;
    }
    let mut state = State::new(frame);
    state.first_slot = env.program.subprograms[subprog as usize].start as u32;
    state.sleepable = env
        .request
        .flags
        .contains(panal_uapi::kernel::ProgFlags::SLEEPABLE);
    Ok(state)
}
