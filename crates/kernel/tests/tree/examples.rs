//! The example policy over real commands, as an ordinary user.

use std::{fs, path::PathBuf};

use libtest_mimic::{Failed, Trial};
use panal_kernel::{
    PanalKernel,
    hooks::{Command, ExitStatus},
};
use panal_loader::{Loaded, Open};
use panal_testkit::commands::example;
use panal_uapi::kernel::{Fd, Kernel};

use crate::support::{scratch, sh};

pub fn tests() -> Vec<Trial> {
    let test = |name: &str, body: fn()| {
        Trial::test(format!("examples::{name}"), move || {
            body();
            Ok::<(), Failed>(())
        })
    };
    vec![
        test("the_guard_denies_writes_and_connections", guard),
        test("the_guard_only_reports_when_told_so", guard_reports),
        test("the_guard_follows_its_rules", guard_rules),
    ]
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
    let (status, records, _) = run(&kernel, example("guard.bpf.o"), |_| (), &sh(&script));
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
    let mut object = example("guard.bpf.o");
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
    let (status, records, _) = run(&kernel, example("guard.bpf.o"), set_up, &sh(&script));
    assert_eq!(status, ExitStatus::Code(0));
    let denied = ["/a/b/no", "/ab", "", ""].map(|name| (1, format!("{place}{name}")));
    assert_eq!(denials(&records), denied);
}
