//! What happens around instructions: faults, budgets, callbacks, tail calls, exceptions, guards.

mod common;

use std::sync::atomic::{AtomicPtr, Ordering};

use common::{Home, Nothing};
use panal_isa::assemble::assemble;
use panal_vm::{
    Attempt, Caged, Executable, HelperFn, Linkage, Observer, Outcome, Regions, Run, Step, Stop,
    Strict, TailCallFn, Unobserved,
};

fn lower(text: &str, linkage: &dyn Linkage) -> Executable {
    lower_for(text, linkage, false)
}

/// With machine code by the optimiser, or by the templates.
fn lower_for(text: &str, linkage: &dyn Linkage, optimise: bool) -> Executable {
    let slots = assemble(text, &mut ()).unwrap().slots;
    // SAFETY: the helpers of these tests stand any argument.
    let mut executable = unsafe { Executable::from_unproven("test", &slots, linkage) }.unwrap();
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]
    {
        // SAFETY: where the program's own accesses are at fault, only the interpreter and caged
        // machine code run it.
        unsafe { executable.trust() };
        let options = panal_vm::JitOptions {
            optimise,
            ..panal_vm::JitOptions::host()
        };
        executable.compile(options).expect("executable memory");
        if cfg!(target_arch = "x86_64") {
            let recursion = Some("functions that call themselves are not optimised");
            let why = executable.not_optimised();
            assert!(why.is_none() || why == recursion, "{text}: {why:?}");
        }
    }
    let _ = optimise;
    executable
}

/// Interprets, and holds machine code to the same outcome: with a cage to the very same, without one
/// unless the program's own accesses are at fault, as it trusts the proof.
fn run(text: &str) -> Outcome {
    let home = Home::new();
    let program = lower(text, &Helpers);
    let outcome = program.run(&mut home.run(), 0);
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]
    assert_eq!(caged(text, &home).run_compiled(&mut home.run(), 0), outcome);
    let trusted = !matches!(outcome, Err(Stop::Fault { .. } | Stop::Misaligned { .. }));
    if trusted
        && cfg!(all(
            any(target_arch = "x86_64", target_arch = "aarch64"),
            unix
        ))
    {
        compiled_agrees(&program, &home, outcome);
        compiled_agrees(&lower_for(text, &Helpers, true), &home, outcome);
    }
    outcome
}

#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]
fn caged(text: &str, home: &Home) -> Executable {
    let mut program = lower(text, &Helpers);
    let options = panal_vm::JitOptions {
        cage: home.shape(),
        ..panal_vm::JitOptions::host()
    };
    program.compile(options).expect("executable memory");
    program
}

#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]
fn compiled_agrees(program: &Executable, home: &Home, interpreted: Outcome) {
    let compiled = program.run_compiled(&mut home.run(), 0);
    let kind = |o: &Outcome| o.map_err(|stop| std::mem::discriminant(&stop));
    assert_eq!(
        kind(&compiled),
        kind(&interpreted),
        "{compiled:?}, interpreted {interpreted:?}"
    );
}

/// Helpers of these tests, by number.
struct Helpers;

/// 1: calls back `r1` times the function in `r2` with the count and `r3`; the sum of its answers.
unsafe extern "C" fn repeat(
    count: u64,
    function: u64,
    extra: u64,
    _: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    let mut sum = 0u64;
    for i in 0..count {
        // SAFETY: `run` is the run that calls.
        match unsafe { Run::call_back(run, function, [i, extra, 0, 0, 0]) } {
            Ok(value) => sum = sum.wrapping_add(value),
            Err(_) => return 0,
        }
    }
    sum
}

/// 2: throws `r1`.
unsafe extern "C" fn throw(cookie: u64, _: u64, _: u64, _: u64, _: u64, run: *mut Run) -> u64 {
    // SAFETY: `run` is the run that calls.
    unsafe { (*run).throw(cookie) };
    0
}

/// What tail calls lead to.
static TARGET: AtomicPtr<Executable> = AtomicPtr::new(std::ptr::null_mut());

unsafe extern "C" fn find(_: u64, _: u64, index: u64, _: *mut Run) -> *const Executable {
    if index == 0 {
        TARGET.load(Ordering::SeqCst)
    } else {
        std::ptr::null()
    }
}

