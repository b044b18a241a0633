//! Probes in functions: of the kernel (kprobes), of programs and libraries (uprobes).

use std::{ffi::CString, fs};

use panal_uapi::{
    AttachType, Command, Errno,
    attr::{LinkCreateKprobeMulti, LinkCreateUprobeMulti},
    kernel::{Failure, Fd, UserSite},
};

use crate::{
    attach::create,
    perf::{self, Who},
    sys::{c_string, failure},
    tracefs::{self, Probe},
};

/// `BPF_F_KPROBE_MULTI_RETURN`, `BPF_F_UPROBE_MULTI_RETURN`
const MULTI_RETURN: u32 = 1;

/// A source of perf events, as sysfs describes it.
struct Source {
    kind: u32,
    /// The bit of `config` that asks for a function's return.
    on_return: u32,
    /// The bit of `config` where the offset of a reference counter begins.
    ref_counter: Option<u32>,
}

impl Source {
    /// `kprobe` or `uprobe`; `None` before Linux 4.17, and where the kernel has no such probes.
    fn named(name: &str) -> Option<Source> {
        let root = format!("/sys/bus/event_source/devices/{name}");
        let read = |file: &str| fs::read_to_string(format!("{root}/{file}")).ok();
        // `config:0`, `config:32-63`
        let bit = |file: &str| {
            let text = read(file)?;
            let bits = text.trim().strip_prefix("config:")?;
            bits.split('-').next()?.parse::<u32>().ok()
        };
        Some(Source {
            kind: read("type")?.trim().parse().ok()?,
            on_return: bit("format/retprobe")?,
            ref_counter: bit("format/ref_ctr_offset"),
        })
    }
}

fn absent(what: &str, option: &str) -> Failure {
    let detail = format!("{what}: this kernel has no {option}");
    failure(Command::LinkCreate, Errno::EOPNOTSUPP, detail)
}

const NO_KPROBES: &str = "kprobes (it was built without CONFIG_KPROBES)";
const NO_UPROBES: &str = "user probes (it was built without CONFIG_UPROBES)";

/// A program at a kernel function, or some bytes into it.
pub fn kprobe(prog: &Fd, function: &str, offset: u64, on_return: bool) -> Result<Fd, Failure> {
    let what = format!("kernel function {function}");
    let wrong = |e| failure(Command::LinkCreate, e, &*what);
    let name = c_string(function).map_err(wrong)?;
    let Some(source) = Source::named("kprobe") else {
        if !tracefs::has(Probe::Kernel) {
            return Err(absent(&what, NO_KPROBES));
        }
        let place = format!("{function}+{offset}");
        return legacy(prog, Probe::Kernel, &place, on_return, &what);
    };
    let config = u64::from(on_return) << source.on_return;
    let event = perf::open_probe(source.kind, config, &name, offset, Who::Everybody);
    let event = event.map_err(|errno| match errno {
        Errno::ENOENT => wrong_place(
            errno,
            &what,
            "this kernel has no such function, or it was inlined",
        ),
        Errno::EINVAL | Errno::EILSEQ => wrong_place(errno, &what, "no probe can be set there"),
        _ => perf::refused(errno, &what),
    })?;
    perf::tie(prog, event, 0, &what)
}

fn wrong_place(errno: Errno, what: &str, why: &str) -> Failure {
    failure(Command::LinkCreate, errno, format!("{what}: {why}"))
}

/// A program at many kernel functions, or at one.
pub fn kprobe_multi(
    prog: &Fd,
    attach_type: AttachType,
    pattern: &str,
    on_return: bool,
) -> Result<Fd, Failure> {
    let what = format!("kernel functions {pattern}");
    let wrong = |e| failure(Command::LinkCreate, e, &*what);
    let names = match pattern.contains(['*', '?']) {
        true => tracefs::functions(pattern)?,
        false => vec![pattern.to_owned()],
    };
    if names.is_empty() {
        let why = "this kernel has no function of such a name that can be traced";
        return Err(wrong_place(Errno::ENOENT, &what, why));
    }
    let names: Vec<CString> = names
        .iter()
        .map(|name| c_string(name))
        .collect::<Result<_, _>>()
        .map_err(wrong)?;
    let symbols: Vec<u64> = names.iter().map(|name| name.as_ptr() as u64).collect();
    let attr = LinkCreateKprobeMulti {
        prog_fd: prog.number(),
        attach_type: attach_type.number(),
        multi_flags: if on_return { MULTI_RETURN } else { 0 },
        count: symbols.len() as u32,
        symbols: symbols.as_ptr() as u64,
        ..LinkCreateKprobeMulti::default()
    };
    create(&mut attr.to_bytes(), &what).map_err(|error| match error.errno {
        Errno::EOPNOTSUPP => absent(&what, "kprobe.multi (it was built without CONFIG_FPROBE)"),
        Errno::ESRCH => wrong_place(
            error.errno,
            &what,
            "this kernel has no such function, or it cannot be traced",
        ),
        _ => error,
    })
}

