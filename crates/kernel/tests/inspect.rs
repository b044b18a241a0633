//! Listing and looking into objects: one source, asked of Panal's kernel and of Linux.

use std::sync::Arc;

use panal_isa::Slot;
use panal_testkit::setup;
use panal_uapi::{
    Errno, MapType, ProgType,
    inspect::{Inspect, ObjectKind, OpenFlags},
    kernel::{Fd, ProgSpec, TestRun, update},
};

fn kernels() -> Vec<Arc<dyn Inspect>> {
    let all = panal_testkit::kernels();
    all.into_iter().map(|subject| subject.kernel).collect()
}

fn map(kernel: &dyn Inspect, map_type: MapType, key_size: u32, max_entries: u32) -> Fd {
    let spec = setup::map("looked_into", map_type, key_size, 8, max_entries);
    kernel.map_create(&spec).expect("the map is made")
}

fn program(kernel: &dyn Inspect, code: Vec<Slot>) -> Fd {
    let spec = ProgSpec::new("looked_into", ProgType::SocketFilter, code);
    kernel.prog_load(&spec).expect("the program loads").fd
}

fn slot(bytes: [u8; 8]) -> Slot {
    Slot::from_bytes(bytes)
}

/// `r0 = N`
fn return_value(n: u8) -> Slot {
    slot([0xb7, 0, 0, 0, n, 0, 0, 0])
}

const EXIT: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];

/// `r1 = map; r0 = 7; exit`
fn with_map(map: &Fd) -> Vec<Slot> {
    let fd = map.number().to_le_bytes();
    let load = slot([0x18, 0x11, 0, 0, fd[0], fd[1], fd[2], fd[3]]);
    vec![load, slot([0; 8]), return_value(7), slot(EXIT)]
}

fn all_ids(kernel: &dyn Inspect, kind: ObjectKind) -> Vec<u32> {
    let mut ids = Vec::new();
    let mut last = 0;
    while let Some(id) = kernel.next_id(kind, last).expect("ids are told") {
        assert!(id > last, "ids grow");
        ids.push(id);
        last = id;
    }
    ids
}

#[test]
fn objects_are_listed_opened_and_gone() {
    for kernel in kernels() {
        let kernel = &*kernel;
        let map = map(kernel, MapType::Hash, 4, 16);
        let id = kernel.map_info(&map).expect("info").id;
        assert!(
            all_ids(kernel, ObjectKind::Map).contains(&id),
            "{}",
            kernel.name()
        );
        let second = kernel.open_id(ObjectKind::Map, id, OpenFlags::empty());
        let second = second.expect("opens").expect("is there");
        assert_eq!(kernel.kind_of(&second), Ok(ObjectKind::Map));
        drop(map);
        kernel
            .map_update(&second, &[1; 4], &[2; 8], update::BPF_ANY)
            .expect("the second descriptor holds it");
        drop(second);
        let gone = kernel.open_id(ObjectKind::Map, id, OpenFlags::empty());
        assert!(gone.expect("asked").is_none(), "{}", kernel.name());
        assert!(!all_ids(kernel, ObjectKind::Map).contains(&id));
    }
}

#[test]
fn descriptors_for_reading_do_not_write() {
    for kernel in kernels() {
        let kernel = &*kernel;
        let map = map(kernel, MapType::Hash, 4, 16);
        kernel
            .map_update(&map, &[1; 4], &[2; 8], 0)
            .expect("written");
        let id = kernel.map_info(&map).expect("info").id;
        let open = |flags| {
            let fd = kernel.open_id(ObjectKind::Map, id, flags).expect("opens");
            fd.expect("is there")
        };
        let (reader, writer) = (open(OpenFlags::RDONLY), open(OpenFlags::WRONLY));
        let errno = |result: Result<(), panal_uapi::kernel::Failure>| result.map_err(|f| f.errno);
        assert_eq!(
            kernel.map_lookup(&reader, &[1; 4], 0).expect("reads"),
            Some(vec![2; 8])
        );
        assert_eq!(
            errno(kernel.map_update(&reader, &[1; 4], &[3; 8], 0)),
            Err(Errno::EPERM)
        );
        assert_eq!(
            errno(kernel.map_lookup(&writer, &[1; 4], 0).map(drop)),
            Err(Errno::EPERM)
        );
        assert_eq!(
            errno(kernel.map_update(&writer, &[1; 4], &[3; 8], 0)),
            Ok(())
        );
    }
}

#[test]
fn programs_have_linux_s_tags_and_code() {
    let mut seen = Vec::new();
    for kernel in kernels() {
        let kernel = &*kernel;
        let map = map(kernel, MapType::Array, 4, 4);
        let map_id = kernel.map_info(&map).expect("info").id;
        let prog = program(kernel, with_map(&map));
        let info = kernel.prog_info(&prog).expect("info");
        assert_eq!(info.name, "looked_into");
        assert_eq!(info.map_ids, [map_id]);
        assert_eq!(info.known_type(), Some(ProgType::SocketFilter));
        assert!(info.gpl_compatible);
        let code = kernel.prog_code(&prog).expect("code");
        assert_eq!(code.xlated.len(), info.xlated_len as usize);
        let first = Slot::from_bytes(code.xlated[..8].try_into().expect("eight bytes"));
        assert_eq!((first.src(), first.imm), (1, map_id as i32));
        seen.push((kernel.name(), info.tag, info.verified_insns));
    }
    for other in &seen[1..] {
        assert_eq!((seen[0].1, seen[0].2), (other.1, other.2), "{seen:?}");
    }
}

