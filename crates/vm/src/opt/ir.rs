//! The optimiser's form of a function: single assignment, blocks with parameters.
//!
//! Values are 64 bits wide; an operation of 32 bits clears the upper half of its result. Order
//! matters within a block for what touches memory or the world, and for nothing else.

use alloc::{vec, vec::Vec};

use panal_isa::Width;

use crate::{RunWord, op::Atomic};

/// A value: the node that computes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub u32);

/// A block, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block(pub u32);

impl Value {
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl Block {
    pub const ENTRY: Block = Block(0);

    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Operations of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Bin {
    Add,
    Sub,
    Mul,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Sar,
    /// Rotates left.
    Rol,
    /// Division by zero gives 0, its remainder the dividend; MIN / -1 gives MIN and 0.
    UDiv,
    SDiv,
    UMod,
    SMod,
    /// The upper half of the unsigned product of 64 bits.
    MulHigh,
}

impl Bin {
    pub const fn commutes(self) -> bool {
        matches!(
            self,
            Bin::Add | Bin::Mul | Bin::And | Bin::Or | Bin::Xor | Bin::MulHigh
        )
    }
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Cond {
    Eq,
    Ne,
    /// `a & b != 0`
    Set,
    /// `a & b == 0`
    Clear,
    Ugt,
    Uge,
    Ult,
    Ule,
    Sgt,
    Sge,
    Slt,
    Sle,
}

impl Cond {
    /// The comparison that holds where this does not.
    pub const fn inverted(self) -> Cond {
        match self {
            Cond::Eq => Cond::Ne,
            Cond::Ne => Cond::Eq,
            Cond::Set => Cond::Clear,
            Cond::Clear => Cond::Set,
            Cond::Ugt => Cond::Ule,
            Cond::Uge => Cond::Ult,
            Cond::Ult => Cond::Uge,
            Cond::Ule => Cond::Ugt,
            Cond::Sgt => Cond::Sle,
            Cond::Sge => Cond::Slt,
            Cond::Slt => Cond::Sge,
            Cond::Sle => Cond::Sgt,
        }
    }

    /// The comparison of the operands in the other order.
    pub const fn swapped(self) -> Cond {
        match self {
            Cond::Ugt => Cond::Ult,
            Cond::Uge => Cond::Ule,
            Cond::Ult => Cond::Ugt,
            Cond::Ule => Cond::Uge,
            Cond::Sgt => Cond::Slt,
            Cond::Sge => Cond::Sle,
            Cond::Slt => Cond::Sgt,
            Cond::Sle => Cond::Sge,
            same => same,
        }
    }

    /// What it says of two numbers.
    pub fn of(self, width: Width, a: u64, b: u64) -> bool {
        let (a, b, sa, sb) = match width {
            Width::W64 => (a, b, a as i64, b as i64),
            Width::W32 => (
                u64::from(a as u32),
                u64::from(b as u32),
                i64::from(a as i32),
                i64::from(b as i32),
            ),
        };
        match self {
            Cond::Eq => a == b,
            Cond::Ne => a != b,
            Cond::Set => a & b != 0,
            Cond::Clear => a & b == 0,
            Cond::Ugt => a > b,
            Cond::Uge => a >= b,
            Cond::Ult => a < b,
            Cond::Ule => a <= b,
            Cond::Sgt => sa > sb,
            Cond::Sge => sa >= sb,
            Cond::Slt => sa < sb,
            Cond::Sle => sa <= sb,
        }
    }
}

/// A comparison of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Test {
    pub cond: Cond,
    pub width: Width,
    pub a: Value,
    pub b: Value,
}

impl Test {
    pub fn inverted(self) -> Test {
        Test {
            cond: self.cond.inverted(),
            ..self
        }
    }
}

/// Kinds of memory, as far as they keep accesses apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Region {
    /// Anything.
    Unknown,
    /// Frames of this or a calling function.
    Stack,
    /// The program's context.
    Context,
    /// Bytes of a packet.
    Packet,
    /// Values of maps; arenas: others read and write them meanwhile.
    Shared,
}

/// Where memory is accessed: `base + off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Place {
    pub base: Value,
    pub off: i32,
    pub region: Region,
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Callee {
    /// A function of the kernel's at this address; whether it calls functions of the program.
    Outside(u64, bool),
    /// A function of the program, by its index.
    Local(u32),
    /// A tail call by the finder at this address; goes on when it finds nothing.
    Tail(u64),
}

/// What computes a value, or does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// A parameter of a block.
    Param,
    /// Any value.
    Undef,
    /// What the run knows of its surroundings.
    OfRun(RunWord),
    Const(u64),
    /// The same, where a register is to hold it.
    Held(u64),
    /// The frame pointer plus an offset.
    Frame(i32),
    Bin(Bin, Width, Value, Value),
    Neg(Width, Value),
    /// Reverses the bytes of the low 16, 32 or 64 bits; the rest is zero.
    Swap(u8, Value),
    /// Sign-extends the low bits to the width.
    Sext(u8, Width, Value),
    Select(Test, Value, Value),
    /// Bytes, whether signed (to 64 bits).
    Load(Place, u8, bool),
    /// A load that no other one may stand in for, before what follows.
    Acquire(Place, u8),
    /// A load that gives 0 outside of the cage.
    Probe(Place, u8, bool),
    Store(Place, u8, Value),
    /// The old value; the last operand is what is expected of it.
    Atomic(Atomic, Width, Place, Value, Value),
    /// Arguments that the callee has; `Undef` ones need not be set.
    Call(Callee, [Value; 5]),
    /// Takes steps off the budget at an operation; whether it may run out here.
    Charge(u32, u32, bool),
}

