//! One load or store: dispatch on the kind of pointer.

use alloc::string::String;

use panal_isa::Reg;
use panal_uapi::{MapType, kernel::MapFlags, report::Quantity};

use super::{AccessKind, btf, context, stack};
use crate::{
    calls::fields,
    domain::Tnum,
    env::Env,
    error::{Check, Reject, reject},
    privilege,
    proof::Region,
    state::{MapRef, PtrFlags, RegKind, RegState, State},
};

/// Offsets reach this far at most.
const MAX_OFFSET: u64 = 1 << 29;
/// Bytes of `struct bpf_flow_keys`.
const FLOW_KEYS_SIZE: i64 = 56;

/// What a store stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// A register.
    Reg(Reg),
    /// A known number.
    Imm(i32),
    /// Something unknown: a helper writes.
    Unknown,
}

/// Checks a load of `size` bytes at `base + off`; gives what the destination register becomes,
/// before it is cut to the size. `wanted` is false where the value is not used.
///
/// # Errors
/// Whatever the kind of pointer forbids.
pub fn check_read(
    env: &mut Env<'_>,
    st: &mut State,
    base: Reg,
    off: i32,
    size: u32,
    wanted: bool,
) -> Check<RegState> {
    let reg = *st.reg(base);
    check_alignment(env, &reg, off, size, false)?;
    note_access(env, st, &reg, off);
    match reg.kind {
        RegKind::Stack { .. } => stack::read(env, st, base, off, size, wanted),
        RegKind::MapValue { map, .. } if !reg.may_be_null() => {
            read_map_value(env, st, base, off, size, map)
        }
        RegKind::Context if !reg.may_be_null() => {
            check_unmodified(&reg, base)?;
            context::check(env, st, off, size, AccessKind::Read)
        }
        RegKind::Socket | RegKind::SockCommon | RegKind::TcpSock | RegKind::XdpSock
            if !reg.may_be_null() =>
        {
            check_socket(env, st, base, off, size, AccessKind::Read)
        }
        RegKind::Btf(_) if !reg.may_be_null() => {
            btf::check(env, st, base, off, size, AccessKind::Read)
        }
        RegKind::MapPtr { .. } if !reg.may_be_null() => {
            btf::check_map_object(env, st, base, off, size, AccessKind::Read)
        }
        _ => {
            check_plain(env, st, base, off, size, AccessKind::Read)?;
            Ok(RegState::UNKNOWN)
        }
    }
}

/// Checks a store of `size` bytes at `base + off`, and does it where the stack is meant.
///
/// # Errors
/// Whatever the kind of pointer forbids.
pub fn check_write(
    env: &mut Env<'_>,
    st: &mut State,
    base: Reg,
    off: i32,
    size: u32,
    stored: Stored,
) -> Check {
    let reg = *st.reg(base);
    check_alignment(env, &reg, off, size, false)?;
    note_access(env, st, &reg, off);
    if let (Stored::Reg(stored), Some(into)) = (stored, visible_memory(&reg)) {
        privilege::check_leak(env, st, stored, into)?;
    }
    match reg.kind {
        RegKind::Stack { .. } => stack::write(env, st, base, off, size, stored),
        RegKind::MapValue { map, .. } if !reg.may_be_null() => {
            check_map_value(env, st, base, off, size, map, AccessKind::Write)?;
            let Some(kptr) = kptr_at(env, &reg, map, off) else {
                return Ok(());
            };
            let value = match stored {
                Stored::Reg(reg) => Some(*st.reg(reg)),
                Stored::Imm(imm) => Some(RegState::constant(i64::from(imm) as u64)),
                Stored::Unknown => None,
            };
            let n = match stored {
                Stored::Reg(reg) => reg.number(),
                _ => 0,
            };
            fields::store_kptr(env, &kptr, value.as_ref(), n)
        }
        RegKind::Context if !reg.may_be_null() => {
            check_unmodified(&reg, base)?;
            context::check(env, st, off, size, AccessKind::Write).map(|_| ())
        }
        RegKind::Socket | RegKind::SockCommon | RegKind::TcpSock | RegKind::XdpSock
            if !reg.may_be_null() =>
        {
            Err(read_only(&reg, base))
        }
        RegKind::Btf(_) if !reg.may_be_null() => {
            btf::check(env, st, base, off, size, AccessKind::Write).map(|_| ())
        }
        RegKind::MapPtr { .. } if !reg.may_be_null() => {
            btf::check_map_object(env, st, base, off, size, AccessKind::Write).map(|_| ())
        }
        _ => check_plain(env, st, base, off, size, AccessKind::Write),
    }
}

