//! Global functions: verified on their own, for any arguments that their types allow.

use alloc::{string::String, vec::Vec};

use panal_btf::{Btf, Kind, KindTag, TypeId};
use panal_isa::Reg;

use crate::{
    access::{AccessKind, context, helper_range},
    calls::room,
    env::Env,
    error::{Check, Reject, reject},
    state::{BtfRef, BtfType, DynptrKind, Frame, PtrFlags, RegKind, RegState, State},
};

/// What a global function takes as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Argument {
    /// Any number.
    Number,
    /// The context.
    Context,
    /// Memory of this size.
    Memory { size: u32, nullable: bool },
    /// Memory that is only read, by probing.
    Untrusted,
    /// A pointer to a dynptr.
    Dynptr,
    /// An arena pointer.
    Arena,
    /// A kernel object.
    Object {
        ty: BtfType,
        nullable: bool,
        trusted: bool,
    },
}

/// Tags of an argument (`__arg_ctx` and relatives).
#[derive(Clone, Copy, Debug, Default)]
struct Tags {
    ctx: bool,
    trusted: bool,
    untrusted: bool,
    nonnull: bool,
    nullable: bool,
    arena: bool,
}

impl Tags {
    fn any(self) -> bool {
        self.ctx || self.trusted || self.untrusted || self.nonnull || self.nullable || self.arena
    }
}

fn tags(env: &Env<'_>, func: TypeId, index: usize) -> Check<Tags> {
    let mut tags = Tags::default();
    let Some(types) = env.request.types else {
        return Ok(tags);
    };
    for (_, ty) in types.btf.iter() {
        let Kind::DeclTag {
            ty: tagged,
            component,
            ..
        } = ty.kind
        else {
            continue;
        };
        if tagged != func || usize::try_from(component) != Ok(index) {
            continue;
        }
        match ty.name.strip_prefix("arg:") {
            Some("ctx") => tags.ctx = true,
            Some("trusted") => tags.trusted = true,
            Some("untrusted") => tags.untrusted = true,
            Some("nonnull") => tags.nonnull = true,
            Some("nullable") => tags.nullable = true,
            Some("arena") => tags.arena = true,
            Some(_) => {
                return Err(reject!(
                    Types,
                    EOPNOTSUPP,
                    "arg#{index} has unsupported set of tags"
                ));
            }
            None => {}
        }
    }
    Ok(tags)
}

fn arguments(env: &Env<'_>, subprog: u32) -> Check<Vec<Argument>> {
    let sub = &env.program.subprograms[subprog as usize];
    let name = &sub.name;
    let (Some(types), Some(func)) = (env.request.types, sub.ty) else {
        return Err(reject!(
            Types,
            EINVAL,
            "global function without type information"
        ));
    };
    let Some(prototype) = types.btf.prototype(func) else {
        return Err(reject!(Types, EINVAL, "Invalid type of func {name}"));
    };
    if !gives_number(types.btf, prototype.ret) {
        return Err(reject!(
            Types,
            EINVAL,
            "Global function {name}() doesn't return scalar. Only those are supported."
        ));
    }
    if prototype.params.len() > 5 {
        return Err(reject!(
            Types,
            EINVAL,
            "Global function {name}() with {} > 5 args. Buggy compiler.",
            prototype.params.len()
        ));
    }
    prototype
        .params
        .iter()
        .enumerate()
        .map(|(index, param)| argument(env, index, param.ty, tags(env, func, index)?, name))
        .collect()
}

/// The handler of exceptions takes the number that was thrown.
///
/// # Errors
/// It takes something else, or returns no number.
pub fn check_handler(env: &Env<'_>, subprog: u32) -> Check {
    match arguments(env, subprog)?.as_slice() {
        [Argument::Number] => Ok(()),
        _ => Err(reject!(
            Types,
            EINVAL,
            "exception cb only supports single integer argument"
        )),
    }
}

fn gives_number(btf: &Btf, ret: TypeId) -> bool {
    matches!(
        btf.resolve(ret).1.kind,
        Kind::Int { .. } | Kind::Enum { .. }
    )
}

/// Whether a function returns a number, as far as its type is known.
pub fn returns_number(env: &Env<'_>, subprog: usize) -> bool {
    let returns = env.request.types.and_then(|types| {
        let func = env.program.subprograms.get(subprog)?.ty?;
        Some(gives_number(types.btf, types.btf.prototype(func)?.ret))
    });
    returns.unwrap_or(true)
}

