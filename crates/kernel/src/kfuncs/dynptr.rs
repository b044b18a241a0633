//! Dynptrs: questions about them.

use panal_btf::TypeId;
use panal_uapi::Errno;

use super::Kfunc;
use crate::{
    helpers::{
        call::{Call, entry},
        dynptr::Dynptr,
    },
    types::describe::Types,
};

pub(super) const TABLE: &[Kfunc] = &[
    Kfunc {
        name: "bpf_dynptr_size",
        function: entry!(size),
        prototype: |types| {
            let number = types.uapi_int("__u32", 4);
            (vec![("p", dynptr(types))], number)
        },
    },
    Kfunc {
        name: "bpf_dynptr_is_null",
        function: entry!(is_null),
        prototype: |types| (vec![("p", dynptr(types))], types.boolean()),
    },
    Kfunc {
        name: "bpf_dynptr_is_rdonly",
        function: entry!(is_read_only),
        prototype: |types| (vec![("p", dynptr(types))], types.boolean()),
    },
];

fn dynptr(types: &mut Types) -> TypeId {
    let word = types.uapi_int("__u64", 8);
    let words = types.array(word, 2);
    let dynptr = types.once("bpf_dynptr", |types| {
        types.structure("bpf_dynptr", 16, &[("__opaque", words, 0)])
    });
    let constant = types.constant(dynptr);
    types.pointer(constant)
}

fn size(call: &mut Call<'_>) -> Result<u64, Errno> {
    let dynptr = Dynptr::read(call, call.arg(0))?;
    if dynptr.data == 0 {
        Err(Errno::EINVAL)
    } else {
        Ok(dynptr.size.into())
    }
}

fn is_null(call: &mut Call<'_>) -> Result<u64, Errno> {
    Ok(u64::from(Dynptr::read(call, call.arg(0))?.data == 0))
}

fn is_read_only(call: &mut Call<'_>) -> Result<u64, Errno> {
    let dynptr = Dynptr::read(call, call.arg(0))?;
    Ok(u64::from(dynptr.data != 0 && dynptr.read_only))
}
