//! The control flow graph: reachability, where the search saves states, loops.

use alloc::vec::Vec;

use panal_isa::{CallTarget, Instruction};

use crate::{
    env::Env,
    error::{Check, reject},
};

/// Walks the graph from the entry, refuses what cannot be reached, and marks where states are
/// saved, where history is recorded, and what calls sleep or move packets.
pub fn check(env: &mut Env<'_>) -> Check {
    describe_calls(env);
    let mut reached = alloc::vec![false; env.program.len()];
    let mut work: Vec<usize> = alloc::vec![0];
    if let Some(handler) = env.program.exception_handler {
        work.push(env.program.subprograms[handler as usize].start);
    }
    while let Some(slot) = work.pop() {
        if reached[slot] {
            continue;
        }
        reached[slot] = true;
        visit(env, slot, &mut work)?;
    }
    if !env.is_capable() {
        check_no_loops(env)?;
    }
    for (slot, seen) in reached.iter().enumerate() {
        let is_second = slot > 0 && env.program.get(slot).is_none() && reached[slot - 1];
        if !seen && !is_second {
            return Err(reject!(ControlFlow, EINVAL, "unreachable insn {slot}")
                .because("no path through the program leads to this instruction")
                .help("remove the dead code"));
        }
    }
    propagate_effects(env);
    mark_components(env);
    Ok(())
}

/// Loops are for loaders with `CAP_BPF`.
fn check_no_loops(env: &Env<'_>) -> Check {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        /// On the way from the entry to here.
        Open,
        Done,
    }
    let mut marks = alloc::vec![Mark::New; env.program.len()];
    // Each with the edges that are still to be followed.
    let mut path = alloc::vec![(0usize, 0usize)];
    while let Some((slot, edge)) = path.last_mut() {
        let slot = *slot;
        marks[slot] = Mark::Open;
        let (next, target) = env.program.successors(slot);
        let to = [next, target].into_iter().flatten().nth(*edge);
        *edge += 1;
        match to {
            None => {
                marks[slot] = Mark::Done;
                path.pop();
            }
            Some(to) if marks[to] == Mark::Open => {
                return Err(
                    reject!(ControlFlow, EINVAL, "back-edge from insn {slot} to {to}")
                        .because(
                            "the program has a loop, which a loader without CAP_BPF may not have",
                        )
                        .help("unroll the loop"),
                );
            }
            Some(to) if marks[to] == Mark::New => path.push((to, 0)),
            Some(_) => {}
        }
    }
    Ok(())
}

fn describe_calls(env: &mut Env<'_>) {
    for slot in 0..env.program.len() {
        if let Some(Instruction::Call(target)) = env.program.get(slot)
            && let Some(traits) = crate::calls::describe(env, *target)
        {
            env.program.calls.insert(slot as u32, traits);
        }
    }
}

fn visit(env: &mut Env<'_>, slot: usize, work: &mut Vec<usize>) -> Check {
    let Some(&instruction) = env.program.get(slot) else {
        return Err(reject!(
            ControlFlow,
            EINVAL,
            "jump into the middle of ldimm64 insn {}",
            slot.saturating_sub(1)
        ));
    };
    match instruction {
        Instruction::Branch { .. } => env.aux[slot].prune_point = true,
        Instruction::MayGoto { .. } => {
            env.aux[slot].prune_point = true;
            env.aux[slot].force_checkpoint = true;
        }
        Instruction::Call(target) => visit_call(env, slot, target, work),
        Instruction::LoadImm64 { .. } if env.program.loads_function(slot) => {
            mark_after(env, slot + 2);
            env.aux[slot].prune_point = true;
            enter(env, slot, work);
        }
        _ => {}
    }
    let (next, target) = env.program.successors(slot);
    if let Some(next) = next {
        if next >= env.program.len() {
            return Err(reject!(
                ControlFlow,
                EINVAL,
                "jump out of range from insn {slot} to {next}"
            ));
        }
        work.push(next);
    }
    if let Some(target) = target {
        if target >= env.program.len() {
            return Err(reject!(
                ControlFlow,
                EINVAL,
                "jump out of range from insn {slot} to {target}"
            ));
        }
        mark_after(env, target);
        work.push(target);
    }
    Ok(())
}

fn visit_call(env: &mut Env<'_>, slot: usize, target: CallTarget, work: &mut Vec<usize>) {
    if let Some(&traits) = env.program.call(slot) {
        let aux = &mut env.aux[slot];
        if traits.calls_later {
            aux.prune_point = true;
        }
        if traits.calls_back {
            aux.calls_callback = true;
            aux.force_checkpoint = true;
            aux.prune_point = true;
            aux.jump_target = true;
        }
        if traits.iter_next {
            aux.iter_next = true;
            aux.prune_point = true;
            aux.force_checkpoint = true;
        }
        let sub = env.program.containing(slot) as usize;
        env.program.subprograms[sub].may_sleep |= traits.may_sleep;
        env.program.subprograms[sub].changes_packet |= traits.changes_packet;
    }
    mark_after(env, slot + 1);
    if matches!(target, CallTarget::Local(_)) {
        env.aux[slot].prune_point = true;
        enter(env, slot, work);
    }
}

