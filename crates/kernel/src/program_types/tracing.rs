//! Programs over events: tracepoints, functions and security hooks.

use panal_btf::Kind;
use panal_uapi::{
    AttachType, Errno, ProgType,
    kernel::{AttachTarget, Failure, TestRun, TestRunResult},
};

use super::{Behaviour, RUN_ON_CPU, no_translation, refuse};
use crate::{
    attach::{HookPoint, Moment},
    cpu::Session,
    kernel::Shared,
    objects::{Program, Target},
};

pub(crate) const TRACEPOINT: Behaviour = Behaviour {
    context_access: no_translation,
    test_run: Some(run_record),
    hook_point: tracepoint_hook,
};
pub(crate) const RAW_TRACEPOINT: Behaviour = Behaviour {
    context_access: no_translation,
    test_run: Some(run_arguments),
    hook_point: raw_tracepoint_hook,
};
pub(crate) const TRACING: Behaviour = Behaviour {
    context_access: no_translation,
    test_run: Some(run_arguments),
    hook_point: tracing_hook,
};
pub(crate) const LSM: Behaviour = Behaviour {
    context_access: no_translation,
    test_run: Some(run_arguments),
    hook_point: lsm_hook,
};

/// Bytes of twelve arguments, the most that a raw tracepoint has.
const ARGUMENTS: usize = 12 * 8;

/// Longest record of a tracepoint (`PERF_MAX_TRACE_SIZE`).
const RECORD: usize = 8192;

fn tracepoint_hook(_: &Shared, _: &Program, target: &AttachTarget) -> Option<HookPoint> {
    match target {
        AttachTarget::Tracepoint { category, name } => Some(HookPoint::Tracepoint {
            category: category.clone(),
            name: name.clone(),
        }),
        _ => None,
    }
}

fn raw_tracepoint_hook(_: &Shared, _: &Program, target: &AttachTarget) -> Option<HookPoint> {
    match target {
        AttachTarget::RawTracepoint(name) => Some(HookPoint::RawTracepoint(name.clone())),
        _ => None,
    }
}

/// Name and kind of the kernel's type that the program is tied to.
fn tied<'a>(shared: &'a Shared, program: &Program) -> Option<(&'a str, &'a Kind)> {
    let Some(Target::Kernel(id)) = &program.target else {
        return None;
    };
    let btf = &shared.config.profile.btf;
    Some((btf.name(*id), btf.kind(*id)))
}

fn tracing_hook(shared: &Shared, program: &Program, target: &AttachTarget) -> Option<HookPoint> {
    if *target != AttachTarget::AtLoad {
        return None;
    }
    let (name, kind) = tied(shared, program)?;
    let function = |moment| HookPoint::Function {
        name: name.to_owned(),
        moment,
    };
    match (program.attach_type()?, kind) {
        (AttachType::TraceRawTp, Kind::Typedef(_)) => Some(HookPoint::RawTracepoint(
            name.strip_prefix("btf_trace_")?.to_owned(),
        )),
        (AttachType::TraceFentry, Kind::Func { .. }) => Some(function(Moment::Entry)),
        (AttachType::TraceFexit, Kind::Func { .. }) => Some(function(Moment::Exit)),
        (AttachType::ModifyReturn, Kind::Func { .. }) => Some(function(Moment::ModifyReturn)),
        _ => None,
    }
}

fn lsm_hook(shared: &Shared, program: &Program, target: &AttachTarget) -> Option<HookPoint> {
    if !matches!(target, AttachTarget::AtLoad | AttachTarget::Cgroup { .. }) {
        return None;
    }
    let (name, _) = tied(shared, program)?;
    Some(HookPoint::Lsm(name.strip_prefix("bpf_lsm_")?.to_owned()))
}

/// A run with the record of a tracepoint as context. Linux has no such run; here the caller gives
/// the bytes, and missing ones are zero.
fn run_record(
    session: &mut Session<'_>,
    program: &Program,
    run: &TestRun,
) -> Result<TestRunResult, Failure> {
    run_bytes(session, program, run, RECORD)
}

/// A run with arguments of 8 bytes as context.
fn run_arguments(
    session: &mut Session<'_>,
    program: &Program,
    run: &TestRun,
) -> Result<TestRunResult, Failure> {
    let raw = matches!(
        program.prog_type,
        ProgType::RawTracepoint | ProgType::RawTracepointWritable
    );
    if raw && run.repeat > 1 {
        return Err(refuse(Errno::EINVAL, "this program type runs once"));
    }
    run_bytes(session, program, run, ARGUMENTS)
}

fn run_bytes(
    session: &mut Session<'_>,
    program: &Program,
    run: &TestRun,
    most: usize,
) -> Result<TestRunResult, Failure> {
    if !run.data_in.is_empty() {
        return Err(refuse(
            Errno::EINVAL,
            "this program type has a context and no packet",
        ));
    }
    if run.flags & RUN_ON_CPU == 0 && run.cpu != 0 {
        return Err(refuse(Errno::EINVAL, "a CPU without BPF_F_TEST_RUN_ON_CPU"));
    }
    if run.ctx_in.len() > most {
        return Err(refuse(
            Errno::EINVAL,
            format!("the context has at most {most} bytes"),
        ));
    }
    if run.ctx_in.len() < program.context_size() {
        return Err(refuse(
            Errno::EINVAL,
            format!(
                "the program reads {} bytes of context",
                program.context_size()
            ),
        ));
    }
    session.load_context(&run.ctx_in, most);
    Ok(session.repeat(program, run.repeat))
}
