//! CPUs: threads take one while they run programs, with its stack, context and packet buffer in the
//! cage, which are used again for every run.

use std::{
    cell::Cell,
    ffi::c_void,
    ptr::NonNull,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use panal_btf::Btf;
use panal_maps::{Block, Cage, OnCpu, OutOfCage, Storage, bytes};
use panal_uapi::{Errno, MapType, ProgType, kernel::TestRunResult};
use panal_vm::{Outcome, Ready, Run, Stop, Strict, Unobserved};

use crate::{
    budget::Stopper,
    held::Held,
    helpers::print::Texts,
    host::Host,
    kernel::Shared,
    kfuncs::BitSets,
    live::Live,
    maps::Map,
    objects::Program,
    packet::{self, Packet},
    program_types,
    task::{Caller, ShownCaller, Task, pid_tgid},
    ticks::TickWord,
};

/// Bytes of the buffer for contexts that are plain bytes: what a syscall program may have.
const CONTEXT: usize = 65_536;

/// Bytes for the objects of one event.
const OBJECTS: usize = 65_536;

/// Bytes for the indices that nested callbacks see: as many as calls can be nested, and more.
const WORDS: usize = 1024;

/// Most paths of one event.
const PATHS_MOST: usize = 64;

/// One CPU's memory in the cage.
pub(crate) struct CpuMemory {
    stack: Block,
    context: Block,
    /// How many bytes of the context may be other than zero.
    context_used: usize,
    objects: Block,
    objects_used: usize,
    paths: Paths,
    words: Block,
    /// Jiffies where the clock is not the real one.
    ticks: TickWord,
    packet: Packet,
}

impl CpuMemory {
    fn new(cage: &Arc<Cage>) -> Result<Self, OutOfCage> {
        let packet = Packet::new(
            cage.allocate(packet::BUFFER, 4096)?,
            cage.allocate(program_types::CONTEXT_SIZE, 16)?,
        );
        Ok(CpuMemory {
            stack: cage.allocate(Run::STACK_SIZE as usize, 16)?,
            context: cage.allocate(CONTEXT, 16)?,
            context_used: 0,
            objects: cage.allocate(OBJECTS, 16)?,
            objects_used: 0,
            paths: Paths::default(),
            words: cage.allocate(WORDS, 16)?,
            ticks: TickWord::new(cage)?,
            packet,
        })
    }
}

/// All CPUs' memory, made when a CPU is used first.
pub(crate) struct CpuMemories {
    cage: Arc<Cage>,
    memories: Box<[Mutex<Option<CpuMemory>>]>,
    stoppers: Box<[Stopper]>,
}

impl CpuMemories {
    pub fn new(cage: Arc<Cage>, count: u32) -> Self {
        CpuMemories {
            cage,
            memories: (0..count).map(|_| Mutex::new(None)).collect(),
            stoppers: (0..count).map(|_| Stopper::default()).collect(),
        }
    }

    /// Every CPU's, by number.
    pub fn stoppers(&self) -> impl Iterator<Item = &Stopper> {
        self.stoppers.iter()
    }

    fn lock(&self, cpu: u32) -> MutexGuard<'_, Option<CpuMemory>> {
        // A seat belongs to one thread, so this never waits; after a panic the buffers are as good
        // as ever.
        self.memories[cpu as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Texts of the `struct path` objects of an event, by address: for `bpf_d_path`.
#[derive(Default)]
pub(crate) struct Paths(Vec<(u64, Box<str>)>);

impl Paths {
    /// The text of the object at an address.
    pub fn get(&self, address: u64) -> Option<&str> {
        self.0
            .iter()
            .find(|(at, _)| *at == address)
            .map(|(_, text)| &**text)
    }
}

/// What an event's program sees as its context.
pub enum Context<'a> {
    /// Bytes, copied in.
    Bytes(&'a [u8]),
    /// Arguments of a function, tracepoint or hook.
    Arguments {
        /// Up to twelve.
        values: &'a [u64],
        /// Whether the last of them is the function's return value.
        returned: bool,
    },
}

/// What happened, for the programs that hang there.
pub struct Event<'a> {
    /// Whose event it is.
    pub task: &'a dyn Task,
    /// What programs see.
    pub context: Context<'a>,
    /// Address of the traced function, for `bpf_get_func_ip`; 0 when there is none.
    pub function_ip: u64,
    /// What the hooked call returns so far, for `bpf_get_retval`.
    pub retval: i32,
}

impl<'a> Event<'a> {
    /// An event of a task with this context.
    pub fn new(task: &'a dyn Task, context: Context<'a>) -> Self {
        Event {
            task,
            context,
            function_ip: 0,
            retval: 0,
        }
    }
}

/// What a program's run gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// What it returned, or why it was stopped.
    pub outcome: Result<u64, Stop>,
    /// What the hooked call shall return (`bpf_set_retval`).
    pub retval: i32,
    /// Steps that it took.
    pub steps: u64,
}

/// A CPU that this thread holds, to run programs on. A thread must not hold two.
pub struct Session<'k> {
    shared: &'k Shared,
    on_cpu: OnCpu<'k>,
    memory: MutexGuard<'k, Option<CpuMemory>>,
    clock: Option<u64>,
    /// The state of the run under way, made once.
    run: Run,
    /// Ids of this thread, whose the packets are.
    own_ids: u64,
    held: Held,
    texts: Texts,
    bits: BitSets,
}

