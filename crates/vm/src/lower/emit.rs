//! The operations as they are written down, and their jumps once all places are known.

use alloc::{vec, vec::Vec};
use core::mem::MaybeUninit;

use panal_isa::Instruction;
use panal_verifier::{CallFact, Fact, Region};

use super::{LowerError, Source, functions, name_of};
use crate::{
    Executable, IndexedValues, Linkage,
    executable::Function,
    key::{Key, Written},
    op::{Code, Op, Tag},
};

/// The frame pointer.
pub(super) const FRAME: u8 = 10;
/// Bytes of an adapter's frame.
const ADAPTER_FRAME: u32 = 16;
/// No operation: the slot is dead or no instruction begins there.
const NOWHERE: u32 = u32::MAX;

/// A function for `bpf_loop` that calls a callback of `bpf_for_each_map_elem`, with the elements of an
/// array.
pub(super) struct Adapter {
    /// The call of the helper.
    pub slot: u32,
    /// Index of the callback.
    pub callback: u32,
    /// What the callback gets as the map.
    pub map: u64,
    pub values: IndexedValues,
}

/// Operations that follow those that were written: [`Emitter::rows`].
pub(super) struct Rows<'a> {
    ops: &'a mut [MaybeUninit<Op>],
    slots: &'a mut [MaybeUninit<u32>],
    /// How many there are before.
    first: usize,
    pub count: usize,
    /// What the last operation is; a trap where there is none.
    pub last: Code,
}

impl Rows<'_> {
    /// The number of the next operation.
    #[inline(always)]
    pub fn here(&self) -> u32 {
        (self.first + self.count) as u32
    }

    /// Writes an operation of a slot.
    #[inline(always)]
    pub fn put(&mut self, slot: usize, op: Op) {
        if let (Some(to), Some(of)) = (self.ops.get_mut(self.count), self.slots.get_mut(self.count))
        {
            to.write(op);
            of.write(slot as u32);
            self.count += 1;
            self.last = op.code;
        }
    }
}

pub(super) struct Emitter<'a> {
    pub source: &'a Source<'a>,
    pub linkage: &'a dyn Linkage,
    /// The slot that is being lowered, what is known of it, and what its operations access.
    pub slot: u32,
    fact: Fact,
    tag: Tag,
    /// Bytes of the function's frame.
    pub frame: i32,
    /// Index of the first function that begins behind the slot, and where that is.
    next: usize,
    pub next_slot: u32,
    /// The first operation that writes the frame pointer, if one does.
    frame_written: Option<usize>,
    pub functions: Vec<Function>,
    pub arrays: Vec<IndexedValues>,
    /// Calls of `bpf_loop` whose callback is known: operation, index of the function.
    pub loops: Vec<(u32, u32)>,
    /// Calls whose key may be passed by value.
    pub keys: Vec<Key>,
    /// Functions beside the program's own.
    adapters: Vec<Adapter>,
    /// How the function writes its frame whose index this is.
    written: Option<(usize, Written)>,
    ops: Vec<Op>,
    slots: Vec<u32>,
    /// First operation of each slot.
    places: Vec<u32>,
    /// Operations whose `off` leads to a slot.
    jumps: Vec<(u32, i64)>,
}

impl<'a> Emitter<'a> {
    pub fn new(source: &'a Source<'a>, linkage: &'a dyn Linkage) -> Self {
        let count = source.instructions.len();
        Emitter {
            source,
            linkage,
            slot: 0,
            fact: Fact::default(),
            tag: Tag::None,
            frame: 0,
            next: 0,
            next_slot: 0,
            frame_written: None,
            functions: functions(source),
            arrays: Vec::new(),
            loops: Vec::new(),
            keys: Vec::new(),
            adapters: Vec::new(),
            written: None,
            ops: Vec::with_capacity(count + 1),
            slots: Vec::with_capacity(count + 1),
            places: vec![NOWHERE; count],
            jumps: Vec::with_capacity(count / 8),
        }
    }

    /// Slots from this one on come next, which may begin a function; they come in order.
    #[inline]
    pub fn enter(&mut self, slot: u32) {
        if slot >= self.next_slot {
            self.begin_function(slot);
        }
    }

    /// The instruction at this slot comes next.
    #[inline]
    pub fn begin(&mut self, slot: u32) {
        self.enter(slot);
        self.slot = slot;
        if let Some(place) = self.places.get_mut(slot as usize) {
            *place = self.ops.len() as u32;
        }
    }

