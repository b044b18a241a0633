//! [`LinuxKernel`]: the contract over the running kernel.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs, io,
    os::fd::RawFd,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use panal_btf::Btf;
use panal_uapi::{
    AttachType, Command, Errno, MapType,
    attr::ObjPin,
    inspect::{Inspect, OpenFlags},
    kernel::{
        AttachTarget, Failure, Fd, Kernel, LoadError, Loaded, MapInfo, MapSpec, ProgSpec, TestRun,
        TestRunResult,
    },
};

use crate::{
    arena::Arenas,
    attach,
    buffers::{PerfBuffer, RingBuffer, UserRingBuffer},
    explain::explain,
    iterators, maps, programs,
    sys::{bpf, c_string, failure, io_errno},
    wait,
};

const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Offsets of a BTF's strings.
type Strings = Arc<HashMap<Vec<u8>, u32>>;

/// The running Linux kernel.
#[derive(Default)]
pub struct LinuxKernel {
    btf: OnceLock<Arc<Btf>>,
    config: OnceLock<HashMap<String, String>>,
    /// Strings of the BTFs that we loaded, by descriptor: line info names them by offset.
    strings: Mutex<HashMap<i32, Strings>>,
    attach_types: Mutex<HashMap<i32, AttachType>>,
    rings: Mutex<Opened<RingBuffer>>,
    perf: Mutex<Opened<PerfBuffer>>,
    user_rings: Mutex<Opened<UserRingBuffer>>,
    arenas: Arenas,
}

/// Buffers of maps that were used once. They are read at each wake-up, so the kernel is asked only
/// the first time which map a descriptor is.
struct Opened<T> {
    /// Ids of maps by descriptor, which stays open.
    ids: HashMap<i32, (Fd, u32)>,
    buffers: HashMap<u32, T>,
}

impl<T> Default for Opened<T> {
    fn default() -> Self {
        Opened {
            ids: HashMap::new(),
            buffers: HashMap::new(),
        }
    }
}

impl<T> Opened<T> {
    fn of(
        &mut self,
        map: &Fd,
        open: impl FnOnce(&MapInfo) -> Result<T, Failure>,
    ) -> Result<&mut T, Failure> {
        let id = match self.ids.get(&map.number()) {
            Some((_, id)) => *id,
            None => {
                let info = maps::raw_info(map)?;
                if let Entry::Vacant(place) = self.buffers.entry(info.id) {
                    place.insert(open(&info)?);
                }
                self.ids.insert(map.number(), (map.clone(), info.id));
                info.id
            }
        };
        self.buffers
            .get_mut(&id)
            .ok_or_else(|| failure(Command::ObjGetInfoByFd, Errno::ENOENT, "the map's buffer"))
    }
}

impl LinuxKernel {
    /// The running kernel; asks it nothing yet.
    pub fn new() -> Self {
        LinuxKernel::default()
    }

    /// One whose types are known to be these.
    #[cfg(test)]
    pub fn with_types(types: Btf) -> Self {
        let kernel = LinuxKernel::default();
        let _ = kernel.btf.set(Arc::new(types));
        kernel
    }

    /// Waits until a buffer that was read before has records again, one of the other descriptors
    /// is readable, or the time is over.
    pub fn wait(&self, others: &[RawFd], most: Option<Duration>) -> io::Result<()> {
        let mut descriptors = others.to_vec();
        let rings = locked(&self.rings);
        descriptors.extend(rings.buffers.values().map(RingBuffer::descriptor));
        drop(rings);
        let perf = locked(&self.perf);
        descriptors.extend(perf.buffers.values().flat_map(PerfBuffer::descriptors));
        drop(perf);
        wait::wait(&descriptors, most)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Numbers in a list like `0-3,5` as sysfs writes it.
fn parse_cpu_list(text: &str) -> Vec<u32> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            cpus.extend(first..=last.min(first.saturating_add(1 << 16)));
        }
    }
    cpus
}

/// CPUs that are online.
pub fn online_cpus() -> Vec<u32> {
    let text = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let cpus = parse_cpu_list(&text);
    if cpus.is_empty() { vec![0] } else { cpus }
}

/// CPUs that per-CPU values have; read once, as it never changes.
pub fn possible_cpus() -> u32 {
    static COUNT: OnceLock<u32> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let text = fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
        parse_cpu_list(&text).len().max(1) as u32
    })
}

/// `uname -r` as `LINUX_VERSION_CODE`.
fn version_code(release: &str) -> u32 {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|n| n.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    let (major, minor, patch) = (next(), next(), next());
    major << 16 | minor << 8 | patch.min(255)
}

/// `LINUX_VERSION_CODE` of the running kernel.
pub fn running_version() -> u32 {
    version_code(&release())
}

fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn read_config() -> HashMap<String, String> {
    let path = format!("/boot/config-{}", release());
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| name.starts_with("CONFIG_"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

impl Kernel for LinuxKernel {
    fn name(&self) -> String {
        format!("linux {}", release())
    }

    fn btf(&self) -> Result<Arc<Btf>, Failure> {
        if let Some(btf) = self.btf.get() {
            return Ok(btf.clone());
        }
        let bytes = fs::read(KERNEL_BTF).map_err(|e| {
            failure(
                Command::BtfLoad,
                io_errno(&e),
                format!("{KERNEL_BTF}: this kernel tells no types"),
            )
        })?;
        let btf = Btf::parse(&bytes).map_err(|e| {
            failure(
                Command::BtfLoad,
                Errno::EINVAL,
                format!("{KERNEL_BTF}: {e}"),
            )
        })?;
        Ok(self.btf.get_or_init(|| Arc::new(btf)).clone())
    }

    fn version(&self) -> u32 {
        running_version()
    }

    fn config(&self, name: &str) -> Option<String> {
        self.config.get_or_init(read_config).get(name).cloned()
    }

    fn symbol(&self, name: &str) -> Option<u64> {
        let text = fs::read_to_string("/proc/kallsyms").ok()?;
        let line = text
            .lines()
            .find(|l| l.split_whitespace().nth(2) == Some(name))?;
        let address = u64::from_str_radix(line.split_whitespace().next()?, 16).ok()?;
        (address != 0).then_some(address)
    }

    fn cpus(&self) -> u32 {
        possible_cpus()
    }

    fn btf_load(&self, bytes: &[u8]) -> Result<Fd, Failure> {
        let fd = programs::btf_load(bytes)?;
        let strings = Arc::new(programs::string_offsets(bytes));
        locked(&self.strings).insert(fd.number(), strings);
        Ok(fd)
    }

    fn map_create(&self, spec: &MapSpec) -> Result<Fd, Failure> {
        match spec.map_type {
            MapType::Arena => self.arenas.create(spec),
            _ => maps::create(spec),
        }
    }

    fn map_info(&self, map: &Fd) -> Result<MapInfo, Failure> {
        maps::info(map)
    }

    fn map_lookup(&self, map: &Fd, key: &[u8], flags: u64) -> Result<Option<Vec<u8>>, Failure> {
        maps::lookup(map, key, flags, possible_cpus())
    }

    fn map_update(&self, map: &Fd, key: &[u8], value: &[u8], flags: u64) -> Result<(), Failure> {
        maps::update(map, key, value, flags, possible_cpus())
    }

    fn map_delete(&self, map: &Fd, key: &[u8]) -> Result<bool, Failure> {
        maps::delete(map, key)
    }

    fn map_next_key(&self, map: &Fd, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, Failure> {
        maps::next_key(map, key)
    }

    fn map_freeze(&self, map: &Fd) -> Result<(), Failure> {
        maps::freeze(map)
    }

    fn ring_buffer_consume(&self, map: &Fd, sink: &mut dyn FnMut(&[u8])) -> Result<usize, Failure> {
        let mut rings = locked(&self.rings);
        let ring = rings.of(map, |info| RingBuffer::open(map, info.max_entries))?;
        Ok(ring.consume(sink))
    }

    fn perf_buffer_consume(
        &self,
        map: &Fd,
        sink: &mut dyn FnMut(u32, &[u8]),
        lost: &mut dyn FnMut(u32, u64),
    ) -> Result<usize, Failure> {
        let mut buffers = locked(&self.perf);
        let open = |_: &MapInfo| PerfBuffer::open(map, &online_cpus(), possible_cpus());
        Ok(buffers.of(map, open)?.consume(sink, lost))
    }

    fn pin(&self, object: &Fd, path: &str) -> Result<(), Failure> {
        let wrong = |e| failure(Command::ObjPin, e, crate::inspect::explain_path(path, e));
        let name = c_string(path).map_err(wrong)?;
        let attr = ObjPin {
            pathname: name.as_ptr() as u64,
            bpf_fd: object.number(),
            ..ObjPin::default()
        };
        // SAFETY: the path is a C string that outlives the call.
        unsafe { bpf(Command::ObjPin, &mut attr.to_bytes()) }
            .map(drop)
            .map_err(wrong)
    }

    fn get_pinned(&self, path: &str) -> Result<Option<Fd>, Failure> {
        self.get_pinned_as(path, OpenFlags::empty())
    }

    fn prog_load(&self, spec: &ProgSpec) -> Result<Loaded, LoadError> {
        let strings = spec
            .btf
            .as_ref()
            .and_then(|btf| locked(&self.strings).get(&btf.number()).cloned());
        let loaded = programs::load(spec, strings.as_deref())?;
        let mut attach_types = locked(&self.attach_types);
        match spec.attach_type {
            Some(attach_type) => attach_types.insert(loaded.fd.number(), attach_type),
            None => attach_types.remove(&loaded.fd.number()),
        };
        Ok(loaded)
    }

    fn prog_test_run(&self, prog: &Fd, run: &TestRun) -> Result<TestRunResult, Failure> {
        programs::test_run(prog, run)
    }

    fn attach(&self, prog: &Fd, target: &AttachTarget) -> Result<Fd, Failure> {
        let attach_type = locked(&self.attach_types).get(&prog.number()).copied();
        attach::attach(prog, attach_type, target)
            .map_err(|failure| explain(self, attach_type, target, failure))
    }

    fn link_update(&self, link: &Fd, prog: &Fd, expected: Option<&Fd>) -> Result<(), Failure> {
        attach::update(link, prog, expected)
    }

    fn link_detach(&self, link: &Fd) -> Result<(), Failure> {
        attach::detach(link)
    }

    fn iterate(&self, link: &Fd, sink: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        iterators::read(link, sink)
    }

    fn arena_write(&self, map: &Fd, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        self.arenas.write(map, offset, bytes)
    }

    fn user_ring_buffer_write(&self, map: &Fd, record: &[u8]) -> Result<bool, Failure> {
        let mut buffers = locked(&self.user_rings);
        let open = |info: &MapInfo| UserRingBuffer::open(map, info.max_entries);
        buffers.of(map, open)?.write(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_of_sysfs_are_read() {
        assert_eq!(parse_cpu_list("0-3,5\n"), [0, 1, 2, 3, 5]);
        assert_eq!(parse_cpu_list(""), Vec::<u32>::new());
    }

    #[test]
    fn releases_become_version_codes() {
        assert_eq!(version_code("6.18.44-fc-v595"), 6 << 16 | 18 << 8 | 44);
        assert_eq!(version_code("5.15.0-rc1"), 5 << 16 | 15 << 8);
    }
}
