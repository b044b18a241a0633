//! Where a program is attached, by its section's name.

use panal_uapi::{
    ProgType,
    kernel::{AttachTarget, IteratorOver, PerfEvent, SampleRate},
    section::{BtfTarget, Section, Target},
};

use crate::{Error, LoadedProgram, Place, ProgramPlan, target::syscall_function, user::UserBinary};

/// What sections do not say of where programs are attached.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    /// User probes are set in this process only.
    pub pid: Option<u32>,
    /// What `perf_event` programs sample.
    pub sampling: Option<Sampling>,
    /// What iterators go through; `None` for all.
    pub iterate: Option<IteratorOver>,
}

/// What `perf_event` programs sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// What is counted.
    pub event: PerfEvent,
    /// How often the program runs.
    pub rate: SampleRate,
    /// Only this process and what it starts; `None` for all.
    pub pid: Option<u32>,
}

/// What the section says; an error that names what is missing when it does not say enough.
pub(crate) fn attach_target(
    program: &LoadedProgram,
    placement: &Placement,
) -> Result<AttachTarget, Error> {
    let plan = &program.plan;
    let Ok(section) = Section::parse(&plan.section) else {
        return Err(unattached(plan, Place::Other("a target")));
    };
    let unsupported = |what: &str| {
        Err(Error::Unsupported {
            program: plan.name.clone(),
            what: format!("attaching {what}"),
        })
    };
    let target = section.target.map_err(|fault| Error::Section {
        program: plan.name.clone(),
        section: plan.section.clone(),
        fault,
    })?;
    match target {
        Target::Tracepoint { category, name } => Ok(AttachTarget::Tracepoint {
            category: category.to_owned(),
            name: name.to_owned(),
        }),
        Target::RawTracepoint(name) => Ok(AttachTarget::RawTracepoint(name.to_owned())),
        Target::Btf { .. } if plan.attach_type == Some(panal_uapi::AttachType::LsmCgroup) => {
            Err(unattached(plan, Place::Cgroup))
        }
        Target::Btf {
            kind: BtfTarget::Iterator,
            ..
        } => {
            let over = placement.iterate.clone();
            let over = over.unwrap_or(IteratorOver::Everything);
            Ok(AttachTarget::Iterator(over))
        }
        Target::Btf { .. } | Target::ProgramFunction(_) => Ok(AttachTarget::AtLoad),
        Target::Kprobe {
            function,
            offset,
            on_return,
        } => Ok(AttachTarget::Kprobe {
            function: function.to_owned(),
            offset,
            on_return,
        }),
        Target::Ksyscall { name, on_return } => Ok(AttachTarget::Kprobe {
            function: syscall_function(name),
            offset: 0,
            on_return,
        }),
        Target::Uprobe {
            path,
            function,
            offset,
            on_return,
            multi,
        } => {
            let fault = |fault| Error::Probe {
                program: plan.name.clone(),
                fault,
            };
            let binary = UserBinary::open(path).map_err(fault)?;
            let pid = placement.pid;
            Ok(match multi {
                true => AttachTarget::UprobeMulti {
                    sites: binary.sites(function).map_err(fault)?,
                    path: binary.path,
                    on_return,
                    pid,
                },
                false => AttachTarget::Uprobe {
                    site: binary.site(function, offset).map_err(fault)?,
                    path: binary.path,
                    on_return,
                    pid,
                },
            })
        }
        Target::KprobeMulti {
            pattern, on_return, ..
        } => Ok(AttachTarget::KprobeMulti {
            pattern: pattern.to_owned(),
            on_return,
        }),
        Target::Usdt { .. } => unsupported("to a USDT probe by one target"),
        Target::StructOps => {
            let needs = Place::Other("the registration of the variable that names it");
            Err(unattached(plan, needs))
        }
        Target::Unnamed => unnamed(program, placement),
    }
}

/// Where to attach what the section says nothing about.
fn unnamed(program: &LoadedProgram, placement: &Placement) -> Result<AttachTarget, Error> {
    let plan = &program.plan;
    match (plan.prog_type, placement.sampling) {
        (Some(ProgType::PerfEvent), Some(Sampling { event, rate, pid })) => {
            Ok(AttachTarget::PerfSampling { event, rate, pid })
        }
        _ => Err(unattached(plan, Place::of(plan))),
    }
}

pub(crate) fn unattached(plan: &ProgramPlan, needs: Place) -> Error {
    Error::Unattached {
        program: plan.name.clone(),
        section: plan.section.clone(),
        needs,
    }
}
