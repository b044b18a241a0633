//! What is known of a program before its code is written: its functions, what jumps where, how much
//! stack calls need, and where steps are counted.

use alloc::{vec, vec::Vec};

use super::{
    Options,
    live::{self, Live},
};
use crate::{
    Executable, Few,
    op::{Code, Op},
};

/// Why a run is stopped by its own code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopKind {
    Stack,
    Unreachable,
}

/// A jump to an operation, or to the code behind the last one.
#[derive(Clone, Copy)]
pub enum Target<F> {
    Op(usize),
    /// The exit that stops the run: why, and at which operation.
    Stop(StopKind, usize),
    /// The exit for an access out of the cage, by the operation.
    Fault(F, usize),
    /// Asks for more budget at an operation, and goes on at an offset of the code.
    Refill(usize, usize),
}

/// What a round over a program gives.
pub struct Compiled {
    pub bytes: Vec<u8>,
    /// Where each operation lies.
    pub ops: Vec<u32>,
}

/// Functions by their first operation, in order.
struct Starts(Few<(usize, usize)>);

impl Starts {
    fn of(executable: &Executable) -> Starts {
        let functions = executable.functions.iter().enumerate();
        let mut starts: Few<_> = functions
            .map(|(number, function)| (function.start as usize, number))
            .collect();
        starts.sort_unstable();
        Starts(starts)
    }

    fn function(&self, op: usize) -> Option<usize> {
        let found = self.0.binary_search_by_key(&op, |(start, _)| *start);
        Some(self.0[found.ok()?].1)
    }
}

/// A program as the templates see it.
pub struct Plan {
    pub functions: Few<FunctionPlan>,
    starts: Starts,
    /// Heads of loops, in order.
    heads: Vec<Head>,
    /// Which registers are read again, and what jumps lead to.
    pub live: Live,
    /// Calls of `bpf_loop` whose rounds are made by the code: operation, index of the function.
    loops: Vec<(u32, u32)>,
    /// Whether entries compare the stack for all the calls that follow, so that calls need not.
    pub stack_is_static: bool,
    /// Whether steps are counted anywhere.
    pub counts: bool,
}

/// A function of the program.
#[derive(Clone, Debug)]
pub struct FunctionPlan {
    /// Bytes of its frame.
    pub frame: i32,
    /// Bytes of its frame and of all that it calls, if that is known.
    pub depth: u32,
    /// Registers of the program that it writes, a bit for each.
    written: u16,
    pub may_goto: bool,
    /// Steps that a call of it is charged; 0 where calls are not counted.
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

/// Numbers of operations, a bit for each.
struct Bits(Vec<u64>);

impl Bits {
    pub fn new(count: usize) -> Bits {
        Bits(vec![0; count.div_ceil(64)])
    }

    pub fn set(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    fn has(&self, index: usize) -> bool {
        let word = self.0.get(index / 64);
        word.is_some_and(|word| word >> (index % 64) & 1 != 0)
    }
}

/// The head of a loop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub op: u32,
    /// Operations of the shortest way back.
    pub steps: u32,
    /// The last operation that jumps back.
    pub last: u32,
    pub counted: bool,
}

/// What a function does, as far as its operations say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Uses {
    /// Registers of the program that it writes, a bit for each.
    pub written: u16,
    pub may_goto: bool,
    /// Whether it calls functions of the program, and of the kernel.
    pub nests: bool,
    pub leaves: bool,
}

impl Uses {
    /// Takes note of an operation that is not only read and written by [`crate::op::plainly`].
    pub fn note(&mut self, code: Code) {
        self.may_goto |= code == Code::MayGoto;
        self.nests |= code == Code::Local;
        self.leaves |= leaves(code);
    }
}

/// Where steps are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counting {
    Nowhere,
    /// In loops and functions that call the kernel, whose functions may take long.
    Calls,
    Everywhere,
}

/// Most steps of a run that counts nothing where it calls nothing: less than a millisecond.
const SHORT: u64 = 1 << 18;
/// Most steps of a run that counts nothing at all, as if every third called the kernel.
const SHORT_WITH_CALLS: u64 = 1 << 12;
/// Most steps that a call is charged beforehand: longer ways are rarely walked to their end.
const CALL_STEPS_MOST: usize = 64;
/// Most bytes of all nested frames that an entry asks for at once. Proven programs have 512.
const DEPTH_MOST: u32 = 2048;

