//! Whether an old state covers a new one: everything safe from the old one is safe from the new.

use panal_isa::Reg;

use crate::{
    bits::bits,
    by_slot::{Misfit, Why},
    env::Env,
    explore::{Precise, Saved, StateId},
    state::{
        Frame, KeptFrame, NUMBERS, References, RegKind, RegState, SlotType, Stack, StackSlot,
        State, UsedSlots,
    },
};

/// How numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exactness {
    /// Numbers that were not marked as precise do not matter: the old state is finished.
    NotExact,
    /// All numbers must lie within the old ones: the old state is not finished, marks may still come.
    RangeWithin,
    /// Everything must be the same.
    Exact,
}

/// What the loader's capabilities change.
#[derive(Clone, Copy)]
struct Rules {
    /// Every number matters exactly: without `CAP_BPF` nothing is traced back, and a witness is to see
    /// all that can be.
    all_precise: bool,
    /// Numbers must be the same: the limits of pointer arithmetic may hang on them.
    same_numbers: bool,
    /// What was never written reads like what was written with anything.
    reads_left_over: bool,
}

fn rules(env: &Env<'_>) -> Rules {
    Rules {
        all_precise: !env.is_capable() || env.witness.is_some(),
        same_numbers: env.explores_alu_limits,
        reads_left_over: env.sees_addresses(),
    }
}

impl Rules {
    /// Whether a number that is not precise may become any other.
    fn any_number_does(self, exactness: Exactness) -> bool {
        exactness == Exactness::NotExact && !self.all_precise && !self.same_numbers
    }
}

/// Ids of the old state and those that stand for them in the new one.
struct Ids<'a> {
    rules: Rules,
    map: &'a mut alloc::vec::Vec<(u32, u32)>,
    next: u32,
}

impl Ids<'_> {
    fn same(&mut self, old: u32, new: u32) -> bool {
        if (old == 0) != (new == 0) {
            return false;
        }
        old == 0 || self.pair(old, new)
    }

    /// For numbers: one without an id is like one with an id that nobody shares.
    fn same_scalar(&mut self, old: u32, new: u32) -> bool {
        let old = if old == 0 { self.fresh() } else { old };
        let new = if new == 0 { self.fresh() } else { new };
        self.pair(old, new)
    }

    fn fresh(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.next
    }

    fn pair(&mut self, old: u32, new: u32) -> bool {
        for &(a, b) in self.map.iter() {
            if a == old {
                return b == new;
            }
            if b == new {
                return false;
            }
        }
        self.map.push((old, new));
        true
    }
}

/// A place at which an old state did not fit a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The stack slot (frame, index), where one was the reason.
    pub slot: Option<(u8, u8)>,
}

impl Unfit {
    /// Something else was.
    pub const OTHERWISE: Unfit = Unfit { slot: None };
}

/// Whether the saved state covers the current one. `scalars`: registers of the innermost frame that are
/// known to hold numbers in both.
///
/// # Errors
/// It does not.
pub fn states(
    env: &mut Env<'_>,
    id: StateId,
    st: &State,
    exactness: Exactness,
    scalars: u16,
) -> Result<(), Unfit> {
    with_ids(env, |env, ids| {
        let saved = env.search.saved(id);
        let alike = saved.state.frames.len() == st.frames.len()
            && saved.state.sleepable == st.sleepable
            // A path that is walked only as a mispredicted one says nothing of one that is real.
            && (st.speculative || !saved.state.speculative)
            && references(&saved.state.refs, &st.refs, ids);
        if !alike {
            return Err(Unfit::OTHERWISE);
        }
        (0..st.frames.len()).try_for_each(|level| {
            let (old, new) = (&saved.state.frames[level], &st.frames[level]);
            let at = st
                .frames
                .get(level + 1)
                .map_or(saved.slot as usize, |f| f.call_slot as usize);
            let mut marks = marks(saved, level, env.aux[at].live_regs);
            if level == st.level() && ids.rules.any_number_does(exactness) {
                marks.live &= marks.precise.regs | !scalars;
            }
            if old.call_slot() != new.call_slot || !registers_fit(old, new, &marks, exactness, ids)
            {
                return Err(Unfit::OTHERWISE);
            }
            stacks(old.stack(), &new.stack, &marks, exactness, ids).map_err(|index| Unfit {
                slot: index.map(|index| (level as u8, index as u8)),
            })
        })
    })
}

