//! The kernel's own types, published as BTF.
//!
//! Each structure is written once, as a Rust type with C's layout: hooks fill it in, programs read
//! it, and the BTF that describes it comes from the same text. For a program, Panal is one more
//! kernel version with its own offsets: CO-RE bridges them.

mod constants;
mod contexts;
pub mod describe;
pub mod file;
mod functions;
pub(crate) mod laid_out;
pub mod packet;
pub mod socket;
pub mod task;
pub mod trace;

use std::sync::{Arc, LazyLock};

use panal_btf::Btf;

use describe::Types;
pub use describe::{KernelType, Ptr};

/// BTF of the kernel's own types: made once, the same for every kernel.
pub fn btf() -> Arc<Btf> {
    static BTF: LazyLock<Arc<Btf>> = LazyLock::new(|| Arc::new(build()));
    BTF.clone()
}

fn build() -> Btf {
    let mut types = Types::default();
    constants::describe(&mut types);
    task::describe_all(&mut types);
    file::describe_all(&mut types);
    socket::describe_all(&mut types);
    packet::describe_all(&mut types);
    trace::describe_all(&mut types);
    contexts::describe(&mut types);
    functions::describe(&mut types);
    crate::kfuncs::describe(&mut types);
    match types.builder().finish() {
        Ok(btf) => btf,
        // The types are constants of this program; the tests build them.
        Err(error) => unreachable!("the kernel's own types: {error}"),
    }
}

#[cfg(test)]
mod tests;
