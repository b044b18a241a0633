//! Order, dominators and loops of a function's blocks.

use alloc::{vec, vec::Vec};

use super::ir::{Block, Func};

const NONE: u32 = u32::MAX;

/// What is known of the blocks that can be reached.
pub struct Graph {
    /// Predecessors before successors, but for the way back of loops.
    pub order: Vec<Block>,
    /// Predecessors that can be reached, one for each edge.
    pub preds: Vec<Vec<Block>>,
    /// Place in the order.
    number: Vec<u32>,
    /// Immediate dominator.
    idom: Vec<u32>,
    /// Entry and exit times of a walk through the tree of dominators.
    time: Vec<(u32, u32)>,
}

impl Graph {
    pub fn new(func: &Func) -> Graph {
        let count = func.blocks.len();
        let mut graph = Graph {
            order: Vec::with_capacity(count),
            preds: vec![Vec::new(); count],
            number: vec![NONE; count],
            idom: vec![NONE; count],
            time: vec![(0, 0); count],
        };
        graph.walk(func);
        for &block in &graph.order {
            for edge in func.blocks[block.index()].term.edges() {
                graph.preds[edge.to.index()].push(block);
            }
        }
        graph.dominators();
        graph.times();
        graph
    }

    fn walk(&mut self, func: &Func) {
        let mut seen = vec![false; func.blocks.len()];
        seen[0] = true;
        let mut stack = vec![(Block::ENTRY, 0)];
        while let Some((block, next)) = stack.pop() {
            // The last edge first: what follows in order comes out close behind.
            let edge = func.blocks[block.index()].term.edges().nth(next);
            match edge {
                Some(edge) => {
                    stack.push((block, next + 1));
                    if !core::mem::replace(&mut seen[edge.to.index()], true) {
                        stack.push((edge.to, 0));
                    }
                }
                None => self.order.push(block),
            }
        }
        self.order.reverse();
        for (number, block) in self.order.iter().enumerate() {
            self.number[block.index()] = number as u32;
        }
    }

    /// Cooper, Harvey and Kennedy: until nothing changes, along the order.
    fn dominators(&mut self) {
        self.idom[0] = 0;
        let mut changed = true;
        while changed {
            changed = false;
            for &block in &self.order[1..] {
                let mut found = NONE;
                for &pred in &self.preds[block.index()] {
                    if self.idom[pred.index()] == NONE {
                        continue;
                    }
                    found = if found == NONE {
                        pred.0
                    } else {
                        self.common(found, pred.0)
                    };
                }
                if self.idom[block.index()] != found {
                    self.idom[block.index()] = found;
                    changed = true;
                }
            }
        }
    }

    fn common(&self, mut a: u32, mut b: u32) -> u32 {
        while a != b {
            if self.number[a as usize] > self.number[b as usize] {
                a = self.idom[a as usize];
            } else {
                b = self.idom[b as usize];
            }
        }
        a
    }

    fn times(&mut self) {
        let mut children = vec![Vec::new(); self.idom.len()];
        for &block in &self.order[1..] {
            children[self.idom[block.index()] as usize].push(block);
        }
        let mut time = 0;
        let mut stack = vec![(Block::ENTRY, 0)];
        while let Some((block, next)) = stack.pop() {
            if next == 0 {
                self.time[block.index()].0 = time;
                time += 1;
            }
            match children[block.index()].get(next) {
                Some(&child) => {
                    stack.push((block, next + 1));
                    stack.push((child, 0));
                }
                None => {
                    self.time[block.index()].1 = time;
                    time += 1;
                }
            }
        }
    }

    pub fn is_reached(&self, block: Block) -> bool {
        self.number[block.index()] != NONE
    }

    /// Whether every way to `b` leads through `a`.
    pub fn dominates(&self, a: Block, b: Block) -> bool {
        let (a, b) = (self.time[a.index()], self.time[b.index()]);
        a.0 <= b.0 && b.1 <= a.1
    }

    /// The nearest block that every way to this one leads through.
    pub fn idom(&self, block: Block) -> Option<Block> {
        let idom = self.idom[block.index()];
        (block != Block::ENTRY && idom != NONE).then_some(Block(idom))
    }

    /// Place in the order.
    pub fn number(&self, block: Block) -> u32 {
        self.number[block.index()]
    }

    /// The loops, inner ones after the outer ones around them.
    pub fn loops(&self) -> Vec<Loop> {
        let mut loops: Vec<Loop> = Vec::new();
        for &head in &self.order {
            let latches: Vec<Block> = self.preds[head.index()]
                .iter()
                .copied()
                .filter(|&pred| self.dominates(head, pred))
                .collect();
            if latches.is_empty() {
                continue;
            }
            let mut inside = vec![false; self.idom.len()];
            inside[head.index()] = true;
            let mut blocks = vec![head];
            let mut stack = latches;
            while let Some(block) = stack.pop() {
                if core::mem::replace(&mut inside[block.index()], true) {
                    continue;
                }
                blocks.push(block);
                stack.extend(&self.preds[block.index()]);
            }
            blocks.sort_unstable_by_key(|b| self.number(*b));
            loops.push(Loop {
                head,
                blocks,
                inside,
            });
        }
        loops
    }
}

/// A loop with one head.
pub struct Loop {
    pub head: Block,
    /// Its blocks in order.
    pub blocks: Vec<Block>,
    inside: Vec<bool>,
}

/// Which of a function's loops is the innermost around a block.
pub fn innermost(loops: &[Loop], block: Block) -> Option<usize> {
    loops.iter().rposition(|one| one.contains(block))
}

impl Loop {
    pub fn contains(&self, block: Block) -> bool {
        self.inside.get(block.index()) == Some(&true)
    }
}
