//! The gallery: typical mistakes, each with its explanation, and mended.
//!
//! `gallery/NAME.bpf.c` is a mistake, and with `-DFIX` the mended program. `gallery/NAME.txt` is what
//! `panal verify` says of the mistake. `docs/gallery.md` is made of both. `cargo xtask gallery` writes
//! the texts and the page anew.

mod common;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use common::{panal, root};

const CLANG: &str = "clang-22";
const FOLDER: &str = "crates/cli/tests/gallery";
const PAGE: &str = "docs/gallery.md";
/// The kernel whose types a case with `profile: host` needs.
const HOST: &str = "6.18";

struct Case {
    name: String,
    source: String,
    /// `--profile`, where it is not Panal's own.
    profile: Option<String>,
}

fn cases() -> Vec<Case> {
    let mut names: Vec<String> = fs::read_dir(root().join(FOLDER))
        .expect("the gallery")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix(".bpf.c")?.to_owned()))
        .collect();
    names.sort();
    let case = |name: String| {
        let path = root().join(FOLDER).join(format!("{name}.bpf.c"));
        let source = fs::read_to_string(path).expect("readable");
        let profile = source
            .lines()
            .find_map(|line| Some(line.strip_prefix("// profile: ")?.to_owned()));
        Case {
            name,
            source,
            profile,
        }
    };
    names.into_iter().map(case).collect()
}

/// Asks about each case as it stands and mended, several at once: Linux takes its time to free what
/// it verified.
fn side_by_side<T: Send>(cases: &[Case], ask: impl Fn(&Case, bool) -> T + Sync) -> Vec<T> {
    const AT_ONCE: usize = 8;
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Relaxed)) {
                    for mended in [false, true] {
                        let answer = ask(case, mended);
                        answers.lock().expect("no panic").push(answer);
                    }
                }
            });
        }
    });
    answers.into_inner().expect("no panic")
}

/// Why cases cannot be compiled here.
fn cannot_compile() -> Option<String> {
    let clang = Command::new(CLANG).arg("--version").output();
    if !clang.is_ok_and(|o| o.status.success()) {
        return Some(format!("{CLANG} is not installed"));
    }
    let headers = Path::new("/usr/include/bpf/bpf_helpers.h").exists();
    (!headers).then(|| "libbpf's headers are not installed (libbpf-dev)".to_owned())
}

impl Case {
    /// The object: each is compiled once, for all tests.
    fn compile(&self, mended: bool) -> String {
        static DONE: Mutex<BTreeMap<(String, bool), String>> = Mutex::new(BTreeMap::new());
        // Not held while the compiler runs: two tests may compile one object, to the same bytes.
        let done = |done: &BTreeMap<_, _>| done.get(&(self.name.clone(), mended)).cloned();
        if let Some(object) = done(&DONE.lock().expect("no panic")) {
            return object;
        }
        let object = self.compile_now(mended);
        let mut objects = DONE.lock().expect("no panic");
        let object = done(&objects).unwrap_or(object);
        objects.insert((self.name.clone(), mended), object.clone());
        object
    }

    fn compile_now(&self, mended: bool) -> String {
        let kind = if mended { "mended" } else { "mistake" };
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gallery-{kind}"));
        fs::create_dir_all(&folder).expect("writable");
        // Its name is in the texts.
        let object = folder.join(format!("{}.bpf.o", self.name));
        // Another test may be reading the object.
        let own = folder.join(format!("{}.{:?}", self.name, thread::current().id()));
        let output = Command::new(CLANG)
            .current_dir(root())
            .args(["-O2", "-g", "-target", "bpf", "-mcpu=v3"])
            .args(["-fdebug-compilation-dir=.", "-Iexamples", "-idirafter"])
            .arg(format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH))
            .args(mended.then_some("-DFIX"))
            .arg("-c")
            .arg(format!("{FOLDER}/{}.bpf.c", self.name))
            .arg("-o")
            .arg(&own)
            .output()
            .expect("the compiler starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", self.name);
        fs::rename(&own, &object).expect("writable");
        object.to_str().expect("UTF-8").to_owned()
    }

    /// Whether the kernel's types that it needs are there.
    fn has_profile(&self) -> bool {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let there = release.starts_with(HOST) && Path::new("/sys/kernel/btf/vmlinux").exists();
        let has = self.profile.is_none() || there;
        if !has {
            println!("skipped: {} needs the types of Linux {HOST}", self.name);
        }
        has
    }

    fn verify(&self, object: &str) -> common::Run {
        let mut arguments = vec!["verify"];
        if let Some(profile) = &self.profile {
            arguments.extend(["--profile", profile]);
        }
        arguments.push(object);
        panal(&arguments)
    }

    fn text_path(&self) -> PathBuf {
        root().join(FOLDER).join(format!("{}.txt", self.name))
    }
}

