//! Special fields in map values and allocated objects: locks, timers, kptrs, graph roots.

use alloc::{sync::Arc, vec::Vec};

use panal_btf::{Btf, Kind, KindTag, TypeId};

use super::{kptr, sections};
use crate::{
    access::AccessKind,
    env::Env,
    error::{Check, reject},
    request::{MapDescription, Request},
    state::{BtfRef, BtfType, MapRef, PtrFlags, RegKind, RegState, State},
};

/// Kinds of special fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// `struct bpf_spin_lock`
    SpinLock,
    /// `struct bpf_res_spin_lock`
    ResSpinLock,
    /// `struct bpf_timer`
    Timer,
    /// `struct bpf_wq`
    Workqueue,
    /// `struct bpf_task_work`
    TaskWork,
    /// `struct bpf_refcount`
    Refcount,
    /// `struct bpf_list_head`
    ListHead,
    /// `struct bpf_list_node`
    ListNode,
    /// `struct bpf_rb_root`
    RbRoot,
    /// `struct bpf_rb_node`
    RbNode,
    /// `__kptr_untrusted`
    KptrUntrusted,
    /// `__kptr`
    Kptr,
    /// `__percpu_kptr`
    KptrPercpu,
    /// `__uptr`
    Uptr,
}

impl Special {
    const STRUCTS: [Special; 10] = [
        Special::SpinLock,
        Special::ResSpinLock,
        Special::Timer,
        Special::Workqueue,
        Special::TaskWork,
        Special::Refcount,
        Special::ListHead,
        Special::ListNode,
        Special::RbRoot,
        Special::RbNode,
    ];

    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Special::SpinLock => "bpf_spin_lock",
            Special::ResSpinLock => "bpf_res_spin_lock",
            Special::Timer => "bpf_timer",
            Special::Workqueue => "bpf_wq",
            Special::TaskWork => "bpf_task_work",
            Special::Refcount => "bpf_refcount",
            Special::ListHead => "bpf_list_head",
            Special::ListNode => "bpf_list_node",
            Special::RbRoot => "bpf_rb_root",
            Special::RbNode => "bpf_rb_node",
            Special::KptrUntrusted | Special::Kptr => "kptr",
            Special::KptrPercpu => "percpu_kptr",
            Special::Uptr => "uptr",
        }
    }

    /// Whether it is a pointer that programs may load.
    pub const fn is_pointer(self) -> bool {
        matches!(
            self,
            Special::KptrUntrusted | Special::Kptr | Special::KptrPercpu | Special::Uptr
        )
    }
}

/// One special field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// What it is.
    pub kind: Special,
    /// Bytes from the start of the value.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// Pointers: to what. Graph roots: the type of the nodes' objects.
    pub target: Option<BtfType>,
    /// Graph roots: where the node lies in its object.
    pub node_offset: u32,
}

/// A kptr field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kptr {
    /// Which kind of pointer.
    pub kind: Special,
    /// To what.
    pub target: BtfType,
}

impl Kptr {
    /// Flags of an object that comes out of the field by exchange.
    pub fn local_flags(&self) -> PtrFlags {
        match (self.target.btf, self.kind) {
            (BtfRef::Kernel, _) => PtrFlags::empty(),
            (_, Special::KptrPercpu) => PtrFlags::ALLOC | PtrFlags::PERCPU,
            _ => PtrFlags::ALLOC,
        }
    }
}

/// The special fields of a value.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    list: Vec<Field>,
}

/// Special fields in one value (`BTF_FIELDS_MAX`).
const MAX_FIELDS: usize = 11;
/// Types looked at in one value.
const MAX_STEPS: usize = 4096;

impl Fields {
    /// Finds them in a map's value type.
    pub fn of_map(desc: &MapDescription, request: &Request<'_>) -> Fields {
        let Some((btf, _, value)) = &desc.types else {
            return Fields::default();
        };
        let same = request
            .types
            .is_some_and(|types| Arc::ptr_eq(types.btf, btf));
        let program = request.types.map(|types| &**types.btf);
        let mut finder = Finder {
            btf,
            program: if same { Some(&**btf) } else { program },
            same,
            kernel: &request.profile.btf,
            list: Vec::new(),
            steps: 0,
        };
        finder.walk(*value, 0);
        finder.finish()
    }

