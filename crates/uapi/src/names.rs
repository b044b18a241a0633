//! Names for the numbers in instructions, for disassembly.

use alloc::{borrow::Cow, format};

use panal_btf::{Btf, TypeId};
use panal_isa::Names;

use crate::helpers;

/// Names of helpers, and of kernel functions by the kernel's types where these are known.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelNames<'a> {
    /// The kernel's types.
    pub btf: Option<&'a Btf>,
}

impl Names for KernelNames<'_> {
    fn helper(&self, id: u32) -> Option<Cow<'_, str>> {
        helpers::by_id(id).map(|helper| format!("bpf_{}", helper.name).into())
    }

    fn kfunc(&self, id: i32, object: i16) -> Option<Cow<'_, str>> {
        let ty = self.btf?.get(TypeId(id.try_into().ok()?))?;
        (object == 0 && !ty.name.is_empty()).then(|| Cow::Borrowed(&*ty.name))
    }
}
