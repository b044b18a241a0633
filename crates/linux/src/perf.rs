//! Perf events: tracepoints, samples and probes are events that a program is tied to.

use std::{
    ffi::CStr,
    fs,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use panal_uapi::{
    AttachType, Command, Errno,
    attr::LinkCreatePerf,
    kernel::{Failure, Fd, PerfEvent, SampleRate},
};

use crate::{
    attach::create,
    sys::{failure, from_owned, last_errno},
    tracefs::tracepoint_id,
};

/// `PERF_TYPE_SOFTWARE`, `PERF_TYPE_TRACEPOINT`
const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_TYPE_TRACEPOINT: u32 = 2;
const PERF_COUNT_SW_BPF_OUTPUT: u64 = 10;
/// Bits of the flag word: `attr.inherit`, `attr.freq`
const PERF_INHERIT: u64 = 1 << 1;
const PERF_FREQ: u64 = 1 << 10;
const PERF_SAMPLE_RAW: u64 = 1 << 10;
/// `PERF_FLAG_FD_CLOEXEC`
const PERF_FLAG_FD_CLOEXEC: libc::c_long = 1 << 3;
/// `_IO('$', 0)`, `_IOW('$', 8, u32)`
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;

/// `struct perf_event_attr`, version 1 (72 bytes).
#[repr(C)]
#[derive(Default)]
struct PerfEventAttr {
    /// `PERF_TYPE_*`, or the number of a source in sysfs.
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
    config2: u64,
}

/// Whose events count.
#[derive(Clone, Copy)]
pub enum Who {
    /// Everybody's; told once, not for each CPU.
    Everybody,
    /// What happens on a CPU.
    Cpu(u32),
    /// One process or thread.
    Task(u32),
}

/// perf_event_open(2).
///
/// # Safety
/// Addresses in the attribute (a probe's names) must be those of C strings.
unsafe fn open_event(mut attr: PerfEventAttr, who: Who) -> Result<OwnedFd, Errno> {
    attr.size = size_of::<PerfEventAttr>() as u32;
    let (pid, cpu) = match who {
        Who::Everybody => (-1, 0),
        Who::Cpu(cpu) => (-1, i64::from(cpu)),
        Who::Task(task) => (i64::from(task), -1),
    };
    // SAFETY: the attribute is a whole structure of the size that it tells; what it points to is
    // the caller's promise.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            pid,
            cpu,
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

/// The event of a probe: `kind` and `config` as sysfs describes them, and where it is.
pub fn open_probe(
    kind: u32,
    config: u64,
    name: &CStr,
    offset: u64,
    who: Who,
) -> Result<OwnedFd, Errno> {
    let attr = PerfEventAttr {
        kind,
        config,
        config1: name.as_ptr() as u64,
        config2: offset,
        ..PerfEventAttr::default()
    };
    // SAFETY: the one address is that of a C string that outlives the call.
    unsafe { open_event(attr, who) }
}

/// What perf_event_open(2) means by an error.
pub fn refused(errno: Errno, what: &str) -> Failure {
    let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    let why = match errno {
        // Which right is missing is told by what was to be attached.
        Errno::EACCES | Errno::EPERM => format!(
            "{what}: perf_event_open (kernel.perf_event_paranoid is {})",
            paranoid.unwrap_or_default().trim()
        ),
        Errno::ENOENT | Errno::EOPNOTSUPP | Errno::ENODEV => {
            format!("{what}: this machine has no such event (a virtual one often has no counters)")
        }
        Errno::ESRCH => format!("{what}: there is no such process"),
        _ => format!("{what}: perf_event_open"),
    };
    failure(Command::LinkCreate, errno, why)
}

/// The event through which programs on a CPU put out raw samples, enabled.
pub fn open_output(cpu: u32) -> Result<OwnedFd, Errno> {
    let attr = PerfEventAttr {
        kind: PERF_TYPE_SOFTWARE,
        config: PERF_COUNT_SW_BPF_OUTPUT,
        sample: 1,
        sample_type: PERF_SAMPLE_RAW,
        wakeup: 1,
        ..PerfEventAttr::default()
    };
    // SAFETY: there are no addresses in the attribute.
    let event = unsafe { open_event(attr, Who::Cpu(cpu)) }?;
    // SAFETY: the request takes an int by value.
    if unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) } < 0 {
        return Err(last_errno());
    }
    Ok(event)
}