/// A program at an instruction in user space.
pub fn uprobe(
    prog: &Fd,
    path: &str,
    site: &UserSite,
    on_return: bool,
    pid: Option<u32>,
) -> Result<Fd, Failure> {
    let what = format!("user probe at {path}+{:#x}", site.offset);
    let wrong = |e| failure(Command::LinkCreate, e, &*what);
    let name = c_string(path).map_err(wrong)?;
    let Some(source) = Source::named("uprobe") else {
        if !tracefs::has(Probe::User) {
            return Err(absent(&what, NO_UPROBES));
        }
        let counter = match site.ref_counter {
            0 => String::new(),
            counter => format!("({counter:#x})"),
        };
        let place = format!("{path}:{:#x}{counter}", site.offset);
        return legacy(prog, Probe::User, &place, on_return, &what);
    };
    let counter = match (site.ref_counter, source.ref_counter) {
        (0, _) => 0,
        (counter, Some(bit)) if u32::try_from(counter).is_ok() => counter << bit,
        _ => {
            let why = "the running kernel takes no reference counter for it (Linux 4.20 does)";
            return Err(wrong_place(Errno::EOPNOTSUPP, &what, why));
        }
    };
    let config = u64::from(on_return) << source.on_return | counter;
    let who = pid.map_or(Who::Everybody, Who::Task);
    let event = perf::open_probe(source.kind, config, &name, site.offset, who)
        .map_err(|errno| user_error(errno, &what))?;
    perf::tie(prog, event, site.cookie, &what)
}

fn user_error(errno: Errno, what: &str) -> Failure {
    match errno {
        Errno::ENOENT => wrong_place(errno, what, "there is no such file"),
        Errno::EINVAL => wrong_place(
            errno,
            what,
            "no probe can be set there (is it a regular file, and the offset that of an \
             instruction?)",
        ),
        Errno::ENOTSUPP => wrong_place(errno, what, "Linux cannot probe the instruction there"),
        _ => perf::refused(errno, what),
    }
}

/// A program at many instructions in user space.
pub fn uprobe_multi(
    prog: &Fd,
    attach_type: AttachType,
    path: &str,
    sites: &[UserSite],
    on_return: bool,
    pid: Option<u32>,
) -> Result<Fd, Failure> {
    let what = format!("{} user probes in {path}", sites.len());
    let name = c_string(path).map_err(|e| failure(Command::LinkCreate, e, &*what))?;
    let column = |of: fn(&UserSite) -> u64| sites.iter().map(of).collect::<Vec<u64>>();
    let offsets = column(|site| site.offset);
    let counters = column(|site| site.ref_counter);
    let cookies = column(|site| site.cookie);
    let if_any = |values: &[u64]| match values.iter().any(|value| *value != 0) {
        true => values.as_ptr() as u64,
        false => 0,
    };
    let attr = LinkCreateUprobeMulti {
        prog_fd: prog.number(),
        attach_type: attach_type.number(),
        path: name.as_ptr() as u64,
        offsets: offsets.as_ptr() as u64,
        ref_ctr_offsets: if_any(&counters),
        cookies: if_any(&cookies),
        count: sites.len() as u32,
        multi_flags: if on_return { MULTI_RETURN } else { 0 },
        pid: pid.unwrap_or(0),
        ..LinkCreateUprobeMulti::default()
    };
    create(&mut attr.to_bytes(), &what).map_err(|error| match error.errno {
        Errno::EOPNOTSUPP => absent(&what, NO_UPROBES),
        Errno::ENOENT | Errno::EINVAL | Errno::ENOTSUPP => user_error(error.errno, &what),
        Errno::ESRCH => wrong_place(error.errno, &what, "there is no such process"),
        _ => error,
    })
}

/// The way before Linux 4.17: an event of that name in the tracing file system, and a tracepoint
/// on it. It goes with the link, but not if this process is killed.
fn legacy(
    prog: &Fd,
    probe: Probe,
    place: &str,
    on_return: bool,
    what: &str,
) -> Result<Fd, Failure> {
    let event = tracefs::define(probe, place, on_return)?;
    let tied = perf::on_tracepoint(prog, event.id(), what)?;
    // In this order: an event that is in use cannot be removed.
    Ok(Fd::together(vec![tied, event.into_fd()]))
}
