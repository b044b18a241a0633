//! What the optimiser makes of programs: the same values as the interpreter's, and the instructions
//! that `opt/shapes.txt` names.
#![cfg(all(target_arch = "x86_64", unix))]

mod common;

use common::{Home, Nothing};
use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};
use panal_isa::assemble::assemble;
use panal_vm::{Caged, Executable, JitOptions, Unobserved};

/// Registers `r1` and `r2` of each run.
const ARGUMENTS: [[u64; 2]; 8] = [
    [0, 0],
    [1, 2],
    [2, 1],
    [7, 70],
    [u64::MAX, 1],
    [i64::MIN as u64, u64::MAX],
    [0x8000_0001, 0x1_0000_0000],
    [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210],
];

/// How often an instruction is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Often {
    Some,
    Times(usize),
}

struct Case {
    name: String,
    text: String,
    /// Instructions, and how often they are there.
    shape: Vec<(String, Often)>,
}

fn cases() -> Vec<Case> {
    let all = include_str!("opt/shapes.txt");
    let mut cases = Vec::new();
    for part in all.split("\n== ").skip(1) {
        let (name, rest) = part.split_once('\n').expect("a name");
        let (text, shape) = rest.split_once("-- ").expect("a shape");
        let mut words = shape.lines().next().unwrap_or("").split_whitespace();
        let mut wanted = Vec::new();
        while let Some(word) = words.next() {
            let often = match word {
                "not" => Some(0),
                "once" => Some(1),
                "twice" => Some(2),
                _ => None,
            };
            wanted.push(match often {
                Some(often) => (
                    words.next().expect("a word").to_owned(),
                    Often::Times(often),
                ),
                None => (word.to_owned(), Often::Some),
            });
        }
        cases.push(Case {
            name: name.to_owned(),
            text: text.to_owned(),
            shape: wanted,
        });
    }
    assert!(cases.len() > 10, "the file has cases");
    cases
}

fn lower(text: &str, options: JitOptions) -> Executable {
    let slots = assemble(text, &mut ()).expect("a program").slots;
    // SAFETY: there are no helpers.
    let mut program = unsafe { Executable::from_unproven("test", &slots, &Nothing) }.unwrap();
    // SAFETY: the programs of these tests stay in their frames.
    unsafe { program.trust() };
    program.compile(options).expect("executable memory");
    program
}

/// Names of the instructions after the two ways in and the three out, each of which ends in a `ret`.
fn instructions(program: &Executable) -> Vec<String> {
    // The table of functions stands before the code: a count and three words for each.
    let code = program.machine_code().expect("machine code");
    let count = u32::from_ne_bytes(code[..4].try_into().unwrap()) as usize;
    let from = (4 + 12 * count).next_multiple_of(16);
    let mut formatter = IntelFormatter::new();
    let mut names = Vec::new();
    for instruction in &mut Decoder::new(64, &code[from..], DecoderOptions::NONE) {
        let mut name = String::new();
        formatter.format_mnemonic(&instruction, &mut name);
        names.push(name);
    }
    let mut ends = (0..names.len()).filter(|&at| names[at] == "ret");
    let after = ends.nth(2).expect("ways out");
    names.split_off(after + 1)
}

#[test]
fn programs_have_the_shape_and_compute_what_the_interpreter_does() {
    let home = Home::new();
    let host = JitOptions {
        optimise: true,
        budget: false,
        ..JitOptions::host()
    };
    let mut wrong = Vec::new();
    for case in cases() {
        let program = lower(&case.text, host);
        assert_eq!(program.not_optimised(), None, "{}", case.name);
        let names = instructions(&program);
        for (name, often) in &case.shape {
            let count = names
                .iter()
                .filter(|n| n.starts_with(name.as_str()))
                .count();
            let good = match often {
                Often::Times(times) => count == *times,
                Often::Some => count > 0,
            };
            if !good {
                wrong.push(format!("{}: {often:?} {name} in {names:?}", case.name));
            }
        }
        for options in [
            host,
            JitOptions {
                budget: true,
                ..host
            },
            JitOptions {
                bmi2: false,
                ..host
            },
        ] {
            let program = lower(&case.text, options);
            for [one, two] in ARGUMENTS {
                let args = [one, two, 0, 0, 0];
                let mut run = home.run();
                let expected = program.run_with(&mut run, args, &mut Caged, &mut Unobserved);
                let got = program.run_compiled_with(&mut home.run(), args);
                if got != expected {
                    wrong.push(format!(
                        "{} {args:x?}: {got:x?}, not {expected:x?}",
                        case.name
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
