//! One argument of a helper call against its declaration.

#![allow(non_upper_case_globals)]

use alloc::format;

use panal_isa::Reg;
use panal_uapi::{
    MapType,
    helpers::{Arg, ArgFlags, ArgKind, Traits, id::*},
    report::Quantity,
};

use super::{
    arg_types,
    helper::{ARGUMENTS, Call, writes},
    text::tnum_text,
};
use crate::{
    access::{AccessKind, btf, context, helper_range},
    env::Env,
    error::{Check, Reject, reject},
    precision, privilege,
    state::{BtfRef, MapRef, PtrFlags, RegKind, RegState, State},
};

/// Greatest size that a variable may have (`BPF_MAX_VAR_SIZ`).
const MAX_SIZE: u64 = 1 << 29;

/// Checks argument `index` (0 to 4).
pub fn check(env: &mut Env<'_>, st: &mut State, call: &mut Call, index: usize, arg: Arg) -> Check {
    let reg = ARGUMENTS[index];
    let n = reg.number();
    let state = *st.reg(reg);
    if matches!(state.kind, RegKind::NotInit) {
        return Err(
            reject!(Uninitialized, EACCES, "R{n} !read_ok").because(format!(
                "argument {n} of `bpf_{}` was never set on this path",
                call.helper.name
            )),
        );
    }
    if arg.kind == ArgKind::Anything {
        return privilege::check_leak(env, st, reg, "into helper function");
    }
    if state.is_packet() && !packet_allowed(env, call) {
        return Err(reject!(
            NotAllowed,
            EACCES,
            "helper access to the packet is not allowed"
        )
        .because(format!(
            "argument {n} of `bpf_{}` may not point into the packet",
            call.helper.name
        ))
        .help("copy the bytes to the stack first"));
    }
    let arg = resolve(env, call, arg)?;
    let nullable = arg.flags.contains(ArgFlags::MAYBE_NULL);
    if !(nullable && state.is_null()) {
        check_type(env, st, call, reg, arg)?;
        check_offset(&state, n, arg)?;
    }
    check_release(st, call, reg, &state, arg)?;
    if state.ref_id != 0 && arg.kind != ArgKind::KptrXchgDest {
        if call.ref_id != 0 {
            return Err(reject!(
                Reference,
                EACCES,
                "more than one arg with ref_obj_id R{n} {} {}",
                state.ref_id,
                call.ref_id
            ));
        }
        call.ref_id = state.ref_id;
    }
    check_value(env, st, call, index, arg, &state)
}

/// Whether pointers into the packet may be handed to the helper.
fn packet_allowed(env: &Env<'_>, call: &Call) -> bool {
    // Types that read packets only through such helpers, and those that may access it directly.
    call.signature.traits.contains(Traits::PACKET_ACCESS)
        && context::may_access_packet(env, AccessKind::Read)
}

/// What a map value argument is for the map at hand.
fn resolve(env: &Env<'_>, call: &Call, arg: Arg) -> Check<Arg> {
    if arg.kind != ArgKind::MapValue {
        return Ok(arg);
    }
    let Some((map, _)) = call.map else {
        return Err(reject!(
            WrongType,
            EACCES,
            "invalid map_ptr to access map->type"
        ));
    };
    Ok(match env.map_type(map) {
        MapType::Sockmap | MapType::Sockhash if !arg.flags.is_empty() => {
            return Err(reject!(
                WrongType,
                EINVAL,
                "invalid arg_type for sockmap/sockhash"
            ));
        }
        MapType::Sockmap | MapType::Sockhash => Arg {
            kind: ArgKind::BtfSockCommon,
            ..arg
        },
        MapType::BloomFilter if call.helper.id == BPF_FUNC_map_peek_elem => {
            Arg::new(ArgKind::MapValue)
        }
        _ => arg,
    })
}

