//! What a run carries beside its machine state: whose event it is, which packet, where it reports.

use crate::{
    cpu::Paths, held::Held, helpers::print::Texts, kernel::Shared, kfuncs::BitSets,
    objects::Program, packet::Packet, task::Task,
};

/// The kernel's side of one run. Helpers reach it through the run.
pub(crate) struct Host<'a> {
    /// The kernel.
    pub kernel: &'a Shared,
    /// The program that was started; a tail call does not change it.
    pub program: &'a Program,
    /// Id of the program that runs: after a tail call, that one.
    pub running: u32,
    /// The current task.
    pub task: &'a dyn Task,
    /// Its user and group as `bpf_get_current_uid_gid` gives them, once it was asked for them.
    pub uid_gid: Option<u64>,
    /// Its name, likewise.
    pub comm: Option<[u8; 16]>,
    /// Number given when the program was attached.
    pub cookie: u64,
    /// Address of the traced function, 0 when there is none.
    pub function_ip: u64,
    /// Arguments of a traced function, its return value last where it has returned.
    pub arguments: &'a [u64],
    /// Whether the last of the arguments is the return value.
    pub returned: bool,
    /// What the hooked call returns so far (`bpf_get_retval`).
    pub retval: i32,
    /// The packet that the context describes.
    pub packet: Option<&'a mut Packet>,
    /// Texts of the event's `struct path` objects.
    pub paths: &'a Paths,
    /// What clocks show; `None` for the real time.
    pub clock: Option<u64>,
    /// Address of a word of the cage that belongs to the run.
    pub index_word: u64,
    /// What the program has taken and must give back.
    pub held: &'a mut Held,
    /// Room for texts that it makes.
    pub texts: &'a mut Texts,
    /// Copies of the bits that it goes through.
    pub bits: &'a mut BitSets,
}
