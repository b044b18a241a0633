//! Choices that lead to the next load: which way to go on in a heap, a tree, a sorted row.
//!
//! Where what was read decides which place is looked at next, a branch that is foreseen lets the next
//! load begin before this one has ended. A conditional move makes each wait for the one before.

use alloc::{vec, vec::Vec};

use super::{
    graph::{Graph, Loop, innermost},
    ir::{Block, Func, Node, Test, Value},
};

/// Nodes that are looked at behind a test.
const STEPS_MOST: usize = 16;

/// Which values addresses of loads come from, loop by loop.
pub struct Chase {
    loops: Vec<Loop>,
    home: Vec<Block>,
    /// Values that an address of a load in the same innermost loop is computed from.
    leads: Vec<bool>,
}

impl Chase {
    pub fn new(func: &Func, graph: &Graph) -> Chase {
        let count = func.nodes.len();
        let mut home = vec![Block::ENTRY; count];
        for &block in &graph.order {
            let data = &func.blocks[block.index()];
            for &value in data.params.iter().chain(&data.insts) {
                home[value.index()] = block;
            }
        }
        let mut chase = Chase {
            loops: graph.loops(),
            home,
            leads: vec![false; count],
        };
        for at in 0..chase.loops.len() {
            chase.follow(func, graph, at);
        }
        chase
    }

    /// The function's loops, inner ones after the outer ones around them.
    pub fn loops(&self) -> &[Loop] {
        &self.loops
    }

    /// Marks what addresses in a loop are computed from, back through its rounds.
    fn follow(&mut self, func: &Func, graph: &Graph, at: usize) {
        let mut work = Vec::new();
        for &block in &self.loops[at].blocks {
            if innermost(&self.loops, block) != Some(at) {
                continue;
            }
            for &inst in &func.blocks[block.index()].insts {
                if let Node::Load(place, ..) = func.node(inst) {
                    work.push(place.base);
                }
            }
        }
        while let Some(value) = work.pop() {
            let home = self.home[value.index()];
            if self.leads[value.index()] || !self.loops[at].contains(home) {
                continue;
            }
            self.leads[value.index()] = true;
            match func.node(value) {
                Node::Param => {
                    let params = &func.blocks[home.index()].params;
                    let Some(place) = params.iter().position(|p| *p == value) else {
                        continue;
                    };
                    for pred in &graph.preds[home.index()] {
                        let edges = func.blocks[pred.index()].term.edges();
                        let into = edges.filter(|edge| edge.to == home);
                        work.extend(into.filter_map(|edge| edge.args.get(place)));
                    }
                }
                mut node if node.is_pure() => node.operands(|v| work.push(*v)),
                _ => {}
            }
        }
    }

    /// Whether a test depends on what was loaded in its loop, and one of these parameters, which it
    /// would choose, leads to a load.
    pub fn waits(&self, func: &Func, test: Test, mut params: impl Iterator<Item = Value>) -> bool {
        let leads = |v: &Value| self.leads.get(v.index()) == Some(&true);
        params.any(|param| leads(&param)) && self.was_loaded(func, test)
    }

    fn was_loaded(&self, func: &Func, test: Test) -> bool {
        let mut work = vec![test.a, test.b];
        for _ in 0..STEPS_MOST {
            let Some(value) = work.pop() else { break };
            match func.node(value) {
                Node::Load(..) => {
                    let home = self.home.get(value.index());
                    return home.is_some_and(|home| innermost(&self.loops, *home).is_some());
                }
                mut node if node.is_pure() => node.operands(|v| work.push(*v)),
                _ => {}
            }
        }
        false
    }
}
