//! Loads and stores through pointers to objects with BTF.

use alloc::format;

use panal_btf::{Access, AccessError, Kind, KindTag, Pointer, TypeId};
use panal_isa::Reg;
use panal_uapi::{MapType, ProgType};

use super::{AccessKind, btf_safe, context, interfaces};
use crate::{
    calls::{fields::Fields, in_rcu, text::tnum_text},
    env::Env,
    error::{Check, Reject, reject},
    state::{BtfRef, BtfType, PtrFlags, RegKind, RegState, State},
};

/// Flags of pointers that the kernel vouches for.
const VOUCHED: PtrFlags = PtrFlags::ALLOC
    .union(PtrFlags::TRUSTED)
    .union(PtrFlags::NON_OWN_REF);

/// Flags that do not count when trust is asked for: nothing is said about them there.
const NEUTRAL: PtrFlags = PtrFlags::PACKET_SLICE;

/// Whether a pointer is surely alive and may be passed on.
pub fn is_trusted(reg: &RegState) -> bool {
    if reg.ref_id != 0 {
        return true;
    }
    let flags = reg.flags - NEUTRAL;
    let safe = (flags - VOUCHED).is_empty();
    let by_kind = matches!(
        reg.kind,
        RegKind::Socket | RegKind::SockCommon | RegKind::TcpSock | RegKind::MapPtr { .. }
    );
    safe && (by_kind || flags.intersects(VOUCHED))
}

/// Checks an access of `size` bytes at `off` (the instruction's offset; the register's own is added
/// here) through a [`crate::state::RegKind::Btf`] register.
///
/// For a read, gives what the destination register becomes: a number, or a pointer to another type.
///
/// # Errors
/// Beyond the type, into the middle of a field, a write that the rules do not allow.
pub fn check(
    env: &mut Env<'_>,
    st: &mut State,
    reg: Reg,
    off: i32,
    size: u32,
    access: AccessKind,
) -> Check<RegState> {
    let state = *st.reg(reg);
    let n = reg.number();
    let RegKind::Btf(ty) = state.kind else {
        return Err(reject!(
            WrongType,
            EACCES,
            "R{n} invalid mem access '{}'",
            state.type_name()
        ));
    };
    let Some(btf) = env.btf(ty.btf) else {
        return Err(reject!(Types, EINVAL, "no BTF for the object behind R{n}"));
    };
    let name = btf.name(ty.id);
    let off = off.wrapping_add(state.off);
    if !env.sees_addresses() {
        return Err(reject!(
            NotAllowed,
            EPERM,
            "'struct {name}' access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN"
        ));
    }
    if !env.request.gpl && ty.btf == BtfRef::Kernel {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "Cannot access kernel 'struct {name}' from non-GPL compatible program"
        ));
    }
    let Ok(at) = u32::try_from(off) else {
        return Err(reject!(
            OutOfBounds,
            EACCES,
            "R{n} is ptr_{name} invalid negative access: off={off}"
        ));
    };
    if state.num.as_const() != Some(0) {
        return Err(reject!(
            PointerArithmetic,
            EACCES,
            "R{n} is ptr_{name} invalid variable offset: off={off}, var_off={}",
            tnum_text(&state)
        ));
    }
    for (flag, what) in [(PtrFlags::USER, "user"), (PtrFlags::PERCPU, "percpu")] {
        if state.flags.contains(flag) {
            return Err(reject!(
                Permission,
                EACCES,
                "R{n} is ptr_{name} access {what} memory: off={off}"
            )
            .because(format!(
                "{what} memory is not read by a load: use bpf_probe_read_user or bpf_per_cpu_ptr"
            )));
        }
    }
    let local = state.flags.contains(PtrFlags::ALLOC);
    if access.is_write() {
        // What an RCU section keeps alive may be written as what the program owns.
        let kept = PtrFlags::NON_OWN_REF.union(PtrFlags::RCU);
        if local && (state.ref_id != 0 || state.flags.intersects(kept)) {
            check_special(env, ty, at, size)?;
        } else if local || !may_write(env, ty, at, size)? {
            return Err(
                reject!(Permission, EACCES, "only read is supported").because(format!(
                    "kernel object `struct {name}` may not be written here"
                )),
            );
        } else {
            return Ok(RegState::UNKNOWN);
        }
    } else if local {
        check_special(env, ty, at, size)?;
    }
    let found = btf.access(ty.id, at, size).map_err(refused)?;
    let pointer = match found {
        // A pointer in an object of the program is but a number.
        Access::Pointer(pointer) if !local => pointer,
        _ => return Ok(RegState::UNKNOWN),
    };
    if !matches!(
        btf.kind(pointer.target),
        Kind::Struct { .. } | Kind::Union { .. }
    ) {
        return Ok(RegState::UNKNOWN);
    }
    let flags = walked(env, st, &state, name, &pointer);
    Ok(loaded(
        env,
        BtfType {
            btf: ty.btf,
            id: pointer.target,
        },
        flags,
    ))
}

