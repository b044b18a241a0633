//! A profile says which kernel is meant: what it offers, what it forbids, how much it allows.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    sync::Arc,
};

use panal_btf::Btf;

use crate::{
    AttachType, Capabilities, MapType, ProgType,
    helpers::{self, HelperSet},
    instructions::InstructionGroup,
    kfuncs,
    program_types::{self, Situation},
};

/// The kernel that a program is verified for.
#[derive(Clone, Debug)]
pub struct Profile {
    /// `panal`, `linux-6.18`, …
    pub name: String,
    /// `LINUX_VERSION_CODE`: which rules of Linux's verifier apply where they changed.
    pub version: u32,
    /// The kernel's own types.
    pub btf: Arc<Btf>,
    /// Limits.
    pub limits: Limits,
    /// What the loader may do; with less than all, the rules are stricter.
    pub capabilities: Capabilities,
    /// What the kernel said that it has. Where it was not asked, its version says.
    pub offers: Offers,
}

/// What a kernel has, as it answered. What is missing here was not asked, or not answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// Program types.
    pub prog_types: BTreeMap<ProgType, bool>,
    /// Map types.
    pub map_types: BTreeMap<MapType, bool>,
    /// Groups of instructions.
    pub instructions: BTreeMap<InstructionGroup, bool>,
    /// The helpers that programs of a type may call when they are loaded with the attach type of
    /// [`asked_with`].
    pub helpers: BTreeMap<ProgType, HelperSet>,
    /// The kernel functions that programs may call.
    pub kfuncs: Option<BTreeSet<String>>,
}

/// The attach type with which a kernel is asked about the helpers of a program type.
pub const fn asked_with(prog_type: ProgType) -> Option<AttachType> {
    match prog_type {
        ProgType::CgroupSkb => Some(AttachType::CgroupInetIngress),
        ProgType::CgroupSock => Some(AttachType::CgroupInetSockCreate),
        ProgType::CgroupSockAddr => Some(AttachType::CgroupInet4Connect),
        ProgType::CgroupSockopt => Some(AttachType::CgroupGetsockopt),
        ProgType::CgroupDevice => Some(AttachType::CgroupDevice),
        ProgType::CgroupSysctl => Some(AttachType::CgroupSysctl),
        ProgType::SockOps => Some(AttachType::CgroupSockOps),
        ProgType::SkLookup => Some(AttachType::SkLookup),
        ProgType::SkReuseport => Some(AttachType::SkReuseportSelect),
        ProgType::FlowDissector => Some(AttachType::FlowDissector),
        ProgType::LircMode2 => Some(AttachType::LircMode2),
        ProgType::Netfilter => Some(AttachType::Netfilter),
        ProgType::Tracing => Some(AttachType::TraceRawTp),
        ProgType::Lsm => Some(AttachType::LsmMac),
        ProgType::Xdp => Some(AttachType::Xdp),
        _ => None,
    }
}

/// Whether a version of Linux is at least this one.
pub const fn at_least(version: u32, (major, minor): (u8, u8)) -> bool {
    version >= (major as u32) << 16 | (minor as u32) << 8
}

impl Profile {
    /// A kernel of which only version and types are known, asked with every capability.
    pub fn new(name: impl Into<String>, version: u32, btf: Arc<Btf>) -> Profile {
        Profile {
            name: name.into(),
            version,
            btf,
            limits: Limits::LINUX,
            capabilities: Capabilities::all(),
            offers: Offers::default(),
        }
    }

    /// The same on a machine with so many CPUs; 0 where that is not known.
    pub fn with_cpus(mut self, cpus: u32) -> Profile {
        if cpus != 0 {
            self.limits.cpus = cpus;
        }
        self
    }

    /// Instructions that a program may have: without `CAP_BPF` as many as a classic filter
    /// (`BPF_MAXINSNS`).
    pub fn max_instructions(&self) -> u32 {
        if self.capabilities.contains(Capabilities::BPF) {
            self.limits.instructions
        } else {
            self.limits.instructions.min(BPF_MAXINSNS)
        }
    }

    /// Whether it has programs of a type.
    pub fn has_prog_type(&self, prog_type: ProgType) -> bool {
        let said = self.offers.prog_types.get(&prog_type).copied();
        said.unwrap_or_else(|| at_least(self.version, prog_type.since()))
    }

    /// Whether it has maps of a type.
    pub fn has_map_type(&self, map_type: MapType) -> bool {
        let said = self.offers.map_types.get(&map_type).copied();
        said.unwrap_or_else(|| at_least(self.version, map_type.since()))
    }

    /// Whether it has a group of instructions.
    pub fn has_instructions(&self, group: InstructionGroup) -> bool {
        let said = self.offers.instructions.get(&group).copied();
        said.unwrap_or_else(|| at_least(self.version, group.since()))
    }

    /// Whether programs of a type, loaded as `situation` says, may call a helper.
    pub fn has_helper(&self, prog_type: ProgType, id: u32, situation: &Situation) -> bool {
        let (Some(helper), Some(rules)) = (helpers::by_id(id), program_types::by_type(prog_type))
        else {
            return false;
        };
        // What the newest kernel allows, to tell a kernel's lack from a rule about attach types.
        let newest = Situation {
            version: u32::MAX,
            ..*situation
        };
        let asked = Situation {
            attach_type: asked_with(prog_type),
            ..newest
        };
        match self.offers.helpers.get(&prog_type) {
            Some(said) if said.contains(id) => rules.allows_helper(id, &newest),
            Some(_)
                if self.capabilities == Capabilities::all() && rules.allows_helper(id, &asked) =>
            {
                false
            }
            _ => at_least(self.version, helper.since) && rules.allows_helper(id, situation),
        }
    }

    /// Whether it has a kernel function that programs may call. Which programs may stands in
    /// [`kfuncs`].
    pub fn has_kfunc(&self, name: &str) -> bool {
        match &self.offers.kfuncs {
            Some(said) => said.contains(name),
            None => kfuncs::by_name(name).is_some_and(|k| at_least(self.version, k.since)),
        }
    }
}

/// Instructions of a classic filter at most, and of programs without `CAP_BPF` or before 5.2.
pub const BPF_MAXINSNS: u32 = 4096;

/// Most rounds of a loop that the kernel makes for a program: of `bpf_loop`, of `bpf_for`, and of one by
/// `may_goto` in one frame.
pub const BPF_MAX_LOOPS: u32 = 8 << 20;

/// Bounds on effort and size (`BPF_COMPLEXITY_LIMIT_*` and relatives).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Instructions in a program.
    pub instructions: u32,
    /// Instructions processed along all paths.
    pub processed: u64,
    /// Branches that wait.
    pub jump_sequence: u32,
    /// Bytes of stack of all frames together.
    pub stack: u32,
    /// Nested calls.
    pub frames: u32,
    /// Subprograms.
    pub subprograms: u32,
    /// CPUs: what `bpf_get_smp_processor_id` gives is less. Linux knows those of its machine.
    pub cpus: u32,
}

impl Limits {
    /// What a privileged loader gets from Linux since 5.2.
    pub const LINUX: Limits = Limits {
        instructions: 1_000_000,
        processed: 1_000_000,
        jump_sequence: 8192,
        stack: 512,
        frames: 8,
        subprograms: 256,
        cpus: 8192,
    };
}
