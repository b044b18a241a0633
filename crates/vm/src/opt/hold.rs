//! Wide constants stay in registers: across loops, and for several accesses near each other.

use alloc::vec::Vec;

use panal_isa::Width;

use super::{
    graph::{Graph, Loop},
    ir::{Bin, Block, Func, Node, Value},
};

/// Constants that a loop holds.
const HELD_MOST: usize = 5;
/// The same where it calls functions, which leave few registers; and how often such a one is used, other
/// than by calls, which take longer than to load it.
const HELD_ACROSS_CALLS: usize = 1;
const USED_ACROSS_CALLS: u32 = 2;

/// A constant that instructions cannot contain.
fn wide(func: &Func, value: Value) -> Option<u64> {
    func.constant(value)
        .filter(|c| i32::try_from(*c as i64).is_err())
}

/// Whether an instruction contains a constant that is an operand of its node, or takes it as part of
/// another width.
fn contains(node: &Node, c: u64) -> bool {
    let narrow = c <= u64::from(u32::MAX);
    match node {
        Node::Bin(Bin::And, ..) => narrow,
        Node::Bin(_, Width::W32, ..) => narrow,
        Node::Store(place, bytes, value) => *bytes < 8 && place.base != *value,
        Node::Select(test, ..) => test.width == Width::W32 && narrow,
        _ => false,
    }
}

/// How far a constant lies from one that is held.
fn distance(held: u64, c: u64) -> Option<i32> {
    i32::try_from(c.wrapping_sub(held) as i64).ok()
}

/// Holds what it finds worth it.
pub fn run(func: &mut Func) {
    let graph = Graph::new(func);
    let loops = graph.loops();
    let mut inside = alloc::vec![false; func.blocks.len()];
    for (at, one) in loops.iter().enumerate() {
        let is_nested = loops[..at].iter().any(|outer| outer.contains(one.head));
        for block in &one.blocks {
            inside[block.index()] = true;
        }
        if !is_nested {
            around(func, &graph, one);
        }
    }
    for &block in &graph.order {
        if !inside[block.index()] {
            within(func, block);
        }
    }
}

/// Wide constants of some blocks that are used, how often; near ones count together.
fn found(func: &Func, blocks: &[Block], by_calls: bool) -> Vec<(u64, u32)> {
    let mut found: Vec<(u64, u32)> = Vec::new();
    for &block in blocks {
        for &inst in &func.blocks[block.index()].insts {
            let mut node = func.node(inst);
            if !by_calls && matches!(node, Node::Call(..)) {
                continue;
            }
            let (kept, mut near) = (node, None);
            if let Node::Load(place, ..) | Node::Store(place, ..) = node {
                near = wide(func, place.base);
            }
            node.operands(|v| {
                let Some(c) = wide(func, *v) else { return };
                if near != Some(c) && contains(&kept, c) {
                    return;
                }
                let same = |(held, _): &&mut (u64, u32)| match near == Some(c) {
                    true => distance(*held, c).is_some(),
                    false => *held == c,
                };
                match found.iter_mut().find(same) {
                    Some((_, count)) => *count += 1,
                    None => found.push((c, 1)),
                }
            });
        }
    }
    found
}

fn around(func: &mut Func, graph: &Graph, one: &Loop) {
    let Some(before) = graph.idom(one.head) else {
        return;
    };
    let calls = one.blocks.iter().any(|block| {
        let mut insts = func.blocks[block.index()].insts.iter();
        insts.any(|inst| matches!(func.nodes[inst.index()], Node::Call(..)))
    });
    let mut found = found(func, &one.blocks, !calls);
    found.sort_by_key(|(_, count)| core::cmp::Reverse(*count));
    if calls {
        found.retain(|(_, count)| *count >= USED_ACROSS_CALLS);
    }
    found.truncate(if calls { HELD_ACROSS_CALLS } else { HELD_MOST });
    for (c, _) in found {
        let held = func.push(before, Node::Held(c));
        for &block in &one.blocks {
            replace(func, block, c, held);
        }
    }
}

fn within(func: &mut Func, block: Block) {
    for (c, count) in found(func, &[block], true) {
        if count < 2 {
            continue;
        }
        let held = func.add(Node::Held(c));
        func.blocks[block.index()].insts.insert(0, held);
        replace(func, block, c, held);
    }
}

/// Lets a block use a held constant.
fn replace(func: &mut Func, block: Block, c: u64, held: Value) {
    for at in 0..func.blocks[block.index()].insts.len() {
        let inst = func.blocks[block.index()].insts[at];
        let mut node = func.node(inst);
        if let Node::Load(place, ..) | Node::Store(place, ..) = &mut node
            && let Some(base) = wide(func, place.base)
            && let Some(off) = distance(c, base).and_then(|d| d.checked_add(place.off))
        {
            place.base = held;
            place.off = off;
        }
        let kept = node;
        node.operands(|v| {
            if wide(func, *v) == Some(c) && !contains(&kept, c) {
                *v = held;
            }
        });
        func.nodes[inst.index()] = node;
    }
}