fn argument(
    env: &Env<'_>,
    index: usize,
    ty: TypeId,
    tags: Tags,
    function: &str,
) -> Check<Argument> {
    let Some(types) = env.request.types else {
        return Ok(Argument::Number);
    };
    let btf = types.btf;
    let (_, target) = btf.resolve(ty);
    let Kind::Ptr(pointee) = target.kind else {
        if tags.any() {
            return Err(reject!(
                Types,
                EINVAL,
                "arg#{index} has pointer tag, but is not a pointer type"
            ));
        }
        return match target.kind {
            Kind::Int { .. } | Kind::Enum { .. } => Ok(Argument::Number),
            _ => Err(reject!(
                Types,
                EINVAL,
                "Arg#{index} type {} in {function}() is not supported yet.",
                kind_name(&target.kind)
            )),
        };
    };
    if tags.ctx || is_context(env, pointee) {
        return Ok(Argument::Context);
    }
    let (pointee_id, pointed) = btf.resolve(pointee);
    if is_dynptr(&pointed.kind, &pointed.name) {
        return Ok(Argument::Dynptr);
    }
    // `task_struct___local` is some program's own view of `task_struct`.
    let flavourless = pointed.name.split("___").next().unwrap_or_default();
    if tags.trusted {
        let id = env
            .request
            .profile
            .btf
            .find(flavourless, KindTag::Struct)
            .ok_or_else(|| {
                reject!(
                    Types,
                    EINVAL,
                    "arg#{index} type {} is unknown to the kernel",
                    pointed.name
                )
            })?;
        let ty = BtfType {
            btf: BtfRef::Kernel,
            id,
        };
        return Ok(Argument::Object {
            ty,
            nullable: tags.nullable,
            trusted: true,
        });
    }
    if tags.untrusted {
        return match env.request.profile.btf.find(flavourless, KindTag::Struct) {
            Some(id) if matches!(pointed.kind, Kind::Struct { .. }) => Ok(Argument::Object {
                ty: BtfType {
                    btf: BtfRef::Kernel,
                    id,
                },
                nullable: false,
                trusted: false,
            }),
            _ => Ok(Argument::Untrusted),
        };
    }
    if tags.arena {
        return Ok(Argument::Arena);
    }
    match btf.size_of(pointee_id) {
        Some(size) if !matches!(pointed.kind, Kind::Void) => Ok(Argument::Memory {
            size,
            nullable: !tags.nonnull,
        }),
        _ => Err(reject!(
            Types,
            EINVAL,
            "arg#{index} reference type('{} {}') size cannot be determined: -22",
            kind_name(&pointed.kind),
            pointed.name
        )),
    }
}

fn is_dynptr(kind: &Kind, name: &str) -> bool {
    matches!(kind, Kind::Struct { .. }) && name == "bpf_dynptr"
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Void => "UNKNOWN",
        Kind::Int { .. } => "INT",
        Kind::Ptr(_) => "PTR",
        Kind::Array { .. } => "ARRAY",
        Kind::Struct { .. } => "STRUCT",
        Kind::Union { .. } => "UNION",
        Kind::Enum { .. } => "ENUM",
        Kind::Fwd { .. } => "FWD",
        Kind::FuncProto { .. } => "FUNC_PROTO",
        Kind::Float { .. } => "FLOAT",
        _ => "TYPEDEF",
    }
}

