//! Everything that verification knew of registers, for tests that hold runs against it: at each step of
//! a run, the registers must lie inside of a state in which verification came there.

use alloc::{boxed::Box, format, string::String, vec::Vec};

use crate::{Request, domain::Scalar, env::Env, program::Program, state::State, verify};

/// What was known of the registers in one visit of an instruction.
type Visit = [Option<Scalar>; 10];

/// What was known, in all visits of all instructions.
#[derive(Debug)]
pub struct Witness {
    visits: Vec<Vec<Visit>>,
    noted: usize,
}

/// Visits that are noted at most.
const MOST: usize = 4_000;

impl Witness {
    /// Verifies a program with every number taken for one that matters, so that no run leaves the
    /// states that verification saw. `None`: it is not accepted that way, or takes too long.
    pub fn of(request: &Request<'_>) -> Option<Witness> {
        let program = Program::new(request).ok()?;
        let visits = alloc::vec![Vec::new(); program.len()];
        let mut env = Env::new(request, program).ok()?;
        env.witness = Some(Box::new(Witness { visits, noted: 0 }));
        verify::check(&mut env).ok()?;
        let witness = env.witness.take()?;
        (witness.noted <= MOST).then_some(*witness)
    }

    /// A path comes to an instruction.
    pub(crate) fn note(&mut self, slot: usize, live: u16, st: &State) {
        let mut visit = Visit::default();
        for (number, known) in visit.iter_mut().enumerate() {
            let reg = &st.frame().regs[number];
            // What is not read later is not compared where paths meet.
            if live & (1 << number) != 0 && reg.is_scalar() {
                *known = Some(reg.num);
            }
        }
        self.noted += 1;
        if let Some(visits) = self.visits.get_mut(slot)
            && self.noted <= MOST
        {
            visits.push(visit);
        }
    }

    /// Whether a run may have these registers (`r0` to `r9`) before the instruction at `slot`.
    pub fn allows(&self, slot: usize, registers: &[u64]) -> bool {
        let fits = |visit: &Visit| {
            let mut pairs = visit.iter().zip(registers);
            pairs.all(|(known, &value)| known.is_none_or(|known| known.contains(value)))
        };
        self.visits.get(slot).is_some_and(|v| v.iter().any(fits))
    }

    /// What was known of the registers at `slot`, for messages: a line each visit.
    pub fn text(&self, slot: usize) -> String {
        let mut text = String::new();
        for visit in self.visits.get(slot).into_iter().flatten() {
            for (number, known) in visit.iter().enumerate() {
                if let Some(known) = known {
                    text.push_str(&format!("r{number} {known:?}; "));
                }
            }
            text.push('\n');
        }
        text
    }
}