impl Linkage for Helpers {
    fn helper(&self, id: u32) -> Option<HelperFn> {
        match id {
            1 => Some(repeat),
            2 => Some(throw),
            _ => None,
        }
    }
    fn tail_call(&self) -> Option<TailCallFn> {
        Some(find)
    }
}

#[test]
fn wild_accesses_fault_and_tell_where() {
    for address in ["0", "-1", "0xffff800000000000", "0x7fffffffffff", "4096"] {
        for (access, size, write) in [
            ("r0 = *(u64 *)(r1 + 0)", 8, false),
            ("w0 = *(u8 *)(r1 + 0)", 1, false),
            ("*(u32 *)(r1 + 0) = 1", 4, true),
            ("*(u16 *)(r1 + 0) = w2", 2, true),
            ("lock *(u64 *)(r1 + 0) += r2", 8, true),
            ("r0 = load_acquire((u64 *)(r1 + 0))", 8, false),
            ("store_release((u32 *)(r1 + 0), w2)", 4, true),
        ] {
            let outcome = run(&format!("r1 = {address} ll\n{access}\nr0 = 0\nexit"));
            let Err(Stop::Fault {
                slot: 2,
                size: s,
                write: w,
                ..
            }) = outcome
            else {
                panic!("{address} {access}: {outcome:?}")
            };
            assert_eq!((s, w), (size, write), "{address} {access}");
        }
    }
}

#[test]
fn the_cage_ends_where_it_ends() {
    let home = Home::new();
    let end = home.cage.base() + home.cage.size();
    let read = |address: u64| {
        let program = lower("r0 = *(u64 *)(r1 + 0)\nexit", &Nothing);
        program.run(&mut home.run(), address)
    };
    assert_eq!(read(end - 8), Ok(0));
    assert!(matches!(read(end - 7), Err(Stop::Fault { .. })));
    assert!(matches!(read(end), Err(Stop::Fault { .. })));
    assert_eq!(read(home.cage.base()), Ok(0));
    assert!(matches!(
        read(home.cage.base() - 1),
        Err(Stop::Fault { .. })
    ));
}

#[test]
fn frame_offsets_beyond_the_frame_are_checked_accesses() {
    // Far below the frame, but in the cage: harmless. Above the stack's end: in the cage too.
    assert!(matches!(
        run("*(u64 *)(r10 - 4096) = 1\nr0 = *(u64 *)(r10 - 4096)\nexit"),
        Ok(1)
    ));
    // Out of a cage whose stack is at its very start there is nothing.
    assert!(run("r0 = *(u64 *)(r10 + 0)\nexit").is_ok());
}

#[test]
fn misaligned_atomics_stop() {
    let outcome = run("r2 = 1\nlock *(u64 *)(r10 - 12) += r2\nr0 = 0\nexit");
    assert!(
        matches!(
            outcome,
            Err(Stop::Misaligned {
                slot: 1,
                size: 8,
                ..
            })
        ),
        "{outcome:?}"
    );
}

#[test]
fn budgets_end_loops_calls_and_callbacks() {
    let home = Home::new();
    for text in [
        "again: goto again",
        "again: r0 = 1\nif r0 == 1 goto again\nexit",
        "r1 = -1\nr2 = subprog[callback] ll\ncall 1\nexit\ncallback:\nr0 = 0\nexit",
        "again: call f\ngoto again\nexit\nf:\nr0 = 0\nexit",
    ] {
        let mut state = home.run();
        state.budget = 10_000;
        let outcome = lower(text, &Helpers).run(&mut state, 0);
        assert!(
            matches!(outcome, Err(Stop::Budget { .. })),
            "{text}: {outcome:?}"
        );
        #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]
        for optimise in [false, true] {
            state.budget = 10_000;
            let outcome = lower_for(text, &Helpers, optimise).run_compiled(&mut state, 0);
            let stopped = matches!(outcome, Err(Stop::Budget { .. }));
            assert!(stopped, "machine code, {text}: {outcome:?}");
        }
    }
}

