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
        live::only,
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
    /// Where operations lie that are written; of all others how much those before them take at most,
    /// in all likelihood, where that is known.
    at: Vec<u32>,
    functions: Vec<u32>,
    jumps: Vec<(Fixup, u32)>,
    /// Jumps to code behind the last operation.
    exits: Vec<(Fixup, Target)>,
    calls: Vec<(Fixup, usize)>,
    distances: Distances<'e>,
    /// The operation that is being written, and what [`Round::at`] had for it.
    current: usize,
    expected: u32,
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

/// What may become of an operation, by its code. A table, because what comes next in a program is
/// nothing that a machine could foresee.
pub mod class {
    use crate::{jit::live::is_pure, op::Code};

    /// It does nothing but give its register another value.
    pub const PURE: u8 = 1;
    /// Rows that have a template of their own may begin with it.
    pub const ROW: u8 = 2;
    /// It may be a sum that is not written down at once.
    pub const SUM: u8 = 4;
    /// Its second operand may be a register that was copied.
    pub const BY_REGISTER: u8 = 8;
    /// A plain access, by a register that may be a sum.
    pub const ACCESS: u8 = 16;
    /// An access of any kind.
    pub const MEMORY: u8 = 32;
    /// It copies a register.
    pub const COPY: u8 = 64;
    /// Arithmetic that the machine has an instruction for.
    pub const ALU: u8 = 128;

    /// The code of sums of a class, where they have but one.
    #[inline(always)]
    pub const fn sum(class: u8) -> Option<Code> {
        match class {
            NUMBER => Some(Code::Mov64K),
            COPIES => Some(Code::Mov64X),
            ADDS => Some(Code::Add64X),
            _ => None,
        }
    }

    const NUMBER: u8 = PURE | SUM;
    const COPIES: u8 = PURE | ROW | SUM | BY_REGISTER | COPY;
    const ADDS: u8 = PURE | ROW | SUM | BY_REGISTER | ALU;

    /// What comes second in rows: a branch on zero, a shift, a mask or a sum, arithmetic.
    const ZERO: u8 = 1;
    const SHIFT: u8 = 2;
    const MORE: u8 = 4;
    const ANY: u8 = 8;
    /// What a branch may go over.
    pub const OVER: u8 = 16;

    /// What a row may go on with that begins with an operation.
    #[inline]
    pub fn first(code: Code) -> u8 {
        static FIRSTS: [u8; 256] = {
            use Code::*;
            paint(&[
                (Add64K, Sub32X, ZERO),
                (Or64K, Xor32X, ZERO),
                (Lsh64K, Lsh64K, SHIFT),
                (Lsh32K, Lsh32K, SHIFT),
                (Mov64X, Mov64X, SHIFT | MORE),
                (Mov32X, Mov32X, SHIFT | MORE),
                (Ld8, Ld64, ANY),
                (LdFrame8, LdFrame64, ANY),
            ])
        };
        FIRSTS[code as usize]
    }

    /// What an operation is as the second of a row.
    #[inline]
    pub fn second(code: Code) -> u8 {
        static SECONDS: [u8; 256] = {
            use Code::*;
            paint(&[
                (JEq64K, JNe32X, ZERO),
                (JEq64K, JSLe32X, ANY),
                (Lsh64K, Arsh32X, SHIFT),
                (Add64K, Add32X, ANY | MORE),
                (Sub64K, Sub32X, ANY),
                (Mul64K, Mul32X, ANY | MORE),
                (Or64K, Or32X, ANY),
                (And64K, And32X, ANY | MORE),
                (Xor64K, Xor32X, ANY),
                (Jump, Jump, OVER),
                (Mov64K, Mov64K, OVER),
                (Mov32K, Mov32K, OVER),
            ])
        };
        SECONDS[code as usize]
    }

    /// A table by code, from what ranges of codes have.
    const fn paint(of: &[(Code, Code, u8)]) -> [u8; 256] {
        let mut table = [0; 256];
        let mut row = 0;
        while row < of.len() {
            let (from, to, class) = of[row];
            let mut code = from as usize;
            while code <= to as usize {
                table[code] |= class;
                code += 1;
            }
            row += 1;
        }
        table
    }

    #[inline]
    pub fn of(code: Code) -> u8 {
        static CLASSES: [u8; 256] = table();
        CLASSES[code as usize]
    }

