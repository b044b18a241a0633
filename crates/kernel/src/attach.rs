//! Where programs hang: hook points, and what hangs there.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use panal_uapi::AttachType;

use crate::objects::Attachment;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// XDP: before the stack sees it.
    Xdp,
    /// tc and socket filters, inbound.
    Ingress,
    /// tc, outbound.
    Egress,
}

/// When a program runs relative to a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// Before it (`fentry`, kprobe).
    Entry,
    /// After it (`fexit`, kretprobe).
    Exit,
    /// Before it, and a non-zero return value replaces it (`fmod_ret`).
    ModifyReturn,
}

/// A place where programs may hang.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HookPoint {
    /// A tracepoint with a record as context: `syscalls`, `sys_enter_openat`.
    Tracepoint {
        /// Category.
        category: String,
        /// Event.
        name: String,
    },
    /// A tracepoint with its arguments as context (`raw_tp`, `tp_btf`).
    RawTracepoint(String),
    /// A security hook, without `bpf_lsm_`: `file_open`.
    Lsm(String),
    /// A kernel function.
    Function {
        /// Its name.
        name: String,
        /// Before or after.
        moment: Moment,
    },
    /// A packet port.
    Packets {
        /// Number of the port.
        port: u32,
        /// Which way.
        direction: Direction,
    },
    /// A cgroup hook; the process tree under Panal is its one cgroup.
    Cgroup(AttachType),
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HookPoint::Tracepoint { category, name } => write!(f, "tracepoint {category}:{name}"),
            HookPoint::RawTracepoint(name) => write!(f, "raw tracepoint {name}"),
            HookPoint::Lsm(name) => write!(f, "LSM hook {name}"),
            HookPoint::Function { name, moment } => match moment {
                Moment::Entry => write!(f, "entry of {name}"),
                Moment::Exit => write!(f, "return of {name}"),
                Moment::ModifyReturn => write!(f, "return value of {name}"),
            },
            HookPoint::Packets { port, direction } => {
                let way = match direction {
                    Direction::Xdp => "XDP",
                    Direction::Ingress => "ingress",
                    Direction::Egress => "egress",
                };
                write!(f, "{way} of port {port}")
            }
            HookPoint::Cgroup(kind) => write!(f, "cgroup hook {kind}"),
        }
    }
}

/// Attachments by hook point.
#[derive(Default)]
pub(crate) struct Attachments {
    points: RwLock<HashMap<HookPoint, Arc<[Arc<Attachment>]>>>,
    generation: AtomicU64,
}

impl Attachments {
    /// What hangs at a point, in the order of attaching.
    pub(crate) fn at(&self, point: &HookPoint) -> Arc<[Arc<Attachment>]> {
        let points = self.points.read().unwrap_or_else(PoisonError::into_inner);
        points.get(point).cloned().unwrap_or_else(|| Arc::from([]))
    }

    /// Every point where something hangs.
    pub(crate) fn points(&self) -> Vec<HookPoint> {
        let points = self.points.read().unwrap_or_else(PoisonError::into_inner);
        points.keys().cloned().collect()
    }

    /// Changes whenever an attachment comes or goes.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn add(&self, attachment: Arc<Attachment>) {
        let mut points = self.points.write().unwrap_or_else(PoisonError::into_inner);
        let entry = points
            .entry(attachment.point().clone())
            .or_insert_with(|| Arc::from([]));
        *entry = entry.iter().cloned().chain([attachment]).collect();
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Puts an attachment where the one of the same id hangs.
    pub(crate) fn replace(&self, attachment: Arc<Attachment>) {
        let mut points = self.points.write().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = points.get_mut(attachment.point()) else {
            return;
        };
        let id = attachment.id();
        let with = |old: &Arc<Attachment>| match old.id() == id {
            true => attachment.clone(),
            false => old.clone(),
        };
        let old = std::mem::replace(entry, entry.iter().map(with).collect());
        self.generation.fetch_add(1, Ordering::Release);
        drop(points);
        drop(old);
    }

    pub(crate) fn remove(&self, point: &HookPoint, id: u32) {
        let mut points = self.points.write().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = points.get_mut(point) else {
            return;
        };
        let rest: Arc<[Arc<Attachment>]> = entry.iter().filter(|l| l.id() != id).cloned().collect();
        let gone = if rest.is_empty() {
            points.remove(point)
        } else {
            Some(std::mem::replace(entry, rest))
        };
        self.generation.fetch_add(1, Ordering::Release);
        drop(points);
        drop(gone);
    }
}
