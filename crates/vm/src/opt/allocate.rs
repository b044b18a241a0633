//! The order of blocks, and a register or place on the stack for every value (by `regalloc2`).

use alloc::{vec, vec::Vec};

use regalloc2::{
    Algorithm, Block as RaBlock, Edit, Function, Inst as RaInst, InstOrEdit, InstRange, MachineEnv,
    Operand, OperandConstraint, OperandKind, OperandPos, Output, PReg, PRegSet, RegClass,
    RegallocOptions, VReg,
};

use super::{
    Why,
    graph::Graph,
    ir::{Block, Edge, Func, Term},
    machine::{Inst, Need, Reg, SPILLED},
    select::Code,
};
use crate::jit::x86::Gpr;

/// Gives every edge from a block with several ways out to one with several ways in a block of its
/// own: for the copies that belong to it alone.
pub fn split_edges(func: &mut Func) {
    let graph = Graph::new(func);
    for &block in &graph.order {
        let edges = func.blocks[block.index()].term.edges().count();
        if edges < 2 {
            continue;
        }
        for at in 0..edges {
            let to = func.blocks[block.index()]
                .term
                .edges()
                .nth(at)
                .map_or(block, |edge| edge.to);
            if graph.preds[to.index()].len() < 2 {
                continue;
            }
            let middle = func.new_block();
            let mut there = Edge {
                to: middle,
                args: Vec::new(),
            };
            if let Some(edge) = func.blocks[block.index()].term.edges_mut().nth(at) {
                core::mem::swap(edge, &mut there);
            }
            func.blocks[middle.index()].term = Term::Jump(there);
        }
    }
}

/// The order in which blocks are written: loops in one piece, ways out of them behind.
pub fn layout(func: &Func, graph: &Graph) -> Vec<Block> {
    let mut depth = vec![0u32; func.blocks.len()];
    for of in graph.loops() {
        for block in of.blocks {
            depth[block.index()] += 1;
        }
    }
    let mut order = Vec::with_capacity(graph.order.len());
    let mut seen = vec![false; func.blocks.len()];
    seen[0] = true;
    let mut stack = vec![(Block::ENTRY, 0)];
    while let Some((block, next)) = stack.pop() {
        let mut ways: Vec<Block> = func.blocks[block.index()]
            .term
            .edges()
            .map(|edge| edge.to)
            .collect();
        // What is visited first comes last.
        ways.sort_by_key(|to| depth[to.index()]);
        match ways.get(next) {
            Some(&to) => {
                stack.push((block, next + 1));
                if !core::mem::replace(&mut seen[to.index()], true) {
                    stack.push((to, 0));
                }
            }
            None => order.push(block),
        }
    }
    order.reverse();
    turn(func, graph, &mut order);
    order
}

/// Puts the block that leads back before the head of its loop where several ways lead to it: each
/// way then takes one jump a round.
fn turn(func: &Func, graph: &Graph, order: &mut [Block]) {
    for one in graph.loops() {
        let mut back = graph.preds[one.head.index()].iter();
        let Some(&last) = back.find(|pred| one.contains(**pred)) else {
            continue;
        };
        if back.any(|pred| one.contains(*pred)) || last == one.head {
            continue;
        }
        // The way back of a branch has a block of its own.
        let (branch, moved) = match graph.preds[last.index()][..] {
            [branch] if func.blocks[last.index()].insts.is_empty() => (branch, 2),
            _ => (last, 1),
        };
        if branch == one.head || graph.preds[branch.index()].len() < 2 {
            continue;
        }
        let place = |block: Block| order.iter().position(|b| *b == block);
        let (Some(from), Some(to)) = (place(last), place(one.head)) else {
            continue;
        };
        let follow = from.checked_sub(moved - 1) == place(branch);
        if to + 1 < from && follow {
            order[to..=from].rotate_right(moved);
        }
    }
}

/// A function whose registers are to be found, its blocks in the order in which they are written.
pub struct Listing {
    pub insts: Vec<Inst>,
    /// Instructions of each block, from and to.
    pub ranges: Vec<(u32, u32)>,
    /// Blocks that each leads to.
    pub next: Vec<Vec<RaBlock>>,
    preds: Vec<Vec<RaBlock>>,
    params: Vec<Vec<VReg>>,
    args: Vec<Vec<Vec<VReg>>>,
    operands: Vec<Operand>,
    /// Where each instruction's operands begin.
    starts: Vec<u32>,
    clobbers: Vec<u16>,
    regs: u32,
}

