//! A walk over a function that simplifies each node, finds values that were computed before, and
//! follows what branches have decided.

use alloc::{vec, vec::Vec};

use hashbrown::HashMap;
use panal_isa::Width::{self, W64};

use super::{
    graph::Graph,
    ir::{Bin, Block, Edge, Func, Node, Region, Term, Test, Value},
    known, promote,
};

/// Simplifies the whole function once.
pub fn run(func: &mut Func) {
    remove_params(func);
    let graph = Graph::new(func);
    let zeros = known::all(func, &graph);
    let blocks = func.blocks.len();
    let mut rewriter = Rewriter {
        home: vec![Block::ENTRY; func.nodes.len()],
        func,
        graph: &graph,
        zeros,
        values: HashMap::new(),
        decided: HashMap::new(),
        addresses: Vec::new(),
        stored: Stored::default(),
        left: vec![Stored::default(); blocks],
        out: Vec::new(),
        at: Block::ENTRY,
    };
    for &block in &graph.order {
        rewriter.block(block);
    }
    func.settle();
    remove_params(func);
}

pub struct Rewriter<'f> {
    pub func: &'f mut Func,
    graph: &'f Graph,
    /// Bits of each value that are known to be zero.
    pub zeros: Vec<u64>,
    /// Where a value is computed.
    home: Vec<Block>,
    values: HashMap<Node, Value>,
    /// Which way a test went, and from which block on that is known.
    decided: HashMap<Test, Vec<(Block, bool)>>,
    /// Wide addresses that places count from.
    pub addresses: Vec<u64>,
    /// What was stored in the frame, here and at the end of blocks.
    stored: Stored,
    left: Vec<Stored>,
    out: Vec<Value>,
    at: Block,
}

/// Places of the frame whose contents are known: offset, bytes, value.
#[derive(Clone, Default)]
struct Stored(Vec<(i32, u8, Value)>);

impl Stored {
    /// Few are looked for after many more stores.
    const MOST: usize = 16;

    fn get(&self, off: i32, bytes: u8) -> Option<Value> {
        let found = self.0.iter().find(|s| s.0 == off && s.1 == bytes);
        found.map(|(_, _, value)| *value)
    }

