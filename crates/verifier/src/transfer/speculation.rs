//! Containing speculation, for loaders without `CAP_PERFMON`.
//!
//! A processor runs ahead on a guess: past a bounds check that will fail, or with a number where a
//! pointer should be. Such a program must not read what it may not read even then. Two means:
//!
//! - pointer arithmetic with a register gets a limit, so that a kernel can mask the register: the
//!   limit must be the same on all paths ([`before`], [`after`]), and what the masked
//!   arithmetic then points to is walked as well;
//! - where the verifier knows which way a branch goes, the other way is walked too, with nothing
//!   known of what was compared ([`other_way`]). Such a state is [`State::speculative`].

use panal_isa::{AluOp, Operand, Reg};

use crate::{
    access::{AccessKind, memory, stack},
    domain::Scalar,
    env::Env,
    error::{Check, Reject, reject},
    explore,
    state::{RegKind, RegState, State},
};

/// How a kernel contains one instruction of pointer arithmetic: the same over all paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AluLimit {
    /// Both operands are numbers.
    Numbers,
    /// A pointer that may move by less than `limit` bytes.
    Pointer {
        /// Bytes.
        limit: u32,
        /// Whether the number may be negative.
        negative: bool,
        /// Whether the number is known.
        known: bool,
        /// Whether the destination is the pointer.
        into_pointer: bool,
    },
}

/// Why arithmetic cannot be contained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Bounds,
    Type,
    Paths,
    Limit,
}

/// One instruction of pointer arithmetic.
#[derive(Clone, Copy, Debug)]
pub struct PointerAlu<'a> {
    /// Addition or subtraction.
    pub op: AluOp,
    /// Where the result goes.
    pub dst: Reg,
    /// The other operand.
    pub src: Operand,
    /// The number.
    pub num: &'a Scalar,
    /// Whether the destination is the number.
    pub reversed: bool,
}

impl PointerAlu<'_> {
    fn is_contained(&self, env: &Env<'_>) -> bool {
        let by_register = matches!(self.src, Operand::Reg(_));
        let moves = matches!(self.op, AluOp::Add | AluOp::Sub);
        env.contains_speculation() && by_register && moves && !env.aux[env.slot].barrier
    }

    fn moves_left(&self) -> bool {
        (self.op == AluOp::Sub) != (self.num.smin < 0)
    }

    fn number(&self) -> u8 {
        match self.src {
            Operand::Reg(src) if !self.reversed => src.number(),
            _ => self.dst.number(),
        }
    }

    fn pointer(&self) -> u8 {
        match self.src {
            Operand::Reg(src) if self.reversed => src.number(),
            _ => self.dst.number(),
        }
    }

    #[cold]
    fn refuse(&self, why: Why) -> Reject {
        let rule = "pointer arithmetic with it prohibited for !root";
        let verb = verb(self.op);
        let dst = self.dst.number();
        match why {
            Why::Bounds => {
                let n = self.number();
                reject!(
                    Speculation,
                    EACCES,
                    "R{n} has unknown scalar with mixed signed bounds, {rule}"
                )
                .because(alloc::format!(
                    "r{n} may be negative or not: a mispredicted path cannot be kept within bounds"
                ))
                .help("check that the number is not negative before it is added")
            }
            Why::Type => {
                let n = self.pointer();
                reject!(
                    Speculation,
                    EACCES,
                    "R{n} has pointer with unsupported alu operation, {rule}"
                )
                .because(alloc::format!(
                    "only pointers to the stack and to map values may be moved by a register without CAP_PERFMON; r{n} is another"
                ))
            }
            Why::Paths => refuse_paths(dst, verb),
            Why::Limit => reject!(
                Speculation,
                EACCES,
                "R{dst} tried to {verb} beyond pointer bounds, {rule}"
            ),
        }
    }
}

fn verb(op: AluOp) -> &'static str {
    if op == AluOp::Add { "add" } else { "sub" }
}

#[cold]
fn refuse_paths(dst: u8, verb: &str) -> Reject {
    reject!(
        Speculation,
        EACCES,
        "R{dst} tried to {verb} from different maps, paths or scalars, pointer arithmetic with it prohibited for !root"
    )
    .because(
        "several paths come here with different limits, so that no one mask keeps a mispredicted path within bounds",
    )
}

/// Numbers are added: the same instruction must not be pointer arithmetic on another path.
///
/// # Errors
/// It is.
pub fn numbers(env: &mut Env<'_>, op: AluOp, dst: Reg, src: Operand) -> Check {
    let alike = matches!(op, AluOp::Add | AluOp::Sub) && matches!(src, Operand::Reg(_));
    if !alike || !env.contains_speculation() || env.aux[env.slot].barrier {
        return Ok(());
    }
    remember(env, AluLimit::Numbers).map_err(|_| refuse_paths(dst.number(), verb(op)))
}

fn remember(env: &mut Env<'_>, limit: AluLimit) -> Result<(), Why> {
    let known = *env.alu_limits.entry(env.slot as u32).or_insert(limit);
    if known == limit {
        Ok(())
    } else {
        Err(Why::Paths)
    }
}

