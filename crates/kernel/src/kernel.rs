//! The kernel itself: what it is made of, and how it is made.

use std::sync::Arc;

use panal_maps::{Cage, Cpus, Handles, MapHost};
use panal_uapi::{
    Errno,
    kernel::{Failure, Fd},
    profile::Profile,
};

use crate::{
    attach::{Attachments, Direction, HookPoint},
    budget::{Budget, Stopper},
    cpu::{CpuMemories, Session},
    engine::Engine,
    fds::FdTable,
    ids::Ids,
    maps::Map,
    objects::{Attachment, BtfObject, Link, Program, StatsUsers},
    pins::Pins,
    ticks::Ticks,
    timers::Timers,
    trace_log::{TraceLine, TraceLog},
};

/// `LINUX_VERSION_CODE` of the kernel whose behaviour Panal's kernel has: 6.18.
pub const VERSION: u32 = 6 << 16 | 18 << 8;

/// Most maps that live at once.
const MAPS_MOST: u32 = 16_384;

/// Panal's kernel in user space. Cheap to clone: clones are the same kernel.
#[derive(Clone)]
pub struct PanalKernel {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) fds: Arc<FdTable>,
    pub(crate) maps: Ids<Map>,
    pub(crate) programs: Ids<Program>,
    pub(crate) links: Ids<Link>,
    pub(crate) btfs: Ids<BtfObject>,
    pub(crate) pins: Pins,
    pub(crate) attachments: Arc<Attachments>,
    pub(crate) trace_log: TraceLog,
    pub(crate) stats: Arc<StatsUsers>,
    pub(crate) map_host: MapHost,
    pub(crate) handles: Arc<Handles>,
    pub(crate) cpu_memories: CpuMemories,
    pub(crate) ticks: Ticks,
    pub(crate) timers: Arc<Timers>,
    pub(crate) works: Arc<Timers>,
}

pub(crate) struct Config {
    pub(crate) profile: Profile,
    pub(crate) foreign: bool,
    pub(crate) verify_only: bool,
    pub(crate) budget: Budget,
    pub(crate) engine: Engine,
    pub(crate) caged: bool,
    pub(crate) checked: bool,
    pub(crate) baseline: bool,
}

/// Settings of a kernel before it is made.
pub struct Builder {
    profile: Option<Profile>,
    verify_only: bool,
    cpus: Option<u32>,
    budget: Budget,
    engine: Engine,
    caged: bool,
    checked: bool,
    baseline: bool,
}

impl Builder {
    /// Verifies for another kernel: its BTF, its limits.
    ///
    /// Programs that reach into kernel types (tracing, LSM) can then only be verified: the types are
    /// not this kernel's. Programs whose context the uapi defines (XDP, tc, socket filters,
    /// tracepoints, …) run as ever.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// Only verifies: a program may use helpers that this kernel does not have, and cannot be run.
    pub fn verify_only(mut self, yes: bool) -> Self {
        self.verify_only = yes;
        self
    }

    /// How many CPUs per-CPU values have, and how many threads run programs at once; 1 to 256.
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = Some(cpus.clamp(1, 256));
        self
    }

    /// What one run may use before it is stopped.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// What runs programs.
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// The second wall for machine code: every access is confined to the cage, so that even a program
    /// that should have been rejected cannot harm the host. The interpreter always does that.
    pub fn caged(mut self, yes: bool) -> Self {
        self.caged = yes;
        self
    }

    /// Checks every access of every run against the objects that are live at that moment, and stops
    /// the run at the first that lies outside: what a proven program never does. For tests of the
    /// verifier; runs take many times as long.
    pub fn checked(mut self, yes: bool) -> Self {
        self.checked = yes;
        self
    }

    /// Machine code of what every CPU of its kind has, whatever this one has beyond. For tests.
    pub fn baseline(mut self, yes: bool) -> Self {
        self.baseline = yes;
        self
    }

    /// Makes the kernel.
    pub fn build(self) -> Result<PanalKernel, Failure> {
        let foreign = self.profile.is_some();
        let profile = self.profile.unwrap_or_else(own_profile);
        let cpus = self.cpus.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, |n| n.get().min(256) as u32)
        });
        let no_memory = |detail| Failure {
            command: "start",
            errno: Errno::ENOMEM,
            detail,
        };
        let cage = Cage::largest().map_err(|e| no_memory(e.to_string()))?;
        let map_host = MapHost::new(cage.clone(), Arc::new(Cpus::new(cpus)));
        let handles = Handles::new(&map_host, MAPS_MOST).map_err(|e| no_memory(e.to_string()))?;
        let ticks = Ticks::new(&cage).map_err(|e| no_memory(e.to_string()))?;
        let config = Config {
            profile,
            foreign,
            verify_only: self.verify_only,
            budget: self.budget,
            engine: self.engine,
            caged: self.caged,
            checked: self.checked,
            baseline: self.baseline,
        };
        let shared = Arc::new_cyclic(|shared| Shared {
            config,
            fds: Arc::default(),
            maps: Ids::default(),
            programs: Ids::default(),
            links: Ids::default(),
            stats: Arc::default(),
            btfs: Ids::default(),
            pins: Pins::default(),
            attachments: Arc::default(),
            trace_log: TraceLog::default(),
            cpu_memories: CpuMemories::new(cage, cpus),
            map_host,
            handles: Arc::new(handles),
            ticks,
            timers: Arc::new(Timers::new(shared.clone(), "panal-timers")),
            works: Arc::new(Timers::new(shared.clone(), "panal-work")),
        });
        Ok(PanalKernel { shared })
    }
}