    fn put(&mut self, off: i32, bytes: u8, value: Value) {
        let end = off.saturating_add(bytes.into());
        self.0
            .retain(|s| s.0 >= end || s.0.saturating_add(s.1.into()) <= off);
        if self.0.len() == Self::MOST {
            self.0.remove(0);
        }
        self.0.push((off, bytes, value));
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

impl Rewriter<'_> {
    fn block(&mut self, block: Block) {
        self.at = block;
        self.learn(block);
        self.stored = match self.graph.preds[block.index()][..] {
            [pred] if self.graph.number(pred) < self.graph.number(block) => {
                self.left[pred.index()].clone()
            }
            _ => Stored::default(),
        };
        for param in 0..self.func.blocks[block.index()].params.len() {
            let param = self.func.blocks[block.index()].params[param];
            self.home[param.index()] = block;
        }
        let insts = core::mem::take(&mut self.func.blocks[block.index()].insts);
        for inst in insts {
            let mut node = self.func.node(inst);
            node.operands(|v| *v = self.func.resolve(*v));
            self.instruction(inst, node);
        }
        let mut term = core::mem::replace(&mut self.func.blocks[block.index()].term, Term::Trap(0));
        term.operands(|v| *v = self.func.resolve(*v));
        if let Term::If(test, then, other) = term {
            term = self.branch(test, then, other);
        }
        let data = &mut self.func.blocks[block.index()];
        data.term = term;
        data.insts = core::mem::take(&mut self.out);
        self.left[block.index()] = core::mem::take(&mut self.stored);
    }

    /// What a branch before this block has decided.
    fn learn(&mut self, block: Block) {
        let [pred] = self.graph.preds[block.index()][..] else {
            return;
        };
        if let Term::If(test, then, _) = &self.func.blocks[pred.index()].term {
            let (test, way) = (*test, then.to == block);
            self.decided.entry(test).or_default().push((block, way));
        }
    }

    fn instruction(&mut self, inst: Value, node: Node) {
        if node.is_pure() {
            let value = self.emit(node);
            return self.func.replace(inst, value);
        }
        match self.reduced(node) {
            Some(node) => {
                if let Some(value) = self.known_to(&node) {
                    return self.func.replace(inst, value);
                }
                self.note(&node);
                self.func.nodes[inst.index()] = node;
                self.zeros[inst.index()] = known::zeros(self.func, &self.zeros, &node);
                self.home[inst.index()] = self.at;
                self.out.push(inst);
            }
            None => {
                self.note(&node);
                self.home[inst.index()] = self.at;
                self.out.push(inst);
            }
        }
    }

    /// What a load of the frame gives, where that was just stored.
    fn known_to(&mut self, node: &Node) -> Option<Value> {
        let Node::Load(place, bytes, signed) = *node else {
            return None;
        };
        let off = promote::place_of(self.func, place)?;
        let value = self.stored.get(off, bytes)?;
        let value = self.func.resolve(value);
        if bytes == 8 {
            return Some(value);
        }
        let bits = 8 * bytes;
        Some(match signed {
            true => self.emit(Node::Sext(bits, W64, value)),
            false => {
                let mask = self.constant((1 << bits) - 1);
                self.bin(Bin::And, W64, value, mask)
            }
        })
    }

    /// What an operation leaves of that, and adds to it.
    fn note(&mut self, node: &Node) {
        match *node {
            Node::Load(..) | Node::Acquire(..) | Node::Probe(..) | Node::Charge(..) => {}
            Node::Store(place, bytes, value) => match promote::place_of(self.func, place) {
                Some(off) => self.stored.put(off, bytes, value),
                None if matches!(place.region, Region::Stack | Region::Unknown) => {
                    self.stored.clear();
                }
                None => {}
            },
            _ if node.acts() => self.stored.clear(),
            _ => {}
        }
    }

    /// A value for a pure node: found, simplified, or new at this place.
    pub fn emit(&mut self, node: Node) -> Value {
        let node = match self.simplify(node) {
            Ok(value) => return self.func.resolve(value),
            Err(node) => node,
        };
        if let Some(&found) = self.values.get(&node)
            && self.graph.dominates(self.home[found.index()], self.at)
        {
            return found;
        }
        let value = self.func.add(node);
        let zeros = known::zeros(self.func, &self.zeros, &node);
        self.zeros.push(zeros);
        self.home.push(self.at);
        self.values.insert(node, value);
        self.out.push(value);
        value
    }

    pub fn bin(&mut self, bin: Bin, width: Width, a: Value, b: Value) -> Value {
        self.emit(Node::Bin(bin, width, a, b))
    }

    pub fn constant(&mut self, value: u64) -> Value {
        self.emit(Node::Const(value))
    }

    /// The low half of a value.
    pub fn low(&mut self, value: Value) -> Value {
        let mask = self.constant(0xffff_ffff);
        self.bin(Bin::And, W64, value, mask)
    }

    /// What a test says here, if that is known.
    pub fn decided(&mut self, test: Test) -> Option<bool> {
        if let (Some(a), Some(b)) = (self.func.constant(test.a), self.func.constant(test.b)) {
            return Some(test.cond.of(test.width, a, b));
        }
        let found = |test: &Test| {
            let ways = self.decided.get(test)?;
            let holds = |(from, _): &&(Block, bool)| self.graph.dominates(*from, self.at);
            ways.iter().rev().find(holds).map(|(_, way)| *way)
        };
        found(&test).or_else(|| found(&test.inverted()).map(|way| !way))
    }

    fn branch(&mut self, test: Test, then: Edge, other: Edge) -> Term {
        if then == other {
            return Term::Jump(then);
        }
        let test = match self.test(test) {
            Ok(true) => return Term::Jump(then),
            Ok(false) => return Term::Jump(other),
            Err(test) => test,
        };
        Term::If(test, then, other)
    }
}

/// Takes out parameters that are always the same value.
pub fn remove_params(func: &mut Func) {
    let graph = Graph::new(func);
    let mut changed = true;
    while changed {
        changed = false;
        for &block in &graph.order[1..] {
            let count = func.blocks[block.index()].params.len();
            for at in (0..count).rev() {
                let param = func.blocks[block.index()].params[at];
                let mut only = None;
                let mut same = true;
                for &pred in &graph.preds[block.index()] {
                    let edges: Vec<Value> = func.blocks[pred.index()]
                        .term
                        .edges()
                        .filter(|edge| edge.to == block)
                        .map(|edge| edge.args[at])
                        .collect();
                    for arg in edges {
                        let arg = func.resolve(arg);
                        if arg == param {
                            continue;
                        }
                        same &= only.is_none_or(|only| only == arg);
                        only = Some(arg);
                    }
                }
                if let (true, Some(only)) = (same, only) {
                    func.replace(param, only);
                    remove_param(func, &graph, block, at);
                    changed = true;
                }
            }
        }
    }
    func.settle();
    remove_unused_params(func, &graph);
}

/// Takes out a parameter, and the arguments for it.
fn remove_param(func: &mut Func, graph: &Graph, block: Block, at: usize) {
    func.blocks[block.index()].params.remove(at);
    let mut preds = graph.preds[block.index()].clone();
    preds.sort_unstable();
    preds.dedup();
    for pred in preds {
        for edge in func.blocks[pred.index()].term.edges_mut() {
            if edge.to == block {
                edge.args.remove(at);
            }
        }
    }
}

/// Takes out what nobody uses, parameters that only feed each other among it.
fn remove_unused_params(func: &mut Func, graph: &Graph) {
    let mut used = vec![false; func.nodes.len()];
    let mut work = Vec::new();
    let need = |v: Value, used: &mut Vec<bool>, work: &mut Vec<Value>| {
        if !core::mem::replace(&mut used[v.index()], true) {
            work.push(v);
        }
    };
    // Which arguments each parameter has.
    let mut args = vec![Vec::new(); func.nodes.len()];
    for &block in &graph.order {
        let data = &func.blocks[block.index()];
        for &inst in &data.insts {
            if func.nodes[inst.index()].acts() {
                need(inst, &mut used, &mut work);
            }
        }
        match &data.term {
            Term::If(test, ..) => {
                need(test.a, &mut used, &mut work);
                need(test.b, &mut used, &mut work);
            }
            Term::Return(value) => need(*value, &mut used, &mut work),
            Term::Jump(_) | Term::Trap(_) => {}
        }
        for edge in data.term.edges() {
            let params = &func.blocks[edge.to.index()].params;
            for (param, arg) in params.iter().zip(&edge.args) {
                args[param.index()].push(*arg);
            }
        }
    }
    while let Some(value) = work.pop() {
        let mut node = func.node(value);
        node.operands(|v| need(*v, &mut used, &mut work));
        for arg in core::mem::take(&mut args[value.index()]) {
            need(arg, &mut used, &mut work);
        }
    }
    for &block in &graph.order {
        func.blocks[block.index()]
            .insts
            .retain(|inst| used[inst.index()]);
        if block == Block::ENTRY {
            continue;
        }
        for at in (0..func.blocks[block.index()].params.len()).rev() {
            let param = func.blocks[block.index()].params[at];
            if !used[param.index()] {
                remove_param(func, graph, block, at);
            }
        }
    }
    // What cannot be reached keeps nothing alive.
    for index in 0..func.blocks.len() {
        if !graph.is_reached(Block(index as u32)) {
            let data = &mut func.blocks[index];
            data.insts.clear();
            data.params.clear();
            data.term = Term::Trap(0);
        }
    }
}