/// Compares with no ids known yet.
#[inline(always)]
fn with_ids<R>(env: &mut Env<'_>, compare: impl FnOnce(&Env<'_>, &mut Ids<'_>) -> R) -> R {
    let mut map = core::mem::take(&mut env.search.ids);
    map.clear();
    let mut ids = Ids {
        rules: rules(env),
        map: &mut map,
        next: env.last_id(),
    };
    let result = compare(env, &mut ids);
    env.search.ids = map;
    result
}

/// The first register of the innermost frame that tells the two states apart whatever else is the case:
/// a pointer that points elsewhere, or a precise number (of those in `scalars`) that does not lie within
/// the saved state's. Most states that do not cover the current one are told by it.
pub fn misfit(env: &Env<'_>, id: StateId, st: &State, scalars: u16) -> Option<Misfit> {
    let saved = env.search.saved(id);
    let level = st.level();
    let (old, precise) = (saved.state.frames.get(level)?, saved.precise.get(level)?);
    let live = env.aux[saved.slot as usize].live_regs & NUMBERS;
    let new = &st.frame().regs;
    bits(u64::from(live & (precise.regs | !scalars))).find_map(|number| {
        let (old, new) = (old.reg(number), &new[number % Reg::COUNT]);
        let misfit = |why| Misfit {
            number: number as u8,
            why,
        };
        if scalars & (1 << number) != 0 {
            let num = &old.num;
            return (!num.includes(&new.num)).then_some(misfit(Why::Number {
                umin: num.umin,
                umax: num.umax,
            }));
        }
        match old.kind {
            RegKind::NotInit | RegKind::Scalar | RegKind::Arena => None,
            RegKind::Packet { range } | RegKind::PacketMeta { range } if !has_range(new, range) => {
                Some(misfit(Why::Range(range)))
            }
            _ => (old.off != new.off).then_some(misfit(Why::Offset(old.off))),
        }
    })
}

/// Whether a slot of the stack that told a saved state apart before does so again.
pub fn slot_differs(env: &mut Env<'_>, id: StateId, st: &State, (level, index): (u8, u8)) -> bool {
    // What does not fit without any ids fits with none.
    with_ids(env, |env, ids| {
        let saved = env.search.saved(id);
        let (level, index) = (usize::from(level), usize::from(index));
        let (Some(old), Some(new)) = (saved.state.frames.get(level), st.frames.get(level)) else {
            return false;
        };
        let marks = marks(saved, level, 0);
        let (old, new, how) = (old.stack(), &new.stack, Exactness::NotExact);
        marks.used.all & (1 << index) != 0 && !slot_fits(old, new, &marks, index, how, ids)
    })
}

fn references(old: &References, new: &References, ids: &mut Ids<'_>) -> bool {
    if old.list.len() != new.list.len()
        || old.locks != new.locks
        || old.preempt != new.preempt
        || old.rcu != new.rcu
        || !ids.same(old.irq, new.irq)
    {
        return false;
    }
    let same_lock = match (old.active_lock, new.active_lock) {
        (None, None) => true,
        (Some((a, p)), Some((b, q))) => p == q && ids.same(a, b),
        _ => false,
    };
    same_lock
        && old
            .list
            .iter()
            .zip(&new.list)
            .all(|(a, b)| a.kind == b.kind && a.lock == b.lock && ids.same(a.id, b.id))
}

/// What of a saved state's frame counts, and what of it exactly.
struct Marks {
    precise: Precise,
    /// Registers that are read later.
    live: u16,
    /// Stack slots that count; the others are as if they had never been written.
    used: UsedSlots,
    /// How many slots there are.
    slots: usize,
}

