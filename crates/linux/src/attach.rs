//! Attachments: every kind yields a descriptor whose closing detaches.

mod cgroup;
mod interface;
mod rtnetlink;
mod socket;

pub use socket::set as set_socket_option;

use std::{
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::Arc,
};

use panal_uapi::{
    AttachType, Command, Errno,
    attr::{
        LinkCreate, LinkCreateKprobeMulti, LinkCreateNetfilter, LinkCreateOrdered, LinkCreatePerf,
        LinkDetach, LinkUpdate, RawTracepointOpen,
    },
    kernel::{AttachTarget, CloseFd, Failure, Fd, Order, Peer},
};

use crate::{
    sys::{bpf, c_string, failure, from_owned, into_fd, last_errno},
    tracefs::tracepoint_id,
};

const BPF_F_REPLACE: u32 = 1 << 2;
const BPF_F_BEFORE: u32 = 1 << 3;
const BPF_F_AFTER: u32 = 1 << 4;
const BPF_F_ID: u32 = 1 << 5;
const BPF_F_LINK: u32 = 1 << 13;
const BPF_F_NETFILTER_IP_DEFRAG: u32 = 1;
/// `PERF_TYPE_SOFTWARE`, `PERF_TYPE_TRACEPOINT`
const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_TYPE_TRACEPOINT: u32 = 2;
/// `PERF_COUNT_SW_CPU_CLOCK`
const PERF_COUNT_SW_CPU_CLOCK: u64 = 0;
/// `attr.freq`, bit 10 of the flag word
const PERF_FREQ: u64 = 1 << 10;
const PERF_SAMPLE_RAW: u64 = 1 << 10;
/// `PERF_FLAG_FD_CLOEXEC`
const PERF_FLAG_FD_CLOEXEC: libc::c_long = 1 << 3;
/// `_IO('$', 0)`, `_IOW('$', 8, u32)`
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;

/// Attaches a program; `attach_type` is what it was loaded for.
pub fn attach(
    prog: &Fd,
    attach_type: Option<AttachType>,
    target: &AttachTarget,
) -> Result<Fd, Failure> {
    match target {
        AttachTarget::Tracepoint { category, name } => {
            let id = tracepoint_id(category, name)?;
            perf_events(prog, PERF_TYPE_TRACEPOINT, id, 0, -1)
        }
        AttachTarget::RawTracepoint(name) => raw_tracepoint(prog, Some(name)),
        AttachTarget::AtLoad => raw_tracepoint(prog, None),
        AttachTarget::Kprobe {
            function,
            offset,
            on_return,
        } => kprobe(prog, attach_type, function, *offset, *on_return),
        AttachTarget::Uprobe { path, .. } => Err(failure(
            Command::LinkCreate,
            Errno::EOPNOTSUPP,
            format!("user probes on Linux are not built yet (wanted on {path})"),
        )),
        AttachTarget::PerfSampling { frequency } => perf_events(
            prog,
            PERF_TYPE_SOFTWARE,
            PERF_COUNT_SW_CPU_CLOCK,
            *frequency,
            -1,
        ),
        AttachTarget::Interface { index, mode, order } => {
            interface::attach(prog, attach_type, *index, *mode, *order)
        }
        AttachTarget::XdpNetlink {
            index,
            mode,
            replaces,
        } => rtnetlink::xdp(prog, *index, *mode, *replaces),
        AttachTarget::Classifier {
            index,
            egress,
            priority,
        } => rtnetlink::classifier(prog, *index, *egress, *priority),
        AttachTarget::Route {
            destination,
            prefix_len,
            index,
        } => rtnetlink::route(prog, *destination, *prefix_len, *index),
        AttachTarget::Cgroup { path, order } => cgroup::attach(prog, attach_type, path, *order),
        AttachTarget::Socket(fd) => socket::filter(prog, *fd),
        AttachTarget::ReuseportGroup(fd) => socket::reuseport(prog, *fd),
        AttachTarget::SocketMap(map) => socket::map(prog, attach_type, map),
        AttachTarget::NetNamespace(fd) => link(prog, *fd, attach_type, 0, "the network namespace"),
        AttachTarget::Netfilter {
            family,
            hook,
            priority,
            defrag,
        } => {
            let attr = LinkCreateNetfilter {
                prog_fd: prog.number(),
                attach_type: AttachType::Netfilter.number(),
                family: *family,
                hook: *hook,
                priority: *priority,
                netfilter_flags: u32::from(*defrag) * BPF_F_NETFILTER_IP_DEFRAG,
                ..LinkCreateNetfilter::default()
            };
            create(&mut attr.to_bytes(), "the netfilter hook")
        }
    }
}

