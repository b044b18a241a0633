//! How long a run may take, and how others end it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use panal_vm::Run;

use crate::helpers::time::monotonic;

/// Steps that one run may take when nobody says otherwise. At a nanosecond or two a step, a run ends
/// within a few seconds; Linux's own programs of a million verified instructions stay far below.
pub const DEFAULT_BUDGET: u64 = 1 << 31;

/// What one run may use. It is stopped at the next jump back or call after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Instructions of the lowered program; `None` for any number.
    pub steps: Option<u64>,
    /// Time on the monotonic clock; `None` for any.
    pub time: Option<Duration>,
}

impl Budget {
    /// No limit: machine code does not count, and nobody can end it.
    pub const UNLIMITED: Budget = Budget {
        steps: None,
        time: None,
    };

    pub(crate) fn is_limited(&self) -> bool {
        *self != Self::UNLIMITED
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps.unwrap_or(u64::MAX)
    }

    /// Limits a run's time. A run looks at the clock first when it has taken some thousand steps, and
    /// may take the time from there: those that are over before never look.
    pub(crate) fn limit_time(&self, run: &mut Run) {
        if let Some(time) = self.time {
            run.clock = monotonic;
            run.time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            steps: Some(DEFAULT_BUDGET),
            time: None,
        }
    }
}

/// Ends the runs of a CPU, from any thread.
///
/// The run under way ends at its next jump back or call, or within the helper that it is in when
/// that works for long; what it holds (records, locks, references) is released.
#[derive(Clone, Debug, Default)]
pub struct Stopper(Arc<AtomicU32>);

impl Stopper {
    /// Ends the run under way, and each that begins later, until [`Self::resume`].
    pub fn stop(&self) {
        self.0.store(1, Ordering::Release);
    }

    /// Lets runs begin again.
    pub fn resume(&self) {
        self.0.store(0, Ordering::Release);
    }

    /// Whether runs are being ended.
    pub fn is_stopping(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// Makes a run look here.
    ///
    /// # Safety
    /// The run ends before the last clone of the stopper goes.
    pub(crate) unsafe fn watch(&self, run: &mut Run) {
        // SAFETY: the caller's promise.
        unsafe { run.watch(Arc::as_ptr(&self.0)) };
    }
}
