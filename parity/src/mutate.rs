//! Programs of compiled objects with one or two instructions changed, asked of both kernels: what is
//! nearly right, or nearly wrong, is what a verifier can be wrong about.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use panal_isa::{Instruction, Slot};
use panal_loader::Open;
use panal_parity::rng::Rng;
use panal_uapi::kernel::{Kernel, LoadError, ProgSpec};

use crate::objects::last_line;

/// Numbers at which checks go wrong.
const NUMBERS: &[i32] = &[
    0,
    1,
    2,
    4,
    7,
    8,
    15,
    16,
    31,
    32,
    48,
    63,
    64,
    127,
    255,
    512,
    4096,
    0x7fff,
    0xffff,
    i32::MAX,
    -1,
    -4,
    -8,
    -64,
    i32::MIN,
];

/// `lddw`: its descriptors must stay what they are.
const LOAD_IMM64: u8 = 0x18;
const CALL: u8 = 0x85;

struct Options {
    seconds: u64,
    seed: u64,
    show: usize,
    objects: Vec<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Options, String> {
        let mut options = Options {
            seconds: 60,
            seed: 1,
            show: 20,
            objects: Vec::new(),
        };
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let mut number = || -> Result<u64, String> {
                let text = rest.next().ok_or_else(|| format!("{arg}: no number"))?;
                text.parse().map_err(|e| format!("{arg} {text}: {e}"))
            };
            match arg.as_str() {
                "--seconds" => options.seconds = number()?,
                "--seed" => options.seed = number()?,
                "--show" => options.show = number()? as usize,
                path => options.objects.push(path.to_owned()),
            }
        }
        Ok(options)
    }
}

/// What one kernel says.
enum Answer {
    Accept,
    Reject(String),
    /// It could not try.
    Undecided,
}

fn answer(kernel: &dyn Kernel, spec: &ProgSpec) -> Answer {
    match kernel.prog_load(spec) {
        Ok(_) => Answer::Accept,
        Err(LoadError::Rejected { log, .. }) => Answer::Reject(last_line(&log).to_owned()),
        Err(LoadError::Failed(_)) => Answer::Undecided,
    }
}

/// One program, prepared for each kernel.
struct Pair {
    name: String,
    linux: ProgSpec,
    panal: ProgSpec,
}

#[derive(Default)]
struct Counts {
    asked: usize,
    undecided: usize,
    accepted: usize,
    false_accepts: usize,
    false_rejects: usize,
}

/// Runs `panal-parity mutate [--seconds N] [--seed S] [--show N] OBJECT...`.
pub fn run(args: &[String], linux: &dyn Kernel, panal: &dyn Kernel) -> ExitCode {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("panal-parity: {why}");
            return ExitCode::from(2);
        }
    };
    let mut counts = Counts::default();
    let share = Duration::from_secs(options.seconds) / options.objects.len().max(1) as u32;
    for path in &options.objects {
        if let Err(why) = object(Path::new(path), linux, panal, &options, share, &mut counts) {
            println!("{path}: {why}");
        }
    }
    println!(
        "{} changed programs asked, {} accepted by Linux, {} undecided: {} false accepts, {} false rejects",
        counts.asked, counts.accepted, counts.undecided, counts.false_accepts, counts.false_rejects
    );
    ExitCode::from(u8::from(counts.false_accepts + counts.false_rejects > 0))
}