/// What is said, without the first line, which has times, and without this machine's folders.
fn explanation(stdout: &str, object: &str) -> String {
    let short = object.rsplit('/').next().unwrap_or(object);
    let text = stdout.split_once('\n').map_or("", |(_, rest)| rest);
    format!("{}\n", text.trim_end().replace(object, short))
}

#[test]
fn explanations_are_as_recorded() {
    if let Some(why) = cannot_compile() {
        println!("skipped: {why}");
        return;
    }
    let write = std::env::var_os("PANAL_GALLERY").is_some();
    let mut different = Vec::new();
    for case in cases().iter().filter(|case| case.has_profile()) {
        let object = case.compile(false);
        let run = case.verify(&object);
        assert_eq!(
            run.code,
            Some(1),
            "{}: {}{}",
            case.name,
            run.stdout,
            run.stderr
        );
        let text = explanation(&run.stdout, &object);
        if write {
            fs::write(case.text_path(), &text).expect("writable");
        } else if fs::read_to_string(case.text_path()).ok().as_deref() != Some(&*text) {
            different.push(format!("{}:\n{text}", case.name));
        }
    }
    if write {
        fs::write(root().join(PAGE), page()).expect("writable");
    }
    assert!(
        different.is_empty(),
        "other than recorded (`cargo xtask gallery` records):\n{}",
        different.join("\n")
    );
}

#[test]
fn every_mended_program_is_accepted() {
    if let Some(why) = cannot_compile() {
        println!("skipped: {why}");
        return;
    }
    for case in cases().iter().filter(|case| case.has_profile()) {
        let object = case.compile(true);
        let run = case.verify(&object);
        assert_eq!(
            run.code,
            Some(0),
            "{}: {}{}",
            case.name,
            run.stdout,
            run.stderr
        );
    }
}

#[test]
fn linux_refuses_the_mistakes_and_takes_the_mended_programs() {
    if let Some(why) = cannot_compile() {
        println!("skipped: {why}");
        return;
    }
    let verdicts = side_by_side(&cases(), |case, mended| {
        let run = panal(&["verify", "--kernel", "linux", &case.compile(mended)]);
        (case.name.clone(), mended, run)
    });
    for (name, mended, run) in verdicts {
        if run.code == Some(2) {
            println!("skipped: {name}: {}{}", run.stdout, run.stderr);
            continue;
        }
        let wanted = if mended { 0 } else { 1 };
        let said = &run.stdout;
        assert_eq!(run.code, Some(wanted), "{name} (mended: {mended}): {said}");
    }
}

#[test]
fn every_rejection_of_the_gallery_has_a_suggestion_and_a_place() {
    for case in cases() {
        let text = fs::read_to_string(case.text_path()).unwrap_or_default();
        assert!(text.starts_with("error["), "{}: {text}", case.name);
        assert!(text.contains("\nhelp: "), "{}: {text}", case.name);
        // A program as a whole has no place.
        let whole = ["code_without_end", "lock_in_tracing", "sleepable_map"].contains(&&*case.name);
        assert!(whole || text.contains("  --> "), "{}: {text}", case.name);
    }
}

#[test]
fn the_page_is_made_of_the_gallery() {
    let committed = fs::read_to_string(root().join(PAGE)).expect("the page");
    assert!(
        committed == page(),
        "{PAGE} is not what the gallery gives: `cargo xtask gallery` writes it"
    );
}

const INTRODUCTION: &str = "\
# Typical mistakes, explained

What `panal verify` says of mistakes that people make with eBPF, and what mends each. The programs are
in `crates/cli/tests/gallery/`; each is refused by Panal and by Linux as it stands, and accepted by
both with the change that is shown (`-DFIX`). Tests hold this page to what the command says;
`cargo xtask gallery` writes it anew.

