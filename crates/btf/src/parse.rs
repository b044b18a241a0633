//! Bytes of a `.BTF` section (kernel document `bpf/btf.rst`) to a [`Btf`].
//!
//! What is checked here is what every later stage relies on: references in range, no type within
//! itself, sizes that fit. What Linux asks in addition of a BTF that is loaded into it is
//! [`Btf::check_loadable`].

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::hash::BuildHasher;

use hashbrown::HashMap;

use crate::{
    check,
    error::{BtfError, TypeFault},
    table::Btf,
    types::{
        Encoding, EnumValue, Kind, KindTag, Linkage, Member, Param, SecVar, Type, TypeId,
        VarLinkage,
    },
};

/// `BTF_MAGIC`
pub(crate) const MAGIC: u16 = 0xeb9f;
/// Size of `struct btf_header`.
pub(crate) const HEADER_SIZE: u32 = 24;

impl Btf {
    /// Parses the bytes of a `.BTF` section or of a kernel's BTF.
    pub fn parse(bytes: &[u8]) -> Result<Btf, BtfError> {
        parse(bytes, None)
    }

    /// Parses a split BTF: numbers of types and offsets of strings go on where those of `base`
    /// end. A kernel module's BTF is one over the kernel's.
    pub fn parse_split(bytes: &[u8], base: Arc<Btf>) -> Result<Btf, BtfError> {
        parse(bytes, Some(base))
    }
}

fn parse(bytes: &[u8], base: Option<Arc<Btf>>) -> Result<Btf, BtfError> {
    if base.as_ref().is_some_and(|base| base.base().is_some()) {
        return Err(BtfError::SplitBase);
    }
    let (types, strings) = sections(bytes, base.is_some())?;
    let mut btf = Btf::over(base, strings);
    let mut names = Names::new(&btf);
    let mut cursor = Cursor {
        bytes: types,
        position: 0,
    };
    let mut decoded = Vec::with_capacity(types.len() / 32);
    let mut offsets = Vec::with_capacity(types.len() / 32);
    while !cursor.rest().is_empty() {
        let id = TypeId(btf.first_own() + (btf.own().len() + decoded.len()) as u32);
        if id > TypeId::MAX {
            return Err(BtfError::TooManyTypes);
        }
        let offset = cursor.position as u32;
        let ty = decode(&mut cursor, &mut names).map_err(|fault| BtfError::Type {
            id,
            offset,
            fault,
        })?;
        decoded.push(ty);
        offsets.push(offset);
    }
    drop(names);
    let first = TypeId(btf.first_own() + btf.own().len() as u32);
    btf.append(decoded);
    let aligns = check::check(&btf, first).map_err(|(id, fault)| {
        let offset = offsets.get((id.0 - first.0) as usize).copied().unwrap_or(0);
        BtfError::Type { id, offset, fault }
    })?;
    btf.append_aligns(&aligns);
    Ok(btf)
}

/// Checks the header; returns the type and the string section.
fn sections(bytes: &[u8], split: bool) -> Result<(&[u8], &[u8]), BtfError> {
    let short = |need| BtfError::Short {
        need,
        have: bytes.len(),
    };
    let word = |at: usize| -> Result<u32, BtfError> {
        let b = bytes.get(at..at + 4).ok_or(short(HEADER_SIZE))?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    };
    let first = word(0)?;
    match first as u16 {
        MAGIC => {}
        m if m == MAGIC.swap_bytes() => return Err(BtfError::BigEndian),
        m => return Err(BtfError::Magic(m)),
    }
    match (first >> 16) as u8 {
        1 => {}
        v => return Err(BtfError::Version(v)),
    }
    match (first >> 24) as u8 {
        0 => {}
        f => return Err(BtfError::Flags(f)),
    }
    let header = word(4)?;
    if header < HEADER_SIZE {
        return Err(short(HEADER_SIZE));
    }
    let body = bytes.get(header as usize..).ok_or(short(header))?;
    let types = Span {
        section: "type",
        offset: word(8)?,
        length: word(12)?,
    };
    let strings = Span {
        section: "string",
        offset: word(16)?,
        length: word(20)?,
    };
    if !types.offset.is_multiple_of(4) {
        return Err(types.fault("misaligned"));
    }
    let type_bytes = types.of(body)?;
    let string_bytes = strings.of(body)?;
    let (t, s) = (types.range(), strings.range());
    if !type_bytes.is_empty() && !string_bytes.is_empty() && t.start < s.end && s.start < t.end {
        return Err(strings.fault("overlaps the type section"));
    }
    match string_bytes {
        [] if split => {}
        [.., 0] if split || string_bytes[0] == 0 => {}
        [] => return Err(strings.fault("empty")),
        [.., 0] => return Err(strings.fault("does not begin with an empty string")),
        _ => return Err(strings.fault("does not end with a NUL")),
    }
    Ok((type_bytes, string_bytes))
}

