//! Loads and stores through context and socket pointers, by the program type's field rules.

use panal_isa::Reg;
use panal_uapi::{
    AttachType, ProgType,
    program_types::{
        self, Access, Context, Field, FieldKind, Layout, PacketAccess, ProgramType, Returns,
        Situation, lsm_hooks, sockets,
    },
};

use super::{AccessKind, arguments};
use crate::{
    Tied,
    env::Env,
    error::{Check, Reject, reject},
    state::{BtfRef, BtfType, PtrFlags, RegKind, RegState, State},
};

/// The rules of the program's type; those of the replaced program for an extension.
pub fn rules(env: &Env<'_>) -> Check<&'static ProgramType> {
    let prog_type = effective_type(env);
    program_types::by_type(prog_type)
        .ok_or_else(|| reject!(NotAllowed, EINVAL, "program type {prog_type} has no rules"))
}

/// The type whose rules hold.
pub fn effective_type(env: &Env<'_>) -> ProgType {
    match (env.request.prog_type, &env.request.tied) {
        (ProgType::Ext, Some(Tied::Program { prog_type, .. })) => *prog_type,
        (own, _) => own,
    }
}

/// Whether the context is memory that a kernel hands over as it is: it does not rewrite accesses, so it
/// may hand a part of it to a function.
pub fn is_memory(env: &Env<'_>) -> bool {
    matches!(
        effective_type(env),
        ProgType::Kprobe
            | ProgType::Tracepoint
            | ProgType::RawTracepoint
            | ProgType::RawTracepointWritable
            | ProgType::Tracing
            | ProgType::Lsm
            | ProgType::StructOps
            | ProgType::Syscall
            | ProgType::Netfilter
            | ProgType::CgroupDevice
            | ProgType::LircMode2
    )
}

/// What the rules' conditions are tested against.
pub fn situation(env: &Env<'_>) -> Situation {
    Situation {
        attach_type: env.request.attach_type,
        capabilities: env.request.profile.capabilities,
        version: env.request.profile.version,
    }
}

/// Checks an access of `size` bytes at `off` in the context.
///
/// For a read, gives what the destination register becomes: a number (its bounds by size are
/// applied by the caller), or a pointer.
///
/// # Errors
/// A field that does not exist, or not with this size, or not for writing.
pub fn check(
    env: &mut Env<'_>,
    _st: &mut State,
    off: i32,
    size: u32,
    access: AccessKind,
) -> Check<RegState> {
    let rules = rules(env)?;
    match rules.context {
        Context::Fields(fields) => {
            let there = |situation: &Situation| {
                fields.access(off.into(), size, uapi_access(access), situation)
            };
            let situation = situation(env);
            match there(&situation) {
                Some(field) => field_value(env, field, access),
                None => {
                    let elsewhere = AttachType::ALL.iter().any(|&attach_type| {
                        let attach_type = Some(attach_type);
                        there(&Situation {
                            attach_type,
                            ..situation
                        })
                        .is_some()
                    });
                    Err(refused_field(off, size, access, fields.layout, elsewhere))
                }
            }
        }
        Context::Arguments => arguments::check(env, off, size, access),
        Context::OfTarget => Err(invalid(off, size, access, "context")),
    }
}

fn uapi_access(access: AccessKind) -> Access {
    match access {
        AccessKind::Read => Access::Read,
        AccessKind::Write => Access::Write,
    }
}

/// The same with the field's name, where one lies there; `elsewhere`: another attach type may.
#[cold]
fn refused_field(
    off: i32,
    size: u32,
    access: AccessKind,
    layout: &Layout,
    elsewhere: bool,
) -> Reject {
    let reject = invalid(off, size, access, layout.name);
    let inside = |field: &&Field| {
        let start = i64::from(field.offset);
        (start..start + i64::from(field.size)).contains(&i64::from(off))
    };
    let Some(field) = layout.fields.iter().find(inside) else {
        return reject;
    };
    let whole = i64::from(field.offset) == i64::from(off) && field.size == size;
    reject.because(match whole || elsewhere {
        true => alloc::format!(
            "programs of this {} may not {} the field `{}` of `{}`",
            if elsewhere { "attach type" } else { "type" },
            access.name(),
            field.name,
            layout.name
        ),
        false => alloc::format!(
            "an access of size {size} at offset {off} does not fit the field `{}` of `{}`, which \
             has {} bytes at offset {}",
            field.name,
            layout.name,
            field.size,
            field.offset
        ),
    })
}

pub(super) fn invalid(off: i32, size: u32, access: AccessKind, what: &str) -> Reject {
    reject!(
        ContextAccess,
        EACCES,
        "invalid bpf_context access off={off} size={size}"
    )
    .because(alloc::format!(
        "this program type may not {} {size} bytes at offset {off} of `{what}`",
        access.name()
    ))
}

fn field_value(env: &mut Env<'_>, field: &Field, access: AccessKind) -> Check<RegState> {
    if access.is_write() {
        return Ok(RegState::UNKNOWN);
    }
    let nullable = PtrFlags::MAYBE_NULL;
    Ok(match field.kind {
        FieldKind::Scalar => RegState::UNKNOWN,
        FieldKind::PacketData => RegState::pointer(RegKind::Packet { range: 0 }),
        FieldKind::PacketEnd => RegState::pointer(RegKind::PacketEnd),
        FieldKind::PacketMeta => RegState::pointer(RegKind::PacketMeta { range: 0 }),
        FieldKind::Socket => RegState::pointer(RegKind::Socket),
        FieldKind::SocketOrNull => RegState::pointer(RegKind::Socket)
            .with_flags(nullable)
            .with_id(env.new_id()),
        FieldKind::SockCommonOrNull => RegState::pointer(RegKind::SockCommon)
            .with_flags(nullable)
            .with_id(env.new_id()),
        FieldKind::FlowKeys => RegState::pointer(RegKind::FlowKeys),
        FieldKind::TracepointBuffer => RegState::pointer(RegKind::TpBuffer),
        FieldKind::TrustedBtf(name) => {
            let id = super::btf::kernel_struct(env, name)?;
            RegState::pointer(RegKind::Btf(BtfType {
                btf: BtfRef::Kernel,
                id,
            }))
            .with_flags(PtrFlags::TRUSTED)
        }
    })
}

/// Checks an access to `struct bpf_sock` and its relatives through `reg`, whose kind is one of the
/// socket kinds.
///
/// # Errors
/// As for [`check`].
pub fn check_socket(
    env: &mut Env<'_>,
    st: &State,
    reg: Reg,
    off: i32,
    size: u32,
    access: AccessKind,
) -> Check<RegState> {
    let state = st.reg(reg);
    let n = reg.number();
    let name = || state.type_name();
    if access.is_write() {
        let name = name();
        return Err(reject!(Permission, EACCES, "R{n} cannot write into {name}"));
    }
    if state.num.smin < 0 {
        return Err(reject!(
            OutOfBounds,
            EACCES,
            "R{n} min value is negative, either use unsigned index or do a if (index >=0) check."
        ));
    }
    let fields = match state.kind {
        RegKind::Socket => &sockets::SOCKET,
        RegKind::SockCommon => &sockets::SOCK_COMMON,
        RegKind::TcpSock => &sockets::TCP_SOCK,
        RegKind::XdpSock => &sockets::XDP_SOCK,
        _ => {
            return Err(reject!(
                WrongType,
                EACCES,
                "R{n} invalid mem access '{}'",
                name()
            ));
        }
    };
    let total = state
        .num
        .as_const()
        .and_then(|var| i64::try_from(var).ok())
        .and_then(|var| var.checked_add(i64::from(state.off) + i64::from(off)));
    let found = total.and_then(|at| fields.access(at, size, uapi_access(access), &situation(env)));
    match found {
        Some(_) => Ok(RegState::UNKNOWN),
        None => Err(reject!(
            ContextAccess,
            EACCES,
            "R{n} invalid {} access off={} size={size}",
            name(),
            state.off.wrapping_add(off)
        )
        .because(alloc::format!(
            "`struct {}` has no field of {size} bytes that may be read at offset {}",
            fields.layout.name,
            state.off.wrapping_add(off)
        ))),
    }
}

/// What `r1` is at entry of the main program: the context, or nothing usable.
pub fn entry(env: &Env<'_>) -> RegState {
    let _ = env;
    RegState::pointer(RegKind::Context)
}

/// What the main program may return (inclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnRule {
    /// The range; `None`: anything.
    pub range: Option<(i32, i32)>,
    /// Whether the range is of the low 32 bits only.
    pub subreg: bool,
    /// Whether the value must be a number even so.
    pub must_be_scalar: bool,
}

