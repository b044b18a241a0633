//! Saved IRQ flags on the stack.

use super::Meta;
use crate::{
    access::memory::{self, Stored},
    calls::{helper::ARGUMENTS, stack_objects},
    env::Env,
    error::{Check, reject},
    state::{RefKind, Reference, RegKind, RegState, SlotType, StackSlot, State},
};

/// The flag argument: saved or restored.
pub fn argument(env: &mut Env<'_>, st: &mut State, meta: &Meta<'_>, index: usize) -> Check {
    let reg = ARGUMENTS[index];
    let state = *st.reg(reg);
    if !matches!(state.kind, RegKind::Stack { .. }) {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "arg#{index} doesn't point to an irq flag on stack"
        ));
    }
    let lock = meta.name().starts_with("bpf_res_spin_");
    let saves = matches!(
        meta.name(),
        "bpf_local_irq_save" | "bpf_res_spin_lock_irqsave"
    );
    let refuse = if saves {
        alloc::format!("expected uninitialized irq flag as arg#{index}")
    } else {
        alloc::format!("expected an initialized irq flag as arg#{index}")
    };
    let place = stack_objects::locate(&state, "irq_flag", 1).map_err(|r| r.then(&refuse))?;
    let found = st
        .frames
        .get(place.frame)
        .and_then(|frame| frame.slot(place.off))
        .copied();
    let is_flag = found.is_some_and(|slot| slot.types.contains(&SlotType::IrqFlag));
    if saves {
        if is_flag {
            return Err(reject!(SpecialObject, EINVAL, "{refuse}"));
        }
        memory::check_write(env, st, reg, 0, 8, Stored::Unknown)?;
        let id = env.new_id();
        st.refs.list.push(Reference {
            kind: RefKind::Irq,
            id,
            slot: env.slot as u32,
            lock: None,
        });
        st.refs.irq = id;
        *st.frame_at_mut(place.frame).slot_mut(place.off) = StackSlot {
            types: [SlotType::IrqFlag; 8],
            reg: RegState::pointer(RegKind::IrqFlag { lock }).with_ref(id),
        };
        return Ok(());
    }
    let Some(slot) = found.filter(|slot| slot.types.iter().all(|&t| t == SlotType::IrqFlag)) else {
        return Err(reject!(SpecialObject, EINVAL, "{refuse}"));
    };
    let RegKind::IrqFlag { lock: by_lock } = slot.reg.kind else {
        return Err(reject!(SpecialObject, EINVAL, "{refuse}"));
    };
    if by_lock != lock {
        let saved = if by_lock {
            "bpf_res_spin_lock_irqsave"
        } else {
            "bpf_local_irq_save"
        };
        return Err(reject!(
            Locking,
            EINVAL,
            "irq flag acquired by {saved} cannot be restored with {}",
            meta.name()
        ));
    }
    restore(st, slot.reg.ref_id)?;
    *st.frame_at_mut(place.frame).slot_mut(place.off) = StackSlot::INVALID;
    Ok(())
}

fn restore(st: &mut State, id: u32) -> Check {
    let active = st.refs.irq;
    if active != id {
        let place = st
            .refs
            .list
            .iter()
            .find(|r| r.kind == RefKind::Irq && r.id == active)
            .map_or(0, |r| r.slot);
        return Err(reject!(
            Locking,
            EACCES,
            "cannot restore irq state out of order, expected id={active} acquired at insn_idx={place}"
        ));
    }
    st.refs
        .list
        .retain(|r| !(r.kind == RefKind::Irq && r.id == id));
    st.refs.irq = st
        .refs
        .list
        .iter()
        .rev()
        .find(|r| r.kind == RefKind::Irq)
        .map_or(0, |r| r.id);
    Ok(())
}
