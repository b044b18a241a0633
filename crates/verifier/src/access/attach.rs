//! What the program as a whole must be, before its instructions count: sleepable where that is
//! allowed, attached to a hook that takes programs.

use panal_uapi::{
    AttachType, ProgType,
    kernel::ProgFlags,
    program_types::{Sleepable, lsm_hooks},
};

use super::{arguments, context};
use crate::{
    env::Env,
    error::{Check, reject},
};

/// Checks type, flags and target of the program.
///
/// # Errors
/// They do not go together.
pub fn check(env: &Env<'_>) -> Check {
    let request = env.request;
    let sleepable = request.flags.contains(ProgFlags::SLEEPABLE);
    match context::rules(env)?.sleepable {
        Sleepable::Always if !sleepable => {
            return Err(reject!(
                NotAllowed,
                EINVAL,
                "Syscall programs can only be sleepable"
            ));
        }
        Sleepable::Never if sleepable => return Err(not_sleepable()),
        _ => {}
    }
    let place = matches!(
        request.attach_type,
        Some(
            AttachType::TraceFentry
                | AttachType::TraceFexit
                | AttachType::ModifyReturn
                | AttachType::TraceIter
        )
    );
    match request.prog_type {
        ProgType::Tracing if sleepable && !place => Err(not_sleepable()),
        ProgType::Tracing => tracing(env, sleepable),
        ProgType::Lsm => lsm(env, sleepable),
        ProgType::StructOps if !request.gpl => Err(reject!(
            NotAllowed,
            EINVAL,
            "struct ops programs must have a GPL compatible license"
        )),
        ProgType::StructOps => arguments::hook(env).map(|_| ()),
        _ => Ok(()),
    }
}

fn not_sleepable() -> crate::error::Reject {
    reject!(
        NotAllowed,
        EINVAL,
        "Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable"
    )
}

fn tracing(env: &Env<'_>, sleepable: bool) -> Check {
    let hook = arguments::hook(env)?;
    let iterator = env.request.attach_type == Some(AttachType::TraceIter);
    // Functions whose errors may be injected may be slept in; of those, system calls are known.
    let may_sleep = iterator
        || env.request.attach_type.is_none()
        || [
            "__x64_sys_",
            "__ia32_sys_",
            "__arm64_sys_",
            "bpf_fentry_test",
            "bpf_modify_return_test",
        ]
        .iter()
        .any(|prefix| hook.name.starts_with(prefix));
    // Only security hooks and functions made for it have a return value that may be replaced.
    let modifiable = ["security_", "bpf_modify_return_test", "bpf_fentry_test"]
        .iter()
        .any(|prefix| hook.name.starts_with(prefix));
    if env.request.attach_type == Some(AttachType::ModifyReturn) && !modifiable {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "{}() is not modifiable",
            hook.name
        ));
    }
    if sleepable && !may_sleep {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "{} is not sleepable",
            hook.name
        ));
    }
    Ok(())
}

fn lsm(env: &Env<'_>, sleepable: bool) -> Check {
    if !env.request.gpl {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "LSM programs must have a GPL compatible license"
        ));
    }
    let hook = arguments::hook(env)?;
    let id = match env.request.tied {
        Some(crate::Tied::Kernel(id)) => id.0,
        _ => 0,
    };
    if !hook.name.starts_with("bpf_lsm_") {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "attach_btf_id {id} points to wrong type name {}",
            hook.name
        ));
    }
    if lsm_hooks::is_disabled(hook.name) {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "attach_btf_id {id} points to disabled hook {}",
            hook.name
        ));
    }
    if sleepable && !lsm_hooks::is_sleepable(hook.name) {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "{} is not sleepable",
            hook.name
        ));
    }
    Ok(())
}
