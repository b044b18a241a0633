//! What the verifier is asked.

use alloc::{boxed::Box, string::String, sync::Arc};

use panal_btf::{Btf, TypeId};
use panal_isa::Slot;
use panal_uapi::{
    AttachType, MapType, ProgType,
    kernel::{FuncInfo, LineInfo, MapFlags, ProgFlags, VerifierStats},
    profile::Profile,
    report::Rejection,
};

use crate::Proof;

/// A map as far as the verifier must know it.
#[derive(Clone, Debug)]
pub struct MapDescription {
    /// For messages.
    pub name: Arc<str>,
    /// What it is.
    pub map_type: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Capacity.
    pub max_entries: u32,
    /// Flags: which side may write.
    pub flags: MapFlags,
    /// `map_extra`
    pub extra: u64,
    /// BTF with the ids of key and value type: where spin locks, timers, kptrs are found.
    pub types: Option<(Arc<Btf>, TypeId, TypeId)>,
    /// The inner maps' template.
    pub inner: Option<Box<MapDescription>>,
    /// Contents of a frozen, program-read-only array: loads from it give known values.
    pub frozen: Option<Arc<[u8]>>,
    /// Identity of the map object, so that two descriptions of one map are known as one.
    pub id: u32,
}

/// Types of the program itself.
#[derive(Clone, Copy, Debug)]
pub struct ProgramTypes<'a> {
    /// BTF of the object.
    pub btf: &'a Arc<Btf>,
    /// Where functions begin, by slot.
    pub funcs: &'a [FuncInfo],
    /// Where source lines begin, by slot.
    pub lines: &'a [LineInfo],
}

/// To what a program is tied at load time.
#[derive(Clone, Debug)]
pub enum Tied {
    /// A type of the kernel's BTF.
    Kernel(TypeId),
    /// A function of another program, already loaded.
    Program {
        /// That program's types.
        btf: Arc<Btf>,
        /// The function (`BTF_KIND_FUNC`).
        function: TypeId,
        /// That program's type.
        prog_type: ProgType,
    },
}

/// A program, and the kernel that it is meant for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// For messages.
    pub name: &'a str,
    /// Instructions. Map references are [`panal_isa::Imm64::MapIndex`] and
    /// [`panal_isa::Imm64::MapIndexValue`] into `maps`: the kernel has resolved descriptors.
    pub code: &'a [Slot],
    /// What it may do.
    pub prog_type: ProgType,
    /// Where it will be attached.
    pub attach_type: Option<AttachType>,
    /// To what it is tied.
    pub tied: Option<Tied>,
    /// Whether its licence is compatible with the GPL.
    pub gpl: bool,
    /// Flags of the load.
    pub flags: ProgFlags,
    /// Maps that instructions name.
    pub maps: &'a [MapDescription],
    /// Its own types.
    pub types: Option<ProgramTypes<'a>>,
    /// Which kernel is meant.
    pub profile: &'a Profile,
    /// As in `bpf_attr.log_level`.
    pub log_level: u32,
    /// Nanoseconds of a clock that never goes back, for [`VerifierStats::time_ns`]: how long the
    /// verdict took, without its explanation.
    pub clock: Option<fn() -> u64>,
}

/// The verifier's answer.
#[derive(Debug)]
pub struct Outcome {
    /// The proof, or why there is none.
    pub result: Result<Proof, Box<Rejection>>,
    /// What was counted.
    pub stats: VerifierStats,
    /// The log in Linux's manner; empty at level 0.
    pub log: String,
}
