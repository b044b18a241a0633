//! Which memory a run may touch, exactly: for kernels that check every access of every run.
//!
//! The cage keeps a program from harming the host. Here the question is whether the verifier was
//! right: a proven program never leaves a live object.

use panal_vm::{Attempt, Regions};

use crate::host::Host;

/// The live objects of one run: its context, packet and event, the kernel's maps and their headers.
pub(crate) struct Live<'a> {
    /// The run's host. Helpers change it through the run, but never while an access is checked.
    pub host: *const Host<'a>,
    /// Address and bytes of the context.
    pub context: (u64, u64),
    /// Address and bytes of the event's objects.
    pub objects: (u64, u64),
    /// Address and bytes of the words that callbacks see.
    pub words: (u64, u64),
    /// Address and bytes of the word that has jiffies.
    pub ticks: (u64, u64),
}

fn within(access: &Attempt, (start, len): (u64, u64)) -> bool {
    access.address.checked_sub(start).is_some_and(|offset| {
        offset
            .checked_add(u64::from(access.size))
            .is_some_and(|end| end <= len)
    })
}

impl Regions for Live<'_> {
    fn holds(&mut self, access: &Attempt) -> bool {
        // SAFETY: the host outlives the run, and the interpreter asks between instructions: no
        // helper holds it then.
        let host = unsafe { &*self.host };
        let (address, len) = (access.address, u64::from(access.size));
        within(access, self.context)
            || within(access, self.words)
            || (!access.write && within(access, self.objects))
            || (!access.write && within(access, self.ticks))
            || host.packet.as_ref().is_some_and(|packet| within(access, packet.extent()))
            || (!access.write && host.kernel.handles.holds(address, len))
            || host.program.maps.iter().any(|m| m.core().holds(address, len, access.write))
            // Maps in maps, and those of a program that was tail-called.
            || host.kernel.maps.all().iter().any(|m| m.core().holds(address, len, access.write))
    }
}
