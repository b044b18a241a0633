//! Jiffies: a word of the cage that a thread counts, as long as a program is loaded that reads it.
//!
//! Linux has the number in memory, and programs load it. Asking a clock each time would cost ten times
//! as much.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use panal_maps::{Block, Cage, OutOfCage};

use crate::helpers::time::{TICK, jiffies, monotonic};

/// A word of the cage that has jiffies.
pub(crate) struct TickWord(Block);

impl TickWord {
    pub fn new(cage: &Arc<Cage>) -> Result<Self, OutOfCage> {
        Ok(TickWord(
            cage.allocate(size_of::<u64>(), align_of::<u64>())?,
        ))
    }

    pub fn address(&self) -> u64 {
        self.0.address()
    }

    /// Shows the jiffies at a time, in nanoseconds.
    pub fn show(&self, now: u64) {
        // SAFETY: the block is an aligned word, which others use by atomics alone.
        let word = unsafe { AtomicU64::from_ptr(self.0.pointer().as_ptr().cast()) };
        word.store(jiffies(now), Ordering::Relaxed);
    }
}

/// While one is held, the kernel's word is counted.
pub(crate) struct Ticking;

/// The kernel's word.
pub(crate) struct Ticks {
    word: Arc<TickWord>,
    held: Mutex<Weak<Ticking>>,
}

impl Ticks {
    pub fn new(cage: &Arc<Cage>) -> Result<Self, OutOfCage> {
        Ok(Ticks {
            word: Arc::new(TickWord::new(cage)?),
            held: Mutex::default(),
        })
    }

    /// Address of the word.
    pub fn address(&self) -> u64 {
        self.word.address()
    }

    /// Sees to it that the word is counted; `None` where there is no thread to be had.
    pub fn hold(&self) -> Option<Arc<Ticking>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ticking) = held.upgrade() {
            return Some(ticking);
        }
        self.word.show(monotonic());
        let ticking = Arc::new(Ticking);
        let (word, still) = (self.word.clone(), Arc::downgrade(&ticking));
        let count = move || {
            while still.strong_count() > 0 {
                let now = monotonic();
                word.show(now);
                thread::sleep(Duration::from_nanos(TICK - now % TICK));
            }
        };
        let thread = thread::Builder::new().name("panal-ticks".into());
        thread.spawn(count).ok()?;
        *held = Arc::downgrade(&ticking);
        Some(ticking)
    }
}
