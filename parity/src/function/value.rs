//! What a register holds, and what comes of computing with it.

use panal_isa::{AluOp, Condition, Size, Width};

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Just this number.
    Known(i64),
    /// A number from 0 to this.
    Upto(i64),
    /// A number that the input determines.
    Number,
    /// So far from the function's own frame pointer: from the first to the second.
    Frame(i64, i64),
    /// Somewhere in the function's own frame.
    Somewhere,
    /// Memory whose bytes the input determines: map values, records, a caller's stack.
    Memory,
    /// Packet data, or its end.
    Packet,
    /// The context.
    Context,
    /// A map: of use to helpers alone.
    Map,
    /// The function that begins at this slot, to be called back.
    Function(usize),
    /// Anything else: undefined, or made from an address.
    Unknown,
}

/// Bounds of a number, if it has any.
pub(super) fn bounds(value: Value) -> Option<(i64, i64)> {
    match value {
        Value::Known(n) => Some((n, n)),
        Value::Upto(most) => Some((0, most)),
        _ => None,
    }
}

impl Value {
    pub(super) fn is_number(self) -> bool {
        matches!(self, Value::Known(_) | Value::Upto(_) | Value::Number)
    }

    pub(super) fn is_address(self) -> bool {
        !self.is_number() && self != Value::Unknown
    }

    pub(super) fn join(self, other: Value) -> Value {
        match (self, other) {
            (a, b) if a == b => a,
            (a, b) if a.is_number() && b.is_number() => match (bounds(a), bounds(b)) {
                (Some((low, high)), Some((other_low, other_high)))
                    if low >= 0 && other_low >= 0 && high.max(other_high) <= MOST =>
                {
                    Value::Upto(widened(high.max(other_high)))
                }
                _ => Value::Number,
            },
            (Value::Frame(..) | Value::Somewhere, Value::Frame(..) | Value::Somewhere) => {
                Value::Somewhere
            }
            _ => Value::Unknown,
        }
    }
}

/// Greatest bound that is followed where paths meet.
pub(super) const MOST: i64 = u32::MAX as i64;

/// The next bound that joins go to, so that loops end soon.
pub(super) fn widened(high: i64) -> i64 {
    (high as u64 + 1).next_power_of_two() as i64 - 1
}

/// A number of so many bytes.
pub(super) fn sized(size: Size) -> Value {
    match size {
        Size::DW => Value::Number,
        _ => Value::Upto((1 << (8 * size.bytes())) - 1),
    }
}

/// A number where all are numbers.
pub(super) fn computed(from: &[Value]) -> Value {
    if from.iter().all(|value| value.is_number()) {
        Value::Number
    } else {
        Value::Unknown
    }
}

pub(super) fn alu(width: Width, op: AluOp, dst: Value, src: Value) -> Value {
    match (op, width, dst, src) {
        (AluOp::Mov, Width::W64, _, src) => src,
        (AluOp::Mov, Width::W32, _, Value::Known(n)) => Value::Known(i64::from(n as u32)),
        (AluOp::Mov, Width::W32, _, src) => match bounds(src) {
            Some((0, high)) if high <= i64::from(u32::MAX) => src,
            _ => computed(&[src]),
        },
        (AluOp::And, _, dst, Value::Known(mask)) if dst.is_number() && mask >= 0 => {
            Value::Upto(mask)
        }
        (AluOp::Mod, _, dst, Value::Known(by)) if dst.is_number() && by > 0 => Value::Upto(by - 1),
        (AluOp::Add, Width::W64, Value::Frame(low, high), src) => match bounds(src) {
            Some((from, to)) if from.abs() <= 4096 && to.abs() <= 4096 => {
                Value::Frame(low + from, high + to)
            }
            _ if src.is_number() => Value::Somewhere,
            _ => Value::Unknown,
        },
        (AluOp::Sub, Width::W64, Value::Frame(low, high), Value::Known(n)) if n.abs() <= 4096 => {
            Value::Frame(low - n, high - n)
        }
        (AluOp::Add, Width::W64, number, Value::Frame(..)) if number.is_number() => {
            Value::Somewhere
        }
        (
            AluOp::Add | AluOp::Sub,
            Width::W64,
            Value::Somewhere | Value::Memory | Value::Packet | Value::Context,
            src,
        ) if src.is_number() => dst,
        (
            AluOp::Add,
            Width::W64,
            number,
            Value::Somewhere | Value::Memory | Value::Packet | Value::Context,
        ) if number.is_number() => src,
        _ => computed(&[dst, src]),
    }
}

/// The way of a branch on two known numbers.
pub(super) fn decided(width: Width, cond: Condition, left: Value, right: Value) -> Option<bool> {
    let (Value::Known(left), Value::Known(right)) = (left, right) else {
        return None;
    };
    let (signed, unsigned) = match width {
        Width::W64 => ((left, right), (left as u64, right as u64)),
        Width::W32 => (
            (i64::from(left as i32), i64::from(right as i32)),
            (u64::from(left as u32), u64::from(right as u32)),
        ),
    };
    Some(match cond {
        Condition::Eq => unsigned.0 == unsigned.1,
        Condition::Ne => unsigned.0 != unsigned.1,
        Condition::Set => unsigned.0 & unsigned.1 != 0,
        Condition::Gt => unsigned.0 > unsigned.1,
        Condition::Ge => unsigned.0 >= unsigned.1,
        Condition::Lt => unsigned.0 < unsigned.1,
        Condition::Le => unsigned.0 <= unsigned.1,
        Condition::SGt => signed.0 > signed.1,
        Condition::SGe => signed.0 >= signed.1,
        Condition::SLt => signed.0 < signed.1,
        Condition::SLe => signed.0 <= signed.1,
    })
}

/// Whether the way of a branch depends on more than the input.
pub(super) fn shows_in_branch(width: Width, cond: Condition, left: Value, right: Value) -> bool {
    let null_check = matches!(cond, Condition::Eq | Condition::Ne)
        && width == Width::W64
        && left.is_address()
        && right == Value::Known(0);
    let packet_check = width == Width::W64 && left == Value::Packet && right == Value::Packet;
    let numbers = left.is_number() && right.is_number();
    !(null_check || packet_check || numbers)
}
