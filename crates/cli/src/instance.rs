//! Instances: the kernels of running `panal run` and `panal serve`, each behind a socket that its
//! user can reach.
//!
//! The sockets lie in a directory of the user's alone (0700), named by process. Whoever connects
//! must be the same user, and must not be what the instance holds under a policy: a command under
//! Panal has a seccomp filter more than Panal itself, and may not change the maps or links that
//! bind it.

use std::{
    fs,
    io::ErrorKind,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use panal_kernel::PanalKernel;
use panal_remote::RemoteKernel;
use panal_uapi::inspect::Inspect;
use rustix::{net::sockopt::socket_peercred, process::getuid};

use crate::{error::Problem, output};

/// How long a request, or its answer, may take to cross.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long an instance may take to say that it is there: one that is stopped must not hold up the
/// others.
const GREETING: Duration = Duration::from_secs(1);

/// Most connections at once.
const CONNECTIONS: usize = 16;

fn asked(text: String) -> Problem {
    Problem::Asked(text)
}

/// Where the user's sockets lie.
fn directory() -> PathBuf {
    let uid = getuid().as_raw();
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| Path::new(dir).is_absolute()) {
        Some(dir) => Path::new(&dir).join("panal"),
        None => match PathBuf::from(format!("/run/user/{uid}")) {
            dir if dir.is_dir() => dir.join("panal"),
            _ => std::env::temp_dir().join(format!("panal-{uid}")),
        },
    }
}

/// Whether a directory is the user's alone; others could put sockets into it.
fn check(directory: &Path) -> Result<(), Problem> {
    let meta = fs::symlink_metadata(directory).map_err(|e| Problem::file(directory, "read", &e))?;
    let private = meta.is_dir() && meta.uid() == getuid().as_raw() && meta.mode() & 0o077 == 0;
    match private {
        true => Ok(()),
        false => Err(asked(format!(
            "{}: not a directory of yours alone (0700): remove it, or set XDG_RUNTIME_DIR",
            directory.display()
        ))),
    }
}

/// The instance that this process offers; its socket goes when it is dropped.
pub struct Offer(PathBuf);

impl Offer {
    /// Answers for a kernel from now on.
    pub fn new(kernel: &PanalKernel) -> Result<Offer, Problem> {
        let directory = directory();
        match fs::DirBuilder::new().mode(0o700).create(&directory) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                return Err(Problem::file(&directory, "make", &e));
            }
            _ => check(&directory)?,
        }
        let path = directory.join(format!("{}.sock", std::process::id()));
        // A process of this number that ended without a chance to clean up.
        let _ = fs::remove_file(&path);
        let failed = |error| Problem::file(&path, "listen at", &error);
        let listener = UnixListener::bind(&path).map_err(failed)?;
        let offer = Offer(path.clone());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let kernel = kernel.clone();
        let spawned = thread::Builder::new()
            .name("panal-instance".into())
            .spawn(move || accept(&listener, &kernel));
        spawned.map_err(failed)?;
        Ok(offer)
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn accept(listener: &UnixListener, kernel: &PanalKernel) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        if !may_ask(&stream) || open.load(Ordering::Acquire) >= CONNECTIONS {
            continue;
        }
        open.fetch_add(1, Ordering::AcqRel);
        let (kernel, own) = (kernel.clone(), Counted(open.clone()));
        let _ = thread::Builder::new().spawn(move || {
            let _own = own;
            let timed = stream
                .set_read_timeout(Some(TIMEOUT))
                .and_then(|()| stream.set_write_timeout(Some(TIMEOUT)));
            if timed.is_ok() {
                // However it ends, the connection's descriptors close.
                let _ = panal_remote::serve(&kernel, stream);
            }
        });
    }
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The same user, and not a command under Panal.
fn may_ask(stream: &UnixStream) -> bool {
    let Ok(peer) = socket_peercred(stream) else {
        return false;
    };
    let own = filters("/proc/self/status");
    let theirs = filters(&format!("/proc/{}/status", peer.pid.as_raw_nonzero()));
    peer.uid == getuid() && matches!((own, theirs), (Some(own), Some(theirs)) if theirs <= own)
}