const fn vreg(reg: Reg) -> VReg {
    VReg::new(reg as usize, RegClass::Int)
}

const fn preg(gpr: Gpr) -> PReg {
    PReg::new(gpr as usize, RegClass::Int)
}

fn set(bits: u16) -> PRegSet {
    let mut set = PRegSet::empty();
    for number in 0..16 {
        if bits >> number & 1 == 1 {
            set.add(PReg::new(number, RegClass::Int));
        }
    }
    set
}

fn operand(reg: Reg, need: Need) -> Operand {
    let vreg = vreg(reg);
    let (constraint, kind, pos) = match need {
        Need::Use => (OperandConstraint::Reg, OperandKind::Use, OperandPos::Early),
        Need::UseAny => (OperandConstraint::Any, OperandKind::Use, OperandPos::Early),
        Need::UseLate => (OperandConstraint::Reg, OperandKind::Use, OperandPos::Late),
        Need::UseFixed(gpr) => (
            OperandConstraint::FixedReg(preg(gpr)),
            OperandKind::Use,
            OperandPos::Early,
        ),
        Need::Def => (OperandConstraint::Reg, OperandKind::Def, OperandPos::Late),
        Need::DefFixed(gpr) => (
            OperandConstraint::FixedReg(preg(gpr)),
            OperandKind::Def,
            OperandPos::Late,
        ),
        Need::DefReuse(of) => (
            OperandConstraint::Reuse(of),
            OperandKind::Def,
            OperandPos::Late,
        ),
        Need::Temp => (OperandConstraint::Reg, OperandKind::Def, OperandPos::Early),
    };
    Operand::new(vreg, constraint, kind, pos)
}

impl Listing {
    /// Puts the blocks in order.
    pub fn new(
        mut blocks: Vec<Code>,
        order: &[Block],
        regs: u32,
        local: impl Fn(u32) -> u16 + Copy,
    ) -> Listing {
        let mut place = vec![RaBlock::invalid(); blocks.len()];
        for (at, block) in order.iter().enumerate() {
            place[block.index()] = RaBlock::new(at);
        }
        let mut listing = Listing {
            insts: Vec::new(),
            ranges: Vec::with_capacity(order.len()),
            next: Vec::with_capacity(order.len()),
            preds: vec![Vec::new(); order.len()],
            params: Vec::with_capacity(order.len()),
            args: Vec::with_capacity(order.len()),
            operands: Vec::new(),
            starts: Vec::new(),
            clobbers: Vec::new(),
            regs,
        };
        for (at, block) in order.iter().enumerate() {
            let code = core::mem::take(&mut blocks[block.index()]);
            let from = listing.insts.len() as u32;
            for mut inst in code.insts {
                listing.starts.push(listing.operands.len() as u32);
                let operands = &mut listing.operands;
                inst.visit(&mut |reg, need| operands.push(operand(*reg, need)));
                listing.clobbers.push(inst.clobbers(local));
                listing.insts.push(inst);
            }
            listing.ranges.push((from, listing.insts.len() as u32));
            listing
                .params
                .push(code.params.iter().map(|reg| vreg(*reg)).collect());
            let mut next = Vec::with_capacity(code.next.len());
            let mut args = Vec::with_capacity(code.next.len());
            for (to, values) in code.next {
                let to = place[to.index()];
                listing.preds[to.index()].push(RaBlock::new(at));
                next.push(to);
                args.push(values.iter().map(|reg| vreg(*reg)).collect());
            }
            listing.next.push(next);
            listing.args.push(args);
        }
        listing.starts.push(listing.operands.len() as u32);
        listing
    }
}

impl Function for Listing {
    fn num_insts(&self) -> usize {
        self.insts.len()
    }

    fn num_blocks(&self) -> usize {
        self.ranges.len()
    }

    fn entry_block(&self) -> RaBlock {
        RaBlock::new(0)
    }

    fn block_insns(&self, block: RaBlock) -> InstRange {
        let (from, to) = self.ranges[block.index()];
        InstRange::new(RaInst::new(from as usize), RaInst::new(to as usize))
    }

    fn block_succs(&self, block: RaBlock) -> &[RaBlock] {
        &self.next[block.index()]
    }

    fn block_preds(&self, block: RaBlock) -> &[RaBlock] {
        &self.preds[block.index()]
    }

    fn block_params(&self, block: RaBlock) -> &[VReg] {
        &self.params[block.index()]
    }

