//! The tracing file system: numbers of tracepoints, functions that can be traced, and probes as
//! kernels before 4.17 have them.

use std::{
    fs,
    io::{self, Write},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use panal_uapi::{
    Command, Errno,
    kernel::{CloseFd, Failure, Fd},
    section::matches,
};

use crate::{
    rights,
    sys::{failure, io_errno},
};

/// Where distributions mount it, newest first.
const PLACES: &[&str] = &["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// The tracing file system: where it is mounted and readable, or else a mount that only this
/// process sees, and that ends with it.
fn root() -> io::Result<PathBuf> {
    let mounted = PLACES
        .iter()
        .map(PathBuf::from)
        .find(|p| p.join("events").is_dir());
    if let Some(mounted) = mounted {
        return Ok(mounted);
    }
    static OWN: OnceLock<Result<OwnedFd, i32>> = OnceLock::new();
    match OWN.get_or_init(|| detached().map_err(|e| e.raw_os_error().unwrap_or(libc::EIO))) {
        Ok(fd) => Ok(PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))),
        Err(errno) => Err(io::Error::from_raw_os_error(*errno)),
    }
}

/// A mount of it that stands nowhere in the directory tree.
fn detached() -> io::Result<OwnedFd> {
    const FSOPEN_CLOEXEC: libc::c_uint = 1;
    const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
    const FSMOUNT_CLOEXEC: libc::c_uint = 1;
    let owned = |fd: libc::c_long| match fd {
        0.. => {
            // SAFETY: a descriptor that the call just made, owned by nobody else.
            Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
        }
        _ => Err(io::Error::last_os_error()),
    };
    // SAFETY: fsopen reads one C string; fsconfig with this command takes null pointers, and
    // fsmount numbers only.
    unsafe {
        let context = owned(libc::syscall(
            libc::SYS_fsopen,
            c"tracefs".as_ptr(),
            FSOPEN_CLOEXEC,
        ))?;
        let null = std::ptr::null::<libc::c_void>();
        let fd = context.as_raw_fd();
        if libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, null, null, 0) < 0 {
            return Err(io::Error::last_os_error());
        }
        owned(libc::syscall(libc::SYS_fsmount, fd, FSMOUNT_CLOEXEC, 0))
    }
}

/// Why there is no tracing file system, and what to do.
fn not_mounted() -> String {
    let why = rights::missing(&[rights::SYS_ADMIN]);
    let why = why.map_or_else(String::new, |why| format!(": {why}; or"));
    format!(
        "the tracing file system is not mounted, and cannot be{why} as root, mount -t tracefs \
         tracefs /sys/kernel/tracing"
    )
}

/// Why a file of it cannot be read, and what to do.
fn not_readable(path: &Path) -> String {
    let why = rights::missing(&[rights::DAC_READ_SEARCH]);
    let why = why.unwrap_or_else(|| "a policy forbids it".to_owned());
    format!(
        "{}: the tracing file system is root's alone: {why}",
        path.display()
    )
}

/// The number of a tracepoint, for perf_event_open(2).
pub fn tracepoint_id(category: &str, name: &str) -> Result<u64, Failure> {
    let wrong = |errno, detail: String| failure(Command::LinkCreate, errno, detail);
    let simple = |s: &str| !s.is_empty() && !s.contains(['/', '\0']) && s != "..";
    if !simple(category) || !simple(name) {
        return Err(wrong(
            Errno::EINVAL,
            format!("no tracepoint is called {category}/{name}"),
        ));
    }
    let root = root().map_err(|e| wrong(io_errno(&e), not_mounted()))?;
    let path = root.join("events").join(category).join(name).join("id");
    let text = fs::read_to_string(&path).map_err(|e| {
        let why = match e.kind() {
            io::ErrorKind::PermissionDenied => not_readable(&path),
            _ => format!("this kernel has no tracepoint {category}/{name}"),
        };
        wrong(io_errno(&e), why)
    })?;
    text.trim()
        .parse()
        .map_err(|_| wrong(Errno::EINVAL, format!("{} holds no number", path.display())))
}

/// Names of the kernel functions that can be traced and match a pattern with `*` and `?`.
pub fn functions(pattern: &str) -> Result<Vec<String>, Failure> {
    let wrong = |e: io::Error, what: String| failure(Command::LinkCreate, io_errno(&e), what);
    let root = root().map_err(|e| wrong(e, not_mounted()))?;
    let path = root.join("available_filter_functions");
    let text = fs::read_to_string(&path);
    let text = text.map_err(|e| match e.kind() {
        io::ErrorKind::PermissionDenied => wrong(e, not_readable(&path)),
        io::ErrorKind::NotFound => failure(
            Command::LinkCreate,
            Errno::EOPNOTSUPP,
            "this kernel does not tell its functions (it was built without CONFIG_FUNCTION_TRACER)",
        ),
        _ => wrong(e, "reading available_filter_functions".to_owned()),
    })?;
    // `name`, or `name [module]`
    let mut names: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| matches(pattern, name))
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// What a probe is set in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A kernel function.
    Kernel,
    /// A file that is executed.
    User,
}

impl Probe {
    /// The file where such probes are defined, and the category of their events.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Probe::Kernel => ("kprobe_events", "panal_kprobes"),
            Probe::User => ("uprobe_events", "panal_uprobes"),
        }
    }
}

/// Whether probes can be defined in the tracing file system.
pub fn has(probe: Probe) -> bool {
    root().is_ok_and(|root| root.join(probe.names().0).exists())
}

/// A probe that is defined; removed by closing what [`Event::into_fd`] gives.
pub struct Event {
    id: u64,
    removal: Removal,
}

struct Removal {
    probe: Probe,
    name: String,
}

impl Event {
    /// The number of its tracepoint.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// As a descriptor whose closing removes it.
    pub fn into_fd(self) -> Fd {
        Fd::new(-1, Arc::new(self.removal))
    }
}

impl CloseFd for Removal {
    fn close(&self, _: i32) {
        let (_, category) = self.probe.names();
        // There is nobody to be told when it fails.
        let _ = write_definition(self.probe, &format!("-:{category}/{}", self.name));
    }
}

fn write_definition(probe: Probe, line: &str) -> io::Result<()> {
    let path = root()?.join(probe.names().0);
    let mut file = fs::OpenOptions::new().append(true).open(path)?;
    file.write_all(line.as_bytes())
}

/// Defines a probe at `place`: `function+offset`, `path:offset`.
pub fn define(probe: Probe, place: &str, on_return: bool) -> Result<Event, Failure> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("p{}_{number}", std::process::id());
    let (_, category) = probe.names();
    let kind = if on_return { 'r' } else { 'p' };
    let line = format!("{kind}:{category}/{name} {place}");
    write_definition(probe, &line).map_err(|e| {
        let detail = format!("defining a probe at {place} in the tracing file system");
        failure(Command::LinkCreate, io_errno(&e), detail)
    })?;
    let removal = Removal {
        probe,
        name: name.clone(),
    };
    match tracepoint_id(category, &name) {
        Ok(id) => Ok(Event { id, removal }),
        Err(error) => {
            removal.close(-1);
            Err(error)
        }
    }
}
