//! Arithmetic and moves on numbers; what touches pointers goes to [`super::pointer`].

use panal_isa::{AluOp, ByteOrder, Operand, Reg, Size, Width};

use super::{pointer, read_ok, speculation, write_ok};
use crate::{
    domain::Scalar,
    env::Env,
    error::{Check, reject},
    precision,
    state::{PtrFlags, RegKind, RegState, State},
};

/// How many low bits a number can have set: 32 when the upper half is zero, and so on.
pub fn width_of(num: &Scalar) -> u32 {
    64 - num.umax.leading_zeros()
}

/// Gives a number an id before it is copied, so that what is learnt of one copy is known of all.
pub fn link_before_copy(env: &mut Env<'_>, reg: &mut RegState) {
    if !reg.is_scalar() {
        return;
    }
    if reg.id & RegState::ADD_CONST != 0 {
        // One distance cannot hang on another.
        reg.id = 0;
        reg.off = 0;
    }
    if reg.id == 0 && !reg.num.is_const() {
        reg.id = env.new_id();
    }
}

/// Ends what links a number to others.
pub fn unlink(reg: &mut RegState) {
    reg.id = 0;
    reg.off = 0;
}

/// `dst = dst op src`
pub fn binary(
    env: &mut Env<'_>,
    st: &mut State,
    width: Width,
    op: AluOp,
    dst: Reg,
    src: Operand,
) -> Check {
    if let Operand::Reg(src) = src {
        read_ok(st, src)?;
    }
    if op == AluOp::Mov {
        write_ok(dst)?;
        return copy(env, st, width, dst, src);
    }
    read_ok(st, dst)?;
    if let Operand::Imm(imm) = src {
        check_immediate(width, op, imm)?;
    }
    write_ok(dst)?;
    let left = *st.reg(dst);
    if matches!(left.kind, RegKind::Arena) {
        env.facts.narrow(env.slot);
        return Ok(());
    }
    let right = match src {
        Operand::Reg(src) => *st.reg(src),
        Operand::Imm(imm) => RegState::constant(i64::from(imm) as u64),
    };
    match (left.is_scalar(), right.is_scalar()) {
        (true, true) => {
            speculation::numbers(env, op, dst, src)?;
            numbers(st, width, op, dst, &right, src == Operand::Reg(dst));
            Ok(())
        }
        (false, true) => {
            if let Operand::Reg(src) = src {
                precision::mark_reg(env, st, src)?;
            }
            pointer::arithmetic(env, st, width, (op, dst, src), &left, &right, false)
        }
        (true, false) => {
            precision::mark_reg(env, st, dst)?;
            pointer::arithmetic(env, st, width, (op, dst, src), &right, &left, true)
        }
        (false, false) if op == AluOp::Sub && env.sees_addresses() => {
            *st.reg_mut(dst) = RegState::UNKNOWN;
            Ok(())
        }
        (false, false) => Err(reject!(
            PointerArithmetic,
            EACCES,
            "R{} pointer {} pointer prohibited",
            dst.number(),
            symbol(op)
        )),
    }
}

fn check_immediate(width: Width, op: AluOp, imm: i32) -> Check {
    let bits = if width == Width::W64 { 64 } else { 32 };
    match op {
        AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod if imm == 0 => {
            Err(reject!(InvalidInstruction, EINVAL, "div by zero"))
        }
        AluOp::Lsh | AluOp::Rsh | AluOp::Arsh if !(0..bits).contains(&imm) => {
            Err(reject!(InvalidInstruction, EINVAL, "invalid shift {imm}"))
        }
        _ => Ok(()),
    }
}

/// As in Linux's messages.
pub fn symbol(op: AluOp) -> &'static str {
    match op {
        AluOp::Add => "+=",
        AluOp::Sub => "-=",
        AluOp::Mul => "*=",
        AluOp::Div | AluOp::SDiv => "/=",
        AluOp::Or => "|=",
        AluOp::And => "&=",
        AluOp::Lsh => "<<=",
        AluOp::Rsh => ">>=",
        AluOp::Mod | AluOp::SMod => "%=",
        AluOp::Xor => "^=",
        AluOp::Mov => "=",
        AluOp::Arsh => "s>>=",
    }
}

fn numbers(st: &mut State, width: Width, op: AluOp, dst: Reg, right: &RegState, itself: bool) {
    let left = st.reg_mut(dst);
    let had_upper_half = width_of(&left.num) > 32;
    left.num.apply(op, width, &right.num);
    // `r1 = r2; r1 += 8` keeps r1 at a known distance from r2, once.
    let known = match width {
        Width::W64 => right.num.as_const(),
        // What loses its upper half is at no distance.
        Width::W32 if had_upper_half => None,
        Width::W32 if right.num.is_const32() => Some(i64::from(right.num.u32_min as i32) as u64),
        Width::W32 => None,
    };
    let delta = known
        .and_then(|d| i32::try_from(d as i64).ok())
        .and_then(|d| match op {
            AluOp::Add => Some(d),
            AluOp::Sub => d.checked_neg(),
            _ => None,
        });
    match delta {
        Some(delta) if left.id != 0 && left.id & RegState::ADD_CONST == 0 && !itself => {
            left.id |= match width {
                Width::W64 => RegState::ADD_CONST64,
                Width::W32 => RegState::ADD_CONST32,
            };
            left.off = delta;
        }
        _ => unlink(left),
    }
}

