//! The pass over a program. Jumps ahead are short where an estimate of the code between allows it. It
//! is seldom wrong; then two more rounds follow: the first finds where everything lies when all jumps
//! are long, the second takes short jumps where the distances of the first allow it.

use alloc::{vec, vec::Vec};

use super::{
    JitError, Options,
    cage::Fault,
    lazy::Lazy,
    table,
    x86::{Cc, Code as X86, Fixup, Gpr},
};
use crate::{
    Executable,
    jit::{
        cage::Known,
        live::{is_pure, only},
        plan::{self, Compiled, FunctionPlan, Plan},
    },
    op::{Code, Op},
};

/// Registers of the machine that hold the program's.
const MAP: [Gpr; 12] = [
    Gpr::Rax,
    Gpr::Rdi,
    Gpr::Rsi,
    Gpr::Rdx,
    Gpr::Rcx,
    Gpr::R8,
    Gpr::Rbx,
    Gpr::R13,
    Gpr::R14,
    Gpr::R15,
    Gpr::Rbp,
    TEMP2,
];
/// Free between operations, and what the lowering uses between two operations of one instruction;
/// the sixth argument of helpers.
pub const TEMP2: Gpr = Gpr::R9;

/// The machine register of a program's register.
pub fn gpr(number: u8) -> Gpr {
    // The lowering writes numbers of registers only; 11 is its own.
    MAP[usize::from(number) % MAP.len()]
}

pub type Target = plan::Target<Fault>;

/// A round over the program.
pub struct Round<'e> {
    pub executable: &'e Executable,
    pub options: Options,
    pub x: X86,
    pub function: FunctionPlan,
    pub plan: &'e Plan,
    /// Where operations lie: so far in this round.
    at: Vec<u32>,
    functions: Vec<u32>,
    jumps: Vec<(Fixup, Target)>,
    calls: Vec<(Fixup, usize)>,
    distances: Distances<'e>,
    /// The operation that is being written.
    current: usize,
    /// What is known of the registers in front of the operation.
    pub known: Known,
    /// What was not written down yet.
    pub lazy: Lazy,
    /// Offset of the code that leaves a stopped run.
    pub leave: usize,
    /// Offset of the code that asks for more budget.
    pub refill: usize,
    /// Set when some distance does not fit.
    pub too_large: bool,
}

/// Most bytes of code: what a jump reaches.
const MOST: usize = i32::MAX as usize;

/// Compiles all functions.
pub fn compile(executable: &Executable, options: Options) -> Result<Vec<u8>, JitError> {
    compile_within(MOST, executable, options)
}

/// The same, with code of at most so many bytes. What is larger is given up on the way there.
pub fn compile_within(
    most: usize,
    executable: &Executable,
    options: Options,
) -> Result<Vec<u8>, JitError> {
    let plan = Plan::new(executable, &options);
    let new = |distances| round(most, executable, options, &plan, distances);
    let sizes = estimates(executable, &options);
    if let Ok(done) = new(Distances::Estimated(&sizes)) {
        return Ok(done.bytes);
    }
    let first = new(Distances::Unknown)?;
    Ok(new(Distances::Before(&first))?.bytes)
}

/// Bytes that most programs' operations take on average, and what all programs have: so much room is
/// made beforehand.
const BYTES_EACH: usize = 6;
const ROOM: usize = 512;

/// What is known of the code in front of a jump.
#[derive(Clone, Copy)]
enum Distances<'e> {
    Unknown,
    /// Bytes that the operations before each one take at most, in all likelihood.
    Estimated(&'e [u32]),
    /// What the round before has found.
    Before(&'e Compiled),
}

/// Bytes that the operations before each one take, and all of them: rather too many.
fn estimates(executable: &Executable, options: &Options) -> Vec<u32> {
    let confined = if options.cage.is_some() { 20 } else { 0 };
    let mut sum = 0;
    let mut sums = Vec::with_capacity(executable.ops.len() + 1);
    for op in &executable.ops {
        sums.push(sum);
        sum += estimate(op, confined);
    }
    sums.push(sum);
    sums
}

/// The longest usual template of an operation; `confined` more for what may be confined.
fn estimate(op: &Op, confined: u32) -> u32 {
    use Code::*;
    static MOST: [u8; 256] = {
        let mut most = [128; 256];
        let of = [
            (Add64K, Swap64, 8),
            (Div64K, SMod32X, 48),
            (Mov64K, Mov64K, 10),
            (JEq64K, JSLe32X, 14),
            (Jump, Jump, 6),
            (Ld8, LdS32, 9),
            (LdFrame8, LdFrameS32, 8),
            (St8K, St64X, 13),
            (Helper, Helper, 80),
            (Exit, Exit, 24),
        ];
        let mut row = 0;
        while row < of.len() {
            let (from, to, bytes) = of[row];
            let mut code = from as usize;
            while code <= to as usize {
                most[code] = bytes;
                code += 1;
            }
            row += 1;
        }
        most
    };
    u32::from(MOST[op.code as usize]) + confined
}

fn round<'e>(
    most: usize,
    executable: &'e Executable,
    options: Options,
    plan: &'e Plan,
    distances: Distances<'e>,
) -> Result<Compiled, JitError> {
    let mut round = Round {
        executable,
        options,
        x: X86::with_room(executable.ops.len() * BYTES_EACH + ROOM),
        function: plan.functions.first().cloned().ok_or(JitError::TooLarge)?,
        plan,
        at: vec![0; executable.ops.len() + 1],
        functions: Vec::with_capacity(plan.functions.len()),
        jumps: Vec::new(),
        calls: Vec::new(),
        distances,
        current: 0,
        known: Known::nothing(),
        lazy: Lazy::default(),
        leave: 0,
        refill: 0,
        too_large: false,
    };
    round.x.bytes.resize(table::size(plan.functions.len()), 0);
    round.trampolines();
    round.x.align(16);
    for function in &plan.functions {
        round.function = function.clone();
        round.functions.push(round.x.here() as u32);
        round.current = round.function.start;
        round.prologue();
        let mut index = round.function.start;
        round.known = Known::nothing();
        round.lazy = Lazy::default();
        while index < round.function.end {
            round.current = index;
            round.forget_dead(index);
            if plan.is_target(index) {
                round.known = Known::nothing();
                round.settle_all();
            }
            round.at[index] = round.x.here() as u32;
            round.charge(index);
            let taken = round.operation(index);
            if let Some(cage) = options.cage {
                for op in &executable.ops[index..index + taken] {
                    round.known.learn(cage, op);
                }
            }
            index += taken;
            if round.x.here() > most {
                return Err(JitError::TooLarge);
            }
        }
    }
    round.finish(most)
}

