//! The pass over a program. Jumps ahead are short where an estimate of the code between allows it. It
//! is seldom wrong; then two more rounds follow: the first finds where everything lies when all jumps
//! are long, the second takes short jumps where the distances of the first allow it.

use alloc::{vec, vec::Vec};

use super::{
    JitError, Options,
    cage::Fault,
    class::{self, Class},
    lazy::Lazy,
    table,
    x86::{Cc, Code as X86, Fixup, Gpr},
};
use crate::{
    Executable, Few,
    jit::{
        cage::Known,
        live::Note,
        pages::ALIGNMENT,
        plan::{self, Compiled, FunctionPlan, Plan},
    },
    op::{Code, Op},
};

/// Registers of the machine that hold the program's; a power of two, so that masking keeps any number
/// inside.
const MAP: [Gpr; 16] = [
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
    TEMP2,
    TEMP2,
    TEMP2,
    TEMP2,
];
/// Free between operations, and what the lowering uses between two operations of one instruction;
/// the sixth argument of helpers.
pub const TEMP2: Gpr = Gpr::R9;

/// The machine register of a program's register.
#[inline(always)]
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
    /// Where operations lie that are written: those that jumps lead to, or all.
    at: Vec<u32>,
    functions: Few<u32>,
    jumps: Vec<(Fixup, u32)>,
    /// Jumps to code behind the last operation.
    exits: Vec<(Fixup, Target)>,
    calls: Few<(Fixup, usize)>,
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
    if let Ok(done) = new(Distances::Estimated) {
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
    /// What [`estimate`] says.
    Estimated,
    /// What the round before has found.
    Before(&'e Compiled),
}

/// The longest usual template of an operation, where nothing is confined.
#[inline]
fn estimate(op: &Op) -> usize {
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
    usize::from(MOST[op.code as usize])
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
        functions: Few::with_capacity(plan.functions.len()),
        jumps: Vec::with_capacity(executable.ops.len() / 8),
        exits: Vec::new(),
        calls: Few::new(),
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
    let all = !matches!(distances, Distances::Estimated);
    for function in &plan.functions {
        round.function = function.clone();
        // Calls are fetched in fewer pieces, and how long others are does not matter.
        round.x.align(ALIGNMENT);
        round.functions.push(round.x.here() as u32);
        round.current = round.function.start;
        round.prologue();
        let mut index = round.function.start;
        round.known = Known::nothing();
        round.lazy.forget_all();
        loop {
            index = plan.live.first_alive(index);
            if index >= round.function.end {
                break;
            }
            let note = plan.live.note(index);
            round.current = index;
            round.forget_dead(note.live());
            if note.is_target() {
                round.known = Known::nothing();
                round.settle_all();
            }
            if note.is_target() || all {
                round.at[index] = round.x.here() as u32;
            }
            if plan.counts {
                round.charge(index);
            }
            let taken = round.operation(index, note);
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
    #[inline(always)]
    fn operation(&mut self, index: usize, note: Note) -> usize {
        let op = &self.executable.ops[index];
        // For those that are frequent, code of their own: one jump that is not foreseen, not many.
        macro_rules! by_kind {
            ($($frequent:literal)*) => {
                match class::kind(op.code, note.is_dead()) {
                    $($frequent => self.write(index, op, class::FREQUENT[$frequent]),)*
                    class::DEAD.. => 1,
                    _ => self.write(index, op, class::of(op.code)),
                }
            };
        }
        by_kind!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20)
    }

    #[inline(always)]
    fn write(&mut self, index: usize, op: &Op, class: Class) -> usize {
        if class & class::ROW != 0
            && self.may_be_row(index, op, class)
            && let Some(taken) = self.fused(index, op)
        {
            return taken;
        }
        if class & class::SUM != 0 && self.postpone(op, class::sum(class).unwrap_or(op.code)) {
            return 1;
        }
        if self.concerns_nothing_pending(op, class) {
            self.template(index, op, class);
        } else if let Some(op) = self.prepared(index, op, class) {
            self.template(index, &op, class);
        }
        1
    }

    /// Makes ready for an operation that has to do with what is pending: how it is written then, if it
    /// was not already.
    #[inline(never)]
    fn prepared(&mut self, index: usize, op: &Op, class: Class) -> Option<Op> {
        let op = match class & class::BY_REGISTER {
            0 => *op,
            _ => self.with_copied(op),
        };
        if class & class::ACCESS != 0 && self.access(index, &op) {
            return None;
        }
        self.settle_for(&op);
        Some(op)
    }

    /// Whether an operation and the next one may be the first of a row: seldom not, where it says so.
    #[inline(always)]
    fn may_be_row(&self, index: usize, op: &Op, class: Class) -> bool {
        let Some(next) = self.executable.ops.get(index + 1) else {
            return false;
        };
        if class & (class::PURE | class::MEMORY) == 0 {
            return class::second(next.code) & class::OVER != 0;
        }
        let registers = (next.dst == op.dst)
            | (class & class::COPY != 0 && next.dst == op.src)
            | (class & class::MEMORY != 0 && next.src == op.dst);
        registers & (class::first(op.code) & class::second(next.code) != 0)
    }

    /// Writes an operation by itself.
    #[inline(always)]
    fn template(&mut self, index: usize, op: &Op, class: Class) {
        match class {
            class::FRAME_LOADS => return self.load_frame(op),
            class::FRAME_STORES => return self.store_frame(op),
            class::LOADS => return self.load(op),
            class::STORES => return self.store(op),
            class::BRANCHES | class::BRANCHES_BY_REGISTER => return self.conditional(index, op),
            _ => {}
        }
        let done = if class & class::MEMORY != 0 {
            self.memory(op)
        } else if class & class::ALU != 0 {
            self.alu_operation(op, class & class::BY_REGISTER != 0);
            true
        } else if class & class::SHIFT != 0 {
            self.shift_by_number(op);
            true
        } else if class & class::PRODUCT != 0 {
            self.product(op, class & class::BY_REGISTER != 0);
            true
        } else if class & class::PURE != 0 {
            self.arithmetic(op)
        } else {
            self.branch(index, op)
        };
        if !done {
            self.control(index, op);
        }
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
    fn short(&self, op: usize) -> bool {
        const LONGEST: i64 = 6;
        if op <= self.current {
            let (here, to) = (self.x.here() as i64, self.at[op]);
            return to != 0 && here + LONGEST - i64::from(to) <= 128;
        }
        match self.distances {
            Distances::Unknown => false,
            Distances::Estimated => self.is_near(op),
            // Code only shrinks between the rounds, so distances do too. From the operation's start
            // it is a little farther than from the jump.
            Distances::Before(before) => {
                let from = before.ops[self.current];
                i64::from(before.ops[op]) - i64::from(from) <= 120
            }
        }
    }

    /// Whether the operations before one ahead are in all likelihood few enough for a short jump.
    fn is_near(&self, ahead: usize) -> bool {
        // Some bytes for what is pending, and for counting at the target.
        const MOST: usize = 112;
        if ahead - self.current > MOST {
            return false;
        }
        let confined = if self.options.cage.is_some() { 20 } else { 0 };
        let mut sum = 0;
        for op in &self.executable.ops[self.current..ahead] {
            sum += estimate(op) + confined;
            if sum > MOST {
                return false;
            }
        }
        true
    }

    /// A jump.
    pub fn jump(&mut self, target: Target) {
        match target {
            Target::Op(op) => {
                let short = self.short(op);
                let fixup = self.x.jmp(short);
                self.jumps.push((fixup, op as u32));
            }
            _ => {
                let fixup = self.x.jmp(false);
                self.exits.push((fixup, target));
            }
        }
    }

    /// A conditional jump.
    #[inline(never)]
    pub fn jump_if(&mut self, cc: Cc, target: Target) {
        match target {
            Target::Op(op) => {
                let short = self.short(op);
                let fixup = self.x.jcc(cc, short);
                self.jumps.push((fixup, op as u32));
            }
            _ => {
                let fixup = self.x.jcc(cc, false);
                self.exits.push((fixup, target));
            }
        }
    }

    /// A jump that is written already, to code behind the last operation.
    pub fn later(&mut self, fixup: Fixup, target: Target) {
        self.exits.push((fixup, target));
    }

    /// A call of the function that begins at an operation.
    pub fn call_function(&mut self, op: usize) {
        let fixup = self.x.call_near();
        self.calls.push((fixup, op));
    }

    /// Writes the exits and fills in all distances.
    fn finish(mut self, most: usize) -> Result<Compiled, JitError> {
        for (fixup, target) in core::mem::take(&mut self.exits) {
            let here = self.x.here();
            let to = match target {
                Target::Op(op) => self.at[op] as usize,
                Target::Stop(kind, op) => {
                    self.stop_stub(kind, op);
                    here
                }
                Target::Fault(fault, op) => {
                    self.fault_stub(&fault, op);
                    here
                }
                Target::Refill(op, resume) => {
                    self.refill_stub(op, resume);
                    here
                }
            };
            if !self.x.fix(fixup, to) {
                return Err(JitError::TooLarge);
            }
        }
        for (fixup, op) in core::mem::take(&mut self.jumps) {
            if !self.x.fix(fixup, self.at[op as usize] as usize) {
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
