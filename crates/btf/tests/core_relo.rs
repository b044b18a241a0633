//! CO-RE relocations as libbpf resolves them: `core_relo/libbpf.txt` is libbpf's log of relocating
//! `local.o` against the types of `target.o`.

use std::{path::Path, process::Command};

use object::{Object as _, ObjectSection as _};
use panal_btf::{
    Btf, BtfExt,
    core_relo::{CoreFault, POISON_HELPER, Patched, Relocator},
};
use panal_isa::Slot;

fn dir() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/core_relo"))
}

fn section(elf: &[u8], name: &str) -> Vec<u8> {
    let file = object::File::parse(elf).unwrap();
    file.section_by_name(name).unwrap().data().unwrap().to_vec()
}

fn btf(object: &str) -> Btf {
    let elf = std::fs::read(dir().join(object)).unwrap();
    Btf::parse(&section(&elf, ".BTF")).unwrap()
}

fn slots(code: &[u8]) -> Vec<Slot> {
    code.chunks_exact(8)
        .map(|b| Slot::from_bytes(b.try_into().unwrap()))
        .collect()
}

fn size(opcode: u8) -> u32 {
    [4, 2, 1, 8][usize::from(opcode >> 3 & 3)]
}

/// What a relocation did to an instruction, as the lines of `libbpf.txt` have it.
fn changes(before: &[Slot], after: &[Slot], index: usize, original: u64) -> Vec<String> {
    let (old, new) = (before[index], after[index]);
    let imm64 =
        |s: &[Slot]| u64::from(s[index + 1].imm as u32) << 32 | u64::from(s[index].imm as u32);
    match old.opcode & 7 {
        0 => vec![format!("imm64 {} -> {}", imm64(before), imm64(after))],
        4 | 7 => vec![format!("imm {} -> {}", old.imm, new.imm)],
        _ => {
            assert_eq!(old.offset as u64, original);
            let mut lines = vec![format!("off {} -> {}", old.offset, new.offset)];
            if size(old.opcode) != size(new.opcode) {
                lines.push(format!(
                    "mem_sz {} -> {}",
                    size(old.opcode),
                    size(new.opcode)
                ));
            }
            lines
        }
    }
}

#[test]
fn relocations_are_resolved_as_by_libbpf() {
    let elf = std::fs::read(dir().join("local.o")).unwrap();
    let (local, target) = (btf("local.o"), btf("target.o"));
    let ext = BtfExt::parse(&section(&elf, ".BTF.ext"), &local).unwrap();
    let mut relocator = Relocator::new(&local, &target);
    let mut done = Vec::new();
    for programs in &ext.relocations {
        let program = programs.name.rsplit('/').next().unwrap();
        let mut code = slots(&section(&elf, &programs.name));
        for (n, relo) in programs.records.iter().enumerate() {
            done.push(format!("{program} {n}: {}", relocator.describe(relo)));
            let resolution = relocator.resolve(relo).unwrap();
            let index = relo.offset as usize / 8;
            let before = code.clone();
            match resolution.patch(&mut code, index).unwrap() {
                Patched::Value => {
                    for change in changes(&before, &code, index, resolution.original) {
                        done.push(format!("{program} {n}: insn {index} {change}"));
                    }
                }
                Patched::Poisoned => {
                    for i in (index..code.len()).filter(|&i| code[i] != before[i]).rev() {
                        assert_eq!((code[i].opcode, code[i].imm), (0x85, POISON_HELPER));
                        done.push(format!("{program} {n}: insn {i} poisoned"));
                    }
                }
            }
        }
    }
    let expected = std::fs::read_to_string(dir().join("libbpf.txt")).unwrap();
    let expected: Vec<_> = expected
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    for (n, (done, expected)) in done.iter().zip(&expected).enumerate() {
        assert_eq!(done, expected, "line {n}");
    }
    assert_eq!(done.len(), expected.len());
}

#[test]
fn ambiguous_targets_are_refused() {
    let (local, target) = (btf("local.o"), btf("target.o"));
    let elf = std::fs::read(dir().join("local.o")).unwrap();
    let ext = BtfExt::parse(&section(&elf, ".BTF.ext"), &local).unwrap();
    let offsets = ext
        .relocations
        .iter()
        .find(|s| &*s.name == "raw_tp/offsets")
        .unwrap();
    // A second `struct outer` with `moved` elsewhere.
    let mut builder = panal_btf::Builder::from(&target);
    let int = builder.signed("int", 4);
    builder.structure("outer___other", 8, &[("moved", int, 4)]);
    let target = builder.finish().unwrap();
    let mut relocator = Relocator::new(&local, &target);
    let error = relocator.resolve(&offsets.records[0]).unwrap_err();
    assert!(
        matches!(error.fault, CoreFault::Ambiguous { .. }),
        "{error}"
    );
    // It has no `widened`: there is one answer.
    assert_eq!(
        relocator.resolve(&offsets.records[1]).unwrap().value,
        Some(24)
    );
}

#[test]
fn objects_are_what_their_sources_give() {
    for name in ["local", "target"] {
        let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.o"));
        let clang = Command::new("clang-22")
            .current_dir(dir())
            .args([
                "-target",
                "bpf",
                "-mcpu=v3",
                "-g",
                "-O2",
                "-Wno-everything",
                "-fdebug-compilation-dir=.",
                "-c",
            ])
            .arg(format!("{name}.c"))
            .arg("-o")
            .arg(&output)
            .status();
        match clang {
            Err(e) => return println!("skipped: clang-22: {e}"),
            Ok(status) => assert!(status.success()),
        }
        let (new, old) = (
            std::fs::read(output).unwrap(),
            std::fs::read(dir().join(name).with_extension("o")).unwrap(),
        );
        // Debug information names the directory; what counts does not.
        for part in [".BTF", ".BTF.ext"] {
            if name == "local" || part == ".BTF" {
                assert!(
                    section(&new, part) == section(&old, part),
                    "{name}.o: {part} differs"
                );
            }
        }
    }
}
