//! `bpf_map_lookup_elem` on a hash map or a trie that is known when a program is loaded: called with
//! the map itself, for its size of keys. Keys of any other size, and other maps, take the helper.

use panal_maps::{HashMap, LpmTrie, Map, bytes};
use panal_vm::{HelperFn, MapLookup, Run};

/// How programs look up values of a map.
pub(crate) fn of(map: &dyn Map) -> Option<MapLookup> {
    let key_size = map.base().def().key_size;
    if let Some(hash) = map.as_any().downcast_ref::<HashMap>() {
        return Some(MapLookup::Function {
            function: by_size(key_size)?,
            data: std::ptr::from_ref(hash) as u64,
        });
    }
    let trie: &LpmTrie = map.as_any().downcast_ref()?;
    Some(MapLookup::Function {
        // The addresses of IPv4 and IPv6, with how many bits count.
        function: match key_size {
            8 => trie_lookup::<8>,
            20 => trie_lookup::<20>,
            _ => return None,
        },
        data: std::ptr::from_ref(trie) as u64,
    })
}

fn by_size(key_size: u32) -> Option<HelperFn> {
    Some(match key_size {
        1 => hash_lookup::<1>,
        2 => hash_lookup::<2>,
        4 => hash_lookup::<4>,
        6 => hash_lookup::<6>,
        8 => hash_lookup::<8>,
        12 => hash_lookup::<12>,
        16 => hash_lookup::<16>,
        20 => hash_lookup::<20>,
        24 => hash_lookup::<24>,
        32 => hash_lookup::<32>,
        36 => hash_lookup::<36>,
        40 => hash_lookup::<40>,
        48 => hash_lookup::<48>,
        64 => hash_lookup::<64>,
        _ => return None,
    })
}

/// A key that a program points to.
fn key_at<const KEY: usize>(run: &Run, at: u64) -> Option<[u8; KEY]> {
    let at = run.pointer(at, KEY as u64)?;
    // SAFETY: in the cage, all of which is mapped.
    Some(unsafe { bytes::read_key(at) })
}

/// # Safety
/// `map` is the address of a [`HashMap`] with keys of `KEY` bytes, which the program holds as long
/// as it lives; the rest as for every [`HelperFn`].
unsafe extern "C" fn hash_lookup<const KEY: usize>(
    map: u64,
    key: u64,
    _: u64,
    _: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise.
    let (map, run) = unsafe { (&*(map as *const HashMap), &*run) };
    key_at::<KEY>(run, key)
        .and_then(|key| map.find_value(&key, run.cpu))
        .map_or(0, |value| value.as_ptr() as u64)
}

/// # Safety
/// As for [`hash_lookup`], of an [`LpmTrie`].
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
    key_at::<KEY>(run, key)
        .and_then(|key| map.lookup(&key, run.cpu))
        .map_or(0, |value| value.as_ptr() as u64)
}
