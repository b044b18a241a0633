//! Encoding is the inverse of decoding, and text loses nothing.

use panal_isa::{CallTarget, Code, Imm64, Instruction, Slot, Style, assemble::assemble};
use proptest::prelude::*;

/// Everything that holds for whatever bytes decode.
fn check(slots: &[Slot]) -> bool {
    let Ok(code) = Code::decode(slots) else {
        return false;
    };
    assert_eq!(code.slots(), slots);
    let again = Code::from_instructions(code.iter().map(|(_, i)| *i));
    assert_eq!(again, code, "encode is the inverse of decode");
    assert_eq!(Code::from_bytes(&code.to_bytes()).as_ref(), Ok(&code));
    for style in [Style::LLVM, Style::LLVM_HEX, Style::KERNEL] {
        if style.dialect == Style::KERNEL.dialect && code.iter().any(|(_, i)| ambiguous(i)) {
            continue;
        }
        let text: String = code
            .texts(style)
            .map(|(_, text)| format!("{text}\n"))
            .collect();
        let out = assemble(&text, &mut ()).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(out.slots, slots, "{text}");
    }
    true
}

/// The log writes numbers of helpers as unsigned and shows addresses, not what they stand for.
fn ambiguous(instruction: &Instruction) -> bool {
    match instruction {
        Instruction::Call(CallTarget::Kfunc { .. }) => true,
        Instruction::LoadImm64 { imm, .. } => !matches!(imm, Imm64::Value(_)),
        _ => false,
    }
}

/// Every opcode, with every register field and the offsets and immediates that select variants.
#[test]
fn every_opcode_and_selector() {
    let offsets = [0, 1, 2, 8, 16, 24, 32, -1, i16::MAX, i16::MIN];
    let imms = [
        0,
        1,
        2,
        0x10,
        0x20,
        0x40,
        0x41,
        0x50,
        0x51,
        0xa0,
        0xa1,
        0xe1,
        0xf1,
        0x100,
        0x110,
        0x10001,
        -1,
        i32::MAX,
        i32::MIN,
    ];
    let mut decoded = 0;
    for opcode in 0..=255u8 {
        for registers in 0..=255u8 {
            for offset in offsets {
                for imm in imms {
                    let first = Slot {
                        opcode,
                        registers,
                        offset,
                        imm,
                    };
                    let text_too = registers % 0x35 == 0x21;
                    let ok = match Instruction::decode(&[first], 0) {
                        Ok(instruction) if !text_too => {
                            assert_eq!(instruction.encode(), (first, None));
                            true
                        }
                        Ok(_) => check(&[first]),
                        Err(_) => {
                            let second = Slot {
                                imm,
                                ..Slot::default()
                            };
                            opcode == 0x18 && check(&[first, second])
                        }
                    };
                    decoded += usize::from(ok);
                }
            }
        }
    }
    assert!(decoded > 100_000, "only {decoded} patterns decoded");
}

/// Slots that are likely to decode.
fn slot() -> impl Strategy<Value = Slot> {
    let offset = prop_oneof![Just(0), Just(1), any::<i16>()];
    let imm = prop_oneof![3 => Just(0), 1 => 0..0x120i32, 1 => any::<i32>()];
    (
        any::<u8>(),
        0..11u8,
        prop_oneof![Just(0u8), 0..11u8],
        offset,
        imm,
    )
        .prop_map(|(opcode, dst, src, offset, imm)| Slot {
            opcode,
            registers: dst | src << 4,
            offset,
            imm,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn any_two_slots(first in slot(), imm in any::<i32>()) {
        check(&[first]);
        check(&[first, Slot { imm, ..Slot::default() }]);
    }

    #[test]
    fn any_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(code) = Code::from_bytes(&bytes) {
            check(code.slots());
        }
    }

    #[test]
    fn any_text_does_not_panic(text in "[rw0-9 =+*(u)s>\\[\\]&;#:\\-\\n]{0,40}|\\PC{0,20}") {
        let _ = assemble(&text, &mut ());
    }
}
