//! Types with an interface of their own: stacks, storages, objects, redirect targets, queues, bloom
//! filters.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use common::{Op, Panal, Subject};
use panal_maps::{
    Map, MapDef, Object, ObjectArray, ObjectHash, PerfEventArray, RedirectArray, StackTrace,
    Storage, bytes, fits_template, stack_trace_flags,
};
use panal_uapi::{Errno, MapType, kernel::MapFlags};

fn new(map_type: MapType, key: u32, value: u32, entries: u32, flags: MapFlags) -> Panal {
    Panal::new(
        &MapDef::new(map_type, key, value, entries).with_flags(flags),
        2,
    )
    .unwrap()
}

fn cast<T: 'static>(panal: &Panal) -> &T {
    panal.map.as_any().downcast_ref().expect("the type")
}

fn key(n: u32) -> Vec<u8> {
    n.to_ne_bytes().to_vec()
}

/// An object that counts its death.
struct Mortal(Arc<AtomicU32>);

impl Drop for Mortal {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn stacks_are_kept_by_content() {
    let panal = new(MapType::StackTrace, 4, 32, 4, MapFlags::empty());
    let map: &StackTrace = cast(&panal);
    let stack = |n: u8| vec![n; 24];
    let id = map.store(&stack(1), 0).unwrap();
    assert_eq!(map.store(&stack(1), 0), Ok(id));
    let mut expected = stack(1);
    expected.resize(32, 0);
    assert_eq!(panal.apply(&Op::Lookup(key(id))), Ok(expected));
    // Another stack with the same id, sooner or later: four places.
    let other = (2..100)
        .find(|&n| map.store(&stack(n), 0) == Err(Errno::EEXIST))
        .unwrap();
    let id = map
        .store(&stack(other), stack_trace_flags::REUSE_STACKID)
        .unwrap();
    assert_eq!(panal.apply(&Op::Lookup(key(id))).unwrap()[0], other);
    assert_eq!(panal.apply(&Op::Delete(key(id))), Ok(Vec::new()));
    assert_eq!(panal.apply(&Op::Lookup(key(id))), Err(Errno::ENOENT.0));
    assert_eq!(panal.apply(&Op::Delete(key(99))), Err(Errno::E2BIG.0));
}

#[test]
fn storages_hold_a_value_for_each_owner() {
    let panal = new(MapType::TaskStorage, 4, 8, 0, MapFlags::NO_PREALLOC);
    let map: &Storage = cast(&panal);
    assert!(map.get(7, 0).is_none());
    let at = map.get_or_create(7, None, 0).unwrap();
    assert_eq!(map.get_or_create(7, Some(&[1; 8]), 0), Some(at));
    let other = map.get_or_create(8, Some(&[1; 8]), 0).unwrap();
    assert_ne!(at, other);
    let mut out = [9; 8];
    // SAFETY: values of eight bytes.
    unsafe { bytes::write(at, &[3; 8]) };
    map.read(7, &mut out).unwrap();
    assert_eq!(out, [3; 8]);
    map.read(8, &mut out).unwrap();
    assert_eq!(out, [1; 8]);
    assert_eq!(map.remove(7), Ok(()));
    assert_eq!(map.remove(7), Err(Errno::ENOENT));
    assert_eq!(map.read(7, &mut out), Err(Errno::ENOENT));
    let panal = new(MapType::PercpuCgroupStorage, 16, 8, 0, MapFlags::empty());
    let map: &Storage = cast(&panal);
    assert_ne!(map.get_or_create(1, None, 0), map.get_or_create(1, None, 1));
}

#[test]
fn objects_die_when_nobody_can_see_them() {
    let panal = new(MapType::ProgArray, 4, 4, 3, MapFlags::empty());
    let map: &ObjectArray = cast(&panal);
    let dead = Arc::new(AtomicU32::new(0));
    let object = |id| Object::new(id, Arc::new(Mortal(dead.clone())));
    map.set(&key(1), object(10), 0).unwrap();
    assert_eq!(panal.apply(&Op::Lookup(key(1))), Ok(key(10)));
    let on = panal.host.cpus.enter(0);
    assert_eq!(map.get(1, &on).unwrap().id, 10);
    map.set(&key(1), object(11), 0).unwrap();
    assert_eq!(dead.load(Ordering::SeqCst), 0, "somebody may still look");
    assert_eq!(map.get(1, &on).unwrap().id, 11);
    drop(on);
    assert_eq!(panal.host.cpus.collect(), 0);
    assert_eq!(dead.load(Ordering::SeqCst), 1);
    assert_eq!(panal.apply(&Op::Delete(key(1))), Ok(Vec::new()));
    assert_eq!(panal.apply(&Op::Delete(key(1))), Err(Errno::ENOENT.0));
    assert_eq!(dead.load(Ordering::SeqCst), 2);
    assert_eq!(map.set(&key(3), object(1), 0), Err(Errno::E2BIG));
    assert_eq!(map.set(&key(0), object(1), 1), Err(Errno::EINVAL));
    map.set(&key(2), object(12), 0).unwrap();
    drop(panal);
    assert_eq!(dead.load(Ordering::SeqCst), 5);
}

#[test]
fn maps_of_maps_give_handles_to_programs_and_ids_to_users() {
    let object = |id, address| Object {
        id,
        address,
        payload: Arc::new(()),
    };
    let panal = new(MapType::ArrayOfMaps, 4, 4, 2, MapFlags::empty());
    cast::<ObjectArray>(&panal)
        .set(&key(0), object(5, 0x1000), 0)
        .unwrap();
    assert_eq!(
        panal.map.lookup(&key(0), 0).unwrap().as_ptr() as usize,
        0x1000
    );
    assert!(panal.map.lookup(&key(1), 0).is_none());
    assert_eq!(panal.apply(&Op::Lookup(key(0))), Ok(key(5)));
    let panal = new(MapType::HashOfMaps, 4, 4, 2, MapFlags::empty());
    let hash: &ObjectHash = cast(&panal);
    hash.set(&key(9), object(5, 0x1000), 0).unwrap();
    hash.set(&key(9), object(6, 0x2000), 0).unwrap();
    assert_eq!(hash.set(&key(9), object(7, 0x3000), 1), Err(Errno::EEXIST));
    assert_eq!(
        panal.map.lookup(&key(9), 0).unwrap().as_ptr() as usize,
        0x2000
    );
    assert_eq!(panal.apply(&Op::Lookup(key(9))), Ok(key(6)));
    assert_eq!(panal.apply(&Op::Next(None)), Ok(key(9)));
    assert_eq!(panal.apply(&Op::Delete(key(9))), Ok(Vec::new()));
    assert!(panal.map.lookup(&key(9), 0).is_none());
}

#[test]
fn inner_maps_must_fit_their_template() {
    let template = MapDef::new(MapType::Array, 4, 8, 10);
    let map = |entries, flags| MapDef::new(MapType::Array, 4, 8, entries).with_flags(flags);
    assert!(fits_template(&template, &map(10, MapFlags::empty())));
    assert!(!fits_template(&template, &map(11, MapFlags::empty())));
    assert!(!fits_template(&template, &map(10, MapFlags::MMAPABLE)));
    assert!(!fits_template(
        &template,
        &MapDef::new(MapType::Hash, 4, 8, 10)
    ));
    assert!(!fits_template(
        &template,
        &MapDef::new(MapType::Array, 4, 4, 10)
    ));
    let open = map(10, MapFlags::INNER_MAP);
    assert!(fits_template(&open, &map(11, MapFlags::INNER_MAP)));
    let hash = MapDef::new(MapType::Hash, 4, 8, 10);
    assert!(fits_template(&hash, &MapDef::new(MapType::Hash, 4, 8, 99)));
}

#[test]
fn redirect_targets_are_there_once_set() {
    let panal = new(MapType::Devmap, 4, 4, 3, MapFlags::empty());
    let map: &RedirectArray = cast(&panal);
    assert!(map.lookup(&key(1), 0).is_none());
    map.set(&key(1), &key(42), None, 0).unwrap();
    assert_eq!(panal.apply(&Op::Lookup(key(1))), Ok(key(42)));
    assert_eq!(map.set(&key(1), &key(43), None, 1), Err(Errno::EEXIST));
    assert_eq!(map.set(&key(3), &key(43), None, 0), Err(Errno::E2BIG));
    map.set(&key(1), &key(0), None, 0).unwrap();
    assert!(map.lookup(&key(1), 0).is_none());
    let panal = new(MapType::Cpumap, 4, 8, 3, MapFlags::empty());
    let map: &RedirectArray = cast(&panal);
    let program = Object::new(1, Arc::new(()));
    map.set(
        &key(2),
        &[&key(192)[..], &key(5)].concat(),
        Some(program),
        0,
    )
    .unwrap();
    assert_eq!(map.programs().fetch(2).unwrap().id, 1);
    assert_eq!(panal.apply(&Op::Delete(key(2))), Ok(Vec::new()));
    assert!(map.programs().fetch(2).is_none());
}

#[test]
fn queues_and_stacks_keep_their_order() {
    for (map_type, expected) in [(MapType::Queue, [2u8, 3, 4]), (MapType::Stack, [4, 3, 2])] {
        let panal = new(map_type, 0, 1, 3, MapFlags::empty());
        let map = &*panal.map;
        let mut out = [7];
        assert_eq!(map.pop(&mut out), Err(Errno::ENOENT));
        assert_eq!(out, [0]);
        for n in 1..=3 {
            map.push(&[n], 0).unwrap();
        }
        assert_eq!(map.push(&[4], 0), Err(Errno::E2BIG));
        assert_eq!(map.push(&[4], 1), Err(Errno::EINVAL));
        // The oldest makes room, in a stack too.
        map.push(&[4], 2).unwrap();
        let popped: Vec<u8> = std::iter::from_fn(|| {
            let mut out = [0];
            map.peek(&mut out).ok()?;
            let first = out;
            map.pop(&mut out).ok()?;
            assert_eq!(first, out);
            Some(out[0])
        })
        .collect();
        assert_eq!(popped, expected, "{map_type}");
    }
}

#[test]
fn bloom_filters_never_forget_and_seldom_invent() {
    let panal = new(MapType::BloomFilter, 0, 4, 1000, MapFlags::empty());
    let map = &*panal.map;
    for n in 0..1000u32 {
        map.push(&n.to_ne_bytes(), 0).unwrap();
    }
    for n in 0..1000u32 {
        assert_eq!(map.peek(&mut n.to_ne_bytes()), Ok(()));
    }
    let invented = (1000..11_000u32)
        .filter(|n| map.peek(&mut n.to_ne_bytes()).is_ok())
        .count();
    assert!(invented < 500, "{invented} of 10000");
    assert_eq!(map.push(&[0; 4], 2), Err(Errno::EINVAL));
    assert_eq!(
        panal.apply(&Op::Delete(Vec::new())),
        Err(Errno::EOPNOTSUPP.0)
    );
}

#[test]
fn perf_samples_wait_by_cpu_and_are_lost_when_nobody_takes_them() {
    let panal = new(MapType::PerfEventArray, 4, 4, 2, MapFlags::empty());
    let map: &PerfEventArray = cast(&panal);
    assert_eq!(map.output(1, &[&[7]]), Err(Errno::ENOENT), "nobody reads");
    assert_eq!(map.consume(&mut |_, _| {}, &mut |_, _| {}), 0);
    map.output(1, &[&[1, 2], &[3]]).unwrap();
    map.output(0, &[&[9]]).unwrap();
    assert_eq!(map.output(2, &[&[9]]), Err(Errno::E2BIG));
    let mut seen = Vec::new();
    map.consume(
        &mut |cpu, sample| seen.push((cpu, sample.to_vec())),
        &mut |_, _| panic!("lost"),
    );
    // As on Linux, where a sample and the word of its length take a multiple of eight bytes.
    assert_eq!(seen, [(0, vec![9, 0, 0, 0]), (1, vec![1, 2, 3, 0])]);
    let big = vec![0; 60_000];
    let sent = (0..10).filter(|_| map.output(0, &[&big]).is_ok()).count();
    let mut lost = 0;
    let taken = map.consume(&mut |_, _| {}, &mut |_, n| lost += n);
    assert_eq!((taken, lost), (sent, 10 - sent as u64));
    assert!(sent >= 4 && lost > 0);
}

#[test]
fn mapped_arrays_and_ring_buffers_are_files() {
    for (map_type, key_size, value, entries, flags, pages) in [
        (MapType::Array, 4, 8, 10, MapFlags::MMAPABLE, 1),
        (MapType::Ringbuf, 0, 0, 4096, MapFlags::empty(), 4),
    ] {
        let panal = new(map_type, key_size, value, entries, flags);
        let Some(fd) = panal.map.memfd() else {
            eprintln!("skipped: no memfd on this system");
            continue;
        };
        let len = rustix::fs::fstat(fd).unwrap().st_size as usize;
        assert_eq!(len, pages * panal.host.cage.page_size(), "{map_type}");
        if map_type == MapType::Array {
            panal.map.update(&key(3), &[5; 8], 0, 0).unwrap();
            let mut out = [0; 8];
            rustix::io::pread(fd, &mut out, 24).unwrap();
            assert_eq!(out, [5; 8]);
        }
    }
}
