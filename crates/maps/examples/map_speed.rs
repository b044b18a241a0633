//! Nanoseconds per map operation as helpers do them: `cargo run --release -p panal-maps --example map_speed`.

use std::{hint::black_box, sync::Arc, time::Instant};

use panal_maps::{Cage, Cpus, Map, MapDef, MapHost, create_map};
use panal_uapi::{MapType, kernel::MapFlags};

const ROUNDS: u64 = 2_000_000;

fn measure(name: &str, mut work: impl FnMut(u64)) {
    for i in 0..ROUNDS / 10 {
        work(i);
    }
    // The best of short rounds: others use the machine too.
    let mut best = f64::MAX;
    for round in 0..100 {
        let start = Instant::now();
        for i in round * ROUNDS / 100..(round + 1) * ROUNDS / 100 {
            work(i);
        }
        best = best.min(start.elapsed().as_nanos() as f64 / (ROUNDS / 100) as f64);
    }
    println!("{name:40} {best:7.2} ns");
}

fn main() {
    let cage = Cage::largest().expect("a cage");
    let host = MapHost::new(cage, Arc::new(Cpus::new(2)));
    let new = |map_type, key, value, entries, flags| -> Arc<dyn Map> {
        let def = MapDef::new(map_type, key, value, entries).with_flags(flags);
        create_map(&host, &def, None).expect("a map")
    };
    let none = MapFlags::empty();
    let array = new(MapType::Array, 4, 8, 1024, none);
    measure("array lookup", |i| {
        black_box(array.lookup(black_box(&((i as u32) & 1023).to_ne_bytes()), 0));
    });
    for (name, map_type, key, flags) in [
        ("hash, 4-byte key", MapType::Hash, 4, none),
        ("hash, 8-byte key", MapType::Hash, 8, none),
        ("hash, 16-byte key", MapType::Hash, 16, none),
        ("hash, 40-byte key", MapType::Hash, 40, none),
        (
            "hash, 8 bytes, not preallocated",
            MapType::Hash,
            8,
            MapFlags::NO_PREALLOC,
        ),
        ("per-CPU hash, 8-byte key", MapType::PercpuHash, 8, none),
        ("LRU hash, 8-byte key", MapType::LruHash, 8, none),
    ] {
        let map = new(map_type, key, 8, 10_000, flags);
        let mut bytes = vec![0u8; key as usize];
        let mut set = |n: u64| {
            bytes[..4].copy_from_slice(&(n as u32).to_ne_bytes());
            bytes.clone()
        };
        let keys: Vec<Vec<u8>> = (0..16_384).map(&mut set).collect();
        for k in &keys[..8192] {
            map.update(k, &[0; 8], 0, 0).expect("room");
        }
        measure(&format!("{name}: hit"), |i| {
            black_box(map.lookup(black_box(&keys[i as usize & 4095]), 0));
        });
        measure(&format!("{name}: miss"), |i| {
            black_box(map.lookup(black_box(&keys[8192 + (i as usize & 4095)]), 0));
        });
        measure(&format!("{name}: update"), |i| {
            let _ = map.update(&keys[i as usize & 4095], &[1; 8], 0, 0);
        });
        measure(&format!("{name}: insert + delete"), |i| {
            let k = &keys[8192 + (i as usize & 1023)];
            let _ = map.update(k, &[1; 8], 0, 0);
            let _ = map.delete(k);
        });
    }
    let trie = new(MapType::LpmTrie, 8, 8, 2000, MapFlags::NO_PREALLOC);
    for n in 0..1000u32 {
        let bits = 8 + n % 17;
        let key = [
            bits.to_ne_bytes(),
            n.wrapping_mul(2_654_435_761).to_be_bytes(),
        ]
        .concat();
        trie.update(&key, &[0; 8], 0, 0).expect("room");
    }
    measure("LPM lookup, 1000 routes", |i| {
        let address = (i as u32).wrapping_mul(2_654_435_761);
        let mut key = [0; 8];
        key[..4].copy_from_slice(&32u32.to_ne_bytes());
        key[4..].copy_from_slice(&address.to_be_bytes());
        black_box(trie.lookup(&key, 0));
    });
    let ring = new(MapType::Ringbuf, 0, 0, 1 << 20, none);
    let ring = ring
        .as_any()
        .downcast_ref::<panal_maps::RingBuf>()
        .expect("a ring buffer");
    measure("ring buffer output, 64 bytes", |i| {
        if i & 4095 == 0 {
            ring.consume(&mut |_| {});
        }
        let _ = ring.output(&[0; 64], 1);
    });
    let queue = new(MapType::Queue, 0, 8, 100, none);
    measure("queue push + pop", |_| {
        let _ = queue.push(&[0; 8], 0);
        let _ = queue.pop(&mut [0; 8]);
    });
    measure("enter and leave a CPU", |_| drop(host.cpus.enter(0)));
}