/// Whether the type is the one that programs of this type call their context.
fn is_context(env: &Env<'_>, pointee: TypeId) -> bool {
    use panal_uapi::ProgType as T;
    let Some(types) = env.request.types else {
        return false;
    };
    let names: &[&str] = match context::effective_type(env) {
        T::SocketFilter
        | T::SchedCls
        | T::SchedAct
        | T::CgroupSkb
        | T::LwtIn
        | T::LwtOut
        | T::LwtXmit
        | T::LwtSeg6local
        | T::SkSkb
        | T::FlowDissector => &["__sk_buff"],
        T::Xdp => &["xdp_md"],
        T::CgroupSock => &["bpf_sock"],
        T::CgroupSockAddr => &["bpf_sock_addr"],
        T::SockOps => &["bpf_sock_ops"],
        T::SkMsg => &["sk_msg_md"],
        T::Kprobe => &["bpf_user_pt_regs_t", "pt_regs"],
        T::PerfEvent => &["bpf_perf_event_data"],
        T::RawTracepoint | T::RawTracepointWritable => &["bpf_raw_tracepoint_args"],
        T::CgroupDevice => &["bpf_cgroup_dev_ctx"],
        T::CgroupSysctl => &["bpf_sysctl"],
        T::CgroupSockopt => &["bpf_sockopt"],
        T::SkReuseport => &["sk_reuseport_md"],
        T::SkLookup => &["bpf_sk_lookup"],
        T::Netfilter => &["bpf_nf_ctx"],
        _ => &[],
    };
    // A typedef of the name counts as well as the structure itself.
    let mut id = pointee;
    loop {
        let Some(ty) = types.btf.get(id) else {
            return false;
        };
        match ty.kind {
            Kind::Const(to) | Kind::Volatile(to) | Kind::Restrict(to) => id = to,
            Kind::TypeTag { ty: to, .. } => id = to,
            Kind::Typedef(to) => {
                if names.contains(&&*ty.name) {
                    return true;
                }
                id = to;
            }
            Kind::Struct { .. } => return names.contains(&&*ty.name),
            _ => return false,
        }
    }
}

/// Sets `r1` to `r5` at entry of a global function.
///
/// # Errors
/// Its types are not supported.
pub fn set_arguments(env: &mut Env<'_>, subprog: u32, frame: &mut Frame) -> Check {
    for (index, argument) in arguments(env, subprog)?.into_iter().enumerate() {
        let maybe = |nullable| {
            if nullable {
                PtrFlags::MAYBE_NULL
            } else {
                PtrFlags::empty()
            }
        };
        frame.regs[index + 1] = match argument {
            Argument::Number => RegState::UNKNOWN,
            Argument::Context => RegState::pointer(RegKind::Context),
            Argument::Memory { size, nullable } => {
                RegState::pointer(RegKind::Mem { size, dynptr_id: 0 })
                    .with_flags(maybe(nullable))
                    .with_id(env.new_id())
            }
            Argument::Untrusted => RegState::pointer(RegKind::Mem {
                size: 0,
                dynptr_id: 0,
            })
            .with_flags(PtrFlags::RDONLY | PtrFlags::UNTRUSTED),
            Argument::Dynptr => RegState::pointer(RegKind::Dynptr {
                kind: DynptrKind::Local,
                first: true,
            })
            .with_id(env.new_id()),
            Argument::Arena => RegState {
                kind: RegKind::Arena,
                ..RegState::UNKNOWN
            },
            Argument::Object {
                ty,
                nullable,
                trusted,
            } => {
                let flags = if trusted {
                    PtrFlags::TRUSTED
                } else {
                    PtrFlags::UNTRUSTED
                };
                RegState::pointer(RegKind::Btf(ty))
                    .with_flags(flags | maybe(nullable))
                    .with_id(env.new_id())
            }
        };
    }
    Ok(())
}

/// A call of a global function: arguments are checked against its types, its body is not walked.
///
/// # Errors
/// An argument does not fit, or the function may not be called here.
pub fn call(env: &mut Env<'_>, st: &mut State, callee: u32) -> Check {
    let name = String::from(&*env.program.subprograms[callee as usize].name);
    if st.refs.locks != 0 {
        return Err(reject!(
            Locking,
            EINVAL,
            "global function calls are not allowed while holding a lock,\nuse static function instead"
        ));
    }
    let atomic = st.refs.rcu != 0 || st.refs.preempt != 0 || st.refs.irq != 0 || !st.sleepable;
    if env.program.subprograms[callee as usize].may_sleep && atomic {
        return Err(reject!(
            Locking,
            EINVAL,
            "global functions that may sleep are not allowed in non-sleepable context,\ni.e., in a RCU/IRQ/preempt-disabled section, or in\na non-sleepable BPF program context"
        ));
    }
    let of_caller = |reject: Reject| {
        let caller = alloc::format!("Caller passes invalid args into func#{callee} ('{name}')");
        reject
            .then(&caller)
            .or_because("the global function cannot be called with these arguments")
    };
    let wanted = arguments(env, callee).map_err(of_caller)?;
    for (index, argument) in wanted.into_iter().enumerate() {
        let Some(reg) = Reg::new(index as u8 + 1) else {
            continue;
        };
        check_argument(env, st, index, reg, argument).map_err(of_caller)?;
    }
    if env.log.on() {
        env.log.write(format_args!(
            "Func#{callee} ('{name}') is global and assumed valid.\n"
        ));
    }
    if env.program.subprograms[callee as usize].changes_packet {
        st.invalidate_packet_pointers(env.invalidated());
    }
    env.program.subprograms[callee as usize].called = true;
    let frame = st.frame_mut();
    frame.clobber_caller_saved();
    frame.regs[0] = RegState::UNKNOWN;
    Ok(())
}

