//! Each operation's result contains every concrete result: exhaustively at small widths, by random
//! members at 64 bits.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use panal_isa::{AluOp, Condition, Width};

use super::{Scalar, Tnum, branch_taken, refine};

const OPS: [AluOp; 9] = [
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::And,
    AluOp::Or,
    AluOp::Xor,
    AluOp::Lsh,
    AluOp::Rsh,
    AluOp::Arsh,
];
/// What the machine does.
fn concrete(op: AluOp, width: Width, a: u64, b: u64) -> u64 {
    let wide = match op {
        AluOp::Add => a.wrapping_add(b),
        AluOp::Sub => a.wrapping_sub(b),
        AluOp::Mul => a.wrapping_mul(b),
        AluOp::And => a & b,
        AluOp::Or => a | b,
        AluOp::Xor => a ^ b,
        AluOp::Lsh if width == Width::W64 => a << (b & 63),
        AluOp::Rsh if width == Width::W64 => a >> (b & 63),
        AluOp::Arsh if width == Width::W64 => ((a as i64) >> (b & 63)) as u64,
        AluOp::Lsh => u64::from((a as u32) << (b & 31)),
        AluOp::Rsh => u64::from((a as u32) >> (b & 31)),
        AluOp::Arsh => ((a as i32) >> (b & 31)) as u32 as u64,
        _ => unreachable!(),
    };
    if width == Width::W32 {
        wide & 0xffff_ffff
    } else {
        wide
    }
}

fn holds(cond: Condition, width: Width, a: u64, b: u64) -> bool {
    let (ua, ub, sa, sb) = match width {
        Width::W64 => (a, b, a as i64, b as i64),
        Width::W32 => (
            u64::from(a as u32),
            u64::from(b as u32),
            i64::from(a as i32),
            i64::from(b as i32),
        ),
    };
    match cond {
        Condition::Eq => ua == ub,
        Condition::Ne => ua != ub,
        Condition::Set => ua & ub != 0,
        Condition::Gt => ua > ub,
        Condition::Ge => ua >= ub,
        Condition::Lt => ua < ub,
        Condition::Le => ua <= ub,
        Condition::SGt => sa > sb,
        Condition::SGe => sa >= sb,
        Condition::SLt => sa < sb,
        Condition::SLe => sa <= sb,
    }
}

/// All sets of known bits over some low bits, shifted to interesting places.
fn tnums(bits: u32) -> Vec<Tnum> {
    let mut all = Vec::new();
    for mask in 0..1u64 << bits {
        for value in 0..1u64 << bits {
            if value & mask == 0 {
                all.push(Tnum { value, mask });
            }
        }
    }
    all
}

fn members(t: Tnum) -> impl Iterator<Item = u64> {
    // Subsets of the mask, by the usual trick.
    let mut next = Some(0u64);
    core::iter::from_fn(move || {
        let now = next?;
        let after = now.wrapping_sub(t.mask) & t.mask;
        next = (after != 0).then_some(after);
        Some(t.value | now)
    })
}

#[test]
fn tnum_operations_contain_every_concrete_result_at_4_bits() {
    let all = tnums(4);
    for &a in &all {
        for &b in &all {
            let results = [
                (AluOp::Add, a.add(b)),
                (AluOp::Sub, a.sub(b)),
                (AluOp::Mul, a.mul(b)),
                (AluOp::And, a.and(b)),
                (AluOp::Or, a.or(b)),
                (AluOp::Xor, a.xor(b)),
            ];
            for x in members(a) {
                for y in members(b) {
                    for (op, result) in results {
                        let value = concrete(op, Width::W64, x, y);
                        assert!(result.contains(value), "{a:?} {op:?} {b:?}: {x} {y}");
                    }
                    assert!(a.union(b).contains(x) && a.union(b).contains(y));
                    assert!(x != y || (a.overlaps(b) && a.intersect(b).contains(x)));
                }
            }
        }
    }
}

