//! Instructions: decoding, encoding and both text forms are inverse to each other.

use panal_isa::{CallTarget, Code, Imm64, Instruction, Style, assemble::assemble};

/// Bytes as code, and as text where they are UTF-8.
pub fn isa(data: &[u8]) {
    if let Ok(code) = Code::from_bytes(data) {
        code_round_trip(&code);
        assert_eq!(code.to_bytes(), data);
    }
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(out) = assemble(text, &mut ())
    {
        let code = Code::decode(&out.slots).expect("what was assembled decodes");
        code_round_trip(&code);
    }
}

fn code_round_trip(code: &Code) {
    assert_eq!(&Code::from_instructions(code.iter().map(|(_, i)| *i)), code);
    for (slot, instruction) in code.iter() {
        for target in [code.target(slot), code.callee(slot)].into_iter().flatten() {
            assert!(code.get(target).is_some());
        }
        for style in [Style::LLVM, Style::LLVM_HEX, Style::KERNEL] {
            let text = instruction.text(Some(slot), style).to_string();
            if style.dialect == Style::KERNEL.dialect && one_way(instruction) {
                continue;
            }
            let again = assemble(&text, &mut ()).expect("printed text is accepted");
            let (first, second) = instruction.encode();
            assert!(
                again
                    .slots
                    .iter()
                    .copied()
                    .eq([Some(first), second].into_iter().flatten())
            );
        }
    }
}

/// What the verifier's log prints without telling what it was.
fn one_way(instruction: &Instruction) -> bool {
    match instruction {
        Instruction::Call(CallTarget::Kfunc { .. }) => true,
        Instruction::LoadImm64 { imm, .. } => !matches!(imm, Imm64::Value(_)),
        _ => false,
    }
}