fn check_argument(
    env: &mut Env<'_>,
    st: &mut State,
    index: usize,
    reg: Reg,
    argument: Argument,
) -> Check {
    let state = *st.reg(reg);
    let n = reg.number();
    match argument {
        Argument::Number if !state.is_scalar() => {
            Err(reject!(WrongType, EINVAL, "R{n} is not a scalar"))
        }
        Argument::Number => Ok(()),
        Argument::Context if !matches!(state.kind, RegKind::Context) => Err(reject!(
            WrongType,
            EINVAL,
            "arg#{index} expects pointer to ctx"
        )),
        Argument::Context => crate::access::memory::check_unmodified(&state, reg),
        Argument::Memory { size, nullable } => {
            check_memory(env, st, reg, size)
                .map_err(|reject| match room(env, st, reg) {
                    Some(room) if room < i64::from(size) => {
                        let what = alloc::format!("what argument {} points to", index + 1);
                        reject.too_small(what, room, size)
                    }
                    _ => reject,
                })
                .map_err(Reject::into_invalid)?;
            if !nullable && (state.may_be_null() || state.is_null()) {
                return Err(reject!(
                    NullPointer,
                    EINVAL,
                    "arg#{index} is expected to be non-NULL"
                ));
            }
            Ok(())
        }
        Argument::Untrusted if state.is_pointer() || state.is_scalar() => Ok(()),
        Argument::Untrusted => Err(reject!(WrongType, EINVAL, "R{n} !read_ok")),
        Argument::Arena => match state.kind {
            RegKind::Arena | RegKind::Scalar => Ok(()),
            _ => Err(reject!(
                WrongType,
                EINVAL,
                "R{n} is not a pointer to arena or scalar."
            )),
        },
        Argument::Dynptr => crate::calls::check_dynptr_argument(env, st, reg),
        // Whatever it is, the callee's loads are probes.
        Argument::Object { trusted: false, .. } => Ok(()),
        Argument::Object { nullable: true, .. } if state.is_null() => Ok(()),
        Argument::Object { ty, nullable, .. } => check_object(env, reg, &state, ty, nullable),
    }
}

fn check_object(env: &Env<'_>, reg: Reg, state: &RegState, ty: BtfType, nullable: bool) -> Check {
    let n = reg.number();
    let wrong = || {
        reject!(
            WrongType,
            EACCES,
            "R{n} type={} expected=ptr_, trusted_ptr_, rcu_ptr_",
            state.type_name()
        )
    };
    let RegKind::Btf(have) = state.kind else {
        return Err(wrong());
    };
    let allowed = PtrFlags::TRUSTED.union(PtrFlags::RCU);
    let null = if nullable {
        PtrFlags::MAYBE_NULL
    } else {
        PtrFlags::empty()
    };
    if !(state.flags - allowed - null).is_empty() {
        return Err(wrong());
    }
    let name = |t: BtfType| env.btf(t.btf).map_or("", |b| b.name(t.id));
    if have != ty && name(have) != name(ty) {
        return Err(reject!(
            WrongType,
            EACCES,
            "R{n} is of type {} but {} is expected",
            name(have),
            name(ty)
        ));
    }
    Ok(())
}

/// Both readable and writable, as the callee may do either; null where that is allowed.
fn check_memory(env: &mut Env<'_>, st: &mut State, reg: Reg, size: u32) -> Check {
    let saved = *st.reg(reg);
    if saved.is_null() {
        return Ok(());
    }
    if saved.may_be_null() {
        crate::transfer::mark_not_null(env, st.reg_mut(reg));
    }
    let result = helper_range::check(env, st, reg, size, AccessKind::Read, true, None)
        .and_then(|()| helper_range::check(env, st, reg, size, AccessKind::Write, true, None));
    *st.reg_mut(reg) = saved;
    result
}
