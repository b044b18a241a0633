//! Records of tracepoints, byte for byte as Linux lays them out.

use super::{traced::Traced, watcher::Syscall};

/// A record under construction.
struct Record(Vec<u8>);

impl Record {
    /// The common head (`struct trace_entry`): event type, flags, preemption count, thread.
    ///
    /// The type is a number that Linux gives at boot and programs have no use for: 0 here.
    fn new(tid: u32) -> Self {
        let mut record = Record(Vec::with_capacity(64));
        record.put(&[0; 4]);
        record.put(&tid.to_ne_bytes());
        record
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A `__data_loc` member: where the text stands (low half) and its length with the zero.
    fn put_location(&mut self, at: usize, text: &[u8]) {
        let location = ((text.len() as u32 + 1) << 16) | at as u32;
        self.put(&location.to_ne_bytes());
    }

    fn put_text(&mut self, text: &[u8]) {
        self.put(text);
        self.put(&[0]);
    }
}

/// `syscalls:sys_enter_*` and `raw_syscalls:sys_enter`: number, six arguments.
pub(super) fn sys_enter(tid: u32, call: &Syscall) -> Vec<u8> {
    let mut record = Record::new(tid);
    record.put(&u64::from(call.number).to_ne_bytes());
    call.args
        .iter()
        .for_each(|arg| record.put(&arg.to_ne_bytes()));
    record.0
}

/// `syscalls:sys_exit_*` and `raw_syscalls:sys_exit`: number, return value.
pub(super) fn sys_exit(tid: u32, call: &Syscall, value: i64) -> Vec<u8> {
    let mut record = Record::new(tid);
    record.put(&u64::from(call.number).to_ne_bytes());
    record.put(&value.to_ne_bytes());
    record.0
}

/// `sched:sched_process_fork`
pub(super) fn fork(parent: &Traced, child: &Traced) -> Vec<u8> {
    const HEAD: usize = 24;
    let (parent_comm, child_comm) = (comm(parent), comm(child));
    let mut record = Record::new(parent.tid);
    record.put_location(HEAD, &parent_comm);
    record.put(&parent.tid.to_ne_bytes());
    record.put_location(HEAD + parent_comm.len() + 1, &child_comm);
    record.put(&child.tid.to_ne_bytes());
    record.put_text(&parent_comm);
    record.put_text(&child_comm);
    record.0
}

/// `sched:sched_process_exec`
pub(super) fn exec(task: &Traced, former: u32) -> Vec<u8> {
    const HEAD: usize = 20;
    let identity = task.identity();
    let mut record = Record::new(task.tid);
    record.put_location(HEAD, &identity.executable);
    record.put(&task.tid.to_ne_bytes());
    record.put(&former.to_ne_bytes());
    record.put_text(&identity.executable);
    record.0
}

/// `sched:sched_process_exit`
pub(super) fn exit(task: &Traced, last: bool) -> Vec<u8> {
    /// Priority of an ordinary task.
    const PRIORITY: u32 = 120;
    let mut record = Record::new(task.tid);
    record.put(&task.identity().comm);
    record.put(&task.tid.to_ne_bytes());
    record.put(&PRIORITY.to_ne_bytes());
    record.put(&[u8::from(last), 0, 0, 0]);
    record.0
}

fn comm(task: &Traced) -> Vec<u8> {
    let comm = task.identity().comm;
    comm.split(|b| *b == 0).next().unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::trace;

    #[test]
    fn records_have_the_published_layout() {
        let call = Syscall {
            number: 257,
            args: [1, 2, 3, 4, 5, 6],
            ip: 0,
            sp: 0,
        };
        let enter = sys_enter(77, &call);
        assert_eq!(enter.len(), size_of::<trace::RawSysEnter>());
        assert_eq!(&enter[4..8], 77u32.to_ne_bytes());
        assert_eq!(&enter[8..12], 257u32.to_ne_bytes());
        assert_eq!(&enter[24..32], 2u64.to_ne_bytes());
        let exit = sys_exit(77, &call, -2);
        assert_eq!(exit.len(), size_of::<trace::RawSysExit>());
        assert_eq!(&exit[16..24], (-2i64).to_ne_bytes());
    }

    #[test]
    fn texts_stand_where_their_locations_say() {
        let tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        let task = super::super::traced::Tasks::default().get(tid);
        let record = fork(&task, &task);
        let text = |at: usize| {
            let location = u32::from_ne_bytes(record[at..at + 4].try_into().expect("4"));
            let (start, len) = ((location & 0xffff) as usize, (location >> 16) as usize);
            record[start..start + len].to_vec()
        };
        let mut expected = comm(&task);
        expected.push(0);
        assert_eq!(text(8), expected);
        assert_eq!(text(16), expected);
        assert_eq!(
            super::exit(&task, true).len(),
            size_of::<trace::SchedProcessExit>()
        );
    }
}
