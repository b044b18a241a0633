//! Helpers that only some hooks may call.

#![allow(non_upper_case_globals)]

use panal_uapi::{AttachType, ProgType, helpers::id::*, program_types::lsm_hooks};

use crate::{
    access::{arguments, context, interfaces},
    env::Env,
    error::{Check, reject},
};

/// Kernel functions that may be traced with `bpf_d_path`.
const D_PATH: &[&str] = &[
    "security_file_permission",
    "security_inode_getattr",
    "security_file_open",
    "security_path_truncate",
    "vfs_truncate",
    "vfs_fallocate",
    "dentry_open",
    "vfs_getattr",
    "filp_close",
];

/// Whether what the program is attached to has the helper at all, where that is more than its type
/// and the kind of attachment say.
pub fn offered(env: &Env<'_>, id: u32) -> bool {
    let request = env.request;
    let hook = || arguments::hook(env);
    match (request.prog_type, id) {
        (ProgType::StructOps, _) => hook().is_ok_and(|hook| {
            interfaces::find(hook.interface.unwrap_or_default()).offers(hook.name, id)
        }),
        (ProgType::Lsm, BPF_FUNC_setsockopt | BPF_FUNC_getsockopt) => {
            hook().is_ok_and(|hook| lsm_hooks::allows_socket_options(hook.name))
        }
        (ProgType::Tracing, BPF_FUNC_setsockopt | BPF_FUNC_getsockopt) => {
            hook().is_ok_and(|hook| matches!(hook.name, "bpf_iter_tcp" | "bpf_iter_unix"))
        }
        _ => true,
    }
}

/// Whether the program's hook allows the helper.
pub fn helper(env: &Env<'_>, id: u32) -> Check<bool> {
    let request = env.request;
    Ok(match id {
        BPF_FUNC_d_path => {
            if request.prog_type == ProgType::Tracing
                && request.attach_type == Some(AttachType::TraceIter)
            {
                return Ok(true);
            }
            let Ok(hook) = arguments::hook(env) else {
                return Ok(false);
            };
            match request.prog_type {
                ProgType::Lsm => lsm_hooks::is_sleepable(hook.name),
                _ => D_PATH.contains(&hook.name),
            }
        }
        BPF_FUNC_ima_inode_hash | BPF_FUNC_ima_file_hash => {
            arguments::hook(env).is_ok_and(|hook| lsm_hooks::is_sleepable(hook.name))
        }
        BPF_FUNC_sk_storage_get | BPF_FUNC_sk_storage_delete
            if matches!(request.prog_type, ProgType::Tracing | ProgType::Syscall) =>
        {
            match request.attach_type {
                Some(AttachType::TraceIter | AttachType::TraceRawTp) => true,
                // Functions of the storage itself would recurse.
                Some(AttachType::TraceFentry | AttachType::TraceFexit) => {
                    !arguments::hook(env).is_ok_and(|hook| hook.name.starts_with("bpf_sk_storage"))
                }
                _ => false,
            }
        }
        _ => true,
    })
}

/// Whether the helper is another one for programs that are attached to many functions at once: one
/// without a licence to ask for.
pub fn of_many(env: &Env<'_>, id: u32) -> bool {
    use AttachType::*;
    id == BPF_FUNC_get_func_ip
        && matches!(
            env.request.attach_type,
            Some(TraceKprobeMulti | TraceKprobeSession | TraceUprobeMulti | TraceUprobeSession)
        )
}

/// `bpf_get_func_ip` needs a function that is entered or left.
pub fn check_get_func_ip(env: &Env<'_>) -> Check {
    let prog_type = context::effective_type(env);
    let trampoline = matches!(
        env.request.attach_type,
        Some(AttachType::TraceFentry | AttachType::TraceFexit | AttachType::ModifyReturn)
    );
    let name = "func bpf_get_func_ip#173";
    match prog_type {
        ProgType::Kprobe => Ok(()),
        ProgType::Tracing if trampoline => Ok(()),
        ProgType::Tracing => Err(reject!(
            NotAllowed,
            ENOTSUPP,
            "{name} supported only for fentry/fexit/fmod_ret programs"
        )),
        _ => Err(reject!(
            NotAllowed,
            ENOTSUPP,
            "{name} not supported for program type {}",
            prog_type.number()
        )),
    }
}

/// `bpf_set_retval` needs a hook that returns something.
pub fn check_set_retval(env: &Env<'_>) -> Check {
    let cgroup = env.request.attach_type == Some(AttachType::LsmCgroup);
    if env.request.prog_type == ProgType::Lsm && cgroup && arguments::hook(env)?.returns_nothing() {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!"
        ));
    }
    Ok(())
}
