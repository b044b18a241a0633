//! The command against broken files: it never panics, never hangs, never dies by a signal, and
//! says in one line whose fault it was.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Mutations tried of each object; all are derived from a fixed seed.
const MUTATIONS: u64 = 60;
const PATIENCE: Duration = Duration::from_secs(20);

fn panal(args: &[&str]) -> Output {
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_panal"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("panal starts");
    while child.try_wait().expect("wait").is_none() {
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("panal {args:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(2));
        // Long outputs would block the child: take them as soon as it may be done.
        if start.elapsed() > Duration::from_millis(500) {
            return child.wait_with_output().expect("output");
        }
    }
    child.wait_with_output().expect("output")
}

/// What must hold whatever the input was.
fn assert_civil(args: &[&str], what: &str) -> Output {
    let output = panal(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.signal(),
        None,
        "{what}: died by a signal\n{stderr}"
    );
    assert!(!stderr.contains("panicked"), "{what}: {stderr}");
    let code = output.status.code().expect("a code");
    assert!(
        (0..=2).contains(&code),
        "{what}: exit code {code}\n{stderr}"
    );
    if code == 2 {
        let errors = stderr.lines().filter(|l| l.contains("error")).count();
        let json = String::from_utf8_lossy(&output.stdout).contains("\"error\"");
        assert!(
            errors >= 1 || json,
            "{what}: exit code 2 without a reason: {stderr:?}"
        );
    }
    output
}

/// The next number of xorshift64.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

fn mutate(bytes: &[u8], seed: &mut u64) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let len = bytes.len() as u64;
    match next(seed) % 4 {
        0 => out.truncate((next(seed) % len) as usize),
        1 => {
            let at = (next(seed) % len) as usize;
            out[at] ^= 1 << (next(seed) % 8);
        }
        2 => {
            for _ in 0..8 {
                let at = (next(seed) % len) as usize;
                out[at] = next(seed) as u8;
            }
        }
        _ => {
            // Headers hold the offsets and sizes.
            let at = (next(seed) % len.min(64)) as usize;
            out[at] = [0, 0xff, 0x7f, 0x80][(next(seed) % 4) as usize];
        }
    }
    out
}

fn objects() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for folder in ["examples", "bench/programs"] {
        let Ok(entries) = fs::read_dir(root.join(folder)) else {
            continue;
        };
        found.extend(
            entries
                .filter_map(|e| Some(e.ok()?.path()))
                .filter(|p| p.extension().is_some_and(|e| e == "o")),
        );
    }
    found.sort();
    assert!(!found.is_empty(), "there are objects in the repository");
    found
}

fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).expect("scratch folder");
    folder
}

#[test]
fn mutated_objects_are_verified_or_refused() {
    let path = scratch("mutated").join("mutant.o");
    let path_text = path.to_str().expect("UTF-8");
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    for object in objects() {
        let bytes = fs::read(&object).expect("readable");
        for round in 0..MUTATIONS {
            fs::write(&path, mutate(&bytes, &mut seed)).expect("writable");
            let what = format!("{} mutation {round}", object.display());
            assert_civil(&["verify", "--json", path_text], &what);
            if round % 6 == 0 {
                for part in ["asm", "cfg", "btf", "maps", "relocations"] {
                    assert_civil(&["dump", path_text, part], &format!("{what}, dump {part}"));
                }
            }
        }
    }
}

#[test]
fn files_that_are_no_objects_are_refused() {
    let folder = scratch("no-objects");
    let cases: &[(&str, &[u8])] = &[
        ("empty", b""),
        ("text", b"int main(void) { return 0; }\n"),
        ("magic", b"\x7fELF"),
        ("archive", b"!<arch>\n"),
    ];
    for (name, bytes) in cases {
        let path = folder.join(name);
        fs::write(&path, bytes).expect("writable");
        let output = assert_civil(&["verify", path.to_str().expect("UTF-8")], name);
        assert_eq!(output.status.code(), Some(2), "{name}");
    }
    for (what, path) in [
        ("a folder", folder.to_str().expect("UTF-8")),
        ("a missing file", "does-not-exist.o"),
        ("a program for this machine", env!("CARGO_BIN_EXE_panal")),
    ] {
        let output = assert_civil(&["verify", path], what);
        assert_eq!(output.status.code(), Some(2), "{what}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains(path),
            "{what}: the message names the file: {stderr}"
        );
    }
}

