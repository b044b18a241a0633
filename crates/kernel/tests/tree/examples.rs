//! The examples' objects, loaded and run over real commands.

use std::{collections::BTreeMap, fs, path::PathBuf};

use libtest_mimic::{Failed, Trial};
use panal_kernel::{
    PanalKernel,
    hooks::{Command, ExitStatus, tree::syscall_table},
};
use panal_loader::{Loaded, Open};
use panal_uapi::kernel::{Fd, Kernel};

use crate::support::{actor, scratch, sh};

pub fn tests() -> Vec<Trial> {
    let test = |name: &str, body: fn()| {
        Trial::test(format!("examples::{name}"), move || {
            body();
            Ok::<(), Failed>(())
        })
    };
    vec![
        test("opensnoop_tells_paths_and_results", opensnoop),
        test("opensnoop_keeps_to_its_settings", opensnoop_settings),
        test("latencies_are_counted_for_every_call", latencies),
        test("the_guard_denies_writes_and_connections", guard),
        test("the_guard_only_reports_when_told_so", guard_reports),
        test("the_guard_follows_its_rules", guard_rules),
    ]
}

fn open(name: &str) -> Open {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../examples", name]
        .iter()
        .collect();
    let bytes = fs::read(&path).expect("object");
    Open::parse(&bytes, name).expect("well-formed")
}

/// Loads, attaches, runs the command; every record of the ring buffer `events`.
fn run<'k>(
    kernel: &'k PanalKernel,
    open: Open,
    set_up: impl FnOnce(&Loaded<'k>),
    command: &Command,
) -> (ExitStatus, Vec<Vec<u8>>, Loaded<'k>) {
    let loaded = open.prepare(kernel).and_then(|p| p.load()).expect("loaded");
    set_up(&loaded);
    let links: Vec<Fd> = loaded
        .programs()
        .iter()
        .map(|p| loaded.attach(p).expect("attached"))
        .collect();
    let mut records = Vec::new();
    let events = loaded.map("events").map(|map| map.fd.clone()).ok();
    let status = kernel
        .supervise(command, &mut || {
            if let Some(events) = &events {
                let sink = &mut |record: &[u8]| records.push(record.to_vec());
                kernel
                    .ring_buffer_consume(events, sink)
                    .expect("ring buffer");
            }
        })
        .expect("supervised");
    drop(links);
    (status, records, loaded)
}

fn word(record: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(record[at..at + 4].try_into().expect("four bytes"))
}

