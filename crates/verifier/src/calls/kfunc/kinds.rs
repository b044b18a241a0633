//! What an argument of a kernel function is, by its type and the suffix of its name.

use panal_btf::{Btf, Kind, Param, TypeId};

use super::Meta;
use crate::{
    access::context,
    env::Env,
    error::{Check, reject},
    state::{RegKind, RegState},
};
use panal_uapi::{kfuncs::KfuncFlags, program_types::Context};

/// What a pointer argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    Null,
    Context,
    AllocatedObject,
    Dynptr,
    Iter,
    ListHead,
    ListNode,
    RbRoot,
    RbNode,
    CountedObject,
    ConstStr,
    Map,
    Workqueue,
    TaskWork,
    IrqFlag,
    ResSpinLock,
    Object,
    Callback,
    Mem,
    MemSize,
}

/// Whether a parameter's name ends with a suffix that has a meaning.
pub fn has_suffix(param: Option<&Param>, suffix: &str) -> bool {
    param.is_some_and(|p| p.name.len() > suffix.len() && p.name.ends_with(suffix))
}

/// Whether a type is a number: an integer or an enumeration.
pub fn is_scalar(btf: &Btf, id: TypeId) -> bool {
    matches!(btf.resolve(id).1.kind, Kind::Int { .. } | Kind::Enum { .. })
}

/// Whether a struct has only numbers in it, at most so deep.
pub fn is_scalar_struct(btf: &Btf, id: TypeId, depth: u32) -> bool {
    if depth > 3 {
        return false;
    }
    let Some(members) = btf.resolve(id).1.kind.members() else {
        return false;
    };
    members.iter().all(|member| {
        let (mut id, ty) = btf.resolve(member.ty);
        if let Kind::Array { element, len, .. } = ty.kind {
            if len == 0 {
                return false;
            }
            id = element;
        }
        is_scalar(btf, id) || is_scalar_struct(btf, id, depth + 1)
    })
}

/// The kernel type that a register of another kind than an object stands for.
pub fn mirror(reg: &RegState) -> Option<&'static str> {
    Some(match reg.kind {
        RegKind::Socket => "sock",
        RegKind::SockCommon => "sock_common",
        RegKind::TcpSock => "tcp_sock",
        RegKind::MapPtr { .. } => "bpf_map",
        _ => return None,
    })
}

/// Whether a size argument belongs to the memory before it.
pub fn is_size(param: Option<&Param>, reg: &RegState) -> bool {
    (has_suffix(param, "__sz") || has_suffix(param, "__szk")) && reg.is_scalar()
}

/// What pointer argument `index` is; `target` is what it points to.
pub fn of_pointer(
    env: &Env<'_>,
    meta: &Meta<'_>,
    index: usize,
    declared: TypeId,
    reg: &RegState,
    next: Option<&RegState>,
) -> Check<ArgKind> {
    let btf = meta.btf;
    let (target, underneath) = btf.resolve(declared);
    let name = &*underneath.name;
    let is_struct = matches!(underneath.kind, Kind::Struct { .. } | Kind::Union { .. });
    let param = meta.param(index);
    let suffix = |suffix| has_suffix(param, suffix);
    if matches!(
        meta.name(),
        "bpf_cast_to_kern_ctx" | "bpf_session_is_return" | "bpf_session_cookie"
    ) || (is_struct && is_context(env, name))
    {
        return Ok(ArgKind::Context);
    }
    if suffix("__nullable") && reg.is_null() {
        return Ok(ArgKind::Null);
    }
    if suffix("__alloc") {
        return Ok(ArgKind::AllocatedObject);
    }
    if suffix("__refcounted_kptr") {
        return Ok(ArgKind::CountedObject);
    }
    if matches!(name, "bpf_dynptr" | "bpf_dynptr_kern") {
        return Ok(ArgKind::Dynptr);
    }
    let iterates = KfuncFlags::ITER_NEW
        .union(KfuncFlags::ITER_NEXT)
        .union(KfuncFlags::ITER_DESTROY);
    if (index == 0 && meta.kfunc.flags.intersects(iterates)) || suffix("__iter") {
        return Ok(ArgKind::Iter);
    }
    let special = match name {
        "bpf_list_head" => Some(ArgKind::ListHead),
        "bpf_list_node" => Some(ArgKind::ListNode),
        "bpf_rb_root" => Some(ArgKind::RbRoot),
        "bpf_rb_node" => Some(ArgKind::RbNode),
        "bpf_wq" => Some(ArgKind::Workqueue),
        "bpf_task_work" => Some(ArgKind::TaskWork),
        "bpf_res_spin_lock" => Some(ArgKind::ResSpinLock),
        _ => None,
    };
    if let Some(kind) = special.filter(|_| is_struct) {
        return Ok(kind);
    }
    for (text, kind) in [
        ("__str", ArgKind::ConstStr),
        ("__map", ArgKind::Map),
        ("__irq_flag", ArgKind::IrqFlag),
    ] {
        if suffix(text) {
            return Ok(kind);
        }
    }
    let kind_name = underneath.kind.tag().name();
    if matches!(reg.kind, RegKind::Btf(_)) || mirror(reg).is_some() {
        if !is_struct {
            return Err(reject!(
                WrongType,
                EINVAL,
                "kernel function {} args#{index} pointer type {kind_name} {name} is not supported",
                meta.name()
            ));
        }
        return Ok(ArgKind::Object);
    }
    if matches!(underneath.kind, Kind::FuncProto { .. }) {
        return Ok(ArgKind::Callback);
    }
    let sized = next.is_some_and(|next| is_size(meta.param(index + 1), next));
    let void = matches!(underneath.kind, Kind::Void);
    if !(is_scalar(btf, target) || is_scalar_struct(btf, target, 0) || sized && void) {
        return Err(reject!(
            WrongType,
            EINVAL,
            "arg#{index} pointer type {kind_name} {name} must point to {}scalar, or struct with scalar",
            if sized { "void, " } else { "" }
        ));
    }
    Ok(if sized {
        ArgKind::MemSize
    } else {
        ArgKind::Mem
    })
}

/// Whether a struct is the program type's context.
fn is_context(env: &Env<'_>, name: &str) -> bool {
    match context::rules(env).map(|rules| rules.context) {
        Ok(Context::Fields(fields)) => fields.layout.name == name,
        _ => false,
    }
}
