//! Attachments: every kind yields a descriptor whose closing detaches.

use std::{
    fs::File,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::Arc,
};

use panal_uapi::{
    AttachType, Command, Errno,
    attr::{
        LinkCreate, LinkCreateKprobeMulti, LinkCreateNetfilter, LinkCreatePerf, LinkCreateTcx,
        ProgAttach, RawTracepointOpen,
    },
    kernel::{AttachTarget, CloseFd, Failure, Fd},
};

use crate::{
    sys::{bpf, c_string, failure, from_owned, into_fd, last_errno},
    tracefs::tracepoint_id,
};

/// `PERF_TYPE_SOFTWARE`, `PERF_TYPE_TRACEPOINT`
const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_TYPE_TRACEPOINT: u32 = 2;
/// `PERF_COUNT_SW_CPU_CLOCK`
const PERF_COUNT_SW_CPU_CLOCK: u64 = 0;
/// `attr.freq`, bit 10 of the flag word
const PERF_FREQ: u64 = 1 << 10;
const PERF_SAMPLE_RAW: u64 = 1 << 10;
/// `PERF_FLAG_FD_CLOEXEC`
const PERF_FLAG_FD_CLOEXEC: libc::c_long = 1 << 3;
/// `_IO('$', 0)`, `_IOW('$', 8, u32)`
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;

/// Attaches a program; `attach_type` is what it was loaded for.
pub fn attach(
    prog: &Fd,
    attach_type: Option<AttachType>,
    target: &AttachTarget,
) -> Result<Fd, Failure> {
    match target {
        AttachTarget::Interface { index, flags } => interface(prog, attach_type, *index, *flags),
        AttachTarget::Tracepoint { category, name } => {
            let id = tracepoint_id(category, name)?;
            perf_events(prog, PERF_TYPE_TRACEPOINT, id, 0, -1)
        }
        AttachTarget::RawTracepoint(name) => raw_tracepoint(prog, Some(name)),
        AttachTarget::AtLoad => raw_tracepoint(prog, None),
        AttachTarget::Kprobe {
            function,
            offset,
            on_return,
        } => kprobe(prog, attach_type, function, *offset, *on_return),
        AttachTarget::Uprobe { path, .. } => Err(failure(
            Command::LinkCreate,
            Errno::EOPNOTSUPP,
            format!("user probes on Linux are not built yet (wanted on {path})"),
        )),
        AttachTarget::Cgroup(path) => cgroup(prog, attach_type, path),
        AttachTarget::PerfSampling { frequency } => perf_events(
            prog,
            PERF_TYPE_SOFTWARE,
            PERF_COUNT_SW_CPU_CLOCK,
            *frequency,
            -1,
        ),
        AttachTarget::Socket(fd) => socket(prog, *fd),
        AttachTarget::NetNamespace(fd) => link(prog, *fd as u32, attach_type, 0),
        AttachTarget::Netfilter {
            family,
            hook,
            priority,
        } => netfilter(prog, *family, *hook, *priority),
    }
}

fn create(bytes: &mut [u8], what: &str) -> Result<Fd, Failure> {
    // SAFETY: callers place in the attribute only addresses of memory that they hold.
    unsafe { bpf(Command::LinkCreate, bytes) }
        .map(into_fd)
        .map_err(|errno| failure(Command::LinkCreate, errno, format!("attaching to {what}")))
}

fn number(attach_type: Option<AttachType>) -> u32 {
    attach_type.map_or(0, AttachType::number)
}

fn link(
    prog: &Fd,
    target: u32,
    attach_type: Option<AttachType>,
    flags: u32,
) -> Result<Fd, Failure> {
    let attr = LinkCreate {
        prog_fd: prog.number(),
        target,
        attach_type: number(attach_type),
        flags,
    };
    create(&mut attr.to_bytes(), "the target")
}

fn interface(
    prog: &Fd,
    attach_type: Option<AttachType>,
    index: u32,
    flags: u32,
) -> Result<Fd, Failure> {
    if matches!(
        attach_type,
        Some(AttachType::TcxIngress | AttachType::TcxEgress)
    ) {
        let attr = LinkCreateTcx {
            prog_fd: prog.number(),
            target: index,
            attach_type: number(attach_type),
            flags,
            ..LinkCreateTcx::default()
        };
        return create(&mut attr.to_bytes(), &format!("interface {index}"));
    }
    link(prog, index, attach_type.or(Some(AttachType::Xdp)), flags)
}

