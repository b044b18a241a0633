//! What runs Panal's programs: every engine, in every way that makes other code.

use panal_kernel::{Engine, PanalKernel};
use panal_uapi::kernel::Failure;

/// A way to run programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// What it is called.
    pub name: &'static str,
    engine: Engine,
    /// Whether machine code confines itself.
    caged: bool,
    /// Whether machine code is for any CPU.
    baseline: bool,
}

const fn way(name: &'static str, engine: Engine) -> Way {
    Way {
        name,
        engine,
        caged: false,
        baseline: false,
    }
}

/// All of them.
pub const ALL: [Way; 6] = [
    way("interp", Engine::Interpreter),
    way("jit", Engine::MachineCode),
    Way {
        caged: true,
        ..way("cage", Engine::MachineCode)
    },
    Way {
        baseline: true,
        ..way("baseline", Engine::MachineCode)
    },
    way("opt", Engine::Optimised),
    Way {
        baseline: true,
        ..way("opt-baseline", Engine::Optimised)
    },
];

impl Way {
    /// A kernel that runs programs so.
    pub fn kernel(&self) -> Result<PanalKernel, Failure> {
        PanalKernel::builder()
            .engine(self.engine)
            .caged(self.caged)
            .baseline(self.baseline)
            .build()
    }
}

/// The ways of this name, or all of them.
pub fn named(name: &str) -> Option<Vec<Way>> {
    let found = ALL
        .into_iter()
        .filter(|way| name == "all" || name == way.name);
    Some(found.collect()).filter(|found: &Vec<Way>| !found.is_empty())
}

/// The names of some.
pub fn names(ways: &[Way]) -> String {
    let names: Vec<&str> = ways.iter().map(|way| way.name).collect();
    names.join(", ")
}

/// Which two of so many a program is run by: every pair has its turn. Results are compared with
/// Linux's, so each of all programs' results is right by two, and each way sees programs of all kinds.
pub fn turn(seed: u64, count: usize) -> Vec<usize> {
    let pairs: Vec<[usize; 2]> = (0..count)
        .flat_map(|one| (one + 1..count).map(move |other| [one, other]))
        .collect();
    match pairs.len() {
        0 => (0..count).collect(),
        pairs_count => pairs[(seed % pairs_count as u64) as usize].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_its_turn() {
        let mut pairs: Vec<Vec<usize>> = (0..6).map(|seed| turn(seed, 4)).collect();
        assert!(
            pairs
                .iter()
                .all(|pair| pair.len() == 2 && pair[0] < pair[1])
        );
        pairs.sort();
        pairs.dedup();
        assert_eq!(pairs.len(), 6);
        assert_eq!(turn(77, 1), [0]);
        assert_eq!(turn(77, 2), [0, 1]);
    }

    #[test]
    fn ways_are_found_by_name() {
        assert_eq!(
            names(&named("all").unwrap()),
            "interp, jit, cage, baseline, opt, opt-baseline"
        );
        assert_eq!(names(&named("cage").unwrap()), "cage");
        assert_eq!(named("gpu"), None);
    }
}
