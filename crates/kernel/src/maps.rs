//! Map objects: what the kernel knows of a map beside its contents.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU32, Ordering},
};

use panal_btf::{Btf, TypeId};
use panal_maps::{Arena, DirectValues, Handles, MapDef, ObjectArray};
use panal_uapi::{
    AttachType, Errno, MapType, ProgType,
    inspect::OpenFlags,
    kernel::{MapFlags, MapInfo},
};
use panal_verifier::MapDescription;
use panal_vm::{IndexedValues, InnerArray, MapLink};

use crate::{
    objects::{BtfObject, Program},
    timers::Timers,
    types::laid_out::Object,
};

/// A map.
pub struct Map {
    pub(crate) id: u32,
    pub(crate) name: Arc<str>,
    pub(crate) types: Option<(Arc<BtfObject>, TypeId, TypeId)>,
    /// What its inner maps look like.
    pub(crate) inner: Option<MapDescription>,
    /// The inner maps' template.
    pub(crate) inner_def: Option<MapDef>,
    pub(crate) core: Arc<dyn panal_maps::Map>,
    /// What programs hold in a register when they hold the map.
    pub(crate) handle: u64,
    pub(crate) handles: Arc<Handles>,
    /// Where a value's timer stands.
    timer: Option<u32>,
    timers: Arc<Timers>,
    /// Where a value's work stands.
    work: Option<u32>,
    works: Arc<Timers>,
    /// Descriptors and pins that hold it, beside programs.
    users: AtomicU32,
    /// Which programs a prog array takes: those like the first that it met.
    owner: OnceLock<(ProgType, Option<AttachType>)>,
}

/// Where a map's header in the cage, which its handle points to, has the map's id for the kernel
/// itself: at its end.
pub(crate) const HEADER_ID: u64 = Handles::HEADER as u64 - 4;

/// In front of it, where the values of an array begin and how many there are: what lookups in inner arrays
/// read.
const HEADER_FIRST: u64 = HEADER_ID - 12;
const HEADER_COUNT: u64 = HEADER_ID - 4;

/// What programs see of a map that look into it: `struct bpf_map` as the kernel's types lay it out.
fn header(types: &Btf, map: &dyn panal_maps::Map, id: u32) -> Vec<u8> {
    let def = map.base().def();
    let mut header = vec![0; Handles::HEADER];
    if let Some(mut shown) = Object::new(types, "bpf_map") {
        for (field, value) in [
            ("map_type", def.map_type.number()),
            ("key_size", def.key_size),
            ("value_size", def.value_size),
            ("max_entries", def.max_entries),
            ("id", id),
        ] {
            // A kernel whose maps lack a field shows none.
            let _ = shown.set(field, value.into());
        }
        let len = shown.bytes().len().min(HEADER_FIRST as usize);
        header[..len].copy_from_slice(&shown.bytes()[..len]);
    }
    let mut put = |at: u64, bytes: &[u8]| {
        header[at as usize..][..bytes.len()].copy_from_slice(bytes);
    };
    if let Some(values) = map.direct_values().filter(|values| values.plane == 0) {
        put(HEADER_FIRST, &values.first.to_ne_bytes());
        put(HEADER_COUNT, &values.count.to_ne_bytes());
    }
    put(HEADER_ID, &id.to_ne_bytes());
    header
}

/// A map before it has an id.
pub(crate) struct NewMap {
    pub name: Arc<str>,
    pub types: Option<(Arc<BtfObject>, TypeId, TypeId)>,
    pub inner: Option<MapDescription>,
    pub inner_def: Option<MapDef>,
    pub core: Arc<dyn panal_maps::Map>,
    pub handles: Arc<Handles>,
    /// The kernel's types.
    pub kernel_types: Arc<Btf>,
    /// Where a value's timer stands.
    pub timer: Option<u32>,
    pub timers: Arc<Timers>,
    /// Where a value's work stands.
    pub work: Option<u32>,
    pub works: Arc<Timers>,
}

