//! The system call: [`Kernel`] for [`PanalKernel`], one file per group of commands.

mod attach;
mod batch;
mod fields;
mod inspect;
mod linkage;
mod load;
mod maps;
mod object_maps;
mod resolve;

use std::sync::Arc;

use panal_btf::{Btf, BtfError, TypeFault};
use panal_uapi::{
    Capabilities, Errno,
    inspect::{Inspect, OpenFlags},
    kernel::{
        AttachTarget, Failure, Fd, Kernel, LoadError, Loaded, MapInfo, MapSpec, ProgSpec, TestRun,
        TestRunResult,
    },
};

use crate::{
    PanalKernel,
    fds::Object,
    objects::{BtfObject, Program},
    program_types,
};

/// Longest BTF that is loaded (`BTF_MAX_SIZE`).
const BTF_MOST: usize = 16 << 20;

pub(crate) fn fail(command: &'static str, errno: Errno, detail: impl Into<String>) -> Failure {
    Failure {
        command,
        errno,
        detail: detail.into(),
    }
}

/// Whether the loader that the profile describes may do something.
fn require(
    kernel: &PanalKernel,
    command: &'static str,
    needed: Capabilities,
    what: &str,
) -> Result<(), Failure> {
    let missing = needed.difference(kernel.shared.config.profile.capabilities);
    if missing.is_empty() {
        return Ok(());
    }
    let detail = format!("{what} needs {missing}, which the loader has not");
    Err(fail(command, Errno::EPERM, detail))
}

/// Linux's errno for bytes that are no BTF.
fn malformed(error: &BtfError) -> Errno {
    match error {
        BtfError::Type { fault, .. } if *fault == TypeFault::Cycle => Errno::EEXIST,
        BtfError::Type { fault, .. } if *fault == TypeFault::TooDeep => Errno::E2BIG,
        _ => Errno::EINVAL,
    }
}

impl PanalKernel {
    pub(crate) fn open(&self, command: &'static str, object: Object) -> Result<Fd, Failure> {
        self.shared
            .fds
            .open(object)
            .map_err(|e| fail(command, e, "too many open descriptors"))
    }
}

impl Kernel for PanalKernel {
    fn name(&self) -> String {
        let own = format!("panal {}", env!("CARGO_PKG_VERSION"));
        if self.shared.config.foreign {
            format!("{own} as {}", self.shared.config.profile.name)
        } else {
            own
        }
    }

    fn btf(&self) -> Result<Arc<Btf>, Failure> {
        Ok(self.shared.config.profile.btf.clone())
    }

    fn version(&self) -> u32 {
        self.shared.config.profile.version
    }

    fn config(&self, name: &str) -> Option<String> {
        let value = match name {
            "CONFIG_HZ" => return Some(crate::helpers::HZ.to_string()),
            "CONFIG_BPF"
            | "CONFIG_BPF_SYSCALL"
            | "CONFIG_NET"
            | "CONFIG_INET"
            | "CONFIG_IPV6"
            | "CONFIG_64BIT"
            | "CONFIG_SMP"
            | "CONFIG_BPF_LSM"
            | "CONFIG_FTRACE_SYSCALLS"
            | "CONFIG_ARCH_HAS_SYSCALL_WRAPPER"
            | "CONFIG_MMU" => "y",
            "CONFIG_X86_64" if cfg!(target_arch = "x86_64") => "y",
            "CONFIG_ARM64" if cfg!(target_arch = "aarch64") => "y",
            _ => return None,
        };
        Some(value.into())
    }

    fn symbol(&self, _name: &str) -> Option<u64> {
        // The kernel's memory is not Linux's: there is nothing at any symbol's address.
        None
    }

    fn cpus(&self) -> u32 {
        self.shared.map_host.cpus.count()
    }

    fn btf_load(&self, bytes: &[u8]) -> Result<Fd, Failure> {
        const COMMAND: &str = "BPF_BTF_LOAD";
        if bytes.len() > BTF_MOST {
            return Err(fail(
                COMMAND,
                Errno::E2BIG,
                format!("BTF of {} bytes", bytes.len()),
            ));
        }
        require(self, COMMAND, Capabilities::BPF, "loading types")?;
        let btf = Btf::parse(bytes).map_err(|e| fail(COMMAND, malformed(&e), e.to_string()))?;
        btf.check_nesting()
            .map_err(|e| fail(COMMAND, Errno::E2BIG, e.to_string()))?;
        btf.check_loadable()
            .map_err(|e| fail(COMMAND, Errno::EINVAL, e.to_string()))?;
        let object = self.shared.btfs.publish(|id| BtfObject {
            id,
            btf: Arc::new(btf),
            bytes: bytes.into(),
        });
        self.open(COMMAND, Object::Btf(object))
    }

