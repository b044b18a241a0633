//! The trait that every map type implements.

use std::{
    any::Any,
    os::fd::BorrowedFd,
    ptr::NonNull,
    sync::atomic::{AtomicBool, Ordering},
};

use panal_uapi::{Errno, kernel::MapFlags};

use crate::{MapDef, bytes};

/// What every map has.
#[derive(Debug)]
pub struct MapBase {
    def: MapDef,
    frozen: AtomicBool,
}

impl MapBase {
    /// What a definition says of the map itself: who may read and write is said of the descriptor that
    /// creation gives (`bpf_map_flags_retain_permanent`).
    pub(crate) fn new(mut def: MapDef) -> MapBase {
        def.flags -= MapFlags::RDONLY | MapFlags::WRONLY;
        MapBase {
            def,
            frozen: AtomicBool::new(false),
        }
    }

    /// Its definition.
    pub fn def(&self) -> &MapDef {
        &self.def
    }

    /// Whether `BPF_MAP_FREEZE` was called.
    pub fn frozen(&self) -> bool {
        self.frozen.load(Ordering::Acquire)
    }

    pub(crate) fn freeze(&self) -> Result<(), Errno> {
        if self.frozen.swap(true, Ordering::AcqRel) {
            Err(Errno::EBUSY)
        } else {
            Ok(())
        }
    }
}

/// Values side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectValues {
    /// Address of the first.
    pub first: u64,
    /// Bytes from one to the next.
    pub stride: u32,
    /// How many there are.
    pub count: u32,
    /// Bytes from a CPU's values to the next CPU's; 0 where all CPUs share them.
    pub plane: u32,
    /// How many CPUs have values of their own; 1 where all share them.
    pub planes: u32,
}

/// A key that [`Map::for_each`] hands out.
#[derive(Clone, Copy, Debug)]
pub enum ElementKey {
    /// The key's bytes lie in the cage.
    InCage(NonNull<u8>),
    /// The key is this index.
    Index(u32),
}

/// A map. The first group of methods is what programs (helpers) call, the second what the system
/// call does; both can be called from any thread at any time.
///
/// Pointers to values lie in the cage. They stay readable and writable as long as the map lives,
/// even when the element is deleted meanwhile: then they may show another element, as on Linux.
/// Keys and values passed as slices must have the map's key size and value size; other lengths are
/// answered with `EINVAL` (or nothing found).
pub trait Map: Send + Sync + Any {
    /// Definition and state.
    fn base(&self) -> &MapBase;

    /// `bpf_map_lookup_elem`: address of the value. `cpu` is where the caller runs.
    fn lookup(&self, key: &[u8], cpu: u32) -> Option<NonNull<u8>>;

    /// `bpf_map_update_elem`
    fn update(&self, key: &[u8], value: &[u8], flags: u64, cpu: u32) -> Result<(), Errno> {
        let _ = (key, value, flags, cpu);
        Err(Errno::EOPNOTSUPP)
    }

    /// `bpf_map_delete_elem`
    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        let _ = key;
        Err(Errno::EOPNOTSUPP)
    }

    /// `bpf_map_push_elem`
    fn push(&self, value: &[u8], flags: u64) -> Result<(), Errno> {
        let _ = (value, flags);
        Err(Errno::EOPNOTSUPP)
    }

    /// `bpf_map_pop_elem`; zeroes `out` when there is none.
    fn pop(&self, out: &mut [u8]) -> Result<(), Errno> {
        let _ = out;
        Err(Errno::EOPNOTSUPP)
    }

    /// `bpf_map_peek_elem`; zeroes `out` when there is none. Bloom filters read `out`: the value
    /// that is asked for.
    fn peek(&self, out: &mut [u8]) -> Result<(), Errno> {
        let _ = out;
        Err(Errno::EOPNOTSUPP)
    }

    /// `bpf_map_lookup_percpu_elem`
    fn lookup_percpu(&self, key: &[u8], cpu: u32) -> Option<NonNull<u8>> {
        let _ = (key, cpu);
        None
    }

    /// `bpf_for_each_map_elem`: calls `each` with key and value until it returns false; how many
    /// elements were visited. `EINVAL` for types without it.
    fn for_each(
        &self,
        cpu: u32,
        each: &mut dyn FnMut(ElementKey, NonNull<u8>) -> bool,
    ) -> Result<u64, Errno> {
        let _ = (cpu, each);
        Err(Errno::EINVAL)
    }

    /// Bytes of a value as the system call sees it: per-CPU values stand one after another, each
    /// rounded up to 8.
    fn user_value_size(&self) -> usize {
        self.base().def().value_size as usize
    }

    /// `BPF_MAP_LOOKUP_ELEM` into `out`, which has [`Map::user_value_size`] bytes.
    fn user_lookup(&self, key: &[u8], out: &mut [u8]) -> Result<(), Errno> {
        let value = self.lookup(key, 0).ok_or(Errno::ENOENT)?;
        // SAFETY: `lookup` returns the address of a whole value.
        unsafe { self.base().def().copy_out(value, out) };
        Ok(())
    }

    /// `BPF_MAP_UPDATE_ELEM`; `value` has [`Map::user_value_size`] bytes.
    fn user_update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.update(key, value, flags, 0)
    }

    /// `BPF_MAP_LOOKUP_AND_DELETE_ELEM`
    fn user_lookup_and_delete(&self, key: &[u8], out: &mut [u8]) -> Result<(), Errno> {
        let _ = (key, out);
        Err(Errno::ENOTSUPP)
    }

    /// `BPF_MAP_GET_NEXT_KEY`: the key after `key` into `out`, from the start without a key or
    /// with one that is not there; `ENOENT` at the end.
    fn next_key(&self, key: Option<&[u8]>, out: &mut [u8]) -> Result<(), Errno> {
        let _ = (key, out);
        Err(Errno::EINVAL)
    }

    /// Where the values are, where a lookup is nothing but an index: [`crate::Array`].
    fn direct_values(&self) -> Option<DirectValues> {
        None
    }

    /// The file behind the map where user space may map it.
    fn memfd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether an access of `len` bytes lies in one value that programs may point to (or, for
    /// reads, in one key): for runs in which every access is checked. Slow.
    fn holds(&self, address: u64, len: u64, write: bool) -> bool {
        let _ = (address, len, write);
        false
    }

    /// The map as its own type, to be cast back.
    fn as_any(&self) -> &dyn Any;

    /// Bytes of the host and the cage that it takes, roughly (`memlock` in fdinfo).
    fn memory(&self) -> u64;
}

