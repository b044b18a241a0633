//! Where on the path the value at fault comes from: where its bound was lost, or never gained.
//!
//! Walks back from the failing instruction through copies, spills, calls and arithmetic.

use panal_isa::{AluOp, CallTarget, Instruction, Operand, Reg, Width};

use super::record::{Recorded, Step};
use crate::{
    domain::Scalar,
    env::Env,
    explore::Place,
    state::{PtrFlags, RegKind, RegState, SlotType, StackSlot, slot_index},
};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Why a number may be too large.
    Large,
    /// Why a number may be negative, or too small.
    Small,
    /// Why so few bytes of the packet are known.
    Packet,
    /// Where a pointer, or what should be one, comes from.
    Pointer,
    /// Why nothing was written.
    Written,
}

/// What happened there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The program's, or the function's, argument.
    Argument,
    /// Read from memory of this kind.
    Loaded(Memory),
    /// A call gave it.
    Returned,
    /// A constant.
    Constant,
    /// The index or other number that a helper gives to a callback.
    CallbackArgument,
    /// Arithmetic on bounded numbers gave one without bounds.
    Lost(AluOp),
    /// A remainder by this number, which the compiler computes by multiplication.
    Remainder(u32),
    /// Only the lower 32 bits were kept, or the sign was extended.
    Cut,
    /// A comparison or a mask gives a bound that is too wide.
    Checked,
    /// A comparison bounds it as a signed number, from above only.
    CheckedAbove,
    /// A comparison bounds its lower 32 bits only.
    CheckedHalf,
    /// The result of a function that is verified on its own.
    Function,
    /// A part of the value on the stack was overwritten.
    Overwritten,
    /// On this side of a comparison the pointer is null.
    KnownNull,
    /// The pointer is beyond the packet's end here.
    BeyondEnd,
    /// A call made pointers into the packet invalid.
    Invalidated,
    /// A release made the pointer invalid.
    Released,
    /// What kept the object alive ended: an RCU section.
    LostTrust,
    /// The difference of two pointers.
    Difference,
    /// A call leaves `r1` to `r5` (or `r0`) without a value.
    Clobbered,
    /// A variable was added to a packet pointer: a new base, of which nothing is known.
    NewBase,
    /// A pointer that may be null was made.
    MaybeNull,
    /// A pointer was changed by an operation after which it is one no longer.
    NoPointer,
    /// Nothing wrote it since the function began.
    Never,
    /// A reference, lock or section began.
    Acquired,
    /// The condition of a loop, decided so often.
    Decided(u32),
}

/// Kinds of memory that a value is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// `ctx`
    Context,
    /// A map value.
    MapValue,
    /// The packet.
    Packet,
    /// The stack, where no register was spilled.
    Stack,
    /// A kernel object.
    Object,
    /// Other memory.
    Other,
}

/// The place that a walk ends at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Index of the step; `None` for the function's entry.
    pub step: Option<usize>,
    /// What happened there.
    pub cause: Cause,
    /// The value that came of it.
    pub value: RegState,
    /// Only its lower 32 bits count, as a signed number.
    pub low: bool,
}

impl Origin {
    /// The number there, least to greatest, where it is one of use.
    pub fn number(&self) -> Option<(i128, i128)> {
        let num = &self.value.num;
        if !self.value.is_scalar() {
            return None;
        }
        Some(match (self.low, num.smin < 0) {
            (true, _) => (i128::from(num.s32_min), i128::from(num.s32_max)),
            (_, true) => (i128::from(num.smin), i128::from(num.smax)),
            (_, false) => (i128::from(num.umin), i128::from(num.umax)),
        })
    }
}

/// Walks back from the failing instruction.
pub fn trace(env: &Env<'_>, path: &Recorded, register: Reg, goal: Goal) -> Option<Origin> {
    let place = Place {
        frame: path.fault.level() as u8,
        at: register.number(),
    };
    let value = path.value(place, path.steps.len())?.reg;
    let mut walk = Walk {
        env,
        path,
        place,
        value,
        nullable: value.may_be_null() || !value.is_pointer(),
        goal,
        partial: false,
        low: false,
        extends: false,
    };
    for index in (0..path.steps.len()).rev() {
        let step = &path.steps[index];
        if let Some(cause) = walk.back(index, step) {
            let value = walk.value;
            return Some(Origin {
                step: Some(index),
                cause,
                value,
                low: walk.low,
            });
        }
    }
    let value = walk.value;
    let cause = match goal {
        Goal::Written => Cause::Never,
        _ if path.dropped > 0 => return None,
        _ => Cause::Argument,
    };
    Some(Origin {
        step: None,
        cause,
        value,
        low: walk.low,
    })
}

