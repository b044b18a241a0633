//! `BPF_LINK_CREATE` and its elder relatives, `BPF_LINK_UPDATE`, `BPF_LINK_DETACH`.

use std::sync::Arc;

use panal_uapi::{
    Errno,
    kernel::{AttachTarget, Failure, Fd},
};

use super::{fail, runnable};
use crate::{
    PanalKernel,
    attach::HookPoint,
    fds::Object,
    hooks,
    objects::{Attachment, Link, Program},
    program_types,
};

const COMMAND: &str = "BPF_LINK_CREATE";

pub(super) fn attach(
    kernel: &PanalKernel,
    prog: &Fd,
    target: &AttachTarget,
) -> Result<Fd, Failure> {
    let program = kernel.program(prog)?;
    runnable(&program)?;
    let shared = &kernel.shared;
    let behaviour = program_types::of(program.prog_type);
    let Some(point) = (behaviour.hook_point)(shared, &program, target) else {
        let (errno, why) = match place(target) {
            Place::Missing(what) => (
                Errno::EOPNOTSUPP,
                format!("Panal's kernel has no {what}; use --kernel linux"),
            ),
            Place::Known(what) => (
                Errno::EINVAL,
                format!(
                    "a program of type {} cannot be attached to {what}",
                    program.prog_type
                ),
            ),
        };
        return Err(fail(COMMAND, errno, why));
    };
    if !hooks::offers(&point) {
        return Err(fail(
            COMMAND,
            Errno::EOPNOTSUPP,
            format!("Panal's kernel has no events at {point}"),
        ));
    }
    let link = shared.links.publish(|id| {
        let attachment = Attachment {
            id,
            point,
            program,
            cookie: 0,
        };
        Link::new(attachment, shared.attachments.clone())
    });
    kernel.open(COMMAND, Object::Link(link))
}

/// What programs hang at, in the field's words.
enum Place {
    /// Some types of programs can be attached to it.
    Known(&'static str),
    /// Linux alone has it; in the plural.
    Missing(&'static str),
}

fn place(target: &AttachTarget) -> Place {
    use Place::{Known, Missing};
    match target {
        AttachTarget::Interface { .. } => Known("a network interface"),
        AttachTarget::Tracepoint { .. } => Known("a tracepoint"),
        AttachTarget::RawTracepoint(_) => Known("a raw tracepoint"),
        AttachTarget::AtLoad => Known("what was named when it was loaded"),
        AttachTarget::Kprobe { .. } => Known("a kernel function (kprobe)"),
        AttachTarget::Cgroup { .. } => Known("a cgroup"),
        AttachTarget::XdpNetlink { .. } => Missing("XDP by netlink"),
        AttachTarget::Classifier { .. } => Missing("tc filters by netlink"),
        AttachTarget::KprobeMulti { .. } => Missing("kprobe.multi links"),
        AttachTarget::Uprobe { .. } | AttachTarget::UprobeMulti { .. } => Missing("user probes"),
        AttachTarget::PerfSampling { .. } => Missing("perf events to sample"),
        AttachTarget::Iterator(_) => Missing("iterators"),
        AttachTarget::StructOps => Missing("struct_ops to register"),
        AttachTarget::Socket(_) | AttachTarget::SocketMap(_) => Missing("sockets to attach to"),
        AttachTarget::ReuseportGroup(_) => Missing("SO_REUSEPORT groups"),
        AttachTarget::Route { .. } => Missing("routes"),
        AttachTarget::NetNamespace(_) => Missing("network namespaces to attach to"),
        AttachTarget::Netfilter { .. } => Missing("netfilter hooks"),
    }
}

/// The link of a descriptor.
fn link(kernel: &PanalKernel, command: &'static str, fd: &Fd) -> Result<Arc<Link>, Failure> {
    kernel
        .shared
        .fds
        .link(fd.number())
        .map_err(|errno| fail(command, errno, "the descriptor is not that of a link"))
}

/// Whether Linux's links to such a place can be updated and detached.
fn is_flexible(point: &HookPoint) -> bool {
    matches!(point, HookPoint::Packets { .. } | HookPoint::Cgroup(_))
}

/// `BPF_LINK_UPDATE`, with Linux's answers.
pub(super) fn update(
    kernel: &PanalKernel,
    link_fd: &Fd,
    prog: &Fd,
    expected: Option<&Fd>,
) -> Result<(), Failure> {
    const UPDATE: &str = "BPF_LINK_UPDATE";
    let refuse = |errno, why: &str| Err(fail(UPDATE, errno, why));
    let program = kernel.program(prog)?;
    runnable(&program)?;
    let expected = expected.map(|fd| kernel.program(fd)).transpose()?;
    link(kernel, UPDATE, link_fd)?.replace(|held| {
        let Some(old) = held else {
            return refuse(Errno::ENOLINK, "the link was detached");
        };
        if !is_flexible(&old.point) {
            return refuse(Errno::EINVAL, "links of this kind keep their program");
        }
        if expected.is_some_and(|expected| expected.id() != old.program.id()) {
            return refuse(Errno::EPERM, "the link has another program than expected");
        }
        let kind = |p: &Program| (p.prog_type, p.attach_type());
        if kind(&program) != kind(&old.program) {
            return refuse(Errno::EINVAL, "the programs differ in type");
        }
        let new = Arc::new(Attachment {
            id: old.id,
            point: old.point.clone(),
            program,
            cookie: old.cookie,
        });
        Ok(new)
    })
}

/// `BPF_LINK_DETACH`
pub(super) fn detach(kernel: &PanalKernel, link_fd: &Fd) -> Result<(), Failure> {
    const DETACH: &str = "BPF_LINK_DETACH";
    let link = link(kernel, DETACH, link_fd)?;
    if link.attachment().is_some_and(|a| !is_flexible(a.point())) {
        let why = "links of this kind are detached by closing them";
        return Err(fail(DETACH, Errno::EOPNOTSUPP, why));
    }
    link.detach();
    Ok(())
}