    #[cold]
    fn begin_function(&mut self, slot: u32) {
        while let Some(&function) = self.functions.get(self.next)
            && function.slot <= slot
        {
            self.frame = function.frame as i32;
            self.next += 1;
            // A function has no other way in than its start: nothing falls into it.
            if function.slot == slot && slot != 0 {
                self.wall();
            }
        }
        let next = self.functions.get(self.next);
        self.next_slot = next.map_or(u32::MAX, |function| function.slot);
    }

    /// Takes note of what is known of the instruction.
    pub fn learn(&mut self, fact: &Fact) {
        self.fact = *fact;
        self.tag = tag(fact);
    }

    /// What is known of the instruction.
    pub fn fact(&self) -> &Fact {
        &self.fact
    }

    /// What is known of the call.
    pub fn call_fact(&self) -> Option<CallFact> {
        let calls = self.source.calls;
        let at = calls.binary_search_by_key(&self.slot, |(slot, _)| *slot);
        at.ok().map(|at| calls[at].1)
    }

    /// No path reaches the slot: a jump there, or falling into it, is a trap.
    pub fn dead(&mut self) {
        if let Some(place) = self.places.get_mut(self.slot as usize) {
            *place = NOWHERE;
        }
        self.wall();
    }

    /// A trap, unless nothing goes on from the last operation.
    fn wall(&mut self) {
        if !self.ops.last().is_none_or(|op| op.code.ends()) {
            self.emit(Op::new(Code::Trap));
        }
    }

    #[inline]
    pub fn emit(&mut self, mut op: Op) {
        op.tag = self.tag;
        if (op.dst == FRAME || op.src == FRAME) && op.written() == Some(FRAME) {
            self.note_frame_written();
        }
        self.emit_tagged(op);
    }

    /// The next operation writes the frame pointer.
    #[cold]
    pub fn note_frame_written(&mut self) {
        self.frame_written.get_or_insert(self.ops.len());
    }

    /// The same of an operation that says itself what it accesses.
    #[inline]
    pub fn emit_tagged(&mut self, op: Op) {
        self.ops.push(op);
        self.slots.push(self.slot);
    }

    /// Room for operations that the slots up to `end` become, one for each at most, from one on that is
    /// lowered next; the places of slots, and jumps.
    pub fn rows(
        &mut self,
        slot: usize,
        end: usize,
    ) -> (Rows<'_>, &mut [u32], &mut Vec<(u32, i64)>) {
        let most = end.saturating_sub(slot);
        self.ops.reserve(most);
        self.slots.reserve(most);
        let rows = Rows {
            last: self.ops.last().map_or(Code::Trap, |op| op.code),
            first: self.ops.len(),
            count: 0,
            ops: self.ops.spare_capacity_mut(),
            slots: self.slots.spare_capacity_mut(),
        };
        (rows, &mut self.places, &mut self.jumps)
    }

