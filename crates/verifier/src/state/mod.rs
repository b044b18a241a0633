//! What is known at one point of one path: registers, stack frames, references and locks.

mod frame;
mod kept;
mod names;
mod refs;
mod register;
mod stack;

pub use frame::{CallbackKind, Frame, NUMBERS, State, slot_index};
pub use kept::KeptFrame;
pub use names::type_name;
pub use refs::{LockPtr, RefKind, Reference, References};
pub use register::{BtfRef, BtfType, DynptrKind, IterState, MapRef, PtrFlags, RegKind, RegState};
pub use stack::{SLOT_SIZE, SlotType, Stack, StackSlot, UsedSlots};
