//! A small kernel whose every object is known to the byte: context, packet, map elements.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use panal_isa::Size;
use panal_maps::{Block, Cage};
use panal_parity::{generate::MAPS, program::MapShape, rng::Rng};
use panal_uapi::{MapType, ProgType};
use panal_vm::{
    Attempt, ContextAccess, HelperFn, IndexedValues, Linkage, MapLink, Regions, Run, Stop,
};

/// Bytes of the context as programs see it; then come what its pointers are loaded from.
const CONTEXT: u64 = 192;
const DATA: u32 = 192;
const DATA_END: u32 = 200;
const DATA_META: u32 = 208;
/// The longest packet.
const PACKET: usize = 128;

/// The world that a program runs in.
pub(super) struct World {
    prog_type: ProgType,
    cage: Arc<Cage>,
    stack: Block,
    context: Block,
    packet: Block,
    /// Where the packet begins within its block, and how long it is.
    data: (usize, usize),
    maps: Vec<Map>,
    rng: Rng,
    /// What a helper was given that it must not be given.
    pub violation: Option<String>,
}

struct Map {
    shape: MapShape,
    /// Keys with the addresses of their elements.
    elements: Vec<(Vec<u8>, u64)>,
    /// Elements removed in this run: still there, as for readers under RCU.
    removed: Vec<u64>,
    block: Block,
    stride: u64,
    /// Elements ever made in this run.
    used: u64,
}

/// Elements that a hash map's block has room for in one run.
const SPARE: u64 = 256;

impl Map {
    fn new(cage: &Arc<Cage>, shape: MapShape) -> Map {
        let stride = u64::from(shape.value_size).next_multiple_of(8) + 64;
        let count = u64::from(shape.max_entries) + SPARE;
        let block = cage
            .allocate((stride * count) as usize, 8)
            .expect("room in the cage");
        Map {
            shape,
            elements: vec![],
            removed: vec![],
            block,
            stride,
            used: 0,
        }
    }

    fn is_array(&self) -> bool {
        self.shape.map_type == MapType::Array
    }

    fn element(&self, index: u64) -> u64 {
        self.block.address() + index * self.stride
    }

    fn holds(&self, address: u64, size: u64) -> bool {
        let within = |element: u64| {
            let offset = address.wrapping_sub(element);
            offset <= u64::from(self.shape.value_size)
                && size <= u64::from(self.shape.value_size) - offset
        };
        self.elements.iter().any(|(_, element)| within(*element))
            || self.removed.iter().any(|element| within(*element))
    }
}

impl World {
    pub fn new(prog_type: ProgType) -> World {
        let cage = Cage::new(1 << 20).expect("a mebibyte of address space");
        let block = |len| cage.allocate(len, 16).expect("room in the cage");
        World {
            prog_type,
            stack: block(Run::STACK_SIZE as usize),
            context: block(CONTEXT as usize + 64),
            packet: block(PACKET + 256),
            data: (0, 0),
            maps: MAPS.iter().map(|&shape| Map::new(&cage, shape)).collect(),
            rng: Rng::new(0),
            violation: None,
            cage,
        }
    }

    /// Makes everything anew from a seed.
    pub fn fill(&mut self, seed: u64) {
        self.rng = Rng::new(seed);
        self.data = (
            self.rng.below(64),
            self.rng.pick(&[0, 1, 4, 13, 14, 20, 34, 60, PACKET]),
        );
        let bytes: Vec<u8> = (0..self.packet.len())
            .map(|_| self.rng.next() as u8)
            .collect();
        write(self.packet.address(), &bytes);
        // What an earlier run left on the stack must not matter: anything will do.
        write(
            self.stack.address(),
            &vec![self.rng.next() as u8; self.stack.len()],
        );
        self.fill_context();
        for map in &mut self.maps {
            (map.elements, map.removed, map.used) = (vec![], vec![], 0);
            let entries = map.shape.max_entries;
            for index in 0..entries {
                let there = map.is_array() || (self.rng.one_in(2) && index < entries / 2);
                if there {
                    let key =
                        u64::from(index).to_le_bytes()[..map.shape.key_size as usize].to_vec();
                    let element = map.element(map.used);
                    map.used += 1;
                    map.elements.push((key, element));
                }
            }
            for (_, element) in &map.elements {
                let bytes: Vec<u8> = (0..map.shape.value_size)
                    .map(|_| self.rng.pick(&[0, 1, 0x7f, 0x80, 0xff]))
                    .collect();
                write(*element, &bytes);
            }
        }
    }

