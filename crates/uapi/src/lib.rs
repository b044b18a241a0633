//! The contract between user space and kernel space: the bpf system call.
//!
//! Numbers carry the names of Linux's `include/uapi/linux/bpf.h`. Both kernels implement
//! [`kernel::Kernel`]; neither user space nor kernel space knows more of the other.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod names;
mod numbers;
mod since;

pub mod attr;
pub mod capability;
pub mod command;
pub mod errno;
pub mod helpers;
pub mod inspect;
pub mod instructions;
pub mod kernel;
pub mod kfuncs;
pub mod log;
pub mod map_type;
pub mod profile;
pub mod prog_type;
pub mod program_types;
pub mod report;
pub mod section;

pub use capability::Capabilities;
pub use command::Command;
pub use errno::Errno;
pub use map_type::MapType;
pub use prog_type::{AttachType, ProgType};
