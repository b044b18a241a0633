//! An object that is loaded: its programs and maps, ready to be attached and asked.

use panal_object::{Element, MapId, Object, Origin};
use panal_uapi::{
    kernel::{AttachTarget, Fd, Kernel, UserSite, VerifierStats, update},
    section::{Section, Target},
};

use crate::{
    Error, MapPlan, Placement, Prepared, ProgramPlan,
    attach::attach_target,
    error::Doing,
    struct_ops::{self, Fitted},
    usdt,
    user::UserBinary,
};

/// A loaded object. Everything goes when it is dropped, but what is attached or pinned.
pub struct Loaded<'k> {
    kernel: &'k dyn Kernel,
    object: std::sync::Arc<Object>,
    programs: Vec<LoadedProgram>,
    maps: Vec<LoadedMap>,
    usdt: usdt::Told,
    struct_ops: Vec<(MapId, Fitted)>,
}

/// A program in the kernel.
#[derive(Clone, Debug)]
pub struct LoadedProgram {
    /// What it was loaded as.
    pub plan: ProgramPlan,
    /// Its descriptor.
    pub fd: Fd,
    /// The verifier's log; empty at level 0.
    pub log: String,
    /// What the verifier counted; `None` where the kernel does not tell.
    pub stats: Option<VerifierStats>,
}

/// A map in the kernel.
#[derive(Clone, Debug)]
pub struct LoadedMap {
    /// What it was created as.
    pub plan: MapPlan,
    /// Its descriptor.
    pub fd: Fd,
}

