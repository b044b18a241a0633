//! The kernel's own types, published as BTF.

use std::sync::Arc;

use panal_btf::Btf;

/// BTF of the kernel's own types.
pub fn btf() -> Arc<Btf> {
    Arc::new(Btf::default())
}