    /// Finds them in an object's type: of the program or of the kernel.
    pub fn of_type(env: &Env<'_>, ty: BtfType) -> Fields {
        let (Some(btf), true) = (env.btf(ty.btf), ty.btf == BtfRef::Program) else {
            return Fields::default();
        };
        let mut finder = Finder {
            btf,
            program: Some(btf),
            same: true,
            kernel: &env.request.profile.btf,
            list: Vec::new(),
            steps: 0,
        };
        finder.walk(ty.id, 0);
        finder.finish()
    }

    /// All, by offset.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.list.iter()
    }

    /// Where the first one of a kind lies.
    pub fn offset_of(&self, kind: Special) -> Option<u32> {
        self.list.iter().find(|f| f.kind == kind).map(|f| f.offset)
    }

    /// Whether there is one of this kind.
    pub fn has(&self, kind: Special) -> bool {
        self.offset_of(kind).is_some()
    }

    /// The field of one of these kinds at an offset.
    pub fn at(&self, offset: i64, kinds: &[Special]) -> Option<&Field> {
        self.list
            .iter()
            .find(|f| i64::from(f.offset) == offset && kinds.contains(&f.kind))
    }

    /// Whether it has a lock of either kind.
    pub fn has_lock(&self) -> bool {
        self.has(Special::SpinLock) || self.has(Special::ResSpinLock)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

struct Finder<'a> {
    btf: &'a Btf,
    /// The program's types, in which local objects are named.
    program: Option<&'a Btf>,
    /// Whether `btf` is the program's.
    same: bool,
    kernel: &'a Btf,
    list: Vec<Field>,
    steps: usize,
}

