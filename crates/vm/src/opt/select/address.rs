//! Addresses: base, index times a power of two, and a constant; loads that are operands.

use super::*;

impl Selector<'_> {
    /// The address of a load that can be part of the instruction under way, its only user.
    pub(super) fn load(&mut self, value: Value, size: u8, signed: bool) -> Option<Addr> {
        let Node::Load(place, bytes, s) = self.func.node(value) else {
            return None;
        };
        let here = (self.home[value.index()], self.color[value.index()]);
        if bytes != size
            || (s != signed && size != 8)
            || !self.is_single(value)
            || self.needed[value.index()]
            || here != self.at
        {
            return None;
        }
        self.folded[value.index()] = true;
        Some(self.address(place))
    }

    /// `z << k` that an address can hold, or a product that is one of another product.
    pub(super) fn scaled(&self, width: Width, value: Value) -> Option<Scaled> {
        if !self.is_single(value) {
            return None;
        }
        match self.func.node(value) {
            // The low half of an address's sum needs but the low halves.
            Node::Bin(Bin::Shl, w, of, count) if w == W64 || width == W32 => {
                let shift = self.constant(count)?;
                (shift <= 3).then_some(Scaled {
                    of,
                    times: 1,
                    shift: shift as u8,
                })
            }
            Node::Bin(Bin::Mul, w, of, times) if w == W64 || width == W32 => {
                let (times, shift) = stretched(self.constant(times)?)?;
                (1..=3)
                    .contains(&shift)
                    .then_some(Scaled { of, times, shift })
            }
            _ => None,
        }
    }

    /// The register of what is scaled.
    fn index(&mut self, scaled: Scaled) -> Reg {
        let of = self.reg(scaled.of);
        if scaled.times == 1 {
            return of;
        }
        let temp = self.temp();
        self.group
            .push(Inst::Lea(W::Q, temp, stretch(of, scaled.times)));
        temp
    }

    pub(super) fn address(&mut self, place: Place) -> Addr {
        let disp = place.off;
        match self.func.node(place.base) {
            Node::Frame(off) => {
                if let Some(disp) = disp.checked_add(off) {
                    return Addr {
                        base: Base::Frame,
                        index: None,
                        disp,
                    };
                }
            }
            Node::Bin(Bin::Add, W64, x, y)
                if self.is_single(place.base) && !self.needed[place.base.index()] =>
            {
                return self.sum(W64, x, y, disp);
            }
            _ => {}
        }
        Addr {
            base: Base::Reg(self.reg(place.base)),
            index: None,
            disp,
        }
    }

    /// `x + y + disp`, one of them scaled perhaps.
    pub(super) fn sum(&mut self, width: Width, x: Value, y: Value, disp: i32) -> Addr {
        let plain = |of| Scaled {
            of,
            times: 1,
            shift: 0,
        };
        let (base, index) = match (self.scaled(width, y), self.scaled(width, x)) {
            (Some(index), _) => (x, index),
            (None, Some(index)) => (y, index),
            (None, None) => (x, plain(y)),
        };
        let (base, disp) = match self.func.node(base) {
            Node::Frame(off) if disp.checked_add(off).is_some() => (Base::Frame, disp + off),
            _ => (Base::Reg(self.reg(base)), disp),
        };
        Addr {
            base,
            index: Some((self.index(index), index.shift)),
            disp,
        }
    }
}

/// A value times 1, 3, 5 or 9, shifted.
#[derive(Clone, Copy)]
pub(super) struct Scaled {
    of: Value,
    times: u64,
    pub shift: u8,
}

/// A factor as 3, 5 or 9 and a shift.
pub(super) fn stretched(factor: u64) -> Option<(u64, u8)> {
    let shift = factor.trailing_zeros().min(63);
    let times = factor >> shift;
    matches!(times, 3 | 5 | 9).then_some((times, shift as u8))
}

/// A register times 3, 5 or 9.
pub(super) fn stretch(of: Reg, times: u64) -> Addr {
    Addr {
        base: Base::Reg(of),
        index: Some((of, (times - 1).trailing_zeros() as u8)),
        disp: 0,
    }
}
