//! What machine code calls, and what calls machine code.

use core::{ffi::c_void, ptr};

use super::table;
use crate::{
    Run, Stop, TailCallFn,
    run::{CALLBACK_STEPS, Engine, ReadyFunction},
};

/// The trampoline at the start of every program's code: enters a function of any program.
type Entry = unsafe extern "C" fn(
    run: *mut Run,
    frame: u64,
    args: *const [u64; 5],
    function: *const u8,
) -> u64;

/// How deep helpers may call back into machine code.
const MAX_DEPTH: u32 = 16;

/// Runs a function of the compiled program whose pages begin at `base`.
///
/// # Safety
/// `base` is the start of a compiled program's pages, which live as long as the run; `run` is live
/// and was made as [`Run::new`] demands; `frame` lies on its stack.
pub(crate) unsafe fn enter(
    base: *const u8,
    index: u32,
    run: *mut Run,
    frame: u64,
    args: [u64; 5],
) -> Result<u64, Stop> {
    // SAFETY: the caller's promise. The trampoline's type is `Entry`.
    unsafe {
        let Some(function) = table::function(base, index) else {
            return Err(Stop::NoFunction(u64::from(index)));
        };
        if frame.wrapping_sub((*run).stack) < function.stack {
            return Err(Stop::Stack {
                slot: function.slot,
            });
        }
        let engine = (*run).engine.replace(ENGINE);
        let machine = core::mem::replace(&mut (*run).machine, base);
        let exit = (*run).exit;
        let trampoline = core::mem::transmute::<*const u8, Entry>(table::trampoline(base));
        let result = trampoline(run, frame, &raw const args, function.code);
        (*run).exit = exit;
        (*run).engine = engine;
        (*run).machine = machine;
        match (*run).ended() {
            Some(stop) => Err(stop),
            None => Ok(result),
        }
    }
}

/// Callbacks from what machine code calls.
const ENGINE: Engine = Engine {
    call: call_back,
    state: ptr::null_mut(),
    ready: Some(ready),
};

/// A compiled program's main function and a run that has room for it, made ready.
#[derive(Debug)]
pub(crate) struct Main {
    base: *const u8,
    /// The trampoline for whole runs where there is one, otherwise the function.
    way: *const u8,
    frame: u64,
}

#[cfg(target_arch = "x86_64")]
type MainEntry = unsafe extern "C" fn(run: *mut Run, context: u64, frame: u64) -> u64;

impl Main {
    /// Makes ready; `None` where the run has not enough stack.
    ///
    /// # Safety
    /// `base` is the start of a compiled program's pages.
    pub unsafe fn new(base: *const u8, run: &mut Run) -> Option<Main> {
        // SAFETY: the caller's promise.
        let function = unsafe { table::function(base, 0) }?;
        if run.stack_size < function.stack {
            return None;
        }
        run.engine = Some(ENGINE);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller's promise.
        let way = unsafe { table::main_trampoline(base) };
        #[cfg(not(target_arch = "x86_64"))]
        let way = function.code;
        Some(Main {
            base,
            way,
            frame: run.stack + run.stack_size,
        })
    }

    /// Runs it; why it ended before its end stands in the run.
    ///
    /// # Safety
    /// As for [`enter`]; the run is the one that it was made ready with.
    #[inline]
    pub unsafe fn enter(&self, run: *mut Run, context: u64) -> u64 {
        // SAFETY: the caller's promise; the trampolines' types are these.
        unsafe {
            (*run).machine = self.base;
            #[cfg(target_arch = "x86_64")]
            {
                let trampoline = core::mem::transmute::<*const u8, MainEntry>(self.way);
                trampoline(run, context, self.frame)
            }
            #[cfg(not(target_arch = "x86_64"))]
            {
                let trampoline = table::trampoline(self.base);
                let trampoline = core::mem::transmute::<*const u8, Entry>(trampoline);
                let args = [context, 0, 0, 0, 0];
                trampoline(run, self.frame, &raw const args, self.way)
            }
        }
    }
}

/// Looks up a function that a helper is to call; `None` where it cannot be called: [`call_back`] says
/// why.
///
/// # Safety
/// `run` is the run that waits for the helper: its `machine` is the program's code.
unsafe fn ready(run: *mut Run, function: u64) -> Option<ReadyFunction> {
    // SAFETY: the caller's promise. The trampoline's type is `Entry`.
    unsafe {
        let machine = (*run).machine;
        let index = u32::try_from(function.checked_sub(1)?).ok()?;
        let table::Function { code, stack, slot } = table::function(machine, index)?;
        let frame = (*run).stack_top;
        if (*run).depth >= MAX_DEPTH || frame.wrapping_sub((*run).stack) < stack {
            return None;
        }
        Some(ReadyFunction {
            enter: core::mem::transmute::<*const u8, Entry>(table::trampoline(machine)),
            code,
            machine,
            frame,
            slot,
        })
    }
}

