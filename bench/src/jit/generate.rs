//! Programs of any size for measuring compilers: the mix of instructions that clang gives packet
//! programs, values unknown to the verifier, forward branches only.

use panal_isa::Slot;

/// Arithmetic and branches go on in these.
const REGISTERS: std::ops::RangeInclusive<u8> = 2..=9;

/// A generator of numbers (xorshift): the same program each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) % u64::from(limit)) as u32
    }

    fn register(&mut self) -> u8 {
        *REGISTERS.start() + self.below(8) as u8
    }
}

fn slot(opcode: u8, dst: u8, src: u8, offset: i16, imm: i32) -> Slot {
    Slot {
        opcode,
        registers: src << 4 | dst,
        offset,
        imm,
    }
}

/// A tc program of about so many slots.
pub fn program(size: usize) -> Vec<Slot> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut code = Vec::with_capacity(size);
    // Length, mark and the like: nobody knows them before the program runs.
    for (register, offset) in REGISTERS.zip([0, 4, 8, 12, 16, 0, 4, 8]) {
        code.push(slot(0x61, register, 1, offset, 0));
    }
    for place in 1..=8 {
        code.push(slot(0x7b, 10, place + 1, -8 * i16::from(place), 0));
    }
    while code.len() + 12 < size {
        block(&mut code, &mut random);
    }
    code.push(slot(0xbf, 0, 2, 0, 0));
    for register in REGISTERS.skip(1) {
        code.push(slot(0x0f, 0, register, 0, 0));
    }
    code.push(slot(0x57, 0, 0, 0, 0x7fff_ffff));
    code.push(slot(0x95, 0, 0, 0, 0));
    code
}

/// One instruction of the mix, or a branch over one or two.
fn block(code: &mut Vec<Slot>, random: &mut Random) {
    let (a, b) = (random.register(), random.register());
    let place = -8 * (1 + random.below(8) as i16);
    let number = random.below(1 << 16) as i32;
    match random.below(20) {
        0..=2 => code.push(slot(0xbf, a, b, 0, 0)),
        3 | 4 => code.push(slot(0x79, a, 10, place, 0)),
        5 | 6 => code.push(slot(0x7b, 10, a, place, 0)),
        7 | 8 => code.push(slot(0x07, a, 0, 0, number)),
        9 => code.push(slot(0x0f, a, b, 0, 0)),
        10 => code.push(slot(0xaf, a, b, 0, 0)),
        11 => code.push(slot(0x57, a, 0, 0, number)),
        12 => code.push(slot(0x77, a, 0, 0, number & 31)),
        13 => code.push(slot(0x67, a, 0, 0, number & 7)),
        14 => code.push(slot(0x04, a, 0, 0, number)),
        15 => code.push(slot(0x24, a, 0, 0, number | 1)),
        16 => {
            code.push(slot(0x18, a, 0, 0, number));
            code.push(slot(0, 0, 0, 0, number));
        }
        17 | 18 => {
            // A 64-bit comparison with a number, over an addition and a copy.
            code.push(slot(0x25, a, 0, 2, number));
            code.push(slot(0x07, b, 0, 0, number));
            code.push(slot(0xbf, a, b, 0, 0));
        }
        _ => {
            // A 32-bit one, over an exclusive or.
            code.push(slot(0x16, a, 0, 1, number));
            code.push(slot(0xaf, a, b, 0, 0));
        }
    }
}
