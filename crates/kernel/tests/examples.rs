//! The examples over real commands: one source, on Panal's kernel and on Linux, which must show the
//! same. (The firewall, whose packets need no command, has a test of its own.)
#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use panal_kernel::hooks::{ExitStatus, tree::syscall_table};
use panal_loader::Open;
use panal_testkit::{Subject, commands::Watched, commands::example, kernels};
use panal_uapi::kernel::Kernel;

/// One test at a time: commands inherit the descriptors that others open meanwhile.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a script under an object on each kernel: what `seen` makes of it is the same on all that can
/// run the object.
fn same<T: PartialEq + std::fmt::Debug>(
    open: impl Fn() -> Open,
    script: &str,
    seen: impl Fn(&Subject, &Watched<'_>) -> T,
) {
    let _alone = alone();
    let mut before: Option<(&str, T)> = None;
    for subject in kernels() {
        let command = ["/bin/sh", "-c", script];
        let Some(watched) = subject.watch(open(), |_| (), &command) else {
            continue;
        };
        let got = seen(&subject, &watched);
        if let Some((other, right)) = &before {
            assert!(
                *right == got,
                "not alike\n  {other}: {right:?}\n  {}: {got:?}",
                subject.name
            );
        }
        before = Some((subject.name, got));
    }
}

fn word(record: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(record[at..at + 4].try_into().expect("four bytes"))
}

fn text(record: &[u8], at: usize) -> String {
    let bytes = record[at..].split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

/// `struct event` of opensnoop: pid at 8, uid at 16, ret at 20, flags at 24, comm at 28, path at 44.
fn opens(watched: &Watched<'_>) -> Vec<(String, String, i32, u32)> {
    let one = |r: &Vec<u8>| (text(r, 28), text(r, 44), word(r, 20) as i32, word(r, 24));
    watched.records.iter().map(one).collect()
}

#[test]
fn opensnoop_tells_every_open_in_order() {
    let script = "cat /etc/passwd /no/such >/dev/null 2>&1; (cat /etc/hostname >/dev/null); exit 3";
    same(
        || example("opensnoop.bpf.o"),
        script,
        |subject, watched| {
            assert_eq!(watched.status, ExitStatus::Code(3), "{}", subject.name);
            let opens = opens(watched);
            let seen = |comm: &str, path: &str, result: i32| {
                let mut all = opens.iter();
                all.any(|(c, p, r, _)| c == comm && p == path && *r == result)
            };
            assert!(seen("cat", "/etc/passwd", 3), "{}: {opens:?}", subject.name);
            assert!(seen("cat", "/no/such", -libc::ENOENT), "{opens:?}");
            assert!(seen("cat", "/etc/hostname", 3), "{opens:?}");
            let uid = rustix::process::getuid().as_raw();
            assert!(watched.records.iter().all(|r| word(r, 16) == uid));
            opens
        },
    );
}

#[test]
fn opensnoop_keeps_to_its_settings() {
    let open = || {
        let mut object = example("opensnoop.bpf.o");
        object.set_variable("only_failed", &[1]).expect("variable");
        object
    };
    let script = "cat /etc/passwd /no/such /no/other >/dev/null 2>&1";
    same(open, script, |subject, watched| {
        let opens = opens(watched);
        assert!(!opens.is_empty(), "{}", subject.name);
        assert!(opens.iter().all(|(_, _, result, _)| *result < 0));
        opens
    });
}

#[test]
fn latencies_are_counted_for_every_call() {
    // Calls that the shell makes alike however it was started.
    const COMPARED: [&str; 4] = ["openat", "dup2", "getppid", "chdir"];
    let script = "i=0; while [ $i -lt 100 ]; do : </etc/passwd; cd /; i=$((i+1)); done";
    same(
        || example("syscall_latency.bpf.o"),
        script,
        |subject, watched| {
            assert_eq!(watched.status, ExitStatus::Code(0));
            let counts = counts(subject, watched);
            let counts: Vec<_> = COMPARED.iter().map(|call| counts.get(call)).collect();
            assert!(counts[0] >= Some(&100), "{}: {counts:?}", subject.name);
            assert!(counts[3] >= Some(&100), "{}: {counts:?}", subject.name);
            counts.into_iter().map(|n| n.copied()).collect::<Vec<_>>()
        },
    );
}

/// How often each call was counted, on all CPUs; every one stands in a slot of its histogram.
fn counts(subject: &Subject, watched: &Watched<'_>) -> BTreeMap<&'static str, u64> {
    let kernel: &dyn Kernel = &*subject.kernel;
    let map = &watched.loaded.map("latencies").expect("map").fd;
    let mut counts = BTreeMap::new();
    let mut key = None;
    while let Some(next) = kernel.map_next_key(map, key.as_deref()).expect("key") {
        let values = kernel.map_lookup(map, &next, 0).expect("lookup");
        let values = values.expect("there");
        let (mut count, mut in_slots) = (0, 0);
        for histogram in values.chunks_exact(8 * (3 + 32)) {
            let words = histogram.as_chunks::<8>().0.iter();
            let words: Vec<u64> = words.map(|w| u64::from_ne_bytes(*w)).collect();
            count += words[0];
            in_slots += words[3..].iter().sum::<u64>();
            assert!(words[2] <= words[1], "{}", subject.name);
        }
        assert_eq!(count, in_slots, "{}", subject.name);
        counts.insert(syscall_table::name(word(&next, 0)).unwrap_or("?"), count);
        key = Some(next);
    }
    counts
}

/// `struct event` of the guard: action at 4, path at 42.
#[test]
fn the_guard_denies_what_is_written_outside() {
    let outside = format!("/var/tmp/panal-examples-{}", std::process::id());
    let script = format!(
        "(echo x >{outside}) 2>/dev/null && exit 1
        echo x >/dev/null || exit 3
        cat /etc/passwd >/dev/null || exit 4
        exit 0"
    );
    same(
        || example("guard.bpf.o"),
        &script,
        |subject, watched| {
            assert_eq!(watched.status, ExitStatus::Code(0), "{}", subject.name);
            assert!(!std::fs::exists(&outside).expect("looked"));
            let one = |r: &Vec<u8>| (word(r, 4), text(r, 42));
            let denied: Vec<_> = watched.records.iter().map(one).collect();
            assert_eq!(denied, [(1, outside.clone())], "{}", subject.name);
            denied
        },
    );
}
