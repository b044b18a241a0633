//! Verified, then run with every access checked: no fault.
//!
//! The input is a seed for the generator of plausible programs (eight bytes), then changes to what
//! it made: a program that is nearly right is what a verifier can be wrong about. What the verifier
//! accepts runs on several packets and map contents. Each access must lie in a live object, to the
//! byte; code proven dead must not be reached, and helpers must get what their signatures say.

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
use panal_verifier::{MapDescription, Proof, Request};
use panal_vm::{Executable, Stop, Strict, Unobserved};

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
    let Some(proof) = prove(program.prog_type, &slots) else {
        return;
    };
    run(&proof, seed);
}

/// Choices of a program that reckons: see `puzzle.rs`.
pub fn ranges(data: &[u8]) {
    let prog_type = ProgType::SocketFilter;
    let Some(slots) = puzzle::solve(data, |slots| prove(prog_type, slots).is_some()) else {
        return;
    };
    let mix = |sum: u64, &byte: &u8| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    if let Some(proof) = prove(prog_type, &slots) {
        run(&proof, data.iter().fold(0, mix));
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
    panal_verifier::verify(&request).result.ok()
}

/// Runs a proven program on worlds of this seed.
fn run(proof: &Proof, seed: u64) {
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
        let outcome =
            executable.run_with(&mut run, [context, 0, 0, 0, 0], &mut guard, &mut Unobserved);
        let violation = world.borrow_mut().violation.take();
        let fault = match (outcome, violation) {
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