fn loaded(env: &mut Env<'_>, ty: BtfType, flags: PtrFlags) -> RegState {
    let value = RegState::pointer(RegKind::Btf(ty)).with_flags(flags);
    if flags.contains(PtrFlags::MAYBE_NULL) {
        value.with_id(env.new_id())
    } else {
        value
    }
}

/// Trust in a pointer that was found by walking another.
fn walked(
    env: &Env<'_>,
    st: &State,
    from: &RegState,
    name: &str,
    pointer: &Pointer<'_>,
) -> PtrFlags {
    let mut flags = match pointer.tag {
        Some("user") => PtrFlags::USER,
        Some("percpu") => PtrFlags::PERCPU,
        Some("rcu") => PtrFlags::RCU,
        _ => PtrFlags::empty(),
    };
    flags.set(PtrFlags::UNTRUSTED, pointer.through_union);
    if from.flags.contains(PtrFlags::UNTRUSTED) {
        return PtrFlags::UNTRUSTED;
    }
    if !is_trusted(from) && !from.flags.contains(PtrFlags::RCU) {
        return flags - PtrFlags::RCU;
    }
    let safe = btf_safe::find(name, pointer.member);
    match safe {
        Some(btf_safe::Safe::Trusted) => return flags | PtrFlags::TRUSTED,
        Some(btf_safe::Safe::TrustedOrNull) => {
            return flags | PtrFlags::TRUSTED | PtrFlags::MAYBE_NULL;
        }
        _ => {}
    }
    if !in_rcu(st) || from.may_be_null() {
        return PtrFlags::UNTRUSTED;
    }
    let _ = env;
    match safe {
        Some(btf_safe::Safe::Rcu) => flags | PtrFlags::RCU,
        Some(btf_safe::Safe::RcuOrNull) => {
            (flags - PtrFlags::UNTRUSTED) | PtrFlags::RCU | PtrFlags::MAYBE_NULL
        }
        _ if flags.contains(PtrFlags::RCU) => flags | PtrFlags::MAYBE_NULL,
        _ => flags,
    }
}

/// Special fields of allocated objects are out of bounds for loads and stores.
fn check_special(env: &Env<'_>, ty: BtfType, at: u32, size: u32) -> Check {
    for field in Fields::of_type(env, ty).iter() {
        if at < field.offset + field.size && field.offset < at.saturating_add(size) {
            return Err(reject!(
                SpecialObject,
                EACCES,
                "direct access to {} is disallowed",
                field.kind.name()
            ));
        }
    }
    Ok(())
}

/// Why a type has nothing that may be accessed there.
fn refused(e: AccessError<'_>) -> Reject {
    match e {
        AccessError::NoField { .. } => reject!(ContextAccess, EINVAL, "{e}"),
        _ => reject!(ContextAccess, EACCES, "{e}"),
    }
}

/// Whether the program may write there.
fn may_write(env: &Env<'_>, ty: BtfType, at: u32, size: u32) -> Check<bool> {
    let Some(btf) = env.btf(ty.btf) else {
        return Ok(false);
    };
    let prog_type = context::effective_type(env);
    let interface = match prog_type {
        ProgType::StructOps => super::arguments::hook(env).ok().and_then(|h| h.interface),
        _ => None,
    };
    let Some(writable) = interfaces::writable(prog_type, interface) else {
        return Ok(false);
    };
    if ty.btf != BtfRef::Kernel || !writable.objects.contains(&btf.name(ty.id)) {
        return Err(reject!(Permission, EACCES, "{}", writable.otherwise));
    }
    if writable.fields.is_empty() {
        let end = btf.size_of(ty.id).unwrap_or(0);
        if at.saturating_add(size) > end {
            return Err(reject!(
                OutOfBounds,
                EACCES,
                "write access at off {at} with size {size}"
            ));
        }
        return Ok(true);
    }
    let object = writable.objects[0];
    for path in writable.fields {
        let Ok(place) = btf.member_by_path(ty.id, path) else {
            continue;
        };
        let (start, length) = (place.bit_offset / 8, btf.size_of(place.ty).unwrap_or(0));
        let end = start.saturating_add(length);
        let begins = at == start || (writable.in_parts.contains(path) && at > start && at < end);
        if !begins {
            continue;
        }
        if at.saturating_add(size) > end {
            return Err(reject!(
                OutOfBounds,
                EACCES,
                "write access at off {at} with size {size} beyond the member of {object} ended at {end}"
            ));
        }
        return Ok(true);
    }
    Err(reject!(
        Permission,
        EACCES,
        "no write support to {object} at off {at}"
    ))
}