    fn is_ret(&self, inst: RaInst) -> bool {
        matches!(self.insts[inst.index()], Inst::Return(_) | Inst::Trap(_))
    }

    fn is_branch(&self, inst: RaInst) -> bool {
        matches!(self.insts[inst.index()], Inst::Jump | Inst::Branch(..))
    }

    fn branch_blockparams(&self, block: RaBlock, _: RaInst, next: usize) -> &[VReg] {
        &self.args[block.index()][next]
    }

    fn inst_operands(&self, inst: RaInst) -> &[Operand] {
        let (from, to) = (self.starts[inst.index()], self.starts[inst.index() + 1]);
        &self.operands[from as usize..to as usize]
    }

    fn inst_clobbers(&self, inst: RaInst) -> PRegSet {
        set(self.clobbers[inst.index()])
    }

    fn num_vregs(&self) -> usize {
        self.regs as usize
    }

    fn spillslot_size(&self, _: RegClass) -> usize {
        1
    }
}

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    Reg(Gpr),
    /// A place on the stack.
    Slot(u32),
}

/// What is to be written: instructions whose registers are the machine's, and copies.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Inst(Inst),
    Copy { from: Home, to: Home },
}

/// A function with its registers found.
pub struct Allocated {
    pub blocks: Vec<Vec<Step>>,
    /// Blocks that each leads to.
    pub next: Vec<Vec<usize>>,
    pub slots: u32,
    /// Registers that it writes.
    pub written: u16,
}

/// Finds registers among those of `preferred`, then of `kept`.
pub fn allocate(listing: Listing, preferred: u16, kept: u16) -> Result<Allocated, Why> {
    let env = MachineEnv {
        preferred_regs_by_class: [set(preferred), PRegSet::empty(), PRegSet::empty()],
        non_preferred_regs_by_class: [set(kept), PRegSet::empty(), PRegSet::empty()],
        scratch_by_class: [None; 3],
        fixed_stack_slots: Vec::new(),
    };
    let options = RegallocOptions {
        verbose_log: false,
        validate_ssa: cfg!(debug_assertions),
        algorithm: Algorithm::Ion,
    };
    let output = regalloc2::run(&listing, &env, &options).map_err(|_| Why::Registers)?;
    collect(&listing, &output)
}

fn home(of: regalloc2::Allocation) -> Option<Home> {
    if let Some(reg) = of.as_reg() {
        return Gpr::ALL.get(reg.hw_enc()).map(|gpr| Home::Reg(*gpr));
    }
    of.as_stack().map(|slot| Home::Slot(slot.index() as u32))
}

fn collect(listing: &Listing, output: &Output) -> Result<Allocated, Why> {
    let mut written = 0u16;
    let mut blocks = Vec::with_capacity(listing.ranges.len());
    for block in 0..listing.ranges.len() {
        let mut steps = Vec::new();
        for step in output.block_insts_and_edits(listing, RaBlock::new(block)) {
            match step {
                InstOrEdit::Edit(Edit::Move { from, to }) => {
                    let from = home(*from).ok_or(Why::Registers)?;
                    let to = home(*to).ok_or(Why::Registers)?;
                    if let Home::Reg(gpr) = to {
                        written |= 1 << gpr as u8;
                    }
                    if from != to {
                        steps.push(Step::Copy { from, to });
                    }
                }
                InstOrEdit::Inst(at) => {
                    let mut inst = listing.insts[at.index()];
                    written |= listing.clobbers[at.index()];
                    let mut allocations = output.inst_allocs(at).iter();
                    let mut good = true;
                    inst.visit(&mut |reg, need| {
                        let found = allocations.next().and_then(|a| home(*a));
                        *reg = match (found, need) {
                            (Some(Home::Reg(gpr)), _) => gpr as u32,
                            (Some(Home::Slot(slot)), Need::UseAny) => SPILLED + slot,
                            _ => {
                                good = false;
                                0
                            }
                        };
                        if need.writes() && good {
                            written |= 1 << *reg;
                        }
                    });
                    if !good {
                        return Err(Why::Registers);
                    }
                    steps.push(Step::Inst(inst));
                }
            }
        }
        blocks.push(steps);
    }
    let next = listing.next.iter();
    Ok(Allocated {
        blocks,
        next: next
            .map(|next| next.iter().map(|b| b.index()).collect())
            .collect(),
        slots: output.num_spillslots as u32,
        written,
    })
}
