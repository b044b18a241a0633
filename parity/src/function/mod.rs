//! Whether what a program computes is a function of its input: only then two kernels' results can be
//! compared.
//!
//! Addresses differ between kernels, and bytes that nobody wrote hold anything. So every register
//! and stack byte is followed on every path: a number, an address and of what, or neither. A
//! program is not comparable where an address or an undefined value comes to where it shows: in
//! a map, a packet, a context, a return value, a helper's number, or the way of a branch.
//! Wherever paths or functions meet, less is known: a program that could be compared may be left
//! out, one that cannot be is not let through.

mod state;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;

use panal_isa::{AtomicOp, CallTarget, Code, Imm64, Instruction, PacketMode, Reg, Size};
use panal_uapi::{
    ProgType,
    helpers::{self, ArgKind, Return, Traits, id},
};

use crate::generate;
use state::State;
use value::{Value, alu, computed, decided, shows_in_branch, sized};

/// A place where the result is no function of the input.
struct Shows;

/// Whether a helper that makes room before a packet is called in a loop, or in a function that one
/// may call: Linux's buffers grow with each, until it depends on free memory whether there is another.
fn may_run_out_of_memory(code: &Code, starts: &[usize]) -> bool {
    const GROW: [u32; 2] = [id::BPF_FUNC_skb_vlan_push, id::BPF_FUNC_skb_change_head];
    let main_end = starts.get(1).copied().unwrap_or(usize::MAX);
    let backward: Vec<(usize, usize)> = code
        .iter()
        .filter_map(|(slot, _)| Some((code.target(slot)?, slot)))
        .filter(|(to, from)| to < from)
        .collect();
    code.iter().any(|(slot, instruction)| {
        matches!(instruction, Instruction::Call(CallTarget::Helper(id)) if GROW.contains(id))
            && (slot >= main_end
                || backward
                    .iter()
                    .any(|(to, from)| (to..from).contains(&&slot)))
    })
}

/// Whether the program's results depend on nothing but its input. `careful`: it was generated
/// without wild parts, so an address in its frame that is not known exactly is in the part that every
/// function zeroes.
pub fn of_input(code: &Code, starts: &[usize], prog_type: ProgType, careful: bool) -> bool {
    if may_run_out_of_memory(code, starts) {
        return false;
    }
    let changes_packet = code.iter().any(|(_, instruction)| match instruction {
        Instruction::Call(CallTarget::Helper(id)) => helper_changes_packet(*id, prog_type),
        _ => false,
    });
    let mut walk = Walk {
        code,
        prog_type,
        careful,
        changes_packet,
        entries: BTreeMap::new(),
        waiting: Vec::new(),
    };
    let mut main = [Value::Unknown; 5];
    main[0] = Value::Context;
    walk.enter(starts.first().copied().unwrap_or(0), main);
    while let Some(start) = walk.waiting.pop() {
        if walk.function(start).is_err() {
            return false;
        }
    }
    true
}

fn helper_changes_packet(id: u32, prog_type: ProgType) -> bool {
    helpers::by_id(id).is_none_or(|helper| {
        let signature = helper.signature_for(prog_type);
        signature.traits.contains(Traits::CHANGES_PACKET)
    })
}

struct Walk<'c> {
    code: &'c Code,
    prog_type: ProgType,
    careful: bool,
    /// Whether some helper of the program can move the packet.
    changes_packet: bool,
    /// Functions by their first slot: what they are given.
    entries: BTreeMap<usize, [Value; 5]>,
    waiting: Vec<usize>,
}