fn raw_tracepoint(prog: &Fd, name: Option<&str>) -> Result<Fd, Failure> {
    let wrong = |e| failure(Command::RawTracepointOpen, e, name.unwrap_or_default());
    let c_name = name.map(c_string).transpose().map_err(wrong)?;
    let attr = RawTracepointOpen {
        name: c_name.as_ref().map_or(0, |n| n.as_ptr() as u64),
        prog_fd: prog.number(),
        ..RawTracepointOpen::default()
    };
    // SAFETY: the name is a C string that outlives the call, or absent.
    unsafe { bpf(Command::RawTracepointOpen, &mut attr.to_bytes()) }
        .map(into_fd)
        .map_err(wrong)
}

fn kprobe(
    prog: &Fd,
    attach_type: Option<AttachType>,
    function: &str,
    offset: u64,
    on_return: bool,
) -> Result<Fd, Failure> {
    if offset != 0 || attach_type != Some(AttachType::TraceKprobeMulti) {
        return Err(failure(
            Command::LinkCreate,
            Errno::EOPNOTSUPP,
            format!("only kprobe.multi at a function's start is built yet (wanted {function})"),
        ));
    }
    let name = c_string(function).map_err(|e| failure(Command::LinkCreate, e, function))?;
    let symbols = [name.as_ptr() as u64];
    let attr = LinkCreateKprobeMulti {
        prog_fd: prog.number(),
        attach_type: number(attach_type),
        multi_flags: u32::from(on_return),
        count: 1,
        symbols: symbols.as_ptr() as u64,
        ..LinkCreateKprobeMulti::default()
    };
    create(&mut attr.to_bytes(), &format!("kernel function {function}"))
}

fn netfilter(prog: &Fd, family: u32, hook: u32, priority: i32) -> Result<Fd, Failure> {
    let attr = LinkCreateNetfilter {
        prog_fd: prog.number(),
        attach_type: AttachType::Netfilter.number(),
        family,
        hook,
        priority,
        ..LinkCreateNetfilter::default()
    };
    create(&mut attr.to_bytes(), "a netfilter hook")
}

fn cgroup(prog: &Fd, attach_type: Option<AttachType>, path: &str) -> Result<Fd, Failure> {
    let folder = File::open(path).map_err(|e| {
        let errno = Errno(e.raw_os_error().unwrap_or(libc::EIO));
        failure(Command::LinkCreate, errno, format!("cgroup {path}"))
    })?;
    let linked = link(prog, folder.as_raw_fd() as u32, attach_type, 0);
    match linked {
        // Kernels before 5.7 have no cgroup links: attach the old way, detach on close.
        Err(Failure {
            errno: Errno::EINVAL,
            ..
        }) => {
            let attr = ProgAttach {
                target_fd: folder.as_raw_fd(),
                attach_bpf_fd: prog.number(),
                attach_type: number(attach_type),
                ..ProgAttach::default()
            };
            // SAFETY: the attribute holds no addresses.
            unsafe { bpf(Command::ProgAttach, &mut attr.to_bytes()) }
                .map_err(|e| failure(Command::ProgAttach, e, format!("cgroup {path}")))?;
            let undo = Detach {
                attr,
                _prog: prog.clone(),
                _folder: folder,
            };
            Ok(Fd::new(prog.number(), Arc::new(undo)))
        }
        other => other,
    }
}

/// Detaches what `BPF_PROG_ATTACH` attached.
struct Detach {
    attr: ProgAttach,
    _prog: Fd,
    _folder: File,
}

impl CloseFd for Detach {
    fn close(&self, _number: i32) {
        // SAFETY: the attribute holds no addresses. A cgroup that is gone has detached already.
        let _ = unsafe { bpf(Command::ProgDetach, &mut self.attr.to_bytes()) };
    }
}

/// `SO_ATTACH_BPF`; detaches when closed.
fn socket(prog: &Fd, fd: i32) -> Result<Fd, Failure> {
    let value = prog.number();
    // SAFETY: the option's value is one int, as told.
    let r = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_BPF,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if r < 0 {
        return Err(failure(
            Command::ProgAttach,
            last_errno(),
            "SO_ATTACH_BPF on the socket",
        ));
    }
    Ok(Fd::new(fd, Arc::new(SocketDetach)))
}

struct SocketDetach;