fn check_type(env: &mut Env<'_>, st: &State, call: &mut Call, reg: Reg, arg: Arg) -> Check {
    let state = *st.reg(reg);
    let n = reg.number();
    if !arg_types::accepts(arg, &state) {
        let wanted = arg_types::expected(arg);
        let refusal = reject!(
            WrongType,
            EACCES,
            "R{n} type={} expected={wanted}",
            state.type_name()
        );
        return Err(if state.may_be_null() {
            refusal.help("compare the pointer with NULL first")
        } else {
            refusal.because(format!(
                "argument {n} of `bpf_{}` must be {}, not {}",
                call.helper.name,
                arg_types::in_words(&wanted),
                arg_types::in_words(&state.type_name())
            ))
        });
    }
    let RegKind::Btf(ty) = state.kind else {
        return Ok(());
    };
    let memory = matches!(
        arg.kind,
        ArgKind::Mem | ArgKind::FixedMem(_) | ArgKind::MapKey | ArgKind::MapValue
    );
    if memory {
        if !arg.flags.contains(ArgFlags::RDONLY) {
            return Err(reject!(
                Permission,
                EACCES,
                "bpf_{}() may write into memory pointed by R{n} type={}",
                call.helper.name,
                state.type_name()
            ));
        }
        return Ok(());
    }
    if state.flags.contains(PtrFlags::ALLOC) {
        if arg.kind == ArgKind::KptrXchgSource {
            super::kptr::check_match(env, call, &state, n)?;
        }
        return Ok(());
    }
    if state.flags.contains(PtrFlags::PERCPU) {
        return Ok(());
    }
    let releases = arg.flags.contains(ArgFlags::RELEASE);
    if state.may_be_null() && (!arg.flags.contains(ArgFlags::MAYBE_NULL) || releases) {
        return Err(reject!(
            NullPointer,
            EACCES,
            "Possibly NULL pointer passed to helper arg{n}"
        ));
    }
    let wanted = match arg.kind {
        ArgKind::Btf(name) => name,
        ArgKind::BtfSockCommon => "sock_common",
        ArgKind::KptrXchgSource => return super::kptr::check_match(env, call, &state, n),
        _ => return Ok(()),
    };
    let strict = releases && call.helper.id != BPF_FUNC_sk_release;
    let id = btf::kernel_struct(env, wanted)?;
    let same =
        ty.btf != BtfRef::Program && btf::is_a(env, ty, state.off, BtfRef::Kernel, id, strict);
    if same {
        return Ok(());
    }
    let name = env.btf(ty.btf).map_or("", |btf| btf.name(ty.id));
    Err(reject!(
        WrongType,
        EACCES,
        "R{n} is of type {name} but {wanted} is expected"
    ))
}

/// Which pointers may have an offset when they are handed over.
fn check_offset(state: &RegState, n: u8, arg: Arg) -> Check {
    let fixed_allowed = if arg.flags.contains(ArgFlags::RELEASE) {
        if matches!(arg.kind, ArgKind::Dynptr(_)) && matches!(state.kind, RegKind::Stack { .. }) {
            return Ok(());
        }
        if state.off != 0 {
            return Err(reject!(
                PointerArithmetic,
                EINVAL,
                "R{n} must have zero offset when passed to release func or trusted arg to kfunc"
            ));
        }
        false
    } else {
        match state.kind {
            RegKind::Scalar
            | RegKind::Stack { .. }
            | RegKind::Packet { .. }
            | RegKind::PacketMeta { .. }
            | RegKind::MapKey { .. }
            | RegKind::MapValue { .. }
            | RegKind::Mem { .. }
            | RegKind::Buf
            | RegKind::Arena => return Ok(()),
            RegKind::Btf(_) => true,
            _ => false,
        }
    };
    check_pointer_offset(state, n, fixed_allowed)
}

