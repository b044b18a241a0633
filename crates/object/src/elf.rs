//! The ELF container: sections, symbols, relocations, all within the file's bounds.

use alloc::vec::Vec;

use object::{
    LittleEndian as LE, elf,
    read::elf::{FileHeader, Rel as _, Rela as _, SectionHeader, Sym},
};

use crate::error::{Error, Fault, Place};

type Header = elf::FileHeader64<LE>;

/// `EM_BPF`
const EM_BPF: u16 = 247;

/// Longest name of a section (`uprobe/` with a path and a function) and of a symbol, in bytes.
const MAX_SECTION_NAME: usize = 8192;
const MAX_SYMBOL_NAME: usize = 4096;

/// An ELF file whose tables have been checked against its size.
pub(crate) struct Elf<'a> {
    /// By index as in the file; the first is the null section.
    pub sections: Vec<Section<'a>>,
    /// By index as in the file; the first is the null symbol.
    pub symbols: Vec<Symbol<'a>>,
}

/// A section with its relocations.
pub(crate) struct Section<'a> {
    pub name: &'a str,
    pub is_code: bool,
    /// No bytes in the file: `.bss`.
    pub is_zero: bool,
    pub data: &'a [u8],
    /// In bytes; more than `data` when `is_zero`.
    pub size: u64,
    pub relocations: Vec<Rel>,
}

/// A symbol.
#[derive(Clone, Copy)]
pub(crate) struct Symbol<'a> {
    pub name: &'a str,
    pub value: u64,
    pub size: u64,
    pub kind: SymbolKind,
    pub local: bool,
    pub weak: bool,
    /// Hidden or internal: seen only within the object that is being linked.
    pub hidden: bool,
    pub home: Home,
}

/// What a symbol says it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SymbolKind {
    None,
    Object,
    Function,
    Section,
    Other,
}

/// Where a symbol is defined.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    Undefined,
    Section(usize),
    Common,
    Absolute,
}

/// A relocation. BPF objects keep the addend in place; `addend` is that of a RELA entry, else 0.
#[derive(Clone, Copy)]
pub(crate) struct Rel {
    pub offset: u64,
    pub symbol: u32,
    pub kind: u32,
    pub addend: i64,
}

fn damaged(what: &'static str) -> Error {
    Error::new(Place::default(), Fault::Elf(what))
}

impl<'a> Elf<'a> {
    /// Reads the tables of a file.
    pub fn parse(bytes: &'a [u8]) -> Result<Elf<'a>, Error> {
        let header = header(bytes)?;
        let table = header
            .sections(LE, bytes)
            .map_err(|_| damaged("the section table lies outside of the file"))?;
        let mut sections = Vec::new();
        for section in table.iter() {
            sections.push(read_section(section, &table, bytes)?);
        }
        // Sections that share bytes would let a small file ask for much memory.
        let total: u64 = sections.iter().map(|s| s.data.len() as u64).sum();
        if total > bytes.len() as u64 {
            return Err(damaged("sections overlap"));
        }
        let symbols = read_symbols(&table, bytes, sections.len())?;
        for section in table.iter() {
            read_relocations(section, bytes, &mut sections)?;
        }
        Ok(Elf { sections, symbols })
    }

    /// The symbol that a relocation names.
    pub fn symbol(&self, index: u32) -> Option<&Symbol<'a>> {
        self.symbols.get(index as usize)
    }

    /// Sections by this name; there may be several.
    pub fn named(&self, name: &str) -> impl Iterator<Item = (usize, &Section<'a>)> {
        self.sections
            .iter()
            .enumerate()
            .filter(move |(_, s)| s.name == name)
    }
}

fn header(bytes: &[u8]) -> Result<&Header, Error> {
    let fail = |fault| Err(Error::new(Place::default(), fault));
    match bytes {
        [0x7f, b'E', b'L', b'F', rest @ ..] => match rest {
            [1, ..] => return fail(Fault::Class32),
            [2, 1, ..] => {}
            [2, 2, ..] => {
                // The machine stands at byte 18 in the file's byte order.
                return match bytes.get(18..20) {
                    Some([0, 247]) | None => fail(Fault::BigEndian),
                    Some(m) => fail(Fault::Machine(u16::from_be_bytes([m[0], m[1]]))),
                };
            }
            _ => return Err(damaged("the ELF header is cut short or unknown")),
        },
        [b'B', b'C', 0xc0, 0xde, ..] => return fail(Fault::Bitcode),
        _ => return fail(Fault::NotElf),
    }
    let header =
        Header::parse(bytes).map_err(|_| damaged("the ELF header is cut short or unknown"))?;
    let machine = header.e_machine(LE).0;
    if machine != EM_BPF {
        return fail(Fault::Machine(machine));
    }
    if header.e_type(LE) != elf::ET_REL {
        return fail(Fault::NotRelocatable(header.e_type(LE).0));
    }
    Ok(header)
}

