//! Loads, stores, atomics, immediate loads, legacy packet loads.

use panal_btf::Kind;
use panal_isa::{AtomicOp, Imm64, Operand, PacketMode, Reg, Size};
use panal_uapi::{MapType, ProgType};

use super::{Flow, exit, read_ok, write_ok};
use crate::{
    access::{
        RewriteKind,
        memory::{self, Stored},
    },
    env::Env,
    error::{Check, reject},
    explore, privilege,
    state::{BtfRef, BtfType, MapRef, PtrFlags, RegKind, RegState, State},
};

/// `dst = *(size *)(base + offset)`
pub fn load(
    env: &mut Env<'_>,
    st: &mut State,
    size: Size,
    signed: bool,
    dst: Reg,
    base: Reg,
    offset: i16,
) -> Check {
    read_ok(st, base)?;
    write_ok(dst)?;
    let ptr = *st.reg(base);
    let mut value = memory::check_read(env, st, base, i32::from(offset), size.bytes(), true)?;
    if signed && !value.is_scalar() && matches!(ptr.kind, RegKind::Context) {
        let bytes = size.bytes();
        return Err(reject!(
            ContextAccess,
            EACCES,
            "invalid bpf_context access off={offset} size={bytes}"
        ));
    }
    if value.is_scalar() && size != Size::DW {
        if signed {
            value.num.sign_extend(size.bytes());
            value.num.sync();
            value.id = 0;
            value.off = 0;
        } else {
            value.num.truncate(size.bytes());
        }
    }
    *st.reg_mut(dst) = value;
    note_kind(env, &ptr, true)
}

/// `*(size *)(base + offset) = src`
pub fn store(
    env: &mut Env<'_>,
    st: &mut State,
    size: Size,
    base: Reg,
    offset: i16,
    src: Operand,
) -> Check {
    if let Operand::Reg(src) = src {
        read_ok(st, src)?;
    }
    read_ok(st, base)?;
    let ptr = *st.reg(base);
    let stored = match src {
        Operand::Reg(src) => Stored::Reg(src),
        Operand::Imm(imm) => {
            if matches!(ptr.kind, RegKind::Context) && !takes_immediates(&ptr) {
                return Err(not_into(base, &ptr, "BPF_ST"));
            }
            Stored::Imm(imm)
        }
    };
    memory::check_write(env, st, base, i32::from(offset), size.bytes(), stored)?;
    note_kind(env, &ptr, false)
}

/// Since 6.4 immediates may be stored to the context.
fn takes_immediates(_ptr: &RegState) -> bool {
    true
}

fn not_into(base: Reg, ptr: &RegState, what: &str) -> crate::error::Reject {
    reject!(
        WrongType,
        EACCES,
        "{what} stores into R{} {} is not allowed",
        base.number(),
        ptr.type_name()
    )
}

/// Kernels rewrite an instruction by the kind of pointer that it uses: all paths must agree.
fn note_kind(env: &mut Env<'_>, ptr: &RegState, trust_may_differ: bool) -> Check {
    let kind = match ptr.kind {
        RegKind::Context => RewriteKind::Context,
        RegKind::Socket => RewriteKind::Socket,
        RegKind::SockCommon => RewriteKind::SockCommon,
        RegKind::TcpSock => RewriteKind::TcpSock,
        RegKind::XdpSock => RewriteKind::XdpSock,
        RegKind::Btf(_) if ptr.flags.contains(PtrFlags::TRUSTED) && !trust_may_differ => {
            RewriteKind::BtfTrusted
        }
        RegKind::Btf(_) => RewriteKind::Btf,
        RegKind::Arena => RewriteKind::Arena,
        _ => RewriteKind::Plain,
    };
    let aux = &mut env.aux[env.slot];
    match aux.pointer {
        Some(before) if before != kind => Err(reject!(
            WrongType,
            EINVAL,
            "same insn cannot be used with different pointers"
        )),
        _ => {
            aux.pointer = Some(kind);
            Ok(())
        }
    }
}

