//! Timers and work in map values: what is armed, and the threads that call their functions. Work is
//! a timer that fires at once.
//!
//! A value holds a number by which the kernel knows its timer; the number counts only at that
//! address, so that a value which was copied or reused has no timer. What a timer belongs to is
//! known by address: when an element goes, its timers do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use panal_uapi::Errno;

use crate::{cpu::Session, helpers::time::monotonic, kernel::Shared, maps::Map, objects::Program};

/// Most timers of a kernel.
const TIMERS_MOST: usize = 1 << 20;

/// What a timer calls: a function of a program, by the value that the program has for it.
#[derive(Clone)]
struct Callback {
    program: Arc<Program>,
    function: u64,
}

/// A timer that was made.
struct Timer {
    number: u64,
    map: Weak<Map>,
    /// Bytes from the value's start to the timer.
    offset: u32,
    callback: Option<Callback>,
    /// When it fires, by the monotonic clock.
    due: Option<u64>,
}

#[derive(Default)]
struct State {
    /// By address.
    timers: BTreeMap<u64, Timer>,
    /// Armed timers in order: when, and the address.
    queue: BTreeSet<(u64, u64)>,
    numbers: u64,
    /// The timer whose function runs, by number, and the thread that runs it.
    running: Option<(u64, thread::ThreadId)>,
    serving: bool,
    closed: bool,
}

impl State {
    fn disarm(&mut self, address: u64) -> bool {
        let Some(timer) = self.timers.get_mut(&address) else {
            return false;
        };
        match timer.due.take() {
            Some(due) => self.queue.remove(&(due, address)),
            None => false,
        }
    }

    /// The timer at an address, if the number that stands there is its own.
    fn of(&mut self, address: u64, number: u64) -> Result<&mut Timer, Errno> {
        let timer = self.timers.get_mut(&address).ok_or(Errno::EINVAL)?;
        match timer.number == number {
            true => Ok(timer),
            false => Err(Errno::EINVAL),
        }
    }
}

/// What the kernel and the thread share.
#[derive(Default)]
struct Common {
    state: Mutex<State>,
    changed: Condvar,
    /// How many timers there are: most maps need not ask further.
    count: AtomicUsize,
}

impl Common {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All timers of a kernel.
pub(crate) struct Timers {
    common: Arc<Common>,
    kernel: Weak<Shared>,
    /// Of its thread.
    name: &'static str,
}

/// Something that is about to call a timer's function.
struct Fired {
    number: u64,
    callback: Callback,
    map: Arc<Map>,
    value: u64,
    offset: u32,
}

impl Timers {
    /// Those of a kernel whose functions a thread of this name calls.
    pub fn new(kernel: Weak<Shared>, name: &'static str) -> Self {
        Timers {
            common: Arc::default(),
            kernel,
            name,
        }
    }

    /// Makes a timer at an address, which lies `offset` bytes into a value of the map: its number.
    /// `ENOMEM` when there are too many.
    pub fn make(&self, address: u64, offset: u32, map: &Arc<Map>) -> Result<u64, Errno> {
        let mut state = self.common.lock();
        if state.timers.len() >= TIMERS_MOST {
            return Err(Errno::ENOMEM);
        }
        state.disarm(address);
        state.numbers += 1;
        let number = state.numbers;
        let timer = Timer {
            number,
            map: Arc::downgrade(map),
            offset,
            callback: None,
            due: None,
        };
        let before = state.timers.insert(address, timer);
        self.common
            .count
            .store(state.timers.len(), Ordering::Release);
        drop(state);
        drop(before);
        Ok(number)
    }

    /// Whether the number that stands at an address is that of a timer there.
    pub fn is_made(&self, address: u64, number: u64) -> bool {
        self.common.lock().of(address, number).is_ok()
    }

    /// Sets what a timer calls: a function of the program of this id, which `program` finds.
    pub fn set_callback(
        &self,
        address: u64,
        number: u64,
        (id, function): (u32, u64),
        program: impl FnOnce() -> Option<Arc<Program>>,
    ) -> Result<(), Errno> {
        let mut state = self.common.lock();
        let timer = state.of(address, number)?;
        if timer.map.upgrade().is_none_or(|map| !map.is_used()) {
            return Err(Errno::EPERM);
        }
        let callback = timer.callback.as_ref();
        if callback.is_some_and(|now| now.program.id == id && now.function == function) {
            return Ok(());
        }
        let program = program().ok_or(Errno::EINVAL)?;
        let before = timer.callback.replace(Callback { program, function });
        drop(state);
        drop(before);
        Ok(())
    }

    /// Arms a timer: it fires at `due` of the monotonic clock.
    pub fn start(&self, address: u64, number: u64, due: u64) -> Result<(), Errno> {
        let mut state = self.common.lock();
        if state.of(address, number)?.callback.is_none() {
            return Err(Errno::EINVAL);
        }
        let first = state.queue.first().copied();
        state.disarm(address);
        state.of(address, number)?.due = Some(due);
        state.queue.insert((due, address));
        if !state.serving {
            state.serving = self.serve();
        }
        // The thread waits for the one that was the first; where it comes too early, it looks again.
        if first.is_none_or(|first| (due, address) < first) {
            self.common.changed.notify_all();
        }
        match state.serving {
            true => Ok(()),
            false => Err(Errno::ENOMEM),
        }
    }

