//! How deep calls go, and how much stack they take together.

use alloc::{format, string::String, vec::Vec};

use panal_isa::CallTarget;
use panal_uapi::ProgType;

use crate::{
    env::Env,
    error::{Check, reject},
};

/// Bytes of stack of all frames together.
const LIMIT: u32 = 512;
/// Stack below a tail call.
const TAIL_CALL_LIMIT: u32 = 256;
/// From this size on, a frame gets memory of its own where the kernel supports that.
const PRIVATE_STACK_MIN: u32 = 64;

/// Program types whose large frames Linux puts into private memory.
fn has_private_stack(env: &Env<'_>) -> bool {
    let supported = env.since(6, 13);
    supported
        && matches!(
            env.request.prog_type,
            ProgType::Kprobe
                | ProgType::Tracepoint
                | ProgType::PerfEvent
                | ProgType::RawTracepoint
                | ProgType::Tracing
                | ProgType::Lsm
        )
}

struct Depth {
    /// Deepest stack above each subprogram's frame, and how many frames that is.
    above: Vec<(u32, u32)>,
    /// The call that leads there.
    via: Vec<Option<usize>>,
    size: Vec<u32>,
}

/// A call within the program.
struct Call {
    callee: usize,
    slot: usize,
}

impl Depth {
    /// The functions of the deepest chain that leads to this one, with what each uses: `a() 304`.
    fn chain(&self, env: &Env<'_>, last: usize) -> String {
        let mut names = Vec::new();
        let mut next = Some(last);
        while let Some(index) = next {
            let sub = &env.program.subprograms[index];
            names.push(match sub.name.is_empty() {
                true => format!("function {index} {}", self.size[index]),
                false => format!("{}() {}", sub.name, self.size[index]),
            });
            next = self.via[index].map(|slot| env.program.containing(slot) as usize);
        }
        names.reverse();
        names.join(", ")
    }

    /// The call that leads to a function, or else its start.
    fn place(&self, env: &Env<'_>, index: usize) -> usize {
        self.via[index].unwrap_or(env.program.subprograms[index].start)
    }
}

/// Checks every chain of calls from the main program and from what runs on its own. Gives the
/// deepest stack.
///
/// # Errors
/// Too deep, too large, or recursive.
pub fn check(env: &mut Env<'_>) -> Check<u32> {
    let private = has_private_stack(env);
    let n = env.program.subprograms.len();
    let callees = callees(env);
    let order = topological_order(env, &callees)?;
    check_callbacks(env, &callees)?;
    let size: Vec<u32> = env
        .program
        .subprograms
        .iter()
        .map(|s| s.stack_depth.next_multiple_of(16))
        .collect();
    let mut depth = Depth {
        above: alloc::vec![(0, 0); n],
        via: alloc::vec![None; n],
        size,
    };
    let mut deepest = 0;
    for caller in order {
        let (above, frames) = depth.above[caller];
        let sub = &env.program.subprograms[caller];
        if caller != 0 && frames != 0 && sub.has_tail_call && above >= TAIL_CALL_LIMIT {
            return Err(reject!(
                Stack,
                EACCES,
                "tail_calls are not allowed when call stack of previous frames is {above} bytes. Too large"
            )
            .at(depth.place(env, caller)));
        }
        let own = depth.size[caller];
        let here = if private && own >= PRIVATE_STACK_MIN {
            if own > LIMIT {
                return Err(reject!(
                    Stack,
                    EACCES,
                    "stack size of subprog {caller} is {own}. Too large"
                )
                .at(env.program.subprograms[caller].start));
            }
            above
        } else {
            above + own
        };
        if here > LIMIT {
            return Err(reject!(
                Stack,
                EACCES,
                "combined stack size of {} calls is {here}. Too large",
                frames + 1
            )
            .because(format!(
                "the functions that call each other need {here} bytes of stack together, of {LIMIT}: {}",
                depth.chain(env, caller)
            ))
            .at(depth.place(env, caller)));
        }
        deepest = deepest.max(here);
        for &Call { callee, slot } in &callees[caller] {
            let entry = &mut depth.above[callee];
            if depth.via[callee].is_none() || here > entry.0 {
                depth.via[callee] = Some(slot);
            }
            entry.0 = entry.0.max(here);
            entry.1 = entry.1.max(frames + 1);
            if entry.1 >= env.request.profile.limits.frames {
                return Err(reject!(
                    Stack,
                    E2BIG,
                    "the call stack of {} frames is too deep !",
                    entry.1
                )
                .at(slot));
            }
        }
    }
    Ok(deepest)
}

