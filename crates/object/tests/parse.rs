//! The committed objects, read: functions, maps, data, externs, records.
#![allow(missing_docs)]

use std::{fs, path::Path};

use panal_object::{
    Element, ExternKind, Function, KconfigValue, Map, Object, Origin, Pinning, Role, Segment,
    Target,
};

fn open(name: &str) -> Object {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects");
    Object::parse(&fs::read(dir.join(name)).unwrap()).unwrap()
}

fn function<'o>(object: &'o Object, name: &str) -> &'o Function {
    object
        .functions()
        .iter()
        .find(|f| &*f.name == name)
        .unwrap()
}

fn map<'o>(object: &'o Object, name: &str) -> &'o Map {
    object
        .map_by_name(name)
        .unwrap_or_else(|| panic!("no map {name}"))
        .1
}

/// Names of what a function refers to, in order.
fn targets(object: &Object, name: &str) -> Vec<String> {
    let name_of = |target| match target {
        Target::Map(id) => format!("map {}", object.map(id).name),
        Target::Data { map, offset } => {
            let data = object.map(map).data().unwrap();
            let variable = data.variables.iter().rfind(|v| v.offset <= offset).unwrap();
            format!("{}+{}", variable.name, offset - variable.offset)
        }
        Target::Call(id) => format!("call {}", object.function(id).name),
        Target::FunctionAddress(id) => format!("address of {}", object.function(id).name),
        Target::Extern(id) => format!("extern {}", object.external(id).name),
        Target::Kfunc(id) => format!("kfunc {}", object.external(id).name),
    };
    function(object, name)
        .relocations
        .iter()
        .map(|r| name_of(r.target))
        .collect()
}

#[test]
fn programs_and_subprograms_are_told_apart() {
    let object = open("programs.bpf.o");
    let of_role = |role| -> Vec<_> {
        object
            .functions()
            .iter()
            .filter(|f| f.role == role)
            .map(|f| &*f.name)
            .collect()
    };
    assert_eq!(
        of_role(Role::Program),
        ["first", "second", "third", "on_request", "frags"]
    );
    assert_eq!(
        of_role(Role::Subprogram),
        ["global_sub", "middle", "hidden_sub", "leaf", "callback"]
    );
    let global = |name| function(&object, name).global;
    assert!(global("global_sub") && !global("middle") && !global("hidden_sub"));
    let third = function(&object, "third");
    assert_eq!((&*third.section, third.section_slot), ("xdp", 14));
    assert_eq!(object.license(), Some("Dual MIT/GPL"));
    assert_eq!(object.version(), Some(0x060c00));
}

#[test]
fn calls_within_and_across_sections_are_found() {
    let object = open("programs.bpf.o");
    assert_eq!(targets(&object, "first"), ["call global_sub"]);
    assert_eq!(targets(&object, "global_sub"), ["call middle"]);
    assert_eq!(targets(&object, "middle"), ["call leaf", "call leaf"]);
    assert_eq!(targets(&object, "second"), ["address of callback"]);
    assert_eq!(targets(&object, "callback"), ["call leaf"]);
}

#[test]
fn hidden_functions_become_static_in_the_types() {
    let object = open("programs.bpf.o");
    let btf = object.btf().unwrap();
    let linkage = |name| {
        let ty = function(&object, name).ty.unwrap();
        assert_eq!(btf.name(ty), name);
        match btf.kind(ty) {
            panal_btf::Kind::Func { linkage, .. } => *linkage,
            kind => panic!("{kind:?}"),
        }
    };
    assert_eq!(linkage("hidden_sub"), panal_btf::Linkage::Static);
    assert_eq!(linkage("global_sub"), panal_btf::Linkage::Global);
}

#[test]
fn static_entries_and_static_maps_count() {
    let object = open("newer.bpf.o");
    assert_eq!(function(&object, "static_entry").role, Role::Program);
    assert_eq!(targets(&object, "uses_arena"), ["map arena", "map ring"]);
    assert_eq!(map(&object, "arena").definition.extra, 0x1000_0000_0000);
}

#[test]
fn old_objects_have_programs_without_types_and_symbols_without_kinds() {
    let object = open("old.o");
    let names: Vec<_> = object
        .functions()
        .iter()
        .map(|f| (&*f.name, f.code.len(), f.role))
        .collect();
    assert_eq!(
        names,
        [
            ("in_text", 2, Role::Subprogram),
            ("helper_function", 2, Role::Subprogram),
            ("untyped", 4, Role::Program),
        ]
    );
    assert_eq!(targets(&object, "in_text"), ["call helper_function"]);
    assert!(object.btf().is_none() && object.license().is_none());
}

