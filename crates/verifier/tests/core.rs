//! Programs as text, each with the verdict that Linux gives.
//!
//! A file holds cases; each begins with `== name`, then `key: value` lines (`type`, `map` with
//! `NAME TYPE KEY VALUE ENTRIES`, `kernel: 5.10`, `loader: none` for one without
//! capabilities, `expect`), a blank line, and the code. `expect` is
//! `accept`, or `reject` with a part of Linux's message after a colon.

use std::{fs, path::Path, sync::Arc};

use panal_btf::Btf;
use panal_isa::{Imm64, assemble, assemble::Symbols};
use panal_uapi::{
    Capabilities, MapType, ProgType,
    kernel::{MapFlags, ProgFlags},
    profile::Profile,
};
use panal_verifier::{MapDescription, Request, verify};

struct Case<'a> {
    name: &'a str,
    prog_type: ProgType,
    maps: Vec<MapDescription>,
    expect: &'a str,
    /// `LINUX_VERSION_CODE`
    version: u32,
    capabilities: Capabilities,
    code: &'a str,
}

fn map(text: &str, id: u32) -> MapDescription {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |i: usize| words[i].parse().expect("a number");
    MapDescription {
        name: Arc::from(words[0]),
        map_type: MapType::from_name(words[1]).expect("a map type"),
        key_size: number(2),
        value_size: number(3),
        max_entries: number(4),
        flags: MapFlags::empty(),
        extra: 0,
        types: None,
        inner: None,
        frozen: None,
        id,
    }
}

fn parse(text: &str) -> Case<'_> {
    let (name, rest) = text.split_once('\n').expect("a name");
    let (head, code) = rest
        .split_once("\n\n")
        .expect("a blank line before the code");
    let mut case = Case {
        name: name.trim(),
        prog_type: ProgType::SocketFilter,
        maps: Vec::new(),
        capabilities: Capabilities::all(),
        expect: "",
        version: 6 << 16 | 18 << 8,
        code,
    };
    for line in head.lines() {
        let (key, value) = line.split_once(':').expect("key: value");
        let value = value.trim();
        match key {
            "type" => case.prog_type = ProgType::from_name(value).expect("a program type"),
            "map" => case.maps.push(map(value, case.maps.len() as u32 + 1)),
            "kernel" => {
                let (major, minor) = value.split_once('.').expect("major.minor");
                let number = |text: &str| text.parse::<u32>().expect("a number");
                case.version = number(major) << 16 | number(minor) << 8;
            }
            "loader" => {
                assert_eq!(value, "none", "a loader");
                case.capabilities = Capabilities::empty();
            }
            "expect" => case.expect = value,
            other => panic!("unknown key {other}"),
        }
    }
    case
}

struct Names<'a>(&'a [MapDescription]);

impl Symbols for Names<'_> {
    fn map(&mut self, name: &str) -> Option<Imm64> {
        let index = self.0.iter().position(|m| &*m.name == name)?;
        Some(Imm64::MapIndex(index as u32))
    }
}

fn run(case: &Case<'_>) -> Result<(), String> {
    let mut symbols = Names(&case.maps);
    let code = assemble(case.code, &mut symbols).map_err(|e| e.to_string())?;
    let profile = Profile {
        capabilities: case.capabilities,
        ..Profile::new("linux", case.version, Arc::new(Btf::default()))
    };
    let outcome = verify(&Request {
        name: "case",
        code: &code.slots,
        prog_type: case.prog_type,
        attach_type: None,
        tied: None,
        gpl: true,
        flags: ProgFlags::empty(),
        maps: &case.maps,
        types: None,
        profile: &profile,
        log_level: 0,
        clock: None,
    });
    match (&outcome.result, case.expect.split_once(':')) {
        (Ok(_), None) if case.expect == "accept" => Ok(()),
        (Err(_), None) if case.expect == "reject" => Ok(()),
        (Err(e), Some(("reject", part))) if e.linux_message.contains(part.trim()) => Ok(()),
        (Ok(_), _) => Err("accepted".into()),
        (Err(e), _) => Err(format!("rejected: {}", e.linux_message)),
    }
}

#[test]
fn verdicts_are_those_of_linux() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the cases' folder") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a text file");
        for case in text.split("\n== ").skip(1).map(parse) {
            count += 1;
            if let Err(why) = run(&case) {
                wrong.push(format!(
                    "{}: {}: expected {}, {why}",
                    path.display(),
                    case.name,
                    case.expect
                ));
            }
        }
    }
    assert!(count >= 20, "only {count} cases were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// As Linux 6.18 says: reserved fields are looked at where a path comes by.
#[test]
fn reserved_fields_matter_where_a_path_comes_by() {
    let judge = |text: &str| {
        let mut slots = assemble(text, &mut Names(&[])).expect("code").slots;
        slots[2].imm = 7;
        let profile = Profile::new("linux", 0x06_12_00, Arc::new(Btf::default()));
        verify(&Request {
            name: "case",
            code: &slots,
            prog_type: ProgType::SocketFilter,
            attach_type: None,
            tied: None,
            gpl: true,
            flags: ProgFlags::empty(),
            maps: &[],
            types: None,
            profile: &profile,
            log_level: 0,
            clock: None,
        })
        .result
    };
    assert!(judge("r0 = 0\nif r0 == 0 goto +1\nexit\nexit").is_ok());
    let reached = judge("r0 = 0\nif r0 != 0 goto +1\nexit\nexit").expect_err("reached");
    assert_eq!(reached.linux_message, "BPF_EXIT uses reserved fields");
}