/// Calls a function of the program for a helper, once.
///
/// # Safety
/// As for [`ready`].
unsafe fn call_back(
    _state: *mut c_void,
    run: *mut Run,
    function: u64,
    args: [u64; 5],
) -> Result<u64, Stop> {
    // SAFETY: the caller's promise.
    unsafe {
        let index = function.checked_sub(1).and_then(|i| u32::try_from(i).ok());
        let found = index.and_then(|i| Some((i, table::function((*run).machine, i)?.slot)));
        let (index, slot) = found.ok_or(Stop::NoFunction(function))?;
        if (*run).depth >= MAX_DEPTH {
            return Err(Stop::Stack { slot });
        }
        // A helper's loop is a loop: its rounds count.
        if (*run).fuel < CALLBACK_STEPS {
            (*run).refill(CALLBACK_STEPS as u64, slot)?;
        }
        (*run).fuel -= CALLBACK_STEPS;
        (*run).depth += 1;
        let frame = (*run).stack_top;
        let result = enter((*run).machine, index, run, frame, args);
        // The callback's own functions have moved it.
        (*run).stack_top = frame;
        (*run).depth -= 1;
        result
    }
}

/// Where a tail call leads: code, or null when there is no target.
///
/// # Safety
/// Called by machine code: `run` is its run, `find` the [`TailCallFn`] of the operation.
pub(crate) unsafe extern "C" fn tail_target(
    ctx: u64,
    map: u64,
    index: u64,
    run: *mut Run,
    find: u64,
    frame: u64,
) -> *const u8 {
    // SAFETY: the caller's promise; the finder returns an executable that outlives the run.
    unsafe {
        if (*run).tail_calls == 0 {
            return ptr::null();
        }
        let find = core::mem::transmute::<usize, TailCallFn>(find as usize);
        let Some(target) = find(ctx, map, index, run).as_ref() else {
            return ptr::null();
        };
        let main = target
            .machine
            .as_ref()
            .and_then(|m| table::function(m.base(), 0));
        let Some(main) = main else {
            (*run).stop(Stop::Helper(
                "a tail call leads to a program without machine code",
            ));
            return ptr::null();
        };
        if frame.wrapping_sub((*run).stack) < main.stack {
            (*run).stop(Stop::Stack { slot: main.slot });
            return ptr::null();
        }
        (*run).tail_calls -= 1;
        (*run).tail_context = ctx;
        main.code
    }
}

/// More budget at a slot; the run is stopped when there is none.
///
/// # Safety
/// Called by machine code with its run, whose fuel is below 0: it was charged already.
pub(crate) unsafe extern "C" fn refill(run: *mut Run, slot: u32) {
    // SAFETY: the caller's promise.
    let run = unsafe { &mut *run };
    if let Err(stop) = run.refill(0, slot) {
        run.stop(stop);
    }
}

/// Ends a run because of an access.
pub(crate) type Stopper = unsafe extern "C" fn(*mut Run, u64, u32, u32, u32);

/// # Safety
/// Called by machine code with its run.
pub(crate) unsafe extern "C" fn stop_fault(
    run: *mut Run,
    address: u64,
    slot: u32,
    size: u32,
    write: u32,
) {
    let stop = Stop::Fault {
        slot,
        address,
        size,
        write: write != 0,
    };
    // SAFETY: the caller's promise.
    unsafe { (*run).stop(stop) }
}

/// # Safety
/// Called by machine code with its run.
pub(crate) unsafe extern "C" fn stop_misaligned(
    run: *mut Run,
    address: u64,
    slot: u32,
    size: u32,
    _write: u32,
) {
    let stop = Stop::Misaligned {
        slot,
        address,
        size,
    };
    // SAFETY: the caller's promise.
    unsafe { (*run).stop(stop) }
}

/// # Safety
/// Called by machine code with its run.
pub(crate) unsafe extern "C" fn stop_stack(run: *mut Run, slot: u32) {
    // SAFETY: the caller's promise.
    unsafe { (*run).stop(Stop::Stack { slot }) }
}

/// # Safety
/// Called by machine code with its run.
pub(crate) unsafe extern "C" fn stop_unreachable(run: *mut Run, slot: u32) {
    // SAFETY: the caller's promise.
    unsafe { (*run).stop(Stop::Unreachable { slot }) }
}
