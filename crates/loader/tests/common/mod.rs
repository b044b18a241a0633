//! A kernel that takes everything and remembers it: what a loader asks for, and nothing more.
#![allow(dead_code, missing_docs)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use panal_btf::Btf;
use panal_uapi::{
    Errno,
    kernel::{
        AttachTarget, CloseFd, Failure, Fd, Kernel, LoadError, Loaded, MapInfo, MapSpec, ProgSpec,
        TestRun, TestRunResult,
    },
};

/// What was asked of the kernel.
#[derive(Default)]
pub struct Asked {
    pub maps: Vec<(i32, MapSpec)>,
    pub updates: Vec<(i32, Vec<u8>, Vec<u8>)>,
    pub frozen: Vec<i32>,
    pub programs: Vec<ProgSpec>,
    pub pins: HashMap<String, Fd>,
    pub types: Vec<Vec<u8>>,
    pub attached: Vec<AttachTarget>,
    next: i32,
}

/// The kernel.
#[derive(Default)]
pub struct Recorder {
    pub btf: Arc<Btf>,
    pub version: u32,
    pub config: HashMap<&'static str, &'static str>,
    pub symbols: HashMap<String, u64>,
    /// Programs that call this helper are rejected, as by Linux: with a log and no more.
    pub reject_helper: Option<i32>,
    /// Map types that it does not have.
    pub without: Vec<panal_uapi::MapType>,
    pub asked: Mutex<Asked>,
}

struct Nobody;

impl CloseFd for Nobody {
    fn close(&self, _: i32) {}
}

fn failed(command: &'static str, errno: Errno) -> Failure {
    Failure {
        command,
        errno,
        detail: String::new(),
    }
}

impl Recorder {
    pub fn new(btf: Arc<Btf>) -> Recorder {
        Recorder {
            btf,
            version: 6 << 16 | 18 << 8,
            ..Recorder::default()
        }
    }

    fn fd(&self, asked: &mut Asked) -> Fd {
        asked.next += 1;
        Fd::new(100 + asked.next, Arc::new(Nobody))
    }

    /// The map that was created under this name.
    pub fn map(&self, name: &str) -> (i32, MapSpec) {
        let asked = self.asked.lock().unwrap();
        let found = asked.maps.iter().find(|(_, spec)| spec.name == name);
        let names: Vec<_> = asked.maps.iter().map(|(_, s)| s.name.clone()).collect();
        found
            .unwrap_or_else(|| panic!("no map {name} in {names:?}"))
            .clone()
    }

    /// What was written into a map, in order.
    pub fn written(&self, name: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (fd, _) = self.map(name);
        let asked = self.asked.lock().unwrap();
        let updates = asked.updates.iter().filter(|(map, ..)| *map == fd);
        updates.map(|(_, k, v)| (k.clone(), v.clone())).collect()
    }
}

impl Kernel for Recorder {
    fn name(&self) -> String {
        "recorder".to_owned()
    }

