//! What a kernel has: asked of the kernel itself, kept in a file, taken to other machines.
//!
//! [`probe`] asks any kernel behind the contract, [`Features`] are its answers, [`Captured`] is a file
//! of them with the kernel's types, and [`shipped`] has the profiles that need no file.
#![forbid(unsafe_code)]

mod features;
mod file;
mod host;
mod probe;
mod shipped;

pub use features::{Answer, Features, KernelFunction};
pub use file::{Captured, FileError, MAGIC};
pub use host::{CONFIG, SYSCTLS, capabilities, config, sysctl};
pub use probe::probe;
pub use shipped::{SHIPPED, shipped};
