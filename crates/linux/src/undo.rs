//! What was attached by a request that no descriptor holds: it is taken back when the attachment is
//! dropped, and by a janitor when this process is killed.

use std::{
    os::fd::RawFd,
    sync::{Arc, Mutex, PoisonError},
};

use panal_uapi::{
    Command, Errno,
    kernel::{CloseFd, Fd},
};

use crate::{
    janitor::Janitor,
    netlink::Socket,
    sys::{bpf, last_errno},
};

/// One request that takes something back. What is gone already is no error.
pub enum Step {
    /// By netlink.
    Netlink(Vec<u8>),
    /// A queueing discipline, if nothing answers to these dumps any more.
    IfEmpty {
        dumps: Vec<Vec<u8>>,
        delete: Vec<u8>,
    },
    /// `BPF_MAP_DELETE_ELEM`, with this attribute. The key that it points to is never freed.
    MapDelete(Vec<u8>),
    /// `BPF_PROG_DETACH`, with this attribute.
    ProgDetach(Vec<u8>),
}

impl Step {
    /// Makes system calls only: a janitor runs it.
    fn take(&self, socket: Option<&Socket>) -> Result<(), Errno> {
        match (self, socket) {
            (Step::Netlink(request), Some(socket)) => socket.exchange(request, &mut |_, _, _| {}),
            (Step::IfEmpty { dumps, delete }, Some(socket)) => {
                for dump in dumps {
                    let mut empty = true;
                    socket.exchange(dump, &mut |_, _, _| empty = false)?;
                    if !empty {
                        return Ok(());
                    }
                }
                socket.exchange(delete, &mut |_, _, _| {})
            }
            (Step::ProgDetach(attribute), _) => command(Command::ProgDetach, attribute),
            (Step::MapDelete(attribute), _) => command(Command::MapDeleteElem, attribute),
            (Step::Netlink(_) | Step::IfEmpty { .. }, None) => Ok(()),
        }
    }
}

/// Makes a request without taking memory.
fn command(command: Command, attribute: &[u8]) -> Result<(), Errno> {
    let mut copy = [0u8; 64];
    let len = attribute.len().min(copy.len());
    copy[..len].copy_from_slice(&attribute[..len]);
    // SAFETY: the attribute holds no addresses but that of a key which is never freed.
    unsafe { bpf(command, &mut copy[..len]) }.map(drop)
}

/// An attachment that is no descriptor.
pub struct Undo {
    steps: Arc<[Step]>,
    socket: Option<Arc<Socket>>,
    /// Descriptors that the steps name.
    _held: Vec<Box<dyn Send + Sync>>,
    janitor: Mutex<Option<Janitor>>,
}

impl Undo {
    /// Takes over an attachment. `held` are the descriptors whose numbers the steps name.
    ///
    /// # Errors
    /// When no process can be started that would take it back if this one were killed; it is taken
    /// back, then.
    pub fn hold(
        steps: Vec<Step>,
        socket: Option<Socket>,
        numbers: &[RawFd],
        held: Vec<Box<dyn Send + Sync>>,
    ) -> Result<Fd, Errno> {
        let steps: Arc<[Step]> = steps.into();
        let mut keep = numbers.to_vec();
        keep.extend(socket.as_ref().map(Socket::descriptor));
        let janitor = Janitor::start(&keep, || take(&steps, socket.as_ref()));
        match janitor {
            Ok(janitor) => Ok(Fd::new(
                NO_DESCRIPTOR,
                Arc::new(Undo {
                    steps,
                    socket: socket.map(Arc::new),
                    _held: held,
                    janitor: Mutex::new(Some(janitor)),
                }),
            )),
            Err(error) => {
                take(&steps, socket.as_ref());
                Err(error.raw_os_error().map_or_else(last_errno, Errno))
            }
        }
    }
}

/// What stands for a link where there is none: every command refuses it.
const NO_DESCRIPTOR: i32 = -1;

fn take(steps: &[Step], socket: Option<&Socket>) {
    for step in steps {
        // An interface or cgroup that went away took the attachment with it.
        let _ = step.take(socket);
    }
}

impl CloseFd for Undo {
    fn close(&self, _number: i32) {
        take(&self.steps, self.socket.as_deref());
        let janitor = self
            .janitor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(janitor) = janitor {
            janitor.dismiss();
        }
    }
}
