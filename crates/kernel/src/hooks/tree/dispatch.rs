//! From what happens in a tree to the programs that hang there.

use std::sync::Arc;

use panal_uapi::{AttachType, Errno};

use crate::{
    PanalKernel,
    cpu::{Context, Event, Session},
    hooks::command::{Command, ExitStatus, StartError},
    task::Task,
};

use super::{
    hook_points::{Attached, CHANGES, List, Tracepoint},
    objects::Objects,
    records,
    request::{AddressRequest, Change, OpenRequest, Request},
    supervisor,
    traced::Traced,
    watcher::{Syscall, Watcher},
};

impl PanalKernel {
    /// Runs a command and every process that it starts under the programs that are attached now:
    /// tracepoints of system calls and processes, security and cgroup hooks. `poll` is called about
    /// a hundred times a second meanwhile, and once at the end: ring buffers are emptied there.
    ///
    /// # Errors
    /// [`StartError`] when the command did not begin to run.
    pub fn supervise(
        &self,
        command: &Command,
        poll: &mut dyn FnMut(),
    ) -> Result<ExitStatus, StartError> {
        let attached = Attached::new(self);
        let demand = attached.demand();
        let dispatcher = Arc::new(Dispatcher {
            kernel: self.clone(),
            attached,
        });
        supervisor::supervise(command, dispatcher, demand, poll)
    }
}

struct Dispatcher {
    kernel: PanalKernel,
    attached: Attached,
}

/// A task with its `task_struct`.
struct Current<'a> {
    traced: &'a Traced,
    object: u64,
}

impl Task for Current<'_> {
    fn tgid(&self) -> u32 {
        self.traced.tgid
    }

    fn tid(&self) -> u32 {
        self.traced.tid
    }

    fn parent_tgid(&self) -> u32 {
        self.traced.parent_tgid()
    }

    fn uid(&self) -> u32 {
        self.traced.uid()
    }

    fn gid(&self) -> u32 {
        self.traced.gid()
    }

    fn comm(&self) -> [u8; 16] {
        self.traced.comm()
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        self.traced.read(address, buffer)
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.traced.write(address, bytes)
    }

    fn object(&self) -> u64 {
        self.object
    }
}

impl Dispatcher {
    /// Does something on a CPU, with the objects of an event.
    fn on_cpu<T>(
        &self,
        task: &Traced,
        act: impl FnOnce(&mut Session<'_>, &Current<'_>) -> T,
    ) -> Option<T> {
        let mut session = self.kernel.session().ok()?;
        session.clear();
        let object = match self.attached.wants_task {
            true => Objects(&mut session).task(task).address(),
            false => 0,
        };
        let outcome = act(
            &mut session,
            &Current {
                traced: task,
                object,
            },
        );
        session.clear();
        Some(outcome)
    }

    fn record(session: &mut Session<'_>, list: &List, task: &Current<'_>, record: &[u8]) {
        for attachment in list.iter() {
            let event = Event::new(task, Context::Bytes(record));
            session.run(attachment.program(), attachment.cookie(), &event);
        }
    }

    fn arguments(session: &mut Session<'_>, list: &List, task: &Current<'_>, values: &[u64]) {
        for attachment in list.iter() {
            let event = Event::new(
                task,
                Context::Arguments {
                    values,
                    returned: false,
                },
            );
            session.run(attachment.program(), attachment.cookie(), &event);
        }
    }

