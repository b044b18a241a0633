//! Verified, then run with every access checked: no fault.
//!
//! The input is a seed for the generator of plausible programs (eight bytes), then changes to what
//! it made: a program that is nearly right is what a verifier can be wrong about. What the verifier
//! accepts runs on several packets and map contents. Each access must lie in a live object, to the
//! byte; code proven dead must not be reached, and helpers must get what their signatures say. At each
//! step the registers must lie inside of a state in which verification came there.

mod engines;
mod mutate;
mod puzzle;
mod world;

use std::{cell::RefCell, rc::Rc, sync::Arc};

use panal_btf::Btf;
use panal_isa::Code;
use panal_parity::generate::{self, MAPS};
use panal_uapi::{
    ProgType,
    kernel::ProgFlags,
    profile::{Limits, Profile},
};
use panal_verifier::{MapDescription, Proof, Request, Witness};
use panal_vm::{Executable, Observer, Step, Stop, Strict};

pub use engines::{caged, compiled};
use world::{Objects, World};

/// How often an accepted program runs.
const RUNS: u64 = 24;

/// A seed and changes.
pub fn sound(data: &[u8]) {
    let mut seed = [0; 8];
    let (head, changes) = data.split_at(data.len().min(8));
    seed[..head.len()].copy_from_slice(head);
    let seed = u64::from_le_bytes(seed);
    let program = generate::program(seed);
    let Some(code) = program.flatten() else {
        return;
    };
    let mut slots = code.slots().to_vec();
    mutate::apply(&mut slots, changes);
    prove_and_run(program.prog_type, &slots, seed);
}

/// Choices of a program that reckons: see `puzzle.rs`.
pub fn ranges(data: &[u8]) {
    let prog_type = ProgType::SocketFilter;
    let Some(slots) = puzzle::solve(data, |slots| prove(prog_type, slots).is_some()) else {
        return;
    };
    let mix = |sum: u64, &byte: &u8| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    prove_and_run(prog_type, &slots, data.iter().fold(0, mix));
}

fn prove_and_run(prog_type: ProgType, slots: &[panal_isa::Slot], seed: u64) {
    if let Some(proof) = prove(prog_type, slots) {
        let known = ask(prog_type, slots, Witness::of);
        run(&proof, known.as_ref(), seed);
    }
}

/// Holds the registers of a run against what verification knew.
struct Inside<'a> {
    known: Option<&'a Witness>,
    last: Option<(u32, u32)>,
    outside: Option<String>,
    /// Instructions so far, and more than there can be.
    taken: u64,
    longest: u64,
}

impl Observer for Inside<'_> {
    fn step(&mut self, step: &Step<'_>) -> bool {
        // An instruction may be several operations: only before the first is it what it was.
        let here = Some((step.frame, step.slot));
        let again = self.last == here;
        self.last = here;
        self.taken += u64::from(!again);
        if self.taken > self.longest {
            self.outside = Some(format!("a run of more than {} steps", self.longest));
            return false;
        }
        let Some(known) = self.known else {
            return true;
        };
        let (slot, registers) = (step.slot as usize, &step.registers[..10]);
        if again || known.allows(slot, registers) {
            return true;
        }
        let text = known.text(slot);
        self.outside = Some(format!("at {slot}: {registers:#x?} not among\n{text}"));
        false
    }
}

fn maps() -> Vec<MapDescription> {
    let describe = |(id, shape): (usize, &panal_parity::program::MapShape)| MapDescription {
        name: Arc::from("map"),
        map_type: shape.map_type,
        key_size: shape.key_size,
        value_size: shape.value_size,
        max_entries: shape.max_entries,
        flags: Default::default(),
        extra: 0,
        types: None,
        inner: None,
        frozen: None,
        id: id as u32 + 1,
    };
    MAPS.iter().enumerate().map(describe).collect()
}

fn prove(prog_type: ProgType, slots: &[panal_isa::Slot]) -> Option<Proof> {
    ask(prog_type, slots, |request| {
        panal_verifier::verify(request).result.ok()
    })
}