    fn map_create(&self, spec: &MapSpec) -> Result<Fd, Failure> {
        maps::create(self, spec)
    }

    fn map_info(&self, map: &Fd) -> Result<MapInfo, Failure> {
        Ok(self.map(map)?.info())
    }

    fn map_lookup(&self, map: &Fd, key: &[u8], flags: u64) -> Result<Option<Vec<u8>>, Failure> {
        maps::lookup(self, map, key, flags)
    }

    fn map_update(&self, map: &Fd, key: &[u8], value: &[u8], flags: u64) -> Result<(), Failure> {
        maps::update(self, map, key, value, flags)
    }

    fn map_delete(&self, map: &Fd, key: &[u8]) -> Result<bool, Failure> {
        maps::delete(self, map, key)
    }

    fn map_next_key(&self, map: &Fd, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, Failure> {
        maps::next_key(self, map, key)
    }

    fn map_freeze(&self, map: &Fd) -> Result<(), Failure> {
        maps::freeze(self, map)
    }

    fn ring_buffer_consume(&self, map: &Fd, sink: &mut dyn FnMut(&[u8])) -> Result<usize, Failure> {
        maps::ring_buffer_consume(self, map, sink)
    }

    fn perf_buffer_consume(
        &self,
        map: &Fd,
        sink: &mut dyn FnMut(u32, &[u8]),
        lost: &mut dyn FnMut(u32, u64),
    ) -> Result<usize, Failure> {
        maps::perf_buffer_consume(self, map, sink, lost)
    }

    fn user_ring_buffer_write(&self, map: &Fd, record: &[u8]) -> Result<bool, Failure> {
        maps::user_ring_buffer_write(self, map, record)
    }

    fn arena_write(&self, map: &Fd, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        maps::arena_write(self, map, offset, bytes)
    }

    fn pin(&self, object: &Fd, path: &str) -> Result<(), Failure> {
        const COMMAND: &str = "BPF_OBJ_PIN";
        let object = self
            .shared
            .fds
            .get(object.number())
            .map_err(|e| fail(COMMAND, e, "the descriptor is not open"))?;
        let what = object.kind();
        self.shared
            .pins
            .pin(path, object)
            .map_err(|e| fail(COMMAND, e, format!("pinning {what} at {path}")))
    }

    fn get_pinned(&self, path: &str) -> Result<Option<Fd>, Failure> {
        self.get_pinned_as(path, OpenFlags::empty())
    }

    fn prog_load(&self, spec: &ProgSpec) -> Result<Loaded, LoadError> {
        load::load(self, spec)
    }

    fn prog_test_run(&self, prog: &Fd, run: &TestRun) -> Result<TestRunResult, Failure> {
        let program = self.program(prog)?;
        self.test_run(&program, run)
    }

    fn attach(&self, prog: &Fd, target: &AttachTarget) -> Result<Fd, Failure> {
        attach::attach(self, prog, target)
    }

    fn link_update(&self, link: &Fd, prog: &Fd, expected: Option<&Fd>) -> Result<(), Failure> {
        attach::update(self, link, prog, expected)
    }

    fn link_detach(&self, link: &Fd) -> Result<(), Failure> {
        attach::detach(self, link)
    }
}

impl PanalKernel {
    /// `BPF_PROG_TEST_RUN` on a program that is at hand.
    pub fn test_run(&self, program: &Program, run: &TestRun) -> Result<TestRunResult, Failure> {
        let Some(test_run) = program_types::of(program.prog_type).test_run else {
            return Err(program_types::refuse(
                Errno::ENOTSUPP,
                format!("programs of type {} have no test run", program.prog_type),
            ));
        };
        runnable(program)?;
        let chosen = run.flags & program_types::RUN_ON_CPU != 0
            && matches!(
                program.prog_type,
                panal_uapi::ProgType::RawTracepoint | panal_uapi::ProgType::RawTracepointWritable
            );
        if !chosen {
            return test_run(&mut self.session()?, program, run);
        }
        let session = crate::Session::at(&self.shared, run.cpu);
        let mut session =
            session.map_err(|e| program_types::refuse(e, format!("no CPU {}", run.cpu)))?;
        test_run(&mut session, program, run)
    }
}

/// Refuses programs that the kernel only verified.
pub(crate) fn runnable(program: &Program) -> Result<(), Failure> {
    match program.executable {
        Some(_) => Ok(()),
        None => Err(fail(
            "run",
            Errno::EOPNOTSUPP,
            "the program was verified for another kernel, or for its verdict only: it cannot run here",
        )),
    }
}
