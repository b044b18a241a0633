//! `BPF_PROG_LOAD`

use std::{cell::OnceCell, sync::Arc, time::SystemTime};

use panal_isa::{Instruction, Slot};
use panal_uapi::{
    Errno, MapType, ProgType,
    kernel::{LoadError, Loaded, ProgSpec, VerifierStats},
    report::{Class, Place, Rejection},
};
use panal_verifier::{MapDescription, Outcome, ProgramTypes, Proof, Request, Tied};
use panal_vm::{Executable, LowerError};

use super::{
    fail,
    linkage::ProgramLinkage,
    resolve::{self, Resolved, Unresolved},
};
use crate::{
    PanalKernel,
    engine::Engine,
    fds::Object,
    helpers::time,
    maps::Map,
    objects::{BtfObject, Counters, Program, Target, object_name},
    tag,
    ticks::Ticking,
};

const COMMAND: &str = "BPF_PROG_LOAD";

/// Licences that count as compatible with the GPL (`license_is_gpl_compatible`).
const GPL: [&str; 6] = [
    "GPL",
    "GPL v2",
    "GPL and additional rights",
    "Dual BSD/GPL",
    "Dual MIT/GPL",
    "Dual MPL/GPL",
];

fn failed(errno: Errno, detail: impl Into<String>) -> LoadError {
    LoadError::Failed(fail(COMMAND, errno, detail))
}

/// An instruction that names a descriptor which is no map: the verifier's no, as on Linux.
fn unresolved(error: Unresolved, code: &[Slot]) -> LoadError {
    let Unresolved {
        slot,
        errno,
        detail,
    } = error;
    let Some(slot) = slot else {
        return failed(errno, detail);
    };
    let instruction = Instruction::decode(code, slot)
        .map_or_else(|_| String::new(), |instruction| instruction.to_string());
    let rejection = Rejection {
        place: Some(Place {
            slot: slot as u32,
            instruction,
            source: None,
        }),
        ..Rejection::new(Class::InvalidInstruction, errno, detail.clone())
    };
    LoadError::Rejected {
        errno,
        rejection: Some(Box::new(rejection)),
        log: format!("{detail}\n"),
        stats: None,
    }
}

/// What a load names, found and checked.
struct Prepared {
    name: String,
    resolved: Resolved,
    btf: Option<Arc<BtfObject>>,
    target: Option<Target>,
    gpl: bool,
}

fn prepare(kernel: &PanalKernel, spec: &ProgSpec) -> Result<Prepared, LoadError> {
    let fds = &kernel.shared.fds;
    let name = object_name(&spec.name).map_err(|e| {
        failed(
            e,
            format!("name {:?}: only letters, digits, `_` and `.`", spec.name),
        )
    })?;
    let most = kernel.shared.config.profile.limits.instructions as usize;
    if spec.code.is_empty() {
        return Err(failed(Errno::E2BIG, "no instructions"));
    }
    if spec.code.len() > most {
        return Err(LoadError::too_long(spec.code.len(), most));
    }
    if spec.prog_type == ProgType::Unspec {
        return Err(failed(Errno::EINVAL, "no program type"));
    }
    let btf = match &spec.btf {
        None => None,
        Some(fd) => Some(
            fds.btf(fd.number())
                .map_err(|e| failed(e, format!("descriptor {} is no BTF", fd.number())))?,
        ),
    };
    if btf.is_none() && !(spec.funcs.is_empty() && spec.lines.is_empty()) {
        return Err(failed(
            Errno::EINVAL,
            "function and line information needs a BTF",
        ));
    }
    let target = match &spec.target {
        None => None,
        Some(target) => Some(
            Target::new(target, |number| fds.program(number))
                .map_err(|e| failed(e, "the target's descriptor is no program"))?,
        ),
    };
    let resolved = resolve::resolve(fds, &spec.code, &spec.fd_array, &spec.bind_maps)
        .map_err(|e| unresolved(e, &spec.code))?;
    let gpl = GPL.contains(&spec.license.as_str());
    Ok(Prepared {
        name,
        resolved,
        btf,
        target,
        gpl,
    })
}

fn tied(target: &Target) -> Result<Tied, LoadError> {
    Ok(match target {
        Target::Kernel(id) => Tied::Kernel(*id),
        Target::Program(program, function) => {
            let btf = program
                .btf
                .as_ref()
                .ok_or_else(|| failed(Errno::EINVAL, "the target program has no BTF"))?;
            Tied::Program {
                btf: btf.btf.clone(),
                function: *function,
                prog_type: program.prog_type,
            }
        }
    })
}

fn judge(kernel: &PanalKernel, spec: &ProgSpec, prepared: &Prepared) -> Result<Outcome, LoadError> {
    let maps: Vec<MapDescription> = prepared
        .resolved
        .maps
        .iter()
        .map(|m| m.describe())
        .collect();
    let request = Request {
        name: &prepared.name,
        code: &prepared.resolved.code,
        prog_type: spec.prog_type,
        attach_type: spec.attach_type,
        tied: prepared.target.as_ref().map(tied).transpose()?,
        gpl: prepared.gpl,
        flags: spec.flags,
        maps: &maps,
        types: prepared.btf.as_ref().map(|object| ProgramTypes {
            btf: &object.btf,
            funcs: &spec.funcs,
            lines: &spec.lines,
        }),
        profile: &kernel.shared.config.profile,
        log_level: spec.log_level,
        clock: Some(time::monotonic),
    };
    Ok(panal_verifier::verify(&request))
}

/// Whether programs of this type reach into kernel types, which only the own profile describes.
fn needs_own_types(prog_type: ProgType) -> bool {
    matches!(
        prog_type,
        ProgType::Tracing | ProgType::Lsm | ProgType::StructOps | ProgType::Ext
    )
}

