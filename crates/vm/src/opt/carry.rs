//! Choices on what a loop hands from round to round. A choice waits for both sides; where one of them
//! comes slowly from the round before and the other does not, a branch that is foreseen ends that chain,
//! and rounds overlap (`jit::carry` says the same of the templates' conditional moves).

use alloc::vec::Vec;

use super::{
    graph::{Graph, Loop, innermost},
    ir::{Bin, Block, Func, Node, Value},
};
use crate::jit::carry::{DIVIDE, LOAD, MULTIPLY, SLOW};

/// Blocks of the largest loop that is looked at, and values on the way back from one.
const BLOCKS_MOST: usize = 32;
const VALUES_MOST: usize = 96;

/// Cycles from operands to a node's value.
fn latency(node: &Node) -> u8 {
    match node {
        Node::Bin(Bin::Mul, ..) => MULTIPLY,
        Node::Bin(Bin::MulHigh, ..) => MULTIPLY + 1,
        Node::Bin(Bin::UDiv | Bin::SDiv | Bin::UMod | Bin::SMod, ..) => DIVIDE,
        Node::Load(..) => LOAD,
        _ => 1,
    }
}

/// Whether parameter `index` of `to`, which is one of two values depending on how `block` branches, ends
/// a slow chain by one of them.
pub fn ends_slow_chain(
    func: &Func,
    graph: &Graph,
    loops: &[Loop],
    block: Block,
    (to, index): (Block, usize),
    sides: [Value; 2],
) -> bool {
    let Some(around) = innermost(loops, block).map(|at| &loops[at]) else {
        return false;
    };
    if around.blocks.len() > BLOCKS_MOST || !around.contains(to) {
        return false;
    }
    let chosen = func.blocks[to.index()].params[index];
    let carried = func.blocks[around.head.index()].params.iter().enumerate();
    carried.into_iter().any(|(number, &param)| {
        let way = |from, to| Ways::new(func, graph, around, from).to(to);
        let [one, other] = sides.map(|side| way(param, side));
        let slow = match (one, other) {
            (Some(cycles), None) | (None, Some(cycles)) => cycles >= SLOW,
            _ => false,
        };
        let comes_back = || match to == around.head {
            true => number == index,
            false => backs(func, graph, around, number).any(|back| way(chosen, back).is_some()),
        };
        slow && comes_back()
    })
}

/// What the ways back of a loop hand to a parameter of its head.
fn backs<'f>(
    func: &'f Func,
    graph: &'f Graph,
    around: &'f Loop,
    number: usize,
) -> impl Iterator<Item = Value> + 'f {
    let latches = graph.preds[around.head.index()].iter();
    let inside = latches.filter(|&&latch| around.contains(latch));
    inside.flat_map(move |latch| {
        let edges = func.blocks[latch.index()].term.edges();
        let back = edges.filter(|edge| edge.to == around.head);
        back.map(move |edge| edge.args[number])
    })
}

/// The longest ways from a value within a round of a loop.
struct Ways<'f> {
    func: &'f Func,
    graph: &'f Graph,
    around: &'f Loop,
    from: Value,
    /// Values that were looked at: their cycles.
    seen: Vec<(Value, Option<u8>)>,
}

impl<'f> Ways<'f> {
    fn new(func: &'f Func, graph: &'f Graph, around: &'f Loop, from: Value) -> Self {
        Ways {
            func,
            graph,
            around,
            from,
            seen: Vec::new(),
        }
    }

    /// Cycles from it to another value; `None` where that has nothing to do with it, or is too far.
    fn to(&mut self, value: Value) -> Option<u8> {
        if value == self.from {
            return Some(0);
        }
        if let Some((_, cycles)) = self.seen.iter().find(|(seen, _)| *seen == value) {
            return *cycles;
        }
        if self.seen.len() == VALUES_MOST {
            return None;
        }
        let place = self.seen.len();
        self.seen.push((value, None));
        let mut node = self.func.node(value);
        let cycles = match node {
            Node::Param => self.through(value),
            _ => {
                let mut operands = Vec::new();
                node.operands(|operand| operands.push(*operand));
                let longest = operands.into_iter().filter_map(|v| self.to(v)).max();
                longest.map(|cycles| cycles.saturating_add(latency(&node)))
            }
        };
        self.seen[place].1 = cycles;
        cycles
    }

    /// The same to a parameter of a block of the loop other than its head.
    fn through(&mut self, param: Value) -> Option<u8> {
        let (func, graph, around) = (self.func, self.graph, self.around);
        let place = around.blocks.iter().find_map(|&block| {
            let params = &func.blocks[block.index()].params;
            Some((block, params.iter().position(|p| *p == param)?))
        });
        let (block, number) = place.filter(|(block, _)| *block != around.head)?;
        let inside = graph.preds[block.index()].iter();
        let mut longest = None;
        for pred in inside.filter(|&&pred| around.contains(pred)) {
            for edge in func.blocks[pred.index()].term.edges() {
                if edge.to == block {
                    longest = longest.max(self.to(edge.args[number]));
                }
            }
        }
        longest
    }
}
