//! A program that can be run.

use alloc::{boxed::Box, string::String, vec::Vec};

use crate::{
    Caged, Guard, IndexedValues, Observer, Run, Stop, Unobserved,
    interpreter::{self, Entry},
    jit::{self, JitError, Machine, Options, aarch64::Gates, runtime::Main},
    key::Key,
    op::Op,
};

/// How a run ended: the program's return value, or why it was stopped.
pub type Outcome = Result<u64, Stop>;

/// A function of the lowered program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its first operation.
    pub start: u32,
    /// Its first slot.
    pub slot: u32,
    /// Bytes of its frame, a multiple of 16.
    pub frame: u32,
}

/// A lowered program: operations whose every register, jump target, frame offset and function is
/// known to be right. Only the lowering makes it.
#[derive(Debug)]
pub struct Executable {
    pub(crate) name: String,
    /// Never empty; the last one is a trap.
    pub(crate) ops: Box<[Op]>,
    /// Slot of each operation.
    pub(crate) slots: Box<[u32]>,
    /// The first is the main program.
    pub(crate) functions: Box<[Function]>,
    pub(crate) arrays: Box<[IndexedValues]>,
    /// Calls of `bpf_loop` whose callback is known, in order: operation, index of the function.
    pub(crate) loops: Box<[(u32, u32)]>,
    /// Calls whose key machine code may pass by value, in order.
    pub(crate) keys: Box<[Key]>,
    /// Index of the function that `bpf_throw` ends in.
    pub(crate) exception: Option<u32>,
    /// Whether it comes from a proof: only then may machine code trust it.
    pub(crate) proven: bool,
    /// More steps than a run takes, where the proof knows.
    pub(crate) longest_run: Option<u64>,
    /// Its machine code, once it was compiled.
    pub(crate) machine: Option<Machine>,
}

impl Executable {
    /// The program's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key that the call at an operation may get by value.
    pub(crate) fn key_at(&self, index: usize) -> Option<&Key> {
        let found = self
            .keys
            .binary_search_by_key(&(index as u32), |key| key.op);
        Some(&self.keys[found.ok()?])
    }

    /// How many operations it has.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether it has no operation but the trap at the end.
    pub fn is_empty(&self) -> bool {
        self.ops.len() <= 1
    }

    /// Stack that its main program needs at least, in bytes.
    pub fn main_frame(&self) -> u32 {
        self.functions.first().map_or(0, |f| f.frame)
    }

    /// Runs it with the address of its context. Every access is confined to the run's cage.
    pub fn run(&self, run: &mut Run, context: u64) -> Outcome {
        self.run_with(run, [context, 0, 0, 0, 0], &mut Caged, &mut Unobserved)
    }

    /// Runs it with these arguments under a guard and an observer of one's own.
    pub fn run_with<G: Guard, O: Observer>(
        &self,
        run: &mut Run,
        args: [u64; 5],
        guard: &mut G,
        observer: &mut O,
    ) -> Outcome {
        let outcome = self.enter(0, run, args, guard, observer);
        let Err(Stop::Thrown(cookie)) = outcome else {
            return outcome;
        };
        match self.exception {
            Some(function) => self.enter(function, run, [cookie, 0, 0, 0, 0], guard, observer),
            None => Ok(cookie),
        }
    }

    /// Compiles it to machine code, for [`Executable::run_compiled`].
    ///
    /// # Errors
    /// The code is too large, the system gives no executable memory, there are no templates for this
    /// CPU, or nobody proved the program and there is no cage: the interpreter remains.
    pub fn compile(&mut self, options: Options) -> Result<(), JitError> {
        if !self.proven && options.cage.is_none() {
            return Err(JitError::Unproven);
        }
        self.machine = Some(jit::compile(self, options)?);
        Ok(())
    }

    /// Why the templates compiled it though the optimiser was asked to.
    pub fn not_optimised(&self) -> Option<&str> {
        self.machine.as_ref()?.not_optimised()
    }

    /// The machine code of aarch64, made on any host, for a process with these functions; it begins
    /// at a page's start.
    ///
    /// # Errors
    /// As for [`Executable::compile`].
    pub fn compile_for_aarch64(
        &self,
        options: Options,
        gates: &Gates,
    ) -> Result<Vec<u8>, JitError> {
        if !self.proven && options.cage.is_none() {
            return Err(JitError::Unproven);
        }
        jit::aarch64::compile(self, options, gates)
    }

    /// Lets it be compiled without a cage though nobody proved it.
    ///
    /// # Safety
    /// The program stays within its memory, whatever it is run on: what a proof would show.
    pub unsafe fn trust(&mut self) {
        self.proven = true;
    }

    /// Bytes of its machine code; `None` when it was not compiled.
    pub fn machine_code_len(&self) -> Option<usize> {
        self.machine.as_ref().map(Machine::len)
    }

    /// Its machine code; `None` when it was not compiled.
    pub fn machine_code(&self) -> Option<&[u8]> {
        self.machine.as_ref().map(Machine::bytes)
    }

    /// Runs its machine code, or interprets it when it has none, or none for this run's cage.
    /// Without a cage machine code trusts the proof and compares no address.
    pub fn run_compiled(&self, run: &mut Run, context: u64) -> Outcome {
        self.run_compiled_with(run, [context, 0, 0, 0, 0])
    }

