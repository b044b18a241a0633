//! Programs whose context has the uapi's layout and that need nothing else.

use panal_uapi::{
    Errno,
    kernel::{AttachTarget, Failure, TestRun, TestRunResult},
};

use super::{Behaviour, no_hook, no_translation, refuse};
use crate::{
    attach::{HookPoint, Moment},
    cpu::Session,
    kernel::Shared,
    objects::Program,
};

pub(crate) const KPROBE: Behaviour = Behaviour {
    context_access: no_translation,
    test_run: None,
    hook_point: kprobe_hook,
};
pub(crate) const SYSCALL: Behaviour = Behaviour {
    context_access: no_translation,
    test_run: Some(run_syscall),
    hook_point: no_hook,
};
pub(crate) const CGROUP: Behaviour = Behaviour {
    context_access: no_translation,
    test_run: None,
    hook_point: cgroup_hook,
};
pub(crate) const OTHER: Behaviour = Behaviour {
    context_access: no_translation,
    test_run: None,
    hook_point: no_hook,
};

fn kprobe_hook(_: &Shared, _: &Program, target: &AttachTarget) -> Option<HookPoint> {
    match target {
        AttachTarget::Kprobe {
            function,
            offset: 0,
            on_return,
        } => Some(HookPoint::Function {
            name: function.clone(),
            moment: if *on_return {
                Moment::Exit
            } else {
                Moment::Entry
            },
        }),
        _ => None,
    }
}

fn cgroup_hook(_: &Shared, program: &Program, target: &AttachTarget) -> Option<HookPoint> {
    match target {
        AttachTarget::Cgroup { .. } => program.attach_type().map(HookPoint::Cgroup),
        _ => None,
    }
}

/// `BPF_PROG_TYPE_SYSCALL`: the context is read and written.
fn run_syscall(
    session: &mut Session<'_>,
    program: &Program,
    run: &TestRun,
) -> Result<TestRunResult, Failure> {
    const MOST: usize = 65_535;
    if !run.data_in.is_empty() || run.repeat != 0 || run.flags != 0 || run.cpu != 0 {
        return Err(refuse(
            Errno::EINVAL,
            "syscall programs take a context and nothing else",
        ));
    }
    if run.ctx_in.len() > MOST || run.ctx_in.len() < program.context_size() {
        return Err(refuse(
            Errno::EINVAL,
            format!("the context has {} to {MOST} bytes", program.context_size()),
        ));
    }
    session.load_context(&run.ctx_in, MOST);
    let mut result = session.repeat(program, 1);
    result.ctx_out = session.context(run.ctx_in.len());
    Ok(result)
}
