//! Contexts that are a function's arguments, eight bytes each: tracing, LSM, iterators, struct_ops.

use alloc::format;

use panal_btf::{Btf, Kind, KindTag, Param, TypeId};
use panal_uapi::{
    AttachType, ProgType,
    program_types::arguments::{self as rules, IterArgument},
    program_types::lsm_hooks,
};

use super::{AccessKind, context::invalid};
use crate::{
    Tied,
    domain::Scalar,
    env::Env,
    error::{Check, Reject, reject},
    state::{BtfRef, BtfType, PtrFlags, RegKind, RegState},
};

/// `MAX_BPF_FUNC_ARGS` in bytes.
const LIMIT: i32 = 96;
/// Arguments when nothing is known of the function (`MAX_BPF_FUNC_REG_ARGS`).
const DEFAULT_ARGUMENTS: usize = 5;

/// The function that a program is attached to.
#[derive(Clone, Copy, Debug)]
pub struct Hook<'a> {
    /// Its types.
    pub btf: &'a Btf,
    /// Whose they are.
    pub whose: BtfRef,
    /// Its name; of a tracepoint, without `btf_trace_`; of a struct_ops callback, the member's.
    pub name: &'a str,
    /// Its parameters as programs see them; `None`: not known.
    pub params: Option<&'a [Param]>,
    /// Its return type; `None`: not known.
    pub ret: Option<TypeId>,
    /// The interface, for struct_ops.
    pub interface: Option<&'a str>,
}

impl Hook<'_> {
    /// Whether it returns nothing.
    pub fn returns_nothing(&self) -> bool {
        self.ret
            .is_some_and(|ret| matches!(self.btf.resolve(ret).1.kind, Kind::Void))
    }
}

/// The function that the program is attached to.
///
/// # Errors
/// It is attached to none, or to something that is not a function.
pub fn hook<'a>(env: &Env<'a>) -> Check<Hook<'a>> {
    let (whose, id) = match &env.request.tied {
        Some(Tied::Kernel(id)) => (BtfRef::Kernel, *id),
        Some(Tied::Program { function, .. }) => (BtfRef::Target, *function),
        None => {
            return Err(
                reject!(Types, EINVAL, "Tracing programs must provide btf_id")
                    .because("the program's type needs a function of the kernel to attach to"),
            );
        }
    };
    let btf = env
        .btf(whose)
        .ok_or_else(|| reject!(Types, EINVAL, "attach_btf_id {} is not a function", id.0))?;
    if env.request.prog_type == ProgType::StructOps {
        return callback(env, btf, id);
    }
    let prototype = btf.prototype(id);
    let name = btf.name(id);
    let tracepoint = name
        .strip_prefix("btf_trace_")
        .filter(|_| matches!(btf.resolve(id).1.kind, Kind::Ptr(_)));
    // A tracepoint's first argument is the private data of the probe.
    let skip = usize::from(tracepoint.is_some());
    let params = prototype.map(|p| p.params.get(skip..).unwrap_or(&[]));
    Ok(Hook {
        btf,
        whose,
        name: tracepoint.unwrap_or(name),
        params,
        ret: prototype.map(|p| p.ret),
        interface: None,
    })
}

/// The callback of an interface: `attach_type` is the member's number.
fn callback<'a>(env: &Env<'a>, btf: &'a Btf, id: TypeId) -> Check<Hook<'a>> {
    let interface = btf.name(id);
    let number = env.request.attach_type.map_or(0, AttachType::number);
    let member = btf
        .resolve(id)
        .1
        .kind
        .members()
        .and_then(|members| members.get(number as usize))
        .ok_or_else(|| {
            reject!(
                Types,
                EINVAL,
                "attach to invalid member idx {number} of struct {interface}"
            )
        })?;
    let prototype = btf.prototype(member.ty).ok_or_else(|| {
        reject!(
            Types,
            EINVAL,
            "attach to invalid member {}(@idx {number}) of struct {interface}",
            member.name
        )
    })?;
    Ok(Hook {
        btf,
        whose: BtfRef::Kernel,
        name: &member.name,
        params: Some(prototype.params),
        ret: Some(prototype.ret),
        interface: Some(interface),
    })
}