impl<'k> Session<'k> {
    /// Takes a CPU, the one that this thread had last if it is free.
    pub(crate) fn new(shared: &'k Shared) -> Result<Self, Errno> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        thread_local!(static PREFERRED: Cell<u32> =
            Cell::new(NEXT.fetch_add(1, Ordering::Relaxed)));
        let on_cpu = shared.map_host.cpus.enter(PREFERRED.get());
        Self::on(shared, on_cpu)
    }

    /// Takes the CPU of this number; `ENXIO` when there is none.
    pub(crate) fn at(shared: &'k Shared, cpu: u32) -> Result<Self, Errno> {
        let on_cpu = shared.map_host.cpus.enter_at(cpu).ok_or(Errno::ENXIO)?;
        Self::on(shared, on_cpu)
    }

    fn on(shared: &'k Shared, on_cpu: OnCpu<'k>) -> Result<Self, Errno> {
        let mut memory = shared.cpu_memories.lock(on_cpu.index());
        if memory.is_none() {
            let made = CpuMemory::new(&shared.cpu_memories.cage).map_err(|_| Errno::ENOMEM)?;
            *memory = Some(made);
        }
        let Some(CpuMemory { stack, .. }) = &*memory else {
            unreachable!("it was made");
        };
        let cage = &shared.map_host.cage;
        let (stack, bytes) = (stack.address(), stack.len() as u64);
        // SAFETY: the cage is mapped as long as it lives; the stack is this CPU's, which the session
        // holds.
        let mut run = unsafe { Run::new(cage.base(), cage.size(), stack, bytes) };
        run.cpu = on_cpu.index();
        run.ticks = shared.ticks.address();
        shared.config.budget.limit_time(&mut run);
        // SAFETY: the kernel, which has the stopper, outlives the session.
        unsafe { shared.cpu_memories.stoppers[run.cpu as usize].watch(&mut run) };
        Ok(Session {
            shared,
            on_cpu,
            memory,
            clock: None,
            run,
            own_ids: pid_tgid(&Caller),
            held: Held::default(),
            texts: Texts::default(),
            bits: BitSets::default(),
        })
    }

    /// The CPU's number.
    pub fn cpu(&self) -> u32 {
        self.on_cpu.index()
    }

    /// Ends this session's runs from another thread.
    pub fn stopper(&self) -> Stopper {
        self.shared.cpu_memories.stoppers[self.cpu() as usize].clone()
    }

    /// Sets what programs' clocks show, in nanoseconds; `None` for the real time.
    pub fn set_clock(&mut self, now: Option<u64>) {
        self.clock = now;
        self.run.ticks = match now {
            Some(now) => {
                let ticks = &self.memory().ticks;
                ticks.show(now);
                ticks.address()
            }
            None => self.shared.ticks.address(),
        };
    }

    fn memory(&mut self) -> &mut CpuMemory {
        match &mut *self.memory {
            Some(memory) => memory,
            None => unreachable!("a session has its memory from the start"),
        }
    }

    /// The types that programs see the kernel's objects by.
    pub(crate) fn types(&self) -> Arc<Btf> {
        self.shared.config.profile.btf.clone()
    }

    /// Puts an object of the event into the cage, where programs can read it: a `task_struct`, a
    /// `file`. It stays until [`Self::clear`]. `None` when there is no room left.
    pub fn place(&mut self, object: &[u8], align: usize) -> Option<u64> {
        let memory = self.memory();
        let at = memory.objects_used.checked_next_multiple_of(align.max(1))?;
        let end = at.checked_add(object.len())?;
        if end > memory.objects.len() {
            return None;
        }
        memory.objects_used = end;
        // SAFETY: inside the block, which is this CPU's.
        unsafe { bytes::write(memory.objects.pointer().add(at), object) };
        Some(memory.objects.address() + at as u64)
    }

    /// Where the next object goes that has this alignment.
    pub fn next_place(&mut self, align: usize) -> u64 {
        let memory = self.memory();
        memory.objects.address() + memory.objects_used.next_multiple_of(align.max(1)) as u64
    }

    /// Says what `bpf_d_path` gives for the `struct path` at an address.
    pub fn name_path(&mut self, address: u64, text: &str) {
        let paths = &mut self.memory().paths.0;
        if paths.len() < PATHS_MOST {
            paths.push((address, text.into()));
        }
    }

    /// Says that a socket is gone, by its cookie: so is what programs stored for it.
    pub(crate) fn forget_socket(&self, cookie: u64) {
        for map in self.shared.maps.all() {
            if map.map_type() == MapType::SkStorage
                && let Some(storage) = map.core().as_any().downcast_ref::<Storage>()
            {
                let _ = storage.remove(cookie);
            }
        }
    }

    /// Forgets the event's objects and paths.
    pub fn clear(&mut self) {
        let memory = self.memory();
        memory.objects_used = 0;
        memory.paths.0.clear();
    }

    /// Runs a program for an event. `cookie` is what it was attached with.
    pub fn run(&mut self, program: &Program, cookie: u64, event: &Event<'_>) -> Ran {
        let (arguments, returned) = match event.context {
            Context::Bytes(bytes) => {
                self.load_context(bytes, bytes.len());
                (&[][..], false)
            }
            Context::Arguments { values, returned } => {
                let mut raw = [0; 8 * 16];
                for (slot, value) in raw.chunks_exact_mut(8).zip(values) {
                    slot.copy_from_slice(&value.to_ne_bytes());
                }
                self.load_context(&raw[..8 * values.len().min(16)], raw.len());
                (values, returned)
            }
        };
        let setting = Setting {
            task: event.task,
            cookie,
            function_ip: event.function_ip,
            arguments,
            returned,
            retval: event.retval,
            packet: PacketUse::None,
            callback: None,
        };
        self.counted(program, &setting)
    }

    /// The eight bytes at an address of the cage.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        let cage = &self.shared.map_host.cage;
        let at = NonNull::new(address as *mut u8).filter(|_| cage.contains(address, 8))?;
        let mut word = [0; 8];
        // SAFETY: inside the cage, all of which is mapped.
        unsafe { bytes::read(at, &mut word) };
        Some(u64::from_ne_bytes(word))
    }

    /// Calls a function of a program for an element of a map, whose value lies at an address.
    pub(crate) fn run_callback(&mut self, program: &Program, function: u64, map: &Map, value: u64) {
        let words = &self.memory().words;
        let key = map.key_of(value).unwrap_or_else(|index| {
            // SAFETY: the block has room for a word, and is this CPU's.
            unsafe { bytes::write(words.pointer(), &index.to_ne_bytes()) };
            words.address()
        });
        let mut setting = Setting::packet();
        setting.packet = PacketUse::None;
        setting.callback = Some((function, [map.handle, key, value, 0, 0]));
        self.start(program, &setting);
    }

    /// Runs a program over the packet that was loaded.
    pub(crate) fn run_packet(&mut self, program: &Program) -> Ran {
        self.counted(program, &Setting::packet())
    }

    /// A run that is counted, and timed when somebody asks for it.
    fn counted(&mut self, program: &Program, setting: &Setting<'_>) -> Ran {
        let counters = &program.counters;
        counters.runs.fetch_add(1, Ordering::Relaxed);
        if !self.shared.stats.any() {
            return self.start(program, setting);
        }
        let begin = Instant::now();
        let ran = self.start(program, setting);
        let took = begin.elapsed().as_nanos() as u64;
        counters.nanoseconds.fetch_add(took, Ordering::Relaxed);
        ran
    }

    /// The packet buffer.
    pub(crate) fn packet(&mut self) -> &mut Packet {
        &mut self.memory().packet
    }

    /// Puts a packet into the buffer.
    pub(crate) fn load_packet(
        &mut self,
        kind: packet::Kind,
        frame: &[u8],
        meta: usize,
    ) -> Result<(), Errno> {
        self.packet().load(kind, frame, meta)
    }

    /// Puts a context into its buffer; up to `size` bytes of it are zero beyond what is given.
    pub(crate) fn load_context(&mut self, context: &[u8], size: usize) {
        let memory = self.memory();
        let context = &context[..context.len().min(CONTEXT)];
        let old = memory.context_used.max(size.min(CONTEXT));
        let pointer = memory.context.pointer();
        // SAFETY: both lengths are within the block, which is this CPU's.
        unsafe {
            bytes::write(pointer, context);
            if old > context.len() {
                bytes::zero(pointer.add(context.len()), old - context.len());
            }
        }
        memory.context_used = context.len();
    }

    /// The first bytes of the context.
    pub(crate) fn context(&mut self, len: usize) -> Vec<u8> {
        let memory = self.memory();
        let mut out = vec![0; len.min(CONTEXT)];
        // SAFETY: inside the block.
        unsafe { bytes::read(memory.context.pointer(), &mut out) };
        out
    }

    /// Runs a program as often as a test run asks for, over the packet or context that was loaded.
    pub(crate) fn repeat(&mut self, program: &Program, repeat: u32) -> TestRunResult {
        let repeat = repeat.max(1);
        let packet = packet_use(program);
        // Programs on packets know nothing of tasks.
        let caller = (packet == PacketUse::None).then(|| ShownCaller::place(self));
        let setting = Setting {
            task: caller
                .as_ref()
                .map_or(&Caller as &dyn Task, |caller| caller),
            packet,
            ..Setting::packet()
        };
        let engine = self.shared.config.engine;
        let executable = program.executable.as_ref();
        let mut result = TestRunResult {
            engine: executable.map(|e| engine.runs(e).to_owned()),
            interpreted: program.interpreted().map(str::to_owned),
            not_optimised: program.not_optimised().map(str::to_owned),
            ..TestRunResult::default()
        };
        let begin = Instant::now();
        let mut done = 0;
        let mut stopped = None;
        let mut last = (0, 0);
        self.start_each(program, &setting, repeat, |run| {
            done += 1;
            match run.outcome {
                Ok(value) => last = (value, run.steps),
                Err(stop) => {
                    stopped = Some(*stop);
                    last.1 = run.steps;
                }
            }
            run.outcome.is_ok()
        });
        let (value, steps) = last;
        result.retval = value as u32;
        result.steps = engine.counts_steps().then_some(steps);
        result.stopped = stopped.map(|stop| stop.to_string());
        if caller.is_some() {
            self.clear();
        }
        program.counters.runs.fetch_add(done, Ordering::Relaxed);
        let total = begin.elapsed().as_nanos() as u64;
        program
            .counters
            .nanoseconds
            .fetch_add(total, Ordering::Relaxed);
        result.duration_ns = total / done;
        result
    }

    fn start(&mut self, program: &Program, setting: &Setting<'_>) -> Ran {
        let mut last = None;
        self.start_each(program, setting, 1, |ran| {
            last = Some(ran.ran());
            false
        });
        match last {
            Some(ran) => ran,
            None => unreachable!("it was started once"),
        }
    }

    /// Runs a program so many times, or until `each` has seen enough. What surrounds the runs is made
    /// once; each begins as if it were the first.
    #[inline]
    fn start_each(
        &mut self,
        program: &Program,
        setting: &Setting<'_>,
        times: u32,
        mut each: impl FnMut(Done<'_>) -> bool,
    ) {
        let shared = self.shared;
        let Some(executable) = &program.executable else {
            let outcome = Err(&Stop::Helper("the program was only verified"));
            each(Done {
                outcome,
                retval: setting.retval,
                steps: 0,
            });
            return;
        };
        let Some(memory) = &mut *self.memory else {
            unreachable!("a session has its memory from the start");
        };
        let context = match setting.packet {
            PacketUse::Context => memory.packet.context(),
            PacketUse::None | PacketUse::Beside => memory.context.address(),
        };
        let run = &mut self.run;
        let mut host = Host {
            kernel: shared,
            program,
            running: program.id,
            task: setting.task,
            uid_gid: None,
            comm: None,
            cookie: setting.cookie,
            function_ip: setting.function_ip,
            arguments: setting.arguments,
            returned: setting.returned,
            retval: setting.retval,
            packet: (setting.packet != PacketUse::None).then_some(&mut memory.packet),
            paths: &memory.paths,
            clock: self.clock,
            // A callback's own key may stand in the first.
            index_word: memory.words.address() + 8,
            held: &mut self.held,
            texts: &mut self.texts,
            bits: &mut self.bits,
        };
        let host = &raw mut host;
        run.host = host.cast::<c_void>();
        run.pid_tgid = match setting.packet {
            PacketUse::Context => self.own_ids,
            PacketUse::None | PacketUse::Beside => pid_tgid(setting.task),
        };
        run.task = setting.task.object();
        let rounds = Rounds {
            program,
            retval: setting.retval,
            steps: shared.config.budget.steps(),
            times,
            host,
        };
        let compiled = shared.config.engine.is_compiled();
        if compiled
            && setting.callback.is_none()
            && !shared.config.checked
            && let Some(ready) = executable.ready(run, rounds.steps)
        {
            rounds.go(Code { ready, context }, each);
        } else {
            let region = |block: &Block, len: usize| (block.address(), len as u64);
            let context_at = match setting.packet {
                PacketUse::Context => (context, program_types::CONTEXT_SIZE as u64),
                PacketUse::None | PacketUse::Beside => region(&memory.context, CONTEXT),
            };
            let objects = region(&memory.objects, memory.objects_used);
            let words = region(&memory.words, WORDS);
            let ticks = (run.ticks, 8);
            let mut go = |run: &mut Run| {
                let args = [context, 0, 0, 0, 0];
                if let Some((function, args)) = setting.callback {
                    executable.run_function(run, function, args)
                } else if shared.config.checked {
                    let live = Live {
                        host,
                        context: context_at,
                        objects,
                        words,
                        ticks,
                    };
                    executable.run_with(run, args, &mut Strict(live), &mut Unobserved)
                } else if compiled {
                    executable.run_compiled(run, context)
                } else {
                    executable.run(run, context)
                }
            };
            let steps = rounds.steps;
            let each: &mut dyn FnMut(Done<'_>) -> bool = &mut each;
            let engine = &mut go;
            rounds.go(Interpreted { engine, run, steps }, each);
        }
        self.run.host = std::ptr::null_mut();
    }
}

/// What runs a program, again and again.
trait Lane {
    /// Once; `None` when it was stopped, and why.
    fn run(&mut self, why: &mut Option<Stop>) -> Option<u64>;
    /// Steps that the last run left.
    fn left(&self) -> u64;
}

/// Machine code.
struct Code<'r> {
    ready: Ready<'r>,
    context: u64,
}