type Table<'a> = object::read::elf::SectionTable<'a, Header>;

fn read_section<'a>(
    section: &'a elf::SectionHeader64<LE>,
    table: &Table<'a>,
    bytes: &'a [u8],
) -> Result<Section<'a>, Error> {
    let name = table
        .section_name(LE, section)
        .ok()
        .filter(|n| n.len() <= MAX_SECTION_NAME)
        .and_then(|n| core::str::from_utf8(n).ok())
        .ok_or_else(|| damaged("a section has no readable name"))?;
    let kind = section.sh_type(LE);
    let flags = section.sh_flags(LE).0;
    let is_zero = kind == elf::SHT_NOBITS;
    let data = match is_zero || kind == elf::SHT_NULL {
        true => &[][..],
        false => section.data(LE, bytes).map_err(|_| {
            Error::new(
                Place::section(name),
                Fault::Elf("the section lies outside of the file"),
            )
        })?,
    };
    Ok(Section {
        name,
        is_code: kind == elf::SHT_PROGBITS && flags & elf::SHF_EXECINSTR.0 != 0,
        is_zero,
        data,
        size: if is_zero {
            section.sh_size(LE)
        } else {
            data.len() as u64
        },
        relocations: Vec::new(),
    })
}

fn read_symbols<'a>(
    table: &Table<'a>,
    bytes: &'a [u8],
    section_count: usize,
) -> Result<Vec<Symbol<'a>>, Error> {
    let symbols = table
        .symbols(LE, bytes, elf::SHT_SYMTAB)
        .map_err(|_| damaged("the symbol table lies outside of the file"))?;
    let mut out = Vec::with_capacity(symbols.len());
    for (index, symbol) in symbols.enumerate() {
        let name = symbols
            .symbol_name(LE, symbol)
            .ok()
            .filter(|n| n.len() <= MAX_SYMBOL_NAME)
            .and_then(|n| core::str::from_utf8(n).ok())
            .ok_or_else(|| damaged("a symbol has no readable name"))?;
        let home = match symbol.st_shndx(LE) {
            elf::SHN_UNDEF => Home::Undefined,
            elf::SHN_ABS => Home::Absolute,
            elf::SHN_COMMON => Home::Common,
            _ => match symbols.symbol_section(LE, symbol, index) {
                Ok(Some(section)) if section.0 < section_count => Home::Section(section.0),
                _ => {
                    let place = Place::default().symbol(name);
                    return Err(Error::new(place, Fault::Elf("its section does not exist")));
                }
            },
        };
        out.push(Symbol {
            name,
            value: symbol.st_value(LE),
            size: symbol.st_size(LE),
            kind: match symbol.st_type() {
                elf::STT_NOTYPE => SymbolKind::None,
                elf::STT_OBJECT => SymbolKind::Object,
                elf::STT_FUNC => SymbolKind::Function,
                elf::STT_SECTION => SymbolKind::Section,
                _ => SymbolKind::Other,
            },
            local: symbol.st_bind() == elf::STB_LOCAL,
            weak: symbol.st_bind() == elf::STB_WEAK,
            hidden: matches!(symbol.st_visibility(), elf::STV_HIDDEN | elf::STV_INTERNAL),
            home,
        });
    }
    Ok(out)
}

/// Adds the relocations of a relocation section to the section that they are for.
fn read_relocations(
    section: &elf::SectionHeader64<LE>,
    bytes: &[u8],
    sections: &mut [Section<'_>],
) -> Result<(), Error> {
    let outside = || damaged("a relocation table lies outside of the file");
    let mut list = Vec::new();
    if let Some((entries, _)) = section.rel(LE, bytes).map_err(|_| outside())? {
        list.extend(entries.iter().map(|r| Rel {
            offset: r.r_offset(LE),
            symbol: r.r_sym(LE),
            kind: r.r_type(LE).0,
            addend: 0,
        }));
    }
    if let Some((entries, _)) = section.rela(LE, bytes).map_err(|_| outside())? {
        list.extend(entries.iter().map(|r| Rel {
            offset: r.r_offset(LE),
            symbol: r.r_sym(LE, false),
            kind: r.r_type(LE, false).0,
            addend: r.r_addend(LE),
        }));
    }
    if list.is_empty() {
        return Ok(());
    }
    let index = section.info_link(LE).0;
    let target = sections
        .get_mut(index)
        .filter(|_| index != 0)
        .ok_or_else(|| damaged("a relocation table is for a section that does not exist"))?;
    target.relocations.extend(list);
    Ok(())
}
