//! Places of the frame that only the function itself uses become values; stores that nobody reads
//! go away.

use alloc::{vec, vec::Vec};

use panal_isa::Width::W64;

use super::{
    graph::Graph,
    ir::{Bin, Block, Callee, Func, Node, Place, Value},
};

/// Places that are made values at once: a bit for each.
const SLOTS_MOST: usize = 64;

/// Bytes of the frame that are accessed in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    off: i32,
    bytes: u8,
    loaded: bool,
    /// Whether something else overlaps it, or an operation that must see memory.
    mixed: bool,
}

impl Slot {
    const fn end(&self) -> i32 {
        self.off + self.bytes as i32
    }
}

/// Where the function's frame may be accessed by others: from this offset up.
fn exposed(func: &mut Func, graph: &Graph) -> i32 {
    let mut from = i32::MAX;
    let frame = |func: &Func, v: Value| match func.node(v) {
        Node::Frame(off) => Some(off),
        _ => None,
    };
    for &block in &graph.order {
        for index in 0..func.blocks[block.index()].insts.len() {
            let inst = func.blocks[block.index()].insts[index];
            match func.node(inst) {
                Node::Load(..) | Node::Acquire(..) | Node::Probe(..) => {}
                Node::Store(_, _, value) => {
                    if frame(func, value).is_some() {
                        return i32::MIN;
                    }
                }
                Node::Atomic(_, _, _, a, b) => {
                    if frame(func, a).or(frame(func, b)).is_some() {
                        return i32::MIN;
                    }
                }
                // Functions of the kernel access what begins at the address.
                Node::Call(Callee::Outside(_, false), args) => {
                    let least = args.iter().filter_map(|v| frame(func, *v)).min();
                    from = from.min(least.unwrap_or(i32::MAX));
                }
                mut other => {
                    let mut leaks = false;
                    other.operands(|v| leaks |= frame(func, *v).is_some());
                    if leaks {
                        return i32::MIN;
                    }
                }
            }
        }
        let mut leaks = false;
        let mut term = func.blocks[block.index()].term.clone();
        term.operands(|v| leaks |= frame(func, *v).is_some());
        if leaks {
            return i32::MIN;
        }
    }
    from
}

/// The place in the frame of an access.
pub fn place_of(func: &Func, place: Place) -> Option<i32> {
    match func.node(place.base) {
        Node::Frame(off) => off.checked_add(place.off),
        _ => None,
    }
}

/// Finds the slots, in order of their offsets.
fn slots(func: &Func, graph: &Graph) -> Vec<Slot> {
    let mut all: Vec<Slot> = Vec::new();
    for &block in &graph.order {
        for &inst in &func.blocks[block.index()].insts {
            let (place, bytes, loaded, mixed) = match func.node(inst) {
                Node::Load(place, bytes, _) => (place, bytes, true, false),
                Node::Store(place, bytes, _) => (place, bytes, false, false),
                Node::Acquire(place, bytes) | Node::Probe(place, bytes, _) => {
                    (place, bytes, true, true)
                }
                Node::Atomic(_, width, place, ..) => {
                    (place, if width == W64 { 8 } else { 4 }, true, true)
                }
                _ => continue,
            };
            let Some(off) = place_of(func, place) else {
                continue;
            };
            match all.iter_mut().find(|s| s.off == off && s.bytes == bytes) {
                Some(slot) => {
                    slot.loaded |= loaded;
                    slot.mixed |= mixed;
                }
                None => all.push(Slot {
                    off,
                    bytes,
                    loaded,
                    mixed,
                }),
            }
        }
    }
    all.sort_unstable_by_key(|slot| (slot.off, slot.bytes));
    // What overlaps is one piece of memory: it stays unless nothing of it is loaded.
    let mut from = 0;
    while from < all.len() {
        let mut to = from + 1;
        let mut end = all[from].end();
        while to < all.len() && all[to].off < end {
            end = end.max(all[to].end());
            to += 1;
        }
        let piece = &mut all[from..to];
        if piece.len() > 1 && piece.iter().any(|slot| slot.loaded) {
            piece.iter_mut().for_each(|slot| slot.mixed = true);
        }
        from = to;
    }
    all
}

struct Promoter<'f> {
    func: &'f mut Func,
    slots: Vec<Slot>,
    /// Values of the slots at the end of each block.
    out: Vec<Option<Vec<Value>>>,
    undef: Value,
}