fn ask<T>(
    prog_type: ProgType,
    slots: &[panal_isa::Slot],
    question: impl FnOnce(&Request<'_>) -> Option<T>,
) -> Option<T> {
    let profile = Profile {
        limits: Limits {
            processed: 100_000,
            ..Limits::LINUX
        },
        ..Profile::new("fuzz", 0x06_12_00, Arc::new(Btf::default()))
    };
    let request = Request {
        name: "fuzz",
        code: slots,
        prog_type,
        attach_type: None,
        tied: None,
        gpl: true,
        flags: ProgFlags::default(),
        maps: &maps(),
        types: None,
        profile: &profile,
        log_level: 0,
        clock: None,
    };
    question(&request)
}

/// Runs a proven program on worlds of this seed.
fn run(proof: &Proof, known: Option<&Witness>, seed: u64) {
    let world = Rc::new(RefCell::new(World::new(proof.prog_type())));
    // A helper that the world does not have: nothing to be learnt.
    let Ok(executable) = Executable::new(proof, &*world.borrow()) else {
        return;
    };
    for round in 0..RUNS {
        world.borrow_mut().fill(seed.wrapping_add(round));
        let mut run = World::run(&world);
        let context = world.borrow().context();
        let mut guard = Strict(Objects(world.clone()));
        let mut inside = Inside {
            known,
            last: None,
            outside: None,
            taken: 0,
            longest: proof.longest_run().unwrap_or(u64::MAX),
        };
        let outcome = executable.run_with(&mut run, [context, 0, 0, 0, 0], &mut guard, &mut inside);
        let violation = world.borrow_mut().violation.take();
        let fault = match (outcome, violation.or(inside.outside)) {
            (_, Some(violation)) => violation,
            (Ok(_) | Err(Stop::Budget { .. }), None) => continue,
            (Err(stop), None) => stop.to_string(),
        };
        panic!(
            "round {round}: accepted, but {fault}\n{}",
            text(proof.slots())
        );
    }
}

fn text(slots: &[panal_isa::Slot]) -> String {
    let code = match Code::decode(slots) {
        Ok(code) => code,
        Err(e) => return e.to_string(),
    };
    code.iter()
        .map(|(slot, instruction)| format!("{slot:4}: {instruction}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use panal_vm::Unobserved;

    /// Programs that nobody accepts would test nothing.
    #[test]
    fn most_generated_programs_are_accepted() {
        let accepted = (0..200).filter(|&seed| {
            let program = generate::program(seed);
            let code = program.flatten().unwrap();
            prove(program.prog_type, code.slots()).is_some()
        });
        let accepted = accepted.count();
        assert!(accepted > 80, "only {accepted} of 200");
    }

    #[test]
    fn registers_outside_of_what_is_known_are_noticed() {
        let text = "r0 = *(u8 *)(r1 + 0)\nr0 &= 3\nr0 += 4\nexit";
        let code = panal_isa::assemble(text, &mut ()).unwrap();
        let known = ask(ProgType::SocketFilter, &code.slots, Witness::of).unwrap();
        let with = |r0| known.allows(3, &[r0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(with(4) && with(7));
        assert!(!with(3) && !with(8) && !with(1 << 32));
        let mut inside = Inside {
            known: Some(&known),
            last: None,
            outside: None,
            taken: 0,
            longest: u64::MAX,
        };
        let registers = &[8; 11];
        let mut step = Step {
            program: "t",
            slot: 3,
            registers,
            frame: 0,
        };
        assert!(!inside.step(&step) && inside.outside.is_some());
        step.slot = 0;
        assert!(inside.step(&step), "nothing is known of what is not read");
    }

    /// The generator's careful programs need no proof: the world itself must not find fault.
    #[test]
    fn careful_programs_run_in_the_world() {
        let mut done = 0;
        for seed in 0..1000 {
            let program = generate::program(seed);
            // Without a proof nobody knows which loads are the context's.
            if !program.careful || program.prog_type != ProgType::SocketFilter {
                continue;
            }
            let code = program.flatten().unwrap();
            let world = Rc::new(RefCell::new(World::new(program.prog_type)));
            // SAFETY: the helpers of the world check their arguments themselves.
            let lowered = unsafe { Executable::from_unproven("t", code.slots(), &*world.borrow()) };
            let Ok(executable) = lowered else { continue };
            world.borrow_mut().fill(seed);
            let mut run = World::run(&world);
            let args = [world.borrow().context(), 0, 0, 0, 0];
            let mut guard = Strict(Objects(world.clone()));
            let outcome = executable.run_with(&mut run, args, &mut guard, &mut Unobserved);
            let violation = world.borrow_mut().violation.take();
            assert!(
                outcome.is_ok() && violation.is_none(),
                "{outcome:?} {violation:?}\n{}",
                text(code.slots())
            );
            done += 1;
        }
        assert!(done > 100, "only {done}");
    }
}
