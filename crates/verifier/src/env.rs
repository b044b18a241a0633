//! What holds for the whole verification: the request, the decoded program, what was learnt per
//! instruction, ids, the search and the log.

use alloc::{string::String, vec::Vec};

use hashbrown::HashMap;
use panal_uapi::MapType;

use crate::{
    calls::{CallAux, fields::Fields},
    error::{Check, reject},
    explore::Search,
    facts::Facts,
    liveness::StackLiveness,
    program::Program,
    request::{MapDescription, Request},
    state::{BtfRef, MapRef},
    transfer::AluLimit,
};
use panal_btf::Btf;

/// A map with what the verifier works out about it once.
#[derive(Clone, Debug)]
pub struct Map<'a> {
    /// As requested.
    pub desc: &'a MapDescription,
    /// Index into the request's maps; `None` for the template of an inner map.
    pub index: Option<u32>,
    /// Index of the map whose inner maps it is the template of.
    pub outer: Option<u32>,
    /// The template of its inner maps.
    pub inner: Option<MapRef>,
    /// Locks, timers, kptrs and the like in its value.
    pub fields: Fields,
}

/// What is kept per slot while verifying.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aux {
    /// The kind of pointer that a load or store used on earlier paths, where the kind matters for
    /// how Linux rewrites the instruction: all paths must agree.
    pub pointer: Option<crate::access::RewriteKind>,
    /// For [`crate::calls`].
    pub call: CallAux,
    /// Whether the search saves states here.
    pub prune_point: bool,
    /// Whether a state must be saved here each time (callbacks, iterators, `may_goto`).
    pub force_checkpoint: bool,
    /// Whether it calls an iterator's `next`, so that loops over it converge here.
    pub iter_next: bool,
    /// Whether it calls a helper that calls back at once, likewise.
    pub calls_callback: bool,
    /// Whether a jump goes here.
    pub jump_target: bool,
    /// Whether some path reached it.
    pub seen: bool,
    /// A barrier stands before it: no mispredicted path gets past.
    pub barrier: bool,
    /// A barrier stands after it: it spills where a wrong guess might still see what was there.
    pub barrier_after: bool,
    /// Registers that are read later on some path (bit per register).
    pub live_regs: u16,
    /// Number of the strongly connected component that it is in, 0 for none; Linux numbers those that
    /// are loops by jumps.
    pub scc: u32,
    /// Whether it is in one only because it calls back: no jump leads back to it.
    pub loops_by_callback: bool,
}

/// Everything but the state of the path.
pub struct Env<'a> {
    /// What was asked.
    pub request: &'a Request<'a>,
    /// The decoded program.
    pub program: Program,
    /// Maps: those of the request, then templates of inner maps.
    pub maps: Vec<Map<'a>>,
    /// [`Env::maps`] by index of the request: descriptions of one map share an entry.
    pub map_index: Vec<MapRef>,
    /// Per slot.
    pub aux: Vec<Aux>,
    /// Per slot: registers of which precision tracking must know when it walks back over the
    /// instruction. Apart, as it looks at nothing else of most.
    pub precision_regs: Vec<u16>,
    /// How pointer arithmetic is contained, over all paths: by slot.
    pub alu_limits: HashMap<u32, AluLimit>,
    /// For the proof.
    pub facts: Facts,
    /// States saved and branches that wait.
    pub search: Search,
    /// Linux's log.
    pub log: Log,
    /// Slot of the instruction that is being checked.
    pub slot: usize,
    /// Slot of the one before it on this path; `usize::MAX` at entry.
    pub previous: usize,
    /// Which stack slots are read later.
    pub liveness: StackLiveness,
    /// Whether other frames are under way than at the instruction before.
    pub frames_changed: bool,
    /// Whether states are saved at every prune point (`BPF_F_TEST_STATE_FREQ`).
    pub test_state_freq: bool,
    /// Index of the subprogram whose verification is under way (0, or a global one).
    pub current_subprogram: u32,
    /// Records the path, when a rejection is walked a second time.
    pub recorder: Option<alloc::boxed::Box<crate::report::Recorder>>,
    /// What is known wherever a path comes, for tests.
    pub witness: Option<alloc::boxed::Box<crate::Witness>>,
    next_id: u32,
    /// Whether some pointer arithmetic was given a limit that another path could change.
    pub explores_alu_limits: bool,
    /// Whether unaligned access is an error.
    pub strict_alignment: bool,
    /// Whether packet data may be written: set by the kernel's `may_access_direct_pkt_data`.
    pub seen_direct_write: bool,
}