impl Finder<'_> {
    fn finish(mut self) -> Fields {
        self.list.sort_by_key(|f| f.offset);
        const SINGLE: [Special; 6] = [
            Special::SpinLock,
            Special::ResSpinLock,
            Special::Timer,
            Special::Workqueue,
            Special::TaskWork,
            Special::Refcount,
        ];
        let doubled = |kind: &Special| self.list.iter().filter(|f| f.kind == *kind).count() > 1;
        // A type with too many special fields, or two locks, counts as having none.
        if self.list.len() > MAX_FIELDS || SINGLE.iter().any(doubled) {
            self.list.clear();
        }
        Fields { list: self.list }
    }

    fn walk(&mut self, id: TypeId, base: u32) {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return;
        }
        let btf = self.btf;
        let (id, ty) = btf.resolve(id);
        match &ty.kind {
            Kind::Struct { members, .. } | Kind::Union { members, .. } => {
                for (index, member) in members.iter().enumerate() {
                    if member.bits == 0 {
                        let at = base.saturating_add(member.bit_offset / 8);
                        self.member(id, index, member.ty, at);
                    }
                }
            }
            Kind::DataSec { vars, .. } => {
                for var in vars {
                    if let Kind::Var { ty, .. } = btf.kind(var.ty) {
                        // A variable's tags stand on the variable.
                        self.member(var.ty, usize::MAX, *ty, base.saturating_add(var.offset));
                    }
                }
            }
            _ => {}
        }
    }

    /// A member: `owner` and `index` say where its declaration tags are.
    fn member(&mut self, owner: TypeId, index: usize, ty: TypeId, at: u32) {
        if self.list.len() > MAX_FIELDS {
            return;
        }
        let btf = self.btf;
        let (id, underneath) = btf.resolve(ty);
        match underneath.kind {
            Kind::Struct { size, .. } => {
                let special = Special::STRUCTS
                    .into_iter()
                    .find(|s| s.name() == &*underneath.name);
                match special {
                    Some(kind) => self.special(owner, index, kind, at, size),
                    None => self.walk(id, at),
                }
            }
            Kind::Ptr(target) => self.pointer(target, at),
            Kind::Array { element, len, .. } => {
                let Some(size) = btf.size_of(element) else {
                    return;
                };
                let (_, inner) = btf.resolve(element);
                let interesting = matches!(
                    inner.kind,
                    Kind::Struct { .. } | Kind::Ptr(_) | Kind::Array { .. }
                );
                for i in 0..if interesting { len } else { 0 } {
                    self.steps += 1;
                    if self.steps > MAX_STEPS || self.list.len() > MAX_FIELDS {
                        return;
                    }
                    self.member(
                        owner,
                        index,
                        element,
                        at.saturating_add(i.saturating_mul(size)),
                    );
                }
            }
            _ => {}
        }
    }

    fn special(&mut self, owner: TypeId, index: usize, kind: Special, offset: u32, size: u32) {
        let mut field = Field {
            kind,
            offset,
            size,
            target: None,
            node_offset: 0,
        };
        if matches!(kind, Special::ListHead | Special::RbRoot) {
            let tags = self.btf.decl_tags();
            let contains = if index == usize::MAX {
                tags.value(owner, "contains:")
                    .and_then(|v| v.split_once(':').map(own))
            } else {
                tags.of_component(owner, index)
                    .find_map(|tag| tag.strip_prefix("contains:")?.split_once(':').map(own))
            };
            let node = contains.and_then(|(name, node)| {
                let program = self.program?;
                let id = program.find(&name, KindTag::Struct)?;
                let place = program.member(id, &node)?;
                Some((id, place.bit_offset / 8))
            });
            if let Some((id, node_offset)) = node {
                field.target = Some(BtfType {
                    btf: BtfRef::Program,
                    id,
                });
                field.node_offset = node_offset;
            }
        }
        self.list.push(field);
    }

    fn pointer(&mut self, target: TypeId, offset: u32) {
        let kind = match self.btf.type_tags(target).next() {
            Some("kptr_untrusted") => Special::KptrUntrusted,
            Some("kptr") => Special::Kptr,
            Some("percpu_kptr") => Special::KptrPercpu,
            Some("uptr") => Special::Uptr,
            _ => return,
        };
        let (id, underneath) = self.btf.resolve(target);
        let name = &*underneath.name;
        let tag = underneath.kind.tag();
        // A type of the kernel where it has one of this name, else of the program.
        let kernel = if kind == Special::Uptr {
            None
        } else {
            self.kernel.find(name, tag)
        };
        let target = match (kernel, self.same) {
            (Some(id), _) => Some(BtfType {
                btf: BtfRef::Kernel,
                id,
            }),
            (None, true) => Some(BtfType {
                btf: BtfRef::Program,
                id,
            }),
            (None, false) => self
                .program
                .and_then(|program| program.find(name, tag))
                .map(|id| BtfType {
                    btf: BtfRef::Program,
                    id,
                }),
        };
        self.list.push(Field {
            kind,
            offset,
            size: 8,
            target,
            node_offset: 0,
        });
    }
}

fn own((a, b): (&str, &str)) -> (alloc::string::String, alloc::string::String) {
    (a.into(), b.into())
}

/// Whether the access to a value comes from the program or through a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A load or store.
    Direct,
    /// A helper reads or writes.
    Helper,
}

/// Checks an access to a map value against its special fields: `min` and `max` are the least and
/// greatest offset of its first byte. Bounds of the value are already checked.
///
/// # Errors
/// It touches a field that only helpers may.
pub fn check_access(
    env: &Env<'_>,
    map: MapRef,
    min: i64,
    max: u64,
    size: u32,
    source: Source,
) -> Check {
    for field in env.map(map).fields.iter() {
        let (start, end) = (
            i64::from(field.offset),
            i64::from(field.offset + field.size),
        );
        let last = i64::try_from(max)
            .unwrap_or(i64::MAX)
            .saturating_add(i64::from(size));
        if min >= end || last <= start {
            continue;
        }
        let name = field.kind.name();
        if !field.kind.is_pointer() {
            return Err(reject!(
                SpecialObject,
                EACCES,
                "{name} cannot be accessed directly by load/store"
            ));
        }
        if source == Source::Helper {
            return Err(reject!(
                SpecialObject,
                EACCES,
                "{name} cannot be accessed indirectly by helper"
            ));
        }
        if u64::try_from(min) != Ok(max) {
            return Err(reject!(
                SpecialObject,
                EACCES,
                "{name} access cannot have variable offset"
            ));
        }
        if min != start {
            return Err(reject!(
                SpecialObject,
                EACCES,
                "{name} access misaligned expected={start} off={min}"
            ));
        }
        if size != 8 {
            return Err(reject!(
                SpecialObject,
                EACCES,
                "{name} access size must be BPF_DW"
            ));
        }
    }
    Ok(())
}

