//! Machine code: each operation of the lowered program to the machine's, with the verifier's proof
//! instead of run-time checks. Templates for each architecture have a folder; memory, the table of
//! functions and what machine code calls are common.

pub(crate) mod aarch64;
mod cage;
#[cfg(target_arch = "x86_64")]
pub(crate) mod carry;
// Some of what these find is for x86-64's templates alone.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod live;
pub(crate) mod pages;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(crate) mod plan;
pub(crate) mod runtime;
pub(crate) mod table;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use crate::{Executable, Run, Stop};

pub use cage::CageShape;
use pages::Pages;
pub use pages::PagesError;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{convention, x86};

/// What the templates may use and must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether the CPU has BMI2 (shifts by a register without `cl`).
    pub bmi2: bool,
    /// Whether the optimiser compiles, where it can; otherwise, and for what it does not take, the
    /// templates do.
    pub optimise: bool,
    /// Whether jumps back and calls count against the run's budget.
    pub budget: bool,
    /// Steps that every run's budget has at least. Without a cage, a program that the proof shows to
    /// end sooner, and within a fraction of a millisecond, counts nothing.
    pub steps: u64,
    /// The cage that every access is confined to; `None` trusts the proof.
    pub cage: Option<CageShape>,
    /// Where in its pages the code begins, by chance: nobody who gets a jump of his own into them shall know
    /// what he finds there (Linux's JIT does the same).
    pub chance: u64,
}

impl Options {
    /// What this CPU has; templates, with a budget, without a cage.
    pub fn host() -> Self {
        Options {
            bmi2: has_bmi2(),
            optimise: false,
            budget: true,
            steps: 0,
            cage: None,
            chance: 0,
        }
    }

    /// What every CPU of this kind has; otherwise likewise.
    pub fn baseline() -> Self {
        Options {
            bmi2: false,
            ..Self::host()
        }
    }
}

/// Asked of the CPU once: under a hypervisor, which answers in its place, that takes longer than
/// compiling a small program.
#[cfg(target_arch = "x86_64")]
fn has_bmi2() -> bool {
    use core::arch::x86_64::{__cpuid, __cpuid_count};
    use core::sync::atomic::{AtomicU8, Ordering};

    const UNKNOWN: u8 = 2;
    static KNOWN: AtomicU8 = AtomicU8::new(UNKNOWN);
    match KNOWN.load(Ordering::Relaxed) {
        UNKNOWN => {
            // Leaf 7, EBX bit 8 (Intel SDM volume 2, CPUID).
            let highest = __cpuid(0).eax;
            let has = highest >= 7 && __cpuid_count(7, 0).ebx & 1 << 8 != 0;
            KNOWN.store(has.into(), Ordering::Relaxed);
            has
        }
        known => known != 0,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn has_bmi2() -> bool {
    false
}

/// Why a program has no machine code: it can still be interpreted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JitError {
    /// The code would be larger than a jump can reach.
    TooLarge,
    /// The system gives no executable memory.
    Pages(PagesError),
    /// Nobody proved the program, and there is no cage.
    Unproven,
    /// There are no templates for this CPU.
    Cpu,
}

impl fmt::Display for JitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JitError::TooLarge => f.write_str("the machine code would be too large"),
            JitError::Pages(why) => write!(f, "no executable memory: {why}"),
            JitError::Unproven => f.write_str("a program without a proof runs in a cage only"),
            JitError::Cpu => f.write_str("there is no machine code for this CPU"),
        }
    }
}

impl core::error::Error for JitError {}

/// A program's machine code.
#[derive(Debug)]
pub(crate) struct Machine {
    pages: Pages,
    cage: Option<CageShape>,
    /// Why it is not the optimiser's, which was asked for.
    not_optimised: Option<String>,
}

impl Machine {
    /// Whether its cage is the run's.
    pub fn fits(&self, run: &Run) -> bool {
        self.cage.is_none_or(|cage| cage.is_of(run))
    }

    /// Where the pages begin.
    fn base(&self) -> *const u8 {
        self.pages.address(0)
    }

    /// The machine code.
    pub fn bytes(&self) -> &[u8] {
        self.pages.bytes()
    }

    /// Why the templates compiled it though the optimiser was asked to.
    pub fn not_optimised(&self) -> Option<&str> {
        self.not_optimised.as_deref()
    }

    /// Bytes of machine code.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Makes the main program ready for a run; `None` where the run has another cage, or not enough
    /// stack.
    pub fn main(&self, run: &mut Run) -> Option<runtime::Main> {
        if !self.fits(run) {
            return None;
        }
        // SAFETY: the pages are a compiled program's.
        unsafe { runtime::Main::new(self.base(), run) }
    }

    /// Runs a function of the program.
    ///
    /// # Safety
    /// As for the interpreter: `run` is live and was made as [`Run::new`] demands; `frame` lies on
    /// its stack. The program was proven, or the code has a cage that [`Machine::fits`] the run.
    pub unsafe fn enter(
        &self,
        function: u32,
        run: *mut Run,
        frame: u64,
        args: [u64; 5],
    ) -> Result<u64, Stop> {
        // SAFETY: the caller's promise; the pages are ours.
        unsafe { runtime::enter(self.base(), function, run, frame, args) }
    }
}

/// Compiles a lowered program.
pub(crate) fn compile(executable: &Executable, options: Options) -> Result<Machine, JitError> {
    let (code, not_optimised) = match options.optimise.then(|| optimised(executable, options)) {
        Some(Ok(code)) => (code, None),
        Some(Err(why)) => (templates(executable, options)?, Some(why)),
        None => (templates(executable, options)?, None),
    };
    let pages = Pages::new(&code, options.chance).map_err(JitError::Pages)?;
    Ok(Machine {
        pages,
        cage: options.cage,
        not_optimised,
    })
}

/// The optimiser's code, or why there is none.
fn optimised(executable: &Executable, options: Options) -> Result<Vec<u8>, String> {
    #[cfg(target_arch = "x86_64")]
    return crate::opt::compile(executable, options).map_err(|why| why.to_string());
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (executable, options);
        Err("there is no optimiser for this CPU".to_string())
    }
}

/// The templates of this CPU.
fn templates(executable: &Executable, options: Options) -> Result<Vec<u8>, JitError> {
    #[cfg(target_arch = "x86_64")]
    return x86_64::compile(executable, options);
    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
    return aarch64::compile(executable, options, &aarch64::Gates::here());
    #[cfg(not(any(
        target_arch = "x86_64",
        all(target_arch = "aarch64", target_endian = "little")
    )))]
    {
        let _ = (executable, options);
        Err(JitError::Cpu)
    }
}
