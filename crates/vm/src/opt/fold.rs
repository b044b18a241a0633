//! Rules that simplify one node. Each gives a value of the same meaning, never a costlier one.

mod division;
mod test;

use panal_isa::Width::{self, W32, W64};

use super::{
    ir::{Bin, Cond, Node, Place, Test, Value},
    known,
    rewrite::Rewriter,
};

const LOW: u64 = 0xffff_ffff;
/// Distances of places that one wide address serves.
const NEAR: u64 = 0xffff;

const fn mask(bits: u32) -> u64 {
    if bits >= 64 {
        u64::MAX
    } else {
        (1 << bits) - 1
    }
}

const fn width_bits(width: Width) -> u32 {
    match width {
        W32 => 32,
        W64 => 64,
    }
}

/// What the interpreter would compute.
fn compute(bin: Bin, width: Width, a: u64, b: u64) -> u64 {
    let (sa, sb) = (a as i64, b as i64);
    let (da, db) = (a as u32, b as u32);
    let wide = width == W64;
    let count = b as u32 & (width_bits(width) - 1);
    match bin {
        Bin::Add => a.wrapping_add(b) & mask(width_bits(width)),
        Bin::Sub => a.wrapping_sub(b) & mask(width_bits(width)),
        Bin::Mul => a.wrapping_mul(b) & mask(width_bits(width)),
        Bin::And => a & b & mask(width_bits(width)),
        Bin::Or => (a | b) & mask(width_bits(width)),
        Bin::Xor => (a ^ b) & mask(width_bits(width)),
        Bin::Shl => a << count & mask(width_bits(width)),
        Bin::Shr if wide => a >> count,
        Bin::Shr => u64::from(da >> count),
        Bin::Sar if wide => (sa >> count) as u64,
        Bin::Sar => u64::from((da as i32 >> count) as u32),
        Bin::Rol if wide => a.rotate_left(count),
        Bin::Rol => u64::from(da.rotate_left(count)),
        Bin::UDiv if wide => a.checked_div(b).unwrap_or(0),
        Bin::UDiv => u64::from(da.checked_div(db).unwrap_or(0)),
        Bin::UMod if wide => a.checked_rem(b).unwrap_or(a),
        Bin::UMod => u64::from(da.checked_rem(db).unwrap_or(da)),
        Bin::SDiv if wide && sb == 0 => 0,
        Bin::SDiv if wide => sa.wrapping_div(sb) as u64,
        Bin::SDiv if db == 0 => 0,
        Bin::SDiv => u64::from((da as i32).wrapping_div(db as i32) as u32),
        Bin::SMod if wide && sb == 0 => a,
        Bin::SMod if wide => sa.wrapping_rem(sb) as u64,
        Bin::SMod if db == 0 => u64::from(da),
        Bin::SMod => u64::from((da as i32).wrapping_rem(db as i32) as u32),
        Bin::MulHigh => ((u128::from(a) * u128::from(b)) >> 64) as u64,
    }
}

