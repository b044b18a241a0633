//! Arithmetic of a pointer and a number.

use panal_isa::{AluOp, Operand, Reg, Width};

use super::{
    alu::symbol,
    speculation::{self, PointerAlu},
};
use crate::{
    domain::Scalar,
    env::Env,
    error::{Check, reject},
    state::{PtrFlags, RegKind, RegState, State},
};

/// Offsets reach this far at most.
pub const MAX_OFFSET: i64 = 1 << 29;

/// `dst = ptr op num`, or `dst = num op ptr` when `reversed`.
pub fn arithmetic(
    env: &mut Env<'_>,
    st: &mut State,
    width: Width,
    (op, dst, src): (AluOp, Reg, Operand),
    ptr: &RegState,
    number: &RegState,
    reversed: bool,
) -> Check {
    let n = dst.number();
    let num = &number.num;
    // Bounds that contradict each other come from a path that cannot be.
    let dead = num.is_const() && (num.smin != num.smax || num.umin != num.umax);
    if dead || num.smin > num.smax || num.umin > num.umax {
        *st.reg_mut(dst) = RegState::UNKNOWN;
        return Ok(());
    }
    if width == Width::W32 {
        if op == AluOp::Sub && env.sees_addresses() {
            // Linux does not even know that the upper half is zero.
            *st.reg_mut(dst) = RegState::UNKNOWN;
            return Ok(());
        }
        return Err(reject!(
            PointerArithmetic,
            EACCES,
            "R{n} 32-bit pointer arithmetic prohibited"
        ));
    }
    if ptr.may_be_null() {
        let name = ptr.type_name();
        return Err(reject!(
            NullPointer,
            EACCES,
            "R{n} pointer arithmetic on {name} prohibited, null-check it first"
        )
        .because(alloc::format!(
            "r{n} may be null, and is added to before it is tested"
        ))
        .help("test the pointer against NULL first"));
    }
    if is_untrusted_memory(ptr) {
        // Read by probing only: where it points does not matter.
        *st.reg_mut(dst) = *ptr;
        return Ok(());
    }
    if !allows(ptr, op, num) {
        let name = ptr.type_name();
        return Err(reject!(
            PointerArithmetic,
            EACCES,
            "R{n} pointer arithmetic on {name} prohibited"
        ));
    }
    check_number(number, ptr)?;
    check_offset(ptr)?;
    let alu = PointerAlu {
        op,
        dst,
        src,
        num,
        reversed,
    };
    let window = speculation::before(env, st, ptr, &alu)?;
    let mut result = match op {
        AluOp::Add => add(env, ptr, num),
        AluOp::Sub if reversed => {
            return Err(reject!(
                PointerArithmetic,
                EACCES,
                "R{n} tried to subtract pointer from scalar"
            ));
        }
        AluOp::Sub if matches!(ptr.kind, RegKind::Stack { .. }) => {
            return Err(reject!(
                PointerArithmetic,
                EACCES,
                "R{n} subtraction from stack pointer prohibited"
            ));
        }
        AluOp::Sub => subtract(env, ptr, num),
        AluOp::And | AluOp::Or | AluOp::Xor => {
            return Err(reject!(
                PointerArithmetic,
                EACCES,
                "R{n} bitwise operator {} on pointer prohibited",
                symbol(op)
            ));
        }
        _ => {
            return Err(reject!(
                PointerArithmetic,
                EACCES,
                "R{n} pointer arithmetic with {} operator prohibited",
                symbol(op)
            ));
        }
    };
    check_offset(&result)?;
    result.num.sync();
    *st.reg_mut(dst) = result;
    speculation::check_moved(env, st, dst)?;
    speculation::after(env, &result, &alu, window)
}

fn is_untrusted_memory(ptr: &RegState) -> bool {
    matches!(ptr.kind, RegKind::Mem { .. }) && ptr.flags.contains(PtrFlags::UNTRUSTED)
}

fn allows(ptr: &RegState, op: AluOp, num: &Scalar) -> bool {
    let adds_nothing = num.as_const() == Some(0) && op == AluOp::Add;
    match ptr.kind {
        RegKind::Context
        | RegKind::MapValue { .. }
        | RegKind::MapKey { .. }
        | RegKind::Stack { .. }
        | RegKind::PacketMeta { .. }
        | RegKind::Packet { .. }
        | RegKind::TpBuffer
        | RegKind::Btf(_)
        | RegKind::Mem { .. }
        | RegKind::Buf
        | RegKind::Func { .. }
        | RegKind::Dynptr { .. } => true,
        RegKind::FlowKeys => num.is_const(),
        _ => adds_nothing,
    }
}

/// How far it is from a number that it is linked to counts, too.
fn check_number(number: &RegState, ptr: &RegState) -> Check {
    let linked = number.id & RegState::ADD_CONST != 0;
    let off = RegState {
        num: number.num,
        off: if linked { number.off } else { 0 },
        ..*ptr
    };
    check_offset(&off)
}

/// The offset of a pointer must stay small enough for checks not to overflow.
fn check_offset(reg: &RegState) -> Check {
    let name = || reg.type_name();
    if let Some(value) = reg.num.as_const() {
        let value = value as i64;
        if !(-MAX_OFFSET + 1..MAX_OFFSET).contains(&value) {
            return Err(reject!(
                PointerArithmetic,
                EINVAL,
                "math between {} pointer and {value} is not allowed",
                name()
            ));
        }
    }
    if !(-MAX_OFFSET + 1..MAX_OFFSET).contains(&i64::from(reg.off)) {
        return Err(reject!(
            PointerArithmetic,
            EINVAL,
            "{} pointer offset {} is not allowed",
            name(),
            reg.off
        ));
    }
    let smin = reg.num.smin;
    if smin == i64::MIN {
        return Err(reject!(
            PointerArithmetic,
            EINVAL,
            "math between {} pointer and register with unbounded min value is not allowed",
            name()
        )
        .help("check the lower bound of the number first, or make it unsigned"));
    }
    if !(-MAX_OFFSET + 1..MAX_OFFSET).contains(&smin) {
        return Err(reject!(
            PointerArithmetic,
            EINVAL,
            "value {smin} makes {} pointer be out of bounds",
            name()
        ));
    }
    Ok(())
}

fn add(env: &mut Env<'_>, ptr: &RegState, num: &Scalar) -> RegState {
    let mut result = *ptr;
    if let Some(value) = num.as_const() {
        let off = i64::from(ptr.off).checked_add(value as i64);
        if let Some(off) = off.and_then(|o| i32::try_from(o).ok()) {
            result.off = off;
            return result;
        }
    }
    result.num.apply(AluOp::Add, Width::W64, num);
    new_packet_base(env, &mut result, true);
    result
}

fn subtract(env: &mut Env<'_>, ptr: &RegState, num: &Scalar) -> RegState {
    let mut result = *ptr;
    if let Some(value) = num.as_const() {
        let off = i64::from(ptr.off).checked_sub(value as i64);
        if let Some(off) = off.and_then(|o| i32::try_from(o).ok()) {
            result.off = off;
            return result;
        }
    }
    result.num.apply(AluOp::Sub, Width::W64, num);
    // Going back keeps the range that was known.
    new_packet_base(env, &mut result, num.smin < 0);
    result
}

/// A packet pointer with a new variable part is a base of its own.
fn new_packet_base(env: &mut Env<'_>, reg: &mut RegState, forget: bool) {
    match &mut reg.kind {
        RegKind::Packet { range } | RegKind::PacketMeta { range } => {
            if forget {
                *range = 0;
            }
            reg.id = env.new_id();
        }
        _ => {}
    }
}
