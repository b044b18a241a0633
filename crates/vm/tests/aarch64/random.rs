//! Random programs: arithmetic, accesses to the frame and to the memory that they are given, atomics,
//! branches, loops, calls. They end, and what they computed is in `r0` and in the memory.

#[path = "../../../testkit/src/random.rs"]
mod numbers;

use std::fmt::Write as _;

use numbers::Random;

const SIZES: [(&str, u32); 4] = [("u8", 1), ("u16", 2), ("u32", 4), ("u64", 8)];
const OPERATORS: [&str; 13] = [
    "+=", "-=", "*=", "/=", "%=", "s/=", "s%=", "|=", "&=", "^=", "<<=", ">>=", "s>>=",
];
const CONDITIONS: [&str; 11] = [
    "==", "!=", "&", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=",
];

/// A writer of one program. `r9` has the memory, `r8` counts loops, `r0` to `r7` are for all.
struct Writer {
    random: Random,
    text: String,
    labels: u32,
}

/// The text of the program with this number.
pub fn program(seed: u64) -> String {
    let mut writer = Writer {
        random: Random::new(seed),
        text: String::new(),
        labels: 0,
    };
    writer.line("r9 = r1");
    writer.line("r8 = 0");
    for register in 0..8 {
        let value = writer.value();
        writer.line(&format!("r{register} = {value:#x} ll"));
    }
    let steps = 10 + writer.random.below(60);
    for _ in 0..steps {
        writer.step(0);
    }
    writer.fold();
    writer.line("exit");
    // What the calls lead to: may use the frame, and all registers.
    for function in 0..2 {
        writer.line(&format!("f{function}:"));
        writer.line("r9 = r1");
        for register in 2..9 {
            let value = writer.value();
            writer.line(&format!("r{register} = {value:#x} ll"));
        }
        writer.line("r0 = r2");
        writer.line("r1 = r3");
        for _ in 0..writer.random.below(12) {
            writer.step(2);
        }
        writer.line("r0 ^= r7");
        writer.line("exit");
    }
    for line in [
        "back:",
        "r6 = r1",
        "r6 *= 3",
        "r6 += r2",
        "*(u64 *)(r10 - 8) = r6",
    ] {
        writer.line(line);
    }
    writer.line("r0 = r6");
    writer.line("exit");
    writer.text
}

impl Writer {
    fn line(&mut self, line: &str) {
        writeln!(self.text, "{line}").expect("a string");
    }

    fn label(&mut self) -> String {
        self.labels += 1;
        format!("l{}", self.labels)
    }

    fn register(&mut self) -> usize {
        self.random.below(8)
    }

