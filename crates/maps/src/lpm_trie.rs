//! `BPF_MAP_TYPE_LPM_TRIE`: the longest prefix that matches.
//!
//! A binary trie with compressed paths. Nodes lie outside the cage and are never freed while the
//! map lives; a reader walks without a lock and looks again when a writer was at work.

use std::{
    any::Any,
    ptr::NonNull,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence},
    },
};

use panal_uapi::{Errno, kernel::MapFlags, kernel::update};

use crate::{
    CreateError, Map, MapBase, MapDef, MapHost, bytes,
    def::{ACCESS_FLAGS, check_flags, check_not_zero, update_flags},
    hash::{Pool, Shape},
    wait::Wait,
    zeroed::zeroed,
};

/// Bytes of an address that a trie may have (`LPM_DATA_SIZE_MAX`).
const DATA_MOST: u32 = 256;
/// Words of such an address.
const WORDS_MOST: usize = DATA_MOST as usize / 8;
/// Nodes in a chunk, where there are several.
const CHUNK: usize = 256;
/// Most cells of a chunk that has all nodes: memory that nobody writes is not there yet.
const CELLS_AT_ONCE: usize = 1 << 23;

/// A node: a prefix with a value, or a fork between two prefixes. Its cells stand side by side, so
/// that a step of a walk touches one cache line.
#[derive(Clone, Copy)]
struct Node<'a>(&'a [AtomicU64]);

/// Cells of a node before its prefix: links to the 0 side and the 1 side in the halves of the
/// first; bits of the prefix, and element of the pool plus one (0 for a fork), in those of the
/// second.
const CELLS: usize = 2;

impl<'a> Node<'a> {
    #[inline(always)]
    fn child(self, side: usize) -> Link {
        (self.0[0].load(Ordering::Acquire) >> (32 * side)) as u32
    }

    /// Writers only: they exclude each other.
    fn set_child(self, side: usize, link: Link) {
        let other = self.0[0].load(Ordering::Relaxed) & !(0xffff_ffff << (32 * side));
        self.0[0].store(other | u64::from(link) << (32 * side), Ordering::Release);
    }

    /// Bits of the prefix, and the element plus one.
    #[inline(always)]
    fn head(self) -> (u32, u32) {
        let head = self.0[1].load(Ordering::Relaxed);
        (head as u32, (head >> 32) as u32)
    }

    fn bits(self) -> u32 {
        self.head().0
    }

    fn value(self) -> u32 {
        self.head().1
    }

    fn set_value(self, value: u32) {
        self.0[1].store(
            u64::from(self.bits()) | u64::from(value) << 32,
            Ordering::Relaxed,
        );
    }

    #[inline(always)]
    fn words(self) -> &'a [AtomicU64] {
        &self.0[CELLS..]
    }

    fn write(self, prefix: &Prefix, value: u32, children: [Link; 2]) {
        let [left, right] = children.map(u64::from);
        self.0[0].store(left | right << 32, Ordering::Relaxed);
        self.0[1].store(
            u64::from(prefix.bits) | u64::from(value) << 32,
            Ordering::Relaxed,
        );
        for (own, new) in self.words().iter().zip(prefix.words) {
            own.store(new, Ordering::Relaxed);
        }
    }
}

/// Node number plus one; 0 is none.
type Link = u32;

/// A prefix: its bits from the highest of the first word on. Those beyond its length mean nothing,
/// but user space reads back what it wrote.
#[derive(Clone, Copy)]
struct Prefix {
    words: [u64; WORDS_MOST],
    bits: u32,
}

/// All nodes, in chunks that are made as they are needed.
struct Nodes {
    /// Cells of a node.
    stride: usize,
    /// Nodes in a chunk.
    chunk: usize,
    chunks: Box<[AtomicPtr<AtomicU64>]>,
}

struct Writer {
    free: Vec<u32>,
    fresh: u32,
    entries: u32,
}

/// A trie.
pub struct LpmTrie {
    base: MapBase,
    nodes: Nodes,
    root: AtomicU32,
    pool: Pool,
    /// Odd while a writer is at work.
    sequence: AtomicU64,
    writer: Mutex<Writer>,
    /// Bits of a full address.
    most: u32,
}

impl Nodes {
    fn new(capacity: usize, words: usize) -> Option<Nodes> {
        let stride = CELLS + words;
        let chunk = match capacity.checked_mul(stride) {
            Some(cells) if cells <= CELLS_AT_ONCE => capacity,
            _ => CHUNK,
        };
        Some(Nodes {
            stride,
            chunk,
            chunks: zeroed(capacity.div_ceil(chunk))?,
        })
    }