impl Node {
    /// Whether it is to be done though nobody uses its value.
    pub const fn acts(&self) -> bool {
        matches!(
            self,
            Node::Store(..)
                | Node::Acquire(..)
                | Node::Atomic(..)
                | Node::Call(..)
                | Node::Charge(..)
        )
    }

    /// Whether the same operands always give the same value.
    pub const fn is_pure(&self) -> bool {
        matches!(
            self,
            Node::Const(_)
                | Node::Held(_)
                | Node::OfRun(_)
                | Node::Frame(_)
                | Node::Bin(..)
                | Node::Neg(..)
                | Node::Swap(..)
                | Node::Sext(..)
                | Node::Select(..)
        )
    }

    /// Calls `f` with each operand, which it may change.
    pub fn operands(&mut self, mut f: impl FnMut(&mut Value)) {
        match self {
            Node::Param
            | Node::Undef
            | Node::OfRun(_)
            | Node::Const(_)
            | Node::Held(_)
            | Node::Frame(_) => {}
            Node::Charge(..) => {}
            Node::Bin(_, _, a, b) => {
                f(a);
                f(b);
            }
            Node::Neg(_, a) | Node::Swap(_, a) | Node::Sext(_, _, a) => f(a),
            Node::Select(test, a, b) => {
                f(&mut test.a);
                f(&mut test.b);
                f(a);
                f(b);
            }
            Node::Load(place, ..) | Node::Acquire(place, _) | Node::Probe(place, ..) => {
                f(&mut place.base);
            }
            Node::Store(place, _, value) => {
                f(&mut place.base);
                f(value);
            }
            Node::Atomic(_, _, place, a, b) => {
                f(&mut place.base);
                f(a);
                f(b);
            }
            Node::Call(_, args) => args.iter_mut().for_each(f),
        }
    }
}

/// A way into a block, with what its parameters become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub to: Block,
    pub args: Vec<Value>,
}

/// How a block ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    Jump(Edge),
    If(Test, Edge, Edge),
    Return(Value),
    /// What no path reaches; the operation.
    Trap(u32),
}

impl Term {
    pub fn edges(&self) -> impl Iterator<Item = &Edge> {
        let (a, b) = match self {
            Term::Jump(edge) => (Some(edge), None),
            Term::If(_, then, other) => (Some(then), Some(other)),
            Term::Return(_) | Term::Trap(_) => (None, None),
        };
        a.into_iter().chain(b)
    }

