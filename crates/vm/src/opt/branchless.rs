//! Branches around a few cheap nodes become choices between two values: nothing to be mispredicted.

use alloc::vec::Vec;

use super::{
    carry::ends_slow_chain,
    chase::Chase,
    graph::Graph,
    ir::{Bin, Block, Edge, Func, Node, Term, Test, Value},
};

/// Nodes of both sides that are computed though only one side is wanted.
const NODES_MOST: usize = 4;
/// Values that are chosen.
const CHOICES_MOST: usize = 2;

/// A branch whose sides meet again at once.
struct Fork {
    test: Test,
    /// Nodes of both sides.
    nodes: Vec<Value>,
    to: Block,
    /// Arguments by the one way and by the other.
    then: Vec<Value>,
    other: Vec<Value>,
}

/// Turns what it finds; whether it found something.
pub fn run(func: &mut Func) -> bool {
    let mut found = false;
    let graph = Graph::new(func);
    let chase = Chase::new(func, &graph);
    // Inner ones first: what they leave may be the side of an outer one.
    for &block in graph.order.iter().rev() {
        while let Some(fork) = fork(func, &graph, &chase, block) {
            join(func, block, fork);
            found = true;
        }
    }
    found
}

/// A side of a branch: its nodes, where it goes on, with what.
fn side(func: &Func, graph: &Graph, edge: &Edge) -> Option<(Vec<Value>, Edge)> {
    let data = &func.blocks[edge.to.index()];
    if graph.preds[edge.to.index()].len() != 1 {
        return None;
    }
    match &data.term {
        Term::Jump(on) => Some((data.insts.clone(), on.clone())),
        _ => None,
    }
}

fn fork(func: &Func, graph: &Graph, chase: &Chase, block: Block) -> Option<Fork> {
    let Term::If(test, then, other) = &func.blocks[block.index()].term else {
        return None;
    };
    let (a, b) = (side(func, graph, then), side(func, graph, other));
    let none = |edge: &Edge| (Vec::new(), edge.clone());
    let ((nodes, one), (more, two)) = match (a, b) {
        (Some(a), Some(b)) if a.1.to == b.1.to => (a, b),
        (Some(a), _) if a.1.to == other.to => (a, none(other)),
        (_, Some(b)) if b.1.to == then.to => (none(then), b),
        _ => return None,
    };
    // Its own head: a loop of nothing.
    if one.to == block {
        return None;
    }
    let nodes: Vec<Value> = nodes.into_iter().chain(more).collect();
    let cheap = |v: &Value| match func.nodes[v.index()] {
        Node::Const(_) | Node::Undef | Node::Frame(_) => Some(0),
        Node::Bin(bin, ..) => match bin {
            // A chain of products is as long as its latencies: a branch breaks it.
            Bin::Mul | Bin::UDiv | Bin::SDiv | Bin::UMod | Bin::SMod | Bin::MulHigh => None,
            _ => Some(1),
        },
        Node::Neg(..) | Node::Swap(..) | Node::Sext(..) => Some(1),
        Node::Select(..) => Some(2),
        _ => None,
    };
    let mut cost = 0;
    for node in &nodes {
        cost += cheap(node)?;
    }
    let to = one.to;
    let params = &func.blocks[to.index()].params;
    let choices = one.args.iter().zip(&two.args).zip(params);
    let choices = choices
        .filter(|((a, b), _)| a != b)
        .map(|(_, param)| *param);
    let count = choices.clone().count();
    if cost > NODES_MOST || count > CHOICES_MOST {
        return None;
    }
    // A value and where it stands.
    if count == CHOICES_MOST && chase.waits(func, *test, choices) {
        return None;
    }
    let mut sides = one.args.iter().zip(&two.args).enumerate();
    let slow = |(index, (a, b)): (usize, (&Value, &Value))| {
        a != b && ends_slow_chain(func, graph, chase.loops(), block, (to, index), [*a, *b])
    };
    if sides.any(slow) {
        return None;
    }
    Some(Fork {
        test: *test,
        nodes,
        to: one.to,
        then: one.args,
        other: two.args,
    })
}

fn join(func: &mut Func, block: Block, fork: Fork) {
    func.blocks[block.index()].insts.extend(fork.nodes);
    let args = fork.then.into_iter().zip(fork.other);
    let args = args
        .map(|(a, b)| match a == b {
            true => a,
            false => func.push(block, Node::Select(fork.test, a, b)),
        })
        .collect();
    func.blocks[block.index()].term = Term::Jump(Edge { to: fork.to, args });
}

/// Lets branches lead back to the head of their loop at once, not through a block that only jumps.
fn shorten(func: &mut Func, graph: &Graph) {
    for &block in &graph.order {
        if !matches!(func.blocks[block.index()].term, Term::If(..)) {
            continue;
        }
        for at in 0..2 {
            let Some(to) = func.blocks[block.index()].term.edges().nth(at) else {
                continue;
            };
            let to = to.to;
            let middle = &func.blocks[to.index()];
            let Term::Jump(on) = &middle.term else {
                continue;
            };
            if !middle.insts.is_empty() || !middle.params.is_empty() || !graph.dominates(on.to, to)
            {
                continue;
            }
            let on = on.clone();
            if let Some(edge) = func.blocks[block.index()].term.edges_mut().nth(at) {
                *edge = on;
            }
        }
    }
}

/// Joins blocks that follow each other with no other way in.
pub fn merge(func: &mut Func) {
    let graph = Graph::new(func);
    shorten(func, &graph);
    let graph = Graph::new(func);
    let mut gone = alloc::vec![false; func.blocks.len()];
    for &block in &graph.order {
        if gone[block.index()] {
            continue;
        }
        while let Term::Jump(edge) = &func.blocks[block.index()].term {
            let to = edge.to;
            if to == block || to == Block::ENTRY || graph.preds[to.index()].len() != 1 {
                break;
            }
            let args = edge.args.clone();
            let next = core::mem::replace(
                &mut func.blocks[to.index()],
                super::ir::BlockData {
                    params: Vec::new(),
                    insts: Vec::new(),
                    term: Term::Trap(0),
                },
            );
            for (param, arg) in next.params.into_iter().zip(args) {
                func.replace(param, arg);
            }
            let data = &mut func.blocks[block.index()];
            data.insts.extend(next.insts);
            data.term = next.term;
            gone[to.index()] = true;
        }
    }
    func.settle();
}
