//! Runs a proof: lowering, interpreter, machine code.
//!
//! [`Linkage`] is what the kernel tells when a proof is lowered to an [`Executable`]; [`Run`] is
//! what travels with one run, through every helper. [`Observer`] and [`Guard`] look on.
#![no_std]
extern crate alloc;

pub mod dynptr;
mod executable;
mod interpreter;
mod jit;
mod key;
mod linkage;
mod lower;
mod observe;
mod op;
#[cfg(all(target_arch = "x86_64", unix))]
mod opt;
mod run;

/// As many as a program has functions: seldom more, so that they need no memory of their own.
pub(crate) type Few<T> = smallvec::SmallVec<[T; 2]>;

pub use executable::{Executable, Outcome, Ready};
pub use jit::{
    CageShape, JitError, Options as JitOptions, PagesError,
    aarch64::{Gates as Aarch64Gates, RunLayout},
};
pub use linkage::{
    ArenaLink, ContextAccess, HelperFn, IndexedValues, Inline, InnerArray, KeyByValue, KfuncLink,
    Linkage, MapHelper, MapLink, TailCallFn,
};
pub use lower::LowerError;
pub use observe::{Attempt, Caged, Guard, Observer, Regions, Step, Strict, Unobserved};
pub use run::{Callback, Run, RunWord, Stop};
