//! Which instructions compute the values: from the last use back, so that what one instruction can
//! do along with another is not computed by itself.

mod address;
mod arithmetic;
mod choice;
mod memory;

use alloc::{vec, vec::Vec};

use panal_isa::Width::{self, W32, W64};

use super::{
    graph::Graph,
    ir::{Bin, Block, Callee, Cond, Edge, Func, Node, Place, Term, Test, Value},
    machine::{Addr, Base, Compare, Inst, Locked, Reg, Src, Target},
};
use crate::{
    jit::x86::{Alu, Cc, Shift, W},
    op::Atomic,
};

/// A block of instructions.
#[derive(Clone, Debug, Default)]
pub struct Code {
    pub insts: Vec<Inst>,
    pub params: Vec<Reg>,
    /// Where its last instruction leads, with the values of the parameters there.
    pub next: Vec<(Block, Vec<Reg>)>,
}

/// What the selection may use.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub bmi2: bool,
}

/// Instructions for all blocks that can be reached, by the block; how many registers.
pub fn select(
    func: &Func,
    graph: &Graph,
    machine: Machine,
    takes: &[[bool; 5]],
) -> (Vec<Code>, u32) {
    let mut selector = Selector {
        func,
        uses: func.uses(),
        color: vec![0; func.nodes.len()],
        home: vec![Block::ENTRY; func.nodes.len()],
        needed: vec![false; func.nodes.len()],
        folded: vec![false; func.nodes.len()],
        regs: func.nodes.len() as u32,
        group: Vec::new(),
        at: (Block::ENTRY, 0),
        machine,
        takes,
    };
    selector.color();
    let mut blocks = vec![Code::default(); func.blocks.len()];
    for &block in graph.order.iter().rev() {
        blocks[block.index()] = selector.block(block);
    }
    (blocks, selector.regs)
}

struct Selector<'f> {
    func: &'f Func,
    uses: Vec<u32>,
    /// How many nodes that act come before, in the block.
    color: Vec<u32>,
    home: Vec<Block>,
    /// Values that an instruction reads from a register.
    needed: Vec<bool>,
    /// Loads that another instruction does.
    folded: Vec<bool>,
    regs: u32,
    /// Instructions for the node under way, in order.
    group: Vec<Inst>,
    /// Block and color of the node under way.
    at: (Block, u32),
    machine: Machine,
    takes: &'f [[bool; 5]],
}

const fn w(width: Width) -> W {
    match width {
        W32 => W::D,
        W64 => W::Q,
    }
}

const fn bytes(width: Width) -> u8 {
    match width {
        W32 => 4,
        W64 => 8,
    }
}

/// An immediate as an instruction of this width holds it.
fn simm(width: Width, value: u64) -> Option<i32> {
    match width {
        W32 => Some(value as i32),
        W64 => i32::try_from(value as i64).ok(),
    }
}