/// Whom each subprogram calls, directly or as a callback that runs at once.
fn callees(env: &Env<'_>) -> Vec<Vec<Call>> {
    let count = env.program.subprograms.len();
    let mut callees: Vec<Vec<Call>> = (0..count).map(|_| Vec::new()).collect();
    for slot in 0..env.program.len() {
        let Some(callee) = env.program.callee(slot) else {
            continue;
        };
        let callee = callee as usize;
        let direct = matches!(env.program.call_target(slot), Some(CallTarget::Local(_)));
        if !direct && env.program.subprograms[callee].async_callback {
            continue;
        }
        let list = &mut callees[env.program.containing(slot) as usize];
        if !list.iter().any(|call| call.callee == callee) {
            list.push(Call { callee, slot });
        }
    }
    callees
}

/// What callbacks, and what they call, must not do.
fn check_callbacks(env: &Env<'_>, callees: &[Vec<Call>]) -> Check {
    for (index, sub) in env.program.subprograms.iter().enumerate() {
        if !sub.callback && !sub.exception_handler {
            continue;
        }
        let mut reached = alloc::vec![index];
        let mut next = 0;
        while let Some(&inside) = reached.get(next) {
            next += 1;
            check_in_callback(env, inside)?;
            let called = &env.program.subprograms[inside];
            if sub.exception_handler && inside != index && called.has_tail_call {
                return Err(
                    reject!(NotAllowed, EINVAL, "cannot tail call within exception cb")
                        .at(called.start),
                );
            }
            for call in &callees[inside] {
                if !reached.contains(&call.callee) {
                    reached.push(call.callee);
                }
            }
        }
    }
    Ok(())
}

/// A function that runs within a callback.
fn check_in_callback(env: &Env<'_>, index: usize) -> Check {
    let sub = &env.program.subprograms[index];
    // Stable kernels before have it, too.
    if sub.has_packet_load && env.since(6, 12) {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "cannot use BPF_LD_[ABS|IND] within callback"
        )
        .at(sub.start));
    }
    match (sub.start..sub.end).find(|&slot| env.program.is_throw(slot)) {
        Some(slot) => Err(reject!(
            NotAllowed,
            EINVAL,
            "bpf_throw kfunc (insn {slot}) cannot be called from callback subprog {index}"
        )
        .at(slot)),
        None => Ok(()),
    }
}

/// Callers before callees.
fn topological_order(env: &Env<'_>, callees: &[Vec<Call>]) -> Check<Vec<usize>> {
    let n = callees.len();
    let mut waiting = alloc::vec![0usize; n];
    for list in callees {
        for call in list {
            waiting[call.callee] += 1;
        }
    }
    let mut order: Vec<usize> = (0..n).filter(|&i| waiting[i] == 0).collect();
    let mut next = 0;
    while let Some(&caller) = order.get(next) {
        next += 1;
        for &Call { callee, .. } in &callees[caller] {
            waiting[callee] -= 1;
            if waiting[callee] == 0 {
                order.push(callee);
            }
        }
    }
    if order.len() < n {
        // What still waits is on a circle, or called from one.
        let call = callees
            .iter()
            .zip(&waiting)
            .filter(|(_, waits)| **waits > 0)
            .flat_map(|(list, _)| list)
            .find(|call| waiting[call.callee] > 0);
        let reject = reject!(
            Stack,
            E2BIG,
            "the call stack of {} frames is too deep !",
            env.request.profile.limits.frames
        )
        .because("functions call each other in a circle");
        return Err(match call {
            Some(call) => reject.at(call.slot),
            None => reject,
        });
    }
    Ok(order)
}
