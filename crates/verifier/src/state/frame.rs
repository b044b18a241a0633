//! A function's frame, and the state as a whole.

use alloc::rc::Rc;

use panal_isa::Reg;
use smallvec::SmallVec;

use super::{References, RegKind, RegState, Stack, StackSlot};
use crate::bits::bits;
use crate::explore::{HistoryRef, StateId};

/// A bit for each of `r0` to `r9`: the registers that hold what programs reckon with.
pub const NUMBERS: u16 = 0x3ff;

/// Why a helper calls a subprogram back: decides what its return does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackKind {
    /// Runs before the helper returns; its return goes back to the helper call.
    Sync {
        /// Slot of the call.
        call: u32,
    },
    /// Runs later, on its own: timers, workqueues.
    Async,
    /// The exception handler.
    Exception,
}

/// A function's frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// `r0` to `r10`.
    pub regs: [RegState; Reg::COUNT],
    /// Its stack.
    pub stack: Stack,
    /// Slot of the call that made it.
    pub call_slot: u32,
    /// Index of its subprogram.
    pub subprog: u32,
    /// How it was entered; `None` for an ordinary call.
    pub callback: Option<CallbackKind>,
    /// What a callback may return (inclusive).
    pub return_range: Option<(i32, i32)>,
    /// How often the callback ran along this path (`bpf_loop` and the like), in the *calling* frame.
    pub callback_depth: u32,
    /// How often a callback of this kind was entered anew (async).
    pub async_entries: u32,
}

impl Frame {
    /// A frame with nothing in it but its frame pointer.
    pub fn new(number: u8, call_slot: u32, subprog: u32) -> Frame {
        let mut regs = [RegState::NOT_INIT; Reg::COUNT];
        regs[10] = RegState::pointer(RegKind::Stack { frame: number });
        Frame {
            regs,
            stack: Stack::default(),
            call_slot,
            subprog,
            callback: None,
            return_range: None,
            callback_depth: 0,
            async_entries: 0,
        }
    }

    /// The slot that holds the byte at `offset` (negative) from the frame pointer, if it was ever
    /// written.
    pub fn slot(&self, offset: i32) -> Option<&StackSlot> {
        self.stack.get(slot_index(offset)?)
    }

    /// The same, made if it is not there. `offset` in -512..0.
    pub fn slot_mut(&mut self, offset: i32) -> &mut StackSlot {
        &mut self.stack[slot_index(offset).unwrap_or(0)]
    }

    /// Makes `r0` to `r5` unreadable, as every call does.
    pub fn clobber_caller_saved(&mut self) {
        for reg in &mut self.regs[..6] {
            *reg = RegState::NOT_INIT;
        }
    }
}

/// Index of the slot at an offset from the frame pointer: -1..=-8 is 0.
pub fn slot_index(offset: i32) -> Option<usize> {
    if offset >= 0 {
        None
    } else {
        Some(((-1 - offset) / super::SLOT_SIZE) as usize)
    }
}

/// Everything that is known at one point of one path.
#[derive(Clone, Debug)]
pub struct State<F = Rc<Frame>> {
    /// Frames, outermost first; never empty. Shared with saved states until written.
    pub frames: SmallVec<[F; 2]>,
    /// References and locks.
    pub refs: References,
    /// Whether it may sleep here.
    pub sleepable: bool,
    /// Whether only a processor that guesses wrong comes here.
    pub speculative: bool,
    /// How deep callbacks were simulated on this path.
    pub callback_unroll: u32,
    /// How often `may_goto` was taken on this path.
    pub may_goto: u32,
    /// The saved state from which this path goes on.
    pub parent: Option<StateId>,
    /// Jumps and stack accesses since then.
    pub history: Option<HistoryRef>,
    /// How many.
    pub history_len: u32,
    /// Slot where this segment of the path began.
    pub first_slot: u32,
    /// Slot before that.
    pub last_slot: u32,
    /// Depth of the search.
    pub depth: u32,
}

impl<F> State<F> {
    /// Index of the innermost frame.
    pub fn level(&self) -> usize {
        self.frames.len() - 1
    }

    /// The same with its frames in another form.
    pub fn with_frames<G>(&self, frames: impl Iterator<Item = G>) -> State<G> {
        State {
            frames: frames.collect(),
            refs: self.refs.clone(),
            sleepable: self.sleepable,
            speculative: self.speculative,
            callback_unroll: self.callback_unroll,
            may_goto: self.may_goto,
            parent: self.parent,
            history: self.history,
            history_len: self.history_len,
            first_slot: self.first_slot,
            last_slot: self.last_slot,
            depth: self.depth,
        }
    }
}

impl State {
    /// A state with one frame.
    pub fn new(frame: Frame) -> State {
        State {
            frames: smallvec::smallvec![Rc::new(frame)],
            refs: References::default(),
            sleepable: false,
            speculative: false,
            callback_unroll: 0,
            may_goto: 0,
            parent: None,
            history: None,
            history_len: 0,
            first_slot: 0,
            last_slot: u32::MAX,
            depth: 0,
        }
    }

    /// The innermost frame.
    pub fn frame(&self) -> &Frame {
        &self.frames[self.frames.len() - 1]
    }

    /// The innermost frame, to change it.
    pub fn frame_mut(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        Rc::make_mut(&mut self.frames[last])
    }

    /// A frame by number, to change it.
    pub fn frame_at_mut(&mut self, frame: usize) -> &mut Frame {
        Rc::make_mut(&mut self.frames[frame])
    }

    /// A register of the innermost frame.
    pub fn reg(&self, reg: Reg) -> &RegState {
        &self.frame().regs[reg.index()]
    }

    /// The same, to change it.
    pub fn reg_mut(&mut self, reg: Reg) -> &mut RegState {
        &mut self.frame_mut().regs[reg.index()]
    }

    /// Changes the registers and spilled registers of all frames that are meant. Frames that have none
    /// stay shared.
    pub fn change_regs(
        &mut self,
        which: impl Fn(&RegState) -> bool,
        mut change: impl FnMut(&mut RegState),
    ) {
        for frame in &mut self.frames {
            let spilled = frame.stack.spilled_where(&which);
            if spilled == 0 && !frame.regs.iter().any(&which) {
                continue;
            }
            let frame = Rc::make_mut(frame);
            let regs = frame.regs.iter_mut().filter(|reg| which(reg));
            regs.for_each(&mut change);
            for index in bits(spilled) {
                if let Some(slot) = frame.stack.get_mut(index) {
                    change(&mut slot.reg);
                }
            }
        }
    }

    /// Forgets every pointer that lives by a reference: it `becomes` an unknown number, or
    /// unreadable where addresses are secret.
    pub fn invalidate_reference(&mut self, id: u32, becomes: RegState) {
        let which = |reg: &RegState| reg.ref_id == id && reg.is_pointer();
        self.change_regs(which, |reg| *reg = becomes);
    }

    /// Forgets every packet pointer, likewise: a helper may have moved the packet.
    pub fn invalidate_packet_pointers(&mut self, becomes: RegState) {
        self.change_regs(RegState::lives_with_packet, |reg| *reg = becomes);
    }
}
