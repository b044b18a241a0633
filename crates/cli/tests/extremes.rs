//! Programs and types at the edge of what is allowed, and far beyond: the verdict is Linux's, in
//! bounded time and memory.
//!
//! `cargo test -p panal-cli --test extremes -- --nocapture` prints what each took; docs/verifier.md has
//! the table.

mod common;

use std::{
    fmt::Write as _,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::root;

const CLANG: &str = "clang-22";
const OBJCOPY: &str = "llvm-objcopy-22";
/// Most that a verdict may take, on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most memory of the whole process, in kB.
const MEMORY: u64 = 1_500_000;

/// What is asked, and how its source is made.
struct Case {
    name: &'static str,
    /// `s`: assembly, `c`: C.
    language: &'static str,
    source: fn() -> String,
    /// Part of the reason, where it is rejected.
    reason: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "a million instructions",
        language: "s",
        source: || straight(999_998),
        reason: "",
    },
    Case {
        name: "a million and one",
        language: "s",
        source: || straight(999_999),
        reason: "1000001 instructions",
    },
    Case {
        name: "nested loops, a million rounds",
        language: "s",
        source: || {
            assembly(
                "r1 = 0\n1:\nr2 = 0\n2:\nr2 += 1\nif r2 < 1000 goto 2b\nr1 += 1\nif r1 < 1000 goto 1b\n",
            )
        },
        reason: "too large",
    },
    Case {
        name: "64 diamonds, 2^64 paths",
        language: "s",
        source: || diamonds(64),
        reason: "too large",
    },
    Case {
        name: "9,000 jumps that wait",
        language: "s",
        source: || waiting(9000),
        reason: "too complex",
    },
    Case {
        name: "256 subprograms",
        language: "s",
        source: || functions(255),
        reason: "",
    },
    Case {
        name: "257 subprograms",
        language: "s",
        source: || functions(256),
        reason: "too many subprograms",
    },
    Case {
        name: "10,000 subprograms",
        language: "s",
        source: || functions(9999),
        reason: "too many subprograms",
    },
    Case {
        name: "types of 10 MB",
        language: "c",
        source: || format!("{HEAD}{SMALL}"),
        reason: "",
    },
    Case {
        name: "arrays, 300 deep",
        language: "c",
        source: || chain("int v", "[1]", "", 300),
        reason: "",
    },
    Case {
        name: "pointers, 400 deep",
        language: "c",
        source: || chain("int ", "*", "v", 400),
        reason: "",
    },
    Case {
        name: "structs, 300 deep",
        language: "c",
        source: || structs(300),
        reason: "",
    },
];

fn assembly(body: &str) -> String {
    format!(
        ".section xdp,\"ax\",@progbits\n.globl p\n.type p,@function\np:\n{body}r0 = 0\nexit\n\
         .size p,.-p\n"
    )
}

fn straight(count: usize) -> String {
    assembly(&format!("r1 = 0\n.rept {}\nr1 += 1\n.endr\n", count - 1))
}

/// Each side leaves another number behind, so that nothing can be pruned.
fn diamonds(count: usize) -> String {
    let mut body = "r2 = *(u32 *)(r1 + 16)\nr3 = 0\n".to_owned();
    for bit in 0..count {
        let _ = writeln!(
            body,
            "r4 = r2\nr4 >>= {bit}\nr4 &= 1\nif r4 == 0 goto 1f\nr3 += {}\n1:",
            1u64 << (bit % 31)
        );
    }
    body.push_str("if r3 == 12345 goto 1f\n1:\n");
    assembly(&body)
}

/// The side that is walked later waits, at each jump.
fn waiting(count: usize) -> String {
    let mut body = "r2 = *(u32 *)(r1 + 16)\n".to_owned();
    for number in 0..count {
        let _ = writeln!(body, "if r2 == {number} goto +0");
    }
    assembly(&body)
}