/// Refuses pointers with an offset, but for fixed ones where they are allowed.
pub(super) fn check_pointer_offset(state: &RegState, n: u8, fixed_allowed: bool) -> Check {
    let is_known = state.num.as_const() == Some(0);
    if is_known && (state.off == 0 || (state.off > 0 && fixed_allowed)) {
        return Ok(());
    }
    let name = state.type_name();
    if state.off < 0 {
        return Err(reject!(
            PointerArithmetic,
            EACCES,
            "negative offset {name} ptr R{n} off={} disallowed",
            state.off
        ));
    }
    if state.off != 0 && !fixed_allowed {
        return Err(reject!(
            PointerArithmetic,
            EACCES,
            "dereference of modified {name} ptr R{n} off={} disallowed",
            state.off
        ));
    }
    Err(reject!(
        PointerArithmetic,
        EACCES,
        "variable {name} access var_off={} disallowed",
        tnum_text(state)
    ))
}

fn check_release(st: &State, call: &mut Call, reg: Reg, state: &RegState, arg: Arg) -> Check {
    if !arg.flags.contains(ArgFlags::RELEASE) {
        return Ok(());
    }
    let n = reg.number();
    if matches!(arg.kind, ArgKind::Dynptr(_)) {
        if !matches!(state.kind, RegKind::Stack { .. }) {
            return Err(reject!(
                Reference,
                EINVAL,
                "cannot release unowned const bpf_dynptr"
            ));
        }
        if super::stack_objects::dynptr_reference(st, state) == 0 {
            return Err(reject!(
                Reference,
                EINVAL,
                "arg {n} is an unacquired reference"
            ));
        }
    } else if state.ref_id == 0 && !state.is_null() {
        return Err(reject!(
            Reference,
            EINVAL,
            "R{n} must be referenced when passed to release function"
        )
        .because(format!(
            "`bpf_{}` gives up a reference, but R{n} does not carry one",
            call.helper.name
        )));
    }
    call.release = Some(reg);
    Ok(())
}

/// The argument's value: sizes, maps, special objects.
fn check_value(
    env: &mut Env<'_>,
    st: &mut State,
    call: &mut Call,
    index: usize,
    arg: Arg,
    state: &RegState,
) -> Check {
    let reg = ARGUMENTS[index];
    let n = reg.number();
    match arg.kind {
        ArgKind::ConstMap => super::maps::argument(call, state),
        ArgKind::MapKey => {
            let Some((map, _)) = call.map else {
                return Err(reject!(
                    WrongType,
                    EACCES,
                    "invalid map_ptr to access map->key"
                ));
            };
            let size = env.map(map).desc.key_size;
            helper_range::check(env, st, reg, size, AccessKind::Read, false, None)
                .map_err(|reject| too_small(env, st, reg, size, "a key", map, reject))?;
            call.key = super::maps::constant_key(env, st, map, state, size)?;
            call.key_place = super::maps::key_place(st, state);
            Ok(())
        }
        ArgKind::MapValue => {
            if state.is_null() && arg.flags.contains(ArgFlags::MAYBE_NULL) {
                return Ok(());
            }
            let Some((map, _)) = call.map else {
                return Err(reject!(
                    WrongType,
                    EACCES,
                    "invalid map_ptr to access map->value"
                ));
            };
            let size = env.map(map).desc.value_size;
            check_memory(env, st, call, reg, size, arg, false, true)
                .map_err(|reject| too_small(env, st, reg, size, "a value", map, reject))
        }
        ArgKind::FixedMem(size) => {
            check_memory(env, st, call, reg, size, arg, false, true)?;
            if arg.flags.contains(ArgFlags::ALIGNED) {
                check_alignment(st, reg, size)?;
            }
            Ok(())
        }
        ArgKind::MemSize | ArgKind::MemSizeOrZero => {
            let zero = arg.kind == ArgKind::MemSizeOrZero;
            let memory = call.signature.args[index - 1];
            check_size(env, st, call, index, memory, zero)
        }
        ArgKind::AllocSize => {
            let Some(size) = state.as_const() else {
                return Err(reject!(WrongType, EACCES, "R{n} is not a known constant'"));
            };
            call.alloc_size = u32::try_from(size).unwrap_or(u32::MAX);
            precision::mark_reg(env, st, reg)
        }
        ArgKind::PercpuBtf => {
            let RegKind::Btf(ty) = state.kind else {
                return Err(reject!(
                    WrongType,
                    EACCES,
                    "Helper has invalid btf_id in R{n}"
                ));
            };
            let allocated = state.flags.contains(PtrFlags::RCU);
            call.percpu = Some((ty, allocated));
            Ok(())
        }
        ArgKind::SpinLock => super::locks::process(env, st, call.helper.id, reg),
        ArgKind::Timer => super::timers::process(env, st, call, reg),
        ArgKind::Func => {
            if let RegKind::Func { subprog } = state.kind {
                call.subprog = Some(subprog);
            }
            Ok(())
        }
        ArgKind::Dynptr(kind) => {
            let used = super::stack_objects::process_dynptr(env, st, reg, kind, arg.flags)?;
            call.dynptr = Some(used);
            Ok(())
        }
        ArgKind::ConstStr => super::strings::check_constant(env, st, reg),
        ArgKind::KptrXchgDest => super::kptr::destination(env, st, call, reg),
        _ => Ok(()),
    }
}

