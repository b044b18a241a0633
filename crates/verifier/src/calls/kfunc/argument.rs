//! One argument of a kernel function call.

use panal_btf::{Kind, KindTag, TypeId};
use panal_isa::Reg;
use panal_uapi::{kfuncs::KfuncFlags, program_types::Context};

use super::{
    Meta, irq, iter,
    kinds::{self, ArgKind},
    nodes, objects,
};
use crate::{
    access::{AccessKind, arguments, btf as btf_access, context, helper_range},
    calls::{args, fields::Special, helper::ARGUMENTS, locks, stack_objects, strings, timers},
    env::Env,
    error::{Check, reject},
    precision,
    state::{BtfRef, BtfType, DynptrKind, PtrFlags, RefKind, RegKind, RegState, State},
};

/// Checks all arguments.
pub fn check_all(env: &mut Env<'_>, st: &mut State, meta: &mut Meta<'_>) -> Check {
    let count = meta.proto.params.len();
    if count > ARGUMENTS.len() {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "Function {} has {count} > 5 args",
            meta.name()
        ));
    }
    let mut index = 0;
    while index < count {
        let pair = check(env, st, meta, index)?;
        index += if pair { 2 } else { 1 };
    }
    if meta.is(KfuncFlags::RELEASE) && meta.release.is_none() {
        return Err(reject!(
            Reference,
            EINVAL,
            "release kernel function {} expects refcounted PTR_TO_BTF_ID",
            meta.name()
        ));
    }
    Ok(())
}

/// Checks one argument; true when it took the size after it with it.
fn check(env: &mut Env<'_>, st: &mut State, meta: &mut Meta<'_>, index: usize) -> Check<bool> {
    let reg = ARGUMENTS[index];
    let n = reg.number();
    let state = *st.reg(reg);
    let ignored = |suffix| kinds::has_suffix(meta.param(index), suffix);
    if ignored("__ign") || ignored("__prog") {
        return Ok(false);
    }
    if matches!(state.kind, RegKind::NotInit) {
        return Err(reject!(Uninitialized, EACCES, "R{n} !read_ok"));
    }
    let Some(param) = meta.param(index) else {
        return Ok(false);
    };
    let ty = param.ty;
    if kinds::is_scalar(meta.btf, ty) {
        return number(env, st, meta, index, &state).map(|()| false);
    }
    let (_, underneath) = meta.btf.resolve(ty);
    let Kind::Ptr(declared) = underneath.kind else {
        return Err(reject!(
            WrongType,
            EINVAL,
            "Unrecognized arg#{index} type {}",
            underneath.kind.tag().name()
        ));
    };
    let demanding = meta.is(KfuncFlags::TRUSTED_ARGS)
        || meta.is(KfuncFlags::RELEASE)
        || meta.is(KfuncFlags::RCU);
    let nullable = kinds::has_suffix(Some(param), "__nullable");
    if demanding && (state.is_null() || state.may_be_null()) && !nullable {
        return Err(reject!(
            NullPointer,
            EACCES,
            "Possibly NULL pointer passed to trusted arg{index}"
        )
        .help("compare the pointer with NULL first"));
    }
    if state.ref_id != 0 {
        meta.ref_id = state.ref_id;
        if meta.is(KfuncFlags::RELEASE) {
            meta.release = Some(reg);
        }
    }
    let next = ARGUMENTS.get(index + 1).map(|&next| *st.reg(next));
    let kind = kinds::of_pointer(env, meta, index, declared, &state, next.as_ref())?;
    if kind == ArgKind::Null {
        return Ok(false);
    }
    // A map may also be an object of the kernel, handed over by an iterator.
    if kind == ArgKind::Map && !matches!(state.kind, RegKind::Btf(_)) {
        map_argument(meta, &state, n)?;
    }
    if matches!(
        kind,
        ArgKind::Map | ArgKind::AllocatedObject | ArgKind::Object
    ) && demanding
        && !btf_access::is_trusted(&state)
    {
        if !meta.is(KfuncFlags::RCU) {
            return Err(reject!(
                WrongType,
                EINVAL,
                "R{n} must be referenced or trusted"
            ));
        }
        if !state.flags.contains(PtrFlags::RCU) {
            return Err(reject!(WrongType, EINVAL, "R{n} must be a rcu pointer"));
        }
    }
    check_offset(meta, &state, n)?;
    by_kind(env, st, meta, index, kind, declared, &state)?;
    Ok(kind == ArgKind::MemSize)
}