impl NewMap {
    /// The map. Its handle is 0 when there are too many maps.
    pub fn with_id(self, id: u32) -> Map {
        let NewMap {
            name,
            types,
            inner,
            inner_def,
            core,
            handles,
            kernel_types,
            timer,
            timers,
            work,
            works,
        } = self;
        let header = header(&kernel_types, &*core, id);
        let handle = handles.insert(core.clone(), &header).unwrap_or(0);
        Map {
            id,
            name,
            types,
            inner,
            inner_def,
            core,
            handle,
            handles,
            timer,
            timers,
            work,
            works,
            users: AtomicU32::new(0),
            owner: OnceLock::new(),
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        self.forget_timers();
        self.handles.remove(self.handle);
    }
}

impl Map {
    /// Its id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    pub fn map_type(&self) -> MapType {
        self.core.base().def().map_type
    }

    /// Whether user space may no longer write it.
    pub fn is_frozen(&self) -> bool {
        self.core.base().frozen()
    }

    /// The map itself.
    pub fn core(&self) -> &Arc<dyn panal_maps::Map> {
        &self.core
    }

    /// Its types: BTF, key, value.
    pub fn types(&self) -> Option<(&Arc<BtfObject>, TypeId, TypeId)> {
        self.types
            .as_ref()
            .map(|(btf, key, value)| (btf, *key, *value))
    }

    /// What `BPF_OBJ_GET_INFO_BY_FD` tells.
    pub fn info(&self) -> MapInfo {
        let (btf_id, key, value) = match &self.types {
            Some((btf, key, value)) => (btf.id, *key, *value),
            None => (0, TypeId::VOID, TypeId::VOID),
        };
        let def = self.core.base().def();
        MapInfo {
            id: self.id,
            name: self.name.to_string(),
            map_type: def.map_type,
            key_size: def.key_size,
            value_size: def.value_size,
            max_entries: def.max_entries,
            flags: def.flags,
            extra: def.extra,
            btf_id,
            btf_key_type_id: key,
            btf_value_type_id: value,
            btf_vmlinux_value_type_id: TypeId::VOID,
            frozen: self.is_frozen(),
            memlock: self.core.memory(),
            owner: self.owner.get().map(|(kind, _)| (kind.number(), false)),
        }
    }

    /// What the verifier must know.
    pub(crate) fn describe(&self) -> MapDescription {
        let def = self.core.base().def();
        MapDescription {
            name: self.name.clone(),
            map_type: def.map_type,
            key_size: def.key_size,
            value_size: def.value_size,
            max_entries: def.max_entries,
            flags: def.flags,
            extra: def.extra,
            types: self
                .types
                .as_ref()
                .map(|(btf, k, v)| (btf.btf.clone(), *k, *v)),
            inner: self.inner.clone().map(Box::new),
            frozen: self.frozen_contents(),
            id: self.id,
        }
    }

    /// The contents of an array that nobody can change any more.
    fn frozen_contents(&self) -> Option<Arc<[u8]>> {
        let def = self.core.base().def();
        let constant = def.map_type == MapType::Array
            && def.flags.contains(MapFlags::RDONLY_PROG)
            && self.is_frozen()
            && def.max_entries == 1;
        if !constant {
            return None;
        }
        let mut value = vec![0; self.core.user_value_size()];
        self.core
            .user_lookup(&0u32.to_ne_bytes(), &mut value)
            .ok()?;
        Some(value.into())
    }

    /// What the lowering must know.
    pub(crate) fn link(&self) -> MapLink {
        let def = self.core.base().def();
        let direct = self.core.direct_values();
        // Programs hold an arena's variables by the pointers that user space has.
        let values = match self.core.as_any().downcast_ref::<Arena>() {
            Some(arena) => arena.user_base(),
            None => direct.filter(|d| d.plane == 0).map_or(0, |d| d.first),
        };
        let indexed = |d: DirectValues| IndexedValues {
            first: d.first,
            stride: d.stride,
            count: d.count,
            plane: d.plane,
        };
        let objects: Option<&ObjectArray> = self.core.as_any().downcast_ref();
        MapLink {
            handle: self.handle,
            values,
            key: def.key_size,
            indexed: direct.map(indexed),
            handles: objects.and_then(ObjectArray::addresses).map(indexed),
            inner: self.inner_array(),
            plain: def.fields.is_empty().then_some(def.value_size),
            cpus: direct.filter(|d| d.plane != 0).map_or(0, |d| d.planes),
        }
    }

