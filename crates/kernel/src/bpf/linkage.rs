//! What the lowering of a program asks of the kernel.

use std::{cell::OnceCell, sync::Arc};

use panal_btf::{Btf, TypeId};
use panal_isa::Size;
use panal_uapi::ProgType;
use panal_vm::{
    ArenaLink, ContextAccess, HelperFn, Inline, KfuncLink, Linkage, MapHelper, MapLink, TailCallFn,
};

use crate::{
    arena, helpers, kfuncs,
    maps::Map,
    program_types,
    ticks::{Ticking, Ticks},
};

pub(super) struct ProgramLinkage<'a> {
    pub prog_type: ProgType,
    pub maps: &'a [Arc<Map>],
    /// The kernel's types, which give kfuncs their numbers.
    pub btf: &'a Btf,
    pub ticks: &'a Ticks,
    /// What the program needs to find jiffies in their word.
    pub ticking: OnceCell<Option<Arc<Ticking>>>,
}

impl Linkage for ProgramLinkage<'_> {
    fn helper(&self, id: u32) -> Option<HelperFn> {
        helpers::implementation(id)
    }

    fn inline(&self, id: u32) -> Option<Inline> {
        let inline = helpers::inline(id, self.prog_type)?;
        let needs_ticks = inline == Inline::Ticks;
        (!needs_ticks || self.ticking.get_or_init(|| self.ticks.hold()).is_some()).then_some(inline)
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

    fn tail_call_in(&self, map: u32) -> Option<(TailCallFn, u64)> {
        helpers::tail_call::known(self.maps.get(map as usize)?)
    }

    fn arena(&self) -> Option<ArenaLink> {
        let mut maps = self.maps.iter();
        maps.find_map(|map| arena::link(map.core().as_any().downcast_ref()?))
    }

    fn packet_load(&self, size: Size) -> Option<HelperFn> {
        helpers::packet_load(size)
    }
}
