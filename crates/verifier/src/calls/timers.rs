//! Timers, workqueues and task work in map values.

use panal_isa::Reg;

use super::{fields::Special, helper::Call};
use crate::{
    env::Env,
    error::{Check, reject},
    state::{MapRef, RegKind, State},
};

/// A timer argument of a helper.
pub fn process(env: &Env<'_>, st: &State, call: &mut Call, reg: Reg) -> Check {
    call.map = Some(locate(env, st, reg, Special::Timer)?);
    Ok(())
}

/// The map in whose value the special object lies that a register points to.
pub fn locate(env: &Env<'_>, st: &State, reg: Reg, wanted: Special) -> Check<(MapRef, u32)> {
    let (state, n) = (st.reg(reg), reg.number());
    let name = wanted.name();
    let Some(var) = state.num.as_const() else {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "R{n} doesn't have constant offset. {name} has to be at the constant offset"
        ));
    };
    let RegKind::MapValue { map, uid } = state.kind else {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "R{n} does not point to a map value"
        ));
    };
    let entry = env.map(map);
    if entry.desc.types.is_none() {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "map '{}' has to have BTF in order to use {name}",
            entry.desc.name
        ));
    }
    let Some(field) = entry.fields.offset_of(wanted) else {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "map '{}' has no valid {name}",
            entry.desc.name
        ));
    };
    let at = i64::from(state.off).wrapping_add(var as i64);
    if at != i64::from(field) {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "off {at} doesn't point to 'struct {name}' that is at {field}"
        ));
    }
    Ok((map, uid))
}
