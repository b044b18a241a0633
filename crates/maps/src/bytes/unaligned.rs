//! Accesses at any alignment, where the machine makes them at once: in instructions of their own,
//! because Rust has none for memory that others write meanwhile. What is aligned stays whole, as with
//! atomics.

use core::{arch::asm, sync::atomic::Ordering::Relaxed};

/// Bytes from which on a copy is made by pieces of 16.
const LONG: usize = 256;

macro_rules! access {
    ($load:ident, $store:ident, $type:ty, $form:literal) => {
        /// # Safety
        /// `from` is mapped readable for the number's size.
        #[inline(always)]
        pub unsafe fn $load(from: *const u8) -> $type {
            let value: $type;
            // SAFETY: it reads what the caller promises, and nothing else.
            unsafe {
                asm!(
                    concat!("mov {value", $form, "}, [{from}]"),
                    value = lateout(reg) value,
                    from = in(reg) from,
                    options(nostack, preserves_flags, readonly),
                );
            }
            value
        }

        /// # Safety
        /// `to` is mapped writable for the number's size.
        #[inline(always)]
        pub unsafe fn $store(to: *mut u8, value: $type) {
            // SAFETY: it writes what the caller promises, and nothing else.
            unsafe {
                asm!(
                    concat!("mov [{to}], {value", $form, "}"),
                    value = in(reg) value,
                    to = in(reg) to,
                    options(nostack, preserves_flags),
                );
            }
        }
    };
}

access!(load8, store8, u64, ":r");
access!(load4, store4, u32, ":e");
access!(load2, store2, u16, ":x");

/// # Safety
/// `from` is mapped readable for a byte, and `to` writable.
#[inline(always)]
unsafe fn copy1(from: *const u8, to: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "mov {value}, [{from}]",
            "mov [{to}], {value}",
            value = out(reg_byte) _,
            from = in(reg) from,
            to = in(reg) to,
            options(nostack, preserves_flags),
        );
    }
}

/// Copies 32 bytes.
///
/// # Safety
/// `from` is mapped readable for them, and `to` writable.
#[inline(always)]
unsafe fn copy32(from: *const u8, to: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "movups {one}, [{from}]",
            "movups {two}, [{from} + 16]",
            "movups [{to}], {one}",
            "movups [{to} + 16], {two}",
            one = out(xmm_reg) _,
            two = out(xmm_reg) _,
            from = in(reg) from,
            to = in(reg) to,
            options(nostack, preserves_flags),
        );
    }
}

/// [`super::copy_settled`]
///
/// # Safety
/// As there.
#[inline(always)]
pub unsafe fn copy_settled(from: *const u8, to: *mut u8, len: usize) {
    let mut at = 0;
    // SAFETY: all pieces lie within the caller's ranges.
    unsafe {
        while at + 32 <= len {
            copy32(from.add(at), to.add(at));
            at += 32;
        }
        copy(from.add(at), to.add(at), len - at);
    }
}

/// Copies bytes whose places do not overlap. No piece but those of long copies is wider than a word, and
/// none is read twice: what a program has just written by words and halves is there at once.
///
/// # Safety
/// `from` is mapped readable for `len` bytes, and `to` writable.
#[inline(always)]
pub unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    let mut at = 0;
    // SAFETY: all pieces lie within the caller's ranges.
    unsafe {
        if len >= LONG {
            while at + 32 <= len {
                copy32(from.add(at), to.add(at));
                at += 32;
            }
        }
        while at + 8 <= len {
            store8(to.add(at), load8(from.add(at)));
            at += 8;
        }
        if len & 4 != 0 {
            store4(to.add(at), load4(from.add(at)));
            at += 4;
        }
        if len & 2 != 0 {
            store2(to.add(at), load2(from.add(at)));
            at += 2;
        }
        if len & 1 != 0 {
            copy1(from.add(at), to.add(at));
        }
    }
}

/// [`super::read`]
///
/// # Safety
/// As there.
#[inline(always)]
pub unsafe fn read(from: *const u8, to: &mut [u8]) {
    // SAFETY: the caller's promise; the slice is nobody else's.
    unsafe { copy(from, to.as_mut_ptr(), to.len()) }
}

/// [`super::write`]
///
/// # Safety
/// As there.
#[inline(always)]
pub unsafe fn write(to: *mut u8, from: &[u8]) {
    // SAFETY: the caller's promise; the slice is not written meanwhile.
    unsafe { copy(from.as_ptr(), to, from.len()) }
}

/// [`super::zero`]
///
/// # Safety
/// As there.
#[inline(always)]
pub unsafe fn zero(to: *mut u8, len: usize) {
    let mut at = 0;
    // SAFETY: all pieces lie within the caller's range.
    unsafe {
        while at + 8 <= len {
            store8(to.add(at), 0);
            at += 8;
        }
        if len & 4 != 0 {
            store4(to.add(at), 0);
            at += 4;
        }
        if len & 2 != 0 {
            store2(to.add(at), 0);
            at += 2;
        }
        if len & 1 != 0 {
            super::byte(to.add(at)).store(0, Relaxed);
        }
    }
}

/// Adds four words to a sum, with every carry going around.
///
/// # Safety
/// `from` is mapped readable for 32 bytes.
#[inline(always)]
pub unsafe fn add_words(from: *const u8, sum: u64) -> u64 {
    let mut sum = sum;
    // SAFETY: it reads what the caller promises. The last carry cannot carry again: after one, the sum
    // is at most 2^64 - 2.
    unsafe {
        asm!(
            "add {sum}, [{from}]",
            "adc {sum}, [{from} + 8]",
            "adc {sum}, [{from} + 16]",
            "adc {sum}, [{from} + 24]",
            "adc {sum}, 0",
            sum = inout(reg) sum,
            from = in(reg) from,
            options(nostack, readonly),
        );
    }
    sum
}
