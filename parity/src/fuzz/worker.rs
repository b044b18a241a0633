//! One thread's share of a run: kernels of its own, programs by their seeds.

use std::panic::{AssertUnwindSafe, catch_unwind};

use panal_kernel::{PanalKernel, own_profile};
use panal_uapi::kernel::Kernel;

use super::{
    difference::{Difference, gave_up, rejected_slot},
    engines::{self, Way},
};
use crate::{
    ask::{Answer, Judge},
    function, generate,
    program::Program,
};

/// Programs whose verification is longer than so many instructions are heavy: nearly all of a run's
/// time would be theirs.
pub const LIGHT: u64 = 20_000;
/// Of heavy programs, those are asked whose seed is a multiple of this.
pub const HEAVY_ASKED: u64 = 64;

/// Panal's kernels: one that says which programs are heavy, one for each engine.
pub struct Kernels {
    sieve: PanalKernel,
    engines: Vec<(Way, PanalKernel)>,
}

impl Kernels {
    /// Kernels without any state yet.
    pub fn new(engines: &[Way]) -> Result<Kernels, String> {
        let mut profile = own_profile();
        profile.limits.processed = LIGHT;
        let sieve = PanalKernel::builder().profile(profile).verify_only(true);
        let engine = |way: &Way| way.kernel().map(|kernel| (*way, kernel));
        let failed = |e| format!("Panal: {e}");
        Ok(Kernels {
            sieve: sieve.build().map_err(failed)?,
            engines: engines
                .iter()
                .map(engine)
                .collect::<Result<_, _>>()
                .map_err(failed)?,
        })
    }
}

/// Everybody who is asked.
pub struct Bench<'k> {
    linux: Judge<'k>,
    sieve: Judge<'k>,
    panals: Vec<(Way, Judge<'k>)>,
}

/// What came of one program.
pub struct Asked {
    /// Verification would take long, and it was left out.
    pub skipped: bool,
    /// Linux's verifier might crash, and it was left out.
    pub dangerous: bool,
    /// Linux accepted it.
    pub accepted: bool,
    /// Its results were compared.
    pub compared: bool,
    /// How the first kernel that answered otherwise did.
    pub difference: Option<Difference>,
}

impl<'k> Bench<'k> {
    /// Maps and types in every kernel.
    pub fn new(linux: &'k dyn Kernel, kernels: &'k Kernels) -> Result<Bench<'k>, String> {
        let panal = |kernel: &'k PanalKernel| Judge::new(kernel).map_err(|e| format!("Panal: {e}"));
        Ok(Bench {
            linux: Judge::new(linux)?,
            sieve: panal(&kernels.sieve)?,
            panals: kernels
                .engines
                .iter()
                .map(|(engine, kernel)| Ok((*engine, panal(kernel)?)))
                .collect::<Result<_, String>>()?,
        })
    }

    /// What Panal and Linux are called.
    pub fn names(&self) -> (String, String) {
        let panal = self.panals.first();
        (
            panal.map_or(String::new(), |(_, judge)| judge.name()),
            self.linux.name(),
        )
    }

    /// Asks Linux and two engines about a seed's program; heavy ones only if `all` are wanted or it is their turn.
    pub fn ask(&self, seed: u64, all: bool) -> Asked {
        let program = generate::wide(seed);
        let mut asked = Asked {
            skipped: false,
            dangerous: false,
            accepted: false,
            compared: false,
            difference: None,
        };
        let whole = catch_unwind(AssertUnwindSafe(|| {
            if program.endangers_linux() {
                asked.dangerous = true;
                return None;
            }
            if !all
                && !seed.is_multiple_of(HEAVY_ASKED)
                && gave_up(&self.sieve.ask(&program, false))
            {
                asked.skipped = true;
                return None;
            }
            let comparable = comparable(&program);
            let theirs = self.linux.ask(&program, comparable);
            asked.accepted = matches!(theirs, Answer::Accepted(_));
            asked.compared = asked.accepted && comparable;
            let turn = engines::turn(seed, self.panals.len());
            turn.into_iter().find_map(|which| {
                let (_, panal) = self.panals.get(which)?;
                let ours = panal.ask(&program, comparable);
                self.kind(&program, panal, &theirs, &ours)
            })
        }));
        asked.difference = whole.unwrap_or(Some(Difference::Panic));
        asked
    }

    /// How answers differ; for what only Panal accepts, whether it knows more.
    fn kind(
        &self,
        program: &Program,
        panal: &Judge<'_>,
        theirs: &Answer,
        ours: &Answer,
    ) -> Option<Difference> {
        let kind = Difference::between(theirs, ours)?;
        let more_precise = kind == Difference::FalseAccept
            && self
                .linux
                .log(program)
                .and_then(|log| rejected_slot(&log))
                .is_some_and(|slot| panal.proves_dead(program, slot));
        Some(if more_precise {
            Difference::MorePrecise
        } else {
            kind
        })
    }

    /// Linux's and an engine's log of every instruction.
    pub fn logs(&self, program: &Program, which: usize) -> [Option<String>; 2] {
        [self.linux.log(program), self.panals[which].1.log(program)]
    }

    /// The first engine that answers otherwise, and how.
    pub fn who_differs(&self, program: &Program) -> Option<(usize, Difference)> {
        (0..self.panals.len()).find_map(|which| Some((which, self.differs(program, which)?)))
    }

    /// How an engine answers otherwise.
    pub fn differs(&self, program: &Program, which: usize) -> Option<Difference> {
        let asked = catch_unwind(AssertUnwindSafe(|| {
            let (theirs, ours) = self.answers(program, which);
            self.kind(program, &self.panals[which].1, &theirs, &ours)
        }));
        asked.unwrap_or(Some(Difference::Panic))
    }

    /// Linux's answer and an engine's.
    pub fn answers(&self, program: &Program, which: usize) -> (Answer, Answer) {
        let comparable = comparable(program);
        let theirs = self.linux.ask(program, comparable);
        (theirs, self.panals[which].1.ask(program, comparable))
    }

    /// What an engine is called.
    pub fn engine(&self, which: usize) -> &'static str {
        self.panals[which].0.name
    }
}

/// Whether kernels must agree on what the program computes.
fn comparable(program: &Program) -> bool {
    program.flattened().is_some_and(|flattened| {
        function::of_input(
            &flattened.code,
            &flattened.starts,
            program.prog_type,
            program.careful,
        )
    })
}
