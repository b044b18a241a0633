//! What it costs to compile: programs of four sizes, from proof to machine code; on Linux, loading without
//! verification.

use std::{sync::Arc, time::Instant};

use panal_btf::Btf;
use panal_isa::{Size, Slot};
use panal_linux::LinuxKernel;
use panal_uapi::{
    ProgType,
    kernel::{Kernel, ProgFlags, ProgSpec},
    profile::Profile,
};
use panal_verifier::{Proof, Request, verify};
use panal_vm::{ContextAccess, Executable, JitOptions, Linkage};
use serde_json::{Value, json};

use super::{
    engines::{LINUX, TIER_1, TIER_2},
    generate, kernels,
};
use crate::table::Table;

const SIZES: [usize; 4] = [100, 2_000, 5_000, 100_000];

/// How often each size is measured.
const PASSES: usize = 8;

/// What a compiler is told.
type Arrange = fn() -> JitOptions;

/// Linux is asked about no larger ones: there, freeing what the verifier kept outweighs its JIT, and verifying
/// takes seconds.
const LINUX_MOST: usize = 2_000;

/// Compilers of Panal, by the names of their engines; before them what they have in common.
const TIERS: &[(&str, Option<Arrange>)] = &[
    ("lowering, within each", None),
    (TIER_1, Some(unlimited)),
    (TIER_2, Some(optimised)),
];

/// As the kernel compiles when runs have no budget.
fn unlimited() -> JitOptions {
    JitOptions {
        budget: false,
        ..JitOptions::host()
    }
}

fn optimised() -> JitOptions {
    JitOptions {
        optimise: true,
        ..unlimited()
    }
}

/// A kernel whose contexts are what programs see.
struct Plain;

impl Linkage for Plain {
    fn context_access(&self, offset: u32, size: Size, _: bool) -> Option<ContextAccess> {
        Some(ContextAccess::Direct {
            offset,
            size,
            shift: 0,
        })
    }
}

/// A compiler's times, in nanoseconds, at each of [`SIZES`].
pub struct Compiler {
    pub name: &'static str,
    times: Vec<(usize, f64)>,
}

impl Compiler {
    /// Nanoseconds for an instruction: the slope of the line that fits the larger programs best, each
    /// weighing the same.
    pub fn per_instruction(&self) -> Option<f64> {
        let weigh = |&(size, ns): &(usize, f64)| (1.0 / ns, size as f64 / ns);
        // Least squares of relative errors of a + b * size.
        let (mut aa, mut ab, mut bb, mut a1, mut b1) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (fixed, slope) in self.times.iter().map(weigh) {
            aa += fixed * fixed;
            ab += fixed * slope;
            bb += slope * slope;
            a1 += fixed;
            b1 += slope;
        }
        let determinant = aa * bb - ab * ab;
        (determinant > 0.0).then(|| (aa * b1 - ab * a1) / determinant)
    }

    /// Microseconds that any program takes: what the smallest takes beyond its instructions.
    pub fn fixed(&self) -> Option<f64> {
        let (size, ns) = self.times.first()?;
        Some((ns - self.per_instruction()? * *size as f64).max(0.0) / 1000.0)
    }
}

/// All compilers.
#[derive(Default)]
pub struct Compilers(pub Vec<Compiler>);

impl Compilers {
    /// Measures them, in turn.
    pub fn measure(rounds: usize) -> Result<Compilers, String> {
        let mut all: Vec<Compiler> = TIERS
            .iter()
            .map(|(name, _)| *name)
            .chain(kernels::linux_refuses().is_none().then_some(LINUX))
            .map(|name| Compiler {
                name,
                times: Vec::new(),
            })
            .collect();
        let mut programs = Vec::new();
        for size in SIZES {
            let code = generate::program(size);
            let proof = prove(&code)?;
            programs.push((code, proof, vec![f64::MAX; all.len()]));
        }
        // Each size several times, with all others between: a slow second of the machine spoils none.
        for _ in 0..PASSES {
            for (code, proof, best) in &mut programs {
                let rounds = (rounds * 2_000 / code.len()).clamp(4, rounds * 4);
                for _ in 0..rounds {
                    for (best, (_, options)) in best.iter_mut().zip(TIERS) {
                        *best = best.min(compile(proof, *options)?.unwrap_or(f64::MAX));
                    }
                    if code.len() <= LINUX_MOST
                        && let Some(best) = best.get_mut(TIERS.len())
                    {
                        *best = best.min(load(code)?);
                    }
                }
            }
        }
        for (code, _, best) in programs {
            for (compiler, ns) in all.iter_mut().zip(best) {
                if ns < f64::MAX {
                    compiler.times.push((code.len(), ns));
                }
            }
        }
        Ok(Compilers(all))
    }

