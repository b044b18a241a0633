//! Map types against slow, obvious models; and from several threads at once.

mod common;

use std::collections::BTreeMap;

use common::{Answer, Op, Panal, Subject};
use panal_maps::{HashMap, MapDef};
use panal_uapi::{Errno, MapType, kernel::MapFlags};
use proptest::prelude::*;

/// What a hash or array should do, written down plainly.
struct Model {
    def: MapDef,
    elements: BTreeMap<Vec<u8>, Vec<u8>>,
    value_size: usize,
    array: bool,
}

impl Model {
    fn new(def: &MapDef, value_size: usize) -> Model {
        let array = matches!(def.map_type, MapType::Array | MapType::PercpuArray);
        let mut elements = BTreeMap::new();
        if array {
            for i in 0..def.max_entries {
                elements.insert(i.to_ne_bytes().to_vec(), vec![0; value_size]);
            }
        }
        Model {
            def: def.clone(),
            elements,
            value_size,
            array,
        }
    }

    fn apply(&mut self, op: &Op) -> Answer {
        let no = |e: Errno| Err(e.0);
        match op {
            Op::Lookup(key) => self.elements.get(key).cloned().ok_or(Errno::ENOENT.0),
            Op::Update(key, value, flags) => {
                let there = self.elements.contains_key(key);
                let full = self.elements.len() >= self.def.max_entries as usize;
                match flags {
                    // The system call refuses a lock before it looks at the key.
                    f if f & 4 != 0 => return no(Errno::EINVAL),
                    0..=2 => {}
                    _ => return no(Errno::EINVAL),
                }
                match (there, flags) {
                    (false, _) if self.array => return no(Errno::E2BIG),
                    (true, 1) => return no(Errno::EEXIST),
                    (false, 2) => return no(Errno::ENOENT),
                    (false, _) if full => return no(Errno::E2BIG),
                    _ => {}
                }
                assert_eq!(value.len(), self.value_size);
                self.elements.insert(key.clone(), value.clone());
                Ok(Vec::new())
            }
            Op::Delete(_) if self.array => no(Errno::EINVAL),
            Op::Delete(key) => self
                .elements
                .remove(key)
                .map(|_| Vec::new())
                .ok_or(Errno::ENOENT.0),
            Op::Take(_) if self.array => no(Errno::ENOTSUPP),
            Op::Take(key) => self.elements.remove(key).ok_or(Errno::ENOENT.0),
            Op::Next(_) => unreachable!("not generated"),
        }
    }
}

fn op(key_size: usize, value_size: usize) -> impl Strategy<Value = Op> {
    // Few keys, so that they meet.
    let key = (0u8..24, 0..key_size).prop_map(move |(n, at)| {
        let mut key = vec![0; key_size];
        key[at % 2 * (key_size - 1)] = n;
        key
    });
    let value = any::<u8>().prop_map(move |b| (0..value_size).map(|i| b ^ i as u8).collect());
    let flags = prop_oneof![6 => Just(0u64), 1 => 0u64..9];
    prop_oneof![
        4 => (key.clone(), value, flags).prop_map(|(k, v, f)| Op::Update(k, v, f)),
        3 => key.clone().prop_map(Op::Lookup),
        2 => key.clone().prop_map(Op::Delete),
        1 => key.prop_map(Op::Take),
    ]
}

