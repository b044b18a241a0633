//! Generates programs that look like programs: typed values, null checks, packet checks, bounded
//! indexes, loops, spills, subprograms. Most would be accepted; some deviate on purpose.

use panal_isa::{
    AluOp, AtomicOp, ByteOrder, CallTarget, Condition, Instruction, Operand, Reg, Size, Width,
};
use panal_uapi::{MapType, ProgType};

use crate::{
    program::{Item, MapShape, Program, RESULT, SCRATCH, Test},
    rng::Rng,
};

/// The maps that every program may use, by index.
pub const MAPS: &[MapShape] = &[
    shape(MapType::Array, 4, 64, 4),
    shape(MapType::Hash, 8, 24, 16),
    shape(MapType::LruHash, 4, 8, 16),
    shape(MapType::Array, 4, 64, 1),
];
/// The map of one value, whose address an instruction may hold.
const SINGLE: usize = 3;

const fn shape(map_type: MapType, key_size: u32, value_size: u32, max_entries: u32) -> MapShape {
    MapShape {
        map_type,
        key_size,
        value_size,
        max_entries,
    }
}

/// Program types whose test runs both kernels have.
const TYPES: &[ProgType] = &[ProgType::SchedCls, ProgType::Xdp, ProgType::SocketFilter];

/// What the generator believes a register to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nothing,
    Number,
    Context,
    /// Frame pointer plus a constant.
    Stack(i16),
    /// A map's value, so many bytes into it.
    Value(usize, i16),
    /// Packet data; so many bytes are known to be there.
    Packet(i16),
}

const ALL_ALU: &[AluOp] = &[
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::Div,
    AluOp::SDiv,
    AluOp::Mod,
    AluOp::SMod,
    AluOp::Or,
    AluOp::And,
    AluOp::Xor,
    AluOp::Lsh,
    AluOp::Rsh,
    AluOp::Arsh,
    AluOp::Mov,
];

const ALL_CONDITIONS: &[Condition] = &[
    Condition::Eq,
    Condition::Ne,
    Condition::Set,
    Condition::Gt,
    Condition::Ge,
    Condition::Lt,
    Condition::Le,
    Condition::SGt,
    Condition::SGe,
    Condition::SLt,
    Condition::SLe,
];

const SIZES: &[Size] = &[Size::B, Size::H, Size::W, Size::DW];
const NUMBERS: &[i32] = &[
    0,
    1,
    2,
    3,
    7,
    8,
    15,
    16,
    31,
    32,
    33,
    63,
    64,
    65,
    127,
    128,
    255,
    256,
    4095,
    65535,
    0x7fff_ffff,
    -1,
    -2,
    -8,
    -128,
    i32::MIN,
];
/// Registers that the generator hands out; r6 keeps the context in the main program.
const WORK: &[u8] = &[0, 1, 2, 3, 4, 5, 7, 8, 9];

struct Generator<'r> {
    rng: &'r mut Rng,
    kinds: [Kind; 10],
    prog_type: ProgType,
    main: bool,
    depth: u32,
    /// Parts that may still be made.
    left: i32,
    /// Once in how many parts something wild is done; 0: never.
    wild: usize,
    comparable: bool,
    subprograms: usize,
    counters: Vec<Reg>,
}

/// Makes the program of a seed.
pub fn program(seed: u64) -> Program {
    let rng = &mut Rng::new(seed);
    let prog_type = rng.pick(TYPES);
    let wild = rng.pick(&[0, 0, 40, 15]);
    let subprograms = rng.pick(&[0, 0, 0, 1, 2]);
    let mut functions = Vec::new();
    let mut comparable = true;
    for index in 0..=subprograms {
        let mut kinds = [Kind::Nothing; 10];
        if index == 0 {
            kinds[1] = Kind::Context;
            kinds[6] = Kind::Context;
        } else {
            for kind in &mut kinds[1..=5] {
                *kind = Kind::Number;
            }
        }
        let mut generator = Generator {
            left: if index == 0 {
                4 + rng.below(40) as i32
            } else {
                2 + rng.below(12) as i32
            },
            rng,
            kinds,
            prog_type,
            main: index == 0,
            depth: 0,
            wild,
            comparable: true,
            subprograms: if index == 0 { subprograms } else { 0 },
            counters: Vec::new(),
        };
        let mut body = Vec::new();
        while generator.left > 0 {
            body.push(generator.part());
        }
        body.push(generator.fold());
        if index == 0 {
            // A subprogram that nobody calls is an unreachable instruction.
            body.extend((1..=subprograms).map(|function| generator.call_of(function)));
        }
        comparable &= generator.comparable;
        functions.push(body);
    }
    Program {
        prog_type,
        functions,
        comparable,
    }
}