    fn btf(&self) -> Result<Arc<Btf>, Failure> {
        Ok(self.btf.clone())
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn config(&self, name: &str) -> Option<String> {
        self.config.get(name).map(|v| v.to_string())
    }

    fn symbol(&self, name: &str) -> Option<u64> {
        self.symbols.get(name).copied()
    }

    fn cpus(&self) -> u32 {
        3
    }

    fn btf_load(&self, bytes: &[u8]) -> Result<Fd, Failure> {
        let mut asked = self.asked.lock().unwrap();
        asked.types.push(bytes.to_vec());
        Ok(self.fd(&mut asked))
    }

    fn map_create(&self, spec: &MapSpec) -> Result<Fd, Failure> {
        if self.without.contains(&spec.map_type) {
            return Err(failed("BPF_MAP_CREATE", Errno::EINVAL));
        }
        let mut asked = self.asked.lock().unwrap();
        let fd = self.fd(&mut asked);
        asked.maps.push((fd.number(), spec.clone()));
        Ok(fd)
    }

    fn map_info(&self, map: &Fd) -> Result<MapInfo, Failure> {
        let asked = self.asked.lock().unwrap();
        let (_, spec) = asked
            .maps
            .iter()
            .find(|(fd, _)| *fd == map.number())
            .ok_or(failed("BPF_OBJ_GET_INFO_BY_FD", Errno::EBADF))?;
        Ok(MapInfo {
            id: map.number() as u32,
            name: spec.name.clone(),
            map_type: spec.map_type,
            key_size: spec.key_size,
            value_size: spec.value_size,
            max_entries: spec.max_entries,
            flags: spec.flags,
            extra: spec.extra,
            btf_id: 0,
            btf_key_type_id: Default::default(),
            btf_value_type_id: Default::default(),
            btf_vmlinux_value_type_id: Default::default(),
            frozen: asked.frozen.contains(&map.number()),
            memlock: 0,
            owner: None,
        })
    }

    fn map_lookup(&self, _: &Fd, _: &[u8], _: u64) -> Result<Option<Vec<u8>>, Failure> {
        Ok(None)
    }

    fn map_update(&self, map: &Fd, key: &[u8], value: &[u8], _: u64) -> Result<(), Failure> {
        let mut asked = self.asked.lock().unwrap();
        if asked.frozen.contains(&map.number()) {
            return Err(failed("BPF_MAP_UPDATE_ELEM", Errno::EPERM));
        }
        asked
            .updates
            .push((map.number(), key.to_vec(), value.to_vec()));
        Ok(())
    }

    fn map_delete(&self, _: &Fd, _: &[u8]) -> Result<bool, Failure> {
        Ok(false)
    }

    fn map_next_key(&self, _: &Fd, _: Option<&[u8]>) -> Result<Option<Vec<u8>>, Failure> {
        Ok(None)
    }

    fn map_freeze(&self, map: &Fd) -> Result<(), Failure> {
        self.asked.lock().unwrap().frozen.push(map.number());
        Ok(())
    }

    fn ring_buffer_consume(&self, _: &Fd, _: &mut dyn FnMut(&[u8])) -> Result<usize, Failure> {
        Ok(0)
    }

    fn perf_buffer_consume(
        &self,
        _: &Fd,
        _: &mut dyn FnMut(u32, &[u8]),
        _: &mut dyn FnMut(u32, u64),
    ) -> Result<usize, Failure> {
        Ok(0)
    }

    fn pin(&self, object: &Fd, path: &str) -> Result<(), Failure> {
        let mut asked = self.asked.lock().unwrap();
        asked.pins.insert(path.to_owned(), object.clone());
        Ok(())
    }

    fn get_pinned(&self, path: &str) -> Result<Option<Fd>, Failure> {
        Ok(self.asked.lock().unwrap().pins.get(path).cloned())
    }

    fn prog_load(&self, spec: &ProgSpec) -> Result<Loaded, LoadError> {
        let mut asked = self.asked.lock().unwrap();
        asked.programs.push(spec.clone());
        let calls = |helper| {
            spec.code
                .iter()
                .position(|s| s.opcode == 0x85 && s.imm == helper)
        };
        if let Some((helper, slot)) = self.reject_helper.and_then(|h| Some((h, calls(h)?))) {
            let log =
                format!("{slot}: (85) call unknown#{helper}\ninvalid func unknown#{helper}\n");
            return Err(LoadError::Rejected {
                errno: Errno::EINVAL,
                rejection: None,
                log,
                stats: None,
            });
        }
        let fd = self.fd(&mut asked);
        Ok(Loaded {
            fd,
            log: String::new(),
            stats: None,
        })
    }

    fn prog_test_run(&self, _: &Fd, _: &TestRun) -> Result<TestRunResult, Failure> {
        Err(failed("BPF_PROG_TEST_RUN", Errno::ENOTSUPP))
    }

    fn attach(&self, _: &Fd, target: &AttachTarget) -> Result<Fd, Failure> {
        let mut asked = self.asked.lock().unwrap();
        asked.attached.push(target.clone());
        Ok(self.fd(&mut asked))
    }
    fn link_update(&self, _: &Fd, _: &Fd, _: Option<&Fd>) -> Result<(), Failure> {
        Err(failed("BPF_LINK_UPDATE", Errno::EINVAL))
    }

    fn link_detach(&self, _: &Fd) -> Result<(), Failure> {
        Err(failed("BPF_LINK_DETACH", Errno::EOPNOTSUPP))
    }
}
