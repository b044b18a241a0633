//! Generated programs, for all who ask verifiers about them: the parity runs, and the fuzz target
//! that runs what was accepted.
#![forbid(unsafe_code)]

pub mod function;
pub mod generate;
pub mod program;
pub mod rng;
