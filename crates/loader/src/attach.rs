//! Where a program is attached, by its section's name.

use panal_uapi::{
    kernel::AttachTarget,
    section::{Section, Target},
};

use crate::{Error, LoadedProgram, ProgramPlan, places::needs, target::syscall_function};

/// What the section says; an error that names what is missing when it does not say enough.
pub(crate) fn attach_target(program: &LoadedProgram) -> Result<AttachTarget, Error> {
    let plan = &program.plan;
    let Ok(section) = Section::parse(&plan.section) else {
        return Err(unattached(plan, "a target"));
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
            Err(unattached(plan, "a cgroup"))
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
            multi: false,
        } => Ok(AttachTarget::Uprobe {
            path: path.to_owned(),
            function: function.to_owned(),
            offset,
            on_return,
            pid: None,
        }),
        Target::Uprobe { .. } => unsupported("to many user functions at once"),
        Target::KprobeMulti { .. } => unsupported("to many kernel functions at once"),
        Target::Usdt { .. } => unsupported("to a USDT probe"),
        Target::StructOps => unsupported("a struct_ops program"),
        Target::Unnamed => Err(unattached(plan, needs(program))),
    }
}

pub(crate) fn unattached(plan: &ProgramPlan, needs: &'static str) -> Error {
    Error::Unattached {
        program: plan.name.clone(),
        section: plan.section.clone(),
        needs,
    }
}