#[test]
fn tnum_additions_and_bitwise_operations_are_as_tight_as_can_be_at_3_bits() {
    let all = tnums(3);
    for &a in &all {
        for &b in &all {
            let results = [
                (AluOp::Add, a.add(b)),
                (AluOp::And, a.and(b)),
                (AluOp::Or, a.or(b)),
                (AluOp::Xor, a.xor(b)),
            ];
            for (op, result) in results {
                let mut best: Option<Tnum> = None;
                for x in members(a) {
                    for y in members(b) {
                        let one = Tnum::constant(concrete(op, Width::W64, x, y));
                        best = Some(best.map_or(one, |t| t.union(one)));
                    }
                }
                assert_eq!(Some(result), best, "{a:?} {op:?} {b:?}");
            }
        }
    }
}

#[test]
fn tnum_range_is_the_smallest_that_contains_the_interval_at_6_bits() {
    for min in 0..64u64 {
        for max in min..64 {
            let range = Tnum::range(min, max);
            assert!((min..=max).all(|v| range.contains(v)));
            assert!(range.max() < 128);
        }
    }
}

/// Interesting numbers around the places where readings change their sign.
fn edges() -> Vec<u64> {
    let mut all = Vec::new();
    for base in [
        0u64,
        1 << 31,
        1 << 32,
        1 << 63,
        0xffff_ffff_8000_0000,
        5 << 32,
    ] {
        for delta in -3i64..=3 {
            all.push(base.wrapping_add(delta as u64));
        }
    }
    all
}

/// Sets that contain a given number, made in different ways.
fn sets_around(v: u64, w: u64) -> Vec<Scalar> {
    let mut sets = Vec::new();
    sets.push(Scalar::constant(v));
    sets.push(Scalar::unsigned_range(v.min(w), v.max(w)));
    sets.push(Scalar::signed_range(
        (v as i64).min(w as i64),
        (v as i64).max(w as i64),
    ));
    let mut bits = Scalar {
        bits: Tnum::constant(v).union(Tnum::constant(w)),
        ..Scalar::UNKNOWN
    };
    bits.sync();
    sets.push(bits);
    let mut low = Scalar {
        u32_min: (v as u32).min(w as u32),
        u32_max: (v as u32).max(w as u32),
        ..Scalar::UNKNOWN
    };
    low.sync();
    sets.push(low);
    let mut low = Scalar {
        s32_min: (v as i32).min(w as i32),
        s32_max: (v as i32).max(w as i32),
        ..Scalar::UNKNOWN
    };
    low.sync();
    sets.push(low);
    sets
}

#[test]
fn learning_between_the_readings_loses_no_member() {
    for &v in &edges() {
        for &w in &edges() {
            for set in sets_around(v, w) {
                assert!(set.contains(v), "{v:#x} {w:#x} {set:?}");
                assert!(set.is_const() || set.contains(w), "{v:#x} {w:#x} {set:?}");
            }
        }
    }
}

#[test]
fn arithmetic_contains_the_concrete_result_at_the_edges() {
    let edges = edges();
    for (i, &a) in edges.iter().enumerate() {
        for (j, &b) in edges.iter().enumerate() {
            // A second member of each set, somewhere else.
            let (c, d) = (
                edges[(i * 7 + j) % edges.len()],
                edges[(j * 5 + i) % edges.len()],
            );
            for x in sets_around(a, c) {
                for y in sets_around(b, d) {
                    check_arithmetic(&x, &y, &[a, c], &[b, d]);
                }
            }
        }
    }
}

