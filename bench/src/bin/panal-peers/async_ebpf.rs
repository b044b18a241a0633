//! async-ebpf's machine code: it links objects itself, takes 512 bytes of input at most (so the packet is
//! part of the object), and confines every access by a mask.

use std::{
    future::{Future, ready},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_ebpf::program::{
    DummyProgramEventListener, GlobalEnv, PreemptionEnabled, Program, ProgramLoader,
    TimesliceConfig, Timeslicer,
};

use crate::Peer;

/// The section of the entry function.
const SECTION: &str = "tc";
const LONG: Duration = Duration::from_secs(3600);

struct AsyncEbpf {
    program: Program,
    slices: TimesliceConfig,
}

/// Nothing else waits for this thread.
struct Alone;

impl Timeslicer for Alone {
    fn sleep(&self, _: Duration) -> impl Future<Output = ()> {
        ready(())
    }

    fn yield_now(&self) -> impl Future<Output = ()> {
        ready(())
    }

    fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> {
        ready(work())
    }
}

/// Loads an object; it is compiled by the first run.
pub fn make(object: &[u8]) -> Result<Box<dyn Peer>, String> {
    // SAFETY: this process has no other handlers of the signals that the runtime takes.
    let thread = unsafe { GlobalEnv::new() }.init_thread(LONG);
    let mut random = rand::thread_rng();
    let loader = ProgramLoader::new(&mut random, Arc::new(DummyProgramEventListener), &[]);
    let program = loader
        .load(&mut random, object)
        .map_err(|e| e.to_string())?;
    Ok(Box::new(AsyncEbpf {
        program: program.pin_to_current_thread(thread),
        slices: TimesliceConfig {
            max_run_time_before_yield: LONG,
            max_run_time_before_throttle: LONG,
            throttle_duration: Duration::from_millis(1),
        },
    }))
}

impl Peer for AsyncEbpf {
    fn run(&mut self, count: u32) -> Result<u64, String> {
        let preemption = PreemptionEnabled::new(self.program.thread_env());
        let mut value = 0;
        for _ in 0..count {
            let run =
                self.program
                    .run_mut(&self.slices, &Alone, SECTION, &mut [], &[], &preemption);
            value = finish(run).map_err(|e| e.to_string())?;
        }
        Ok(value as u64)
    }
}

/// Polls until it is done: nothing here waits.
fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}