impl Round<'_> {
    /// Writes the operation at an index; how many operations were taken.
    fn operation(&mut self, index: usize) -> usize {
        let op = self.op(index);
        if self.is_dead(index, &op) {
            return 1;
        }
        if let Some(taken) = self.fused(index) {
            return taken;
        }
        if self.postpone(&op) {
            return 1;
        }
        let op = self.with_copied(&op);
        if self.access(index, &op) {
            return 1;
        }
        self.settle_for(&op);
        if !(self.arithmetic(&op) || self.memory(&op) || self.branch(index, &op)) {
            self.control(index, &op);
        }
        1
    }

    /// Whether nobody reads what an operation computes. In a cage an access that is at fault is told
    /// of even so.
    fn is_dead(&self, index: usize, op: &Op) -> bool {
        self.options.cage.is_none()
            && is_pure(op.code)
            && self.plan.live.behind(index) & only(op.dst) == 0
    }

    /// The operation at an index.
    pub fn op(&self, index: usize) -> Op {
        self.executable.ops[index]
    }

    /// The operation that a jump at `index` leads to.
    pub fn target(&self, index: usize, op: &Op) -> usize {
        plan::target(self.executable, index, op)
    }

    /// The operation that is being written.
    pub fn current(&self) -> usize {
        self.current
    }

    /// Whether a jump leads to an operation.
    pub fn is_target(&self, index: usize) -> bool {
        self.plan.is_target(index)
    }

    /// Whether a jump from here fits in a byte, by what the round before has found. A jump back
    /// knows its distance already.
    fn short(&self, target: Target) -> bool {
        const LONGEST: i64 = 6;
        let here = self.x.here() as i64;
        let Target::Op(op) = target else { return false };
        let to = self.at[op];
        if to != 0 {
            return here + LONGEST - i64::from(to) <= 128;
        }
        match self.distances {
            Distances::Unknown => false,
            // Some bytes for what is pending, and for counting at the target.
            Distances::Estimated(sizes) => sizes[op] - sizes[self.current] <= 112,
            // Code only shrinks between the rounds, so distances do too. From the operation's start
            // it is a little farther than from the jump.
            Distances::Before(before) => {
                let from = before.ops[self.current];
                i64::from(before.ops[op]) - i64::from(from) <= 120
            }
        }
    }

    /// A jump.
    pub fn jump(&mut self, target: Target) {
        let short = self.short(target);
        let fixup = self.x.jmp(short);
        self.jumps.push((fixup, target));
    }

    /// A conditional jump.
    pub fn jump_if(&mut self, cc: Cc, target: Target) {
        let short = self.short(target);
        let fixup = self.x.jcc(cc, short);
        self.jumps.push((fixup, target));
    }

    /// A jump that is written already, to code behind the last operation.
    pub fn later(&mut self, fixup: Fixup, target: Target) {
        self.jumps.push((fixup, target));
    }

    /// A call of the function that begins at an operation.
    pub fn call_function(&mut self, op: usize) {
        let fixup = self.x.call_near();
        self.calls.push((fixup, op));
    }

    /// Writes the exits and fills in all distances.
    fn finish(mut self, most: usize) -> Result<Compiled, JitError> {
        let jumps = core::mem::take(&mut self.jumps);
        for (fixup, target) in jumps {
            let to = match target {
                Target::Op(op) => self.at[op] as usize,
                Target::Stop(kind, op) => {
                    let here = self.x.here();
                    self.stop_stub(kind, op);
                    here
                }
                Target::Fault(fault, op) => {
                    let here = self.x.here();
                    self.fault_stub(&fault, op);
                    here
                }
                Target::Refill(op, resume) => {
                    let here = self.x.here();
                    self.refill_stub(op, resume);
                    here
                }
            };
            if !self.x.fix(fixup, to) {
                return Err(JitError::TooLarge);
            }
        }
        for (fixup, op) in core::mem::take(&mut self.calls) {
            let function = self.plan.function_at(op).ok_or(JitError::TooLarge)?;
            let place = self.functions[function];
            if !self.x.fix(fixup, place as usize) {
                return Err(JitError::TooLarge);
            }
        }
        if self.too_large || self.x.here() > most {
            return Err(JitError::TooLarge);
        }
        let depths = self.plan.functions.iter().map(|f| f.depth);
        table::write(&mut self.x.bytes, self.executable, &self.functions, depths);
        Ok(Compiled {
            bytes: self.x.bytes,
            ops: self.at,
        })
    }
}
