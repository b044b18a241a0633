//! Agreement with LLVM's assembler and disassembler, where they are installed.

use std::{
    fmt::Write as _,
    io::Write as _,
    process::{Command, Stdio},
};

use panal_isa::{CallTarget, Code, Imm64, Instruction, PacketMode, Slot, Style};

const TOOL: &str = "llvm-mc-22";

fn llvm_mc(arguments: &[&str], input: &str) -> Option<String> {
    let child = Command::new(TOOL)
        .args(["-triple", "bpfel", "-mcpu=v4"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            println!("skipped: {TOOL}: {error}");
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success(), "{TOOL} failed");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Whether LLVM has a text of its own that says everything.
fn shared(instruction: &Instruction) -> bool {
    match *instruction {
        Instruction::LoadImm64 { imm, .. } => matches!(imm, Imm64::Value(_)),
        Instruction::Call(target) => matches!(target, CallTarget::Helper(_) | CallTarget::Reg(_)),
        // LLVM drops the offset.
        Instruction::PacketLoad {
            mode: PacketMode::Indirect(_),
            imm,
            ..
        } => imm == 0,
        _ => true,
    }
}

/// Every opcode with a few registers, offsets and immediates, as far as it decodes.
fn sample() -> Vec<Instruction> {
    let mut list = Vec::new();
    for opcode in 0..=255u8 {
        for registers in [0x00, 0x01, 0x0a, 0x10, 0x21, 0x9a, 0xa9] {
            for offset in [0, 1, 8, 16, 32, -4, i16::MAX, i16::MIN] {
                for imm in [
                    0,
                    1,
                    16,
                    32,
                    64,
                    0x40,
                    0x41,
                    0x51,
                    0xa0,
                    0xe1,
                    0xf1,
                    0x100,
                    0x110,
                    0x10000,
                    -7,
                    i32::MAX,
                    i32::MIN,
                ] {
                    let first = Slot {
                        opcode,
                        registers,
                        offset,
                        imm,
                    };
                    let second = Slot {
                        imm: imm.wrapping_mul(3),
                        ..Slot::default()
                    };
                    list.extend(Instruction::decode(&[first, second], 0).ok().filter(shared));
                }
            }
        }
    }
    list
}

fn bytes(code: &Code, slot: usize) -> Vec<u8> {
    let end = code.next(slot);
    code.slots()[slot..end]
        .iter()
        .flat_map(|s| s.to_bytes())
        .collect()
}

#[test]
fn llvm_disassembles_the_same_text() {
    let list = sample();
    assert!(list.len() > 2_000);
    let code = Code::from_instructions(list);
    let mut input = String::new();
    for (slot, _) in code.iter() {
        for byte in bytes(&code, slot) {
            write!(input, "{byte:#x} ").unwrap();
        }
        input.push('\n');
    }
    for (style, flags) in [
        (Style::LLVM, &["--disassemble"][..]),
        (Style::LLVM_HEX, &["--disassemble", "--print-imm-hex"]),
    ] {
        let Some(theirs) = llvm_mc(flags, &input) else {
            return;
        };
        let theirs: Vec<&str> = theirs
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let ours: Vec<String> = code
            .texts(style)
            .map(|(_, text)| text.to_string())
            .collect();
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs);
        }
        assert_eq!(ours.len(), theirs.len());
    }
}

#[test]
fn llvm_assembles_our_text_to_the_same_bytes() {
    // Its assembler takes only labels for jumps beyond 16 bits.
    let near = |i: &Instruction| i.jump_offset().is_none_or(|o| i16::try_from(o).is_ok());
    let code = Code::from_instructions(sample().into_iter().filter(near));
    let text: String = code
        .texts(Style::LLVM)
        .map(|(_, text)| format!("{text}\n"))
        .collect();
    let Some(output) = llvm_mc(&["-show-encoding"], &text) else {
        return;
    };
    let theirs: Vec<Vec<u8>> = output
        .lines()
        .filter_map(|line| line.split_once("encoding: ["))
        .map(|(_, list)| {
            let list = list.trim_end().trim_end_matches(']');
            list.split(',')
                .map(|b| u8::from_str_radix(&b[2..], 16).unwrap())
                .collect()
        })
        .collect();
    let ours: Vec<Vec<u8>> = code.iter().map(|(slot, _)| bytes(&code, slot)).collect();
    assert_eq!(ours.len(), theirs.len());
    for (index, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours, theirs, "{:?}", code.iter().nth(index));
    }
}