    /// Disarms a timer and forgets what it calls; whether it was armed. Waits while its function
    /// runs elsewhere, unless `interrupted` says otherwise.
    pub fn cancel(
        &self,
        address: u64,
        number: u64,
        mut interrupted: impl FnMut() -> bool,
    ) -> Result<bool, Errno> {
        const LOOK: Duration = Duration::from_millis(10);
        let mut state = self.common.lock();
        state.of(address, number)?;
        let own = |(running, by)| running == number && by == thread::current().id();
        if state.running.is_some_and(own) {
            return Err(Errno::EDEADLK);
        }
        let callback = state.of(address, number)?.callback.take();
        while state.running.is_some_and(|(running, _)| running == number) && !interrupted() {
            let waited = self.common.changed.wait_timeout(state, LOOK);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let was_armed = state.disarm(address);
        drop(state);
        drop(callback);
        Ok(was_armed)
    }

    /// The timers in so many bytes are no more.
    pub fn forget(&self, address: u64, len: u64) {
        if self.common.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut state = self.common.lock();
        let end = address.saturating_add(len);
        let gone: Vec<u64> = state
            .timers
            .range(address..end)
            .map(|(at, _)| *at)
            .collect();
        let dropped = self.take_all(&mut state, &gone);
        // Programs may go with them, and maps with programs: not under the lock.
        drop(state);
        drop(dropped);
    }

    /// Changes an element of a map whose values have special fields; its timers go if that worked.
    pub fn replacing<T>(
        &self,
        map: &dyn panal_maps::Map,
        key: &[u8],
        act: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        if self.common.count.load(Ordering::Acquire) == 0 {
            return act();
        }
        let value = map.lookup(key, 0);
        let done = act()?;
        if let Some(value) = value {
            let size = u64::from(map.base().def().value_size);
            self.forget(value.as_ptr() as u64, size);
        }
        Ok(done)
    }

    /// The timers of a map are no more.
    pub fn forget_map(&self, map: &Map) {
        if self.common.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut state = self.common.lock();
        let of_map = |timer: &Timer| std::ptr::eq(timer.map.as_ptr(), map);
        let all = state.timers.iter().filter(|(_, timer)| of_map(timer));
        let gone: Vec<u64> = all.map(|(at, _)| *at).collect();
        let dropped = self.take_all(&mut state, &gone);
        drop(state);
        drop(dropped);
    }

    fn take_all(&self, state: &mut State, gone: &[u64]) -> Vec<Timer> {
        let mut dropped = Vec::new();
        for address in gone {
            state.disarm(*address);
            dropped.extend(state.timers.remove(address));
        }
        self.common
            .count
            .store(state.timers.len(), Ordering::Release);
        dropped
    }
}

impl Timers {
    /// Starts the thread; false when the system gives none.
    fn serve(&self) -> bool {
        let (common, kernel) = (self.common.clone(), self.kernel.clone());
        let thread = thread::Builder::new().name(self.name.to_owned());
        thread.spawn(move || serve(&common, &kernel)).is_ok()
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        self.common.lock().closed = true;
        self.common.changed.notify_all();
    }
}

/// Calls what is due, until the kernel is gone.
fn serve(common: &Common, kernel: &Weak<Shared>) {
    while let Some(fired) = next(common) {
        if let Some(kernel) = kernel.upgrade() {
            fire(&kernel, &fired);
        }
        let mut state = common.lock();
        state.running = None;
        common.changed.notify_all();
        drop(state);
        drop(fired);
    }
}

/// Waits for the next timer; `None` when there will be none.
fn next(common: &Common) -> Option<Fired> {
    let mut state = common.lock();
    loop {
        if state.closed {
            return None;
        }
        let now = monotonic();
        let first = state.queue.first().copied();
        state = match first {
            Some((due, address)) if due <= now => {
                state.disarm(address);
                if let Some(fired) = take(&mut state, address) {
                    return Some(fired);
                }
                state
            }
            Some((due, _)) => {
                let wait = common
                    .changed
                    .wait_timeout(state, Duration::from_nanos(due - now));
                wait.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let wait = common.changed.wait(state);
                wait.unwrap_or_else(PoisonError::into_inner)
            }
        };
    }
}

/// What the timer at an address calls; `None` when it calls nothing any more.
fn take(state: &mut State, address: u64) -> Option<Fired> {
    let timer = state.timers.get(&address)?;
    let fired = Fired {
        number: timer.number,
        callback: timer.callback.clone()?,
        map: timer.map.upgrade()?,
        value: address - u64::from(timer.offset),
        offset: timer.offset,
    };
    state.running = Some((fired.number, thread::current().id()));
    Some(fired)
}

fn fire(kernel: &Shared, fired: &Fired) {
    let Ok(mut session) = Session::new(kernel) else {
        return;
    };
    let timer = fired.value + u64::from(fired.offset);
    // The element may have been reused for another one, without the timer.
    if session.word(timer) == Some(fired.number) {
        let callback = &fired.callback;
        session.run_callback(
            &callback.program,
            callback.function,
            &fired.map,
            fired.value,
        );
    }
}