fn map_argument(meta: &mut Meta<'_>, state: &RegState, n: u8) -> Check {
    let RegKind::MapPtr { map, uid } = state.kind else {
        return Err(reject!(
            WrongType,
            EINVAL,
            "pointer in R{n} isn't map pointer"
        ));
    };
    if let Some((other, other_uid)) = meta.map
        && (other, other_uid) != (map, uid)
    {
        let what = if meta.name().starts_with("bpf_wq") {
            "workqueue"
        } else {
            "bpf_task_work"
        };
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "{what} pointer in R1 map_uid={other_uid} doesn't match map pointer in R2 map_uid={uid}"
        ));
    }
    meta.map = Some((map, uid));
    Ok(())
}

fn number(
    env: &mut Env<'_>,
    st: &State,
    meta: &mut Meta<'_>,
    index: usize,
    state: &RegState,
) -> Check {
    let reg = ARGUMENTS[index];
    let n = reg.number();
    if !state.is_scalar() {
        return Err(reject!(WrongType, EINVAL, "R{n} is not a scalar"));
    }
    let param = meta.param(index);
    let readonly = param.is_some_and(|p| &*p.name == "rdonly_buf_size");
    let sized = readonly || param.is_some_and(|p| &*p.name == "rdwr_buf_size");
    if kinds::has_suffix(param, "__k") {
        let Some(value) = state.as_const() else {
            return Err(reject!(WrongType, EINVAL, "R{n} must be a known constant"));
        };
        precision::mark_reg(env, st, reg)?;
        meta.constant = Some(value);
    } else if sized {
        if meta.memory.is_some() {
            return Err(reject!(
                WrongType,
                EINVAL,
                "2 or more rdonly/rdwr_buf_size parameters for kfunc"
            ));
        }
        let Some(value) = state.as_const().and_then(|value| u32::try_from(value).ok()) else {
            return Err(reject!(WrongType, EINVAL, "R{n} is not a const"));
        };
        precision::mark_reg(env, st, reg)?;
        meta.memory = Some((value, readonly));
    }
    Ok(())
}

/// Which pointers may have an offset when they are handed over.
fn check_offset(meta: &Meta<'_>, state: &RegState, n: u8) -> Check {
    let releases = meta.is(KfuncFlags::RELEASE) && state.ref_id != 0;
    if releases {
        if state.off != 0 {
            return Err(reject!(
                PointerArithmetic,
                EINVAL,
                "R{n} must have zero offset when passed to release func or trusted arg to kfunc"
            ));
        }
        return args::check_pointer_offset(state, n, false);
    }
    match state.kind {
        RegKind::Scalar
        | RegKind::Stack { .. }
        | RegKind::Packet { .. }
        | RegKind::PacketMeta { .. }
        | RegKind::MapKey { .. }
        | RegKind::MapValue { .. }
        | RegKind::Mem { .. }
        | RegKind::Buf
        | RegKind::Arena => Ok(()),
        RegKind::Btf(_) => args::check_pointer_offset(state, n, true),
        _ => args::check_pointer_offset(state, n, false),
    }
}

fn is_allocated(state: &RegState) -> bool {
    matches!(state.kind, RegKind::Btf(_)) && state.flags == PtrFlags::ALLOC
}