impl Lane for Code<'_> {
    #[inline(always)]
    fn run(&mut self, why: &mut Option<Stop>) -> Option<u64> {
        self.ready.run(self.context, why)
    }

    #[inline(always)]
    fn left(&self) -> u64 {
        self.ready.left()
    }
}

/// Every other way.
struct Interpreted<'r> {
    engine: &'r mut dyn FnMut(&mut Run) -> Outcome,
    run: &'r mut Run,
    steps: u64,
}

impl Lane for Interpreted<'_> {
    fn run(&mut self, why: &mut Option<Stop>) -> Option<u64> {
        self.run.again();
        self.run.budget = self.steps;
        let outcome = (self.engine)(self.run);
        *why = outcome.err();
        outcome.ok()
    }

    fn left(&self) -> u64 {
        self.run.budget
    }
}

/// What one of several runs gave.
struct Done<'a> {
    /// What it returned, or why it was stopped.
    outcome: Result<u64, &'a Stop>,
    retval: i32,
    steps: u64,
}

impl Done<'_> {
    fn ran(&self) -> Ran {
        Ran {
            outcome: self.outcome.map_err(|stop| *stop),
            retval: self.retval,
            steps: self.steps,
        }
    }
}

/// Runs of a program with the same surroundings.
struct Rounds<'a, 'h> {
    program: &'a Program,
    retval: i32,
    /// Steps that each run may take.
    steps: u64,
    times: u32,
    /// What helpers reach; nobody else has it between runs.
    host: *mut Host<'h>,
}

