//! One run of a program: what travels with it through every helper.

use core::{
    ffi::c_void,
    fmt,
    mem::offset_of,
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
};

/// Why a run ended before the program returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The budget of steps is used up.
    #[error("the budget of steps is used up at slot {slot}")]
    Budget {
        /// The instruction that would have come next.
        slot: u32,
    },
    /// The time that the run had is over.
    #[error("the time budget is used up{}", At(*.slot))]
    Time {
        /// The instruction that would have come next; `None` within a helper.
        slot: Option<u32>,
    },
    /// Another thread asked for the end.
    #[error("stopped from outside{}", At(*.slot))]
    Asked {
        /// The instruction that would have come next; `None` within a helper.
        slot: Option<u32>,
    },
    /// An access outside the memory that the program may touch.
    #[error("{} of {size} bytes at {address:#x} by slot {slot}: not the program's memory", if *.write { "write" } else { "read" })]
    Fault {
        /// The instruction.
        slot: u32,
        /// Address.
        address: u64,
        /// Bytes.
        size: u32,
        /// Whether it was to be written.
        write: bool,
    },
    /// An atomic access that is not aligned.
    #[error("atomic access of {size} bytes at {address:#x} by slot {slot} is not aligned")]
    Misaligned {
        /// The instruction.
        slot: u32,
        /// Address.
        address: u64,
        /// Bytes.
        size: u32,
    },
    /// No room on the stack, or too many nested calls.
    #[error("no stack left for the call at slot {slot}")]
    Stack {
        /// The call.
        slot: u32,
    },
    /// Code that was proven dead, or that is none.
    #[error("slot {slot} was reached, which no path reaches")]
    Unreachable {
        /// The instruction.
        slot: u32,
    },
    /// A helper was to call back what is no function of the program.
    #[error("callback {0:#x} is no function of the program")]
    NoFunction(u64),
    /// A helper refused to go on: a pointer that leads out of the cage, a kernel that shuts down.
    #[error("helper: {0}")]
    Helper(&'static str),
    /// `bpf_throw` with this cookie; the program's end, in order.
    #[error("exception {0:#x}")]
    Thrown(u64),
    /// The observer (a debugger) ended it.
    #[error("stopped by the observer at slot {slot}")]
    Observer {
        /// The instruction that would have come next.
        slot: u32,
    },
}

/// What a run knows of its surroundings: programs load it, where helpers would return nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RunWord {
    /// [`Run::cpu`]
    Cpu,
    /// [`Run::pid_tgid`]
    PidTgid,
    /// [`Run::task`]
    Task,
    /// [`Run::ticks`]
    Ticks,
}

impl RunWord {
    pub(crate) const ALL: [RunWord; 4] = [
        RunWord::Cpu,
        RunWord::PidTgid,
        RunWord::Task,
        RunWord::Ticks,
    ];

    /// Where it stands in a run, and its bytes.
    pub(crate) const fn place(self) -> (usize, u8) {
        match self {
            RunWord::Cpu => (offset_of!(Run, cpu), 4),
            RunWord::PidTgid => (offset_of!(Run, pid_tgid), 8),
            RunWord::Task => (offset_of!(Run, task), 8),
            RunWord::Ticks => (offset_of!(Run, ticks), 8),
        }
    }
}

/// Where a run was when it was stopped.
struct At(Option<u32>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(slot) => write!(f, " at slot {slot}"),
            None => f.write_str(" within a helper"),
        }
    }
}

/// The engine's end of callbacks.
#[derive(Clone, Copy)]
pub(crate) struct Engine {
    /// Calls a function of the program.
    ///
    /// # Safety
    /// `state` is this engine's, `run` the run that waits for a helper.
    pub call: unsafe fn(
        state: *mut c_void,
        run: *mut Run,
        function: u64,
        args: [u64; 5],
    ) -> Result<u64, Stop>,
    pub state: *mut c_void,
    /// Looks a function up once for many calls; `None` where each call does that itself.
    ///
    /// # Safety
    /// As for `call`.
    pub ready: Option<unsafe fn(run: *mut Run, function: u64) -> Option<ReadyFunction>>,
}