impl Selector<'_> {
    fn color(&mut self) {
        for (index, block) in self.func.blocks.iter().enumerate() {
            let mut color = 0;
            for param in &block.params {
                self.home[param.index()] = Block(index as u32);
            }
            for &inst in &block.insts {
                self.color[inst.index()] = color;
                self.home[inst.index()] = Block(index as u32);
                let node = &self.func.nodes[inst.index()];
                if node.acts() && !matches!(node, Node::Charge(..)) {
                    color += 1;
                }
            }
        }
    }

    fn block(&mut self, block: Block) -> Code {
        let data = &self.func.blocks[block.index()];
        let acting = |v: &&Value| {
            let node = &self.func.nodes[v.index()];
            node.acts() && !matches!(node, Node::Charge(..))
        };
        let last = data.insts.iter().filter(acting).count() as u32;
        let mut code = Code::default();
        let mut reversed = Vec::new();
        self.at = (block, last);
        self.term(&data.term, &mut code);
        reversed.extend(self.group.drain(..).rev());
        for &inst in data.insts.iter().rev() {
            let index = inst.index();
            if self.folded[index] || !(self.needed[index] || self.func.nodes[index].acts()) {
                continue;
            }
            self.at = (block, self.color[index]);
            self.node(inst);
            reversed.extend(self.group.drain(..).rev());
        }
        if block == Block::ENTRY {
            let mut args = [None; 5];
            for (arg, param) in args.iter_mut().zip(&data.params) {
                *arg = self.needed[param.index()].then_some(param.0);
            }
            reversed.push(Inst::Args(args));
        } else {
            code.params = data.params.iter().map(|v| v.0).collect();
        }
        reversed.reverse();
        code.insts = reversed;
        code
    }

    fn term(&mut self, term: &Term, code: &mut Code) {
        let edge = |this: &mut Self, edge: &Edge| {
            let args = edge.args.iter().map(|v| this.reg(*v)).collect();
            (edge.to, args)
        };
        match term {
            Term::Jump(to) => {
                code.next.push(edge(self, to));
                self.group.push(Inst::Jump);
            }
            Term::If(test, then, other) => {
                let then = edge(self, then);
                let other = edge(self, other);
                code.next.extend([then, other]);
                let (compare, cc) = self.compare(*test);
                self.group.push(Inst::Branch(compare, cc));
            }
            Term::Return(value) => {
                let value = self.reg(*value);
                self.group.push(Inst::Return(value));
            }
            Term::Trap(at) => self.group.push(Inst::Trap(*at)),
        }
    }

    fn temp(&mut self) -> Reg {
        self.regs += 1;
        self.regs - 1
    }

    /// The register of a value; what is cheap is computed at its use.
    fn reg(&mut self, value: Value) -> Reg {
        match self.func.node(value) {
            Node::Const(c) => {
                let temp = self.temp();
                self.group.push(Inst::Imm(temp, c));
                temp
            }
            Node::Undef => {
                let temp = self.temp();
                self.group.push(Inst::Imm(temp, 0));
                temp
            }
            Node::Frame(off) => {
                let temp = self.temp();
                let addr = Addr {
                    base: Base::Frame,
                    index: None,
                    disp: off,
                };
                self.group.push(Inst::Lea(W::Q, temp, addr));
                temp
            }
            _ => {
                self.needed[value.index()] = true;
                value.0
            }
        }
    }

    fn constant(&self, value: Value) -> Option<u64> {
        self.func.constant(value)
    }

    fn is_single(&self, value: Value) -> bool {
        self.uses[value.index()] == 1
    }

    /// Whether a value is not used after the node under way, as far as its block shows.
    fn dies(&self, value: Value) -> bool {
        self.is_single(value) && self.home[value.index()] == self.at.0
    }

    /// A value as second operand: an immediate, memory or a register.
    fn src(&mut self, width: Width, value: Value) -> Src {
        if let Some(imm) = self.constant(value).and_then(|c| simm(width, c)) {
            return Src::Imm(imm);
        }
        match self.load(value, bytes(width), false) {
            Some(addr) => Src::Mem(addr),
            None => Src::Reg(self.reg(value)),
        }
    }

    fn node(&mut self, value: Value) {
        let dst = value.0;
        match self.func.node(value) {
            Node::Held(c) => self.group.push(Inst::Imm(dst, c)),
            Node::OfRun(word) => self.group.push(Inst::OfRun(dst, word)),
            Node::Bin(bin, width, a, b) => self.bin(dst, bin, width, a, b),
            Node::Neg(width, a) => {
                let a = self.reg(a);
                self.group.push(Inst::Neg(w(width), dst, a));
            }
            Node::Swap(bits, a) => {
                let a = self.reg(a);
                self.group.push(Inst::Swap(bits, dst, a));
            }
            Node::Sext(bits, width, a) => match self.load(a, bits / 8, false) {
                Some(addr) if width == W64 => {
                    self.group.push(Inst::LoadSigned(bits / 8, dst, addr))
                }
                Some(addr) => {
                    let temp = self.temp();
                    self.group.push(Inst::Load(bits / 8, temp, addr));
                    self.group.push(Inst::Sext(w(width), bits, dst, temp));
                }
                None => {
                    let a = self.reg(a);
                    self.group.push(Inst::Sext(w(width), bits, dst, a));
                }
            },
            Node::Select(test, a, b) => self.choice(dst, test, a, b),
            Node::Load(place, bytes, signed) => {
                let addr = self.address(place);
                self.group.push(match signed && bytes < 8 {
                    true => Inst::LoadSigned(bytes, dst, addr),
                    false => Inst::Load(bytes, dst, addr),
                });
            }
            Node::Acquire(place, bytes) => {
                let addr = self.address(place);
                self.group.push(Inst::Load(bytes, dst, addr));
            }
            Node::Probe(place, bytes, signed) => {
                let addr = self.address(place);
                let (one, two) = (self.temp(), self.temp());
                let signed = signed && bytes < 8;
                self.group
                    .push(Inst::Probe(bytes, signed, dst, addr, one, two));
            }
            Node::Store(place, bytes, value) => self.store(place, bytes, value),
            Node::Atomic(op, width, place, value, expected) => {
                self.atomic(dst, op, w(width), place, value, expected);
            }
            Node::Call(callee, args) => self.call(dst, callee, args),
            Node::Charge(steps, at, may_end) => {
                self.group.push(Inst::Charge(steps, at, may_end));
            }
            Node::Param | Node::Undef | Node::Const(_) | Node::Frame(_) => {}
        }
    }
}