/// How many seccomp filters a process has.
fn filters(status: &str) -> Option<u32> {
    let text = fs::read_to_string(status).ok()?;
    let line = |name| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    };
    // Kernels before 5.9 tell only whether there are any.
    line("Seccomp_filters:").or_else(|| line("Seccomp:"))
}

/// A process, and the kernel that it offers.
pub type Instance = (u32, Box<dyn Inspect>);

/// The kernels of the user's instances by process; only one with `wanted`. Sockets of processes
/// that are gone are passed over.
pub fn running(wanted: Option<u32>) -> Result<Vec<Instance>, Problem> {
    let directory = directory();
    let mut found: Vec<Instance> = Vec::new();
    if directory.exists() {
        check(&directory)?;
    }
    let mut pids: Vec<u32> = fs::read_dir(&directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_suffix(".sock")?
                .parse()
                .ok()
        })
        .filter(|pid| wanted.is_none_or(|wanted| wanted == *pid))
        .collect();
    pids.sort_unstable();
    for pid in pids {
        let path = directory.join(format!("{pid}.sock"));
        let Ok(stream) = UnixStream::connect(&path) else {
            // Nobody listens: left behind by a process that was killed.
            if !Path::new("/proc").join(pid.to_string()).exists() {
                let _ = fs::remove_file(&path);
            }
            continue;
        };
        let _ = stream.set_read_timeout(Some(GREETING));
        let _ = stream.set_write_timeout(Some(GREETING));
        let patient = stream.try_clone();
        match RemoteKernel::new(stream) {
            Ok(kernel) => {
                if let Ok(stream) = patient {
                    let _ = stream.set_read_timeout(Some(TIMEOUT));
                    let _ = stream.set_write_timeout(Some(TIMEOUT));
                }
                found.push((pid, Box::new(kernel)));
            }
            Err(failure) => output::note(&format_args!("instance {pid}: {failure}")),
        }
    }
    match (wanted, found.is_empty()) {
        (Some(pid), true) => Err(asked(format!(
            "no instance of Panal's kernel runs as {pid}"
        ))),
        _ => Ok(found),
    }
}

/// `panal serve`: a kernel that lives until the process is ended.
pub fn serve(arguments: &crate::args::Serve) -> Result<u8, Problem> {
    // First, while there are no other threads.
    let end = End::new()?;
    let kernel = crate::kernels::panal(arguments.execution)?;
    let offer = Offer::new(&kernel)?;
    let pid = std::process::id();
    match arguments.json {
        true => println_line(&format!("{{\"instance\":{pid}}}"))?,
        false => println_line(&format!("instance {pid}"))?,
    }
    end.wait();
    drop(offer);
    Ok(crate::DONE)
}

/// What ends an instance: SIGINT, SIGTERM, SIGHUP or SIGQUIT.
#[cfg(target_os = "linux")]
struct End(panal_linux::Signals);

#[cfg(target_os = "linux")]
impl End {
    fn new() -> Result<End, Problem> {
        let failed = |e| asked(format!("signals: {}", crate::error::reason(&e)));
        panal_linux::Signals::block().map(End).map_err(failed)
    }

    fn wait(&self) {
        use rustix::event::{PollFd, PollFlags, poll};
        while self.0.take().is_none() {
            let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None);
        }
    }
}

/// Signals end the process; the next command that looks removes its socket.
#[cfg(not(target_os = "linux"))]
struct End;

#[cfg(not(target_os = "linux"))]
impl End {
    fn new() -> Result<End, Problem> {
        Ok(End)
    }

    fn wait(&self) {
        loop {
            thread::park();
        }
    }
}

fn println_line(text: &str) -> Result<(), Problem> {
    output::write_bytes(format!("{text}\n").as_bytes())
}
