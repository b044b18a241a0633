//! Contexts and socket mirrors as data: which bytes may be read and written, in which sizes.

use crate::{AttachType, Capabilities};

/// What a load of a field gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A number.
    Scalar,
    /// Start of the packet.
    PacketData,
    /// End of the packet.
    PacketEnd,
    /// Start of the metadata before the packet.
    PacketMeta,
    /// A full socket (`struct bpf_sock`).
    Socket,
    /// A full socket, or null.
    SocketOrNull,
    /// A socket of any kind (`struct bpf_sock`), or null.
    SockCommonOrNull,
    /// The flow dissector's result (`struct bpf_flow_keys`).
    FlowKeys,
    /// The buffer of a writable raw tracepoint.
    TracepointBuffer,
    /// A kernel object of this type that is valid and may be passed on.
    TrustedBtf(&'static str),
}

/// Sizes of access, as a mask of 1, 2, 4 and 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes(pub u8);

impl Sizes {
    /// None.
    pub const NONE: Sizes = Sizes(0);
    /// 1, 2 or 4 bytes.
    pub const NARROW: Sizes = Sizes(1 | 2 | 4);
    /// 4 bytes.
    pub const FOUR: Sizes = Sizes(4);
    /// 8 bytes.
    pub const EIGHT: Sizes = Sizes(8);
    /// 4 or 8 bytes.
    pub const FOUR_EIGHT: Sizes = Sizes(4 | 8);
    /// 1, 2, 4 or 8 bytes.
    pub const ANY: Sizes = Sizes(1 | 2 | 4 | 8);

    /// Whether this many bytes are allowed.
    pub const fn contains(self, bytes: u32) -> bool {
        bytes <= 8 && bytes.is_power_of_two() && self.0 as u32 & bytes != 0
    }
}

/// A field. Accesses are aligned to their own size and lie within the field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name in the uapi structure.
    pub name: &'static str,
    /// Bytes from the start of the structure.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// What a load gives.
    pub kind: FieldKind,
    /// Sizes of loads.
    pub read: Sizes,
    /// Sizes of stores.
    pub write: Sizes,
    /// Loads only at the first byte.
    pub read_at_start: bool,
    /// Stores only at the first byte.
    pub write_at_start: bool,
}

/// A uapi structure.
#[derive(Debug)]
pub struct Layout {
    /// Name of the structure.
    pub name: &'static str,
    /// Bytes.
    pub size: u32,
    /// Its fields, at most 64.
    pub fields: &'static [Field],
}

/// Fields of a layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(u64);

impl FieldSet {
    /// The fields of these names; in constants, a name that the layout lacks does not compile.
    pub const fn of(layout: &Layout, names: &[&str]) -> Self {
        let mut mask = 0;
        let mut n = 0;
        while n < names.len() {
            let mut found = false;
            let mut i = 0;
            while i < layout.fields.len() {
                if same(layout.fields[i].name, names[n]) {
                    mask |= 1 << i;
                    found = true;
                }
                i += 1;
            }
            assert!(found, "no such field");
            n += 1;
        }
        FieldSet(mask)
    }

    /// All fields of a layout.
    pub const fn all(layout: &Layout) -> Self {
        assert!(layout.fields.len() <= 64);
        if layout.fields.len() == 64 {
            FieldSet(u64::MAX)
        } else {
            FieldSet((1 << layout.fields.len()) - 1)
        }
    }

    /// All but those of these names.
    pub const fn except(layout: &Layout, names: &[&str]) -> Self {
        FieldSet(Self::all(layout).0 & !Self::of(layout, names).0)
    }