const HEAD: &str = "#define SEC(name) __attribute__((section(name), used))\n\
                    char LICENSE[] SEC(\"license\") = \"GPL\";\n";

fn functions(count: usize) -> String {
    let (mut source, mut calls) = (".text\n".to_owned(), String::new());
    for number in 0..count {
        let _ = writeln!(
            source,
            ".type f{number},@function\nf{number}:\nr0 = {number}\nexit\n.size f{number},.-f{number}"
        );
        let _ = writeln!(calls, "call f{number}");
    }
    source + &assembly(&calls)
}

const SMALL: &str = "SEC(\"xdp\") int p(void *ctx)\n{\n\treturn 2;\n}\n";

/// Types as the compiler wrote them, with so many structs of two members after them.
fn with_structs(btf: &[u8], count: u32) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(btf[at..at + 4].try_into().expect("4 bytes"));
    let section = |at: usize| {
        let start = word(4) as usize + word(at) as usize;
        btf[start..start + word(at + 4) as usize].to_vec()
    };
    let (mut types, mut strings) = (section(8), section(16));
    for number in 0..count {
        let mut name = |kind: &str| {
            let offset = strings.len() as u32;
            strings.extend(format!("{kind}_with_a_long_name_{number}\0").bytes());
            offset
        };
        // An integer, and a struct of it.
        let words = [name("int"), 1 << 24, 4, 32];
        let names = [name("struct"), name("first"), name("second")];
        // The members are of the compiler's first type here: `void *`.
        let members = [names[1], 1, 0, names[2], 1, 64];
        let of_struct = [names[0], 4 << 24 | 2, 16];
        let all = words.into_iter().chain(of_struct).chain(members);
        types.extend(all.flat_map(u32::to_le_bytes));
    }
    let mut out = btf[..8].to_vec();
    out[4..8].copy_from_slice(&24u32.to_le_bytes());
    let (types_len, strings_len) = (types.len() as u32, strings.len() as u32);
    out.extend(
        [0, types_len, types_len, strings_len]
            .into_iter()
            .flat_map(u32::to_le_bytes),
    );
    out.extend(types);
    out.extend(strings);
    out
}

fn chain(before: &str, level: &str, after: &str, depth: usize) -> String {
    let levels = level.repeat(depth);
    format!(
        "{HEAD}{before}{levels}{after} SEC(\".data.x\");\n\
         SEC(\"xdp\") int p(void *ctx)\n{{\n\treturn *(volatile int *)&v & 1;\n}}\n"
    )
}

fn structs(depth: usize) -> String {
    let mut source = format!("{HEAD}struct s0 {{ int a; }};\n");
    for level in 1..=depth {
        let _ = writeln!(
            source,
            "struct s{level} {{ struct s{} m; int b; }};",
            level - 1
        );
    }
    let _ = writeln!(source, "struct s{depth} v SEC(\".data.x\");");
    source.push_str("SEC(\"xdp\") int p(void *ctx)\n{\n\treturn v.b & 1;\n}\n");
    source
}

impl Case {
    fn compile(&self) -> String {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("extremes");
        fs::create_dir_all(&folder).expect("writable");
        let name: String = self.name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let source = folder.join(format!("{name}.{}", self.language));
        let object = folder.join(format!("{name}.o"));
        fs::write(&source, (self.source)()).expect("writable");
        let status = Command::new(CLANG)
            .args(["-target", "bpf", "-mcpu=v3", "-c", "-w"])
            .args((self.language == "c").then_some("-g"))
            .args((self.language == "c").then_some("-O2"))
            .arg(&source)
            .arg("-o")
            .arg(&object)
            .status()
            .expect("clang starts");
        assert!(status.success(), "{}", self.name);
        if self.name.contains("10 MB") {
            let types = folder.join("types");
            let objcopy = |option: &str| {
                let section = format!("{option}=.BTF={}", types.display());
                let status = Command::new(OBJCOPY).arg(section).arg(&object).status();
                assert!(status.expect("it starts").success(), "{option}");
            };
            objcopy("--dump-section");
            let bytes = fs::read(&types).expect("dumped");
            fs::write(&types, with_structs(&bytes, 70_000)).expect("writable");
            objcopy("--update-section");
        }
        object.to_str().expect("UTF-8").to_owned()
    }
}

