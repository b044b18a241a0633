//! Answering for a kernel.

use std::{
    collections::HashMap,
    io::{self, BufReader, Write},
    os::unix::net::UnixStream,
};

use panal_isa::Slot;
use panal_uapi::{
    Errno,
    inspect::{Inspect, OpenFlags},
    kernel::{Failure, Fd, LoadError, LoadTarget, MapSpec, ProgSpec},
};
use serde::Serialize;
use serde_json::Value;

use crate::protocol::{Load, NewMap, NewProgram, Refusal, Request, VERSION, read_line};

/// Most descriptors that one connection holds.
const FDS_MOST: usize = 4096;

/// Most runs that one request asks for: nobody else waits long.
const REPEAT_MOST: u32 = 1 << 20;

/// Answers requests until the other side ends, or sends what is no request.
///
/// # Errors
/// The socket's; among them its timeouts, when it has some.
pub fn serve(kernel: &dyn Inspect, stream: UnixStream) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut connection = Connection {
        kernel,
        fds: HashMap::new(),
    };
    while let Some(line) = read_line(&mut reader)? {
        let answer = match serde_json::from_slice(&line) {
            Ok(request) => connection.answer(request),
            Err(error) => Err(failed(Errno::EPROTO, error.to_string())),
        };
        let answer = answer.map_err(Refusal::from);
        let mut bytes = serde_json::to_vec(&answer)?;
        bytes.push(b'\n');
        writer.write_all(&bytes)?;
    }
    Ok(())
}

fn failed(errno: Errno, detail: impl Into<String>) -> Failure {
    Failure {
        command: "bpf",
        errno,
        detail: detail.into(),
    }
}

fn value(value: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|e| failed(Errno::EPROTO, e.to_string()))
}

struct Connection<'k> {
    kernel: &'k dyn Inspect,
    fds: HashMap<i32, Fd>,
}

