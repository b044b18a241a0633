//! Makes guarded calls for the tree: asks the policy, acts, answers.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use panal_uapi::Errno;

use super::{
    acting::Actor,
    address, names,
    notify::{Listener, Notification},
    open,
    request::{Guards, Request},
    traced::{Tasks, Traced},
    watcher::{Demand, Watcher},
};

/// What came of a call.
pub(super) enum Done {
    /// It returns this.
    Value(i64),
    /// It returns a descriptor of this file; whether close-on-exec.
    File(OwnedFd, bool),
    /// Linux makes it, as if nobody had asked.
    Proceed,
    /// It may block: to be done on another thread.
    Later(Box<dyn FnOnce() -> Result<Done, Errno> + Send>),
}

/// How many calls of a tree may block at once in the supervisor; more fail with `ENOMEM`, as they
/// may on a kernel short of memory.
const MOST_BLOCKED: usize = 256;

/// Makes the calls of one tree.
pub(super) struct Performer {
    answerer: Arc<Answerer>,
    actor: Actor,
}

/// Answers calls, on any thread.
struct Answerer {
    listener: Arc<Listener>,
    watcher: Arc<dyn Watcher>,
    demand: Arc<Demand>,
    tasks: Arc<Tasks>,
    blocked: AtomicUsize,
}

/// The question that a call is.
pub(super) struct Asked<'a> {
    answerer: &'a Answerer,
    task: &'a Traced,
    id: u64,
}

impl Asked<'_> {
    /// Whether what was read of the task's memory was the caller's: a thread id may be given to
    /// another when the caller dies.
    pub fn still_waits(&self) -> Result<(), Errno> {
        match self.answerer.listener.is_valid(self.id) {
            true => Ok(()),
            false => Err(Errno::ESRCH),
        }
    }

    /// May this be done?
    pub fn decide(&self, request: &mut Request<'_>) -> Result<(), Errno> {
        self.answerer.watcher.decide(self.task, request)
    }
}

impl Performer {
    pub fn new(
        listener: Arc<Listener>,
        watcher: Arc<dyn Watcher>,
        demand: Arc<Demand>,
        tasks: Arc<Tasks>,
    ) -> io::Result<Self> {
        let blocked = AtomicUsize::new(0);
        let answerer = Arc::new(Answerer {
            listener,
            watcher,
            demand,
            tasks,
            blocked,
        });
        let actor = Actor::new().map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
        Ok(Performer { answerer, actor })
    }

    /// Makes a call, or sees to it that another thread does, and answers it.
    pub fn perform(&mut self, notification: Notification) {
        let task = self.answerer.tasks.get(notification.tid);
        let asked = Asked {
            answerer: &self.answerer,
            task: &task,
            id: notification.id,
        };
        let call = &notification.call;
        let outcome = match libc::c_long::from(call.number) {
            libc::SYS_connect | libc::SYS_bind => {
                address::perform(&mut self.actor, &task, call, &asked)
            }
            _ if Guards::opens(call.number) => open::perform(&mut self.actor, &task, call, &asked),
            _ => names::perform(&mut self.actor, &task, call, &asked),
        };
        match outcome {
            Ok(Done::Later(act)) => self.later(notification, act),
            outcome => self.answerer.answer(&notification, outcome),
        }
    }

    fn later(
        &self,
        notification: Notification,
        act: Box<dyn FnOnce() -> Result<Done, Errno> + Send>,
    ) {
        let answerer = self.answerer.clone();
        if answerer.blocked.fetch_add(1, Ordering::Relaxed) >= MOST_BLOCKED {
            answerer.blocked.fetch_sub(1, Ordering::Relaxed);
            return answerer.answer(&notification, Err(Errno::ENOMEM));
        }
        // Not waited for: it may outlive its caller, as nothing interrupts it.
        let spawned = thread::Builder::new().name("panal-blocked".into()).spawn({
            let answerer = answerer.clone();
            move || {
                answerer.answer(&notification, act());
                answerer.blocked.fetch_sub(1, Ordering::Relaxed);
            }
        });
        if spawned.is_err() {
            answerer.blocked.fetch_sub(1, Ordering::Relaxed);
            answerer.answer(&notification, Err(Errno::ENOMEM));
        }
    }
}

impl Answerer {
    fn answer(&self, notification: &Notification, outcome: Result<Done, Errno>) {
        let id = notification.id;
        match outcome {
            Ok(Done::File(file, cloexec)) => {
                match self
                    .listener
                    .answer_with_file(id, file.as_raw_fd(), cloexec)
                {
                    Ok(number) => self.tell(notification, Ok(number)),
                    Err(errno) => self.answer_value(notification, Err(errno)),
                }
            }
            // What it returns is then not known.
            Ok(Done::Proceed) => self.listener.proceed(id),
            Ok(Done::Value(value)) => self.answer_value(notification, Ok(value)),
            // A call that waits twice is none of ours.
            Ok(Done::Later(_)) => self.answer_value(notification, Err(Errno::EAGAIN)),
            Err(errno) => self.answer_value(notification, Err(errno)),
        }
    }

    fn answer_value(&self, notification: &Notification, value: Result<i64, Errno>) {
        // Told while the caller still waits: its memory is as the call left it.
        self.tell(notification, value);
        self.listener.answer(notification.id, value);
    }

    fn tell(&self, notification: &Notification, value: Result<i64, Errno>) {
        if self.demand.exit.contains(notification.call.number) {
            let value = value.unwrap_or_else(|errno| -i64::from(errno.0));
            let task = self.tasks.get(notification.tid);
            self.watcher.sys_exit(&task, &notification.call, value);
        }
    }
}