/// Where a section lies within the body, as the header says.
struct Span {
    section: &'static str,
    offset: u32,
    length: u32,
}

impl Span {
    fn range(&self) -> core::ops::Range<u64> {
        self.offset.into()..u64::from(self.offset) + u64::from(self.length)
    }

    fn of<'a>(&self, body: &'a [u8]) -> Result<&'a [u8], BtfError> {
        let range = self.range();
        if range.end > body.len() as u64 {
            return Err(self.fault("exceeds the data"));
        }
        Ok(&body[range.start as usize..range.end as usize])
    }

    fn fault(&self, fault: &'static str) -> BtfError {
        BtfError::Section {
            section: self.section,
            offset: self.offset,
            length: self.length,
            fault,
        }
    }
}

/// Reads little-endian words.
struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    /// The next `N` words.
    fn words<const N: usize>(&mut self) -> Result<[u32; N], TypeFault> {
        let mut words = [0; N];
        for (word, chunk) in words
            .iter_mut()
            .zip(self.take(N as u64 * 4)?.chunks_exact(4))
        {
            *word = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        }
        Ok(words)
    }

    fn take(&mut self, need: u64) -> Result<&'a [u8], TypeFault> {
        let rest = self.rest();
        if need > rest.len() as u64 {
            return Err(TypeFault::Cut {
                need,
                have: rest.len(),
            });
        }
        self.position += need as usize;
        Ok(&rest[..need as usize])
    }

    /// `count` records of `N` words each, every one made into a `T`.
    fn records<const N: usize, T>(
        &mut self,
        count: u32,
        mut make: impl FnMut([u32; N]) -> Result<T, TypeFault>,
    ) -> Result<Box<[T]>, TypeFault> {
        let bytes = self.take(u64::from(count) * N as u64 * 4)?;
        let mut records = Vec::with_capacity(count as usize);
        for chunk in bytes.chunks_exact(N * 4) {
            let mut words = [0; N];
            for (word, b) in words.iter_mut().zip(chunk.chunks_exact(4)) {
                *word = u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            }
            records.push(make(words)?);
        }
        Ok(records.into_boxed_slice())
    }
}

/// Names by their offset, each made once.
struct Names {
    own: Arc<[u8]>,
    first_own: u32,
    base: Option<Arc<Btf>>,
    empty: Arc<str>,
    made: HashMap<u32, Arc<str>, OffsetHasher>,
}

/// Offsets are spread well enough by one multiplication.
#[derive(Clone, Copy, Default)]
struct OffsetHasher(u64);

impl BuildHasher for OffsetHasher {
    type Hasher = OffsetHasher;
    fn build_hasher(&self) -> OffsetHasher {
        OffsetHasher(0)
    }
}

impl core::hash::Hasher for OffsetHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.write_u32(b.into());
        }
    }
    fn write_u32(&mut self, n: u32) {
        self.0 = (self.0 ^ u64::from(n))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(26);
    }
}

impl Names {
    fn new(btf: &Btf) -> Names {
        Names {
            own: btf.own_strings().clone(),
            first_own: btf.first_own_string(),
            base: btf.base().cloned(),
            empty: Arc::from(""),
            made: HashMap::with_capacity_and_hasher(
                btf.own_strings().len() / 24,
                OffsetHasher::default(),
            ),
        }
    }