impl Rounds<'_, '_> {
    /// Runs until there were enough. What one hands to the next stays in registers: an [`Outcome`]
    /// would cost as much as all the rest.
    #[inline(always)]
    fn go(self, mut lane: impl Lane, mut each: impl FnMut(Done<'_>) -> bool) {
        let mut why = None;
        for _ in 0..self.times {
            // SAFETY: it outlives the rounds, and no run is under way.
            let host = unsafe { &mut *self.host };
            host.running = self.program.id;
            host.retval = self.retval;
            host.bits.clear();
            let value = lane.run(&mut why);
            // SAFETY: as above.
            let host = unsafe { &mut *self.host };
            host.held.release_all(&host.kernel.map_host.rings);
            let outcome = match (value, &why) {
                (Some(value), _) => Ok(value),
                (None, Some(stop)) => {
                    self.program.counters.stop(*stop);
                    Err(stop)
                }
                (None, None) => unreachable!("what was stopped says why"),
            };
            let done = Done {
                outcome,
                retval: host.retval,
                steps: self.steps - lane.left(),
            };
            if !each(done) {
                break;
            }
        }
    }
}

/// What surrounds a run.
struct Setting<'a> {
    task: &'a dyn Task,
    cookie: u64,
    function_ip: u64,
    arguments: &'a [u64],
    returned: bool,
    retval: i32,
    packet: PacketUse,
    /// Only this function of the program is called, with these arguments.
    callback: Option<(u64, [u64; 5])>,
}

/// How programs of a type see the packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PacketUse {
    /// Not at all.
    None,
    /// Their context describes it.
    Context,
    /// Their context leads to it, and is not its own.
    Beside,
}

impl Setting<'static> {
    fn packet() -> Self {
        Setting {
            task: &Caller,
            cookie: 0,
            function_ip: 0,
            arguments: &[],
            returned: false,
            retval: 0,
            packet: PacketUse::Context,
            callback: None,
        }
    }
}

fn packet_use(program: &Program) -> PacketUse {
    match program.prog_type() {
        ProgType::Netfilter => PacketUse::Beside,
        of if program_types::context_kind(of).is_some() => PacketUse::Context,
        _ => PacketUse::None,
    }
}