/// A size argument: the memory before it must have as many bytes.
fn check_size(
    env: &mut Env<'_>,
    st: &mut State,
    call: &mut Call,
    index: usize,
    memory: Arg,
    zero_allowed: bool,
) -> Check {
    let (reg, pointer) = (ARGUMENTS[index], ARGUMENTS[index - 1]);
    call.size_max = st.reg(reg).num.umax;
    let size = bounded_size(st, reg, zero_allowed)
        .map_err(|reject| within_room(env, st, pointer, reg, zero_allowed, reject))?;
    let constant = st.reg(reg).num.is_const();
    let result = check_memory(env, st, call, pointer, size, memory, zero_allowed, constant);
    result.map_err(|reject| too_large(env, st, pointer, reg, zero_allowed, reject))?;
    precision::mark_reg(env, st, reg)
}

/// The memory is refused: where its size is known and the bytes asked for are more, that is why.
#[cold]
fn too_large(
    env: &Env<'_>,
    st: &State,
    pointer: Reg,
    size: Reg,
    zero_allowed: bool,
    reject: Reject,
) -> Reject {
    let num = &st.reg(size).num;
    let room = match room(env, st, pointer) {
        Some(room) if num.umax > room as u64 => room,
        _ => return reject,
    };
    let bytes = match num.is_const() {
        true => format!("{} bytes are", num.umax),
        false => format!("up to {} bytes may be", num.umax),
    };
    reject
        .about(size)
        .because(format!(
            "{bytes} accessed, but the memory has room for {room}"
        ))
        .bound(
            Quantity::Size,
            (num.umin, num.umax),
            (i64::from(!zero_allowed), room),
        )
}

/// A key or value is refused: where less memory is there than the map has in one, that is why.
#[cold]
fn too_small(
    env: &Env<'_>,
    st: &State,
    pointer: Reg,
    size: u32,
    what: &str,
    map: MapRef,
    reject: Reject,
) -> Reject {
    match room(env, st, pointer) {
        Some(room) if room < i64::from(size) => {
            let name = &env.map(map).desc.name;
            reject.too_small(format!("{what} of the map `{name}`"), room, size)
        }
        _ => reject,
    }
}

/// Bytes from a pointer to the end of its memory, where that is known.
pub(crate) fn room(env: &Env<'_>, st: &State, pointer: Reg) -> Option<i64> {
    let memory = st.reg(pointer);
    // Where it begins first: nowhere is there more room.
    let least = Some(memory.num.smin).filter(|least| *least > i64::MIN / 2)?;
    let off = i64::from(memory.off).wrapping_add(least);
    let room = match memory.kind {
        RegKind::Stack { .. } => off.wrapping_neg(),
        RegKind::MapValue { map, .. } => i64::from(env.map(map).desc.value_size) - off,
        RegKind::Mem { size, .. } => i64::from(size) - off,
        _ => return None,
    };
    (!memory.may_be_null() && room >= 0).then_some(room)
}

