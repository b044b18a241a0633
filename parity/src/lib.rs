//! Programs for all who ask verifiers about them: generated ones, and Linux's selftests, for the
//! parity runs, the benchmarks, and the fuzz target that runs what was accepted.
#![forbid(unsafe_code)]

pub mod build;
pub mod function;
pub mod generate;
pub mod program;
pub mod rng;
