//! Numbers that are put together from neighbouring bytes are read at once.

use alloc::{vec, vec::Vec};

use panal_isa::Width::{self, W32, W64};

use super::ir::{Bin, Block, Func, Node, Place, Region, Value};

/// Parts of a number that are looked at.
const PARTS_MOST: usize = 16;

/// Bytes of memory at a place of a number.
#[derive(Clone, Copy)]
struct Part {
    load: Value,
    place: Place,
    bytes: u8,
    /// How far they are shifted to the left.
    shift: u32,
}

/// Widens what it finds; whether it found something.
pub fn run(func: &mut Func) -> bool {
    let uses = func.uses();
    let stack = !writes_narrow(func);
    let mut places = vec![u32::MAX; func.nodes.len()];
    let mut any = false;
    for block in 0..func.blocks.len() {
        let insts = func.blocks[block].insts.clone();
        // The first place from which on nothing acts up to each node.
        let mut from = Vec::with_capacity(insts.len());
        let mut begin = 0;
        for (at, inst) in insts.iter().enumerate() {
            places[inst.index()] = at as u32;
            from.push(begin);
            if func.nodes[inst.index()].acts() {
                begin = at as u32 + 1;
            }
        }
        for (at, &root) in insts.iter().enumerate().rev() {
            let Node::Bin(Bin::Or, width, ..) = func.node(root) else {
                continue;
            };
            let mut finder = Finder {
                func,
                uses: &uses,
                places: &places,
                from: from[at],
                stack,
                parts: Vec::new(),
                rest: Vec::new(),
                count: 0,
            };
            if finder.split(root, width, 0, true).is_some() && finder.parts.len() > 1 {
                let (parts, rest) = (finder.parts, finder.rest);
                any |= join(func, Block(block as u32), root, width, parts, rest);
            }
        }
        for inst in insts {
            places[inst.index()] = u32::MAX;
        }
    }
    any
}

/// Whether it writes single bytes to its frame: reading several at once would wait for them.
fn writes_narrow(func: &Func) -> bool {
    let insts = func.blocks.iter().flat_map(|block| &block.insts);
    let mut nodes = insts.map(|inst| func.node(*inst));
    nodes.any(|node| match node {
        Node::Store(place, bytes, _) => bytes < 8 && place.region == Region::Stack,
        _ => false,
    })
}

struct Finder<'f> {
    func: &'f Func,
    uses: &'f [u32],
    /// Where the nodes of the block stand.
    places: &'f [u32],
    /// The place from which on nothing could write what is read, or order it.
    from: u32,
    stack: bool,
    parts: Vec<Part>,
    /// What is no such part: the value and its shift.
    rest: Vec<(Value, u32)>,
    count: usize,
}

impl Finder<'_> {
    /// Takes a tree of numbers apart whose bits are joined.
    fn split(&mut self, value: Value, width: Width, shift: u32, is_root: bool) -> Option<()> {
        self.count += 1;
        if self.count > 2 * PARTS_MOST {
            return None;
        }
        let place = self.places[value.index()];
        let near = place != u32::MAX && place >= self.from;
        let own = is_root || (self.uses[value.index()] == 1 && near);
        let bits = if width == W32 { 32 } else { 64 };
        match self.func.node(value) {
            Node::Bin(Bin::Or, w, a, b)
                if own && (w == width || w == W64) && self.func.constant(b).is_none() =>
            {
                self.split(a, width, shift, false)?;
                self.split(b, width, shift, false)?;
            }
            Node::Bin(Bin::Shl, w, a, count)
                if own && (w == width || w == W64) && self.func.constant(count).is_some() =>
            {
                let more = self.func.constant(count)? as u32;
                let of = shift + more;
                match of < bits && more < 64 {
                    true => self.split(a, width, of, false)?,
                    false => return None,
                }
            }
            Node::Load(place, bytes, false)
                if own
                    && bytes < 8
                    && self.is_private(place.region)
                    && shift.is_multiple_of(8)
                    && shift + 8 * u32::from(bytes) <= bits =>
            {
                self.parts.push(Part {
                    load: value,
                    place,
                    bytes,
                    shift,
                });
            }
            _ => self.rest.push((value, shift)),
        }
        (self.parts.len() <= PARTS_MOST && self.rest.len() <= PARTS_MOST).then_some(())
    }

    /// Whether nobody sees how often memory is read.
    fn is_private(&self, region: Region) -> bool {
        match region {
            Region::Packet | Region::Context => true,
            Region::Stack => self.stack,
            Region::Unknown | Region::Shared => false,
        }
    }
}

