//! Conditional jumps.

use panal_isa::{Condition, Operand, Reg, Width};

use super::{Flow, linked, packet_range, read_ok, speculation};
use crate::{
    domain,
    env::Env,
    error::{Check, reject},
    explore::{self, Linked},
    precision, prune,
    state::{PtrFlags, RegKind, RegState, State},
};

/// `if dst cond src goto target`
pub fn conditional(
    env: &mut Env<'_>,
    st: &mut State,
    width: Width,
    cond: Condition,
    (dst, src): (Reg, Operand),
    target: usize,
) -> Check<Flow> {
    read_ok(st, dst)?;
    if let Operand::Reg(src) = src {
        read_ok(st, src)?;
    }
    let next = env.slot + 1;
    let left = *st.reg(dst);
    let right = match src {
        Operand::Reg(src) => *st.reg(src),
        Operand::Imm(imm) => RegState::constant(i64::from(imm) as u64),
    };
    if let Operand::Reg(src) = src
        && !(left.is_packet() && right.is_packet())
    {
        check_comparable(env, st, src)?;
    }
    if let Some(taken) = branch_taken(&left, &right, cond, width) {
        if left.is_scalar() {
            precision::mark_reg(env, st, dst)?;
        }
        if let Operand::Reg(src) = src
            && right.is_scalar()
        {
            precision::mark_reg(env, st, src)?;
        }
        env.facts.branch(env.slot, taken);
        let other = if taken { next } else { target };
        speculation::other_way(env, st, (dst, src), other)?;
        return Ok(Flow::To(if taken { target } else { next }));
    }
    env.facts.branch(env.slot, true);
    env.facts.branch(env.slot, false);
    both_ways(env, st, width, cond, (dst, src), (&left, &right), target)?;
    Ok(Flow::To(next))
}

fn both_ways(
    env: &mut Env<'_>,
    st: &mut State,
    width: Width,
    cond: Condition,
    (dst, src): (Reg, Operand),
    (left, right): (&RegState, &RegState),
    target: usize,
) -> Check {
    let mut linked = Linked::default();
    let src_reg = match src {
        Operand::Reg(reg) => Some(reg),
        Operand::Imm(_) => None,
    };
    if src_reg.is_some() && right.is_scalar() && right.id != 0 {
        linked::collect(env, st, right.id, &mut linked);
    }
    if left.is_scalar() && left.id != 0 {
        linked::collect(env, st, left.id, &mut linked);
    }
    if linked.len() > 1 {
        explore::record(env, st, None, linked);
    }
    let mut other = st.clone();
    if left.is_scalar() && right.is_scalar() {
        let outcome = Outcome {
            width,
            cond,
            dst,
            src: src_reg,
            right,
            linked: &linked,
        };
        outcome.learn(&mut other, true);
        outcome.learn(st, false);
    }
    let learnt =
        width == Width::W64 && pointers(env, cond, (dst, src), (left, right), &mut other, st);
    if !learnt {
        check_comparable(env, st, dst)?;
    }
    explore::push_state(env, other, target)?;
    Ok(())
}

/// What comes of comparing an address would tell something of it.
fn check_comparable(env: &Env<'_>, st: &State, reg: Reg) -> Check {
    if env.is_secret(st.reg(reg)) {
        return Err(reject!(
            Leak,
            EACCES,
            "R{} pointer comparison prohibited",
            reg.number()
        )
        .because(alloc::format!(
            "r{} holds an address, which a program without CAP_PERFMON may compare with null only",
            reg.number()
        )));
    }
    Ok(())
}

struct Outcome<'a> {
    width: Width,
    cond: Condition,
    dst: Reg,
    src: Option<Reg>,
    right: &'a RegState,
    linked: &'a Linked,
}

impl Outcome<'_> {
    /// Narrows both numbers by the outcome, and all that are linked to them.
    fn learn(&self, st: &mut State, holds: bool) {
        // The registers themselves: collecting links may have unlinked them.
        let mut left = *st.reg(self.dst);
        let mut right = self.src.map_or(*self.right, |src| *st.reg(src));
        if self.src == Some(self.dst) {
            domain::refine_itself(&mut left.num, self.cond, self.width, holds);
            right.num = left.num;
        } else {
            domain::refine(&mut left.num, &mut right.num, self.cond, self.width, holds);
        }
        st.reg_mut(self.dst).num = left.num;
        if let Some(src) = self.src {
            st.reg_mut(src).num = right.num;
            if right.id != 0 {
                linked::spread(st, &right, self.linked);
            }
        }
        if left.id != 0 {
            let left = *st.reg(self.dst);
            linked::spread(st, &left, self.linked);
        }
    }
}

fn branch_taken(left: &RegState, right: &RegState, cond: Condition, width: Width) -> Option<bool> {
    if left.is_scalar() && right.is_scalar() {
        return domain::branch_taken(&left.num, &right.num, cond, width);
    }
    if left.lives_with_packet() && right.lives_with_packet() && width == Width::W64 {
        return packet_range::branch_taken(left, right, cond);
    }
    // A pointer that is not null, compared with null.
    let (ptr, number) = if is_known(right, width) {
        (left, right)
    } else {
        (right, left)
    };
    if !is_known(number, width) || !is_not_null(ptr) {
        return None;
    }
    let value = match width {
        Width::W64 => number.num.bits.value,
        Width::W32 => number.num.bits.subreg().value,
    };
    match cond {
        Condition::Eq if value == 0 => Some(false),
        Condition::Ne if value == 0 => Some(true),
        _ => None,
    }
}

