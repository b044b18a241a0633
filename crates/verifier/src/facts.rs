//! What is learnt per instruction over all paths, for the proof.

use alloc::vec::Vec;

use hashbrown::HashMap;

use crate::proof::{Access, BranchFact, CallFact, Fact, Region};

/// Facts in the making.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    list: Vec<Fact>,
    calls: HashMap<u32, CallFact>,
    /// By slot: bit 0, the branch was taken; bit 1, it was not.
    seen: Vec<u8>,
    /// Whether nothing is learnt now: the path is one that only a wrong guess takes.
    pub muted: bool,
}

const TAKEN: u8 = 1;
const NOT_TAKEN: u8 = 2;

impl Facts {
    pub(crate) fn new(slots: usize) -> Facts {
        Facts {
            list: alloc::vec![Fact::default(); slots],
            calls: HashMap::new(),
            seen: alloc::vec![0; slots],
            muted: false,
        }
    }

    /// An access to memory. Regions that differ between paths become [`Region::Memory`], offsets
    /// that differ become unknown.
    pub fn access(&mut self, slot: usize, region: Region, offset: Option<i32>) {
        let Some(fact) = self.list.get_mut(slot).filter(|_| !self.muted) else {
            return;
        };
        let access = Access { region, offset };
        fact.access = Some(match fact.access {
            None => access,
            Some(old) => Access {
                region: merge_regions(old.region, region),
                offset: agreed(old.offset, offset),
            },
        });
    }

    /// Arithmetic moves an arena's pointer.
    pub fn narrow(&mut self, slot: usize) {
        if let Some(fact) = self.list.get_mut(slot).filter(|_| !self.muted) {
            fact.narrow = true;
        }
    }

    /// A conditional jump went this way.
    pub fn branch(&mut self, slot: usize, taken: bool) {
        if let Some(seen) = self.seen.get_mut(slot).filter(|_| !self.muted) {
            *seen |= if taken { TAKEN } else { NOT_TAKEN };
        }
    }

    /// A call with these arguments; fields that differ between paths become unknown.
    pub fn call(&mut self, slot: usize, call: CallFact) {
        if self.muted {
            return;
        }
        self.calls
            .entry(slot as u32)
            .and_modify(|old| {
                *old = CallFact {
                    map: agreed(old.map, call.map),
                    outer: agreed(old.outer, call.outer),
                    key: agreed(old.key, call.key),
                    key_place: agreed(old.key_place, call.key_place),
                    callback: agreed(old.callback, call.callback),
                };
            })
            .or_insert(call);
    }

    /// The finished facts, and those of calls in order of their slots; `reached` tells which slots
    /// some path reached.
    pub(crate) fn finish(
        mut self,
        reached: impl Fn(usize) -> bool,
    ) -> (Vec<Fact>, Vec<(u32, CallFact)>) {
        for (slot, fact) in self.list.iter_mut().enumerate() {
            fact.dead = !reached(slot);
            fact.branch = match self.seen[slot] & (TAKEN | NOT_TAKEN) {
                TAKEN => BranchFact::Always,
                NOT_TAKEN => BranchFact::Never,
                _ => BranchFact::Both,
            };
        }
        let mut calls: Vec<(u32, CallFact)> = self.calls.into_iter().collect();
        calls.sort_unstable_by_key(|(slot, _)| *slot);
        (self.list, calls)
    }
}

/// What two paths know alike.
fn agreed<T: PartialEq>(a: Option<T>, b: Option<T>) -> Option<T> {
    if a == b { a } else { None }
}

fn merge_regions(a: Region, b: Region) -> Region {
    match (a, b) {
        _ if a == b => a,
        (Region::MapValue { .. }, Region::MapValue { .. }) => Region::MapValue { map: None },
        _ => Region::Memory,
    }
}
