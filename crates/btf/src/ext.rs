//! Bytes of a `.BTF.ext` section: what a compiler says about instructions.
//!
//! Records may be longer than known (later compilers append fields); what is beyond is skipped.

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};

use crate::{
    core_relo::{CoreKind, CoreRelo},
    parse::MAGIC,
    table::Btf,
    types::TypeId,
};

/// The records of a `.BTF.ext` section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BtfExt {
    /// Which function begins where.
    pub functions: Vec<ExtSection<FuncInfo>>,
    /// Which source line an instruction comes from.
    pub lines: Vec<ExtSection<LineInfo>>,
    /// What is to be adapted to the kernel.
    pub relocations: Vec<ExtSection<CoreRelo>>,
}

/// The records of one program section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtSection<T> {
    /// Name of the ELF section.
    pub name: Box<str>,
    /// In the order of the file.
    pub records: Box<[T]>,
}

/// Where a function begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuncInfo {
    /// Offset in bytes within the program section.
    pub offset: u32,
    /// Its [`crate::Kind::Func`].
    pub ty: TypeId,
}

/// Where a source line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineInfo {
    /// Offset in bytes within the program section.
    pub offset: u32,
    /// The file's name, for [`Btf::string`].
    pub file: u32,
    /// The line's text, for [`Btf::string`].
    pub text: u32,
    /// Counts from 1; 0 when not known.
    pub line: u32,
    /// Counts from 1; 0 when not known.
    pub column: u32,
}

/// Why bytes are not a `.BTF.ext` section of this BTF.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtError {
    /// The header does not fit, or is none.
    #[error(".BTF.ext header: {0}")]
    Header(&'static str),
    /// A table of records is malformed.
    #[error(".BTF.ext {table} at {offset}: {fault}")]
    Table {
        /// `func_info`, `line_info` or `core_relo`.
        table: &'static str,
        /// In bytes within the section.
        offset: usize,
        /// What is wrong.
        fault: &'static str,
    },
    /// A record is malformed.
    #[error(".BTF.ext {table} for section {section}, record {index}: {fault}")]
    Record {
        /// `func_info`, `line_info` or `core_relo`.
        table: &'static str,
        /// Name of the program section.
        section: String,
        /// Counts from 0.
        index: usize,
        /// What is wrong.
        fault: &'static str,
    },
}

impl BtfExt {
    /// Parses a `.BTF.ext` section, which goes with `btf`.
    pub fn parse(bytes: &[u8], btf: &Btf) -> Result<BtfExt, ExtError> {
        let word = |at: usize| word(bytes, at).ok_or(ExtError::Header("cut short"));
        let first = word(0)?;
        if first as u16 == MAGIC.swap_bytes() {
            return Err(ExtError::Header(
                "big-endian is not supported: build for bpfel",
            ));
        }
        if first as u16 != MAGIC {
            return Err(ExtError::Header("wrong magic number"));
        }
        if first >> 16 != 1 {
            return Err(ExtError::Header("unknown version or flags"));
        }
        let header = word(4)? as usize;
        if header < 24 || header > bytes.len() {
            return Err(ExtError::Header("its length is out of range"));
        }
        let table = |name, at: usize| -> Result<Table<'_>, ExtError> {
            // Compilers from before CO-RE end the header before its table.
            let (offset, length) = if at + 8 <= header {
                (word(at)?, word(at + 4)?)
            } else {
                (0, 0)
            };
            Table::new(name, bytes, header, offset, length)
        };
        Ok(BtfExt {
            functions: table("func_info", 8)?.records(btf, |[offset, ty], _| {
                check_offset(offset)?;
                let ty = TypeId(ty);
                match btf.kind(ty) {
                    crate::Kind::Func { .. } => Ok(FuncInfo { offset, ty }),
                    _ => Err("its type is not a function"),
                }
            })?,
            lines: table("line_info", 16)?.records(btf, |[offset, file, text, position], _| {
                check_offset(offset)?;
                if btf.string_bytes(file).is_none() || btf.string_bytes(text).is_none() {
                    return Err("file name or text is beyond the string section");
                }
                let (line, column) = (position >> 10, position & 0x3ff);
                Ok(LineInfo {
                    offset,
                    file,
                    text,
                    line,
                    column,
                })
            })?,
            relocations: table("core_relo", 24)?.records(
                btf,
                |[offset, ty, access, kind], names| {
                    check_offset(offset)?;
                    btf.get(TypeId(ty)).ok_or("its type does not exist")?;
                    let kind = CoreKind::from_number(kind).ok_or("unknown relocation kind")?;
                    let access = names.get(btf, access)?;
                    Ok(CoreRelo {
                        offset,
                        ty: TypeId(ty),
                        access,
                        kind,
                    })
                },
            )?,
        })
    }
}