impl CloseFd for SocketDetach {
    fn close(&self, number: i32) {
        let unused = 0i32;
        // SAFETY: as in `socket`; a socket that was closed meanwhile gives EBADF, harmlessly.
        unsafe {
            libc::setsockopt(
                number,
                libc::SOL_SOCKET,
                libc::SO_DETACH_BPF,
                (&raw const unused).cast(),
                size_of::<i32>() as libc::socklen_t,
            )
        };
    }
}

/// `struct perf_event_attr`, version 0 (64 bytes).
#[repr(C)]
#[derive(Default)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    bp_type: u32,
    config1: u64,
}

/// A perf event; `frequency` 0 counts every occurrence.
fn perf_event_open(
    kind: u32,
    config: u64,
    frequency: u64,
    pid: i32,
    cpu: i32,
) -> Result<OwnedFd, Errno> {
    let attr = PerfEventAttr {
        kind,
        config,
        sample: if frequency > 0 { frequency } else { 1 },
        flags: if frequency > 0 { PERF_FREQ } else { 0 },
        ..PerfEventAttr::default()
    };
    open_event(attr, pid, cpu)
}

/// The event through which programs on a CPU put out raw samples, enabled.
pub fn open_output(kind: u32, config: u64, cpu: i32) -> Result<OwnedFd, Errno> {
    let attr = PerfEventAttr {
        kind,
        config,
        sample: 1,
        sample_type: PERF_SAMPLE_RAW,
        wakeup: 1,
        ..PerfEventAttr::default()
    };
    let event = open_event(attr, -1, cpu)?;
    // SAFETY: the request takes an int by value.
    if unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) } < 0 {
        return Err(last_errno());
    }
    Ok(event)
}

fn open_event(mut attr: PerfEventAttr, pid: i32, cpu: i32) -> Result<OwnedFd, Errno> {
    attr.size = size_of::<PerfEventAttr>() as u32;
    // SAFETY: the attribute is a whole structure of the size that it tells.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            pid as libc::c_long,
            cpu as libc::c_long,
            -1 as libc::c_long,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(last_errno());
    }
    // SAFETY: a descriptor that the call just made, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Several descriptors behind one: closed together.
struct Together {
    _parts: Vec<Fd>,
}

impl CloseFd for Together {
    fn close(&self, _number: i32) {}
}

/// A perf event with the program: once for a tracepoint (it fires for all CPUs), on each CPU for
/// sampling.
fn perf_events(prog: &Fd, kind: u32, config: u64, frequency: u64, pid: i32) -> Result<Fd, Failure> {
    let cpus = if kind == PERF_TYPE_SOFTWARE {
        crate::kernel::online_cpus()
    } else {
        vec![0]
    };
    let mut parts = Vec::new();
    for cpu in cpus {
        let event = perf_event_open(kind, config, frequency, pid, cpu as i32).map_err(|errno| {
            failure(
                Command::LinkCreate,
                errno,
                "perf_event_open (is perf_event_paranoid in the way?)",
            )
        })?;
        parts.extend(perf_link(prog, event)?);
    }
    let number = parts.first().map_or(-1, Fd::number);
    Ok(Fd::new(number, Arc::new(Together { _parts: parts })))
}

/// Ties a program to an event: by link, or by ioctl on kernels before 5.15.
fn perf_link(prog: &Fd, event: OwnedFd) -> Result<Vec<Fd>, Failure> {
    let attr = LinkCreatePerf {
        prog_fd: prog.number(),
        target: event.as_raw_fd() as u32,
        attach_type: AttachType::PerfEvent.number(),
        ..LinkCreatePerf::default()
    };
    let raw = event.as_raw_fd();
    let ioctl = |request, argument: i32| {
        // SAFETY: both requests take an int by value and touch no memory of ours.
        let r = unsafe { libc::ioctl(raw, request, argument) };
        if r < 0 {
            Err(failure(
                Command::LinkCreate,
                last_errno(),
                "ioctl on the perf event",
            ))
        } else {
            Ok(())
        }
    };
    let mut parts = Vec::new();
    match create(&mut attr.to_bytes(), "a perf event") {
        Ok(link) => parts.push(link),
        Err(Failure {
            errno: Errno::EINVAL | Errno::EOPNOTSUPP,
            ..
        }) => {
            ioctl(PERF_EVENT_IOC_SET_BPF, prog.number())?;
        }
        Err(other) => return Err(other),
    }
    ioctl(PERF_EVENT_IOC_ENABLE, 0)?;
    parts.push(from_owned(event));
    Ok(parts)
}
