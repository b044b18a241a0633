//! Whether what a program computes is a function of its input: only then two kernels' results can be
//! compared.
//!
//! Addresses differ between kernels, and bytes that nobody wrote hold anything. So every register
//! and stack byte is followed on every path: a number, an address and of what, or neither. A
//! program is not comparable where an address or an undefined value comes to where it shows: in
//! a map, a packet, a context, a return value, a helper's number, or the way of a branch.
//! Wherever paths or functions meet, less is known: a program that could be compared may be left
//! out, one that cannot be is not let through.

use std::collections::BTreeMap;

use panal_isa::{
    AluOp, AtomicOp, CallTarget, Code, Condition, Imm64, Instruction, Operand, PacketMode, Reg,
    Size, Width,
};
use panal_uapi::{
    ProgType,
    helpers::{self, ArgKind, Return, Traits},
};

use crate::{generate, program::SCRATCH};

/// The helpers that call a function of the program back.
const LOOP: u32 = 181;
const FOR_EACH_MAP_ELEM: u32 = 164;
const SKB_VLAN_PUSH: u32 = 18;
const SKB_CHANGE_HEAD: u32 = 43;
/// Bytes of a frame that are followed.
const FRAME: usize = 512;

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// Just this number.
    Known(i64),
    /// A number from 0 to this.
    Upto(i64),
    /// A number that the input determines.
    Number,
    /// So far from the function's own frame pointer: from the first to the second.
    Frame(i64, i64),
    /// Somewhere in the function's own frame.
    Somewhere,
    /// Memory whose bytes the input determines: map values, records, a caller's stack.
    Memory,
    /// Packet data, or its end.
    Packet,
    /// The context.
    Context,
    /// A map: of use to helpers alone.
    Map,
    /// The function that begins at this slot, to be called back.
    Function(usize),
    /// Anything else: undefined, or made from an address.
    Unknown,
}

/// Eight aligned bytes of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// Numbers, but for the bytes of this mask.
    Bytes(u8),
    /// A whole address.
    Spill(Value),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    regs: [Value; 11],
    stack: [Slot; FRAME / 8],
}

/// A place where the result is no function of the input.
struct Shows;