impl Rewriter<'_> {
    /// A value that is there already, or the node to be computed.
    pub fn simplify(&mut self, node: Node) -> Result<Value, Node> {
        match node {
            Node::Bin(bin, width, a, b) => self.binary(bin, width, a, b),
            Node::Neg(width, a) => self.negation(width, a),
            Node::Swap(bits, a) => self.swap(bits, a),
            Node::Sext(bits, width, a) => self.sign(bits, width, a),
            Node::Select(test, a, b) => self.select(test, a, b),
            other => Err(other),
        }
    }

    /// A node that acts, with simpler operands.
    pub fn reduced(&mut self, node: Node) -> Option<Node> {
        Some(match node {
            Node::Load(place, bytes, signed) => Node::Load(self.place(place), bytes, signed),
            Node::Acquire(place, bytes) => Node::Acquire(self.place(place), bytes),
            Node::Probe(place, bytes, signed) => Node::Probe(self.place(place), bytes, signed),
            Node::Store(place, bytes, value) => {
                let value = self.needed(value, 8 * u32::from(bytes));
                Node::Store(self.place(place), bytes, value)
            }
            Node::Atomic(op, width, place, value, expected) => {
                Node::Atomic(op, width, self.place(place), value, expected)
            }
            _ => return None,
        })
    }

    /// Constant parts of an address belong to the offset.
    fn place(&mut self, mut place: Place) -> Place {
        loop {
            match self.func.node(place.base) {
                Node::Bin(Bin::Add, W64, base, off) => {
                    let Some(off) = self.func.constant(off) else {
                        return place;
                    };
                    let sum = i64::from(place.off).wrapping_add(off as i64);
                    if let Ok(off) = i32::try_from(sum) {
                        place = Place { base, off, ..place };
                        continue;
                    }
                    return self.near(place, base, off);
                }
                Node::Frame(off) if off != 0 => {
                    let Some(off) = place.off.checked_add(off) else {
                        return place;
                    };
                    let base = self.emit(Node::Frame(0));
                    place = Place { base, off, ..place };
                }
                Node::Frame(_) => {
                    place.region = super::ir::Region::Stack;
                    return place;
                }
                _ => return place,
            }
        }
    }

    /// The place by a wide address that others near it count from, too.
    fn near(&mut self, place: Place, base: Value, address: u64) -> Place {
        let distance = |from: u64| address.wrapping_sub(from) as i64;
        let known = self.addresses.iter().copied();
        let from = known.min_by_key(|from| distance(*from).unsigned_abs());
        let Some(from) = from.filter(|from| distance(*from).unsigned_abs() <= NEAR) else {
            self.addresses.push(address);
            return place;
        };
        let Some(off) = place.off.checked_add(distance(from) as i32) else {
            return place;
        };
        if from == address {
            return place;
        }
        let far = self.constant(from);
        let base = self.bin(Bin::Add, W64, base, far);
        Place { base, off, ..place }
    }

    /// A simpler value with the same low bits.
    fn needed(&mut self, value: Value, bits: u32) -> Value {
        let mut value = value;
        loop {
            value = match self.func.node(value) {
                Node::Bin(Bin::And, _, a, b)
                    if self
                        .func
                        .constant(b)
                        .is_some_and(|c| c & mask(bits) == mask(bits)) =>
                {
                    a
                }
                Node::Sext(from, _, a) if u32::from(from) >= bits => a,
                Node::Const(c) if c & !mask(bits) != 0 && bits <= 32 => {
                    return self.constant(c & mask(bits));
                }
                _ => return value,
            }
        }
    }

    fn binary(&mut self, bin: Bin, width: Width, a: Value, b: Value) -> Result<Value, Node> {
        let (mut a, mut b) = (a, b);
        if width == W32 {
            a = self.needed(a, 32);
            b = self.needed(b, 32);
        }
        if matches!(bin, Bin::Shl | Bin::Shr | Bin::Sar | Bin::Rol)
            && let Some(count) = self.func.constant(b)
        {
            b = self.constant(count & u64::from(width_bits(width) - 1));
        }
        let (ca, cb) = (self.func.constant(a), self.func.constant(b));
        if let (Some(x), Some(y)) = (ca, cb) {
            return Ok(self.constant(compute(bin, width, x, y)));
        }
        if bin.commutes() && (ca.is_some() || (cb.is_none() && a > b)) {
            core::mem::swap(&mut a, &mut b);
        }
        let cb = self.func.constant(b);
        if let Some(c) = cb
            && let Some(value) = self.with_constant(bin, width, a, c)
        {
            return Ok(value);
        }
        if a == b {
            match bin {
                Bin::Xor | Bin::Sub => return Ok(self.constant(0)),
                Bin::And | Bin::Or => return Ok(self.cut(width, a)),
                _ => {}
            }
        }
        if let Some(value) = self.rotation(bin, width, a, b) {
            return Ok(value);
        }
        // The same sum in another order: constants outermost, so that they meet.
        if bin == Bin::Add
            && cb.is_none()
            && let Some(value) = self.sum(width, a, b)
        {
            return Ok(value);
        }
        if bin == Bin::Sub && self.func.constant(a) == Some(0) {
            return Ok(self.emit(Node::Neg(width, b)));
        }
        Err(Node::Bin(bin, width, a, b))
    }

    /// The value as an operation of this width would leave it.
    fn cut(&mut self, width: Width, value: Value) -> Value {
        match width {
            W32 => self.low(value),
            W64 => value,
        }
    }

    /// `(x + c) + y` is `(x + y) + c`.
    fn sum(&mut self, width: Width, a: Value, b: Value) -> Option<Value> {
        for (one, other) in [(a, b), (b, a)] {
            if let Node::Bin(Bin::Add, w, x, c) = self.func.node(one)
                && w == width
                && let Some(c) = self.func.constant(c)
                && (i32::try_from(c as i64).is_ok() || width == W32)
            {
                let sum = self.bin(Bin::Add, width, x, other);
                let c = self.constant(c);
                return Some(self.bin(Bin::Add, width, sum, c));
            }
        }
        None
    }

    fn with_constant(&mut self, bin: Bin, width: Width, a: Value, c: u64) -> Option<Value> {
        let bits = width_bits(width);
        let all = mask(bits);
        let inner = self.func.node(a);
        match bin {
            Bin::Sub => {
                let c = self.constant(c.wrapping_neg() & all);
                return Some(self.bin(Bin::Add, width, a, c));
            }
            Bin::Add | Bin::Or | Bin::Xor | Bin::Shl | Bin::Shr | Bin::Sar | Bin::Rol
                if c & all == 0 =>
            {
                return Some(self.cut(width, a));
            }
            Bin::Or if c & all == all => return Some(self.constant(all)),
            Bin::And if width == W32 => {
                let c = self.constant(c & LOW);
                return Some(self.bin(Bin::And, W64, a, c));
            }
            Bin::And if c == 0 => return Some(self.constant(0)),
            Bin::And if !c & !self.zeros[a.index()] == 0 => return Some(a),
            Bin::Mul if c & all == 0 => return Some(self.constant(0)),
            Bin::Mul if (c & all).is_power_of_two() => {
                let count = self.constant(u64::from((c & all).trailing_zeros()));
                return Some(self.bin(Bin::Shl, width, a, count));
            }
            Bin::UDiv | Bin::UMod => return self.divide(bin, width, a, c & all),
            Bin::SDiv | Bin::SMod => return self.divide_signed(bin, width, a, c & all),
            Bin::Sar if self.zeros[a.index()] >> (bits - 1) & 1 == 1 => {
                let c = self.constant(c);
                return Some(self.bin(Bin::Shr, width, a, c));
            }
            _ => {}
        }
        if bin == Bin::Add
            && let Node::Frame(off) = inner
            && width == W64
            && let Ok(off) = i32::try_from(i64::from(off).wrapping_add(c as i64))
        {
            return Some(self.emit(Node::Frame(off)));
        }
        let Node::Bin(first, w, x, y) = inner else {
            return None;
        };
        let y = self.func.constant(y)?;
        let count_bits = u64::from(bits - 1);
        match (first, bin) {
            (Bin::Add, Bin::Add) if w == width || width == W32 => {
                let sum = self.constant(compute(Bin::Add, width, y, c));
                Some(self.bin(Bin::Add, width, x, sum))
            }
            (Bin::Mul, Bin::Mul) if w == width || width == W32 => {
                let product = self.constant(compute(Bin::Mul, width, y, c));
                Some(self.bin(Bin::Mul, width, x, product))
            }
            // Steps of a generator that follow each other all begin at the first one's number.
            (Bin::Add, Bin::Mul) if w == width => {
                let Node::Bin(Bin::Mul, w, z, k) = self.func.node(x) else {
                    return None;
                };
                let k = self.func.constant(k).filter(|_| w == width)?;
                let k = compute(Bin::Mul, width, k, c);
                let rest = compute(Bin::Mul, width, y, c);
                let fits = |c: u64| width == W32 || i32::try_from(c as i64).is_ok();
                if !fits(k) || !fits(rest) {
                    return None;
                }
                let (k, rest) = (self.constant(k), self.constant(rest));
                let product = self.bin(Bin::Mul, width, z, k);
                Some(self.bin(Bin::Add, width, product, rest))
            }
            (Bin::And, Bin::And) => {
                let both = self.constant(y & c);
                Some(self.bin(Bin::And, W64, x, both))
            }
            (Bin::Or, Bin::Or) | (Bin::Xor, Bin::Xor) if w == width => {
                let both = self.constant(compute(bin, width, y, c));
                Some(self.bin(bin, width, x, both))
            }
            (Bin::Shl, Bin::Shl) | (Bin::Shr, Bin::Shr) if w == width => {
                let count = (y & count_bits) + (c & count_bits);
                if count >= u64::from(bits) {
                    return Some(self.constant(0));
                }
                let count = self.constant(count);
                Some(self.bin(bin, width, x, count))
            }
            (Bin::Shl, Bin::Shr) if w == width && y == c => {
                let mask = self.constant(all >> (c & count_bits));
                Some(self.bin(Bin::And, W64, x, mask))
            }
            (Bin::Shr, Bin::Shl) if w == width && y == c => {
                let mask = self.constant(all << (c & count_bits) & all);
                Some(self.bin(Bin::And, W64, x, mask))
            }
            (Bin::Shl, Bin::Shr) if w == width && y > c => {
                // Less comes back than went out.
                let mask = self.constant(all >> (c & count_bits));
                let count = self.constant(y - c);
                let shifted = self.bin(Bin::Shl, width, x, count);
                Some(self.bin(Bin::And, W64, shifted, mask))
            }
            (Bin::Shl, Bin::Sar)
                if w == width && y == c && matches!(bits as u64 - c, 8 | 16 | 32) =>
            {
                Some(self.emit(Node::Sext((bits as u64 - c) as u8, width, x)))
            }
            (Bin::Shl, Bin::Sar) if w == W64 && width == W64 && y == 32 && c > 32 => {
                // What a shift of an `int` is made of.
                let count = self.constant(c - 32);
                let shifted = self.bin(Bin::Sar, W32, x, count);
                Some(self.emit(Node::Sext(32, W64, shifted)))
            }
            _ => None,
        }
    }

    /// Two shifts of one value whose counts make the width, joined.
    fn rotation(&mut self, bin: Bin, width: Width, a: Value, b: Value) -> Option<Value> {
        if !matches!(bin, Bin::Or | Bin::Xor | Bin::Add) {
            return None;
        }
        let shift = |v: Value| match self.func.node(v) {
            Node::Bin(shift @ (Bin::Shl | Bin::Shr), w, x, count) => {
                Some((shift, w, x, self.func.constant(count)?))
            }
            _ => None,
        };
        let (one, other) = (shift(a)?, shift(b)?);
        let (left, right) = if one.0 == Bin::Shl {
            (one, other)
        } else {
            (other, one)
        };
        if left.0 != Bin::Shl || right.0 != Bin::Shr {
            return None;
        }
        let (x, y) = (left.2, right.2);
        let narrow = {
            let right_is_low = right.1 == W32 || self.zeros[y.index()] & !LOW == !LOW;
            left.3 + right.3 == 32 && (width == W32 || left.1 == W32) && right_is_low
        };
        if narrow {
            let (x, y) = (self.needed(x, 32), self.needed(y, 32));
            if x != y {
                return None;
            }
            let count = self.constant(left.3);
            return Some(self.bin(Bin::Rol, W32, x, count));
        }
        let wide = left.1 == W64 && right.1 == W64 && width == W64 && left.3 + right.3 == 64;
        if !wide || x != y {
            return None;
        }
        let count = self.constant(left.3);
        Some(self.bin(Bin::Rol, W64, x, count))
    }

    fn negation(&mut self, width: Width, a: Value) -> Result<Value, Node> {
        let a = if width == W32 { self.needed(a, 32) } else { a };
        match self.func.node(a) {
            Node::Const(c) => {
                let c = c.wrapping_neg() & mask(width_bits(width));
                Ok(self.constant(c))
            }
            Node::Neg(w, x) if w == width => Ok(self.cut(width, x)),
            _ => Err(Node::Neg(width, a)),
        }
    }

    fn swap(&mut self, bits: u8, a: Value) -> Result<Value, Node> {
        let a = if bits == 64 {
            a
        } else {
            self.needed(a, bits.into())
        };
        match self.func.node(a) {
            Node::Const(c) => {
                let swapped = c.swap_bytes() >> (64 - u32::from(bits));
                Ok(self.constant(swapped))
            }
            Node::Swap(other, x) if other == bits => {
                let mask = self.constant(mask(bits.into()));
                Ok(self.bin(Bin::And, W64, x, mask))
            }
            _ => Err(Node::Swap(bits, a)),
        }
    }

    fn sign(&mut self, bits: u8, width: Width, a: Value) -> Result<Value, Node> {
        let count = u32::from(bits);
        let a = self.needed(a, count);
        if let Some(c) = self.func.constant(a) {
            let shift = 64 - count;
            let c = ((c << shift) as i64 >> shift) as u64 & mask(width_bits(width));
            return Ok(self.constant(c));
        }
        if self.zeros[a.index()] >> (count - 1) & 1 == 1 {
            let mask = self.constant(mask(count));
            return Ok(self.bin(Bin::And, W64, a, mask));
        }
        if let Node::Load(_, bytes, true) = self.func.node(a)
            && 8 * u32::from(bytes) <= count
        {
            return Ok(self.cut(width, a));
        }
        Err(Node::Sext(bits, width, a))
    }

    fn select(&mut self, test: Test, a: Value, b: Value) -> Result<Value, Node> {
        if a == b {
            return Ok(a);
        }
        match self.test(test) {
            Ok(true) => Ok(a),
            Ok(false) => Ok(b),
            Err(test) => Err(Node::Select(test, a, b)),
        }
    }
}