struct Walk<'e, 'r> {
    env: &'e Env<'r>,
    path: &'e Recorded,
    place: Place,
    /// What the place holds before the step that was looked at last.
    value: RegState,
    /// The value at fault may be null, or is no pointer any more.
    nullable: bool,
    goal: Goal,
    /// The place is a stack slot that is read as a whole, but does not hold one value.
    partial: bool,
    /// The lower 32 bits were extended by their sign later: only they count.
    low: bool,
    /// The shift to the left comes next that belongs to a shift to the right: together they extend
    /// the lower 32 bits.
    extends: bool,
}

impl Walk<'_, '_> {
    fn reg(&self, level: u8, reg: Reg) -> Place {
        Place {
            frame: level,
            at: reg.number(),
        }
    }

    fn before(&self, place: Place, index: usize) -> RegState {
        self.path
            .value(place, index)
            .map_or(RegState::UNKNOWN, |slot| slot.reg)
    }

    /// Undoes one step; what it found, if the walk ends there.
    fn back(&mut self, index: usize, step: &Step) -> Option<Cause> {
        let instruction = *self.env.program.get(step.slot as usize)?;
        let change = step.change(self.place);
        if let Some(change) = change {
            self.value = change.after.reg;
        }
        if let Instruction::Branch { .. } = instruction {
            if self.goal == Goal::Packet && self.is_beyond(step) {
                return Some(Cause::BeyondEnd);
            }
            let change = change?;
            let cause = self.learnt(&change.before, &change.after);
            if cause.is_none() {
                self.value = change.before.reg;
            }
            return cause;
        }
        if let Instruction::Call(target) = instruction {
            return self.call(target, step);
        }
        if matches!(instruction, Instruction::Exit) && step.level == self.place.frame + 1 {
            if self.place.at == 0 {
                self.place = self.reg(step.level, Reg::R0);
            }
            return None;
        }
        if self.place.at >= 16 {
            return self.stored(instruction, step);
        }
        if step.level != self.place.frame || written(&instruction) != Some(self.place.at) {
            return None;
        }
        self.defined(instruction, index, step)
    }

    /// What a comparison taught of the place.
    fn learnt(&self, before: &StackSlot, after: &StackSlot) -> Option<Cause> {
        let (old, new) = (&before.reg, &after.reg);
        if old.is_pointer() && new.is_null() {
            return Some(Cause::KnownNull);
        }
        let packet = |reg: &RegState| match reg.kind {
            RegKind::Packet { range } | RegKind::PacketMeta { range } => Some(range),
            _ => None,
        };
        let half = self.half_learnt(&old.num, &new.num);
        if half.is_some() {
            return half;
        }
        if self.low && old.is_scalar() && matches!(self.goal, Goal::Large | Goal::Small) {
            let bounded = match self.goal {
                Goal::Small => new.num.s32_min > old.num.s32_min,
                _ => new.num.s32_max < old.num.s32_max,
            };
            return (bounded && new.num.s32_min >= 0).then_some(Cause::Checked);
        }
        match self.goal {
            Goal::Large => {
                (new.num.umax < old.num.umax && tame(&new.num)).then_some(Cause::Checked)
            }
            Goal::Small => {
                (new.num.smin > old.num.smin && tame(&new.num)).then_some(Cause::Checked)
            }
            Goal::Packet => match (packet(old)?, packet(new)?) {
                (_, after) if after < 0 => Some(Cause::BeyondEnd),
                (before, after) if after > before => Some(Cause::Checked),
                _ => None,
            },
            Goal::Pointer | Goal::Written => None,
        }
    }

    /// A comparison that looks at too little of a number.
    fn half_learnt(&self, old: &Scalar, new: &Scalar) -> Option<Cause> {
        if !matches!(self.goal, Goal::Large | Goal::Small) || tame(new) {
            return None;
        }
        let lower = new.u32_max < old.u32_max && new.umax > u64::from(u32::MAX) && !self.low;
        if lower && new.s32_min >= 0 {
            return Some(Cause::CheckedHalf);
        }
        let below = new.s32_max < old.s32_max && new.s32_min < 0;
        let below = below || (new.smax < old.smax && new.smin < 0 && new.smax != i64::MAX);
        below.then_some(Cause::CheckedAbove)
    }