impl Connection<'_> {
    fn fd(&self, number: i32) -> Result<&Fd, Failure> {
        self.fds
            .get(&number)
            .ok_or_else(|| failed(Errno::EBADF, "the descriptor is not open"))
    }

    fn fds(&self, numbers: &[i32]) -> Result<Vec<Fd>, Failure> {
        numbers.iter().map(|n| self.fd(*n).cloned()).collect()
    }

    fn keep(&mut self, fd: Fd) -> Result<i32, Failure> {
        if self.fds.len() >= FDS_MOST {
            return Err(failed(Errno::EMFILE, "too many open descriptors"));
        }
        let number = fd.number();
        self.fds.insert(number, fd);
        Ok(number)
    }

    fn keep_some(&mut self, fd: Option<Fd>) -> Result<Option<i32>, Failure> {
        fd.map(|fd| self.keep(fd)).transpose()
    }

    fn answer(&mut self, request: Request) -> Result<Value, Failure> {
        let kernel = self.kernel;
        match request {
            Request::Hello(VERSION) => value((kernel.name(), kernel.version(), kernel.cpus())),
            Request::Hello(other) => Err(failed(
                Errno::EPROTO,
                format!("protocol {other} is asked for, this is {VERSION}"),
            )),
            Request::Close(number) => value(self.fds.remove(&number).is_some()),
            Request::KernelBtf => {
                let bytes = kernel.btf()?.to_bytes();
                value(bytes.map_err(|e| failed(Errno::EINVAL, e.to_string()))?)
            }
            Request::Config(name) => value(kernel.config(&name)),
            Request::Symbol(name) => value(kernel.symbol(&name)),
            Request::NextId(kind, after) => value(kernel.next_id(kind, after)?),
            Request::OpenId(kind, id, flags) => {
                let fd = kernel.open_id(kind, id, OpenFlags::from_bits_retain(flags))?;
                value(self.keep_some(fd)?)
            }
            Request::KindOf(fd) => value(kernel.kind_of(self.fd(fd)?)?),
            Request::ProgInfo(fd) => value(kernel.prog_info(self.fd(fd)?)?),
            Request::ProgCode(fd) => value(kernel.prog_code(self.fd(fd)?)?),
            Request::MapInfo(fd) => value(kernel.map_info(self.fd(fd)?)?),
            Request::LinkInfo(fd) => value(kernel.link_info(self.fd(fd)?)?),
            Request::BtfInfo(fd) => value(kernel.btf_info(self.fd(fd)?)?),
            Request::BtfBytes(fd) => value(kernel.btf_bytes(self.fd(fd)?)?),
            Request::BtfLoad(bytes) => value(self.keep(kernel.btf_load(&bytes)?)?),
            Request::MapCreate(map) => {
                let spec = self.map_spec(*map)?;
                value(self.keep(kernel.map_create(&spec)?)?)
            }
            Request::Lookup(fd, key, flags) => {
                value(kernel.map_lookup(self.fd(fd)?, &key, flags)?)
            }
            Request::Update(fd, key, new, flags) => {
                value(kernel.map_update(self.fd(fd)?, &key, &new, flags)?)
            }
            Request::Delete(fd, key) => value(kernel.map_delete(self.fd(fd)?, &key)?),
            Request::NextKey(fd, key) => value(kernel.map_next_key(self.fd(fd)?, key.as_deref())?),
            Request::Freeze(fd) => value(kernel.map_freeze(self.fd(fd)?)?),
            Request::LookupAndDelete(fd, key, flags) => {
                value(kernel.map_lookup_and_delete(self.fd(fd)?, &key, flags)?)
            }
            Request::LookupBatch(fd, from, count, delete) => {
                let fd = self.fd(fd)?;
                value(kernel.map_lookup_batch(fd, from.as_deref(), count, delete)?)
            }
            Request::UpdateBatch(fd, keys, values, flags) => {
                value(kernel.map_update_batch(self.fd(fd)?, &keys, &values, flags)?)
            }
            Request::DeleteBatch(fd, keys) => value(kernel.map_delete_batch(self.fd(fd)?, &keys)?),
            Request::EnableStats => value(self.keep(kernel.enable_stats()?)?),
            Request::Pin(fd, path) => value(kernel.pin(self.fd(fd)?, &path)?),
            Request::GetPinned(path, flags) => {
                let fd = kernel.get_pinned_as(&path, OpenFlags::from_bits_retain(flags))?;
                value(self.keep_some(fd)?)
            }
            Request::Unpin(path) => value(kernel.unpin(&path)?),
            Request::Pins => value(kernel.pins()?),
            Request::ProgLoad(program) => self.load(*program),
            Request::TestRun(_, run) if run.repeat > REPEAT_MOST => Err(failed(
                Errno::E2BIG,
                format!("repeat: at most {REPEAT_MOST} at once"),
            )),
            Request::TestRun(fd, run) => value(kernel.prog_test_run(self.fd(fd)?, &run)?),
            Request::LinkUpdate(link, prog, expected) => {
                let expected = expected.map(|fd| self.fd(fd)).transpose()?;
                value(kernel.link_update(self.fd(link)?, self.fd(prog)?, expected)?)
            }
            Request::LinkDetach(fd) => value(kernel.link_detach(self.fd(fd)?)?),
        }
    }

    fn map_spec(&self, map: NewMap) -> Result<MapSpec, Failure> {
        let btf = match map.btf {
            Some((fd, key, value)) => Some((self.fd(fd)?.clone(), key, value)),
            None => None,
        };
        Ok(MapSpec {
            name: map.name,
            map_type: map.map_type,
            key_size: map.key_size,
            value_size: map.value_size,
            max_entries: map.max_entries,
            flags: map.flags,
            extra: map.extra,
            numa_node: map.numa_node,
            inner: map.inner.map(|fd| self.fd(fd).cloned()).transpose()?,
            btf,
            vmlinux_value_type: map.vmlinux_value_type,
        })
    }

    fn load(&mut self, program: NewProgram) -> Result<Value, Failure> {
        let target = match program.target {
            None => None,
            Some((None, id)) => Some(LoadTarget::KernelBtf(id)),
            Some((Some(fd), id)) => Some(LoadTarget::Program(self.fd(fd)?.clone(), id)),
        };
        let spec = ProgSpec {
            name: program.name,
            prog_type: program.prog_type,
            attach_type: program.attach_type,
            code: Slot::read_all(&program.code).0,
            license: program.license,
            kern_version: program.kern_version,
            flags: program.flags,
            target,
            btf: program.btf.map(|fd| self.fd(fd).cloned()).transpose()?,
            funcs: program.funcs,
            lines: program.lines,
            fd_array: self.fds(&program.fd_array)?,
            bind_maps: self.fds(&program.bind_maps)?,
            log_level: program.log_level,
        };
        match self.kernel.prog_load(&spec) {
            Ok(loaded) => value(Load::Loaded {
                fd: self.keep(loaded.fd)?,
                log: loaded.log,
                stats: loaded.stats,
            }),
            Err(LoadError::Rejected {
                errno,
                rejection,
                log,
                stats,
            }) => value(Load::Rejected {
                errno,
                rejection,
                log,
                stats,
            }),
            Err(LoadError::Failed(failure)) => Err(failure),
        }
    }
}