/// The rule for this program's type, attach type and target.
///
/// # Errors
/// The program type and target do not fit.
pub fn return_rule(env: &Env<'_>) -> Check<ReturnRule> {
    let anything = ReturnRule {
        range: None,
        subreg: false,
        must_be_scalar: true,
    };
    // What an extension returns, the program that calls it checks.
    if env.request.prog_type == ProgType::Ext {
        return Ok(anything);
    }
    let rules = rules(env)?;
    let range = |min, max, subreg| ReturnRule {
        range: Some((min, max)),
        subreg,
        ..anything
    };
    Ok(match rules.returns(&situation(env)) {
        Returns::Any => match rules.prog_type {
            // What a callback of a kernel interface returns is its own type's affair.
            ProgType::StructOps => ReturnRule {
                must_be_scalar: false,
                ..anything
            },
            ProgType::RawTracepoint if env.request.tied.is_some() => range(0, 0, false),
            _ => anything,
        },
        Returns::Range(min, max) => range(min, max, false),
        Returns::OfHook => {
            let hook = arguments::hook(env)?;
            let void = hook.returns_nothing();
            let cgroup = env.request.attach_type == Some(AttachType::LsmCgroup);
            match (cgroup, void) {
                (true, true) => range(1, 1, false),
                (true, false) => range(0, 1, false),
                (false, true) => anything,
                (false, false) if lsm_hooks::is_bool(hook.name) => range(0, 1, true),
                (false, false) => range(-4095, 0, true),
            }
        }
    })
}

/// Whether programs of this type may read (write) packets directly, in this direction.
pub fn may_access_packet(env: &Env<'_>, access: AccessKind) -> bool {
    let Ok(rules) = rules(env) else { return false };
    match rules.packet {
        PacketAccess::None => false,
        PacketAccess::Read => !access.is_write(),
        PacketAccess::ReadWrite => true,
    }
}