/// Memory that others see, as Linux's message on addresses stored there names it.
fn visible_memory(reg: &RegState) -> Option<&'static str> {
    if reg.may_be_null() {
        return None;
    }
    Some(match reg.kind {
        RegKind::MapValue { .. } => "into map",
        RegKind::Mem { .. } => "into mem",
        RegKind::Context => "into ctx",
        RegKind::Packet { .. } | RegKind::PacketMeta { .. } => "into packet",
        RegKind::FlowKeys => "into flow keys",
        _ => return None,
    })
}

/// For the proof: what is accessed.
fn note_access(env: &mut Env<'_>, st: &State, reg: &RegState, off: i32) {
    let at = reg
        .num
        .as_const()
        .and_then(|v| i32::try_from(v as i64).ok())
        .and_then(|v| v.checked_add(reg.off))
        .and_then(|v| v.checked_add(off));
    let (region, at) = match reg.kind {
        RegKind::Stack { frame } => (
            Region::Stack,
            at.filter(|_| usize::from(frame) == st.level()),
        ),
        RegKind::Context => (Region::Context, at),
        RegKind::MapValue { map, .. } => (
            Region::MapValue {
                map: env.map(map).index,
            },
            at,
        ),
        RegKind::Packet { .. } | RegKind::PacketMeta { .. } => (Region::Packet, at),
        RegKind::Btf(_) | RegKind::MapPtr { .. } => (Region::Btf, at),
        RegKind::Socket | RegKind::SockCommon | RegKind::TcpSock | RegKind::XdpSock => {
            (Region::Socket, at)
        }
        RegKind::Mem { .. } if reg.flags.contains(PtrFlags::UNTRUSTED) => (Region::Btf, at),
        RegKind::Arena => (Region::Arena, None),
        _ => (Region::Memory, at),
    };
    let slot = env.slot;
    env.facts.access(slot, region, at);
}

/// Kinds whose checks do not need more than bounds.
fn check_plain(
    env: &mut Env<'_>,
    st: &mut State,
    base: Reg,
    off: i32,
    size: u32,
    access: AccessKind,
) -> Check {
    let reg = *st.reg(base);
    let n = base.number();
    let writes = access.is_write();
    if reg.may_be_null() {
        return Err(invalid_access(env, &reg, base));
    }
    match reg.kind {
        RegKind::MapKey { map, .. } => {
            if writes {
                return Err(reject!(
                    Permission,
                    EACCES,
                    "write to change key R{n} not allowed"
                ));
            }
            let key_size = env.map(map).desc.key_size;
            check_region(env, st, base, off, size, key_size, false, access)
        }
        RegKind::Mem { size: mem_size, .. } => {
            let read_only_memory = reg.flags.contains(PtrFlags::RDONLY);
            if writes && read_only_memory {
                return Err(read_only(&reg, base));
            }
            if read_only_memory && reg.flags.contains(PtrFlags::UNTRUSTED) {
                return Ok(());
            }
            check_region(env, st, base, off, size, mem_size, false, access)
        }
        RegKind::Packet { .. } | RegKind::PacketMeta { .. } => {
            if writes && !context::may_access_packet(env, access) {
                return Err(reject!(Permission, EACCES, "cannot write into packet"));
            }
            check_packet(&reg, base, off, size, false)
        }
        RegKind::FlowKeys => {
            let at = i64::from(reg.off) + i64::from(off);
            if at < 0 || at + i64::from(size) > FLOW_KEYS_SIZE {
                return Err(reject!(
                    OutOfBounds,
                    EACCES,
                    "invalid access to flow keys off={at} size={size}"
                ));
            }
            Ok(())
        }
        RegKind::TpBuffer => check_buffer(&reg, base, off, size, "tracepoint"),
        RegKind::Buf => {
            let read_only_memory = reg.flags.contains(PtrFlags::RDONLY);
            if writes && read_only_memory {
                return Err(read_only(&reg, base));
            }
            let name = if read_only_memory { "rdonly" } else { "rdwr" };
            check_buffer(&reg, base, off, size, name)
        }
        RegKind::Arena => Ok(()),
        _ => Err(invalid_access(env, &reg, base)),
    }
}