/// A program's operations, and what it holds while it is loaded.
#[derive(Default)]
struct Lowered {
    executable: Option<Executable>,
    ticking: Option<Arc<Ticking>>,
}

fn lower(kernel: &PanalKernel, proof: &Proof, maps: &[Arc<Map>]) -> Result<Lowered, LoadError> {
    let config = &kernel.shared.config;
    if config.verify_only || (config.foreign && needs_own_types(proof.prog_type())) {
        return Ok(Lowered::default());
    }
    let linkage = ProgramLinkage {
        prog_type: proof.prog_type(),
        maps,
        btf: &config.profile.btf,
        ticks: &kernel.shared.ticks,
        ticking: OnceCell::new(),
    };
    let executable = Executable::new(proof, &linkage).map_err(refused)?;
    Ok(Lowered {
        executable: Some(executable),
        ticking: linkage.ticking.into_inner().flatten(),
    })
}

fn refused(error: LowerError) -> LoadError {
    let detail = match &error {
        LowerError::Helper { slot, id } => {
            let name = panal_uapi::helpers::by_id(*id).map_or("?", |helper| helper.name);
            format!(
                "verified, but Panal's kernel cannot run it: slot {slot} calls bpf_{name}, \
                 which it does not implement"
            )
        }
        other => format!("verified, but Panal's kernel cannot run it: {other}"),
    };
    failed(Errno::EOPNOTSUPP, detail)
}

/// Makes a program ready for the kernel's engine; why it is only interpreted, if it is.
fn make_ready(kernel: &PanalKernel, executable: &mut Executable) -> Option<String> {
    let shared = &kernel.shared;
    Engine::prepare(&shared.config, &shared.map_host.cage, executable)
}

pub(super) fn load(kernel: &PanalKernel, spec: &ProgSpec) -> Result<Loaded, LoadError> {
    let prepared = prepare(kernel, spec)?;
    let Outcome {
        result,
        stats,
        mut log,
    } = judge(kernel, spec, &prepared)?;
    let proof = result.map_err(|rejection| LoadError::Rejected {
        errno: rejection.errno,
        rejection: Some(rejection),
        log: log.clone(),
        stats: Some(stats),
    })?;
    let Lowered {
        mut executable,
        ticking,
    } = lower(kernel, &proof, &prepared.resolved.maps)?;
    let interpreted = executable.as_mut().and_then(|e| make_ready(kernel, e));
    if let Some(why) = &interpreted {
        log.push_str(&format!("interpreted: {why}\n"));
    }
    let runs = Runs {
        executable,
        interpreted,
        ticking,
    };
    let program = publish(kernel, spec, prepared, Some(proof), runs, stats);
    let is_foreign = |map: &&Arc<Map>| map.map_type() == MapType::ProgArray && !map.takes(&program);
    if let Some(map) = program.maps.iter().find(is_foreign) {
        return Err(failed(
            Errno::EINVAL,
            format!("map {} holds programs of another kind", map.name()),
        ));
    }
    let fd = kernel
        .open(COMMAND, Object::Program(program))
        .map_err(LoadError::Failed)?;
    Ok(Loaded {
        fd,
        log,
        stats: Some(stats),
    })
}

/// A program as it runs.
struct Runs {
    executable: Option<Executable>,
    interpreted: Option<String>,
    ticking: Option<Arc<Ticking>>,
}

fn publish(
    kernel: &PanalKernel,
    spec: &ProgSpec,
    prepared: Prepared,
    proof: Option<Proof>,
    runs: Runs,
    stats: VerifierStats,
) -> Arc<Program> {
    let Prepared {
        name,
        resolved,
        btf,
        target,
        gpl,
    } = prepared;
    kernel.shared.programs.publish(|id| Program {
        id,
        name,
        prog_type: spec.prog_type,
        attach_type: spec.attach_type,
        flags: spec.flags,
        proof,
        executable: runs.executable,
        interpreted: runs.interpreted,
        _ticking: runs.ticking,
        tag: tag::tag(&resolved.code),
        code: resolved.code,
        funcs: spec.funcs.clone(),
        lines: spec.lines.clone(),
        gpl,
        maps: resolved.maps,
        btf,
        target,
        stats,
        loaded_at: SystemTime::now(),
        counters: Counters::default(),
    })
}

impl PanalKernel {
    /// Loads a program that nobody proved, to see the second wall hold: for fuzzing and tests. It is
    /// compiled only by a kernel whose machine code is caged.
    ///
    /// # Safety
    /// The program can call helpers with any arguments, and helpers follow the pointers to maps
    /// that they are given. The caller vouches for the maps' handles.
    pub unsafe fn load_unproven(&self, spec: &ProgSpec) -> Result<Arc<Program>, LoadError> {
        let prepared = prepare(self, spec)?;
        let linkage = ProgramLinkage {
            prog_type: spec.prog_type,
            maps: &prepared.resolved.maps,
            btf: &self.shared.config.profile.btf,
            ticks: &self.shared.ticks,
            ticking: OnceCell::new(),
        };
        // SAFETY: the caller's promise.
        let mut executable =
            unsafe { Executable::from_unproven(&spec.name, &prepared.resolved.code, &linkage) }
                .map_err(refused)?;
        let interpreted = make_ready(self, &mut executable);
        let runs = Runs {
            executable: Some(executable),
            interpreted,
            ticking: linkage.ticking.into_inner().flatten(),
        };
        let stats = VerifierStats::default();
        Ok(publish(self, spec, prepared, None, runs, stats))
    }
}