#[test]
fn a_budget_that_suffices_is_charged_exactly() {
    let home = Home::new();
    let program = lower(
        "r0 = 0\nr1 = 100\nagain:\nr0 += r1\nr1 -= 1\nif r1 != 0 goto again\nexit",
        &Nothing,
    );
    let steps = 2 + 3 * 100 + 1;
    let mut state = home.run();
    state.budget = steps;
    assert_eq!(program.run(&mut state, 0), Ok(5050));
    assert_eq!(state.budget, 0);
    state.budget = steps - 1;
    assert!(matches!(
        program.run(&mut state, 0),
        Err(Stop::Budget { .. })
    ));
}

#[test]
fn endless_recursion_stops() {
    let outcome = run("call f\nexit\nf:\ncall f\nexit");
    assert!(matches!(outcome, Err(Stop::Stack { .. })), "{outcome:?}");
    let text =
        "r1 = 1\nr2 = subprog[f] ll\ncall 1\nexit\nf:\nr1 = 1\nr2 = subprog[f] ll\ncall 1\nexit";
    let outcome = run(text);
    assert!(matches!(outcome, Err(Stop::Stack { .. })), "{outcome:?}");
}

#[test]
fn falling_off_the_end_stops() {
    assert!(matches!(run("r0 = 0"), Err(Stop::Unreachable { .. })));
    assert!(matches!(
        run("goto +100\nexit"),
        Err(Stop::Unreachable { .. })
    ));
    assert!(matches!(
        run("goto -100\nexit"),
        Err(Stop::Unreachable { .. })
    ));
}

#[test]
fn callbacks_have_frames_of_their_own() {
    let text = "
        *(u64 *)(r10 - 8) = 1000
        r6 = 7
        r1 = 5
        r2 = subprog[callback] ll
        r3 = r10
        r3 += -8
        call 1
        r1 = *(u64 *)(r10 - 8)
        r0 += r1
        r0 += r6
        exit
    callback:
        *(u64 *)(r10 - 8) = 77
        r6 = 99
        r3 = *(u64 *)(r2 + 0)
        r3 += 1
        *(u64 *)(r2 + 0) = r3
        r0 = r1
        exit";
    assert_eq!(run(text), Ok(10 + 1005 + 7));
}

#[test]
fn a_callback_that_faults_ends_the_run() {
    let text =
        "r1 = 5\nr2 = subprog[f] ll\ncall 1\nr0 = 1\nexit\nf:\nr1 = 0\nr0 = *(u8 *)(r1 + 0)\nexit";
    let outcome = run(text);
    assert!(
        matches!(outcome, Err(Stop::Fault { slot: 7, .. })),
        "{outcome:?}"
    );
    let outcome = run("r1 = 1\nr2 = 12345\ncall 1\nr0 = 1\nexit");
    assert_eq!(outcome, Err(Stop::NoFunction(12345)));
}

#[test]
fn exceptions_unwind_everything() {
    assert_eq!(
        run("call f\nr0 = 1\nexit\nf:\nr1 = 42\ncall 2\nr0 = 2\nexit"),
        Ok(42)
    );
    let text =
        "r1 = 5\nr2 = subprog[f] ll\ncall 1\nr0 = 1\nexit\nf:\nr1 += 40\ncall 2\nr0 = 0\nexit";
    assert_eq!(run(text), Ok(40));
}

#[test]
fn tail_calls_replace_the_frame_and_are_counted() {
    // Each combination of templates and optimiser: what one calls, the other may have compiled.
    for (target, caller) in [(false, false), (true, true), (false, true), (true, false)] {
        tail_calls(target, caller);
    }
}

