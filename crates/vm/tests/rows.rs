//! Programs of chance, made of the rows of instructions that machine code writes in one: addresses,
//! rotations, extensions, tests, selections, changes in memory. The interpreter says what they compute.

mod common;

use std::fmt::Write;

use common::Home;
use panal_isa::assemble::assemble;
use panal_vm::{Executable, JitOptions};

/// Registers that hold numbers; `r7` points to the frame's memory, `r6` counts.
const NUMBERS: [u8; 8] = [0, 1, 2, 3, 4, 5, 8, 9];
/// Bytes of the frame's memory.
const MEMORY: u32 = 128;

struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 20) % u64::from(n)) as u32
    }

    fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len() as u32) as usize]
    }

    fn number(&mut self) -> u8 {
        self.of(&NUMBERS)
    }
}

/// A program under construction.
struct Text {
    chance: Chance,
    text: String,
    labels: u32,
}

impl Text {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn label(&mut self) -> String {
        self.labels += 1;
        format!("l{}", self.labels)
    }

    fn arithmetic(&mut self) {
        let (d, s) = (self.chance.number(), self.chance.number());
        let w = self.chance.of(&["r", "w"]);
        let imm = self.chance.of(&[
            0,
            1,
            2,
            3,
            7,
            8,
            10,
            255,
            1000,
            -1,
            -4,
            65_535,
            0x7fff_ffff,
            i32::MIN,
        ]);
        let op = self.chance.of(&[
            "+", "-", "*", "|", "&", "^", "/", "%", "<<", ">>", "s>>", "", "",
        ]);
        let by = match op {
            "<<" | ">>" | "s>>" => self.chance.of(&[1, 2, 3, 8, 16, 24, 31]),
            _ => imm,
        };
        let line = match self.chance.below(3) {
            0 if op != "/" && op != "%" => format!("{w}{d} {op}= {w}{s}"),
            _ if (op == "/" || op == "%") && by == 0 => format!("{w}{d} {op}= 7"),
            _ => format!("{w}{d} {op}= {by}"),
        };
        self.line(&line);
    }

    /// An address in the frame's memory, in a register of its own, and how far from it one may go.
    fn address(&mut self) -> (u8, u32) {
        let (p, i) = (self.chance.number(), self.chance.number());
        let scale = self.chance.below(4);
        match self.chance.below(4) {
            0 => self.line(&format!("r{p} = r7")),
            1 => {
                let off = self.chance.below(57);
                self.line(&format!("r{p} = r7\nr{p} += {off}"));
            }
            2 if p != i => {
                self.line(&format!(
                    "r{i} &= 7\nr{i} <<= {scale}\nr{p} = r7\nr{p} += r{i}"
                ));
            }
            _ => {
                self.line(&format!("r{p} &= 7\nr{p} <<= {scale}\nr{p} += r7"));
            }
        }
        (p, MEMORY - 64)
    }

    fn access(&mut self) {
        let (p, room) = self.address();
        let (bytes, size) = self
            .chance
            .of(&[(1, "u8"), (2, "u16"), (4, "u32"), (8, "u64")]);
        let off = self.chance.below(room - bytes);
        let v = self.chance.number();
        if self.chance.below(4) == 0 {
            self.arithmetic_on(v, p);
        }
        let place = format!("*({size} *)(r{p} + {off})");
        let w = if bytes == 8 { "r" } else { "w" };
        match self.chance.below(6) {
            0 | 1 => self.line(&format!("{w}{v} = {place}")),
            2 => self.line(&format!("{place} = {w}{v}")),
            3 => {
                let number = self.chance.of(&[0, -1, 77, 0x1234_5678]);
                self.line(&format!("{place} = {number}"));
            }
            4 => {
                // A change in place, and often nobody reads the register again.
                let op = self.chance.of(&["+", "-", "|", "&", "^"]);
                let by = match self.chance.below(2) {
                    0 => format!("{}{}", w, self.chance.number()),
                    _ => self.chance.of(&[1, -1, 127, 255, 4096]).to_string(),
                };
                if v != p {
                    self.line(&format!(
                        "{w}{v} = {place}\n{w}{v} {op}= {by}\n{place} = {w}{v}"
                    ));
                }
                if self.chance.below(2) == 0 {
                    self.line(&format!("r{v} = 5"));
                }
            }
            _ => {
                // An operand in memory.
                let (d, op) = (
                    self.chance.number(),
                    self.chance.of(&["+", "-", "|", "&", "^", "*"]),
                );
                let again = if self.chance.below(2) == 0 { v } else { d };
                if v != d {
                    self.line(&format!(
                        "{w}{v} = {place}\n{w}{d} {op}= {w}{v}\nr{again} ^= 3"
                    ));
                    if again != v {
                        self.line(&format!("r{v} = r{d}"));
                    }
                }
            }
        }
    }

