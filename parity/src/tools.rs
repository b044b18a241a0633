//! Programs of tools that distributions ship: objects as files, and those that skeletons embed in
//! executables. Every program is asked of both kernels; the answers become a page.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use panal_loader::Open;
use panal_uapi::{MapType, kernel::Kernel};

use crate::objects::{Verdict, verdicts_of};

/// The packages whose tools are asked about, as Debian calls them.
const PACKAGES: [&str; 3] = ["libbpf-tools", "xdp-tools", "libxdp1"];

/// Most bytes of a file that is looked into.
const LARGEST: u64 = 64 << 20;

/// An object with where it was found.
struct Object {
    /// The file's name, with a number where a file has several.
    name: String,
    package: &'static str,
    bytes: Vec<u8>,
}

/// What was said of an object: one entry for each program, or why it could not be opened.
struct Said {
    name: String,
    package: &'static str,
    programs: Result<Vec<Program>, String>,
}

#[derive(Debug)]
struct Program {
    name: String,
    section: String,
    linux: Verdict,
    panal: Verdict,
}

/// Runs `panal-parity tools [--out FILE]`.
pub fn run(arguments: &[String], linux: &dyn Kernel, panal: &dyn Kernel) -> ExitCode {
    let out = match arguments {
        [] => None,
        [option, file] if option == "--out" => Some(file),
        _ => {
            eprintln!("usage: panal-parity tools [--out FILE]");
            return ExitCode::from(2);
        }
    };
    let objects = installed();
    if objects.is_empty() {
        println!("skipped: none of {} is installed", PACKAGES.join(", "));
        return ExitCode::SUCCESS;
    }
    let said: Vec<Said> = objects.iter().map(|o| ask(o, linux, panal)).collect();
    if let Some(why) = undecided_at_all(&said) {
        println!("skipped: {why}");
        return ExitCode::SUCCESS;
    }
    print!("{}", summary(&said, &linux.name()));
    if let Some(file) = out
        && let Err(error) = fs::write(file, page(&said, &linux.name()))
    {
        eprintln!("panal-parity: {file}: {error}");
        return ExitCode::from(2);
    }
    let disagreed = said.iter().flat_map(Said::programs).any(|p| p.disagrees());
    ExitCode::from(u8::from(disagreed))
}

/// Why Linux decided nothing, if so.
fn undecided_at_all(said: &[Said]) -> Option<&str> {
    let mut programs = said.iter().flat_map(Said::programs).peekable();
    let Some(first) = programs.peek() else {
        return Some("no such tool is installed");
    };
    let why = first.linux.reason();
    (!programs.any(Program::decided)).then_some(why)
}

/// The objects of the packages that are installed.
fn installed() -> Vec<Object> {
    let mut found = Vec::new();
    for package in PACKAGES {
        for path in files(package) {
            let Some(bytes) = read(&path) else { continue };
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let parts = embedded(&bytes);
            let several = parts.len() > 1;
            for (number, part) in parts.into_iter().enumerate() {
                let name = match several {
                    true => format!("{file} {}", number + 1),
                    false => file.to_string(),
                };
                found.push(Object {
                    name,
                    package,
                    bytes: part.to_vec(),
                });
            }
        }
    }
    found
}

/// The files of a package, as dpkg lists them.
fn files(package: &str) -> Vec<PathBuf> {
    let folder = Path::new("/var/lib/dpkg/info");
    // A package for several architectures has the architecture in the file's name.
    let named = |name: &str| {
        let name = name.strip_suffix(".list")?;
        (name.split(':').next() == Some(package)).then(|| folder.join(format!("{name}.list")))
    };
    let mut lists = fs::read_dir(folder).into_iter().flatten().flatten();
    let list = lists.find_map(|entry| named(entry.file_name().to_str()?));
    let list = list
        .and_then(|path| fs::read_to_string(path).ok())
        .unwrap_or_default();
    let mut paths: Vec<PathBuf> = list.lines().map(PathBuf::from).collect();
    paths.retain(|path| {
        path.components().any(|c| {
            ["sbin", "bin", "bpf"]
                .map(Path::new)
                .contains(&Path::new(&c))
        })
    });
    paths.sort();
    paths
}