/// Checks a load of an argument.
///
/// # Errors
/// No such argument, or not one that may be read so.
pub fn check(env: &mut Env<'_>, off: i32, size: u32, access: AccessKind) -> Check<RegState> {
    let refuse = || invalid(off, size, access, "arguments");
    let aligned = size.is_power_of_two() && off % size as i32 == 0;
    if access.is_write() || !(0..LIMIT).contains(&off) || !aligned {
        return Err(refuse());
    }
    let hook = hook(env)?;
    let why = |text: alloc::string::String| also(text, refuse());
    if off % 8 != 0 {
        return Err(why(format!(
            "func '{}' offset {off} is not multiple of 8",
            hook.name
        )));
    }
    let number = index(&hook, off);
    let count = hook.params.map_or(DEFAULT_ARGUMENTS, <[Param]>::len);
    let no_such = || {
        why(format!(
            "func '{}' doesn't have {}-th argument",
            hook.name,
            number + 1
        ))
    };
    if number > count {
        return Err(no_such());
    }
    let ty = match hook.params {
        Some(params) if number < count => match params.get(number) {
            Some(param) => param.ty,
            None => return Err(no_such()),
        },
        None if number < count => return Ok(RegState::UNKNOWN),
        _ => match returned(env, &hook) {
            Returned::No => return Err(no_such()),
            Returned::Number => return Ok(RegState::UNKNOWN),
            Returned::NotSmall(name) => {
                return Err(why(format!("ret type {name} not allowed for fmod_ret")));
            }
            Returned::Type(_)
                if env.request.attach_type == Some(AttachType::LsmMac)
                    && !hook.returns_nothing() =>
            {
                // What the programs before it decided: as restricted as its own decision.
                let (min, max) = match lsm_hooks::is_bool(hook.name) {
                    true => (0, 1),
                    false => (-4095, 0),
                };
                return Ok(RegState::scalar(Scalar::signed_range(min, max)));
            }
            Returned::Type(ty) => ty,
        },
    };
    let (_, underneath) = hook.btf.resolve(ty);
    let target = match underneath.kind {
        Kind::Int { size, .. } | Kind::Enum { size, .. } if size <= 8 => {
            let is_result = number == count;
            let lsm = env.request.attach_type == Some(AttachType::LsmMac);
            return Ok(if is_result && lsm {
                result_so_far(&hook)
            } else {
                RegState::UNKNOWN
            });
        }
        Kind::Struct { .. } | Kind::Union { .. } => return Ok(RegState::UNKNOWN),
        Kind::Ptr(target) => target,
        _ => {
            return Err(why(format!(
                "func '{}' arg{number} '{}' has type {}. Only pointer access is allowed",
                hook.name,
                underneath.name,
                underneath.kind.tag().name()
            )));
        }
    };
    if size != 8 {
        return Err(why(format!("func '{}' size {size} must be 8", hook.name)));
    }
    pointer(env, &hook, number, target)
}

/// What a security hook returns so far: what its programs may return.
fn result_so_far(hook: &Hook<'_>) -> RegState {
    let (min, max) = if lsm_hooks::is_bool(hook.name) {
        (0, 1)
    } else {
        (-4095, 0)
    };
    RegState::scalar(Scalar::signed_range(min, max))
}

fn also(text: alloc::string::String, refusal: Reject) -> Reject {
    let body = refusal.into_body();
    Reject::new(body.class, body.errno, format!("{text}\n{}", body.linux)).because(text)
}

/// What lies behind the last argument.
enum Returned<'a> {
    No,
    Number,
    NotSmall(&'a str),
    Type(TypeId),
}

fn returned<'a>(env: &Env<'a>, hook: &Hook<'a>) -> Returned<'a> {
    match env.request.attach_type {
        Some(AttachType::LsmMac | AttachType::LsmCgroup | AttachType::TraceFexit) => match hook.ret
        {
            None => Returned::Number,
            Some(ret) => Returned::Type(ret),
        },
        Some(AttachType::ModifyReturn) => match hook.ret.map(|ret| hook.btf.resolve(ret).1) {
            Some(ty) if matches!(ty.kind, Kind::Int { size: ..=8, .. } | Kind::Enum { .. }) => {
                Returned::Number
            }
            Some(ty) => Returned::NotSmall(ty.kind.tag().name()),
            None => Returned::No,
        },
        _ => Returned::No,
    }
}

/// Number of the argument at an offset: structs by value take as many words as they need.
fn index(hook: &Hook<'_>, off: i32) -> usize {
    let Some(params) = hook.params else {
        return (off / 8) as usize;
    };
    let mut end = 0u32;
    for (number, param) in params.iter().enumerate() {
        let size = hook.btf.size_of(param.ty).unwrap_or(8).max(1);
        end = end.saturating_add(size.div_ceil(8).saturating_mul(8));
        if (off as u32) < end {
            return number;
        }
    }
    // What the function returns follows.
    params.len() + usize::from(off as u32 >= end.saturating_add(8))
}

/// The type that programs see of an argument: congestion control gets every socket as one of TCP.
fn seen_as(hook: &Hook<'_>, id: TypeId, name: &str) -> TypeId {
    match (hook.interface, name) {
        (Some("tcp_congestion_ops"), "sock") => {
            hook.btf.find("tcp_sock", KindTag::Struct).unwrap_or(id)
        }
        _ => id,
    }
}

