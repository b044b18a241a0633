//! Branches, loops, calls, early ends.

use super::*;

impl Generator<'_> {
    pub(super) fn test(&mut self) -> Option<Test> {
        let dst = self.number()?;
        let cond = self.rng.pick(&Condition::ALL);
        let width = self.width();
        Some(Test {
            width,
            cond,
            dst,
            src: self.operand(),
        })
    }

    /// Parts in a deeper place, with what registers hold before them restored by the caller.
    pub(super) fn nested(&mut self, most: usize) -> Vec<Item> {
        self.depth += 1;
        let count = 1 + self.rng.below(most);
        let items = (0..count).map(|_| self.part()).collect();
        self.depth -= 1;
        items
    }

    pub(super) fn join(&mut self, other: &[Kind; 10]) {
        for (mine, theirs) in self.kinds.iter_mut().zip(other) {
            *mine = match (*mine, *theirs) {
                (a, b) if a == b => a,
                (Kind::Packet(a), Kind::Packet(b)) => Kind::Packet(a.min(b)),
                (Kind::Memory(a), Kind::Memory(b)) => Kind::Memory(a.min(b)),
                _ => Kind::Nothing,
            };
        }
    }

    pub(super) fn branch(&mut self) -> Option<Item> {
        if self.depth >= 4 {
            return None;
        }
        let test = self.test()?;
        let before = self.kinds;
        let then = self.nested(4);
        let after = std::mem::replace(&mut self.kinds, before);
        let otherwise = if self.rng.one_in(2) {
            self.nested(4)
        } else {
            Vec::new()
        };
        self.join(&after);
        Some(Item::If {
            test,
            then,
            otherwise,
        })
    }

    pub(super) fn repeat(&mut self) -> Option<Item> {
        if self.depth >= 3 || self.counters.len() >= 2 {
            return None;
        }
        let counter = reg(self.rng.pick(&[7, 8, 9]));
        if self.counters.contains(&counter) {
            return None;
        }
        self.set(counter, Kind::Number);
        self.counters.push(counter);
        let times = 1 + self.rng.below(if self.depth == 0 { 12 } else { 4 }) as i32;
        if self.reach == Reach::Wide {
            let body = self.settled();
            self.counters.pop();
            return Some(Item::Loop {
                counter,
                times,
                body,
            });
        }
        // The second round begins with what the first has left: only what survives is known.
        let before = self.kinds;
        let trial = self.rng.next();
        let mut body = self.round(trial);
        let after = self.kinds;
        self.kinds = before;
        self.join(&after);
        if self.kinds != before {
            // The body must be made from what both rounds have; once is enough in practice, the
            // verifier is the judge.
            body = self.round(trial);
        }
        self.counters.pop();
        Some(Item::Loop {
            counter,
            times,
            body,
        })
    }

    pub(super) fn round(&mut self, seed: u64) -> Vec<Item> {
        let _ = seed;
        self.nested(4)
    }

    pub(super) fn call(&mut self) -> Option<Item> {
        if self.subprograms == 0 || !self.may_call() {
            return None;
        }
        let function = 1 + self.rng.below(self.subprograms);
        Some(self.call_of(function))
    }

    pub(super) fn call_of(&mut self, function: usize) -> Item {
        if self.reach == Reach::Wide {
            return self.call_wide(function);
        }
        let mut parts = Vec::new();
        for argument in 1..=5 {
            if self.kinds[argument] != Kind::Number {
                parts.push(mov(reg(argument as u8), Operand::Imm(self.imm())));
            }
        }
        parts.push(Item::Call(function));
        self.clobber();
        Item::Group(parts)
    }

    pub(super) fn leave(&mut self) -> Option<Item> {
        self.test().map(Item::Leave)
    }
}
