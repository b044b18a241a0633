//! From operations to single assignment: blocks where jumps lead and leave, a parameter for each
//! register that lives into a block which several ways lead to. Small functions are built into
//! their callers.

use alloc::{vec, vec::Vec};

use panal_isa::Width::{self, W32, W64};

use super::{
    Why,
    cut::{Cut, MAY_GOTO, set},
    ir::{Bin, Block, Callee, Cond, Edge, Func, Node, Place, Region, Term, Test, Value},
    plan::{self, Plan},
};
use crate::{
    Executable,
    jit::plan::Plan as Counts,
    op::{Atomic, Code, NO_REGISTER, Op, Tag},
};

/// Registers of the program and of the lowering, and what is left of `may_goto`.
const REGISTERS: usize = 14;
/// Iterations of a `may_goto` loop in one frame (`BPF_MAX_LOOPS`).
const MAY_GOTO_LOOPS: u64 = 8 << 20;
/// Most rounds of `bpf_loop` (`BPF_MAX_LOOPS`).
const LOOPS_MOST: u64 = 8 << 20;
/// What a round of `bpf_loop` is charged.
const ROUND_STEPS: u32 = 8;

type File = [Value; REGISTERS];

/// Builds a function.
pub fn build(
    executable: &Executable,
    plan: &Plan,
    counts: &Counts,
    function: usize,
) -> Result<Func, Why> {
    let mut func = Func::default();
    let entry = func.new_block();
    let undef = func.push(entry, Node::Undef);
    let mut file = [undef; REGISTERS];
    for register in &mut file[1..6] {
        *register = func.new_param(entry);
    }
    let of = &counts.functions[function];
    if of.steps > 0 {
        let node = Node::Charge(of.steps, of.start as u32, of.nests);
        func.push(entry, node);
    }
    let mut builder = Builder {
        executable,
        plan,
        counts,
        func,
        undef,
        at: entry,
        grown: 0,
    };
    builder.body(function, file, 0, None)?;
    Ok(builder.func)
}

struct Builder<'e> {
    executable: &'e Executable,
    plan: &'e Plan,
    counts: &'e Counts,
    func: Func,
    undef: Value,
    /// The block that is being written.
    at: Block,
    /// Operations of functions that were built in.
    grown: usize,
}

/// Where a body is built: its frame pointer's offset from the function's, and where its exits lead.
#[derive(Clone, Copy)]
struct Site {
    frame: i32,
    exit: Option<Block>,
    /// The block where it traps.
    function: usize,
}

