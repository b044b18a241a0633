//! Numbers that are copies of each other, or at a known distance: what is learnt of one holds for all.

use alloc::rc::Rc;

use panal_isa::{AluOp, Width};

use crate::{
    bits::bits,
    domain::Scalar,
    env::Env,
    explore::{Linked, Place},
    state::{RegState, State},
};

/// Adds every place that is read later whose number is linked by `id`. Those for which there is no room are unlinked.
pub fn collect(env: &Env<'_>, st: &mut State, id: u32, linked: &mut Linked) {
    let id = id & !RegState::ADD_CONST;
    for level in 0..st.frames.len() {
        let frame = &st.frames[level];
        let is_linked =
            |reg: &RegState| reg.is_scalar() && reg.id != 0 && reg.id & !RegState::ADD_CONST == id;
        let at = st
            .frames
            .get(level + 1)
            .map_or(env.slot, |f| f.call_slot as usize);
        let live = env.aux[at].live_regs;
        let mut unlink_from: Option<()> = None;
        for number in (0..10u8).filter(|n| live & (1 << n) != 0) {
            if is_linked(&frame.regs[usize::from(number)])
                && !push(
                    linked,
                    Place {
                        frame: level as u8,
                        at: number,
                    },
                )
            {
                unlink_from = Some(());
            }
        }
        for (index, slot) in frame.stack.spilled() {
            if is_linked(&slot.reg)
                && !push(
                    linked,
                    Place {
                        frame: level as u8,
                        at: 16 + index as u8,
                    },
                )
            {
                unlink_from = Some(());
            }
        }
        if unlink_from.is_some() {
            unlink_others(st, level, id, linked);
        }
    }
}

fn push(linked: &mut Linked, place: Place) -> bool {
    linked.iter().any(|p| p == place) || linked.push(place)
}

fn unlink_others(st: &mut State, level: usize, id: u32, linked: &Linked) {
    let frame = Rc::make_mut(&mut st.frames[level]);
    let kept = |at: u8| {
        linked.iter().any(|p| {
            p == Place {
                frame: level as u8,
                at,
            }
        })
    };
    let is_linked = |reg: &RegState| reg.is_scalar() && reg.id & !RegState::ADD_CONST == id;
    let unlink = |reg: &mut RegState, at: u8| {
        if !kept(at) {
            reg.id = 0;
            reg.off = 0;
        }
    };
    for (number, reg) in frame.regs.iter_mut().enumerate().take(10) {
        if is_linked(reg) {
            unlink(reg, number as u8);
        }
    }
    for index in bits(frame.stack.spilled_where(is_linked)) {
        if let Some(slot) = frame.stack.get_mut(index) {
            unlink(&mut slot.reg, 16 + index as u8);
        }
    }
}

/// Gives the other places what is now known of one of them.
pub fn spread(st: &mut State, known: &RegState, linked: &Linked) {
    for place in linked.iter() {
        let level = usize::from(place.frame);
        let Some(frame) = st.frames.get_mut(level) else {
            continue;
        };
        let frame = Rc::make_mut(frame);
        let reg = if place.at < 16 {
            &mut frame.regs[usize::from(place.at)]
        } else {
            match frame.stack.get_mut(usize::from(place.at) - 16) {
                Some(slot) => &mut slot.reg,
                None => continue,
            }
        };
        take(reg, known);
    }
}

fn take(reg: &mut RegState, known: &RegState) {
    let add = RegState::ADD_CONST;
    if !reg.is_scalar() || reg.id == 0 || reg.id & !add != known.id & !add {
        return;
    }
    let distance = |r: &RegState| if r.id & add != 0 { i64::from(r.off) } else { 0 };
    let delta = distance(reg) - distance(known);
    let cut = |r: &RegState| r.id & RegState::ADD_CONST32 != 0;
    if (reg.id ^ known.id) & add == add {
        // A distance of 64 bits and one of 32 do not compare.
        return;
    }
    if delta == 0 {
        reg.num = known.num;
        return;
    }
    // Only numbers without an upper half get distances of 32 bits, so that is what both are.
    let width = if cut(reg) || cut(known) {
        Width::W32
    } else {
        Width::W64
    };
    reg.num = known.num;
    reg.num
        .apply(AluOp::Add, width, &Scalar::constant(delta as u64));
}