    const fn table() -> [u8; 256] {
        use Code::*;
        let mut table = paint(&[
            (Add64K, Sub32X, ROW | ALU),
            (Or64K, Xor32X, ROW | ALU),
            (Lsh64K, Lsh64K, ROW | SUM),
            (Lsh32K, Lsh32K, ROW),
            (Mov64X, Mov64X, ROW | SUM | COPY),
            (Mov32X, Mov32X, ROW | COPY),
            (Mov64K, Mov64K, SUM),
            (Add64K, Add64X, SUM),
            (Sub64K, Sub64K, SUM),
            (Ld8, Ld64, ROW),
            (LdFrame8, LdFrame64, ROW),
            (Ld8, LdS32, ACCESS),
            (St8K, St64X, ACCESS),
            (St8X, St64X, BY_REGISTER),
            (StFrame8X, StFrame64X, BY_REGISTER),
            (ArrayLookup, ArrayLookup, ACCESS),
            (Ld8, StRel64, MEMORY),
            (ArrayLookup, Cpu, MEMORY),
        ]);
        let mut code = 0;
        // Forms come in the order 64K, 64X, 32K, 32X.
        while code <= Mov32X as usize {
            if code % 2 == 1 {
                table[code] |= BY_REGISTER;
            }
            code += 1;
        }
        code = JEq64K as usize;
        while code <= JSLe32X as usize {
            let second = (code - JEq64K as usize) % 2;
            table[code] |= if second == 1 { ROW | BY_REGISTER } else { ROW };
            code += 1;
        }
        code = 0;
        while code <= Trap as usize {
            if is_pure(code as u8) {
                table[code] |= PURE;
            }
            code += 1;
        }
        table
    }
}

/// What is known of the code in front of a jump.
#[derive(Clone, Copy)]
enum Distances<'e> {
    Unknown,
    /// What [`estimates`] says.
    Estimated,
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
        at: match distances {
            Distances::Estimated => estimates(executable, &options),
            _ => vec![0; executable.ops.len() + 1],
        },
        functions: Vec::with_capacity(plan.functions.len()),
        jumps: Vec::with_capacity(executable.ops.len() / 8),
        exits: Vec::new(),
        calls: Vec::new(),
        distances,
        current: 0,
        expected: 0,
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
            round.expected = round.at[index];
            round.at[index] = round.x.here() as u32;
            if plan.counts {
                round.charge(index);
            }
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
        let class = class::of(op.code);
        if class & class::PURE != 0 && self.is_dead(index, &op) {
            return 1;
        }
        // For those that are frequent, code of their own: one jump that is not foreseen, not many.
        macro_rules! by_class {
            ($($frequent:literal)*) => {
                match class {
                    $($frequent => self.write(index, &op, $frequent),)*
                    _ => self.write(index, &op, class),
                }
            };
        }
        by_class!(1 2 5 7 9 10 32 35 40 48 51 56 79 131 135 139 143)
    }

    #[inline(always)]
    fn write(&mut self, index: usize, op: &Op, class: u8) -> usize {
        let op = *op;
        if class & class::ROW != 0
            && self.may_be_row(index, &op, class)
            && let Some(taken) = self.fused(index, &op)
        {
            return taken;
        }
        if class & class::SUM != 0 && self.postpone(&op, class::sum(class).unwrap_or(op.code)) {
            return 1;
        }
        if self.concerns_nothing_pending(&op) {
            self.template(index, &op, class);
            return 1;
        }
        let op = match class & class::BY_REGISTER {
            0 => op,
            _ => self.with_copied(&op),
        };
        if class & class::ACCESS == 0 || !self.access(index, &op) {
            self.settle_for(&op);
            self.template(index, &op, class);
        }
        1
    }

    /// Whether an operation and the next one may be the first of a row: seldom not, where it says so.
    #[inline(always)]
    fn may_be_row(&self, index: usize, op: &Op, class: u8) -> bool {
        let Some(next) = self.executable.ops.get(index + 1) else {
            return false;
        };
        if class & (class::PURE | class::MEMORY) == 0 {
            return class::second(next.code) & class::OVER != 0;
        }
        let registers = next.dst == op.dst
            || (class & class::COPY != 0 && next.dst == op.src)
            || (class & class::MEMORY != 0 && next.src == op.dst);
        registers & (class::first(op.code) & class::second(next.code) != 0)
    }

    /// Writes an operation by itself.
    #[inline(always)]
    fn template(&mut self, index: usize, op: &Op, class: u8) {
        let done = if class & class::MEMORY != 0 {
            self.memory(op)
        } else if class & class::ALU != 0 {
            self.alu_operation(op);
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

    /// Whether nobody reads what an operation computes. In a cage an access that is at fault is told
    /// of even so.
    fn is_dead(&self, index: usize, op: &Op) -> bool {
        self.options.cage.is_none() && self.plan.live.behind(index) & only(op.dst) == 0
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
        let here = self.x.here() as i64;
        let to = self.at[op];
        if op <= self.current {
            return to != 0 && here + LONGEST - i64::from(to) <= 128;
        }
        match self.distances {
            Distances::Unknown => false,
            // Some bytes for what is pending, and for counting at the target.
            Distances::Estimated => to.wrapping_sub(self.expected) <= 112,
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
