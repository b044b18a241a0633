//! Which kernel a command speaks to.

use std::path::Path;

use panal_kernel::PanalKernel;
use panal_uapi::{Capabilities, kernel::Kernel, profile::Profile};

use crate::{
    args::{Engine, Execution, KernelName},
    error::Problem,
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
    if execution.cage || execution.budget.is_some() {
        let text = "--cage and --budget are for Panal's kernel: Linux has neither";
        return Err(Problem::Asked(text.to_owned()));
    }
    Ok(())
}

/// Panal's kernel, to run programs.
pub fn panal(execution: Execution) -> Result<PanalKernel, Problem> {
    let engine = match execution.engine {
        Engine::Interp => panal_kernel::Engine::Interpreter,
        Engine::Jit => panal_kernel::Engine::MachineCode,
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
    match name {
        "panal" => Ok(None),
        "host" => host().map(Some),
        "unprivileged" => Ok(Some(Profile {
            name: name.to_owned(),
            capabilities: Capabilities::empty(),
            ..panal_kernel::own_profile()
        })),
        file if Path::new(file).exists() => foreign(file, panal_kernel::VERSION).map(Some),
        _ => Err(Problem::Asked(format!(
            "no profile `{name}`: there are panal (the default), unprivileged, host (the running \
             Linux kernel's types), and files of a kernel's BTF"
        ))),
    }
}

/// The running kernel: its types and version.
fn host() -> Result<Profile, Problem> {
    let release = Path::new("/proc/sys/kernel/osrelease");
    let text = std::fs::read_to_string(release).map_err(|e| Problem::file(release, "read", &e))?;
    foreign("/sys/kernel/btf/vmlinux", version_code(&text))
}

fn foreign(path: &str, version: u32) -> Result<Profile, Problem> {
    let bytes = crate::object::read_file(Path::new(path))?;
    let btf = panal_btf::Btf::parse(&bytes)
        .map_err(|error| Problem::Asked(format!("{path}: not a kernel's BTF: {error}")))?;
    Ok(Profile::new(path, version, std::sync::Arc::new(btf)))
}

/// `6.18.5-foo` as `LINUX_VERSION_CODE`.
fn version_code(release: &str) -> u32 {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|n| n.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0).min(255);
    next() << 16 | next() << 8 | next()
}
