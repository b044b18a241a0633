//! What the kernel owns: programs, maps, links and BTF, each with an id, shared by reference count.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::SystemTime,
};

use panal_btf::{Btf, TypeId};
use panal_isa::{Instruction, Slot};
use panal_uapi::{
    AttachType, Errno, ProgType,
    kernel::{FuncInfo, LineInfo, LoadTarget, ProgFlags, VerifierStats},
};
use panal_verifier::{Access, Proof, Region};
use panal_vm::{Executable, Stop};

use crate::{
    attach::{Attachments, HookPoint},
    maps::Map,
    ticks::Ticking,
};

/// Bytes of an object's name, its final zero not counted (`BPF_OBJ_NAME_LEN`).
pub(crate) const NAME_LEN: usize = 15;

/// A name as Linux takes it: cut to 15 bytes, letters, digits, `_` and `.` only.
pub(crate) fn object_name(name: &str) -> Result<String, Errno> {
    let bytes = name.as_bytes();
    let bytes = &bytes[..bytes.len().min(NAME_LEN)];
    if bytes
        .iter()
        .all(|&b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
    {
        Ok(bytes.iter().map(|&b| b as char).collect())
    } else {
        Err(Errno::EINVAL)
    }
}

/// Types that were loaded.
pub struct BtfObject {
    pub(crate) id: u32,
    pub(crate) btf: Arc<Btf>,
    pub(crate) bytes: Box<[u8]>,
}

impl BtfObject {
    /// Its id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The types.
    pub fn btf(&self) -> &Arc<Btf> {
        &self.btf
    }

    /// The bytes that were loaded.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// To what a program is tied since it was loaded.
#[derive(Clone)]
pub(crate) enum Target {
    /// A type of the kernel's BTF.
    Kernel(TypeId),
    /// A function of another program.
    Program(Arc<Program>, TypeId),
}

impl Target {
    pub(crate) fn new(
        target: &LoadTarget,
        program: impl FnOnce(i32) -> Result<Arc<Program>, Errno>,
    ) -> Result<Self, Errno> {
        Ok(match target {
            LoadTarget::KernelBtf(id) => Target::Kernel(*id),
            LoadTarget::Program(fd, id) => Target::Program(program(fd.number())?, *id),
        })
    }
}

/// A program that was proven safe.
pub struct Program {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) prog_type: ProgType,
    pub(crate) attach_type: Option<AttachType>,
    pub(crate) flags: ProgFlags,
    /// `None` only for programs that were loaded without one.
    pub(crate) proof: Option<Proof>,
    /// `None` when the kernel only verifies.
    pub(crate) executable: Option<Executable>,
    /// Why it has no machine code though the kernel would run it so.
    pub(crate) interpreted: Option<String>,
    /// Held where it reads jiffies.
    pub(crate) _ticking: Option<Arc<Ticking>>,
    /// The instructions, in which maps stand as indices of `maps`.
    pub(crate) code: Vec<Slot>,
    pub(crate) tag: [u8; 8],
    pub(crate) funcs: Vec<FuncInfo>,
    pub(crate) lines: Vec<LineInfo>,
    pub(crate) gpl: bool,
    pub(crate) maps: Vec<Arc<Map>>,
    pub(crate) btf: Option<Arc<BtfObject>>,
    pub(crate) target: Option<Target>,
    pub(crate) stats: VerifierStats,
    pub(crate) loaded_at: SystemTime,
    pub(crate) counters: Counters,
}

/// How often and how long a program ran.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) runs: AtomicU64,
    pub(crate) nanoseconds: AtomicU64,
    /// Runs that were stopped, and why the first was.
    pub(crate) stopped: AtomicU64,
    pub(crate) first_stop: OnceLock<Stop>,
}

impl Counters {
    /// Notes that a run was stopped.
    pub(crate) fn stop(&self, why: Stop) {
        self.stopped.fetch_add(1, Ordering::Relaxed);
        let _ = self.first_stop.set(why);
    }
}

impl Program {
    /// Its id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it may do.
    pub fn prog_type(&self) -> ProgType {
        self.prog_type
    }

    /// Where it may be attached.
    pub fn attach_type(&self) -> Option<AttachType> {
        self.attach_type
    }

    /// Flags of its load.
    pub fn flags(&self) -> ProgFlags {
        self.flags
    }

    /// What is the same for the same code.
    pub fn tag(&self) -> [u8; 8] {
        self.tag
    }

