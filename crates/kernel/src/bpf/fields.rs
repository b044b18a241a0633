//! The special fields of a map's value: locks, timers, lists, references, by its BTF.

use panal_btf::{Btf, Kind, TypeId};
use panal_maps::SpecialField;
use panal_uapi::MapType;

/// Structures that the kernel keeps in values, with their sizes and who may have them.
const SPECIAL: [(&str, u32, Holders); 9] = [
    (SPIN_LOCK, 4, Holders::Locks),
    ("bpf_res_spin_lock", 4, Holders::Locks),
    (TIMER, 16, Holders::Timers),
    (WORK, 16, Holders::Timers),
    ("bpf_list_head", 16, Holders::Timers),
    ("bpf_list_node", 24, Holders::Any),
    ("bpf_rb_root", 16, Holders::Timers),
    ("bpf_rb_node", 32, Holders::Any),
    ("bpf_refcount", 4, Holders::Any),
];

const SPIN_LOCK: &str = "bpf_spin_lock";
const WORK: &str = "bpf_wq";
const TIMER: &str = "bpf_timer";

/// Which maps' values may have a field (`map_check_btf`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holders {
    /// What is not checked by type.
    Any,
    /// Maps whose values are one for all CPUs, and stay where they are.
    Locks,
    /// Maps that tell when an element goes.
    Timers,
    /// Maps that programs write.
    Pointers,
}

impl Holders {
    fn include(self, map_type: MapType) -> bool {
        use MapType::{
            Array, CgroupStorage, CgrpStorage, Hash, InodeStorage, LruHash, LruPercpuHash,
            PercpuArray, PercpuHash, SkStorage, TaskStorage,
        };
        let owned = matches!(
            map_type,
            SkStorage | InodeStorage | TaskStorage | CgrpStorage
        );
        match (self, map_type) {
            (Holders::Any, _) | (_, Hash | Array) => true,
            (Holders::Locks, CgroupStorage) => true,
            (Holders::Timers, LruHash) => true,
            (Holders::Pointers, LruHash | PercpuHash | LruPercpuHash | PercpuArray) => true,
            (Holders::Locks | Holders::Pointers, _) => owned,
            (Holders::Timers, _) => false,
        }
    }
}

/// Tags of pointers that the kernel owns.
const POINTER_TAGS: [&str; 4] = ["kptr", "kptr_untrusted", "percpu_kptr", "uptr"];

/// Most fields (`BTF_FIELDS_MAX`).
const MOST: usize = 11;

/// Deepest nesting of structures that is looked into.
const DEEPEST: u32 = 8;

/// What a value's type contains.
#[derive(Default)]
pub(super) struct Fields {
    /// Sorted by offset.
    pub fields: Vec<SpecialField>,
    /// Offset of the spin lock.
    pub spin_lock: Option<u32>,
    /// Offset of the timer.
    pub timer: Option<u32>,
    /// Offset of the work.
    pub work: Option<u32>,
    /// What they are, and who may have that.
    holders: Vec<(&'static str, Holders)>,
}

impl Fields {
    /// A field that maps of this type do not have in their values.
    pub fn refused_by(&self, map_type: MapType) -> Option<&'static str> {
        let refused = |(_, holders): &&(&str, Holders)| !holders.include(map_type);
        self.holders.iter().find(refused).map(|(name, _)| *name)
    }
}

/// The special fields of a type.
pub(super) fn of(btf: &Btf, value: TypeId) -> Fields {
    let mut found = Fields::default();
    visit(btf, value, 0, 0, &mut found);
    found.fields.sort_by_key(|field| field.offset);
    found.fields.dedup_by_key(|field| field.offset);
    found
}

fn visit(btf: &Btf, id: TypeId, offset: u32, depth: u32, found: &mut Fields) {
    if depth > DEEPEST || found.fields.len() >= MOST {
        return;
    }
    let (id, ty) = btf.skip_modifiers(id);
    match &ty.kind {
        Kind::Struct { members, .. } => {
            let special = SPECIAL.iter().find(|(name, ..)| **name == *ty.name);
            if let Some(&(name, size, holders)) = special {
                found.holders.push((name, holders));
                match name {
                    SPIN_LOCK => _ = found.spin_lock.get_or_insert(offset),
                    WORK => _ = found.work.get_or_insert(offset),
                    TIMER => _ = found.timer.get_or_insert(offset),
                    _ => {}
                }
                found.fields.push(SpecialField { offset, size });
                return;
            }
            for member in members.iter().filter(|m| m.bits == 0) {
                let at = offset.saturating_add(member.bit_offset / 8);
                visit(btf, member.ty, at, depth + 1, found);
            }
        }
        Kind::Array { element, len, .. } => {
            let Some(size) = btf.size_of(*element).filter(|&size| size > 0) else {
                return;
            };
            for i in 0..(*len).min(MOST as u32) {
                visit(
                    btf,
                    *element,
                    offset.saturating_add(i * size),
                    depth + 1,
                    found,
                );
            }
        }
        Kind::Ptr(_) if btf.type_tags(id).any(|tag| POINTER_TAGS.contains(&tag)) => {
            found.holders.push(("kptr", Holders::Pointers));
            found.fields.push(SpecialField { offset, size: 8 });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use panal_btf::Builder;

    #[test]
    fn locks_and_timers_are_found_where_they_stand() {
        let mut b = Builder::new();
        let u32_ = b.unsigned("unsigned int", 4);
        let lock = b.structure("bpf_spin_lock", 4, &[("val", u32_, 0)]);
        let timer = b.structure("bpf_timer", 16, &[]);
        let inner = b.structure("inner", 24, &[("n", u32_, 0), ("t", timer, 8)]);
        let value = b.structure(
            "value",
            40,
            &[("n", u32_, 0), ("l", lock, 4), ("i", inner, 8)],
        );
        let btf = b.finish().unwrap();
        let found = of(&btf, value);
        assert_eq!(found.spin_lock, Some(4));
        let places: Vec<_> = found.fields.iter().map(|f| (f.offset, f.size)).collect();
        assert_eq!(places, [(4, 4), (16, 16)]);
        assert!(of(&btf, u32_).fields.is_empty());
    }
}
