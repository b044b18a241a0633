//! Labels, comments, names, and what disassemblers print around an instruction.

use panal_isa::{
    Code, Imm64, Instruction, Reg, Style,
    assemble::{AssembleErrorKind, Maps, Symbols, assemble},
};

#[test]
fn labels_reach_forward_and_back_over_wide_loads() {
    let text = "
        r0 = 0
    again:              ; a comment
        r1 = 5 ll       // another
        if r1 == 0 goto out
        call twice
        goto again      # a third
    out: exit
    twice:
        r0 += r1
        exit";
    let out = assemble(text, &mut ()).unwrap();
    let code = Code::decode(&out.slots).unwrap();
    assert_eq!(out.labels["again"], 1);
    assert_eq!(code.target(3), Some(6));
    assert_eq!(code.callee(4), Some(7));
    assert_eq!(code.target(5), Some(1));
    assert_eq!(out.lines, [2, 4, 4, 5, 6, 7, 8, 10, 11]);
}

#[test]
fn a_jump_into_a_wide_load_or_out_of_the_code_has_no_target() {
    let out = assemble("goto +1\nr1 = 1 ll\ngoto +5\ngoto -9", &mut ()).unwrap();
    let code = Code::decode(&out.slots).unwrap();
    assert_eq!([code.target(0), code.target(3), code.target(4)], [None; 3]);
}

#[test]
fn labels_given_twice_or_out_of_reach_are_errors() {
    let twice = assemble("a:\na: exit", &mut ()).unwrap_err();
    assert_eq!(twice.kind, AssembleErrorKind::DuplicateLabel("a".into()));
    assert_eq!((twice.line, twice.column), (2, 1));
    let far = format!("goto out\n{}out: exit", "r0 = 1\n".repeat(40_000));
    let error = assemble(&far, &mut ()).unwrap_err();
    assert!(matches!(
        error.kind,
        AssembleErrorKind::LabelTooFar {
            distance: 40_000,
            ..
        }
    ));
    let near = assemble(&far.replacen("goto", "gotol", 1), &mut ()).unwrap();
    assert_eq!(Code::decode(&near.slots).unwrap().target(0), Some(40_001));
}

#[test]
fn maps_are_resolved_by_name() {
    let mut maps = Maps(|name: &str| (name == "counts").then_some(Imm64::MapIndex(3)));
    let out = assemble("r1 = map[counts] ll\nr2 = map[counts][0]+8 ll", &mut maps).unwrap();
    let code = Code::decode(&out.slots).unwrap();
    let load = |dst, imm| Instruction::LoadImm64 { dst, imm };
    assert_eq!(code.get(0), Some(&load(Reg::R1, Imm64::MapIndex(3))));
    let value = Imm64::MapIndexValue {
        index: 3,
        offset: 8,
    };
    assert_eq!(code.get(2), Some(&load(Reg::R2, value)));
}

#[test]
fn helpers_and_kfuncs_are_resolved_by_name() {
    struct Names;
    impl Symbols for Names {
        fn helper(&mut self, name: &str) -> Option<u32> {
            (name == "bpf_tail_call").then_some(12)
        }
        fn kfunc(&mut self, name: &str) -> Option<(i32, i16)> {
            (name == "bpf_rcu_read_lock").then_some((777, 0))
        }
    }
    let text = "call bpf_tail_call\ncall bpf_rcu_read_lock\ncall bpf_map_lookup_elem#1";
    let out = assemble(text, &mut Names).unwrap();
    let code = Code::decode(&out.slots).unwrap();
    let texts: Vec<String> = code
        .texts(Style::LLVM)
        .map(|(_, t)| t.to_string())
        .collect();
    assert_eq!(texts, ["call 12", "call kfunc#777", "call 1"]);
}

#[test]
fn what_disassemblers_print_around_is_skipped() {
    let text = "
       0:	61 21 04 00 00 00 00 00	w1 = *(u32 *)(r2 + 0x4)
       1:	2d 21 01 00 00 00 00 00	if r1 > r2 goto +0x1 <.text+0x18>
; int x = 1; @ prog.c:7
2: (18) r1 = 0xffffc90000000000       ; R1_w=0xffffc90000000000
4: (95) exit";
    let out = assemble(text, &mut ()).unwrap();
    let plain = "r1 = *(u32 *)(r2 +4)\nif r1 > r2 goto pc+1\nr1 = 0xffffc90000000000 ll\nexit";
    assert_eq!(out.slots, assemble(plain, &mut ()).unwrap().slots);
}