impl<'a> Env<'a> {
    /// Prepares a verification.
    pub(crate) fn new(request: &'a Request<'a>, program: Program) -> Check<Env<'a>> {
        let mut env = Env {
            request,
            aux: alloc::vec![Aux::default(); program.len()],
            precision_regs: Vec::new(),
            alu_limits: HashMap::new(),
            facts: Facts::new(program.len()),
            program,
            maps: Vec::new(),
            map_index: Vec::new(),
            search: Search::default(),
            log: Log::new(request.log_level),
            slot: 0,
            previous: usize::MAX,
            liveness: StackLiveness::default(),
            frames_changed: true,
            test_state_freq: request
                .flags
                .contains(panal_uapi::kernel::ProgFlags::TEST_STATE_FREQ)
                && request
                    .profile
                    .capabilities
                    .contains(panal_uapi::Capabilities::BPF),
            current_subprogram: 0,
            recorder: None,
            witness: None,
            next_id: 0,
            strict_alignment: request
                .flags
                .contains(panal_uapi::kernel::ProgFlags::STRICT_ALIGNMENT),
            explores_alu_limits: false,
            seen_direct_write: false,
        };
        env.add_maps()?;
        Ok(env)
    }

    fn add_maps(&mut self) -> Check {
        for (index, desc) in self.request.maps.iter().enumerate() {
            let same = self.maps.iter().position(|m| m.desc.id == desc.id);
            let entry = match same {
                Some(entry) => entry,
                None => {
                    self.add_map(desc, Some(index as u32))?;
                    self.maps.len() - 1
                }
            };
            self.map_index.push(MapRef(entry as u16));
        }
        // Templates come after all maps of the request, so that those keep low numbers.
        for entry in 0..self.maps.len() {
            if let Some(inner) = self.maps[entry].desc.inner.as_deref() {
                self.add_map(inner, None)?;
                let template = self.maps.len() - 1;
                self.maps[entry].inner = Some(MapRef(template as u16));
                self.maps[template].outer = self.maps[entry].index;
            }
        }
        for &map in &self.map_index {
            crate::calls::check_use(self, self.map(map))?;
        }
        Ok(())
    }

    fn add_map(&mut self, desc: &'a MapDescription, index: Option<u32>) -> Check {
        if self.maps.len() >= usize::from(u16::MAX) {
            return Err(reject!(TooComplex, E2BIG, "too many maps"));
        }
        let fields = Fields::of_map(desc, self.request);
        self.maps.push(Map {
            desc,
            index,
            outer: None,
            inner: None,
            fields,
        });
        Ok(())
    }

    /// A map.
    pub fn map(&self, map: MapRef) -> &Map<'a> {
        &self.maps[usize::from(map.0)]
    }

    /// Its type.
    pub fn map_type(&self, map: MapRef) -> MapType {
        self.map(map).desc.map_type
    }

    /// A BTF by whose it is.
    pub fn btf(&self, whose: BtfRef) -> Option<&'a Btf> {
        match whose {
            BtfRef::Kernel => Some(&self.request.profile.btf),
            BtfRef::Program => self.request.types.map(|t| &**t.btf),
            BtfRef::Target => match &self.request.tied {
                Some(crate::Tied::Program { btf, .. }) => Some(btf),
                _ => None,
            },
        }
    }

    /// An id that no register has yet.
    pub fn new_id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// The newest id.
    pub fn last_id(&self) -> u32 {
        self.next_id
    }

    /// Whether this is (or is newer than) Linux `major.minor`.
    pub fn since(&self, major: u32, minor: u32) -> bool {
        self.request.profile.version >= (major << 16 | minor << 8)
    }
}

/// Linux's log text.
#[derive(Debug, Default)]
pub struct Log {
    level: u32,
    text: String,
    /// The source line that was printed last.
    pub last_line: Option<usize>,
    /// What the next state that is printed has of the innermost frame.
    pub touched: Touched,
    /// Whether a function was just left.
    pub returned: bool,
    /// Where the newest instruction begins and ends in the text.
    pub instruction: (usize, usize),
}

/// Registers and stack slots that instructions had to do with since a state was printed.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// Registers, a bit for each.
    pub regs: u16,
    /// Stack slots.
    pub slots: u64,
    /// The newest instruction calls a kernel function.
    pub by_kfunc: bool,
    /// The frame before the newest instruction: what it changed on the stack counts, too.
    pub before: Option<(usize, alloc::rc::Rc<crate::state::Frame>)>,
}

impl Touched {
    /// All are.
    pub fn everything(&mut self) {
        *self = Touched {
            regs: u16::MAX,
            slots: u64::MAX,
            by_kfunc: false,
            before: None,
        };
    }
}

impl Log {
    /// Bytes after which a log stops growing.
    const LIMIT: usize = 16 << 20;

    fn new(level: u32) -> Log {
        Log {
            level,
            ..Log::default()
        }
    }

    /// Whether the path is logged (level 1 or 2).
    pub fn on(&self) -> bool {
        self.level & 3 != 0
    }

    /// Whether every state is logged.
    pub fn level2(&self) -> bool {
        self.level & 2 != 0
    }

    /// Stops the log; the level goes back by [`Log::resume`].
    pub fn silence(&mut self) -> u32 {
        core::mem::take(&mut self.level)
    }

    /// See [`Log::silence`].
    pub fn resume(&mut self, level: u32) {
        self.level = level;
    }

    /// Whether figures are (`BPF_LOG_STATS`).
    pub fn stats(&self) -> bool {
        self.level & 4 != 0
    }

    /// Whether anything is.
    pub fn any(&self) -> bool {
        self.level != 0
    }

    /// Adds text.
    pub fn write(&mut self, args: core::fmt::Arguments<'_>) {
        if self.on() && self.text.len() < Self::LIMIT {
            // Writing to a string cannot fail.
            let _ = core::fmt::write(&mut self.text, args);
        }
    }

    /// Adds text at any level.
    pub fn always(&mut self, args: core::fmt::Arguments<'_>) {
        if self.any() {
            let _ = core::fmt::write(&mut self.text, args);
        }
    }

    /// How long it is now.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// At level 1 only the rejected path is kept: drops what came after `len`.
    pub fn back_to(&mut self, len: usize) {
        if !self.level2() && len <= self.text.len() {
            self.text.truncate(len);
        }
    }

    /// Puts what is said of an instruction beside it: takes the end of its line away, when nothing
    /// was written since. Whether that was so.
    pub fn beside(&mut self) -> bool {
        let (start, end) = self.instruction;
        let full = self.text.len() >= Self::LIMIT;
        if end == 0 || end != self.text.len() || full || !self.on() {
            return false;
        }
        self.text.truncate(end - 1);
        let width = end - start;
        let column = (width + 4).max(40).next_multiple_of(8);
        for _ in 0..column - width - 1 {
            self.text.push(' ');
        }
        self.text.push(';');
        true
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.text
    }
}
