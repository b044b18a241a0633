//! Programs after the public descriptions of bugs in Linux's verifier.
//!
//! Each is rejected, or accepted and harmless: then it runs over many values with every access
//! checked. The running Linux, where there is one to ask, gives the same verdict, but for the bugs
//! that it may still have. The table in
//! `docs/soundness.md` is written by this test when `PANAL_WRITE=1` is set, and compared otherwise.

use std::{fmt::Write, fs, path::Path};

use panal_isa::assemble;
use panal_kernel::PanalKernel;
use panal_testkit::setup::{self, Maps, Names};
use panal_uapi::{
    Capabilities, MapType, ProgType,
    kernel::{Kernel, LoadError, ProgSpec, TestRun},
    profile::Profile,
};

/// What an attacker writes into maps and packets: bounds and their neighbours.
const VALUES: &[u64] = &[
    0,
    1,
    2,
    7,
    8,
    0x7fff_fffd,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x6_0000_0002,
    i64::MAX as u64,
    i64::MIN as u64,
    u64::MAX - 7,
    u64::MAX,
];

#[derive(Default)]
struct Case {
    cve: &'static str,
    flaw: &'static str,
    maps: Vec<&'static str>,
    unprivileged: bool,
    expect: &'static str,
    harmless: &'static str,
    /// Linux itself, some versions of it, still has the bug.
    linux_may_accept: bool,
    code: &'static str,
}

fn parse(text: &'static str) -> Case {
    let (head, code) = text
        .split_once("\n\n")
        .expect("a blank line before the code");
    let (cve, head) = head.split_once('\n').expect("a name");
    let mut case = Case {
        cve,
        code,
        ..Case::default()
    };
    for line in head.lines() {
        let (key, value) = line.split_once(": ").expect("key: value");
        match key {
            "flaw" => case.flaw = value,
            "map" => case.maps.push(value),
            "loader" => case.unprivileged = value == "none",
            "expect" => case.expect = value,
            "harmless" => case.harmless = value,
            "linux" => case.linux_may_accept = value == "may accept",
            other => panic!("unknown key {other}"),
        }
    }
    case
}

fn cases() -> Vec<Case> {
    let text = include_str!("attacks.txt");
    text.split("\n== ").skip(1).map(parse).collect()
}

fn maps(kernel: &dyn Kernel, case: &Case) -> Result<Maps, String> {
    let create = |line: &&'static str| {
        let words: Vec<&'static str> = line.split(' ').collect();
        let number = |i: usize| words[i].parse().expect("a number");
        let map_type = MapType::from_name(words[1]).expect("a map type");
        let spec = setup::map(words[0], map_type, number(2), number(3), number(4));
        let fd = kernel.map_create(&spec).map_err(|e| e.to_string())?;
        Ok((words[0], fd))
    };
    case.maps.iter().map(create).collect()
}

fn spec(kernel: &dyn Kernel, case: &Case, maps: &Maps) -> ProgSpec {
    let code = assemble(case.code, &mut Names::of(kernel, maps)).expect("code");
    let (btf, funcs) = setup::function_types(kernel, case.code, &code).expect("types");
    ProgSpec {
        log_level: 1,
        btf,
        funcs,
        ..setup::program(ProgType::SocketFilter, case.code, maps)
    }
}

/// The message of the rejection; `None`: accepted, and no run did anything wrong.
fn judge(kernel: &PanalKernel, case: &Case) -> Option<String> {
    let maps = maps(kernel, case).expect("maps");
    let loaded = match kernel.prog_load(&spec(kernel, case, &maps)) {
        Ok(loaded) => loaded,
        Err(LoadError::Rejected {
            rejection: Some(rejection),
            ..
        }) => return Some(rejection.linux_message),
        Err(other) => panic!("{}: {other:?}", case.cve),
    };
    for value in VALUES {
        if let Some(map) = maps.get("m") {
            kernel
                .map_update(map, &[0; 4], &value.to_le_bytes(), 0)
                .expect("an update");
        }
        let run = TestRun {
            data_in: vec![*value as u8; 14 + (*value as u8 as usize)],
            ..TestRun::default()
        };
        let ran = kernel.prog_test_run(&loaded.fd, &run).expect("a run");
        assert_eq!(
            ran.stopped, None,
            "{} ({value:#x}): {}",
            case.cve, case.flaw
        );
    }
    None
}