    /// A tracepoint with a record and, for those who want them, arguments.
    fn tracepoint(
        &self,
        tracepoint: &Tracepoint,
        task: &Traced,
        record: impl FnOnce() -> Vec<u8>,
        arguments: impl FnOnce(&mut Objects<'_, '_>, &Current<'_>) -> Vec<u64>,
    ) {
        if tracepoint.is_empty() {
            return;
        }
        self.on_cpu(task, |session, current| {
            if !tracepoint.by_record.is_empty() {
                Self::record(session, &tracepoint.by_record, current, &record());
            }
            if !tracepoint.by_arguments.is_empty() {
                let values = arguments(&mut Objects(session), current);
                Self::arguments(session, &tracepoint.by_arguments, current, &values);
            }
        });
    }

    /// Entry or exit of a system call: its own tracepoint first, as on Linux the raw ones last.
    fn syscall(
        &self,
        own: Option<&List>,
        any: &Tracepoint,
        task: &Traced,
        call: &Syscall,
        value: Option<i64>,
    ) {
        let own = own.filter(|list| !list.is_empty());
        if own.is_none() && any.is_empty() {
            return;
        }
        let record = match value {
            Some(value) => records::sys_exit(task.tid, call, value),
            None => records::sys_enter(task.tid, call),
        };
        self.on_cpu(task, |session, current| {
            if let Some(list) = own {
                Self::record(session, list, current, &record);
            }
            Self::record(session, &any.by_record, current, &record);
            if !any.by_arguments.is_empty() {
                let registers = Objects(session).registers(call, value).address();
                let second = value.map_or(u64::from(call.number), |value| value as u64);
                Self::arguments(session, &any.by_arguments, current, &[registers, second]);
            }
        });
    }

    /// Asks security programs one after another, until one denies. One that does not come to an end
    /// denies.
    fn ask(
        session: &mut Session<'_>,
        list: &List,
        task: &Current<'_>,
        arguments: &[u64],
    ) -> Result<(), Errno> {
        // The last value is what was decided so far: nothing, or we would not be here.
        let values = [arguments, &[0]].concat();
        for attachment in list.iter() {
            let event = Event::new(
                task,
                Context::Arguments {
                    values: &values,
                    returned: true,
                },
            );
            let ran = session.run(attachment.program(), attachment.cookie(), &event);
            match ran.outcome.map(|value| value as i32) {
                Ok(0) => {}
                Ok(value) if (-4095..0).contains(&value) => return Err(Errno(-value)),
                Ok(_) | Err(_) => return Err(Errno::EPERM),
            }
        }
        Ok(())
    }

    fn open(&self, task: &Traced, open: &OpenRequest<'_>) -> Result<(), Errno> {
        let list = &self.attached.file_open;
        if list.is_empty() {
            return Ok(());
        }
        self.on_cpu(task, |session, current| {
            let file = Objects(session).opened(open).address();
            Self::ask(session, list, current, &[file])
        })
        .unwrap_or(Err(Errno::EPERM))
    }

    fn change(&self, task: &Traced, change: &Change<'_>) -> Result<(), Errno> {
        let hook = match change {
            Change::Unlink(_) => "path_unlink",
            Change::RemoveDirectory(_) => "path_rmdir",
            Change::MakeDirectory(..) => "path_mkdir",
            Change::Rename { .. } => "path_rename",
            Change::Link { .. } => "path_link",
            Change::Symlink(..) => "path_symlink",
            Change::Truncate { .. } => "path_truncate",
        };
        let list = CHANGES
            .iter()
            .zip(&self.attached.changes)
            .find(|(name, _)| **name == hook);
        let Some((_, list)) = list.filter(|(_, list)| !list.is_empty()) else {
            return Ok(());
        };
        self.on_cpu(task, |session, current| {
            let mut objects = Objects(session);
            let arguments = match change {
                Change::Unlink(name) | Change::RemoveDirectory(name) => {
                    let (directory, dentry) = objects.name(name);
                    vec![directory.address(), dentry.address()]
                }
                Change::MakeDirectory(name, mode) => {
                    let (directory, dentry) = objects.name(name);
                    vec![directory.address(), dentry.address(), u64::from(*mode)]
                }
                Change::Rename { from, to, flags } => {
                    let (old_directory, old) = objects.name(from);
                    let (new_directory, new) = objects.name(to);
                    vec![
                        old_directory.address(),
                        old.address(),
                        new_directory.address(),
                        new.address(),
                        u64::from(*flags),
                    ]
                }
                Change::Link { from, to } => {
                    let (old, directory, new) = objects.link(from, to);
                    vec![old.address(), directory.address(), new.address()]
                }
                Change::Symlink(name, text) => {
                    let (directory, dentry) = objects.name(name);
                    let text = objects.text::<i8>(text);
                    vec![directory.address(), dentry.address(), text.address()]
                }
                Change::Truncate { path, inode } => vec![objects.path(path, inode).0.address()],
            };
            Self::ask(session, list, current, &arguments)
        })
        .unwrap_or(Err(Errno::EPERM))
    }

    fn address(
        &self,
        task: &Traced,
        list: &List,
        kinds: (AttachType, AttachType),
        request: &mut AddressRequest<'_>,
    ) -> Result<(), Errno> {
        self.on_cpu(task, |session, current| {
            if !list.is_empty() {
                let (socket, address) = Objects(session).socket(request);
                let length = request.address.len() as u64;
                let arguments = [socket.address(), address.address(), length];
                Self::ask(session, list, current, &arguments)?;
            }
            let kind = match request
                .address
                .first_chunk::<2>()
                .map(|f| u16::from_ne_bytes(*f))
            {
                Some(family) if i32::from(family) == libc::AF_INET => kinds.0,
                Some(family) if i32::from(family) == libc::AF_INET6 => kinds.1,
                _ => return Ok(()),
            };
            let cgroup = self.attached.cgroup(kind);
            match cgroup.is_empty() {
                true => Ok(()),
                false => sock_addr(session, &cgroup, current, request),
            }
        })
        .unwrap_or(Err(Errno::EPERM))
    }
}

/// Runs `cgroup/connect*` or `bind*` programs over a `bpf_sock_addr`, which they may change.
fn sock_addr(
    session: &mut Session<'_>,
    list: &List,
    task: &Current<'_>,
    request: &mut AddressRequest<'_>,
) -> Result<(), Errno> {
    const SIZE: usize = 72;
    // Offsets in struct bpf_sock_addr, and of the same in struct sockaddr_in and sockaddr_in6.
    const FIELDS4: [(usize, usize, usize); 2] = [(4, 4, 4), (24, 2, 2)];
    const FIELDS6: [(usize, usize, usize); 2] = [(8, 8, 16), (24, 2, 2)];
    let family = request
        .address
        .first_chunk::<2>()
        .map_or(0, |f| u16::from_ne_bytes(*f));
    let (fields, least) = match i32::from(family) == libc::AF_INET {
        true => (FIELDS4, 16),
        false => (FIELDS6, 24),
    };
    if request.address.len() < least {
        return Err(Errno::EINVAL);
    }
    let mut context = vec![0u8; SIZE];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(to) = context.get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
        }
    };
    put(0, &u32::from(family).to_ne_bytes());
    for (at, from, len) in fields {
        put(
            at,
            request.address.get(from..from + len).unwrap_or_default(),
        );
    }
    put(28, &(request.family as u32).to_ne_bytes());
    put(32, &(request.kind as u32).to_ne_bytes());
    put(36, &(request.protocol as u32).to_ne_bytes());
    put(64, &Objects(session).bpf_sock(request).to_ne_bytes());
    let mut denied = None;
    for attachment in list.iter() {
        let mut event = Event::new(task, Context::Bytes(&context));
        event.retval = denied.unwrap_or(0);
        let ran = session.run(attachment.program(), attachment.cookie(), &event);
        // Bit 0 allows; without it, what bpf_set_retval said or EPERM.
        match ran.outcome {
            Ok(value) if value & 1 == 1 && ran.retval == 0 => {}
            Ok(_) if ran.retval < 0 => denied = Some(ran.retval),
            _ => denied = denied.or(Some(-Errno::EPERM.0)),
        }
        context = session.context(SIZE);
    }
    if let Some(errno) = denied {
        return Err(Errno(-errno));
    }
    for (at, from, len) in fields {
        if let (Some(to), Some(new)) = (
            request.address.get_mut(from..from + len),
            context.get(at..at + len),
        ) {
            to.copy_from_slice(new);
        }
    }
    Ok(())
}

