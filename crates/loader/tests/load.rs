//! What a loader asks of a kernel: maps, data, externs, targets, links.
#![allow(missing_docs)]

mod common;

use std::{fs, path::Path, sync::Arc};

use common::Recorder;
use panal_btf::{Btf, Kind, KindTag, VarLinkage};
use panal_loader::{Blame, Error, Open};
use panal_object::Object;
use panal_uapi::{
    MapType, ProgType,
    kernel::{AttachTarget, LoadTarget, MapFlags, ProgFlags},
};

fn read(name: &str) -> Vec<u8> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../object/tests/objects");
    fs::read(dir.join(name)).unwrap()
}

fn kernel() -> Recorder {
    let object = Object::parse(&read("kernel.o")).unwrap();
    Recorder::new(object.btf().unwrap().clone())
}

fn open(name: &str) -> Open {
    Open::parse(&read(name), name).unwrap()
}

fn word(value: u32) -> Vec<u8> {
    value.to_ne_bytes().to_vec()
}

#[test]
fn maps_are_created_with_their_attributes() {
    let kernel = kernel();
    let loaded = open("maps.bpf.o").prepare(&kernel).unwrap().load().unwrap();
    let (_, by_type) = kernel.map("by_type");
    assert_eq!(by_type.map_type, MapType::Hash);
    assert_eq!((by_type.key_size, by_type.value_size), (8, 24));
    assert_eq!(by_type.max_entries, 1000);
    let flags = MapFlags::NO_PREALLOC | MapFlags::RDONLY_PROG | MapFlags::NUMA_NODE;
    assert_eq!(by_type.flags, flags);
    assert!(by_type.btf.is_some());
    assert_eq!(kernel.map("bloom").1.extra, 3);

    let (outer, spec) = kernel.map("outer");
    let inner = spec.inner.expect("a template").number();
    let asked = kernel.asked.lock().unwrap();
    let template = &asked.maps.iter().find(|(fd, _)| *fd == inner).unwrap().1;
    assert_eq!((template.value_size, template.max_entries), (8, 5));
    let filled: Vec<_> = asked
        .updates
        .iter()
        .filter(|(fd, ..)| *fd == outer)
        .collect();
    let fd = |name| loaded.map(name).unwrap().fd.number() as u32;
    assert_eq!(filled.len(), 2);
    assert!(filled.contains(&&(outer, word(1), word(fd("inner_b")))));
    assert!(filled.contains(&&(outer, word(3), word(fd("inner_a")))));
}

#[test]
fn prog_arrays_get_their_programs() {
    let kernel = kernel();
    let loaded = open("maps.bpf.o").prepare(&kernel).unwrap().load().unwrap();
    let fd = |name| word(loaded.program(name).unwrap().fd.number() as u32);
    let expected = vec![(word(0), fd("tail_zero")), (word(2), fd("tail_two"))];
    assert_eq!(kernel.written("tails"), expected);
}

#[test]
fn prog_array_without_its_program_is_the_callers_mistake() {
    let kernel = kernel();
    let mut open = open("maps.bpf.o");
    open.only("tail_zero").unwrap();
    let error = open.prepare(&kernel).unwrap().load().err().unwrap();
    assert!(
        error.to_string().contains("tail_two, which is not loaded"),
        "{error}"
    );
}

#[test]
fn maps_pinned_by_name_are_shared() {
    let kernel = kernel();
    let first = open("maps.bpf.o").prepare(&kernel).unwrap();
    let second = open("maps.bpf.o").prepare(&kernel).unwrap();
    let number = |p: &panal_loader::Prepared<'_>, m| p.map(m).unwrap().number();
    assert_eq!(number(&first, "by_type"), number(&second, "by_type"));
    assert_ne!(number(&first, "by_size"), number(&second, "by_size"));

    let mut other = open("maps.bpf.o");
    other.map_mut("by_type").unwrap().max_entries = 5;
    let error = other.prepare(&kernel).unwrap().map("by_type").unwrap_err();
    assert!(
        error.to_string().contains("capacity 1000 instead of 5"),
        "{error}"
    );

    let mut alone = open("maps.bpf.o");
    alone.without_pins();
    let alone = alone.prepare(&kernel).unwrap();
    assert_ne!(number(&first, "by_type"), number(&alone, "by_type"));
}