/// Parts that are one load, and whether its bytes are reversed.
fn group(parts: &[Part]) -> Option<(Vec<usize>, Part, bool)> {
    let end = |p: &Part| p.place.off + i32::from(p.bytes);
    for wanted in [8u8, 4, 2] {
        for (start, first) in parts.iter().enumerate() {
            for reversed in [false, true] {
                if first.bytes >= wanted || (reversed && first.bytes != 1) {
                    continue;
                }
                let mut row = vec![start];
                let mut last = *first;
                while end(&last) - first.place.off < i32::from(wanted) {
                    let next = parts.iter().position(|p| {
                        let place = Place {
                            off: end(&last),
                            ..first.place
                        };
                        let shift = match reversed {
                            false => Some(last.shift + 8 * u32::from(last.bytes)),
                            true => last.shift.checked_sub(8),
                        };
                        p.place == place && Some(p.shift) == shift && (!reversed || p.bytes == 1)
                    });
                    let Some(next) = next else { break };
                    row.push(next);
                    last = parts[next];
                }
                if end(&last) - first.place.off != i32::from(wanted) {
                    continue;
                }
                let whole = Part {
                    bytes: wanted,
                    shift: if reversed { last.shift } else { first.shift },
                    ..*first
                };
                return Some((row, whole, reversed));
            }
        }
    }
    None
}

/// Writes the tree anew, with what can be read at once.
fn join(
    func: &mut Func,
    block: Block,
    root: Value,
    width: Width,
    mut parts: Vec<Part>,
    rest: Vec<(Value, u32)>,
) -> bool {
    let mut terms: Vec<(Value, u32)> = rest;
    let mut new = Vec::new();
    let mut add = |func: &mut Func, node| {
        let value = func.add(node);
        new.push(value);
        value
    };
    let mut found = false;
    while let Some((row, whole, reversed)) = group(&parts) {
        found = true;
        let load = add(func, Node::Load(whole.place, whole.bytes, false));
        let value = match reversed {
            true => add(func, Node::Swap(8 * whole.bytes, load)),
            false => load,
        };
        terms.push((value, whole.shift));
        let mut at = 0;
        parts.retain(|_| {
            at += 1;
            !row.contains(&(at - 1))
        });
    }
    if !found {
        return false;
    }
    terms.extend(parts.iter().map(|part| (part.load, part.shift)));
    let mut sum: Option<Value> = None;
    for (value, shift) in terms {
        let term = match shift {
            0 => value,
            _ => {
                let count = add(func, Node::Const(shift.into()));
                add(func, Node::Bin(Bin::Shl, width, value, count))
            }
        };
        sum = Some(match sum {
            None => term,
            Some(sum) => add(func, Node::Bin(Bin::Or, width, sum, term)),
        });
    }
    let Some(sum) = sum else { return false };
    // The root stays as a name: nothing is taken from it.
    let all = match width {
        W32 => u64::from(u32::MAX),
        W64 => u64::MAX,
    };
    let mask = add(func, Node::Const(all));
    func.nodes[root.index()] = Node::Bin(Bin::And, W64, sum, mask);
    let insts = &mut func.blocks[block.index()].insts;
    if let Some(at) = insts.iter().position(|inst| *inst == root) {
        insts.splice(at..at, new);
    }
    true
}
