//! As tight as Linux: what is known of two numbers after an operation or a comparison, in the words of
//! both verifiers' logs.
//!
//! Random programs give two registers a range each (a constant, an interval of either sign and width,
//! known bits, an extended number) and combine them. The lines of both logs must be the same.

use std::collections::BTreeMap;

use panal_isa::assemble;
use panal_testkit::{
    Random, linux,
    setup::{self, Maps, Names},
};
use panal_uapi::{
    MapType, ProgType,
    inspect::Inspect,
    kernel::{LoadError, ProgSpec},
};

const PROGRAMS: u64 = 60;
const COMBINATIONS: usize = 40;

const OPERATIONS: &[&str] = &[
    "+=", "-=", "*=", "/=", "%=", "s/=", "s%=", "&=", "|=", "^=", "<<=", ">>=", "s>>=",
];
const CONDITIONS: &[&str] = &[
    "==", "!=", "&", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=",
];
const EXTENSIONS: &[&str] = &[
    "r6 = (s8)r6",
    "r6 = (s16)r6",
    "r6 = (s32)r6",
    "w6 = (s8)w6",
    "w6 = (s16)w6",
    "w6 = w6",
    "r6 = -r6",
    "w6 = -w6",
    "r6 = be16 r6",
    "r6 = be32 r6",
    "r6 = bswap64 r6",
    "r6 = le16 r6",
];

/// Small, near where a reading changes its sign, or any.
fn number(random: &mut Random) -> u64 {
    let near = random.of(&[0u64, 0, 0, 1 << 31, 1 << 32, 1 << 63, u64::MAX << 31]);
    match random.next() >> 62 {
        0 | 1 => near.wrapping_add((random.next() >> 60).wrapping_sub(8)),
        2 => near.wrapping_add(random.next() >> 48),
        _ => random.next() >> (random.next() >> 58),
    }
}

/// A text under way, and the slots whose lines are compared.
struct Text {
    lines: Vec<String>,
    compared: Vec<usize>,
}