fn marks(saved: &Saved, level: usize, live: u16) -> Marks {
    let settled = saved.used_slots.get(level);
    Marks {
        precise: saved.precise[level],
        live,
        used: settled.copied().unwrap_or(UsedSlots::UNSETTLED),
        slots: match settled {
            Some(used) => 64 - used.all.leading_zeros() as usize,
            None => saved.state.frames[level].stack().len(),
        },
    }
}

fn registers_fit(
    old: &KeptFrame,
    new: &Frame,
    marks: &Marks,
    exactness: Exactness,
    ids: &mut Ids<'_>,
) -> bool {
    old.callback_depth() <= new.callback_depth
        && bits(u64::from(marks.live & NUMBERS)).all(|number| {
            let is_precise = marks.precise.regs & (1 << number) != 0;
            let (old, new) = (old.reg(number), &new.regs[number]);
            registers(old, new, is_precise, exactness, ids)
        })
}

/// Whether a packet pointer's range covers another one's. Negative ones are marks, not numbers of bytes.
fn range_fits(old: i32, new: i32) -> bool {
    if old < 0 || new < 0 {
        old == new
    } else {
        old <= new
    }
}

/// Whether it is a packet pointer whose range this one covers.
pub fn has_range(reg: &RegState, old: i32) -> bool {
    match reg.kind {
        RegKind::Packet { range } | RegKind::PacketMeta { range } => range_fits(old, range),
        _ => false,
    }
}

fn exact(old: &RegState, new: &RegState, ids: &mut Ids<'_>) -> bool {
    old.kind == new.kind
        && old.flags == new.flags
        && old.off == new.off
        && old.num == new.num
        && ids.same(old.id, new.id)
        && ids.same(old.ref_id, new.ref_id)
}

fn registers(
    old: &RegState,
    new: &RegState,
    precise: bool,
    exactness: Exactness,
    ids: &mut Ids<'_>,
) -> bool {
    if exactness == Exactness::Exact {
        return exact(old, new, ids);
    }
    if matches!(old.kind, RegKind::NotInit) {
        // The old path cannot have used it.
        return exactness == Exactness::NotExact || matches!(new.kind, RegKind::NotInit);
    }
    if !old.kind.same_kind(&new.kind) || old.flags != new.flags {
        return false;
    }
    match (old.kind, new.kind) {
        (RegKind::Scalar, _) => {
            if ids.rules.same_numbers {
                return old.num == new.num && old.off == new.off && ids.same_scalar(old.id, new.id);
            }
            if !precise && ids.rules.any_number_does(exactness) {
                return true;
            }
            if old.id == 0 {
                // Nothing hung on a link: what links the new one only says more.
                return old.num.includes(&new.num);
            }
            let add = RegState::ADD_CONST;
            if old.id & add != new.id & add || (old.id & add != 0 && old.off != new.off) {
                return false;
            }
            old.num.includes(&new.num) && ids.same_scalar(old.id, new.id)
        }
        (
            RegKind::MapKey { .. }
            | RegKind::MapValue { .. }
            | RegKind::Mem { .. }
            | RegKind::Buf
            | RegKind::TpBuffer,
            _,
        ) => {
            old.kind == new.kind
                && old.off == new.off
                && old.num.includes(&new.num)
                && ids.same(old.id, new.id)
                && ids.same(old.ref_id, new.ref_id)
        }
        (
            RegKind::Packet { range: a } | RegKind::PacketMeta { range: a },
            RegKind::Packet { range: b } | RegKind::PacketMeta { range: b },
        ) => {
            range_fits(a, b)
                && old.off == new.off
                && ids.same(old.id, new.id)
                && old.num.includes(&new.num)
        }
        (RegKind::Arena, _) => true,
        _ => exact(old, new, ids),
    }
}

/// A slot that reads as a number: a whole spilled number, or bytes of which nothing is known.
fn as_scalar(slot: &StackSlot, rules: Rules) -> Option<&RegState> {
    if slot.is_fully_spilled() && slot.reg.is_scalar() {
        return Some(&slot.reg);
    }
    let unknown = slot
        .types
        .iter()
        .all(|&t| t == SlotType::Misc || (t == SlotType::Invalid && rules.reads_left_over));
    unknown.then_some(&RegState::UNKNOWN)
}

