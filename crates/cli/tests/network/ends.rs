//! Nothing stays attached, however the command ends.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use libtest_mimic::Trial;

use crate::{
    common::root,
    world::{Cable, OBJECT, is_there, links_of, missing, soon, tool},
};

/// How a program is attached, what shows that, and what must show in it.
const ATTACHED: &[Attachment] = &[
    ("xdp by link", "on_xdp", "--interface v0", "link"),
    (
        "xdp by netlink",
        "on_xdp",
        "--interface v0 --netlink",
        "link",
    ),
    ("tcx", "on_tcx_ingress", "--interface v0", "id"),
    ("netfilter", "on_netfilter", "--netfilter ipv4/input", "id"),
    ("sk_lookup", "on_sk_lookup", "", "id"),
    ("clsact filter", "on_tc", "--interface v0 --netlink", "tc"),
    (
        "route",
        "on_lwt_out",
        "--interface v0 --route 10.78.0.0/24",
        "route",
    ),
];

type Attachment = (&'static str, &'static str, &'static str, &'static str);

pub fn tests() -> Vec<Trial> {
    let signals = [
        ("SIGINT", libc::SIGINT),
        ("SIGTERM", libc::SIGTERM),
        ("SIGKILL", libc::SIGKILL),
    ];
    let trial = |attachment: &'static Attachment, (signal, number): (&str, i32)| {
        let (name, program, options, shown) = attachment;
        Trial::test(format!("ends::{name}, {signal}"), move || {
            match missing() {
                Some(why) => println!("skipped: {why}"),
                None => check(program, options, shown, number),
            }
            Ok(())
        })
    };
    ATTACHED
        .iter()
        .flat_map(|case| signals.map(|signal| trial(case, signal)))
        .collect()
}

/// Starts `panal run` on a cable's near end; returns when its programs are attached.
pub fn start(cable: &Cable, program: &str, options: &str) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_panal"))
        .args(["run", OBJECT, "--kernel", "linux", "--program", program])
        .args(["--netns", &cable.near])
        .args(options.split_whitespace())
        .current_dir(root())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("panal starts");
    let mut line = String::new();
    let mut errors = BufReader::new(child.stderr.take().expect("piped"));
    errors.read_line(&mut line).expect("readable");
    assert!(line.contains("attached"), "{line}");
    child
}

/// Whether an attachment is shown: on the near end, or as a link by one of these ids.
fn shows(cable: &Cable, what: &str, links: &[u64]) -> bool {
    let near = &cable.near;
    match what {
        "link" => tool(&format!("ip -n {near} -d link show v0")).contains("prog/xdp"),
        "id" => links.iter().any(|id| is_there("link", *id)),
        "tc" => {
            let qdisc = tool(&format!("tc -n {near} qdisc show dev v0"));
            let filter = tool(&format!("tc -n {near} filter show dev v0 ingress"));
            (qdisc + &filter).contains("clsact")
        }
        "route" => tool(&format!("ip -n {near} route show")).contains("encap"),
        other => panic!("{other}"),
    }
}

fn check(program: &str, options: &str, shown: &str, signal: i32) {
    let cable = Cable::new();
    let mut child = start(&cable, program, options);
    let links = links_of(child.id());
    assert!(shows(&cable, shown, &links), "it is not attached");
    // SAFETY: the process is our child and was not waited for.
    unsafe { libc::kill(child.id() as i32, signal) };
    child.wait().expect("ends");
    match signal {
        // Somebody else has to notice.
        libc::SIGKILL => assert!(soon(|| !shows(&cable, shown, &links)), "still attached"),
        _ => assert!(!shows(&cable, shown, &links), "still attached"),
    }
}