/// A size without bounds is refused: what would fit.
#[cold]
fn within_room(
    env: &Env<'_>,
    st: &State,
    pointer: Reg,
    size: Reg,
    zero_allowed: bool,
    reject: Reject,
) -> Reject {
    let Some(room) = room(env, st, pointer) else {
        return reject;
    };
    let num = &st.reg(size).num;
    let known = match num.smin < 0 {
        true => (i128::from(num.smin), i128::from(num.smax)),
        false => (i128::from(num.umin), i128::from(num.umax)),
    };
    let needed = (i64::from(!zero_allowed), room);
    reject.bound(Quantity::Size, known, needed)
}

/// The greatest value of a size that must have one.
pub(super) fn bounded_size(st: &State, reg: Reg, zero_allowed: bool) -> Check<u32> {
    let n = reg.number();
    let num = &st.reg(reg).num;
    let needed = (i64::from(!zero_allowed), MAX_SIZE - 1);
    if num.smin < 0 {
        return Err(reject!(
            OutOfBounds,
            EACCES,
            "R{n} min value is negative, either use unsigned or 'var &= const'"
        )
        .because(match num.smax {
            i64::MAX => "the size has no bound",
            _ => "the size may be negative",
        })
        .bound(Quantity::Size, (num.smin, num.smax), needed));
    }
    if num.umin == 0 && !zero_allowed {
        return Err(reject!(
            OutOfBounds,
            EACCES,
            "R{n} invalid zero-sized read: u64=[{},{}]",
            num.umin as i64,
            num.umax as i64
        )
        .bound(Quantity::Size, (num.umin, num.umax), needed));
    }
    if num.umax >= MAX_SIZE {
        return Err(reject!(
            OutOfBounds,
            EACCES,
            "R{n} unbounded memory access, use 'var &= const' or 'if (var < const)'"
        )
        .because("the size has no bound")
        .bound(Quantity::Size, (num.umin, num.umax), needed));
    }
    Ok(num.umax as u32)
}

#[allow(clippy::too_many_arguments)]
fn check_memory(
    env: &mut Env<'_>,
    st: &mut State,
    call: &mut Call,
    pointer: Reg,
    size: u32,
    arg: Arg,
    zero_allowed: bool,
    constant: bool,
) -> Check {
    let access = if writes(arg) {
        AccessKind::Write
    } else {
        AccessKind::Read
    };
    let raw = arg.flags.contains(ArgFlags::UNINIT) && constant;
    if !raw {
        return helper_range::check(env, st, pointer, size, access, zero_allowed, None);
    }
    let mut buffer = None;
    helper_range::check(
        env,
        st,
        pointer,
        size,
        access,
        zero_allowed,
        Some(&mut buffer),
    )?;
    call.raw = call.raw.or(buffer);
    Ok(())
}

/// The address must be a multiple of the size.
fn check_alignment(st: &State, reg: Reg, size: u32) -> Check {
    let state = st.reg(reg);
    let what = match state.kind {
        RegKind::Stack { .. } => "stack ",
        RegKind::MapValue { .. } => "value ",
        RegKind::Packet { .. } | RegKind::PacketMeta { .. } => "packet ",
        _ => "",
    };
    // The network layer aligns the IP header, not the frame.
    let extra = if state.is_packet() { 2 } else { 0 };
    let mask = i64::from(size) - 1;
    let fixed = i64::from(state.off) + extra + state.num.bits.value as i64;
    if fixed & mask == 0 && state.num.bits.mask as i64 & mask == 0 {
        return Ok(());
    }
    let text = crate::access::memory::bits_text(state.num.bits);
    Err(if state.is_packet() {
        reject!(
            Alignment,
            EACCES,
            "misaligned packet access off {extra}+{text}+{}+0 size {size}",
            state.off
        )
    } else {
        reject!(
            Alignment,
            EACCES,
            "misaligned {what}access off {text}+{}+0 size {size}",
            state.off
        )
    })
}
