//! The object as a whole.

use alloc::{sync::Arc, vec::Vec};

use panal_btf::Btf;

use crate::{
    error::{Error, Place},
    external::Extern,
    function::{Function, Role},
    map::Map,
};

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident;)*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(pub(crate) u32);

            impl $name {
                /// Its place in the object's list.
                pub const fn index(self) -> usize {
                    self.0 as usize
                }
            }
        )*
    };
}

ids! {
    /// A function of an object.
    FunctionId;
    /// A map of an object.
    MapId;
    /// Something external that an object asks for.
    ExternId;
}

/// What a compiler wrote.
#[derive(Clone, Debug)]
pub struct Object {
    pub(crate) license: Option<Arc<str>>,
    pub(crate) version: Option<u32>,
    pub(crate) functions: Vec<Function>,
    pub(crate) maps: Vec<Map>,
    pub(crate) externs: Vec<Extern>,
    pub(crate) btf: Option<Arc<Btf>>,
    pub(crate) remarks: Vec<Remark>,
}

/// Something that is odd, but no reason to refuse the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Where.
    pub place: Place,
    /// What.
    pub text: &'static str,
}

impl Object {
    /// Reads an object file.
    pub fn parse(bytes: &[u8]) -> Result<Object, Error> {
        crate::parse::object(bytes)
    }

    /// The licence, from `SEC("license")`.
    pub fn license(&self) -> Option<&str> {
        self.license.as_deref()
    }

    /// `LINUX_VERSION_CODE` from `SEC("version")`.
    pub fn version(&self) -> Option<u32> {
        self.version
    }

    /// Every function, in order of sections and of offsets within.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// Every function with its id.
    pub fn function_ids(&self) -> impl Iterator<Item = (FunctionId, &Function)> {
        (0..).map(FunctionId).zip(&self.functions)
    }

    /// A function.
    pub fn function(&self, id: FunctionId) -> &Function {
        &self.functions[id.index()]
    }

    /// The functions that are programs.
    pub fn programs(&self) -> impl Iterator<Item = (FunctionId, &Function)> {
        self.function_ids().filter(|(_, f)| f.role == Role::Program)
    }

    /// Every map: those of `.maps` and `maps`, data sections, configuration values, struct_ops.
    pub fn maps(&self) -> &[Map] {
        &self.maps
    }

    /// Every map with its id.
    pub fn map_ids(&self) -> impl Iterator<Item = (MapId, &Map)> {
        (0..).map(MapId).zip(&self.maps)
    }

    /// A map.
    pub fn map(&self, id: MapId) -> &Map {
        &self.maps[id.index()]
    }

    /// The map of this name.
    pub fn map_by_name(&self, name: &str) -> Option<(MapId, &Map)> {
        self.map_ids().find(|(_, m)| &*m.name == name)
    }

    /// Everything external, also what no instruction uses.
    pub fn externs(&self) -> &[Extern] {
        &self.externs
    }

    /// Something external.
    pub fn external(&self, id: ExternId) -> &Extern {
        &self.externs[id.index()]
    }

    /// The object's types, with the layout of its data sections filled in.
    pub fn btf(&self) -> Option<&Arc<Btf>> {
        self.btf.as_ref()
    }

    /// What is odd about the object.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }
}