fn object(
    path: &Path,
    linux: &dyn Kernel,
    panal: &dyn Kernel,
    options: &Options,
    share: Duration,
    counts: &mut Counts,
) -> Result<(), String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let open = || {
        let mut open = Open::parse(&bytes, &name).map_err(|e| e.to_string())?;
        open.without_pins();
        for plan in open.programs_mut() {
            plan.log_level = 1;
        }
        Ok::<Open, String>(open)
    };
    let theirs = open()?.prepare(linux).map_err(|e| e.to_string())?;
    let ours = open()?.prepare(panal).map_err(|e| e.to_string())?;
    let plans = theirs.open().programs().iter().zip(ours.open().programs());
    let pairs: Vec<Pair> = plans
        .filter_map(|(a, b)| {
            Some(Pair {
                name: format!("{name} {}", a.name),
                linux: theirs.spec(a).ok()?,
                panal: ours.spec(b).ok()?,
            })
        })
        // What Linux does not decide as it is, it does not decide changed.
        .filter(|pair| !matches!(answer(linux, &pair.linux), Answer::Undecided))
        .collect();
    let end = Instant::now() + share;
    let mut seed = options.seed;
    while Instant::now() < end && !pairs.is_empty() {
        for pair in &pairs {
            seed = seed.wrapping_add(1);
            ask(pair, seed, linux, panal, options, counts);
        }
    }
    Ok(())
}

fn ask(
    pair: &Pair,
    seed: u64,
    linux: &dyn Kernel,
    panal: &dyn Kernel,
    options: &Options,
    counts: &mut Counts,
) {
    let changed = |spec: &ProgSpec| {
        let mut spec = spec.clone();
        let changes = change(&mut spec.code, &mut Rng::new(seed));
        (spec, changes)
    };
    let (theirs, changes) = changed(&pair.linux);
    let (ours, _) = changed(&pair.panal);
    if changes.is_empty() {
        return;
    }
    counts.asked += 1;
    let (a, b) = (answer(linux, &theirs), answer(panal, &ours));
    counts.accepted += usize::from(matches!(a, Answer::Accept));
    let (kind, why) = match (a, b) {
        (Answer::Reject(why), Answer::Accept) => {
            counts.false_accepts += 1;
            ("false accept, Linux", why)
        }
        (Answer::Accept, Answer::Reject(why)) => {
            counts.false_rejects += 1;
            ("false reject, Panal", why)
        }
        (Answer::Undecided, _) | (_, Answer::Undecided) => {
            counts.undecided += 1;
            return;
        }
        _ => return,
    };
    if counts.false_accepts + counts.false_rejects <= options.show {
        println!("{} (seed {seed}): {kind}: {why}", pair.name);
        for (at, before) in changes {
            println!(
                "    {at}: {} instead of {}",
                text(&ours.code, at),
                text(&[before], 0)
            );
        }
    }
}

fn text(code: &[Slot], at: usize) -> String {
    Instruction::decode(code, at).map_or_else(|e| e.to_string(), |i| i.to_string())
}

/// Changes one or two instructions; where, and what stood there.
fn change(code: &mut [Slot], rng: &mut Rng) -> Vec<(usize, Slot)> {
    let mut changes = Vec::new();
    for _ in 0..1 + rng.below(4) / 3 {
        let at = rng.below(code.len());
        let fixed = |slot: &Slot| slot.opcode == LOAD_IMM64 || slot.opcode == 0;
        let call = code[at].opcode == CALL && code[at].registers != 0;
        if fixed(&code[at]) || call {
            continue;
        }
        let before = code[at];
        let other = code[rng.below(code.len())];
        let slot = &mut code[at];
        let small = rng.below(17) as i32 - 8;
        let register = rng.below(11) as u8;
        match rng.below(11) {
            0 | 1 => slot.imm = rng.pick(NUMBERS),
            2 => slot.imm = slot.imm.wrapping_add(small),
            3 => slot.offset = slot.offset.wrapping_add(small as i16),
            4 => slot.registers = slot.registers & 0xf0 | register,
            5 => slot.registers = slot.registers & 0x0f | register << 4,
            6 => slot.opcode = slot.opcode & 0x0f | (rng.below(16) as u8) << 4,
            7 => slot.opcode ^= 1 + rng.below(7) as u8,
            8 => slot.opcode ^= 0x08 << rng.below(2),
            9 => {
                // Left out: `goto +0`.
                *slot = Slot {
                    opcode: 0x05,
                    ..Slot::default()
                }
            }
            _ if !fixed(&other) => *slot = other,
            _ => slot.imm = small,
        }
        if fixed(&code[at]) || code[at] == before {
            code[at] = before;
        } else {
            changes.push((at, before));
        }
    }
    changes
}
