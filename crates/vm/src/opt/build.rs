//! From operations to single assignment: blocks where jumps lead and leave, a parameter for each
//! register that lives into a block which several ways lead to. Small functions are built into
//! their callers.

mod call;

use alloc::{vec, vec::Vec};

use panal_isa::Width::{self, W32, W64};
use panal_uapi::profile::BPF_MAX_LOOPS;

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
        file[MAY_GOTO] = self.constant(BPF_MAX_LOOPS.into());
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
            OfRun => Node::OfRun(op.of_run()),
            ArrayLookup => {
                file[0] = self.array_lookup(&op, file[2])?;
                return Ok(false);
            }
            Helper if self.counts.loop_at(index).is_some() => {
                self.rounds(index, file, site)?;
                return Ok(false);
            }
            Helper => {
                let call = match self.executable.key_at(index) {
                    Some(key) => self.with_key(key, file),
                    None => {
                        let count = usize::from(op.src.min(5));
                        self.outside(op.imm, &file[1..=count], op.off != 0)
                    }
                };
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
