//! What the program as a whole must be, before its instructions count: sleepable where that is
//! allowed, attached to a hook that takes programs.

use panal_uapi::{
    AttachType, ProgType,
    kernel::ProgFlags,
    program_types::{Sleepable, lsm_hooks},
};

use super::{arguments, context, interfaces};
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
        ProgType::StructOps => interface(env, sleepable),
        _ => Ok(()),
    }
}

/// The member of a kernel interface takes such programs.
fn interface(env: &Env<'_>, sleepable: bool) -> Check {
    let hook = arguments::hook(env)?;
    let (name, member) = (hook.interface.unwrap_or_default(), hook.name);
    let interface = interfaces::find(name);
    if !interface.supports(member) {
        return Err(reject!(
            NotAllowed,
            ENOTSUPP,
            "attach to unsupported member {member} of struct {name}"
        ));
    }
    if sleepable && !interface.may_sleep(member) {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "attach to unsupported member {member} of struct {name}"
        )
        .because("programs of this member must not sleep"));
    }
    Ok(())
}

fn not_sleepable() -> crate::error::Reject {
    reject!(
        NotAllowed,
        EINVAL,
        "Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable"
    )
}

/// System calls, whose errors may be injected.
const SYSTEM_CALLS: &[&str] = &["__x64_sys_", "__ia32_sys_", "__arm64_sys_"];

/// Other functions whose errors may be injected (`ALLOW_ERROR_INJECTION`): they may be slept in, but
/// for [`ATOMIC`].
const INJECTABLE: &[&str] = &[
    "__filemap_add_folio",
    "btrfs_check_leaf",
    "btrfs_check_node",
    "btrfs_cow_block",
    "btrfs_search_slot",
    "btrfs_should_cancel_balance",
    "open_ctree",
    "page_pool_alloc_pages",
    "should_fail_alloc_page",
    "should_fail_bio",
    "should_failslab",
];

/// Those of [`INJECTABLE`] that are called where nobody sleeps (`btf_non_sleepable_error_inject`).
const ATOMIC: &[&str] = &[
    "__filemap_add_folio",
    "should_fail_alloc_page",
    "should_failslab",
];

/// Functions that never come to their end (`noreturn_deny`).
const NEVER_RETURN: &[&str] = &[
    "__ia32_sys_exit",
    "__ia32_sys_exit_group",
    "__kunit_abort",
    "__module_put_and_kthread_exit",
    "__x64_sys_exit",
    "__x64_sys_exit_group",
    "do_exit",
    "do_group_exit",
    "kthread_complete_and_exit",
    "kthread_exit",
    "kunit_try_catch_throw",
    "make_task_dead",
];

/// Functions for the kernel's own tests of programs.
const MADE_FOR_TESTS: &[&str] = &["bpf_modify_return_test", "bpf_fentry_test"];

/// Functions that are there to have their return value replaced.
const MODIFIABLE: &[&str] = &["__hid_bpf_tail_call", "update_socket_protocol"];

fn tracing(env: &Env<'_>, sleepable: bool) -> Check {
    let hook = arguments::hook(env)?;
    let iterator = env.request.attach_type == Some(AttachType::TraceIter);
    let begins_with = |prefixes: &[&str]| prefixes.iter().any(|p| hook.name.starts_with(p));
    let injectable = begins_with(SYSTEM_CALLS) || INJECTABLE.contains(&hook.name);
    let may_sleep = iterator
        || env.request.attach_type.is_none()
        || (injectable && !ATOMIC.contains(&hook.name))
        || begins_with(MADE_FOR_TESTS);
    // Those whose errors may be injected are so only where a kernel is built for that
    // (`CONFIG_FUNCTION_ERROR_INJECTION`), which Debian's are not, and a profile does not tell.
    let modifiable = begins_with(&["security_"])
        || begins_with(MADE_FOR_TESTS)
        || MODIFIABLE.contains(&hook.name);
    let whose_end_is_seen = matches!(
        env.request.attach_type,
        Some(AttachType::TraceFexit | AttachType::ModifyReturn)
    );
    if env.since(6, 15) && whose_end_is_seen && NEVER_RETURN.contains(&hook.name) {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "Attaching fexit/fmod_ret to __noreturn function '{}' is rejected.",
            hook.name
        ));
    }
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
