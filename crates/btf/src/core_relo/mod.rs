//! CO-RE: adapts accesses compiled against one set of types to another, by name.
//!
//! The compiler records what an instruction's immediate or offset stands for ([`CoreRelo`]);
//! [`Relocator::resolve`] finds the same in the target's types and says what the value becomes
//! ([`Resolution`]), which [`Resolution::patch`] writes. The rules of what matches are libbpf's.

mod compat;
mod matching;
mod patch;
mod spec;
mod value;

use alloc::{
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use hashbrown::HashMap;

pub use compat::types_compatible;
pub use patch::{POISON_HELPER, PatchError, Patched};
pub use value::{Resize, Resolution};

use crate::{
    index::essential_name,
    table::Btf,
    types::{KindTag, TypeId},
};
use matching::Match;
use spec::Spec;

/// What a relocated value stands for (`enum bpf_core_relo_kind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum CoreKind {
    /// Offset of a field in bytes.
    FieldByteOffset = 0,
    /// Size of a field in bytes.
    FieldByteSize = 1,
    /// 1 if the field exists, else 0.
    FieldExists = 2,
    /// 1 if the field is signed, else 0.
    FieldSigned = 3,
    /// How far to shift a bitfield left within 64 bits.
    FieldLshiftU64 = 4,
    /// How far to shift it right again.
    FieldRshiftU64 = 5,
    /// Number of the type in the program's BTF.
    TypeIdLocal = 6,
    /// Number of the type in the target's BTF.
    TypeIdTarget = 7,
    /// 1 if the type exists, else 0.
    TypeExists = 8,
    /// Size of the type in bytes.
    TypeSize = 9,
    /// 1 if the enumerator exists, else 0.
    EnumvalExists = 10,
    /// Value of the enumerator.
    EnumvalValue = 11,
    /// 1 if a type of the same shape exists, else 0.
    TypeMatches = 12,
}

/// What the relocations of a kind are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Field,
    Type,
    Enumerator,
}

impl CoreKind {
    /// The kinds by number.
    pub const ALL: [CoreKind; 13] = {
        use CoreKind::*;
        [
            FieldByteOffset,
            FieldByteSize,
            FieldExists,
            FieldSigned,
            FieldLshiftU64,
            FieldRshiftU64,
            TypeIdLocal,
            TypeIdTarget,
            TypeExists,
            TypeSize,
            EnumvalExists,
            EnumvalValue,
            TypeMatches,
        ]
    };

    /// The kind of this number (`BPF_CORE_*`).
    pub fn from_number(number: u32) -> Option<CoreKind> {
        CoreKind::ALL.get(number as usize).copied()
    }

    /// As libbpf's messages name it.
    pub const fn name(self) -> &'static str {
        match self {
            CoreKind::FieldByteOffset => "byte_off",
            CoreKind::FieldByteSize => "byte_sz",
            CoreKind::FieldExists => "field_exists",
            CoreKind::FieldSigned => "signed",
            CoreKind::FieldLshiftU64 => "lshift_u64",
            CoreKind::FieldRshiftU64 => "rshift_u64",
            CoreKind::TypeIdLocal => "local_type_id",
            CoreKind::TypeIdTarget => "target_type_id",
            CoreKind::TypeExists => "type_exists",
            CoreKind::TypeSize => "type_size",
            CoreKind::EnumvalExists => "enumval_exists",
            CoreKind::EnumvalValue => "enumval_value",
            CoreKind::TypeMatches => "type_matches",
        }
    }

    const fn subject(self) -> Subject {
        use CoreKind::*;
        match self {
            FieldByteOffset | FieldByteSize | FieldExists | FieldSigned | FieldLshiftU64
            | FieldRshiftU64 => Subject::Field,
            TypeIdLocal | TypeIdTarget | TypeExists | TypeSize | TypeMatches => Subject::Type,
            EnumvalExists | EnumvalValue => Subject::Enumerator,
        }
    }
}

impl core::fmt::Display for CoreKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// One relocation, as the compiler recorded it (`struct bpf_core_relo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreRelo {
    /// Offset in bytes of the instruction within the program section.
    pub offset: u32,
    /// The type at which the access begins, in the program's BTF.
    pub ty: TypeId,
    /// The way to the field, `0:1:2`: array index, member, element, ...; for enumerators the
    /// index of the value, for types `0`.
    pub access: Arc<str>,
    /// What the value stands for.
    pub kind: CoreKind,
}

/// Why a relocation has no answer. (That a field or type is missing is an answer:
/// [`Resolution::value`] is `None` then.)
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("CO-RE relocation {relocation}: {fault}")]
pub struct CoreError {
    /// What was to be relocated.
    pub relocation: String,
    /// What is wrong.
    pub fault: CoreFault,
}

