//! What a compiler wrote: ELF to programs, maps and relocations.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
