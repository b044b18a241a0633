//! What programs print: `bpf_trace_printk` and its like, as the trace pipe shows it.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, PoisonError},
};

/// Lines kept when nobody listens; the oldest go first.
const KEPT: usize = 4096;

/// One line that a program printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceLine {
    /// Name of the task in whose context the program ran.
    pub comm: String,
    /// Its thread id.
    pub tid: u32,
    /// CPU.
    pub cpu: u32,
    /// Nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// The text, without a final line break.
    pub text: String,
}

impl fmt::Display for TraceLine {
    /// As `/sys/kernel/tracing/trace_pipe` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (
            self.time_ns / 1_000_000_000,
            self.time_ns / 1000 % 1_000_000,
        );
        write!(
            f,
            "{:>16}-{:<7} [{:03}] ..... {seconds:>5}.{micros:06}: bpf_trace_printk: {}",
            self.comm, self.tid, self.cpu, self.text
        )
    }
}

type Listener = Box<dyn FnMut(&TraceLine) + Send>;

/// Where printed lines go: to a listener, or into a bounded log.
#[derive(Default)]
pub(crate) struct TraceLog {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    listener: Option<Listener>,
    lines: VecDeque<TraceLine>,
}

impl TraceLog {
    /// Sets who hears every further line.
    pub(crate) fn listen(&self, listener: Listener) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        let listener = inner.listener.insert(listener);
        for line in inner.lines.drain(..) {
            listener(&line);
        }
    }

    pub(crate) fn push(&self, line: TraceLine) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut inner.listener {
            Some(listener) => listener(&line),
            None => {
                if inner.lines.len() == KEPT {
                    inner.lines.pop_front();
                }
                inner.lines.push_back(line);
            }
        }
    }

    /// Takes what waits.
    pub(crate) fn take(&self) -> Vec<TraceLine> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.lines.drain(..).collect()
    }
}