/// Atomic operations.
pub fn atomic(
    env: &mut Env<'_>,
    st: &mut State,
    op: AtomicOp,
    size: Size,
    base: Reg,
    offset: i16,
    src: Reg,
) -> Check {
    let off = i32::from(offset);
    match op {
        AtomicOp::LoadAcquire => {
            read_ok(st, base)?;
            let ptr = *st.reg(base);
            if !takes_atomics(&ptr) {
                return Err(reject!(
                    WrongType,
                    EACCES,
                    "BPF_ATOMIC loads from R{} {} is not allowed",
                    base.number(),
                    ptr.type_name()
                ));
            }
            memory::check_alignment(env, &ptr, off, size.bytes(), true)?;
            return load(env, st, size, false, src, base, offset);
        }
        AtomicOp::StoreRelease => {
            read_ok(st, src)?;
            read_ok(st, base)?;
            let ptr = *st.reg(base);
            if !takes_atomics(&ptr) {
                return Err(not_into(base, &ptr, "BPF_ATOMIC"));
            }
            memory::check_alignment(env, &ptr, off, size.bytes(), true)?;
            return store(env, st, size, base, offset, Operand::Reg(src));
        }
        _ => {}
    }
    read_ok(st, src)?;
    read_ok(st, base)?;
    let result = match op {
        AtomicOp::CmpXchg => {
            read_ok(st, Reg::R0)?;
            privilege::check_leak(env, st, Reg::R0, "into mem")?;
            Some(Reg::R0)
        }
        AtomicOp::Xchg
        | AtomicOp::Add { fetch: true }
        | AtomicOp::Or { fetch: true }
        | AtomicOp::And { fetch: true }
        | AtomicOp::Xor { fetch: true } => Some(src),
        _ => None,
    };
    privilege::check_leak(env, st, src, "into mem")?;
    let ptr = *st.reg(base);
    if !takes_atomics(&ptr) {
        return Err(not_into(base, &ptr, "BPF_ATOMIC"));
    }
    if let Some(result) = result {
        write_ok(result)?;
    }
    memory::check_alignment(env, &ptr, off, size.bytes(), true)?;
    memory::check_read(env, st, base, off, size.bytes(), false)?;
    // What is fetched from the stack may be a register that was spilled there.
    let fetched = match result {
        Some(_) => Some(memory::check_read(env, st, base, off, size.bytes(), true)?),
        None => None,
    };
    if fetched.is_some_and(|v| v.is_pointer()) && !matches!(ptr.kind, RegKind::Stack { .. }) {
        return Err(reject!(
            SpecialObject,
            EACCES,
            "kptr in map can only be accessed using BPF_MEM instruction mode"
        ));
    }
    note_kind(env, &ptr, true)?;
    memory::check_write(env, st, base, off, size.bytes(), Stored::Unknown)?;
    if let (Some(result), Some(mut value)) = (result, fetched) {
        if value.is_scalar() {
            value.num.truncate(size.bytes());
        }
        *st.reg_mut(result) = value;
    }
    Ok(())
}

fn takes_atomics(ptr: &RegState) -> bool {
    !matches!(
        ptr.kind,
        RegKind::Context
            | RegKind::Packet { .. }
            | RegKind::PacketMeta { .. }
            | RegKind::FlowKeys
            | RegKind::Socket
            | RegKind::SockCommon
            | RegKind::TcpSock
            | RegKind::XdpSock
    )
}

/// `r0 = *(size *)skb[...]`: ends the program when the packet is too short.
pub fn packet_load(env: &mut Env<'_>, st: &mut State, mode: PacketMode) -> Check {
    let allowed = matches!(
        env.request.prog_type,
        ProgType::SocketFilter | ProgType::SchedCls | ProgType::SchedAct
    );
    if !allowed {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "BPF_LD_[ABS|IND] instructions not allowed for this program type"
        ));
    }
    read_ok(st, Reg::R6)?;
    exit::check_nothing_held(env, st, false, true, exit::PACKET_LOAD)?;
    let ctx = *st.reg(Reg::R6);
    if !matches!(ctx.kind, RegKind::Context) {
        return Err(reject!(
            WrongType,
            EINVAL,
            "at the time of BPF_LD_ABS|IND R6 != pointer to skb"
        ));
    }
    if let PacketMode::Indirect(reg) = mode {
        read_ok(st, reg)?;
    }
    memory::check_unmodified(&ctx, Reg::R6)?;
    if st.level() != 0 {
        // Where the packet is too short, the function returns 0 at once.
        let mut early = st.clone();
        *early.reg_mut(Reg::R0) = RegState::constant(0);
        if let Flow::To(slot) = exit::return_to_caller(env, &mut early)? {
            explore::push_state(env, early, slot)?;
        }
    }
    let frame = st.frame_mut();
    frame.clobber_caller_saved();
    frame.regs[0] = RegState::UNKNOWN;
    Ok(())
}

/// `dst = imm ll`
pub fn load_imm64(env: &mut Env<'_>, st: &mut State, dst: Reg, imm: Imm64) -> Check {
    write_ok(dst)?;
    let value = match imm {
        Imm64::Value(value) => RegState::constant(value),
        Imm64::MapIndex(index) => RegState::pointer(RegKind::MapPtr {
            map: map_of(env, index)?,
            uid: 0,
        }),
        Imm64::MapIndexValue { index, offset } => map_value(env, map_of(env, index)?, offset)?,
        Imm64::Func(_) => function(env)?,
        Imm64::BtfVar { id, object } => variable(env, id, object)?,
        Imm64::MapFd(fd) | Imm64::MapValue { fd, .. } => {
            return Err(reject!(
                Types,
                EINVAL,
                "fd {fd} is not pointing to valid bpf_map"
            ));
        }
    };
    *st.reg_mut(dst) = value;
    Ok(())
}