#[cold]
fn invalid_access(_env: &Env<'_>, reg: &RegState, base: Reg) -> Reject {
    let n = base.number();
    let name = reg.type_name();
    let class = if reg.may_be_null() {
        panal_uapi::report::Class::NullPointer
    } else {
        panal_uapi::report::Class::WrongType
    };
    let reject = Reject::new(
        class,
        panal_uapi::Errno::EACCES,
        alloc::format!("R{n} invalid mem access '{name}'"),
    );
    if reg.may_be_null() {
        reject
            .because(alloc::format!("r{n} may be null here ({name})"))
            .help("test the pointer against NULL before using it")
    } else if reg.is_scalar() {
        reject.because(alloc::format!("r{n} holds a number, not a pointer"))
    } else {
        reject.because(alloc::format!(
            "memory behind r{n} ({name}) cannot be accessed directly"
        ))
    }
}

fn read_only(reg: &RegState, base: Reg) -> Reject {
    let n = base.number();
    reject!(
        Permission,
        EACCES,
        "R{n} cannot write into {}",
        reg.type_name()
    )
}

/// `(value; mask)`, as Linux prints known bits.
pub fn bits_text(bits: Tnum) -> alloc::string::String {
    match bits.value {
        0 if bits.is_const() => alloc::string::String::from("0"),
        value if bits.is_const() => alloc::format!("{value:#x}"),
        value => alloc::format!("({value:#x}; {:#x})", bits.mask),
    }
}

/// The pointer must be as it was handed out: no offset added.
///
/// # Errors
/// It has an offset.
pub fn check_unmodified(reg: &RegState, base: Reg) -> Check {
    if reg.off == 0 {
        return check_unmodified_variable(reg);
    }
    let n = base.number();
    let name = reg.type_name();
    if reg.off < 0 {
        return Err(reject!(
            WrongType,
            EACCES,
            "negative offset {name} ptr R{n} off={} disallowed",
            reg.off
        ));
    }
    Err(reject!(
        WrongType,
        EACCES,
        "dereference of modified {name} ptr R{n} off={} disallowed",
        reg.off
    ))
}

/// The pointer has no variable offset.
///
/// # Errors
/// It has one.
pub fn check_unmodified_variable(reg: &RegState) -> Check {
    if reg.num.as_const() == Some(0) {
        return Ok(());
    }
    Err(reject!(
        WrongType,
        EACCES,
        "variable {} access var_off={} disallowed",
        reg.type_name(),
        bits_text(reg.num.bits)
    ))
}