/// How far the pointer may move.
fn limit_of(env: &Env<'_>, ptr: &RegState, to_left: bool) -> Result<u32, Why> {
    let (most, limit) = match ptr.kind {
        // The frame's end is no place to access, but one to begin at on the way down.
        RegKind::Stack { .. } => (
            stack::FRAME_SIZE as u32 + u32::from(to_left),
            (ptr.num.bits.value as i64)
                .wrapping_add(ptr.off.into())
                .wrapping_neg() as u32,
        ),
        RegKind::MapValue { map, .. } if !ptr.may_be_null() => {
            let moved = if to_left {
                ptr.num.smin
            } else {
                ptr.num.umax as i64
            };
            (
                env.map(map).desc.value_size,
                moved.wrapping_add(ptr.off.into()) as u32,
            )
        }
        _ => return Err(Why::Type),
    };
    if limit >= most {
        return Err(Why::Limit);
    }
    Ok(limit)
}

/// What [`before`] found, for [`after`].
#[derive(Clone, Copy, Debug)]
pub struct Window {
    limit: u32,
    to_left: bool,
}

/// Before the arithmetic is done: finds the limit, and walks what follows with the pointer unmoved,
/// as a mask leaves it when the number is out of range.
///
/// # Errors
/// The arithmetic cannot be contained.
pub fn before(
    env: &mut Env<'_>,
    st: &State,
    ptr: &RegState,
    alu: &PointerAlu<'_>,
) -> Check<Option<Window>> {
    if !alu.is_contained(env) {
        return Ok(None);
    }
    let known = alu.num.is_const();
    let mut window = None;
    // On a mispredicted path the limits are there already; it only shows what is accessed.
    if !st.speculative {
        if !known && (alu.num.smin < 0) != (alu.num.smax < 0) {
            return Err(alu.refuse(Why::Bounds));
        }
        let to_left = alu.moves_left();
        let limit = limit_of(env, ptr, to_left).map_err(|why| alu.refuse(why))?;
        if !known {
            env.explores_alu_limits = true;
        }
        window = Some(Window { limit, to_left });
    }
    if !known {
        let mut unmoved = st.clone();
        unmoved.speculative = true;
        *unmoved.reg_mut(alu.dst) = *ptr;
        explore::push_state(env, unmoved, env.slot + 1)?;
    }
    Ok(window)
}

/// After the arithmetic is done: the pointer moved by at most this much on this path.
///
/// # Errors
/// Another path has another limit.
pub fn after(
    env: &mut Env<'_>,
    moved: &RegState,
    alu: &PointerAlu<'_>,
    window: Option<Window>,
) -> Check {
    let Some(window) = window else { return Ok(()) };
    let limit = limit_of(env, moved, window.to_left).map_err(|why| alu.refuse(why))?;
    let limit = AluLimit::Pointer {
        limit: window.limit.abs_diff(limit),
        negative: alu.num.smin < 0,
        known: alu.num.is_const(),
        into_pointer: !alu.reversed,
    };
    remember(env, limit).map_err(|why| alu.refuse(why))
}

/// A moved pointer must stay inside of what it points to, so that a mask can hold it there.
///
/// # Errors
/// It does not.
pub fn check_moved(env: &Env<'_>, st: &State, dst: Reg) -> Check {
    if !env.contains_speculation() {
        return Ok(());
    }
    let reg = st.reg(dst);
    let n = dst.number();
    match reg.kind {
        RegKind::Stack { .. } => {
            let at = (reg.num.bits.value as i64).wrapping_add(reg.off.into());
            if !reg.num.is_const() {
                let var = memory::bits_text(reg.num.bits);
                return Err(reject!(
                    Stack,
                    EACCES,
                    "R{n} variable stack access prohibited for !root, var_off={var} off={at}"
                ));
            }
            if !(-stack::FRAME_SIZE..0).contains(&at) {
                return Err(reject!(
                    Stack,
                    EACCES,
                    "R{n} stack pointer arithmetic goes out of range, prohibited for !root; off={at}"
                ));
            }
            Ok(())
        }
        RegKind::MapValue { map, .. } => {
            let size = env.map(map).desc.value_size;
            memory::check_region(env, st, dst, 0, 1, size, false, AccessKind::Read).map_err(
                |outside| {
                    outside.then(&alloc::format!(
                        "R{n} pointer arithmetic of map value goes out of range, prohibited for !root"
                    ))
                },
            )
        }
        _ => Ok(()),
    }
}

/// A branch is known to go one way: walks the other one too, as a wrong guess would.
///
/// # Errors
/// Too many branches wait.
pub fn other_way(env: &mut Env<'_>, st: &State, (dst, src): (Reg, Operand), slot: usize) -> Check {
    if !env.contains_speculation() {
        return Ok(());
    }
    let mut other = st.clone();
    other.speculative = true;
    *other.reg_mut(dst) = RegState::UNKNOWN;
    if let Operand::Reg(src) = src {
        *other.reg_mut(src) = RegState::UNKNOWN;
    }
    explore::push_state(env, other, slot)?;
    Ok(())
}
