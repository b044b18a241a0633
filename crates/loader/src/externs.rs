//! External variables and functions of the kernel.

use panal_btf::{Btf, Kind, KindTag, TypeId, core_relo::types_compatible, essential_name};
use panal_isa::Slot;
use panal_object::{Extern, ExternKind};
use panal_uapi::kernel::Kernel;

use crate::{Error, assemble::set_source};

/// `BPF_PSEUDO_BTF_ID` in the source register of a 64-bit load: a kernel variable or function.
const PSEUDO_BTF_ID: u8 = 3;
/// `BPF_PSEUDO_KFUNC_CALL` in the source register of a call.
const PSEUDO_KFUNC_CALL: u8 = 2;
/// Helper that calls of missing kernel functions become: none has this number, so only dead code
/// may hold it. libbpf's number, which tools look for in the log.
pub(crate) const POISON_KFUNC: i32 = 2_002_000_000;

/// What an external name is in a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// A variable or function by its number in the kernel's BTF.
    Type(TypeId),
    /// An address; 0 for what is missing and may be.
    Address(u64),
}

/// Looks up a variable or function. Configuration values are not looked up here.
pub(crate) fn resolve(
    external: &Extern,
    local: &Btf,
    kernel: &dyn Kernel,
    target: &Btf,
) -> Result<Resolved, Error> {
    let missing = |what| Error::Extern {
        what,
        name: external.name.to_string(),
        kernel: kernel.name(),
    };
    let (what, tag, ty) = match external.kind {
        ExternKind::Kconfig { .. } => return Ok(Resolved::Address(0)),
        ExternKind::Variable { ty: None } => {
            return match kernel.symbol(&external.name) {
                Some(address) => Ok(Resolved::Address(address)),
                None if external.weak => Ok(Resolved::Address(0)),
                None => Err(missing("kernel symbol")),
            };
        }
        ExternKind::Variable { ty: Some(ty) } => ("kernel variable", KindTag::Var, ty),
        ExternKind::Function { ty } => ("kernel function", KindTag::Func, ty),
    };
    // `bpf_thing___new` declares another form of `bpf_thing`.
    let name = essential_name(&external.name);
    match target.find(name, tag) {
        Some(id) if fits(local, ty, target, id) => Ok(Resolved::Type(id)),
        // A weak declaration of another form asks whether the kernel has that form.
        _ if external.weak => Ok(Resolved::Address(0)),
        Some(_) => Err(Error::ExternType {
            name: external.name.to_string(),
            kernel: kernel.name(),
        }),
        None => Err(missing(what)),
    }
}

fn fits(local: &Btf, declared: TypeId, target: &Btf, found: TypeId) -> bool {
    let inner = |btf: &Btf, id: TypeId| match btf.kind(id) {
        Kind::Func { proto, .. } => *proto,
        Kind::Var { ty, .. } => *ty,
        _ => id,
    };
    let (a, b) = (inner(local, declared), inner(target, found));
    let (a, b) = (local.resolve(a).0, target.resolve(b).0);
    types_compatible(local, a, target, b).unwrap_or(false)
}

/// Writes it into the 64-bit load at `slot`.
pub(crate) fn patch_load(code: &mut [Slot], slot: usize, resolved: Resolved) {
    let (source, low, high) = match resolved {
        Resolved::Type(id) => (PSEUDO_BTF_ID, id.0 as i32, 0),
        Resolved::Address(address) => (0, address as i32, (address >> 32) as i32),
    };
    if let Some([first, second]) = code.get_mut(slot..slot + 2) {
        set_source(first, source);
        first.imm = low;
        second.imm = high;
    }
}

/// Writes it into the call at `slot`. `number` tells missing functions apart.
pub(crate) fn patch_call(code: &mut [Slot], slot: usize, resolved: Resolved, number: usize) {
    let Some(call) = code.get_mut(slot) else {
        return;
    };
    match resolved {
        Resolved::Type(id) => {
            set_source(call, PSEUDO_KFUNC_CALL);
            call.imm = id.0 as i32;
            call.offset = 0;
        }
        Resolved::Address(_) => {
            *call = Slot {
                registers: 0,
                offset: 0,
                imm: POISON_KFUNC + number as i32,
                ..*call
            };
        }
    }
}