/// A function of the program as machine code, and where its frame begins.
#[derive(Clone, Copy)]
pub(crate) struct ReadyFunction {
    /// Calls it with a run, a frame and arguments.
    pub enter: unsafe extern "C" fn(*mut Run, u64, *const [u64; 5], *const u8) -> u64,
    pub code: *const u8,
    /// The program's pages.
    pub machine: *const u8,
    pub frame: u64,
    pub slot: u32,
}

/// What a callback costs of the budget, besides its own loops.
pub(crate) const CALLBACK_STEPS: i64 = 8;

/// A function of the program that a helper calls again and again before it returns.
pub struct Callback {
    run: *mut Run,
    function: u64,
    ready: Option<ReadyFunction>,
}

impl Callback {
    /// Calls it; `None` when the run was stopped: the helper returns at once, with any value.
    ///
    /// # Safety
    /// The helper has not returned, and the arguments are what the verifier assumed of its callback.
    #[inline]
    pub unsafe fn call(&self, args: [u64; 5]) -> Option<u64> {
        let run = self.run;
        // SAFETY: the caller's promise: the run is live, and waits for this helper.
        unsafe {
            let Some(ready) = &self.ready else {
                return Run::call_back(run, self.function, args).ok();
            };
            // A helper's loop is a loop: its rounds count.
            if (*run).fuel < CALLBACK_STEPS
                && let Err(stop) = (*run).refill(CALLBACK_STEPS as u64, ready.slot)
            {
                (*run).stop(stop);
                return None;
            }
            (*run).fuel -= CALLBACK_STEPS;
            (*run).depth += 1;
            let exit = (*run).exit;
            let result = (ready.enter)(run, ready.frame, &raw const args, ready.code);
            // The callback's own functions have moved these.
            (*run).exit = exit;
            (*run).machine = ready.machine;
            (*run).stack_top = ready.frame;
            (*run).depth -= 1;
            (!(*run).is_stopped()).then_some(result)
        }
    }
}

/// Steps between two looks at clock and flag. A step takes a nanosecond or less, and a few hundred
/// where it misses every cache: a slice stays below a millisecond, and a look below a percent of it.
const SLICE: u64 = 8192;

/// Steps before the first look where time is limited: what a run takes until then is not counted as
/// its time, and most runs are over before.
const FIRST_SLICE: u64 = 2048;

/// The flag of a run that nobody asks for its end.
static NOBODY: AtomicU32 = AtomicU32::new(0);

/// One run of a program: made by the kernel for each event, handed to every helper.
///
/// What machine code uses most stands first, where its displacements are short.
#[repr(C)]
pub struct Run {
    /// Steps that may still be taken: operations of the lowered program, charged at every jump
    /// taken, call and return. The run stops when they are used up. While it runs, the slice under
    /// way is not among them.
    pub budget: u64,
    /// What is left of the slice; below 0 where a function charged more than there was.
    pub(crate) fuel: i64,
    /// Tail calls that may still be made (Linux: 33).
    pub tail_calls: u32,
    /// The "CPU": index of the thread that runs, for per-CPU maps.
    pub cpu: u32,
    /// Not 0 once `stop` is set: machine code looks here.
    pub(crate) stopped: u32,
    /// How deep callbacks are nested.
    pub(crate) depth: u32,
    /// Machine code: the stack pointer with which a stopped run is left.
    pub(crate) exit: u64,
    /// Machine code: start of the pages of the program that runs.
    pub(crate) machine: *const u8,
    /// Where the frame of a callback would begin, while a helper runs.
    pub(crate) stack_top: u64,
    pub(crate) cage_base: u64,
    pub(crate) cage_size: u64,
    pub(crate) stack: u64,
    pub(crate) stack_size: u64,
    /// Machine code: the context that a tail call hands on.
    pub(crate) tail_context: u64,
    /// What the kernel attached to the run: helpers cast it back.
    pub host: *mut c_void,
    /// Ids of the current task as `bpf_get_current_pid_tgid` gives them.
    pub pid_tgid: u64,
    /// What programs get as the address of the current task.
    pub task: u64,
    /// Address, in the cage, of the word in which jiffies are counted.
    pub ticks: u64,
    /// Where another thread asks for the end.
    asked: *const AtomicU32,
    /// Time that it may take, in nanoseconds, from the first look at the clock, which comes within
    /// 2048 steps; `u64::MAX` for any.
    pub time: u64,
    /// The clock of that time, in nanoseconds.
    pub clock: fn() -> u64,
    /// Time on the clock at which the run ends; `None` before the first look.
    deadline: Option<u64>,
    pub(crate) engine: Option<Engine>,
    /// Why it ended; meaningless while `stopped` is 0.
    stop: Option<Stop>,
}

