//! Helpers on maps that are known when a program is loaded: called with the map itself, compiled for
//! its kind and its size of keys. Other maps, and keys of other sizes, take the helpers that any
//! map has.

use std::ptr::NonNull;

use panal_maps::{
    Array, BloomFilter, HashKind, HashMap, LpmTrie, Map, ObjectHash, PercpuArray, Queue, RingBuf,
    Storage, bytes, hash_kind as kind,
};
use panal_uapi::{Errno, helpers::id};
use panal_vm::{HelperFn, KeyByValue, MapHelper, Run};

use super::{call::IntoReturn, redirect, ringbuf, storage};
use crate::maps;

/// A function of a size of keys: of the usual ones, each compiled by itself.
macro_rules! of_size {
    ($size:expr, $function:ident; $($n:literal)*) => {
        match $size {
            $($n => Some($function::<$n> as HelperFn),)*
            _ => None,
        }
    };
    ($size:expr, $function:ident, $kind:ident; $($n:literal)*) => {
        match $size {
            $($n => Some($function::<$n, $kind> as HelperFn),)*
            _ => None,
        }
    };
}

/// The same of all sizes that there are functions for.
macro_rules! of_any_size {
    ($size:expr, $($what:ident),*) => {
        of_size!($size, $($what),*; 1 2 4 6 8 12 16 20 24 32 36 40 48 64)
    };
}

pub(super) use of_size;

/// How programs call a helper on a map.
pub(crate) fn of(helper: u32, kernels: &maps::Map) -> Option<MapHelper> {
    let map: &dyn Map = &**kernels.core();
    let any = map.as_any();
    let key_size = map.base().def().key_size;
    if helper == id::BPF_FUNC_redirect_map {
        return Some(by_address(kernels, redirect::by(kernels)?));
    }
    if let Some(hash) = any.downcast_ref::<HashMap>() {
        let (function, by_value, arguments) = on_hash(helper, hash, key_size)?;
        return Some(MapHelper {
            by_value: by_value.map(|function| KeyByValue {
                function,
                size: key_size,
                arguments,
            }),
            ..by_address(hash, function)
        });
    }
    if let Some(ring) = any.downcast_ref::<RingBuf>() {
        let function: HelperFn = match helper {
            id::BPF_FUNC_ringbuf_reserve => ringbuf::reserve_in,
            id::BPF_FUNC_ringbuf_output => ringbuf::output_to,
            id::BPF_FUNC_ringbuf_query => ringbuf::query_of,
            _ => return None,
        };
        return Some(by_address(ring, function));
    }
    if let Some(queue) = any.downcast_ref::<Queue>() {
        let function: HelperFn = match helper {
            id::BPF_FUNC_map_push_elem => push,
            id::BPF_FUNC_map_pop_elem => take::<true>,
            id::BPF_FUNC_map_peek_elem => take::<false>,
            _ => return None,
        };
        return Some(by_address(queue, function));
    }
    if let Some(array) = any.downcast_ref::<Array>() {
        if helper != id::BPF_FUNC_map_update_elem || !array.is_quick() {
            return None;
        }
        return Some(update_of(array));
    }
    if let Some(array) = any.downcast_ref::<PercpuArray>() {
        if helper != id::BPF_FUNC_map_update_elem || !array.is_quick() {
            return None;
        }
        return Some(update_of(array));
    }
    if let Some(maps) = any.downcast_ref::<ObjectHash>() {
        if helper != id::BPF_FUNC_map_lookup_elem {
            return None;
        }
        return Some(MapHelper {
            by_value: of_size!(key_size, object_by_value; 4 8 12 16).map(|function| KeyByValue {
                function,
                size: key_size,
                arguments: &[2, 3],
            }),
            ..by_address(maps, of_any_size!(key_size, object_by)?)
        });
    }
    if let Some(filter) = any.downcast_ref::<BloomFilter>() {
        let function: HelperFn = match (helper, map.base().def().value_size) {
            (id::BPF_FUNC_map_peek_elem, 4) => bloom_has::<4>,
            (id::BPF_FUNC_map_peek_elem, 8) => bloom_has::<8>,
            (id::BPF_FUNC_map_peek_elem, 16) => bloom_has::<16>,
            _ => return None,
        };
        return Some(by_address(filter, function));
    }
    if let Some(values) = any.downcast_ref::<Storage>() {
        let function: HelperFn = match helper {
            id::BPF_FUNC_get_local_storage => storage::of_cgroup_in,
            id::BPF_FUNC_sk_storage_get => storage::of_socket_in,
            id::BPF_FUNC_task_storage_get => storage::of_task_in,
            _ => return None,
        };
        return Some(by_address(values, function));
    }
    let trie: &LpmTrie = any.downcast_ref()?;
    if helper != id::BPF_FUNC_map_lookup_elem {
        return None;
    }
    // The addresses of IPv4 and IPv6, with how many bits count.
    let (function, by_value): (HelperFn, HelperFn) = match key_size {
        8 => (trie_lookup::<8>, trie_lookup_value::<8>),
        20 => (trie_lookup::<20>, trie_lookup_value::<20>),
        _ => return None,
    };
    Some(MapHelper {
        by_value: Some(KeyByValue {
            function: by_value,
            size: key_size,
            arguments: &[2, 3, 4],
        }),
        ..by_address(trie, function)
    })
}