    /// The same with five arguments.
    pub fn run_compiled_with(&self, run: &mut Run, args: [u64; 5]) -> Outcome {
        let machine = match &self.machine {
            Some(machine) if machine.fits(run) => machine,
            _ => return self.run_with(run, args, &mut Caged, &mut Unobserved),
        };
        match (enter_machine(machine, 0, run, args), self.exception) {
            (Err(Stop::Thrown(cookie)), Some(function)) => {
                enter_machine(machine, function, run, [cookie, 0, 0, 0, 0])
            }
            (Err(Stop::Thrown(cookie)), None) => Ok(cookie),
            (outcome, _) => outcome,
        }
    }

    /// Makes its machine code ready to run again and again, with so many steps each time; `None` where it has none for this run, and
    /// [`Executable::run_compiled`] interprets it, or has not enough stack.
    #[inline]
    pub fn ready<'r>(&'r self, run: &'r mut Run, steps: u64) -> Option<Ready<'r>> {
        let main = self.machine.as_ref()?.main(run)?;
        Some(Ready {
            executable: self,
            main,
            slice: steps.min(run.first_slice()),
            rest: steps.saturating_sub(run.first_slice()),
            run,
        })
    }

    /// Runs one of its functions by the value that the program handed to a helper: timers and
    /// other callbacks that outlive the run in which they were set.
    ///
    /// # Errors
    /// [`Stop::NoFunction`] when `function` is no such value, otherwise as a run.
    pub fn run_function(&self, run: &mut Run, function: u64, args: [u64; 5]) -> Outcome {
        let index = self.function(function).ok_or(Stop::NoFunction(function))?;
        self.enter(index, run, args, &mut Caged, &mut Unobserved)
    }

    fn enter<G: Guard, O: Observer>(
        &self,
        function: u32,
        run: &mut Run,
        args: [u64; 5],
        guard: &mut G,
        observer: &mut O,
    ) -> Outcome {
        run.begin();
        let entry = Entry {
            function,
            frame: run.stack + run.stack_size,
            args,
        };
        // SAFETY: whoever made the run promised its cage and stack; the entry is one of our
        // functions, or the interpreter refuses it.
        let outcome = unsafe { interpreter::interpret(self, entry, run, guard, observer) };
        run.end();
        outcome
    }

    /// The value that stands for a function in the program's registers.
    pub(crate) fn function_value(index: u32) -> u64 {
        u64::from(index) + 1
    }

    /// The function that a value stands for.
    pub(crate) fn function(&self, value: u64) -> Option<u32> {
        let index = u32::try_from(value.checked_sub(1)?).ok()?;
        self.functions.get(index as usize).map(|_| index)
    }
}

/// Machine code and a run, made ready: each run of it costs little more than the code.
pub struct Ready<'r> {
    executable: &'r Executable,
    main: Main,
    run: &'r mut Run,
    /// Steps of a run's first slice, and those after it.
    slice: u64,
    rest: u64,
}

impl Ready<'_> {
    /// Runs it as if it were the first time; `None` when it was stopped, for the reason in `why`.
    /// An [`Outcome`] is too large to be handed around so often.
    #[inline]
    pub fn run(&mut self, context: u64, why: &mut Option<Stop>) -> Option<u64> {
        let run = &mut *self.run;
        run.again();
        if !run.begin_with(self.slice, self.rest) {
            // Code that counts nothing does not ask either.
            return ended(self.executable, run, Some(Stop::Asked { slot: None }), why);
        }
        // SAFETY: whoever made the run promised its cage and stack; the code was compiled from a
        // proof, or confines itself to this run's cage, which `Machine::main` compared.
        let value = unsafe { self.main.enter(run, context) };
        match run.is_stopped() {
            false => Some(value),
            true => {
                let stop = run.ended();
                ended(self.executable, run, stop, why)
            }
        }
    }

    /// Steps that are left of those of the last run.
    #[inline]
    pub fn left(&self) -> u64 {
        self.run.left()
    }
}

/// The end of a run that was stopped: an exception's is in order.
#[cold]
#[inline(never)]
fn ended(
    executable: &Executable,
    run: &mut Run,
    stop: Option<Stop>,
    why: &mut Option<Stop>,
) -> Option<u64> {
    *why = stop;
    let Some(Stop::Thrown(cookie)) = stop else {
        return None;
    };
    let machine = executable.machine.as_ref();
    let (Some(function), Some(machine)) = (executable.exception, machine) else {
        return Some(cookie);
    };
    run.end();
    let outcome = enter_machine(machine, function, run, [cookie, 0, 0, 0, 0]);
    *why = outcome.err();
    outcome.ok()
}

/// Enters a function of compiled code that fits the run.
fn enter_machine(machine: &Machine, function: u32, run: &mut Run, args: [u64; 5]) -> Outcome {
    run.begin();
    // Code that counts nothing does not ask either.
    if run.is_asked() {
        return Err(Stop::Asked { slot: None });
    }
    let frame = run.stack + run.stack_size;
    // SAFETY: whoever made the run promised its cage and stack; the code was compiled from a proof,
    // or confines itself to this run's cage.
    let outcome = unsafe { machine.enter(function, run, frame, args) };
    run.end();
    outcome
}
