//! What is said when it cannot be, and what happens when others are there already.

use std::process::Child;

use libtest_mimic::Trial;

use crate::{
    common::{Run, panal, runs, scratch},
    ends::start,
    world::{Cable, OBJECT, actor, missing, tool, try_tool},
};

pub fn tests() -> Vec<Trial> {
    let trial = |name: &'static str, body: fn()| {
        Trial::test(format!("problems::{name}"), move || {
            match missing() {
                Some(why) => println!("skipped: {why}"),
                None => body(),
            }
            Ok(())
        })
    };
    vec![
        trial("wrong_names_are_told", wrong_names),
        trial("places_that_are_taken_are_told", taken),
        trial("a_place_that_is_missing_is_asked_for", nothing_named),
        trial("an_xdp_program_is_replaced_and_comes_back", replaced),
        trial("programs_of_others_stay", others_stay),
        trial("order_decides_who_is_first", order),
        trial("an_interface_that_goes_away_ends_it", gone),
    ]
}

/// Runs a program on a cable's near end, with a command that does nothing.
fn run(cable: &Cable, program: &str, options: &str) -> Run {
    let mut words = vec!["run", OBJECT, "--kernel", "linux", "--program", program];
    words.extend(["--netns", &cable.near]);
    words.extend(options.split_whitespace());
    words.extend(["--", "true"]);
    panal(&words)
}

#[track_caller]
fn assert_says(run: &Run, all: &[&str]) {
    let problem = run.problem();
    for words in all {
        assert!(problem.contains(words), "{words:?} in: {problem}");
    }
}

fn wrong_names() {
    let cable = Cable::new();
    for (program, options, says) in [
        (
            "on_xdp",
            "--interface v9",
            &["no network interface v9", "lo, v0"][..],
        ),
        (
            "on_xdp",
            "--interface v0 --xdp-mode offload",
            &[
                "BPF_LINK_CREATE: EINVAL",
                "does not run XDP programs itself (offload)",
            ],
        ),
        (
            "on_xdp",
            "--interface lo --xdp-mode native",
            &[
                "BPF_LINK_CREATE: EOPNOTSUPP",
                "driver does not run XDP programs so",
            ],
        ),
        (
            "on_xdp",
            "--interface lo --xdp-mode offload",
            &["BPF_LINK_CREATE: EOPNOTSUPP", "(offload)"],
        ),
        (
            "on_xdp",
            "--interface v0 --netlink --replace 4294967",
            &["BPF_PROG_GET_FD_BY_ID", "ENOENT"],
        ),
        (
            "on_tc",
            "--interface v0 --order before=prog:4294967",
            &["BPF_LINK_CREATE", "ENOENT", "stand beside"],
        ),
        (
            "on_bind4",
            "--cgroup /nowhere",
            &["ENOENT", "no such cgroup", "/nowhere"],
        ),
        (
            "on_bind4",
            "--cgroup /tmp",
            &["BPF_LINK_CREATE", "EBADF", "no cgroup of version 2"],
        ),
        ("on_reuseport", "--socket 4194300:1", &["no such process"]),
        (
            "on_netfilter",
            "--netfilter ipv4/input --defrag --priority -400",
            &["BPF_LINK_CREATE", "ERANGE", "priority"],
        ),
    ] {
        assert_says(&run(&cable, program, options), says);
    }
    let socket = format!("--socket {}:4000", std::process::id());
    assert_says(
        &run(&cable, "on_reuseport", &socket),
        &[&socket, "no such descriptor"],
    );
    let run = panal(&[
        "run",
        OBJECT,
        "--kernel",
        "linux",
        "--program",
        "on_xdp",
        "--netns",
        "nowhere",
        "--",
        "true",
    ]);
    assert_says(&run, &["--netns nowhere", "there is none"]);
}

fn taken() {
    let cable = Cable::new();
    for (first, options, second, again, says) in [
        (
            "on_xdp",
            "--interface v0",
            "on_xdp_two",
            "--interface v0",
            &["BPF_LINK_CREATE", "EBUSY", "end what holds it"][..],
        ),
        (
            "on_xdp",
            "--interface v0",
            "on_xdp_two",
            "--interface v0 --netlink",
            &["RTM_SETLINK", "EBUSY"],
        ),
        (
            "on_xdp",
            "--interface v0 --netlink",
            "on_xdp_two",
            "--interface v0 --netlink",
            &["RTM_SETLINK", "EBUSY", "its id as the one to replace"],
        ),
        (
            "on_xdp",
            "--interface v0 --netlink",
            "on_xdp_two",
            "--interface v0",
            &["BPF_LINK_CREATE", "ip link set dev IFACE xdp off"],
        ),
        (
            "on_flow_dissector",
            "",
            "on_flow_dissector",
            "",
            &["BPF_LINK_CREATE", "flow dissector is attached"],
        ),
        (
            "on_netfilter",
            "--netfilter ipv4/input",
            "on_netfilter",
            "--netfilter ipv4/input",
            &["BPF_LINK_CREATE", "this priority"],
        ),
        (
            "on_lwt_out",
            "--interface v0 --route 10.78.0.0/24",
            "on_lwt_xmit",
            "--interface v0 --route 10.78.0.0/24",
            &["RTM_NEWROUTE", "EEXIST", "there is a route"],
        ),
    ] {
        let mut child = start(&cable, first, options);
        let second = run(&cable, second, again);
        interrupt(&mut child);
        assert_says(&second, says);
    }
}

