//! The hook points of a process tree: which there are, and what hangs at them.

use std::sync::Arc;

use panal_isa::{CallTarget, Instruction};
use panal_uapi::{AttachType, ProgType};

use crate::{Attachment, HookPoint, PanalKernel};

use super::{
    request::Guards,
    syscall_table::{self, LIMIT},
    watcher::{Demand, SyscallSet},
};

/// A security hook or cgroup hook, and the requests that it needs guarded.
struct Guarded {
    lsm: &'static str,
    cgroup: &'static [AttachType],
    guard: fn(&mut Guards),
}

const GUARDED: &[Guarded] = &[
    Guarded {
        lsm: "file_open",
        cgroup: &[],
        guard: |g| g.open = true,
    },
    Guarded {
        lsm: "socket_connect",
        cgroup: &[
            AttachType::CgroupInet4Connect,
            AttachType::CgroupInet6Connect,
        ],
        guard: |g| g.connect = true,
    },
    Guarded {
        lsm: "socket_bind",
        cgroup: &[AttachType::CgroupInet4Bind, AttachType::CgroupInet6Bind],
        guard: |g| g.bind = true,
    },
];

/// Security hooks on names, by what they are asked: see [`super::request::Change`].
pub(super) const CHANGES: [&str; 7] = [
    "path_unlink",
    "path_rmdir",
    "path_mkdir",
    "path_rename",
    "path_link",
    "path_symlink",
    "path_truncate",
];

const PROCESS: [&str; 3] = [
    "sched_process_fork",
    "sched_process_exec",
    "sched_process_exit",
];
const RAW_SYSCALLS: [&str; 2] = ["sys_enter", "sys_exit"];

/// Whether a process tree has events at this point.
pub(crate) fn offers(point: &HookPoint) -> bool {
    match point {
        HookPoint::Tracepoint { category, name } => match category.as_str() {
            "syscalls" => ["sys_enter_", "sys_exit_"].iter().any(|prefix| {
                name.strip_prefix(prefix)
                    .is_some_and(|n| syscall_table::number(n).is_some())
            }),
            "raw_syscalls" => RAW_SYSCALLS.contains(&name.as_str()),
            "sched" => PROCESS.contains(&name.as_str()),
            _ => false,
        },
        HookPoint::RawTracepoint(name) => {
            RAW_SYSCALLS.contains(&name.as_str()) || PROCESS.contains(&name.as_str())
        }
        HookPoint::Lsm(name) => {
            CHANGES.contains(&name.as_str()) || GUARDED.iter().any(|guarded| guarded.lsm == name)
        }
        HookPoint::Cgroup(kind) => GUARDED.iter().any(|guarded| guarded.cgroup.contains(kind)),
        _ => false,
    }
}

/// Programs at one point, in the order of attaching.
pub(super) type List = Arc<[Arc<Attachment>]>;

/// Programs at a tracepoint, by its record and by its arguments.
pub(super) struct Tracepoint {
    pub by_record: List,
    pub by_arguments: List,
}

impl Tracepoint {
    fn at(kernel: &PanalKernel, category: &str, name: &str) -> Self {
        Tracepoint {
            by_record: record_programs(kernel, category, name.to_owned()),
            by_arguments: kernel.attached(&HookPoint::RawTracepoint(name.to_owned())),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.by_record.is_empty() && self.by_arguments.is_empty()
    }
}

fn record_programs(kernel: &PanalKernel, category: &str, name: String) -> List {
    kernel.attached(&HookPoint::Tracepoint {
        category: category.to_owned(),
        name,
    })
}

/// Everything that hangs at a process tree's points, when its supervision starts.
pub(super) struct Attached {
    /// By number of the system call.
    pub enter: Vec<List>,
    pub exit: Vec<List>,
    pub any_enter: Tracepoint,
    pub any_exit: Tracepoint,
    pub fork: Tracepoint,
    pub exec: Tracepoint,
    pub end: Tracepoint,
    pub file_open: List,
    pub socket_connect: List,
    pub socket_bind: List,
    /// In the order of [`CHANGES`].
    pub changes: [List; CHANGES.len()],
    /// Some program may look at the task's `task_struct`.
    pub wants_task: bool,
    kernel: PanalKernel,
}

impl Attached {
    pub fn new(kernel: &PanalKernel) -> Self {
        let by_number = |prefix: &str| {
            let list = |number| match syscall_table::name(number) {
                Some(name) => record_programs(kernel, "syscalls", format!("{prefix}{name}")),
                None => Arc::from([]),
            };
            (0..LIMIT).map(list).collect()
        };
        let lsm = |name: &str| kernel.attached(&HookPoint::Lsm(name.to_owned()));
        let wants_task = kernel
            .attached_points()
            .iter()
            .filter(|point| offers(point))
            .flat_map(|point| kernel.attached(point).to_vec())
            .any(|attachment| looks_at_task(&attachment));
        Attached {
            enter: by_number("sys_enter_"),
            exit: by_number("sys_exit_"),
            any_enter: Tracepoint::at(kernel, "raw_syscalls", "sys_enter"),
            any_exit: Tracepoint::at(kernel, "raw_syscalls", "sys_exit"),
            fork: Tracepoint::at(kernel, "sched", "sched_process_fork"),
            exec: Tracepoint::at(kernel, "sched", "sched_process_exec"),
            end: Tracepoint::at(kernel, "sched", "sched_process_exit"),
            file_open: lsm("file_open"),
            socket_connect: lsm("socket_connect"),
            socket_bind: lsm("socket_bind"),
            changes: CHANGES.map(lsm),
            wants_task,
            kernel: kernel.clone(),
        }
    }

