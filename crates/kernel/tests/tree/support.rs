//! A watcher that writes down what it hears, and commands run as an ordinary user.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
};

use panal_kernel::hooks::{
    Command, ExitStatus,
    tree::{Demand, Request, Syscall, Traced, Watcher, supervise, syscall_table},
};
use panal_uapi::Errno;

/// What happened, in the order of hearing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(dead_code)] // not every test looks at every part
pub enum Event {
    Enter {
        tid: u32,
        tgid: u32,
        name: &'static str,
        path: Option<String>,
    },
    Exit {
        tid: u32,
        name: &'static str,
        value: i64,
    },
    Forked {
        parent: u32,
        child: u32,
    },
    Executed {
        tgid: u32,
        former: u32,
        comm: String,
    },
    Exited {
        tid: u32,
        tgid: u32,
        status: i32,
        last: bool,
    },
}

/// Writes events down.
#[derive(Default)]
pub struct Recorder {
    events: Mutex<Vec<Event>>,
    policy: Option<Policy>,
}

/// Decides on requests in a test.
pub type Policy = Box<dyn Fn(&mut Request<'_>) -> Result<(), Errno> + Send + Sync>;

impl Recorder {
    /// One that decides.
    pub fn with(policy: Policy) -> Self {
        Recorder {
            policy: Some(policy),
            ..Recorder::default()
        }
    }

    fn note(&self, event: Event) {
        self.events.lock().expect("lock").push(event);
    }

    /// All events.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().expect("lock").clone()
    }

    /// Returns by name: how often, and how often with an error.
    pub fn returns(&self) -> BTreeMap<String, (usize, usize)> {
        let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for event in self.events() {
            if let Event::Exit { name, value, .. } = event {
                let entry = counts.entry(name.to_owned()).or_default();
                entry.0 += 1;
                entry.1 += usize::from(value < 0);
            }
        }
        counts
    }
}

fn comm(task: &Traced) -> String {
    let comm = panal_kernel::task::Task::comm(task);
    let text = comm.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

impl Watcher for Recorder {
    fn sys_enter(&self, task: &Traced, call: &Syscall) {
        let name = syscall_table::name(call.number).unwrap_or("?");
        let path = (name == "openat").then(|| {
            let mut text = [0; 256];
            let length =
                panal_kernel::task::Task::read_string(task, call.args[1], &mut text).unwrap_or(1);
            String::from_utf8_lossy(&text[..length - 1]).into_owned()
        });
        self.note(Event::Enter {
            tid: task.tid,
            tgid: task.tgid,
            name,
            path,
        });
    }

    fn sys_exit(&self, task: &Traced, call: &Syscall, value: i64) {
        let name = syscall_table::name(call.number).unwrap_or("?");
        self.note(Event::Exit {
            tid: task.tid,
            name,
            value,
        });
    }

    fn forked(&self, parent: &Traced, child: &Arc<Traced>) {
        self.note(Event::Forked {
            parent: parent.tid,
            child: child.tid,
        });
    }

    fn executed(&self, task: &Traced, former: u32) {
        self.note(Event::Executed {
            tgid: task.tgid,
            former,
            comm: comm(task),
        });
    }

    fn exited(&self, task: &Traced, status: i32, last: bool) {
        self.note(Event::Exited {
            tid: task.tid,
            tgid: task.tgid,
            status,
            last,
        });
    }

    fn decide(&self, _: &Traced, request: &mut Request<'_>) -> Result<(), Errno> {
        self.policy
            .as_ref()
            .map_or(Ok(()), |policy| policy(request))
    }
}

/// Entries and returns of these calls.
pub fn demand(enter: &[&str], exit: &[&str]) -> Demand {
    let set = |names: &[&str]| {
        names
            .iter()
            .map(|n| syscall_table::number(n).expect("known name"))
            .collect()
    };
    Demand {
        enter: set(enter),
        exit: set(exit),
        ..Demand::default()
    }
}

/// As an ordinary user: when the tests run as root, as nobody.
pub fn ordinary(command: Command) -> Command {
    match rustix::process::geteuid().is_root() {
        true => command.user(65534, 65534),
        false => command,
    }
}

/// A shell with a script.
pub fn sh(script: &str) -> Command {
    ordinary(Command::new("/bin/sh").args(["-c", script]))
}

/// This binary, in a place that any user can read.
pub fn binary() -> &'static std::path::Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let copy = scratch("binary").join("tree");
        copy_binary(&copy);
        copy
    })
}

/// Copies this binary.
pub fn copy_binary(to: &std::path::Path) {
    let own = std::env::current_exe().expect("own path");
    panal_testkit::commands::copy_executable(&own, to);
}

/// This binary as an actor.
pub fn actor(args: &[&str]) -> Command {
    ordinary(
        Command::new(binary())
            .arg("actor")
            .args(args.iter().copied()),
    )
}

/// A directory that any user can use, made anew; the system's cleaning takes it away.
pub fn scratch(name: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("panal-tree-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("directory");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("mode");
    path
}

/// Runs a command and gives what was heard.
pub fn run(command: &Command, demand: Demand) -> (ExitStatus, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let status = supervise(command, recorder.clone(), demand, &mut || {}).expect("supervised");
    (status, recorder)
}