/// A helper on a map, with all its arguments as programs give them.
fn by_address<M>(map: &M, function: HelperFn) -> MapHelper {
    MapHelper {
        function,
        data: std::ptr::from_ref(map) as u64,
        by_value: None,
    }
}

/// The update of an array's elements, with the index by value, too.
fn update_of<M: Elements>(map: &M) -> MapHelper {
    MapHelper {
        by_value: Some(KeyByValue {
            function: element_put_value::<M>,
            size: 4,
            arguments: &[2],
        }),
        ..by_address(map, element_put::<M>)
    }
}

/// A helper's function, the one that gets the key by value, and the arguments that has it in.
type OnHash = (HelperFn, Option<HelperFn>, &'static [u8]);

fn on_hash(helper: u32, map: &HashMap, size: u32) -> Option<OnHash> {
    match helper {
        id::BPF_FUNC_map_lookup_elem => {
            let [function, by_value] = match map.kind() {
                HashKind::Plain => lookups::<{ kind::PLAIN }>(size),
                HashKind::Percpu => lookups::<{ kind::PERCPU }>(size),
                HashKind::Lru => lookups::<{ kind::LRU }>(size),
                HashKind::LruPercpu => lookups::<{ kind::LRU_PERCPU }>(size),
            };
            Some((function?, by_value, &[2, 3, 4, 5]))
        }
        id::BPF_FUNC_map_update_elem if map.is_quick() => {
            let [function, by_value] = match map.kind() {
                HashKind::Plain => updates::<{ kind::PLAIN }>(size),
                HashKind::Percpu => updates::<{ kind::PERCPU }>(size),
                HashKind::Lru => updates::<{ kind::LRU }>(size),
                HashKind::LruPercpu => updates::<{ kind::LRU_PERCPU }>(size),
            };
            // The third and fourth argument are value and flags.
            Some((function?, by_value, &[2, 5]))
        }
        id::BPF_FUNC_map_lookup_percpu_elem
            if matches!(map.kind(), HashKind::Percpu | HashKind::LruPercpu) =>
        {
            Some((of_any_size!(size, lookup_on)?, None, &[]))
        }
        id::BPF_FUNC_map_delete_elem if map.is_quick() => {
            let by_value = of_size!(size, remove_value; 1 2 4 6 8 12 16 20 24 32);
            Some((of_any_size!(size, remove)?, by_value, &[2, 3, 4, 5]))
        }
        _ => None,
    }
}

fn lookups<const KIND: u8>(size: u32) -> [Option<HelperFn>; 2] {
    [
        of_any_size!(size, lookup, KIND),
        of_size!(size, lookup_value, KIND; 1 2 4 6 8 12 16 20 24 32),
    ]
}

fn updates<const KIND: u8>(size: u32) -> [Option<HelperFn>; 2] {
    [
        of_any_size!(size, put, KIND),
        of_size!(size, put_value, KIND; 1 2 4 6 8 12 16),
    ]
}

/// A key that a program points to.
#[inline(always)]
pub(super) fn key_at<const KEY: usize>(run: &Run, at: u64) -> Option<[u8; KEY]> {
    let at = run.pointer(at, KEY as u64)?;
    // SAFETY: in the cage, all of which is mapped.
    Some(unsafe { bytes::read_key(at) })
}

/// A key by its words.
#[inline(always)]
fn key_of<const KEY: usize>(words: [u64; 4]) -> [u8; KEY] {
    let mut key = [0; KEY];
    for (part, word) in key.chunks_mut(8).zip(words) {
        part.copy_from_slice(&word.to_le_bytes()[..part.len()]);
    }
    key
}

/// A value as programs hold it.
#[inline(always)]
pub(super) fn address(value: NonNull<u8>) -> u64 {
    value.as_ptr() as u64
}

/// # Safety
/// `map` is the address of a [`HashMap`] of this kind with keys of `KEY` bytes, which the program
/// holds as long as it lives; the rest as for every [`HelperFn`].
unsafe extern "C" fn lookup<const KEY: usize, const KIND: u8>(
    map: u64,
    key: u64,
    _: u64,
    _: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise; the run is on its CPU.
    unsafe {
        let (map, run) = (&*(map as *const HashMap), &*run);
        key_at::<KEY>(run, key)
            .and_then(|key| map.value_of::<KEY, KIND>(&key, run.cpu))
            .map_or(0, address)
    }
}

/// # Safety
/// As for [`lookup`], with the key's words in place of its address.
unsafe extern "C" fn lookup_value<const KEY: usize, const KIND: u8>(
    map: u64,
    first: u64,
    second: u64,
    third: u64,
    fourth: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise; the run is on its CPU.
    unsafe {
        let (map, run) = (&*(map as *const HashMap), &*run);
        map.value_of::<KEY, KIND>(&key_of([first, second, third, fourth]), run.cpu)
            .map_or(0, address)
    }
}

/// # Safety
/// As for [`lookup`], of a map with a value for each CPU.
unsafe extern "C" fn lookup_on<const KEY: usize>(
    map: u64,
    key: u64,
    cpu: u64,
    _: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        let (map, run) = (&*(map as *const HashMap), &*run);
        key_at::<KEY>(run, key)
            .and_then(|key| map.value_on(&key, cpu as u32))
            .map_or(0, address)
    }
}