    /// Something between an address and its use that leaves the address as it is.
    fn arithmetic_on(&mut self, v: u8, not: u8) {
        if v != not {
            let s = self.chance.number();
            self.line(&format!("r{v} += r{s}"));
        }
    }

    fn rotation(&mut self) {
        let (x, t, y) = (
            self.chance.number(),
            self.chance.number(),
            self.chance.number(),
        );
        let (w, bits) = self.chance.of(&[("w", 32), ("r", 64)]);
        let a = 1 + self.chance.below(bits - 1);
        let b = if self.chance.below(8) == 0 {
            a
        } else {
            bits - a
        };
        let (one, other) = self.chance.of(&[("<<", ">>"), (">>", "<<")]);
        let join = self.chance.of(&["|", "^", "+"]);
        match self.chance.below(2) {
            0 => self.line(&format!(
                "{w}{t} = {w}{x}\n{w}{t} {one}= {a}\n{w}{x} {other}= {b}\n{w}{x} {join}= {w}{t}"
            )),
            _ => self.line(&format!(
                "{w}{t} = {w}{x}\n{w}{t} {one}= {a}\n{w}{y} = {w}{x}\n{w}{y} {other}= {b}\n{w}{y} {join}= {w}{t}"
            )),
        }
        if self.chance.below(2) == 0 {
            self.line(&format!("r{t} = 1"));
        }
    }

    fn extension(&mut self) {
        let (d, s) = (self.chance.number(), self.chance.number());
        let (w, counts) = self
            .chance
            .of(&[("w", &[8, 16, 24][..]), ("r", &[8, 32, 48, 56][..])]);
        let (count, back) = (self.chance.of(counts), self.chance.of(&[">>", "s>>"]));
        if self.chance.below(2) == 0 {
            let w = self.chance.of(&["r", "w"]);
            self.line(&format!("{w}{d} = {w}{s}"));
        }
        match self.chance.below(4) {
            0 => {
                let mask = self.chance.of(&[0xff, 0xffff]);
                self.line(&format!("{w}{d} &= {mask}"));
            }
            _ => self.line(&format!("{w}{d} <<= {count}\n{w}{d} {back}= {count}")),
        }
    }

    fn condition(&mut self) -> String {
        let (d, s) = (self.chance.number(), self.chance.number());
        let w = self.chance.of(&["r", "w"]);
        let op = self
            .chance
            .of(&["==", "!=", ">", ">=", "<", "<=", "s>", "s<", "&"]);
        match self.chance.below(2) {
            0 => format!("{w}{d} {op} {w}{s}"),
            _ => format!("{w}{d} {op} {}", self.chance.of(&[0, 0, 1, 5, 255, -1])),
        }
    }

    fn selection(&mut self) {
        let (condition, label) = (self.condition(), self.label());
        let (d, s) = (self.chance.number(), self.chance.number());
        let value = match self.chance.below(3) {
            0 => format!("r{d} = r{s}"),
            1 => format!("w{d} = w{s}"),
            _ => format!("r{d} = {}", self.chance.of(&[0, 1, -1, 99])),
        };
        self.line(&format!("if {condition} goto {label}\n{value}\n{label}:"));
    }

