//! What a comparison of packet pointers tells: how many bytes are surely there.

use panal_isa::Condition;

use crate::state::{RegKind, RegState, State};

/// Greatest offset into a packet.
const MAX_PACKET_OFFSET: u64 = 0xffff;

/// What is compared: which side is the pointer whose range becomes known.
enum Compared {
    /// `pkt cond end` (or `meta cond pkt`).
    Left,
    /// `end cond pkt`.
    Right,
}

fn is_start(reg: &RegState) -> bool {
    matches!(reg.kind, RegKind::Packet { .. })
        && reg.id == 0
        && reg.off == 0
        && reg.num.as_const() == Some(0)
}

fn what_is_compared(left: &RegState, right: &RegState) -> Option<Compared> {
    match (left.kind, right.kind) {
        (RegKind::Packet { .. }, RegKind::PacketEnd) => Some(Compared::Left),
        (RegKind::PacketEnd, RegKind::Packet { .. }) => Some(Compared::Right),
        (RegKind::PacketMeta { .. }, _) if is_start(right) => Some(Compared::Left),
        (_, RegKind::PacketMeta { .. }) if is_start(left) => Some(Compared::Right),
        _ => None,
    }
}

/// Learns from `left cond right`: `taken` is the state where it holds, `not_taken` where it does not.
/// The registers have these numbers.
pub fn learn(
    cond: Condition,
    (left, left_number): (&RegState, usize),
    (right, right_number): (&RegState, usize),
    taken: &mut State,
    not_taken: &mut State,
) -> bool {
    let Some(compared) = what_is_compared(left, right) else {
        return false;
    };
    // As `pkt cond end`.
    let (pkt, number, cond) = match compared {
        Compared::Left => (left, left_number, cond),
        Compared::Right => (right, right_number, flip(cond)),
    };
    // Where the pointer is below the end (`open`: strictly), and where it is not.
    let (below, beyond, open) = match cond {
        Condition::Gt => (not_taken, taken, false),
        Condition::Lt => (taken, not_taken, true),
        Condition::Ge => (not_taken, taken, true),
        Condition::Le => (taken, not_taken, false),
        _ => return false,
    };
    extend_ranges(below, pkt, open);
    let reg = &mut beyond.frame_mut().regs[number];
    if let RegKind::Packet { range } = &mut reg.kind {
        *range = if open {
            RegKind::AT_PKT_END
        } else {
            RegKind::BEYOND_PKT_END
        };
    }
    true
}

const fn flip(cond: Condition) -> Condition {
    match cond {
        Condition::Gt => Condition::Lt,
        Condition::Lt => Condition::Gt,
        Condition::Ge => Condition::Le,
        Condition::Le => Condition::Ge,
        other => other,
    }
}

/// Every pointer with the same base has at least the bytes up to `pkt`.
fn extend_ranges(st: &mut State, pkt: &RegState, open: bool) {
    if pkt.off < 0 || (pkt.off == 0 && open) {
        return;
    }
    let farthest = pkt.num.umax.saturating_add(pkt.off as u64);
    if pkt.num.umax > MAX_PACKET_OFFSET || farthest > MAX_PACKET_OFFSET {
        return;
    }
    let known = pkt.off + i32::from(open);
    let same_base = |reg: &RegState| reg.id == pkt.id && reg.kind.same_kind(&pkt.kind);
    st.change_regs(same_base, |reg| {
        if let RegKind::Packet { range } | RegKind::PacketMeta { range } = &mut reg.kind {
            *range = (*range).max(known);
        }
    });
}

/// Which way a comparison goes when the pointer is known to be at or beyond the end.
pub fn branch_taken(left: &RegState, right: &RegState, cond: Condition) -> Option<bool> {
    let (pkt, cond) = match (left.kind, right.kind) {
        (RegKind::Packet { range } | RegKind::PacketMeta { range }, RegKind::PacketEnd) => {
            (range, cond)
        }
        (RegKind::PacketEnd, RegKind::Packet { range } | RegKind::PacketMeta { range }) => {
            (range, flip(cond))
        }
        _ => return None,
    };
    match (cond, pkt) {
        (Condition::Gt, RegKind::BEYOND_PKT_END) => Some(true),
        (Condition::Le, RegKind::BEYOND_PKT_END) => Some(false),
        (Condition::Ge, RegKind::BEYOND_PKT_END | RegKind::AT_PKT_END) => Some(true),
        (Condition::Lt, RegKind::BEYOND_PKT_END | RegKind::AT_PKT_END) => Some(false),
        _ => None,
    }
}
