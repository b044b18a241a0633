//! One case for each place.

use libtest_mimic::Trial;
use serde_json::Value;

use crate::{
    common::{Run, panal, runs, scratch},
    world::{Cable, OBJECT, actor, is_link_type, is_there, missing, programs, soon, tool},
};

/// Where bpftool must see the program while it is attached.
#[derive(Clone, Copy)]
enum Seen {
    /// `bpftool link` has a link of this type.
    Link(&'static str),
    /// `bpftool net` has the program's id in this part.
    Net(&'static str),
    /// What holds it is shown by no tool.
    Nowhere,
}
use Seen::{Link, Net, Nowhere};

struct Case {
    name: &'static str,
    /// Programs, apart by blanks: the first must run.
    programs: &'static str,
    /// Options of `panal run`.
    options: &'static str,
    /// What the command does; `ACTOR` stands for this binary, `FAR` for the other namespace.
    does: &'static str,
    seen: Seen,
}

/// On the cable's near end.
const SEND: &str = "ACTOR send 10.77.0.2:9";

#[rustfmt::skip]
const CASES: &[Case] = &[
    case("xdp by link, native", "on_xdp", "--interface v0 --xdp-mode native", SEND, Link("xdp")),
    case("xdp by link, generic", "on_xdp", "--interface v0 --xdp-mode generic", SEND, Link("xdp")),
    case("xdp by netlink, native", "on_xdp", "--interface v0 --netlink --xdp-mode native", SEND, Net("xdp")),
    case("xdp by netlink, generic", "on_xdp", "--interface v0 --netlink --xdp-mode generic", SEND, Net("xdp")),
    case("tcx ingress", "on_tcx_ingress", "--interface v0", SEND, Link("tcx")),
    case("tcx egress", "on_tcx_egress", "--interface v0", SEND, Link("tcx")),
    case("tc as tcx egress", "on_tc", "--interface v0 --egress", SEND, Link("tcx")),
    case("clsact ingress", "on_tc", "--interface v0 --netlink", SEND, Net("tc")),
    case("clsact egress", "on_tcx_egress", "--interface v0 --netlink --priority 7", SEND, Net("tc")),
    case("socket filter on an interface", "on_socket", "--interface v0", SEND, Nowhere),
    case("cgroup skb ingress", "on_cgroup_ingress", "", "ACTOR udp4", Link("cgroup")),
    case("cgroup skb egress", "on_cgroup_egress", "--order first", "ACTOR udp4", Link("cgroup")),
    case("cgroup sock create", "on_sock_create", "", "ACTOR udp4", Link("cgroup")),
    case("cgroup sock release", "on_sock_release", "", "ACTOR udp4", Link("cgroup")),
    case("cgroup post bind 4", "on_post_bind4", "", "ACTOR tcp4", Link("cgroup")),
    case("cgroup post bind 6", "on_post_bind6", "", "ACTOR tcp6", Link("cgroup")),
    case("cgroup bind 4", "on_bind4", "", "ACTOR tcp4", Link("cgroup")),
    case("cgroup bind 6", "on_bind6", "", "ACTOR tcp6", Link("cgroup")),
    case("cgroup connect 4", "on_connect4", "", "ACTOR tcp4", Link("cgroup")),
    case("cgroup connect 6", "on_connect6", "", "ACTOR tcp6", Link("cgroup")),
    case("cgroup connect unix", "on_connect_unix", "", "ACTOR unix", Link("cgroup")),
    case("cgroup sendmsg 4", "on_sendmsg4", "", "ACTOR udp4", Link("cgroup")),
    case("cgroup sendmsg 6", "on_sendmsg6", "", "ACTOR udp6", Link("cgroup")),
    case("cgroup sendmsg unix", "on_sendmsg_unix", "", "ACTOR unix", Link("cgroup")),
    case("cgroup recvmsg 4", "on_recvmsg4", "", "ACTOR udp4", Link("cgroup")),
    case("cgroup recvmsg 6", "on_recvmsg6", "", "ACTOR udp6", Link("cgroup")),
    case("cgroup recvmsg unix", "on_recvmsg_unix", "", "ACTOR unix", Link("cgroup")),
    case("cgroup getpeername 4", "on_getpeername4", "", "ACTOR tcp4", Link("cgroup")),
    case("cgroup getpeername 6", "on_getpeername6", "", "ACTOR tcp6", Link("cgroup")),
    case("cgroup getpeername unix", "on_getpeername_unix", "", "ACTOR unix", Link("cgroup")),
    case("cgroup getsockname 4", "on_getsockname4", "", "ACTOR tcp4", Link("cgroup")),
    case("cgroup getsockname 6", "on_getsockname6", "", "ACTOR tcp6", Link("cgroup")),
    case("cgroup getsockname unix", "on_getsockname_unix", "", "ACTOR unix", Link("cgroup")),
    case("cgroup sock_ops", "on_sockops", "", "ACTOR tcp4", Link("cgroup")),
    case("cgroup device", "on_device", "", "ACTOR device", Link("cgroup")),
    case("cgroup sysctl", "on_sysctl", "", "ACTOR sysctl", Link("cgroup")),
    case("cgroup getsockopt", "on_getsockopt", "", "ACTOR tcp4", Link("cgroup")),
    case("cgroup setsockopt", "on_setsockopt", "", "ACTOR tcp4", Link("cgroup")),
    case("sk_lookup", "on_sk_lookup", "", "ACTOR tcp4", Link("netns")),
    case("flow dissector", "on_flow_dissector", "", SEND, Link("netns")),
    case("netfilter ipv4", "on_netfilter", "--netfilter ipv4/output", SEND, Link("netfilter")),
    case("netfilter ipv6", "on_netfilter", "--netfilter ipv6/prerouting --priority -5", "ACTOR udp6", Link("netfilter")),
    case("netfilter with defragmentation", "on_netfilter", "--netfilter ipv4/input --defrag", "ACTOR udp4", Link("netfilter")),
    case("sk_msg", "on_sk_msg into_map", "", "ACTOR tcp4", Link("sockmap")),
    case("sk_skb verdict", "on_sk_skb_verdict into_map", "", "ACTOR tcp4", Link("sockmap")),
    case("sk_skb stream verdict", "on_stream_verdict on_stream_parser into_map", "", "ACTOR tcp4", Link("sockmap")),
    case("sk_skb stream parser", "on_stream_parser on_stream_verdict into_map", "", "ACTOR tcp4", Link("sockmap")),
    case("lwt out", "on_lwt_out", "--interface v0 --route 10.78.0.0/24", "ACTOR send 10.78.0.1:9", Nowhere),
    case("lwt xmit", "on_lwt_xmit", "--interface v0 --route fd78::/64", "ACTOR send [fd78::1]:9", Nowhere),
    case("lwt in", "on_lwt_in", "--interface v0 --route 10.78.0.0/24",
        "sysctl -qw net.ipv4.ip_forward=1
         ip -n FAR route add 10.78.0.0/24 via 10.77.0.1
         ip netns exec FAR ACTOR send 10.78.0.1:9", Nowhere),
    case("lwt seg6local", "on_seg6local", "--interface v0 --route fd78::/64",
        "sysctl -qw net.ipv6.conf.all.forwarding=1
         ip -n FAR -6 route add fd78::/64 via fd77::1
         ip -n FAR -6 route add fd79::/64 encap seg6 mode encap segs fd78::1,fd77::2 dev v1
         ip netns exec FAR ACTOR send [fd79::1]:9", Nowhere),
];

const fn case(
    name: &'static str,
    programs: &'static str,
    options: &'static str,
    does: &'static str,
    seen: Seen,
) -> Case {
    Case {
        name,
        programs,
        options,
        does,
        seen,
    }
}

pub fn tests() -> Vec<Trial> {
    let trial = |case: &'static Case| {
        Trial::test(format!("fires::{}", case.name), move || {
            match missing() {
                Some(why) => println!("skipped: {why}"),
                None => check(case),
            }
            Ok(())
        })
    };
    let mut all: Vec<Trial> = CASES.iter().map(trial).collect();
    let of_others = [
        ("sk_reuseport", "on_reuseport"),
        ("socket filter on a socket", "on_socket"),
    ];
    for (name, program) in of_others {
        all.push(Trial::test(format!("fires::{name}"), move || {
            match missing() {
                Some(why) => println!("skipped: {why}"),
                None => on_socket_of_another(program),
            }
            Ok(())
        }));
    }
    all
}

fn check(case: &Case) {
    let cable = Cable::new();
    let file = case.name.replace([' ', ','], "-");
    let events = scratch(&format!("{file}.json"), b"");
    let does = case
        .does
        .replace("ACTOR", &actor())
        .replace("FAR", &cable.far);
    // bpftool tells what is attached while the command runs.
    let script = format!("set -e\n{does}\nbpftool -j prog\nbpftool -j link\nbpftool -j net\n");
    let mut words = vec!["run", OBJECT, "--kernel", "linux", "--json"];
    words.extend(["--output", &events, "--netns", &cable.near]);
    words.extend(case.programs.split(' ').flat_map(|p| ["--program", p]));
    words.extend(case.options.split_whitespace());
    words.extend(["--", "sh", "-c", &script]);
    let run = panal(&words);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.is_empty(), "{}", run.stderr);

    let program = case.programs.split(' ').next().expect("a program");
    let written = std::fs::read_to_string(&events).expect("written");
    assert!(runs(&written, program) > 0, "it did not run: {written}");
    let id = attached(&run, program, case.seen);
    // The kernel frees it once nobody can be running it any more.
    let gone = soon(|| !is_there("prog", id));
    assert!(gone, "program {id} is still loaded");
    let near = &cable.near;
    let qdiscs = tool(&format!("tc -n {near} qdisc show dev v0"));
    assert!(!qdiscs.contains("clsact"), "{qdiscs}");
    let routes = ["-4", "-6"].map(|v| tool(&format!("ip -n {near} {v} route show")));
    assert!(!routes.concat().contains("encap"), "{routes:?}");
}

/// The program's id, once bpftool has seen it where it must be.
fn attached(run: &Run, program: &str, seen: Seen) -> u64 {
    let lines: Vec<&str> = run.stdout.lines().collect();
    let [all, links, net] = lines[..] else {
        panic!("three lines: {lines:?}");
    };
    let ids = programs(all, program);
    let all_links: Value = serde_json::from_str(links).expect("JSON");
    let is_seen = |id: &&u64| match seen {
        Link(kind) => all_links
            .as_array()
            .into_iter()
            .flatten()
            .any(|link| link["prog_id"] == **id && is_link_type(&link["type"], kind)),
        // What bpftool writes here is not quite JSON.
        Net(part) => net
            .split_once(&format!("\"{part}\":["))
            .is_some_and(|(_, rest)| {
                let part = rest.split(']').next().unwrap_or_default();
                part.contains(&format!("id\":{id}"))
            }),
        Nowhere => true,
    };
    match ids.iter().find(is_seen) {
        Some(id) => *id,
        None => panic!("{program} {ids:?} is not seen in\n{links}\n{net}"),
    }
}

/// The socket is another process's, which was there before.
fn on_socket_of_another(program: &str) {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
    };
    let own = std::env::current_exe().expect("readable");
    let mut process = Command::new(own)
        .args(["actor", "reuseport"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut line = String::new();
    let output = process.stdout.take().expect("piped");
    BufReader::new(output).read_line(&mut line).expect("told");
    let (fd, port) = line.trim().split_once(' ').expect("two numbers");
    let socket = format!("{}:{fd}", process.id());
    let script = format!("{} send 127.0.0.1:{port}", actor());
    let run = panal(&[
        "run",
        OBJECT,
        "--kernel",
        "linux",
        "--json",
        "--program",
        program,
        "--socket",
        &socket,
        "--",
        "sh",
        "-c",
        &script,
    ]);
    drop(process.stdin.take());
    let ended = process.wait().expect("ends");
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(ended.success());
    assert_eq!(runs(&run.stdout, program), 5, "{}", run.stdout);
}