impl Text {
    fn push(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    fn compare(&mut self, line: impl Into<String>) {
        self.compared.push(self.lines.len());
        self.push(line);
    }

    /// Any number, then something known of it.
    fn number(&mut self, random: &mut Random, reg: u8) {
        let (a, b) = (number(random), number(random));
        self.push(format!("r{reg} = *(u64 *)(r9 + 0)"));
        let (sign, narrow, (low, high)) = match random.next() >> 61 {
            0 => {
                self.push(format!("r{reg} = {a:#x} ll"));
                return;
            }
            1 | 2 => {
                self.push(format!("r3 = {a:#x} ll"));
                self.push(format!("r{reg} &= r3"));
                self.push(format!("r3 = {b:#x} ll"));
                self.push(format!("r{reg} |= r3"));
                return;
            }
            3 => ("", 'r', (a.min(b), a.max(b))),
            4 => {
                let (low, high) = ((a as i64).min(b as i64), (a as i64).max(b as i64));
                ("s", 'r', (low as u64, high as u64))
            }
            5 => {
                self.push(format!("w{reg} = w{reg}"));
                (
                    "",
                    'w',
                    (
                        (a as u32).min(b as u32).into(),
                        (a as u32).max(b as u32).into(),
                    ),
                )
            }
            6 => {
                let (low, high) = ((a as i32).min(b as i32), (a as i32).max(b as i32));
                ("s", 'w', (low as u32 as u64, high as u32 as u64))
            }
            _ => {
                self.push(format!(
                    "r{reg} = (s{}){}{reg}",
                    random.of(&[8, 16, 32]),
                    'r'
                ));
                return;
            }
        };
        for (cond, bound) in [("<", low), (">", high)] {
            self.push(format!("r3 = {bound:#x} ll"));
            self.push(format!("if {narrow}{reg} {sign}{cond} {narrow}3 goto out"));
        }
    }

    fn combine(&mut self, random: &mut Random) {
        self.number(random, 6);
        self.number(random, 7);
        let narrow = random.of(&['r', 'w']);
        match random.next() >> 62 {
            0 => {
                let cond = random.of(CONDITIONS);
                self.compare(format!("if {narrow}6 {cond} {narrow}7 goto +0"));
            }
            1 => self.compare(random.of(EXTENSIONS)),
            _ => {
                let op = random.of(OPERATIONS);
                self.compare(format!("{narrow}6 {op} {narrow}7"));
            }
        }
    }
}

fn program(seed: u64) -> Text {
    let mut random = Random::new(seed);
    let mut text = Text {
        lines: Vec::new(),
        compared: Vec::new(),
    };
    for line in [
        "*(u32 *)(r10 - 4) = 0",
        "r2 = r10",
        "r2 += -4",
        "r1 = map[m] ll",
        "call bpf_map_lookup_elem",
        "if r0 == 0 goto out",
        "r9 = r0",
    ] {
        text.push(line);
    }
    for _ in 0..COMBINATIONS {
        text.combine(&mut random);
    }
    text.push("out: r0 = 0");
    text.push("exit");
    text
}

/// The first line of each instruction in a log of level 2. Where what is known contradicts itself on a
/// path that no run takes, Linux complains between the instruction and what is known after it.
fn first_lines(log: &str) -> BTreeMap<usize, String> {
    let joined = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: BTreeMap<usize, String> = BTreeMap::new();
    let mut newest = None;
    let mut interrupted = None;
    for line in log.lines() {
        if line.starts_with("verifier bug: REG INVARIANTS VIOLATION") {
            interrupted = newest;
            continue;
        }
        let Some((slot, rest)) = line.trim_start().split_once(": ") else {
            continue;
        };
        let Ok(slot) = slot.parse() else {
            continue;
        };
        if interrupted.take() == Some(slot) {
            let known = format!(" ; {}", joined(rest));
            lines.entry(slot).or_default().push_str(&known);
        } else if rest.starts_with('(') {
            let is_first = !lines.contains_key(&slot);
            newest = is_first.then_some(slot);
            lines.entry(slot).or_insert_with(|| joined(rest));
        }
    }
    lines
}

/// What the log says of each line that is compared.
fn log(kernel: &dyn Inspect, text: &Text) -> Vec<Option<String>> {
    let spec = setup::map("m", MapType::Array, 4, 8, 1);
    let mut maps = Maps::new();
    maps.insert("m", kernel.map_create(&spec).expect("a map"));
    let lines = text.lines.join("\n");
    let spec = ProgSpec {
        log_level: 2,
        ..setup::program(ProgType::SocketFilter, &lines, &maps)
    };
    let log = match kernel.prog_load(&spec) {
        Ok(loaded) => loaded.log,
        Err(LoadError::Rejected { log, .. }) => panic!("rejected:\n{log}"),
        Err(other) => panic!("{other:?}"),
    };
    let said = first_lines(&log);
    let line_of = assemble(&lines, &mut Names::new(&maps))
        .expect("a program")
        .lines;
    let slot_of = |line: &usize| line_of.iter().position(|&l| l as usize == line + 1);
    let of_line = |line| said.get(&slot_of(line)?).cloned();
    text.compared.iter().map(of_line).collect()
}

#[test]
fn what_is_known_after_an_operation_is_what_linux_knows() {
    let linux = match linux() {
        Ok(linux) => linux,
        Err(why) => return println!("skipped: {why}"),
    };
    let panal = panal_testkit::panal().remove(0);
    let (mut compared, mut different) = (0, Vec::new());
    for seed in 0..PROGRAMS {
        let text = program(seed);
        let (ours, theirs) = (log(&*panal.kernel, &text), log(&*linux.kernel, &text));
        for ((&line, right), ours) in text.compared.iter().zip(theirs).zip(ours) {
            compared += 1;
            if right.is_none() || ours != right {
                let before = text.lines[line.saturating_sub(10)..=line].join("; ");
                different.push(format!("{before}\n  Linux: {right:?}\n  Panal: {ours:?}"));
            }
        }
    }
    println!("{compared} combinations compared");
    assert!(compared > 500, "{compared}");
    assert!(
        different.is_empty(),
        "{} of {compared} differ:\n{}",
        different.len(),
        different.join("\n")
    );
}