fn by_kind(
    env: &mut Env<'_>,
    st: &mut State,
    meta: &mut Meta<'_>,
    index: usize,
    kind: ArgKind,
    declared: TypeId,
    state: &RegState,
) -> Check {
    let reg = ARGUMENTS[index];
    match kind {
        ArgKind::Context => context_argument(env, meta, index, state),
        ArgKind::AllocatedObject => objects::released(env, meta, index, state),
        ArgKind::Dynptr => dynptr(env, st, meta, index, state),
        ArgKind::Iter => iter::argument(env, st, meta, index),
        ArgKind::ListHead | ArgKind::RbRoot => {
            let in_map = matches!(state.kind, RegKind::MapValue { .. });
            if !in_map && !is_allocated(state) {
                return Err(reject!(
                    WrongType,
                    EINVAL,
                    "arg#{index} expected pointer to map value or allocated object"
                ));
            }
            must_be_owned(in_map || state.ref_id != 0)?;
            nodes::root(env, st, meta, kind, reg)
        }
        ArgKind::ListNode => {
            must_be_allocated(index, is_allocated(state))?;
            must_be_owned(state.ref_id != 0)?;
            nodes::node(env, meta, kind, st.reg(reg), reg)
        }
        ArgKind::RbNode => {
            if meta.name() == "bpf_rbtree_add_impl" {
                must_be_allocated(index, is_allocated(state))?;
                must_be_owned(state.ref_id != 0)?;
            } else {
                nodes::check_borrowed(env, st, meta, state)?;
            }
            nodes::node(env, meta, kind, st.reg(reg), reg)
        }
        ArgKind::CountedObject => objects::counted(env, meta, index, state),
        ArgKind::ConstStr => {
            if !matches!(state.kind, RegKind::MapValue { .. }) {
                return Err(reject!(
                    WrongType,
                    EINVAL,
                    "arg#{index} doesn't point to a const string"
                ));
            }
            strings::check_constant(env, st, reg)
        }
        ArgKind::Workqueue | ArgKind::TaskWork => {
            if !matches!(state.kind, RegKind::MapValue { .. }) {
                return Err(reject!(
                    WrongType,
                    EINVAL,
                    "arg#{index} doesn't point to a map value"
                ));
            }
            let wanted = if kind == ArgKind::Workqueue {
                Special::Workqueue
            } else {
                Special::TaskWork
            };
            meta.map = Some(timers::locate(env, st, reg, wanted)?);
            Ok(())
        }
        ArgKind::IrqFlag => irq::argument(env, st, meta, index),
        ArgKind::ResSpinLock => resilient_lock(env, st, meta, index, state),
        ArgKind::Map => object(env, meta, index, state, BtfRef::Kernel, "bpf_map"),
        ArgKind::Object => {
            let (_, underneath) = meta.btf.resolve(declared);
            object(env, meta, index, state, BtfRef::Kernel, &underneath.name)
        }
        ArgKind::Callback => {
            let RegKind::Func { subprog } = state.kind else {
                return Err(reject!(
                    WrongType,
                    EINVAL,
                    "arg{index} expected pointer to func"
                ));
            };
            meta.subprog = Some(subprog);
            Ok(())
        }
        ArgKind::Mem => {
            let (target, underneath) = meta.btf.resolve(declared);
            let Some(size) = meta.btf.size_of(target) else {
                return Err(reject!(
                    Types,
                    EINVAL,
                    "arg#{index} reference type('{} {}') size cannot be determined: -22",
                    underneath.kind.tag().name(),
                    underneath.name
                ));
            };
            memory(env, st, reg, size)
        }
        ArgKind::MemSize => sized_memory(env, st, meta, index, state),
        ArgKind::Null => Ok(()),
    }
}

fn must_be_owned(owned: bool) -> Check {
    if owned {
        Ok(())
    } else {
        Err(reject!(
            Reference,
            EINVAL,
            "allocated object must be referenced"
        ))
    }
}

fn must_be_allocated(index: usize, allocated: bool) -> Check {
    if allocated {
        Ok(())
    } else {
        Err(reject!(
            WrongType,
            EINVAL,
            "arg#{index} expected pointer to allocated object"
        ))
    }
}