    const fn contains(self, index: usize) -> bool {
        index < 64 && self.0 >> index & 1 == 1
    }
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// When a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// At these attach types.
    At(&'static [AttachType]),
    /// At all attach types but these.
    NotAt(&'static [AttachType]),
    /// For loaders with `CAP_BPF`.
    Bpf,
    /// For loaders with `CAP_BPF` and `CAP_PERFMON`.
    Perfmon,
    /// From this kernel version on.
    Since(u8, u8),
}

/// What the conditions are tested against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// Where the program will be attached; `None` where its type has only one place.
    pub attach_type: Option<AttachType>,
    /// What the loader may do.
    pub capabilities: Capabilities,
    /// `LINUX_VERSION_CODE`
    pub version: u32,
}

impl When {
    /// Whether the rule holds.
    pub fn holds(self, situation: &Situation) -> bool {
        match self {
            When::Always => true,
            When::At(types) => situation.attach_type.is_some_and(|t| types.contains(&t)),
            When::NotAt(types) => !situation.attach_type.is_some_and(|t| types.contains(&t)),
            When::Bpf => situation.capabilities.contains(Capabilities::BPF),
            When::Perfmon => situation
                .capabilities
                .contains(Capabilities::BPF | Capabilities::PERFMON),
            When::Since(major, minor) => {
                situation.version >= (major as u32) << 16 | (minor as u32) << 8
            }
        }
    }
}

/// A load or a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
}

/// Fields that may be read, or written, under a condition.
#[derive(Clone, Copy, Debug)]
pub struct FieldRule {
    /// Which fields.
    pub fields: FieldSet,
    /// How.
    pub access: Access,
    /// When.
    pub when: When,
}

/// A context, or a socket mirror: a layout and who may do what.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// The structure.
    pub layout: &'static Layout,
    /// What is allowed.
    pub rules: &'static [FieldRule],
}

impl Fields {
    /// The field that an access touches, if the access is allowed. `offset` and `size` in bytes.
    pub fn access(
        &self,
        offset: i64,
        size: u32,
        access: Access,
        situation: &Situation,
    ) -> Option<&'static Field> {
        let offset = u32::try_from(offset).ok()?;
        if !size.is_power_of_two() || offset % size != 0 {
            return None;
        }
        let end = offset.checked_add(size)?;
        let found = self
            .layout
            .fields
            .iter()
            .enumerate()
            .find(|(index, field)| {
                let (sizes, at_start) = match access {
                    Access::Read => (field.read, field.read_at_start),
                    Access::Write => (field.write, field.write_at_start),
                };
                field.offset <= offset
                    && end <= field.offset + field.size
                    && sizes.contains(size)
                    && (!at_start || offset == field.offset)
                    && self.allowed(*index, access, situation)
            });
        found.map(|(_, field)| field)
    }

    fn allowed(&self, index: usize, access: Access, situation: &Situation) -> bool {
        self.rules.iter().any(|rule| {
            rule.access == access && rule.fields.contains(index) && rule.when.holds(situation)
        })
    }
}

impl Field {
    pub(crate) const fn new(name: &'static str, offset: u32, size: u32, read: Sizes) -> Self {
        Field {
            name,
            offset,
            size,
            kind: FieldKind::Scalar,
            read,
            write: Sizes::NONE,
            read_at_start: false,
            write_at_start: false,
        }
    }

    pub(crate) const fn kind(mut self, kind: FieldKind) -> Self {
        self.kind = kind;
        self
    }

    pub(crate) const fn write(mut self, sizes: Sizes) -> Self {
        self.write = sizes;
        self
    }

    pub(crate) const fn at_start(mut self) -> Self {
        self.read_at_start = true;
        self.write_at_start = true;
        self
    }

    pub(crate) const fn written_at_start(mut self) -> Self {
        self.write_at_start = true;
        self
    }
}

/// 1, 2 or 4 bytes of a 4-byte field (or several in a row) are read.
pub(crate) const fn narrow(name: &'static str, offset: u32, size: u32) -> Field {
    Field::new(name, offset, size, Sizes::NARROW)
}

/// 4 bytes are read.
pub(crate) const fn four(name: &'static str, offset: u32) -> Field {
    Field::new(name, offset, 4, Sizes::FOUR)
}

/// 8 bytes are read.
pub(crate) const fn eight(name: &'static str, offset: u32) -> Field {
    Field::new(name, offset, 8, Sizes::EIGHT)
}

pub(crate) const fn read(fields: FieldSet, when: When) -> FieldRule {
    FieldRule {
        fields,
        access: Access::Read,
        when,
    }
}

pub(crate) const fn write(fields: FieldSet, when: When) -> FieldRule {
    FieldRule {
        fields,
        access: Access::Write,
        when,
    }
}