fn create(bytes: &mut [u8], what: &str) -> Result<Fd, Failure> {
    // SAFETY: callers place in the attribute only addresses of memory that they hold.
    unsafe { bpf(Command::LinkCreate, bytes) }
        .map(into_fd)
        .map_err(|errno| failure(Command::LinkCreate, errno, format!("attaching to {what}")))
}

fn number(attach_type: Option<AttachType>) -> u32 {
    attach_type.map_or(0, AttachType::number)
}

/// A link to the object of a descriptor, or to an interface by index.
fn link(
    prog: &Fd,
    target: i32,
    attach_type: Option<AttachType>,
    flags: u32,
    what: &str,
) -> Result<Fd, Failure> {
    let attr = LinkCreate {
        prog_fd: prog.number(),
        target: target as u32,
        attach_type: number(attach_type),
        flags,
    };
    create(&mut attr.to_bytes(), what)
}

/// A link that has its place among others.
fn ordered_link(
    prog: &Fd,
    target: i32,
    attach_type: Option<AttachType>,
    order: Order,
    what: &str,
) -> Result<Fd, Failure> {
    let (flags, relative) = match order {
        Order::Appended => return link(prog, target, attach_type, 0, what),
        Order::First => (BPF_F_BEFORE, None),
        Order::Last => (BPF_F_AFTER, None),
        Order::Before(peer) => (BPF_F_BEFORE, Some(peer)),
        Order::After(peer) => (BPF_F_AFTER, Some(peer)),
    };
    let (of_peer, id) = match relative {
        None => (0, 0),
        Some(Peer::Program(id)) => (BPF_F_ID, id),
        Some(Peer::Link(id)) => (BPF_F_ID | BPF_F_LINK, id),
    };
    let attr = LinkCreateOrdered {
        prog_fd: prog.number(),
        target: target as u32,
        attach_type: number(attach_type),
        flags: flags | of_peer,
        relative_fd: id,
        ..LinkCreateOrdered::default()
    };
    create(&mut attr.to_bytes(), what)
}

/// `BPF_LINK_UPDATE`
pub fn update(link: &Fd, prog: &Fd, expected: Option<&Fd>) -> Result<(), Failure> {
    let attr = LinkUpdate {
        link_fd: link.number(),
        new_prog_fd: prog.number(),
        flags: u32::from(expected.is_some()) * BPF_F_REPLACE,
        old_prog_fd: expected.map_or(0, Fd::number),
    };
    // SAFETY: the attribute holds no addresses.
    match unsafe { bpf(Command::LinkUpdate, &mut attr.to_bytes()) } {
        Ok(_) => Ok(()),
        Err(errno) => Err(failure(Command::LinkUpdate, errno, update_hint(errno))),
    }
}

fn update_hint(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM => {
            "the link has another program than expected, or this process lacks CAP_BPF \
             and CAP_NET_ADMIN"
        }
        Errno::EINVAL => "links of this kind keep their program, or the programs differ in type",
        Errno::ENOLINK => "the link is detached: what it was attached to is gone",
        Errno::EBADF => "this attachment is not a link",
        _ => "",
    }
}

/// `BPF_LINK_DETACH`
pub fn detach(link: &Fd) -> Result<(), Failure> {
    let attr = LinkDetach {
        link_fd: link.number(),
    };
    // SAFETY: the attribute holds no addresses.
    let done = unsafe { bpf(Command::LinkDetach, &mut attr.to_bytes()) };
    done.map(drop).map_err(|errno| {
        let hint = match errno {
            Errno::EOPNOTSUPP => "links of this kind are detached by closing them",
            Errno::EBADF => "this attachment is not a link",
            _ => "",
        };
        failure(Command::LinkDetach, errno, hint)
    })
}

fn raw_tracepoint(prog: &Fd, name: Option<&str>) -> Result<Fd, Failure> {
    let wrong = |e| failure(Command::RawTracepointOpen, e, name.unwrap_or_default());
    let c_name = name.map(c_string).transpose().map_err(wrong)?;
    let attr = RawTracepointOpen {
        name: c_name.as_ref().map_or(0, |n| n.as_ptr() as u64),
        prog_fd: prog.number(),
        ..RawTracepointOpen::default()
    };
    // SAFETY: the name is a C string that outlives the call, or absent.
    unsafe { bpf(Command::RawTracepointOpen, &mut attr.to_bytes()) }
        .map(into_fd)
        .map_err(wrong)
}

