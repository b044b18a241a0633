//! `BPF_LINK_CREATE` and its elder relatives.

use std::sync::Arc;

use panal_uapi::{
    Errno,
    kernel::{AttachTarget, Failure, Fd},
};

use super::{fail, runnable};
use crate::{
    PanalKernel,
    fds::Object,
    hooks,
    objects::{Attachment, Link},
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
    let attachment = shared.links.publish(|id| Attachment {
        id,
        point,
        program,
        cookie: 0,
    });
    shared.attachments.add(attachment.clone());
    let link = Link {
        attachment,
        home: shared.attachments.clone(),
    };
    kernel.open(COMMAND, Object::Link(Arc::new(link)))
}
