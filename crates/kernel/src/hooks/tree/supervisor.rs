//! Starts a command under supervision, and stays until its whole tree has ended.

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use crate::hooks::command::{Command, ExitStatus, StartError};

use super::{
    filter, launch, notify,
    process::{self, Tracer},
    signals::{HandedOn, Receiver},
    traced::Tasks,
    watcher::{Demand, Watcher},
};

/// How often the caller's closure runs while the tree lives.
const POLL: Duration = Duration::from_millis(10);

/// Runs `command` until every process that it started has ended, and tells `watcher` what
/// `demand` asks for. Meanwhile `poll` is called on this thread, about a hundred times a second and
/// once at the end: ring buffers are emptied there.
///
/// What asks this process to end (SIGINT, SIGQUIT, SIGTERM, SIGHUP) is handed to the command, which
/// decides, until the tree has ended; signals that this process ignores, or that it handles itself
/// and no terminal sends, are left alone. If this process dies, so does the tree.
///
/// # Errors
/// [`StartError`] when the command did not begin to run.
pub fn supervise(
    command: &Command,
    watcher: Arc<dyn Watcher>,
    demand: Demand,
    poll: &mut dyn FnMut(),
) -> Result<ExitStatus, StartError> {
    let signals = HandedOn::new();
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
    let _receiver = Receiver::new(launched.pid);
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
