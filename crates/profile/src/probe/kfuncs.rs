//! Kernel functions that programs may call: found in the kernel's types, and called.

use std::collections::{BTreeMap, BTreeSet};

use panal_btf::{Btf, KindTag, TypeId};
use panal_isa::{AluOp, CallTarget, Instruction, Operand, Reg, Width};
use panal_uapi::{
    ProgType,
    kfuncs::{self, Kfunc, Only},
    program_types::KfuncHook,
};

use super::loads::{Loads, Outcome};
use crate::{Answer, features::KernelFunction};

/// The tag that the kernel's build gives to such functions.
const TAG: &str = "bpf_kfunc";

/// Every function that the kernel's types or Panal's tables know.
pub fn functions(loads: &Loads<'_>) -> BTreeMap<String, KernelFunction> {
    let Some(btf) = loads.btf.as_deref() else {
        return BTreeMap::new();
    };
    let tagged = tagged(btf);
    let tables: BTreeMap<&str, Kfunc> = kfuncs::all().map(|k| (k.name, k)).collect();
    let names: BTreeSet<&str> = tagged
        .iter()
        .copied()
        .chain(tables.keys().copied())
        .collect();
    names
        .into_iter()
        .filter_map(|name| Some((name, btf.find(name, KindTag::Func)?)))
        .map(|(name, id)| {
            let known = tables.get(name);
            let function = KernelFunction {
                here: ask(loads, id, known, tagged.contains(name)),
                flags: known.map(flags).unwrap_or_default(),
            };
            (name.to_owned(), function)
        })
        .collect()
}

fn tagged(btf: &Btf) -> BTreeSet<&str> {
    btf.iter()
        .filter(|(_, ty)| &*ty.name == TAG)
        .filter_map(|(_, ty)| match ty.kind {
            panal_btf::Kind::DeclTag {
                ty, component: -1, ..
            } => Some(btf.name(ty)),
            _ => None,
        })
        .collect()
}

fn flags(kfunc: &Kfunc) -> Vec<String> {
    kfunc
        .flags
        .iter_names()
        .map(|(name, _)| name.to_lowercase())
        .collect()
}

/// A program type through which a set of functions can be asked about.
fn caller(hook: KfuncHook) -> Option<ProgType> {
    Some(match hook {
        KfuncHook::Common | KfuncHook::Tc => ProgType::SchedCls,
        KfuncHook::Xdp => ProgType::Xdp,
        KfuncHook::Tracing => ProgType::Tracing,
        KfuncHook::Syscall => ProgType::Syscall,
        KfuncHook::Cgroup => ProgType::CgroupSkb,
        KfuncHook::SchedAct => ProgType::SchedAct,
        KfuncHook::SkSkb => ProgType::SkSkb,
        KfuncHook::SocketFilter => ProgType::SocketFilter,
        KfuncHook::Lwt => ProgType::LwtIn,
        KfuncHook::Netfilter => ProgType::Netfilter,
        KfuncHook::Kprobe => ProgType::Kprobe,
        KfuncHook::StructOps | KfuncHook::FmodRet => return None,
    })
}

fn ask(loads: &Loads<'_>, id: TypeId, known: Option<&Kfunc>, tagged: bool) -> Answer {
    let Ok(id) = i32::try_from(id.0) else {
        return Answer::NO;
    };
    let plain = |k: &&Kfunc| {
        k.only == Only::Any
            && !k.name.starts_with("bpf_xdp_metadata_")
            && !k.name.starts_with("bpf_session_")
    };
    let callers: Vec<ProgType> = known
        .filter(plain)
        .map(|k| k.hooks.iter().filter_map(|hook| caller(*hook)).collect())
        .unwrap_or_default();
    let call = Instruction::Call(CallTarget::Kfunc { id, object: 0 });
    let nothing = Instruction::Alu {
        width: Width::W64,
        op: AluOp::Mov,
        dst: Reg::R0,
        src: Operand::Imm(0),
    };
    let mut refused = false;
    for caller in callers {
        match loads.load(caller, &[call, nothing, Instruction::Exit]) {
            Outcome::Accepted => return Answer::YES,
            Outcome::Rejected(log) if log.contains("is not allowed") => refused = true,
            Outcome::Rejected(_) => return Answer::YES,
            Outcome::Refused(_) => {}
        }
    }
    match (refused, tagged) {
        (true, _) => Answer::NO,
        (false, true) => Answer::YES,
        (false, false) => Answer::Unknown("programs that may call it cannot be loaded here".into()),
    }
}