    /// Whether the step found a pointer to the same packet bytes to be beyond the end.
    fn is_beyond(&self, step: &Step) -> bool {
        step.changes.iter().any(|change| {
            let reg = &change.after.reg;
            match reg.kind {
                RegKind::Packet { range } | RegKind::PacketMeta { range } => {
                    range < 0 && reg.id == self.value.id
                }
                _ => false,
            }
        })
    }

    fn call(&mut self, target: CallTarget, step: &Step) -> Option<Cause> {
        let inside = step.level + 1 == self.place.frame;
        if let (CallTarget::Local(_), true) = (target, inside) {
            // Into the frame: its arguments are the caller's.
            if self.goal == Goal::Written && !(1..=5).contains(&self.place.at) {
                return Some(Cause::Never);
            }
            if (1..=5).contains(&self.place.at) {
                self.place.frame -= 1;
                return None;
            }
            return Some(Cause::Argument);
        }
        if inside && self.place.at < 16 {
            // A callback: what it gets is the helper's.
            return Some(match self.value.is_scalar() {
                true => Cause::CallbackArgument,
                false => Cause::Argument,
            });
        }
        let change = step.change(self.place);
        if step.level == self.place.frame && self.place.at == 0 {
            if let (CallTarget::Local(_), true) =
                (target, change.is_none_or(|c| !is_init(&c.after)))
            {
                return (self.goal == Goal::Written).then_some(Cause::Clobbered);
            }
            return Some(match target {
                _ if self.value.may_be_null() && self.nullable => Cause::MaybeNull,
                CallTarget::Local(_) => Cause::Function,
                _ => Cause::Returned,
            });
        }
        let change = change?;
        let (old, new) = (change.before.reg, change.after.reg);
        if matches!(new.kind, RegKind::NotInit) && self.place.at < 16 {
            return Some(Cause::Clobbered);
        }
        if old.is_pointer() && new.is_scalar() {
            return Some(match old.lives_with_packet() {
                true => Cause::Invalidated,
                false => Cause::Released,
            });
        }
        if old.is_pointer() && new.is_pointer() && self.goal == Goal::Pointer {
            let lost =
                new.flags.contains(PtrFlags::UNTRUSTED) && !old.flags.contains(PtrFlags::UNTRUSTED);
            return lost.then_some(Cause::LostTrust);
        }
        if self.place.at >= 16 {
            // The helper filled a buffer.
            return Some(Cause::Returned);
        }
        None
    }

    /// A stack slot is followed into what was stored there.
    fn stored(&mut self, instruction: Instruction, step: &Step) -> Option<Cause> {
        let change = step.change(self.place)?;
        match instruction {
            Instruction::Store { .. } if self.partial => Some(Cause::Overwritten),
            Instruction::Store { src, .. } => match src {
                Operand::Reg(src) if change.after.is_spilled() => {
                    self.place = self.reg(step.level, src);
                    None
                }
                Operand::Imm(_) if change.after.is_spilled() => Some(Cause::Constant),
                _ => Some(Cause::Loaded(Memory::Stack)),
            },
            // A load links what is loaded with the slot: nothing new.
            Instruction::Load { .. } => None,
            _ => Some(Cause::Loaded(Memory::Stack)),
        }
    }

    /// The place is the register that the instruction writes.
    fn defined(&mut self, instruction: Instruction, index: usize, step: &Step) -> Option<Cause> {
        match instruction {
            Instruction::Alu {
                op: AluOp::Mov,
                src: Operand::Reg(src),
                width,
                ..
            } => {
                let source = self.reg(step.level, src);
                let input = self.before(source, index);
                if width == Width::W32 && input.is_pointer() && self.value.is_scalar() {
                    return Some(Cause::NoPointer);
                }
                let lost = width == Width::W32 && tame(&input.num) && !tame(&self.value.num);
                if lost && self.value.is_scalar() {
                    return Some(Cause::Cut);
                }
                (self.place, self.value) = (source, input);
                None
            }
            Instruction::MovSx { src, .. } => {
                let source = self.reg(step.level, src);
                let input = self.before(source, index);
                if self.goal == Goal::Small && input.num.smin >= 0 {
                    if input.num.s32_min >= 0 {
                        return Some(Cause::Cut);
                    }
                    self.low = true;
                }
                (self.place, self.value) = (source, input);
                None
            }
            Instruction::Alu { op: AluOp::Mov, .. } | Instruction::LoadImm64 { .. } => {
                Some(Cause::Constant)
            }
            Instruction::Alu { op, dst, src, .. } => self.arithmetic(op, dst, src, index, step),
            Instruction::Neg { .. } => Some(Cause::Lost(AluOp::Sub)),
            Instruction::Load {
                size, base, offset, ..
            } => {
                let base = self.before(self.reg(step.level, base), index);
                self.loaded(&base, i32::from(offset), size.bytes() as usize, index)
            }
            Instruction::Atomic { .. } => Some(Cause::Loaded(Memory::Other)),
            Instruction::PacketLoad { .. } => Some(Cause::Loaded(Memory::Packet)),
            // A byte swap: of a number that is followed no further.
            _ => None,
        }
    }