/// Whether a helper that makes room before a packet is called in a loop, or in a function that one
/// may call: Linux's buffers grow with each, until it depends on free memory whether there is another.
fn may_run_out_of_memory(code: &Code, starts: &[usize]) -> bool {
    const GROW: [u32; 2] = [SKB_VLAN_PUSH, SKB_CHANGE_HEAD];
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

/// Bounds of a number, if it has any.
fn bounds(value: Value) -> Option<(i64, i64)> {
    match value {
        Value::Known(n) => Some((n, n)),
        Value::Upto(most) => Some((0, most)),
        _ => None,
    }
}

impl Value {
    fn is_number(self) -> bool {
        matches!(self, Value::Known(_) | Value::Upto(_) | Value::Number)
    }

    fn is_address(self) -> bool {
        !self.is_number() && self != Value::Unknown
    }

    fn join(self, other: Value) -> Value {
        match (self, other) {
            (a, b) if a == b => a,
            (a, b) if a.is_number() && b.is_number() => match (bounds(a), bounds(b)) {
                (Some((low, high)), Some((other_low, other_high)))
                    if low >= 0 && other_low >= 0 && high.max(other_high) <= MOST =>
                {
                    Value::Upto(widened(high.max(other_high)))
                }
                _ => Value::Number,
            },
            (Value::Frame(..) | Value::Somewhere, Value::Frame(..) | Value::Somewhere) => {
                Value::Somewhere
            }
            _ => Value::Unknown,
        }
    }
}

/// Greatest bound that is followed where paths meet.
const MOST: i64 = u32::MAX as i64;

/// The next bound that joins go to, so that loops end soon.
fn widened(high: i64) -> i64 {
    (high as u64 + 1).next_power_of_two() as i64 - 1
}

impl Slot {
    fn join(self, other: Slot) -> Slot {
        match (self, other) {
            (a, b) if a == b => a,
            (Slot::Bytes(a), Slot::Bytes(b)) => Slot::Bytes(a | b),
            _ => Slot::Bytes(0xff),
        }
    }
}

impl State {
    fn new(args: [Value; 5]) -> State {
        let mut regs = [Value::Unknown; 11];
        regs[1..=5].copy_from_slice(&args);
        regs[10] = Value::Frame(0, 0);
        State {
            regs,
            stack: [Slot::Bytes(0xff); FRAME / 8],
        }
    }

    fn join(&mut self, other: &State) -> bool {
        let before = self.clone();
        for (mine, theirs) in self.regs.iter_mut().zip(&other.regs) {
            *mine = mine.join(*theirs);
        }
        for (mine, theirs) in self.stack.iter_mut().zip(&other.stack) {
            *mine = mine.join(*theirs);
        }
        *self != before
    }

    fn get(&self, r: Reg) -> Value {
        self.regs[r.index()]
    }

    fn set(&mut self, r: Reg, value: Value) {
        self.regs[r.index()] = value;
    }

    fn operand(&self, operand: Operand) -> Value {
        match operand {
            Operand::Reg(r) => self.get(r),
            Operand::Imm(imm) => Value::Known(imm.into()),
        }
    }

    /// Whether the part of the frame that every function zeroes holds numbers alone.
    fn scratch_is_numbers(&self) -> bool {
        let first = FRAME / 8 - SCRATCH as usize / 8;
        self.stack[first..]
            .iter()
            .all(|slot| *slot == Slot::Bytes(0))
    }

    /// The bytes from `low` to before `end`, counted from the frame pointer.
    fn are_numbers(&self, low: i64, end: i64) -> bool {
        (low..end).all(|at| match index(at) {
            Some((slot, byte)) => match self.stack[slot] {
                Slot::Bytes(mask) => mask >> byte & 1 == 0,
                Slot::Spill(_) => false,
            },
            None => false,
        })
    }

    fn read_frame(&self, low: i64, high: i64, size: Size) -> Value {
        let len = i64::from(size.bytes());
        if low == high
            && size == Size::DW
            && let Some((slot, 0)) = index(low)
            && let Slot::Spill(value) = self.stack[slot]
        {
            return value;
        }
        if self.are_numbers(low, high + len) {
            sized(size)
        } else {
            Value::Unknown
        }
    }

    fn write_frame(&mut self, low: i64, high: i64, size: Size, value: Value) {
        let len = i64::from(size.bytes());
        for at in low..high + len {
            let Some((slot, byte)) = index(at) else {
                continue;
            };
            let mask = match self.stack[slot] {
                Slot::Bytes(mask) => mask,
                Slot::Spill(_) => 0xff,
            };
            self.stack[slot] = Slot::Bytes(match value.is_number() {
                // A write that may be elsewhere defines nothing.
                true if low == high => mask & !(1 << byte),
                true => mask,
                false => mask | 1 << byte,
            });
        }
        if low == high
            && size == Size::DW
            && value.is_address()
            && let Some((slot, 0)) = index(low)
        {
            self.stack[slot] = Slot::Spill(value);
        }
    }

    /// After a call: no more in the argument registers.
    fn clobber(&mut self) {
        self.regs[1..=5].fill(Value::Unknown);
    }

    /// Addresses into the packet are worth nothing any more.
    fn forget_packet(&mut self) {
        for value in &mut self.regs {
            if *value == Value::Packet {
                *value = Value::Unknown;
            }
        }
        for slot in &mut self.stack {
            if *slot == Slot::Spill(Value::Packet) {
                *slot = Slot::Bytes(0xff);
            }
        }
    }
}

/// Slot and byte of a place below the frame pointer.
fn index(at: i64) -> Option<(usize, u8)> {
    let byte = usize::try_from(FRAME as i64 + at).ok()?;
    (byte < FRAME).then_some((byte / 8, (byte % 8) as u8))
}

/// A number of so many bytes.
fn sized(size: Size) -> Value {
    match size {
        Size::DW => Value::Number,
        _ => Value::Upto((1 << (8 * size.bytes())) - 1),
    }
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
                | ArgKind::Scalar
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
            LOOP => [Value::Number, context, NOTHING, NOTHING, NOTHING],
            FOR_EACH_MAP_ELEM => [Value::Map, Value::Memory, Value::Memory, context, NOTHING],
            _ => return Err(Shows),
        };
        self.enter(start, args);
        Ok(())
    }
}

/// A number where all are numbers.
fn computed(from: &[Value]) -> Value {
    if from.iter().all(|value| value.is_number()) {
        Value::Number
    } else {
        Value::Unknown
    }
}

