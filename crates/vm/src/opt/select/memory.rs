//! Stores, atomic operations, calls.

use super::*;

impl Selector<'_> {
    pub(super) fn store(&mut self, place: Place, size: u8, value: Value) {
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
    pub(super) fn update(&mut self, place: Place, size: u8, value: Value) -> bool {
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

    pub(super) fn atomic(
        &mut self,
        dst: Reg,
        op: Atomic,
        w: W,
        place: Place,
        value: Value,
        expected: Value,
    ) {
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

    pub(super) fn call(&mut self, dst: Reg, callee: Callee, args: [Value; 5]) {
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
