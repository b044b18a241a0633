//! Pages of arenas.

use panal_btf::TypeId;
use panal_maps::Arena;
use panal_uapi::Errno;

use super::{Kfunc, Leaf, Prototype, int};
use crate::{
    helpers::call::{Call, entry},
    types::{
        Ptr,
        describe::{Types, Void},
    },
};

pub(super) const TABLE: &[Kfunc] = &[
    Kfunc {
        name: "bpf_arena_alloc_pages",
        function: Leaf(entry!(alloc_pages)),
        prototype: |types| {
            let (pointer, number) = (types.of::<Ptr<Void>>(), types.uapi_int("__u32", 4));
            let parameters = vec![
                ("p__map", pointer),
                ("addr__ign", pointer),
                ("page_cnt", number),
                ("node_id", types.of::<i32>()),
                ("flags", types.uapi_int("__u64", 8)),
            ];
            (parameters, pointer)
        },
    },
    Kfunc {
        name: "bpf_arena_free_pages",
        function: Leaf(entry!(free_pages)),
        prototype: |types| pages(types, None),
    },
    Kfunc {
        name: "bpf_arena_reserve_pages",
        function: Leaf(entry!(reserve_pages)),
        prototype: |types| {
            let int = types.of::<i32>();
            pages(types, Some(int))
        },
    },
];

fn pages(types: &mut Types, ret: Option<TypeId>) -> Prototype {
    let (pointer, number) = (types.of::<Ptr<Void>>(), types.uapi_int("__u32", 4));
    let parameters = vec![
        ("p__map", pointer),
        ("ptr__ign", pointer),
        ("page_cnt", number),
    ];
    (parameters, ret.unwrap_or(TypeId::VOID))
}

fn alloc_pages(call: &mut Call<'_>) -> Result<u64, Errno> {
    let arena: &Arena = call.map_as(0)?;
    let (pointer, count, flags) = (call.arg(1), call.arg32(2), call.arg(4));
    if flags != 0 {
        return Ok(0);
    }
    Ok(arena.allocate(pointer, count).unwrap_or(0))
}

fn free_pages(call: &mut Call<'_>) -> Result<(), Errno> {
    let arena: &Arena = call.map_as(0)?;
    let (pointer, count) = (call.arg(1), call.arg32(2));
    if pointer != 0 {
        arena.free(pointer, count);
    }
    Ok(())
}

fn reserve_pages(call: &mut Call<'_>) -> u64 {
    let arena = call.map_as::<Arena>(0);
    int(arena.and_then(|arena| arena.reserve(call.arg(1), call.arg32(2))))
}
