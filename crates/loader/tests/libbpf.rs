//! The instructions that reach the kernel are those that libbpf sends: recorded in `libbpf/` by
//! `record.py`, map descriptors masked.
#![allow(missing_docs)]

mod common;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use common::Recorder;
use panal_btf::Btf;
use panal_isa::Slot;
use panal_loader::Open;
use panal_object::Object;

fn objects() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../object/tests/objects")
}

fn types() -> Arc<Btf> {
    let bytes = fs::read(objects().join("kernel.o")).unwrap();
    Object::parse(&bytes).unwrap().btf().unwrap().clone()
}

/// Instructions by program, a line each as in the recordings.
fn expected(name: &str) -> BTreeMap<String, Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/libbpf/{name}.txt"));
    let text = fs::read_to_string(path).unwrap();
    let mut programs = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        match line.strip_prefix("program ") {
            Some(name) => current = name.to_owned(),
            None => programs
                .entry(current.clone())
                .or_insert_with(Vec::new)
                .push(line.to_owned()),
        }
    }
    programs
}

fn lines(code: &[Slot]) -> Vec<String> {
    let mut second = false;
    let mut out = Vec::new();
    for slot in code {
        let wide = slot.opcode == 0x18 && !second;
        let imm = match wide && matches!(slot.src(), 1 | 2) {
            true => "map".to_owned(),
            false => slot.imm.to_string(),
        };
        let (dst, src) = (slot.dst(), slot.src());
        out.push(format!(
            "{:02x} {dst} {src} {} {imm}",
            slot.opcode, slot.offset
        ));
        second = wide;
    }
    out
}

#[track_caller]
fn same_as_libbpf(name: &str) {
    let bytes = fs::read(objects().join(format!("{name}.bpf.o"))).unwrap();
    let kernel = Recorder::new(types());
    let prepared = Open::parse(&bytes, name).unwrap().prepare(&kernel).unwrap();
    let expected = expected(name);
    assert!(!expected.is_empty());
    for (program, expected) in expected {
        let plans = prepared.open().programs();
        let plan = plans.iter().find(|p| p.name == program).unwrap();
        let spec = prepared.spec(plan).unwrap();
        assert_eq!(lines(&spec.code), expected, "{name}: {program}");
    }
}

#[test]
fn core_relocations_of_every_kind() {
    same_as_libbpf("core");
}

#[test]
fn global_data() {
    same_as_libbpf("data");
}

#[test]
fn maps() {
    same_as_libbpf("maps");
}

#[test]
fn subprograms_and_callbacks() {
    same_as_libbpf("programs");
}
