//! Maps and programs for tests, from a few words.

use std::{collections::BTreeMap, sync::Arc};

use panal_btf::{Builder, Kind, KindTag, Linkage, TypeId};
use panal_isa::{Assembled, Imm64, assemble, assemble::Symbols};
use panal_kernel::{PanalKernel, Program};
use panal_uapi::{
    AttachType, MapType, ProgType, helpers,
    kernel::{Failure, Fd, FuncInfo, Kernel, LoadError, MapFlags, MapSpec, ProgSpec},
};

/// Maps by the names that program texts use.
#[derive(Clone, Default)]
pub struct Maps(BTreeMap<String, Fd>);

impl Maps {
    /// None.
    pub fn new() -> Self {
        Maps::default()
    }

    /// Adds one, or puts it in the place of another.
    pub fn insert(&mut self, name: impl Into<String>, map: Fd) {
        self.0.insert(name.into(), map);
    }

    /// That of a name.
    pub fn get(&self, name: &str) -> Option<&Fd> {
        self.0.get(name)
    }

    /// Forgets one.
    pub fn remove(&mut self, name: &str) -> Option<Fd> {
        self.0.remove(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Fd)> {
        self.0.iter()
    }
}

impl std::ops::Index<&str> for Maps {
    type Output = Fd;

    fn index(&self, name: &str) -> &Fd {
        &self.0[name]
    }
}

impl<S: Into<String>> FromIterator<(S, Fd)> for Maps {
    fn from_iter<I: IntoIterator<Item = (S, Fd)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        Maps(pairs.map(|(name, fd)| (name.into(), fd)).collect())
    }
}

/// What program texts name: maps, helpers, and the kernel functions of a kernel.
pub struct Names<'a> {
    maps: &'a Maps,
    kernel: Option<&'a dyn Kernel>,
}

impl<'a> Names<'a> {
    /// Only maps and helpers.
    pub fn new(maps: &'a Maps) -> Self {
        let kernel = None;
        Names { maps, kernel }
    }

    /// With this kernel's functions.
    pub fn of(kernel: &'a dyn Kernel, maps: &'a Maps) -> Self {
        let kernel = Some(kernel);
        Names { maps, kernel }
    }
}

impl Symbols for Names<'_> {
    fn map(&mut self, name: &str) -> Option<Imm64> {
        self.maps.get(name).map(|fd| Imm64::MapFd(fd.number()))
    }

    fn helper(&mut self, name: &str) -> Option<u32> {
        helpers::by_name(name).map(|helper| helper.id)
    }

    fn kfunc(&mut self, name: &str) -> Option<(i32, i16)> {
        let types = self.kernel?.btf().ok()?;
        let id = types.find(name, KindTag::Func)?;
        Some((id.0 as i32, 0))
    }
}

/// A map's definition, with the flags that its type cannot do without.
pub fn map(name: &str, map_type: MapType, key: u32, value: u32, entries: u32) -> MapSpec {
    let spec = MapSpec::new(map_type, key, value, entries);
    spec.named(name).with_flags(MapFlags::needed_by(map_type))
}

/// A program's definition from its text.
///
/// # Panics
/// When the text is wrong.
pub fn program(prog_type: ProgType, text: &str, maps: &Maps) -> ProgSpec {
    let code = assemble(text, &mut Names::new(maps)).unwrap_or_else(|e| panic!("{e}\n{text}"));
    ProgSpec {
        log_level: 1,
        ..ProgSpec::new("test", prog_type, code.slots)
    }
}

/// What a kernel said when it did not load a program.
pub fn told(error: LoadError) -> String {
    match error {
        LoadError::Rejected {
            errno,
            log,
            rejection,
            ..
        } => {
            let message = rejection.map(|r| r.message).unwrap_or_default();
            format!("rejected with {errno}: {message}\n{log}")
        }
        LoadError::Failed(failure) => failure.to_string(),
    }
}

/// Loads a program that must be accepted from its text, into any kernel.
///
/// # Panics
/// When it is not accepted.
pub fn loaded(kernel: &dyn Kernel, prog_type: ProgType, text: &str, maps: &Maps) -> Fd {
    let loaded = kernel.prog_load(&program(prog_type, text, maps));
    let loaded = loaded.unwrap_or_else(|error| panic!("{}: {}", kernel.name(), told(error)));
    loaded.fd
}