/// A regular file of a sensible size; links are seen under their first name.
fn read(path: &Path) -> Option<Vec<u8>> {
    let meta = fs::symlink_metadata(path).ok()?;
    (meta.is_file() && meta.len() <= LARGEST).then(|| fs::read(path).ok())?
}

/// The BPF objects within a file, itself included: each ELF file of that machine, to the end of its
/// section headers or of its last section, whichever comes later.
fn embedded(bytes: &[u8]) -> Vec<&[u8]> {
    const MAGIC: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];
    const EM_BPF: u64 = 247;
    const SHT_NOBITS: u64 = 8;
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = bytes[at..].windows(MAGIC.len()).position(|w| w == MAGIC) {
        let start = at + next;
        at = start + MAGIC.len();
        let elf = &bytes[start..];
        let number = |at: u64, len: usize| -> Option<u64> {
            let at = usize::try_from(at).ok()?;
            let mut word = [0; 8];
            word[..len].copy_from_slice(elf.get(at..at.checked_add(len)?)?);
            Some(u64::from_le_bytes(word))
        };
        let end = || {
            let (table, size, count) = (number(40, 8)?, number(58, 2)?, number(60, 2)?);
            let mut end = table.checked_add(size * count)?;
            for section in (0..count).map(|n| table + n * size) {
                if number(section + 4, 4)? != SHT_NOBITS {
                    end = end.max(number(section + 24, 8)?.checked_add(number(section + 32, 8)?)?);
                }
            }
            elf.get(..usize::try_from(end).ok()?)
        };
        if number(18, 2) != Some(EM_BPF) {
            continue;
        }
        if let Some(object) = end() {
            at = start + object.len();
            found.push(object);
        }
    }
    found
}

/// What tools set before they load: capacities and sizes that the source leaves at 0, and which
/// functions stand for the ones that it calls `dummy_`.
fn as_tools_do(open: &mut Open, cpus: u32) {
    const CAPACITY: u32 = 1024;
    const FRAMES: u32 = 127;
    let names: Vec<String> = open.maps().iter().map(|map| map.name.clone()).collect();
    for map in names {
        let Ok(map) = open.map_mut(&map) else {
            continue;
        };
        let unset = map.create && map.max_entries == 0;
        match map.map_type {
            // The loader takes as many as there are CPUs.
            MapType::PerfEventArray => {}
            MapType::Cpumap if unset => map.max_entries = cpus,
            _ if unset => map.max_entries = CAPACITY,
            _ => {}
        }
        if map.map_type == MapType::StackTrace && map.value_size == 0 {
            map.value_size = FRAMES * 8;
        }
    }
    // What fsdist and fsslower take for ext4.
    const FUNCTIONS: [(&str, &str); 5] = [
        ("dummy_file_read", "ext4_file_read_iter"),
        ("dummy_file_write", "ext4_file_write_iter"),
        ("dummy_file_open", "ext4_file_open"),
        ("dummy_file_sync", "ext4_sync_file"),
        ("dummy_getattr", "ext4_file_getattr"),
    ];
    for plan in open.programs_mut() {
        for (dummy, function) in FUNCTIONS {
            if let Some(kind) = plan.section.strip_suffix(dummy) {
                plan.section = format!("{kind}{function}");
            }
        }
    }
}

fn ask(object: &Object, linux: &dyn Kernel, panal: &dyn Kernel) -> Said {
    let change = |open: &mut Open| as_tools_do(open, linux.cpus());
    let asked = |kernel| verdicts_of(kernel, &object.bytes, &object.name, &change);
    let programs = asked(linux).and_then(|theirs| {
        let ours = asked(panal)?;
        let both = theirs.into_iter().zip(ours);
        Ok(both
            .map(|((plan, linux), (_, panal))| Program {
                name: plan.name,
                section: plan.section,
                linux,
                panal,
            })
            .collect())
    });
    Said {
        name: object.name.clone(),
        package: object.package,
        programs,
    }
}

impl Said {
    fn programs(&self) -> &[Program] {
        self.programs.as_deref().unwrap_or_default()
    }

    fn count(&self, wanted: impl Fn(&Program) -> bool) -> usize {
        self.programs().iter().filter(|p| wanted(p)).count()
    }
}

