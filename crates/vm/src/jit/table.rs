//! The table in front of a program's machine code: its functions, found from the code's address
//! alone, because a tail call changes whose functions a callback means.

use crate::{Executable, executable::Function as Lowered};

/// Bytes of an entry: offset of the code, bytes of stack that it needs, slot.
const ENTRY: usize = 12;
/// Code begins at a multiple of this.
const ALIGN: usize = 16;

/// A function of a compiled program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    pub code: *const u8,
    /// Bytes of stack that it needs, with what it calls where that is known.
    pub stack: u64,
    pub slot: u32,
}

/// Bytes in front of the code.
pub fn size(functions: usize) -> usize {
    (4 + functions * ENTRY).next_multiple_of(ALIGN)
}

/// Fills in the table.
pub fn write(
    bytes: &mut [u8],
    executable: &Executable,
    offsets: &[u32],
    stacks: impl Iterator<Item = u32>,
) {
    let functions = executable.functions.iter().zip(offsets).zip(stacks);
    let of = |((function, offset), stack): ((&Lowered, &u32), u32)| [*offset, stack, function.slot];
    let words = [offsets.len() as u32]
        .into_iter()
        .chain(functions.flat_map(of));
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
}

/// Where the code that enters functions lies.
///
/// # Safety
/// `base` is the start of a compiled program's pages.
pub unsafe fn trampoline(base: *const u8) -> *const u8 {
    #[cfg(target_arch = "x86_64")]
    const FROM: usize = super::convention::WAY;
    #[cfg(not(target_arch = "x86_64"))]
    const FROM: usize = 0;
    // SAFETY: the caller's promise: the pages begin with the table.
    unsafe { base.add(size(base.cast::<u32>().read() as usize) + FROM) }
}

/// Where the code that enters the main program lies, with its context.
///
/// # Safety
/// As for [`trampoline`].
#[cfg(target_arch = "x86_64")]
pub unsafe fn main_trampoline(base: *const u8) -> *const u8 {
    // SAFETY: the caller's promise: the pages begin with the table.
    unsafe { base.add(size(base.cast::<u32>().read() as usize)) }
}

/// A function by its index.
///
/// # Safety
/// `base` is the start of a compiled program's pages.
pub unsafe fn function(base: *const u8, index: u32) -> Option<Function> {
    // SAFETY: the caller's promise; the index is below the count.
    unsafe {
        let words = base.cast::<u32>();
        if index >= words.read() {
            return None;
        }
        let entry = words.add(1 + index as usize * (ENTRY / 4));
        Some(Function {
            code: base.add(entry.read() as usize),
            stack: u64::from(entry.add(1).read()),
            slot: entry.add(2).read(),
        })
    }
}