fn story() -> impl Strategy<Value = (MapDef, Vec<Op>)> {
    let types = prop::sample::select(vec![
        MapType::Hash,
        MapType::PercpuHash,
        MapType::Array,
        MapType::PercpuArray,
    ]);
    let key = prop::sample::select(vec![4u32, 8, 16, 1, 3, 12, 37]);
    let value = prop::sample::select(vec![1u32, 4, 8, 24, 33]);
    (types, key, value, 1u32..20, any::<bool>()).prop_flat_map(|(t, key, value, entries, lazy)| {
        let array = matches!(t, MapType::Array | MapType::PercpuArray);
        let percpu = matches!(t, MapType::PercpuArray | MapType::PercpuHash);
        let key = if array { 4 } else { key };
        let mut def = MapDef::new(t, key, value, entries);
        if lazy && !array {
            def = def.with_flags(MapFlags::NO_PREALLOC);
        }
        // Per-CPU values without gaps, so that what is read is what was written.
        if percpu {
            def.value_size = value.next_multiple_of(8);
        }
        let size = def.value_size as usize * if percpu { 3 } else { 1 };
        prop::collection::vec(op(key as usize, size), 1..80).prop_map(move |ops| (def.clone(), ops))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]
    #[test]
    fn hashes_and_arrays_do_what_the_model_does((def, ops) in story()) {
        let panal = Panal::new(&def, 3).unwrap();
        let mut model = Model::new(&def, panal.map.user_value_size());
        for op in &ops {
            prop_assert_eq!(panal.apply(op), model.apply(op), "{:?}", op);
        }
        // Every key once, and then no more.
        let mut keys: Vec<Vec<u8>> = Vec::new();
        while let Ok(key) = panal.apply(&Op::Next(keys.last().cloned())) {
            keys.push(key);
            prop_assert!(keys.len() <= model.elements.len());
        }
        keys.sort();
        let mut expected: Vec<Vec<u8>> = model.elements.keys().cloned().collect();
        expected.sort();
        prop_assert_eq!(keys, expected);
        let mut visited = 0;
        panal.map.for_each(1, &mut |_, _| { visited += 1; true }).unwrap();
        prop_assert_eq!(visited, model.elements.len());
    }

    #[test]
    fn tries_find_the_longest_prefix(
        prefixes in prop::collection::vec((0u32..=32, any::<u32>(), any::<bool>()), 0..60),
        questions in prop::collection::vec(any::<u32>(), 1..40),
        mask in prop::sample::select(vec![u32::MAX, 0xf000_0000, 0xff00_00ff]),
    ) {
        let def = MapDef::new(MapType::LpmTrie, 8, 4, 1000).with_flags(MapFlags::NO_PREALLOC);
        let panal = Panal::new(&def, 1).unwrap();
        let mut model: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        let key = |bits: u32, address: u32| [bits.to_ne_bytes(), address.to_be_bytes()].concat();
        let cut = |bits: u32, address: u32| {
            if bits == 0 { 0 } else { address & (u32::MAX << (32 - bits)) }
        };
        for (i, &(bits, address, remove)) in prefixes.iter().enumerate() {
            let address = address & mask;
            let short = (bits, cut(bits, address));
            if remove {
                let there = model.remove(&short).is_some();
                prop_assert_eq!(panal.map.delete(&key(bits, address)).is_ok(), there);
            } else {
                let value = i as u32;
                model.insert(short, value);
                panal.map.update(&key(bits, address), &value.to_ne_bytes(), 0, 0).unwrap();
            }
            for &address in &questions {
                let address = address & mask;
                let best = (0..=32).rev().find_map(|b| model.get(&(b, cut(b, address))));
                let mut out = [0; 4];
                let found = panal.map.user_lookup(&key(32, address), &mut out);
                prop_assert_eq!(found.ok().map(|()| u32::from_ne_bytes(out)), best.copied());
            }
        }
        let mut count = 0;
        let mut last = None;
        while let Ok(next) = panal.apply(&Op::Next(last.clone())) {
            count += 1;
            prop_assert!(count <= model.len());
            last = Some(next);
        }
        prop_assert_eq!(count, model.len());
    }
}

fn key(n: u32) -> Vec<u8> {
    n.to_ne_bytes().to_vec()
}

#[test]
fn an_lru_map_never_is_full_and_keeps_what_is_used() {
    for flags in [MapFlags::empty(), MapFlags::NO_COMMON_LRU] {
        for map_type in [MapType::LruHash, MapType::LruPercpuHash] {
            let def = MapDef::new(map_type, 4, 8, 100).with_flags(flags);
            let panal = Panal::new(&def, 2).unwrap();
            for n in 0..100 {
                panal.map.update(&key(n), &[1; 8], 0, 0).unwrap();
            }
            for n in 100..1000 {
                for used in 0..10 {
                    assert!(panal.map.lookup(&key(used), 0).is_some(), "{used} at {n}");
                }
                panal.map.update(&key(n), &[2; 8], 0, 0).unwrap();
            }
            let map = panal.map.as_any().downcast_ref::<HashMap>().unwrap();
            assert_eq!(map.len(), 100);
            assert!(panal.map.lookup(&key(999), 0).is_some());
            assert!(panal.map.lookup(&key(500), 0).is_none());
        }
    }
}

#[test]
fn a_replaced_value_stays_whole_for_those_who_hold_it() {
    let panal = Panal::new(&MapDef::new(MapType::Hash, 4, 8, 4), 1).unwrap();
    panal.map.update(&key(1), &[1; 8], 0, 0).unwrap();
    let old = panal.map.lookup(&key(1), 0).unwrap();
    panal.map.update(&key(1), &[2; 8], 0, 0).unwrap();
    let new = panal.map.lookup(&key(1), 0).unwrap();
    assert_ne!(old, new);
    let read = |at| {
        let mut out = [0; 8];
        // SAFETY: values of eight bytes that stay mapped while the map lives.
        unsafe { panal_maps::bytes::read(at, &mut out) };
        out
    };
    assert_eq!((read(old), read(new)), ([1; 8], [2; 8]));
}

/// Readers, writers and deleters on a map with few keys: a value found is always one that was
/// written for its key, and in the end the counts are right.
fn storm(def: &MapDef) {
    let panal = Panal::new(def, 4).unwrap();
    let map = &*panal.map;
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            scope.spawn(move || {
                let mut x = u64::from(thread) + 1;
                for _ in 0..20_000 {
                    x ^= x << 13;
                    x ^= x >> 7;
                    x ^= x << 17;
                    let n = (x % 40) as u32;
                    let mut value = [0u8; 16];
                    value[..4].copy_from_slice(&n.to_ne_bytes());
                    value[8..12].copy_from_slice(&n.to_ne_bytes());
                    match x >> 32 & 3 {
                        0 => {
                            let result = map.update(&key(n), &value, 0, thread);
                            assert!(matches!(result, Ok(()) | Err(Errno::E2BIG)), "{result:?}");
                        }
                        1 => {
                            let _ = map.delete(&key(n));
                        }
                        _ => {
                            let _ = map.lookup(&key(n), thread);
                            let mut out = vec![0; map.user_value_size()];
                            let _ = map.user_lookup(&key(n), &mut out);
                        }
                    }
                }
            });
        }
    });
    let mut keys = std::collections::BTreeSet::new();
    map.for_each(0, &mut |k, value| {
        let panal_maps::ElementKey::InCage(k) = k else {
            panic!("a key in the cage")
        };
        let (mut key, mut out) = ([0; 4], [0; 16]);
        // SAFETY: key and value of an element.
        unsafe {
            panal_maps::bytes::read(k, &mut key);
            panal_maps::bytes::read(value, &mut out);
        }
        assert!(keys.insert(key), "twice: {key:?}");
        assert!(out[..4] == key || out[..4] == [0; 4]);
        true
    })
    .unwrap();
    let hash = map.as_any().downcast_ref::<HashMap>().unwrap();
    assert_eq!(hash.len() as usize, keys.len());
    for k in keys {
        map.delete(&k).unwrap();
    }
    assert_eq!(hash.len(), 0);
}