    fn get(&mut self, offset: u32) -> Result<Arc<str>, TypeFault> {
        if offset == 0 {
            return Ok(self.empty.clone());
        }
        if let Some(name) = self.made.get(&offset) {
            return Ok(name.clone());
        }
        let bytes = match offset.checked_sub(self.first_own) {
            Some(own) => crate::table::string_at(&self.own, own),
            None => self
                .base
                .as_ref()
                .and_then(|base| base.string_bytes(offset)),
        };
        let bytes = bytes.ok_or(TypeFault::NameOffset(offset))?;
        let text = core::str::from_utf8(bytes).map_err(|_| TypeFault::NameText(offset))?;
        let name: Arc<str> = Arc::from(text);
        self.made.insert(offset, name.clone());
        Ok(name)
    }
}

/// The head of a type: `struct btf_type` taken apart.
struct Head {
    kind: KindTag,
    flag: bool,
    vlen: u32,
    /// `size` or `type`
    word: u32,
}

impl Head {
    /// The type referred to, for kinds of which the head says all.
    fn reference(&self) -> Result<TypeId, TypeFault> {
        self.no_vlen()?;
        self.no_flag()?;
        Ok(TypeId(self.word))
    }

    fn no_vlen(&self) -> Result<(), TypeFault> {
        match self.vlen {
            0 => Ok(()),
            vlen => Err(TypeFault::Vlen {
                kind: self.kind,
                vlen,
            }),
        }
    }

    fn no_flag(&self) -> Result<(), TypeFault> {
        if self.flag {
            Err(TypeFault::KindFlag(self.kind))
        } else {
            Ok(())
        }
    }
}

fn decode(cursor: &mut Cursor, names: &mut Names) -> Result<Type, TypeFault> {
    let [name, info, word] = cursor.words()?;
    // Bits 0-15 vlen, 24-28 kind, 31 kind_flag.
    if info & 0x60ff_0000 != 0 {
        return Err(TypeFault::ReservedInfo(info));
    }
    let number = (info >> 24 & 0x1f) as u8;
    let tag = KindTag::from_number(number).filter(|&t| t != KindTag::Void);
    let kind = tag.ok_or(TypeFault::UnknownKind(number))?;
    let head = Head {
        kind,
        flag: info >> 31 != 0,
        vlen: info & 0xffff,
        word,
    };
    let name = names.get(name)?;
    let kind = decode_kind(&head, cursor, names)?;
    Ok(Type { name, kind })
}

