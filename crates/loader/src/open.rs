//! An object before it meets a kernel: what is to be loaded, and with which sizes and values.

use std::sync::Arc;

use panal_object::{FunctionId, MapId, Object, Origin, Pinning};
use panal_uapi::{
    AttachType, MapType, ProgType,
    kernel::{Fd, Kernel, LoadTarget, MapFlags, ProgFlags},
    section::{Section, SectionError},
};

use crate::{Error, Prepared, Scope, scope};

/// Where maps with `LIBBPF_PIN_BY_NAME` are pinned.
const PIN_DIRECTORY: &str = "/sys/fs/bpf";

/// Largest data section that is taken: far beyond what kernels take as a map's value.
pub(crate) const MAX_DATA: u32 = 1 << 30;

/// An opened object.
#[derive(Clone, Debug)]
pub struct Open {
    pub(crate) object: Arc<Object>,
    pub(crate) name: String,
    pub(crate) programs: Vec<ProgramPlan>,
    pub(crate) maps: Vec<MapPlan>,
    /// Directory where maps are pinned by name.
    pub pin_directory: String,
}

/// What is to become of a program.
#[derive(Clone, Debug)]
pub struct ProgramPlan {
    /// Which function of the object.
    pub id: FunctionId,
    /// Its name.
    pub name: String,
    /// Its section, as the source has it.
    pub section: String,
    /// Why the section's name says no type, if it does not: then the type must be given.
    pub section_fault: Option<SectionError>,
    /// Whether it is loaded: not when its section begins with `?`.
    pub load: bool,
    /// Its type, from the section.
    pub prog_type: Option<ProgType>,
    /// Its expected attach type, from the section.
    pub attach_type: Option<AttachType>,
    /// Flags, from the section.
    pub flags: ProgFlags,
    /// What it is tied to when it is loaded, if not what the section says: the program whose
    /// function a `freplace` or `fentry` program is for.
    pub tied: Option<LoadTarget>,
    /// Whose events it sees, on kernels that call it for all; `None` for everybody's.
    pub scope: Option<Scope>,
    /// How much the verifier logs, as `bpf_attr.log_level`.
    pub log_level: u32,
}

/// What is to become of a map.
#[derive(Clone, Debug)]
pub struct MapPlan {
    /// Which map of the object.
    pub id: MapId,
    /// Its name: that of the variable, or of the data section.
    pub name: String,
    /// Whether it is created.
    pub create: bool,
    /// Its type.
    pub map_type: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Capacity; 0 for a perf event array means one element a CPU.
    pub max_entries: u32,
    /// Flags.
    pub flags: MapFlags,
    /// NUMA node.
    pub numa_node: Option<u32>,
    /// Where it is pinned, and taken from when it is there already.
    pub pin_path: Option<String>,
    /// Use this map instead of creating one.
    pub reuse: Option<Fd>,
    /// Contents of a data section, when they are not those of the object.
    pub(crate) contents: Option<Vec<u8>>,
}

impl Open {
    /// Takes an object. `name` is that of its file (`opensnoop.bpf.o`), which names its global data
    /// in the kernel.
    pub fn new(object: Object, name: &str) -> Result<Open, Error> {
        let file = name.rsplit('/').next().unwrap_or(name);
        let stem = file.split('.').next().unwrap_or(file);
        let programs = object
            .programs()
            .map(|(id, function)| {
                let section = Section::parse(&function.section);
                ProgramPlan {
                    id,
                    name: function.name.to_string(),
                    section: function.section.to_string(),
                    section_fault: section.err(),
                    load: section.is_ok_and(|s| s.autoload),
                    prog_type: section.ok().map(|s| s.prog_type),
                    attach_type: section.ok().and_then(|s| s.attach_type),
                    flags: section.map_or(ProgFlags::empty(), |s| s.flags),
                    tied: None,
                    scope: None,
                    log_level: 0,
                }
            })
            .collect();
        let maps = object
            .map_ids()
            .map(|(id, map)| plan(id, map))
            .collect::<Result<_, _>>()?;
        let pin_directory = PIN_DIRECTORY.to_owned();
        let mut open = Open {
            object: Arc::new(object),
            name: stem.to_owned(),
            programs,
            maps,
            pin_directory,
        };
        open.pin_by_name();
        Ok(open)
    }