fn alu(width: Width, op: AluOp, dst: Value, src: Value) -> Value {
    match (op, width, dst, src) {
        (AluOp::Mov, Width::W64, _, src) => src,
        (AluOp::Mov, Width::W32, _, Value::Known(n)) => Value::Known(i64::from(n as u32)),
        (AluOp::Mov, Width::W32, _, src) => match bounds(src) {
            Some((0, high)) if high <= i64::from(u32::MAX) => src,
            _ => computed(&[src]),
        },
        (AluOp::And, _, dst, Value::Known(mask)) if dst.is_number() && mask >= 0 => {
            Value::Upto(mask)
        }
        (AluOp::Mod, _, dst, Value::Known(by)) if dst.is_number() && by > 0 => Value::Upto(by - 1),
        (AluOp::Add, Width::W64, Value::Frame(low, high), src) => match bounds(src) {
            Some((from, to)) if from.abs() <= 4096 && to.abs() <= 4096 => {
                Value::Frame(low + from, high + to)
            }
            _ if src.is_number() => Value::Somewhere,
            _ => Value::Unknown,
        },
        (AluOp::Sub, Width::W64, Value::Frame(low, high), Value::Known(n)) if n.abs() <= 4096 => {
            Value::Frame(low - n, high - n)
        }
        (AluOp::Add, Width::W64, number, Value::Frame(..)) if number.is_number() => {
            Value::Somewhere
        }
        (
            AluOp::Add | AluOp::Sub,
            Width::W64,
            Value::Somewhere | Value::Memory | Value::Packet | Value::Context,
            src,
        ) if src.is_number() => dst,
        (
            AluOp::Add,
            Width::W64,
            number,
            Value::Somewhere | Value::Memory | Value::Packet | Value::Context,
        ) if number.is_number() => src,
        _ => computed(&[dst, src]),
    }
}

/// The way of a branch on two known numbers.
fn decided(width: Width, cond: Condition, left: Value, right: Value) -> Option<bool> {
    let (Value::Known(left), Value::Known(right)) = (left, right) else {
        return None;
    };
    let (signed, unsigned) = match width {
        Width::W64 => ((left, right), (left as u64, right as u64)),
        Width::W32 => (
            (i64::from(left as i32), i64::from(right as i32)),
            (u64::from(left as u32), u64::from(right as u32)),
        ),
    };
    Some(match cond {
        Condition::Eq => unsigned.0 == unsigned.1,
        Condition::Ne => unsigned.0 != unsigned.1,
        Condition::Set => unsigned.0 & unsigned.1 != 0,
        Condition::Gt => unsigned.0 > unsigned.1,
        Condition::Ge => unsigned.0 >= unsigned.1,
        Condition::Lt => unsigned.0 < unsigned.1,
        Condition::Le => unsigned.0 <= unsigned.1,
        Condition::SGt => signed.0 > signed.1,
        Condition::SGe => signed.0 >= signed.1,
        Condition::SLt => signed.0 < signed.1,
        Condition::SLe => signed.0 <= signed.1,
    })
}

/// Whether the way of a branch depends on more than the input.
fn shows_in_branch(width: Width, cond: Condition, left: Value, right: Value) -> bool {
    let null_check = matches!(cond, Condition::Eq | Condition::Ne)
        && width == Width::W64
        && left.is_address()
        && right == Value::Known(0);
    let packet_check = width == Width::W64 && left == Value::Packet && right == Value::Packet;
    let numbers = left.is_number() && right.is_number();
    !(null_check || packet_check || numbers)
}

#[cfg(test)]
mod tests {
    use panal_isa::assemble;

    use super::*;

    fn of_input_as(text: &str, prog_type: ProgType, careful: bool) -> bool {
        let assembled = assemble(text, &mut ()).unwrap_or_else(|e| panic!("{text}: {e}"));
        let code = Code::decode(&assembled.slots).expect("code");
        of_input(&code, &[0], prog_type, careful)
    }

    fn compared(text: &str) -> bool {
        of_input_as(text, ProgType::SchedCls, false)
    }

    #[test]
    fn what_shows_an_address_is_not_compared() {
        for text in [
            // returned, whole and in part
            "r0 = r10\nexit",
            "w0 = w1\nexit",
            "*(u64 *)(r10 - 8) = r10\nw0 = *(u32 *)(r10 - 8)\nexit",
            // put into a map's value
            "r2 = map[idx:3][0]+0 ll\n*(u64 *)(r2 + 0) = r2\nr0 = 0\nexit",
            "r2 = map[idx:3][0]+0 ll\nr3 = r2\nlock *(u64 *)(r2 + 0) += r3\nr0 = 0\nexit",
            // the way of a branch
            "r0 = 0\nif r10 > 7 goto +0\nexit",
            // the difference of two
            "r2 = map[idx:3][0]+0 ll\nr0 = r10\nr0 -= r2\nexit",
            // given to a helper as a number
            "r4 = r1\nr2 = r10\nr1 = map[idx:1] ll\nr3 = r2\ncall 2\nr0 = 0\nexit",
            // the stack below holds one when it is lent out
            "*(u64 *)(r10 - 64) = r1\nr2 = r10\nr2 += -64\nr3 = 8\nr4 = 0\nr1 = map[idx:8] ll\n\
             call 130\nr0 = 0\nexit",
        ] {
            assert!(!compared(text), "{text}");
        }
    }