impl Watcher for Dispatcher {
    fn sys_enter(&self, task: &Traced, call: &Syscall) {
        let own = self.attached.enter.get(call.number as usize);
        self.syscall(own, &self.attached.any_enter, task, call, None);
    }

    fn sys_exit(&self, task: &Traced, call: &Syscall, value: i64) {
        let own = self.attached.exit.get(call.number as usize);
        self.syscall(own, &self.attached.any_exit, task, call, Some(value));
    }

    fn forked(&self, parent: &Traced, child: &Arc<Traced>) {
        self.tracepoint(
            &self.attached.fork,
            parent,
            || records::fork(parent, child),
            |objects, current| vec![current.object, objects.task(child).address()],
        );
    }

    fn executed(&self, task: &Traced, former: u32) {
        self.tracepoint(
            &self.attached.exec,
            task,
            || records::exec(task, former),
            |objects, current| {
                vec![
                    current.object,
                    u64::from(former),
                    objects.binprm(task).address(),
                ]
            },
        );
    }

    fn exited(&self, task: &Traced, _status: i32, last: bool) {
        self.tracepoint(
            &self.attached.end,
            task,
            || records::exit(task, last),
            |_, current| vec![current.object, u64::from(last)],
        );
    }

    fn decide(&self, task: &Traced, request: &mut Request<'_>) -> Result<(), Errno> {
        use AttachType::{
            CgroupInet4Bind, CgroupInet4Connect, CgroupInet6Bind, CgroupInet6Connect,
        };
        let attached = &self.attached;
        match request {
            Request::Open(open) => self.open(task, open),
            Request::Change(change) => self.change(task, change),
            Request::Connect(request) => {
                let kinds = (CgroupInet4Connect, CgroupInet6Connect);
                self.address(task, &attached.socket_connect, kinds, request)
            }
            Request::Bind(request) => {
                let kinds = (CgroupInet4Bind, CgroupInet6Bind);
                self.address(task, &attached.socket_bind, kinds, request)
            }
        }
    }
}
