//! "CPUs" and the readers on them: who may touch per-CPU memory, and when removed objects die.
//!
//! A CPU is a seat that one thread takes while it runs programs. Taking it also enters a read
//! section: what [`Cpus::retire`] is given afterwards lives until the seat is left (epochs, the
//! counterpart of Linux's RCU).

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// A seat: 0 when free, else the epoch in which it was taken. One to a cache line.
#[derive(Default)]
#[repr(align(64))]
struct Seat(AtomicU64);

/// What waits for readers: the epoch that they must have passed, and the object.
type Retired = (u64, Box<dyn Send>);

/// All CPUs of a kernel.
pub struct Cpus {
    epoch: AtomicU64,
    seats: Box<[Seat]>,
    retired: Mutex<Vec<Retired>>,
}

impl Cpus {
    /// Most CPUs that a kernel may have.
    pub const MOST: u32 = 4096;

    /// `count` CPUs, at least one, at most [`Cpus::MOST`].
    pub fn new(count: u32) -> Cpus {
        let count = count.clamp(1, Self::MOST);
        Cpus {
            epoch: AtomicU64::new(1),
            seats: (0..count).map(|_| Seat::default()).collect(),
            retired: Mutex::new(Vec::new()),
        }
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.seats.len() as u32
    }

    /// Takes a CPU, `preferred` if it is free. `None` when all are taken.
    #[inline]
    pub fn try_enter(&self, preferred: u32) -> Option<OnCpu<'_>> {
        let count = self.seats.len() as u32;
        let first = if preferred < count {
            preferred
        } else {
            preferred % count
        };
        if self.sit(first) {
            return Some(OnCpu {
                cpus: self,
                cpu: first,
            });
        }
        (1..count)
            .map(|i| (first + i) % count)
            .find(|&cpu| self.sit(cpu))
            .map(|cpu| OnCpu { cpus: self, cpu })
    }

    /// Takes a CPU and waits while all are taken. A thread that holds one already must not call
    /// this: it would wait for itself.
    pub fn enter(&self, preferred: u32) -> OnCpu<'_> {
        loop {
            if let Some(on) = self.try_enter(preferred) {
                return on;
            }
            std::thread::yield_now();
        }
    }

    /// Takes this CPU and waits while it is taken; `None` when there is none of that number. A
    /// thread that holds one already must not call this.
    pub fn enter_at(&self, cpu: u32) -> Option<OnCpu<'_>> {
        if cpu >= self.count() {
            return None;
        }
        while !self.sit(cpu) {
            std::thread::yield_now();
        }
        Some(OnCpu { cpus: self, cpu })
    }

    #[inline]
    fn sit(&self, cpu: u32) -> bool {
        let seat = &self.seats[cpu as usize].0;
        // Acquire pairs with `retire`: whoever sees the new epoch sees what was unlinked before.
        let epoch = self.epoch.load(Ordering::Acquire);
        // SeqCst orders the seat before all that the reader reads, against the fence in `collect`.
        seat.load(Ordering::Relaxed) == 0
            && seat
                .compare_exchange(0, epoch, Ordering::SeqCst, Ordering::Relaxed)
                .is_ok()
    }

    /// Drops `object` once no reader can still see it. It must be unlinked already: no reader that
    /// enters from now on finds it.
    pub fn retire(&self, object: Box<dyn Send>) {
        let epoch = self.epoch.fetch_add(1, Ordering::SeqCst) + 1;
        self.retired
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((epoch, object));
        self.collect();
    }

    /// Drops what no reader can see any more; how many objects still wait.
    pub fn collect(&self) -> usize {
        std::sync::atomic::fence(Ordering::SeqCst);
        let oldest = self
            .seats
            .iter()
            .map(|s| s.0.load(Ordering::SeqCst))
            .filter(|&e| e != 0)
            .min()
            .unwrap_or(u64::MAX);
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let dead: Vec<Retired> = retired
            .extract_if(.., |(epoch, _)| *epoch <= oldest)
            .collect();
        let left = retired.len();
        drop(retired);
        // Objects may retire others when they die: not under the lock.
        drop(dead);
        left
    }
}

impl std::fmt::Debug for Cpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cpus")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

/// A CPU that this thread holds, and a read section.
#[derive(Debug)]
pub struct OnCpu<'a> {
    cpus: &'a Cpus,
    cpu: u32,
}

impl OnCpu<'_> {
    /// Its number, below [`Cpus::count`].
    #[inline]
    pub fn index(&self) -> u32 {
        self.cpu
    }
}

impl Drop for OnCpu<'_> {
    #[inline]
    fn drop(&mut self) {
        self.cpus.seats[self.cpu as usize]
            .0
            .store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    struct Flag(Arc<AtomicU64>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn objects_wait_for_readers_that_entered_before() {
        let cpus = Cpus::new(2);
        let dead = Arc::new(AtomicU64::new(0));
        let reader = cpus.enter(0);
        cpus.retire(Box::new(Flag(dead.clone())));
        let later = cpus.enter(1);
        assert_eq!(cpus.collect(), 1);
        assert_eq!(dead.load(Ordering::SeqCst), 0);
        drop(reader);
        assert_eq!(cpus.collect(), 0);
        assert_eq!(dead.load(Ordering::SeqCst), 1);
        drop(later);
    }

    #[test]
    fn a_cpu_has_one_thread() {
        let cpus = Cpus::new(2);
        let a = cpus.try_enter(7).unwrap();
        let b = cpus.try_enter(1).unwrap();
        assert_eq!((a.index(), b.index()), (1, 0));
        assert!(cpus.try_enter(0).is_none());
        drop(a);
        assert_eq!(cpus.try_enter(0).unwrap().index(), 1);
    }
}
