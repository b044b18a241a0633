//! Dynptrs: made from packets, asked about, narrowed, copied, looked into.

use panal_btf::TypeId;
use panal_uapi::{Errno, ProgType};
use panal_vm::{Inline, KfuncLink};

use super::{Kfunc, Leaf, Prototype, int};
use crate::{
    helpers::{
        call::{Call, entry},
        dynptr::Dynptr,
    },
    packet::Kind,
    program_types::{context_kind, pointers_at},
    types::{
        Ptr,
        describe::{Types, Void},
    },
};

pub(super) const TABLE: &[Kfunc] = &[
    Kfunc {
        name: "bpf_dynptr_size",
        function: KfuncLink::Inline(Inline::DynptrSize),
        prototype: |types| {
            let number = types.uapi_int("__u32", 4);
            (vec![("p", constant(types))], number)
        },
    },
    Kfunc {
        name: "bpf_dynptr_is_null",
        function: Leaf(entry!(is_null)),
        prototype: |types| (vec![("p", constant(types))], types.boolean()),
    },
    Kfunc {
        name: "bpf_dynptr_is_rdonly",
        function: Leaf(entry!(is_read_only)),
        prototype: |types| (vec![("p", constant(types))], types.boolean()),
    },
    Kfunc {
        name: "bpf_dynptr_from_skb",
        function: Leaf(entry!(from_skb_int)),
        prototype: |types| from_packet(types, "__sk_buff", "s"),
    },
    Kfunc {
        name: "bpf_dynptr_from_xdp",
        function: Leaf(entry!(from_xdp_int)),
        prototype: |types| from_packet(types, "xdp_md", "x"),
    },
    Kfunc {
        name: "bpf_dynptr_slice",
        function: KfuncLink::Inline(Inline::DynptrSlice { write: false }),
        prototype: slice_prototype,
    },
    Kfunc {
        name: "bpf_dynptr_slice_rdwr",
        function: KfuncLink::Inline(Inline::DynptrSlice { write: true }),
        prototype: slice_prototype,
    },
    Kfunc {
        name: "bpf_dynptr_adjust",
        function: Leaf(entry!(adjust_int)),
        prototype: |types| {
            let (p, number) = (constant(types), types.uapi_int("__u32", 4));
            let int = types.of::<i32>();
            (vec![("p", p), ("start", number), ("end", number)], int)
        },
    },
    Kfunc {
        name: "bpf_dynptr_clone",
        function: KfuncLink::Inline(Inline::DynptrClone),
        prototype: |types| {
            let (p, to) = (constant(types), mutable(types));
            (vec![("p", p), ("clone__uninit", to)], types.of::<i32>())
        },
    },
    Kfunc {
        name: "bpf_dynptr_copy",
        function: Leaf(entry!(copy_int)),
        prototype: |types| {
            let (p, number) = (mutable(types), types.uapi_int("__u32", 4));
            let parameters = vec![
                ("dst_ptr", p),
                ("dst_off", number),
                ("src_ptr", p),
                ("src_off", number),
                ("size", number),
            ];
            (parameters, types.of::<i32>())
        },
    },
    Kfunc {
        name: "bpf_dynptr_memset",
        function: Leaf(entry!(memset_int)),
        prototype: |types| {
            let (p, number) = (mutable(types), types.uapi_int("__u32", 4));
            let byte = types.uapi_int("__u8", 1);
            let parameters = vec![
                ("p", p),
                ("offset", number),
                ("size", number),
                ("val", byte),
            ];
            (parameters, types.of::<i32>())
        },
    },
];

fn dynptr(types: &mut Types) -> TypeId {
    let word = types.uapi_int("__u64", 8);
    let words = types.array(word, 2);
    types.once("bpf_dynptr", |types| {
        types.structure("bpf_dynptr", 16, &[("__opaque", words, 0)])
    })
}

fn constant(types: &mut Types) -> TypeId {
    let dynptr = dynptr(types);
    let constant = types.constant(dynptr);
    types.pointer(constant)
}

fn mutable(types: &mut Types) -> TypeId {
    let dynptr = dynptr(types);
    types.pointer(dynptr)
}

fn from_packet(types: &mut Types, context: &str, name: &'static str) -> Prototype {
    let context = types.structure(context, 0, &[]);
    let context = types.pointer(context);
    let (flags, to) = (types.uapi_int("__u64", 8), mutable(types));
    let parameters = vec![(name, context), ("flags", flags), ("ptr__uninit", to)];
    (parameters, types.of::<i32>())
}