/// Leaks its target: a static one could not be compiled both ways.
fn tail_calls(optimise_target: bool, optimise_caller: bool) {
    let home = Home::new();
    // Counts its own runs in the context, calls itself, and falls through at the limit.
    let program: &Executable = Box::leak(Box::new(lower_for(
        "r6 = *(u64 *)(r1 + 0)\nr6 += 1\n*(u64 *)(r1 + 0) = r6\nr2 = 0\nr3 = 0\ncall 12\nr0 = r6\nexit",
        &Helpers,
        optimise_target,
    )));
    TARGET.store(std::ptr::from_ref(program).cast_mut(), Ordering::SeqCst);
    let context = home.cage.allocate(64, 8).unwrap();
    let mut state = home.run();
    assert_eq!(program.run(&mut state, context.address()), Ok(34));
    // From a subprogram, the target's return value goes to the caller.
    let context = home.cage.allocate(64, 8).unwrap();
    let outer = lower_for(
        "r7 = 1000\ncall f\nr0 += r7\nexit\nf:\nr2 = 0\nr3 = 0\ncall 12\nr0 = 0\nexit",
        &Helpers,
        optimise_caller,
    );
    assert_eq!(outer.run(&mut home.run(), context.address()), Ok(1000 + 33));
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]
    {
        let context = home.cage.allocate(64, 8).unwrap();
        assert_eq!(
            program.run_compiled(&mut home.run(), context.address()),
            Ok(34)
        );
        let context = home.cage.allocate(64, 8).unwrap();
        let outcome = outer.run_compiled(&mut home.run(), context.address());
        assert_eq!(outcome, Ok(1000 + 33));
    }
    // An index that leads nowhere falls through.
    let missing = lower_for(
        "r2 = 0\nr3 = 1\ncall 12\nr0 = 5\nexit",
        &Helpers,
        optimise_caller,
    );
    assert_eq!(missing.run(&mut home.run(), 0), Ok(5));
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]
    assert_eq!(missing.run_compiled(&mut home.run(), 0), Ok(5));
}

#[test]
fn missing_helpers_are_named() {
    for (id, name) in [(77, "bpf_rc_repeat (#77)"), (25_000, "helper #25000")] {
        let slots = assemble(&format!("call 2\ncall {id}\nexit"), &mut ())
            .unwrap()
            .slots;
        // SAFETY: as above.
        let error = unsafe { Executable::from_unproven("test", &slots, &Helpers) }.unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("slot 1 calls ") && text.contains(name),
            "{text}"
        );
    }
}

struct Trace(Vec<(u32, u64, u32)>, usize);

impl Observer for Trace {
    fn step(&mut self, step: &Step<'_>) -> bool {
        self.0.push((step.slot, step.registers[0], step.frame));
        self.0.len() < self.1
    }
}

#[test]
fn observers_see_every_step_and_can_stop() {
    let home = Home::new();
    let program = lower("r0 = 1\ncall f\nr0 += 1\nexit\nf:\nr0 = 5\nexit", &Nothing);
    let mut trace = Trace(Vec::new(), usize::MAX);
    let outcome = program.run_with(&mut home.run(), [0; 5], &mut Caged, &mut trace);
    assert_eq!(outcome, Ok(6));
    let expected = [
        (0, 0, 0),
        (1, 1, 0),
        (4, 1, 1),
        (5, 5, 1),
        (2, 5, 0),
        (3, 6, 0),
    ];
    assert_eq!(trace.0, expected);
    let mut trace = Trace(Vec::new(), 3);
    let outcome = program.run_with(&mut home.run(), [0; 5], &mut Caged, &mut trace);
    assert_eq!(outcome, Err(Stop::Observer { slot: 4 }));
}

/// One object.
struct Object(u64, u64);

impl Regions for Object {
    fn holds(&mut self, access: &Attempt) -> bool {
        access.address >= self.0 && access.address + u64::from(access.size) <= self.0 + self.1
    }
}

#[test]
fn strict_runs_stop_at_the_objects_edge() {
    let home = Home::new();
    let object = home.cage.allocate(64, 8).unwrap();
    let strict = |text: &str| {
        let mut guard = Strict(Object(object.address(), 24));
        let args = [object.address(), 0, 0, 0, 0];
        lower(text, &Nothing).run_with(&mut home.run(), args, &mut guard, &mut Unobserved)
    };
    assert_eq!(strict("r0 = *(u64 *)(r1 + 16)\nexit"), Ok(0));
    assert!(matches!(
        strict("r0 = *(u64 *)(r1 + 17)\nexit"),
        Err(Stop::Fault { .. })
    ));
    assert!(matches!(
        strict("*(u8 *)(r1 + 24) = 1\nr0 = 0\nexit"),
        Err(Stop::Fault { .. })
    ));
    assert_eq!(
        strict("r2 = r10\nr2 += -512\n*(u8 *)(r2 + 0) = 1\nr0 = 0\nexit"),
        Ok(0)
    );
    assert!(matches!(
        strict("r2 = r10\nr2 += -513\n*(u8 *)(r2 + 0) = 1\nr0 = 0\nexit"),
        Err(Stop::Fault { .. })
    ));
}
