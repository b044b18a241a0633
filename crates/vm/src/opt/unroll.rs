//! Small loops whose rounds are known in number make several rounds at once: tests and steps of the
//! counter between them go away.

use alloc::{vec, vec::Vec};

use panal_isa::Width;

use super::{
    graph::{Graph, Loop},
    ir::{Bin, Block, BlockData, Cond, Edge, Func, Node, Term, Test, Value},
};

/// Nodes of all rounds together.
const NODES_MOST: usize = 72;
/// Rounds at once.
const ROUNDS: [u64; 7] = [8, 4, 6, 5, 7, 3, 2];
/// Nodes of a loop whose rounds nobody knows that makes several rounds at once, and how many.
const SMALL: usize = 12;
const SMALL_ROUNDS: u64 = 2;
/// A loop of so few rounds and nodes is written out.
const WHOLE_MOST: u64 = 16;
/// Values of the loop that are used after it.
const VALUES_MOST: usize = 64;
/// Rounds that are tried to find their number where no formula is at hand.
const TRIED_MOST: u64 = 64;

/// Unrolls what it finds; whether it found something.
pub fn run(func: &mut Func) -> bool {
    let mut asked: Vec<Block> = Vec::new();
    let mut found = false;
    // Blocks are added: the graph is another one after each loop.
    while next(func, &mut asked) {
        found = true;
    }
    found
}

/// Unrolls the next inner loop that was not asked for yet.
fn next(func: &mut Func, asked: &mut Vec<Block>) -> bool {
    let graph = Graph::new(func);
    let loops = graph.loops();
    for one in &loops {
        let is_inner = !loops
            .iter()
            .any(|other| other.head != one.head && one.contains(other.head));
        if !is_inner || asked.contains(&one.head) {
            continue;
        }
        asked.push(one.head);
        if unroll(func, &graph, one) {
            return true;
        }
    }
    false
}

/// How a loop ends: its last block, and which way of its branch leads back.
struct Latch {
    block: Block,
    back_is_then: bool,
    /// `None` where nobody knows: every round keeps its branch.
    rounds: Option<u64>,
}

fn unroll(func: &mut Func, graph: &Graph, one: &Loop) -> bool {
    let mut size = 0;
    for block in &one.blocks {
        for inst in &func.blocks[block.index()].insts {
            match func.nodes[inst.index()] {
                Node::Const(_) | Node::Undef | Node::Frame(_) | Node::Charge(..) => {}
                Node::Call(..) => return false,
                _ => size += 1,
            }
        }
        size += 1;
    }
    let Some(mut latch) = latch(func, graph, one) else {
        return false;
    };
    let fits = |rounds: u64| rounds as usize * size <= NODES_MOST;
    let counted = match latch.rounds {
        Some(0 | 1) => return false,
        Some(all) if all <= WHOLE_MOST && fits(all) => Some(all),
        Some(all) => {
            let good = ROUNDS.iter().find(|r| all.is_multiple_of(**r) && fits(**r));
            good.copied()
        }
        None => None,
    };
    if counted.is_none() {
        if size > SMALL {
            return false;
        }
        latch.rounds = None;
    }
    let rounds = counted.unwrap_or(SMALL_ROUNDS);
    let Some(outside) = used_outside(func, graph, one) else {
        return false;
    };
    let copies = copy(func, one, &latch, rounds);
    repair(func, one, &outside, &copies);
    true
}

/// The one block that leads back, if its branch counts.
fn latch(func: &Func, graph: &Graph, one: &Loop) -> Option<Latch> {
    let preds = &graph.preds[one.head.index()];
    let mut back = preds.iter().filter(|pred| one.contains(**pred));
    let block = *back.next()?;
    if back.next().is_some() {
        return None;
    }
    let mut entries = preds.iter().filter(|pred| !one.contains(**pred));
    let entry = *entries.next()?;
    if entries.next().is_some() {
        return None;
    }
    let Term::If(test, then, other) = &func.blocks[block.index()].term else {
        return Some(Latch {
            block,
            back_is_then: true,
            rounds: None,
        });
    };
    let (back, out, back_is_then) = match (then.to == one.head, other.to == one.head) {
        (true, false) => (then, other, true),
        (false, true) => (other, then, false),
        _ => return None,
    };
    if one.contains(out.to) {
        return None;
    }
    let mut enters = func.blocks[entry.index()].term.edges();
    let enter = enters.find(|edge| edge.to == one.head)?;
    let stays = if back_is_then { *test } else { test.inverted() };
    let params = &func.blocks[one.head.index()].params;
    let rounds = params.iter().enumerate().find_map(|(at, param)| {
        let next = back.args[at];
        let Node::Bin(Bin::Add, width, base, step) = func.node(next) else {
            return None;
        };
        if base != *param {
            return None;
        }
        let (first, step) = (func.constant(enter.args[at])?, func.constant(step)?);
        rounds(func, stays, *param, next, width, first, step)
    });
    Some(Latch {
        block,
        back_is_then,
        rounds,
    })
}

