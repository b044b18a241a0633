//! What the tests of this crate share: a cage to run in, a kernel without helpers, and bpf(2).

#![allow(dead_code)]

pub mod cases;
pub mod linux;

use std::sync::Arc;

use panal_isa::Slot;
use panal_maps::{Block, Cage};
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]
use panal_vm::{CageShape, JitOptions};
use panal_vm::{Executable, Linkage, Outcome, Run};

/// A kernel that has nothing.
pub struct Nothing;

impl Linkage for Nothing {}

/// A cage with a stack in it.
pub struct Home {
    pub cage: Arc<Cage>,
    pub stack: Block,
    /// A page for programs.
    pub memory: Block,
}

impl Home {
    pub fn new() -> Home {
        let cage = Cage::new(1 << 26).expect("64 MiB of address space");
        let stack = cage
            .allocate(Run::STACK_SIZE as usize, 16)
            .expect("a stack");
        let memory = cage.allocate(4096, 16).expect("a page");
        Home {
            cage,
            stack,
            memory,
        }
    }

    pub fn run(&self) -> Run {
        // SAFETY: the cage lives as long as `self`, whose stack nobody else uses.
        let mut run = unsafe {
            Run::new(
                self.cage.base(),
                self.cage.size(),
                self.stack.address(),
                self.stack.len() as u64,
            )
        };
        run.budget = 100_000_000;
        run
    }

    pub fn execute(&self, slots: &[Slot]) -> Outcome {
        // SAFETY: there are no helpers.
        let executable = unsafe { Executable::from_unproven("test", slots, &Nothing) }.unwrap();
        executable.run(&mut self.run(), 0)
    }

    /// What machine code needs to confine itself to this cage.
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]
    pub fn shape(&self) -> Option<CageShape> {
        CageShape::new(self.cage.base(), self.cage.size())
    }

    /// As [`Home::execute`], by machine code.
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]
    pub fn execute_compiled(&self, slots: &[Slot], options: JitOptions) -> Outcome {
        // SAFETY: there are no helpers.
        let mut executable = unsafe { Executable::from_unproven("test", slots, &Nothing) }.unwrap();
        // SAFETY: the programs of these tests stay in their frames.
        unsafe { executable.trust() };
        executable.compile(options).expect("executable memory");
        executable.run_compiled(&mut self.run(), 0)
    }
}
