//! Steps of counters go behind the last use of the old number, so that one register does for both.

use alloc::vec::Vec;

use super::ir::{Bin, Func, Node, Value};

/// Moves the steps of each block to their first use in it, or to its end.
pub fn run(func: &mut Func) {
    for block in 0..func.blocks.len() {
        let insts = core::mem::take(&mut func.blocks[block].insts);
        let mut order: Vec<Value> = Vec::with_capacity(insts.len());
        let mut late: Vec<Value> = Vec::new();
        for inst in insts {
            let mut node = func.node(inst);
            if !late.is_empty() {
                let mut wanted = Vec::new();
                node.operands(|v| {
                    if late.contains(v) && !wanted.contains(v) {
                        wanted.push(*v);
                    }
                });
                late.retain(|v| !wanted.contains(v));
                order.extend(wanted);
            }
            let steps = match node {
                Node::Bin(Bin::Add, _, of, by) => {
                    matches!(func.node(of), Node::Param) && func.constant(by).is_some()
                }
                _ => false,
            };
            match steps {
                true => late.push(inst),
                false => order.push(inst),
            }
        }
        order.extend(late);
        func.blocks[block].insts = order;
    }
}
