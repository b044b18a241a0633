//! A state as Linux's log prints it.

use alloc::{format, string::String};
use core::fmt::Write;

use panal_btf::Btf;

use super::record::Change;
use crate::{
    domain::{Scalar, Tnum},
    env::Env,
    state::{BtfRef, RegKind, RegState, SlotType, State},
};

/// The innermost frame: ` R0=scalar(...) R10=fp0 fp-8=mmmmmmmm`.
pub fn state_text(env: &Env<'_>, st: &State) -> String {
    let mut out = String::new();
    let level = st.level();
    let frame = st.frame();
    if level != 0 {
        let _ = write!(out, " frame{level}:");
    }
    for (number, reg) in frame.regs.iter().enumerate() {
        if !matches!(reg.kind, RegKind::NotInit) {
            let _ = write!(out, " R{number}=");
            reg_text(env, &mut out, reg);
        }
    }
    for (index, slot) in frame.stack.iter().enumerate() {
        if slot.types.iter().all(|&t| t == SlotType::Invalid) {
            continue;
        }
        let off = (index as i32 + 1) * -8;
        let _ = write!(out, " fp{off}=");
        if slot.is_fully_spilled() {
            reg_text(env, &mut out, &slot.reg);
        } else {
            out.extend(slot.types.iter().map(|t| t.letter()));
        }
    }
    for held in &st.refs.list {
        let _ = write!(out, " refs={}", held.id);
    }
    out
}

/// What is known of one value.
pub fn value(env: &Env<'_>, reg: &RegState) -> String {
    let mut out = String::new();
    match reg.kind {
        RegKind::NotInit => out.push_str("uninitialised"),
        _ => reg_text(env, &mut out, reg),
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
            if change.after.is_fully_spilled() {
                reg_text(env, &mut out, &change.after.reg);
            } else {
                out.extend(change.after.types.iter().map(|t| t.letter()));
            }
        }
    }
    out
}

fn reg_text(env: &Env<'_>, out: &mut String, reg: &RegState) {
    if let Some(value) = reg.as_const() {
        let _ = write!(out, "{}", value as i64);
        return;
    }
    if let RegKind::Stack { .. } = reg.kind
        && let Some(var) = reg.num.as_const()
    {
        let _ = write!(out, "fp{}", reg.off.wrapping_add(var as i32));
        return;
    }
    out.push_str(&reg.type_name());
    if let RegKind::Btf(ty) = reg.kind {
        let btf: Option<&Btf> = env.btf(ty.btf);
        out.push_str(btf.map_or("", |b| b.name(ty.id)));
        if ty.btf == BtfRef::Program && btf.is_none() {
            out.push('?');
        }
    }
    let mut parts: alloc::vec::Vec<String> = alloc::vec::Vec::new();
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
    if !reg.is_scalar() && reg.off != 0 {
        parts.push(format!("off={}", reg.off));
    }
    match reg.kind {
        RegKind::MapPtr { map, .. }
        | RegKind::MapKey { map, .. }
        | RegKind::MapValue { map, .. } => {
            let desc = env.map(map).desc;
            parts.push(format!("map={}", desc.name));
            parts.push(format!("ks={}", desc.key_size));
            parts.push(format!("vs={}", desc.value_size));
        }
        RegKind::Packet { range } | RegKind::PacketMeta { range } => {
            parts.push(format!("r={range}"))
        }
        RegKind::Mem { size, .. } => parts.push(format!("sz={size}")),
        _ => {}
    }
    if reg.is_scalar() || !reg.num.is_const() {
        range_parts(&reg.num, &mut parts);
    } else if reg.num.bits.value != 0 {
        parts.push(format!("imm={}", reg.num.bits.value as i64));
    }
    let _ = write!(out, "({})", parts.join(","));
}

/// Bounds that say something, equal ones joined: `smin=umin=0,umax=255,var_off=(0x0; 0xff)`.
fn range_parts(n: &Scalar, parts: &mut alloc::vec::Vec<String>) {
    let bounds: [(&str, i128, bool); 8] = [
        ("smin", n.smin.into(), n.smin != i64::MIN),
        ("smax", n.smax.into(), n.smax != i64::MAX),
        ("umin", n.umin.into(), n.umin != 0),
        ("umax", n.umax.into(), n.umax != u64::MAX),
        (
            "smin32",
            n.s32_min.into(),
            i64::from(n.s32_min) != n.smin && n.s32_min != i32::MIN,
        ),
        (
            "smax32",
            n.s32_max.into(),
            i64::from(n.s32_max) != n.smax && n.s32_max != i32::MAX,
        ),
        (
            "umin32",
            n.u32_min.into(),
            u64::from(n.u32_min) != n.umin && n.u32_min != 0,
        ),
        (
            "umax32",
            n.u32_max.into(),
            u64::from(n.u32_max) != n.umax && n.u32_max != u32::MAX,
        ),
    ];
    let mut printed = [false; 8];
    for i in 0..bounds.len() {
        if printed[i] || !bounds[i].2 {
            continue;
        }
        let mut names = String::from(bounds[i].0);
        for j in i + 1..bounds.len() {
            if bounds[j].2 && !printed[j] && bounds[j].1 == bounds[i].1 {
                names.push('=');
                names.push_str(bounds[j].0);
                printed[j] = true;
            }
        }
        let value = bounds[i].1;
        if value.unsigned_abs() > u128::from(u16::MAX) {
            parts.push(format!("{names}={:#x}", value as u64));
        } else {
            parts.push(format!("{names}={value}"));
        }
    }
    if n.bits != Tnum::UNKNOWN && !n.bits.is_const() {
        parts.push(format!(
            "var_off={}",
            crate::access::memory::bits_text(n.bits)
        ));
    }
}