fn reg(number: u8) -> Reg {
    Reg::new(number).unwrap_or(Reg::R0)
}

fn mov(dst: Reg, src: Operand) -> Item {
    Item::Op(Instruction::Alu {
        width: Width::W64,
        op: AluOp::Mov,
        dst,
        src,
    })
}

fn alu(op: AluOp, dst: Reg, src: Operand) -> Item {
    Item::Op(Instruction::Alu {
        width: Width::W64,
        op,
        dst,
        src,
    })
}

fn load(size: Size, dst: Reg, base: Reg, offset: i16) -> Item {
    Item::Op(Instruction::Load {
        size,
        signed: false,
        dst,
        base,
        offset,
    })
}

fn helper(id: u32) -> Item {
    Item::Op(Instruction::Call(CallTarget::Helper(id)))
}

impl Generator<'_> {
    fn kind(&self, r: Reg) -> Kind {
        if r == Reg::R10 {
            Kind::Stack(0)
        } else {
            self.kinds[r.index()]
        }
    }

    fn set(&mut self, r: Reg, kind: Kind) {
        self.kinds[r.index()] = kind;
    }

    /// A register to write; never the context's or a running loop's counter.
    fn target(&mut self) -> Reg {
        loop {
            let r = reg(self.rng.pick(WORK));
            if !self.counters.contains(&r) {
                return r;
            }
        }
    }

    /// A register with a number, if there is one.
    fn number(&mut self) -> Option<Reg> {
        let all: Vec<u8> = (0..10)
            .filter(|n| self.kinds[usize::from(*n)] == Kind::Number)
            .collect();
        if all.is_empty() {
            None
        } else {
            Some(reg(self.rng.pick(&all)))
        }
    }

    fn imm(&mut self) -> i32 {
        match self.rng.below(4) {
            0 => self.rng.next() as i32,
            1 => self.rng.below(64) as i32,
            _ => self.rng.pick(NUMBERS),
        }
    }

    fn width(&mut self) -> Width {
        self.rng.pick(&[Width::W64, Width::W32])
    }

    fn operand(&mut self) -> Operand {
        match self.number() {
            Some(r) if self.rng.one_in(2) => Operand::Reg(r),
            _ => Operand::Imm(self.imm()),
        }
    }

    /// One part of the program.
    fn part(&mut self) -> Item {
        self.left -= 1;
        if self.wild > 0 && self.rng.one_in(self.wild) {
            return self.wildness();
        }
        loop {
            let made = match self.rng.below(20) {
                0..=4 => self.arithmetic(),
                5 => self.unary(),
                6 | 7 => self.stack_access(),
                8 => self.context_load(),
                9 => self.packet(),
                10 | 11 => self.lookup(),
                12 | 13 => self.value_access(),
                14 | 15 => self.branch(),
                16 => self.repeat(),
                17 => self.call(),
                18 => self.leave(),
                _ => Some(self.fold()),
            };
            if let Some(item) = made {
                return item;
            }
        }
    }

    fn arithmetic(&mut self) -> Option<Item> {
        let Some(dst) = self.number().filter(|r| !self.counters.contains(r)) else {
            let dst = self.target();
            self.set(dst, Kind::Number);
            return Some(mov(dst, Operand::Imm(self.imm())));
        };
        let op = self.rng.pick(ALL_ALU);
        let width = self.width();
        let mut src = self.operand();
        if let Operand::Imm(imm) = &mut src {
            let bits = if width == Width::W64 { 63 } else { 31 };
            match op {
                // Linux refuses shifts by the width and divisions by a constant zero.
                AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => *imm &= bits,
                AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod if *imm == 0 => *imm = 1,
                _ => {}
            }
        }
        Some(Item::Op(Instruction::Alu {
            width,
            op,
            dst,
            src,
        }))
    }

    fn unary(&mut self) -> Option<Item> {
        let dst = self.number().filter(|r| !self.counters.contains(r))?;
        Some(Item::Op(match self.rng.below(3) {
            0 => Instruction::Neg {
                width: self.width(),
                dst,
            },
            1 => {
                let order = self
                    .rng
                    .pick(&[ByteOrder::Little, ByteOrder::Big, ByteOrder::Swap]);
                Instruction::Endian {
                    order,
                    size: self.rng.pick(&[Size::H, Size::W, Size::DW]),
                    dst,
                }
            }
            _ => {
                let width = self.width();
                let from = match width {
                    Width::W64 => self.rng.pick(&[Size::B, Size::H, Size::W]),
                    Width::W32 => self.rng.pick(&[Size::B, Size::H]),
                };
                Instruction::MovSx {
                    width,
                    from,
                    dst,
                    src: self.number()?,
                }
            }
        }))
    }

    /// Collects a number into the function's result.
    fn fold(&mut self) -> Item {
        let Some(source) = self.number() else {
            return Item::Group(Vec::new());
        };
        let spare = if source == Reg::R0 { Reg::R1 } else { Reg::R0 };
        if self.counters.contains(&spare) {
            return Item::Group(Vec::new());
        }
        self.set(spare, Kind::Number);
        Item::Group(vec![
            load(Size::DW, spare, Reg::R10, RESULT),
            alu(AluOp::Mul, spare, Operand::Imm(31)),
            alu(AluOp::Xor, spare, Operand::Reg(source)),
            Item::Op(Instruction::Store {
                size: Size::DW,
                base: Reg::R10,
                offset: RESULT,
                src: Operand::Reg(spare),
            }),
        ])
    }

    /// An aligned offset within the scratch area, below the result.
    fn stack_offset(&mut self, size: Size) -> i16 {
        let bytes = size.bytes() as usize;
        let places = (SCRATCH as usize - 8) / bytes;
        -(SCRATCH) + (self.rng.below(places) * bytes) as i16
    }

    fn stack_access(&mut self) -> Option<Item> {
        let size = self.rng.pick(SIZES);
        let offset = self.stack_offset(size);
        match self.rng.below(6) {
            0 | 1 => {
                let dst = self.target();
                self.set(dst, Kind::Number);
                let signed = size != Size::DW && self.rng.one_in(3);
                Some(Item::Op(Instruction::Load {
                    size,
                    signed,
                    dst,
                    base: Reg::R10,
                    offset,
                }))
            }
            2 => {
                let src = self.number()?;
                Some(self.atomic(Reg::R10, self.stack_offset_of(offset), src))
            }
            3 => self.variable_stack(),
            _ => {
                let src = self.operand();
                Some(Item::Op(Instruction::Store {
                    size,
                    base: Reg::R10,
                    offset,
                    src,
                }))
            }
        }
    }

    /// The same offset, aligned to eight bytes.
    fn stack_offset_of(&self, offset: i16) -> i16 {
        offset & !7
    }

    /// A stack access whose place is a number within bounds.
    fn variable_stack(&mut self) -> Option<Item> {
        let index = self.number()?;
        let pointer = self.target();
        if pointer == index {
            return None;
        }
        let spare = self.target();
        if spare == index || spare == pointer {
            return None;
        }
        self.set(pointer, Kind::Nothing);
        self.set(spare, Kind::Number);
        let mut parts = vec![
            mov(spare, Operand::Reg(index)),
            alu(AluOp::And, spare, Operand::Imm(self.rng.pick(&[7, 15, 31]))),
            mov(pointer, Operand::Reg(Reg::R10)),
            alu(AluOp::Add, pointer, Operand::Imm(-i32::from(SCRATCH))),
            alu(AluOp::Add, pointer, Operand::Reg(spare)),
        ];
        parts.push(if self.rng.one_in(2) {
            load(Size::B, spare, pointer, 0)
        } else {
            Item::Op(Instruction::Store {
                size: Size::B,
                base: pointer,
                offset: 0,
                src: Operand::Imm(self.imm()),
            })
        });
        Some(Item::Group(parts))
    }

    fn atomic(&mut self, base: Reg, offset: i16, src: Reg) -> Item {
        let fetch = self.rng.one_in(2);
        let mut op = match self.rng.below(6) {
            0 => AtomicOp::Add { fetch },
            1 => AtomicOp::Or { fetch },
            2 => AtomicOp::And { fetch },
            3 => AtomicOp::Xor { fetch },
            4 => AtomicOp::Xchg,
            _ => AtomicOp::CmpXchg,
        };
        if op == AtomicOp::CmpXchg
            && (self.kind(Reg::R0) != Kind::Number || self.counters.contains(&Reg::R0))
        {
            op = AtomicOp::Add { fetch: false };
        }
        // A fetch writes the source: not into a loop's counter.
        if self.counters.contains(&src) {
            op = AtomicOp::Add { fetch: false };
        }
        let size = self.rng.pick(&[Size::W, Size::DW]);
        Item::Op(Instruction::Atomic {
            op,
            size,
            base,
            offset,
            src,
        })
    }

    fn context_load(&mut self) -> Option<Item> {
        if !self.main {
            return None;
        }
        let dst = self.target();
        let offset = match self.prog_type {
            // ingress_ifindex, rx_queue_index differ between kernels: only the packet's length.
            ProgType::Xdp => return None,
            // len, cb[0..5]
            _ => self.rng.pick(&[0, 48, 52, 56, 60, 64]),
        };
        self.set(dst, Kind::Number);
        Some(load(Size::W, dst, Reg::R6, offset))
    }

    /// Fetches data and data_end, compares, reads and perhaps writes.
    fn packet(&mut self) -> Option<Item> {
        let (data, data_end) = match self.prog_type {
            ProgType::Xdp => (0, 4),
            ProgType::SchedCls => (76, 80),
            _ => return None,
        };
        if !self.main {
            return None;
        }
        let (start, end, probe) = (self.target(), self.target(), self.target());
        if start == end || start == probe || end == probe {
            return None;
        }
        let wanted = self.rng.pick(&[1i16, 4, 14, 20, 34]);
        let mut parts = vec![
            load(Size::W, start, Reg::R6, data),
            load(Size::W, end, Reg::R6, data_end),
            mov(probe, Operand::Reg(start)),
            alu(AluOp::Add, probe, Operand::Imm(i32::from(wanted))),
        ];
        let (cond, dst, src) = match self.rng.below(4) {
            0 => (Condition::Gt, probe, end),
            1 => (Condition::Lt, end, probe),
            2 => (Condition::Ge, probe, end),
            _ => (Condition::Le, end, probe),
        };
        parts.push(Item::Leave(Test {
            width: Width::W64,
            cond,
            dst,
            src: Operand::Reg(src),
        }));
        self.set(end, Kind::Nothing);
        self.set(probe, Kind::Nothing);
        self.set(start, Kind::Packet(wanted));
        parts.push(self.access(start)?);
        Some(Item::Group(parts))
    }

    /// A load or store through a pointer, in bounds as far as the generator knows.
    fn access(&mut self, base: Reg) -> Option<Item> {
        let (limit, shift, writable) = match self.kind(base) {
            Kind::Packet(n) => (n, 0, self.prog_type != ProgType::SocketFilter),
            Kind::Value(map, at) => (MAPS[map].value_size as i16, -at, true),
            Kind::Stack(at) => (SCRATCH - 8, -SCRATCH - at, true),
            _ => return None,
        };
        let size = self.rng.pick(SIZES);
        let room = limit - size.bytes() as i16;
        if room < 0 {
            return None;
        }
        let mut offset = self.rng.below(room as usize + 1) as i16;
        if !matches!(self.kind(base), Kind::Packet(_)) {
            offset -= offset % size.bytes() as i16;
        }
        let offset = offset + shift;
        let store = writable && self.rng.one_in(2);
        if store {
            let src = self.operand();
            return Some(Item::Op(Instruction::Store {
                size,
                base,
                offset,
                src,
            }));
        }
        let dst = self.target();
        self.set(dst, Kind::Number);
        let signed = size != Size::DW && self.rng.one_in(4);
        Some(Item::Op(Instruction::Load {
            size,
            signed,
            dst,
            base,
            offset,
        }))
    }

    fn clobber(&mut self) {
        for kind in &mut self.kinds[1..=5] {
            *kind = Kind::Nothing;
        }
        self.kinds[0] = Kind::Number;
    }

    /// Whether a call would clobber a running loop's counter.
    fn may_call(&self) -> bool {
        self.counters.iter().all(|c| c.number() >= 7)
    }

    /// A map lookup with its null check, kept in a callee-saved register.
    fn lookup(&mut self) -> Option<Item> {
        if !self.may_call() {
            return None;
        }
        let keep = reg(self.rng.pick(&[7, 8, 9]));
        if self.counters.contains(&keep) {
            return None;
        }
        let map = self.rng.below(MAPS.len());
        let key = -SCRATCH;
        let mut parts = Vec::new();
        if map == SINGLE && self.rng.one_in(2) {
            // The value's address at once, without a call.
            let offset = (self.rng.below(8) * 8) as u32;
            self.set(keep, Kind::Value(map, offset as i16));
            return Some(Item::MapValue {
                dst: keep,
                map,
                offset,
            });
        }
        let size = if MAPS[map].key_size == 8 {
            Size::DW
        } else {
            Size::W
        };
        let src = Operand::Imm(self.rng.below(6) as i32);
        parts.push(Item::Op(Instruction::Store {
            size,
            base: Reg::R10,
            offset: key,
            src,
        }));
        if MAPS[map].map_type != MapType::Array && self.rng.one_in(2) {
            parts.extend(self.update(map, key));
        }
        parts.push(mov(Reg::R2, Operand::Reg(Reg::R10)));
        parts.push(alu(AluOp::Add, Reg::R2, Operand::Imm(i32::from(key))));
        parts.push(Item::Map { dst: Reg::R1, map });
        parts.push(helper(1));
        self.clobber();
        let null = Test {
            width: Width::W64,
            cond: Condition::Eq,
            dst: Reg::R0,
            src: Operand::Imm(0),
        };
        parts.push(Item::Leave(null));
        parts.push(mov(keep, Operand::Reg(Reg::R0)));
        self.set(Reg::R0, Kind::Value(map, 0));
        self.set(keep, Kind::Value(map, 0));
        Some(Item::Group(parts))
    }

    /// `bpf_map_update_elem(map, key, stack, BPF_ANY)`
    fn update(&mut self, map: usize, key: i16) -> Vec<Item> {
        let value = -SCRATCH + 16;
        let parts = vec![
            Item::Map { dst: Reg::R1, map },
            mov(Reg::R2, Operand::Reg(Reg::R10)),
            alu(AluOp::Add, Reg::R2, Operand::Imm(i32::from(key))),
            mov(Reg::R3, Operand::Reg(Reg::R10)),
            alu(AluOp::Add, Reg::R3, Operand::Imm(i32::from(value))),
            mov(Reg::R4, Operand::Imm(0)),
            helper(2),
        ];
        self.clobber();
        parts
    }

    fn pointer(&mut self) -> Option<Reg> {
        let all: Vec<u8> = (0..10)
            .filter(|n| {
                matches!(
                    self.kinds[usize::from(*n)],
                    Kind::Value(..) | Kind::Packet(_)
                )
            })
            .collect();
        if all.is_empty() {
            None
        } else {
            Some(reg(self.rng.pick(&all)))
        }
    }

    fn value_access(&mut self) -> Option<Item> {
        let base = self.pointer()?;
        match (self.kind(base), self.rng.below(4)) {
            (Kind::Value(_, 0), 0) => {
                let src = self.number()?;
                Some(self.atomic(base, 0, src))
            }
            (Kind::Value(map, 0), 1) => self.variable_value(base, map),
            _ => self.access(base),
        }
    }

    /// An access at a number within bounds: masked, or compared.
    fn variable_value(&mut self, base: Reg, map: usize) -> Option<Item> {
        let index = self.number()?;
        let (pointer, spare) = (self.target(), self.target());
        if [pointer, spare].contains(&base) || [pointer, spare].contains(&index) || pointer == spare
        {
            return None;
        }
        let last = MAPS[map].value_size as i32 - 1;
        let mut parts = vec![mov(spare, Operand::Reg(index))];
        let width = self.width();
        parts.push(match self.rng.below(4) {
            0 => {
                let mask = if last >= 63 { 63 } else { 7 };
                Item::Op(Instruction::Alu {
                    width,
                    op: AluOp::And,
                    dst: spare,
                    src: Operand::Imm(mask),
                })
            }
            1 => alu(AluOp::Mod, spare, Operand::Imm(last + 1)),
            2 => Item::Leave(Test {
                width: Width::W64,
                cond: Condition::Gt,
                dst: spare,
                src: Operand::Imm(last),
            }),
            _ => Item::Group(vec![
                Item::Leave(Test {
                    width: Width::W64,
                    cond: Condition::SGt,
                    dst: spare,
                    src: Operand::Imm(last),
                }),
                Item::Leave(Test {
                    width: Width::W64,
                    cond: Condition::SLt,
                    dst: spare,
                    src: Operand::Imm(0),
                }),
            ]),
        });
        parts.push(mov(pointer, Operand::Reg(base)));
        parts.push(alu(AluOp::Add, pointer, Operand::Reg(spare)));
        parts.push(load(Size::B, spare, pointer, 0));
        self.set(spare, Kind::Number);
        self.set(pointer, Kind::Nothing);
        Some(Item::Group(parts))
    }

    fn test(&mut self) -> Option<Test> {
        let dst = self.number()?;
        let cond = self.rng.pick(ALL_CONDITIONS);
        let width = self.width();
        Some(Test {
            width,
            cond,
            dst,
            src: self.operand(),
        })
    }

    /// Parts in a deeper place, with what registers hold before them restored by the caller.
    fn nested(&mut self, most: usize) -> Vec<Item> {
        self.depth += 1;
        let count = 1 + self.rng.below(most);
        let items = (0..count).map(|_| self.part()).collect();
        self.depth -= 1;
        items
    }

    fn join(&mut self, other: &[Kind; 10]) {
        for (mine, theirs) in self.kinds.iter_mut().zip(other) {
            *mine = match (*mine, *theirs) {
                (a, b) if a == b => a,
                (Kind::Packet(a), Kind::Packet(b)) => Kind::Packet(a.min(b)),
                _ => Kind::Nothing,
            };
        }
    }

    fn branch(&mut self) -> Option<Item> {
        if self.depth >= 4 {
            return None;
        }
        let test = self.test()?;
        let before = self.kinds;
        let then = self.nested(4);
        let after = std::mem::replace(&mut self.kinds, before);
        let otherwise = if self.rng.one_in(2) {
            self.nested(4)
        } else {
            Vec::new()
        };
        self.join(&after);
        Some(Item::If {
            test,
            then,
            otherwise,
        })
    }

    fn repeat(&mut self) -> Option<Item> {
        if self.depth >= 3 || self.counters.len() >= 2 {
            return None;
        }
        let counter = reg(self.rng.pick(&[7, 8, 9]));
        if self.counters.contains(&counter) {
            return None;
        }
        self.set(counter, Kind::Number);
        self.counters.push(counter);
        let times = 1 + self.rng.below(if self.depth == 0 { 12 } else { 4 }) as i32;
        // The second round begins with what the first has left: only what survives is known.
        let before = self.kinds;
        let trial = self.rng.next();
        let mut body = self.round(trial);
        let after = self.kinds;
        self.kinds = before;
        self.join(&after);
        if self.kinds != before {
            // The body must be made from what both rounds have; once is enough in practice, the
            // verifier is the judge.
            body = self.round(trial);
        }
        self.counters.pop();
        Some(Item::Loop {
            counter,
            times,
            body,
        })
    }

    fn round(&mut self, seed: u64) -> Vec<Item> {
        let _ = seed;
        self.nested(4)
    }

    fn call(&mut self) -> Option<Item> {
        if self.subprograms == 0 || !self.may_call() {
            return None;
        }
        let function = 1 + self.rng.below(self.subprograms);
        Some(self.call_of(function))
    }

    fn call_of(&mut self, function: usize) -> Item {
        let mut parts = Vec::new();
        for argument in 1..=5 {
            if self.kinds[argument] != Kind::Number {
                parts.push(mov(reg(argument as u8), Operand::Imm(self.imm())));
            }
        }
        parts.push(Item::Call(function));
        self.clobber();
        Item::Group(parts)
    }

    fn leave(&mut self) -> Option<Item> {
        self.test().map(Item::Leave)
    }

    /// Any register that holds something, mostly.
    fn written(&mut self) -> Reg {
        let all: Vec<u8> = (0..10)
            .filter(|n| self.kinds[usize::from(*n)] != Kind::Nothing)
            .chain([10])
            .collect();
        if self.rng.one_in(12) {
            reg(self.rng.below(11) as u8)
        } else {
            reg(self.rng.pick(&all))
        }
    }

    /// Something that a careful programmer would not write: the verdict is the question.
    fn wildness(&mut self) -> Item {
        self.comparable = false;
        let (dst, src) = (self.written(), self.written());
        let dst = if dst == Reg::R10 || self.counters.contains(&dst) {
            self.target()
        } else {
            dst
        };
        let size = self.rng.pick(SIZES);
        match self.rng.below(8) {
            0 => {
                let op = self.rng.pick(ALL_ALU);
                let width = self.width();
                self.set(dst, Kind::Nothing);
                Item::Op(Instruction::Alu {
                    width,
                    op,
                    dst,
                    src: Operand::Reg(src),
                })
            }
            1 => {
                let offset = self.rng.below(160) as i16 - 80;
                self.set(dst, Kind::Number);
                Item::Op(Instruction::Load {
                    size,
                    signed: false,
                    dst,
                    base: src,
                    offset,
                })
            }
            2 => {
                let offset = self.rng.below(160) as i16 - 80;
                Item::Op(Instruction::Store {
                    size,
                    base: src,
                    offset,
                    src: Operand::Reg(dst),
                })
            }
            3 => {
                let cond = self.rng.pick(ALL_CONDITIONS);
                let width = self.width();
                Item::Leave(Test {
                    width,
                    cond,
                    dst,
                    src: Operand::Reg(src),
                })
            }
            4 => {
                // A pointer moved by a number, then used.
                let by = self.operand();
                self.set(dst, Kind::Nothing);
                let spare = reg(self.rng.pick(WORK));
                self.set(spare, Kind::Number);
                Item::Group(vec![
                    mov(dst, Operand::Reg(src)),
                    alu(AluOp::Add, dst, by),
                    load(size, spare, dst, self.rng.below(32) as i16 - 16),
                ])
            }
            5 => {
                // A spill of whatever it is, and its return.
                let offset = self.stack_offset(Size::DW);
                let kind = self.kind(src);
                self.set(dst, kind);
                Item::Group(vec![
                    Item::Op(Instruction::Store {
                        size: Size::DW,
                        base: Reg::R10,
                        offset,
                        src: Operand::Reg(src),
                    }),
                    load(Size::DW, dst, Reg::R10, offset),
                ])
            }
            6 => {
                // A lookup without a null check.
                let map = self.rng.below(MAPS.len());
                self.clobber();
                self.set(Reg::R0, Kind::Value(map, 0));
                Item::Group(vec![
                    mov(Reg::R2, Operand::Reg(Reg::R10)),
                    alu(AluOp::Add, Reg::R2, Operand::Imm(-i32::from(SCRATCH))),
                    Item::Map { dst: Reg::R1, map },
                    helper(1),
                ])
            }
            _ => {
                let spare = self.written();
                Item::Op(Instruction::Atomic {
                    op: AtomicOp::Add { fetch: false },
                    size: self.rng.pick(&[Size::W, Size::DW]),
                    base: spare,
                    offset: -8 * self.rng.below(9) as i16,
                    src: dst,
                })
            }
        }
    }
}
