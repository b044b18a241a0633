//! What can be wrong with an object, where, and whose mistake it is.

use alloc::{string::String, sync::Arc};
use core::fmt;

use panal_btf::BtfError;

/// Whose mistake an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The file: cut short, damaged, or not an object at all.
    File,
    /// The file was built for something that is not supported: another machine, byte order or way
    /// of linking.
    Build,
    /// The source: it asks for something that no loader can give.
    Source,
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Blame::File => "the file is damaged",
            Blame::Build => "built in an unsupported way",
            Blame::Source => "a mistake in the source",
        })
    }
}

/// Where in the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Section.
    pub section: Option<Arc<str>>,
    /// Symbol: program, map or variable.
    pub symbol: Option<Arc<str>>,
    /// Offset in bytes within the section.
    pub offset: Option<u64>,
}

impl Place {
    /// A section as a whole.
    pub fn section(name: impl Into<Arc<str>>) -> Place {
        Place {
            section: Some(name.into()),
            ..Place::default()
        }
    }

    /// The same place, at this symbol.
    #[must_use]
    pub fn symbol(mut self, name: impl Into<Arc<str>>) -> Place {
        self.symbol = Some(name.into());
        self
    }

    /// The same place, at this offset in bytes.
    #[must_use]
    pub fn offset(mut self, offset: u64) -> Place {
        self.offset = Some(offset);
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sep = "";
        if let Some(section) = &self.section {
            write!(f, "section {section}")?;
            sep = ", ";
        }
        if let Some(symbol) = &self.symbol {
            write!(f, "{sep}{symbol}")?;
            sep = ", ";
        }
        if let Some(offset) = self.offset {
            write!(f, "{sep}offset {offset:#x}")?;
        }
        Ok(())
    }
}

/// Why bytes are not an object that can be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub fault: Fault,
}

impl Error {
    pub(crate) fn new(place: Place, fault: Fault) -> Error {
        Error { place, fault }
    }

    /// Whose mistake it is.
    pub fn blame(&self) -> Blame {
        self.fault.blame()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place != Place::default() {
            write!(f, "{}: ", self.place)?;
        }
        write!(f, "{}", self.fault)?;
        if self.blame() == Blame::File && !matches!(self.fault, Fault::NotElf) {
            write!(f, " ({})", Blame::File)?;
        }
        Ok(())
    }
}