    fn bits(&mut self, depth: u32) {
        let (d, s) = (self.chance.number(), self.chance.number());
        let w = self.chance.of(&["r", "w"]);
        if self.chance.below(2) == 0 {
            self.line(&format!("{w}{d} = {w}{s}"));
        }
        let by = match self.chance.below(3) {
            0 => format!("{w}{}", self.chance.number()),
            _ => self.chance.of(&[1, 4, 0x80, 0x7fff_ffff, -2]).to_string(),
        };
        let (label, op) = (self.label(), self.chance.of(&["==", "!="]));
        self.line(&format!("{w}{d} &= {by}\nif {w}{d} {op} 0 goto {label}"));
        if self.chance.below(2) == 0 {
            self.line(&format!("r{d} = 3"));
        }
        self.some(depth + 1);
        self.line(&format!("r{d} = 4"));
        self.line(&format!("{label}:"));
        if self.chance.below(2) == 0 {
            self.line(&format!("r{d} = 6"));
        }
    }

    fn branch(&mut self, depth: u32) {
        let (condition, label) = (self.condition(), self.label());
        self.line(&format!("if {condition} goto {label}"));
        if self.chance.below(3) == 0 {
            let end = self.label();
            self.line(&format!("goto {end}\n{label}:"));
            self.some(depth + 1);
            self.line(&format!("{end}:"));
        } else {
            self.some(depth + 1);
            self.line(&format!("{label}:"));
        }
    }

    fn round(&mut self) {
        let label = self.label();
        self.line(&format!("r6 = 3\n{label}:"));
        self.some(2);
        self.line(&format!("r6 += -1\nif r6 != 0 goto {label}"));
    }

    fn some(&mut self, depth: u32) {
        for _ in 0..1 + self.chance.below(5) {
            match self.chance.below(12) {
                0..=2 => self.arithmetic(),
                3..=5 => self.access(),
                6 => self.rotation(),
                7 => self.extension(),
                8 => self.selection(),
                9 if depth < 3 => self.bits(depth),
                10 if depth < 3 => self.branch(depth),
                11 if depth == 0 => self.round(),
                _ => self.arithmetic(),
            }
        }
    }
}

fn program(seed: u64) -> String {
    let mut text = Text {
        chance: Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        text: String::new(),
        labels: 0,
    };
    text.line(&format!("r7 = r10\nr7 += -{MEMORY}"));
    for n in NUMBERS {
        let value = text.chance.0.rotate_left(u32::from(n) * 7);
        let value = value >> text.chance.below(40);
        text.line(&format!("r{n} = {value:#x} ll"));
    }
    for at in (0..MEMORY).step_by(8) {
        let value = 0x0101_0101 * (at + 1) % 0x7fff_ffff;
        text.line(&format!("*(u64 *)(r7 + {at}) = {value}"));
    }
    for _ in 0..3 + text.chance.below(6) {
        text.some(0);
    }
    for n in &NUMBERS[1..] {
        text.line(&format!("r0 *= 31\nr0 += r{n}"));
    }
    for at in (0..MEMORY).step_by(8) {
        text.line(&format!("r1 = *(u64 *)(r7 + {at})\nr0 *= 31\nr0 += r1"));
    }
    text.line("exit");
    text.text
}

#[test]
fn rows_compute_what_the_interpreter_says() {
    let home = Home::new();
    let count = std::env::var("PANAL_ROWS")
        .ok()
        .and_then(|n| n.parse().ok());
    for seed in 0..count.unwrap_or(1500) {
        let text = program(seed);
        let slots = match assemble(&text, &mut ()) {
            Ok(program) => program.slots,
            Err(why) => panic!("{why}\n{text}"),
        };
        // SAFETY: there are no helpers.
        let lower = || unsafe { Executable::from_unproven("rows", &slots, &common::Nothing) };
        let mut executable = lower().expect("a program");
        let expected = executable.run(&mut home.run(), 0);
        assert!(expected.is_ok(), "{expected:?}\n{text}");
        // SAFETY: the interpreter has shown that it stays in its frame.
        unsafe { executable.trust() };
        let host = JitOptions::host();
        for (bmi2, cage) in [(host.bmi2, None), (false, None), (host.bmi2, home.shape())] {
            let options = JitOptions { bmi2, cage, ..host };
            executable.compile(options).expect("executable memory");
            let got = executable.run_compiled(&mut home.run(), 0);
            let mut told = String::new();
            if got != expected {
                let _ = write!(told, "seed {seed}, bmi2 {bmi2}, cage {cage:?}\n{text}");
            }
            assert_eq!(got, expected, "{told}");
        }
    }
}