fn nothing_named() {
    let cable = Cable::new();
    for (program, says) in [
        ("on_xdp", "--interface NAME"),
        ("on_socket", "--socket PID:FD"),
        ("on_netfilter", "--netfilter FAMILY/HOOK"),
        ("on_lwt_in", "--route ADDRESS/BITS"),
    ] {
        assert_says(&run(&cable, program, ""), &[says, "does not say where"]);
    }
    let run = panal(&[
        "run",
        OBJECT,
        "--program",
        "on_xdp",
        "--interface",
        "lo",
        "--",
        "true",
    ]);
    assert_says(&run, &["--interface", "--kernel linux"]);
}

/// The id of the XDP program on an interface of the near end.
fn xdp_id(cable: &Cable, interface: &str) -> Option<String> {
    let shown = tool(&format!("ip -n {} -d link show {interface}", cable.near));
    let (_, rest) = shown.split_once("prog/xdp id ")?;
    rest.split(' ').next().map(str::to_owned)
}

fn replaced() {
    let cable = Cable::new();
    let mut first = start(
        &cable,
        "on_xdp",
        "--interface v0 --netlink --xdp-mode generic",
    );
    let id = xdp_id(&cable, "v0").expect("attached");
    let options = format!("--interface v0 --netlink --xdp-mode generic --replace {id}");
    let mut second = start(&cable, "on_xdp_two", &options);
    assert_ne!(xdp_id(&cable, "v0").expect("attached"), id);
    interrupt(&mut second);
    assert_eq!(xdp_id(&cable, "v0"), Some(id));
    interrupt(&mut first);
    assert_eq!(xdp_id(&cable, "v0"), None);
}

fn interrupt(child: &mut Child) {
    // SAFETY: the process is our child and was not waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    child.wait().expect("ends");
}

/// What somebody else put in our place is not taken off with ours.
fn others_stay() {
    let cable = Cable::new();
    let near = &cable.near;
    let mut child = start(
        &cable,
        "on_xdp",
        "--interface v0 --netlink --xdp-mode generic",
    );
    // Somebody else's program is one that hangs elsewhere.
    let mut other = start(&cable, "on_xdp_two", "--interface lo --xdp-mode generic");
    let theirs = xdp_id(&cable, "lo").expect("attached");
    tool(&format!(
        "ip netns exec {near} bpftool net attach xdpgeneric id {theirs} dev v0 overwrite"
    ));
    interrupt(&mut other);
    interrupt(&mut child);
    assert_eq!(xdp_id(&cable, "v0"), Some(theirs));

    // A qdisc that was there stays; one that has others' filters, too.
    tool(&format!("tc -n {near} qdisc add dev v0 clsact"));
    assert_eq!(
        run(&cable, "on_tc", "--interface v0 --netlink").code,
        Some(0)
    );
    let qdiscs = || tool(&format!("tc -n {near} qdisc show dev v0"));
    assert!(qdiscs().contains("clsact"));
    tool(&format!("tc -n {near} qdisc del dev v0 clsact"));
    let mut child = start(&cable, "on_tc", "--interface v0 --netlink");
    tool(&format!(
        "tc -n {near} filter add dev v0 egress protocol ip u32 match u32 0 0 flowid 1:1"
    ));
    interrupt(&mut child);
    assert!(qdiscs().contains("clsact"));
    let filters = tool(&format!("tc -n {near} filter show dev v0 ingress"));
    assert!(filters.trim().is_empty(), "{filters}");
}

/// A program that ends the row runs before or after another one.
fn order() {
    for (order, others) in [("first", false), ("last", true)] {
        let cable = Cable::new();
        let events = scratch(&format!("order-{order}.json"), b"");
        let binary = env!("CARGO_BIN_EXE_panal");
        let script = format!(
            "{binary} run {OBJECT} --kernel linux --program on_tcx_before --interface v0 --order {order} \
             --json -- {} send 10.77.0.2:9",
            actor()
        );
        let run = panal(&[
            "run",
            OBJECT,
            "--kernel",
            "linux",
            "--program",
            "on_tcx_ingress",
            "--json",
            "--output",
            &events,
            "--netns",
            &cable.near,
            "--interface",
            "v0",
            "--",
            "sh",
            "-c",
            &script,
        ]);
        assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
        assert!(runs(&run.stdout, "on_tcx_before") > 0, "{}", run.stdout);
        let written = std::fs::read_to_string(&events).expect("written");
        assert_eq!(
            // One or two of the network's own packets come before there are two programs.
            runs(&written, "on_tcx_ingress") >= 4,
            others,
            "{order}: {written}"
        );
    }
}

fn gone() {
    let cable = Cable::new();
    for options in ["--interface v0", "--interface v0 --netlink"] {
        let mut child = start(&cable, "on_xdp", options);
        let deleted = try_tool(&format!("ip -n {} link del v0", cable.near));
        assert!(deleted.status.success());
        assert!(child.wait().expect("ends").success(), "{options}");
        tool(&format!(
            "ip -n {} link add v0 type veth peer name v1",
            cable.near
        ));
    }
}
