//! A kernel in another process, behind the same contract.
//!
//! [`serve`] answers for a kernel on a connected Unix socket, [`RemoteKernel`] asks over one and is
//! an [`panal_uapi::inspect::Inspect`] itself. A request is a line of JSON, its answer another. A
//! descriptor belongs to the connection that opened it: when the connection ends, it closes.
#![cfg(unix)]
#![forbid(unsafe_code)]

mod client;
mod protocol;
mod server;

pub use client::RemoteKernel;
pub use server::serve;