/// Checks alignment where it matters: on the stack, for atomics (`strict`), and when asked for.
///
/// # Errors
/// The access is not aligned.
pub fn check_alignment(env: &Env<'_>, reg: &RegState, off: i32, size: u32, strict: bool) -> Check {
    let strict = strict || env.strict_alignment || matches!(reg.kind, RegKind::Stack { .. });
    if !strict || size == 1 {
        return Ok(());
    }
    let misaligned = |extra: i64| {
        let fixed = i64::from(reg.off) + i64::from(off) + extra;
        !reg.num
            .bits
            .add(Tnum::constant(fixed as u64))
            .is_aligned(size.into())
    };
    let what = match reg.kind {
        RegKind::Arena => return Ok(()),
        RegKind::Packet { .. } | RegKind::PacketMeta { .. } => {
            // Network headers are shifted by two bytes so that IP headers are aligned.
            const IP_ALIGN: i64 = 2;
            if misaligned(IP_ALIGN) {
                return Err(reject!(
                    Alignment,
                    EACCES,
                    "misaligned packet access off {IP_ALIGN}+{}+{}+{off} size {size}",
                    bits_text(reg.num.bits),
                    reg.off
                ));
            }
            return Ok(());
        }
        RegKind::FlowKeys => "flow keys ",
        RegKind::MapKey { .. } => "key ",
        RegKind::MapValue { .. } => "value ",
        RegKind::Context => "context ",
        RegKind::Stack { .. } => "stack ",
        RegKind::Socket => "sock ",
        RegKind::SockCommon => "sock_common ",
        RegKind::TcpSock => "tcp_sock ",
        RegKind::XdpSock => "xdp_sock ",
        _ => "",
    };
    if misaligned(0) {
        return Err(reject!(
            Alignment,
            EACCES,
            "misaligned {what}access off {}+{}+{off} size {size}",
            bits_text(reg.num.bits),
            reg.off
        ));
    }
    Ok(())
}

fn check_socket(
    env: &mut Env<'_>,
    st: &State,
    base: Reg,
    off: i32,
    size: u32,
    access: AccessKind,
) -> Check<RegState> {
    if st.reg(base).num.smin < 0 {
        return Err(negative_min(base));
    }
    context::check_socket(env, st, base, off, size, access)
}

#[cold]
fn negative_min(base: Reg) -> Reject {
    let n = base.number();
    reject!(
        OutOfBounds,
        EACCES,
        "R{n} min value is negative, either use unsigned index or do a if (index >=0) check."
    )
    .because(alloc::format!("the offset in r{n} may be negative"))
    .help("use an unsigned type for the index, or check that it is not negative")
}

/// Checks that `off..off + size` lies inside memory of `mem_size` bytes for every value of the
/// register's variable offset. The register's fixed offset is added here.
///
/// # Errors
/// It may lie outside.
#[allow(clippy::too_many_arguments)] // one access in full
pub fn check_region(
    env: &Env<'_>,
    st: &State,
    reg: Reg,
    off: i32,
    size: u32,
    mem_size: u32,
    zero_size_allowed: bool,
    access: AccessKind,
) -> Check {
    let _ = (env, access);
    let (base, reg) = (reg, st.reg(reg));
    let n = base.number();
    let off = i64::from(reg.off) + i64::from(off);
    if reg.num.smin < 0 {
        let least = reg.num.smin.checked_add(off);
        if least.is_none_or(|v| v < 0 || v > i64::from(i32::MAX)) {
            return Err(beyond(negative_min(base), reg, off, size, mem_size));
        }
    }
    inside(
        reg,
        base,
        reg.num.smin.saturating_add(off),
        size,
        mem_size,
        zero_size_allowed,
    )
    .map_err(|e| {
        beyond(e, reg, off, size, mem_size).then(&alloc::format!(
            "R{n} min value is outside of the allowed memory range"
        ))
    })?;
    if reg.num.umax >= MAX_OFFSET {
        let unbounded = reject!(
            OutOfBounds,
            EACCES,
            "R{n} unbounded memory access, make sure to bounds check any such access"
        )
        .because("the index has no upper bound")
        .help("compare the index with the number of elements first, or mask it");
        return Err(beyond(unbounded, reg, off, size, mem_size));
    }
    inside(
        reg,
        base,
        (reg.num.umax as i64).saturating_add(off),
        size,
        mem_size,
        zero_size_allowed,
    )
    .map_err(|e| {
        beyond(e, reg, off, size, mem_size).then(&alloc::format!(
            "R{n} max value is outside of the allowed memory range"
        ))
    })
}

/// Adds the offsets that are possible, and those that would be inside.
#[cold]
fn beyond(reject: Reject, reg: &RegState, off: i64, size: u32, mem_size: u32) -> Reject {
    let least = i128::from(reg.num.smin) + i128::from(off);
    let most = match reg.num.smin < 0 {
        true => i128::from(reg.num.smax) + i128::from(off),
        false => i128::from(reg.num.umax) + i128::from(off),
    };
    let last = i128::from(mem_size) - i128::from(size);
    reject.bound(Quantity::Offset, (least, most), (0, last))
}