fn check(case: &Case, message: Option<&str>) -> Result<(), String> {
    let fits = match (case.expect.split_once(": "), message) {
        (None, None) => case.expect == "accept" && !case.harmless.is_empty(),
        (None, Some(_)) => case.expect == "reject",
        (Some((_, part)), Some(message)) => message.contains(part),
        (Some(_), None) => false,
    };
    if fits {
        return Ok(());
    }
    let got = message.map_or("accepted".into(), |m| format!("rejected: {m}"));
    Err(format!(
        "{}, {}: expected {}, {got}",
        case.cve, case.flaw, case.expect
    ))
}

/// Whether the running Linux rejects it.
fn linux_rejects(linux: &dyn Kernel, case: &Case) -> Result<bool, String> {
    let maps = maps(linux, case)?;
    match linux.prog_load(&spec(linux, case, &maps)) {
        Ok(_) => Ok(false),
        Err(LoadError::Rejected { .. }) => Ok(true),
        Err(other) => Err(format!("{other:?}")),
    }
}

fn row(case: &Case, message: Option<&str>) -> String {
    let loader = match case.unprivileged {
        true => ", unprivileged",
        false => "",
    };
    let verdict = match message {
        None => format!("accepted: {}", case.harmless),
        Some(message) => {
            let last = message.lines().last().unwrap_or_default();
            format!("rejected: `{last}`")
        }
    };
    format!("| {}{loader} | {} | {verdict} |\n", case.cve, case.flaw)
}

#[test]
fn attacks_are_rejected_or_harmless() {
    let build = |profile: Option<Profile>| {
        let builder = PanalKernel::builder().checked(true);
        match profile {
            Some(profile) => builder.profile(profile),
            None => builder,
        }
        .build()
        .expect("a kernel")
    };
    let privileged = build(None);
    let unprivileged = build(Some(Profile {
        capabilities: Capabilities::empty(),
        ..panal_kernel::own_profile()
    }));
    let linux = panal_testkit::linux()
        .inspect_err(|why| println!("skipped: Linux's half ({why})"))
        .ok();
    let mut wrong = Vec::new();
    let mut table = String::from("| bug | what was wrong | Panal's verdict |\n|---|---|---|\n");
    for case in cases() {
        let kernel = match case.unprivileged {
            true => &unprivileged,
            false => &privileged,
        };
        let message = judge(kernel, &case);
        wrong.extend(check(&case, message.as_deref()).err());
        if let (Some(linux), false) = (&linux, case.unprivileged) {
            match linux_rejects(&*linux.kernel, &case) {
                Ok(rejects) if rejects == message.is_some() => {}
                Ok(false) if case.linux_may_accept => {
                    println!("this Linux accepts: {}, {}", case.cve, case.flaw);
                }
                Ok(_) => wrong.push(format!("{}, {}: not as Linux", case.cve, case.flaw)),
                Err(why) => wrong.push(format!("{}: {why}", case.cve)),
            }
        }
        let _ = table.write_str(&row(&case, message.as_deref()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    compare_with_page(&table);
}

/// The table stands between two marks of the page.
fn compare_with_page(table: &str) {
    const BEGIN: &str = "<!-- attacks -->\n";
    const END: &str = "<!-- end of attacks -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/soundness.md");
    let page = fs::read_to_string(&path).expect("docs/soundness.md");
    let (before, rest) = page.split_once(BEGIN).expect("the table's begin");
    let (written, after) = rest.split_once(END).expect("the table's end");
    if std::env::var_os("PANAL_WRITE").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).expect("the page");
    } else {
        assert_eq!(
            written, table,
            "write it anew: PANAL_WRITE=1 cargo test -p panal-kernel --test attacks"
        );
    }
}