    /// Takes what was written to [`Emitter::rows`].
    ///
    /// # Safety
    /// They had room for so many operations, and so many were written.
    pub unsafe fn grow(&mut self, count: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            self.ops.set_len(self.ops.len() + count);
            self.slots.set_len(self.slots.len() + count);
        }
    }

    /// Adds a function: its index.
    pub fn adapter(&mut self, adapter: Adapter) -> u32 {
        self.adapters.push(adapter);
        (self.functions.len() + self.adapters.len() - 1) as u32
    }

    /// Writes the adapters behind all functions.
    fn write_adapters(&mut self, functions: &mut Vec<Function>) {
        for adapter in core::mem::take(&mut self.adapters) {
            let callback = functions[adapter.callback as usize];
            let own = Function {
                start: self.here(),
                slot: adapter.slot,
                frame: ADAPTER_FRAME,
            };
            functions.push(own);
            (self.slot, self.tag) = (adapter.slot, Tag::None);
            self.round(adapter.map, adapter.values);
            let next = i64::from(self.here()) + 1;
            self.emit(Op {
                imm: u64::from(own.frame) | u64::from(callback.frame) << 32,
                off: (i64::from(callback.start) - next) as i32,
                ..Op::new(Code::Local)
            });
            self.emit(Op::new(Code::Exit));
        }
    }

    /// The number of the next operation.
    pub fn here(&self) -> u32 {
        self.ops.len() as u32
    }

    /// An operation that leads `offset` slots from the following instruction.
    pub fn emit_jump(&mut self, op: Op, offset: i64) {
        self.emit(op);
        self.note_jump(offset);
    }

    /// The last operation is such a one.
    #[inline]
    pub fn note_jump(&mut self, offset: i64) {
        let at = self.ops.len() as u32 - 1;
        self.jumps.push((at, i64::from(self.slot) + 1 + offset));
    }

    /// Index of the function that a slot belongs to.
    fn function_of(&self, slot: i64) -> usize {
        let after = self
            .functions
            .partition_point(|f| i64::from(f.slot) <= slot);
        after.saturating_sub(1)
    }

    /// The function that the current slot belongs to.
    pub fn function(&self) -> Function {
        self.functions[self.function_of(self.slot.into())]
    }

    /// How the current function writes its frame.
    pub fn written(&mut self) -> &Written {
        let function = self.function_of(self.slot.into());
        let known = self.written.take().filter(|(of, _)| *of == function);
        let known = known.unwrap_or_else(|| (function, self.find_written(function)));
        &self.written.insert(known).1
    }

    fn find_written(&self, function: usize) -> Written {
        let slot = |function: usize| self.functions.get(function).map(|f| f.slot as usize);
        let end = slot(function + 1).unwrap_or(self.source.instructions.len());
        let mut written = Written::default();
        for slot in slot(function).unwrap_or(0)..end {
            let Some(Some(Instruction::Store {
                size, base, offset, ..
            })) = self.source.instructions.get(slot)
            else {
                continue;
            };
            let place = match base.number() {
                10 => Some((*offset).into()),
                // Compilers write long keys through a pointer of their own.
                _ => self.source.facts.get(slot).and_then(frame_place),
            };
            if let Some(place) = place {
                written.add(place, size.bytes());
            }
        }
        written
    }

    /// The function that begins at a slot.
    pub fn function_at(&self, slot: i64) -> Option<u32> {
        let slot = u32::try_from(slot).ok()?;
        self.functions
            .binary_search_by_key(&slot, |f| f.slot)
            .ok()
            .map(|i| i as u32)
    }

    fn place(&self, slot: i64, trap: u32) -> u32 {
        let place = usize::try_from(slot)
            .ok()
            .and_then(|slot| self.places.get(slot));
        place.copied().filter(|&p| p != NOWHERE).unwrap_or(trap)
    }

    /// # Errors
    /// An operation writes the frame pointer, which no proven program does: the engines rely on it.
    pub fn finish(mut self) -> Result<Executable, LowerError> {
        if let Some(at) = self.frame_written {
            return Err(LowerError::Unresolved {
                slot: self.slots[at],
                what: "the frame pointer r10 is written",
            });
        }
        let trap = self.ops.len() as u32;
        self.slot = self.source.instructions.len() as u32;
        self.tag = Tag::None;
        self.emit(Op::new(Code::Trap));
        for (at, target) in core::mem::take(&mut self.jumps) {
            let from = self.slots[at as usize].into();
            let inside =
                self.functions.len() == 1 || self.function_of(from) == self.function_of(target);
            // Into another function one calls: its own frame is not there for a jump.
            let target = match inside || self.ops[at as usize].code == Code::Local {
                true => self.place(target, trap),
                false => trap,
            };
            // A million slots make a few million operations at most: the distance fits.
            self.ops[at as usize].off = (i64::from(target) - i64::from(at) - 1) as i32;
        }
        let mut functions = core::mem::take(&mut self.functions);
        for function in &mut functions {
            function.start = self.place(i64::from(function.slot), trap);
        }
        if !self.adapters.is_empty() {
            self.write_adapters(&mut functions);
            self.slot = self.source.instructions.len() as u32;
            self.emit(Op::new(Code::Trap));
        }
        Ok(Executable {
            name: name_of(self.source),
            ops: self.ops.into_boxed_slice(),
            slots: self.slots.into_boxed_slice(),
            functions: functions.into_boxed_slice(),
            arrays: self.arrays.into_boxed_slice(),
            loops: self.loops.into_boxed_slice(),
            keys: self.keys.into_boxed_slice(),
            exception: self.source.exception,
            machine: None,
            proven: self.source.proven,
            longest_run: self.source.longest_run,
        })
    }
}

/// Where in a frame an instruction accesses memory, from the frame's end.
fn frame_place(fact: &Fact) -> Option<i32> {
    let access = fact.access?;
    access.offset.filter(|_| access.region == Region::Stack)
}

/// What an instruction accesses, where no two kinds overlap.
#[inline]
pub(super) fn tag(fact: &Fact) -> Tag {
    match fact.access.map(|access| access.region) {
        Some(Region::Stack) => Tag::Stack,
        Some(Region::Context) => Tag::Context,
        Some(Region::Packet) => Tag::Packet,
        Some(Region::MapValue { .. } | Region::Arena) => Tag::Shared,
        Some(Region::Btf | Region::Socket | Region::Memory) | None => Tag::None,
    }
}
