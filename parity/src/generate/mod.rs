//! Generates programs that look like programs: typed values, null checks, packet checks, bounded
//! indexes, loops, spills, subprograms. Most would be accepted; some deviate on purpose.

mod flow;
mod maps;
mod memory;
mod shapes;
mod values;
mod wide;
mod wild;

pub use wide::context_field;

use panal_isa::{
    AluOp, AtomicOp, ByteOrder, CallTarget, Condition, Instruction, Operand, Reg, Size, Width,
};
use panal_uapi::{MapType, ProgType, helpers::id::*};

use crate::{
    program::{Item, MapShape, Program, RESULT, Role, SCRATCH, Test},
    rng::Rng,
};

/// The maps that every program may use, by index.
pub const MAPS: &[MapShape] = WIDE_MAPS.split_at(4).0;
/// The maps of whole kernels; the first ones are those of every program.
pub const WIDE_MAPS: &[MapShape] = &[
    shape(MapType::Array, 4, 64, 4),
    shape(MapType::Hash, 8, 24, 16),
    // Room enough that no CPU's share runs out: then Linux evicts what is in use.
    shape(MapType::LruHash, 4, 8, 256),
    shape(MapType::Array, 4, 64, 1),
    shape(MapType::PercpuArray, 4, 16, 4),
    shape(MapType::Queue, 0, 8, 8),
    shape(MapType::Stack, 0, 8, 8),
    shape(MapType::LpmTrie, 8, 16, 16),
    shape(MapType::Ringbuf, 0, 0, 4096),
    shape(MapType::PercpuHash, 4, 8, 16),
    shape(MapType::ProgArray, 4, 4, 4),
    shape(MapType::Hash, 4, 40, 16),
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
/// The same, of whole kernels.
const WIDE_TYPES: &[ProgType] = &[
    ProgType::SchedCls,
    ProgType::SchedCls,
    ProgType::SchedCls,
    ProgType::Xdp,
    ProgType::Xdp,
    ProgType::Xdp,
    ProgType::SocketFilter,
    ProgType::SocketFilter,
    ProgType::SchedAct,
    ProgType::CgroupSkb,
    ProgType::LwtIn,
    ProgType::LwtXmit,
    ProgType::Syscall,
    ProgType::RawTracepoint,
];

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
    /// So many bytes of a caller's stack.
    Memory(i16),
}

/// What a function is and what its arguments hold.
#[derive(Clone, Copy, Debug)]
struct Signature {
    role: Role,
    args: [Kind; 5],
}

/// What the kernels that are asked have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Three program types, four maps, lookups and updates.
    Plain,
    /// Whatever Linux and Panal both run.
    Wide,
}

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
    reach: Reach,
    /// Whether it is the program's own function.
    top: bool,
    /// Whether r6 holds the context.
    main: bool,
    depth: u32,
    /// Parts that may still be made.
    left: i32,
    /// Once in how many parts something wild is done; 0: never.
    wild: usize,
    careful: bool,
    subprograms: usize,
    counters: Vec<Reg>,
    /// Iterators that run.
    iterators: i16,
    /// Of the functions after the main one.
    signatures: Vec<Signature>,
}

/// Makes the program of a seed, for a small world: lookups and updates in [`MAPS`].
pub fn program(seed: u64) -> Program {
    generate(seed, Reach::Plain)
}

/// Makes the program of a seed, for whole kernels.
pub fn wide(seed: u64) -> Program {
    generate(seed, Reach::Wide)
}

fn generate(seed: u64, reach: Reach) -> Program {
    let rng = &mut Rng::new(seed);
    let types = match reach {
        Reach::Plain => TYPES,
        Reach::Wide => WIDE_TYPES,
    };
    let prog_type = rng.pick(types);
    let wild = rng.pick(&[0, 0, 40, 15]);
    let subprograms = rng.pick(&[0, 0, 0, 1, 2]);
    let numbers = Signature {
        role: Role::Static,
        args: [Kind::Number; 5],
    };
    let signatures: Vec<Signature> = (0..subprograms)
        .map(|_| match reach {
            Reach::Plain => numbers,
            Reach::Wide => Generator::signature(rng),
        })
        .collect();
    let mut functions = Vec::new();
    let mut careful = true;
    for index in 0..=subprograms {
        let mut kinds = [Kind::Nothing; 10];
        let mut body = Vec::new();
        let mut context = index == 0;
        if index == 0 {
            kinds[1] = Kind::Context;
            kinds[6] = Kind::Context;
        } else {
            kinds[1..=5].copy_from_slice(&signatures[index - 1].args);
            if kinds[1] == Kind::Context {
                context = true;
                kinds[6] = Kind::Context;
                body.push(mov(Reg::R6, Operand::Reg(Reg::R1)));
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
            reach,
            top: index == 0,
            main: context,
            depth: 0,
            wild,
            careful: true,
            subprograms: if index == 0 { subprograms } else { 0 },
            counters: Vec::new(),
            iterators: 0,
            signatures: signatures.clone(),
        };
        while generator.left > 0 {
            body.push(generator.part());
        }
        body.push(generator.fold());
        if index == 0 {
            // A subprogram that nobody calls is an unreachable instruction.
            body.extend((1..=subprograms).map(|function| generator.call_of(function)));
        }
        careful &= generator.careful;
        functions.push(body);
    }
    let roles = std::iter::once(Role::Main)
        .chain(signatures.iter().map(|signature| signature.role))
        .collect();
    Program {
        prog_type,
        functions,
        roles,
        keep: (prog_type == ProgType::CgroupSkb).then_some(SINGLE),
        careful,
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
        if self.reach == Reach::Wide
            && self.rng.one_in(3)
            && let Some(item) = self.wider()
        {
            return item;
        }
        loop {
            let made = match self.rng.below(24) {
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
                19..=22 => self.shape(),
                _ => Some(self.fold()),
            };
            if let Some(item) = made {
                return item;
            }
        }
    }
}
