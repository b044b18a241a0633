//! What a program is tied to when it is loaded, by its section's name.

use panal_btf::{Btf, KindTag};
use panal_uapi::{
    ProgType,
    kernel::{Kernel, LoadTarget},
    section::{BtfTarget, Section, Target},
};

use crate::{Error, Place, ProgramPlan};

/// The kernel's function for a system call: `__x64_sys_openat`.
pub(crate) fn syscall_function(name: &str) -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        "riscv64" => "riscv",
        "s390x" => "s390x",
        other => other,
    };
    format!("__{arch}_sys_{name}")
}

/// What the kernel is told to tie a program to.
pub(crate) fn load_target(
    plan: &ProgramPlan,
    kernel: &dyn Kernel,
    types: &Btf,
) -> Result<Option<LoadTarget>, Error> {
    if let Some(tied) = &plan.tied {
        return Ok(Some(tied.clone()));
    }
    let Ok(section) = Section::parse(&plan.section) else {
        return Ok(None);
    };
    let target = section.target.map_err(|fault| Error::Section {
        program: plan.name.clone(),
        section: plan.section.clone(),
        fault,
    })?;
    let (kind, name) = match target {
        Target::Btf { kind, name, .. } => (kind, name),
        Target::ProgramFunction(_) => {
            return Err(Error::Unattached {
                program: plan.name.clone(),
                section: plan.section.clone(),
                needs: Place::Other("the loaded program whose function it replaces"),
            });
        }
        // A bare `fentry` says nothing: the caller would have had to.
        Target::Unnamed if needs_type(plan) => {
            return Err(Error::Unattached {
                program: plan.name.clone(),
                section: plan.section.clone(),
                needs: Place::Other("a kernel function"),
            });
        }
        _ => return Ok(None),
    };
    let tag = match kind {
        BtfTarget::RawTracepoint => KindTag::Typedef,
        _ => KindTag::Func,
    };
    match types.find(&format!("{}{name}", kind.prefix()), tag) {
        Some(id) => Ok(Some(LoadTarget::KernelBtf(id))),
        None => Err(Error::NoTarget {
            program: plan.name.clone(),
            section: plan.section.clone(),
            what: match kind {
                BtfTarget::Function => "function",
                BtfTarget::RawTracepoint => "tracepoint",
                BtfTarget::Lsm => "LSM hook",
                BtfTarget::Iterator => "iterator",
            },
            name: name.to_owned(),
            kernel: kernel.name(),
        }),
    }
}

/// Whether the kernel's types have to be asked.
pub(crate) fn needs_types(plan: &ProgramPlan) -> bool {
    needs_type(plan)
}

fn needs_type(plan: &ProgramPlan) -> bool {
    matches!(
        plan.prog_type,
        Some(ProgType::Tracing | ProgType::Lsm | ProgType::Ext)
    )
}
