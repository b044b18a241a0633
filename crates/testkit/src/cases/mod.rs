//! Tests as text: commands to a kernel, a line each, and behind `->` what Linux answers.
//!
//! ```text
//! == name
//! map m hash 4 8 16                       name, type, key size, value size, entries; then, if
//!                                         wanted, flags=no_prealloc,mmapable extra=3 numa=0
//!                                         inner=MAP types lock timer work
//! put m 01000000 0000000000000000         an update that must succeed
//! update m 01000000 0100000000000000 exist -> ENOENT
//! lookup m 01000000 -> 7*00.01            also with flags: lock, 0x8
//! delete m 01000000 -> ok
//! next m - -> ENOENT                      the key after a key, or the first
//! take m 01000000 -> ENOENT               lookup and delete
//! keys m -> 01000000 02000000             all, sorted; dump m: with values
//! batch m 2 -> 01000000=…                 all in batches of two, sorted; batch-take m 2
//! batch-update m 01000000=… 02000000=… -> 2
//! batch-delete m 01000000 02000000 -> 1
//! freeze m -> ok
//! drain m -> 0102 0304                    records of a ring buffer or perf event array
//! send m 0011                             a record into a user ring buffer
//! poke m 4096 0800                        bytes of a map's memory as user space maps it
//! peek m 4096 2 -> 0800                   and what stands there; or `peek m 4096 0800`
//! info m -> hash key 4 value 8 entries 16 flags 0x0 extra 0
//! open r m rdonly -> ok                   another descriptor of a map: rdonly, wronly, both
//! close m
//! type xdp                                of the programs below; attach cgroup_inet_ingress,
//!                                         flags sleepable, license MIT
//! prog p -> ok                            loads a program under a name
//!   r0 = 2
//!   exit
//! end
//! in 0011 60*00                           packet
//! ctx 00000000                            context
//! repeat 3                                run-flags 2, run-cpu 0
//! run p                                   `prog` without a name is loaded and run at once, and again
//!                                         by `run`
//! call p 0011 -> 2                        runs it with this context: what it returns
//! use p                                   the same with the text of `text p` … `end`, which stands before
//!                                         the file's cases
//! try p size=4 -> 0 packet 0011           loads such a text with 4 for `$size` and runs it: what it returns,
//!                                         and the packet if it has changed
//! wait 50                                 milliseconds, for timers
//! like NAME                               maps, settings and program of an earlier case of the file,
//!                                         loaded and not run
//! ret -> 2                                what it returned; or the errno of a run that was refused
//! ret 2                                   the same, as a number of any spelling
//! out -> 0011.60*00                       packet afterwards
//! ctxout 4 -> 00000000                    so many bytes of the context afterwards
//! get m 01000000 0000000000000000         lookups: a value, or none
//! none m 02000000
//! fails EINVAL                            the run is refused with this errno
//! only panal WHY                          Linux is not asked
//! ```
//!
//! Bytes are hexadecimal, `3*00` three times; parts stand in words of their own or between dots.
//! `"text"` is text, with `\s` for a blank and `\0` for a zero. `@m`
//! is the descriptor of a map or program, `each:BYTES` the value of every CPU. Answers that are
//! values of CPUs say `each:` when all are the same, `some:` those that are not zero otherwise, since
//! kernels choose where programs run.
//!
//! Where Panal's answer is another, it stands behind Linux's with the reason:
//! `-> ENOTSUPP ; panal EINVAL (why)`.
//!
//! With `PANAL_RECORD=1` in the environment, Linux's answers are written into the files, in place of
//! those behind `->`.

mod bytes;
mod maps;
mod parse;
mod programs;
mod world;

use std::{fs, path::Path, process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Failed, Trial};

pub use bytes::{parse as parse_bytes, show as show_bytes};
pub use parse::{Case, parse};

use crate::{Subject, kernels, linux, remote};
use world::World;

/// Runs all cases of the files of a directory, on all kernels: the whole of a test without harness.
pub fn main(directory: &Path) -> ExitCode {
    let args = Arguments::from_args();
    if std::env::var_os("PANAL_RECORD").is_some() {
        return record(directory, args.filter.as_deref());
    }
    let mut kernels = kernels();
    kernels.insert(0, remote());
    let mut trials = Vec::new();
    let (mut count, mut on_both) = (0, 0);
    for (stem, text) in files(directory) {
        for case in parse(&text) {
            let case = Arc::new(case);
            count += 1;
            for subject in &kernels {
                let asked = match subject.name {
                    "linux" => case.only_panal.is_none(),
                    // Buffers are read where they are.
                    "remote" => !case.uses(&["drain", "send"]),
                    _ => true,
                };
                if !asked {
                    continue;
                }
                on_both += usize::from(subject.is_linux());
                let name = format!("{}/{stem}/{}", subject.name, case.name);
                let (subject, case) = (subject.clone(), case.clone());
                trials.push(Trial::test(name, move || {
                    check(&subject, &case).map_err(Failed::from)
                }));
            }
        }
    }
    if !args.list {
        eprintln!("{count} cases, {on_both} of them on Linux, too");
    }
    libtest_mimic::run(&args, trials).exit_code()
}

/// File names without extension and texts, in order.
fn files(directory: &Path) -> Vec<(String, String)> {
    let entries =
        fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "txt"));
    paths.sort();
    let stem = |path: &Path| {
        path.file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let read = |path: &Path| fs::read_to_string(path).expect("a file of cases");
    paths.iter().map(|path| (stem(path), read(path))).collect()
}

/// Runs a case on a kernel; everything that is not as the case says.
///
/// # Errors
/// The differences, a line each.
pub fn check(subject: &Subject, case: &Case) -> Result<(), String> {
    let mut world = World::new(subject);
    let mut wrong = Vec::new();
    for line in &case.lines {
        let at = format!("line {}: {}", line.number, line.words.join(" "));
        let got = match world.apply(line) {
            Ok(got) => got,
            Err(why) => {
                wrong.push(format!("{at}: {why}"));
                break;
            }
        };
        let Some(answer) = &line.answer else { continue };
        let wanted = answer.of(subject.is_linux());
        if !wanted.is_same(&got) {
            wrong.push(format!("{at}\n  got    {got}\n  wanted {wanted}"));
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("\n")),
    }
}

/// Writes Linux's answers into the files.
fn record(directory: &Path, filter: Option<&str>) -> ExitCode {
    let subject = match linux() {
        Ok(subject) => subject,
        Err(why) => {
            eprintln!("cannot record: {why}");
            return ExitCode::FAILURE;
        }
    };
    for (stem, text) in files(directory) {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for case in parse(&text) {
            let name = format!("{stem}/{}", case.name);
            if case.only_panal.is_some() || filter.is_some_and(|f| !name.contains(f)) {
                continue;
            }
            let mut world = World::new(&subject);
            world.told = true;
            for line in &case.lines {
                let got = match world.apply(line) {
                    Ok(got) => got,
                    Err(why) => {
                        eprintln!("{name}: line {}: {why}", line.number);
                        break;
                    }
                };
                let old = &mut lines[line.number - 1];
                if let Some(answer) = line.answer.as_ref().filter(|a| a.is_recorded()) {
                    let command = old.split(" ->").next().unwrap_or_default();
                    *old = format!("{command} -> {}", answer.with(&got));
                }
            }
        }
        let path = directory.join(format!("{stem}.txt"));
        fs::write(&path, lines.join("\n") + "\n").expect("a file of cases");
    }
    ExitCode::SUCCESS
}