    fn fill_context(&mut self) {
        let mut context = vec![0; CONTEXT as usize + 64];
        let random: Vec<u8> = (0..32).map(|_| self.rng.next() as u8).collect();
        let length = (self.data.1 as u32).to_le_bytes();
        match self.prog_type {
            // ingress_ifindex to egress_ifindex
            ProgType::Xdp => context[12..24].copy_from_slice(&random[..12]),
            // len; mark; cb
            _ => {
                context[0..4].copy_from_slice(&length);
                context[8..12].copy_from_slice(&random[..4]);
                context[48..68].copy_from_slice(&random[4..24]);
            }
        }
        let data = self.packet.address() + self.data.0 as u64;
        for (at, value) in [
            (DATA, data),
            (DATA_END, data + self.data.1 as u64),
            (DATA_META, data),
        ] {
            context[at as usize..][..8].copy_from_slice(&value.to_le_bytes());
        }
        write(self.context.address(), &context);
    }

    /// Where the cage begins, and its bytes.
    pub fn cage(&self) -> (u64, u64) {
        (self.cage.base(), self.cage.size())
    }

    /// Where in the cage the stack lies.
    pub fn stack(&self) -> std::ops::Range<usize> {
        let start = (self.stack.address() - self.cage.base()) as usize;
        start..start + self.stack.len()
    }

    /// All that a program can have written to.
    pub fn bytes(&self) -> &[u8] {
        let (base, size) = self.cage();
        // SAFETY: the cage is mapped as long as it lives, and no program runs meanwhile.
        unsafe { std::slice::from_raw_parts(base as *const u8, size as usize) }
    }

    /// Zeros all over the cage, whatever an earlier run left.
    pub fn clear(&mut self) {
        let (base, size) = self.cage();
        // SAFETY: as above; nobody else has the cage.
        unsafe { std::ptr::write_bytes(base as *mut u8, 0, size as usize) };
    }

    /// A run in this world.
    pub fn run(world: &Rc<RefCell<World>>) -> Run {
        let this = world.borrow();
        // SAFETY: the cage and its stack live as long as the world, which outlives the run; one
        // run is made at a time.
        let mut run = unsafe {
            Run::new(
                this.cage.base(),
                this.cage.size(),
                this.stack.address(),
                this.stack.len() as u64,
            )
        };
        run.budget = 1 << 20;
        run.host = Rc::as_ptr(world).cast_mut().cast();
        run
    }

    pub fn context(&self) -> u64 {
        self.context.address()
    }

    /// Whether one live object has all of these bytes.
    fn holds(&self, address: u64, size: u64) -> bool {
        let within = |start: u64, len: u64| {
            let offset = address.wrapping_sub(start);
            offset <= len && size <= len - offset
        };
        within(self.context.address(), CONTEXT + 24)
            || within(
                self.packet.address() + self.data.0 as u64,
                self.data.1 as u64,
            )
            || self.maps.iter().any(|map| map.holds(address, size))
    }

    /// Bytes that a helper was given; `None`, and a violation, when they are no one's.
    fn argument(&mut self, what: &str, address: u64, size: u64) -> Option<Vec<u8>> {
        let stack = address.wrapping_sub(self.stack.address());
        let on_stack = stack <= self.stack.len() as u64 && size <= self.stack.len() as u64 - stack;
        if !on_stack && !self.holds(address, size) {
            self.violation = Some(format!("a helper got {what} at {address:#x}, {size} bytes"));
            return None;
        }
        // SAFETY: the bytes lie in a block of the cage.
        Some(unsafe { std::slice::from_raw_parts(address as *const u8, size as usize) }.to_vec())
    }

    /// The index of the map and the key that a helper was given.
    fn map_and_key(&mut self, map: u64, key: u64) -> Option<(usize, Vec<u8>)> {
        let index = (map as usize).wrapping_sub(1);
        let Some(size) = self.maps.get(index).map(|map| map.shape.key_size) else {
            self.violation = Some(format!("a helper got {map:#x} as a map"));
            return None;
        };
        Some((index, self.argument("a key", key, size.into())?))
    }

    fn lookup(&mut self, map: u64, key: u64) -> u64 {
        let Some((index, key)) = self.map_and_key(map, key) else {
            return 0;
        };
        let elements = &self.maps[index].elements;
        elements
            .iter()
            .find(|(k, _)| *k == key)
            .map_or(0, |(_, element)| *element)
    }

