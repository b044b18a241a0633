//! The other kernel: Linux itself, behind the same contract.
//!
//! [`LinuxKernel`] implements [`panal_uapi::kernel::Kernel`] over the real bpf(2),
//! perf_event_open(2) and netlink. It needs the privileges that Linux asks for; what the running
//! kernel lacks is said as such.
#![cfg(target_os = "linux")]

mod arena;
mod attach;
mod batch;
mod buffers;
mod cgroup;
mod explain;
mod foreign;
mod held;
mod inspect;
mod interfaces;
mod iterators;
mod janitor;
mod kernel;
mod maps;
mod netlink;
mod perf;
mod probes;
mod programs;
mod rights;
mod sys;
mod tracefs;
mod undo;
mod wait;

pub use cgroup::Cgroup;
pub use foreign::{ForeignSocket, enter_network_namespace, network_namespace};
pub use held::{Held, Running};
pub use inspect::no_place_for_pins;
pub use interfaces::{InterfaceWatch, interface_index, interface_names};
pub use kernel::LinuxKernel;
pub use wait::{Asked, Signals, wait};