fn is_known(reg: &RegState, width: Width) -> bool {
    reg.is_scalar()
        && match width {
            Width::W64 => reg.num.is_const(),
            Width::W32 => reg.num.is_const32(),
        }
}

/// Whether a pointer is surely not null.
pub fn is_not_null(reg: &RegState) -> bool {
    if reg.may_be_null() {
        return false;
    }
    match reg.kind {
        RegKind::Socket
        | RegKind::TcpSock
        | RegKind::SockCommon
        | RegKind::MapValue { .. }
        | RegKind::MapKey { .. }
        | RegKind::MapPtr { .. } => true,
        RegKind::Btf(_) => is_trusted(reg),
        RegKind::Mem { .. } => !reg.flags.contains(PtrFlags::UNTRUSTED),
        _ => false,
    }
}

fn is_trusted(reg: &RegState) -> bool {
    if reg.ref_id != 0 {
        return true;
    }
    let modifiers = reg.flags - PtrFlags::MAYBE_NULL;
    modifiers.intersects(PtrFlags::TRUSTED | PtrFlags::ALLOC)
        && (modifiers - (PtrFlags::TRUSTED | PtrFlags::ALLOC)).is_empty()
}

/// What a comparison tells of pointers; whether it tells something.
fn pointers(
    env: &Env<'_>,
    cond: Condition,
    (dst, src): (Reg, Operand),
    (left, right): (&RegState, &RegState),
    taken: &mut State,
    not_taken: &mut State,
) -> bool {
    let equality = matches!(cond, Condition::Eq | Condition::Ne);
    match src {
        Operand::Imm(0) if equality && left.may_be_null() => {
            let is_eq = cond == Condition::Eq;
            null_or_not(env, not_taken, left, !is_eq);
            null_or_not(env, taken, left, is_eq);
            true
        }
        Operand::Reg(src) if left.is_pointer() && right.is_pointer() => {
            let is_btf = |r: &RegState| matches!(r.kind, RegKind::Btf(_));
            if equality
                && left.may_be_null() != right.may_be_null()
                && !is_btf(left)
                && !is_btf(right)
            {
                let equal = if cond == Condition::Eq {
                    taken
                } else {
                    not_taken
                };
                let maybe = if left.may_be_null() { dst } else { src };
                mark_not_null(env, equal.reg_mut(maybe));
                return true;
            }
            packet_range::learn(
                cond,
                (left, dst.index()),
                (right, src.index()),
                taken,
                not_taken,
            )
        }
        _ => false,
    }
}

/// All registers with the id of `reg` are null, or are not.
fn null_or_not(env: &Env<'_>, st: &mut State, reg: &RegState, is_null: bool) {
    let id = reg.id;
    if is_null && reg.ref_id != 0 && reg.ref_id == id {
        st.refs.forget(id);
    }
    let is_rcu = reg.flags.contains(PtrFlags::RCU);
    let which = |other: &RegState| {
        other.id == id
            && other.may_be_null()
            && (id != 0 || is_rcu)
            && other.num.as_const() == Some(0)
    };
    st.change_regs(which, |other| {
        if is_null {
            *other = RegState::constant(0);
            return;
        }
        mark_not_null(env, other);
        if !may_hold_lock(env, other) {
            other.id = 0;
        }
    });
}

/// Whether the register's id is still needed to tell locks apart.
fn may_hold_lock(env: &Env<'_>, reg: &RegState) -> bool {
    match reg.kind {
        RegKind::MapValue { map, .. } => env.map(map).fields.has_lock(),
        RegKind::Btf(ty) if reg.flags.contains(PtrFlags::ALLOC) => {
            crate::calls::fields::Fields::of_type(env, ty).has_lock()
        }
        _ => false,
    }
}

/// The pointer is not null. What a lookup in a map of maps or of sockets gives is then known.
pub fn mark_not_null(env: &Env<'_>, reg: &mut RegState) {
    use panal_uapi::MapType;
    reg.flags.remove(PtrFlags::MAYBE_NULL);
    let RegKind::MapValue { map, .. } = reg.kind else {
        return;
    };
    let entry = env.map(map);
    if let Some(inner) = entry.inner {
        let uid = if has_async_field(env, inner) {
            reg.id
        } else {
            0
        };
        reg.kind = RegKind::MapPtr { map: inner, uid };
        return;
    }
    match entry.desc.map_type {
        MapType::Xskmap => reg.kind = RegKind::XdpSock,
        MapType::Sockmap | MapType::Sockhash => reg.kind = RegKind::Socket,
        _ => {}
    }
}

/// `may_goto target`: the loop may end here at any time, and surely will.
pub fn may_goto(env: &mut Env<'_>, st: &mut State, target: usize) -> Check<Flow> {
    let slot = env.slot;
    let previous = prune::previous_visit(env, st, slot);
    let mut inside = st.clone();
    inside.may_goto += 1;
    if let Some(previous) = previous {
        prune::widen(env, previous, &mut inside);
    }
    explore::push_state(env, inside, slot + 1)?;
    Ok(Flow::To(target))
}

/// Whether values of an inner map hold something that runs later: then inner maps are told apart.
fn has_async_field(env: &Env<'_>, map: crate::state::MapRef) -> bool {
    use crate::calls::fields::Special;
    let fields = &env.map(map).fields;
    [Special::Timer, Special::Workqueue, Special::TaskWork]
        .iter()
        .any(|&k| fields.has(k))
}