/// An index that a program points to.
#[inline(always)]
fn index_at(run: &Run, at: u64) -> Option<u32> {
    key_at::<4>(run, at).map(u32::from_ne_bytes)
}

/// An array whose elements are updated here.
trait Elements: Map {
    /// # Safety
    /// The array is quick; `value` is mapped readable for a value; who calls is on the CPU `cpu`.
    unsafe fn put_at(
        &self,
        index: u32,
        value: NonNull<u8>,
        flags: u64,
        cpu: u32,
    ) -> Result<(), Errno>;
}

impl Elements for Array {
    #[inline(always)]
    unsafe fn put_at(
        &self,
        index: u32,
        value: NonNull<u8>,
        flags: u64,
        _: u32,
    ) -> Result<(), Errno> {
        // SAFETY: the caller's promise.
        unsafe { self.put(index, value, flags) }
    }
}

impl Elements for PercpuArray {
    #[inline(always)]
    unsafe fn put_at(
        &self,
        index: u32,
        value: NonNull<u8>,
        flags: u64,
        cpu: u32,
    ) -> Result<(), Errno> {
        // SAFETY: the caller's promise.
        unsafe { self.put(index, value, flags, cpu) }
    }
}

/// # Safety
/// As for [`lookup`], of a quick array of this type.
#[inline(always)]
unsafe fn put_element<M: Elements>(
    map: u64,
    index: Option<u32>,
    value: u64,
    flags: u64,
    run: &Run,
) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    let map = unsafe { &*(map as *const M) };
    let size = u64::from(map.base().def().value_size);
    let (Some(index), Some(value)) = (index, run.pointer(value, size)) else {
        return Err(Errno::EFAULT);
    };
    // SAFETY: the caller's promise; the value is in the cage; the run is on its CPU.
    unsafe { map.put_at(index, value, flags, run.cpu) }
}

