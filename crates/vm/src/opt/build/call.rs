//! Lookups and calls: made, built in, or left to the kernel's functions.

use super::*;
use crate::{RunWord, key::Key};

impl Builder<'_> {
    pub(super) fn outside(&mut self, function: u64, given: &[Value], back: bool) -> Node {
        let mut args = [self.undef; 5];
        for (arg, value) in args.iter_mut().zip(given) {
            *arg = *value;
        }
        Node::Call(Callee::Outside(function, back), args)
    }

    /// A helper that gets its key by value.
    pub(super) fn with_key(&mut self, key: &Key, file: &File) -> Node {
        let mut args = file[1..6].to_vec();
        for (words, &argument) in key.arguments.iter().enumerate() {
            let mut word = None;
            for piece in key.pieces_of(words) {
                let place = Place {
                    base: file[10],
                    off: key.place + i32::from(piece.at),
                    region: Region::Stack,
                };
                let part = self.push(Node::Load(place, piece.bytes, false));
                let shift = self.constant(u64::from(piece.shift()));
                let part = self.bin(Bin::Shl, W64, part, shift);
                word = Some(match word {
                    Some(word) => self.bin(Bin::Or, W64, word, part),
                    None => part,
                });
            }
            args[usize::from(argument) - 1] = word.unwrap_or(self.undef);
        }
        self.outside(
            key.function as usize as u64,
            &args[..usize::from(key.count)],
            false,
        )
    }

    pub(super) fn given_away(&mut self, file: &mut File) {
        file[1..6].fill(self.undef);
    }

    pub(super) fn array_lookup(&mut self, op: &Op, key: Value) -> Result<Value, Why> {
        let array = self.executable.arrays.get(op.imm as usize);
        let array = *array.ok_or(Why::Operation(op.code))?;
        let place = Place {
            base: key,
            off: 0,
            region: Region::Unknown,
        };
        let index = self.push(Node::Load(place, 4, false));
        let stride = self.constant(u64::from(array.stride));
        let mut offset = self.bin(Bin::Mul, W64, index, stride);
        if array.plane != 0 {
            let cpu = self.push(Node::OfRun(RunWord::Cpu));
            let plane = self.constant(u64::from(array.plane));
            let own = self.bin(Bin::Mul, W64, cpu, plane);
            offset = self.bin(Bin::Add, W64, offset, own);
        }
        let first = self.constant(array.first);
        let address = self.bin(Bin::Add, W64, offset, first);
        let most = self.constant(u64::from(array.count));
        let zero = self.constant(0);
        let inside = Test {
            cond: Cond::Ult,
            width: W64,
            a: index,
            b: most,
        };
        Ok(self.push(Node::Select(inside, address, zero)))
    }

    pub(super) fn packet_load(&mut self, op: &Op, file: &mut File, site: Site) {
        let at = if op.src == NO_REGISTER {
            self.constant(i64::from(op.off) as u64)
        } else {
            let off = self.constant(u64::from(op.off as u32));
            let sum = self.bin(Bin::Add, W32, file[usize::from(op.src)], off);
            self.push(Node::Sext(32, W64, sum))
        };
        let call = self.outside(op.imm, &[file[6], at], false);
        let value = self.push(call);
        let zero = self.constant(0);
        let (outside, inside) = (self.func.new_block(), self.func.new_block());
        let test = Test {
            cond: Cond::Slt,
            width: W64,
            a: value,
            b: zero,
        };
        let edge = |to| Edge {
            to,
            args: Vec::new(),
        };
        self.func.blocks[self.at.index()].term = Term::If(test, edge(outside), edge(inside));
        debug_assert!(site.exit.is_none(), "functions that leave are not built in");
        self.func.blocks[outside.index()].term = Term::Return(zero);
        self.at = inside;
        self.given_away(file);
        file[0] = value;
    }

    pub(super) fn local(&mut self, index: usize, file: &mut File, site: Site) -> Result<(), Why> {
        let callee = plan::callee(self.executable, self.counts, index).ok_or(Why::Calls)?;
        let mut args = [self.undef; 5];
        args.copy_from_slice(&file[1..6]);
        let result = self.enter_function(callee, args, site)?;
        self.given_away(file);
        file[0] = result;
        Ok(())
    }

    /// What a function of the program returns: called, or built in.
    pub(super) fn enter_function(
        &mut self,
        callee: usize,
        args: [Value; 5],
        site: Site,
    ) -> Result<Value, Why> {
        let (from, to) = self.plan.range[callee];
        if !self.plan.inline[callee] || self.grown + (to - from) > plan::GROWN_MOST {
            return Ok(self.push(Node::Call(Callee::Local(callee as u32), args)));
        }
        self.grown += to - from;
        let after = self.func.new_block();
        let result = self.func.new_param(after);
        let mut inside = [self.undef; REGISTERS];
        inside[1..6].copy_from_slice(&args);
        let own = self.executable.functions[site.function].frame;
        self.body(callee, inside, site.frame - own as i32, Some(after))?;
        self.at = after;
        Ok(result)
    }

    /// `bpf_loop` with a callback that is known: its rounds are made here. What the helper refuses
    /// is left to it.
    pub(super) fn rounds(&mut self, index: usize, file: &mut File, site: Site) -> Result<(), Why> {
        let callee = self.counts.loop_at(index).ok_or(Why::Calls)?;
        let op = self.executable.ops[index];
        let [many, _, context, flags] = [file[1], file[2], file[3], file[4]];
        let to = |to: Block, args: &[Value]| Edge {
            to,
            args: args.to_vec(),
        };
        let test = |cond, width, a, b| Test { cond, width, a, b };
        let (refused, asked) = (self.func.new_block(), self.func.new_block());
        let (head, round) = (self.func.new_block(), self.func.new_block());
        let after = self.func.new_block();
        let result = self.func.new_param(after);
        let count = self.func.new_param(head);
        let zero = self.constant(0);
        let flagged = test(Cond::Ne, W64, flags, zero);
        self.func.blocks[self.at.index()].term =
            Term::If(flagged, to(refused, &[]), to(asked, &[]));
        self.at = asked;
        let most = self.constant(BPF_MAX_LOOPS.into());
        let too_many = test(Cond::Ugt, W32, many, most);
        self.func.blocks[asked.index()].term =
            Term::If(too_many, to(refused, &[]), to(head, &[zero]));
        self.at = refused;
        let call = self.outside(op.imm, &file[1..5], true);
        let error = self.push(call);
        self.func.blocks[refused.index()].term = Term::Jump(to(after, &[error]));
        self.at = head;
        let over = test(Cond::Uge, W32, count, many);
        self.func.blocks[head.index()].term = Term::If(over, to(after, &[count]), to(round, &[]));
        self.at = round;
        if self.counts.counts {
            self.push(Node::Charge(ROUND_STEPS, index as u32, true));
        }
        let mut args = [self.undef; 5];
        (args[0], args[1]) = (count, context);
        let ends = self.enter_function(callee, args, site)?;
        let one = self.constant(1);
        let next = self.bin(Bin::Add, W32, count, one);
        let goes_on = test(Cond::Eq, W64, ends, zero);
        self.func.blocks[self.at.index()].term =
            Term::If(goes_on, to(head, &[next]), to(after, &[next]));
        self.at = after;
        self.given_away(file);
        file[0] = result;
        Ok(())
    }
}