    pub fn edges_mut(&mut self) -> impl Iterator<Item = &mut Edge> {
        let (a, b) = match self {
            Term::Jump(edge) => (Some(edge), None),
            Term::If(_, then, other) => (Some(then), Some(other)),
            Term::Return(_) | Term::Trap(_) => (None, None),
        };
        a.into_iter().chain(b)
    }

    /// Calls `f` with each value it uses.
    pub fn operands(&mut self, mut f: impl FnMut(&mut Value)) {
        match self {
            Term::If(test, ..) => {
                f(&mut test.a);
                f(&mut test.b);
            }
            Term::Return(value) => f(value),
            Term::Jump(_) | Term::Trap(_) => {}
        }
        for edge in self.edges_mut() {
            edge.args.iter_mut().for_each(&mut f);
        }
    }
}

/// A straight piece of code.
#[derive(Clone, Debug)]
pub struct BlockData {
    pub params: Vec<Value>,
    pub insts: Vec<Value>,
    pub term: Term,
}

/// A function. Block 0 is entered with `r1` to `r5`.
#[derive(Clone, Debug, Default)]
pub struct Func {
    pub nodes: Vec<Node>,
    pub blocks: Vec<BlockData>,
    /// What values were replaced by.
    alias: Vec<Value>,
}

impl Func {
    pub fn node(&self, value: Value) -> Node {
        self.nodes[value.index()]
    }

    /// A new value that belongs nowhere yet.
    pub fn add(&mut self, node: Node) -> Value {
        let value = Value(self.nodes.len() as u32);
        self.nodes.push(node);
        self.alias.push(value);
        value
    }

    /// A new value at the end of a block.
    pub fn push(&mut self, block: Block, node: Node) -> Value {
        let value = self.add(node);
        self.blocks[block.index()].insts.push(value);
        value
    }

    pub fn new_block(&mut self) -> Block {
        self.blocks.push(BlockData {
            params: Vec::new(),
            insts: Vec::new(),
            term: Term::Trap(0),
        });
        Block(self.blocks.len() as u32 - 1)
    }

    /// A new parameter of a block; its predecessors' edges are not touched.
    pub fn new_param(&mut self, block: Block) -> Value {
        let value = self.add(Node::Param);
        self.blocks[block.index()].params.push(value);
        value
    }

    /// Uses of `old` mean `new` from now on.
    pub fn replace(&mut self, old: Value, new: Value) {
        let new = self.resolve(new);
        if old != new {
            self.alias[old.index()] = new;
        }
    }

    /// The value that stands for one.
    pub fn resolve(&mut self, value: Value) -> Value {
        let mut end = value;
        while self.alias[end.index()] != end {
            end = self.alias[end.index()];
        }
        let mut at = value;
        while at != end {
            at = core::mem::replace(&mut self.alias[at.index()], end);
        }
        end
    }

    /// Writes what values were replaced by into all operands.
    pub fn settle(&mut self) {
        for index in 0..self.blocks.len() {
            let insts = core::mem::take(&mut self.blocks[index].insts);
            for &inst in &insts {
                let mut node = self.node(inst);
                node.operands(|v| *v = self.resolve(*v));
                self.nodes[inst.index()] = node;
            }
            self.blocks[index].insts = insts;
            let mut term = core::mem::replace(&mut self.blocks[index].term, Term::Trap(0));
            term.operands(|v| *v = self.resolve(*v));
            self.blocks[index].term = term;
        }
    }

    pub fn constant(&self, value: Value) -> Option<u64> {
        match self.nodes[value.index()] {
            Node::Const(value) => Some(value),
            _ => None,
        }
    }

    /// How often each value is used.
    pub fn uses(&self) -> Vec<u32> {
        let mut uses = vec![0; self.nodes.len()];
        for block in &self.blocks {
            for &inst in &block.insts {
                let mut node = self.node(inst);
                node.operands(|v| uses[v.index()] += 1);
            }
            let mut count = |v: &Value| uses[v.index()] += 1;
            match &block.term {
                Term::If(test, ..) => {
                    count(&test.a);
                    count(&test.b);
                }
                Term::Return(value) => count(value),
                Term::Jump(_) | Term::Trap(_) => {}
            }
            block.term.edges().flat_map(|e| &e.args).for_each(count);
        }
        uses
    }
}