fn copy(env: &mut Env<'_>, st: &mut State, width: Width, dst: Reg, src: Operand) -> Check {
    let src = match src {
        Operand::Imm(imm) => {
            let value = match width {
                Width::W64 => i64::from(imm) as u64,
                Width::W32 => u64::from(imm as u32),
            };
            *st.reg_mut(dst) = RegState::constant(value);
            return Ok(());
        }
        Operand::Reg(src) => src,
    };
    match width {
        Width::W64 => {
            link_before_copy(env, st.reg_mut(src));
            *st.reg_mut(dst) = *st.reg(src);
        }
        Width::W32 if st.reg(src).is_scalar() => {
            let fits = width_of(&st.reg(src).num) <= 32;
            if fits {
                link_before_copy(env, st.reg_mut(src));
            }
            let mut value = *st.reg(src);
            if !fits {
                unlink(&mut value);
            }
            value.num.zero_extend32();
            *st.reg_mut(dst) = value;
        }
        Width::W32 => {
            check_whole(env, st, src, "partial copy of pointer")?;
            let mut value = RegState::UNKNOWN;
            value.num.zero_extend32();
            *st.reg_mut(dst) = value;
        }
    }
    Ok(())
}

/// A part of a pointer, or what is computed of it, would reveal the address.
fn check_whole(env: &Env<'_>, st: &State, reg: Reg, what: &str) -> Check {
    if env.is_secret(st.reg(reg)) {
        return Err(
            reject!(Leak, EACCES, "R{} {what}", reg.number()).because(alloc::format!(
                "r{} holds an address, which a program without CAP_PERFMON must not take apart",
                reg.number()
            )),
        );
    }
    Ok(())
}

/// `dst = (sN)src`
pub fn move_sign_extended(
    env: &mut Env<'_>,
    st: &mut State,
    width: Width,
    from: Size,
    dst: Reg,
    src: Reg,
) -> Check {
    read_ok(st, src)?;
    write_ok(dst)?;
    check_whole(
        env,
        st,
        src,
        match width {
            Width::W64 => "sign-extension part of pointer",
            Width::W32 => "partial copy of pointer",
        },
    )?;
    let mut value = RegState::UNKNOWN;
    if st.reg(src).is_scalar() {
        let bits = from.bytes() * 8;
        let no_change = st.reg(src).num.umax < 1 << (bits - 1);
        if no_change {
            link_before_copy(env, st.reg_mut(src));
        }
        value = *st.reg(src);
        if !no_change {
            unlink(&mut value);
        }
        match width {
            Width::W64 => value.num.sign_extend(from.bytes()),
            Width::W32 => value.num.sign_extend32(from.bytes()),
        }
        value.num.sync();
    } else if width == Width::W32 {
        value.num.zero_extend32();
    }
    *st.reg_mut(dst) = value;
    Ok(())
}

/// `dst = -dst`
pub fn negate(env: &Env<'_>, st: &mut State, width: Width, dst: Reg) -> Check {
    read_ok(st, dst)?;
    check_whole(env, st, dst, "pointer arithmetic prohibited")?;
    write_ok(dst)?;
    let reg = st.reg_mut(dst);
    if reg.is_scalar() && env.since(6, 17) {
        reg.num.negate(width);
        unlink(reg);
    } else {
        *reg = RegState::UNKNOWN;
    }
    Ok(())
}

/// Byte order conversion: bits are known as before, in other places.
pub fn swap(env: &Env<'_>, st: &mut State, order: ByteOrder, size: Size, dst: Reg) -> Check {
    read_ok(st, dst)?;
    check_whole(env, st, dst, "pointer arithmetic prohibited")?;
    write_ok(dst)?;
    let reg = st.reg_mut(dst);
    if !reg.is_scalar() {
        *reg = RegState::UNKNOWN;
        return Ok(());
    }
    unlink(reg);
    match order {
        ByteOrder::Little => reg.num.truncate(size.bytes()),
        ByteOrder::Big | ByteOrder::Swap => reg.num.swap_bytes(size.bytes()),
    }
    Ok(())
}

/// `dst = addr_space_cast(src, to, from)`
pub fn cast_address_space(
    env: &mut Env<'_>,
    st: &mut State,
    (dst, src): (Reg, Reg),
    (to, from): (u16, u16),
) -> Check {
    read_ok(st, src)?;
    write_ok(dst)?;
    // 0 is the kernel's, 1 the arena's.
    if !matches!((to, from), (0, 1) | (1, 0)) {
        return Err(reject!(
            InvalidInstruction,
            EINVAL,
            "addr_space_cast insn can only convert between address space 1 and 0"
        ));
    }
    let has_arena = env
        .maps
        .iter()
        .any(|m| m.desc.map_type == panal_uapi::MapType::Arena);
    if !has_arena {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "addr_space_cast insn can only be used in a program that has an associated arena"
        ));
    }
    let mut value = RegState::UNKNOWN;
    if to == 0 {
        value.kind = RegKind::Arena;
        value.flags = PtrFlags::empty();
    }
    *st.reg_mut(dst) = value;
    Ok(())
}
