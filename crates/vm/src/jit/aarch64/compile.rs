//! The pass over a program. Twice: the first round finds where everything lies when all conditional
//! branches go over a long one, the second takes near ones where the distances of the first allow it.

use alloc::{vec, vec::Vec};

use super::{
    Gates,
    a64::{self, Alu, Code as A64, Fixup, Gpr, If, W},
    cage::Fault,
    table,
};
use crate::{
    Executable,
    jit::{
        JitError, Options,
        cage::Known,
        plan::{self, Compiled, FunctionPlan, Plan},
    },
    op::Op,
};

/// Registers of the machine that hold the program's.
const MAP: [Gpr; 12] = [
    Gpr(7),
    Gpr(0),
    Gpr(1),
    Gpr(2),
    Gpr(3),
    Gpr(4),
    Gpr(19),
    Gpr(20),
    Gpr(21),
    Gpr(22),
    FRAME,
    Gpr(6),
];
/// The run.
pub const RUN: Gpr = Gpr(23);
/// What is left of the run's budget; in the run while the kernel's functions are called.
pub const BUDGET: Gpr = Gpr(24);
/// The program's frame pointer.
pub const FRAME: Gpr = Gpr(25);
/// The first address of the cage, where there is one.
pub const CAGE: Gpr = Gpr(26);
/// Free between operations.
pub const TEMPS: [Gpr; 4] = [Gpr(9), Gpr(10), Gpr(11), Gpr(12)];
/// The first of them.
pub const TEMP: Gpr = TEMPS[0];
/// Holds what an instruction has no room for.
pub const SPARE: Gpr = Gpr(17);
/// The address of what is called.
pub const CALLEE: Gpr = Gpr(16);

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
    pub gates: &'e Gates,
    pub x: A64,
    pub function: FunctionPlan,
    pub plan: &'e Plan,
    /// Where operations lie: so far in this round.
    at: Vec<u32>,
    functions: Vec<u32>,
    jumps: Vec<(Fixup, Target)>,
    calls: Vec<(Fixup, usize)>,
    /// What the round before has found.
    before: Option<&'e Compiled>,
    /// The operation that is being written.
    current: usize,
    /// What is known of the registers in front of the operation.
    pub known: Known,
    /// Offset of the code that leaves a stopped run.
    pub leave: usize,
    /// Offset of the code that asks for more budget.
    pub refill: usize,
    /// Set when some distance does not fit.
    pub too_large: bool,
}

/// Most bytes of code: what a branch reaches.
const MOST: usize = a64::FAR as usize;

/// Compiles all functions.
///
/// # Errors
/// The code is larger than a branch reaches.
pub fn compile(
    executable: &Executable,
    options: Options,
    gates: &Gates,
) -> Result<Vec<u8>, JitError> {
    compile_within(MOST, executable, options, gates)
}

/// The same, with code of at most so many bytes. What is larger is given up on the way there.
pub fn compile_within(
    most: usize,
    executable: &Executable,
    options: Options,
    gates: &Gates,
) -> Result<Vec<u8>, JitError> {
    let plan = Plan::new(executable, &options);
    let new = |before| round(most, executable, options, gates, &plan, before);
    let first = new(None)?;
    Ok(new(Some(&first))?.bytes)
}

fn round<'e>(
    most: usize,
    executable: &'e Executable,
    options: Options,
    gates: &'e Gates,
    plan: &'e Plan,
    before: Option<&'e Compiled>,
) -> Result<Compiled, JitError> {
    let mut round = Round {
        executable,
        options,
        gates,
        x: A64::default(),
        function: plan.functions.first().cloned().ok_or(JitError::TooLarge)?,
        plan,
        at: vec![0; executable.ops.len() + 1],
        functions: Vec::with_capacity(plan.functions.len()),
        jumps: Vec::new(),
        calls: Vec::new(),
        before,
        current: 0,
        known: Known::nothing(),
        leave: 0,
        refill: 0,
        too_large: false,
    };
    round.x.bytes.resize(table::size(plan.functions.len()), 0);
    round.trampoline();
    for function in &plan.functions {
        round.function = function.clone();
        round.functions.push(round.x.here() as u32);
        round.current = round.function.start;
        round.prologue();
        round.known = Known::nothing();
        for index in round.function.start..round.function.end {
            round.current = index;
            round.at[index] = round.x.here() as u32;
            if plan.is_target(index) {
                round.known = Known::nothing();
            }
            round.charge(index);
            round.operation(index);
            if let Some(cage) = options.cage {
                round.known.learn(cage, &executable.ops[index]);
            }
            if round.x.here() > most {
                return Err(JitError::TooLarge);
            }
        }
    }
    round.finish(most)
}