    fn arithmetic(
        &mut self,
        op: AluOp,
        dst: Reg,
        src: Operand,
        index: usize,
        step: &Step,
    ) -> Option<Cause> {
        let left_place = self.reg(step.level, dst);
        let left = self.before(left_place, index);
        let (right_place, right) = match src {
            Operand::Reg(src) => {
                let place = self.reg(step.level, src);
                (Some(place), self.before(place, index))
            }
            Operand::Imm(imm) => (None, RegState::constant(i64::from(imm) as u64)),
        };
        let output = self.value;
        if left.is_pointer() || right.is_pointer() {
            if output.is_scalar() {
                return Some(match left.is_pointer() && right.is_pointer() {
                    true => Cause::Difference,
                    false => Cause::NoPointer,
                });
            }
            let (pointer, number) = match left.is_pointer() {
                true => ((Some(left_place), left), (right_place, right)),
                false => ((right_place, right), (Some(left_place), left)),
            };
            if self.goal == Goal::Packet && !number.1.num.is_const() {
                return Some(Cause::NewBase);
            }
            let is_number = matches!(self.goal, Goal::Large | Goal::Small);
            // Of several that were added, the widest is to blame.
            let follow = match is_number && !number.1.num.is_const() {
                true if width(&number.1.num) >= width(&pointer.1.num) => number,
                _ => pointer,
            };
            self.place = follow.0?;
            self.value = follow.1;
            return None;
        }
        if let Some(found) = self.extension(op, src, left_place, &left, index) {
            return found;
        }
        if op == AluOp::Sub
            && self.goal == Goal::Large
            && let Some(divisor) = right_place.and_then(|right| self.multiple(right, index))
        {
            return Some(Cause::Remainder(divisor));
        }
        let (l, r) = (&left.num, &right.num);
        if self.is_bad(&output.num) {
            if !self.is_bad(l) && !self.is_bad(r) {
                let negative = op == AluOp::Add && r.smax < 0;
                return Some(Cause::Lost(if negative { AluOp::Sub } else { op }));
            }
        } else if tame(&output.num) && (self.is_bad(l) || !tame(l)) && op != AluOp::Add {
            return Some(Cause::Checked);
        }
        let follow_right = right_place.is_some()
            && !r.is_const()
            && (l.is_const() || (self.is_bad(r) && !self.is_bad(l)) || width(r) > width(l));
        match right_place {
            Some(place) if follow_right => (self.place, self.value) = (place, right),
            _ => (self.place, self.value) = (left_place, left),
        }
        None
    }

    /// Two shifts by 32 extend the lower half: nothing is lost by them that these bits do not say.
    fn extension(
        &mut self,
        op: AluOp,
        src: Operand,
        place: Place,
        before: &RegState,
        index: usize,
    ) -> Option<Option<Cause>> {
        if let (AluOp::Arsh, Operand::Imm(33..)) = (op, src)
            && let Some((_, shifted)) = self.definition(place, index)
            && let Instruction::Alu {
                op: AluOp::Lsh,
                src: Operand::Imm(33..),
                ..
            } = shifted
        {
            // A `short` or `char`: its sign is among the bits that are kept.
            return Some(Some(Cause::Cut));
        }
        if src != Operand::Imm(32) {
            return None;
        }
        match op {
            AluOp::Lsh if core::mem::take(&mut self.extends) => {
                let cut = !self.low && tame(&before.num);
                self.value = *before;
                Some(cut.then_some(Cause::Cut))
            }
            AluOp::Arsh | AluOp::Rsh => {
                let (_, earlier) = self.definition(place, index)?;
                let Instruction::Alu {
                    op: AluOp::Lsh,
                    src: Operand::Imm(32),
                    ..
                } = earlier
                else {
                    return None;
                };
                self.extends = true;
                self.low |= op == AluOp::Arsh;
                self.value = *before;
                Some(None)
            }
            _ => None,
        }
    }