/// A pointer argument.
fn pointer(env: &mut Env<'_>, hook: &Hook<'_>, number: usize, target: TypeId) -> Check<RegState> {
    let (id, underneath) = hook.btf.resolve(target);
    let is_struct = matches!(underneath.kind, Kind::Struct { .. } | Kind::Union { .. });
    let iterator = env.request.attach_type == Some(AttachType::TraceIter)
        && env.request.prog_type == ProgType::Tracing;
    let object = RegState::pointer(RegKind::Btf(BtfType {
        btf: hook.whose,
        id: seen_as(hook, id, &underneath.name),
    }));
    if iterator && let Some(rule) = rules::iterator(hook.name, number) {
        let id = env.new_id();
        let null = PtrFlags::MAYBE_NULL;
        let buffer = RegState::pointer(RegKind::Buf);
        return Ok(match rule {
            IterArgument::ObjectOrNull => object.with_flags(null),
            IterArgument::TrustedOrNull => object.with_flags(null | PtrFlags::TRUSTED),
            IterArgument::BufferOrNull => buffer.with_flags(null),
            IterArgument::ReadOnlyBufferOrNull => buffer.with_flags(null | PtrFlags::RDONLY),
        }
        .with_id(id));
    }
    // Anything but a struct behind the pointer: the address is but a number.
    if !is_struct {
        return Ok(RegState::UNKNOWN);
    }
    let mut flags = PtrFlags::empty();
    flags.set(PtrFlags::TRUSTED, trusted(env, hook));
    flags.set(PtrFlags::MAYBE_NULL, nullable(env, hook, number));
    for tag in hook.btf.type_tags(target) {
        match tag {
            "user" => flags |= PtrFlags::USER,
            "percpu" => flags |= PtrFlags::PERCPU,
            _ => {}
        }
    }
    let raw = env.request.attach_type == Some(AttachType::TraceRawTp);
    if raw && rules::tracepoint_may_be_error(hook.name, number) {
        return Ok(RegState::UNKNOWN);
    }
    if hook.whose == BtfRef::Target {
        return of_program(env, hook, underneath.name.as_ref());
    }
    if env.log.on() {
        let (name, ty) = (hook.name, &underneath.name);
        let (kind, id) = (underneath.kind.tag().name(), id.0);
        env.log.write(format_args!(
            "func '{name}' arg{number} has btf_id {id} type {kind} '{ty}'\n"
        ));
    }
    let mut value = object.with_flags(flags);
    if flags.contains(PtrFlags::MAYBE_NULL) {
        value = value.with_id(env.new_id());
    }
    Ok(value)
}

/// The kernel's structure behind a context of the uapi.
pub fn kernel_context(name: &str) -> Option<&'static str> {
    Some(match name {
        "__sk_buff" => "sk_buff",
        "xdp_md" => "xdp_buff",
        "pt_regs" => "pt_regs",
        "bpf_perf_event_data" => "bpf_perf_event_data_kern",
        "bpf_sock" => "sock",
        "bpf_sock_addr" => "bpf_sock_addr_kern",
        "bpf_sock_ops" => "bpf_sock_ops_kern",
        "bpf_cgroup_dev_ctx" => "bpf_cgroup_dev_ctx",
        "sk_msg_md" => "sk_msg",
        "bpf_sysctl" => "bpf_sysctl_kern",
        "bpf_sockopt" => "bpf_sockopt_kern",
        "sk_reuseport_md" => "sk_reuseport_kern",
        "bpf_sk_lookup" => "bpf_sk_lookup_kern",
        "bpf_nf_ctx" => "bpf_nf_ctx",
        _ => return None,
    })
}

/// Programs that trace a program see its context as the kernel's own structure.
fn of_program(env: &mut Env<'_>, hook: &Hook<'_>, name: &str) -> Check<RegState> {
    let Some(kernel) = kernel_context(name) else {
        return Err(reject!(
            ContextAccess,
            EACCES,
            "func '{}' arg type {name} is not a context",
            hook.name
        ));
    };
    let id = super::btf::kernel_struct(env, kernel)?;
    Ok(RegState::pointer(RegKind::Btf(BtfType {
        btf: BtfRef::Kernel,
        id,
    })))
}

/// Whether objects that the hook hands over are surely alive.
fn trusted(env: &Env<'_>, hook: &Hook<'_>) -> bool {
    match env.request.prog_type {
        ProgType::Tracing => matches!(
            env.request.attach_type,
            Some(AttachType::TraceRawTp | AttachType::TraceIter)
        ),
        ProgType::Lsm => lsm_hooks::is_trusted(hook.name),
        ProgType::StructOps => true,
        _ => false,
    }
}

fn nullable(env: &Env<'_>, hook: &Hook<'_>, number: usize) -> bool {
    let by_name = |params: Option<&[Param]>| {
        params
            .and_then(|p| p.get(number))
            .is_some_and(|p| p.name.ends_with("__nullable"))
    };
    if by_name(hook.params) {
        return true;
    }
    match hook.interface {
        Some(interface) => {
            // The kernel's stub of the callback has the names of the arguments.
            let stub = format!("{interface}__{}", hook.name);
            let stub = hook.btf.find(&stub, panal_btf::KindTag::Func);
            by_name(stub.and_then(|id| hook.btf.prototype(id)).map(|p| p.params))
        }
        None => {
            env.request.attach_type == Some(AttachType::TraceRawTp)
                && rules::tracepoint_may_be_null(hook.name, number)
        }
    }
}
