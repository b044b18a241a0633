//! What programs reach arenas by: where each access is made.

use panal_isa::Size;
use panal_maps::Arena;
use panal_vm::{ArenaLink, HelperFn, Run};

/// `BPF_F_NO_USER_CONV`: pointers are left as programs have them.
const NO_USER_CONV: u32 = 1 << 18;

/// An arena, for the programs that have it among their maps.
pub(crate) fn link(arena: &Arena) -> Option<ArenaLink> {
    let flags = panal_maps::Map::base(arena).def().flags.bits();
    Some(ArenaLink {
        user_base: (flags & NO_USER_CONV == 0).then(|| arena.user_base()),
        arena: (&raw const *arena) as u64,
        place,
    })
}

fn place(size: Size, write: bool) -> HelperFn {
    match (size, write) {
        (Size::B, false) => access::<1, false>,
        (Size::H, false) => access::<2, false>,
        (Size::W, false) => access::<4, false>,
        (Size::DW, false) => access::<8, false>,
        (Size::B, true) => access::<1, true>,
        (Size::H, true) => access::<2, true>,
        (Size::W, true) => access::<4, true>,
        (Size::DW, true) => access::<8, true>,
    }
}

unsafe extern "C" fn access<const LEN: u64, const WRITE: bool>(
    pointer: u64,
    arena: u64,
    offset: u64,
    _: u64,
    _: u64,
    _: *mut Run,
) -> u64 {
    // SAFETY: the lowering wrote the address of an arena among the program's maps, which live as
    // long as the program and its runs.
    let arena = unsafe { &*(arena as *const Arena) };
    arena.place(pointer, offset as i64, LEN, WRITE)
}
