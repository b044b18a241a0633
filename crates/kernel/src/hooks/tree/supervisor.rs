//! Starts a command under supervision, and stays until its whole tree has ended.

use std::{
    io,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use crate::hooks::command::{Command, ExitStatus, StartError};

use super::{
    filter, launch, notify,
    process::{self, Tracer},
    traced::Tasks,
    watcher::{Demand, Watcher},
};

/// How often the caller's closure runs while the tree lives.
const POLL: Duration = Duration::from_millis(10);

/// Runs `command` until every process that it started has ended, and tells `watcher` what
/// `demand` asks for. Meanwhile `poll` is called on this thread, about a hundred times a second and
/// once at the end: ring buffers are emptied there.
///
/// The terminal's interrupt and quit signals are for the command: this process ignores them until
/// the tree has ended (and so do processes that it starts otherwise meanwhile, unless it sees to
/// it). If this process dies, so does the tree.
///
/// # Errors
/// [`StartError`] when the command did not begin to run.
pub fn supervise(
    command: &Command,
    watcher: Arc<dyn Watcher>,
    demand: Demand,
    poll: &mut dyn FnMut(),
) -> Result<ExitStatus, StartError> {
    let signals = IgnoredSignals::new();
    let (send, receive) = mpsc::channel();
    let outcome = thread::scope(|scope| {
        let signals = &signals;
        let tracer = thread::Builder::new().name("panal-tracer".into());
        tracer
            .spawn_scoped(scope, move || {
                let outcome = trace(command, watcher, demand, &signals.reset);
                // Only fails when the receiver is gone, and it waits for us.
                let _ = send.send(outcome);
            })
            .map_err(|e| StartError::of("thread", e))?;
        loop {
            match receive.recv_timeout(POLL) {
                Ok(outcome) => return outcome,
                Err(mpsc::RecvTimeoutError::Timeout) => poll(),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(StartError::of("tracer", io::ErrorKind::BrokenPipe.into()));
                }
            }
        }
    });
    poll();
    outcome
}

/// The tracer's thread: everything that ptrace ties to one thread.
fn trace(
    command: &Command,
    watcher: Arc<dyn Watcher>,
    demand: Demand,
    reset: &[libc::c_int],
) -> Result<ExitStatus, StartError> {
    let actions = process::actions(&demand);
    let demand = Arc::new(demand);
    let tasks = Arc::new(Tasks::default());
    let (prepared, launched) = launch::launch(command, &filter::build(&actions), reset)?;
    let tracer = Tracer::new(watcher.clone(), demand.clone(), tasks.clone(), launched.pid);
    let status = thread::scope(|scope| {
        if let Some(listener) = launched.listener {
            thread::Builder::new()
                .name("panal-notify".into())
                .spawn_scoped(scope, || notify::serve(listener, watcher, demand, tasks))
                .map_err(|e| StartError::of("thread", e))?;
        }
        tracer.run().map_err(|e| StartError::of("waitpid", e))
    })?;
    match launched.report.failure(&prepared.shown) {
        Some(failure) => Err(failure),
        None => Ok(status),
    }
}

/// While it lives, this process ignores the terminal's signals.
struct IgnoredSignals {
    before: Vec<(libc::c_int, libc::sighandler_t)>,
    /// Those that the command shall not ignore, as they were not ignored before.
    reset: Vec<libc::c_int>,
}

/// How many supervisors of this process ignore signals now, and what the first one found.
static IGNORING: Mutex<(usize, Vec<(libc::c_int, libc::sighandler_t)>)> =
    Mutex::new((0, Vec::new()));

impl IgnoredSignals {
    fn new() -> Self {
        let mut ignoring = super::traced::lock(&IGNORING);
        if ignoring.0 == 0 {
            ignoring.1 = [libc::SIGINT, libc::SIGQUIT]
                .into_iter()
                // SAFETY: SIG_IGN runs no code of ours.
                .map(|signal| (signal, unsafe { libc::signal(signal, libc::SIG_IGN) }))
                .collect();
        }
        ignoring.0 += 1;
        let before = ignoring.1.clone();
        let was_ignored = |at: &&(_, _)| at.1 == libc::SIG_IGN;
        let reset = before
            .iter()
            .filter(|at| !was_ignored(at))
            .map(|at| at.0)
            .collect();
        IgnoredSignals { before, reset }
    }
}

impl Drop for IgnoredSignals {
    fn drop(&mut self) {
        let mut ignoring = super::traced::lock(&IGNORING);
        ignoring.0 -= 1;
        if ignoring.0 == 0 {
            for (signal, handler) in &self.before {
                // SAFETY: what was installed before is installed again.
                unsafe { libc::signal(*signal, *handler) };
            }
        }
    }
}
