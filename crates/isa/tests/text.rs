//! Text cases: bytes, their text in both dialects, what is refused and how.

use panal_isa::{Code, Instruction, Style, assemble::assemble};

/// The cases of a file: line number and columns.
fn cases(file: &'static str) -> impl Iterator<Item = (usize, Vec<&'static str>)> {
    file.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(index, line)| (index + 1, line.split(" | ").map(str::trim).collect()))
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace()
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

fn one(code: &Code) -> Instruction {
    *code.get(0).unwrap()
}

#[test]
fn instructions_have_their_bytes_and_texts() {
    for (line, case) in cases(include_str!("cases/instructions.txt")) {
        let [hex, llvm, kernel] = case[..] else {
            panic!("line {line}: three columns")
        };
        let bytes = bytes(hex);
        let code = Code::from_bytes(&bytes).unwrap_or_else(|e| panic!("line {line}: {e}"));
        assert_eq!(
            one(&code).text(None, Style::LLVM).to_string(),
            llvm,
            "line {line}"
        );
        assert_eq!(
            one(&code).text(None, Style::KERNEL).to_string(),
            kernel,
            "line {line}"
        );
        for text in [llvm, kernel] {
            let out = assemble(text, &mut ()).unwrap_or_else(|e| panic!("line {line}: {e}"));
            assert_eq!(out.slots, code.slots(), "line {line}: {text}");
        }
    }
}

#[test]
fn pseudo_sources_have_their_texts() {
    for (line, case) in cases(include_str!("cases/pseudo.txt")) {
        let [hex, text] = case[..] else {
            panic!("line {line}: two columns")
        };
        let code = Code::from_bytes(&bytes(hex)).unwrap_or_else(|e| panic!("line {line}: {e}"));
        assert_eq!(one(&code).to_string(), text, "line {line}");
        let out = assemble(text, &mut ()).unwrap_or_else(|e| panic!("line {line}: {e}"));
        assert_eq!(out.slots, code.slots(), "line {line}");
    }
}

#[test]
fn unknown_encodings_are_refused_by_name() {
    for (line, case) in cases(include_str!("cases/refused.txt")) {
        let [hex, error] = case[..] else {
            panic!("line {line}: two columns")
        };
        let found = Code::from_bytes(&bytes(hex)).expect_err(hex);
        assert_eq!(found.to_string(), error, "line {line}");
    }
}

#[test]
fn wrong_texts_are_refused_at_their_column() {
    for (line, case) in cases(include_str!("cases/wrong_text.txt")) {
        let [text, error] = case[..] else {
            panic!("line {line}: two columns")
        };
        let found = assemble(text, &mut ()).expect_err(text);
        assert_eq!(found.to_string(), error, "line {line}");
    }
}