fn slice_prototype(types: &mut Types) -> Prototype {
    let (p, number) = (constant(types), types.uapi_int("__u32", 4));
    let buffer = types.of::<Ptr<Void>>();
    let parameters = vec![
        ("p", p),
        ("offset", number),
        ("buffer__opt", buffer),
        ("buffer__szk", number),
    ];
    (parameters, buffer)
}

fn is_null(call: &mut Call<'_>) -> Result<u64, Errno> {
    Ok(u64::from(Dynptr::read(call, call.arg(0))?.data == 0))
}

fn is_read_only(call: &mut Call<'_>) -> Result<u64, Errno> {
    let dynptr = Dynptr::read(call, call.arg(0))?;
    Ok(u64::from(dynptr.data != 0 && dynptr.read_only))
}

/// Whether programs of this type may write the packet that they see.
fn may_write(prog_type: ProgType) -> bool {
    matches!(
        prog_type,
        ProgType::SchedCls | ProgType::SchedAct | ProgType::Xdp | ProgType::LwtXmit
    )
}

/// How machine code makes a dynptr of the packet that the program's own context describes.
pub(super) fn of_context(name: &str, prog_type: ProgType) -> Option<Inline> {
    let kind = context_kind(prog_type)?;
    let makes = match kind {
        Kind::Skb => "bpf_dynptr_from_skb",
        Kind::Xdp => "bpf_dynptr_from_xdp",
    };
    (name == makes).then(|| Inline::DynptrOfPacket {
        bounds: pointers_at(kind) as u32,
        marks: Dynptr::marks_of(kind, !may_write(prog_type)),
    })
}

fn make(call: &mut Call<'_>, kind: Kind) -> Result<(), Errno> {
    let (flags, to) = (call.arg(1), call.arg(2));
    let read_only = !may_write(call.host().program.prog_type());
    let packet = call.packet().ok().filter(|packet| packet.kind == kind);
    match packet {
        Some(packet) if flags == 0 => {
            let dynptr = Dynptr::of_packet(packet, read_only);
            dynptr.write(call, to)
        }
        _ => {
            Dynptr::write_null(call, to)?;
            Err(Errno::EINVAL)
        }
    }
}

fn from_skb(call: &mut Call<'_>) -> Result<(), Errno> {
    make(call, Kind::Skb)
}

fn from_xdp(call: &mut Call<'_>) -> Result<(), Errno> {
    make(call, Kind::Xdp)
}

fn adjust(call: &mut Call<'_>) -> Result<(), Errno> {
    let (at, start, end) = (call.arg(0), call.arg32(1), call.arg32(2));
    let mut dynptr = Dynptr::read(call, at)?;
    if dynptr.data == 0 || start > end {
        return Err(Errno::EINVAL);
    }
    if end > dynptr.size {
        return Err(Errno::ERANGE);
    }
    dynptr.offset = dynptr.offset.wrapping_add(start);
    dynptr.size = end - start;
    dynptr.write(call, at)
}

fn copy(call: &mut Call<'_>) -> Result<(), Errno> {
    let (to, to_offset) = (Dynptr::read(call, call.arg(0))?, call.arg32(1));
    let (from, from_offset) = (Dynptr::read(call, call.arg(2))?, call.arg32(3));
    let len: u64 = call.arg32(4).into();
    let source = from.slice(call, from_offset, len).is_some();
    let target = !to.read_only && to.slice(call, to_offset, len).is_some();
    if !source && !target {
        to.check(to_offset, len)?;
        from.check(from_offset, len)?;
        if len == 0 {
            return Ok(());
        }
    }
    let bytes = from.load(call, from_offset, len)?;
    to.store(call, to_offset, &bytes, 0)
}

fn memset(call: &mut Call<'_>) -> Result<(), Errno> {
    let (to, offset, len) = (
        Dynptr::read(call, call.arg(0))?,
        call.arg32(1),
        call.arg32(2),
    );
    if to.read_only {
        return Err(Errno::EINVAL);
    }
    to.check(offset, len.into())?;
    if len == 0 {
        return Ok(());
    }
    let bytes = vec![call.arg(3) as u8; len as usize];
    to.store(call, offset, &bytes, 0)
}

macro_rules! ints {
    ($($name:ident = $function:ident;)*) => {$(
        fn $name(call: &mut Call<'_>) -> u64 {
            int($function(call))
        }
    )*};
}

ints! {
    from_skb_int = from_skb;
    from_xdp_int = from_xdp;
    adjust_int = adjust;
    copy_int = copy;
    memset_int = memset;
}
