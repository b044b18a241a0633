//! Which instructions compute the values: from the last use back, so that what one instruction can
//! do along with another is not computed by itself.

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

    /// The address of a load that can be part of the instruction under way, its only user.
    fn load(&mut self, value: Value, size: u8, signed: bool) -> Option<Addr> {
        let Node::Load(place, bytes, s) = self.func.node(value) else {
            return None;
        };
        let here = (self.home[value.index()], self.color[value.index()]);
        if bytes != size
            || (s != signed && size != 8)
            || !self.is_single(value)
            || self.needed[value.index()]
            || here != self.at
        {
            return None;
        }
        self.folded[value.index()] = true;
        Some(self.address(place))
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

    /// `z << k` that an address can hold.
    fn scaled(&self, value: Value) -> Option<(Value, u8)> {
        match self.func.node(value) {
            Node::Bin(Bin::Shl, W64, z, count) if self.is_single(value) => {
                let count = self.constant(count)?;
                (count <= 3).then_some((z, count as u8))
            }
            _ => None,
        }
    }

    fn address(&mut self, place: Place) -> Addr {
        let disp = place.off;
        match self.func.node(place.base) {
            Node::Frame(off) => {
                if let Some(disp) = disp.checked_add(off) {
                    return Addr {
                        base: Base::Frame,
                        index: None,
                        disp,
                    };
                }
            }
            Node::Bin(Bin::Add, W64, x, y)
                if self.is_single(place.base) && !self.needed[place.base.index()] =>
            {
                return self.sum(x, y, disp);
            }
            _ => {}
        }
        Addr {
            base: Base::Reg(self.reg(place.base)),
            index: None,
            disp,
        }
    }

    /// `x + y + disp`, one of them scaled perhaps.
    fn sum(&mut self, x: Value, y: Value, disp: i32) -> Addr {
        let (base, index, scale) = match (self.scaled(y), self.scaled(x)) {
            (Some((z, k)), _) => (x, z, k),
            (None, Some((z, k))) => (y, z, k),
            (None, None) => (x, y, 0),
        };
        let (base, disp) = match self.func.node(base) {
            Node::Frame(off) if disp.checked_add(off).is_some() => (Base::Frame, disp + off),
            _ => (Base::Reg(self.reg(base)), disp),
        };
        Addr {
            base,
            index: Some((self.reg(index), scale)),
            disp,
        }
    }

    fn node(&mut self, value: Value) {
        let dst = value.0;
        match self.func.node(value) {
            Node::Held(c) => self.group.push(Inst::Imm(dst, c)),
            Node::Cpu => self.group.push(Inst::Cpu(dst)),
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

    fn bin(&mut self, dst: Reg, bin: Bin, width: Width, a: Value, b: Value) {
        let inst = match bin {
            Bin::Add => return self.add(dst, width, a, b),
            Bin::Sub => self.alu(dst, Alu::Sub, width, a, b),
            Bin::Or => self.alu(dst, Alu::Or, width, a, b),
            Bin::Xor => self.alu(dst, Alu::Xor, width, a, b),
            Bin::And => self.and(dst, width, a, b),
            Bin::Mul => self.mul(dst, width, a, b),
            Bin::MulHigh => {
                let (a, b) = (self.reg(a), self.reg(b));
                Inst::MulHigh(dst, a, b)
            }
            Bin::Shl => self.shift(dst, Shift::Shl, width, a, b),
            Bin::Shr => self.shift(dst, Shift::Shr, width, a, b),
            Bin::Sar => self.shift(dst, Shift::Sar, width, a, b),
            Bin::Rol => match self.constant(b) {
                Some(count) => {
                    let a = self.reg(a);
                    Inst::Rol(w(width), dst, a, count as u8)
                }
                None => {
                    let (a, count) = (self.reg(a), self.reg(b));
                    Inst::RolCl(w(width), dst, a, count)
                }
            },
            Bin::UDiv | Bin::SDiv | Bin::UMod | Bin::SMod => {
                let known = self.constant(b).is_some_and(|c| c != 0);
                let (a, b) = (self.reg(a), self.reg(b));
                Inst::Div {
                    w: w(width),
                    signed: matches!(bin, Bin::SDiv | Bin::SMod),
                    quotient: matches!(bin, Bin::UDiv | Bin::SDiv),
                    dst,
                    a,
                    b,
                    known,
                }
            }
        };
        self.group.push(inst);
    }

    fn alu(&mut self, dst: Reg, alu: Alu, width: Width, a: Value, b: Value) -> Inst {
        // The operand that dies gives its register to the result.
        let swap = alu != Alu::Sub
            && self.constant(b).is_none()
            && !matches!(self.func.node(b), Node::Load(..))
            && (matches!(self.func.node(a), Node::Load(..)) || !self.dies(a))
            && self.dies(b);
        let (a, b) = if swap { (b, a) } else { (a, b) };
        let b = self.src(width, b);
        let a = self.reg(a);
        Inst::Alu(w(width), alu, dst, a, b)
    }

    fn and(&mut self, dst: Reg, width: Width, a: Value, b: Value) -> Inst {
        match self.constant(b) {
            Some(0xff) => {
                let a = self.reg(a);
                Inst::Zext(8, dst, a)
            }
            Some(0xffff) => {
                let a = self.reg(a);
                Inst::Zext(16, dst, a)
            }
            Some(0xffff_ffff) => {
                let a = self.reg(a);
                Inst::Zext(32, dst, a)
            }
            // The upper half becomes zero either way.
            Some(c) if c <= u64::from(u32::MAX) => {
                let a = self.reg(a);
                Inst::Alu(W::D, Alu::And, dst, a, Src::Imm(c as i32))
            }
            _ => self.alu(dst, Alu::And, width, a, b),
        }
    }

    fn add(&mut self, dst: Reg, width: Width, a: Value, b: Value) {
        let constant = self.constant(b).and_then(|c| simm(width, c));
        if let Some(imm) = constant {
            if let Node::Bin(Bin::Add, inner, x, y) = self.func.node(a)
                && self.is_single(a)
                && !self.needed[a.index()]
                && (inner == W64 || width == W32)
                && self.constant(y).is_none()
            {
                let addr = self.sum(x, y, imm);
                return self.group.push(Inst::Lea(w(width), dst, addr));
            }
            if !self.dies(a) {
                let addr = Addr {
                    base: Base::Reg(self.reg(a)),
                    index: None,
                    disp: imm,
                };
                return self.group.push(Inst::Lea(w(width), dst, addr));
            }
        } else if self.constant(b).is_none() {
            let load = |v: Value| {
                let here = (self.home[v.index()], self.color[v.index()]);
                matches!(self.func.node(v), Node::Load(..)) && self.is_single(v) && here == self.at
            };
            let scaled = self.scaled(b).is_some() || self.scaled(a).is_some();
            let both_live = !self.dies(a) && !self.dies(b);
            if (scaled || both_live) && !load(a) && !load(b) {
                let addr = self.sum(a, b, 0);
                return self.group.push(Inst::Lea(w(width), dst, addr));
            }
        }
        let inst = self.alu(dst, Alu::Add, width, a, b);
        self.group.push(inst);
    }

    fn mul(&mut self, dst: Reg, width: Width, a: Value, b: Value) -> Inst {
        match self.constant(b) {
            Some(c @ (3 | 5 | 9)) => {
                let a = self.reg(a);
                let addr = Addr {
                    base: Base::Reg(a),
                    index: Some((a, (c - 1).trailing_zeros() as u8)),
                    disp: 0,
                };
                Inst::Lea(w(width), dst, addr)
            }
            Some(c) if simm(width, c).is_some() => {
                let src = self.load(a, bytes(width), false).map(Src::Mem);
                let src = src.unwrap_or_else(|| Src::Reg(self.reg(a)));
                Inst::MulImm(w(width), dst, src, simm(width, c).unwrap_or(0))
            }
            Some(_) => {
                let (a, b) = (self.reg(a), self.reg(b));
                Inst::Mul(w(width), dst, a, Src::Reg(b))
            }
            None => {
                let (a, b) = match self.dies(b) && !self.dies(a) {
                    true => (b, a),
                    false => (a, b),
                };
                let b = self.src(width, b);
                let a = self.reg(a);
                Inst::Mul(w(width), dst, a, b)
            }
        }
    }

    fn shift(&mut self, dst: Reg, shift: Shift, width: Width, a: Value, b: Value) -> Inst {
        match self.constant(b) {
            Some(1) if shift == Shift::Shl && !self.dies(a) => {
                let a = self.reg(a);
                let addr = Addr {
                    base: Base::Reg(a),
                    index: Some((a, 0)),
                    disp: 0,
                };
                Inst::Lea(w(width), dst, addr)
            }
            Some(count) => {
                let a = self.reg(a);
                Inst::Shift(w(width), shift, dst, a, count as u8)
            }
            None if self.machine.bmi2 => {
                let (a, count) = (self.reg(a), self.reg(b));
                Inst::ShiftX(w(width), shift, dst, a, count)
            }
            None => {
                let (a, count) = (self.reg(a), self.reg(b));
                Inst::ShiftCl(w(width), shift, dst, a, count)
            }
        }
    }

    fn choice(&mut self, dst: Reg, test: Test, a: Value, b: Value) {
        let (test, a, b) = match self.dies(a) && !self.dies(b) {
            true => (test.inverted(), b, a),
            false => (test, a, b),
        };
        let (then, other) = (self.reg(a), self.reg(b));
        let (compare, cc) = self.compare(test);
        self.group.push(Inst::Select(compare, cc, dst, other, then));
    }

    /// Flags for a test, and the condition that then means it.
    fn compare(&mut self, test: Test) -> (Compare, Cc) {
        let is_test = matches!(test.cond, Cond::Set | Cond::Clear);
        let cc = match test.cond {
            Cond::Eq | Cond::Clear => Cc::E,
            Cond::Ne | Cond::Set => Cc::Ne,
            Cond::Ugt => Cc::A,
            Cond::Uge => Cc::Ae,
            Cond::Ult => Cc::B,
            Cond::Ule => Cc::Be,
            Cond::Sgt => Cc::G,
            Cond::Sge => Cc::Ge,
            Cond::Slt => Cc::L,
            Cond::Sle => Cc::Le,
        };
        let mut width = test.width;
        let constant = self.constant(test.b);
        if let Some(c) = constant {
            if is_test && c <= u64::from(u32::MAX) {
                width = W32;
            }
            let unsigned = match cc {
                Cc::G => Cc::A,
                Cc::Ge => Cc::Ae,
                Cc::L => Cc::B,
                Cc::Le => Cc::Be,
                cc => cc,
            };
            if !is_test
                && c <= 0xff
                && let Some(addr) = self.load(test.a, 1, false)
            {
                let compare = Compare {
                    test: false,
                    bytes: 1,
                    a: Src::Mem(addr),
                    b: Src::Imm(c as i32),
                };
                return (compare, unsigned);
            }
            if let Some(imm) = simm(width, c) {
                if !is_test && let Some(addr) = self.load(test.a, bytes(width), false) {
                    let compare = Compare {
                        test: false,
                        bytes: bytes(width),
                        a: Src::Mem(addr),
                        b: Src::Imm(imm),
                    };
                    return (compare, cc);
                }
                let a = self.reg(test.a);
                let zero = !is_test && imm == 0;
                let compare = Compare {
                    test: is_test || zero,
                    bytes: bytes(width),
                    a: Src::Reg(a),
                    b: if zero { Src::Reg(a) } else { Src::Imm(imm) },
                };
                return (compare, cc);
            }
        }
        let b = match is_test {
            true => Src::Reg(self.reg(test.b)),
            false => self.src(width, test.b),
        };
        let a = Src::Reg(self.reg(test.a));
        let compare = Compare {
            test: is_test,
            bytes: bytes(width),
            a,
            b,
        };
        (compare, cc)
    }

    fn store(&mut self, place: Place, size: u8, value: Value) {
        if self.update(place, size, value) {
            return;
        }
        let imm = self.constant(value).and_then(|c| match size {
            8 => i32::try_from(c as i64).ok(),
            _ => Some(c as i32),
        });
        let src = imm.map_or_else(|| Src::Reg(self.reg(value)), Src::Imm);
        let addr = self.address(place);
        self.group.push(Inst::Store(size, addr, src));
    }

    /// A store of what was loaded from the same place and operated on.
    fn update(&mut self, place: Place, size: u8, value: Value) -> bool {
        let Node::Bin(bin, _, a, b) = self.func.node(value) else {
            return false;
        };
        let alu = match bin {
            Bin::Add => Alu::Add,
            Bin::Sub => Alu::Sub,
            Bin::And => Alu::And,
            Bin::Or => Alu::Or,
            Bin::Xor => Alu::Xor,
            _ => return false,
        };
        if !self.is_single(value) || self.needed[value.index()] {
            return false;
        }
        let is_there = |v: Value| {
            let here = (self.home[v.index()], self.color[v.index()]);
            let node = self.func.node(v);
            let signed = matches!(node, Node::Load(_, _, true));
            here == self.at
                && self.is_single(v)
                && !self.needed[v.index()]
                && node == Node::Load(place, size, signed)
        };
        let (load, other) = match (is_there(a), is_there(b)) {
            (true, _) => (a, b),
            (_, true) if bin.commutes() => (b, a),
            _ => return false,
        };
        let imm = self.constant(other).and_then(|c| match size {
            8 => i32::try_from(c as i64).ok(),
            4 => Some(c as i32),
            2 => Some(i32::from(c as i16)),
            _ => Some(i32::from(c as i8)),
        });
        self.folded[load.index()] = true;
        let src = imm.map_or_else(|| Src::Reg(self.reg(other)), Src::Imm);
        let addr = self.address(place);
        self.group.push(Inst::AluMem(size, alu, addr, src));
        true
    }

    fn atomic(&mut self, dst: Reg, op: Atomic, w: W, place: Place, value: Value, expected: Value) {
        let (locked, fetched) = match op {
            Atomic::Add => (Locked::Alu(Alu::Add), false),
            Atomic::Or => (Locked::Alu(Alu::Or), false),
            Atomic::And => (Locked::Alu(Alu::And), false),
            Atomic::Xor => (Locked::Alu(Alu::Xor), false),
            Atomic::FetchAdd => (Locked::Xadd, true),
            Atomic::Xchg => (Locked::Xchg, true),
            Atomic::CmpXchg => {
                let (expected, src) = (self.reg(expected), self.reg(value));
                let addr = self.address(place);
                return self.group.push(Inst::CmpXchg(w, dst, addr, src, expected));
            }
            Atomic::FetchOr | Atomic::FetchAnd | Atomic::FetchXor => {
                let alu = match op {
                    Atomic::FetchOr => Alu::Or,
                    Atomic::FetchAnd => Alu::And,
                    _ => Alu::Xor,
                };
                let src = self.reg(value);
                let addr = self.address(place);
                let temp = self.temp();
                return self
                    .group
                    .push(Inst::FetchLoop(w, alu, dst, addr, src, temp));
            }
        };
        let src = self.reg(value);
        let addr = self.address(place);
        let dst = fetched.then_some(dst);
        self.group.push(Inst::Locked(w, locked, dst, addr, src));
    }

    fn call(&mut self, dst: Reg, callee: Callee, args: [Value; 5]) {
        let takes = match callee {
            Callee::Local(function) => self.takes[function as usize],
            _ => [true; 5],
        };
        let mut given = [None; 5];
        for ((to, arg), takes) in given.iter_mut().zip(args).zip(takes) {
            if takes && !matches!(self.func.node(arg), Node::Undef) {
                *to = Some(self.reg(arg));
            }
        }
        let target = match callee {
            Callee::Outside(function, back) => Target::Outside(function, back),
            Callee::Local(function) => Target::Local(function),
            Callee::Tail(find) => Target::Tail(find),
        };
        let dst = self.needed[dst as usize].then_some(dst);
        self.group.push(Inst::Call(target, given, dst));
    }
}
