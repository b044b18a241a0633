//! Loops over numbers: `bpf_for`.
//!
//! The iterator is eight bytes on the program's stack: the number in front of the next one, and the end.

use panal_btf::TypeId;
use panal_vm::{Inline, KfuncLink};

use super::Kfunc;
use crate::types::{Ptr, describe::Types};

pub(super) const TABLE: &[Kfunc] = &[
    Kfunc {
        name: "bpf_iter_num_new",
        function: KfuncLink::Inline(Inline::NumbersNew),
        prototype: |types| {
            let (iterator, int) = (iterator(types), types.of::<i32>());
            (vec![("it", iterator), ("start", int), ("end", int)], int)
        },
    },
    Kfunc {
        name: "bpf_iter_num_next",
        function: KfuncLink::Inline(Inline::NumbersNext),
        prototype: |types| (vec![("it", iterator(types))], types.of::<Ptr<i32>>()),
    },
    Kfunc {
        name: "bpf_iter_num_destroy",
        function: KfuncLink::Inline(Inline::NumbersDestroy),
        prototype: |types| (vec![("it", iterator(types))], TypeId::VOID),
    },
];

fn iterator(types: &mut Types) -> TypeId {
    let word = types.uapi_int("__u64", 8);
    let words = types.array(word, 1);
    let iterator = types.once("bpf_iter_num", |types| {
        types.structure("bpf_iter_num", 8, &[("__opaque", words, 0)])
    });
    types.pointer(iterator)
}