    #[test]
    fn what_nobody_wrote_is_not_compared() {
        assert!(!compared("r0 = *(u64 *)(r10 - 8)\nexit"));
        let half = "*(u32 *)(r10 - 8) = 0\nr0 = *(u64 *)(r10 - 8)\nexit";
        assert!(!compared(half));
        assert!(!compared("r0 = r7\nexit"));
        // On one of two ways.
        let way = "r0 = *(u32 *)(r1 + 0)\nif r0 > 7 goto +1\n*(u64 *)(r10 - 8) = 1\n\
                   r0 = *(u64 *)(r10 - 8)\nexit";
        assert!(!compared(way));
    }

    #[test]
    fn fields_that_kernels_fill_otherwise_are_not_compared() {
        assert!(compared("r0 = *(u32 *)(r1 + 0)\nexit"));
        // ifindex
        assert!(!compared("r0 = *(u32 *)(r1 + 40)\nexit"));
        assert!(!of_input_as(
            "r0 = *(u32 *)(r1 + 12)\nexit",
            ProgType::Xdp,
            true
        ));
    }

    #[test]
    fn what_the_input_determines_is_compared() {
        for text in [
            "r0 = 7\nexit",
            // an address that is spilled, read back and used
            "r2 = map[idx:3][0]+8 ll\n*(u64 *)(r10 - 8) = r2\nr3 = *(u64 *)(r10 - 8)\n\
             r0 = *(u64 *)(r3 + 0)\nexit",
            // a packet checked against its end
            "r2 = *(u32 *)(r1 + 76)\nr3 = *(u32 *)(r1 + 80)\nr4 = r2\nr4 += 4\nr0 = 0\n\
             if r4 > r3 goto +1\nr0 = *(u32 *)(r2 + 0)\nexit",
            // a null check
            "*(u32 *)(r10 - 4) = 1\n*(u32 *)(r10 - 8) = 1\n\
             *(u64 *)(r10 - 16) = 0\n*(u64 *)(r10 - 24) = 0\n*(u64 *)(r10 - 32) = 0\n\
             *(u64 *)(r10 - 40) = 0\n*(u64 *)(r10 - 48) = 0\n*(u64 *)(r10 - 56) = 0\n\
             *(u64 *)(r10 - 64) = 0\nr2 = r10\nr2 += -8\nr1 = map[idx:0] ll\ncall 1\n\
             if r0 == 0 goto +2\nr0 = *(u64 *)(r0 + 0)\nexit\nr0 = 0\nexit",
            // nonsense where no path goes
            "r0 = 5\nif r0 != 5 goto +1\nexit\nr0 += r7\nexit",
            // a place in the frame that a mask bounds
            "r2 = *(u32 *)(r1 + 0)\nr2 &= 7\n*(u64 *)(r10 - 8) = 0\nr3 = r10\nr3 += -8\n\
             r3 += r2\nr0 = *(u8 *)(r3 + 0)\nexit",
        ] {
            assert!(compared(text), "{text}");
        }
    }

    #[test]
    fn packets_that_grow_in_loops_are_not_compared() {
        let grow = "r6 = r1\nr7 = 0\nagain:\nr1 = r6\nr2 = 30\nr3 = 0\ncall 43\nr0 = 0\n";
        assert!(compared(&format!("{grow}exit")));
        assert!(!compared(&format!(
            "{grow}r7 += 1\nif r7 < 60 goto again\nexit"
        )));
    }

    #[test]
    fn packet_data_from_before_a_change_is_not_compared() {
        let text = |call: &str| {
            format!(
                "r6 = r1\nr7 = *(u32 *)(r1 + 76)\nr8 = *(u32 *)(r1 + 80)\nr2 = 40\nr3 = 0\n{call}\n\
                 r0 = 0\nif r7 > r8 goto +0\nexit"
            )
        };
        assert!(compared(&text("r4 = 0")));
        assert!(!compared(&text("call 38")));
    }
}