/// An answer, how long it took, and the most memory that was seen, in kB.
struct Measured {
    answer: serde_json::Value,
    code: Option<i32>,
    time: Duration,
    memory: u64,
}

fn ask(arguments: &[&str], what: &str) -> Measured {
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_panal"))
        .args(["verify", "--json"])
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("panal starts");
    let status = format!("/proc/{}/status", child.id());
    let mut memory = 0;
    let code = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let most = text.lines().find_map(|line| {
            let figure = line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?;
            figure.parse().ok()
        });
        memory = memory.max(most.unwrap_or(0));
        if let Some(ended) = child.try_wait().expect("wait") {
            break ended.code();
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("{what}: no answer after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let time = start.elapsed();
    let output = child.wait_with_output().expect("output");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let answer = text.lines().next().map(serde_json::from_str);
    let answer = answer.and_then(Result::ok).unwrap_or_default();
    Measured {
        answer,
        code,
        time,
        memory,
    }
}

#[test]
fn the_verdict_is_linux_s_in_bounded_time_and_memory() {
    for tool in [CLANG, OBJCOPY] {
        if Command::new(tool).arg("--version").output().is_err() {
            println!("skipped: {tool} is not installed");
            return;
        }
    }
    println!("| | verdict | processed | s | MB | Linux, s |");
    println!("|---|---|---|---|---|---|");
    for case in CASES {
        let object = case.compile();
        let size = fs::metadata(&object).expect("there").len();
        assert!(size > 10_000_000 || !case.name.contains("10 MB"), "{size}");
        let ours = ask(&[&object], case.name);
        let said = ours.answer["error"].to_string();
        let wanted = match case.reason {
            "" => ("accept", Some(0)),
            _ => ("reject", Some(1)),
        };
        let verdict = ours.answer["verdict"].as_str().unwrap_or("none").to_owned();
        assert_eq!((&*verdict, ours.code), wanted, "{}: {said}", case.name);
        assert!(said.contains(case.reason), "{}: {said}", case.name);
        assert!(
            ours.memory < MEMORY,
            "{}: {} kB of memory",
            case.name,
            ours.memory
        );
        let theirs = ask(&["--kernel", "linux", &object], case.name);
        let asked = theirs.answer["verdict"] != "error" && !theirs.answer.is_null();
        if asked {
            for part in ["verdict", "processed"] {
                assert_eq!(
                    ours.answer[part], theirs.answer[part],
                    "{}: {part}",
                    case.name
                );
            }
            for part in ["errno", "linux_message"] {
                let (ours, theirs) = (&ours.answer["error"], &theirs.answer["error"]);
                assert_eq!(ours[part], theirs[part], "{}: {part}", case.name);
            }
        } else {
            println!(
                "skipped: {}: Linux was not asked: {}",
                case.name, theirs.answer
            );
        }
        println!(
            "| {} | {verdict}{} | {} | {:.2} | {} | {} |",
            case.name,
            match ours.answer["error"]["linux_message"].as_str() {
                Some(text) if !text.is_empty() => format!(": {text}"),
                _ if case.reason.is_empty() => String::new(),
                _ => format!(": {}", ours.answer["error"]["errno"].as_str().unwrap_or("")),
            },
            ours.answer["processed"],
            ours.time.as_secs_f64(),
            ours.memory / 1000,
            match asked {
                true => format!("{:.2}", theirs.time.as_secs_f64()),
                false => "-".to_owned(),
            },
        );
    }
}