pub(crate) fn load(prepared: Prepared<'_>) -> Result<Loaded<'_>, Error> {
    let mut programs = Vec::new();
    let struct_ops = match struct_ops::has_any(&prepared.open) {
        true => struct_ops::fit_all(&prepared.open, prepared.kernel, prepared.types()?)?,
        false => Vec::new(),
    };
    let dormant = |plan: &ProgramPlan| struct_ops::is_dormant(&prepared.open, plan.id);
    let chosen = prepared.open.programs.iter().filter(|p| p.load);
    for plan in chosen.filter(|p| !dormant(p)) {
        let loaded = prepared.load_program(plan.id)?;
        programs.push(LoadedProgram {
            plan: plan.clone(),
            fd: loaded.fd,
            log: loaded.log,
            stats: loaded.stats,
        });
    }
    let Prepared {
        open, kernel, maps, ..
    } = prepared;
    let mut loaded_maps = Vec::new();
    for (plan, fd) in open.maps.into_iter().zip(maps) {
        if plan.create {
            loaded_maps.push(LoadedMap { plan, fd: fd? });
        }
    }
    let loaded = Loaded {
        kernel,
        object: open.object,
        programs,
        maps: loaded_maps,
        usdt: usdt::Told::default(),
        struct_ops,
    };
    loaded.fill_prog_arrays()?;
    Ok(loaded)
}

impl<'k> Loaded<'k> {
    /// Puts programs into the prog arrays that hold them from the start.
    fn fill_prog_arrays(&self) -> Result<(), Error> {
        for map in self.maps.iter().filter(|m| m.plan.reuse.is_none()) {
            let Origin::Defined(elements) = &self.object.map(map.plan.id).origin else {
                continue;
            };
            for (key, element) in elements {
                let Element::Program(id) = element else {
                    continue;
                };
                let Some(program) = self.programs.iter().find(|p| p.plan.id == *id) else {
                    return Err(Error::Map {
                        map: map.plan.name.clone(),
                        fault: format!(
                            "element {key} is program {}, which is not loaded",
                            self.object.function(*id).name
                        ),
                    });
                };
                let value = program.fd.number().to_ne_bytes();
                self.kernel
                    .map_update(&map.fd, &key.to_ne_bytes(), &value, update::BPF_ANY)
                    .doing(|| format!("setting element {key} of map {}", map.plan.name))?;
            }
        }
        Ok(())
    }

    /// A variable of `.struct_ops` as the kernel wants it.
    pub(crate) fn fitted(&self, map: MapId) -> Option<&Fitted> {
        let found = self.struct_ops.iter().find(|(id, _)| *id == map);
        found.map(|(_, fitted)| fitted)
    }

    /// The kernel that holds it.
    pub fn kernel(&self) -> &'k dyn Kernel {
        self.kernel
    }

    /// What it was loaded from.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// The programs that were loaded, in the object's order.
    pub fn programs(&self) -> &[LoadedProgram] {
        &self.programs
    }

    /// The maps that were created, in the object's order.
    pub fn maps(&self) -> &[LoadedMap] {
        &self.maps
    }

    /// A program by name.
    pub fn program(&self, name: &str) -> Result<&LoadedProgram, Error> {
        self.programs
            .iter()
            .find(|p| p.plan.name == name)
            .ok_or_else(|| Error::NoProgram {
                name: name.to_owned(),
                known: self.programs.iter().map(|p| p.plan.name.clone()).collect(),
            })
    }

    /// A map by name.
    pub fn map(&self, name: &str) -> Result<&LoadedMap, Error> {
        self.maps
            .iter()
            .find(|m| m.plan.name == name)
            .ok_or_else(|| Error::NoMap {
                name: name.to_owned(),
                known: self.maps.iter().map(|m| m.plan.name.clone()).collect(),
            })
    }

    /// A map by its id in the object, if it was created.
    pub fn map_of(&self, id: MapId) -> Option<&LoadedMap> {
        self.maps.iter().find(|m| m.plan.id == id)
    }

    /// What a program is attached to by its section's name; an error that names what is missing
    /// when the section does not say.
    pub fn attach_target(&self, program: &LoadedProgram) -> Result<AttachTarget, Error> {
        attach_target(program, &Placement::default())
    }

    /// Attaches a program to what its section names. It detaches when the link is dropped.
    pub fn attach(&self, program: &LoadedProgram) -> Result<Fd, Error> {
        self.attach_at(program, &Placement::default())
    }

    /// The same, with what the section does not say.
    pub fn attach_at(&self, program: &LoadedProgram, placement: &Placement) -> Result<Fd, Error> {
        if let Ok(Section {
            target:
                Ok(Target::Usdt {
                    path,
                    provider,
                    name,
                }),
            ..
        }) = Section::parse(&program.plan.section)
        {
            return self.attach_usdt(program, path, provider, name, placement);
        }
        let target = attach_target(program, placement)?;
        self.attach_to(program, &target)
    }

    /// Attaches a program to every place of a statically defined probe.
    fn attach_usdt(
        &self,
        program: &LoadedProgram,
        path: &str,
        provider: &str,
        name: &str,
        placement: &Placement,
    ) -> Result<Fd, Error> {
        let fault = |fault| Error::Probe {
            program: program.plan.name.clone(),
            fault,
        };
        let binary = UserBinary::open(path).map_err(fault)?;
        let mut links = Vec::new();
        for probe in binary.probes(provider, name).map_err(fault)? {
            let named = |what| fault(format!("{}: {provider}:{name}: {what}", binary.path));
            let cookie = usdt::number(self, &self.usdt, &probe.arguments, &named)?;
            let target = AttachTarget::Uprobe {
                path: binary.path.clone(),
                site: UserSite {
                    offset: probe.offset,
                    ref_counter: probe.semaphore.unwrap_or(0),
                    cookie,
                },
                on_return: false,
                pid: placement.pid,
            };
            links.push(self.attach_to(program, &target)?);
        }
        Ok(Fd::together(links))
    }

    /// Attaches a program to a target. It detaches when the link is dropped.
    pub fn attach_to(&self, program: &LoadedProgram, target: &AttachTarget) -> Result<Fd, Error> {
        self.kernel
            .attach(&program.fd, target)
            .doing(|| format!("attaching program {}", program.plan.name))
    }
}