/// Whether an access lies within the first `size` bytes of one of `count` elements, `stride` bytes
/// apart.
pub(crate) fn in_element(
    base: u64,
    stride: u64,
    count: u64,
    size: u64,
    address: u64,
    len: u64,
) -> bool {
    let Some(offset) = address.checked_sub(base) else {
        return false;
    };
    stride != 0
        && offset / stride < count
        && (offset % stride)
            .checked_add(len)
            .is_some_and(|end| end <= size)
}

/// Reads a key of type u32.
#[inline(always)]
pub(crate) fn index_key(key: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(key.try_into().ok()?))
}

/// The order of keys of an array: next index, or `ENOENT` after the last.
pub(crate) fn next_index(
    key: Option<&[u8]>,
    max_entries: u32,
    out: &mut [u8],
) -> Result<(), Errno> {
    let next = match key.and_then(index_key) {
        Some(index) if index < max_entries => index + 1,
        _ => 0,
    };
    if next >= max_entries {
        return Err(Errno::ENOENT);
    }
    match out.get_mut(..4) {
        Some(out) => out.copy_from_slice(&next.to_ne_bytes()),
        None => return Err(Errno::EINVAL),
    }
    Ok(())
}

/// Copies per-CPU values out, one after another.
///
/// # Safety
/// `at(cpu)` is mapped for the value's size.
pub(crate) unsafe fn copy_out_percpu(
    def: &MapDef,
    cpus: u32,
    at: impl Fn(u32) -> NonNull<u8>,
    out: &mut [u8],
) -> Result<(), Errno> {
    let stride = def.value_stride();
    if out.len() != stride * cpus as usize {
        return Err(Errno::EINVAL);
    }
    for (cpu, part) in out.chunks_exact_mut(stride).enumerate() {
        part.fill(0);
        // SAFETY: the caller's promise.
        unsafe { def.copy_out(at(cpu as u32), part) };
    }
    Ok(())
}

/// Copies per-CPU values in, one after another.
///
/// # Safety
/// `at(cpu)` is mapped for the value's size.
pub(crate) unsafe fn copy_in_percpu(
    def: &MapDef,
    cpus: u32,
    at: impl Fn(u32) -> NonNull<u8>,
    values: &[u8],
) -> Result<(), Errno> {
    let stride = def.value_stride();
    if values.len() != stride * cpus as usize {
        return Err(Errno::EINVAL);
    }
    for (cpu, part) in values.chunks_exact(stride).enumerate() {
        // SAFETY: the caller's promise.
        unsafe { def.copy_in(at(cpu as u32), part) };
    }
    Ok(())
}

/// Sets a value that only one CPU has: the others' are zero (`pcpu_init_value`).
///
/// # Safety
/// `at(cpu)` is mapped for the value's size rounded up to 8.
pub(crate) unsafe fn init_percpu(
    def: &MapDef,
    cpus: u32,
    own: u32,
    at: impl Fn(u32) -> NonNull<u8>,
    value: &[u8],
) {
    for cpu in 0..cpus {
        // SAFETY: the caller's promise.
        unsafe {
            if cpu == own {
                def.copy_in(at(cpu), value);
            } else {
                bytes::zero(at(cpu), def.value_size as usize);
            }
        }
    }
}