/// How many rounds a loop makes that goes on while the test holds.
fn rounds(
    func: &Func,
    stays: Test,
    param: Value,
    next: Value,
    width: Width,
    first: u64,
    step: u64,
) -> Option<u64> {
    let end = func.constant(stays.b)?;
    let mask = |v: u64| match width {
        Width::W32 => u64::from(v as u32),
        Width::W64 => v,
    };
    let tests_next = match stays.a {
        a if a == next => true,
        a if a == param => false,
        _ => return None,
    };
    // By the distance, where the counter meets its end.
    if stays.cond == Cond::Ne && tests_next && step != 0 && stays.width == width {
        let (from, to) = (mask(first), mask(end));
        let (way, step) = match width {
            Width::W64 => {
                let forwards = (step as i64) > 0;
                let way = if forwards {
                    to.wrapping_sub(from)
                } else {
                    from.wrapping_sub(to)
                };
                (way, (step as i64).unsigned_abs())
            }
            Width::W32 => {
                let (from, to, step) = (from as u32, to as u32, step as u32 as i32);
                let way = if step > 0 {
                    to.wrapping_sub(from)
                } else {
                    from.wrapping_sub(to)
                };
                (u64::from(way), u64::from(step.unsigned_abs()))
            }
        };
        return (way != 0 && way.is_multiple_of(step)).then(|| way / step);
    }
    let mut value = first;
    for round in 1..=TRIED_MOST {
        let after = mask(value.wrapping_add(step));
        let tested = if tests_next { after } else { value };
        if !stays.cond.of(stays.width, tested, end) {
            return Some(round);
        }
        value = after;
    }
    None
}

/// Values of the loop that are used elsewhere; `None` when they are too many.
fn used_outside(func: &Func, graph: &Graph, one: &Loop) -> Option<Vec<Value>> {
    let mut own = vec![false; func.nodes.len()];
    for block in &one.blocks {
        let data = &func.blocks[block.index()];
        for value in data.insts.iter().chain(&data.params) {
            own[value.index()] = true;
        }
    }
    let mut found = Vec::new();
    let mut use_of = |v: &mut Value| {
        if core::mem::replace(&mut own[v.index()], false) {
            found.push(*v);
        }
    };
    for &block in &graph.order {
        if one.contains(block) {
            continue;
        }
        for &inst in &func.blocks[block.index()].insts {
            let mut node = func.node(inst);
            node.operands(&mut use_of);
        }
        func.blocks[block.index()]
            .term
            .clone()
            .operands(&mut use_of);
    }
    // Constants are the same in every round, but their nodes are copied, too.
    (found.len() <= VALUES_MOST).then_some(found)
}

/// What a round's values and blocks are called: by those of the first.
struct Round {
    values: Vec<(Value, Value)>,
    blocks: Vec<(Block, Block)>,
}

impl Round {
    fn value(&self, of: Value) -> Value {
        let found = self.values.binary_search_by_key(&of, |(from, _)| *from);
        found.map_or(of, |at| self.values[at].1)
    }

    fn block(&self, of: Block) -> Option<Block> {
        let found = self.blocks.iter().find(|(from, _)| *from == of);
        found.map(|(_, to)| *to)
    }
}

/// Writes the rounds after the first one behind it.
fn copy(func: &mut Func, one: &Loop, latch: &Latch, rounds: u64) -> Vec<Round> {
    let mut copies = Vec::new();
    for _ in 1..rounds {
        let mut round = Round {
            values: Vec::new(),
            blocks: Vec::new(),
        };
        for &block in &one.blocks {
            let new = func.new_block();
            round.blocks.push((block, new));
            for at in 0..func.blocks[block.index()].params.len() {
                let param = func.blocks[block.index()].params[at];
                let copied = func.new_param(new);
                round.values.push((param, copied));
            }
            for at in 0..func.blocks[block.index()].insts.len() {
                let inst = func.blocks[block.index()].insts[at];
                let node = func.node(inst);
                let copied = func.push(new, node);
                round.values.push((inst, copied));
            }
        }
        round.values.sort_unstable();
        copies.push(round);
    }
    // Operands, now that all names are known; the first round's terms are changed last.
    for round in &copies {
        for &(_, copied) in &round.values {
            let mut node = func.node(copied);
            node.operands(|v| *v = round.value(*v));
            func.nodes[copied.index()] = node;
        }
    }
    for at in (0..rounds as usize).rev() {
        let next_head = copies.get(at).and_then(|round| round.block(one.head));
        for &block in &one.blocks {
            let mut term = func.blocks[block.index()].term.clone();
            if block == latch.block {
                term = counted(term, latch, at as u64 + 1, rounds);
            }
            let target = match at.checked_sub(1) {
                None => block,
                Some(copied) => {
                    let round = &copies[copied];
                    term.operands(|v| *v = round.value(*v));
                    for edge in term.edges_mut() {
                        if let Some(to) = round.block(edge.to)
                            && !(block == latch.block && edge.to == one.head)
                        {
                            edge.to = to;
                        }
                    }
                    round.block(block).unwrap_or(block)
                }
            };
            if block == latch.block {
                for edge in term.edges_mut() {
                    if edge.to == one.head {
                        edge.to = next_head.unwrap_or(one.head);
                    }
                }
            }
            func.blocks[target.index()].term = term;
        }
    }
    copies
}

