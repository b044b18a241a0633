//! What one round of a loop hands to the next through a row of sums or products comes sooner: the
//! rest of the row does not wait for it.

use alloc::{vec, vec::Vec};

use panal_isa::Width;

use super::{
    graph::{Graph, Loop},
    ir::{Bin, Func, Node, Value},
};

/// Steps of a row that is looked at.
const STEPS_MOST: usize = 64;

/// A step of a row: the node, and what is combined with what comes from before.
struct Step {
    node: Value,
    bin: Bin,
    other: Value,
}

/// Regroups what it finds.
pub fn run(func: &mut Func) {
    let graph = Graph::new(func);
    let loops = graph.loops();
    if loops.is_empty() {
        return;
    }
    let uses = func.uses();
    for one in &loops {
        let params = func.blocks[one.head.index()].params.clone();
        for (at, param) in params.into_iter().enumerate() {
            if let Some(end) = end(func, &graph, one, at)
                && let Some((width, steps)) = row(func, one, param, end, &uses)
            {
                regroup(func, one, param, width, &steps);
            }
        }
    }
    func.settle();
}

/// What a parameter of the loop's head becomes in the next round, if one block leads back.
fn end(func: &Func, graph: &Graph, one: &Loop, at: usize) -> Option<Value> {
    let mut ends = Vec::new();
    for pred in &graph.preds[one.head.index()] {
        if one.contains(*pred) {
            let edges = func.blocks[pred.index()].term.edges();
            ends.extend(edges.filter(|e| e.to == one.head).map(|e| e.args[at]));
        }
    }
    match ends[..] {
        [end] => Some(end),
        _ => None,
    }
}

/// The row from a parameter to its next value, of sums and products by numbers, or of one other
/// operation; each step is used by the next one alone.
fn row(
    func: &Func,
    one: &Loop,
    param: Value,
    end: Value,
    uses: &[u32],
) -> Option<(Width, Vec<Step>)> {
    // What depends on the parameter within the loop by such steps.
    let mut depends = vec![false; func.nodes.len()];
    depends[param.index()] = true;
    let regroups = |bin| matches!(bin, Bin::Add | Bin::Xor | Bin::Or | Bin::And);
    for block in &one.blocks {
        for &inst in &func.blocks[block.index()].insts {
            if let Node::Bin(bin, _, a, b) = func.node(inst) {
                let by_number = bin == Bin::Mul && func.constant(b).is_some();
                let of = depends[a.index()] || depends[b.index()];
                depends[inst.index()] = of && (regroups(bin) || by_number);
            }
        }
    }
    let mut steps = Vec::new();
    let mut width = None;
    let mut at = end;
    while at != param {
        let Node::Bin(bin, w, a, b) = func.node(at) else {
            return None;
        };
        let (from, other) = match (depends[a.index()], depends[b.index()]) {
            (true, false) => (a, b),
            (false, true) => (b, a),
            _ => return None,
        };
        let single = at == end || uses[at.index()] == 1;
        if !depends[at.index()] || !single || *width.get_or_insert(w) != w {
            return None;
        }
        steps.push(Step {
            node: at,
            bin,
            other,
        });
        if steps.len() > STEPS_MOST {
            return None;
        }
        at = from;
    }
    steps.reverse();
    let first = steps.first()?.bin;
    let is_affine = |bin| matches!(bin, Bin::Add | Bin::Mul);
    let products = steps.iter().filter(|s| s.bin == Bin::Mul).count();
    let good = match is_affine(first) {
        // A product by hand costs more than a sum or two.
        true => steps.iter().all(|s| is_affine(s.bin)) && products != 1,
        false => steps.iter().all(|s| s.bin == first),
    };
    let longer = steps.len() > if products > 0 { 2 } else { 1 };
    // A counter's steps are one already.
    let sums = steps.iter().any(|s| func.constant(s.other).is_none());
    (good && longer && sums).then_some((width?, steps))
}

/// `((p * k + a) * k + b)` is `p * k * k + (a * k + b)`, and likewise.
fn regroup(func: &mut Func, one: &Loop, param: Value, width: Width, steps: &[Step]) {
    let mut factor = 1u64;
    let mut rest: Option<Value> = None;
    let Some((last, before)) = steps.split_last() else {
        return;
    };
    for step in before {
        match (step.bin, rest) {
            (Bin::Mul, _) => {
                factor = factor.wrapping_mul(func.constant(step.other).unwrap_or(1));
                if let Some(sum) = rest {
                    func.nodes[step.node.index()] = Node::Bin(Bin::Mul, width, sum, step.other);
                    rest = Some(step.node);
                }
            }
            (_, None) => rest = Some(step.other),
            (bin, Some(sum)) => {
                func.nodes[step.node.index()] = Node::Bin(bin, width, sum, step.other);
                rest = Some(step.node);
            }
        }
    }
    let block = one.blocks.iter().find(|block| {
        let insts = &func.blocks[block.index()].insts;
        insts.contains(&last.node)
    });
    let (Some(&block), Some(sum)) = (block, rest) else {
        return;
    };
    let mut new = Vec::new();
    let mut add = |func: &mut Func, node| {
        let value = func.add(node);
        new.push(value);
        value
    };
    // The product first: it may take the parameter's register, and the result the product's.
    if last.bin == Bin::Mul {
        factor = factor.wrapping_mul(func.constant(last.other).unwrap_or(1));
    }
    let from = match factor {
        1 => param,
        _ => {
            let factor = match width {
                Width::W32 => u64::from(factor as u32),
                Width::W64 => factor,
            };
            let factor = add(func, Node::Const(factor));
            add(func, Node::Bin(Bin::Mul, width, param, factor))
        }
    };
    // The last step joins both.
    let joined = add(func, Node::Bin(last.bin, width, sum, last.other));
    let bin = match last.bin {
        Bin::Mul => Bin::Add,
        bin => bin,
    };
    func.nodes[last.node.index()] = Node::Bin(bin, width, from, joined);
    let insts = &mut func.blocks[block.index()].insts;
    if let Some(at) = insts.iter().position(|inst| *inst == last.node) {
        insts.splice(at..at, new);
    }
}
