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
        return Err(fail(
            COMMAND,
            Errno::EINVAL,
            format!(
                "a program of type {} cannot be attached to {target:?}",
                program.prog_type
            ),
        ));
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
