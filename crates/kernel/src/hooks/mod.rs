//! Sources of events: each looks up what hangs at its hook points and runs it.

mod command;
pub mod packets;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub mod tree;

pub use command::{Command, ExitStatus, StartError};

use crate::attach::HookPoint;

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
impl crate::PanalKernel {
    /// Runs a command under the programs that are attached: not possible on this system.
    ///
    /// # Errors
    /// [`StartError::Unsupported`], always.
    pub fn supervise(
        &self,
        _command: &Command,
        _poll: &mut dyn FnMut(),
    ) -> Result<ExitStatus, StartError> {
        Err(StartError::Unsupported)
    }
}

/// Whether some hook has events at this point.
pub(crate) fn offers(point: &HookPoint) -> bool {
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    if tree::offers(point) {
        return true;
    }
    matches!(point, HookPoint::Packets { .. })
}
