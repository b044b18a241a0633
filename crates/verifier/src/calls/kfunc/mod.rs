//! Calls of kernel functions, checked by their types in the kernel's BTF and their flags.

mod argument;
mod call;
mod irq;
mod iter;
mod kinds;
mod nodes;
mod objects;
mod result;

use panal_btf::{Btf, Kind, Param, Prototype, TypeId};
use panal_uapi::{
    AttachType, ProgType,
    kfuncs::{self, Kfunc, KfuncFlags, Only},
    program_types::KfuncHook,
};

use super::{
    CallTraits,
    fields::Field,
    stack_objects::{DynptrUse, Place},
};
use crate::{
    access::context,
    env::Env,
    error::{Check, Reject, reject},
    state::{BtfRef, BtfType, MapRef, State},
};

pub use call::check;

/// What the arguments of one call say together.
pub struct Meta<'a> {
    kfunc: Kfunc,
    /// The kernel's types.
    btf: &'a Btf,
    proto: Prototype<'a>,
    /// The BTF id, for messages.
    number: i32,
    /// The reference that an argument carries.
    ref_id: u32,
    /// The argument that is released.
    release: Option<panal_isa::Reg>,
    /// The `__k` (or `__szk`) argument.
    constant: Option<u64>,
    /// The last initialised dynptr.
    dynptr: Option<DynptrUse>,
    /// Size of the memory that is returned, and whether it is read-only.
    memory: Option<(u32, bool)>,
    /// The callback.
    subprog: Option<u32>,
    map: Option<(MapRef, u32)>,
    /// Whether the counted object is owned.
    owning: bool,
    /// Type of the object argument.
    object: Option<BtfType>,
    /// The list head or tree root.
    root: Option<Field>,
    /// The iterator.
    iter: Option<Place>,
}

impl Meta<'_> {
    fn name(&self) -> &'static str {
        self.kfunc.name
    }

    fn is(&self, flags: KfuncFlags) -> bool {
        self.kfunc.flags.contains(flags)
    }

    /// Whether it may return null: a further reference to an object that is owned is always had.
    fn may_return_null(&self) -> bool {
        let sure = self.name() == "bpf_refcount_acquire_impl" && self.owning;
        self.is(KfuncFlags::RET_NULL) && !sure
    }

    fn param(&self, index: usize) -> Option<&Param> {
        self.proto.params.get(index)
    }
}

/// The function that a call means, if this program may call it.
fn find<'a>(env: &Env<'a>, id: i32, object: i16) -> Check<Meta<'a>> {
    let not_function = || reject!(NotAllowed, EINVAL, "kernel btf_id {id} is not a function");
    if object != 0 {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "kernel functions of modules are not available"
        ));
    }
    let btf = env.btf(BtfRef::Kernel).ok_or_else(not_function)?;
    let ty = TypeId(u32::try_from(id).map_err(|_| not_function())?);
    if !matches!(btf.kind(ty), Kind::Func { .. }) {
        return Err(not_function());
    }
    let proto = btf.prototype(ty).ok_or_else(not_function)?;
    let name = btf.name(ty);
    if !env.request.gpl {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "cannot call kernel function from non-GPL compatible program"
        ));
    }
    let known = kfuncs::by_name(name);
    let kfunc = known
        .filter(|kfunc| is_allowed(env, kfunc))
        .ok_or_else(|| not_offered(env, name, known))?;
    Ok(Meta {
        kfunc,
        btf,
        proto,
        number: id,
        ref_id: 0,
        release: None,
        constant: None,
        dynptr: None,
        memory: None,
        subprog: None,
        map: None,
        owning: false,
        object: None,
        root: None,
        iter: None,
    })
}

fn not_offered(env: &Env<'_>, name: &str, kfunc: Option<Kfunc>) -> Reject {
    let profile = env.request.profile;
    let why = match kfunc {
        Some(Kfunc {
            since: (major, minor),
            ..
        }) if !profile.has_kfunc(name) => alloc::format!(
            "`{name}` is not a kernel function that programs of {} may call; Linux {major}.{minor} \
             brought it",
            profile.name
        ),
        _ => alloc::format!(
            "`{name}` is not a kernel function that {} programs may call",
            context::effective_type(env)
        ),
    };
    reject!(
        NotAllowed,
        EACCES,
        "calling kernel function {name} is not allowed"
    )
    .because(why)
}

/// Whether a kernel function gives the device's metadata of a packet: only programs that are bound to
/// the device may call it.
pub fn is_device_metadata(name: &str) -> bool {
    name.starts_with("bpf_xdp_metadata_")
}

fn is_allowed(env: &Env<'_>, kfunc: &Kfunc) -> bool {
    let Ok(rules) = context::rules(env) else {
        return false;
    };
    let hook = kfunc.hooks.contains(&KfuncHook::Common)
        || rules.kfuncs.is_some_and(|hook| kfunc.hooks.contains(&hook));
    let only = match kfunc.only {
        Only::Any => true,
        Only::Lsm => env.request.prog_type == ProgType::Lsm,
        Only::Iterator => env.request.attach_type == Some(AttachType::TraceIter),
    };
    let session = !kfunc.name.starts_with("bpf_session_")
        || matches!(
            env.request.attach_type,
            Some(AttachType::TraceKprobeSession | AttachType::TraceUprobeSession)
        );
    hook && only && session && env.request.profile.has_kfunc(kfunc.name)
}

/// What can be said of a call without knowing its arguments.
pub fn describe(env: &Env<'_>, id: i32) -> Option<CallTraits> {
    let btf = env.btf(BtfRef::Kernel)?;
    let ty = TypeId(u32::try_from(id).ok()?);
    let proto = btf.prototype(ty)?;
    let name = btf.name(ty);
    let flags = kfuncs::by_name(name)
        .map(|kfunc| kfunc.flags)
        .unwrap_or_default();
    Some(CallTraits {
        params: proto.params.len().min(5) as u8,
        calls_back: name == "bpf_rbtree_add_impl",
        calls_later: matches!(
            name,
            "bpf_wq_set_callback_impl"
                | "bpf_task_work_schedule_signal_impl"
                | "bpf_task_work_schedule_resume_impl"
        ),
        iter_next: flags.contains(KfuncFlags::ITER_NEXT),
        changes_packet: name == "bpf_xdp_pull_data",
        may_sleep: flags.contains(KfuncFlags::SLEEPABLE),
        no_return: name == "bpf_throw",
        fastcall: matches!(name, "bpf_cast_to_kern_ctx" | "bpf_rdonly_cast"),
        ..CallTraits::default()
    })
}

/// Functions that may be called while a lock is held.
fn allowed_under_lock(name: &str) -> bool {
    name.starts_with("bpf_list_")
        || name.starts_with("bpf_rbtree_")
        || name.starts_with("bpf_iter_num_")
        || name.starts_with("bpf_res_spin_")
        || matches!(
            name,
            "bpf_refcount_acquire_impl" | "bpf_stream_vprintk_impl"
        )
}

/// What [`call::check`] needs of a path before the arguments.
fn check_lock(st: &State, name: &str) -> Check {
    if st.refs.locks > 0 && !allowed_under_lock(name) {
        return Err(reject!(
            Locking,
            EINVAL,
            "function calls are not allowed while holding a lock"
        ));
    }
    Ok(())
}
