//! Commands that run under the programs of an object, on either kernel.

use std::{fs, path::Path, process};

use panal_kernel::hooks::{Command, ExitStatus};
use panal_loader::{Error, Loaded, Open};
use panal_uapi::kernel::{Failure, Fd};

use crate::{Subject, kernels::Runner};

/// What a command and the programs that watched it gave.
pub struct Watched<'k> {
    /// How the command ended.
    pub status: ExitStatus,
    /// Records of the ring buffer `events`, if there is one.
    pub records: Vec<Vec<u8>>,
    /// The object, with its maps as they are afterwards.
    pub loaded: Loaded<'k>,
}

/// Copies an executable, to be started where it is then. By another process: a child that some other
/// thread forks meanwhile would inherit our descriptor, and a file that is open for writing cannot be
/// executed.
///
/// # Panics
/// When it cannot be copied.
pub fn copy_executable(from: &Path, to: &Path) {
    let copied = process::Command::new("cp").arg(from).arg(to).status();
    let copied = copied.expect("cp");
    assert!(copied.success(), "cp: {copied}");
}

/// An example's object.
///
/// # Panics
/// When there is none of that name.
pub fn example(name: &str) -> Open {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let path = path.join(name);
    let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Open::parse(&bytes, name).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The kernel's answer when it lacks what an object needs, rather than that something is wrong.
fn lacks(error: &Error) -> Option<&Failure> {
    match error {
        Error::Kernel { failure, .. } => Some(failure),
        _ => None,
    }
}

impl Subject {
    /// Loads and attaches an object, and runs a command that its programs see alone; `set_up` comes
    /// in between. `None`, and said, where this kernel lacks what the programs need.
    ///
    /// # Panics
    /// When something else goes wrong.
    pub fn watch(
        &self,
        open: Open,
        set_up: impl FnOnce(&Loaded<'_>),
        command: &[&str],
    ) -> Option<Watched<'_>> {
        match &self.runner {
            Runner::Panal(kernel) => {
                let (loaded, links) = self.attached(open, set_up)?;
                let [program, arguments @ ..] = command else {
                    panic!("no command")
                };
                let command = Command::new(*program).args(arguments.iter().copied());
                let mut records = Vec::new();
                let status = kernel.supervise(&command, &mut || self.drain(&loaded, &mut records));
                let status = status.unwrap_or_else(|e| panic!("{e}"));
                drop(links);
                Some(Watched {
                    status,
                    records,
                    loaded,
                })
            }
            #[cfg(target_os = "linux")]
            Runner::Linux => self.watch_on_linux(open, set_up, command),
        }
    }

    /// Linux calls tracing programs for everybody: the command is told by its cgroup.
    #[cfg(target_os = "linux")]
    fn watch_on_linux(
        &self,
        mut open: Open,
        set_up: impl FnOnce(&Loaded<'_>),
        command: &[&str],
    ) -> Option<Watched<'_>> {
        use std::{os::unix::process::ExitStatusExt, thread, time::Duration};
        let cgroup = panal_linux::Cgroup::new()
            .inspect_err(|why| println!("skipped: {}: {why}", self.name))
            .ok()?;
        let arguments: Vec<_> = command[1..].iter().map(|word| word.into()).collect();
        let held = panal_linux::Held::start(command[0].as_ref(), &arguments).expect("forked");
        cgroup.add(held.pid()).expect("in the cgroup");
        open.restrict(panal_loader::Scope::Cgroup(cgroup.id()));
        let (loaded, links) = self.attached(open, set_up)?;
        let mut records = Vec::new();
        self.drain(&loaded, &mut records);
        let mut running = held.release().expect("the command starts");
        let mut status = None;
        while status.is_none() || cgroup.is_populated() {
            thread::sleep(Duration::from_millis(2));
            self.drain(&loaded, &mut records);
            status = status.or(running.try_wait().expect("waited"));
        }
        self.drain(&loaded, &mut records);
        drop(links);
        let status = status.unwrap_or_default();
        let status = match status.signal() {
            Some(signal) => ExitStatus::Signal(signal),
            None => ExitStatus::Code(status.code().unwrap_or_default()),
        };
        Some(Watched {
            status,
            records,
            loaded,
        })
    }

    fn attached(
        &self,
        open: Open,
        set_up: impl FnOnce(&Loaded<'_>),
    ) -> Option<(Loaded<'_>, Vec<Fd>)> {
        let refused = |error: Error| match lacks(&error) {
            Some(failure) if self.is_linux() => {
                println!("skipped: {}: {failure}", self.name);
                None
            }
            _ => panic!("{}: {error}", self.name),
        };
        let kernel: &dyn panal_uapi::kernel::Kernel = &*self.kernel;
        let loaded = match open.prepare(kernel).and_then(|prepared| prepared.load()) {
            Ok(loaded) => loaded,
            Err(error) => return refused(error),
        };
        set_up(&loaded);
        let links = loaded.programs().iter().map(|p| loaded.attach(p));
        match links.collect::<Result<Vec<Fd>, Error>>() {
            Ok(links) => Some((loaded, links)),
            Err(error) => refused(error),
        }
    }

    /// What waits in the ring buffer `events`.
    fn drain(&self, loaded: &Loaded<'_>, records: &mut Vec<Vec<u8>>) {
        if let Ok(events) = loaded.map("events") {
            let sink = &mut |record: &[u8]| records.push(record.to_vec());
            let drained = self.kernel.ring_buffer_consume(&events.fd, sink);
            drained.expect("a ring buffer");
        }
    }
}