fn inside(
    reg: &RegState,
    base: Reg,
    off: i64,
    size: u32,
    mem_size: u32,
    zero_size_allowed: bool,
) -> Check {
    let size_ok = size > 0 || zero_size_allowed;
    if off >= 0 && size_ok && off as u64 + u64::from(size) <= u64::from(mem_size) {
        return Ok(());
    }
    let n = base.number();
    let (object, bytes) = match reg.kind {
        RegKind::MapKey { .. } => ("map key", mem_size),
        RegKind::MapValue { .. } => ("map value", mem_size),
        _ => ("object", mem_size),
    };
    Err(match reg.kind {
        RegKind::MapKey { .. } => reject!(
            OutOfBounds,
            EACCES,
            "invalid access to map key, key_size={mem_size} off={off} size={size}"
        ),
        RegKind::MapValue { .. } => reject!(
            OutOfBounds,
            EACCES,
            "invalid access to map value, value_size={mem_size} off={off} size={size}"
        ),
        RegKind::Packet { .. } | RegKind::PacketMeta { .. } | RegKind::PacketEnd => reject!(
            PacketBounds,
            EACCES,
            "invalid access to packet, off={off} size={size}, R{n}(id={},off={off},r={mem_size})",
            reg.id
        ),
        _ => reject!(
            OutOfBounds,
            EACCES,
            "invalid access to memory, mem_size={mem_size} off={off} size={size}"
        ),
    }
    .because(alloc::format!(
        "the {size} bytes at offset {off} lie outside of the {object} of {bytes} bytes"
    )))
}

/// Checks packet bytes against the range that comparisons with the packet's end gave.
///
/// # Errors
/// The bytes may lie beyond.
pub fn check_packet(reg: &RegState, base: Reg, off: i32, size: u32, zero_ok: bool) -> Check {
    if reg.num.smin < 0 {
        return Err(negative_min(base));
    }
    let range = match reg.kind {
        RegKind::Packet { range } | RegKind::PacketMeta { range } => range,
        _ => -1,
    };
    let n = base.number();
    let outside = || alloc::format!("R{n} offset is outside of the packet");
    let Ok(range) = u32::try_from(range) else {
        return Err(reject!(PacketBounds, EINVAL, "{}", outside()));
    };
    let at = i64::from(reg.off) + i64::from(off);
    inside(reg, base, at, size, range, zero_ok).map_err(|e| {
        e.then(&outside())
            .because(packet_words(at, size, range))
            .bound(
                Quantity::PacketBytes,
                (range, range),
                (at + i64::from(size), i64::from(i32::MAX)),
            )
    })
}

fn packet_words(at: i64, size: u32, range: u32) -> alloc::string::String {
    let accessed = match size {
        1 => alloc::format!("byte {at} of the packet (from the pointer's base) is"),
        _ => alloc::format!(
            "bytes {at} to {} of the packet (from the pointer's base) are",
            at + i64::from(size) - 1
        ),
    };
    match range {
        0 => alloc::format!(
            "{accessed} accessed, but no comparison shows that the packet is so long"
        ),
        1 => alloc::format!("{accessed} accessed, but only 1 byte is known to be there"),
        _ => alloc::format!("{accessed} accessed, but only {range} bytes are known to be there"),
    }
}

/// Buffers whose size the kernel checks when the program is attached.
pub fn check_buffer(reg: &RegState, base: Reg, off: i32, size: u32, name: &str) -> Check {
    let n = base.number();
    let at = i64::from(reg.off) + i64::from(off);
    if at < 0 {
        return Err(reject!(
            OutOfBounds,
            EACCES,
            "R{n} invalid {name} buffer access: off={at}, size={size}"
        ));
    }
    if reg.num.as_const() != Some(0) {
        return Err(reject!(
            OutOfBounds,
            EACCES,
            "R{n} invalid variable buffer offset: off={at}, var_off={}",
            bits_text(reg.num.bits)
        ));
    }
    Ok(())
}