fn enter(env: &mut Env<'_>, slot: usize, work: &mut Vec<usize>) {
    if let Some(callee) = env.program.callee(slot) {
        let start = env.program.subprograms[callee as usize].start;
        mark_after(env, start);
        work.push(start);
    }
}

fn mark_after(env: &mut Env<'_>, slot: usize) {
    if let Some(aux) = env.aux.get_mut(slot) {
        aux.prune_point = true;
        aux.jump_target = true;
    }
}

/// A caller sleeps, moves packets and makes tail calls when a callee does.
fn propagate_effects(env: &mut Env<'_>) {
    let mut edges = Vec::new();
    for slot in 0..env.program.len() {
        if let Some(callee) = env.program.callee(slot) {
            let is_call = matches!(env.program.call_target(slot), Some(CallTarget::Local(_)));
            edges.push((
                env.program.containing(slot) as usize,
                callee as usize,
                is_call,
            ));
        }
    }
    for sub in &mut env.program.subprograms {
        sub.tail_call_reachable = sub.has_tail_call;
    }
    loop {
        let mut changed = false;
        for &(caller, callee, is_call) in &edges {
            let to = env.program.subprograms[callee].clone();
            let from = &mut env.program.subprograms[caller];
            let before = (
                from.may_sleep,
                from.changes_packet,
                from.tail_call_reachable,
            );
            from.may_sleep |= to.may_sleep && is_call;
            from.changes_packet |= to.changes_packet;
            from.tail_call_reachable |= to.tail_call_reachable && is_call;
            changed |= before
                != (
                    from.may_sleep,
                    from.changes_packet,
                    from.tail_call_reachable,
                );
        }
        if !changed {
            break;
        }
    }
}

/// Strongly connected components within each subprogram (Tarjan, without recursion): numbers from
/// 1 for those that are loops. A call that calls back is a loop of its own.
fn mark_components(env: &mut Env<'_>) {
    const UNSEEN: u32 = u32::MAX;
    let n = env.program.len();
    let goes_back = |slot: usize| {
        let (next, target) = env.program.successors(slot);
        [next, target].into_iter().flatten().any(|to| to <= slot)
    };
    if !(0..n).any(goes_back) {
        // Most programs, and the largest ones, have no loops but calls that call back.
        for slot in 0..n {
            if env.aux[slot].calls_callback {
                env.aux[slot].scc = BY_CALLBACK | slot as u32;
                env.aux[slot].loops_by_callback = true;
            }
        }
        return;
    }
    let mut order = alloc::vec![UNSEEN; n];
    let mut low = alloc::vec![0u32; n];
    let mut on_stack = alloc::vec![false; n];
    let (mut stack, mut calls): (Vec<u32>, Vec<(u32, u8)>) = (Vec::new(), Vec::new());
    let (mut counter, mut component) = (0u32, 0u32);
    for root in 0..n {
        if order[root] != UNSEEN || env.program.get(root).is_none() {
            continue;
        }
        calls.push((root as u32, 0));
        while let Some(&(node, step)) = calls.last() {
            let slot = node as usize;
            if step == 0 {
                order[slot] = counter;
                low[slot] = counter;
                counter += 1;
                stack.push(node);
                on_stack[slot] = true;
            }
            let (a, b) = env.program.successors(slot);
            let next = [a, b];
            let mut descend = None;
            let mut step = step;
            while usize::from(step) < next.len() {
                let candidate = next[usize::from(step)];
                step += 1;
                let Some(to) = candidate.filter(|&to| to < n) else {
                    continue;
                };
                if order[to] == UNSEEN {
                    descend = Some(to);
                    break;
                }
                if on_stack[to] {
                    low[slot] = low[slot].min(order[to]);
                }
            }
            // Zero means "just entered", so a finished node keeps a step of at least one.
            let top = calls.len() - 1;
            calls[top].1 = step.max(1);
            if let Some(to) = descend {
                calls.push((to as u32, 0));
                continue;
            }
            calls.pop();
            if let Some(&(parent, _)) = calls.last() {
                let parent = parent as usize;
                low[parent] = low[parent].min(low[slot]);
            }
            if low[slot] == order[slot] {
                close_component(env, slot, &mut stack, &mut on_stack, &mut component);
            }
        }
    }
}

/// In the number of a component that is none by jumps.
const BY_CALLBACK: u32 = 1 << 31;

fn close_component(
    env: &mut Env<'_>,
    root: usize,
    stack: &mut Vec<u32>,
    on_stack: &mut [bool],
    component: &mut u32,
) {
    let at = stack.iter().rposition(|&s| s as usize == root).unwrap_or(0);
    let (a, b) = env.program.successors(root);
    let by_jumps = stack.len() - at > 1 || a == Some(root) || b == Some(root);
    let is_loop = by_jumps || env.aux[root].calls_callback;
    let number = match by_jumps {
        true => {
            *component += 1;
            *component
        }
        false => BY_CALLBACK | root as u32,
    };
    for slot in stack.drain(at..) {
        let slot = slot as usize;
        on_stack[slot] = false;
        if is_loop {
            env.aux[slot].scc = number;
            env.aux[slot].loops_by_callback = !by_jumps;
        }
    }
}