#[test]
fn data_sections_are_filled_and_constants_frozen() {
    let kernel = kernel();
    let mut open = open("data.bpf.o");
    open.set_variable("limit", &word(77)).unwrap();
    open.set_variable("zero", &word(1)).unwrap();
    assert_eq!(open.variable("limit").unwrap(), word(77));
    assert_eq!(open.variable("name").unwrap(), b"panal\0\0\0");
    let wrong = open.set_variable("limit", &[1]).unwrap_err();
    assert!(matches!(
        wrong,
        Error::VariableSize {
            size: 4,
            given: 1,
            ..
        }
    ));
    let layout = |section: &str, variable: &str| {
        let (_, map) = open.object().map_by_name(section).unwrap();
        let variables = &map.data().unwrap().variables;
        variables
            .iter()
            .find(|v| &*v.name == variable)
            .unwrap()
            .offset as usize
    };
    let (limit, counter, zero) = (
        layout(".rodata", "limit"),
        layout(".data", "counter"),
        layout(".bss", "zero"),
    );
    open.prepare(&kernel).unwrap().load().unwrap();

    let value = |map: &str| kernel.written(map)[0].1.clone();
    assert_eq!(value("data.rodata")[limit..][..4], word(77));
    assert_eq!(value("data.data")[counter..][..4], word(41));
    assert_eq!(value("data.bss")[zero..][..4], word(1));
    assert!(kernel.written(".bss.custom").is_empty(), "zero anyway");
    let frozen = kernel.asked.lock().unwrap().frozen.clone();
    let mut constant = vec![kernel.map("data.rodata").0, kernel.map(".rodata.custom").0];
    constant.sort_unstable();
    assert_eq!(frozen, constant);
    assert!(
        kernel
            .map("data.rodata")
            .1
            .flags
            .contains(MapFlags::RDONLY_PROG)
    );
    let (_, _, value_type) = kernel.map("data.data").1.btf.unwrap();
    let types = Btf::parse(&kernel.asked.lock().unwrap().types[0]).unwrap();
    assert_eq!(types.name(value_type), ".data");
}

fn externs_kernel() -> Recorder {
    let mut kernel = kernel();
    kernel.config = [
        ("CONFIG_BPF", "y"),
        ("CONFIG_LETTER", "m"),
        ("CONFIG_TRI", "m"),
        ("CONFIG_TEXT", "\"text that is too long\""),
        ("CONFIG_SHORT", "-3"),
    ]
    .into();
    kernel
        .symbols
        .insert("an_address".to_owned(), 0xffff_8000_1234_5678);
    kernel
}

#[test]
fn configuration_values_fill_their_map() {
    let kernel = externs_kernel();
    let open = open("externs.bpf.o");
    let place = |name: &str| {
        let externs = open.object().externs();
        match externs.iter().find(|e| &*e.name == name).unwrap().kind {
            panal_object::ExternKind::Kconfig { offset, size, .. } => {
                offset as usize..(offset + size) as usize
            }
            _ => panic!("{name}"),
        }
    };
    let names = [
        "LINUX_KERNEL_VERSION",
        "CONFIG_BPF",
        "CONFIG_LETTER",
        "CONFIG_TRI",
    ];
    let [version, bpf, letter, tri] = names.map(place);
    let (text, missing, short) = (
        place("CONFIG_TEXT"),
        place("CONFIG_MISSING"),
        place("CONFIG_SHORT"),
    );
    open.prepare(&kernel).unwrap();
    let written = kernel.written("externs.kconfig");
    let value = &written[0].1;
    assert_eq!(value[version], word(6 << 16 | 18 << 8));
    assert_eq!(value[bpf], [1]);
    assert_eq!(value[letter], *b"m");
    assert_eq!(value[tri], word(2));
    assert_eq!(value[text], *b"text th\0");
    assert_eq!(value[missing], [0; 8]);
    assert_eq!(value[short], (-3i16).to_ne_bytes());
    let (map, _) = kernel.map("externs.kconfig");
    assert_eq!(kernel.asked.lock().unwrap().frozen, [map]);
}