#[test]
fn maps_have_all_their_attributes() {
    let object = open("maps.bpf.o");
    let definition = |name| &map(&object, name).definition;
    let by_type = definition("by_type");
    assert_eq!(
        (by_type.map_type, by_type.max_entries, by_type.flags),
        (1, 1000, 0x81)
    );
    assert_eq!((by_type.key_size, by_type.value_size), (8, 24));
    assert_eq!(
        (by_type.pinning, by_type.numa_node),
        (Pinning::ByName, Some(0))
    );
    let btf = object.btf().unwrap();
    assert_eq!(btf.name(by_type.key_type.unwrap()), "key");
    assert_eq!(btf.name(by_type.value_type.unwrap()), "value");

    let by_size = definition("by_size");
    assert_eq!(
        (by_size.key_size, by_size.value_size, by_size.key_type),
        (4, 8, None)
    );
    assert_eq!(definition("bloom").extra, 3);
    let inner = definition("outer_hash").inner.as_ref().unwrap();
    assert_eq!(
        (inner.map_type, inner.key_size, inner.max_entries),
        (9, 8, 7)
    );
    assert_eq!(
        (
            definition("outer").value_size,
            definition("tails").value_size
        ),
        (4, 4)
    );
}

#[test]
fn initialisers_name_maps_and_programs() {
    let object = open("maps.bpf.o");
    let elements = |name| match &map(&object, name).origin {
        Origin::Defined(elements) => elements
            .iter()
            .map(|(key, element)| match element {
                Element::Map(id) => (*key, object.map(*id).name.to_string()),
                Element::Program(id) => (*key, object.function(*id).name.to_string()),
            })
            .collect::<Vec<_>>(),
        origin => panic!("{origin:?}"),
    };
    assert_eq!(
        elements("outer"),
        [(1, "inner_b".to_owned()), (3, "inner_a".to_owned())]
    );
    assert_eq!(
        elements("tails"),
        [(0, "tail_zero".to_owned()), (2, "tail_two".to_owned())]
    );
}

#[test]
fn legacy_maps_are_read_by_value() {
    let object = open("legacy_maps.bpf.o");
    let sizes = |name| {
        let d = &map(&object, name).definition;
        (d.map_type, d.key_size, d.value_size, d.max_entries, d.flags)
    };
    assert_eq!(sizes("counters"), (6, 4, 8, 256, 0));
    assert_eq!(sizes("flows"), (1, 16, 24, 4096, 1));
    assert_eq!(targets(&object, "count"), ["map counters", "map flows"]);
}

#[test]
fn data_sections_are_maps_with_named_variables() {
    let object = open("data.bpf.o");
    let data = |name| map(&object, name).data().unwrap();
    assert_eq!(data(".rodata").segment, Segment::Rodata);
    assert_eq!(data(".bss").segment, Segment::Bss);
    assert!(data(".bss").contents.is_empty() && data(".bss").size >= 262);
    assert_eq!(data(".data.custom").contents, 5u32.to_le_bytes());
    let bytes = |section, variable: &str| {
        let data = data(section);
        let v = data
            .variables
            .iter()
            .find(|v| &*v.name == variable)
            .unwrap();
        data.contents[v.offset as usize..][..v.size as usize].to_vec()
    };
    assert_eq!(bytes(".data", "counter"), 41u32.to_le_bytes());
    assert_eq!(bytes(".data", "hidden_counter"), 9u32.to_le_bytes());
    assert_eq!(bytes(".rodata", "limit"), 100u32.to_le_bytes());
    assert_eq!(bytes(".rodata", "name"), *b"panal\0\0\0");
    // Static variables are found by their section and an addend.
    let touched = targets(&object, "touch");
    for name in ["custom+0", "hidden_counter+0", "quiet+0", "zeros+0"] {
        assert!(touched.iter().any(|t| t == name), "{name}: {touched:?}");
    }
}

