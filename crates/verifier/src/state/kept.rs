//! Frames as saved states keep them: what no path reads later is not kept.

use alloc::{boxed::Box, rc::Rc, vec::Vec};

use panal_isa::Reg;

use super::{CallbackKind, Frame, RegState, Stack, State};

/// A frame of a saved state.
#[derive(Clone, Debug)]
pub enum KeptFrame {
    /// All of it, shared with the paths that have not written to it.
    Whole(Rc<Frame>),
    /// What can matter later, so that the path goes on with the frame as its own: a copy of few
    /// registers instead of all.
    Live(Box<LiveFrame>),
}

/// What can matter of a frame.
#[derive(Clone, Debug)]
pub struct LiveFrame {
    /// A bit for each register that is kept.
    kept: u16,
    /// Those, in order.
    regs: Box<[RegState]>,
    stack: Stack,
    call_slot: u32,
    subprog: u32,
    callback: Option<CallbackKind>,
    callback_depth: u32,
    async_entries: u32,
}

impl LiveFrame {
    /// The registers in `live`, and numbers linked to others: walks back may go by them.
    fn new(frame: &Frame, live: u16) -> LiveFrame {
        let mut kept = 0;
        let mut regs = Vec::with_capacity(live.count_ones() as usize + 1);
        for (number, reg) in frame.regs.iter().enumerate() {
            if live & (1 << number) != 0 || (reg.is_scalar() && reg.id != 0) {
                kept |= 1 << number;
                regs.push(*reg);
            }
        }
        LiveFrame {
            kept,
            regs: regs.into(),
            stack: frame.stack.clone(),
            call_slot: frame.call_slot,
            subprog: frame.subprog,
            callback: frame.callback,
            callback_depth: frame.callback_depth,
            async_entries: frame.async_entries,
        }
    }
}

impl KeptFrame {
    /// All of it, if all is kept.
    pub fn whole(&self) -> Option<&Rc<Frame>> {
        match self {
            KeptFrame::Whole(frame) => Some(frame),
            KeptFrame::Live(_) => None,
        }
    }

    /// A register by number; as if it had never been written when it is not kept.
    #[inline]
    pub fn reg(&self, number: usize) -> &RegState {
        match self {
            KeptFrame::Whole(frame) => &frame.regs[number % Reg::COUNT],
            KeptFrame::Live(frame) => {
                let bit = 1u16 << (number & 15);
                if frame.kept & bit == 0 {
                    return &RegState::NOT_INIT;
                }
                let before = (frame.kept & (bit - 1)).count_ones();
                &frame.regs[before as usize]
            }
        }
    }

    /// Its stack.
    pub fn stack(&self) -> &Stack {
        match self {
            KeptFrame::Whole(frame) => &frame.stack,
            KeptFrame::Live(frame) => &frame.stack,
        }
    }

    /// See [`Frame::call_slot`].
    pub fn call_slot(&self) -> u32 {
        match self {
            KeptFrame::Whole(frame) => frame.call_slot,
            KeptFrame::Live(frame) => frame.call_slot,
        }
    }

    /// See [`Frame::callback_depth`].
    pub fn callback_depth(&self) -> u32 {
        match self {
            KeptFrame::Whole(frame) => frame.callback_depth,
            KeptFrame::Live(frame) => frame.callback_depth,
        }
    }

    /// See [`Frame::async_entries`]; `None` where it does not run on its own.
    pub fn async_entries(&self) -> Option<u32> {
        let (callback, entries) = match self {
            KeptFrame::Whole(frame) => (frame.callback, frame.async_entries),
            KeptFrame::Live(frame) => (frame.callback, frame.async_entries),
        };
        matches!(callback, Some(CallbackKind::Async)).then_some(entries)
    }

    /// Whether it is a frame of the same call.
    pub fn is_of_call(&self, other: &Rc<Frame>) -> bool {
        match self {
            KeptFrame::Whole(frame) => {
                Rc::ptr_eq(frame, other)
                    || (frame.call_slot == other.call_slot && frame.subprog == other.subprog)
            }
            KeptFrame::Live(frame) => {
                frame.call_slot == other.call_slot && frame.subprog == other.subprog
            }
        }
    }
}

impl State {
    /// The state as it is saved. Of the innermost frame only the registers in `live` are kept, where
    /// that is given.
    pub fn keep(&self, live: Option<u16>) -> State<KeptFrame> {
        let innermost = self.level();
        let frames = self.frames.iter().enumerate();
        self.with_frames(frames.map(|(level, frame)| match live {
            Some(live) if level == innermost => {
                KeptFrame::Live(Box::new(LiveFrame::new(frame, live)))
            }
            _ => KeptFrame::Whole(frame.clone()),
        }))
    }
}

impl State<KeptFrame> {
    /// The state as paths have it, if all of it was kept.
    pub fn whole(&self) -> Option<State> {
        let frames: Option<Vec<_>> = self.frames.iter().map(|f| f.whole().cloned()).collect();
        Some(self.with_frames(frames?.into_iter()))
    }
}
