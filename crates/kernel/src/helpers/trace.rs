//! What a traced function was called with and returned, and who asked to trace it.

use panal_uapi::{Errno, ProgType};

use super::call::{Call, implement};

implement! {
    BPF_FUNC_get_attach_cookie => get_attach_cookie;
    BPF_FUNC_get_func_ip => get_func_ip;
    BPF_FUNC_get_func_arg => get_func_arg;
    BPF_FUNC_get_func_ret => get_func_ret;
    BPF_FUNC_get_func_arg_cnt => get_func_arg_cnt;
    BPF_FUNC_get_stack => get_stack;
    BPF_FUNC_get_task_stack => get_task_stack;
    BPF_FUNC_get_stackid => get_stackid;
    BPF_FUNC_get_branch_snapshot => get_branch_snapshot;
    BPF_FUNC_d_path => d_path;
}

fn get_attach_cookie(call: &mut Call<'_>) -> u64 {
    call.host().cookie
}

fn get_func_ip(call: &mut Call<'_>) -> u64 {
    call.host().function_ip
}

fn argument_count(call: &mut Call<'_>) -> usize {
    let host = call.host();
    host.arguments.len() - usize::from(host.returned)
}

fn get_func_arg(call: &mut Call<'_>) -> Result<(), Errno> {
    let (n, to) = (call.arg32(1) as usize, call.arg(2));
    if n >= argument_count(call) {
        return Err(Errno::EINVAL);
    }
    let value = call.host().arguments.get(n).copied().ok_or(Errno::EINVAL)?;
    call.write(to, &value.to_ne_bytes())
}

fn get_func_ret(call: &mut Call<'_>) -> Result<(), Errno> {
    let to = call.arg(1);
    let host = call.host();
    if host.program.prog_type() == ProgType::Tracing && !host.returned {
        return Err(Errno::EOPNOTSUPP);
    }
    let value = host.arguments.last().copied().unwrap_or(0);
    call.write(to, &value.to_ne_bytes())
}

fn get_func_arg_cnt(call: &mut Call<'_>) -> u64 {
    argument_count(call) as u64
}

/// Bits of the frames that are left out (`BPF_F_SKIP_FIELD_MASK`), and of user space's stack
/// (`BPF_F_USER_STACK`).
const STACK_FLAGS: u64 = 0xff | 1 << 8;
/// `BPF_F_USER_BUILD_ID`
const USER_BUILD_ID: u64 = 1 << 11;

/// Events come from outside the traced process, so there are no frames to be seen.
fn no_stack(call: &mut Call<'_>, flags: u64) -> Result<(), Errno> {
    let (to, size) = (call.arg(1), call.arg32(2) as usize);
    call.zero(to, size)?;
    if flags & !(STACK_FLAGS | USER_BUILD_ID) != 0 || !size.is_multiple_of(8) {
        return Err(Errno::EINVAL);
    }
    match size {
        0 => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}

fn get_stack(call: &mut Call<'_>) -> Result<(), Errno> {
    no_stack(call, call.arg(3))
}

fn get_task_stack(call: &mut Call<'_>) -> Result<(), Errno> {
    no_stack(call, call.arg(3))
}

fn get_stackid(call: &mut Call<'_>) -> Result<(), Errno> {
    use panal_maps::stack_trace_flags::{FAST_STACK_CMP, REUSE_STACKID};
    let known = STACK_FLAGS | FAST_STACK_CMP | REUSE_STACKID;
    match call.arg(2) & !known {
        0 => Err(Errno::EFAULT),
        _ => Err(Errno::EINVAL),
    }
}

/// No CPU's branches are recorded.
fn get_branch_snapshot(call: &mut Call<'_>) -> Result<(), Errno> {
    Err(if call.arg(2) == 0 {
        Errno::ENOENT
    } else {
        Errno::EINVAL
    })
}

/// The path text of a `struct path` that a hook made.
fn d_path(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (path, to, size) = (call.arg(0), call.arg(1), call.arg32(2) as usize);
    if size == 0 {
        return Ok(0);
    }
    let text = call.host().paths.get(path).ok_or(Errno::ENOENT)?;
    if text.len() + 1 > size {
        return Err(Errno::ENAMETOOLONG);
    }
    call.write(to, text.as_bytes())?;
    call.write(to + text.len() as u64, &[0])?;
    Ok(text.len() as u64 + 1)
}