impl Program {
    fn decided(&self) -> bool {
        !matches!(self.linux, Verdict::Error(_))
    }

    fn disagrees(&self) -> bool {
        self.decided() && self.linux.word() != self.panal.word()
    }
}

fn all(said: &[Said], wanted: impl Fn(&Program) -> bool) -> usize {
    said.iter().map(|object| object.count(&wanted)).sum()
}

/// The figures.
fn summary(said: &[Said], kernel: &str) -> String {
    let accepted = |verdict: &Verdict| verdict.word() == "accept";
    let programs = all(said, |_| true);
    let decided = all(said, Program::decided);
    let theirs = all(said, |p| accepted(&p.linux));
    let both = all(said, |p| accepted(&p.linux) && accepted(&p.panal));
    let rejected = all(said, |p| p.decided() && !accepted(&p.linux));
    let both_rejected = all(said, |p| {
        p.linux.word() == "reject" && p.panal.word() == "reject"
    });
    let left = all(said, |p| !p.decided() && accepted(&p.panal));
    let unopened = said.iter().filter(|s| s.programs.is_err()).count();
    let mut text = format!(
        "- {} objects with {programs} programs; {kernel} decided {decided}.\n\
         - It accepted {theirs}; Panal accepts {both} of them.\n\
         - It rejected {rejected}; Panal rejects {both_rejected} of them.\n\
         - Of the {} that it could not try, Panal accepts {left}.\n",
        said.len(),
        programs - decided,
    );
    if unopened > 0 {
        let _ = writeln!(text, "- {unopened} objects could not be opened.");
    }
    text
}

fn page(said: &[Said], kernel: &str) -> String {
    let mut page = format!(
        "# Programs of real tools\n\n\
         Written by `cargo xtask objects`: every program of the objects that Debian's `libbpf-tools` (61 tools, some of\n\
         them links to others), `xdp-tools` and `libxdp1` ship, as files or embedded in executables, loaded by one\n\
         loader into the running kernel, and judged by Panal with that kernel's types (`--profile host`). What a tool\n\
         sets before it loads is set: capacities of maps, and for `fsdist` and `fsslower` the functions of ext4.\n\n\
         {}\n",
        summary(said, kernel)
    );
    for package in PACKAGES {
        let own: Vec<&Said> = said.iter().filter(|s| s.package == package).collect();
        if own.is_empty() {
            let _ = writeln!(page, "## {package}\n\nNot installed.\n");
            continue;
        }
        let _ = writeln!(
            page,
            "## {package}\n\n\
             | object | programs | Linux accepts | Linux rejects | Linux cannot try | Panal accepts | disagreements |\n\
             |---|---|---|---|---|---|---|"
        );
        for object in own {
            let word = |word: &'static str| object.count(|p| p.linux.word() == word);
            let _ = match &object.programs {
                Ok(programs) => writeln!(
                    page,
                    "| {} | {} | {} | {} | {} | {} | {} |",
                    object.name,
                    programs.len(),
                    word("accept"),
                    word("reject"),
                    word("error"),
                    object.count(|p| p.panal.word() == "accept"),
                    object.count(Program::disagrees),
                ),
                Err(why) => writeln!(page, "| {} | not opened: {why} | | | | | |", object.name),
            };
        }
        page.push('\n');
    }
    disagreements(&mut page, said);
    rejections(&mut page, said);
    undecided(&mut page, said);
    page
}

fn each(said: &[Said], wanted: fn(&Program) -> bool) -> impl Iterator<Item = (&str, &Program)> {
    said.iter().flat_map(move |object| {
        let own = object.programs().iter().filter(move |p| wanted(p));
        own.map(|program| (object.name.as_str(), program))
    })
}

fn disagreements(page: &mut String, said: &[Said]) {
    let _ = writeln!(page, "## Disagreements\n");
    let mut none = true;
    for (object, program) in each(said, Program::disagrees) {
        none = false;
        let _ = writeln!(
            page,
            "- {object}, `{}` (`{}`): Linux {}s{}; Panal {}s{}",
            program.name,
            program.section,
            program.linux.word(),
            because(&program.linux),
            program.panal.word(),
            because(&program.panal),
        );
    }
    page.push_str(if none { "None.\n\n" } else { "\n" });
}