/// What is wrong with a relocation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoreFault {
    /// The access string cannot be parsed or does not fit the type.
    #[error("the object's access string is invalid: {0}")]
    Access(&'static str),
    /// There is nothing to search by.
    #[error("the type has no name")]
    Anonymous,
    /// Several types of the target match and disagree.
    #[error("ambiguous in the target: {first} or {second}")]
    Ambiguous {
        /// What one of them says.
        first: String,
        /// What another says.
        second: String,
    },
    /// The kind of relocation cannot be asked of an array's element.
    #[error("cannot be asked of an array element")]
    ArrayElement,
    /// A bitfield that no load of up to 8 bytes covers.
    #[error("the bitfield does not fit a load of 8 bytes")]
    Bitfield,
    /// A type without a size.
    #[error("the type has no size")]
    NoSize,
    /// Types nested or repeated so that comparing them has no end in sight.
    #[error("the types are too deeply nested to be compared")]
    TooComplex,
}

/// Resolves the relocations of one object against one target.
pub struct Relocator<'a> {
    local: &'a Btf,
    target: &'a Btf,
    modules: &'a [Arc<Btf>],
    candidates: HashMap<TypeId, Arc<[Candidate<'a>]>>,
}

/// A type of the target that may be meant.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    btf: &'a Btf,
    id: TypeId,
}

impl<'a> Relocator<'a> {
    /// Relocates programs with the types `local` for a kernel with the types `target`.
    pub fn new(local: &'a Btf, target: &'a Btf) -> Relocator<'a> {
        Relocator {
            local,
            target,
            modules: &[],
            candidates: HashMap::new(),
        }
    }

    /// Searches these too, for types that the kernel itself does not have.
    pub fn with_modules(self, modules: &'a [Arc<Btf>]) -> Relocator<'a> {
        Relocator { modules, ..self }
    }

    /// What the value becomes.
    pub fn resolve(&mut self, relo: &CoreRelo) -> Result<Resolution, CoreError> {
        self.try_resolve(relo).map_err(|fault| CoreError {
            relocation: self.describe(relo),
            fault,
        })
    }

    /// The relocation for people: `<byte_off> [7] struct task_struct.pid (0:2 @ offset 8)`.
    pub fn describe(&self, relo: &CoreRelo) -> String {
        match Spec::parse(self.local, relo) {
            Ok(spec) => spec.to_string(),
            Err(_) => {
                let name = self.local.name(relo.ty);
                alloc::format!("<{}> {} {name} + {}", relo.kind, relo.ty, relo.access)
            }
        }
    }

    fn try_resolve(&mut self, relo: &CoreRelo) -> Result<Resolution, CoreFault> {
        let local = Spec::parse(self.local, relo)?;
        if relo.kind == CoreKind::TypeIdLocal {
            return Ok(Resolution::local_type(relo.ty));
        }
        let candidates = self.candidates(relo.ty)?;
        let mut found: Option<(Spec<'a>, Resolution)> = None;
        for candidate in candidates.iter() {
            let Match::Yes(spec) = local.find_in(candidate.btf, candidate.id)? else {
                continue;
            };
            let resolution = Resolution::of(&local, Some(&spec))?;
            match &found {
                None => found = Some((spec, resolution)),
                Some((first, before)) => {
                    let same =
                        first.bit_offset == spec.bit_offset && before.value == resolution.value;
                    if !same {
                        let (first, second) = (first.to_string(), spec.to_string());
                        return Err(CoreFault::Ambiguous { first, second });
                    }
                }
            }
        }
        match found {
            Some((_, resolution)) => Ok(resolution),
            None => Resolution::of(&local, None),
        }
    }

    /// The types of the same kind and name, flavours (`___x`) aside.
    fn candidates(&mut self, id: TypeId) -> Result<Arc<[Candidate<'a>]>, CoreFault> {
        if let Some(candidates) = self.candidates.get(&id) {
            return Ok(candidates.clone());
        }
        let local = self.local.get_or_void(id);
        if local.name.is_empty() {
            return Err(CoreFault::Anonymous);
        }
        let name = essential_name(&local.name);
        let kind = local.kind.tag();
        let search = |btf: &'a Btf| -> Vec<Candidate<'a>> {
            btf.flavours(name)
                .filter(|(_, ty)| same_kind(ty.kind.tag(), kind))
                .map(|(id, _)| Candidate { btf, id })
                .collect()
        };
        let mut found = search(self.target);
        if found.is_empty() {
            found = self
                .modules
                .iter()
                .flat_map(|module| search(module))
                .collect();
        }
        let found: Arc<[Candidate<'a>]> = found.into();
        self.candidates.insert(id, found.clone());
        Ok(found)
    }
}

/// Kinds that may stand for each other: equal ones, and enumerations of either width.
fn same_kind(a: KindTag, b: KindTag) -> bool {
    let narrow = |kind| {
        if kind == KindTag::Enum64 {
            KindTag::Enum
        } else {
            kind
        }
    };
    narrow(a) == narrow(b)
}