    fn update(&mut self, map: u64, key: u64, value: u64) -> u64 {
        let Some((index, key)) = self.map_and_key(map, key) else {
            return 0;
        };
        let size = self.maps[index].shape.value_size;
        let Some(value) = self.argument("a value", value, size.into()) else {
            return 0;
        };
        let map = &mut self.maps[index];
        let found = map.elements.iter().position(|(k, _)| *k == key);
        if let (true, Some(found)) = (map.is_array(), found) {
            write(map.elements[found].1, &value);
            return 0;
        }
        let full = found.is_none() && map.elements.len() >= map.shape.max_entries as usize;
        if map.is_array() || full || map.used == u64::from(map.shape.max_entries) + SPARE {
            return -7i64 as u64;
        }
        let element = map.element(map.used);
        map.used += 1;
        write(element, &value);
        match found {
            Some(found) => {
                let old = std::mem::replace(&mut map.elements[found].1, element);
                map.removed.push(old);
            }
            None => map.elements.push((key, element)),
        }
        0
    }

    fn delete(&mut self, map: u64, key: u64) -> u64 {
        let Some((index, key)) = self.map_and_key(map, key) else {
            return 0;
        };
        let map = &mut self.maps[index];
        match map.elements.iter().position(|(k, _)| *k == key) {
            Some(found) if !map.is_array() => {
                let (_, element) = map.elements.remove(found);
                map.removed.push(element);
                0
            }
            _ => -2i64 as u64,
        }
    }
}

fn write(address: u64, bytes: &[u8]) {
    // SAFETY: called with addresses within blocks of the cage, by this module only.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) };
}

/// The live objects, for the guard.
pub(super) struct Objects(pub Rc<RefCell<World>>);

impl Regions for Objects {
    fn holds(&mut self, access: &Attempt) -> bool {
        self.0.borrow().holds(access.address, access.size.into())
    }
}

macro_rules! helpers {
    ($($name:ident($($arg:ident),*) = |$world:ident| $body:expr;)*) => {
        $(
            unsafe extern "C" fn $name(r1: u64, r2: u64, r3: u64, _: u64, _: u64, run: *mut Run) -> u64 {
                let [$($arg,)* ..] = [r1, r2, r3];
                // SAFETY: `run` is the run that calls; its host is the world, which lives.
                let (run, world) = unsafe { (&mut *run, &*(*run).host.cast::<RefCell<World>>()) };
                let $world = &mut *world.borrow_mut();
                let result = $body;
                if $world.violation.is_some() {
                    run.stop(Stop::Helper("violation"));
                }
                result
            }
        )*
    };
}

helpers! {
    lookup(map, key) = |world| world.lookup(map, key);
    update(map, key, value) = |world| world.update(map, key, value);
    delete(map, key) = |world| world.delete(map, key);
    random() = |world| world.rng.next();
    random_u32() = |world| world.rng.next() & 0xffff_ffff;
    cpu() = |_world| 0;
}

impl Linkage for World {
    fn helper(&self, id: u32) -> Option<HelperFn> {
        Some(match id {
            1 => lookup,
            2 => update,
            3 => delete,
            // ktime_get_ns, get_current_pid_tgid and others are numbers.
            5 | 14 | 15 | 35 | 125 => random,
            7 => random_u32,
            8 | 42 => cpu,
            _ => return None,
        })
    }

    fn map(&self, index: u32) -> Option<MapLink> {
        let map = self.maps.get(index as usize)?;
        let array = map.is_array();
        Some(MapLink {
            key: map.shape.key_size,
            handles: None,
            inner: None,
            plain: None,
            cpus: 0,
            handle: u64::from(index) + 1,
            values: if array { map.element(0) } else { 0 },
            indexed: array.then_some(IndexedValues {
                first: map.element(0),
                stride: map.stride as u32,
                count: map.shape.max_entries,
                plane: 0,
            }),
        })
    }

    fn context_access(&self, offset: u32, _size: Size, _write: bool) -> Option<ContextAccess> {
        let offset = match (self.prog_type, offset) {
            (ProgType::Xdp, 0) | (ProgType::SchedCls, 76) => DATA,
            (ProgType::Xdp, 4) | (ProgType::SchedCls, 80) => DATA_END,
            (ProgType::Xdp, 8) | (ProgType::SchedCls, 140) => DATA_META,
            _ => return None,
        };
        Some(ContextAccess::Pointer { offset })
    }
}