fn check_arithmetic(x: &Scalar, y: &Scalar, of_x: &[u64], of_y: &[u64]) {
    for op in OPS {
        for width in [Width::W32, Width::W64] {
            let mut result = *x;
            result.apply(op, width, y);
            for &a in of_x.iter().filter(|&&v| x.contains(v)) {
                for &b in of_y.iter().filter(|&&v| y.contains(v)) {
                    let value = concrete(op, width, a, b);
                    assert!(
                        result.contains(value),
                        "{a:#x} {op:?} {b:#x} ({width:?}) = {value:#x} not in {result:?}\nof {x:?}\nand {y:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn branches_contain_every_number_that_takes_them() {
    let edges = edges();
    for (i, &a) in edges.iter().enumerate() {
        for (j, &b) in edges.iter().enumerate() {
            let (c, d) = (
                edges[(i * 7 + j) % edges.len()],
                edges[(j * 5 + i) % edges.len()],
            );
            for x in sets_around(a, c) {
                for y in sets_around(b, d) {
                    check_branches(&x, &y, &[a, c], &[b, d]);
                }
            }
        }
    }
}

fn check_branches(x: &Scalar, y: &Scalar, of_x: &[u64], of_y: &[u64]) {
    for cond in Condition::ALL {
        for width in [Width::W32, Width::W64] {
            let known = branch_taken(x, y, cond, width);
            for &a in of_x.iter().filter(|&&v| x.contains(v)) {
                for &b in of_y.iter().filter(|&&v| y.contains(v)) {
                    let taken = holds(cond, width, a, b);
                    assert!(
                        known.is_none_or(|k| k == taken),
                        "{a:#x} {cond:?} {b:#x} {width:?}"
                    );
                    let (mut p, mut q) = (*x, *y);
                    refine(&mut p, &mut q, cond, width, taken);
                    assert!(
                        p.contains(a) && q.contains(b),
                        "{a:#x} {cond:?} {b:#x} {width:?} {taken}: {p:?} {q:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn extension_and_truncation_contain_the_concrete_result() {
    for &v in &edges() {
        for &w in &edges() {
            for set in sets_around(v, w) {
                for bytes in [1u32, 2, 4] {
                    let shift = 64 - bytes * 8;
                    let mut cut = set;
                    cut.truncate(bytes);
                    assert!(cut.contains(v << shift >> shift), "{v:#x} {bytes} {set:?}");
                    let mut long = set;
                    long.sign_extend(bytes);
                    assert!(long.contains((((v << shift) as i64) >> shift) as u64));
                    let mut swapped = set;
                    if bytes > 1 {
                        swapped.swap_bytes(bytes);
                        assert!(swapped.contains(v.swap_bytes() >> shift));
                    }
                    if bytes < 4 {
                        let mut low = set;
                        low.sign_extend32(bytes);
                        let s = 32 - bytes * 8;
                        assert!(low.contains(u64::from((((v as u32) << s) as i32 >> s) as u32)));
                    }
                }
            }
        }
    }
}

/// A small generator: the same numbers on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number of any magnitude.
    fn number(&mut self) -> u64 {
        let shift = self.next() % 64;
        let n = self.next() >> shift;
        if self.next() & 3 == 0 {
            n.wrapping_neg()
        } else {
            n
        }
    }
}

#[test]
fn chains_of_random_operations_contain_the_concrete_result() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..20_000 {
        let (a, b) = (random.number(), random.number());
        let sets = sets_around(a, b);
        let mut set = sets[random.next() as usize % sets.len()];
        let mut value = a;
        if !set.contains(value) {
            continue;
        }
        for _ in 0..8 {
            let (c, d) = (random.number(), random.number());
            let others = sets_around(c, d);
            let other = others[random.next() as usize % others.len()];
            let width = if random.next() & 1 == 0 {
                Width::W32
            } else {
                Width::W64
            };
            if random.next() & 1 == 0 {
                let op = OPS[random.next() as usize % OPS.len()];
                set.apply(op, width, &other);
                value = concrete(op, width, value, c);
            } else {
                let cond = Condition::ALL[random.next() as usize % Condition::ALL.len()];
                let taken = holds(cond, width, value, c);
                let mut other = other;
                refine(&mut set, &mut other, cond, width, taken);
                assert!(other.contains(c));
            }
            assert!(set.contains(value), "{value:#x} {set:?}");
        }
    }
}

#[test]
fn the_next_member_is_the_least_above_at_5_bits() {
    for t in tnums(5) {
        for n in 0..40u64 {
            let least = members(t).filter(|&m| m > n).min().unwrap_or(t.max());
            assert_eq!(t.next_above(n), least, "{t:?} {n}");
        }
    }
}

/// Every interval and every set of known bits over `bits` low bits, from `base` on, with its members.
fn small_sets(bits: u32, base: u64) -> Vec<(Scalar, Vec<u64>)> {
    let size = 1u64 << bits;
    let mut sets = Vec::new();
    for min in 0..size {
        for max in min..size {
            let all: Vec<u64> = (min..=max).map(|v| base.wrapping_add(v)).collect();
            let (first, last) = (all[0], all[all.len() - 1]);
            if first <= last {
                sets.push((Scalar::unsigned_range(first, last), all.clone()));
            }
            if first as i64 <= last as i64 {
                sets.push((Scalar::signed_range(first as i64, last as i64), all));
            }
        }
    }
    if base.is_multiple_of(size) {
        for t in tnums(bits) {
            let bits = Tnum {
                value: t.value | base,
                ..t
            };
            let mut set = Scalar {
                bits,
                ..Scalar::UNKNOWN
            };
            set.sync();
            sets.push((set, members(bits).collect()));
        }
    }
    sets
}

/// Where readings change their sign or wrap, just below.
const BASES: [u64; 5] = [
    0,
    (1 << 31) - 4,
    (1 << 32) - 4,
    (1 << 63) - 4,
    0u64.wrapping_sub(4),
];

fn check_all(x: &(Scalar, Vec<u64>), y: &(Scalar, Vec<u64>)) {
    for width in [Width::W32, Width::W64] {
        for op in OPS {
            let mut result = x.0;
            result.apply(op, width, &y.0);
            for &a in &x.1 {
                for &b in &y.1 {
                    let value = concrete(op, width, a, b);
                    assert!(
                        result.contains(value),
                        "{a:#x} {op:?} {b:#x} {width:?}: {result:?}"
                    );
                }
            }
        }
        for cond in Condition::ALL {
            let known = branch_taken(&x.0, &y.0, cond, width);
            let mut taken = [(x.0, y.0); 2];
            for (outcome, (p, q)) in taken.iter_mut().enumerate() {
                refine(p, q, cond, width, outcome == 1);
            }
            for &a in &x.1 {
                for &b in &y.1 {
                    let holds = holds(cond, width, a, b);
                    let (p, q) = &taken[usize::from(holds)];
                    assert!(
                        known.is_none_or(|known| known == holds) && p.contains(a) && q.contains(b),
                        "{a:#x} {cond:?} {b:#x} {width:?}: {p:?} {q:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn operations_and_branches_contain_everything_exhaustively_at_4_bits() {
    let sets = small_sets(4, 0);
    for x in &sets {
        for y in &sets {
            check_all(x, y);
        }
    }
}

#[test]
fn operations_and_branches_contain_everything_where_readings_wrap_at_3_bits() {
    for a in BASES {
        let left = small_sets(3, a);
        for b in BASES {
            for y in &small_sets(3, b) {
                left.iter().for_each(|x| check_all(x, y));
            }
        }
    }
}

type Set = (Scalar, Vec<u64>);

/// Pairs of an operation and a width of which a smaller operand gives no smaller result, with how
/// often, and the first case.
fn not_monotone(sets: &[Set], others: &[Set]) -> BTreeMap<String, (u32, [Scalar; 3])> {
    let mut broken = BTreeMap::new();
    for (small, _) in sets {
        for (large, _) in sets.iter().filter(|(large, _)| large.includes(small)) {
            for (other, _) in others {
                for op in OPS {
                    for width in [Width::W32, Width::W64] {
                        let apply = |mut a: Scalar, b: &Scalar| {
                            a.apply(op, width, b);
                            a
                        };
                        if !apply(*large, other).includes(&apply(*small, other))
                            || !apply(*other, large).includes(&apply(*other, small))
                        {
                            let name = alloc::format!("{op:?} {width:?}");
                            let first = [*small, *large, *other];
                            broken.entry(name).or_insert((0, first)).0 += 1;
                        }
                    }
                }
            }
        }
    }
    broken
}

#[test]
fn operations_on_a_smaller_set_give_a_smaller_set_exhaustively_at_3_bits() {
    let sets = small_sets(3, 0);
    let broken = not_monotone(&sets, &sets);
    assert!(broken.is_empty(), "{broken:#x?}");
}

#[test]
fn operations_on_a_smaller_set_give_a_smaller_set_where_readings_wrap_at_2_bits() {
    for a in BASES {
        for b in BASES {
            let broken = not_monotone(
                &small_sets(2, a.wrapping_add(2)),
                &small_sets(2, b.wrapping_add(2)),
            );
            assert!(broken.is_empty(), "{a:#x} {b:#x}: {broken:#x?}");
        }
    }
}
