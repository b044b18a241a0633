//! The optimiser: tier 2. From the lowered operations of a proven program through single
//! assignment to machine code for x86-64.
//!
//! | module | what it does |
//! |---|---|
//! | `plan`, `cut`, `build` | operations to single assignment; small functions into their callers |
//! | `rewrite`, `fold`, `known` | simplification, common values, decided branches, known bits |
//! | `promote` | places of the frame to values |
//! | `widen` | neighbouring bytes read at once |
//! | `branchless`, `carry`, `chase` | small branches to choices, but on slow chains from round to round, and for those that lead to the next load |
//! | `unroll` | several rounds of counted loops at once |
//! | `chain` | rows of sums and products from one round of a loop to the next |
//! | `hold`, `sink` | wide constants in registers; counters' steps behind what reads the old number |
//! | `select`, `machine` | instructions for values |
//! | `allocate`, `early` | order of blocks, registers; copies of a way back before its branch |
//! | `emit` | bytes |
//!
//! Memory that others see (maps, arenas) is read and written as often and in the order that the
//! program says: what was `volatile` for the compiler does not show in its output.

mod allocate;
mod branchless;
mod build;
mod carry;
mod chain;
mod chase;
mod cut;
mod early;
mod emit;
mod fold;
mod graph;
mod hold;
mod ir;
mod known;
mod machine;
mod plan;
mod promote;
mod rewrite;
mod select;
mod sink;
mod unroll;
mod widen;

use alloc::{vec, vec::Vec};
use core::fmt;

use crate::{
    Executable,
    jit::{Options, plan::Plan as Counts},
    op::Code,
};

use allocate::Listing;
use emit::{Body, Outline};
use graph::Graph;
use ir::{Func, Node};
use machine::{Inst, VOLATILE};

/// Why the optimiser does not take a program: the templates do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// An operation that it does not know.
    Operation(Code),
    /// A call that leads to no function.
    Calls,
    /// Functions that call themselves.
    Recursion,
    /// A function that is too long to be worth the time, or code that is too large for jumps.
    TooLarge,
    /// No registers were found.
    Registers,
    /// A cage: the templates confine accesses.
    Cage,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Operation(code) => write!(f, "the optimiser does not know {code:?}"),
            Why::Calls => f.write_str("a call leads to no function"),
            Why::Recursion => f.write_str("functions that call themselves are not optimised"),
            Why::TooLarge => f.write_str("the program is too large to be optimised"),
            Why::Registers => f.write_str("no registers were found"),
            Why::Cage => f.write_str("accesses are confined by the templates only"),
        }
    }
}

/// Registers that functions may use freely, without a budget.
const FREE: u16 = VOLATILE;

/// Machine code of a program.
pub fn compile(executable: &Executable, options: Options) -> Result<Vec<u8>, Why> {
    if options.cage.is_some() {
        return Err(Why::Cage);
    }
    let counts = Counts::new(executable, &options);
    // What the proof shows to end soon counts nothing.
    let options = Options {
        budget: counts.counts,
        ..options
    };
    let plan = plan::Plan::new(executable, &counts)?;
    let count = executable.functions.len();
    let mut outlines = vec![Outline::default(); count];
    let mut bodies = Vec::with_capacity(count);
    for &index in &plan.order {
        let mut func = build::build(executable, &plan, &counts, index)?;
        optimise(&mut func);
        let (body, outline) = finish(func, options, index, &outlines)?;
        bodies.push(body);
        outlines[index] = outline;
    }
    emit::write(executable, options, &plan, &outlines, &bodies)
}

/// The passes.
fn optimise(func: &mut Func) {
    rewrite::run(func);
    promote::run(func);
    rewrite::run(func);
    if widen::run(func) {
        rewrite::run(func);
    }
    branchless::merge(func);
    if branchless::run(func) {
        branchless::merge(func);
    }
    rewrite::run(func);
    if unroll::run(func) {
        rewrite::run(func);
        branchless::merge(func);
        rewrite::run(func);
    }
    chain::run(func);
    rewrite::run(func);
    hold::run(func);
    sink::run(func);
}

/// From values to registers.
fn finish(
    mut func: Func,
    options: Options,
    index: usize,
    outlines: &[Outline],
) -> Result<(Body, Outline), Why> {
    allocate::split_edges(&mut func);
    let graph = Graph::new(&func);
    let order = allocate::layout(&func, &graph);
    let takes: Vec<[bool; 5]> = outlines.iter().map(|o| o.takes).collect();
    let machine = select::Machine { bmi2: options.bmi2 };
    let (blocks, regs) = select::select(&func, &graph, machine, &takes);
    let mut outline = outline(&func, &graph, outlines);
    if let Some(Inst::Args(args)) = blocks[0].insts.first() {
        outline.takes = args.map(|arg| arg.is_some());
    }
    let local = |callee: u32| outlines[callee as usize].written;
    let heads = heads(&graph, &order);
    let listing = Listing::new(blocks, &order, regs, local);
    let mut free = FREE;
    if options.budget {
        free &= !(1 << crate::jit::convention::BUDGET as u8);
    }
    let saved = emit::saved_set();
    let mut allocated = allocate::allocate(listing, free, saved)?;
    early::run(&mut allocated, |inst| inst.clobbers(local));
    outline.written = allocated.written & !saved;
    let body = Body {
        index,
        allocated,
        heads,
    };
    Ok((body, outline))
}

/// Which of the blocks in order are heads of loops without loops inside.
fn heads(graph: &Graph, order: &[ir::Block]) -> Vec<bool> {
    let loops = graph.loops();
    let place = |block: ir::Block| order.iter().position(|b| *b == block);
    let inner = |block: ir::Block| {
        loops.iter().any(|one| {
            one.blocks.iter().copied().min_by_key(|b| place(*b)) == Some(block)
                && !loops
                    .iter()
                    .any(|other| other.head != one.head && one.contains(other.head))
        })
    };
    order.iter().map(|block| inner(*block)).collect()
}

fn outline(func: &Func, graph: &Graph, outlines: &[Outline]) -> Outline {
    let mut outline = Outline::default();
    for &block in &graph.order {
        for &inst in &func.blocks[block.index()].insts {
            match func.nodes[inst.index()] {
                Node::Frame(_) => outline.frames = true,
                Node::Call(ir::Callee::Local(callee), _) => {
                    let callee = &outlines[callee as usize];
                    outline.frames |= callee.frames;
                }
                Node::Call(..) => {
                    outline.frames = true;
                }
                _ => {}
            }
        }
    }
    outline
}
