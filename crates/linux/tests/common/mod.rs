//! Objects on the running kernel, restricted to this process.
#![allow(dead_code)] // not every test file uses everything

use std::{
    fs,
    sync::{Mutex, MutexGuard, PoisonError},
};

use panal_linux::LinuxKernel;
use panal_loader::{Error, Loaded, Open, Scope};
use panal_uapi::{
    Errno,
    kernel::{Failure, Fd},
};

/// One test at a time: programs count what the whole process does.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Linux, if this process may use bpf(2); says why not.
pub fn linux() -> Option<LinuxKernel> {
    match panal_testkit::linux() {
        Ok(_) => Some(LinuxKernel::new()),
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

/// An object of `tests/objects`, with only this program chosen, for this process.
pub fn open(object: &str, program: &str) -> Open {
    let path = format!("{}/tests/objects/{object}", env!("CARGO_MANIFEST_DIR"));
    let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut open = Open::parse(&bytes, object).unwrap_or_else(|e| panic!("{object}: {e}"));
    open.only(program).expect("the program exists");
    open.restrict(Scope::Process(std::process::id()));
    open
}

/// Loads it.
pub fn load<'k>(kernel: &'k LinuxKernel, object: &str, program: &str) -> Result<Loaded<'k>, Error> {
    open(object, program).prepare(kernel)?.load()
}

/// The kernel's answer, if it is that it lacks something, and not that something was wrong.
pub fn lacks(error: &Error) -> Option<&Failure> {
    match error {
        Error::Kernel { failure, .. }
            if matches!(failure.errno, Errno::EOPNOTSUPP | Errno::EPERM)
                || failure.detail.contains("this machine has no") =>
        {
            Some(failure)
        }
        _ => None,
    }
}

/// A number in `/proc/self/fdinfo`: `prog_id`, `link_id`.
pub fn fdinfo(fd: &Fd, name: &str) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.number())).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().parse().ok()
}

/// What bpftool prints as JSON; `None` when it is not installed.
pub fn bpftool(arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new("bpftool")
        .arg("-j")
        .args(arguments)
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