fn context_argument(env: &Env<'_>, meta: &mut Meta<'_>, index: usize, state: &RegState) -> Check {
    if !matches!(state.kind, RegKind::Context) {
        return Err(reject!(
            WrongType,
            EINVAL,
            "arg#{index} expected pointer to ctx, but got {}",
            state.type_name()
        ));
    }
    if meta.name() == "bpf_cast_to_kern_ctx" {
        let Context::Fields(fields) = context::rules(env)?.context else {
            return Err(reject!(
                Types,
                EINVAL,
                "the context has no structure of the kernel"
            ));
        };
        let name = arguments::kernel_context(fields.layout.name);
        let id = name
            .and_then(|name| meta.btf.find(name, KindTag::Struct))
            .ok_or_else(|| reject!(Types, EINVAL, "the context has no structure of the kernel"))?;
        meta.object = Some(BtfType {
            btf: BtfRef::Kernel,
            id,
        });
    }
    Ok(())
}

fn dynptr(
    env: &mut Env<'_>,
    st: &mut State,
    meta: &mut Meta<'_>,
    index: usize,
    state: &RegState,
) -> Check {
    let reg = ARGUMENTS[index];
    if !kinds::has_suffix(meta.param(index), "__uninit") {
        let constant = matches!(state.kind, RegKind::Dynptr { .. });
        let used = stack_objects::use_dynptr(st, reg, None, constant)?;
        meta.dynptr = Some(used);
        return Ok(());
    }
    let (kind, shared) = match meta.name() {
        "bpf_dynptr_from_skb" => (DynptrKind::Skb, 0),
        "bpf_dynptr_from_xdp" => (DynptrKind::Xdp, 0),
        "bpf_dynptr_from_skb_meta" => (DynptrKind::SkbMeta, 0),
        "bpf_dynptr_clone" => match meta.dynptr {
            Some(parent) => (parent.kind, parent.ref_id),
            None => {
                return Err(reject!(
                    SpecialObject,
                    EINVAL,
                    "no dynptr type for parent of clone"
                ));
            }
        },
        _ => (DynptrKind::Local, 0),
    };
    stack_objects::make_dynptr(env, st, reg, kind, shared)?;
    Ok(())
}

fn resilient_lock(
    env: &mut Env<'_>,
    st: &mut State,
    meta: &Meta<'_>,
    index: usize,
    state: &RegState,
) -> Check {
    let in_map = matches!(state.kind, RegKind::MapValue { .. });
    if !in_map && !is_allocated(state) {
        return Err(reject!(
            WrongType,
            EINVAL,
            "arg#{index} doesn't point to map value or allocated object"
        ));
    }
    let reg = ARGUMENTS[index];
    match meta.name() {
        "bpf_res_spin_lock" => locks::lock(env, st, reg, RefKind::ResLock),
        "bpf_res_spin_lock_irqsave" => locks::lock(env, st, reg, RefKind::ResLockIrq),
        "bpf_res_spin_unlock" => locks::unlock(env, st, reg, RefKind::ResLock),
        _ => locks::unlock(env, st, reg, RefKind::ResLockIrq),
    }
}

/// Structures of the kernel and what programs call them.
const PROJECTIONS: &[(&str, &str)] = &[("__sk_buff", "sk_buff"), ("xdp_md", "xdp_buff")];