/// Makes values of what it can.
pub fn run(func: &mut Func) {
    let graph = Graph::new(func);
    let from = exposed(func, &graph);
    let mut slots = slots(func, &graph);
    slots.retain(|slot| !slot.mixed && slot.end() <= from);
    slots.truncate(SLOTS_MOST);
    if slots.is_empty() {
        return;
    }
    let live = live(func, &graph, &slots);
    let undef = func.add(Node::Undef);
    func.blocks[0].insts.insert(0, undef);
    let mut promoter = Promoter {
        out: vec![None; func.blocks.len()],
        func,
        slots,
        undef,
    };
    // Parameters for what lives into blocks with several ways in.
    let mut params: Vec<Vec<usize>> = vec![Vec::new(); promoter.func.blocks.len()];
    for &block in &graph.order {
        let several = graph.preds[block.index()].len() > 1;
        let mut values = match graph.preds[block.index()][..] {
            [pred] => promoter.out[pred.index()].clone(),
            _ => None,
        }
        .unwrap_or_else(|| vec![undef; promoter.slots.len()]);
        if several {
            for (slot, value) in values.iter_mut().enumerate() {
                if live[block.index()] >> slot & 1 == 1 {
                    *value = promoter.func.new_param(block);
                    params[block.index()].push(slot);
                }
            }
        }
        promoter.block(block, &mut values);
        promoter.out[block.index()] = Some(values);
    }
    for &block in &graph.order {
        let Some(values) = &promoter.out[block.index()] else {
            continue;
        };
        for edge in promoter.func.blocks[block.index()].term.edges_mut() {
            let slots = &params[edge.to.index()];
            edge.args.extend(slots.iter().map(|slot| values[*slot]));
        }
    }
    promoter.func.settle();
}

/// Slots whose value at a block's beginning is read, by block.
fn live(func: &Func, graph: &Graph, slots: &[Slot]) -> Vec<u64> {
    let find = |place: Place, bytes: u8| {
        let off = place_of(func, place)?;
        slots.iter().position(|s| s.off == off && s.bytes == bytes)
    };
    let mut own = vec![(0u64, 0u64); func.blocks.len()];
    for &block in &graph.order {
        let (reads, writes) = &mut own[block.index()];
        for &inst in &func.blocks[block.index()].insts {
            match func.node(inst) {
                Node::Load(place, bytes, _) => {
                    if let Some(slot) = find(place, bytes) {
                        *reads |= 1 << slot & !*writes;
                    }
                }
                Node::Store(place, bytes, _) => {
                    if let Some(slot) = find(place, bytes) {
                        *writes |= 1 << slot;
                    }
                }
                _ => {}
            }
        }
    }
    let mut live = vec![0u64; func.blocks.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for &block in graph.order.iter().rev() {
            let next = func.blocks[block.index()].term.edges();
            let out = next.fold(0, |all, edge| all | live[edge.to.index()]);
            let (reads, writes) = own[block.index()];
            let now = reads | out & !writes;
            changed |= now != live[block.index()];
            live[block.index()] = now;
        }
    }
    live
}

impl Promoter<'_> {
    fn find(&self, place: Place, bytes: u8) -> Option<usize> {
        let off = place_of(self.func, place)?;
        self.slots
            .iter()
            .position(|s| s.off == off && s.bytes == bytes)
    }

    fn block(&mut self, block: Block, values: &mut [Value]) {
        let insts = core::mem::take(&mut self.func.blocks[block.index()].insts);
        for inst in insts {
            match self.func.node(inst) {
                Node::Load(place, bytes, signed) => {
                    if let Some(slot) = self.find(place, bytes) {
                        let value = self.loaded(block, values[slot], bytes, signed);
                        self.func.replace(inst, value);
                        continue;
                    }
                }
                Node::Store(place, bytes, value) => {
                    if let Some(slot) = self.find(place, bytes) {
                        values[slot] = self.func.resolve(value);
                        continue;
                    }
                }
                _ => {}
            }
            self.func.blocks[block.index()].insts.push(inst);
        }
    }

    /// What a load gives of the value that was stored.
    fn loaded(&mut self, block: Block, value: Value, bytes: u8, signed: bool) -> Value {
        if bytes == 8 || value == self.undef {
            return value;
        }
        let bits = 8 * bytes;
        if signed {
            return self.func.push(block, Node::Sext(bits, W64, value));
        }
        let mask = self.func.push(block, Node::Const((1 << bits) - 1));
        self.func.push(block, Node::Bin(Bin::And, W64, value, mask))
    }
}
