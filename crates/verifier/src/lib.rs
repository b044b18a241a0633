//! Proves a program safe, or explains why not.
//!
//! [`Request`] in, [`Proof`] or a rejection out. Only this crate makes a `Proof`, and only a
//! `Proof` can be run.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod access;
mod bits;
mod by_slot;
mod calls;
mod cfg;
mod chunks;
mod compare;
mod domain;
mod env;
mod error;
mod explore;
mod facts;
mod global;
mod liveness;
mod precision;
mod privilege;
mod program;
mod proof;
mod prune;
mod report;
mod request;
mod stack_depth;
mod state;
mod subprograms;
mod transfer;
mod verify;
mod witness;

pub use proof::{Access, BranchFact, CallFact, Fact, Proof, Region, Subprogram};
pub use request::{MapDescription, Outcome, ProgramTypes, Request, Tied};
pub use verify::verify;
pub use witness::Witness;