/// Where a jump of the operation at `index` leads.
pub fn target(executable: &Executable, index: usize, op: &Op) -> usize {
    (index as i64 + 1 + i64::from(op.off)).clamp(0, executable.ops.len() as i64 - 1) as usize
}

/// Whether an operation calls a function of the kernel.
fn leaves(code: Code) -> bool {
    matches!(
        code,
        Code::Helper
            | Code::Computed
            | Code::ComputedStore
            | Code::ArenaPlace
            | Code::PacketLoad
            | Code::TailCall
    )
}

impl Plan {
    pub fn new(executable: &Executable, options: &Options) -> Plan {
        let starts = Starts::of(executable);
        let extents = extents(executable, &starts);
        let survey = live::survey(executable, options.cage.is_some(), &starts.0);
        let depths = depths(executable, &starts, &extents, &survey.uses);
        let counting = counting(executable, options);
        let mut plan = Plan {
            functions: functions(
                executable,
                counting,
                depths.as_deref(),
                &extents,
                &survey.uses,
            ),
            starts,
            heads: survey.heads,
            live: survey.live,
            loops: match depths {
                Some(_) => executable.loops.to_vec(),
                None => Vec::new(),
            },
            stack_is_static: depths.is_some(),
            counts: counting != Counting::Nowhere,
        };
        plan.choose_counted(executable, counting);
        plan
    }

    /// The function whose first operation it is.
    pub fn function_at(&self, op: usize) -> Option<usize> {
        self.starts.function(op)
    }

    /// Whether a jump leads to an operation.
    #[inline]
    pub fn is_target(&self, index: usize) -> bool {
        self.live.note(index).is_target()
    }

    /// The innermost loop around an operation: its head, and the last operation that jumps back.
    pub fn loop_around(&self, index: usize) -> Option<(usize, usize)> {
        /// Loops within each other that are looked at.
        const NESTED: usize = 8;
        let before = self.heads.partition_point(|head| head.op as usize <= index);
        let mut nearest = self.heads[..before].iter().rev().take(NESTED);
        let around = nearest.find(|head| head.last as usize >= index)?;
        Some((around.op as usize, around.last as usize))
    }

    /// Steps that a round of the loop is charged whose head an operation is, where it is counted.
    pub fn charged_at(&self, index: usize) -> Option<u32> {
        if !self.counts {
            return None;
        }
        let at = self
            .heads
            .binary_search_by_key(&(index as u32), |head| head.op);
        let head = &self.heads[at.ok()?];
        head.counted.then_some(head.steps)
    }

    /// The function whose rounds an operation makes, a call of `bpf_loop`.
    pub fn loop_at(&self, index: usize) -> Option<usize> {
        let found = self
            .loops
            .binary_search_by_key(&(index as u32), |(at, _)| *at);
        Some(self.loops[found.ok()?].1 as usize)
    }

    fn choose_counted(&mut self, executable: &Executable, counting: Counting) {
        // How many operations up to each one call the kernel, or a function that may.
        let mut outside = Vec::new();
        if counting == Counting::Calls {
            let main = self.functions.first().map_or(0..0, |f| f.start..f.end);
            let elsewhere = |(at, op): (usize, &Op)| !main.contains(&at) && leaves(op.code);
            let nested = executable.ops.iter().enumerate().any(elsewhere);
            outside.reserve(executable.ops.len() + 1);
            let mut sum = 0u32;
            for op in &executable.ops {
                outside.push(sum);
                sum += u32::from(leaves(op.code) || (nested && op.code == Code::Local));
            }
            outside.push(sum);
        }
        for head in &mut self.heads {
            head.counted = match counting {
                Counting::Everywhere => true,
                Counting::Nowhere => false,
                Counting::Calls => outside[head.last as usize + 1] > outside[head.op as usize],
            };
        }
    }
}