    /// Reads an object file's bytes.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Open, Error> {
        Open::new(Object::parse(bytes)?, name)
    }

    fn pin_by_name(&mut self) {
        for plan in &mut self.maps {
            if self.object.map(plan.id).definition.pinning == Pinning::ByName {
                plan.pin_path = Some(format!("{}/{}", self.pin_directory, plan.name));
            }
        }
    }

    /// Pins maps of `LIBBPF_PIN_BY_NAME` in another directory.
    pub fn set_pin_directory(&mut self, directory: &str) {
        self.pin_directory = directory.to_owned();
        self.pin_by_name();
    }

    /// Neither pins maps nor takes pinned ones: for verification and for runs that share nothing.
    pub fn without_pins(&mut self) {
        for plan in &mut self.maps {
            plan.pin_path = None;
        }
    }

    /// Lets tracing programs see only what these processes do. Programs on packets, cgroups and
    /// sockets are not changed: where they are attached says whose events they see.
    pub fn restrict(&mut self, to: Scope) {
        for plan in &mut self.programs {
            plan.scope = scope::has_current(plan).then_some(to);
        }
    }

    /// The object.
    pub fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// The programs, in the object's order.
    pub fn programs(&self) -> &[ProgramPlan] {
        &self.programs
    }

    /// The programs, to be changed.
    pub fn programs_mut(&mut self) -> &mut [ProgramPlan] {
        &mut self.programs
    }

    /// The maps, in the object's order.
    pub fn maps(&self) -> &[MapPlan] {
        &self.maps
    }

    /// A program by name.
    pub fn program_mut(&mut self, name: &str) -> Result<&mut ProgramPlan, Error> {
        match self.programs.iter().position(|p| p.name == name) {
            Some(index) => Ok(&mut self.programs[index]),
            None => Err(Error::NoProgram {
                name: name.to_owned(),
                known: self.programs.iter().map(|p| p.name.clone()).collect(),
            }),
        }
    }

    /// A map by name.
    pub fn map_mut(&mut self, name: &str) -> Result<&mut MapPlan, Error> {
        match self.maps.iter().position(|m| m.name == name) {
            Some(index) => Ok(&mut self.maps[index]),
            None => Err(Error::NoMap {
                name: name.to_owned(),
                known: self.maps.iter().map(|m| m.name.clone()).collect(),
            }),
        }
    }

    /// Loads only this program.
    pub fn only(&mut self, name: &str) -> Result<(), Error> {
        let id = self.program_mut(name)?.id;
        for program in &mut self.programs {
            program.load = program.id == id;
        }
        Ok(())
    }

    /// The bytes of a global variable, as they will be when the programs are loaded.
    pub fn variable(&self, name: &str) -> Result<Vec<u8>, Error> {
        let (map, range) = self.find_variable(name)?;
        let plan = &self.maps[map];
        let data = self.object.map(plan.id).data();
        let contents = plan.contents.as_ref().or(data.map(|d| &d.contents));
        let set = contents.and_then(|c| c.get(range.clone()));
        // What stands in .bss and was not set is zero.
        Ok(set.map_or_else(|| vec![0; range.len()], <[u8]>::to_vec))
    }

    /// Sets a global variable, `const` ones too: programs are verified with this value.
    pub fn set_variable(&mut self, name: &str, value: &[u8]) -> Result<(), Error> {
        let (map, range) = self.find_variable(name)?;
        if value.len() != range.len() {
            return Err(Error::VariableSize {
                name: name.to_owned(),
                size: range.len() as u32,
                given: value.len(),
            });
        }
        let plan = &mut self.maps[map];
        let object = &self.object;
        let contents = plan.contents.get_or_insert_with(|| {
            let data = object.map(plan.id).data();
            let mut bytes = data.map_or_else(Vec::new, |d| d.contents.clone());
            bytes.resize(data.map_or(0, |d| d.size as usize), 0);
            bytes
        });
        if let Some(target) = contents.get_mut(range) {
            target.copy_from_slice(value);
        }
        Ok(())
    }

    /// The map and the range of bytes of a variable.
    fn find_variable(&self, name: &str) -> Result<(usize, std::ops::Range<usize>), Error> {
        for (index, plan) in self.maps.iter().enumerate() {
            let Some(data) = self.object.map(plan.id).data() else {
                continue;
            };
            if let Some(v) = data.variables.iter().find(|v| &*v.name == name) {
                let start = v.offset as usize;
                return Ok((index, start..start + v.size as usize));
            }
        }
        Err(Error::NoVariable(name.to_owned()))
    }

    /// Hands types and maps to a kernel. Programs follow: all by [`Prepared::load`], or one by one.
    pub fn prepare(self, kernel: &dyn Kernel) -> Result<Prepared<'_>, Error> {
        Prepared::new(self, kernel)
    }
}

fn plan(id: MapId, map: &panal_object::Map) -> Result<MapPlan, Error> {
    let definition = &map.definition;
    let name = map.name.to_string();
    let number = definition.map_type;
    let map_type = MapType::from_number(number)
        .filter(|ty| *ty != MapType::Unspec)
        .ok_or_else(|| Error::MapType {
            map: name.clone(),
            number,
        })?;
    if let Some(data) = map.data().filter(|d| d.size > MAX_DATA) {
        let fault = format!("{} bytes of global variables are too many", data.size);
        return Err(Error::Map { map: name, fault });
    }
    let create = match &map.origin {
        Origin::StructOps(ops) => ops.autocreate,
        _ => true,
    };
    // A ring buffer's value type only tells readers what its records are.
    let described = matches!(map_type, MapType::Ringbuf | MapType::UserRingbuf)
        && (definition.key_type.is_some() || definition.value_type.is_some());
    let size = |given| if described { 0 } else { given };
    Ok(MapPlan {
        id,
        name,
        create,
        map_type,
        key_size: size(definition.key_size),
        value_size: size(definition.value_size),
        max_entries: definition.max_entries,
        flags: MapFlags::from_bits_retain(definition.flags),
        numa_node: definition.numa_node,
        pin_path: None,
        reuse: None,
        contents: None,
    })
}