#[test]
fn kernel_symbols_are_resolved_by_name_and_type() {
    let kernel = externs_kernel();
    let prepared = open("externs.bpf.o").prepare(&kernel).unwrap();
    let spec = |name: &str| {
        let plan = prepared
            .open()
            .programs()
            .iter()
            .find(|p| p.name == name)
            .unwrap();
        prepared.spec(plan).unwrap()
    };
    let id = |name, tag| kernel.btf.find(name, tag).unwrap().0 as i32;
    let code = spec("symbols").code;
    let loads: Vec<_> = (0..code.len())
        .filter(|&i| code[i].opcode == 0x18)
        .collect();
    let variable = loads.iter().find(|&&i| code[i].src() == 3).unwrap();
    assert_eq!(code[*variable].imm, id("a_variable", KindTag::Var));
    let address = loads.iter().find(|&&i| code[i].imm == 0x1234_5678).unwrap();
    assert_eq!(code[address + 1].imm, 0xffff_8000_u32 as i32);
    let absent = loads
        .iter()
        .find(|&&i| code[i].imm == 0 && code[i + 1].imm == 0);
    assert_eq!(code[*absent.unwrap()].src(), 0);

    let code = spec("functions").code;
    let calls: Vec<_> = code.iter().filter(|s| s.opcode == 0x85).collect();
    let kfuncs: Vec<_> = calls
        .iter()
        .filter(|s| s.src() == 2)
        .map(|s| s.imm)
        .collect();
    let (acquire, release) = (
        id("acquire_thing", KindTag::Func),
        id("release_thing", KindTag::Func),
    );
    assert_eq!(kfuncs, [acquire, release]);
    let poison = calls.iter().filter(|s| s.imm >= 2_002_000_000).count();
    assert_eq!(poison, 1, "absent_function");
    let target = spec("functions").target.unwrap();
    assert!(
        matches!(target, LoadTarget::KernelBtf(id) if kernel.btf.name(id) == "btf_trace_an_event")
    );
}

#[test]
fn types_reach_the_kernel_without_external_declarations() {
    let kernel = externs_kernel();
    open("externs.bpf.o").prepare(&kernel).unwrap();
    let types = Btf::parse(&kernel.asked.lock().unwrap().types[0]).unwrap();
    for section in [".ksyms", ".kconfig"] {
        let (_, size, vars) = types.section(section).unwrap();
        assert!(size > 0 && !vars.is_empty());
        for var in vars {
            let kind = types.kind(var.ty);
            assert!(
                matches!(
                    kind,
                    Kind::Var {
                        linkage: VarLinkage::Global,
                        ..
                    }
                ),
                "{kind:?}"
            );
        }
    }
}

#[test]
fn older_kernels_get_types_that_they_know() {
    let mut kernel = kernel();
    kernel.version = 5 << 16 | 4 << 8;
    open("core.bpf.o").prepare(&kernel).unwrap();
    let types = Btf::parse(&kernel.asked.lock().unwrap().types[0]).unwrap();
    let unknown = |kind: &Kind| {
        matches!(
            kind,
            Kind::Float { .. }
                | Kind::DeclTag { .. }
                | Kind::TypeTag { .. }
                | Kind::Enum { wide: true, .. }
                | Kind::Func {
                    linkage: panal_btf::Linkage::Global,
                    ..
                }
        )
    };
    assert!(!types.iter().any(|(_, ty)| unknown(&ty.kind)));
}

#[test]
fn missing_symbols_are_named_unless_weak() {
    let mut kernel = externs_kernel();
    kernel.symbols.clear();
    kernel.config.remove("CONFIG_TRI");
    let prepared = open("externs.bpf.o").prepare(&kernel).unwrap();
    let error = |name: &str| {
        let plan = prepared
            .open()
            .programs()
            .iter()
            .find(|p| p.name == name)
            .unwrap();
        prepared.spec(plan).unwrap_err()
    };
    let symbols = error("symbols");
    assert_eq!(symbols.blame(), Blame::Kernel);
    assert!(
        symbols
            .to_string()
            .contains("an_address does not exist in recorder"),
        "{symbols}"
    );
    let config = error("config");
    assert!(
        config.to_string().contains("CONFIG_TRI does not exist"),
        "{config}"
    );
}

#[test]
fn a_missing_hook_is_the_kernels_lack() {
    let kernel = Recorder::new(Arc::default());
    let mut open = open("externs.bpf.o");
    open.only("config").unwrap();
    let prepared = open.prepare(&kernel).unwrap();
    // The configuration is missing too: ask for the hook alone.
    let mut plan = prepared.open().programs()[0].clone();
    plan.prog_type = Some(ProgType::Tracing);
    let error = prepared.spec(&plan).unwrap_err();
    assert_eq!(error.blame(), Blame::Kernel);
}

