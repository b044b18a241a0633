//! Programs that user space runs itself, and that may make system calls.

use super::base::{TRACING, grant, with_base};
use super::context::{Field, FieldSet, Fields, Layout, Sizes, When, read, write};
use super::tracing::TYPED;
use super::{Context, KfuncHook, PacketAccess, ProgramType, Sleepable};
use crate::ProgType;
use crate::helpers::{HelperSet, id::*};

/// Whatever user space hands over.
static BYTES: Layout = Layout {
    name: "syscall context",
    size: 65536,
    fields: &[Field::new("bytes", 0, 65536, Sizes::ANY).write(Sizes::ANY)],
};

const COOKIE: HelperSet = HelperSet::of(&[BPF_FUNC_get_attach_cookie]);

pub(super) const SYSCALL: ProgramType = ProgramType {
    prog_type: ProgType::Syscall,
    context: Context::Fields(Fields {
        layout: &BYTES,
        rules: &[
            read(FieldSet::all(&BYTES), When::Always),
            write(FieldSet::all(&BYTES), When::Always),
        ],
    }),
    helpers: with_base!(
        grant(TRACING.union(TYPED).without(COOKIE)),
        grant(HelperSet::of(&[
            BPF_FUNC_sys_bpf,
            BPF_FUNC_btf_find_by_name_kind,
            BPF_FUNC_sys_close,
            BPF_FUNC_kallsyms_lookup_name,
        ])),
    ),
    returns: &[],
    sleepable: Sleepable::Always,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Syscall),
};