    /// A compiler by its engine.
    pub fn of(&self, engine: &str) -> Option<&Compiler> {
        self.0.iter().find(|c| c.name == engine)
    }

    /// The table.
    pub fn table(&self) -> Table {
        let sizes = SIZES.map(|size| format!("{size} instructions, µs"));
        let mut heads = vec!["compiler", "ns an instruction", "fixed, µs"];
        heads.extend(sizes.iter().map(String::as_str));
        let mut table = Table::new(&heads);
        let cell = |f: Option<f64>| f.map_or("-".to_owned(), |f| format!("{f:.1}"));
        for compiler in &self.0 {
            let mut row = vec![
                compiler.name.to_owned(),
                cell(compiler.per_instruction()),
                cell(compiler.fixed()),
            ];
            for index in 0..SIZES.len() {
                let time = compiler.times.get(index);
                row.push(cell(time.map(|(_, ns)| ns / 1000.0)));
            }
            table.row(&row);
        }
        table
    }

    /// For machines.
    pub fn json(&self) -> Value {
        let of = |compiler: &Compiler| {
            let value = json!({
                "ns_per_instruction": compiler.per_instruction(),
                "fixed_us": compiler.fixed(),
                "times": compiler.times.iter().map(|(size, ns)| json!({
                    "instructions": size, "ns": ns,
                })).collect::<Vec<_>>(),
            });
            (compiler.name.to_owned(), value)
        };
        Value::Object(self.0.iter().map(of).collect())
    }
}

fn prove(code: &[Slot]) -> Result<Proof, String> {
    let profile = Profile::new("linux", 0x06_12_00, Arc::new(Btf::default()));
    let outcome = verify(&Request {
        name: "generated",
        code,
        prog_type: ProgType::SchedCls,
        attach_type: None,
        tied: None,
        gpl: true,
        flags: ProgFlags::empty(),
        maps: &[],
        types: None,
        profile: &profile,
        log_level: 0,
        clock: None,
    });
    outcome.result.map_err(|why| why.linux_message.to_string())
}

/// From a proof to sealed machine code, or only to the lowered program: nanoseconds. `None` where another
/// compiler did it: this one does not take the program.
fn compile(proof: &Proof, options: Option<Arrange>) -> Result<Option<f64>, String> {
    let begin = Instant::now();
    let mut executable = Executable::new(proof, &Plain).map_err(|e| e.to_string())?;
    if let Some(options) = options {
        executable.compile(options()).map_err(|e| e.to_string())?;
    }
    let took = begin.elapsed().as_nanos() as f64;
    Ok(executable.not_optimised().is_none().then_some(took))
}

/// Loading into Linux less the time that its verifier says it took: nanoseconds. Copying, the
/// program's tag and what the system call costs stay in.
fn load(code: &[Slot]) -> Result<f64, String> {
    // BPF_LOG_STATS
    let spec = ProgSpec {
        log_level: 4,
        ..ProgSpec::new("generated", ProgType::SchedCls, code.to_vec())
    };
    let begin = Instant::now();
    let loaded = LinuxKernel::new().prog_load(&spec);
    let took = begin.elapsed().as_nanos() as f64;
    let loaded = loaded.map_err(|e| format!("{e:?}"))?;
    Ok((took - verification(&loaded.log)?).max(0.0))
}

/// What Linux's verifier says that it took: nanoseconds, told in whole microseconds.
fn verification(log: &str) -> Result<f64, String> {
    let mut words = log.split_whitespace();
    words
        .find(|word| *word == "time")
        .and_then(|_| words.next()?.parse::<f64>().ok())
        .map(|us| us * 1000.0)
        .ok_or(format!(
            "Linux's log does not say how long it took: {log:?}"
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_fitted_exactly() {
        let times = SIZES.map(|size| (size, 7_000.0 + 30.0 * size as f64));
        let compiler = Compiler {
            name: "line",
            times: times.to_vec(),
        };
        assert!((compiler.per_instruction().unwrap() - 30.0).abs() < 1e-6);
        assert!((compiler.fixed().unwrap() - 7.0).abs() < 1e-6);
    }

    #[test]
    fn linux_tells_its_time_in_microseconds() {
        let log = "verification time 161 usec\nstack depth 0\nprocessed 2 insns";
        assert_eq!(verification(log), Ok(161_000.0));
        assert!(verification("processed 2 insns").is_err());
    }

    #[test]
    fn generated_programs_have_their_size_and_are_proven() {
        for size in [100, 2_000] {
            let code = generate::program(size);
            assert!(code.len().abs_diff(size) < 5, "{} of {size}", code.len());
            prove(&code).unwrap();
        }
    }
}