/// The profile of Panal's own kernel: Linux's rules, Panal's types.
pub fn own_profile() -> Profile {
    Profile::new("panal", VERSION, crate::types::btf())
}

impl PanalKernel {
    /// A kernel with the usual settings.
    pub fn new() -> Result<Self, Failure> {
        Self::builder().build()
    }

    /// A kernel with settings of one's own.
    pub fn builder() -> Builder {
        Builder {
            profile: None,
            verify_only: false,
            cpus: None,
            budget: Budget::default(),
            engine: Engine::default(),
            caged: false,
            checked: false,
            baseline: false,
        }
    }

    /// Takes a CPU for this thread, to run programs on; waits while all are taken. A thread that
    /// holds one already would wait for itself.
    pub fn session(&self) -> Result<Session<'_>, Failure> {
        Session::new(&self.shared).map_err(|errno| Failure {
            command: "run",
            errno,
            detail: "no room left for a CPU's stack and buffers".into(),
        })
    }

    /// Base and bytes of the cage: all memory that programs can touch lies in it.
    pub fn cage(&self) -> (u64, u64) {
        let cage = &self.shared.map_host.cage;
        (cage.base(), cage.size())
    }

    /// Ends every run that is under way, from any thread, and each that begins later, until
    /// [`Self::resume_runs`].
    pub fn stop_runs(&self) {
        self.shared.cpu_memories.stoppers().for_each(Stopper::stop);
    }

    /// Lets runs begin again.
    pub fn resume_runs(&self) {
        self.shared
            .cpu_memories
            .stoppers()
            .for_each(Stopper::resume);
    }

    /// Every map that lives, by id.
    pub fn maps(&self) -> Vec<Arc<Map>> {
        self.shared.maps.all()
    }

    /// Every program that lives, by id.
    pub fn programs(&self) -> Vec<Arc<Program>> {
        self.shared.programs.all()
    }

    /// Every attachment that lives, by id of its link; not those of links that were detached.
    pub fn attachments(&self) -> Vec<Arc<Attachment>> {
        let links = self.shared.links.all();
        links.iter().filter_map(|link| link.attachment()).collect()
    }

    /// Every loaded BTF that lives, by id.
    pub fn btfs(&self) -> Vec<Arc<BtfObject>> {
        self.shared.btfs.all()
    }

    /// The map of an id.
    pub fn map_by_id(&self, id: u32) -> Option<Arc<Map>> {
        self.shared.maps.get(id)
    }

    /// The program of an id.
    pub fn program_by_id(&self, id: u32) -> Option<Arc<Program>> {
        self.shared.programs.get(id)
    }

    /// The program behind a descriptor.
    pub fn program(&self, fd: &Fd) -> Result<Arc<Program>, Failure> {
        self.shared
            .fds
            .program(fd.number())
            .map_err(|errno| Failure {
                command: "BPF_OBJ_GET_INFO_BY_FD",
                errno,
                detail: format!("descriptor {} is no program", fd.number()),
            })
    }

    /// The map behind a descriptor.
    pub fn map(&self, fd: &Fd) -> Result<Arc<Map>, Failure> {
        self.shared.fds.map(fd.number()).map_err(|errno| Failure {
            command: "BPF_OBJ_GET_INFO_BY_FD",
            errno,
            detail: format!("descriptor {} is no map", fd.number()),
        })
    }

    /// The link behind a descriptor.
    pub fn link(&self, fd: &Fd) -> Result<Arc<Link>, Failure> {
        self.shared.fds.link(fd.number()).map_err(|errno| Failure {
            command: "BPF_OBJ_GET_INFO_BY_FD",
            errno,
            detail: format!("descriptor {} is no link", fd.number()),
        })
    }

    /// What hangs at a hook point, in the order of attaching. Hooks keep the answer until
    /// [`Self::attach_generation`] changes.
    pub fn attached(&self, point: &HookPoint) -> Arc<[Arc<Attachment>]> {
        self.shared.attachments.at(point)
    }

    /// Programs of a packet port, in the order in which packets pass them: XDP, then inbound.
    pub fn port_programs(&self, port: u32) -> Vec<Arc<Program>> {
        [Direction::Xdp, Direction::Ingress]
            .into_iter()
            .flat_map(|direction| {
                let links = self.attached(&HookPoint::Packets { port, direction });
                links
                    .iter()
                    .map(|link| link.program().clone())
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// Every hook point where something hangs.
    pub fn attached_points(&self) -> Vec<HookPoint> {
        self.shared.attachments.points()
    }

    /// Changes whenever something is attached or detached.
    pub fn attach_generation(&self) -> u64 {
        self.shared.attachments.generation()
    }

    /// Sets who hears what programs print; it gets the lines that wait first.
    pub fn on_trace(&self, listener: impl FnMut(&TraceLine) + Send + 'static) {
        self.shared.trace_log.listen(Box::new(listener));
    }

    /// Takes the printed lines that wait, at most the last 4096, when nobody listens.
    pub fn take_trace(&self) -> Vec<TraceLine> {
        self.shared.trace_log.take()
    }

    /// Removes a pin; false when there was none.
    pub fn unpin(&self, path: &str) -> Result<bool, Errno> {
        self.shared.pins.unpin(path)
    }

    /// Paths of all pins.
    pub fn pins(&self) -> Vec<String> {
        self.shared.pins.paths()
    }
}
