//! For tests: the same body on Panal's kernel and on Linux.
//!
//! [`kernels`] are all that can be asked here: Panal's on each of its engines, and Linux, where
//! bpf(2) is for us; [`on_both`] compares what a body sees on them. [`cases`] reads tests from
//! text, one command a line with Linux's answer behind it. [`setup`] makes maps and programs;
//! [`Random`] are numbers.

pub mod cases;
pub mod commands;
mod kernels;
mod mapping;
mod random;
pub mod setup;

pub use kernels::{Subject, kernels, linux, on_both, panal, remote};
pub use mapping::Mapping;
pub use random::Random;