/// # Safety
/// As for [`put_element`].
unsafe extern "C" fn element_put<M: Elements>(
    map: u64,
    key: u64,
    value: u64,
    flags: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { put_element::<M>(map, index_at(&*run, key), value, flags, &*run) }.into_return()
}

/// # Safety
/// As for [`put_element`], with the index in place of its address.
unsafe extern "C" fn element_put_value<M: Elements>(
    map: u64,
    index: u64,
    value: u64,
    flags: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { put_element::<M>(map, Some(index as u32), value, flags, &*run) }.into_return()
}

/// # Safety
/// As for [`lookup`], of an [`ObjectHash`].
unsafe extern "C" fn object_by<const KEY: usize>(
    map: u64,
    key: u64,
    _: u64,
    _: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise; the run is on its CPU.
    unsafe {
        let (map, run) = (&*(map as *const ObjectHash), &*run);
        key_at::<KEY>(run, key).map_or(0, |key| map.address_of(&key, run.cpu))
    }
}

/// # Safety
/// As for [`object_by`], with the key's words in place of its address.
unsafe extern "C" fn object_by_value<const KEY: usize>(
    map: u64,
    first: u64,
    second: u64,
    _: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise; the run is on its CPU.
    unsafe {
        let map = &*(map as *const ObjectHash);
        map.address_of(&key_of::<KEY>([first, second, 0, 0]), (*run).cpu)
    }
}

/// # Safety
/// As for [`lookup`], of a [`BloomFilter`] with values of so many bytes.
unsafe extern "C" fn bloom_has<const SIZE: usize>(
    map: u64,
    value: u64,
    _: u64,
    _: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise.
    let (map, run) = unsafe { (&*(map as *const BloomFilter), &*run) };
    let has = match key_at::<SIZE>(run, value) {
        Some(value) if map.has(&value) => Ok(()),
        Some(_) => Err(Errno::ENOENT),
        None => Err(Errno::EFAULT),
    };
    has.into_return()
}

/// # Safety
/// As for [`lookup`], of a map that [`HashMap::is_quick`].
#[inline(always)]
unsafe fn store<const KEY: usize, const KIND: u8>(
    map: u64,
    key: Option<[u8; KEY]>,
    value: u64,
    flags: u64,
    run: &Run,
) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    let map = unsafe { &*(map as *const HashMap) };
    let size = u64::from(map.base().def().value_size);
    let (Some(key), Some(value)) = (key, run.pointer(value, size)) else {
        return Err(Errno::EFAULT);
    };
    // SAFETY: the caller's promise; the run is on its CPU; the value is in the cage.
    unsafe { map.put::<KEY, KIND>(&key, value, flags, run.cpu) }
}

/// # Safety
/// As for [`store`].
unsafe extern "C" fn put<const KEY: usize, const KIND: u8>(
    map: u64,
    key: u64,
    value: u64,
    flags: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise.
    let result = unsafe { store::<KEY, KIND>(map, key_at(&*run, key), value, flags, &*run) };
    result.into_return()
}

/// # Safety
/// As for [`put`], with the key's words in place of its address and behind the flags.
unsafe extern "C" fn put_value<const KEY: usize, const KIND: u8>(
    map: u64,
    first: u64,
    value: u64,
    flags: u64,
    second: u64,
    run: *mut Run,
) -> u64 {
    let key = key_of([first, second, 0, 0]);
    // SAFETY: the caller's promise.
    let result = unsafe { store::<KEY, KIND>(map, Some(key), value, flags, &*run) };
    result.into_return()
}

