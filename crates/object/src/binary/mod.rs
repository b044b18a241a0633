//! Programs and libraries of user space: where their functions and probes are in the file.
//!
//! Probes are set by offset in the file, whatever address the file is loaded at.

mod arguments;
mod probes;

use alloc::{borrow::ToOwned, boxed::Box, string::String, vec::Vec};

use object::{
    Endianness,
    elf::{self, FileHeader32, FileHeader64},
    read::elf::{FileHeader, ProgramHeader, SectionTable, Sym},
};

pub use arguments::{ArgumentError, ProbeArgument, ProbePlace, probe_arguments};
pub use probes::Probe;

/// More symbols than any linker writes would only cost memory.
const MAX_SYMBOLS: usize = 1 << 24;

/// A program or library.
#[derive(Clone, Debug)]
pub struct Binary {
    functions: Vec<BinaryFunction>,
    probes: Vec<Probe>,
    position_independent: bool,
}

/// A function that a symbol names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinaryFunction {
    /// Its name, as linkers have it.
    pub name: Box<str>,
    /// Its version, for functions of libraries that have several (`GLIBC_2.2.5`).
    pub version: Option<Box<str>>,
    /// Whether it is the one that is meant without a version.
    pub is_default: bool,
    /// How other files see it.
    pub binding: Binding,
    /// Where it begins, in bytes from the start of the file.
    pub offset: u64,
    /// Bytes of its code; 0 when the symbol does not tell.
    pub size: u64,
    /// Whether it only chooses the function that is meant, when the file is loaded
    /// (`STT_GNU_IFUNC`).
    pub chooses: bool,
}

/// How strong a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Binding {
    /// Only within a source file.
    Local,
    /// Gives way to a global one.
    Weak,
    /// Seen everywhere.
    Global,
}

/// Why a file tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BinaryError {
    /// Not an ELF file.
    #[error("not a program or library: it does not begin as an ELF file")]
    NotElf,
    /// It is one, but relocatable or a core.
    #[error("neither a program nor a library (an object file or a core)")]
    NotLinked,
    /// Its tables contradict each other or the file's size.
    #[error("damaged: {0}")]
    Damaged(&'static str),
}

/// Why a name does not say where a function is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// No symbol has that name.
    #[error("it has no function {0}")]
    Missing(String),
    /// The linker chooses one of several when the program starts.
    #[error(
        "{0} is only a choice among functions that is made when it is loaded: name one of those"
    )]
    Indirect(String),
    /// Several functions have it.
    #[error("{count} different functions are called {name}: say which by its offset in the file")]
    Ambiguous {
        /// The name.
        name: String,
        /// How many there are.
        count: usize,
    },
}

impl Binary {
    /// Reads a file's symbols and probes.
    pub fn parse(bytes: &[u8]) -> Result<Binary, BinaryError> {
        match bytes {
            [0x7f, b'E', b'L', b'F', 1, ..] => read::<FileHeader32<Endianness>>(bytes),
            [0x7f, b'E', b'L', b'F', 2, ..] => read::<FileHeader64<Endianness>>(bytes),
            _ => Err(BinaryError::NotElf),
        }
    }

    /// Every function that has a symbol.
    pub fn functions(&self) -> &[BinaryFunction] {
        &self.functions
    }

    /// Every probe that `<sys/sdt.h>` left a note of.
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// Whether it is loaded at any address (`ET_DYN`).
    pub fn is_position_independent(&self) -> bool {
        self.position_independent
    }

    /// Where a function begins in the file. The name may carry a version: `memcpy@GLIBC_2.14`.
    pub fn find(&self, name: &str) -> Result<u64, FindError> {
        let (plain, version) = match name.split_once('@') {
            Some((plain, version)) => (plain, Some(version.trim_start_matches('@'))),
            None => (name, None),
        };
        let fits = |function: &&BinaryFunction| {
            &*function.name == plain
                && match version {
                    Some(version) => function.version.as_deref() == Some(version),
                    None => true,
                }
        };
        let candidates: Vec<_> = self.functions.iter().filter(fits).collect();
        let strongest = |function: &&&BinaryFunction| (function.is_default, function.binding);
        let Some(best) = candidates.iter().max_by_key(strongest) else {
            return Err(FindError::Missing(name.to_owned()));
        };
        if best.chooses {
            return Err(FindError::Indirect(name.to_owned()));
        }
        let mut offsets: Vec<u64> = candidates
            .iter()
            .filter(|f| strongest(f) == strongest(&best))
            .map(|f| f.offset)
            .collect();
        offsets.sort_unstable();
        offsets.dedup();
        match offsets[..] {
            [offset] => Ok(offset),
            _ => Err(FindError::Ambiguous {
                name: name.to_owned(),
                count: offsets.len(),
            }),
        }
    }
}

