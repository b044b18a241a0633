//! The same definitions and operations on Panal's maps and on the running kernel's: the same
//! errnos, the same values.

mod common;

use common::{Op, Panal, Subject, linux, linux::Linux};
use panal_maps::MapDef;
use panal_uapi::{MapType, kernel::MapFlags};

/// Numbers of chance, the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

const TYPES: &[MapType] = &[
    MapType::Hash,
    MapType::Array,
    MapType::ProgArray,
    MapType::PerfEventArray,
    MapType::PercpuHash,
    MapType::PercpuArray,
    MapType::CgroupArray,
    MapType::LruHash,
    MapType::LruPercpuHash,
    MapType::LpmTrie,
    MapType::ArrayOfMaps,
    MapType::HashOfMaps,
    MapType::Devmap,
    MapType::DevmapHash,
    MapType::Cpumap,
    MapType::Xskmap,
    MapType::Queue,
    MapType::Stack,
    MapType::Ringbuf,
    MapType::UserRingbuf,
    MapType::Arena,
    MapType::BloomFilter,
    MapType::StackTrace,
    MapType::Sockmap,
    MapType::Sockhash,
    MapType::ReuseportSockarray,
    MapType::CgroupStorage,
    MapType::PercpuCgroupStorage,
];

/// Definitions good and bad: (type, key, value, entries, flags, extra).
fn definitions() -> Vec<MapDef> {
    let mut all = Vec::new();
    let mut add = |map_type, key, value, entries, flags, extra| {
        let flags = MapFlags::from_bits_retain(flags);
        let mut def = MapDef::new(map_type, key, value, entries).with_flags(flags);
        def.extra = extra;
        all.push(def);
    };
    for &map_type in TYPES {
        let base = u32::from(map_type == MapType::LpmTrie);
        for key in [0, 1, 4, 5, 8, 260, 261] {
            for value in [0, 1, 4, 8, 12, 1016, 1024, 4096, 4097, 32769] {
                for entries in [0, 1, 3] {
                    add(map_type, key, value, entries, base, 0);
                }
            }
        }
        // Every flag by itself and with others, on a definition that is otherwise right.
        let (key, value, entries) = match map_type {
            MapType::Ringbuf | MapType::UserRingbuf => (0, 0, 4096),
            MapType::Arena => (0, 0, 4),
            MapType::Queue | MapType::Stack | MapType::BloomFilter => (0, 4, 4),
            MapType::LpmTrie => (8, 4, 4),
            MapType::StackTrace => (4, 32, 4),
            MapType::CgroupStorage | MapType::PercpuCgroupStorage => (16, 8, 0),
            _ => (4, 4, 4),
        };
        for bit in 0..16 {
            add(map_type, key, value, entries, base ^ 1 << bit, 0);
            add(map_type, key, value, entries, base ^ 1 << bit ^ 1 << 1, 0);
        }
        add(map_type, key, value, entries, base | 3 << 3, 0);
        add(map_type, key, value, entries, base | 3 << 7, 0);
        for extra in [1, 15, 16, 1 << 40] {
            add(map_type, key, value, entries, base, extra);
        }
        // How many CPUs a CPU map may name is a matter of the kernel's build.
        let more: &[u32] = if map_type == MapType::Cpumap {
            &[]
        } else {
            &[5000, 4097, 8192]
        };
        for &entries in more {
            add(map_type, key, value, entries, base, 0);
        }
    }
    all
}

