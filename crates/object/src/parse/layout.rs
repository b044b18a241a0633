//! What stands where: found once, asked by every later step.

use alloc::{sync::Arc, vec, vec::Vec};

use hashbrown::HashMap;
use panal_btf::Btf;

use crate::{
    elf::{Elf, Home, Symbol, SymbolKind},
    error::{Error, Fault, Place},
    external::Extern,
    function::Function,
    map::Map,
    object::{ExternId, FunctionId, MapId, Remark},
};

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Nothing that a program may refer to.
    Other,
    /// Functions.
    Code,
    /// Definitions of maps.
    Maps,
    /// Global variables: this map.
    Data(MapId),
    /// struct_ops variables.
    StructOps,
}

/// The object in the making.
pub(super) struct Layout<'e, 'a> {
    pub elf: &'e Elf<'a>,
    /// As the compiler wrote them: offsets in data sections are not yet filled in.
    pub btf: Option<Arc<Btf>>,
    /// Names of sections, by index.
    pub names: Vec<Arc<str>>,
    /// By section index.
    pub holds: Vec<Holds>,
    pub functions: Vec<Function>,
    /// Functions by section and offset in bytes.
    pub function_at: HashMap<(usize, u64), FunctionId>,
    /// Functions of each section by range of bytes, sorted.
    pub ranges: Vec<Vec<(u64, u64, FunctionId)>>,
    pub maps: Vec<Map>,
    /// Defined maps by section and offset in bytes.
    pub map_at: HashMap<(usize, u64), MapId>,
    pub externs: Vec<Extern>,
    pub extern_by_name: HashMap<Arc<str>, ExternId>,
    pub remarks: Vec<Remark>,
    /// Symbols of objects by section and name.
    objects: HashMap<(usize, &'a str), &'e Symbol<'a>>,
}

/// What a symbol and an addend lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// A byte of a section.
    Section(usize, i64),
    /// Something external, by symbol index.
    Undefined(u32),
}

impl<'e, 'a> Layout<'e, 'a> {
    pub fn new(elf: &'e Elf<'a>, btf: Option<Arc<Btf>>) -> Self {
        let mut objects = HashMap::new();
        for symbol in &elf.symbols {
            if let (Home::Section(section), SymbolKind::Object | SymbolKind::None) =
                (symbol.home, symbol.kind)
            {
                objects.entry((section, symbol.name)).or_insert(symbol);
            }
        }
        Layout {
            elf,
            btf,
            names: elf.sections.iter().map(|s| Arc::from(s.name)).collect(),
            holds: vec![Holds::Other; elf.sections.len()],
            functions: Vec::new(),
            function_at: HashMap::new(),
            ranges: vec![Vec::new(); elf.sections.len()],
            maps: Vec::new(),
            map_at: HashMap::new(),
            externs: Vec::new(),
            extern_by_name: HashMap::new(),
            remarks: Vec::new(),
            objects,
        }
    }

    /// The variable of this name in a section.
    pub fn variable(&self, section: usize, name: &str) -> Option<&'e Symbol<'a>> {
        self.objects.get(&(section, name)).copied()
    }

    /// Adds a map.
    pub fn add_map(&mut self, map: Map) -> MapId {
        let id = MapId(self.maps.len() as u32);
        self.maps.push(map);
        id
    }

    /// A place within a section.
    pub fn place(&self, section: usize, offset: u64) -> Place {
        Place {
            section: self.names.get(section).cloned(),
            symbol: None,
            offset: Some(offset),
        }
    }

    /// Follows a symbol.
    pub fn follow(&self, symbol: u32, addend: i64, place: &Place) -> Result<Reference, Error> {
        let fail = |fault| Err(Error::new(place.clone(), fault));
        let Some(s) = self.elf.symbol(symbol) else {
            return fail(Fault::RelocationSymbol(symbol));
        };
        match s.home {
            Home::Section(section) => {
                let value = i64::try_from(s.value)
                    .ok()
                    .and_then(|v| v.checked_add(addend));
                match value {
                    Some(offset) => Ok(Reference::Section(section, offset)),
                    None => fail(Fault::Elf("a symbol's value is absurd")),
                }
            }
            Home::Undefined if s.name.is_empty() => fail(Fault::RelocationSymbol(symbol)),
            Home::Undefined => Ok(Reference::Undefined(symbol)),
            Home::Common => fail(Fault::Common(Arc::from(s.name))),
            Home::Absolute => fail(Fault::BadTarget(Arc::from("*ABS*"))),
        }
    }

    /// The function that begins at a byte of a section.
    pub fn function_from(
        &self,
        section: usize,
        offset: i64,
        place: &Place,
    ) -> Result<FunctionId, Error> {
        u64::try_from(offset)
            .ok()
            .and_then(|o| self.function_at.get(&(section, o)).copied())
            .ok_or_else(|| {
                let section = self.names[section].clone();
                Error::new(place.clone(), Fault::NoFunctionAt { section, offset })
            })
    }

    /// The map whose definition begins at a byte of a section.
    pub fn map_from(&self, section: usize, offset: i64, place: &Place) -> Result<MapId, Error> {
        u64::try_from(offset)
            .ok()
            .and_then(|o| self.map_at.get(&(section, o)).copied())
            .ok_or_else(|| {
                let section = self.names[section].clone();
                let offset = offset as u64;
                Error::new(place.clone(), Fault::NoMapAt { section, offset })
            })
    }
}