fn text(record: &[u8], at: usize) -> String {
    let bytes = record[at..].split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

/// `struct event` of opensnoop: pid at 8, uid at 16, ret at 20, comm at 28, path at 44.
fn opens(records: &[Vec<u8>]) -> Vec<(String, String, i32)> {
    let one = |r: &Vec<u8>| (text(r, 28), text(r, 44), word(r, 20) as i32);
    records.iter().map(one).collect()
}

fn opensnoop() {
    let kernel = PanalKernel::new().expect("kernel");
    let command = sh("cat /etc/passwd /no/such >/dev/null 2>&1; exit 3");
    let (status, records, _) = run(&kernel, open("opensnoop.bpf.o"), |_| (), &command);
    assert_eq!(status, ExitStatus::Code(3));
    let opens = opens(&records);
    let seen = |comm: &str, path: &str, result: i32| {
        opens.contains(&(comm.to_owned(), path.to_owned(), result))
    };
    assert!(seen("cat", "/etc/passwd", 3), "{opens:?}");
    assert!(seen("cat", "/no/such", -libc::ENOENT), "{opens:?}");
    let root = rustix::process::geteuid().is_root();
    let uid = if root {
        65534
    } else {
        rustix::process::getuid().as_raw()
    };
    assert!(records.iter().all(|r| word(r, 16) == uid));
}

fn opensnoop_settings() {
    let kernel = PanalKernel::new().expect("kernel");
    let mut object = open("opensnoop.bpf.o");
    object.set_variable("only_failed", &[1]).expect("variable");
    let command = sh("cat /etc/passwd /no/such >/dev/null 2>&1");
    let (_, records, _) = run(&kernel, object, |_| (), &command);
    let opens = opens(&records);
    assert!(!opens.is_empty());
    assert!(opens.iter().all(|(_, _, result)| *result < 0), "{opens:?}");
}

fn latencies() {
    let kernel = PanalKernel::new().expect("kernel");
    let command = actor(&["opens", "/etc/passwd", "100"]);
    let (status, _, loaded) = run(&kernel, open("syscall_latency.bpf.o"), |_| (), &command);
    assert_eq!(status, ExitStatus::Code(0));
    let map = &loaded.map("latencies").expect("map").fd;
    let mut counts = BTreeMap::new();
    let mut key = None;
    while let Some(next) = kernel.map_next_key(map, key.as_deref()).expect("key") {
        let values = kernel
            .map_lookup(map, &next, 0)
            .expect("lookup")
            .expect("there");
        let histograms = values.chunks_exact(8 * (3 + 32));
        let (mut count, mut in_slots) = (0, 0);
        for histogram in histograms {
            let words: Vec<u64> = histogram
                .chunks_exact(8)
                .map(|w| u64::from_ne_bytes(w.try_into().expect("8")))
                .collect();
            count += words[0];
            in_slots += words[3..].iter().sum::<u64>();
        }
        assert_eq!(count, in_slots);
        counts.insert(syscall_table::name(word(&next, 0)).unwrap_or("?"), count);
        key = Some(next);
    }
    assert!(
        counts["openat"] >= 100 && counts["close"] >= 100,
        "{counts:?}"
    );
}

/// `struct event` of the guard: pid, action, comm at 8, port at 24, addr at 26, path at 42.
fn denials(records: &[Vec<u8>]) -> Vec<(u32, String)> {
    records.iter().map(|r| (word(r, 4), text(r, 42))).collect()
}

/// A place that is not below /tmp, where the command's user may write.
fn outside() -> String {
    use std::os::unix::fs::PermissionsExt;
    let place = PathBuf::from(format!("/var/tmp/panal-guard-{}", std::process::id()));
    fs::create_dir_all(&place).expect("directory");
    fs::set_permissions(&place, PermissionsExt::from_mode(0o777)).expect("mode");
    place.to_str().expect("utf-8").to_owned()
}

fn guard() {
    let place = outside();
    let inside = scratch("guard");
    let inside = inside.to_str().expect("utf-8");
    let _ = fs::remove_file(format!("{place}/no"));
    let kernel = PanalKernel::new().expect("kernel");
    let script = format!(
        "(echo x >{place}/no) 2>/dev/null && exit 1
        echo x >{inside}/yes || exit 2
        echo x >/dev/null || exit 3
        cat /etc/passwd >/dev/null || exit 4
        exit 0"
    );
    let (status, records, _) = run(&kernel, open("guard.bpf.o"), |_| (), &sh(&script));
    assert_eq!(status, ExitStatus::Code(0));
    assert_eq!(denials(&records), [(1, format!("{place}/no"))]);
    assert!(
        !fs::exists(format!("{place}/no")).expect("exists"),
        "nothing was made"
    );
    assert_eq!(
        fs::read_to_string(format!("{inside}/yes")).expect("made"),
        "x\n"
    );
}

fn guard_reports() {
    let place = outside();
    let kernel = PanalKernel::new().expect("kernel");
    let mut object = open("guard.bpf.o");
    object.set_variable("only_report", &[1]).expect("variable");
    let command = sh(&format!("echo x >{place}/reported"));
    let (status, records, _) = run(&kernel, object, |_| (), &command);
    assert_eq!(status, ExitStatus::Code(0));
    assert_eq!(denials(&records), [(1, format!("{place}/reported"))]);
    fs::remove_file(format!("{place}/reported")).expect("made");
}

fn guard_rules() {
    let place = outside();
    fs::create_dir_all(format!("{place}/a/b")).expect("directory");
    for name in ["a", "a/b"] {
        use std::os::unix::fs::PermissionsExt;
        let path = format!("{place}/{name}");
        fs::set_permissions(path, PermissionsExt::from_mode(0o777)).expect("mode");
    }
    let kernel = PanalKernel::new().expect("kernel");
    let set_up = |loaded: &Loaded<'_>| {
        let map = &loaded.map("writable").expect("map").fd;
        for (path, allowed) in [(format!("{place}/a"), 1u8), (format!("{place}/a/b"), 0)] {
            let mut key = path.into_bytes();
            key.resize(256, 0);
            kernel.map_update(map, &key, &[allowed], 0).expect("rule");
        }
    };
    let script = format!(
        "echo x >{place}/a/yes || exit 1
        (echo x >{place}/a/b/no) 2>/dev/null && exit 2
        (echo x >{place}/ab) 2>/dev/null && exit 3
        mkdir {place}/a/new && mv {place}/a/yes {place}/a/new/ && rm -r {place}/a/new || exit 4
        rmdir {place}/a/b 2>/dev/null || exit 5
        rmdir {place}/a 2>/dev/null && exit 6
        mkdir {place}/new 2>/dev/null && exit 7
        exit 0"
    );
    let (status, records, _) = run(&kernel, open("guard.bpf.o"), set_up, &sh(&script));
    assert_eq!(status, ExitStatus::Code(0));
    let denied = ["/a/b/no", "/ab", "", ""].map(|name| (1, format!("{place}{name}")));
    assert_eq!(denials(&records), denied);
}
