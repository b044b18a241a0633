//! What tracing programs are verified for when their section names a function that the kernel does
//! not have: a function of another program, given by `--target`, or else a stand-in.
//!
//! Tools such as xdpdump write `SEC("fentry/func")` and name the function only when they attach: to
//! the entry of an XDP program. That is what the stand-in is.

use std::path::Path;

use panal_btf::{Builder, KindTag};
use panal_isa::{AluOp, Code, Instruction, Operand, Reg, Width};
use panal_loader::{Open, ProgramPlan};
use panal_uapi::{
    AttachType, ProgType,
    kernel::{FuncInfo, Kernel, LoadError, LoadTarget, ProgFlags, ProgSpec},
    section::{BtfTarget, Section, Target},
};

use crate::{args::TargetArg, error::Problem, load, object, output};

/// Ties the programs that need it to the program that was named, or to the stand-in.
pub fn tie(
    open: &mut Open,
    named: Option<&TargetArg>,
    kernel: &dyn Kernel,
    file: &str,
) -> Result<(), Problem> {
    let mut tied = None;
    let mut needed = false;
    let placeholders_only = has_linux_types(kernel);
    for plan in open.programs_mut() {
        let Some(place) = missing(plan, kernel) else {
            continue;
        };
        needed = true;
        // What Linux would not load: the loader says so.
        if named.is_none() && placeholders_only && !is_placeholder(plan) {
            continue;
        }
        if tied.is_none() {
            tied = match (named, place) {
                (Some(named), _) => Some(load_target(named, kernel)?),
                // Which function is replaced matters: nothing can stand in for it.
                (None, Place::Replaced) => continue,
                (None, Place::Traced) => {
                    output::note(&format_args!(
                        "{file}: section {} names no kernel function: verified as for the entry \
                         of an XDP program; name another by --target",
                        plan.section
                    ));
                    stand_in(kernel)
                }
            };
        }
        plan.tied = tied.clone();
    }
    if let (Some(named), false) = (named, needed) {
        // Whoever named a program that is not there made a mistake, whether it is needed or not.
        let open = object::load(&named.object)?;
        if !open
            .programs()
            .iter()
            .any(|plan| plan.name == named.program)
        {
            return Err(object::no_program(
                &named.object,
                open.object(),
                &named.program,
            ));
        }
    }
    Ok(())
}

/// Whether the kernel's types are those of a Linux, and not Panal's own, which has few functions.
fn has_linux_types(kernel: &dyn Kernel) -> bool {
    let own = panal_kernel::own_profile().btf;
    kernel.btf().is_ok_and(|types| types.len() != own.len())
}

/// The name that tools write which name the function only when they attach.
const PLACEHOLDER: &str = "func";

fn is_placeholder(plan: &ProgramPlan) -> bool {
    let section = Section::parse(&plan.section).ok();
    let target = section.and_then(|section| section.target.ok());
    matches!(target, Some(Target::Btf { name, .. }) if name == PLACEHOLDER)
}

/// Why a program needs another one.
enum Place {
    /// It runs at a function's entry or exit.
    Traced,
    /// It replaces a function.
    Replaced,
}

/// Whether a program is for a function that the kernel does not have.
fn missing(plan: &ProgramPlan, kernel: &dyn Kernel) -> Option<Place> {
    match Section::parse(&plan.section).ok()?.target.ok()? {
        Target::ProgramFunction(_) => Some(Place::Replaced),
        Target::Btf {
            kind: BtfTarget::Function,
            name,
            ..
        } => {
            let known = kernel.btf().ok()?.find(name, KindTag::Func).is_some();
            (!known).then_some(Place::Traced)
        }
        _ => None,
    }
}

/// Loads the program that was named.
fn load_target(target: &TargetArg, kernel: &dyn Kernel) -> Result<LoadTarget, Problem> {
    let TargetArg {
        object: path,
        program,
    } = target;
    let path: &Path = path;
    let file = path.display().to_string();
    let mut open = object::load(path)?;
    object::choose(path, &mut open, program)?;
    object::unpin(&mut open);
    let loaded = load::load(open, kernel, &file, false)?;
    let found = loaded
        .program(program)
        .map_err(|error| load::problem(&file, error))?;
    let Some(ty) = loaded.object().function(found.plan.id).ty else {
        let text = format!("{file}: {program} has no types, so nothing can be attached to it");
        return Err(Problem::Asked(text));
    };
    Ok(LoadTarget::Program(found.fd.clone(), ty))
}

/// An XDP program that passes everything. `None` where the kernel does not take it: the programs
/// then fail with the loader's own words.
fn stand_in(kernel: &dyn Kernel) -> Option<LoadTarget> {
    let mut types = Builder::new();
    let number = types.unsigned("__u32", 4);
    let fields = [
        "data",
        "data_end",
        "data_meta",
        "ingress_ifindex",
        "rx_queue_index",
        "egress_ifindex",
    ];
    let members: Vec<_> = fields
        .iter()
        .zip(0..)
        .map(|(name, at)| (*name, number, at * 4))
        .collect();
    let context = types.structure("xdp_md", 24, &members);
    let context = types.ptr(context);
    let int = types.signed("int", 4);
    let ty = types.func("func", int, &[("ctx", context)]);
    let btf = kernel.btf_load(&types.to_bytes().ok()?).ok()?;
    const XDP_PASS: i32 = 2;
    let pass = Instruction::Alu {
        width: Width::W64,
        op: AluOp::Mov,
        dst: Reg::R0,
        src: Operand::Imm(XDP_PASS),
    };
    let spec = ProgSpec {
        name: "func".to_owned(),
        prog_type: ProgType::Xdp,
        attach_type: Some(AttachType::Xdp),
        code: Code::from_instructions([pass, Instruction::Exit])
            .slots()
            .to_vec(),
        license: "GPL".to_owned(),
        kern_version: kernel.version(),
        flags: ProgFlags::empty(),
        target: None,
        btf: Some(btf),
        funcs: vec![FuncInfo { slot: 0, ty }],
        lines: Vec::new(),
        fd_array: Vec::new(),
        bind_maps: Vec::new(),
        log_level: 0,
    };
    let loaded: Result<_, LoadError> = kernel.prog_load(&spec);
    Some(LoadTarget::Program(loaded.ok()?.fd, ty))
}
