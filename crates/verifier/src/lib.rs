//! Proves a program safe, or explains why not.
//!
//! [`Request`] in, [`Proof`] or a rejection out. Only this crate makes a `Proof`, and only a
//! `Proof` can be run.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod proof;
mod request;

pub use proof::{Access, BranchFact, CallFact, Fact, Proof, Region, Subprogram};
pub use request::{MapDescription, Outcome, ProgramTypes, Request, Tied};