    /// The last instruction before a step that writes a register, with its step.
    fn definition(&self, place: Place, index: usize) -> Option<(usize, Instruction)> {
        self.path.steps[..index]
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, step)| step.level == place.frame)
            .find_map(|(at, step)| {
                let instruction = *self.env.program.get(step.slot as usize)?;
                (written(&instruction) == Some(place.at)).then_some((at, instruction))
            })
    }

    /// The number in `x - x / number * number`, where the division is a multiplication and a
    /// shift.
    fn multiple(&self, place: Place, index: usize) -> Option<u32> {
        /// Instructions of the division.
        const LENGTH: usize = 6;
        let (mut at, instruction) = self.definition(place, index)?;
        let Instruction::Alu {
            op: AluOp::Mul,
            src: Operand::Imm(number),
            ..
        } = instruction
        else {
            return None;
        };
        let mut shifted = false;
        for _ in 0..LENGTH {
            let (earlier, instruction) = self.definition(place, at)?;
            at = earlier;
            match instruction {
                Instruction::Alu {
                    op: AluOp::Rsh | AluOp::Arsh,
                    ..
                } => shifted = true,
                Instruction::Alu { op: AluOp::Mul, .. } if shifted => {
                    return u32::try_from(number).ok();
                }
                _ => {}
            }
        }
        None
    }

    fn is_bad(&self, num: &Scalar) -> bool {
        match self.goal {
            Goal::Small if self.low => num.s32_min < 0,
            Goal::Large if self.low => num.s32_min == i32::MIN || num.s32_max == i32::MAX,
            Goal::Small => num.smin < 0,
            _ => !tame(num),
        }
    }

    fn loaded(&mut self, base: &RegState, offset: i32, size: usize, index: usize) -> Option<Cause> {
        if let RegKind::Stack { frame } = base.kind {
            let at = base.num.as_const().map(|v| base.off + offset + v as i32);
            if let Some(slot) = at.and_then(slot_index) {
                let place = Place {
                    frame,
                    at: 16 + slot.min(200) as u8,
                };
                let held = self.path.value(place, index);
                if let Some(held) = held
                    && held.types.iter().any(|&t| t != SlotType::Invalid)
                {
                    let whole = held.types[8 - size..].iter();
                    self.partial = !whole.clone().all(|&t| t == SlotType::Spill);
                    (self.place, self.value) = (place, held.reg);
                    return None;
                }
            }
            return Some(Cause::Loaded(Memory::Stack));
        }
        if self.value.may_be_null() && self.goal == Goal::Pointer && self.nullable {
            return Some(Cause::MaybeNull);
        }
        Some(Cause::Loaded(match base.kind {
            RegKind::Context => Memory::Context,
            RegKind::MapValue { .. } => Memory::MapValue,
            RegKind::Packet { .. } | RegKind::PacketMeta { .. } => Memory::Packet,
            RegKind::Btf(_) => Memory::Object,
            _ if base.flags.contains(PtrFlags::PACKET_SLICE) => Memory::Packet,
            _ => Memory::Other,
        }))
    }
}

fn is_init(slot: &StackSlot) -> bool {
    !matches!(slot.reg.kind, RegKind::NotInit)
}

/// Bounded well enough that arithmetic with it can be followed.
fn tame(num: &Scalar) -> bool {
    num.smin > i64::from(i32::MIN) && num.smax < i64::from(i32::MAX)
}

fn width(num: &Scalar) -> u128 {
    (i128::from(num.smax) - i128::from(num.smin)).unsigned_abs()
}

/// The register that an instruction writes, calls apart.
fn written(instruction: &Instruction) -> Option<u8> {
    match *instruction {
        Instruction::Alu { dst, .. }
        | Instruction::Neg { dst, .. }
        | Instruction::Endian { dst, .. }
        | Instruction::MovSx { dst, .. }
        | Instruction::AddrSpaceCast { dst, .. }
        | Instruction::LoadImm64 { dst, .. }
        | Instruction::Load { dst, .. } => Some(dst.number()),
        Instruction::Atomic { op, src, .. } => match op {
            panal_isa::AtomicOp::CmpXchg => Some(0),
            _ => Some(src.number()),
        },
        Instruction::PacketLoad { .. } => Some(0),
        _ => None,
    }
}