/// Checks a read through a constant map pointer (`struct bpf_map`).
///
/// # Errors
/// As for [`check`].
pub fn check_map_object(
    env: &mut Env<'_>,
    st: &mut State,
    reg: Reg,
    off: i32,
    size: u32,
    access: AccessKind,
) -> Check<RegState> {
    let (state, n) = (*st.reg(reg), reg.number());
    let RegKind::MapPtr { map, .. } = state.kind else {
        return Err(reject!(
            WrongType,
            EACCES,
            "R{n} invalid mem access '{}'",
            state.type_name()
        ));
    };
    let map_type = env.map_type(map);
    let name = map_struct(map_type);
    let btf = &*env.request.profile.btf;
    let Some(id) = btf.find(name, KindTag::Struct) else {
        return Err(reject!(
            Types,
            ENOTSUPP,
            "map_ptr access not supported for map type {}",
            map_type.number()
        ));
    };
    if !env.sees_addresses() {
        return Err(reject!(
            NotAllowed,
            EPERM,
            "'struct {name}' access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN"
        ));
    }
    let off = off.wrapping_add(state.off);
    let Ok(at) = u32::try_from(off) else {
        return Err(reject!(
            OutOfBounds,
            EACCES,
            "R{n} is {name} invalid negative access: off={off}"
        ));
    };
    if access.is_write() {
        return Err(reject!(
            Permission,
            EACCES,
            "only read from {name} is supported"
        ));
    }
    let found = btf.access(id, at, size).map_err(refused)?;
    Ok(match found {
        Access::Pointer(pointer)
            if matches!(
                btf.kind(pointer.target),
                Kind::Struct { .. } | Kind::Union { .. }
            ) =>
        {
            let ty = BtfType {
                btf: BtfRef::Kernel,
                id: pointer.target,
            };
            let mut flags = PtrFlags::empty();
            flags.set(PtrFlags::UNTRUSTED, pointer.through_union);
            loaded(env, ty, flags)
        }
        _ => RegState::UNKNOWN,
    })
}

/// The kernel's structure of a map type.
fn map_struct(map_type: MapType) -> &'static str {
    match map_type {
        MapType::Array
        | MapType::PercpuArray
        | MapType::ProgArray
        | MapType::PerfEventArray
        | MapType::CgroupArray
        | MapType::ArrayOfMaps => "bpf_array",
        MapType::Hash
        | MapType::PercpuHash
        | MapType::LruHash
        | MapType::LruPercpuHash
        | MapType::HashOfMaps => "bpf_htab",
        MapType::LpmTrie => "lpm_trie",
        MapType::Queue | MapType::Stack => "bpf_queue_stack",
        MapType::StackTrace => "bpf_stack_map",
        MapType::Devmap | MapType::DevmapHash => "bpf_dtab",
        MapType::Cpumap => "bpf_cpu_map",
        MapType::Xskmap => "xsk_map",
        MapType::Sockmap => "bpf_stab",
        MapType::Sockhash => "bpf_shtab",
        MapType::CgroupStorage | MapType::PercpuCgroupStorage => "bpf_cgroup_storage_map",
        MapType::ReuseportSockarray => "reuseport_array",
        MapType::SkStorage
        | MapType::InodeStorage
        | MapType::TaskStorage
        | MapType::CgrpStorage => "bpf_local_storage_map",
        MapType::StructOps => "bpf_struct_ops_map",
        MapType::Ringbuf | MapType::UserRingbuf => "bpf_ringbuf_map",
        MapType::BloomFilter => "bpf_bloom_filter",
        MapType::Arena => "bpf_arena",
        MapType::Unspec => "bpf_map",
    }
}

/// A struct of the kernel by name.
///
/// # Errors
/// The kernel does not have it.
pub fn kernel_struct(env: &Env<'_>, name: &str) -> Check<TypeId> {
    env.request
        .profile
        .btf
        .find(name, KindTag::Struct)
        .ok_or_else(|| reject!(Types, EINVAL, "struct {name} is not in the kernel's BTF"))
}

/// Whether an object of type `ty` at offset `off` is, or begins with, a `wanted` of `whose` BTF.
/// `strict`: the types must be the same, what the object contains does not count.
pub fn is_a(
    env: &Env<'_>,
    ty: BtfType,
    off: i32,
    whose: BtfRef,
    wanted: TypeId,
    strict: bool,
) -> bool {
    if ty.btf != whose {
        return false;
    }
    if off == 0 && ty.id == wanted {
        return true;
    }
    let (Some(btf), Ok(off), false) = (env.btf(ty.btf), u32::try_from(off), strict) else {
        return false;
    };
    btf.holds_at(ty.id, off, wanted)
}