fn check_offset(offset: u32) -> Result<(), &'static str> {
    if offset.is_multiple_of(8) {
        Ok(())
    } else {
        Err("its offset is not that of an instruction")
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let b = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// Access strings repeat: the last one is shared.
#[derive(Default)]
struct Names {
    last: Option<(u32, Arc<str>)>,
}

impl Names {
    fn get(&mut self, btf: &Btf, offset: u32) -> Result<Arc<str>, &'static str> {
        match &self.last {
            Some((last, name)) if *last == offset => Ok(name.clone()),
            _ => {
                let text = btf.string(offset).ok_or("access string out of range")?;
                let name: Arc<str> = Arc::from(&*text);
                self.last = Some((offset, name.clone()));
                Ok(name)
            }
        }
    }
}

/// One of the three tables: the size of a record, then for each program section its name, the
/// number of its records and the records.
struct Table<'a> {
    name: &'static str,
    bytes: &'a [u8],
    /// Where `bytes` begin within the whole, for messages.
    start: usize,
}

impl<'a> Table<'a> {
    fn new(
        name: &'static str,
        bytes: &'a [u8],
        header: usize,
        offset: u32,
        length: u32,
    ) -> Result<Table<'a>, ExtError> {
        if length == 0 {
            return Ok(Table {
                name,
                bytes: &[],
                start: 0,
            });
        }
        let fault = |fault| ExtError::Table {
            table: name,
            offset: offset as usize,
            fault,
        };
        if !offset.is_multiple_of(4) {
            return Err(fault("misaligned"));
        }
        let start = header
            .checked_add(offset as usize)
            .ok_or(fault("exceeds the data"))?;
        let end = start
            .checked_add(length as usize)
            .ok_or(fault("exceeds the data"))?;
        let bytes = bytes.get(start..end).ok_or(fault("exceeds the data"))?;
        Ok(Table { name, bytes, start })
    }

    fn records<const N: usize, T>(
        &self,
        btf: &Btf,
        make: impl Fn([u32; N], &mut Names) -> Result<T, &'static str>,
    ) -> Result<Vec<ExtSection<T>>, ExtError> {
        let mut sections = Vec::new();
        if self.bytes.is_empty() {
            return Ok(sections);
        }
        let fault = |at, fault| ExtError::Table {
            table: self.name,
            offset: self.start + at,
            fault,
        };
        let size = word(self.bytes, 0).ok_or(fault(0, "cut short"))? as usize;
        if size < N * 4 || !size.is_multiple_of(4) {
            return Err(fault(0, "its record size is not supported"));
        }
        let mut names = Names::default();
        let mut at = 4;
        while at < self.bytes.len() {
            let name = word(self.bytes, at).ok_or(fault(at, "cut short"))?;
            let count = word(self.bytes, at + 4).ok_or(fault(at, "cut short"))? as usize;
            let name = btf.string(name).filter(|name| !name.is_empty());
            let name = name.ok_or(fault(at, "a section without a name"))?;
            if count == 0 {
                return Err(fault(at, "a section without records"));
            }
            let start = at + 8;
            let end = count
                .checked_mul(size)
                .and_then(|length| length.checked_add(start));
            let records = end.and_then(|end| self.bytes.get(start..end));
            let records = records.ok_or(fault(at, "its records exceed the table"))?;
            at = start + records.len();
            let records = records
                .chunks_exact(size)
                .enumerate()
                .map(|(index, record)| {
                    let mut words = [0; N];
                    for (i, w) in words.iter_mut().enumerate() {
                        *w = word(record, i * 4).unwrap_or(0);
                    }
                    make(words, &mut names).map_err(|fault| ExtError::Record {
                        table: self.name,
                        section: name.clone().into_owned(),
                        index,
                        fault,
                    })
                })
                .collect::<Result<_, _>>()?;
            sections.push(ExtSection {
                name: Box::from(&*name),
                records,
            });
        }
        Ok(sections)
    }
}