    /// How its inner maps are looked into, where they are arrays.
    fn inner_array(&self) -> Option<InnerArray> {
        let inner = self.inner_def.as_ref()?;
        let stride = u32::try_from(inner.value_stride()).ok()?;
        let fits = inner.map_type == MapType::Array && i32::try_from(stride).is_ok();
        fits.then_some(InnerArray {
            first_at: HEADER_FIRST as i32,
            count_at: HEADER_COUNT as i32,
            stride,
        })
    }

    /// Changes an element; its timers go if that worked.
    pub(crate) fn replacing<T>(
        &self,
        key: &[u8],
        act: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        if self.timer.is_none() && self.work.is_none() {
            return act();
        }
        let works = || self.works.replacing(&*self.core, key, act);
        self.timers.replacing(&*self.core, key, works)
    }

    /// Where a value's work stands.
    pub(crate) fn work(&self) -> Option<u32> {
        self.work
    }

    fn forget_timers(&self) {
        if self.timer.is_some() {
            self.timers.forget_map(self);
        }
        if self.work.is_some() {
            self.works.forget_map(self);
        }
    }

    /// Where a value's timer stands.
    pub(crate) fn timer(&self) -> Option<u32> {
        self.timer
    }

    /// Whether user space holds it, by a descriptor or a pin.
    pub(crate) fn is_used(&self) -> bool {
        self.users.load(Ordering::Acquire) > 0
    }

    /// The key of an element, where it lies by itself: before its value. `None`: it is an index,
    /// which is told.
    pub(crate) fn key_of(&self, value: u64) -> Result<u64, u32> {
        let def = self.core.base().def();
        match self.core.direct_values() {
            Some(d) => Err((value.wrapping_sub(d.first) / u64::from(d.stride.max(1))) as u32),
            None => Ok(value.wrapping_sub(u64::from(def.key_size).next_multiple_of(8))),
        }
    }

    /// Whether a prog array takes programs of this kind: those like the first that used it or was
    /// put into it.
    pub(crate) fn takes(&self, program: &Program) -> bool {
        let kind = (program.prog_type, program.attach_type);
        let owner = self.owner.get_or_init(|| kind);
        let by_attach_type = matches!(kind.0, ProgType::Tracing | ProgType::Lsm | ProgType::Ext);
        owner.0 == kind.0 && (owner.1 == kind.1 || !by_attach_type)
    }
}

/// A map as user space holds it: by a descriptor or a pin.
pub(crate) struct UserMap {
    map: Arc<Map>,
    flags: OpenFlags,
}

impl UserMap {
    /// A descriptor that is only for reading, or only for writing.
    pub fn with_flags(map: Arc<Map>, flags: OpenFlags) -> Self {
        map.users.fetch_add(1, Ordering::Relaxed);
        UserMap { map, flags }
    }

    pub fn map(&self) -> &Arc<Map> {
        &self.map
    }

    /// The map, when its contents may be read through this descriptor.
    pub fn to_read(&self) -> Result<&Arc<Map>, Errno> {
        match self.flags.contains(OpenFlags::WRONLY) {
            true => Err(Errno::EPERM),
            false => Ok(&self.map),
        }
    }

    /// The map, when its contents may be written through this descriptor.
    pub fn to_write(&self) -> Result<&Arc<Map>, Errno> {
        match self.flags.contains(OpenFlags::RDONLY) {
            true => Err(Errno::EPERM),
            false => Ok(&self.map),
        }
    }
}

impl Clone for UserMap {
    fn clone(&self) -> Self {
        UserMap::with_flags(self.map.clone(), self.flags)
    }
}

impl Drop for UserMap {
    /// When user space lets go of a prog array, its programs go: they may use the array themselves,
    /// and both would stay for ever.
    fn drop(&mut self) {
        let was_last = self.map.users.fetch_sub(1, Ordering::AcqRel) == 1;
        if was_last {
            self.map.forget_timers();
        }
        if was_last
            && self.map.map_type() == MapType::ProgArray
            && let Some(array) = self.map.core.as_any().downcast_ref::<ObjectArray>()
        {
            array.clear();
        }
    }
}