fn because(verdict: &Verdict) -> String {
    match verdict.reason() {
        "" => String::new(),
        reason => format!(" (`{}`)", reason.trim()),
    }
}

/// What both reject.
fn rejections(page: &mut String, said: &[Said]) {
    let both = |p: &Program| p.linux.word() == "reject" && p.panal.word() == "reject";
    let _ = writeln!(
        page,
        "## Rejected by both\n\n\
         `invalid func unknown#195896080` is what loaders put in the place of a field that the kernel does not have\n\
         (0xbad2310 in a call): these tools are older than the kernel.\n"
    );
    let mut none = true;
    for (object, program) in each(said, both) {
        none = false;
        let _ = writeln!(
            page,
            "- {object}, `{}` (`{}`): `{}`",
            program.name,
            program.section,
            program.linux.reason().trim()
        );
    }
    page.push_str(if none { "None.\n\n" } else { "\n" });
}

/// What Linux could not try, by reason.
fn undecided(page: &mut String, said: &[Said]) {
    let _ = writeln!(
        page,
        "## What Linux could not try\n\n\
         A kernel that lacks a function, or whose policy refuses a kind of program, says nothing of the program. Panal's\n\
         verdict under the same types is told.\n"
    );
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (object, program) in each(said, |p| !p.decided()) {
        let own = program.linux.reason();
        // The program's own name and numbers differ from one to the next.
        let reason = own
            .replace(&program.name, "PROGRAM")
            .replace(&program.section, "SECTION");
        let panal = match &program.panal {
            Verdict::Accept { .. } => "Panal accepts it".to_owned(),
            Verdict::Reject { .. } => format!("Panal rejects it{}", because(&program.panal)),
            Verdict::Error(why) if same(why, own) => "nor could Panal".to_owned(),
            Verdict::Error(_) => format!("Panal could not either{}", because(&program.panal)),
        };
        let entry = format!(
            "{object} `{}` (`{}`): {panal}",
            program.name, program.section
        );
        reasons.entry(reason).or_default().push(entry);
    }
    for (reason, programs) in &reasons {
        let _ = writeln!(page, "`{reason}`:\n");
        for program in programs {
            let _ = writeln!(page, "- {program}");
        }
        page.push('\n');
    }
}

/// Whether two kernels gave the same reason, by all but their names.
fn same(ours: &str, theirs: &str) -> bool {
    let after = |text: &str| text.split_once(" has no ").map(|(_, rest)| rest.to_owned());
    after(ours).is_some() && after(ours) == after(theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of real tools, every program that Linux accepts is accepted, and none that it rejects.
    #[test]
    fn verdicts_on_real_tools_are_those_of_linux() {
        let linux = panal_linux::LinuxKernel::new();
        let panal = match crate::verifying_as(&linux) {
            Ok(panal) => panal,
            Err(why) => return println!("skipped: {why}"),
        };
        let said: Vec<Said> = installed().iter().map(|o| ask(o, &linux, &panal)).collect();
        if let Some(why) = undecided_at_all(&said) {
            return println!("skipped: {why}");
        }
        for object in &said {
            assert!(
                object.programs.is_ok(),
                "{}: {:?}",
                object.name,
                object.programs.as_ref().err()
            );
        }
        let wrong: Vec<_> = each(&said, Program::disagrees)
            .map(|(object, program)| format!("{object} {}", program.name))
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        println!("{}", summary(&said, "Linux"));
    }

    #[test]
    fn objects_are_found_within_other_files() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/firewall.bpf.o");
        let object = fs::read(path).expect("the example");
        assert_eq!(embedded(&object), [&object[..]]);
        // As a skeleton has it: among other bytes, twice, and the second time cut short.
        let mut program = b"\x7fELF\x02\x01\x01 something else".to_vec();
        program.extend(&object);
        program.extend(b"\x7fELF");
        program.extend(&object);
        program.extend(&object[..object.len() - 1]);
        assert_eq!(embedded(&program), [&object[..], &object[..]]);
        for len in 0..64 {
            assert!(embedded(&object[..len]).is_empty());
        }
    }
}