#[test]
fn hashes_stand_many_threads() {
    for map_type in [
        MapType::Hash,
        MapType::PercpuHash,
        MapType::LruHash,
        MapType::LruPercpuHash,
    ] {
        storm(&MapDef::new(map_type, 4, 16, 32));
    }
    storm(&MapDef::new(MapType::Hash, 4, 16, 64).with_flags(MapFlags::NO_PREALLOC));
}

#[test]
fn a_large_hash_holds_what_it_promises() {
    for flags in [MapFlags::empty(), MapFlags::NO_PREALLOC] {
        let def = MapDef::new(MapType::Hash, 8, 8, 50_000).with_flags(flags);
        let panal = Panal::new(&def, 1).unwrap();
        for n in 0..50_000u64 {
            panal
                .map
                .update(&n.to_ne_bytes(), &(n * 3).to_ne_bytes(), 1, 0)
                .unwrap();
        }
        assert_eq!(
            panal.map.update(&u64::MAX.to_ne_bytes(), &[0; 8], 0, 0),
            Err(Errno::E2BIG)
        );
        for n in 0..50_000u64 {
            let mut out = [0; 8];
            panal.map.user_lookup(&n.to_ne_bytes(), &mut out).unwrap();
            assert_eq!(u64::from_ne_bytes(out), n * 3);
        }
    }
}

#[test]
fn absurd_sizes_are_refused() {
    for (map_type, key, value, entries) in [
        (MapType::Array, 4, 1 << 20, u32::MAX),
        (MapType::Array, 4, u32::MAX, 1),
        (MapType::Hash, 4, 4, u32::MAX),
        (MapType::Hash, u32::MAX, u32::MAX, 1),
        (MapType::PercpuArray, 4, 32768, u32::MAX),
        (MapType::LruHash, 8, 4 << 20, 1 << 20),
        (MapType::ProgArray, 4, 4, u32::MAX),
        (MapType::Queue, 0, 1 << 20, u32::MAX),
        (MapType::Ringbuf, 0, 0, 1 << 31),
    ] {
        // A table of pointers may be had where the system overcommits: then it is no mistake.
        if let Err(errno) = Panal::new(&MapDef::new(map_type, key, value, entries), 2) {
            assert!([7, 12, 22].contains(&errno), "{map_type}: {errno}");
        } else {
            assert_eq!(map_type, MapType::ProgArray);
        }
    }
}