impl Builder<'_> {
    fn push(&mut self, node: Node) -> Value {
        self.func.push(self.at, node)
    }

    fn constant(&mut self, value: u64) -> Value {
        self.push(Node::Const(value))
    }

    fn bin(&mut self, bin: Bin, width: Width, a: Value, b: Value) -> Value {
        self.push(Node::Bin(bin, width, a, b))
    }

    /// Builds the operations of a function after the block under way.
    fn body(
        &mut self,
        function: usize,
        mut file: File,
        frame: i32,
        exit: Option<Block>,
    ) -> Result<(), Why> {
        let executable = self.executable;
        let cut = Cut::new(executable, self.plan.range[function]);
        let site = Site {
            frame,
            exit,
            function,
        };
        let blocks: Vec<Block> = cut.starts.iter().map(|_| self.func.new_block()).collect();
        file[10] = self.push(Node::Frame(frame));
        file[MAY_GOTO] = self.constant(MAY_GOTO_LOOPS);
        let frame_pointer = file[10];
        // What the registers hold where a block is entered.
        let mut entered: Vec<Option<File>> = vec![None; blocks.len()];
        let mut order = vec![0];
        let edge = self.enter(&cut, &blocks, 0, &file, &mut entered);
        self.func.blocks[self.at.index()].term = Term::Jump(edge);
        let mut done = vec![false; blocks.len()];
        while let Some(block) = order.pop() {
            let Some(mut file) = entered[block] else {
                continue;
            };
            if core::mem::replace(&mut done[block], true) {
                continue;
            }
            file[10] = frame_pointer;
            self.at = blocks[block];
            if let Some(steps) = self.counts.charged_at(cut.starts[block]) {
                self.push(Node::Charge(steps, cut.starts[block] as u32, true));
            }
            let mut ended = false;
            for index in cut.starts[block]..cut.end_of(block) {
                if self.operation(index, &mut file, site)? {
                    ended = true;
                    break;
                }
            }
            if ended {
                continue;
            }
            let last = cut.end_of(block) - 1;
            let [jump, falls] = cut.next(executable, block);
            // In the order in which they are popped: what follows comes first.
            order.extend([jump, falls].into_iter().flatten());
            let op = executable.ops[last];
            let to_trap = |this: &mut Self| {
                let trap = this.func.new_block();
                this.func.blocks[trap.index()].term = Term::Trap(last as u32);
                Edge {
                    to: trap,
                    args: Vec::new(),
                }
            };
            let test = match op.code {
                Code::Jump => None,
                Code::MayGoto => {
                    let zero = self.constant(0);
                    let one = self.constant(1);
                    let left = file[MAY_GOTO];
                    file[MAY_GOTO] = self.bin(Bin::Sub, W32, left, one);
                    Some((
                        Test {
                            cond: Cond::Eq,
                            width: W32,
                            a: left,
                            b: zero,
                        },
                        left,
                    ))
                }
                code if code.is_branch() => Some((self.test(&op, &file), file[MAY_GOTO])),
                _ => None,
            };
            let mut way = |this: &mut Self, to: Option<usize>, file: &File| match to {
                Some(to) => this.enter(&cut, &blocks, to, file, &mut entered),
                None => to_trap(this),
            };
            let at = self.at;
            let term = match test {
                Some((test, left)) => {
                    let mut taken = file;
                    taken[MAY_GOTO] = left;
                    let then = way(self, jump, &taken);
                    let other = way(self, falls, &file);
                    Term::If(test, then, other)
                }
                None if op.code == Code::Jump => Term::Jump(way(self, jump, &file)),
                None => Term::Jump(way(self, falls, &file)),
            };
            self.func.blocks[at.index()].term = term;
        }
        Ok(())
    }

    /// An edge to a block of the body, and what its registers hold there.
    fn enter(
        &mut self,
        cut: &Cut,
        blocks: &[Block],
        to: usize,
        file: &File,
        entered: &mut [Option<File>],
    ) -> Edge {
        let live = cut.live[to];
        let is_live = |register: usize| live & set(register as u8) != 0;
        if cut.ways[to] > 1 {
            if entered[to].is_none() {
                let mut inside = [self.undef; REGISTERS];
                for (register, value) in inside.iter_mut().enumerate() {
                    if is_live(register) {
                        *value = self.func.new_param(blocks[to]);
                    }
                }
                entered[to] = Some(inside);
            }
            let args = (0..REGISTERS).filter(|r| is_live(*r)).map(|r| file[r]);
            return Edge {
                to: blocks[to],
                args: args.collect(),
            };
        }
        entered[to] = Some(*file);
        Edge {
            to: blocks[to],
            args: Vec::new(),
        }
    }

    fn test(&mut self, op: &Op, file: &File) -> Test {
        const CONDITIONS: [Cond; 11] = [
            Cond::Eq,
            Cond::Ne,
            Cond::Set,
            Cond::Ugt,
            Cond::Uge,
            Cond::Ult,
            Cond::Ule,
            Cond::Sgt,
            Cond::Sge,
            Cond::Slt,
            Cond::Sle,
        ];
        let (which, width, b) = self.form(Code::JEq64K, op, file);
        Test {
            cond: CONDITIONS[which % CONDITIONS.len()],
            width,
            a: file[usize::from(op.dst)],
            b,
        }
    }

    /// Forms come in the order 64K, 64X, 32K, 32X: which group, width and second operand.
    fn form(&mut self, first: Code, op: &Op, file: &File) -> (usize, Width, Value) {
        let index = usize::from(op.code as u8 - first as u8);
        let width = if index % 4 < 2 { W64 } else { W32 };
        let second = if index.is_multiple_of(2) {
            let imm = if width == W32 {
                u64::from(op.imm as u32)
            } else {
                op.imm
            };
            self.constant(imm)
        } else {
            file[usize::from(op.src)]
        };
        (index / 4, width, second)
    }

    /// Builds an operation; whether the block ends with it.
    fn operation(&mut self, index: usize, file: &mut File, site: Site) -> Result<bool, Why> {
        use Code::*;
        let op = self.executable.ops[index];
        let (d, s) = (usize::from(op.dst), usize::from(op.src));
        if d >= REGISTERS || s >= REGISTERS {
            return Err(Why::Operation(op.code));
        }
        if (Add64K..=Mov32X).contains(&op.code) {
            file[d] = self.arithmetic(&op, file);
            return Ok(false);
        }
        let region = match op.tag {
            Tag::None => Region::Unknown,
            Tag::Stack => Region::Stack,
            Tag::Context => Region::Context,
            Tag::Packet => Region::Packet,
            Tag::Shared => Region::Shared,
        };
        let place = |register: usize| Place {
            base: file[register],
            off: op.off,
            region,
        };
        let frame = Place {
            base: file[10],
            off: op.off,
            region: Region::Stack,
        };
        let result = match op.code {
            Neg64 => Node::Neg(W64, file[d]),
            Neg32 => Node::Neg(W32, file[d]),
            Sx8To64 => Node::Sext(8, W64, file[s]),
            Sx16To64 => Node::Sext(16, W64, file[s]),
            Sx32To64 => Node::Sext(32, W64, file[s]),
            Sx8To32 => Node::Sext(8, W32, file[s]),
            Sx16To32 => Node::Sext(16, W32, file[s]),
            Zext16 | Zext32 => {
                let mask = if op.code == Zext16 {
                    0xffff
                } else {
                    0xffff_ffff
                };
                let mask = self.constant(mask);
                Node::Bin(Bin::And, W64, file[d], mask)
            }
            CastKernel => {
                let mask = self.constant(0xffff_ffff);
                Node::Bin(Bin::And, W64, file[s], mask)
            }
            CastUser => {
                let mask = self.constant(0xffff_ffff);
                let low = self.bin(Bin::And, W64, file[s], mask);
                let upper = self.constant(op.imm);
                let whole = self.bin(Bin::Or, W64, low, upper);
                let zero = self.constant(0);
                let test = Test {
                    cond: Cond::Eq,
                    width: W64,
                    a: low,
                    b: zero,
                };
                Node::Select(test, zero, whole)
            }
            Swap16 => Node::Swap(16, file[d]),
            Swap32 => Node::Swap(32, file[d]),
            Swap64 => Node::Swap(64, file[d]),
            Ld8 => Node::Load(place(s), 1, false),
            Ld16 => Node::Load(place(s), 2, false),
            Ld32 => Node::Load(place(s), 4, false),
            Ld64 => Node::Load(place(s), 8, false),
            LdS8 => Node::Load(place(s), 1, true),
            LdS16 => Node::Load(place(s), 2, true),
            LdS32 => Node::Load(place(s), 4, true),
            Probe8 => Node::Probe(place(s), 1, false),
            Probe16 => Node::Probe(place(s), 2, false),
            Probe32 => Node::Probe(place(s), 4, false),
            Probe64 => Node::Probe(place(s), 8, false),
            ProbeS8 => Node::Probe(place(s), 1, true),
            ProbeS16 => Node::Probe(place(s), 2, true),
            ProbeS32 => Node::Probe(place(s), 4, true),
            LdFrame8 => Node::Load(frame, 1, false),
            LdFrame16 => Node::Load(frame, 2, false),
            LdFrame32 => Node::Load(frame, 4, false),
            LdFrame64 => Node::Load(frame, 8, false),
            LdFrameS8 => Node::Load(frame, 1, true),
            LdFrameS16 => Node::Load(frame, 2, true),
            LdFrameS32 => Node::Load(frame, 4, true),
            LdAcq8 => Node::Acquire(place(s), 1),
            LdAcq16 => Node::Acquire(place(s), 2),
            LdAcq32 => Node::Acquire(place(s), 4),
            LdAcq64 => Node::Acquire(place(s), 8),
            Atomic32 | Atomic64 => return self.atomic(&op, place(d), file).map(|()| false),
            Computed => {
                let at = self.address(file[s], op.off);
                self.outside(op.imm, &[at], false)
            }
            ComputedStore => {
                let at = self.address(file[d], op.off);
                let call = self.outside(op.imm, &[at, file[s]], false);
                self.push(call);
                return Ok(false);
            }
            ArenaPlace => {
                let off = self.constant(i64::from(op.off) as u64);
                self.outside(op.imm, &[file[s], file[d], off], false)
            }
            ArrayLookup => {
                file[0] = self.array_lookup(&op, file[2])?;
                return Ok(false);
            }
            Helper if self.counts.loop_at(index).is_some() => {
                self.rounds(index, file, site)?;
                return Ok(false);
            }
            Helper => {
                let count = usize::from(op.src.min(5));
                let call = self.outside(op.imm, &file[1..=count], op.off != 0);
                let result = self.push(call);
                self.given_away(file);
                file[0] = result;
                return Ok(false);
            }
            PacketLoad => {
                self.packet_load(&op, file, site);
                return Ok(false);
            }
            TailCall => {
                let mut args = [self.undef; 5];
                args[..3].copy_from_slice(&file[1..4]);
                self.push(Node::Call(Callee::Tail(op.imm), args));
                self.given_away(file);
                file[0] = self.constant(0);
                return Ok(false);
            }
            Local => return self.local(index, file, site).map(|()| false),
            Exit => {
                let term = match site.exit {
                    Some(to) => Term::Jump(Edge {
                        to,
                        args: vec![file[0]],
                    }),
                    None => Term::Return(file[0]),
                };
                self.func.blocks[self.at.index()].term = term;
                return Ok(true);
            }
            Trap => {
                self.func.blocks[self.at.index()].term = Term::Trap(index as u32);
                return Ok(true);
            }
            code if code.jumps() => return Ok(false),
            code => match store(code) {
                Some((bytes, imm, to_frame)) => {
                    let value = if imm { self.constant(op.imm) } else { file[s] };
                    let place = if to_frame { frame } else { place(d) };
                    self.push(Node::Store(place, bytes, value));
                    return Ok(false);
                }
                None => return Err(Why::Operation(code)),
            },
        };
        file[d] = self.push(result);
        Ok(false)
    }

    fn arithmetic(&mut self, op: &Op, file: &File) -> Value {
        const BINS: [Bin; 13] = [
            Bin::Add,
            Bin::Sub,
            Bin::Mul,
            Bin::UDiv,
            Bin::SDiv,
            Bin::UMod,
            Bin::SMod,
            Bin::Or,
            Bin::And,
            Bin::Xor,
            Bin::Shl,
            Bin::Shr,
            Bin::Sar,
        ];
        let (which, width, b) = self.form(Code::Add64K, op, file);
        match BINS.get(which) {
            Some(bin) => self.bin(*bin, width, file[usize::from(op.dst)], b),
            None if width == W32 => {
                let mask = self.constant(0xffff_ffff);
                self.bin(Bin::And, W64, b, mask)
            }
            None => b,
        }
    }

    fn address(&mut self, base: Value, off: i32) -> Value {
        let off = self.constant(i64::from(off) as u64);
        self.bin(Bin::Add, W64, base, off)
    }

    fn outside(&mut self, function: u64, given: &[Value], back: bool) -> Node {
        let mut args = [self.undef; 5];
        for (arg, value) in args.iter_mut().zip(given) {
            *arg = *value;
        }
        Node::Call(Callee::Outside(function, back), args)
    }

    fn given_away(&mut self, file: &mut File) {
        file[1..6].fill(self.undef);
    }

    fn atomic(&mut self, op: &Op, place: Place, file: &mut File) -> Result<(), Why> {
        let which = Atomic::ALL[op.imm as usize % Atomic::ALL.len()];
        let width = if op.code == Code::Atomic64 { W64 } else { W32 };
        let expected = match which {
            Atomic::CmpXchg => file[0],
            _ => self.undef,
        };
        let value = file[usize::from(op.src)];
        let old = self.push(Node::Atomic(which, width, place, value, expected));
        if let Some(to) = op.written() {
            file[usize::from(to)] = old;
        }
        Ok(())
    }

    fn array_lookup(&mut self, op: &Op, key: Value) -> Result<Value, Why> {
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
            let cpu = self.push(Node::Cpu);
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

    fn packet_load(&mut self, op: &Op, file: &mut File, site: Site) {
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

    fn local(&mut self, index: usize, file: &mut File, site: Site) -> Result<(), Why> {
        let callee = plan::callee(self.executable, self.counts, index).ok_or(Why::Calls)?;
        let mut args = [self.undef; 5];
        args.copy_from_slice(&file[1..6]);
        let result = self.enter_function(callee, args, site)?;
        self.given_away(file);
        file[0] = result;
        Ok(())
    }

    /// What a function of the program returns: called, or built in.
    fn enter_function(
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
    fn rounds(&mut self, index: usize, file: &mut File, site: Site) -> Result<(), Why> {
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
        let most = self.constant(LOOPS_MOST);
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

/// Bytes of a store, whether its value is the immediate, whether it is to the frame.
fn store(code: Code) -> Option<(u8, bool, bool)> {
    use Code::*;
    Some(match code {
        St8K => (1, true, false),
        St16K => (2, true, false),
        St32K => (4, true, false),
        St64K => (8, true, false),
        // A release is any store on x86-64, and no store moves.
        St8X | StRel8 => (1, false, false),
        St16X | StRel16 => (2, false, false),
        St32X | StRel32 => (4, false, false),
        St64X | StRel64 => (8, false, false),
        StFrame8K => (1, true, true),
        StFrame16K => (2, true, true),
        StFrame32K => (4, true, true),
        StFrame64K => (8, true, true),
        StFrame8X => (1, false, true),
        StFrame16X => (2, false, true),
        StFrame32X => (4, false, true),
        StFrame64X => (8, false, true),
        _ => return None,
    })
}