    /// Sees to it that a node's memory is there.
    fn back(&self, number: u32) -> Result<(), Errno> {
        let slot = self
            .chunks
            .get(number as usize / self.chunk)
            .ok_or(Errno::ENOSPC)?;
        if slot.load(Ordering::Relaxed).is_null() {
            let cells = zeroed::<AtomicU64>(self.chunk * self.stride).ok_or(Errno::ENOMEM)?;
            slot.store(Box::into_raw(cells).cast(), Ordering::Release);
        }
        Ok(())
    }

    #[inline(always)]
    fn get(&self, link: Link) -> Option<Node<'_>> {
        let number = link.checked_sub(1)? as usize;
        let (chunk, at) = match &*self.chunks {
            // The usual case, without a division.
            [all] if number < self.chunk => (all, number),
            [_] => return None,
            chunks => (chunks.get(number / CHUNK)?, number % CHUNK),
        };
        let chunk = chunk.load(Ordering::Acquire);
        if chunk.is_null() {
            return None;
        }
        // SAFETY: a chunk has cells for so many nodes, with several chunks `CHUNK`, and lives as long as
        // `self`.
        unsafe {
            let cells = chunk.add(at * self.stride);
            Some(Node(std::slice::from_raw_parts(cells, self.stride)))
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for chunk in &mut self.chunks {
            let chunk = *chunk.get_mut();
            if !chunk.is_null() {
                let cells = std::ptr::slice_from_raw_parts_mut(chunk, self.chunk * self.stride);
                // SAFETY: from a box of this length.
                drop(unsafe { Box::from_raw(cells) });
            }
        }
    }
}

/// The bit after the first `at` bits.
#[inline(always)]
fn bit(words: &[u64], at: u32) -> usize {
    let word = words.get(at as usize / 64).copied().unwrap_or(0);
    (word >> (63 - at % 64) & 1) as usize
}

/// How many leading bits agree with a node's, at most `limit`.
#[inline(always)]
fn common(words: &[u64], node: &[AtomicU64], limit: u32) -> u32 {
    let mut count = 0;
    for (own, other) in words.iter().zip(node) {
        let same = (own ^ other.load(Ordering::Relaxed)).leading_zeros();
        count += same;
        if same < 64 || count >= limit {
            break;
        }
    }
    count.min(limit)
}

/// Words of addresses that are compared at once.
const SHORT: usize = 2;

/// Whether the first `bits` bits are a node's, without a branch: which nodes there are is nothing that a
/// machine could foresee.
#[inline(always)]
fn agree_at_once<const N: usize>(words: &[u64; N], node: &[AtomicU64; N], bits: u32) -> bool {
    let differ = (0..N).fold(0, |differ, i| {
        let within = bits.saturating_sub(64 * i as u32);
        let mask = !u64::MAX.checked_shr(within).unwrap_or(0);
        differ | (words[i] ^ node[i].load(Ordering::Relaxed)) & mask
    });
    differ == 0
}

/// Whether the first `bits` bits are a node's.
#[inline(always)]
fn agrees(words: &[u64], node: &[AtomicU64], bits: u32) -> bool {
    let mut left = bits;
    for (own, other) in words.iter().zip(node) {
        let differ = own ^ other.load(Ordering::Relaxed);
        if left < 64 {
            return left == 0 || differ >> (64 - left) == 0;
        }
        if differ != 0 {
            return false;
        }
        left -= 64;
    }
    left == 0
}

/// An address as words, first byte highest.
#[inline(always)]
fn read_words<const N: usize>(data: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, chunk) in words.iter_mut().zip(data.chunks(8)) {
        *word = match chunk.try_into() {
            Ok(whole) => u64::from_be_bytes(whole),
            Err(_) => chunk
                .iter()
                .enumerate()
                .fold(0, |w, (i, b)| w | u64::from(*b) << (56 - 8 * i)),
        };
    }
    words
}

impl Prefix {
    fn cut(mut self, bits: u32) -> Prefix {
        self.bits = bits;
        for (i, word) in self.words.iter_mut().enumerate() {
            let from = i as u32 * 64;
            let kept = bits.saturating_sub(from).min(64);
            *word &= if kept == 0 {
                0
            } else {
                u64::MAX << (64 - kept)
            };
        }
        self
    }

    fn of(node: Node<'_>) -> Prefix {
        let mut prefix = Prefix {
            words: [0; WORDS_MOST],
            bits: node.bits(),
        };
        for (own, other) in prefix.words.iter_mut().zip(node.words()) {
            *own = other.load(Ordering::Relaxed);
        }
        prefix
    }
}

