//! What the kernel tells a program when it is lowered.

use panal_isa::Size;

use crate::{Executable, Run, RunWord};

/// A helper or kfunc as machine code calls it: five arguments and the run.
///
/// # Safety
/// The arguments satisfy the helper's signature, as the verifier proved: pointers point to memory
/// of the size and kind that the signature demands, and `run` is the run that calls. A helper that
/// wants the second wall too asks [`Run::contains`] before it follows a pointer.
pub type HelperFn =
    unsafe extern "C" fn(r1: u64, r2: u64, r3: u64, r4: u64, r5: u64, run: *mut Run) -> u64;

/// Finds the program behind `bpf_tail_call(ctx, map, index)`: null when there is none. Counting
/// calls is the engine's work.
///
/// # Safety
/// `run` is the run that calls. The executable returned lives until the run has ended.
pub type TailCallFn =
    unsafe extern "C" fn(ctx: u64, map: u64, index: u64, run: *mut Run) -> *const Executable;

/// How one access to the context (or a socket) is done in the kernel's own layout.
#[derive(Clone, Copy, Debug)]
pub enum ContextAccess {
    /// At `offset` in the kernel's structure, `size` bytes; then shifted right and cut to the
    /// access's own size. A store writes `size` bytes, zero-extended (`shift` must be 0).
    Direct {
        /// Bytes into the kernel's structure.
        offset: u32,
        /// What is loaded or stored there.
        size: Size,
        /// Bits to shift the loaded value right.
        shift: u8,
    },
    /// A pointer of eight bytes at `offset` in the kernel's structure, whatever the access's size:
    /// `data` of `struct xdp_md` is a `u32` in the uapi and a pointer in a register.
    Pointer {
        /// Bytes into the kernel's structure.
        offset: u32,
    },
    /// The value of a function of the context's address (rare, computed fields). For a store, the
    /// function's second argument is the value. The result is cut to the access's size.
    Computed(HelperFn),
    /// Always this value (fields that this kernel does not have); stores do nothing.
    Constant(u64),
}

/// What is known of a map when a program is lowered.
#[derive(Clone, Copy, Debug)]
pub struct MapLink {
    /// What helpers get as their map argument.
    pub handle: u64,
    /// Address of the first value, for `Imm64::MapIndexValue` (arrays only, else 0).
    pub values: u64,
    /// Bytes of a key.
    pub key: u32,
    /// Where values are looked up by an index; `None`: by a helper.
    pub indexed: Option<IndexedValues>,
    /// Where handles of inner maps are looked up by an index, and read; 0 where there is none.
    pub handles: Option<IndexedValues>,
    /// What all of its inner maps have in common, where they are arrays.
    pub inner: Option<InnerArray>,
    /// Bytes of a value of `indexed` where those are all that it is: updates may copy them.
    pub plain: Option<u32>,
    /// How many CPUs have values of their own, if they do.
    pub cpus: u32,
}

/// An array that is known by its handle only: an inner map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InnerArray {
    /// Bytes from the handle to where the address of the first value stands.
    pub first_at: i32,
    /// Bytes from the handle to where their number stands, of 32 bits.
    pub count_at: i32,
    /// Bytes from one value to the next.
    pub stride: u32,
}

/// A helper whose map is known when a program is loaded.
#[derive(Clone, Copy, Debug)]
pub struct MapHelper {
    /// The function.
    pub function: HelperFn,
    /// Its first argument, in place of the map.
    pub data: u64,
    /// The same with the key in registers: for a key in the program's own frame.
    pub by_value: Option<KeyByValue>,
}

/// A helper that gets a key's bytes in place of their address. A key that was just written in several
/// pieces is not in memory yet: read in the same pieces, nobody waits for it.
#[derive(Clone, Copy, Debug)]
pub struct KeyByValue {
    /// The function.
    pub function: HelperFn,
    /// Bytes of the key.
    pub size: u32,
    /// Which arguments (2 to 5) have its words of eight bytes, the first byte lowest. What is
    /// beyond the key's end is 0.
    pub arguments: &'static [u8],
}

