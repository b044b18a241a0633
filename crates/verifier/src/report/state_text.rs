//! A state as Linux's log prints it.

use alloc::{format, string::String, vec::Vec};
use core::fmt::Write;

use panal_btf::Btf;

use super::record::Change;
use crate::{
    domain::{Scalar, Tnum},
    env::Env,
    explore::Precise,
    state::{
        BtfRef, CallbackKind, IterState, PtrFlags, RegKind, RegState, SlotType, StackSlot, State,
    },
};

/// What of a frame is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Registers, a bit for each.
    pub regs: u16,
    /// Stack slots.
    pub slots: u64,
    /// Numbers that matter exactly: they are marked with a `P`.
    pub precise: Precise,
}

impl Wanted {
    /// Everything.
    pub const ALL: Wanted = Wanted {
        regs: u16::MAX,
        slots: u64::MAX,
        precise: Precise { regs: 0, slots: 0 },
    };
}

/// The innermost frame: ` R0=scalar(...) R10=fp0 fp-8=mmmmmmmm`.
pub fn state_text(env: &Env<'_>, st: &State) -> String {
    frame_text(env, st, st.level(), Wanted::ALL)
}

/// What is wanted of a frame, and what the path holds.
pub fn frame_text(env: &Env<'_>, st: &State, level: usize, wanted: Wanted) -> String {
    let mut out = String::new();
    let frame = &st.frames[level];
    if level != 0 {
        let _ = write!(out, " frame{level}:");
    }
    for (number, reg) in frame.regs.iter().enumerate() {
        if wanted.regs & (1 << number) != 0 && !matches!(reg.kind, RegKind::NotInit) {
            let is_precise = reg.is_scalar() && wanted.precise.regs & (1 << number) != 0;
            let mark = if is_precise { "P" } else { "" };
            let _ = write!(out, " R{number}={mark}");
            reg_text(env, &mut out, level, reg);
        }
    }
    for (index, slot) in frame.stack.iter().enumerate() {
        let valid = slot.types.iter().any(|&t| t != SlotType::Invalid);
        if valid && wanted.slots & (1 << (index & 63)) != 0 {
            let precise = wanted.precise.slots & (1 << (index & 63)) != 0;
            slot_text(env, &mut out, level, index, slot, precise);
        }
    }
    // Locks of variables have no number: after another one they are not told.
    for (index, held) in st.refs.list.iter().enumerate() {
        let sign = if index == 0 { " refs=" } else { "," };
        if index == 0 || held.id != 0 {
            let _ = write!(out, "{sign}{}", held.id);
        }
    }
    match frame.callback {
        Some(CallbackKind::Sync { .. }) => out.push_str(" cb"),
        Some(CallbackKind::Async) => out.push_str(" async_cb"),
        _ => {}
    }
    out
}

/// A slot of the stack that is valid; nothing for those of an object that its first slot stands for.
fn slot_text(
    env: &Env<'_>,
    out: &mut String,
    level: usize,
    index: usize,
    slot: &StackSlot,
    precise: bool,
) {
    let off = (index as i32 + 1) * -8;
    match (slot.is_special(), slot.reg.kind) {
        (true, RegKind::Dynptr { first: false, .. } | RegKind::Iter { first: false, .. }) => {}
        (true, RegKind::Dynptr { kind, .. }) => {
            let kind = crate::calls::stack_objects::kind_name(kind);
            let mut parts: Vec<String> = Vec::new();
            if slot.reg.id != 0 {
                parts.push(format!("id={}", slot.reg.id));
            }
            if slot.reg.ref_id != 0 {
                parts.push(format!("ref_id={}", slot.reg.ref_id));
            }
            // What Linux prints here is whether it is the first of the two slots.
            parts.push(String::from("dynptr_id=1"));
            let _ = write!(out, " fp{off}=dynptr_{kind}({})", parts.join(","));
        }
        (
            true,
            RegKind::Iter {
                ty, state, depth, ..
            },
        ) => {
            let name = env.btf(ty.btf).map_or("", |btf| btf.name(ty.id));
            let name = name.strip_prefix("bpf_").unwrap_or(name);
            let state = match state {
                IterState::Active => "active",
                IterState::Drained => "drained",
            };
            let _ = write!(
                out,
                " fp{off}={name}(ref_id={},state={state},depth={depth})",
                slot.reg.ref_id
            );
        }
        _ => {
            let _ = write!(out, " fp{off}=");
            bytes_text(env, out, level, slot, precise);
        }
    }
}

/// A letter for each byte; the register that is spilled in the lower ones.
fn bytes_text(env: &Env<'_>, out: &mut String, level: usize, slot: &StackSlot, precise: bool) {
    let spilled = slot.is_spilled();
    let above = slot.types.iter().take_while(|&&t| t != SlotType::Spill);
    let letters = above.map(|t| t.letter());
    out.extend(letters);
    if spilled {
        if precise && slot.reg.is_scalar() {
            out.push('P');
        }
        reg_text(env, out, level, &slot.reg);
    }
}

/// What is known of one value.
pub fn value(env: &Env<'_>, reg: &RegState) -> String {
    let mut out = String::new();
    match reg.kind {
        RegKind::NotInit => out.push_str("uninitialised"),
        _ => reg_text(env, &mut out, usize::MAX, reg),
    }
    out
}

/// A register or stack slot after an instruction of the frame `level` changed it: `r2=5`, `fp-8=mmmmmmmm`.
pub fn change(env: &Env<'_>, level: u8, change: &Change) -> String {
    let place = change.place;
    let mut out = String::new();
    if place.frame != level {
        let _ = write!(out, "frame{}:", place.frame);
    }
    match place.at.checked_sub(16) {
        None => {
            let _ = write!(out, "r{}={}", place.at, value(env, &change.after.reg));
        }
        Some(index) => {
            let _ = write!(out, "fp{}=", (i32::from(index) + 1) * -8);
            bytes_text(
                env,
                &mut out,
                usize::from(place.frame),
                &change.after,
                false,
            );
        }
    }
    out
}

