//! The tasks of a supervised tree, as the hooks know them.
//!
//! Identity is read from procfs when a task appears and again when it changed (exec, a new name,
//! new credentials: the filter traps those calls), so that an event costs no look-up.

use std::{
    collections::HashMap,
    fs,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering},
    },
};

use panal_uapi::Errno;

use crate::memory::{read_process, write_process};

use super::resolve::has_own_root;

/// One thread of the tree.
#[derive(Debug)]
pub struct Traced {
    /// Thread id in the supervisor's process-id namespace; what Linux's programs call `pid`.
    pub tid: u32,
    /// Process id; what Linux's programs call `tgid`.
    pub tgid: u32,
    identity: Mutex<Arc<Identity>>,
    /// It is about to end.
    left: AtomicBool,
    /// How it ends, as wait(2) tells.
    status: AtomicI32,
    /// Whether its root directory is its own, and as of which change of any.
    own_root: Mutex<Option<(u64, bool)>>,
}

/// Changes whenever some task of some tree may have changed its root directory.
static ROOTS: AtomicU64 = AtomicU64::new(0);

/// Some task may have changed its root directory, or its mounts: whom it shares them with, only
/// Linux knows.
pub(super) fn roots_changed() {
    ROOTS.fetch_add(1, Ordering::Release);
}

/// What a task is at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Process id of the parent.
    pub parent: u32,
    /// Name of the parent, likewise.
    pub parent_comm: [u8; 16],
    /// Its name, padded with zeroes, the last byte zero.
    pub comm: [u8; 16],
    /// Real, effective, saved and file-system user id.
    pub uids: [u32; 4],
    /// Real, effective, saved and file-system group id.
    pub gids: [u32; 4],
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Effective capabilities.
    pub capabilities: u64,
    /// It lives in a user namespace other than the supervisor's: its capabilities mean nothing here.
    pub foreign_user_namespace: bool,
    /// When it started, in nanoseconds since boot (to a clock tick).
    pub start_time: u64,
    /// Session id.
    pub session: u32,
    /// Path of its executable; empty when Linux does not tell.
    pub executable: Vec<u8>,
}

impl Traced {
    /// What it is now.
    pub fn identity(&self) -> Arc<Identity> {
        lock(&self.identity).clone()
    }

    /// Whether its root directory is another than the supervisor's.
    pub(super) fn has_own_root(&self) -> bool {
        let now = ROOTS.load(Ordering::Acquire);
        let known = lock(&self.own_root);
        if let Some((at, own)) = *known
            && at == now
        {
            return own;
        }
        drop(known);
        let own = has_own_root(self.tid);
        *lock(&self.own_root) = Some((now, own));
        own
    }

    /// Whether it is about to end.
    pub fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// How it ends, as wait(2) tells; 0 before that.
    pub fn exit_status(&self) -> i32 {
        self.status.load(Ordering::Relaxed)
    }

    /// Reads its identity anew.
    pub(super) fn refresh(&self) {
        if let Some((_, identity)) = read_identity(self.tid) {
            *lock(&self.identity) = Arc::new(identity);
        }
    }

    fn with(tid: u32, tgid: u32, identity: Identity) -> Arc<Self> {
        Arc::new(Traced {
            tid,
            tgid,
            identity: Mutex::new(Arc::new(identity)),
            left: AtomicBool::new(false),
            status: AtomicI32::new(0),
            own_root: Mutex::new(None),
        })
    }
}

impl crate::task::Task for Traced {
    fn tgid(&self) -> u32 {
        self.tgid
    }

    fn tid(&self) -> u32 {
        self.tid
    }

    fn parent_tgid(&self) -> u32 {
        self.identity().parent
    }

    fn uid(&self) -> u32 {
        self.identity().uids[0]
    }

    fn gid(&self) -> u32 {
        self.identity().gids[0]
    }

    fn comm(&self) -> [u8; 16] {
        self.identity().comm
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        read_process(self.tid, address, buffer)
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        write_process(self.tid, address, bytes)
    }
}

/// All tasks of a tree, shared by the threads of its supervisor.
#[derive(Debug, Default)]
pub struct Tasks(Mutex<HashMap<u32, Arc<Traced>>>);

impl Tasks {
    /// The task of this thread id. One that is not known yet (it ran before its parent's fork was
    /// reported) is read from procfs.
    pub fn get(&self, tid: u32) -> Arc<Traced> {
        if let Some(task) = lock(&self.0).get(&tid) {
            return task.clone();
        }
        let (tgid, identity) = read_identity(tid).unwrap_or((tid, Identity::default()));
        let task = Traced::with(tid, tgid, identity);
        lock(&self.0).entry(tid).or_insert(task).clone()
    }

