//! `docs/performance.md`, and its plot: written by a run over everything.

use std::fs;

use super::{
    bar, machine,
    measure::Effort,
    plot,
    results::{Results, summary},
};
use crate::command::root;

const DOCUMENT: &str = "docs/performance.md";
const PLOT: &str = "docs/performance.svg";

/// Writes both.
pub fn write(results: &Results, effort: Effort) -> Result<(), String> {
    put(PLOT, &plot::draw(results))?;
    put(DOCUMENT, &text(results, effort))?;
    println!("\nwritten: {DOCUMENT}, {PLOT}");
    Ok(())
}

fn put(path: &str, text: &str) -> Result<(), String> {
    fs::write(root().join(path), text).map_err(|e| format!("{path}: {e}"))
}

fn text(results: &Results, effort: Effort) -> String {
    let Effort { loads, rounds, .. } = effort;
    let facts: Vec<String> = machine::facts()
        .into_iter()
        .map(|(name, what)| format!("- {name}: {what}\n"))
        .collect();
    let remarks: Vec<String> = results
        .remarks()
        .into_iter()
        .map(|remark| format!("- {remark}\n"))
        .collect();
    format!(
        "\
# How fast programs run

    cargo xtask bench jit

measures this, and writes this file and the plot. `cargo xtask bench jit PROGRAM...` measures some
programs and prints them; `micro` and `compile` are the operations and the compilers.

![Time of each program on each engine, relative to Linux's JIT](performance.svg)

## The bar

{bar}
Means are geometric, over all programs that both sides run; `jit` is tier 1, `opt` is tier 2.

{summary}
## Machine

{facts}
## How it is measured

Each program is one C source in `bench/programs` (the firewall is the example). clang -O2 -mcpu=v3
compiles it once; Panal's engines and Linux run that object, as tc programs by test runs on the same packet.
`native` is the same source compiled by clang -O2 for x86-64 (SSE2), with array maps as arrays, in a process
of its own; programs with other maps or helpers have no native counterpart. The other runtimes know
neither `struct __sk_buff` nor maps: for them the source is compiled with whole addresses in its context,
and array maps as global data. Each is a process of its own, compiled beside the benchmark.

A program runs on every engine in turn, about 0.3 ms in a row, {rounds} rounds. Because the place of code in
memory matters, and a shared machine has slow minutes, that is done {loads} times, everything loaded anew, with
all other programs between; the least time stands in the table. What the empty program takes on the same
engine is taken off. What is less than a tenth of that is lost in it.
Every engine must give the same value; of other runtimes, a different one is shown as wrong.
Panal runs without a budget and without a cage, as Linux does; docs/cage.md has their price.

Tracing and policy programs (opensnoop, syscall_latency, guard) have no test run on Linux:
`cargo xtask bench trace` measures what they cost a command.

## Programs

Nanoseconds a run.

{table}
{remarks}
## Operations

Nanoseconds, in a program: a loop with the operation less the same loop without it.

{micro}
Hash maps have 1,024 places and keys of 4 bytes; ring buffers are emptied between rounds.

## Compilers

From a proof to sealed machine code, lowering and pages included, on generated programs with the mix of
instructions that clang gives packet programs. The compilers take turns, so that none finds its code and the
machine's forecasts as it left them; the least time of many stands here. Small programs get pages that one before
left, as soon as one did: the first of a process takes some 3 µs more. Figures of Linux are those of loading a program less what
its verifier says it took: at most what its JIT takes. Large programs are left out there: what the verifier kept
is freed after it told its time, and that takes longer than compiling. Where tier 2 has no figure, it left the
program to tier 1.

{compilers}",
        bar = bar::table(results),
        summary = summary(results),
        facts = facts.concat(),
        table = results.table(),
        remarks = remarks.concat(),
        micro = results.micro.table(),
        compilers = results.compilers.table(),
    )
}