/// The end of a round: the branch counts only in the last one.
fn counted(term: Term, latch: &Latch, round: u64, rounds: u64) -> Term {
    let (Term::If(test, then, other), Some(all)) = (term.clone(), latch.rounds) else {
        return term;
    };
    let (back, out) = match latch.back_is_then {
        true => (then, other),
        false => (other, then),
    };
    match () {
        () if round < rounds => Term::Jump(back),
        // Written out as a whole: it never goes back.
        () if rounds == all => Term::Jump(out),
        () if latch.back_is_then => Term::If(test, back, out),
        () => Term::If(test, out, back),
    }
}

/// Values of the loop that are used after it: each round has its own.
fn repair(func: &mut Func, one: &Loop, outside: &[Value], copies: &[Round]) {
    if outside.is_empty() {
        return;
    }
    let graph = Graph::new(func);
    // Which round a block belongs to; the first has number 0.
    let mut round_of: Vec<Option<usize>> = vec![None; func.blocks.len()];
    for &block in &one.blocks {
        round_of[block.index()] = Some(0);
    }
    for (at, round) in copies.iter().enumerate() {
        for (_, block) in &round.blocks {
            round_of[block.index()] = Some(at + 1);
        }
    }
    let index_of = |v: Value| outside.iter().position(|o| *o == v);
    let mut reads = vec![0u64; func.blocks.len()];
    for &block in &graph.order {
        if round_of[block.index()].is_some() {
            continue;
        }
        let mut all = 0;
        let mut read = |v: &mut Value| {
            if let Some(at) = index_of(*v) {
                all |= 1 << at;
            }
        };
        for &inst in &func.blocks[block.index()].insts {
            let mut node = func.node(inst);
            node.operands(&mut read);
        }
        func.blocks[block.index()].term.clone().operands(&mut read);
        reads[block.index()] = all;
    }
    let mut live = reads;
    let mut changed = true;
    while changed {
        changed = false;
        for &block in graph.order.iter().rev() {
            if round_of[block.index()].is_some() {
                continue;
            }
            let next = func.blocks[block.index()].term.edges();
            let out = next.fold(0, |all, edge| match round_of[edge.to.index()] {
                Some(_) => all,
                None => all | live[edge.to.index()],
            });
            let now = live[block.index()] | out;
            changed |= now != live[block.index()];
            live[block.index()] = now;
        }
    }
    let value_in = |round: usize, value: Value| match round.checked_sub(1) {
        None => value,
        Some(copied) => copies[copied].value(value),
    };
    let mut values: Vec<Option<Vec<Value>>> = vec![None; func.blocks.len()];
    for &block in &graph.order {
        let index = block.index();
        if let Some(round) = round_of[index] {
            values[index] = Some(outside.iter().map(|v| value_in(round, *v)).collect());
        }
    }
    let mut params: Vec<Vec<usize>> = vec![Vec::new(); func.blocks.len()];
    for &block in &graph.order {
        let index = block.index();
        if round_of[index].is_some() || live[index] == 0 {
            continue;
        }
        let mut here = match graph.preds[index][..] {
            [pred] => values[pred.index()].clone(),
            _ => None,
        }
        .unwrap_or_else(|| outside.to_vec());
        if graph.preds[index].len() > 1 {
            for (at, value) in here.iter_mut().enumerate() {
                if live[index] >> at & 1 == 1 {
                    *value = func.new_param(block);
                    params[index].push(at);
                }
            }
        }
        let mut rename = |v: &mut Value| {
            if let Some(at) = index_of(*v) {
                *v = here[at];
            }
        };
        for at in 0..func.blocks[index].insts.len() {
            let inst = func.blocks[index].insts[at];
            let mut node = func.node(inst);
            node.operands(&mut rename);
            func.nodes[inst.index()] = node;
        }
        let empty = BlockData {
            params: Vec::new(),
            insts: Vec::new(),
            term: Term::Trap(0),
        };
        let mut data = core::mem::replace(&mut func.blocks[index], empty);
        data.term.operands(&mut rename);
        func.blocks[index] = data;
        values[index] = Some(here);
    }
    for &block in &graph.order {
        let mut edges: Vec<Edge> = Vec::new();
        for edge in func.blocks[block.index()].term.edges() {
            edges.push(edge.clone());
        }
        for (at, edge) in edges.iter_mut().enumerate() {
            let slots = &params[edge.to.index()];
            let have = &values[block.index()];
            let args = slots.iter().map(|slot| match have {
                Some(have) => have[*slot],
                None => outside[*slot],
            });
            edge.args.extend(args);
            if let Some(place) = func.blocks[block.index()].term.edges_mut().nth(at) {
                *place = edge.clone();
            }
        }
    }
}
