//! An object whose types and maps are in a kernel: its programs can be loaded.

use std::sync::{Arc, OnceLock};

use panal_btf::{Btf, core_relo::Relocator};
use panal_isa::Slot;
use panal_object::{FunctionId, MapId, Origin, Relocation, Segment, Target};
use panal_uapi::{
    ProgType,
    kernel::{Fd, Kernel, LoadError, Loaded as KernelLoaded, ProgSpec},
    report::Rejection,
};

use crate::{
    Error, Loaded, MapPlan, Open, ProgramPlan, Rejected,
    assemble::{Assembled, assemble, set_source},
    core,
    error::Doing,
    externs::{self, Resolved},
    loaded, maps, scope, struct_ops, target, types,
};

/// `BPF_PSEUDO_MAP_FD` in the source register of a 64-bit load.
const PSEUDO_MAP_FD: u8 = 1;
/// `BPF_PSEUDO_MAP_VALUE` in the source register of a 64-bit load.
const PSEUDO_MAP_VALUE: u8 = 2;

/// An object with its maps in a kernel.
pub struct Prepared<'k> {
    pub(crate) open: Open,
    pub(crate) kernel: &'k dyn Kernel,
    /// By index of the object's maps. A map that could not be made only harms the programs that
    /// use it.
    pub(crate) maps: Vec<Result<Fd, Error>>,
    btf: Option<Fd>,
    types_failure: Option<Error>,
    /// The kernel's types, read when first needed: that takes a while for Linux.
    types: OnceLock<Arc<Btf>>,
}

impl<'k> Prepared<'k> {
    pub(crate) fn new(open: Open, kernel: &'k dyn Kernel) -> Result<Self, Error> {
        // Programs and maps that need no types do without.
        let (btf, types_failure) = match open
            .object
            .btf()
            .map(|btf| load_types(&open, btf, kernel))
            .transpose()
        {
            Ok(btf) => (btf, None),
            Err(error) => (None, Some(error)),
        };
        let mut prepared = Prepared {
            open,
            kernel,
            maps: Vec::new(),
            btf,
            types_failure,
            types: OnceLock::new(),
        };
        let plans = prepared.open.maps.iter();
        prepared.maps = plans.map(|plan| prepared.create_map(plan)).collect();
        for index in 0..prepared.open.maps.len() {
            let plan = &prepared.open.maps[index];
            if let Err(error) = maps::fill_outer(&prepared.open, plan, &prepared.maps, kernel)
                && prepared.maps[index].is_ok()
            {
                prepared.maps[index] = Err(error);
            }
        }
        Ok(prepared)
    }

    fn create_map(&self, plan: &MapPlan) -> Result<Fd, Error> {
        let (open, kernel, btf) = (&self.open, self.kernel, self.btf.as_ref());
        match &open.object.map(plan.id).origin {
            _ if !plan.create => Err(Error::Map {
                map: plan.name.clone(),
                fault: "it was chosen not to be created".to_owned(),
            }),
            Origin::StructOps(ops) if plan.reuse.is_none() => {
                struct_ops::create(open, plan, ops, kernel, self.types()?, btf)
            }
            _ => maps::create(open, plan, kernel, btf),
        }
    }

    /// The plan that it was made from.
    pub fn open(&self) -> &Open {
        &self.open
    }

    /// Why the kernel did not take the object's types, if it did not. Programs are loaded without
    /// them then, as libbpf does; what needs types will be rejected.
    pub fn types_failure(&self) -> Option<&Error> {
        self.types_failure.as_ref()
    }