/// A run that the proof shows to end soon need not be counted to be ended soon. In a cage the proof
/// is what is doubted.
fn counting(executable: &Executable, options: &Options) -> Counting {
    if !options.budget {
        return Counting::Nowhere;
    }
    let longest = match executable.longest_run {
        Some(steps) if options.cage.is_none() && steps <= options.steps => steps,
        _ => return Counting::Everywhere,
    };
    if longest > SHORT {
        Counting::Everywhere
    } else if longest > SHORT_WITH_CALLS {
        Counting::Calls
    } else {
        Counting::Nowhere
    }
}

/// Each function's operations: from its start to the next one's.
fn extents(executable: &Executable, Starts(sorted): &Starts) -> Few<(usize, usize)> {
    let starts = executable.functions.iter().map(|f| f.start as usize);
    starts
        .map(|start| {
            let after = sorted.partition_point(|(s, _)| *s <= start);
            let end = sorted.get(after).map_or(executable.ops.len(), |(s, _)| *s);
            (start, end)
        })
        .collect()
}

/// What is known of each function.
fn functions(
    executable: &Executable,
    counting: Counting,
    depths: Option<&[u32]>,
    extents: &[(usize, usize)],
    uses: &[Uses],
) -> Few<FunctionPlan> {
    let calls = executable.functions.len() > 1 && counting != Counting::Nowhere;
    let mut called = Bits::new(if calls { executable.ops.len() } else { 0 });
    let ops = if calls { &executable.ops[..] } else { &[] };
    for (index, op) in ops.iter().enumerate() {
        if op.code == Code::Local {
            called.set(target(executable, index, op));
        }
    }
    let functions = executable.functions.iter().zip(extents).zip(uses);
    functions
        .enumerate()
        .map(|(number, ((function, &(start, end)), uses))| {
            let counts = match counting {
                Counting::Everywhere => true,
                Counting::Calls => uses.leaves,
                Counting::Nowhere => false,
            };
            let depth = depths.and_then(|d| d.get(number)).copied();
            FunctionPlan {
                frame: function.frame as i32,
                depth: depth.unwrap_or(function.frame),
                written: uses.written,
                may_goto: uses.may_goto,
                steps: match called.has(start) {
                    true if counts => (end - start).min(CALL_STEPS_MOST) as u32,
                    _ => 0,
                },
                nests: uses.nests,
                links: uses.nests || uses.leaves,
                start,
                end,
            }
        })
        .collect()
}

/// Bytes of stack that each function needs with all that it calls; `None` when functions call each
/// other in a circle, or need more than is asked for at once.
fn depths(
    executable: &Executable,
    starts: &Starts,
    extents: &[(usize, usize)],
    uses: &[Uses],
) -> Option<Few<u32>> {
    let callees = |number: usize| {
        let (start, end) = extents[number];
        let ops = executable.ops.get(start..end).unwrap_or_default();
        let calls = ops
            .iter()
            .enumerate()
            .filter(|(_, op)| op.code == Code::Local);
        calls.filter_map(move |(at, op)| starts.function(target(executable, start + at, op)))
    };
    // Longest ways, from those that call nothing upwards: as many rounds as functions can be nested.
    let count = executable.functions.len();
    let own = |number: usize| executable.functions[number].frame;
    let mut depths: Few<u32> = (0..count).map(own).collect();
    if count == 1 && executable.loops.is_empty() && !uses.iter().any(|uses| uses.nests) {
        return Some(depths);
    }
    let rounds = executable.loops.iter().map(|(at, callee)| {
        let at = *at as usize;
        let caller = extents
            .iter()
            .position(|(start, end)| (*start..*end).contains(&at));
        (caller.unwrap_or(0), *callee as usize)
    });
    let edges: Vec<(usize, usize)> = (0..count)
        .flat_map(|caller| callees(caller).map(move |callee| (caller, callee)))
        .chain(rounds)
        .collect();
    loop {
        let mut changed = false;
        for (caller, callee) in &edges {
            let needed = own(*caller) + depths[*callee];
            if needed > DEPTH_MOST {
                return None;
            }
            if needed > depths[*caller] {
                depths[*caller] = needed;
                changed = true;
            }
        }
        if !changed {
            return Some(depths);
        }
    }
}
