//! Machine code for aarch64, made here and run by an emulated CPU: the cases of every instruction,
//! what happens around them, and random programs end as the interpreter says.

mod common;

#[path = "aarch64/emulator.rs"]
mod emulator;
#[path = "aarch64/machine.rs"]
mod machine;
#[path = "aarch64/random.rs"]
mod random;

use common::{
    Home,
    cases::{cases, slots},
};
use emulator::Emulator;
use machine::{Job, SETTINGS, Setting, interpret, run};
use panal_isa::{Slot, assemble::assemble};

/// The emulated CPU, where it is installed.
fn machine() -> Option<Emulator> {
    machine::emulator()
        .inspect_err(|why| println!("skipped: {why}"))
        .ok()
}

/// Holds programs to the ends of interpreted ones.
fn compare(machine: &Emulator, names: &[String], jobs: &[Job<'_>], settings: &[Setting]) {
    let home = Home::new();
    let expected: Vec<_> = jobs
        .iter()
        .map(|job| interpret(&home, job.slots, job.budget, job.tail))
        .collect();
    let mut wrong = Vec::new();
    for &setting in settings {
        let ends = run(machine, &home, jobs, setting);
        assert_eq!(ends.len(), jobs.len(), "a program ended the emulator");
        for ((name, expected), end) in names.iter().zip(&expected).zip(ends) {
            if end != *expected {
                wrong.push(format!(
                    "{name} ({setting:?}): {end}, interpreted {expected}"
                ));
            }
        }
    }
    let few = wrong.get(..20).unwrap_or(&wrong).join("\n");
    assert!(wrong.is_empty(), "{} wrong:\n{few}", wrong.len());
}

fn assembled(text: &str) -> Vec<Slot> {
    let program = assemble(text, &mut ());
    program.unwrap_or_else(|e| panic!("{e}:\n{text}")).slots
}

#[test]
fn every_instruction_does_what_the_rfc_says() {
    let Some(machine) = machine() else { return };
    let home = Home::new();
    let cases = cases();
    let programs: Vec<_> = cases.iter().map(|case| slots(case, &case.text)).collect();
    let jobs: Vec<Job<'_>> = programs.iter().map(|slots| Job::of(slots)).collect();
    for setting in SETTINGS {
        let ends = run(&machine, &home, &jobs, setting);
        assert_eq!(ends.len(), cases.len(), "a case ended the emulator");
        let wrong: Vec<String> = cases
            .iter()
            .zip(ends)
            .filter(|(case, end)| end.value() != Some(case.expected))
            .map(|(case, end)| format!("{}: {end}, expected {:#x}", case.name, case.expected))
            .collect();
        assert!(wrong.is_empty(), "{setting:?}:\n{}", wrong.join("\n"));
    }
}

#[test]
fn random_programs_end_as_interpreted() {
    let Some(machine) = machine() else { return };
    let texts: Vec<String> = (0..1000).map(random::program).collect();
    let programs: Vec<_> = texts.iter().map(|text| assembled(text)).collect();
    let jobs: Vec<Job<'_>> = programs.iter().map(|slots| Job::of(slots)).collect();
    compare(&machine, &texts, &jobs, &SETTINGS);
}

/// What goes on around instructions, and stops runs.
const AROUND: &[&str] = &[
    // Code that no path reaches.
    "r0 = 0",
    "goto +100\nexit",
    // No stack left, by calls and by callbacks within callbacks.
    "call f\nexit\nf:\ncall f\nexit",
    "r1 = 1\nr2 = subprog[f] ll\ncall 1\nexit\nf:\nr1 = 1\nr2 = subprog[f] ll\ncall 1\nexit",
    // Callbacks: frames of their own, registers of the caller, functions that are none.
    "*(u64 *)(r10 - 8) = 1000\nr6 = 7\nr1 = 5\nr2 = subprog[f] ll\nr3 = r10\nr3 += -8\ncall 1\n\
     r1 = *(u64 *)(r10 - 8)\nr0 += r1\nr0 += r6\nexit\n\
     f:\n*(u64 *)(r10 - 8) = 77\nr6 = 99\nr3 = *(u64 *)(r2 + 0)\nr3 += 1\n\
     *(u64 *)(r2 + 0) = r3\nr0 = r1\nexit",
    "r1 = 1\nr2 = 12345\ncall 1\nr0 = 1\nexit",
    // Registers that calls keep.
    "r6 = 1\nr7 = 2\nr8 = 3\nr9 = 4\ncall f\nr0 = r6\nr0 *= 10\nr0 += r7\nr0 *= 10\nr0 += r8\nr0 *= 10\n\
     r0 += r9\nexit\nf:\nr6 = 5\nr7 = 6\nr8 = 7\nr9 = 8\nr0 = 0\nexit",
    // A loop that ends by itself in the end, in each frame anew.
    "r6 = 0\nagain:\nr6 += 1\nmay_goto out\ngoto again\nout:\nr0 = r6\nexit",
];

#[test]
fn calls_and_stops_are_the_interpreters() {
    let Some(machine) = machine() else { return };
    let names: Vec<String> = AROUND.iter().map(|text| (*text).to_owned()).collect();
    let programs: Vec<_> = AROUND.iter().map(|text| assembled(text)).collect();
    let jobs: Vec<Job<'_>> = programs.iter().map(|slots| Job::of(slots)).collect();
    compare(&machine, &names, &jobs, &SETTINGS);
}

#[test]
fn budgets_end_loops_calls_and_callbacks() {
    let Some(machine) = machine() else { return };
    let texts = [
        "again: goto again",
        "again: r0 = 1\nif r0 == 1 goto again\nexit",
        "r1 = -1\nr2 = subprog[callback] ll\ncall 1\nexit\ncallback:\nr0 = 0\nexit",
        "again: call f\ngoto again\nexit\nf:\nr0 = 0\nexit",
        "again: may_goto out\nr0 = 0\ngoto again\nout:\ngoto again\nexit",
        // Enough for what is done.
        "r0 = 0\nr1 = 5000\nagain:\nr0 += r1\nr1 -= 1\nif r1 != 0 goto again\nexit",
    ]
    .map(str::to_owned);
    let programs: Vec<_> = texts.iter().map(|text| assembled(text)).collect();
    for budget in [20_000, 1_000_000] {
        let jobs = programs.iter().map(|slots| Job {
            budget,
            ..Job::of(slots)
        });
        let jobs: Vec<Job<'_>> = jobs.collect();
        let counting: Vec<Setting> = SETTINGS.into_iter().filter(|s| s.budget).collect();
        compare(&machine, &texts, &jobs, &counting);
    }
}

#[test]
fn tail_calls_replace_the_frame_and_are_counted() {
    let Some(machine) = machine() else { return };
    // Counts its own runs in the memory, calls itself, and falls through at the limit.
    let itself = "r6 = *(u64 *)(r1 + 0)\nr6 += 1\n*(u64 *)(r1 + 0) = r6\nr2 = 0\nr3 = 0\ncall 12\n\
                  r0 = r6\nexit";
    let texts = [
        itself,
        // From a function, the target's value goes to the caller, whose registers are kept.
        "r7 = 1000\ncall f\nr0 += r7\nexit\nf:\nr7 = 5\nr2 = 0\nr3 = 0\ncall 12\nr0 = 0\nexit",
        // To nowhere.
        "r2 = 0\nr3 = 1\ncall 12\nr0 += 5\nexit",
    ]
    .map(str::to_owned);
    let target = assembled(itself);
    let programs: Vec<_> = texts.iter().map(|text| assembled(text)).collect();
    let jobs = programs.iter().map(|slots| Job {
        tail: Some(&target),
        ..Job::of(slots)
    });
    let jobs: Vec<Job<'_>> = jobs.collect();
    compare(&machine, &texts, &jobs, &SETTINGS);
}

#[test]
fn wild_accesses_stay_in_the_cage() {
    let Some(machine) = machine() else { return };
    let mut texts = Vec::new();
    for address in ["0", "-1", "0xffff800000000000", "0x7fffffffffff", "4096"] {
        for access in [
            "r0 = *(u64 *)(r1 + 0)",
            "w0 = *(u8 *)(r1 + 0)",
            "r0 = *(s16 *)(r1 + 32767)",
            "*(u32 *)(r1 - 32768) = 1",
            "*(u16 *)(r1 + 0) = w2",
            "lock *(u64 *)(r1 + 0) += r2",
            "r0 = load_acquire((u64 *)(r1 + 0))",
            "store_release((u32 *)(r1 + 0), w2)",
        ] {
            texts.push(format!("r1 = {address} ll\n{access}\nr0 = 0\nexit"));
        }
    }
    for misaligned in [
        "lock *(u64 *)(r10 - 12) += r2",
        "lock *(u32 *)(r10 - 3) += w2",
        "r0 = load_acquire((u16 *)(r10 - 3))",
        "store_release((u64 *)(r9 + 4), r2)",
        // Far from where it was compared.
        "r9 += 0x1000000\nr0 = *(u64 *)(r9 + 0)\nr9 += 0x3080000\nr0 = *(u64 *)(r9 + 0)",
        // From a callback.
        "r1 = 5\nr2 = subprog[f] ll\ncall 1\nr0 = 1\nexit\nf:\nr1 = 0\nr0 = *(u8 *)(r1 + 0)",
    ] {
        texts.push(format!("r9 = r1\nr2 = 0\nr0 = 0\n{misaligned}\nexit"));
    }
    let programs: Vec<_> = texts.iter().map(|text| assembled(text)).collect();
    let jobs: Vec<Job<'_>> = programs.iter().map(|slots| Job::of(slots)).collect();
    let caged: Vec<Setting> = SETTINGS.into_iter().filter(|s| s.cage).collect();
    compare(&machine, &texts, &jobs, &caged);
}

/// Conditional branches reach a mebibyte: farther ones go over another branch.
#[test]
fn branches_lead_over_megabytes_of_code() {
    let Some(machine) = machine() else { return };
    let row = "r0 += 1\nr0 *= 3\n".repeat(200_000);
    let atomics = "r1 = atomic_fetch_add((u64 *)(r9 + 8), r1)\n".repeat(32_700);
    let texts = [
        // As far as a condition can lead, forward and back.
        format!("r9 = r1\nr1 = 1\nr0 = 1\nif r0 == 1 goto out\n{atomics}r0 = 2\nout:\nexit"),
        format!("r9 = r1\nr1 = 1\nr0 = 1\nif r0 != 1 goto out\n{atomics}r0 = 2\nout:\nexit"),
        format!(
            "r9 = r1\nr1 = 1\nr6 = 0\nagain:\nr6 += 1\n{atomics}if r6 < 4 goto again\nr0 = r1\nexit"
        ),
        // Loops whose budget is asked for far behind them, calls over all.
        format!(
            "r0 = 1\nr6 = 0\nagain:\nr6 += 1\ncall f\n{row}if r6 < 3 goto over\ngotol out\n\
             over:\ngotol again\nout:\nexit\nf:\nr0 += 7\nexit"
        ),
    ];
    let names: Vec<String> = (0..texts.len()).map(|n| format!("text {n}")).collect();
    let programs: Vec<_> = texts.iter().map(|text| assembled(text)).collect();
    let jobs = programs.iter().map(|slots| Job {
        budget: 3_000_000,
        ..Job::of(slots)
    });
    let jobs: Vec<Job<'_>> = jobs.collect();
    compare(&machine, &names, &jobs, &SETTINGS);
}