fn kprobe(
    prog: &Fd,
    attach_type: Option<AttachType>,
    function: &str,
    offset: u64,
    on_return: bool,
) -> Result<Fd, Failure> {
    if offset != 0 || attach_type != Some(AttachType::TraceKprobeMulti) {
        return Err(failure(
            Command::LinkCreate,
            Errno::EOPNOTSUPP,
            format!("only kprobe.multi at a function's start is built yet (wanted {function})"),
        ));
    }
    let name = c_string(function).map_err(|e| failure(Command::LinkCreate, e, function))?;
    let symbols = [name.as_ptr() as u64];
    let attr = LinkCreateKprobeMulti {
        prog_fd: prog.number(),
        attach_type: number(attach_type),
        multi_flags: u32::from(on_return),
        count: 1,
        symbols: symbols.as_ptr() as u64,
        ..LinkCreateKprobeMulti::default()
    };
    create(&mut attr.to_bytes(), &format!("kernel function {function}"))
}

/// `struct perf_event_attr`, version 0 (64 bytes).
#[repr(C)]
#[derive(Default)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    bp_type: u32,
    config1: u64,
}

/// A perf event; `frequency` 0 counts every occurrence.
fn perf_event_open(
    kind: u32,
    config: u64,
    frequency: u64,
    pid: i32,
    cpu: i32,
) -> Result<OwnedFd, Errno> {
    let attr = PerfEventAttr {
        kind,
        config,
        sample: if frequency > 0 { frequency } else { 1 },
        flags: if frequency > 0 { PERF_FREQ } else { 0 },
        ..PerfEventAttr::default()
    };
    open_event(attr, pid, cpu)
}

/// The event through which programs on a CPU put out raw samples, enabled.
pub fn open_output(kind: u32, config: u64, cpu: i32) -> Result<OwnedFd, Errno> {
    let attr = PerfEventAttr {
        kind,
        config,
        sample: 1,
        sample_type: PERF_SAMPLE_RAW,
        wakeup: 1,
        ..PerfEventAttr::default()
    };
    let event = open_event(attr, -1, cpu)?;
    // SAFETY: the request takes an int by value.
    if unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) } < 0 {
        return Err(last_errno());
    }
    Ok(event)
}

fn open_event(mut attr: PerfEventAttr, pid: i32, cpu: i32) -> Result<OwnedFd, Errno> {
    attr.size = size_of::<PerfEventAttr>() as u32;
    // SAFETY: the attribute is a whole structure of the size that it tells.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            pid as libc::c_long,
            cpu as libc::c_long,
            -1 as libc::c_long,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(last_errno());
    }
    // SAFETY: a descriptor that the call just made, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Several descriptors behind one: closed together.
struct Together {
    _parts: Vec<Fd>,
}

impl CloseFd for Together {
    fn close(&self, _number: i32) {}
}

/// A perf event with the program: once for a tracepoint (it fires for all CPUs), on each CPU for
/// sampling.
fn perf_events(prog: &Fd, kind: u32, config: u64, frequency: u64, pid: i32) -> Result<Fd, Failure> {
    let cpus = if kind == PERF_TYPE_SOFTWARE {
        crate::kernel::online_cpus()
    } else {
        vec![0]
    };
    let mut parts = Vec::new();
    for cpu in cpus {
        let event = perf_event_open(kind, config, frequency, pid, cpu as i32).map_err(|errno| {
            failure(
                Command::LinkCreate,
                errno,
                "perf_event_open (is perf_event_paranoid in the way?)",
            )
        })?;
        parts.extend(perf_link(prog, event)?);
    }
    let number = parts.first().map_or(-1, Fd::number);
    Ok(Fd::new(number, Arc::new(Together { _parts: parts })))
}

/// Ties a program to an event: by link, or by ioctl on kernels before 5.15.
fn perf_link(prog: &Fd, event: OwnedFd) -> Result<Vec<Fd>, Failure> {
    let attr = LinkCreatePerf {
        prog_fd: prog.number(),
        target: event.as_raw_fd() as u32,
        attach_type: AttachType::PerfEvent.number(),
        ..LinkCreatePerf::default()
    };
    let raw = event.as_raw_fd();
    let ioctl = |request, argument: i32| {
        // SAFETY: both requests take an int by value and touch no memory of ours.
        let r = unsafe { libc::ioctl(raw, request, argument) };
        if r < 0 {
            Err(failure(
                Command::LinkCreate,
                last_errno(),
                "ioctl on the perf event",
            ))
        } else {
            Ok(())
        }
    };
    let mut parts = Vec::new();
    match create(&mut attr.to_bytes(), "a perf event") {
        Ok(link) => parts.push(link),
        Err(Failure {
            errno: Errno::EINVAL | Errno::EOPNOTSUPP,
            ..
        }) => {
            ioctl(PERF_EVENT_IOC_SET_BPF, prog.number())?;
        }
        Err(other) => return Err(other),
    }
    ioctl(PERF_EVENT_IOC_ENABLE, 0)?;
    parts.push(from_owned(event));
    Ok(parts)
}
