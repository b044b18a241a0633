//! Attachments: every kind yields a descriptor whose closing detaches.

mod cgroup;
mod interface;
mod rtnetlink;
mod socket;
mod struct_ops;

pub use socket::set as set_socket_option;

use panal_uapi::{
    AttachType, Command, Errno,
    attr::{
        LinkCreate, LinkCreateNetfilter, LinkCreateOrdered, LinkDetach, LinkUpdate,
        RawTracepointOpen,
    },
    kernel::{AttachTarget, Failure, Fd, Order, Peer},
};

use crate::{
    iterators, perf, probes,
    sys::{bpf, c_string, failure, into_fd},
};

const BPF_F_REPLACE: u32 = 1 << 2;
const BPF_F_BEFORE: u32 = 1 << 3;
const BPF_F_AFTER: u32 = 1 << 4;
const BPF_F_ID: u32 = 1 << 5;
const BPF_F_LINK: u32 = 1 << 13;
const BPF_F_NETFILTER_IP_DEFRAG: u32 = 1;

/// Attaches a program; `attach_type` is what it was loaded for.
pub fn attach(
    prog: &Fd,
    attach_type: Option<AttachType>,
    target: &AttachTarget,
) -> Result<Fd, Failure> {
    match target {
        AttachTarget::Tracepoint { category, name } => perf::tracepoint(prog, category, name),
        AttachTarget::RawTracepoint(name) => raw_tracepoint(prog, Some(name)),
        AttachTarget::AtLoad => raw_tracepoint(prog, None),
        AttachTarget::Kprobe {
            function,
            offset,
            on_return,
        } => match attach_type {
            Some(kind @ (AttachType::TraceKprobeMulti | AttachType::TraceKprobeSession)) => {
                probes::kprobe_multi(prog, kind, function, *on_return)
            }
            _ => probes::kprobe(prog, function, *offset, *on_return),
        },
        AttachTarget::KprobeMulti { pattern, on_return } => {
            let kind = attach_type.unwrap_or(AttachType::TraceKprobeMulti);
            probes::kprobe_multi(prog, kind, pattern, *on_return)
        }
        AttachTarget::Uprobe {
            path,
            site,
            on_return,
            pid,
        } => probes::uprobe(prog, path, site, *on_return, *pid),
        AttachTarget::UprobeMulti {
            path,
            sites,
            on_return,
            pid,
        } => {
            let kind = attach_type.unwrap_or(AttachType::TraceUprobeMulti);
            probes::uprobe_multi(prog, kind, path, sites, *on_return, *pid)
        }
        AttachTarget::PerfSampling { event, rate, pid } => {
            perf::sampling(prog, *event, *rate, *pid)
        }
        AttachTarget::Iterator(over) => iterators::attach(prog, over),
        AttachTarget::StructOps => struct_ops::attach(prog),
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

/// `BPF_LINK_CREATE`. The attribute holds no addresses but those of memory that the caller has.
pub fn create(bytes: &mut [u8], what: &str) -> Result<Fd, Failure> {
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
        Errno::EPERM => "the link has another program than expected",
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
