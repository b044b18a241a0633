//! `panal dump` on the committed examples.

mod common;

use common::{panal, scratch};

const OPENSNOOP: &str = "examples/opensnoop.bpf.o";
const FIREWALL: &str = "examples/firewall.bpf.o";

#[test]
fn asm_has_instructions_source_lines_and_names() {
    let run = panal(&["dump", OPENSNOOP, "asm"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for part in [
        "enter_openat (program, section tracepoint/syscalls/sys_enter_openat,",
        "__u64 id = bpf_get_current_pid_tgid();",
        "opensnoop.bpf.c:",
        "call bpf_get_current_pid_tgid#14",
        "r1 = map[entries] ll",
        "exit_openat (program",
    ] {
        assert!(run.stdout.contains(part), "no {part:?} in\n{}", run.stdout);
    }
    assert!(
        !run.stdout.contains('\x1b'),
        "no colours when nobody can see them"
    );
}

#[test]
fn asm_can_be_assembled_again() {
    // Names of maps and subprograms stand in the text; everything else is the assembler's own.
    let run = panal(&["dump", "bench/programs/checksum.bpf.o", "asm"]);
    let code: Vec<&str> = run.stdout.lines().skip(1).collect();
    let mut maps = panal_isa::assemble::Maps(|_: &str| Some(panal_isa::Imm64::MapFd(0)));
    let assembled = panal_isa::assemble(&code.join("\n"), &mut maps).expect("assembles");
    let json = panal(&["dump", "bench/programs/checksum.bpf.o", "asm", "--json"]).json();
    assert_eq!(json[0]["slots"], assembled.slots.len());
    let bytes: Vec<u8> = assembled
        .slots
        .iter()
        .flat_map(|slot| slot.to_bytes())
        .collect();
    let theirs: String = json[0]["instructions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| row["bytes"].as_str().expect("text"))
        .collect();
    let ours: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn one_program_comes_with_what_it_calls_and_nothing_else() {
    let run = panal(&[
        "dump",
        OPENSNOOP,
        "asm",
        "--program",
        "enter_open",
        "--json",
    ]);
    let functions: Vec<_> = run
        .json()
        .iter()
        .map(|f| f["function"].to_string())
        .collect();
    assert_eq!(functions, ["\"enter_open\""]);
    let missing = panal(&["dump", OPENSNOOP, "asm", "--program", "nope"]);
    let problem = missing.problem();
    assert!(
        problem.starts_with("examples/opensnoop.bpf.o: no program `nope`"),
        "{problem}"
    );
    assert!(
        problem.contains("enter_openat"),
        "tells which there are: {problem}"
    );
}

#[test]
fn cfg_is_a_picture_of_every_block_with_its_source() {
    let run = panal(&["dump", FIREWALL, "cfg"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        run.stdout
            .starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"")
    );
    assert!(run.stdout.ends_with("</svg>\n"));
    // Every instruction stands in the picture once.
    let json = panal(&["dump", FIREWALL, "asm", "--json"]).json();
    let count: usize = json
        .iter()
        .map(|f| f["instructions"].as_array().expect("a list").len())
        .sum();
    let texts = run.stdout.matches("<text x=").count();
    assert_eq!(texts, count);
    assert!(run.stdout.contains("class=\"s\""), "source lines");
    for (open, close) in [
        ("<g ", "</g>"),
        ("<text", "</text>"),
        ("<marker", "</marker>"),
    ] {
        assert_eq!(
            run.stdout.matches(open).count(),
            run.stdout.matches(close).count(),
            "{open}"
        );
    }
}

#[test]
fn output_goes_to_a_file() {
    let path = scratch("cfg.svg", b"");
    let run = panal(&["dump", FIREWALL, "cfg", "-o", &path]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""));
    let written = std::fs::read_to_string(&path).expect("written");
    assert_eq!(written, panal(&["dump", FIREWALL, "cfg"]).stdout);
    let nowhere = panal(&["dump", FIREWALL, "cfg", "-o", "/no/such/place.svg"]);
    assert_eq!(
        nowhere.problem(),
        "/no/such/place.svg: cannot write: No such file or directory"
    );
}

#[test]
fn maps_have_their_attributes_and_variables() {
    let maps = panal(&["dump", OPENSNOOP, "maps", "--json"]).json();
    let map = |name: &str| {
        maps.iter()
            .find(|map| map["name"] == name)
            .expect("the map")
    };
    assert_eq!(map("entries")["type"], "hash");
    assert_eq!(map("entries")["key_size"], 8);
    assert_eq!(map("entries")["value_type"], "struct entry");
    assert_eq!(map("entries")["max_entries"], 10240);
    assert_eq!(map("events")["type"], "ringbuf");
    let variable = &map(".rodata")["variables"][0];
    assert_eq!(variable["name"], "only_pid");
    assert_eq!(
        (&variable["offset"], &variable["size"]),
        (&0.into(), &4.into())
    );
    // Those of one program only.
    let guard = panal(&["dump", "examples/guard.bpf.o", "maps", "--json"])
        .json()
        .len();
    let one = [
        "dump",
        "examples/guard.bpf.o",
        "maps",
        "--json",
        "--program",
        "guard_file_open",
    ];
    assert!(panal(&one).json().len() < guard);
}

#[test]
fn relocations_name_maps_and_members() {
    let rows = panal(&["dump", "examples/guard.bpf.o", "relocations", "--json"]).json();
    let has = |kind: &str, target: &str| {
        rows.iter().any(|r| {
            r["kind"] == kind && r["target"].as_str().is_some_and(|t| t.starts_with(target))
        })
    };
    assert!(has("map", "map[writable]"));
    assert!(has("data", "map[.rodata][0]+"));
    assert!(has("byte_off", "struct file.f_path"));
}

#[test]
fn btf_is_c() {
    let run = panal(&["dump", OPENSNOOP, "btf"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("struct event {"), "{}", run.stdout);
    assert!(run.stdout.contains("char comm[16];"));
    let json = panal(&["dump", OPENSNOOP, "btf", "--json"]).json();
    assert!(
        json.iter()
            .any(|ty| ty["kind"] == "STRUCT" && ty["name"] == "event")
    );
}

#[test]
fn a_picture_is_no_json() {
    let run = panal(&["dump", FIREWALL, "cfg", "--json"]);
    assert_eq!(
        run.problem(),
        "`dump cfg` prints a picture: --json makes no sense with it"
    );
}