    /// The kernel that holds its maps.
    pub fn kernel(&self) -> &'k dyn Kernel {
        self.kernel
    }

    /// The map of this name, to fill it before programs run.
    pub fn map(&self, name: &str) -> Result<&Fd, Error> {
        match self.open.maps.iter().position(|m| m.name == name) {
            Some(index) => self.maps[index].as_ref().map_err(Error::clone),
            None => Err(Error::NoMap {
                name: name.to_owned(),
                known: self.open.maps.iter().map(|m| m.name.clone()).collect(),
            }),
        }
    }

    /// Types of the kernel.
    pub(crate) fn types(&self) -> Result<&Arc<Btf>, Error> {
        if let Some(types) = self.types.get() {
            return Ok(types);
        }
        let types = self
            .kernel
            .btf()
            .doing(|| "reading the kernel's types".to_owned())?;
        Ok(self.types.get_or_init(|| types))
    }

    /// The request that loads a program: relocated for this kernel.
    pub fn spec(&self, plan: &ProgramPlan) -> Result<ProgSpec, Error> {
        Ok(self.relocated(plan)?.0)
    }

    /// The request, and the slots that must never run because the kernel lacks what they ask for.
    fn relocated(&self, plan: &ProgramPlan) -> Result<(ProgSpec, Poisoned), Error> {
        let prog_type = match (plan.prog_type, plan.section_fault) {
            (Some(ty), _) => ty,
            (None, fault) => {
                return Err(Error::Section {
                    program: plan.name.clone(),
                    section: plan.section.clone(),
                    fault: fault.unwrap_or(panal_uapi::section::SectionError::Unknown),
                });
            }
        };
        let object = &self.open.object;
        let mut assembled = assemble(object, plan.id)?;
        if let Some(scope) = plan.scope {
            scope::restrict(&mut assembled, scope);
        }
        let mut poisoned = Vec::new();
        if assembled
            .pieces
            .iter()
            .any(|(id, _)| !object.function(*id).core.is_empty())
            && let Some(local) = object.btf()
        {
            let mut relocator = Relocator::new(local, self.types()?);
            poisoned = core::relocate(object, &plan.name, &mut assembled, &mut relocator)?;
        }
        self.patch(&mut assembled, &mut poisoned)?;
        let mut attach_type = plan.attach_type;
        let target = if prog_type == ProgType::StructOps && plan.tied.is_none() {
            let (target, member) = struct_ops::tie(&self.open, plan, self.kernel, self.types()?)?;
            attach_type = Some(member);
            Some(target)
        } else if target::needs_types(plan) {
            target::load_target(plan, self.kernel, self.types()?)?
        } else {
            plan.tied.clone()
        };
        if self.btf.is_none() {
            // They name types that the kernel did not take.
            assembled.funcs.clear();
            assembled.lines.clear();
        }
        let spec = ProgSpec {
            name: plan.name.clone(),
            prog_type,
            attach_type,
            license: object.license().unwrap_or_default().to_owned(),
            kern_version: object.version().unwrap_or_else(|| self.kernel.version()),
            flags: plan.flags,
            target,
            btf: self.btf.clone(),
            bind_maps: self.unnamed_constants(&assembled.relocations),
            code: assembled.code,
            funcs: assembled.funcs,
            lines: assembled.lines,
            fd_array: Vec::new(),
            log_level: plan.log_level,
        };
        Ok((spec, poisoned))
    }

    /// Fills in maps and what is external.
    fn patch(&self, assembled: &mut Assembled, poisoned: &mut Poisoned) -> Result<(), Error> {
        let object = &self.open.object;
        let code = &mut assembled.code;
        for relocation in &assembled.relocations {
            let slot = relocation.slot as usize;
            match relocation.target {
                Target::Map(map) => {
                    let fd = self.fd(map)?;
                    patch_map(code, slot, PSEUDO_MAP_FD, fd, 0);
                }
                Target::Data { map, offset } => {
                    let fd = self.fd(map)?;
                    patch_map(code, slot, PSEUDO_MAP_VALUE, fd, offset);
                }
                Target::Extern(id) => match object.external(id).kind {
                    panal_object::ExternKind::Kconfig { map, offset, .. } => {
                        let fd = self.fd(map)?;
                        patch_map(code, slot, PSEUDO_MAP_VALUE, fd, offset);
                    }
                    _ => externs::patch_load(code, slot, self.external(id)?),
                },
                Target::Kfunc(id) => {
                    let resolved = self.external(id)?;
                    if let Resolved::Address(_) = resolved {
                        let name = &object.external(id).name;
                        poisoned.push((relocation.slot, format!("kernel function {name}")));
                    }
                    externs::patch_call(code, slot, resolved, id.index());
                }
                // Done when the program was put together.
                Target::Call(_) | Target::FunctionAddress(_) => {}
            }
        }
        Ok(())
    }

    fn fd(&self, map: MapId) -> Result<&Fd, Error> {
        self.maps[map.index()].as_ref().map_err(Error::clone)
    }

    fn external(&self, id: panal_object::ExternId) -> Result<Resolved, Error> {
        let object = &self.open.object;
        let local = object.btf().map_or_else(Arc::default, Arc::clone);
        externs::resolve(object.external(id), &local, self.kernel, self.types()?)
    }

    /// Constant data that no instruction names: it carries metadata, which stays with the program.
    fn unnamed_constants(&self, relocations: &[Relocation]) -> Vec<Fd> {
        let named = |id: MapId| {
            relocations
                .iter()
                .any(|r| matches!(r.target, Target::Data { map, .. } if map == id))
        };
        self.open
            .object
            .map_ids()
            .filter(|(id, map)| {
                map.data().is_some_and(|d| d.segment == Segment::Rodata) && !named(*id)
            })
            .filter_map(|(id, _)| self.maps[id.index()].clone().ok())
            .collect()
    }

    /// Loads one program, whether it was chosen or not. Others are not touched, so that each can
    /// be asked about in turn.
    pub fn load_program(&self, id: FunctionId) -> Result<KernelLoaded, Error> {
        let plan = self.open.programs.iter().find(|p| p.id == id);
        let Some(plan) = plan else {
            return Err(Error::NotLoaded(
                self.open.object.function(id).name.to_string(),
            ));
        };
        let (spec, poisoned) = self.relocated(plan)?;
        self.kernel.prog_load(&spec).map_err(|error| match error {
            LoadError::Rejected {
                errno,
                rejection,
                log,
                stats,
            } => {
                let program = plan.name.clone();
                let slot = match &rejection {
                    Some(rejection) => rejection.place.as_ref().map(|p| p.slot),
                    None => last_call(&log),
                };
                let missing = poisoned.into_iter().find(|(s, _)| Some(*s) == slot);
                let missing = missing.map(|(_, what)| what);
                let rejection = match (rejection, &missing) {
                    (Some(rejection), Some(what)) => Some(self.explained(*rejection, what)),
                    (rejection, _) => rejection,
                };
                Error::Rejected(Box::new(Rejected {
                    program,
                    errno,
                    rejection,
                    missing,
                    log,
                    stats,
                }))
            }
            LoadError::Failed(failure) => Error::Kernel {
                what: format!("loading program {}", plan.name),
                failure,
            },
        })
    }

    /// A call of an unknown helper that the loader itself put there, in terms of the source.
    fn explained(&self, mut rejection: Rejection, what: &str) -> Box<Rejection> {
        let kernel = self.kernel.name();
        let (what, ask) = in_words(what);
        rejection.message = format!("the program uses {what}, which {kernel} does not have");
        rejection.help = Some(format!(
            "ask with {ask} before, so that kernels without it do not come here"
        ));
        Box::new(rejection)
    }

    /// Loads every program that was chosen; the first that fails ends it.
    pub fn load(self) -> Result<Loaded<'k>, Error> {
        loaded::load(self)
    }
}