    fn value(&mut self) -> u64 {
        let any = self.random.next();
        match self.random.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << 63,
            3 => 1 << 31,
            4 => any & 0xff,
            5 => any >> 32,
            _ => any,
        }
    }

    fn immediate(&mut self) -> i32 {
        let any = self.random.next() as i32;
        match self.random.below(6) {
            0 => any % 70,
            1 => 1 << (any & 30),
            2 => any & 0xfff,
            3 => i32::MIN,
            4 => -1,
            _ => any,
        }
    }

    /// Where accesses of a size go: the frame or the memory, at any offset that lies inside.
    fn place(&mut self, size: u32, aligned: bool) -> String {
        let frame = self.random.below(2) == 0;
        let room = if frame { 512 } else { 4096 } - size as usize;
        let mut offset = self.random.below(room + 1);
        if aligned {
            offset -= offset % size as usize;
        }
        match frame {
            true => format!("r10 - {}", 512 - offset),
            false => format!("r9 + {offset}"),
        }
    }

    fn step(&mut self, depth: u32) {
        match self.random.below(24) {
            0..=8 => self.arithmetic(),
            9 => self.unary(),
            10..=11 => self.load(),
            12..=13 => self.store(),
            14..=15 => self.atomic(),
            16..=18 => self.skip(depth),
            19 if depth == 0 => self.again(depth),
            20 if depth < 2 => self.call(),
            21 if depth < 2 => self.helper(),
            22 => self.ordered(),
            _ => self.arithmetic(),
        }
    }

    fn arithmetic(&mut self) {
        let (dst, src, imm) = (self.register(), self.register(), self.immediate());
        let operator = self.random.of(&OPERATORS);
        let letter = self.random.of(&['r', 'w']);
        // Shifts by a constant must be less than the width.
        let is_shift = operator.contains("<<") || operator.contains(">>");
        let width = if letter == 'r' { 64 } else { 32 };
        let imm = if is_shift { imm & (width - 1) } else { imm };
        let imm = if imm == 0 && (operator.contains('/') || operator.contains('%')) {
            1
        } else {
            imm
        };
        let text = match self.random.below(5) {
            0 => format!("{letter}{dst} = {letter}{src}"),
            1 => format!("{letter}{dst} = {imm}"),
            2 => format!("{letter}{dst} {operator} {imm}"),
            _ => format!("{letter}{dst} {operator} {letter}{src}"),
        };
        self.line(&text);
    }

    fn unary(&mut self) {
        let (dst, src) = (self.register(), self.register());
        let text = match self.random.below(8) {
            0 => format!("r{dst} = -r{dst}"),
            1 => format!("w{dst} = -w{dst}"),
            2 => format!("r{dst} = (s8)r{src}"),
            3 => format!("r{dst} = (s32)r{src}"),
            4 => format!("w{dst} = (s16)w{src}"),
            5 => format!("r{dst} = be16 r{dst}"),
            6 => format!("r{dst} = bswap32 r{dst}"),
            _ => format!("r{dst} = be64 r{dst}"),
        };
        self.line(&text);
    }

    fn load(&mut self) {
        let (size, bytes) = self.random.of(&SIZES);
        let size = match self.random.below(3) {
            0 if bytes < 8 => size.replace('u', "s"),
            _ => size.to_owned(),
        };
        let (dst, place) = (self.register(), self.place(bytes, false));
        self.line(&format!("r{dst} = *({size} *)({place})"));
    }

    fn store(&mut self) {
        let (size, bytes) = self.random.of(&SIZES);
        let place = self.place(bytes, false);
        let value = match self.random.below(3) {
            0 => self.immediate().to_string(),
            _ => format!("r{}", self.register()),
        };
        self.line(&format!("*({size} *)({place}) = {value}"));
    }

    fn atomic(&mut self) {
        let (size, bytes) = self.random.of(&SIZES[2..]);
        let (place, src) = (self.place(bytes, true), self.register());
        let (r, suffix) = match bytes {
            8 => ('r', "_64"),
            _ => ('w', "32_32"),
        };
        let name = self.random.of(&["add", "or", "and", "xor"]);
        let operator = self.random.of(&["+=", "|=", "&=", "^="]);
        let text = match self.random.below(4) {
            0 => format!("lock *({size} *)({place}) {operator} {r}{src}"),
            1 => format!("{r}{src} = atomic_fetch_{name}(({size} *)({place}), {r}{src})"),
            2 => format!("{r}{src} = xchg{suffix}({place}, {r}{src})"),
            _ => format!("{r}0 = cmpxchg{suffix}({place}, {r}0, {r}{src})"),
        };
        self.line(&text);
    }

    /// Acquire loads and release stores.
    fn ordered(&mut self) {
        let (size, bytes) = self.random.of(&SIZES);
        let r = if bytes == 8 { 'r' } else { 'w' };
        let (place, register) = (self.place(bytes, true), self.register());
        let text = match self.random.below(2) {
            0 => format!("{r}{register} = load_acquire(({size} *)({place}))"),
            _ => format!("store_release(({size} *)({place}), {r}{register})"),
        };
        self.line(&text);
    }

    fn condition(&mut self) -> String {
        let (a, b, imm) = (self.register(), self.register(), self.immediate());
        let operator = self.random.of(&CONDITIONS);
        let letter = self.random.of(&['r', 'w']);
        match self.random.below(2) {
            0 => format!("{letter}{a} {operator} {imm}"),
            _ => format!("{letter}{a} {operator} {letter}{b}"),
        }
    }

    /// Over a few steps, or not.
    fn skip(&mut self, depth: u32) {
        let (condition, label) = (self.condition(), self.label());
        self.line(&format!("if {condition} goto {label}"));
        for _ in 0..self.random.below(4) {
            self.step(depth + 1);
        }
        self.line(&format!("{label}:"));
    }

    /// A loop of a few rounds.
    fn again(&mut self, depth: u32) {
        let (rounds, label) = (1 + self.random.below(20), self.label());
        self.line("r8 = 0");
        self.line(&format!("{label}:"));
        self.line("r8 += 1");
        for _ in 0..1 + self.random.below(5) {
            self.step(depth + 1);
        }
        self.line(&format!("if r8 < {rounds} goto {label}"));
    }

    /// What calls give away is put in order again.
    fn refresh(&mut self) {
        for register in 1..6 {
            let value = self.value();
            self.line(&format!("r{register} = {value:#x} ll"));
        }
    }

    fn call(&mut self) {
        self.line("r1 = r9");
        let function = self.random.below(2);
        self.line(&format!("call f{function}"));
        self.refresh();
    }

    fn helper(&mut self) {
        match self.random.below(2) {
            0 => self.line("call 2"),
            _ => {
                let count = self.random.below(4);
                self.line(&format!("r1 = {count}"));
                self.line("r2 = subprog[back] ll");
                self.line("r3 = r6");
                self.line("call 1");
            }
        }
        self.refresh();
    }

    /// All registers in one number.
    fn fold(&mut self) {
        for register in 1..8 {
            self.line("r0 *= 31");
            self.line(&format!("r0 += r{register}"));
        }
    }
}
