//! The current task.

use panal_uapi::Errno;

use super::call::{Call, implement};
use crate::task::Task;

implement! {
    BPF_FUNC_get_current_pid_tgid => get_current_pid_tgid;
    BPF_FUNC_get_current_uid_gid => get_current_uid_gid;
    BPF_FUNC_get_current_comm => get_current_comm;
    BPF_FUNC_get_current_task => get_current_task;
    BPF_FUNC_get_current_task_btf => get_current_task_btf;
    BPF_FUNC_get_ns_current_pid_tgid => get_ns_current_pid_tgid;
    BPF_FUNC_get_current_cgroup_id => get_current_cgroup_id;
    BPF_FUNC_get_current_ancestor_cgroup_id => get_current_ancestor_cgroup_id;
    BPF_FUNC_current_task_under_cgroup => current_task_under_cgroup;
    BPF_FUNC_kallsyms_lookup_name => kallsyms_lookup_name;
    BPF_FUNC_get_cgroup_classid => get_cgroup_classid;
    BPF_FUNC_get_retval => get_retval;
    BPF_FUNC_set_retval => set_retval;
}

fn get_current_pid_tgid(call: &mut Call<'_>) -> u64 {
    crate::task::pid_tgid(call.host().task)
}

fn get_current_uid_gid(call: &mut Call<'_>) -> u64 {
    let host = call.host();
    *host
        .uid_gid
        .get_or_insert_with(|| u64::from(host.task.gid()) << 32 | u64::from(host.task.uid()))
}

/// A task's name, with zeros behind it.
fn name(task: &dyn Task) -> [u8; 16] {
    let mut comm = task.comm();
    let used = comm.iter().position(|&b| b == 0).unwrap_or(15).min(15);
    comm[used..].fill(0);
    comm
}

fn get_current_comm(call: &mut Call<'_>) -> Result<(), Errno> {
    let (to, size) = (call.arg(0), call.arg32(1) as usize);
    let host = call.host();
    let comm = *host.comm.get_or_insert_with(|| name(host.task));
    if size < comm.len() {
        let mut cut = comm;
        cut[size.saturating_sub(1)..].fill(0);
        return call.write(to, &cut[..size]);
    }
    if size > comm.len() {
        call.zero(to, size)?;
    }
    let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| comm[at + i]));
    call.write_pair(to, [word(0), word(8)])
}

fn get_current_task(call: &mut Call<'_>) -> u64 {
    call.host().task.object()
}

fn get_current_task_btf(call: &mut Call<'_>) -> u64 {
    call.host().task.object()
}

/// The ids are those of Panal's own namespace: others are refused, as Linux refuses a namespace
/// that is not the task's.
fn get_ns_current_pid_tgid(call: &mut Call<'_>) -> Result<(), Errno> {
    let (device, inode, to, size) = (call.arg(0), call.arg(1), call.arg(2), call.arg32(3));
    let matches = own_pid_namespace() == Some((device, inode));
    if size != 8 || !matches {
        call.zero(to, size as usize)?;
        return Err(Errno::EINVAL);
    }
    let task = call.host().task;
    let mut ids = [0; 8];
    ids[..4].copy_from_slice(&task.tid().to_ne_bytes());
    ids[4..].copy_from_slice(&task.tgid().to_ne_bytes());
    call.write(to, &ids)
}

fn own_pid_namespace() -> Option<(u64, u64)> {
    use std::{os::unix::fs::MetadataExt, sync::OnceLock};
    static NAMESPACE: OnceLock<Option<(u64, u64)>> = OnceLock::new();
    *NAMESPACE.get_or_init(|| {
        let file = std::fs::metadata("/proc/self/ns/pid").ok()?;
        Some((file.dev(), file.ino()))
    })
}

fn get_current_cgroup_id(call: &mut Call<'_>) -> u64 {
    call.host().task.cgroup_id()
}

/// Cgroups have no ancestors here: only level 0, the root, is there.
fn get_current_ancestor_cgroup_id(call: &mut Call<'_>) -> u64 {
    const ROOT: u64 = 1;
    if call.arg32(0) == 0 { ROOT } else { 0 }
}

/// No cgroup can be put into an array, so none is ever found in one.
fn current_task_under_cgroup(call: &mut Call<'_>) -> Result<(), Errno> {
    let entries = call.map(0)?.base().def().max_entries;
    Err(if call.arg32(1) < entries {
        Errno::EAGAIN
    } else {
        Errno::E2BIG
    })
}

/// Panal's kernel has no symbols.
fn kallsyms_lookup_name(call: &mut Call<'_>) -> Result<(), Errno> {
    call.zero(call.arg(3), 8)?;
    Err(if call.arg32(2) == 0 {
        Errno::ENOENT
    } else {
        Errno::EINVAL
    })
}

/// No task is in a net_cls class here.
fn get_cgroup_classid(_: &mut Call<'_>) -> u64 {
    0
}

fn get_retval(call: &mut Call<'_>) -> u64 {
    i64::from(call.host().retval) as u64
}

fn set_retval(call: &mut Call<'_>) -> Result<(), Errno> {
    call.host().retval = call.arg32(0) as i32;
    Ok(())
}
