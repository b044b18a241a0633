//! Definitions of maps, good and bad, and stories of chance on them: Panal's kernel and Linux accept,
//! refuse and answer alike.

use panal_testkit::{Subject, linux, panal};
use panal_uapi::{
    Errno, MapType,
    inspect::Inspect,
    kernel::{Failure, Fd, MapFlags, MapSpec},
};

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
fn definitions() -> Vec<MapSpec> {
    let mut all = Vec::new();
    let mut add = |map_type, key, value, entries, flags, extra| {
        let flags = MapFlags::from_bits_retain(flags);
        let mut def = MapSpec::new(map_type, key, value, entries).with_flags(flags);
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

/// Panal's kernel and Linux, when it can be asked.
fn both() -> Option<[Subject; 2]> {
    let linux = linux().inspect_err(|why| println!("skipped: {why}")).ok()?;
    Some([panal().swap_remove(0), linux])
}

/// The map, with an inner one where its type wants that; its errno when it is refused.
fn create(kernel: &dyn Inspect, def: &MapSpec) -> Result<Fd, Errno> {
    let mut def = def.clone();
    if matches!(def.map_type, MapType::ArrayOfMaps | MapType::HashOfMaps) {
        let inner = MapSpec::new(MapType::Array, 4, 4, 1);
        def.inner = Some(kernel.map_create(&inner).map_err(|e| e.errno)?);
    }
    kernel.map_create(&def).map_err(|e| e.errno)
}

#[test]
fn definitions_are_accepted_and_refused_alike() {
    let Some([panal, linux]) = both() else { return };
    let mut wrong = Vec::new();
    let definitions = definitions();
    for def in &definitions {
        let answer = |subject: &Subject| create(&*subject.kernel, def).err();
        let (panal, linux) = (answer(&panal), answer(&linux));
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
    def: MapSpec,
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
        def: MapSpec::new(map_type, key_size, value_size, 6).with_flags(flags),
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

/// A command on an element.
#[derive(Clone, Debug)]
enum Op {
    Lookup(Vec<u8>),
    Update(Vec<u8>, Vec<u8>, u64),
    Delete(Vec<u8>),
    Next(Option<Vec<u8>>),
    Take(Vec<u8>),
}

/// A map of one of the kernels.
struct OneOf<'k> {
    kernel: &'k dyn Inspect,
    map: Fd,
    def: &'k MapSpec,
}

impl OneOf<'_> {
    fn apply(&self, op: &Op) -> Result<Option<Vec<u8>>, Errno> {
        let (kernel, map) = (self.kernel, &self.map);
        let done = |()| Some(Vec::new());
        let answer = match op {
            Op::Lookup(key) => kernel.map_lookup(map, key, 0),
            Op::Update(key, value, flags) => kernel.map_update(map, key, value, *flags).map(done),
            Op::Delete(key) => kernel
                .map_delete(map, key)
                .map(|there| there.then(Vec::new)),
            Op::Next(key) => kernel.map_next_key(map, key.as_deref()),
            Op::Take(key) => kernel.map_lookup_and_delete(map, key, 0),
        };
        let mut answer = answer.map_err(|failure: Failure| failure.errno)?;
        if let (Some(value), Op::Lookup(_) | Op::Take(_)) = (&mut answer, op) {
            self.clear_padding(value);
        }
        Ok(answer)
    }

    /// Linux leaves the bytes between per-CPU values as they were.
    fn clear_padding(&self, value: &mut [u8]) {
        let size = self.def.value_size as usize;
        if value.len() > size {
            for part in value.chunks_mut(size.next_multiple_of(8)) {
                part[size..].fill(0);
            }
        }
    }

    fn value_size(&self) -> usize {
        let size = self.def.value_size as usize;
        match self.def.map_type {
            MapType::PercpuArray | MapType::PercpuHash => {
                size.next_multiple_of(8) * self.kernel.cpus() as usize
            }
            _ => size,
        }
    }

    /// All keys in the map's order.
    fn keys(&self) -> Vec<Vec<u8>> {
        let mut all: Vec<Vec<u8>> = Vec::new();
        while let Ok(Some(next)) = self.apply(&Op::Next(all.last().cloned())) {
            all.push(next);
            assert!(all.len() < 100, "keys without end");
        }
        all
    }
}

#[test]
fn operations_answer_alike() {
    const ROUNDS: usize = 30;
    let Some([panal, linux]) = both() else { return };
    let mut wrong = Vec::new();
    for kind in kinds() {
        let mut chance = Chance(1);
        for round in 0..ROUNDS {
            let [panal, linux] = [&panal, &linux].map(|subject| OneOf {
                kernel: &*subject.kernel,
                map: create(&*subject.kernel, &kind.def).expect("a map"),
                def: &kind.def,
            });
            if let Some(difference) = story(&kind, &mut chance, &panal, &linux) {
                let map_type = kind.def.map_type;
                wrong.push(format!("{map_type} round {round}: {difference}"));
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

/// The same commands on both; where they part.
fn story(kind: &Kind, chance: &mut Chance, panal: &OneOf<'_>, linux: &OneOf<'_>) -> Option<String> {
    for _ in 0..60 {
        let key = (kind.key)(chance);
        let op = match chance.below(10) {
            0..4 => {
                let size = panal.value_size();
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
        let (expected, got) = (linux.apply(&op), panal.apply(&op));
        if expected != got {
            return Some(format!("{op:?}: Linux {expected:?}, Panal {got:?}"));
        }
    }
    let (mut expected, mut got) = (linux.keys(), panal.keys());
    if kind.unordered {
        expected.sort();
        got.sort();
    }
    (expected != got).then(|| format!("keys: Linux {expected:?}, Panal {got:?}"))
}