/// A kernel object of a named type.
fn object(
    env: &Env<'_>,
    meta: &Meta<'_>,
    index: usize,
    state: &RegState,
    whose: BtfRef,
    wanted: &str,
) -> Check {
    let safe = PtrFlags::ALLOC
        .union(PtrFlags::TRUSTED)
        .union(PtrFlags::NON_OWN_REF)
        .union(PtrFlags::PACKET_SLICE);
    let unsafe_flags = !(state.flags - safe).is_empty();
    let mirror = kinds::mirror(state);
    let is_object = matches!(state.kind, RegKind::Btf(_));
    let rcu = state.flags.contains(PtrFlags::RCU);
    if (!is_object || (unsafe_flags && !rcu)) && mirror.is_none() {
        let kept = state.flags & safe;
        return Err(reject!(
            WrongType,
            EINVAL,
            "arg#{index} is {} expected {} or socket",
            state.type_name(),
            crate::state::type_name(&state.kind, kept)
        ));
    }
    let wanted_id = btf_access::kernel_struct(env, wanted)?;
    let (ty, name) = match (state.kind, mirror) {
        (RegKind::Btf(ty), _) => (ty, env.btf(ty.btf).map_or("", |btf| btf.name(ty.id))),
        (_, Some(name)) => {
            let id = btf_access::kernel_struct(env, name)?;
            (
                BtfType {
                    btf: BtfRef::Kernel,
                    id,
                },
                name,
            )
        }
        _ => return Ok(()),
    };
    let alias = is_nocast_alias(name, wanted);
    let strict = (meta.is(KfuncFlags::RELEASE) && state.ref_id != 0) || alias;
    let off = i64::from(state.off).wrapping_add(state.num.bits.value as i64);
    let off = i32::try_from(off).unwrap_or(-1);
    let projection = PROJECTIONS.contains(&(wanted, name));
    if projection || btf_access::is_a(env, ty, off, whose, wanted_id, strict) {
        return Ok(());
    }
    Err(reject!(
        WrongType,
        EINVAL,
        "kernel function {} args#{index} expected pointer to STRUCT {wanted} but R{} has a \
         pointer to STRUCT {name}",
        meta.name(),
        index + 1
    ))
}

/// `X` and `X___init` have one layout, but must not be taken for each other.
fn is_nocast_alias(a: &str, b: &str) -> bool {
    a.strip_suffix("___init") == Some(b) || b.strip_suffix("___init") == Some(a)
}

/// Calls a check with a pointer that is taken not to be null.
fn not_null<T>(st: &mut State, reg: Reg, check: impl FnOnce(&mut State) -> Check<T>) -> Check<T> {
    let saved = *st.reg(reg);
    if !saved.may_be_null() {
        return check(st);
    }
    let mut taken = saved;
    taken.flags -= PtrFlags::MAYBE_NULL;
    *st.reg_mut(reg) = taken;
    let result = check(st);
    // A store by the callee may have changed the stack, but not this register.
    *st.reg_mut(reg) = saved;
    result
}

/// Memory of a fixed size that is read and written.
fn memory(env: &mut Env<'_>, st: &mut State, reg: Reg, size: u32) -> Check {
    if st.reg(reg).is_null() {
        return Ok(());
    }
    not_null(st, reg, |st| {
        helper_range::check(env, st, reg, size, AccessKind::Read, true, None)?;
        helper_range::check(env, st, reg, size, AccessKind::Write, true, None)
    })
}

/// Memory whose size the next argument is.
fn sized_memory(
    env: &mut Env<'_>,
    st: &mut State,
    meta: &mut Meta<'_>,
    index: usize,
    state: &RegState,
) -> Check {
    let (buffer, size) = (ARGUMENTS[index], ARGUMENTS[index + 1]);
    let param = meta.param(index);
    let optional = kinds::has_suffix(param, "__opt") || kinds::has_suffix(param, "__nullable");
    if !(state.is_null() && optional) {
        let checked = not_null(st, buffer, |st| {
            let most = args::bounded_size(st, size, true)?;
            helper_range::check(env, st, buffer, most, AccessKind::Read, true, None)?;
            helper_range::check(env, st, buffer, most, AccessKind::Write, true, None)?;
            precision::mark_reg(env, st, size)
        });
        checked.map_err(|refusal| {
            refusal.then(&alloc::format!(
                "arg#{index} arg#{} memory, len pair leads to invalid memory access",
                index + 1
            ))
        })?;
    }
    if kinds::has_suffix(meta.param(index + 1), "__szk") {
        let Some(value) = st.reg(size).as_const() else {
            return Err(reject!(
                WrongType,
                EINVAL,
                "R{} must be a known constant",
                size.number()
            ));
        };
        precision::mark_reg(env, st, size)?;
        meta.constant = Some(value);
    }
    Ok(())
}

/// Kinds of dynptrs that are views of a packet.
pub fn is_packet(kind: DynptrKind) -> bool {
    matches!(
        kind,
        DynptrKind::Skb | DynptrKind::Xdp | DynptrKind::SkbMeta
    )
}
