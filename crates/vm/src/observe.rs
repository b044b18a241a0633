//! Hooks into the interpreter. They are generic, so that what is not used costs nothing.

use crate::Run;

/// What is about to be executed.
#[derive(Debug)]
pub struct Step<'a> {
    /// Name of the program (tail calls change it).
    pub program: &'a str,
    /// Slot of the instruction.
    pub slot: u32,
    /// `r0` to `r10`.
    pub registers: &'a [u64; 11],
    /// Nested calls: 0 in the main program.
    pub frame: u32,
}

/// Sees every operation before it is executed: coverage, stepping, checking registers.
///
/// One instruction may become several operations, then its slot is seen as often.
pub trait Observer {
    /// Whether it wants to be called at all.
    const ACTIVE: bool = true;

    /// Called before each operation. False ends the run.
    fn step(&mut self, step: &Step<'_>) -> bool;
}

/// Sees nothing, costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    const ACTIVE: bool = false;

    fn step(&mut self, _step: &Step<'_>) -> bool {
        true
    }
}

/// An access that is about to be made; it lies in the cage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The instruction.
    pub slot: u32,
    /// Address.
    pub address: u64,
    /// Bytes.
    pub size: u32,
    /// Whether it writes.
    pub write: bool,
}

/// Decides which accesses inside the cage may be made.
pub trait Guard {
    /// Whether it wants to be asked at all.
    const ACTIVE: bool = true;

    /// Whether the access may be made. `stack` is the lowest live byte of the run's stack.
    fn allows(&mut self, run: &Run, stack: u64, access: &Attempt) -> bool;
}

/// The usual guard: all of the cage is the program's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caged;

impl Guard for Caged {
    const ACTIVE: bool = false;

    fn allows(&mut self, _run: &Run, _stack: u64, _access: &Attempt) -> bool {
        true
    }
}

/// Knows the live objects of a run, exactly: context, packet, map elements, ring buffer records.
pub trait Regions {
    /// Whether one live object has all the bytes of the access and may be so accessed.
    fn holds(&mut self, access: &Attempt) -> bool;
}

/// The guard of the soundness fuzzer: each access must lie in the live part of the stack or in a
/// live object.
#[derive(Debug)]
pub struct Strict<R>(pub R);

impl<R: Regions> Guard for Strict<R> {
    fn allows(&mut self, run: &Run, stack: u64, access: &Attempt) -> bool {
        let end = access.address.wrapping_add(u64::from(access.size));
        let top = run.stack + run.stack_size;
        (access.address >= stack && end <= top) || self.0.holds(access)
    }
}