fn map_of(env: &Env<'_>, index: u32) -> Check<MapRef> {
    env.map_index.get(index as usize).copied().ok_or_else(|| {
        reject!(
            Types,
            EINVAL,
            "fd_idx {index} is not pointing to valid bpf_map"
        )
    })
}

/// Checks what is loaded of maps before any path is walked.
///
/// # Errors
/// A map that has no values to point to, or an offset outside of the value.
pub fn check_map_loads(env: &Env<'_>) -> Check {
    for instruction in env.program.instructions.iter().flatten() {
        if let panal_isa::Instruction::LoadImm64 { imm, .. } = instruction {
            match *imm {
                Imm64::MapIndex(index) => {
                    map_of(env, index)?;
                }
                Imm64::MapIndexValue { index, offset } => {
                    map_value(env, map_of(env, index)?, offset)?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn map_value(env: &Env<'_>, map: MapRef, offset: u32) -> Check<RegState> {
    let desc = env.map(map).desc;
    match desc.map_type {
        MapType::Arena => return Ok(RegState::UNKNOWN),
        MapType::Array if desc.max_entries == 1 => {}
        _ => {
            return Err(reject!(
                NotAllowed,
                EINVAL,
                "no direct value access support for this map type"
            ));
        }
    }
    if offset >= desc.value_size {
        return Err(reject!(
            OutOfBounds,
            EINVAL,
            "invalid access to map value pointer, value_size={} off={offset}",
            desc.value_size
        ));
    }
    let mut reg = RegState::pointer(RegKind::MapValue { map, uid: 0 });
    reg.off = offset as i32;
    Ok(reg)
}

fn function(env: &Env<'_>) -> Check<RegState> {
    let subprog = env
        .program
        .callee(env.slot)
        .ok_or_else(|| reject!(ControlFlow, EINVAL, "call to invalid destination"))?;
    let sub = &env.program.subprograms[subprog as usize];
    if sub.ty.is_none() {
        return Err(reject!(Types, EINVAL, "missing btf func_info"));
    }
    if sub.global {
        return Err(reject!(WrongType, EINVAL, "callback function not static"));
    }
    Ok(RegState::pointer(RegKind::Func { subprog }))
}

/// A kernel variable by BTF id.
fn variable(env: &Env<'_>, id: u32, object: i32) -> Check<RegState> {
    if object != 0 {
        return Err(reject!(
            Types,
            EINVAL,
            "variables of kernel modules are not supported"
        ));
    }
    let btf = &env.request.profile.btf;
    let ty = btf
        .get(panal_btf::TypeId(id))
        .ok_or_else(|| reject!(Types, ENOENT, "ldimm64 insn specifies invalid btf_id {id}."))?;
    let var = match ty.kind {
        Kind::Var { ty, .. } => ty,
        Kind::Func { .. } => {
            let kind = RegKind::Mem {
                size: 0,
                dynptr_id: 0,
            };
            return Ok(RegState::pointer(kind).with_flags(PtrFlags::RDONLY));
        }
        _ => {
            return Err(reject!(
                Types,
                EINVAL,
                "pseudo btf_id {id} in ldimm64 isn't KIND_VAR or KIND_FUNC"
            ));
        }
    };
    let (id_of_type, target) = btf.resolve(var);
    let is_struct = matches!(target.kind, Kind::Struct { .. } | Kind::Union { .. });
    let is_percpu = btf
        .section(".data..percpu")
        .is_some_and(|(_, _, vars)| vars.iter().any(|v| v.ty.0 == id));
    let ty = BtfType {
        btf: BtfRef::Kernel,
        id: id_of_type,
    };
    if is_percpu {
        return Ok(RegState::pointer(RegKind::Btf(ty)).with_flags(PtrFlags::PERCPU));
    }
    if is_struct {
        return Ok(RegState::pointer(RegKind::Btf(ty)));
    }
    let size = btf.size_of(var).ok_or_else(|| {
        reject!(
            Types,
            EINVAL,
            "ldimm64 unable to resolve the size of type '{}'",
            ty_name(&ty, btf)
        )
    })?;
    Ok(RegState::pointer(RegKind::Mem { size, dynptr_id: 0 }).with_flags(PtrFlags::RDONLY))
}

fn ty_name(ty: &BtfType, btf: &panal_btf::Btf) -> alloc::string::String {
    btf.get(ty.id)
        .map(|t| alloc::string::String::from(&*t.name))
        .unwrap_or_default()
}
