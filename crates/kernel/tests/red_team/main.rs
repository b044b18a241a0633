//! Attacks on the second wall: programs that no verifier would pass, without a proof, on every
//! engine that claims to confine them. The host survives each, what is not the cage's stays as it
//! was, and the run says what happened.
//!
//! Each family of attacks runs in a process of its own, on each engine, so that a crash is a failure
//! that names the attack.

mod accesses;
mod arena;
mod concurrent;
mod control;
mod corruption;
mod endless;
mod helpers;

use std::{
    io::Read,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use arena::Arena;
use libtest_mimic::{Arguments, Failed, Trial};
use panal_kernel::Engine;

/// A family of attacks: its name, and the function that panics when one succeeds.
type Family = (&'static str, fn(&mut Arena));

const FAMILIES: &[Family] = &[
    ("accesses", accesses::wild),
    ("walks_out_of_the_cage", accesses::walks),
    ("stack", control::stack),
    ("functions", control::functions),
    ("registers", control::registers),
    ("helpers", helpers::every_helper),
    ("kernel_functions", helpers::every_kernel_function),
    ("corruption", corruption::all_of_the_cage),
    ("corruption_meanwhile", concurrent::corruption_meanwhile),
    ("endless", endless::programs),
    ("stopped_from_outside", endless::stopped_from_outside),
    ("held", endless::what_is_held_is_given_back),
    (
        "held_by_ends_of_all_kinds",
        endless::what_is_held_when_others_end_it,
    ),
];

/// What confines programs: the engine, and whether it may use only what every CPU has.
const ENGINES: &[(&str, Engine, bool)] = &[
    ("interpreter", Engine::Interpreter, false),
    ("machine_code", Engine::MachineCode, false),
    ("machine_code_for_any_cpu", Engine::MachineCode, true),
];

/// No family takes so long; one that does hangs.
const PATIENCE: Duration = Duration::from_secs(240);

/// Asks for a family and an engine in a process of its own.
const ATTACK: &str = "PANAL_RED_TEAM";

fn main() {
    if let Ok(attack) = std::env::var(ATTACK) {
        return attack_here(&attack);
    }
    let args = Arguments::from_args();
    let mut trials = Vec::new();
    for (family, _) in FAMILIES {
        for (engine, ..) in ENGINES {
            let name = format!("{family}/{engine}");
            let attack = name.clone();
            trials.push(Trial::test(name, move || attack_elsewhere(&attack)));
        }
    }
    libtest_mimic::run(&args, trials).exit();
}

fn attack_here(attack: &str) {
    let (family, engine) = attack.split_once('/').expect("FAMILY/ENGINE");
    let (_, act) = FAMILIES
        .iter()
        .find(|(name, _)| *name == family)
        .expect("a family");
    let (_, engine, baseline) = ENGINES
        .iter()
        .find(|(name, ..)| *name == engine)
        .expect("an engine");
    let Some(mut arena) = Arena::new(*engine, *baseline) else {
        return println!("skipped: no machine code here");
    };
    act(&mut arena);
    println!("{} attacks", arena.attacks());
}

fn attack_elsewhere(attack: &str) -> Result<(), Failed> {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .env(ATTACK, attack)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut errors = child.stderr.take().expect("a pipe");
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = errors.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break Some(status);
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut said = String::new();
    let _ = child
        .stdout
        .take()
        .expect("a pipe")
        .read_to_string(&mut said);
    let errors = reader.join().unwrap_or_default();
    match status {
        Some(status) if status.success() => {
            if said.starts_with("skipped") {
                eprintln!("{attack}: {}", said.trim());
            }
            Ok(())
        }
        Some(status) => Err(format!("the host ended by {status}: {errors}").into()),
        None => Err(format!("the host hangs: {errors}").into()),
    }
}