#[test]
fn one_program_does_not_suffer_from_anothers_map() {
    let mut kernel = kernel();
    kernel.without = vec![MapType::HashOfMaps];
    let prepared = open("maps.bpf.o").prepare(&kernel).unwrap();
    let program = |name: &str| {
        let id = prepared
            .open()
            .programs()
            .iter()
            .find(|p| p.name == name)
            .unwrap()
            .id;
        prepared.load_program(id)
    };
    assert!(program("tail_zero").is_ok());
    let error = program("uses_all").unwrap_err();
    assert!(
        error.to_string().contains("creating map outer_hash"),
        "{error}"
    );
}

#[test]
fn sections_say_type_flags_and_target() {
    let kernel = kernel();
    let mut open = open("programs.bpf.o");
    assert!(
        !open.program_mut("on_request").unwrap().load,
        "its section begins with ?"
    );
    open.program_mut("on_request").unwrap().load = true;
    let loaded = open.prepare(&kernel).unwrap().load().unwrap();
    assert_eq!(loaded.programs().len(), 5);
    let on_request = loaded.program("on_request").unwrap();
    let expected = AttachTarget::Tracepoint {
        category: "syscalls".to_owned(),
        name: "sys_enter_openat".to_owned(),
    };
    loaded.attach(on_request).unwrap();
    assert_eq!(kernel.asked.lock().unwrap().attached, [expected]);
    let error = loaded.attach(loaded.program("first").unwrap()).unwrap_err();
    assert!(
        error.to_string().contains("a network interface is needed"),
        "{error}"
    );
    let frags = loaded.program("frags").unwrap();
    assert_eq!(frags.plan.flags, ProgFlags::XDP_HAS_FRAGS);
}

#[test]
fn functions_and_lines_follow_the_code() {
    let kernel = kernel();
    let prepared = open("programs.bpf.o").prepare(&kernel).unwrap();
    let plan = prepared
        .open()
        .programs()
        .iter()
        .find(|p| p.name == "first")
        .unwrap();
    let spec = prepared.spec(plan).unwrap();
    let types = prepared.open().object().btf().unwrap();
    let functions: Vec<_> = spec.funcs.iter().map(|f| types.name(f.ty)).collect();
    assert_eq!(functions, ["first", "global_sub", "middle", "leaf"]);
    for function in &spec.funcs {
        assert!(
            spec.lines.iter().any(|l| l.slot == function.slot),
            "{function:?}"
        );
    }
    assert!(spec.lines.is_sorted_by_key(|l| l.slot));
    let line = spec
        .lines
        .iter()
        .find(|l| l.slot == spec.funcs[0].slot)
        .unwrap();
    assert!(line.file.ends_with("programs.bpf.c"), "{}", line.file);
    assert!(
        line.text.contains("return global_sub(ctx->data);"),
        "{}",
        line.text
    );
}

#[test]
fn a_rejection_at_a_missing_field_says_what_is_missing() {
    let mut kernel = kernel();
    // A verifier that meets the poisoned instruction.
    kernel.reject_helper = Some(panal_btf::core_relo::POISON_HELPER);
    let prepared = open("core.bpf.o").prepare(&kernel).unwrap();
    let program = |name: &str| {
        let plans = prepared.open().programs();
        prepared.load_program(plans.iter().find(|p| p.name == name).unwrap().id)
    };
    assert!(program("loads").is_ok());
    let error = program("enums").unwrap_err();
    assert_eq!(error.blame(), Blame::Source);
    let text = error.to_string();
    assert!(text.contains("enum colour"), "{text}");
    assert!(text.contains("which the kernel does not have"), "{text}");
}

#[test]
fn unknown_sections_need_a_type() {
    let kernel = kernel();
    let mut open = open("old.o");
    let plan = open.program_mut("untyped").unwrap();
    assert!(!plan.load && plan.section_fault.is_some());
    plan.load = true;
    let error = open.clone().prepare(&kernel).unwrap().load().err().unwrap();
    assert_eq!(error.blame(), Blame::Source);
    open.program_mut("untyped").unwrap().prog_type = Some(ProgType::SocketFilter);
    let loaded = open.prepare(&kernel).unwrap().load().unwrap();
    assert_eq!(loaded.programs().len(), 1);
}