/// Checks a plain load or store to a map value: see [`check_access`].
///
/// # Errors
/// It touches a field that only helpers may.
pub fn check_direct(
    env: &Env<'_>,
    map: MapRef,
    min: i64,
    max: u64,
    size: u32,
    access: AccessKind,
) -> Check {
    let _ = access;
    check_access(env, map, min, max, size, Source::Direct)
}

/// The same for a helper that reads or writes a part of the value.
///
/// # Errors
/// It touches a field that only its own helpers may.
pub fn check_by_helper(
    env: &Env<'_>,
    map: MapRef,
    min: i64,
    max: u64,
    size: u32,
    access: AccessKind,
) -> Check {
    let _ = access;
    check_access(env, map, min, max, size, Source::Helper)
}

/// The kptr at a constant offset of a map's value, if there is one there: loads and stores of it go
/// by [`load_kptr`] and [`store_kptr`].
pub fn kptr_at(env: &Env<'_>, map: MapRef, offset: i64) -> Option<Kptr> {
    const POINTERS: &[Special] = &[
        Special::KptrUntrusted,
        Special::Kptr,
        Special::KptrPercpu,
        Special::Uptr,
    ];
    let field = env.map(map).fields.at(offset, POINTERS)?;
    Some(Kptr {
        kind: field.kind,
        target: field.target?,
    })
}

/// What a load of a kptr gives.
pub fn load_kptr(env: &mut Env<'_>, st: &State, kptr: &Kptr) -> RegState {
    let id = env.new_id();
    if kptr.kind == Special::Uptr {
        let size = env
            .btf(kptr.target.btf)
            .and_then(|btf| btf.size_of(kptr.target.id));
        let memory = RegKind::Mem {
            size: size.unwrap_or(0),
            dynptr_id: 0,
        };
        return RegState::pointer(memory)
            .with_flags(PtrFlags::MAYBE_NULL)
            .with_id(id);
    }
    let mut flags = PtrFlags::MAYBE_NULL;
    if kptr::is_rcu_safe(env, kptr) && sections::in_rcu(st) {
        flags |= PtrFlags::RCU;
        if kptr.kind == Special::KptrPercpu {
            flags |= PtrFlags::PERCPU;
        } else if kptr.target.btf != BtfRef::Kernel {
            flags |= PtrFlags::ALLOC;
        }
    } else {
        flags |= PtrFlags::UNTRUSTED;
    }
    RegState::pointer(RegKind::Btf(kptr.target))
        .with_flags(flags)
        .with_id(id)
}

/// Checks a store to a kptr: of a register, or of the immediate `0`.
///
/// # Errors
/// The field may not be stored to, or not this value.
pub fn store_kptr(env: &Env<'_>, kptr: &Kptr, value: Option<&RegState>, n: u8) -> Check {
    match kptr.kind {
        Special::Kptr | Special::KptrPercpu => {
            return Err(reject!(
                SpecialObject,
                EACCES,
                "store to referenced kptr disallowed"
            ));
        }
        Special::Uptr => {
            return Err(reject!(SpecialObject, EACCES, "store to uptr disallowed"));
        }
        _ => {}
    }
    match value {
        Some(value) if !value.is_null() => kptr::matches(env, kptr, value, n).map_err(|r| {
            let body = r.into_body();
            crate::error::Reject::new(body.class, panal_uapi::Errno::EACCES, body.linux)
        }),
        _ => Ok(()),
    }
}
