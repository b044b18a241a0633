//! Which kernel a command speaks to.

use std::path::Path;

use panal_kernel::PanalKernel;
use panal_profile::Captured;
use panal_uapi::{Capabilities, kernel::Kernel, profile::Profile};

use crate::{
    args::{Engine, Execution, KernelName},
    error::Problem,
    output,
};

/// Panal's kernel, which runs programs so, or Linux itself, which has its own ways.
pub fn open(name: KernelName, execution: Execution) -> Result<Box<dyn Kernel>, Problem> {
    match name {
        KernelName::Panal => Ok(Box::new(panal(execution)?)),
        KernelName::Linux => {
            only_panal(execution)?;
            linux()
        }
    }
}

/// Linux runs programs in its own way, and to their end.
pub fn only_panal(execution: Execution) -> Result<(), Problem> {
    match execution.given() {
        Some(option) => Err(Problem::Asked(format!(
            "{option} is for Panal's kernel: Linux runs programs by its own JIT, and to their end"
        ))),
        None => Ok(()),
    }
}

/// Panal's kernel, to run programs.
pub fn panal(execution: Execution) -> Result<PanalKernel, Problem> {
    let engine = match execution.engine.unwrap_or(Engine::Jit) {
        Engine::Interp => panal_kernel::Engine::Interpreter,
        Engine::Jit => panal_kernel::Engine::MachineCode,
        Engine::Opt => panal_kernel::Engine::Optimised,
    };
    PanalKernel::builder()
        .engine(engine)
        .caged(execution.cage)
        .budget(execution.budget.unwrap_or_default())
        .build()
        .map_err(cannot_start)
}

/// A kernel that is only asked for verdicts.
pub fn judge(name: KernelName, profile: Option<&Profile>) -> Result<Box<dyn Kernel>, Problem> {
    if name == KernelName::Linux {
        return linux();
    }
    let mut builder = PanalKernel::builder().verify_only(true);
    if let Some(profile) = profile {
        builder = builder.profile(profile.clone());
    }
    Ok(Box::new(builder.build().map_err(cannot_start)?))
}

fn cannot_start(failure: panal_uapi::kernel::Failure) -> Problem {
    Problem::Asked(format!("Panal's kernel cannot start: {failure}"))
}

#[cfg(target_os = "linux")]
fn linux() -> Result<Box<dyn Kernel>, Problem> {
    Ok(Box::new(panal_linux::LinuxKernel::new()))
}

#[cfg(not(target_os = "linux"))]
fn linux() -> Result<Box<dyn Kernel>, Problem> {
    Err(not_linux())
}

/// The running Linux kernel, to look into.
#[cfg(target_os = "linux")]
pub fn linux_to_inspect() -> Result<Box<dyn panal_uapi::inspect::Inspect>, Problem> {
    Ok(Box::new(panal_linux::LinuxKernel::new()))
}

#[cfg(not(target_os = "linux"))]
pub fn linux_to_inspect() -> Result<Box<dyn panal_uapi::inspect::Inspect>, Problem> {
    Err(not_linux())
}

/// What `--kernel linux` comes to elsewhere.
#[cfg(not(target_os = "linux"))]
pub fn not_linux() -> Problem {
    Problem::Asked("--kernel linux: this system is not Linux".to_owned())
}

/// The profile that `--profile` names; `None` for Panal's own kernel.
pub fn profile(name: &str) -> Result<Option<Profile>, Problem> {
    let own = panal_kernel::own_profile();
    if let Some(version) = panal_profile::shipped(name) {
        output::note(&format_args!(
            "{name} comes without that kernel's types: programs that reach into them are checked \
             against Panal's; a file of `panal profile capture`, or a file of its BTF, has them"
        ));
        return Ok(Some(Profile::new(name, version, own.btf)));
    }
    match name {
        "panal" => Ok(None),
        "host" => host().map(Some),
        "unprivileged" => Ok(Some(Profile {
            name: name.to_owned(),
            capabilities: Capabilities::empty(),
            ..own
        })),
        file if Path::new(file).exists() => from_file(file).map(Some),
        _ => Err(Problem::Asked(format!(
            "no profile `{name}`: there are panal (the default), unprivileged, host (the running \
             Linux kernel), {}, files of `panal profile capture`, and files of a kernel's BTF",
            panal_profile::SHIPPED
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

/// The running kernel: its types and version, and what it says that it has.
fn host() -> Result<Profile, Problem> {
    let kernel = linux()?;
    let btf = kernel
        .btf()
        .map_err(|failure| Problem::Asked(format!("--profile host: {failure}")))?;
    let features = panal_profile::probe(kernel.as_ref(), true);
    Ok(Profile {
        offers: features.offers(),
        ..Profile::new(kernel.name(), kernel.version(), btf)
    }
    .with_cpus(features.cpus))
}

/// Says of a profile that the kernel answered few questions, as the process that asked had no rights.
pub fn warn_of_rights(file: &str, features: &panal_profile::Features) {
    let held = features.capabilities();
    let wanted = Capabilities::BPF | Capabilities::PERFMON | Capabilities::NET_ADMIN;
    if !held.contains(wanted) {
        output::note(&format_args!(
            "{file}: captured with {held}: {} questions have no answer, and verdicts take the \
             kernel's version instead; capture it as root",
            features.reasons().len()
        ));
    }
}

/// A file of a capture, or of a kernel's BTF.
fn from_file(path: &str) -> Result<Profile, Problem> {
    let bytes = crate::files::read_file(Path::new(path))?;
    if bytes.starts_with(&panal_profile::MAGIC) {
        let wrong = |error| Problem::Asked(format!("{path}: {error}"));
        let captured = Captured::parse(&bytes).map_err(wrong)?;
        warn_of_rights(path, &captured.features);
        let name = captured.features.kernel.clone();
        let own = panal_kernel::own_profile();
        return captured.profile(&name, &own.btf).map_err(wrong);
    }
    let btf = panal_btf::Btf::parse(&bytes)
        .map_err(|error| Problem::Asked(format!("{path}: not a kernel's BTF: {error}")))?;
    Ok(Profile::new(
        path,
        panal_kernel::VERSION,
        std::sync::Arc::new(btf),
    ))
}