impl Walk<'_> {
    /// A function is called like this, too.
    fn enter(&mut self, start: usize, args: [Value; 5]) {
        let joined = match self.entries.get(&start) {
            None => args,
            Some(known) => std::array::from_fn(|i| known[i].join(args[i])),
        };
        if self.entries.get(&start) != Some(&joined) {
            self.entries.insert(start, joined);
            self.waiting.push(start);
        }
    }

    /// Follows every path of a function.
    fn function(&mut self, start: usize) -> Result<(), Shows> {
        let args = self.entries.get(&start).copied();
        let entry = State::new(args.unwrap_or([Value::Unknown; 5]));
        let mut states: BTreeMap<usize, State> = BTreeMap::from([(start, entry)]);
        let mut waiting = vec![start];
        while let Some(slot) = waiting.pop() {
            let Some(state) = states.get(&slot) else {
                continue;
            };
            let (after, next) = self.step(slot, state.clone())?;
            for to in next.into_iter().flatten() {
                let changed = match states.get_mut(&to) {
                    Some(known) => known.join(&after),
                    None => {
                        states.insert(to, after.clone());
                        true
                    }
                };
                if changed {
                    waiting.push(to);
                }
            }
        }
        Ok(())
    }

    /// One instruction, and where the path goes on.
    fn step(
        &mut self,
        slot: usize,
        mut state: State,
    ) -> Result<(State, [Option<usize>; 2]), Shows> {
        let instruction = *self.code.get(slot).ok_or(Shows)?;
        let next = Some(self.code.next(slot));
        let target = self.code.target(slot);
        let mut ways = [next, None];
        match instruction {
            Instruction::Alu {
                width,
                op,
                dst,
                src,
            } => {
                let value = alu(width, op, state.get(dst), state.operand(src));
                state.set(dst, value);
            }
            Instruction::Neg { dst, .. } | Instruction::Endian { dst, .. } => {
                state.set(dst, computed(&[state.get(dst)]));
            }
            Instruction::MovSx { dst, src, .. } => state.set(dst, computed(&[state.get(src)])),
            Instruction::AddrSpaceCast { dst, .. } => state.set(dst, Value::Unknown),
            Instruction::LoadImm64 { dst, imm } => {
                let value = self.immediate(slot, imm);
                state.set(dst, value);
            }
            Instruction::Load {
                size,
                signed,
                dst,
                base,
                offset,
            } => {
                let value = self.load(&state, size, base, offset);
                let value = if signed { computed(&[value]) } else { value };
                state.set(dst, value);
            }
            Instruction::Store {
                size,
                base,
                offset,
                src,
            } => {
                let value = state.operand(src);
                self.store(&mut state, size, base, offset, value)?;
            }
            Instruction::Atomic {
                op,
                size,
                base,
                offset,
                src,
            } => self.atomic(&mut state, op, size, (base, offset), src)?,
            Instruction::PacketLoad { mode, .. } => {
                if let PacketMode::Indirect(r) = mode
                    && !state.get(r).is_number()
                {
                    return Err(Shows);
                }
                state.clobber();
                state.set(Reg::R0, Value::Number);
            }
            Instruction::Jump { .. } => ways = [target, None],
            Instruction::Branch {
                width,
                cond,
                dst,
                src,
                ..
            } => {
                let (left, right) = (state.get(dst), state.operand(src));
                ways = match decided(width, cond, left, right) {
                    Some(true) => [target, None],
                    Some(false) => [next, None],
                    None if shows_in_branch(width, cond, left, right) => return Err(Shows),
                    None => [next, target],
                };
            }
            Instruction::MayGoto { .. } => ways = [next, target],
            Instruction::Call(called) => self.call(slot, called, &mut state)?,
            Instruction::Exit => {
                if !state.get(Reg::R0).is_number() {
                    return Err(Shows);
                }
                ways = [None, None];
            }
        }
        Ok((state, ways))
    }

    fn immediate(&self, slot: usize, imm: Imm64) -> Value {
        match imm {
            Imm64::Value(value) => Value::Known(value as i64),
            Imm64::MapIndexValue { .. } | Imm64::MapValue { .. } => Value::Memory,
            Imm64::MapIndex(_) | Imm64::MapFd(_) => Value::Map,
            Imm64::Func(_) => match self.code.callee(slot) {
                Some(start) => Value::Function(start),
                None => Value::Unknown,
            },
            Imm64::BtfVar { .. } => Value::Unknown,
        }
    }

    fn load(&self, state: &State, size: Size, base: Reg, offset: i16) -> Value {
        let offset = i64::from(offset);
        match state.get(base) {
            Value::Frame(low, high) => state.read_frame(low + offset, high + offset, size),
            Value::Somewhere if self.careful && state.scratch_is_numbers() => sized(size),
            Value::Memory | Value::Packet => sized(size),
            Value::Context => generate::context_field(self.prog_type, size, offset).map_or(
                Value::Unknown,
                |packet| {
                    if packet { Value::Packet } else { sized(size) }
                },
            ),
            _ => Value::Unknown,
        }
    }

    fn store(
        &self,
        state: &mut State,
        size: Size,
        base: Reg,
        offset: i16,
        value: Value,
    ) -> Result<(), Shows> {
        let offset = i64::from(offset);
        match state.get(base) {
            Value::Frame(low, high) => {
                state.write_frame(low + offset, high + offset, size, value);
                Ok(())
            }
            Value::Somewhere | Value::Memory | Value::Packet | Value::Context
                if value.is_number() =>
            {
                Ok(())
            }
            _ => Err(Shows),
        }
    }

    fn atomic(
        &self,
        state: &mut State,
        op: AtomicOp,
        size: Size,
        (base, offset): (Reg, i16),
        src: Reg,
    ) -> Result<(), Shows> {
        let old = self.load(state, size, base, offset);
        let given = state.get(src);
        match op {
            AtomicOp::LoadAcquire => {
                state.set(src, old);
                return Ok(());
            }
            AtomicOp::StoreRelease => return self.store(state, size, base, offset, given),
            _ => {}
        }
        let stored = match op {
            AtomicOp::Xchg => computed(&[given]),
            AtomicOp::CmpXchg => computed(&[given, old, state.get(Reg::R0)]),
            _ => computed(&[given, old]),
        };
        self.store(state, size, base, offset, stored)?;
        match op {
            AtomicOp::CmpXchg => state.set(Reg::R0, computed(&[old])),
            AtomicOp::Xchg
            | AtomicOp::Add { fetch: true }
            | AtomicOp::Or { fetch: true }
            | AtomicOp::And { fetch: true }
            | AtomicOp::Xor { fetch: true } => state.set(src, computed(&[old])),
            _ => {}
        }
        Ok(())
    }

    fn call(&mut self, slot: usize, called: CallTarget, state: &mut State) -> Result<(), Shows> {
        match called {
            CallTarget::Local(_) => {
                let start = self.code.callee(slot).ok_or(Shows)?;
                let args = self.lent(state, 5)?;
                self.enter(start, args);
                if self.changes_packet {
                    state.forget_packet();
                }
                state.clobber();
                state.set(Reg::R0, Value::Number);
            }
            CallTarget::Helper(id) => self.helper(id, state)?,
            // The numbers' iterator: made, moved to a number or null, ended.
            CallTarget::Kfunc { id, .. } => {
                state.clobber();
                let returned = match id {
                    0 => Value::Number,
                    1 => Value::Memory,
                    _ => Value::Unknown,
                };
                state.set(Reg::R0, returned);
            }
            _ => return Err(Shows),
        }
        Ok(())
    }

    /// The arguments as a function sees them: what stands on the stack is some memory for it, of
    /// numbers alone.
    fn lent(&self, state: &State, count: usize) -> Result<[Value; 5], Shows> {
        let mut args = [Value::Unknown; 5];
        for (arg, value) in args.iter_mut().zip(&state.regs[1..=count]) {
            *arg = match *value {
                Value::Frame(..) | Value::Somewhere if !state.scratch_is_numbers() => {
                    return Err(Shows);
                }
                Value::Frame(..) | Value::Somewhere => Value::Memory,
                other => other,
            };
        }
        Ok(args)
    }

    fn helper(&mut self, id: u32, state: &mut State) -> Result<(), Shows> {
        let helper = helpers::by_id(id).ok_or(Shows)?;
        let signature = helper.signature_for(self.prog_type);
        let lent = self.lent(state, signature.args.len())?;
        let mut callback = None;
        for (number, (arg, value)) in (1u8..).zip(signature.args.iter().zip(lent)) {
            let number = state.regs[usize::from(number)];
            match arg.kind {
                ArgKind::Anything
                | ArgKind::MemSize
                | ArgKind::MemSizeOrZero
                | ArgKind::AllocSize
                    if !number.is_number() =>
                {
                    return Err(Shows);
                }
                ArgKind::Func => callback = Some(value),
                _ if value == Value::Unknown => return Err(Shows),
                _ => {}
            }
        }
        if let Some(function) = callback {
            self.call_back(function, id, lent)?;
        }
        if signature.traits.contains(Traits::CHANGES_PACKET)
            || (callback.is_some() && self.changes_packet)
        {
            state.forget_packet();
        }
        state.clobber();
        state.set(
            Reg::R0,
            match signature.ret {
                Return::Integer => Value::Number,
                Return::MapValue | Return::MapValueOrNull | Return::RingbufMemOrNull => {
                    Value::Memory
                }
                _ => Value::Unknown,
            },
        );
        Ok(())
    }

    /// What a helper gives to the function that it calls back.
    fn call_back(&mut self, function: Value, id: u32, lent: [Value; 5]) -> Result<(), Shows> {
        const NOTHING: Value = Value::Unknown;
        let Value::Function(start) = function else {
            return Err(Shows);
        };
        let context = lent[2];
        let args = match id {
            id::BPF_FUNC_loop => [Value::Number, context, NOTHING, NOTHING, NOTHING],
            id::BPF_FUNC_for_each_map_elem => {
                [Value::Map, Value::Memory, Value::Memory, context, NOTHING]
            }
            _ => return Err(Shows),
        };
        self.enter(start, args);
        Ok(())
    }
}