    /// What the verifier found; `None` for a program that was loaded without a proof.
    pub fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }

    /// The program as it runs; `None` when the kernel only verifies.
    pub fn executable(&self) -> Option<&Executable> {
        self.executable.as_ref()
    }

    /// Why it is interpreted though the kernel runs machine code; `None` where it is not.
    pub fn interpreted(&self) -> Option<&str> {
        self.interpreted.as_deref()
    }

    /// Why it is not optimised though the kernel optimises; `None` where it is.
    pub fn not_optimised(&self) -> Option<&str> {
        self.executable.as_ref()?.not_optimised()
    }

    /// How many of its runs were stopped, and why the first was; `None` while none was.
    pub fn stops(&self) -> Option<(u64, Stop)> {
        let first = *self.counters.first_stop.get()?;
        Some((self.counters.stopped.load(Ordering::Relaxed), first))
    }

    /// How many bytes of its context it reads, as far as its accesses have constant offsets.
    pub(crate) fn context_size(&self) -> usize {
        let Some(proof) = &self.proof else { return 0 };
        let mut most = 0;
        for (slot, fact) in proof.facts().iter().enumerate() {
            let Some(Access {
                region: Region::Context,
                offset: Some(offset),
            }) = fact.access
            else {
                continue;
            };
            let size = match proof.instruction(slot) {
                Some(
                    Instruction::Load { size, .. }
                    | Instruction::Store { size, .. }
                    | Instruction::Atomic { size, .. },
                ) => size.bytes(),
                _ => 0,
            };
            most = most.max(usize::try_from(offset).unwrap_or(0) + size as usize);
        }
        most
    }

    /// Whether its licence is compatible with the GPL.
    pub fn is_gpl(&self) -> bool {
        self.gpl
    }

    /// The maps that it uses.
    pub fn maps(&self) -> &[Arc<Map>] {
        &self.maps
    }

    /// Its types.
    pub fn btf(&self) -> Option<&Arc<BtfObject>> {
        self.btf.as_ref()
    }

    /// What the verifier counted.
    pub fn stats(&self) -> VerifierStats {
        self.stats
    }

    /// When it was loaded.
    pub fn loaded_at(&self) -> SystemTime {
        self.loaded_at
    }

    /// How often it ran.
    pub fn runs(&self) -> u64 {
        self.counters.runs.load(Ordering::Relaxed)
    }

    /// Nanoseconds that it ran in all; runs are timed by `BPF_PROG_TEST_RUN`, and while somebody
    /// holds `BPF_ENABLE_STATS`.
    pub fn run_time_ns(&self) -> u64 {
        self.counters.nanoseconds.load(Ordering::Relaxed)
    }
}

/// A program at a hook point: what hooks run.
pub struct Attachment {
    pub(crate) id: u32,
    pub(crate) point: HookPoint,
    pub(crate) program: Arc<Program>,
    pub(crate) cookie: u64,
}

impl Attachment {
    /// Id of its link.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Where it hangs.
    pub fn point(&self) -> &HookPoint {
        &self.point
    }

    /// The program.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// What `bpf_get_attach_cookie` gives.
    pub fn cookie(&self) -> u64 {
        self.cookie
    }
}

/// Holds a program at its hook point: as long as a descriptor or a pin holds the link.
pub struct Link {
    id: u32,
    /// The program that it holds, or held until it was detached.
    state: Mutex<LinkState>,
    home: Arc<Attachments>,
}

struct LinkState {
    attachment: Arc<Attachment>,
    attached: bool,
}

impl Link {
    /// Hangs a program at a point.
    pub(crate) fn new(attachment: Attachment, home: Arc<Attachments>) -> Link {
        let attachment = Arc::new(attachment);
        home.add(attachment.clone());
        Link {
            id: attachment.id,
            state: Mutex::new(LinkState {
                attachment,
                attached: true,
            }),
            home,
        }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.id
    }

    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it holds; `None` once it was detached.
    pub fn attachment(&self) -> Option<Arc<Attachment>> {
        let state = self.state();
        state.attached.then(|| state.attachment.clone())
    }

    /// What it holds, or held last.
    pub(crate) fn last_attachment(&self) -> Arc<Attachment> {
        self.state().attachment.clone()
    }

    /// Puts what `change` makes of the attachment in its place, if it agrees; hooks see the one or
    /// the other.
    pub(crate) fn replace<E>(
        &self,
        change: impl FnOnce(Option<&Arc<Attachment>>) -> Result<Arc<Attachment>, E>,
    ) -> Result<(), E> {
        let mut state = self.state();
        let new = change(state.attached.then_some(&state.attachment))?;
        self.home.replace(new.clone());
        state.attachment = new;
        Ok(())
    }

    /// Detaches, once.
    pub(crate) fn detach(&self) {
        let mut state = self.state();
        if std::mem::replace(&mut state.attached, false) {
            self.home.remove(&state.attachment.point, self.id);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.detach();
    }
}

/// How many descriptors ask for programs' runs to be timed.
#[derive(Default)]
pub(crate) struct StatsUsers(AtomicU32);

impl StatsUsers {
    /// Whether anybody asks.
    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// One who asks, until dropped (`BPF_ENABLE_STATS`).
pub(crate) struct StatsHold(Arc<StatsUsers>);

impl StatsHold {
    pub(crate) fn new(users: Arc<StatsUsers>) -> StatsHold {
        users.0.fetch_add(1, Ordering::Relaxed);
        StatsHold(users)
    }
}

impl Drop for StatsHold {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