fn decode_kind(head: &Head, cursor: &mut Cursor, names: &mut Names) -> Result<Kind, TypeFault> {
    let size = head.word;
    Ok(match head.kind {
        KindTag::Void => return Err(TypeFault::UnknownKind(0)),
        KindTag::Int => {
            head.no_vlen()?;
            head.no_flag()?;
            decode_int(size, cursor.words()?)?
        }
        KindTag::Ptr => Kind::Ptr(head.reference()?),
        KindTag::Typedef => Kind::Typedef(head.reference()?),
        KindTag::Volatile => Kind::Volatile(head.reference()?),
        KindTag::Const => Kind::Const(head.reference()?),
        KindTag::Restrict => Kind::Restrict(head.reference()?),
        KindTag::Float => {
            head.reference()?;
            Kind::Float { size }
        }
        KindTag::Array => {
            head.reference()?;
            if size != 0 {
                return Err(TypeFault::Size {
                    kind: head.kind,
                    size,
                });
            }
            let [element, index, len] = cursor.words()?;
            Kind::Array {
                element: TypeId(element),
                index: TypeId(index),
                len,
            }
        }
        KindTag::Struct => Kind::Struct {
            size,
            members: decode_members(head, cursor, names)?,
        },
        KindTag::Union => Kind::Union {
            size,
            members: decode_members(head, cursor, names)?,
        },
        KindTag::Enum => {
            let signed = head.flag;
            let values = cursor.records(head.vlen, |[name, value]| {
                let value = if signed {
                    i64::from(value as i32)
                } else {
                    i64::from(value)
                };
                Ok(EnumValue {
                    name: names.get(name)?,
                    value,
                })
            })?;
            Kind::Enum {
                size,
                signed,
                wide: false,
                values,
            }
        }
        KindTag::Enum64 => {
            let values = cursor.records(head.vlen, |[name, low, high]| {
                let value = (u64::from(high) << 32 | u64::from(low)) as i64;
                Ok(EnumValue {
                    name: names.get(name)?,
                    value,
                })
            })?;
            Kind::Enum {
                size,
                signed: head.flag,
                wide: true,
                values,
            }
        }
        KindTag::Fwd => {
            head.no_vlen()?;
            if head.word != 0 {
                return Err(TypeFault::Size {
                    kind: head.kind,
                    size,
                });
            }
            Kind::Fwd { union: head.flag }
        }
        KindTag::Func => {
            head.no_flag()?;
            let linkage = match head.vlen {
                0 => Linkage::Static,
                1 => Linkage::Global,
                2 => Linkage::Extern,
                linkage => {
                    return Err(TypeFault::Linkage {
                        kind: head.kind,
                        linkage,
                    });
                }
            };
            Kind::Func {
                proto: TypeId(head.word),
                linkage,
            }
        }
        KindTag::FuncProto => {
            head.no_flag()?;
            let params = cursor.records(head.vlen, |[name, ty]| {
                Ok(Param {
                    name: names.get(name)?,
                    ty: TypeId(ty),
                })
            })?;
            Kind::FuncProto {
                ret: TypeId(head.word),
                params,
            }
        }
        KindTag::Var => {
            let ty = head.reference()?;
            let linkage = match cursor.words()? {
                [0] => VarLinkage::Static,
                [1] => VarLinkage::Global,
                [2] => VarLinkage::Extern,
                [linkage] => {
                    return Err(TypeFault::Linkage {
                        kind: head.kind,
                        linkage,
                    });
                }
            };
            Kind::Var { ty, linkage }
        }
        KindTag::DataSec => {
            head.no_flag()?;
            let vars = cursor.records(head.vlen, |[ty, offset, size]| {
                Ok(SecVar {
                    ty: TypeId(ty),
                    offset,
                    size,
                })
            })?;
            Kind::DataSec { size, vars }
        }
        KindTag::DeclTag => {
            head.no_vlen()?;
            let [component] = cursor.words()?;
            let component = component as i32;
            Kind::DeclTag {
                ty: TypeId(head.word),
                component,
                attribute: head.flag,
            }
        }
        KindTag::TypeTag => {
            head.no_vlen()?;
            Kind::TypeTag {
                ty: TypeId(head.word),
                attribute: head.flag,
            }
        }
    })
}

fn decode_int(size: u32, [data]: [u32; 1]) -> Result<Kind, TypeFault> {
    // Bits 0-7 width, 16-23 offset, 24-27 encoding.
    let (bits, offset, encoding) = (data as u8, (data >> 16) as u8, data >> 24 & 0xf);
    if data & 0xf000_ff00 != 0 || !matches!(encoding, 0 | 1 | 2 | 4) {
        return Err(TypeFault::IntEncoding(data));
    }
    let encoding = Encoding {
        signed: encoding == 1,
        char: encoding == 2,
        bool: encoding == 4,
    };
    Ok(Kind::Int {
        size,
        bits,
        offset,
        encoding,
    })
}

fn decode_members(
    head: &Head,
    cursor: &mut Cursor,
    names: &mut Names,
) -> Result<Box<[Member]>, TypeFault> {
    cursor.records(head.vlen, |[name, ty, offset]| {
        let (bit_offset, bits) = if head.flag {
            (offset & 0x00ff_ffff, (offset >> 24) as u8)
        } else {
            (offset, 0)
        };
        Ok(Member {
            name: names.get(name)?,
            ty: TypeId(ty),
            bit_offset,
            bits,
        })
    })
}