/// Checks an access to a map value: permissions, bounds, special fields.
///
/// # Errors
/// It is out of bounds, forbidden by the map's flags, or touches a special field.
pub fn check_map_value(
    env: &mut Env<'_>,
    st: &mut State,
    base: Reg,
    off: i32,
    size: u32,
    map: MapRef,
    access: AccessKind,
) -> Check {
    check_map_permission(env, st.reg(base), off, size, map, access)?;
    let value_size = env.map(map).desc.value_size;
    check_region(env, st, base, off, size, value_size, false, access)?;
    let reg = st.reg(base);
    let at = i64::from(reg.off) + i64::from(off);
    let (min, max) = (
        reg.num.smin.saturating_add(at),
        reg.num.umax.wrapping_add(at as u64),
    );
    fields::check_direct(env, map, min, max, size, access)
}

/// Whether the map's flags let programs read (write) it.
///
/// # Errors
/// They do not.
pub fn check_map_permission(
    env: &Env<'_>,
    reg: &RegState,
    off: i32,
    size: u32,
    map: MapRef,
    access: AccessKind,
) -> Check {
    let desc = env.map(map).desc;
    let (forbidden, words) = match access {
        AccessKind::Read => (MapFlags::WRONLY_PROG, "read from map forbidden"),
        AccessKind::Write => (MapFlags::RDONLY_PROG, "write into map forbidden"),
    };
    if desc.flags.contains(forbidden) {
        let at = i64::from(reg.off) + i64::from(off);
        let text = alloc::format!(
            "{words}, value_size={} off={at} size={size}",
            desc.value_size
        );
        return Err(forbidden_map(env, map, access, text));
    }
    Ok(())
}

/// The map's flags forbid it to programs.
#[cold]
pub fn forbidden_map(env: &Env<'_>, map: MapRef, access: AccessKind, linux: String) -> Reject {
    let name = &env.map(map).desc.name;
    let reject = reject!(Permission, EACCES, "{linux}");
    match access {
        AccessKind::Write if name.contains(".rodata") => reject
            .because(
                "a read-only map is written: constants (`const volatile`, .rodata) do not change \
                 once loaded",
            )
            .help("make the variable not `const`, so that it lies in .data or .bss"),
        AccessKind::Write => reject
            .because(alloc::format!(
                "programs may not write to the map `{name}`, which has the flag BPF_F_RDONLY_PROG"
            ))
            .help("change it from user space, or declare the map without that flag"),
        AccessKind::Read => reject
            .because(alloc::format!(
                "programs may not read the map `{name}`, which has the flag BPF_F_WRONLY_PROG"
            ))
            .help("read it from user space, or declare the map without that flag"),
    }
}

/// The kptr field that an access at a constant offset meets.
fn kptr_at(env: &Env<'_>, reg: &RegState, map: MapRef, off: i32) -> Option<fields::Kptr> {
    let var = reg.num.as_const()? as i64;
    fields::kptr_at(env, map, var + i64::from(reg.off) + i64::from(off))
}

fn read_map_value(
    env: &mut Env<'_>,
    st: &mut State,
    base: Reg,
    off: i32,
    size: u32,
    map: MapRef,
) -> Check<RegState> {
    check_map_value(env, st, base, off, size, map, AccessKind::Read)?;
    let reg = *st.reg(base);
    if let Some(kptr) = kptr_at(env, &reg, map, off) {
        return Ok(fields::load_kptr(env, st, &kptr));
    }
    let desc = env.map(map).desc;
    let frozen = match (&desc.frozen, reg.num.as_const()) {
        (Some(bytes), Some(var)) if desc.map_type == MapType::Array => {
            let at = (var as i64) + i64::from(reg.off) + i64::from(off);
            usize::try_from(at)
                .ok()
                .and_then(|at| bytes.get(at..at + size as usize))
        }
        _ => None,
    };
    let Some(bytes) = frozen else {
        return Ok(RegState::UNKNOWN);
    };
    let mut word = [0u8; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    Ok(RegState::constant(u64::from_le_bytes(word)))
}