/// What a helper does that needs no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inline {
    /// Returns what the run knows of its surroundings.
    OfRun(RunWord),
    /// Returns the word that [`RunWord::Ticks`] leads to.
    Ticks,
    /// Returns the field of 32 bits at this place of the context in the first argument. Where that is
    /// 0 it is called. Helpers alone.
    Field {
        /// Bytes into the context.
        at: u32,
    },
    /// Returns a word behind a pointer in the context that is the first argument; 0 where that is null.
    Behind {
        /// Bytes into the context: where the pointer stands.
        pointer: u32,
        /// Bytes from where it leads.
        at: u32,
    },
    /// Returns how many bytes the packet has that the context in the first argument describes.
    PacketLen {
        /// Bytes into the context: where the packet begins, and where it ends.
        bounds: u32,
    },
    /// Returns this number.
    Constant(u64),
    /// `bpf_iter_num_new`: eight bytes have the number in front of the next one, and the end.
    NumbersNew,
    /// `bpf_iter_num_next`
    NumbersNext,
    /// `bpf_iter_num_destroy`
    NumbersDestroy,
    /// `bpf_dynptr_from_skb`, `bpf_dynptr_from_xdp` of the program's own context.
    DynptrOfPacket {
        /// Bytes into the context: where the packet begins, and where it ends.
        bounds: u32,
        /// What the dynptr says of itself beside its size ([`crate::dynptr`]).
        marks: u32,
    },
    /// `bpf_dynptr_slice`; to be written, too, if `write`: `bpf_dynptr_slice_rdwr`.
    DynptrSlice {
        /// Only where the dynptr may be written.
        write: bool,
    },
    /// `bpf_dynptr_data`
    DynptrData,
    /// `bpf_dynptr_size`
    DynptrSize,
    /// `bpf_dynptr_clone`
    DynptrClone,
}

/// Values side by side, by an index of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedValues {
    /// Address of the first.
    pub first: u64,
    /// Bytes from one to the next.
    pub stride: u32,
    /// How many there are.
    pub count: u32,
    /// Bytes from the values of a CPU to those of the next; 0 where all CPUs share them.
    pub plane: u32,
}

/// A kfunc's address.
#[derive(Clone, Copy, Debug)]
pub enum KfuncLink {
    /// It is called.
    Called(HelperFn),
    /// It is called, and calls no function of the program.
    Leaf(HelperFn),
    /// It is written out in place of a call.
    Inline(Inline),
}

/// An arena.
#[derive(Clone, Copy, Debug)]
pub struct ArenaLink {
    /// Address in user space; its upper half counts. `None`: pointers are not made to be user
    /// space's.
    pub user_base: Option<u64>,
    /// What the function gets as its second argument.
    pub arena: u64,
    /// The function that says where an access of a size is made, reading or writing. Its first
    /// argument is a pointer, of which the low half counts, its third is how many bytes from there
    /// (signed); its answer lies in the cage.
    pub place: fn(Size, bool) -> HelperFn,
}

/// What the kernel tells of itself to the lowering.
pub trait Linkage {
    /// The implementation of a helper; `None` for one that this kernel does not have.
    fn helper(&self, id: u32) -> Option<HelperFn> {
        let _ = id;
        None
    }
    /// What a helper does, where no call is needed for it.
    fn inline(&self, id: u32) -> Option<Inline> {
        let _ = id;
        None
    }
    /// A helper on a map, by its index in the request; `None` where it is called as for any map.
    fn map_helper(&self, id: u32, map: u32) -> Option<MapHelper> {
        let _ = (id, map);
        None
    }
    /// A helper on an inner map of a map, by that one's index in the request; `None` where it is called
    /// as for any map.
    fn inner_helper(&self, id: u32, outer: u32) -> Option<HelperFn> {
        let _ = (id, outer);
        None
    }
    /// The implementation of a kfunc by BTF id in the kernel's BTF.
    fn kfunc(&self, btf_id: u32) -> Option<KfuncLink> {
        let _ = btf_id;
        None
    }
    /// A map by its index in the request.
    fn map(&self, index: u32) -> Option<MapLink> {
        let _ = index;
        None
    }
    /// Address of a kernel variable by BTF id.
    fn variable(&self, btf_id: u32) -> Option<u64> {
        let _ = btf_id;
        None
    }
    /// How a context access is done; `None` where none is needed: the uapi layout is the kernel's.
    fn context_access(&self, offset: u32, size: Size, write: bool) -> Option<ContextAccess> {
        let _ = (offset, size, write);
        None
    }
    /// How an access to a socket structure is done, likewise.
    fn socket_access(&self, offset: u32, size: Size, write: bool) -> Option<ContextAccess> {
        let _ = (offset, size, write);
        None
    }
    /// Finds tail calls' targets; `None` in a kernel without them.
    fn tail_call(&self) -> Option<TailCallFn> {
        None
    }
    /// The same of the array with this index in the request, and what it gets in place of the map.
    fn tail_call_in(&self, map: u32) -> Option<(TailCallFn, u64)> {
        let _ = map;
        None
    }
    /// Loads packet bytes for the legacy instructions: called with the context and the offset
    /// (signed), gives the value in host order, or a negative number outside the packet: the
    /// program then ends with 0.
    fn packet_load(&self, size: Size) -> Option<HelperFn> {
        let _ = size;
        None
    }
    /// The program's arena.
    fn arena(&self) -> Option<ArenaLink> {
        None
    }
}