impl core::error::Error for Error {}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not an ELF file.
    #[error("not an ELF object file")]
    NotElf,
    /// Something lies outside of the file, or is no whole number of entries.
    #[error("{0}")]
    Elf(&'static str),
    /// An ELF file for another machine.
    #[error("made for machine {0}, not for BPF: compile with -target bpf")]
    Machine(u16),
    /// `-target bpfeb`.
    #[error("big-endian BPF is not supported: compile with -target bpfel")]
    BigEndian,
    /// A 32-bit ELF file.
    #[error("a 32-bit ELF file, BPF objects have 64 bits")]
    Class32,
    /// Not the output of a compiler.
    #[error("ELF type {0}, not a relocatable object: compile with -c")]
    NotRelocatable(u16),
    /// More than can be numbered.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// LLVM bitcode or another thing that `-flto` leaves behind.
    #[error("LLVM bitcode, not an object: compile without -flto")]
    Bitcode,

    /// Code that is no whole number of instructions.
    #[error("code of {0} bytes is no whole number of instructions")]
    CodeSize(u64),
    /// A function outside of its section or within an instruction.
    #[error("function of {size} bytes does not fit its section of {section_size}")]
    FunctionRange {
        /// Bytes of the function.
        size: u64,
        /// Bytes of the section.
        section_size: u64,
    },
    /// Two functions share instructions without being the same.
    #[error("overlaps function {0}")]
    Overlap(Arc<str>),
    /// No symbol says what the code is.
    #[error("code without a function symbol")]
    NoSymbol,

    /// A relocation of a type that clang does not write for BPF code.
    #[error("relocation type {0} is not supported")]
    RelocationType(u32),
    /// A relocation whose symbol does not exist.
    #[error("relocation against symbol {0}, which does not exist")]
    RelocationSymbol(u32),
    /// A relocation of an instruction that takes none.
    #[error("relocation of an instruction with opcode {0:#04x}, which takes none")]
    RelocationOpcode(u8),
    /// A relocation outside of all functions.
    #[error("relocation outside of any function")]
    RelocationOutside,
    /// A reference to something that is not data, a map or a function.
    #[error("refers to section {0}, which holds neither data, maps nor functions")]
    BadTarget(Arc<str>),
    /// A global variable in an arena, without an arena.
    #[error(
        "section {0} has variables of an arena, and no map of type BPF_MAP_TYPE_ARENA is defined"
    )]
    NoArena(Arc<str>),
    /// Variables that do not fit: their bytes, and the arena's.
    #[error("the arena's variables take {0} bytes, and it has {1}")]
    ArenaTooSmall(u64, u64),
    /// Variables of one arena in two sections.
    #[error("the arena has variables in two sections")]
    TwoArenaSections,
    /// A reference into the middle of a map definition.
    #[error("refers to byte {offset:#x} of section {section}, where no map begins")]
    NoMapAt {
        /// The maps' section.
        section: Arc<str>,
        /// Offset in bytes.
        offset: u64,
    },
    /// A reference to code where no function begins.
    #[error("refers to byte {offset:#x} of section {section}, where no function begins")]
    NoFunctionAt {
        /// The code's section.
        section: Arc<str>,
        /// Offset in bytes.
        offset: i64,
    },
    /// A reference beyond the end of a data section.
    #[error("refers to byte {offset:#x} of section {section}, which has {size}")]
    DataOutside {
        /// The data's section.
        section: Arc<str>,
        /// Offset in bytes.
        offset: i64,
        /// Bytes that it has.
        size: u64,
    },
    /// A name that nothing defines.
    #[error("{0} is declared but never defined, and has neither __kconfig nor __ksym")]
    Undefined(Arc<str>),
    /// An external function is used as data, or the other way round.
    #[error("external {0} is used as what it is not: a function is called, a variable is read")]
    ExternUse(Arc<str>),
    /// A tentative definition.
    #[error("{0} is a common symbol: compile without -fcommon")]
    Common(Arc<str>),

    /// A licence that is not text.
    #[error("the licence is not text that ends with a zero byte")]
    License,
    /// A version that is not four bytes.
    #[error("the version has {0} bytes, not 4")]
    Version(u64),

    /// The types are malformed.
    #[error("{0}")]
    Btf(BtfError),
    /// The records on functions, lines and relocations are malformed.
    #[error("{0}")]
    BtfExt(String),
    /// `.maps` without types.
    #[error("maps are defined by types, but there is no .BTF: compile with -g")]
    NoBtf,
    /// A section of variables that the types do not describe.
    #[error("the types do not describe this section")]
    NoDataSec,
    /// A map definition that says nonsense.
    #[error("{attribute}: {fault}")]
    MapAttribute {
        /// `max_entries`
        attribute: Arc<str>,
        /// What is wrong.
        fault: MapFault,
    },
    /// A legacy map definition that is too short.
    #[error("map definition of {0} bytes, at least 16 are needed")]
    LegacyMapSize(u64),
    /// Bytes set that no known field of a legacy map definition has.
    #[error("map definition has values in fields that are not known")]
    LegacyMapFields,
    /// An external variable whose type means no configuration value.
    #[error(
        "a __kconfig variable must be an integer, bool, char, enum libbpf_tristate or an array of char"
    )]
    KconfigType,
    /// A struct_ops variable that is not a structure.
    #[error("a struct_ops variable must be a structure that the types describe")]
    StructOpsType,
}

/// What is wrong with an attribute of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapFault {
    /// Not a name that map definitions know.
    #[error("no such attribute of a map")]
    Unknown,
    /// Not written with `__uint`, `__type`, `__array` or `__ulong`.
    #[error("not written as {0} makes it")]
    Form(&'static str),
    /// A type that has no size, or a size that cannot be.
    #[error("a type without a size")]
    Size,
    /// Given twice, differently.
    #[error("{0} here and {1} elsewhere")]
    Conflict(u32, u32),
    /// Only for maps that hold others.
    #[error("only maps of maps and prog arrays have it")]
    NotForType,
    /// A map within a map within a map.
    #[error("an inner map cannot hold maps")]
    TooDeep,
    /// The definition lacks it.
    #[error("missing")]
    Missing,
    /// Beyond what is allowed.
    #[error("{0} is out of range")]
    Range(u64),
    /// An initialiser that names no map or program.
    #[error("element {0} does not name a map (or, in a prog array, a program)")]
    Element(u32),
}

impl Fault {
    /// Whose mistake it is.
    pub fn blame(&self) -> Blame {
        use Fault::*;
        match self {
            NotElf
            | Elf(_)
            | TooMany(_)
            | CodeSize(_)
            | FunctionRange { .. }
            | Overlap(_)
            | RelocationSymbol(_)
            | RelocationOpcode(_)
            | RelocationOutside
            | NoMapAt { .. }
            | NoFunctionAt { .. }
            | DataOutside { .. }
            | Version(_)
            | Btf(_)
            | BtfExt(_)
            | NoDataSec => Blame::File,
            Machine(_) | BigEndian | Class32 | NotRelocatable(_) | Bitcode | NoSymbol
            | RelocationType(_) | Common(_) | NoBtf => Blame::Build,
            BadTarget(_)
            | NoArena(_)
            | ArenaTooSmall(..)
            | TwoArenaSections
            | Undefined(_)
            | ExternUse(_)
            | License
            | MapAttribute { .. }
            | LegacyMapSize(_)
            | LegacyMapFields
            | KconfigType
            | StructOpsType => Blame::Source,
        }
    }
}