impl Run {
    /// Tail calls that one run may make (`MAX_TAIL_CALL_CNT`).
    pub const TAIL_CALLS: u32 = 33;
    /// A stack that is enough for eight frames of 512 bytes and tail calls from subprograms.
    pub const STACK_SIZE: u64 = 16 << 10;

    /// A run in this cage, on this stack.
    ///
    /// # Safety
    /// While the run exists, every byte of the cage is mapped readable and writable, the stack
    /// lies in the cage, is aligned to 16, and nobody else uses it.
    #[inline]
    pub unsafe fn new(cage_base: u64, cage_size: u64, stack: u64, stack_size: u64) -> Run {
        Run {
            budget: u64::MAX,
            fuel: 0,
            tail_calls: Self::TAIL_CALLS,
            cpu: 0,
            stopped: 0,
            depth: 0,
            exit: 0,
            machine: core::ptr::null(),
            stack_top: stack + stack_size,
            cage_base,
            cage_size,
            stack,
            stack_size,
            tail_context: 0,
            host: core::ptr::null_mut(),
            pid_tgid: 0,
            task: 0,
            ticks: 0,
            asked: &raw const NOBODY,
            time: u64::MAX,
            clock: || 0,
            deadline: None,
            engine: None,
            stop: None,
        }
    }

    /// As if it had not begun, but for its budget: for another run with all that surrounds it.
    #[inline]
    pub fn again(&mut self) {
        self.tail_calls = Self::TAIL_CALLS;
        self.deadline = None;
        self.depth = 0;
    }

    /// Lowest address of the memory that programs may touch (the cage).
    #[inline(always)]
    pub fn cage_base(&self) -> u64 {
        self.cage_base
    }

    /// Bytes of the cage.
    #[inline(always)]
    pub fn cage_size(&self) -> u64 {
        self.cage_size
    }

    /// The second wall for helpers: whether `len` bytes at `address` lie in the cage.
    #[inline(always)]
    pub fn contains(&self, address: u64, len: u64) -> bool {
        let offset = address.wrapping_sub(self.cage_base);
        offset <= self.cage_size && len <= self.cage_size - offset
    }

    /// `address` as a pointer to `len` bytes, if they lie in the cage.
    #[inline(always)]
    pub fn pointer(&self, address: u64, len: u64) -> Option<NonNull<u8>> {
        if self.contains(address, len) {
            NonNull::new(address as *mut u8)
        } else {
            None
        }
    }

    /// What a word is.
    pub(crate) fn word(&self, word: RunWord) -> u64 {
        match word {
            RunWord::Cpu => self.cpu.into(),
            RunWord::PidTgid => self.pid_tgid,
            RunWord::Task => self.task,
            RunWord::Ticks => self.ticks,
        }
    }