More of a rejection: `panal verify --explain` (what is known along the path), `--json`, `--sarif`,
`--log 2` (Linux's own text).
";

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for case in cases() {
        let mut comments = case.source.lines().skip(1);
        let title = comments
            .next()
            .and_then(|line| line.strip_prefix("// "))
            .expect("a title");
        let why: Vec<&str> = comments
            .skip(1)
            .map_while(|line| line.strip_prefix("// "))
            .collect();
        let text = fs::read_to_string(case.text_path()).unwrap_or_default();
        let _ = write!(
            page,
            "\n## {title}\n\n{}\n\n```text\n{}\n```\n\n{}",
            why.join("\n"),
            text.trim_end(),
            change(&case.source)
        );
    }
    page
}

/// What mends it, as a difference.
fn change(source: &str) -> String {
    let mut out = String::from("```diff\n");
    let mut sign = None;
    for line in source.lines() {
        match line {
            "#ifdef FIX" => sign = Some('+'),
            "#ifndef FIX" => sign = Some('-'),
            "#else" => sign = sign.map(|sign| if sign == '+' { '-' } else { '+' }),
            "#endif" => sign = None,
            line => {
                if let Some(sign) = sign {
                    let _ = writeln!(out, "{sign}{}", line.replace('\t', "    "));
                }
            }
        }
    }
    out.push_str("```\n");
    out
}

/// A log's lines, without what only Linux's own insides explain and without addresses.
fn log_lines(log: &str) -> Vec<String> {
    let inside = |line: &str| {
        let line = line.trim_start_matches(|c: char| "(),".contains(c) || c.is_ascii_digit());
        line.starts_with(" live stack") || line.starts_with(" frame ")
    };
    log.lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !inside(line))
        .map(|line| match line.split_once(" = 0x") {
            // Its width pads what follows, too.
            Some((before, rest)) if before.contains("(18) r") => {
                let rest = rest.trim_start_matches(|c: char| c.is_ascii_hexdigit());
                format!("{before} = {}", rest.trim_start())
            }
            _ if line.starts_with("processed ") => {
                line.split(" insns").next().unwrap_or(line).to_owned()
            }
            _ => line.to_owned(),
        })
        .collect()
}

/// Length of the longest common subsequence.
fn common_lines(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0usize; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (index, y) in b.iter().enumerate() {
            let above = row[index + 1];
            row[index + 1] = match x == y {
                true => diagonal + 1,
                false => above.max(row[index]),
            };
            diagonal = above;
        }
    }
    row[b.len()]
}

#[test]
fn the_log_is_linux_s_line_by_line() {
    if let Some(why) = cannot_compile() {
        println!("skipped: {why}");
        return;
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if !release.starts_with(HOST) {
        println!("skipped: the log is compared with that of Linux {HOST}");
        return;
    }
    // A log of a hundred thousand lines says no more than one of a hundred.
    let mut cases = cases();
    cases.retain(|case| case.name != "loop_too_long");
    let compared = side_by_side(&cases, |case, mended| {
        let object = case.compile(mended);
        let level = |level: &str| {
            let ask = |more: &[&str]| {
                let level = format!("--log={level}");
                let arguments = [&["verify", "--json", &level], more, &[&object]].concat();
                let answer = panal(&arguments).json().remove(0);
                Some(log_lines(answer["log"].as_str()?))
            };
            let linux = ask(&["--kernel", "linux"]).filter(|lines| !lines.is_empty())?;
            Some((ask(&["--profile", "host"])?, linux))
        };
        // Of what is accepted, level 1 tells nothing.
        let path = (!mended).then(|| level("1"));
        (case.name.clone(), [path, Some(level("2"))])
    });
    let (mut same, mut all) = (0, 0);
    let mut worst: Vec<(f64, String)> = Vec::new();
    for (name, levels) in compared {
        for logs in levels.into_iter().flatten() {
            let Some((ours, theirs)) = logs else {
                println!("skipped: {name} has no log");
                continue;
            };
            if ours.len().max(theirs.len()) > 2000 {
                continue;
            }
            let (common, longest) = (common_lines(&ours, &theirs), ours.len().max(theirs.len()));
            same += common;
            all += longest;
            worst.push((common as f64 / longest as f64, name.clone()));
        }
    }
    if all == 0 {
        println!("skipped: Linux verifies nothing here");
        return;
    }
    worst.sort_by(|a, b| a.0.total_cmp(&b.0));
    worst.truncate(5);
    println!("{same} of {all} lines are Linux's; worst: {worst:?}");
    assert!(same * 100 >= all * 99, "{same} of {all} lines: {worst:?}");
}