/// Where the way to a prefix ends.
struct Way {
    /// Links from the root on: parent (0 for the root's place), side.
    steps: Vec<(Link, usize)>,
    /// What stands at the end: nothing, a node that parts ways after `common` bits, or the node.
    end: Link,
    common: u32,
}

impl LpmTrie {
    /// Creates one (`trie_alloc`).
    pub fn new(host: &MapHost, def: &MapDef) -> Result<LpmTrie, CreateError> {
        check_flags(
            def,
            MapFlags::NO_PREALLOC | MapFlags::NUMA_NODE | ACCESS_FLAGS,
        )?;
        check_not_zero(&[
            ("max_entries", def.max_entries),
            ("value_size", def.value_size),
        ])?;
        if !def.flags.contains(MapFlags::NO_PREALLOC) {
            return Err(CreateError::invalid("an LPM trie needs BPF_F_NO_PREALLOC"));
        }
        if !(5..=4 + DATA_MOST).contains(&def.key_size) {
            return Err(CreateError::invalid(format!(
                "key_size {} of an LPM trie: 4 bytes of prefix length and 1 to 256 of address",
                def.key_size
            )));
        }
        if def.value_size > (4 << 20) - DATA_MOST - 40 {
            return Err(CreateError::invalid("value_size above 4 MiB"));
        }
        let room = host.cage.size() / def.value_stride() as u64;
        let capacity = u64::from(def.max_entries).min(room).min(1 << 28) as u32;
        let shape = Shape {
            key: 0,
            value: def.value_stride(),
            planes: 1,
            // Replacements take a new element before the old one is free.
            capacity: capacity + 1,
            preallocate: false,
        };
        let words = (def.key_size as usize - 4).div_ceil(8);
        Ok(LpmTrie {
            nodes: Nodes::new(2 * capacity as usize + 2, words)
                .ok_or_else(CreateError::no_memory)?,
            root: AtomicU32::new(0),
            pool: Pool::new(host, shape)?,
            sequence: AtomicU64::new(0),
            writer: Mutex::new(Writer {
                free: Vec::new(),
                fresh: 0,
                entries: 0,
            }),
            most: (def.key_size - 4) * 8,
            base: MapBase::new(def.clone()),
        })
    }

    fn prefix(&self, key: &[u8]) -> Option<Prefix> {
        if key.len() != self.base.def().key_size as usize {
            return None;
        }
        let (bits, data) = key.split_first_chunk::<4>()?;
        let bits = u32::from_ne_bytes(*bits);
        let words = read_words(data);
        (bits <= self.most).then_some(Prefix { words, bits })
    }

    /// [`Map::lookup`] of an address by its words, the first byte highest and zeros behind the last one, with
    /// how many bits of it count.
    #[inline(always)]
    pub fn value_at<const N: usize>(&self, words: &[u64; N], bits: u32) -> Option<NonNull<u8>> {
        if bits > self.most {
            return None;
        }
        Some(self.pool.value(self.longest(words, bits)?))
    }

    /// [`Map::lookup`] with a key of the map's size, which is best known when this is compiled.
    #[inline(always)]
    pub fn value_of(&self, key: &[u8]) -> Option<NonNull<u8>> {
        let (bits, data) = key.split_first_chunk::<4>()?;
        let bits = u32::from_ne_bytes(*bits);
        if bits > self.most {
            return None;
        }
        // Addresses of IPv4, IPv6 and Ethernet are short.
        let element = match data.len() {
            ..=8 => self.longest(&read_words::<1>(data), bits),
            9..=16 => self.longest(&read_words::<2>(data), bits),
            _ => self.longest(&read_words::<WORDS_MOST>(data), bits),
        };
        Some(self.pool.value(element?))
    }

    /// Walks as a reader: the element of the longest prefix.
    #[inline(always)]
    fn longest<const N: usize>(&self, key: &[u64; N], bits: u32) -> Option<u32> {
        let mut wait = Wait::default();
        loop {
            let sequence = self.sequence.load(Ordering::Acquire);
            if sequence & 1 == 0 {
                let found = self.walk(key, bits);
                fence(Ordering::Acquire);
                if self.sequence.load(Ordering::Relaxed) == sequence {
                    return found;
                }
            }
            wait.a_moment();
        }
    }

