//! Maps as the object defines them.

use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};

use panal_btf::TypeId;

use crate::{FunctionId, MapId};

/// A map, or a section of data that becomes one.
#[derive(Clone, Debug)]
pub struct Map {
    /// Name of the variable; for data, of the section.
    pub name: Arc<str>,
    /// Section that defines it.
    pub section: Arc<str>,
    /// Type, sizes and the rest.
    pub definition: MapDefinition,
    /// Where it comes from, with its first contents.
    pub origin: Origin,
}

/// The attributes of a map. Numbers as the object gives them: which exist is the kernel's affair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapDefinition {
    /// `enum bpf_map_type`
    pub map_type: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Capacity; 0 where the source leaves it to the loader.
    pub max_entries: u32,
    /// `BPF_F_*`
    pub flags: u32,
    /// `map_extra`
    pub extra: u64,
    /// `numa_node`, if given.
    pub numa_node: Option<u32>,
    /// Whether it is shared by name.
    pub pinning: Pinning,
    /// Type of the key.
    pub key_type: Option<TypeId>,
    /// Type of the value.
    pub value_type: Option<TypeId>,
    /// For maps of maps: the maps within.
    pub inner: Option<Box<MapDefinition>>,
}

/// Whether a map is shared with other loaders by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pinning {
    /// No.
    #[default]
    None,
    /// `LIBBPF_PIN_BY_NAME`: at its name in the pin directory; reused when there already.
    ByName,
}

/// Where a map comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Defined in `.maps`, with the elements it holds from the start.
    Defined(Vec<(u32, Element)>),
    /// An arena that is defined in `.maps`, with the variables that lie at its start.
    Arena(Data),
    /// Defined as a `struct bpf_map_def` in a section `maps`.
    Legacy,
    /// Global variables.
    Data(Data),
    /// The values of `__kconfig` variables.
    Kconfig {
        /// Bytes of all.
        size: u32,
    },
    /// A variable in `.struct_ops`: functions that the kernel calls by their place in a structure.
    StructOps(StructOps),
}

/// What an element of a map of maps or prog array holds from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// A map.
    Map(MapId),
    /// A program.
    Program(FunctionId),
}

/// Global variables.
#[derive(Clone, Debug)]
pub struct Data {
    /// Kind of section.
    pub segment: Segment,
    /// First contents; empty for `.bss`, which is zero.
    pub contents: Vec<u8>,
    /// Bytes of the section.
    pub size: u32,
    /// What stands where, by offset; empty without types.
    pub variables: Vec<Variable>,
}

/// Kinds of data sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// `.data*`
    Data,
    /// `.rodata*`: frozen before the program is loaded.
    Rodata,
    /// `.bss*`
    Bss,
    /// `.addr_space.*`: in an arena.
    Arena,
}

/// A global variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: Arc<str>,
    /// Bytes into the section.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// Type.
    pub ty: TypeId,
}

/// A structure of functions.
#[derive(Clone, Debug)]
pub struct StructOps {
    /// Its type in the object's BTF.
    pub ty: TypeId,
    /// In `.struct_ops.link`: attached by a link.
    pub link: bool,
    /// False for `?.struct_ops`: created only on request.
    pub autocreate: bool,
    /// First contents; function pointers are zero.
    pub contents: Vec<u8>,
    /// Function pointers: bytes into the structure, program.
    pub programs: Vec<(u32, FunctionId)>,
}

/// At most this many bytes of a map's name reach the kernel (`BPF_OBJ_NAME_LEN` with its zero).
const NAME_LEN: usize = 15;

impl Map {
    /// The name that the kernel is told. For data sections it begins with the object's name, as
    /// with libbpf: `opensnoo.rodata`.
    pub fn kernel_name(&self, object: &str) -> String {
        let plain = |s: &str| s.chars().take(NAME_LEN).collect();
        match self.origin {
            Origin::Data(_) | Origin::Kconfig { .. } => {}
            _ => return plain(&self.name),
        }
        // `.data.custom` is unique by itself.
        if self.section.get(1..).is_some_and(|rest| rest.contains('.')) {
            return sanitised(&plain(&self.section));
        }
        let suffix = self.section.len().clamp(7, NAME_LEN);
        let prefix: String = object.chars().take(NAME_LEN - suffix).collect();
        sanitised(&plain(&format!("{prefix}{}", self.section)))
    }

    /// What is in the data section, if it is one.
    pub fn data(&self) -> Option<&Data> {
        match &self.origin {
            Origin::Data(data) => Some(data),
            _ => None,
        }
    }
}

/// The kernel takes only letters, digits, `_` and `.`.
fn sanitised(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '_'
            }
        })
        .collect()
}