/// Bytes that the old path cannot have used, or for which anything would have done.
fn is_ignored(t: SlotType, rules: Rules) -> bool {
    match t {
        SlotType::Invalid => true,
        SlotType::Misc => rules.reads_left_over,
        _ => false,
    }
}

/// Where they do not fit, the index of the slot that does not, if it is one.
fn stacks(
    old: &Stack,
    new: &Stack,
    marks: &Marks,
    exactness: Exactness,
    ids: &mut Ids<'_>,
) -> Result<(), Option<usize>> {
    if exactness != Exactness::NotExact && !same_types(old, new, marks) {
        return Err(None);
    }
    let below = u64::MAX.checked_shr(64 - marks.slots as u32).unwrap_or(0);
    let counts = marks.used.all & below;
    // What is the same covers itself; only ids must be told.
    let shared = old.shared(new, counts);
    let mut compared = bits(counts & !(shared & !marks.used.linked));
    let misfit = compared.find(|&index| {
        let is_same =
            shared & (1 << index) != 0 && old.get(index).is_some_and(StackSlot::is_unlinked);
        !is_same && !slot_fits(old, new, marks, index, exactness, ids)
    });
    misfit.map_or(Ok(()), |index| Err(Some(index)))
}

/// Whether a slot of the old stack covers that of the new one.
fn slot_fits(
    old: &Stack,
    new: &Stack,
    marks: &Marks,
    index: usize,
    exactness: Exactness,
    ids: &mut Ids<'_>,
) -> bool {
    let Some(a) = old.get(index) else { return true };
    if a.types.iter().all(|&t| is_ignored(t, ids.rules)) {
        return true;
    }
    let is_precise = marks.precise.slots & (1 << index) != 0;
    let b = new.get(index);
    b.is_some_and(|b| slots(a, b, is_precise, exactness, ids))
}

/// Whether all bytes of the slots that there are hold the same kinds of things.
fn same_types(old: &Stack, new: &Stack, marks: &Marks) -> bool {
    (0..marks.slots).all(|index| {
        let counts = marks.used.all & (1 << (index & 63)) != 0;
        let a = old
            .get(index)
            .filter(|_| counts)
            .unwrap_or(&StackSlot::INVALID);
        new.get(index).is_some_and(|b| a.types == b.types)
    })
}

fn slots(
    a: &StackSlot,
    b: &StackSlot,
    precise: bool,
    exactness: Exactness,
    ids: &mut Ids<'_>,
) -> bool {
    let rules = ids.rules;
    if let (Some(x), Some(y)) = (as_scalar(a, rules), as_scalar(b, rules)) {
        return registers(x, y, precise, exactness, ids);
    }
    if a.types.iter().zip(&b.types).any(|(&x, &y)| {
        let fits = x == y || (x == SlotType::Misc && y == SlotType::Zero);
        !is_ignored(x, rules) && !fits
    }) {
        return false;
    }
    match a.types[7] {
        SlotType::Spill => registers(&a.reg, &b.reg, precise, exactness, ids),
        SlotType::Dynptr | SlotType::IrqFlag => {
            a.reg.kind == b.reg.kind && ids.same(a.reg.ref_id, b.reg.ref_id)
        }
        SlotType::Iter => {
            same_iterator(&a.reg.kind, &b.reg.kind) && ids.same(a.reg.ref_id, b.reg.ref_id)
        }
        SlotType::Misc | SlotType::Zero | SlotType::Invalid => true,
    }
}

/// The same iterator; how often it went on does not matter.
fn same_iterator(a: &RegKind, b: &RegKind) -> bool {
    match (a, b) {
        (
            RegKind::Iter {
                ty: t,
                state: s,
                first: f,
                ..
            },
            RegKind::Iter {
                ty: u,
                state: v,
                first: g,
                ..
            },
        ) => t == u && s == v && f == g,
        _ => false,
    }
}