#[test]
fn types_tell_sizes_and_offsets_of_data_sections() {
    let object = open("data.bpf.o");
    let btf = object.btf().unwrap();
    for name in [".data", ".rodata", ".bss", ".data.custom", "license"] {
        let (_, size, vars) = btf.section(name).unwrap();
        assert!(size > 0, "{name}");
        let Some((_, map)) = object.map_by_name(name) else {
            continue;
        };
        assert_eq!(size, map.data().unwrap().size);
        let offsets: Vec<_> = vars.iter().map(|v| (btf.name(v.ty), v.offset)).collect();
        let variables = &map.data().unwrap().variables;
        let expected: Vec<_> = variables.iter().map(|v| (&*v.name, v.offset)).collect();
        assert_eq!(offsets, expected);
    }
}

#[test]
fn data_maps_are_named_as_with_libbpf() {
    let object = open("data.bpf.o");
    let name = |section| map(&object, section).kernel_name("opensnoop");
    assert_eq!(name(".rodata"), "opensnoo.rodata");
    assert_eq!(name(".bss"), "opensnoo.bss");
    assert_eq!(name(".data.custom"), ".data.custom");
}

#[test]
fn externs_are_of_three_kinds() {
    let object = open("externs.bpf.o");
    let kind = |name: &str| {
        let external = object.externs().iter().find(|e| &*e.name == name).unwrap();
        (external.kind, external.weak)
    };
    let value = |name| match kind(name) {
        (
            ExternKind::Kconfig {
                value,
                offset,
                size,
                ..
            },
            _,
        ) => (value, offset, size),
        kind => panic!("{kind:?}"),
    };
    // Widest alignment first, then widest value, then by name.
    assert_eq!(
        value("CONFIG_MISSING"),
        (KconfigValue::Integer { signed: false }, 0, 8)
    );
    assert_eq!(value("CONFIG_TRI"), (KconfigValue::Tristate, 8, 4));
    assert_eq!(
        value("LINUX_KERNEL_VERSION"),
        (KconfigValue::Integer { signed: false }, 12, 4)
    );
    assert_eq!(
        value("CONFIG_SHORT"),
        (KconfigValue::Integer { signed: true }, 16, 2)
    );
    assert_eq!(value("CONFIG_TEXT"), (KconfigValue::Text, 18, 8));
    assert_eq!(value("CONFIG_BPF"), (KconfigValue::Bool, 26, 1));
    assert_eq!(value("CONFIG_LETTER"), (KconfigValue::Char, 27, 1));
    assert_eq!(map(&object, ".kconfig").definition.value_size, 28);
    assert!(kind("CONFIG_MISSING").1 && !kind("CONFIG_BPF").1);
    assert!(matches!(
        kind("a_variable"),
        (ExternKind::Variable { ty: Some(_) }, false)
    ));
    assert!(matches!(
        kind("an_address"),
        (ExternKind::Variable { ty: None }, false)
    ));
    assert!(matches!(
        kind("absent_function"),
        (ExternKind::Function { .. }, true)
    ));
    let functions = targets(&object, "functions");
    assert!(
        functions.contains(&"kfunc acquire_thing".to_owned()),
        "{functions:?}"
    );
    assert!(
        functions.contains(&"extern release_thing___v2".to_owned()),
        "{functions:?}"
    );
    assert!(
        functions.contains(&"kfunc release_thing___v2".to_owned()),
        "{functions:?}"
    );
}

#[test]
fn struct_ops_name_their_programs() {
    let object = open("struct_ops.bpf.o");
    let Origin::StructOps(ops) = &map(&object, "quick").origin else {
        panic!()
    };
    assert!(ops.link && ops.autocreate);
    assert_eq!(object.btf().unwrap().name(ops.ty), "congestion_ops");
    let mut programs: Vec<_> = ops
        .programs
        .iter()
        .map(|(o, id)| (*o, &*object.function(*id).name))
        .collect();
    programs.sort_unstable();
    assert_eq!(programs, [(0, "ssthresh"), (8, "init")]);
    assert_eq!(&ops.contents[16..21], b"quick");
    assert_eq!(ops.contents[..16], [0; 16]);
}

#[test]
fn records_of_types_go_to_their_functions() {
    let object = open("core.bpf.o");
    for function in object.functions() {
        assert!(
            function.ty.is_some() && !function.lines.is_empty(),
            "{}",
            function.name
        );
    }
    let loads = function(&object, "loads");
    let access: Vec<_> = loads.core.iter().map(|c| &*c.relocation.access).collect();
    assert_eq!(access.len(), 4, "{access:?}");
    assert!(access.contains(&"0:3:2:1"), "{access:?}");
    for record in &loads.core {
        assert!((record.slot as usize) < loads.code.len());
    }
}
