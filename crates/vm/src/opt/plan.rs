//! What is known of a program's functions before they are built: in which order, which ones into
//! their callers, how much stack.

use alloc::{vec, vec::Vec};

use super::Why;
use crate::{
    Executable,
    jit::plan::{self, Plan as Counts},
    op::{Code, Op},
};

/// Most operations of a function that is built into its callers.
const INLINE_OPS: usize = 48;
/// The same for one with a loop, whose calls weigh little anyway.
const INLINE_LOOP_OPS: usize = 150;
/// The same for the callback of a `bpf_loop`.
const INLINE_ROUND_OPS: usize = 300;
/// Most operations of functions that are built into one.
pub const GROWN_MOST: usize = 2000;
/// Most operations of a function that is compiled.
const OPS_MOST: usize = 60_000;

/// A program's functions.
pub struct Plan {
    /// Operations, from and to.
    pub range: Vec<(usize, usize)>,
    /// Bytes of its own frame and those of the functions that were built into it.
    pub frame: Vec<u32>,
    /// Most bytes of stack from its frame pointer on, whatever it calls.
    pub depth: Vec<u32>,
    /// Those that it calls, before those that call it.
    pub order: Vec<usize>,
    /// Whether it is built into its callers.
    pub inline: Vec<bool>,
}

impl Plan {
    pub fn new(executable: &Executable, counts: &Counts) -> Result<Plan, Why> {
        let functions = &executable.functions;
        let range: Vec<(usize, usize)> =
            counts.functions.iter().map(|f| (f.start, f.end)).collect();
        if range.iter().any(|(from, to)| to - from > OPS_MOST) {
            return Err(Why::TooLarge);
        }
        let mut planner = Planner {
            executable,
            counts,
            state: vec![State::New; functions.len()],
            sizes: vec![0; functions.len()],
            rounds: vec![false; functions.len()],
            plan: Plan {
                frame: functions.iter().map(|f| f.frame).collect(),
                depth: functions.iter().map(|f| f.frame).collect(),
                order: Vec::new(),
                inline: vec![false; functions.len()],
                range,
            },
        };
        for index in 0..executable.ops.len() {
            if let Some(function) = counts.loop_at(index) {
                planner.rounds[function] = true;
            }
        }
        for index in 0..functions.len() {
            planner.visit(index)?;
        }
        Ok(planner.plan)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    /// Its callees are looked at.
    Open,
    Done,
}

struct Planner<'e> {
    executable: &'e Executable,
    counts: &'e Counts,
    state: Vec<State>,
    /// Operations, with those that are built in.
    sizes: Vec<usize>,
    /// Whether a `bpf_loop` calls it.
    rounds: Vec<bool>,
    plan: Plan,
}

impl Planner<'_> {
    /// Callees first; a program that calls itself has no depth.
    fn visit(&mut self, root: usize) -> Result<(), Why> {
        // Functions call in chains as long as the program: not by recursion.
        let mut stack = vec![(root, self.plan.range[root].0)];
        while let Some((function, at)) = stack.pop() {
            if self.state[function] == State::Done {
                continue;
            }
            self.state[function] = State::Open;
            let (_, to) = self.plan.range[function];
            let mut next = None;
            for index in at..to {
                if !is_call(self.executable, self.counts, index) {
                    continue;
                }
                let callee = callee(self.executable, self.counts, index).ok_or(Why::Calls)?;
                match self.state[callee] {
                    State::New => {
                        next = Some((callee, index));
                        break;
                    }
                    State::Open => return Err(Why::Recursion),
                    State::Done => {}
                }
            }
            match next {
                Some((callee, index)) => {
                    stack.push((function, index));
                    stack.push((callee, self.plan.range[callee].0));
                }
                None => {
                    self.state[function] = State::Done;
                    self.finish(function);
                    self.plan.order.push(function);
                }
            }
        }
        Ok(())
    }

    /// All callees of a function are known.
    fn finish(&mut self, function: usize) {
        let (from, to) = self.plan.range[function];
        let own = self.plan.frame[function];
        let mut size = to - from;
        let (mut frame, mut deeper) = (own, 0);
        let mut nests = false;
        for index in from..to {
            let Some(callee) = callee(self.executable, self.counts, index) else {
                continue;
            };
            deeper = deeper.max(self.plan.depth[callee]);
            if self.plan.inline[callee] {
                frame = frame.max(own + self.plan.frame[callee]);
            }
            if self.plan.inline[callee] && size + self.sizes[callee] <= GROWN_MOST {
                size += self.sizes[callee];
            } else {
                nests = true;
            }
        }
        let ops = &self.executable.ops[from..to];
        let leaves = |op: &Op| matches!(op.code, Code::TailCall | Code::PacketLoad);
        let loops = (from..to).any(|i| target(self.executable, i).is_some_and(|t| t <= i));
        let most = match (self.rounds[function], loops) {
            (true, _) => INLINE_ROUND_OPS,
            (false, true) => INLINE_LOOP_OPS,
            (false, false) => INLINE_OPS,
        };
        self.plan.inline[function] =
            function != 0 && !nests && !ops.iter().any(leaves) && size <= most;
        self.sizes[function] = size;
        self.plan.frame[function] = frame;
        self.plan.depth[function] = frame + deeper;
    }
}

fn is_call(executable: &Executable, counts: &Counts, index: usize) -> bool {
    executable.ops[index].code == Code::Local || counts.loop_at(index).is_some()
}

/// The function that a call at an operation leads to, or that a `bpf_loop` calls.
pub fn callee(executable: &Executable, counts: &Counts, index: usize) -> Option<usize> {
    if let Some(function) = counts.loop_at(index) {
        return Some(function);
    }
    let op = executable.ops[index];
    if op.code != Code::Local {
        return None;
    }
    counts.function_at(plan::target(executable, index, &op))
}

/// Where a jump leads.
pub fn target(executable: &Executable, index: usize) -> Option<usize> {
    let op = executable.ops[index];
    let jumps = op.code.jumps();
    jumps.then(|| plan::target(executable, index, &op))
}