/// What is missing, for people, and what asks for it.
fn in_words(what: &str) -> (String, &'static str) {
    // `<byte_off> [6] struct file___later.f_invented (0:1 @ offset 4)`
    let relocation = what.strip_prefix('<').and_then(|rest| {
        let (kind, rest) = rest.split_once("> ")?;
        let (_, rest) = rest.split_once("] ")?;
        let name = rest.split(" (").next()?;
        Some((kind, name))
    });
    let Some((kind, name)) = relocation else {
        return (what.to_owned(), "bpf_ksym_exists()");
    };
    // A flavour is the program's own name for one form of a type.
    let name = match name.find("___") {
        Some(at) => {
            let rest = name[at..].find('.').map_or("", |dot| &name[at + dot..]);
            format!("{}{rest}", &name[..at])
        }
        None => name.to_owned(),
    };
    match kind {
        kind if kind.starts_with("type") => {
            (format!("the type `{name}`"), "bpf_core_type_exists()")
        }
        kind if kind.starts_with("enum") => (
            format!("the enumerator `{name}`"),
            "bpf_core_enum_value_exists()",
        ),
        _ => (format!("the field `{name}`"), "bpf_core_field_exists()"),
    }
}

/// Slots that are poisoned, with what the kernel lacks.
type Poisoned = Vec<(u32, String)>;

/// The slot of the call of an unknown helper that a log ends with.
fn last_call(log: &str) -> Option<u32> {
    let line = log
        .lines()
        .rev()
        .find(|l| l.contains("(85) call unknown#"))?;
    line.split(':').next()?.trim().parse().ok()
}

fn load_types(open: &Open, btf: &Btf, kernel: &dyn Kernel) -> Result<Fd, Error> {
    let bytes = types::for_kernel(&open.object, btf, kernel.version()).map_err(|e| Error::Map {
        map: ".BTF".to_owned(),
        fault: e.to_string(),
    })?;
    kernel
        .btf_load(&bytes)
        .doing(|| "loading the object's types".to_owned())
}

fn patch_map(code: &mut [Slot], slot: usize, pseudo: u8, fd: &Fd, offset: u32) {
    if let Some([first, second]) = code.get_mut(slot..slot + 2) {
        set_source(first, pseudo);
        first.imm = fd.number();
        second.imm = offset as i32;
    }
}