#[test]
fn batches_move_every_element_once() {
    for kernel in kernels() {
        for map_type in [
            MapType::Hash,
            MapType::LruHash,
            MapType::Array,
            MapType::LpmTrie,
            MapType::PercpuHash,
        ] {
            batches(&*kernel, map_type);
        }
    }
}

fn batches(kernel: &dyn Inspect, map_type: MapType) {
    const COUNT: u32 = 100;
    let name = format!("{map_type} on {}", kernel.name());
    let key_size = if map_type == MapType::LpmTrie { 8 } else { 4 };
    // An LRU map may drop elements before it is full.
    let entries = match map_type {
        MapType::LruHash => 4 * COUNT,
        _ => COUNT,
    };
    let spec = setup::map("batches", map_type, key_size, 8, entries);
    let map = kernel.map_create(&spec).expect("the map is made");
    let cpus = match map_type {
        MapType::PercpuHash => kernel.cpus() as usize,
        _ => 1,
    };
    let key = |n: u32| match map_type {
        MapType::LpmTrie => [32u32.to_ne_bytes(), n.to_be_bytes()].concat(),
        _ => n.to_ne_bytes().to_vec(),
    };
    let keys: Vec<u8> = (0..COUNT).flat_map(key).collect();
    let values: Vec<u8> = (0..COUNT)
        .flat_map(|n| u64::from(n).to_ne_bytes().repeat(cpus))
        .collect();
    let written = kernel.map_update_batch(&map, &keys, &values, update::BPF_ANY);
    assert_eq!(written, Ok(COUNT), "{name}");
    let walk = |delete: bool| {
        let mut found = Vec::new();
        let mut from: Option<Vec<u8>> = None;
        loop {
            let batch = kernel.map_lookup_batch(&map, from.as_deref(), 64, delete);
            let batch = batch.unwrap_or_else(|failure| panic!("{name}: {failure}"));
            let pairs = batch
                .keys
                .chunks(key_size as usize)
                .zip(batch.values.chunks(8 * cpus));
            found.extend(pairs.map(|(k, v)| (k.to_vec(), v.to_vec())));
            match batch.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        found.sort();
        found
    };
    let mut expected: Vec<_> = (0..COUNT)
        .map(|n| (key(n), u64::from(n).to_ne_bytes().repeat(cpus)))
        .collect();
    expected.sort();
    assert_eq!(walk(false), expected, "{name}");
    if matches!(map_type, MapType::Array | MapType::LpmTrie) {
        let refused = kernel.map_lookup_batch(&map, None, 8, true);
        assert_eq!(refused.map_err(|f| f.errno), Err(Errno::ENOTSUPP), "{name}");
    } else {
        assert_eq!(walk(true), expected, "{name}");
        assert_eq!(kernel.map_next_key(&map, None), Ok(None), "{name}");
        kernel
            .map_update_batch(&map, &keys, &values, update::BPF_ANY)
            .expect("written again");
        let some = [key(3), key(5), key(COUNT + 1), key(7)].concat();
        assert_eq!(kernel.map_delete_batch(&map, &some), Ok(2), "{name}");
        assert!(
            kernel
                .map_lookup(&map, &key(7), 0)
                .expect("asked")
                .is_some()
        );
    }
}

#[test]
fn looking_up_and_deleting_takes_the_element() {
    for kernel in kernels() {
        let kernel = &*kernel;
        let hash = map(kernel, MapType::Hash, 4, 4);
        kernel.map_update(&hash, &[1; 4], &[9; 8], 0).expect("set");
        let take = |map: &Fd, key: &[u8]| kernel.map_lookup_and_delete(map, key, 0);
        assert_eq!(take(&hash, &[1; 4]), Ok(Some(vec![9; 8])));
        assert_eq!(take(&hash, &[1; 4]), Ok(None));
        let queue = map(kernel, MapType::Queue, 0, 4);
        for n in 1..=3u8 {
            kernel.map_update(&queue, &[], &[n; 8], 0).expect("pushed");
        }
        assert_eq!(take(&queue, &[]), Ok(Some(vec![1; 8])));
        assert_eq!(take(&queue, &[]), Ok(Some(vec![2; 8])));
        let array = map(kernel, MapType::Array, 4, 4);
        let refused = take(&array, &[0; 4]).map_err(|f| f.errno);
        assert_eq!(refused, Err(Errno::ENOTSUPP), "{}", kernel.name());
    }
}

#[test]
fn runs_are_counted_while_somebody_asks() {
    for kernel in kernels() {
        let kernel = &*kernel;
        let prog = program(kernel, vec![return_value(1), slot(EXIT)]);
        let stats = kernel.enable_stats().expect("statistics");
        let run = TestRun {
            data_in: vec![0; 64],
            repeat: 10,
            ..TestRun::default()
        };
        kernel.prog_test_run(&prog, &run).expect("runs");
        let info = kernel.prog_info(&prog).expect("info");
        assert_eq!(info.run_cnt, 10, "{}", kernel.name());
        assert!(info.run_time_ns > 0, "{}", kernel.name());
        drop(stats);
    }
}