/// What is loaded from where in the file.
pub(super) struct Loads(Vec<Load>);

struct Load {
    address: u64,
    offset: u64,
    size: u64,
}

impl Loads {
    /// Where in the file stands what is loaded at this address.
    pub(super) fn offset(&self, address: u64) -> Option<u64> {
        self.0.iter().find_map(|load| {
            let within = address.checked_sub(load.address)?;
            (within < load.size).then(|| load.offset.checked_add(within))?
        })
    }
}

fn read<E: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Result<Binary, BinaryError> {
    let damaged = |what| move |_| BinaryError::Damaged(what);
    let header = E::parse(bytes).map_err(damaged("the header is cut short"))?;
    let endian = header
        .endian()
        .map_err(damaged("the byte order is unknown"))?;
    let kind = header.e_type(endian);
    if kind != elf::ET_EXEC && kind != elf::ET_DYN {
        return Err(BinaryError::NotLinked);
    }
    let segments = header.program_headers(endian, bytes);
    let segments = segments.map_err(damaged("the table of segments lies outside of the file"))?;
    let loads = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
        .map(|segment| Load {
            address: segment.p_vaddr(endian).into(),
            offset: segment.p_offset(endian).into(),
            size: segment.p_filesz(endian).into(),
        });
    let loads = Loads(loads.collect());
    let sections = header.sections(endian, bytes);
    let sections = sections.map_err(damaged("the table of sections lies outside of the file"))?;
    let mut functions = Vec::new();
    for table in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
        symbols(&sections, endian, bytes, table, &loads, &mut functions)?;
    }
    let probes = probes::read(&sections, endian, bytes, &loads)?;
    Ok(Binary {
        functions,
        probes,
        position_independent: kind == elf::ET_DYN,
    })
}

fn symbols<E: FileHeader<Endian = Endianness>>(
    sections: &SectionTable<'_, E>,
    endian: Endianness,
    bytes: &[u8],
    kind: elf::SectionType,
    loads: &Loads,
    functions: &mut Vec<BinaryFunction>,
) -> Result<(), BinaryError> {
    let outside = |_| BinaryError::Damaged("a symbol table lies outside of the file");
    let table = sections.symbols(endian, bytes, kind).map_err(outside)?;
    // Versions are those of dynamic symbols.
    let versions = match kind {
        elf::SHT_DYNSYM => sections.versions(endian, bytes).ok().flatten(),
        _ => None,
    };
    for (index, symbol) in table.enumerate() {
        let kind = symbol.st_type();
        if !matches!(kind, elf::STT_FUNC | elf::STT_GNU_IFUNC) || symbol.is_undefined(endian) {
            continue;
        }
        let name = symbol.name(endian, table.strings()).ok();
        let name = name.and_then(|name| core::str::from_utf8(name).ok());
        let offset = loads.offset(symbol.st_value(endian).into());
        let (Some(name), Some(offset)) = (name.filter(|name| !name.is_empty()), offset) else {
            continue;
        };
        let mut is_default = true;
        let mut version = None;
        if let Some(versions) = &versions {
            let at = versions.version_index(endian, index);
            is_default = !at.is_hidden();
            let found = versions.version(at.into()).ok().flatten();
            version = found.and_then(|found| core::str::from_utf8(found.name()).ok());
        }
        // Static tables spell it out: `memcpy@GLIBC_2.2.5`, `memcpy@@GLIBC_2.14`.
        let mut plain = name;
        if let Some((before, after)) = name.split_once('@') {
            plain = before;
            is_default = after.starts_with('@');
            version = Some(after.trim_start_matches('@'));
        }
        if functions.len() == MAX_SYMBOLS {
            return Err(BinaryError::Damaged("it has too many symbols"));
        }
        functions.push(BinaryFunction {
            name: plain.into(),
            version: version.map(Into::into),
            is_default,
            binding: match symbol.st_bind() {
                elf::STB_LOCAL => Binding::Local,
                elf::STB_WEAK => Binding::Weak,
                _ => Binding::Global,
            },
            offset,
            size: symbol.st_size(endian).into(),
            chooses: kind == elf::STT_GNU_IFUNC,
        });
    }
    Ok(())
}