    /// Whether it was ended.
    #[inline]
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped != 0
    }

    /// Why it was ended, if it was.
    #[inline]
    pub(crate) fn ended(&self) -> Option<Stop> {
        match self.is_stopped() {
            false => None,
            true => self.stop,
        }
    }

    /// Ends the run: what the helper returns does not matter any more.
    pub fn stop(&mut self, stop: Stop) {
        self.stop = Some(stop);
        self.stopped = 1;
    }

    /// Ends the run soon once this is not 0: another thread's way to stop it.
    ///
    /// # Safety
    /// The flag outlives the run.
    pub unsafe fn watch(&mut self, flag: *const AtomicU32) {
        self.asked = flag;
    }

    /// Why the run has to end, if it has: another thread asked for it, or its time is over. For
    /// helpers that work for long; the engines ask at the end of every slice of steps.
    fn poll(&mut self, slot: Option<u32>) -> Option<Stop> {
        if self.is_asked() {
            return Some(Stop::Asked { slot });
        }
        // Reading the clock costs more than all the rest.
        if self.time == u64::MAX {
            return None;
        }
        let now = (self.clock)();
        let deadline = self
            .deadline
            .get_or_insert_with(|| now.saturating_add(self.time));
        (now >= *deadline).then_some(Stop::Time { slot })
    }

    /// Whether another thread asked for the end.
    #[inline]
    pub(crate) fn is_asked(&self) -> bool {
        // SAFETY: ours, or as `watch` demands.
        unsafe { (*self.asked).load(Ordering::Relaxed) != 0 }
    }

    /// Whether the run has to end: says so to the engine, which ends it when the helper returns.
    pub fn interrupted(&mut self) -> bool {
        if !self.is_stopped()
            && let Some(stop) = self.poll(None)
        {
            self.stop(stop);
        }
        self.is_stopped()
    }

    /// Makes ready for an entry, with the first slice.
    #[inline]
    pub(crate) fn begin(&mut self) {
        let slice = self.budget.min(self.first_slice());
        self.begin_with(slice, self.budget - slice);
    }

    /// The same with the first slice and what comes after it; false where another thread has asked
    /// for the end, and the run gets no slice.
    #[inline]
    pub(crate) fn begin_with(&mut self, slice: u64, rest: u64) -> bool {
        self.stopped = 0;
        let asked = self.is_asked();
        (self.fuel, self.budget) = match asked {
            false => (slice as i64, rest),
            true => (0, slice + rest),
        };
        !asked
    }

    /// Steps before a run looks at clock and flag for the first time.
    #[inline]
    pub(crate) fn first_slice(&self) -> u64 {
        match self.time {
            u64::MAX => SLICE,
            _ => FIRST_SLICE,
        }
    }

    /// Steps that are left after an entry.
    #[inline]
    pub(crate) fn left(&self) -> u64 {
        self.budget.saturating_add_signed(self.fuel)
    }

    /// After an entry: what is left of the slice counts as budget again.
    #[inline]
    pub(crate) fn end(&mut self) {
        self.budget = self.left();
        self.fuel = 0;
    }

    #[inline]
    fn take_slice(&mut self, steps: u64) {
        let slice = self.budget.min(steps);
        self.budget -= slice;
        self.fuel += slice as i64;
    }

    /// Sees to it that `need` steps can be taken at `slot`, from a new slice when this one does not
    /// suffice; this is where a run learns that it has to end.
    pub(crate) fn refill(&mut self, need: u64, slot: u32) -> Result<(), Stop> {
        if let Some(stop) = self.poll(Some(slot)) {
            return Err(stop);
        }
        let need = i64::try_from(need).unwrap_or(i64::MAX);
        let lacking = need.saturating_sub(self.fuel).max(0) as u64;
        self.take_slice(lacking.max(SLICE));
        if self.fuel < need {
            self.fuel = 0;
            return Err(Stop::Budget { slot });
        }
        Ok(())
    }

    /// `bpf_throw`: the run ends in order, through the program's exception callback if it has one.
    pub fn throw(&mut self, cookie: u64) {
        self.stop(Stop::Thrown(cookie));
    }

    /// A function of the program for a helper that calls it again and again.
    ///
    /// # Safety
    /// As for [`Run::call_back`], until the helper returns.
    pub unsafe fn callback(run: *mut Run, function: u64) -> Callback {
        // SAFETY: the caller's promise.
        let ready = unsafe {
            let engine = (*run).engine;
            engine.and_then(|engine| engine.ready?(run, function))
        };
        Callback {
            run,
            function,
            ready,
        }
    }

    /// Calls a function of the program, for helpers that take callbacks. `function` is the value
    /// that the program passed.
    ///
    /// # Errors
    /// The callback was stopped: the helper returns at once, with any value.
    ///
    /// # Safety
    /// `run` is what the helper was called with; the arguments are what the verifier assumed of
    /// this helper's callback.
    pub unsafe fn call_back(run: *mut Run, function: u64, args: [u64; 5]) -> Result<u64, Stop> {
        // SAFETY: the caller's promise: the run is live. The engine's state is, as long as a
        // helper runs.
        unsafe {
            let Some(engine) = (*run).engine else {
                return Err(Stop::Helper("callback outside of a run"));
            };
            let result = (engine.call)(engine.state, run, function, args);
            if let Err(stop) = result {
                (*run).stop(stop);
            }
            result
        }
    }
}
