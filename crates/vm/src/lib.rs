//! Runs a proof: lowering and interpreter.
//!
//! [`Linkage`] is what the kernel tells when a proof is lowered; [`Run`] is what travels with one
//! run, through every helper.
#![no_std]
extern crate alloc;

mod linkage;

pub use linkage::{ContextAccess, HelperFn, KfuncLink, Linkage, MapLink, Run};