    #[inline(always)]
    fn walk<const N: usize>(&self, key: &[u64; N], key_bits: u32) -> Option<u32> {
        let mut found = 0;
        let mut link = self.root.load(Ordering::Acquire);
        // A writer at work may show a circle: no way is longer than an address has bits.
        for _ in 0..=self.most {
            let Some(node) = self.nodes.get(link) else {
                break;
            };
            let (bits, value) = node.head();
            let agree = match node.words().first_chunk::<N>() {
                Some(own) if N <= SHORT => agree_at_once(key, own, bits),
                _ => agrees(key, node.words(), bits),
            };
            if bits > key_bits || !agree {
                break;
            }
            if value != 0 {
                found = value;
            }
            if bits >= self.most {
                break;
            }
            link = node.child(bit(key, bits));
        }
        found.checked_sub(1)
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to a prefix, for writers.
    fn way(&self, key: &Prefix) -> Way {
        let mut steps = vec![(0, 0)];
        let mut link = self.root.load(Ordering::Relaxed);
        loop {
            let Some(node) = self.nodes.get(link) else {
                return Way {
                    steps,
                    end: 0,
                    common: 0,
                };
            };
            let bits = node.bits();
            let common = common(&key.words, node.words(), bits.min(key.bits));
            if common < bits || bits == key.bits {
                return Way {
                    steps,
                    end: link,
                    common,
                };
            }
            let side = bit(&key.words, bits);
            steps.push((link, side));
            link = node.child(side);
        }
    }

    /// Writers only: puts a link into a place.
    fn set_place(&self, (parent, side): (Link, usize), link: Link) {
        match self.nodes.get(parent) {
            Some(node) => node.set_child(side, link),
            None => self.root.store(link, Ordering::Release),
        }
    }

    fn change(&self, work: impl FnOnce()) {
        self.sequence.fetch_add(1, Ordering::Acquire);
        fence(Ordering::Release);
        work();
        self.sequence.fetch_add(1, Ordering::Release);
    }

    /// A new node that nobody sees yet.
    fn take_node(&self, writer: &mut Writer) -> Result<Link, Errno> {
        if let Some(number) = writer.free.pop() {
            return Ok(number + 1);
        }
        self.nodes.back(writer.fresh)?;
        writer.fresh += 1;
        Ok(writer.fresh)
    }

    fn write_node(&self, link: Link, prefix: &Prefix, value: u32, children: [Link; 2]) {
        if let Some(node) = self.nodes.get(link) {
            node.write(prefix, value, children);
        }
    }

    fn insert(
        &self,
        writer: &mut Writer,
        key: &Prefix,
        way: &Way,
        element: u32,
    ) -> Result<(), Errno> {
        let place = way.steps.last().copied().unwrap_or((0, 0));
        let link = self.take_node(writer)?;
        if way.end == 0 {
            self.change(|| {
                self.write_node(link, key, element + 1, [0, 0]);
                self.set_place(place, link);
            });
        } else if way.common == key.bits {
            // The new prefix is shorter: what stood here moves below it.
            let Some(node) = self.nodes.get(way.end) else {
                return Err(Errno::ENOENT);
            };
            let below = bit(&Prefix::of(node).words, key.bits);
            let mut children = [0, 0];
            children[below] = way.end;
            self.change(|| {
                self.write_node(link, key, element + 1, children);
                self.set_place(place, link);
            });
        } else {
            let fork = match self.take_node(writer) {
                Ok(fork) => fork,
                Err(e) => {
                    writer.free.push(link - 1);
                    return Err(e);
                }
            };
            let mut children = [way.end, way.end];
            children[bit(&key.words, way.common)] = link;
            self.change(|| {
                self.write_node(link, key, element + 1, [0, 0]);
                self.write_node(fork, &key.cut(way.common), 0, children);
                self.set_place(place, fork);
            });
        }
        writer.entries += 1;
        Ok(())
    }

    /// The first prefix with a value in the order of the system call at or below a link: what is
    /// below a prefix comes before it, the 0 side first.
    fn first_below(&self, link: Link) -> Option<Link> {
        let mut link = link;
        let mut best = None;
        while let Some(node) = self.nodes.get(link) {
            if node.value() != 0 {
                best = Some(link);
            }
            let left = node.child(0);
            link = if left != 0 { left } else { node.child(1) };
        }
        best
    }

    fn next_after(&self, key: Option<&Prefix>) -> Option<Link> {
        let root = self.root.load(Ordering::Relaxed);
        let Some(key) = key else {
            return self.first_below(root);
        };
        let way = self.way(key);
        let exact = self.nodes.get(way.end).is_some_and(|node| {
            node.bits() == key.bits && way.common == key.bits && node.value() != 0
        });
        if !exact {
            return self.first_below(root);
        }
        for &(parent, side) in way.steps.iter().rev() {
            let node = self.nodes.get(parent)?;
            if side == 0
                && let Some(next) = self.first_below(node.child(1))
            {
                return Some(next);
            }
            if node.value() != 0 {
                return Some(parent);
            }
        }
        None
    }
}

impl Map for LpmTrie {
    fn base(&self) -> &MapBase {
        &self.base
    }

