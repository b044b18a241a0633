//! Bits that are known to be zero.

use alloc::{vec, vec::Vec};

use panal_isa::Width::{self, W32};

use super::{
    graph::Graph,
    ir::{Bin, Func, Node, Value},
};
use crate::RunWord;

const UPPER: u64 = 0xffff_ffff_0000_0000;
/// Rounds until little is believed of parameters that still change.
const ROUNDS: usize = 4;

/// Bits above the highest that is set in numbers of so many bits.
const fn above(bits: u32) -> u64 {
    if bits >= 64 { 0 } else { u64::MAX << bits }
}

/// How many bits a number has at most, by the zeros it is known to have.
pub const fn bits(zeros: u64) -> u32 {
    64 - (!zeros).leading_zeros()
}

/// Zeros of a node's value, by those of its operands.
pub fn zeros(func: &Func, zeros: &[u64], node: &Node) -> u64 {
    let of = |v: Value| zeros[v.index()];
    match *node {
        Node::Const(c) | Node::Held(c) => !c,
        Node::OfRun(RunWord::Cpu) => UPPER,
        Node::Bin(bin, width, a, b) => of_bin(bin, width, of(a), of(b), func.constant(b)),
        Node::Neg(W32, _) | Node::Sext(_, W32, _) => UPPER,
        Node::Swap(bits, _) => above(bits.into()),
        Node::Select(_, a, b) => of(a) & of(b),
        Node::Load(_, bytes, false) | Node::Acquire(_, bytes) | Node::Probe(_, bytes, false) => {
            above(8 * u32::from(bytes))
        }
        Node::Atomic(_, W32, ..) => UPPER,
        _ => 0,
    }
}

fn of_bin(bin: Bin, width: Width, a: u64, b: u64, count: Option<u64>) -> u64 {
    let (a, b) = match width {
        W32 => (a | UPPER, b | UPPER),
        Width::W64 => (a, b),
    };
    let trailing = |z: u64| (!z).trailing_zeros();
    let low = |n: u32| !above(n);
    let zeros = match bin {
        Bin::And => a | b,
        Bin::Or | Bin::Xor => a & b,
        Bin::Add => above(bits(a).max(bits(b)) + 1) | low(trailing(a).min(trailing(b))),
        Bin::Mul => above(bits(a) + bits(b)) | low((trailing(a) + trailing(b)).min(64)),
        Bin::Sub => low(trailing(a).min(trailing(b))),
        Bin::Shl => match count {
            Some(count) => {
                let count = count as u32 & if width == W32 { 31 } else { 63 };
                a << count | low(count)
            }
            None => 0,
        },
        Bin::Shr => match count {
            Some(count) => {
                let count = count as u32 & if width == W32 { 31 } else { 63 };
                a >> count | above(64 - count)
            }
            None => above(bits(a)),
        },
        Bin::UDiv => above(bits(a)),
        // By zero it is the dividend.
        Bin::UMod => match count {
            Some(c) if c != 0 => above(bits(a).min(64 - (c - 1).leading_zeros())),
            _ => above(bits(a)),
        },
        Bin::Sar | Bin::Rol | Bin::SDiv | Bin::SMod | Bin::MulHigh => 0,
    };
    if width == W32 { zeros | UPPER } else { zeros }
}

/// Zeros of all values. Parameters are believed to be zero until something else reaches them; those
/// that still change after some rounds keep at most their upper half.
pub fn all(func: &Func, graph: &Graph) -> Vec<u64> {
    let mut known = vec![0; func.nodes.len()];
    for block in &graph.order[1..] {
        for param in &func.blocks[block.index()].params {
            known[param.index()] = u64::MAX;
        }
    }
    let mut round = 0;
    let mut changed = true;
    while changed {
        changed = false;
        for &block in &graph.order {
            let data = &func.blocks[block.index()];
            for &inst in &data.insts {
                known[inst.index()] = zeros(func, &known, &func.nodes[inst.index()]);
            }
            for edge in data.term.edges() {
                let params = &func.blocks[edge.to.index()].params;
                for (param, arg) in params.iter().zip(&edge.args) {
                    let now = known[param.index()];
                    let mut zeros = now & known[arg.index()];
                    if zeros != now && round >= ROUNDS {
                        zeros = if zeros & UPPER == UPPER { UPPER } else { 0 };
                    }
                    changed |= zeros != now;
                    known[param.index()] = zeros;
                }
            }
        }
        round += 1;
    }
    known
}
