//! What the kernel tells a program when it is lowered, and what a run carries.

use core::ffi::c_void;

use panal_isa::Size;

/// A helper or kfunc as machine code calls it: five arguments and the run.
///
/// # Safety
/// The arguments satisfy the helper's signature, as the verifier proved: pointers point to memory
/// of the size and kind that the signature demands, and `run` is the run that calls.
pub type HelperFn =
    unsafe extern "C" fn(r1: u64, r2: u64, r3: u64, r4: u64, r5: u64, run: *mut Run) -> u64;

/// How one access to the context (or a socket) is done in the kernel's own layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextAccess {
    /// At `offset` in the kernel's structure, `size` bytes; then shifted right and zero-extended to
    /// the access's own size.
    Direct {
        /// Bytes into the kernel's structure.
        offset: u32,
        /// What is loaded or stored there.
        size: Size,
        /// Bits to shift the loaded value right.
        shift: u8,
    },
    /// The value of a function of the context's address (rare, computed fields).
    Computed(HelperFn),
    /// Always this value (fields that this kernel does not have).
    Constant(u64),
}

/// What is known of a map when a program is lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapLink {
    /// What helpers get as their map argument.
    pub handle: u64,
    /// Address of the first value, for `Imm64::MapIndexValue` (arrays only, else 0).
    pub values: u64,
    /// Bytes from one element to the next in an array, 0 where lookups cannot be inlined.
    pub stride: u32,
    /// Elements of the array.
    pub max_entries: u32,
}

/// A kfunc's address.
#[derive(Clone, Copy, Debug)]
pub struct KfuncLink {
    /// The function.
    pub function: HelperFn,
}

/// What the kernel tells of itself to the lowering.
pub trait Linkage {
    /// The implementation of a helper; `None` for one that this kernel does not have.
    fn helper(&self, id: u32) -> Option<HelperFn>;
    /// The implementation of a kfunc by BTF id in the kernel's BTF.
    fn kfunc(&self, btf_id: u32) -> Option<KfuncLink>;
    /// A map by its index in the request.
    fn map(&self, index: u32) -> Option<MapLink>;
    /// Address of a kernel variable by BTF id.
    fn variable(&self, btf_id: u32) -> Option<u64>;
    /// How a context access is done; `None` where none is needed: the uapi layout is the kernel's.
    fn context_access(&self, offset: u32, size: Size, write: bool) -> Option<ContextAccess>;
    /// How an access to a socket structure is done, likewise.
    fn socket_access(&self, offset: u32, size: Size, write: bool) -> Option<ContextAccess>;
}

/// One run of a program: made by the kernel for each event, handed to every helper.
#[repr(C)]
pub struct Run {
    /// Steps (interpreter) that may still be taken; the run stops at 0.
    pub budget: u64,
    /// Tail calls that may still be made (Linux: 33).
    pub tail_calls: u32,
    /// The "CPU": index of the thread that runs, for per-CPU maps.
    pub cpu: u32,
    /// Lowest address of the memory that programs may touch (the cage).
    pub cage_base: u64,
    /// Bytes of the cage.
    pub cage_size: u64,
    /// Lowest address of this run's stack, in the cage.
    pub stack: u64,
    /// Bytes of this run's stack.
    pub stack_size: u64,
    /// What the kernel attached to the run: helpers cast it back.
    pub host: *mut c_void,
}
