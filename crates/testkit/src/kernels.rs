//! The kernels that a test body runs on.

use std::{
    fmt::Debug,
    os::fd::AsRawFd,
    sync::{Arc, OnceLock},
};

use panal_kernel::{Engine, PanalKernel};
use panal_uapi::{inspect::Inspect, kernel::Fd};

use crate::Mapping;

/// A kernel, and what the test's output calls it.
#[derive(Clone)]
pub struct Subject {
    /// `panal`, `checked`, `jit`, `cage`; `remote`; `linux`.
    pub name: &'static str,
    /// The kernel.
    pub kernel: Arc<dyn Inspect>,
    file: FileOf,
    pub(crate) runner: Runner,
}

/// Who runs commands under a kernel's programs.
#[derive(Clone)]
pub(crate) enum Runner {
    Panal(PanalKernel),
    #[cfg(target_os = "linux")]
    Linux,
}

/// Finds the descriptor of this process by which a map's memory is mapped.
type FileOf = Arc<dyn Fn(&Fd) -> Option<i32> + Send + Sync>;

impl Subject {
    /// Panal's kernel, where the file behind a map is its own.
    fn panal(name: &'static str, kernel: PanalKernel) -> Self {
        let owner = kernel.clone();
        let file = move |map: &Fd| {
            let map = owner.map(map).ok()?;
            map.core().memfd().map(|file| file.as_raw_fd())
        };
        Subject {
            name,
            runner: Runner::Panal(kernel.clone()),
            kernel: Arc::new(kernel),
            file: Arc::new(file),
        }
    }

    /// A part of a map's memory, as user space maps it.
    ///
    /// # Errors
    /// When the map has no memory to be mapped.
    pub fn mapping(&self, map: &Fd, offset: usize, len: usize) -> Result<Mapping, String> {
        let file = (self.file)(map).ok_or("the map has no file")?;
        Mapping::new(file, offset, len)
    }

    /// Whether this is Linux, whose answers are the right ones.
    pub fn is_linux(&self) -> bool {
        self.name == "linux"
    }
}

/// New kernels of Panal's: by interpreter, by interpreter with every access checked against live
/// objects, by machine code, by machine code that confines itself, and by the optimiser. They have as many CPUs as
/// Linux here counts, so that values of all CPUs compare.
pub fn panal() -> Vec<Subject> {
    let cpus = linux().map_or(2, |linux| linux.kernel.cpus());
    let build = |name, change: fn(panal_kernel::Builder) -> panal_kernel::Builder| {
        let builder = change(PanalKernel::builder().cpus(cpus));
        Subject::panal(name, builder.build().expect("Panal's kernel starts"))
    };
    vec![
        build("panal", |builder| builder),
        build("checked", |builder| builder.checked(true)),
        build("jit", |builder| builder.engine(Engine::MachineCode)),
        build("cage", |builder| {
            builder.engine(Engine::MachineCode).caged(true)
        }),
        build("opt", |builder| builder.engine(Engine::Optimised)),
    ]
}

/// Panal's kernel in another process, as far as it can tell: over a socket.
///
/// # Panics
/// When the system has no sockets.
pub fn remote() -> Subject {
    let (near, far) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
    let subject = panal().swap_remove(0);
    let kernel = subject.kernel.clone();
    std::thread::spawn(move || panal_remote::serve(&*kernel, far));
    let client = panal_remote::RemoteKernel::new(near).expect("it answers");
    Subject {
        name: "remote",
        kernel: Arc::new(client),
        ..subject
    }
}

/// Linux.
///
/// # Errors
/// Why it cannot be asked: another system, no bpf(2), no privilege.
#[cfg(target_os = "linux")]
pub fn linux() -> Result<Subject, String> {
    use panal_uapi::{
        MapType,
        kernel::{Kernel, MapFlags, MapSpec},
    };
    static WHY_NOT: OnceLock<Option<String>> = OnceLock::new();
    let kernel = panal_linux::LinuxKernel::new();
    let why_not = WHY_NOT.get_or_init(|| {
        // A type that only privilege gives, even where bpf(2) is for all.
        let probe = MapSpec::new(MapType::LpmTrie, 8, 8, 1).with_flags(MapFlags::NO_PREALLOC);
        let refused = kernel.map_create(&probe.named("may_we")).err();
        refused.map(|failure| failure.to_string())
    });
    match why_not {
        None => Ok(Subject {
            name: "linux",
            kernel: Arc::new(kernel),
            file: Arc::new(|map| Some(map.number())),
            runner: Runner::Linux,
        }),
        Some(why) => Err(why.clone()),
    }
}

/// Linux.
///
/// # Errors
/// Always: this is another system.
#[cfg(not(target_os = "linux"))]
pub fn linux() -> Result<Subject, String> {
    Err("this is not Linux".to_owned())
}

/// All kernels, Linux last. Says so once where Linux cannot be asked.
pub fn kernels() -> Vec<Subject> {
    static SAID: OnceLock<()> = OnceLock::new();
    let mut all = panal();
    match linux() {
        Ok(linux) => all.push(linux),
        Err(why) => {
            SAID.get_or_init(|| println!("skipped: Linux's half ({why})"));
        }
    }
    all
}

/// Runs the body on all kernels: what it sees must be the same on each.
///
/// # Panics
/// When it is not; what Linux showed is called right.
pub fn on_both<T: PartialEq + Debug>(body: impl Fn(&dyn Inspect) -> T) {
    let mut seen: Vec<(&'static str, T)> = Vec::new();
    for subject in kernels() {
        seen.push((subject.name, body(&*subject.kernel)));
    }
    let (judge, right) = seen.pop().expect("Panal is always there");
    for (name, got) in seen {
        assert!(
            got == right,
            "not alike\n  {judge}: {right:?}\n  {name}: {got:?}"
        );
    }
}