/// A pcap of `packets` packets of 64 zero bytes.
fn pcap(packets: usize) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(0xa1b2_c3d4u32.to_le_bytes());
    out.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.extend(65535u32.to_le_bytes());
    out.extend(1u32.to_le_bytes());
    for i in 0..packets as u32 {
        for word in [i, 0, 64, 64] {
            out.extend(word.to_le_bytes());
        }
        out.extend([0u8; 64]);
    }
    out
}

#[test]
fn broken_captures_are_named() {
    let folder = scratch("captures");
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/programs/pass.bpf.o");
    let object = object.to_str().expect("UTF-8");
    let whole = pcap(3);
    let mut absurd = pcap(1);
    absurd[24 + 8..24 + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut not_ethernet = pcap(1);
    not_ethernet[20..24].copy_from_slice(&113u32.to_le_bytes());
    let cases: &[(&str, &[u8])] = &[
        ("empty.pcap", b""),
        ("header-cut.pcap", &whole[..10]),
        ("record-cut.pcap", &whole[..24 + 80 + 7]),
        ("packet-cut.pcap", &whole[..whole.len() - 1]),
        ("absurd-length.pcap", &absurd),
        ("not-ethernet.pcap", &not_ethernet),
        ("text.pcap", b"this is no capture at all, only text"),
    ];
    for (name, bytes) in cases {
        let path = folder.join(name);
        fs::write(&path, bytes).expect("writable");
        let path = path.to_str().expect("UTF-8");
        let output = assert_civil(&["run", object, "--pcap", path], name);
        assert_eq!(output.status.code(), Some(2), "{name}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains(name),
            "{name}: the message names the file: {stderr}"
        );
    }
    let path = folder.join("whole.pcap");
    fs::write(&path, &whole).expect("writable");
    let output = assert_civil(
        &["run", object, "--pcap", path.to_str().expect("UTF-8")],
        "whole",
    );
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// An object with debug info and rejections.
const REJECTED: &str = "tests/objects/rejected.bpf.o";

fn rejected() -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(REJECTED)).expect("readable")
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}

#[test]
fn reports_of_hostile_debug_info_are_civil_and_bounded() {
    let object = rejected();
    // The headers of .BTF and .BTF.ext; after them: types, names, lines.
    let magic = [0x9f, 0xeb, 1, 0];
    let types = position(&object, &magic).expect(".BTF");
    let lines = types + 4 + position(&object[types + 4..], &magic).expect(".BTF.ext");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile-lines.o");
    let path_text = path.to_str().expect("UTF-8");
    let mut seed = 0x5eed_0004;
    let mut rejections = 0;
    for round in 0..MUTATIONS {
        let mut bytes = object.clone();
        for _ in 0..1 + round % 12 {
            let start = if next(&mut seed).is_multiple_of(3) {
                types
            } else {
                lines
            };
            let at = start + 24 + (next(&mut seed) % 1500) as usize;
            if let Some(byte) = bytes.get_mut(at) {
                *byte = next(&mut seed) as u8;
            }
        }
        fs::write(&path, &bytes).expect("writable");
        for arguments in [
            &["verify", "--explain", path_text][..],
            &["verify", "--explain", "--json", path_text],
            &["verify", "--sarif", path_text],
            &["verify", "--log=2", path_text],
        ] {
            let output = assert_civil(arguments, &format!("mutation {round}"));
            assert!(
                output.stdout.len() < 1 << 20,
                "{arguments:?}, mutation {round}"
            );
            rejections += u32::from(output.status.code() == Some(1));
        }
    }
    assert!(
        rejections > 20,
        "only {rejections} rejections were reported"
    );
}

#[test]
fn without_lines_a_report_shows_instructions() {
    let mut object = rejected();
    let name = position(&object, b".BTF.ext\0").expect("its name");
    object[name + 1] = b'X';
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-lines.o");
    fs::write(&path, &object).expect("writable");
    let path = path.to_str().expect("UTF-8");
    let output = assert_civil(&["verify", "--program", "no_check", path], "no lines");
    let text = String::from_utf8_lossy(&output.stdout);
    for part in [
        "no-lines.o: no_check:7",
        "7 | w0 = *(u32 *)(r0 + 4)",
        "6 | call bpf_map_lookup_elem#1",
        "bpf_map_lookup_elem() returns NULL when there is nothing",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let sarif = assert_civil(&["verify", "--sarif", path], "no lines");
    let sarif: serde_json::Value = serde_json::from_slice(&sarif.stdout).expect("JSON");
    let location = &sarif["runs"][0]["results"][0]["locations"][0];
    assert!(
        location["physicalLocation"].get("region").is_none(),
        "{location}"
    );
    assert_eq!(
        location["logicalLocations"][0]["decoratedName"],
        "no_check, instruction 7"
    );
}
