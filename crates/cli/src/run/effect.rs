//! Options that would have no effect on this run: an error that names the option and what the
//! programs are, rather than a silence that is taken for consent.

use panal_loader::{Place, ProgramPlan};
use panal_uapi::{AttachType, ProgType};

use crate::{
    args::{IterateArg, KernelName, Run},
    error::Problem,
    kernels,
    place_args::XdpModeArg,
};

/// An option that some kinds of programs have a use for.
struct Use {
    option: &'static str,
    given: bool,
    /// Which programs, in words.
    kinds: &'static str,
    by: fn(&ProgramPlan) -> bool,
}

/// Whether every option that was given has an effect; an error names the first that has none.
pub fn check(arguments: &Run, plans: &[ProgramPlan]) -> Result<(), Problem> {
    match arguments.kernel {
        KernelName::Linux => kernels::only_panal(arguments.execution)?,
        KernelName::Panal => return only_linux(arguments),
    }
    let mut names = arguments.places.interfaces.iter();
    while let Some(name) = names.next() {
        if names.as_slice().contains(name) {
            let text = format!("--interface {name} is given twice");
            return Err(Problem::Asked(text));
        }
    }
    let loaded: Vec<&ProgramPlan> = plans.iter().filter(|plan| plan.load).collect();
    // A program without a type is told about when it is loaded.
    if loaded.iter().any(|plan| plan.prog_type.is_none()) {
        return Ok(());
    }
    let unused = uses(arguments)
        .into_iter()
        .find(|one| one.given && !loaded.iter().any(|plan| (one.by)(plan)));
    match unused {
        None => Ok(()),
        Some(Use { option, kinds, .. }) => Err(Problem::Asked(format!(
            "{option} has no effect here: it is for {kinds}, and {}",
            described(&loaded)
        ))),
    }
}

/// Options of Linux are none of Panal's kernel.
fn only_linux(arguments: &Run) -> Result<(), Problem> {
    let places = arguments.places.given();
    let others = [
        (arguments.pid.is_some(), "--pid"),
        (arguments.system_wide, "--system-wide"),
        (arguments.sample.is_some(), "--sample"),
        (arguments.iterate.is_some(), "--iterate"),
        (arguments.duration.is_some(), "--duration"),
    ];
    let other = others
        .into_iter()
        .find_map(|(given, name)| given.then_some(name));
    match (places, other) {
        (Some(option), _) => Err(Problem::Asked(format!(
            "{option} names a place on Linux: it needs --kernel linux"
        ))),
        (None, Some(option)) => Err(Problem::Asked(format!(
            "{option} is for programs on the running Linux: it needs --kernel linux"
        ))),
        (None, None) => Ok(()),
    }
}