#[test]
fn definitions_are_accepted_and_refused_alike() {
    if let Some(why) = linux::unavailable() {
        return eprintln!("skipped: {why}");
    }
    let cpus = linux::possible_cpus();
    let mut wrong = Vec::new();
    let definitions = definitions();
    for def in &definitions {
        let linux = Linux::new(def, cpus).err();
        let panal = Panal::new(def, cpus).err();
        if linux != panal {
            wrong.push(format!(
                "{} key {} value {} entries {} flags {:#x} extra {:#x}: Linux {linux:?}, Panal {panal:?}",
                def.map_type, def.key_size, def.value_size, def.max_entries, def.flags.bits(), def.extra,
            ));
        }
    }
    let tried = definitions.len();
    assert!(
        wrong.is_empty(),
        "{} of {tried} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// A map and how its keys are made.
struct Kind {
    def: MapDef,
    key: fn(&mut Chance) -> Vec<u8>,
    /// Whether the order of keys is the map's own affair.
    unordered: bool,
}

fn number_key(chance: &mut Chance) -> Vec<u8> {
    (chance.below(10) as u32).to_ne_bytes().to_vec()
}

fn long_key(chance: &mut Chance) -> Vec<u8> {
    let mut key = vec![0; 20];
    key[(chance.below(2) * 19) as usize] = chance.below(5) as u8;
    key
}

fn prefix_key(chance: &mut Chance) -> Vec<u8> {
    let bits = chance.below(19) as u32;
    let address = (chance.below(16) as u16) << 12 | (chance.below(2) as u16) << 3;
    [&bits.to_ne_bytes()[..], &address.to_be_bytes()].concat()
}

fn no_key(_: &mut Chance) -> Vec<u8> {
    Vec::new()
}

fn kinds() -> Vec<Kind> {
    let kind = |map_type, key_size, value_size, flags, key, unordered| Kind {
        def: MapDef::new(map_type, key_size, value_size, 6).with_flags(flags),
        key,
        unordered,
    };
    let none = MapFlags::empty();
    let lazy = MapFlags::NO_PREALLOC;
    vec![
        kind(MapType::Array, 4, 5, none, number_key, false),
        kind(MapType::Array, 4, 8, MapFlags::MMAPABLE, number_key, false),
        kind(MapType::PercpuArray, 4, 12, none, number_key, false),
        kind(MapType::Hash, 4, 8, none, number_key, true),
        kind(MapType::Hash, 20, 3, none, long_key, true),
        kind(MapType::Hash, 4, 8, lazy, number_key, true),
        kind(MapType::PercpuHash, 4, 8, none, number_key, true),
        kind(MapType::PercpuHash, 20, 20, lazy, long_key, true),
        kind(MapType::LpmTrie, 6, 4, lazy, prefix_key, false),
        kind(MapType::Queue, 0, 4, none, no_key, false),
        kind(MapType::Stack, 0, 6, none, no_key, false),
    ]
}

/// Keys in the order that a map gives them, from the start.
fn keys(subject: &dyn Subject) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    while let Ok(next) = subject.apply(&Op::Next(all.last().cloned())) {
        all.push(next);
        assert!(all.len() < 100, "keys without end");
    }
    all
}

#[test]
fn operations_answer_alike() {
    if let Some(why) = linux::unavailable() {
        return eprintln!("skipped: {why}");
    }
    let cpus = linux::possible_cpus();
    let mut wrong = Vec::new();
    for kind in kinds() {
        let mut chance = Chance(1);
        for round in 0..30 {
            let def = &kind.def;
            let linux = Linux::new(def, cpus).unwrap();
            let panal = Panal::new(def, cpus).unwrap();
            let size = panal.map.user_value_size();
            let mut story = Vec::new();
            for _ in 0..60 {
                let key = (kind.key)(&mut chance);
                let op = match chance.below(10) {
                    0..4 => {
                        let value = (0..size).map(|_| chance.below(256) as u8).collect();
                        let flags = match chance.below(12) {
                            0 => 1,
                            1 => 2,
                            2 => 3,
                            3 => 4,
                            4 => 1 << 40,
                            _ => 0,
                        };
                        Op::Update(key, value, flags)
                    }
                    4..6 => Op::Lookup(key),
                    6..8 => Op::Delete(key),
                    8 => Op::Take(key),
                    _ if kind.unordered => continue,
                    _ => Op::Next((chance.below(4) > 0).then_some(key)),
                };
                let (mut expected, mut got) = (linux.apply(&op), panal.apply(&op));
                if def.value_size % 8 != 0 && size > def.value_size as usize {
                    // Linux leaves the bytes between per-CPU values as they were.
                    for answer in [&mut expected, &mut got].into_iter().flatten() {
                        let stride = (def.value_size as usize).next_multiple_of(8);
                        for (i, b) in answer.iter_mut().enumerate() {
                            *b = if i % stride < def.value_size as usize {
                                *b
                            } else {
                                0
                            };
                        }
                    }
                }
                story.push(format!("{op:?}"));
                if expected != got {
                    let last = &story[story.len().saturating_sub(1)..];
                    wrong.push(format!(
                        "{} round {round}: {last:?}: Linux {expected:?}, Panal {got:?}",
                        def.map_type
                    ));
                    break;
                }
            }
            let (mut expected, mut got) = (keys(&linux), keys(&panal));
            if kind.unordered {
                expected.sort();
                got.sort();
            }
            if expected != got && wrong.is_empty() {
                wrong.push(format!(
                    "{} keys: Linux {expected:?}, Panal {got:?}",
                    def.map_type
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