/// Loads into Panal's kernel a program that must be accepted.
///
/// # Panics
/// When it is not.
pub fn load(kernel: &PanalKernel, spec: &ProgSpec) -> (Fd, Arc<Program>) {
    let loaded = kernel.prog_load(spec);
    let loaded = loaded.unwrap_or_else(|error| panic!("{}", told(error)));
    let program = kernel.program(&loaded.fd).expect("just loaded");
    (loaded.fd, program)
}

/// The same from its text.
///
/// # Panics
/// When it is not accepted.
pub fn load_text(
    kernel: &PanalKernel,
    prog_type: ProgType,
    text: &str,
    maps: &Maps,
) -> (Fd, Arc<Program>) {
    load(kernel, &program(prog_type, text, maps))
}

/// The same for an attach type.
///
/// # Panics
/// When it is not accepted.
pub fn load_for(
    kernel: &PanalKernel,
    prog_type: ProgType,
    attach_type: AttachType,
    text: &str,
    maps: &Maps,
) -> (Fd, Arc<Program>) {
    let spec = ProgSpec {
        attach_type: Some(attach_type),
        ..program(prog_type, text, maps)
    };
    load(kernel, &spec)
}

/// Types of the functions of a text, which kernels want where one is called back.
///
/// # Errors
/// When the kernel does not take them.
pub fn function_types(
    kernel: &dyn Kernel,
    text: &str,
    assembled: &Assembled,
) -> Result<(Option<Fd>, Vec<FuncInfo>), String> {
    if !text.contains("subprog[") {
        return Ok((None, Vec::new()));
    }
    let mut functions = vec![(0, "entry")];
    for (label, &slot) in &assembled.labels {
        let called = text
            .lines()
            .any(|line| line.trim() == format!("call {label}"));
        if called || text.contains(&format!("subprog[{label}]")) {
            functions.push((slot as u32, label));
        }
    }
    functions.sort_unstable();
    let mut builder = Builder::new();
    let ret = builder.signed("int", 4);
    let mut funcs = Vec::new();
    for (slot, name) in functions {
        let params = Box::new([]);
        let proto = builder.add("", Kind::FuncProto { ret, params });
        let linkage = match slot {
            0 => Linkage::Global,
            _ => Linkage::Static,
        };
        let ty = builder.add(name, Kind::Func { proto, linkage });
        funcs.push(FuncInfo { slot, ty });
    }
    let bytes = builder.to_bytes().map_err(|e| e.to_string())?;
    let fd = kernel.btf_load(&bytes).map_err(|e| e.to_string())?;
    Ok((Some(fd), funcs))
}

/// What a map's value begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Nothing special.
    Plain,
    /// `struct bpf_spin_lock`
    Lock,
    /// `struct bpf_timer`
    Timer,
    /// `struct bpf_wq`
    Work,
}

/// Types for a map: keys and values are bytes, after the value's head; a key of four is a number.
///
/// # Errors
/// When the kernel does not take them.
pub fn map_types(
    kernel: &dyn Kernel,
    key_size: u32,
    value_size: u32,
    head: Head,
) -> Result<(Fd, TypeId, TypeId), Failure> {
    let mut builder = Builder::new();
    let index = builder.unsigned("unsigned int", 4);
    let byte = builder.unsigned("unsigned char", 1);
    let mut bytes = |len| {
        builder.add(
            "",
            Kind::Array {
                element: byte,
                index,
                len,
            },
        )
    };
    let key = match key_size {
        0 => TypeId::VOID,
        4 => index,
        _ => bytes(key_size),
    };
    let (name, size) = match head {
        Head::Plain => ("", 0),
        Head::Lock => ("bpf_spin_lock", 4),
        Head::Timer => ("bpf_timer", 16),
        Head::Work => ("bpf_wq", 16),
    };
    let rest = bytes(value_size.saturating_sub(size));
    let value = match head {
        Head::Plain => builder.structure("value", value_size, &[("rest", rest, 0)]),
        _ => {
            let long = builder.unsigned("unsigned long long", 8);
            let members: &[_] = match head {
                Head::Timer | Head::Work => &[("a", long, 0), ("b", long, 8)],
                _ => &[("val", index, 0)],
            };
            let special = builder.structure(name, size, members);
            let members = [("head", special, 0), ("rest", rest, size)];
            builder.structure("value", value_size, &members)
        }
    };
    let bytes = builder.to_bytes().expect("small numbers");
    Ok((kernel.btf_load(&bytes)?, key, value))
}