/// # Safety
/// As for [`put`].
unsafe extern "C" fn remove<const KEY: usize>(
    map: u64,
    key: u64,
    _: u64,
    _: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise; the run is on its CPU.
    let result = unsafe {
        match key_at::<KEY>(&*run, key) {
            Some(key) => (*(map as *const HashMap)).remove(&key, (*run).cpu),
            None => Err(Errno::EFAULT),
        }
    };
    result.into_return()
}

/// # Safety
/// As for [`remove`], with the key's words in place of its address.
unsafe extern "C" fn remove_value<const KEY: usize>(
    map: u64,
    first: u64,
    second: u64,
    third: u64,
    fourth: u64,
    run: *mut Run,
) -> u64 {
    let key = key_of::<KEY>([first, second, third, fourth]);
    // SAFETY: the caller's promise; the run is on its CPU.
    let result = unsafe { (*(map as *const HashMap)).remove(&key, (*run).cpu) };
    result.into_return()
}

/// # Safety
/// As for [`lookup`], of a [`Queue`], with a value.
unsafe extern "C" fn push(map: u64, value: u64, flags: u64, _: u64, _: u64, run: *mut Run) -> u64 {
    // SAFETY: the caller's promise; the value is in the cage.
    let result = unsafe {
        let map = &*(map as *const Queue);
        match (*run).pointer(value, map.base().def().value_size.into()) {
            Some(value) => map.push_from(value, flags),
            None => Err(Errno::EFAULT),
        }
    };
    result.into_return()
}

/// # Safety
/// As for [`push`], with room for a value.
unsafe extern "C" fn take<const REMOVE: bool>(
    map: u64,
    to: u64,
    _: u64,
    _: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise; the room is in the cage.
    let result = unsafe {
        let map = &*(map as *const Queue);
        match (*run).pointer(to, map.base().def().value_size.into()) {
            Some(to) => map.take_to(to, REMOVE),
            None => Err(Errno::EFAULT),
        }
    };
    result.into_return()
}

/// The value of an address whose key these words have, the first byte lowest: none of them is written
/// down, and waited for, to be read at another place.
#[inline(always)]
fn route<const KEY: usize>(map: &LpmTrie, [first, second, third]: [u64; 3]) -> u64 {
    let bits = u32::from_ne_bytes((first as u32).to_le_bytes());
    let value = match KEY {
        // An address of IPv4.
        8 => map.value_at(&[(first >> 32 << 32).swap_bytes() << 32], bits),
        _ => {
            let words = [first >> 32 | second << 32, second >> 32 | third << 32];
            map.value_at(&words.map(u64::swap_bytes), bits)
        }
    };
    value.map_or(0, address)
}

/// # Safety
/// As for [`lookup`], of an [`LpmTrie`] with addresses of IPv4 or IPv6.
unsafe extern "C" fn trie_lookup<const KEY: usize>(
    map: u64,
    key: u64,
    _: u64,
    _: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise.
    let (map, run) = unsafe { (&*(map as *const LpmTrie), &*run) };
    let Some(at) = run.pointer(key, KEY as u64) else {
        return 0;
    };
    // By halves, as likely as words to be what was written.
    let half = |i: usize| match 4 * i < KEY {
        // SAFETY: within the key, which is in the cage.
        true => u64::from(unsafe { bytes::read_u32(at.add(4 * i)) }.to_le()),
        false => 0,
    };
    let word = |i: usize| half(2 * i) | half(2 * i + 1) << 32;
    route::<KEY>(map, [word(0), word(1), word(2)])
}

/// # Safety
/// As for [`trie_lookup`], with the key's words in place of its address.
unsafe extern "C" fn trie_lookup_value<const KEY: usize>(
    map: u64,
    first: u64,
    second: u64,
    third: u64,
    _: u64,
    _: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise.
    let map = unsafe { &*(map as *const LpmTrie) };
    route::<KEY>(map, [first, second, third])
}
