//! `BPF_LINK_UPDATE` and `BPF_LINK_DETACH`: one source on both kernels, and the same answers.
#![cfg(target_os = "linux")]

mod common;

use std::path::{Path, PathBuf};

use panal_kernel::PanalKernel;
use panal_linux::LinuxKernel;
use panal_loader::{Loaded, Open, Places};
use panal_uapi::{
    inspect::Inspect,
    kernel::{Failure, Fd, Kernel},
};

const NETWORK: &str = "crates/cli/tests/objects/network.bpf.o";
const OPENSNOOP: &str = "examples/opensnoop.bpf.o";

/// A cgroup that goes with the test.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new() -> Option<Cgroup> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
        let mut words = mounts.lines().map(|line| line.split(' '));
        let mount = words.find_map(|mut w| (w.next()? == "cgroup2").then(|| w.next())?)?;
        let path = Path::new(mount).join(format!("panal-links-{}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        Some(Cgroup(path))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn load<'k>(kernel: &'k dyn Kernel, object: &str, program: &str) -> Loaded<'k> {
    let bytes = std::fs::read(common::root().join(object)).expect("readable");
    let mut open = Open::parse(&bytes, object).expect("an object");
    open.only(program).expect("the program");
    open.prepare(kernel)
        .and_then(|prepared| prepared.load())
        .expect("loads")
}

fn said(answer: Result<(), Failure>) -> &'static str {
    match answer {
        Ok(()) => "done",
        Err(failure) => failure.errno.name().expect("a name"),
    }
}

/// What a kernel answers, step by step.
fn answers<K: Kernel + Inspect>(kernel: &K, cgroup: &str) -> Vec<(&'static str, &'static str)> {
    let [first, second] = ["on_connect4"; 2].map(|name| load(kernel, NETWORK, name));
    let [other_type, other_place] =
        ["on_sockops", "on_bind4"].map(|name| load(kernel, NETWORK, name));
    let fd = |loaded: &Loaded<'_>| loaded.programs()[0].fd.clone();
    let id = |loaded: &Loaded<'_>| kernel.prog_info(&fd(loaded)).expect("info").id;
    let holds = |link: &Fd| kernel.link_info(link).expect("info").prog_id;

    let places = Places {
        cgroup: Some(cgroup.to_owned()),
        ..Places::default()
    };
    let program = &first.programs()[0];
    let targets = first.targets(program, &places).expect("a target");
    let link = first.attach_to(program, &targets[0]).expect("attaches");
    assert_eq!(holds(&link), id(&first));

    let update = |new: &Loaded<'_>, expected: Option<&Loaded<'_>>| {
        let expected = expected.map(fd);
        said(kernel.link_update(&link, &fd(new), expected.as_ref()))
    };
    let mut all = vec![("another program", update(&second, None))];
    assert_eq!(holds(&link), id(&second));
    all.push(("another was expected", update(&first, Some(&first))));
    assert_eq!(holds(&link), id(&second));
    all.push(("it was expected", update(&first, Some(&second))));
    assert_eq!(holds(&link), id(&first));
    all.push(("itself", update(&first, None)));
    all.push(("of another type", update(&other_type, None)));
    all.push((OTHER_PLACE, update(&other_place, None)));
    all.push(("detach", said(kernel.link_detach(&link))));
    all.push(("detach again", said(kernel.link_detach(&link))));
    all.push(("update what is detached", update(&second, None)));
    let not_a_link = said(kernel.link_update(&fd(&first), &fd(&second), None));
    all.push(("update what is no link", not_a_link));
    all.push((
        "detach what is no link",
        said(kernel.link_detach(&fd(&first))),
    ));

    let traced = load(kernel, OPENSNOOP, "enter_openat");
    let link = traced.attach(&traced.programs()[0]).expect("attaches");
    let same = said(kernel.link_update(&link, &fd(&traced), None));
    all.push(("update a tracepoint's", same));
    all.push(("detach a tracepoint's", said(kernel.link_detach(&link))));
    all
}

/// Linux looks at the program's type only; a proof of Panal's holds for one attach type, whose context
/// and return values are its own.
const OTHER_PLACE: &str = "for another place";

/// What Linux 6.18 answered.
#[rustfmt::skip]
const LINUX: &[(&str, &str)] = &[
    ("another program", "done"),
    ("another was expected", "EPERM"),
    ("it was expected", "done"),
    ("itself", "done"),
    ("of another type", "EINVAL"),
    (OTHER_PLACE, "done"),
    ("detach", "done"),
    ("detach again", "done"),
    ("update what is detached", "ENOLINK"),
    ("update what is no link", "EINVAL"),
    ("detach what is no link", "EINVAL"),
    ("update a tracepoint's", "EINVAL"),
    ("detach a tracepoint's", "EOPNOTSUPP"),
];

#[test]
fn both_kernels_answer_alike() {
    let cgroup = Cgroup::new();
    let path = cgroup
        .as_ref()
        .map_or("/".into(), |c| c.0.display().to_string());
    let ours = answers(&PanalKernel::new().expect("starts"), &path);
    let stricter = |(step, answer): &(&'static str, &'static str)| match *step == OTHER_PLACE {
        true => (*step, "EINVAL"),
        false => (*step, *answer),
    };
    let expected: Vec<_> = LINUX.iter().map(stricter).collect();
    assert_eq!(ours, expected);
    let linux = LinuxKernel::new();
    if cgroup.is_none()
        || linux
            .next_id(panal_uapi::inspect::ObjectKind::Program, 0)
            .is_err()
    {
        return println!("skipped: Linux's half (no right to make a cgroup, or to bpf(2))");
    }
    assert_eq!(answers(&linux, &path), LINUX);
}