    fn lookup(&self, key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        if key.len() != self.base.def().key_size as usize {
            return None;
        }
        self.value_of(key)
    }

    fn update(&self, key: &[u8], value: &[u8], flags: u64, _cpu: u32) -> Result<(), Errno> {
        let def = self.base.def();
        let flags = update_flags(def, flags)?;
        let prefix = self.prefix(key).ok_or(Errno::EINVAL)?;
        if value.len() != def.value_size as usize {
            return Err(Errno::EINVAL);
        }
        let mut writer = self.writer();
        let way = self.way(&prefix);
        let fits = |node: &Node<'_>| way.common == prefix.bits && node.bits() == prefix.bits;
        let existing = self.nodes.get(way.end).filter(fits);
        let old = existing.map_or(0, Node::value);
        if old != 0 && flags == update::BPF_NOEXIST {
            return Err(Errno::EEXIST);
        }
        if old == 0 {
            if flags == update::BPF_EXIST {
                return Err(Errno::ENOENT);
            }
            if writer.entries >= def.max_entries {
                return Err(Errno::ENOSPC);
            }
        }
        let element = self.pool.take().map_err(|_| Errno::ENOMEM)?;
        let at = self.pool.value(element);
        // SAFETY: the element is ours and has a value of this size.
        unsafe {
            bytes::zero(at, def.value_size as usize);
            def.copy_in(at, value);
        }
        if let Some(node) = existing {
            let children = [0, 1].map(|side| node.child(side));
            self.change(|| node.write(&prefix, element + 1, children));
            match old.checked_sub(1) {
                Some(old) => self.pool.give(old),
                None => writer.entries += 1,
            }
            return Ok(());
        }
        let result = self.insert(&mut writer, &prefix, &way, element);
        if result.is_err() {
            self.pool.give(element);
        }
        result
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        let prefix = self.prefix(key).ok_or(Errno::EINVAL)?;
        let mut writer = self.writer();
        let way = self.way(&prefix);
        let node = self.nodes.get(way.end).ok_or(Errno::ENOENT)?;
        let element = node.value();
        if way.common != prefix.bits || node.bits() != prefix.bits || element == 0 {
            return Err(Errno::ENOENT);
        }
        writer.entries -= 1;
        let children = [0, 1].map(|side| node.child(side));
        let mut steps = way.steps;
        let place = steps.pop().unwrap_or((0, 0));
        match children {
            // A fork from now on.
            [left, right] if left != 0 && right != 0 => {
                self.change(|| node.set_value(0));
            }
            [0, 0] => {
                // A fork that loses one of its sides is not needed any more.
                match self.nodes.get(place.0).filter(|parent| parent.value() == 0) {
                    Some(parent) => {
                        let other = parent.child(1 - place.1);
                        let above = steps.pop().unwrap_or((0, 0));
                        self.change(|| self.set_place(above, other));
                        writer.free.push(place.0 - 1);
                    }
                    None => self.change(|| self.set_place(place, 0)),
                }
                writer.free.push(way.end - 1);
            }
            [left, right] => {
                self.change(|| self.set_place(place, left.max(right)));
                writer.free.push(way.end - 1);
            }
        }
        self.pool.give(element - 1);
        Ok(())
    }

    fn next_key(&self, key: Option<&[u8]>, out: &mut [u8]) -> Result<(), Errno> {
        let _writer = self.writer();
        let key = key.and_then(|key| self.prefix(key));
        let next = self.next_after(key.as_ref()).ok_or(Errno::ENOENT)?;
        let prefix = Prefix::of(self.nodes.get(next).ok_or(Errno::ENOENT)?);
        let (first, data) = out.split_first_chunk_mut::<4>().ok_or(Errno::EINVAL)?;
        *first = prefix.bits.to_ne_bytes();
        for (chunk, word) in data.chunks_mut(8).zip(prefix.words) {
            chunk.copy_from_slice(&word.to_be_bytes()[..chunk.len()]);
        }
        Ok(())
    }

    fn holds(&self, address: u64, len: u64, write: bool) -> bool {
        self.pool
            .holds(u64::from(self.base.def().value_size), address, len, write)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory(&self) -> u64 {
        self.pool.memory() + u64::from(self.writer().fresh) * 64
    }
}
