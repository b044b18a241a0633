//! Waiting for another thread that is about to finish a few instructions.

use std::{hint, thread, time::Duration};

/// Rounds of spinning, then of giving way, before the thread sleeps.
const SPINS: u32 = 100;
const YIELDS: u32 = 1000;

/// How long one has waited.
#[derive(Default)]
pub(crate) struct Wait(u32);

impl Wait {
    /// Waits a moment: first busily, then, since the other may have lost its processor, by giving
    /// way, and in the end asleep, since the other may be one that this thread never gives way to.
    pub fn a_moment(&mut self) {
        match self.0 {
            ..SPINS => hint::spin_loop(),
            SPINS..YIELDS => thread::yield_now(),
            _ => return thread::sleep(Duration::from_micros(50)),
        }
        self.0 += 1;
    }
}
