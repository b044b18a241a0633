//! What one round of a loop hands to the next through a row of sums, products, or least and greatest
//! numbers comes sooner: the rest of the row does not wait for it.

use alloc::{vec, vec::Vec};

use panal_isa::Width;

use super::{
    graph::{Graph, Loop},
    ir::{Bin, Cond, Func, Node, Test, Value},
    known,
};

/// Steps of a row that is looked at.
const STEPS_MOST: usize = 64;

/// What a step does with two numbers, in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bin(Bin),
    /// Takes the one that is so beside the other: the least or the greatest.
    Pick(Cond),
}

/// A step of a row: the node, and what is combined with what comes from before.
struct Step {
    node: Value,
    kind: Kind,
    other: Value,
}

impl Kind {
    fn node(self, width: Width, a: Value, b: Value) -> Node {
        match self {
            Kind::Bin(bin) => Node::Bin(bin, width, a, b),
            Kind::Pick(cond) => Node::Select(Test { cond, width, a, b }, a, b),
        }
    }
}

/// A node as a step: what it does, at which width, with which two.
fn step(func: &Func, zeros: &[u64], node: &Node) -> Option<(Kind, Width, Value, Value)> {
    match *node {
        Node::Bin(bin @ (Bin::Add | Bin::Xor | Bin::Or | Bin::And), width, a, b) => {
            Some((Kind::Bin(bin), width, a, b))
        }
        Node::Bin(Bin::Mul, width, a, b) if func.constant(b).is_some() => {
            Some((Kind::Bin(Bin::Mul), width, a, b))
        }
        Node::Select(test, a, b) => {
            let cond = match (test.a == a && test.b == b, test.a == b && test.b == a) {
                (true, _) => test.cond,
                (_, true) => test.cond.swapped(),
                _ => return None,
            };
            // Of two that are equal either will do.
            let cond = match cond {
                Cond::Ult | Cond::Ule => Cond::Ult,
                Cond::Ugt | Cond::Uge => Cond::Ugt,
                Cond::Slt | Cond::Sle => Cond::Slt,
                Cond::Sgt | Cond::Sge => Cond::Sgt,
                _ => return None,
            };
            // But for halves that are not compared.
            let zeros = |v: Value| zeros.get(v.index()).copied().unwrap_or(0);
            let low = |v: Value| zeros(v) >> 32 == u64::from(u32::MAX);
            let whole = test.width == Width::W64 || (low(a) && low(b));
            whole.then_some((Kind::Pick(cond), test.width, a, b))
        }
        _ => None,
    }
}

/// Regroups what it finds.
pub fn run(func: &mut Func) {
    let graph = Graph::new(func);
    let loops = graph.loops();
    if loops.is_empty() {
        return;
    }
    let uses = func.uses();
    let zeros = known::all(func, &graph);
    for one in &loops {
        let params = func.blocks[one.head.index()].params.clone();
        for (at, param) in params.into_iter().enumerate() {
            if let Some(end) = end(func, &graph, one, at)
                && let Some((width, steps)) = row(func, one, param, end, &uses, &zeros)
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
    zeros: &[u64],
) -> Option<(Width, Vec<Step>)> {
    // What depends on the parameter within the loop by such steps.
    let mut depends = vec![false; func.nodes.len()];
    depends[param.index()] = true;
    for block in &one.blocks {
        for &inst in &func.blocks[block.index()].insts {
            if let Some((_, _, a, b)) = step(func, zeros, &func.nodes[inst.index()]) {
                depends[inst.index()] = depends[a.index()] || depends[b.index()];
            }
        }
    }
    let mut steps = Vec::new();
    let mut width = None;
    let mut at = end;
    while at != param {
        if !depends[at.index()] {
            return None;
        }
        let (kind, w, a, b) = step(func, zeros, &func.nodes[at.index()])?;
        let (from, other) = match (depends[a.index()], depends[b.index()]) {
            (true, false) => (a, b),
            (false, true) => (b, a),
            _ => return None,
        };
        // A choice uses its two numbers twice.
        let wanted = match steps.last() {
            Some(Step {
                kind: Kind::Pick(_),
                ..
            }) => 2,
            _ => 1,
        };
        let single = at == end || uses.get(at.index()) == Some(&wanted);
        if !single || *width.get_or_insert(w) != w {
            return None;
        }
        steps.push(Step {
            node: at,
            kind,
            other,
        });
        if steps.len() > STEPS_MOST {
            return None;
        }
        at = from;
    }
    steps.reverse();
    let first = steps.first()?.kind;
    let product = Kind::Bin(Bin::Mul);
    let is_affine = |kind| kind == product || kind == Kind::Bin(Bin::Add);
    let products = steps.iter().filter(|s| s.kind == product).count();
    let good = match is_affine(first) {
        // A product by hand costs more than a sum or two.
        true => steps.iter().all(|s| is_affine(s.kind)) && products != 1,
        false => steps.iter().all(|s| s.kind == first),
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
        match (step.kind, rest) {
            (Kind::Bin(Bin::Mul), _) => {
                factor = factor.wrapping_mul(func.constant(step.other).unwrap_or(1));
                if let Some(sum) = rest {
                    func.nodes[step.node.index()] = step.kind.node(width, sum, step.other);
                    rest = Some(step.node);
                }
            }
            (_, None) => rest = Some(step.other),
            (kind, Some(sum)) => {
                func.nodes[step.node.index()] = kind.node(width, sum, step.other);
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
    if last.kind == Kind::Bin(Bin::Mul) {
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
    let joined = add(func, last.kind.node(width, sum, last.other));
    let kind = match last.kind {
        Kind::Bin(Bin::Mul) => Kind::Bin(Bin::Add),
        kind => kind,
    };
    func.nodes[last.node.index()] = kind.node(width, from, joined);
    let insts = &mut func.blocks[block.index()].insts;
    if let Some(at) = insts.iter().position(|inst| *inst == last.node) {
        insts.splice(at..at, new);
    }
}
