//! What can be wrong with the bytes of a BTF.

use crate::types::{KindTag, TypeId};

/// Why bytes are not a BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// The bytes end within the header.
    #[error("BTF header needs {need} bytes, there are {have}")]
    Short {
        /// Bytes that the header needs.
        need: u32,
        /// Bytes that there are.
        have: usize,
    },
    /// Neither byte order's magic number.
    #[error("not BTF: magic {0:#06x} instead of 0xeb9f")]
    Magic(u16),
    /// Well-formed as far as seen, but of the other byte order.
    #[error("big-endian BTF is not supported: build for bpfel")]
    BigEndian,
    /// Only version 1 exists.
    #[error("BTF version {0} is not supported, only 1 is")]
    Version(u8),
    /// No flag is defined.
    #[error("BTF header flags {0:#x} are not supported")]
    Flags(u8),
    /// A section lies outside of the bytes, overlaps the other or is misaligned.
    #[error("BTF {section} section at {offset}, {length} bytes: {fault}")]
    Section {
        /// `type` or `string`.
        section: &'static str,
        /// From the end of the header.
        offset: u32,
        /// In bytes.
        length: u32,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The base of a split BTF is itself a split BTF.
    #[error("the base of a split BTF may not be a split BTF")]
    SplitBase,
    /// More types than BTF can number.
    #[error("more than {} types", TypeId::MAX.0)]
    TooManyTypes,
    /// A type is malformed.
    #[error("type {id} at offset {offset}: {fault}")]
    Type {
        /// Its number.
        id: TypeId,
        /// Offset in bytes within the type section.
        offset: u32,
        /// What is wrong.
        fault: TypeFault,
    },
}

/// What is wrong with a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeFault {
    /// The section ends within the type.
    #[error("cut short: needs {need} bytes, {have} left")]
    Cut {
        /// Bytes that it needs.
        need: u64,
        /// Bytes left in the section.
        have: usize,
    },
    /// A kind that is not known.
    #[error("unknown kind {0}")]
    UnknownKind(u8),
    /// Bits of `info` that must be zero are not.
    #[error("reserved bits of info {0:#010x} are set")]
    ReservedInfo(u32),
    /// `kind_flag` where it means nothing.
    #[error("{0} with kind_flag")]
    KindFlag(KindTag),
    /// `vlen` where it means nothing.
    #[error("{kind} with vlen {vlen}")]
    Vlen {
        /// The kind.
        kind: KindTag,
        /// Its `vlen`.
        vlen: u32,
    },
    /// A name beyond the string section.
    #[error("name at {0} is beyond the string section")]
    NameOffset(u32),
    /// A name that is not UTF-8.
    #[error("name at {0} is not UTF-8")]
    NameText(u32),
    /// A kind that must have a name has none.
    #[error("{0} without a name")]
    NoName(KindTag),
    /// A name where none may be.
    #[error("{0} with a name")]
    Named(KindTag),
    /// A name that is not an identifier.
    #[error("name is not an identifier")]
    NotIdentifier,
    /// A type number out of range.
    #[error("refers to type {0}, which does not exist")]
    NoSuchType(TypeId),
    /// A reference to a type of a kind that may not stand there.
    #[error("{role} is {id}, a {kind}")]
    WrongKind {
        /// What the reference is for.
        role: &'static str,
        /// The type referred to.
        id: TypeId,
        /// Its kind.
        kind: KindTag,
    },
    /// A chain of types comes back to itself.
    #[error("contains itself")]
    Cycle,
    /// A chain of types is too long to follow.
    #[error("more than {} levels of types within types", crate::check::MAX_DEPTH)]
    TooDeep,
    /// A size that the kind cannot have.
    #[error("{kind} of {size} bytes")]
    Size {
        /// The kind.
        kind: KindTag,
        /// Size in bytes.
        size: u32,
    },
    /// Bits of an integer outside of it.
    #[error("integer of {size} bytes with {bits} bits from bit {offset}")]
    IntBits {
        /// Size in bytes.
        size: u32,
        /// Number of bits.
        bits: u8,
        /// First bit.
        offset: u8,
    },
    /// Integer data with unknown bits.
    #[error("integer encoding {0:#x} is not supported")]
    IntEncoding(u32),
    /// An array of more than 4 GiB.
    #[error("array of {len} elements of {element} bytes is larger than 4 GiB")]
    ArraySize {
        /// Number of elements.
        len: u32,
        /// Size of one in bytes.
        element: u32,
    },
    /// A member outside of its struct or union.
    #[error("member {member} at bit {bit_offset} exceeds its size of {size} bytes")]
    MemberOutside {
        /// Index of the member.
        member: u32,
        /// Its offset in bits.
        bit_offset: u32,
        /// Size of the aggregate in bytes.
        size: u32,
    },
    /// Members are not in order, or a member of a union is not at 0.
    #[error("member {member} at bit {bit_offset} is out of order")]
    MemberOrder {
        /// Index of the member.
        member: u32,
        /// Its offset in bits.
        bit_offset: u32,
    },
    /// A member that must begin at a whole byte does not.
    #[error("member {member} at bit {bit_offset} does not begin at a byte")]
    MemberMisaligned {
        /// Index of the member.
        member: u32,
        /// Its offset in bits.
        bit_offset: u32,
    },
    /// A bitfield wider than its type, or of a type that is not an integer.
    #[error("member {member}: a bitfield of {bits} bits does not fit its type")]
    Bitfield {
        /// Index of the member.
        member: u32,
        /// Its width.
        bits: u8,
    },
    /// A linkage that is not defined.
    #[error("{kind} with linkage {linkage}")]
    Linkage {
        /// The kind.
        kind: KindTag,
        /// The number found.
        linkage: u32,
    },
    /// A declaration tag on a component that does not exist.
    #[error("tags component {component}, which does not exist")]
    Component {
        /// The component named.
        component: i32,
    },
    /// Variables of a section overlap, are out of order or exceed it.
    #[error("variable {index} at {offset}, {size} bytes, overlaps or exceeds the section")]
    SectionLayout {
        /// Index of the variable.
        index: u32,
        /// Its offset in bytes.
        offset: u32,
        /// Its size in bytes.
        size: u32,
    },
    /// An unnamed, untyped parameter (`...`) that is not the last.
    #[error("parameter {0} is `...` but not the last")]
    Variadic(u32),
}