    /// The task, if it is known.
    pub fn known(&self, tid: u32) -> Option<Arc<Traced>> {
        lock(&self.0).get(&tid).cloned()
    }

    /// Forgets a task, as its id may be given to another.
    pub(super) fn remove(&self, tid: u32) -> Option<Arc<Traced>> {
        lock(&self.0).remove(&tid)
    }

    /// Notes that a thread is about to end; whether it is the last of its process.
    pub(super) fn leave(&self, task: &Traced, status: i32) -> bool {
        task.status.store(status, Ordering::Relaxed);
        task.left.store(true, Ordering::Relaxed);
        let stays = |other: &Arc<Traced>| other.tgid == task.tgid && !other.has_left();
        !lock(&self.0).values().any(stays)
    }
}

/// A lock whose holder cannot leave its data half-changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Thread group and identity of a live task.
fn read_identity(tid: u32) -> Option<(u32, Identity)> {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
    };
    let numbers = |name: &str| -> Vec<u32> {
        field(name)
            .unwrap_or("")
            .split_whitespace()
            .filter_map(|n| n.parse().ok())
            .collect()
    };
    let four = |name: &str| <[u32; 4]>::try_from(numbers(name)).unwrap_or_default();
    let stat = fs::read(format!("/proc/{tid}/stat")).unwrap_or_default();
    let stat = StatFields::after_comm(&stat);
    let executable = fs::read_link(format!("/proc/{tid}/exe")).unwrap_or_default();
    let parent = *numbers("PPid").first()?;
    let identity = Identity {
        parent,
        parent_comm: read_comm(parent),
        comm: read_comm(tid),
        uids: four("Uid"),
        gids: four("Gid"),
        groups: numbers("Groups"),
        capabilities: field("CapEff")
            .and_then(|c| u64::from_str_radix(c, 16).ok())
            .unwrap_or(0),
        foreign_user_namespace: fs::read_link(format!("/proc/{tid}/ns/user")).ok()
            != fs::read_link("/proc/self/ns/user").ok(),
        start_time: stat
            .get(22)
            .saturating_mul(1_000_000_000 / ticks_per_second()),
        session: stat.get(6) as u32,
        executable: std::os::unix::ffi::OsStringExt::into_vec(executable.into_os_string()),
    };
    Some((*numbers("Tgid").first()?, identity))
}

fn read_comm(tid: u32) -> [u8; 16] {
    let mut comm = [0u8; 16];
    let name = fs::read(format!("/proc/{tid}/comm")).unwrap_or_default();
    let name = name.strip_suffix(b"\n").unwrap_or(&name);
    comm.iter_mut()
        .zip(name.iter().take(15))
        .for_each(|(to, from)| *to = *from);
    comm
}

/// Fields of `/proc/PID/stat`, numbered as in proc_pid_stat(5).
struct StatFields<'a>(Vec<&'a str>);

impl<'a> StatFields<'a> {
    /// The name in parentheses may contain anything: what counts begins after the last one.
    fn after_comm(stat: &'a [u8]) -> Self {
        let rest = stat
            .iter()
            .rposition(|b| *b == b')')
            .and_then(|at| stat.get(at + 1..));
        let text = rest.and_then(|r| std::str::from_utf8(r).ok()).unwrap_or("");
        StatFields(text.split_whitespace().collect())
    }

    fn get(&self, number: usize) -> u64 {
        number
            .checked_sub(3)
            .and_then(|at| self.0.get(at))
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    }
}

fn ticks_per_second() -> u64 {
    // SAFETY: sysconf has no preconditions.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) })
        .unwrap_or(100)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_identity_is_what_the_system_calls_say() {
        let tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        let tasks = Tasks::default();
        let task = tasks.get(tid);
        assert_eq!(task.tgid, std::process::id());
        let identity = task.identity();
        assert_eq!(identity.uids[1], rustix::process::geteuid().as_raw());
        assert_eq!(identity.gids[0], rustix::process::getgid().as_raw());
        assert_eq!(
            identity.parent,
            rustix::process::getppid().map_or(0, |p| p.as_raw_nonzero().get() as u32)
        );
        assert!(identity.start_time > 0);
        assert!(!identity.executable.is_empty());
        assert_ne!(identity.comm, [0; 16]);
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = b"7 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99 20";
        let fields = StatFields::after_comm(stat);
        assert_eq!(fields.get(4), 1);
        assert_eq!(fields.get(6), 3);
        assert_eq!(fields.get(22), 99);
    }

    #[test]
    fn a_task_that_is_gone_is_still_a_task() {
        let task = Tasks::default().get(0x7fff_fff0);
        assert_eq!((task.tid, task.tgid), (0x7fff_fff0, 0x7fff_fff0));
    }
}