/// A program on a tracepoint. It runs for everybody: of tracepoints, Linux filters only the perf
/// event's own samples by process.
pub fn tracepoint(prog: &Fd, category: &str, name: &str) -> Result<Fd, Failure> {
    let id = tracepoint_id(category, name)?;
    on_tracepoint(prog, id, &format!("tracepoint {category}/{name}"))
}

/// A program on the tracepoint with this number.
pub fn on_tracepoint(prog: &Fd, id: u64, what: &str) -> Result<Fd, Failure> {
    let attr = PerfEventAttr {
        kind: PERF_TYPE_TRACEPOINT,
        config: id,
        sample: 1,
        ..PerfEventAttr::default()
    };
    // SAFETY: there are no addresses in the attribute.
    let event = unsafe { open_event(attr, Who::Everybody) }.map_err(|e| refused(e, what))?;
    tie(prog, event, 0, what)
}

/// A program on samples: on each CPU, or for each thread of a process and those that follow.
pub fn sampling(
    prog: &Fd,
    event: PerfEvent,
    rate: SampleRate,
    pid: Option<u32>,
) -> Result<Fd, Failure> {
    let (sample, freq) = match rate {
        SampleRate::Frequency(hertz) => (hertz, PERF_FREQ),
        SampleRate::Period(events) => (events, 0),
    };
    let whose: Vec<Who> = match pid {
        None => crate::kernel::online_cpus()
            .into_iter()
            .map(Who::Cpu)
            .collect(),
        Some(pid) => threads(pid).into_iter().map(Who::Task).collect(),
    };
    let what = format!("sampling event {}:{}", event.kind, event.config);
    let mut parts = Vec::new();
    for who in whose {
        let inherit = match who {
            Who::Task(_) => PERF_INHERIT,
            _ => 0,
        };
        let attr = PerfEventAttr {
            kind: event.kind,
            config: event.config,
            sample,
            flags: freq | inherit,
            ..PerfEventAttr::default()
        };
        // SAFETY: there are no addresses in the attribute.
        match unsafe { open_event(attr, who) } {
            Ok(event) => parts.push(tie(prog, event, 0, &what)?),
            // A thread that ended meanwhile, but not the process.
            Err(Errno::ESRCH) if !parts.is_empty() => {}
            Err(errno) => return Err(refused(errno, &what)),
        }
    }
    Ok(Fd::together(parts))
}

/// The threads of a process, itself first; only itself when it cannot be seen.
fn threads(pid: u32) -> Vec<u32> {
    let mut threads = vec![pid];
    let listed = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    threads.extend(
        listed
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|thread: &u32| *thread != pid),
    );
    threads
}

/// Ties a program to an event and enables it: by link, or by ioctl on kernels before 5.15.
pub fn tie(prog: &Fd, event: OwnedFd, cookie: u64, what: &str) -> Result<Fd, Failure> {
    let attr = LinkCreatePerf {
        prog_fd: prog.number(),
        target: event.as_raw_fd() as u32,
        attach_type: AttachType::PerfEvent.number(),
        bpf_cookie: cookie,
        ..LinkCreatePerf::default()
    };
    let raw = event.as_raw_fd();
    let ioctl = |request, argument: i32| {
        // SAFETY: both requests take an int by value and touch no memory of ours.
        let r = unsafe { libc::ioctl(raw, request, argument) };
        if r < 0 {
            let detail = format!("{what}: ioctl on the perf event");
            Err(failure(Command::LinkCreate, last_errno(), detail))
        } else {
            Ok(())
        }
    };
    let mut parts = Vec::new();
    match create(&mut attr.to_bytes(), what) {
        Ok(link) => parts.push(link),
        Err(Failure {
            errno: Errno::EINVAL | Errno::EOPNOTSUPP,
            ..
        }) if cookie == 0 => ioctl(PERF_EVENT_IOC_SET_BPF, prog.number())?,
        Err(other) => return Err(other),
    }
    ioctl(PERF_EVENT_IOC_ENABLE, 0)?;
    parts.push(from_owned(event));
    Ok(Fd::together(parts))
}
