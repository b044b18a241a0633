//! What the lowering of a program asks of the kernel.

use std::sync::Arc;

use panal_btf::{Btf, TypeId};
use panal_isa::Size;
use panal_uapi::ProgType;
use panal_vm::{
    ArenaLink, ContextAccess, HelperFn, Inline, KfuncLink, Linkage, MapHelper, MapLink, TailCallFn,
};

use crate::{arena, helpers, kfuncs, maps::Map, program_types};

pub(super) struct ProgramLinkage<'a> {
    pub prog_type: ProgType,
    pub maps: &'a [Arc<Map>],
    /// The kernel's types, which give kfuncs their numbers.
    pub btf: &'a Btf,
}

impl Linkage for ProgramLinkage<'_> {
    fn helper(&self, id: u32) -> Option<HelperFn> {
        helpers::implementation(id)
    }

    fn inline(&self, id: u32) -> Option<Inline> {
        helpers::inline(id)
    }

    fn map_helper(&self, id: u32, map: u32) -> Option<MapHelper> {
        helpers::known::of(id, self.maps.get(map as usize)?)
    }

    fn inner_helper(&self, id: u32, outer: u32) -> Option<HelperFn> {
        helpers::inner::of(id, self.maps.get(outer as usize)?.inner_def.as_ref()?)
    }

    fn kfunc(&self, btf_id: u32) -> Option<KfuncLink> {
        kfuncs::implementation(self.btf.name(TypeId(btf_id)), self.prog_type)
    }

    fn map(&self, index: u32) -> Option<MapLink> {
        Some(self.maps.get(index as usize)?.link())
    }

    fn variable(&self, _btf_id: u32) -> Option<u64> {
        None
    }

    fn context_access(&self, offset: u32, size: Size, write: bool) -> Option<ContextAccess> {
        (program_types::of(self.prog_type).context_access)(offset, size, write)
    }

    /// Sockets lie in memory as the uapi has them.
    fn socket_access(&self, _offset: u32, _size: Size, _write: bool) -> Option<ContextAccess> {
        None
    }

    fn tail_call(&self) -> Option<TailCallFn> {
        Some(helpers::tail_call::target)
    }

    fn arena(&self) -> Option<ArenaLink> {
        let mut maps = self.maps.iter();
        maps.find_map(|map| arena::link(map.core().as_any().downcast_ref()?))
    }

    fn packet_load(&self, size: Size) -> Option<HelperFn> {
        helpers::packet_load(size)
    }
}
