//! Asking a kernel in another process.

use std::{
    io::{self, BufReader, Write},
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use panal_btf::Btf;
use panal_uapi::{
    Errno,
    inspect::{Batch, BtfInfo, Inspect, LinkInfo, ObjectKind, OpenFlags, Pin, ProgCode, ProgInfo},
    kernel::{
        AttachTarget, CloseFd, Failure, Fd, Kernel, LoadError, LoadTarget, Loaded, MapInfo,
        MapSpec, ProgSpec, TestRun, TestRunResult,
    },
};
use serde::de::DeserializeOwned;

use crate::protocol::{Load, NewMap, NewProgram, Refusal, Request, VERSION, read_line};

/// A kernel in another process.
pub struct RemoteKernel {
    line: Arc<Line>,
    name: String,
    version: u32,
    cpus: u32,
    btf: OnceLock<Arc<Btf>>,
}

/// The connection: one request at a time.
struct Line(Mutex<BufReader<UnixStream>>);

impl Line {
    fn exchange(&self, request: &Request) -> io::Result<Vec<u8>> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = serde_json::to_vec(request)?;
        bytes.push(b'\n');
        stream.get_mut().write_all(&bytes)?;
        read_line(&mut *stream)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Failure> {
        let failed = |errno, detail: String| Failure {
            command: "bpf",
            errno,
            detail,
        };
        let line = self.exchange(request).map_err(|error| {
            let errno = Errno(error.raw_os_error().unwrap_or(Errno::ECONNRESET.0));
            failed(errno, "the instance has ended, or does not answer".into())
        })?;
        let answer: Result<T, Refusal> = serde_json::from_slice(&line)
            .map_err(|error| failed(Errno::EPROTO, error.to_string()))?;
        answer.map_err(Failure::from)
    }
}

impl CloseFd for Line {
    fn close(&self, number: i32) {
        // An instance that is gone has closed it.
        let _ = self.exchange(&Request::Close(number));
    }
}

impl RemoteKernel {
    /// Asks over a connected socket; the other side must speak the same protocol.
    pub fn new(stream: UnixStream) -> Result<Self, Failure> {
        let line = Arc::new(Line(Mutex::new(BufReader::new(stream))));
        let (name, version, cpus) = line.ask(&Request::Hello(VERSION))?;
        Ok(RemoteKernel {
            line,
            name,
            version,
            cpus,
            btf: OnceLock::new(),
        })
    }

    fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, Failure> {
        self.line.ask(&request)
    }

    fn fd(&self, number: i32) -> Fd {
        Fd::new(number, self.line.clone())
    }

    fn open(&self, request: Request) -> Result<Fd, Failure> {
        Ok(self.fd(self.ask(request)?))
    }

    fn open_some(&self, request: Request) -> Result<Option<Fd>, Failure> {
        let number: Option<i32> = self.ask(request)?;
        Ok(number.map(|number| self.fd(number)))
    }

    fn unsupported(&self, command: &'static str, detail: &str) -> Failure {
        Failure {
            command,
            errno: Errno::EOPNOTSUPP,
            detail: detail.to_owned(),
        }
    }
}

impl Kernel for RemoteKernel {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn btf(&self) -> Result<Arc<Btf>, Failure> {
        if let Some(btf) = self.btf.get() {
            return Ok(btf.clone());
        }
        let bytes: Vec<u8> = self.ask(Request::KernelBtf)?;
        let btf = Btf::parse(&bytes).map_err(|error| Failure {
            command: "BPF_BTF_LOAD",
            errno: Errno::EINVAL,
            detail: error.to_string(),
        })?;
        Ok(self.btf.get_or_init(|| Arc::new(btf)).clone())
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn config(&self, name: &str) -> Option<String> {
        self.ask(Request::Config(name.to_owned())).ok().flatten()
    }

    fn symbol(&self, name: &str) -> Option<u64> {
        self.ask(Request::Symbol(name.to_owned())).ok().flatten()
    }

    fn cpus(&self) -> u32 {
        self.cpus
    }

    fn btf_load(&self, bytes: &[u8]) -> Result<Fd, Failure> {
        self.open(Request::BtfLoad(bytes.to_vec()))
    }

    fn map_create(&self, spec: &MapSpec) -> Result<Fd, Failure> {
        let btf = spec.btf.as_ref();
        self.open(Request::MapCreate(Box::new(NewMap {
            name: spec.name.clone(),
            map_type: spec.map_type,
            key_size: spec.key_size,
            value_size: spec.value_size,
            max_entries: spec.max_entries,
            flags: spec.flags,
            extra: spec.extra,
            numa_node: spec.numa_node,
            inner: spec.inner.as_ref().map(Fd::number),
            btf: btf.map(|(fd, key, value)| (fd.number(), *key, *value)),
            vmlinux_value_type: spec.vmlinux_value_type,
        })))
    }

    fn map_info(&self, map: &Fd) -> Result<MapInfo, Failure> {
        self.ask(Request::MapInfo(map.number()))
    }

    fn map_lookup(&self, map: &Fd, key: &[u8], flags: u64) -> Result<Option<Vec<u8>>, Failure> {
        self.ask(Request::Lookup(map.number(), key.to_vec(), flags))
    }

    fn map_update(&self, map: &Fd, key: &[u8], value: &[u8], flags: u64) -> Result<(), Failure> {
        let (key, value) = (key.to_vec(), value.to_vec());
        self.ask(Request::Update(map.number(), key, value, flags))
    }

    fn map_delete(&self, map: &Fd, key: &[u8]) -> Result<bool, Failure> {
        self.ask(Request::Delete(map.number(), key.to_vec()))
    }

    fn map_next_key(&self, map: &Fd, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, Failure> {
        self.ask(Request::NextKey(map.number(), key.map(<[u8]>::to_vec)))
    }

    fn map_freeze(&self, map: &Fd) -> Result<(), Failure> {
        self.ask(Request::Freeze(map.number()))
    }

    fn ring_buffer_consume(&self, _: &Fd, _: &mut dyn FnMut(&[u8])) -> Result<usize, Failure> {
        let why = "records go to the instance that runs the program";
        Err(self.unsupported("BPF_MAP_LOOKUP_ELEM", why))
    }

    fn perf_buffer_consume(
        &self,
        _: &Fd,
        _: &mut dyn FnMut(u32, &[u8]),
        _: &mut dyn FnMut(u32, u64),
    ) -> Result<usize, Failure> {
        let why = "samples go to the instance that runs the program";
        Err(self.unsupported("BPF_MAP_LOOKUP_ELEM", why))
    }

    fn pin(&self, object: &Fd, path: &str) -> Result<(), Failure> {
        self.ask(Request::Pin(object.number(), path.to_owned()))
    }

    fn get_pinned(&self, path: &str) -> Result<Option<Fd>, Failure> {
        self.get_pinned_as(path, OpenFlags::empty())
    }

    fn prog_load(&self, spec: &ProgSpec) -> Result<Loaded, LoadError> {
        let numbers = |fds: &[Fd]| fds.iter().map(Fd::number).collect();
        let target = spec.target.as_ref().map(|target| match target {
            LoadTarget::KernelBtf(id) => (None, *id),
            LoadTarget::Program(fd, id) => (Some(fd.number()), *id),
        });
        let request = Request::ProgLoad(Box::new(NewProgram {
            name: spec.name.clone(),
            prog_type: spec.prog_type,
            attach_type: spec.attach_type,
            code: spec.code.iter().flat_map(|slot| slot.to_bytes()).collect(),
            license: spec.license.clone(),
            kern_version: spec.kern_version,
            flags: spec.flags,
            target,
            btf: spec.btf.as_ref().map(Fd::number),
            funcs: spec.funcs.clone(),
            lines: spec.lines.clone(),
            fd_array: numbers(&spec.fd_array),
            bind_maps: numbers(&spec.bind_maps),
            log_level: spec.log_level,
        }));
        match self.ask(request).map_err(LoadError::Failed)? {
            Load::Loaded { fd, log, stats } => Ok(Loaded {
                fd: self.fd(fd),
                log,
                stats,
            }),
            Load::Rejected {
                errno,
                rejection,
                log,
                stats,
            } => Err(LoadError::Rejected {
                errno,
                rejection,
                log,
                stats,
            }),
        }
    }

    fn prog_test_run(&self, prog: &Fd, run: &TestRun) -> Result<TestRunResult, Failure> {
        self.ask(Request::TestRun(prog.number(), run.clone()))
    }

    fn attach(&self, _: &Fd, _: &AttachTarget) -> Result<Fd, Failure> {
        let why = "programs are attached by the `panal run` whose events they see";
        Err(self.unsupported("BPF_LINK_CREATE", why))
    }

    fn link_update(&self, link: &Fd, prog: &Fd, expected: Option<&Fd>) -> Result<(), Failure> {
        let expected = expected.map(Fd::number);
        self.ask(Request::LinkUpdate(link.number(), prog.number(), expected))
    }

    fn link_detach(&self, link: &Fd) -> Result<(), Failure> {
        self.ask(Request::LinkDetach(link.number()))
    }
}

impl Inspect for RemoteKernel {
    fn next_id(&self, kind: ObjectKind, after: u32) -> Result<Option<u32>, Failure> {
        self.ask(Request::NextId(kind, after))
    }

    fn open_id(&self, kind: ObjectKind, id: u32, flags: OpenFlags) -> Result<Option<Fd>, Failure> {
        self.open_some(Request::OpenId(kind, id, flags.bits()))
    }

    fn kind_of(&self, object: &Fd) -> Result<ObjectKind, Failure> {
        self.ask(Request::KindOf(object.number()))
    }

    fn prog_info(&self, prog: &Fd) -> Result<ProgInfo, Failure> {
        self.ask(Request::ProgInfo(prog.number()))
    }

    fn prog_code(&self, prog: &Fd) -> Result<ProgCode, Failure> {
        self.ask(Request::ProgCode(prog.number()))
    }

    fn link_info(&self, link: &Fd) -> Result<LinkInfo, Failure> {
        self.ask(Request::LinkInfo(link.number()))
    }

    fn btf_info(&self, btf: &Fd) -> Result<BtfInfo, Failure> {
        self.ask(Request::BtfInfo(btf.number()))
    }

    fn btf_bytes(&self, btf: &Fd) -> Result<Vec<u8>, Failure> {
        self.ask(Request::BtfBytes(btf.number()))
    }

    fn map_lookup_and_delete(
        &self,
        map: &Fd,
        key: &[u8],
        flags: u64,
    ) -> Result<Option<Vec<u8>>, Failure> {
        self.ask(Request::LookupAndDelete(map.number(), key.to_vec(), flags))
    }

    fn map_lookup_batch(
        &self,
        map: &Fd,
        from: Option<&[u8]>,
        count: u32,
        delete: bool,
    ) -> Result<Batch, Failure> {
        let from = from.map(<[u8]>::to_vec);
        self.ask(Request::LookupBatch(map.number(), from, count, delete))
    }

    fn map_update_batch(
        &self,
        map: &Fd,
        keys: &[u8],
        values: &[u8],
        flags: u64,
    ) -> Result<u32, Failure> {
        let (keys, values) = (keys.to_vec(), values.to_vec());
        self.ask(Request::UpdateBatch(map.number(), keys, values, flags))
    }

    fn map_delete_batch(&self, map: &Fd, keys: &[u8]) -> Result<u32, Failure> {
        self.ask(Request::DeleteBatch(map.number(), keys.to_vec()))
    }

    fn enable_stats(&self) -> Result<Fd, Failure> {
        self.open(Request::EnableStats)
    }

    fn get_pinned_as(&self, path: &str, flags: OpenFlags) -> Result<Option<Fd>, Failure> {
        self.open_some(Request::GetPinned(path.to_owned(), flags.bits()))
    }

    fn unpin(&self, path: &str) -> Result<bool, Failure> {
        self.ask(Request::Unpin(path.to_owned()))
    }

    fn pins(&self) -> Result<Vec<Pin>, Failure> {
        self.ask(Request::Pins)
    }
}