impl Round<'_> {
    /// Writes the operation at an index.
    fn operation(&mut self, index: usize) {
        let op = self.executable.ops[index];
        if !(self.arithmetic(&op) || self.memory(&op) || self.jumps(index, &op)) {
            self.control(index, &op);
        }
    }

    /// The operation that a jump at `index` leads to.
    pub fn target(&self, index: usize, op: &Op) -> usize {
        plan::target(self.executable, index, op)
    }

    /// The operation that is being written.
    pub fn current(&self) -> usize {
        self.current
    }

    /// `d = n op imm`
    pub fn alu_imm(&mut self, w: W, op: Alu, d: Gpr, n: Gpr, imm: u64) {
        if !self.x.alu_imm(w, op, d, n, imm) {
            self.x.mov_imm(SPARE, w.cut(imm));
            self.x.alu(w, op, d, n, SPARE);
        }
    }

    /// `d = n + off`
    pub fn add(&mut self, d: Gpr, (n, off): (Gpr, i32)) {
        if off == 0 {
            self.x.mov(W::Q, d, n);
        } else {
            self.alu_imm(W::Q, Alu::Add, d, n, i64::from(off) as u64);
        }
    }

    /// Whether a conditional branch from here is near, by what the round before has found. A branch
    /// back knows its distance already.
    fn is_near(&self, target: Target) -> bool {
        /// Bytes that a prologue or a template may have before its branch.
        const ROOM: i64 = 512;
        let Some(before) = self.before else {
            return false;
        };
        // Code only shrinks between the rounds, so distances do too.
        let from = i64::from(before.ops[self.current]);
        let distance = match target {
            Target::Op(op) if self.at[op] != 0 => self.x.here() as i64 - i64::from(self.at[op]),
            Target::Op(op) => i64::from(before.ops[op]) - from,
            _ => before.bytes.len() as i64 - from,
        };
        distance < a64::NEAR - ROOM
    }

    /// A branch.
    pub fn jump(&mut self, target: Target) {
        let fixup = self.x.branch();
        self.jumps.push((fixup, target));
    }

    /// A conditional branch.
    pub fn jump_if(&mut self, condition: If, target: Target) {
        let near = self.is_near(target);
        let fixup = self.x.branch_if(condition, near);
        self.jumps.push((fixup, target));
    }

    /// A conditional branch to where more budget is asked for; it comes back behind it.
    pub fn refill_if(&mut self, condition: If) {
        let op = self.current;
        let near = self.is_near(Target::Refill(op, 0));
        let fixup = self.x.branch_if(condition, near);
        self.jumps.push((fixup, Target::Refill(op, self.x.here())));
    }

    /// A branch to code that is written already.
    pub fn back(&mut self, fixup: Fixup, target: usize) {
        let near = self.x.fix(fixup, target);
        self.too_large |= !near;
    }

    /// A conditional branch to code that is written already.
    pub fn back_if(&mut self, condition: If, target: usize) {
        let near = ((self.x.here() - target) as i64) < a64::NEAR;
        let fixup = self.x.branch_if(condition, near);
        self.back(fixup, target);
    }

    /// A call of the function that begins at an operation.
    pub fn call_function(&mut self, op: usize) {
        let fixup = self.x.branch_link();
        self.calls.push((fixup, op));
    }

    /// Writes the exits and fills in all distances.
    fn finish(mut self, most: usize) -> Result<Compiled, JitError> {
        for (fixup, target) in core::mem::take(&mut self.jumps) {
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
            self.back(fixup, to);
        }
        for (fixup, op) in core::mem::take(&mut self.calls) {
            let function = self.plan.function_at(op).ok_or(JitError::TooLarge)?;
            let place = self.functions[function];
            self.back(fixup, place as usize);
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
