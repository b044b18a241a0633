//! Loads of small programs, and what their outcome says.

use std::sync::Arc;

use panal_btf::{Btf, Kind, KindTag, TypeId};
use panal_isa::{Code, Instruction};
use panal_uapi::{
    AttachType, Errno, ProgType,
    kernel::{Kernel, LoadError, LoadTarget, ProgFlags, ProgSpec},
    profile::asked_with,
};

use crate::Answer;

/// What came of a load.
pub enum Outcome {
    /// Accepted.
    Accepted,
    /// The verifier was asked, and said no: its log.
    Rejected(String),
    /// Refused before the verifier was asked.
    Refused(Errno),
}

/// Loads programs into one kernel.
pub struct Loads<'k> {
    kernel: &'k dyn Kernel,
    /// The kernel's own types, where it tells them.
    pub btf: Option<Arc<Btf>>,
}

impl<'k> Loads<'k> {
    /// For this kernel.
    pub fn new(kernel: &'k dyn Kernel) -> Self {
        Loads {
            kernel,
            btf: kernel.btf().ok(),
        }
    }

    /// Loads a program as its type wants it.
    pub fn load(&self, prog_type: ProgType, code: &[Instruction]) -> Outcome {
        self.load_at(
            prog_type,
            asked_with(prog_type),
            self.target(prog_type),
            code,
        )
    }

    /// Loads a program for one attach point.
    pub fn load_at(
        &self,
        prog_type: ProgType,
        attach_type: Option<AttachType>,
        target: Option<TypeId>,
        code: &[Instruction],
    ) -> Outcome {
        let flags = match prog_type {
            ProgType::Syscall => ProgFlags::SLEEPABLE,
            _ => ProgFlags::empty(),
        };
        let spec = ProgSpec {
            name: "probe".into(),
            prog_type,
            attach_type,
            code: Code::from_instructions(code.iter().copied())
                .slots()
                .to_vec(),
            license: "GPL".into(),
            kern_version: self.kernel.version(),
            flags,
            target: target.map(LoadTarget::KernelBtf),
            btf: None,
            funcs: Vec::new(),
            lines: Vec::new(),
            fd_array: Vec::new(),
            bind_maps: Vec::new(),
            log_level: 1,
        };
        match self.kernel.prog_load(&spec) {
            Ok(_) => Outcome::Accepted,
            Err(LoadError::Rejected { errno, log, .. }) if log.trim().is_empty() => {
                Outcome::Refused(errno)
            }
            Err(LoadError::Rejected { log, .. }) => Outcome::Rejected(log),
            Err(LoadError::Failed(failure)) => Outcome::Refused(failure.errno),
        }
    }

    /// A type of the kernel's to which programs of a type can be tied.
    fn target(&self, prog_type: ProgType) -> Option<TypeId> {
        let btf = self.btf.as_ref()?;
        match prog_type {
            ProgType::Tracing => btf
                .iter()
                .find(|(_, ty)| {
                    matches!(ty.kind, Kind::Typedef { .. }) && ty.name.starts_with("btf_trace_")
                })
                .map(|(id, _)| id),
            ProgType::Lsm => btf.find("bpf_lsm_file_open", KindTag::Func),
            // Any type will do to be told that it is the wrong one.
            ProgType::Ext | ProgType::StructOps => Some(TypeId(1)),
            _ => None,
        }
    }
}

/// Why a kernel that refuses was not asked.
pub fn refused(errno: Errno) -> Answer {
    Answer::Unknown(format!("refused with {errno} before it was looked at"))
}
