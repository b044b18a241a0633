//! The text cases of every instruction and its edges.

use panal_isa::{Slot, assemble::assemble};

/// A program and what it returns.
pub struct Case {
    pub name: String,
    pub text: String,
    pub expected: u64,
}

fn number(text: &str) -> u64 {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    }
    .unwrap_or_else(|_| panic!("no number: {text:?}"))
}

/// Lines `instruction | values of two registers | expected`.
fn table(file: &str, text: &str, program: impl Fn(&str, &str, &str) -> String) -> Vec<Case> {
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, l)| !l.is_empty() && !l.starts_with('#'));
    lines
        .map(|(n, line)| {
            let [instruction, before, after] = line.split(" | ").collect::<Vec<_>>()[..] else {
                panic!("{file}:{}: three columns", n + 1);
            };
            let (a, b) = before.trim().split_once(' ').expect("two values");
            Case {
                name: format!("{file}:{}: {line}", n + 1),
                text: program(instruction.trim(), a, b),
                expected: number(after),
            }
        })
        .collect()
}

/// Programs with a name in front and `=> value` behind.
fn programs(file: &str, text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut current: Option<(String, String)> = None;
    for (n, line) in text.lines().enumerate() {
        match &mut current {
            _ if line.is_empty() || line.starts_with('#') => {}
            None => {
                let name = line
                    .strip_suffix(':')
                    .unwrap_or_else(|| panic!("{file}:{}: a name", n + 1));
                current = Some((format!("{file}:{}: {name}", n + 1), String::new()));
            }
            Some((name, body)) => match line.strip_prefix("=>") {
                Some(value) => {
                    let (name, text) = (std::mem::take(name), std::mem::take(body));
                    cases.push(Case {
                        name,
                        text,
                        expected: number(value),
                    });
                    current = None;
                }
                None => {
                    body.push_str(line);
                    body.push('\n');
                }
            },
        }
    }
    assert!(current.is_none(), "{file}: a case without an end");
    cases
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let mut all = table(
        "arithmetic.txt",
        include_str!("../isa/arithmetic.txt"),
        |i, a, b| format!("r0 = {a} ll\nr1 = {b} ll\n{i}\nexit\n"),
    );
    all.extend(table(
        "conditions.txt",
        include_str!("../isa/conditions.txt"),
        |i, a, b| format!("r1 = {a} ll\nr2 = {b} ll\nr0 = 1\nif {i} goto +1\nr0 = 0\nexit\n"),
    ));
    all.extend(programs("memory.txt", include_str!("../isa/memory.txt")));
    all.extend(programs("atomics.txt", include_str!("../isa/atomics.txt")));
    all.extend(programs("control.txt", include_str!("../isa/control.txt")));
    all.extend(programs("rows.txt", include_str!("../isa/rows.txt")));
    all
}

/// The program of a case, or a variant of its text.
pub fn slots(case: &Case, text: &str) -> Vec<Slot> {
    assemble(text, &mut ())
        .unwrap_or_else(|e| panic!("{}: {e}", case.name))
        .slots
}