/// A register of the frame `level`.
fn reg_text(env: &Env<'_>, out: &mut String, level: usize, reg: &RegState) {
    if let Some(value) = reg.as_const() {
        out.push_str(&signed(value as i64));
        return;
    }
    if let RegKind::Stack { frame } = reg.kind {
        out.push_str("fp");
        if usize::from(frame) != level && level != usize::MAX {
            let _ = write!(out, "[{frame}]");
        }
        if let Some(var) = reg.num.as_const() {
            let _ = write!(out, "{}", reg.off.wrapping_add(var as i32));
            return;
        }
    } else {
        out.push_str(&reg.type_name());
    }
    if let RegKind::Btf(ty) = reg.kind {
        let btf: Option<&Btf> = env.btf(ty.btf);
        out.push_str(btf.map_or("", |b| b.name(ty.id)));
        if ty.btf == BtfRef::Program && btf.is_none() {
            out.push('?');
        }
    }
    let _ = write!(out, "({})", parts(env, reg).join(","));
}

fn parts(env: &Env<'_>, reg: &RegState) -> Vec<String> {
    let mut parts = Vec::new();
    if reg.id & !RegState::ADD_CONST != 0 {
        let delta = if reg.id & RegState::ADD_CONST != 0 {
            format!("{:+}", reg.off)
        } else {
            String::new()
        };
        parts.push(format!("id={}{delta}", reg.id & !RegState::ADD_CONST));
    }
    if reg.ref_id != 0 {
        parts.push(format!("ref_obj_id={}", reg.ref_id));
    }
    if reg.flags.contains(PtrFlags::NON_OWN_REF) {
        parts.push(String::from("non_own_ref"));
    }
    if let RegKind::MapPtr { map, .. }
    | RegKind::MapKey { map, .. }
    | RegKind::MapValue { map, .. } = reg.kind
    {
        let desc = env.map(map).desc;
        if !desc.name.is_empty() {
            parts.push(format!("map={}", desc.name));
        }
        parts.push(format!("ks={}", desc.key_size));
        parts.push(format!("vs={}", desc.value_size));
    }
    if !reg.is_scalar() && reg.off != 0 {
        parts.push(format!("off={}", reg.off));
    }
    match reg.kind {
        RegKind::Packet { range } | RegKind::PacketMeta { range } => {
            parts.push(format!("r={}", unsigned(i64::from(range) as u64)));
        }
        RegKind::Mem { size, .. } => parts.push(format!("sz={size}")),
        RegKind::Dynptr { kind, .. } => {
            parts.push(format!(
                "type={}",
                crate::calls::stack_objects::kind_name(kind)
            ));
        }
        _ => {}
    }
    if reg.is_scalar() || !reg.num.is_const() {
        range_parts(&reg.num, &mut parts);
    } else if reg.num.bits.value != 0 {
        parts.push(format!("imm={}", signed(reg.num.bits.value as i64)));
    }
    parts
}

/// A number as Linux writes it: those of 16 bits in decimal.
fn signed(value: i64) -> String {
    match value {
        -0x8000..=0x7fff => format!("{value}"),
        _ => format!("{value:#x}"),
    }
}

fn unsigned(value: u64) -> String {
    match value {
        0..=0xffff => format!("{value}"),
        _ => format!("{value:#x}"),
    }
}

/// Bounds that say something, equal ones joined: `smin=umin=0,umax=255,var_off=(0x0; 0xff)`.
fn range_parts(n: &Scalar, parts: &mut Vec<String>) {
    // In hexadecimal a number has the digits of its own width.
    let s32 = |v: i32| match v {
        -0x8000..=0x7fff => i64::from(v) as u64,
        _ => u64::from(v as u32),
    };
    let bounds: [(&str, u64, bool); 8] = [
        ("smin", n.smin as u64, n.smin != i64::MIN),
        ("smax", n.smax as u64, n.smax != i64::MAX),
        ("umin", n.umin, n.umin != 0),
        ("umax", n.umax, n.umax != u64::MAX),
        ("smin32", s32(n.s32_min), n.s32_min != i32::MIN),
        ("smax32", s32(n.s32_max), n.s32_max != i32::MAX),
        ("umin32", n.u32_min.into(), n.u32_min != 0),
        ("umax32", n.u32_max.into(), n.u32_max != u32::MAX),
    ];
    let is_negative =
        |(name, value, _): (&str, u64, bool)| name.starts_with('s') && value >> 63 != 0;
    let mut printed = [false; 8];
    for i in 0..bounds.len() {
        let (name, value, says) = bounds[i];
        if printed[i] || !says {
            continue;
        }
        let mut names = String::from(name);
        // Least ones with least ones, greatest with greatest; no negative ones with others.
        for j in (i + 2..bounds.len()).step_by(2) {
            let alike = bounds[j].1 == value && is_negative(bounds[j]) == is_negative(bounds[i]);
            if bounds[j].2 && !printed[j] && alike {
                names.push('=');
                names.push_str(bounds[j].0);
                printed[j] = true;
            }
        }
        let text = match name.starts_with('s') {
            true => signed(value as i64),
            false => unsigned(value),
        };
        parts.push(format!("{names}={text}"));
    }
    if n.bits != Tnum::UNKNOWN {
        let bits = crate::access::memory::bits_text(n.bits);
        parts.push(format!("var_off={bits}"));
    }
}
