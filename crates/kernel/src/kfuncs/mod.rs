//! The kernel functions that programs may call beside helpers: prototype and implementation of each
//! stand together. What the verifier knows of them by name is in [`panal_uapi::kfuncs`].

mod arena;
mod dynptr;
mod iter_bits;
mod iter_num;
mod sections;
mod work;

use panal_btf::TypeId;
use panal_uapi::{Errno, ProgType};
use panal_vm::KfuncLink::{self, Called, Leaf};

use crate::types::describe::Types;

/// Parameters with their names, and what is returned.
type Prototype = (Vec<(&'static str, TypeId)>, TypeId);

/// A kernel function.
pub(crate) struct Kfunc {
    /// Its name.
    pub name: &'static str,
    /// What does it.
    pub function: KfuncLink,
    /// Its parameters and what it returns, in BTF.
    pub prototype: fn(&mut Types) -> Prototype,
}

/// What a function returns that is an `int`: its bits, and zeros above.
fn int(result: Result<(), Errno>) -> u64 {
    u64::from(result.err().map_or(0, |errno| errno.as_return() as u32))
}

pub(crate) use iter_bits::BitSets;

const TABLES: &[&[Kfunc]] = &[
    iter_bits::TABLE,
    arena::TABLE,
    dynptr::TABLE,
    iter_num::TABLE,
    sections::TABLE,
    work::TABLE,
];

/// The implementation of a kernel function by its name, for a type of programs.
pub(crate) fn implementation(name: &str, prog_type: ProgType) -> Option<KfuncLink> {
    if let Some(inline) = dynptr::of_context(name, prog_type) {
        return Some(KfuncLink::Inline(inline));
    }
    let mut all = TABLES.iter().copied().flatten();
    Some(all.find(|kfunc| kfunc.name == name)?.function)
}

/// Describes all of them.
pub(crate) fn describe(types: &mut Types) {
    for kfunc in TABLES.iter().copied().flatten() {
        let (parameters, ret) = (kfunc.prototype)(types);
        types.function(kfunc.name, ret, &parameters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_function_is_known_to_the_verifier() {
        for kfunc in TABLES.iter().copied().flatten() {
            assert!(
                panal_uapi::kfuncs::by_name(kfunc.name).is_some(),
                "{}",
                kfunc.name
            );
        }
    }
}
