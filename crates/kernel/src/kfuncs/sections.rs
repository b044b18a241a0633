//! Sections in which readers see no object die, and in which a program is not interrupted.
//!
//! A run is a read section from its start to its end, on a CPU of its own, so there is nothing left
//! to do.

use panal_btf::TypeId;
use panal_vm::{Inline, KfuncLink};

use super::{Kfunc, Prototype};
use crate::types::describe::Types;

pub(super) const TABLE: &[Kfunc] = &[
    Kfunc {
        name: "bpf_rcu_read_lock",
        function: KfuncLink::Inline(Inline::Constant(0)),
        prototype: void,
    },
    Kfunc {
        name: "bpf_rcu_read_unlock",
        function: KfuncLink::Inline(Inline::Constant(0)),
        prototype: void,
    },
    Kfunc {
        name: "bpf_preempt_disable",
        function: KfuncLink::Inline(Inline::Constant(0)),
        prototype: void,
    },
    Kfunc {
        name: "bpf_preempt_enable",
        function: KfuncLink::Inline(Inline::Constant(0)),
        prototype: void,
    },
    // What compilers put where a program runs into undefined behaviour; the verifier refuses it.
    Kfunc {
        name: "__bpf_trap",
        function: KfuncLink::Inline(Inline::Constant(0)),
        prototype: void,
    },
];

fn void(_: &mut Types) -> Prototype {
    (Vec::new(), TypeId::VOID)
}