/// `` `firewall` is xdp ``
fn described(loaded: &[&ProgramPlan]) -> String {
    const SHOWN: usize = 4;
    let one = |plan: &&ProgramPlan| {
        let section = plan.section.trim_start_matches('?');
        format!("{} is `{section}`", plan.name)
    };
    let shown: Vec<String> = loaded.iter().take(SHOWN).map(one).collect();
    let more = match loaded.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

fn at(plan: &ProgramPlan, places: &[Place]) -> bool {
    places.contains(&Place::of(plan))
}

/// Called for everybody's events, of which some can be chosen.
fn is_tracing(plan: &ProgramPlan) -> bool {
    use ProgType::{
        Kprobe, Lsm, PerfEvent, RawTracepoint, RawTracepointWritable, Tracepoint, Tracing,
    };
    let types = [
        Kprobe,
        Lsm,
        PerfEvent,
        RawTracepoint,
        RawTracepointWritable,
        Tracepoint,
        Tracing,
    ];
    plan.prog_type.is_some_and(|ty| types.contains(&ty)) && !at(plan, &[Place::Cgroup])
}

fn is_iterator(plan: &ProgramPlan) -> bool {
    plan.attach_type == Some(AttachType::TraceIter)
}

fn has_no_direction(plan: &ProgramPlan) -> bool {
    let either = [ProgType::SchedCls, ProgType::CgroupSkb];
    plan.attach_type.is_none() && plan.prog_type.is_some_and(|ty| either.contains(&ty))
}

fn uses(arguments: &Run) -> Vec<Use> {
    use Place::{
        Cgroup, Classifier, Interface, NetNamespace, Netfilter, Reuseport, Route, SocketFilter,
        SocketMap,
    };
    let places = &arguments.places;
    let entry = |option, given, kinds, by| Use {
        option,
        given,
        kinds,
        by,
    };
    vec![
        entry(
            "--interface",
            !places.interfaces.is_empty(),
            "XDP, tc, socket filter and lightweight tunnel programs",
            |p| at(p, &[Interface, Classifier, SocketFilter, Route]),
        ),
        entry(
            "--netns",
            places.netns.is_some() && arguments.command.is_empty(),
            "a command, and programs on the network",
            |p| {
                at(
                    p,
                    &[
                        Interface,
                        Classifier,
                        SocketFilter,
                        Route,
                        NetNamespace,
                        Netfilter,
                    ],
                )
            },
        ),
        entry(
            "--cgroup",
            places.cgroup.is_some(),
            "programs on cgroups",
            |p| at(p, &[Cgroup]),
        ),
        entry(
            "--netfilter",
            places.netfilter.is_some(),
            "netfilter programs",
            |p| at(p, &[Netfilter]),
        ),
        entry(
            "--socket",
            !places.sockets.is_empty(),
            "socket filter and sk_reuseport programs",
            |p| at(p, &[SocketFilter, Reuseport]),
        ),
        entry(
            "--socket-map",
            places.socket_map.is_some(),
            "sk_msg and sk_skb programs",
            |p| at(p, &[SocketMap]),
        ),
        entry(
            "--route",
            !places.routes.is_empty(),
            "lightweight tunnel programs",
            |p| at(p, &[Route]),
        ),
        entry(
            "--xdp-mode",
            places.xdp_mode != XdpModeArg::Auto,
            "XDP programs",
            |p| at(p, &[Interface]),
        ),
        entry(
            "--egress",
            places.egress,
            "tc and cgroup/skb programs whose section names no direction",
            has_no_direction,
        ),
        entry("--netlink", places.netlink, "XDP and tc programs", |p| {
            at(p, &[Interface, Classifier])
        }),
        entry("--replace", places.replace.is_some(), "XDP programs", |p| {
            at(p, &[Interface])
        }),
        entry(
            "--order",
            places.order.is_some(),
            "tc programs and programs on cgroups",
            |p| at(p, &[Classifier, Cgroup]),
        ),
        match places.netlink {
            true => entry(
                "--priority",
                places.priority.is_some(),
                "netfilter and tc programs",
                |p| at(p, &[Netfilter, Classifier]),
            ),
            false => entry(
                "--priority",
                places.priority.is_some(),
                "netfilter programs, and with --netlink for tc programs",
                |p| at(p, &[Netfilter]),
            ),
        },
        entry(
            "--pid",
            arguments.pid.is_some(),
            "tracing programs and iterators",
            is_tracing,
        ),
        entry(
            "--system-wide",
            arguments.system_wide,
            "tracing programs",
            is_tracing,
        ),
        entry(
            "--sample",
            arguments.sample.is_some(),
            "perf_event programs",
            |p| p.prog_type == Some(ProgType::PerfEvent),
        ),
        entry(
            "--iterate",
            arguments.iterate.is_some(),
            "iterators",
            is_iterator,
        ),
        match &arguments.iterate {
            Some(IterateArg::Map(_)) => entry(
                "--iterate map=NAME",
                true,
                "iterators over a map's elements (`iter/bpf_map_elem`)",
                |p| {
                    is_iterator(p)
                        && ["map_elem", "storage_map"]
                            .iter()
                            .any(|of| p.section.ends_with(of))
                },
            ),
            Some(IterateArg::Cgroup(_)) => entry(
                "--iterate cgroup=PATH",
                true,
                "iterators over cgroups (`iter/cgroup`)",
                |p| is_iterator(p) && p.section.ends_with("/cgroup"),
            ),
            None => entry("--iterate", false, "iterators", is_iterator),
        },
        entry(
            "--duration",
            arguments.duration.is_some(),
            "programs that wait for events",
            |p| !is_iterator(p),
        ),
    ]
}