    /// Programs at a cgroup hook.
    pub fn cgroup(&self, kind: AttachType) -> List {
        self.kernel.attached(&HookPoint::Cgroup(kind))
    }

    /// What must be heard so that all of them run.
    pub fn demand(&self) -> Demand {
        let set = |lists: &[List], any: &Tracepoint| match any.is_empty() {
            true => numbers(lists),
            false => SyscallSet::all(),
        };
        let mut guards = Guards::default();
        for guarded in GUARDED {
            let lsm = HookPoint::Lsm(guarded.lsm.to_owned());
            let cgroup = guarded.cgroup.iter().map(|kind| HookPoint::Cgroup(*kind));
            let attached = |point: HookPoint| !self.kernel.attached(&point).is_empty();
            if [lsm].into_iter().chain(cgroup).any(attached) {
                (guarded.guard)(&mut guards);
            }
        }
        guards.change = self.changes.iter().any(|list| !list.is_empty());
        Demand {
            enter: set(&self.enter, &self.any_enter),
            exit: set(&self.exit, &self.any_exit),
            guards,
        }
    }
}

fn numbers(lists: &[List]) -> SyscallSet {
    let with_programs = lists
        .iter()
        .enumerate()
        .filter(|(_, list)| !list.is_empty());
    with_programs.map(|(number, _)| number as u32).collect()
}

/// Whether a program may look at the current task's `task_struct`: it asks for it, or its arguments
/// are kernel objects.
fn looks_at_task(attachment: &Attachment) -> bool {
    let program = attachment.program();
    if matches!(
        program.prog_type(),
        ProgType::Lsm | ProgType::Tracing | ProgType::RawTracepoint
    ) {
        return true;
    }
    let Some(proof) = program.proof() else {
        return true;
    };
    (0..proof.slots().len())
        .filter_map(|slot| proof.instruction(slot))
        .any(|instruction| {
            matches!(
                instruction,
                Instruction::Call(CallTarget::Helper(
                    panal_uapi::helpers::id::BPF_FUNC_get_current_task
                        | panal_uapi::helpers::id::BPF_FUNC_get_current_task_btf
                ))
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_offered_by_linux_s_names() {
        let tracepoint = |category: &str, name: &str| {
            offers(&HookPoint::Tracepoint {
                category: category.into(),
                name: name.into(),
            })
        };
        assert!(tracepoint("syscalls", "sys_enter_openat"));
        assert!(tracepoint("syscalls", "sys_exit_newfstatat"));
        assert!(tracepoint("raw_syscalls", "sys_enter"));
        assert!(tracepoint("sched", "sched_process_exec"));
        assert!(!tracepoint("syscalls", "sys_enter_nothing"));
        assert!(!tracepoint("block", "block_rq_issue"));
        assert!(offers(&HookPoint::Lsm("file_open".into())));
        assert!(!offers(&HookPoint::Lsm("file_permission".into())));
        assert!(offers(&HookPoint::Cgroup(AttachType::CgroupInet4Connect)));
        assert!(!offers(&HookPoint::Cgroup(AttachType::CgroupSockOps)));
    }
}
