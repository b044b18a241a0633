//! Two engines on the same program, in the same world: the same end, and the same memory.

use std::{cell::RefCell, rc::Rc};

use panal_isa::{Code, Slot};
use panal_parity::generate;
use panal_uapi::ProgType;
use panal_vm::{CageShape, Executable, JitError, JitOptions, Outcome, Stop};

use super::{mutate, prove, text, world::World};

/// How often a program runs on each engine.
const RUNS: u64 = 2;

/// A seed and changes: a program that nobody proved, in the cage.
pub fn caged(data: &[u8]) {
    attack(data);
}

/// The same, if it is proven: machine code that trusts the proof.
pub fn compiled(data: &[u8]) {
    trusting(data);
}

/// Generated code after those changes of the input that leave it to be of use.
fn changed(
    data: &[u8],
    is_of_use: impl Fn(ProgType, &[Slot]) -> bool,
) -> (ProgType, Vec<Slot>, u64) {
    let mut seed = [0; 8];
    let (head, changes) = data.split_at(data.len().min(8));
    seed[..head.len()].copy_from_slice(head);
    let seed = u64::from_le_bytes(seed);
    let program = generate::program(seed);
    let mut slots = program
        .flatten()
        .map_or_else(Vec::new, |code| code.slots().to_vec());
    for change in changes.chunks(5).take(16) {
        let mut next = slots.clone();
        mutate::apply(&mut next, change);
        if is_of_use(program.prog_type, &next) {
            slots = next;
        }
    }
    (program.prog_type, slots, seed)
}

/// What of the machine's the code uses, who writes it, and whether it counts steps.
fn options(cage: Option<CageShape>) -> Vec<JitOptions> {
    let templates = [JitOptions::host(), JitOptions::baseline()];
    let ways = templates.into_iter().flat_map(|host| {
        // The optimiser trusts proofs only.
        let optimise = [false, true].into_iter().filter(|o| cage.is_none() || !o);
        optimise.flat_map(move |optimise| {
            [true, false].map(|budget| JitOptions {
                budget,
                optimise,
                cage,
                ..host
            })
        })
    });
    ways.collect()
}

/// How many ends were compared.
fn attack(data: &[u8]) -> u32 {
    let (prog_type, slots, seed) = changed(data, |_, slots| Code::decode(slots).is_ok());
    let world = Rc::new(RefCell::new(World::new(prog_type)));
    let (base, size) = world.borrow().cage();
    let shape = CageShape::new(base, size);
    let lower = || {
        // SAFETY: the world's helpers look at what they are given before they follow it.
        unsafe { Executable::from_unproven("caged", &slots, &*world.borrow()) }
    };
    compare(&world, lower, shape, &slots, seed)
}

/// How many ends were compared.
fn trusting(data: &[u8]) -> u32 {
    let (prog_type, slots, seed) =
        changed(data, |prog_type, slots| prove(prog_type, slots).is_some());
    let Some(proof) = prove(prog_type, &slots) else {
        return 0;
    };
    let world = Rc::new(RefCell::new(World::new(prog_type)));
    let lower = || Executable::new(&proof, &*world.borrow());
    compare(&world, lower, None, &slots, seed)
}

/// Interprets it, and holds machine code to the end and to what is left in the cage.
fn compare<E>(
    world: &Rc<RefCell<World>>,
    lower: impl Fn() -> Result<Executable, E>,
    cage: Option<CageShape>,
    slots: &[Slot],
    seed: u64,
) -> u32 {
    // A helper that the world does not have, or no program at all.
    let Ok(interpreted) = lower() else { return 0 };
    let mut compiled = Vec::new();
    for options in options(cage) {
        let Ok(mut executable) = lower() else {
            return 0;
        };
        match executable.compile(options) {
            Ok(()) => compiled.push((options, executable)),
            Err(JitError::Cpu) => return 0,
            Err(why) => panic!("{why}"),
        }
    }
    let mut compared = 0;
    for round in 0..RUNS {
        let seed = seed.wrapping_add(round);
        let expected = end(world, seed, |run, context| interpreted.run(run, context));
        if !is_comparable(world, &expected.0) {
            continue;
        }
        for (options, executable) in &compiled {
            let got = end(world, seed, |run, context| {
                executable.run_compiled(run, context)
            });
            if matches!(got.0, Err(Stop::Budget { .. })) {
                continue;
            }
            compared += 1;
            let what = || format!("round {round}, {options:?}\n{}", text(slots));
            let ends = (got.0, expected.0);
            assert!(
                ends.0 == ends.1,
                "{ends:?}: the second interpreted, {}",
                what()
            );
            // Optimised code leaves out what nobody reads of its frame.
            let stack = match options.optimise {
                true => world.borrow().stack(),
                false => 0..0,
            };
            let mut bytes = got.1.iter().zip(&expected.1).enumerate();
            let differs = bytes.position(|(at, (a, b))| a != b && !stack.contains(&at));
            assert!(
                differs.is_none(),
                "byte {differs:x?} of the cage, {}",
                what()
            );
        }
    }
    compared
}

/// Runs it in a world of this seed: how it ended, and the cage afterwards.
fn end(
    world: &Rc<RefCell<World>>,
    seed: u64,
    act: impl FnOnce(&mut panal_vm::Run, u64) -> Outcome,
) -> (Outcome, Vec<u8>) {
    world.borrow_mut().clear();
    world.borrow_mut().fill(seed);
    let mut run = World::run(world);
    let context = world.borrow().context();
    let outcome = act(&mut run, context);
    world.borrow_mut().violation = None;
    (outcome, world.borrow().bytes().to_vec())
}

/// Whether machine code must end so, too: engines count budgets and nested calls otherwise, and what
/// lies a little beside the cage is harmless to touch.
fn is_comparable(world: &Rc<RefCell<World>>, outcome: &Outcome) -> bool {
    match *outcome {
        Err(Stop::Budget { .. } | Stop::Stack { .. }) => false,
        Err(Stop::Fault { address, .. }) => {
            let (base, size) = world.borrow().cage();
            let offset = address.wrapping_sub(base).wrapping_add(CageShape::GUARD);
            offset >= size + 2 * CageShape::GUARD
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use panal_parity::rng::Rng;

    /// Inputs of chance: a seed, and some changes.
    fn inputs() -> impl Iterator<Item = Vec<u8>> {
        (0..200u64).map(|number| {
            let mut random = Rng::new(number);
            let mut data = number.to_le_bytes().to_vec();
            let changes = 5 * random.below(6);
            data.extend((0..changes).map(|_| random.next() as u8));
            data
        })
    }

    /// Programs that are refused, or whose ends do not compare, would test nothing.
    #[test]
    fn most_attacks_are_compared() {
        let mut compared = 0;
        for data in inputs() {
            compared += u32::from(attack(&data) > 0);
        }
        assert!(compared > 100, "{compared} of 200");
    }

    #[test]
    fn many_proven_programs_are_compared() {
        let mut compared = 0;
        for data in inputs() {
            compared += u32::from(trusting(&data) > 0);
        }
        assert!(compared > 40, "{compared} of 200");
    }
}
