//! Copies by relaxed atomics, where the machine has nothing better: by words and halves of words as far as
//! the alignment allows.

use std::sync::atomic::Ordering::Relaxed;

use super::{byte, carried, half, parts, put_word, word, word_from};

/// Eight bytes at any alignment.
///
/// # Safety
/// As for [`super::copy`]'s source.
#[inline(always)]
pub unsafe fn load8(from: *mut u8) -> u64 {
    let over = from as usize % 8;
    // SAFETY: aligned, and the words have bytes of the range.
    unsafe {
        let first = from.sub(over);
        let low = u64::from_le(word(first).load(Relaxed));
        match over {
            0 => low.to_le(),
            _ => {
                let high = u64::from_le(word(first.add(8)).load(Relaxed));
                (low >> (8 * over) | high << (64 - 8 * over)).to_le()
            }
        }
    }
}

/// Four bytes at any alignment.
///
/// # Safety
/// `from` is mapped readable for them.
#[inline(always)]
pub unsafe fn load4(from: *mut u8) -> u32 {
    let mut bytes = [0; 4];
    // SAFETY: the caller's promise.
    unsafe { read(from, &mut bytes) };
    u32::from_ne_bytes(bytes)
}

/// Two bytes at any alignment.
///
/// # Safety
/// `from` is mapped readable for them.
#[inline(always)]
pub unsafe fn load2(from: *mut u8) -> u16 {
    let mut bytes = [0; 2];
    // SAFETY: the caller's promise.
    unsafe { read(from, &mut bytes) };
    u16::from_ne_bytes(bytes)
}

/// Writes two bytes at any alignment.
///
/// # Safety
/// `to` is mapped writable for them.
#[inline(always)]
pub unsafe fn store2(to: *mut u8, value: u16) {
    // SAFETY: the caller's promise.
    unsafe { write(to, &value.to_ne_bytes()) }
}

/// Writes four bytes at any alignment.
///
/// # Safety
/// `to` is mapped writable for them.
#[inline(always)]
pub unsafe fn store4(to: *mut u8, value: u32) {
    // SAFETY: the caller's promise.
    unsafe { write(to, &value.to_ne_bytes()) }
}

/// Writes eight bytes at any alignment.
///
/// # Safety
/// `to` is mapped writable for them.
#[inline(always)]
pub unsafe fn store8(to: *mut u8, value: u64) {
    // SAFETY: the caller's promise.
    unsafe { write(to, &value.to_ne_bytes()) }
}

/// [`super::zero`]
///
/// # Safety
/// As there.
pub unsafe fn zero(to: *mut u8, len: usize) {
    let (words, halves) = parts(to, len);
    for i in (0..words).step_by(8) {
        // SAFETY: inside the caller's range, and aligned as `parts` says.
        unsafe { word(to.add(i)).store(0, Relaxed) };
    }
    for i in (words..halves).step_by(4) {
        // SAFETY: as above.
        unsafe { half(to.add(i)).store(0, Relaxed) };
    }
    for i in halves..len {
        // SAFETY: as above.
        unsafe { byte(to.add(i)).store(0, Relaxed) };
    }
}

/// Adds four words to a sum, with every carry going around.
///
/// # Safety
/// As for [`super::copy`]'s source, of 32 bytes.
#[inline(always)]
pub unsafe fn add_words(from: *mut u8, sum: u64) -> u64 {
    (0..4).fold(sum, |sum, i| {
        // SAFETY: the caller's promise.
        carried(sum, unsafe { load8(from.add(8 * i)) })
    })
}

/// [`super::read`]
///
/// # Safety
/// `from` is mapped readable for `to.len()` bytes.
#[inline]
pub unsafe fn read(from: *mut u8, to: &mut [u8]) {
    let (words, halves) = parts(from, to.len());
    for (i, chunk) in to[..words].chunks_exact_mut(8).enumerate() {
        // SAFETY: inside the caller's range, and aligned as `parts` says.
        let value = unsafe { word(from.add(8 * i)).load(Relaxed) };
        chunk.copy_from_slice(&value.to_ne_bytes());
    }
    for (i, chunk) in to[words..halves].chunks_exact_mut(4).enumerate() {
        // SAFETY: as above.
        let value = unsafe { half(from.add(words + 4 * i)).load(Relaxed) };
        chunk.copy_from_slice(&value.to_ne_bytes());
    }
    for (i, b) in to[halves..].iter_mut().enumerate() {
        // SAFETY: as above.
        *b = unsafe { byte(from.add(halves + i)).load(Relaxed) };
    }
}

/// [`super::write`]
///
/// # Safety
/// `to` is mapped writable for `from.len()` bytes.
#[inline]
pub unsafe fn write(to: *mut u8, from: &[u8]) {
    let (words, halves) = parts(to, from.len());
    for (i, chunk) in from[..words].chunks_exact(8).enumerate() {
        let mut value = [0; 8];
        value.copy_from_slice(chunk);
        // SAFETY: inside the caller's range, and aligned as `parts` says.
        unsafe { word(to.add(8 * i)).store(u64::from_ne_bytes(value), Relaxed) };
    }
    for (i, chunk) in from[words..halves].chunks_exact(4).enumerate() {
        let mut value = [0; 4];
        value.copy_from_slice(chunk);
        // SAFETY: as above.
        unsafe { half(to.add(words + 4 * i)).store(u32::from_ne_bytes(value), Relaxed) };
    }
    for (i, b) in from[halves..].iter().enumerate() {
        // SAFETY: as above.
        unsafe { byte(to.add(halves + i)).store(*b, Relaxed) };
    }
}

/// [`copy`] from any place to an aligned one, by words.
///
/// # Safety
/// As for [`copy`]; `to` is aligned to 8.
#[inline]
unsafe fn copy_shifted(from: *mut u8, to: *mut u8, len: usize) {
    for at in (0..len).step_by(8) {
        let part = (len - at).min(8);
        // SAFETY: the caller's promise.
        unsafe { put_word(to.add(at), word_from(from.add(at), part), part) };
    }
}

/// [`super::copy_settled`]
///
/// # Safety
/// As for [`copy`].
#[inline(always)]
pub unsafe fn copy_settled(from: *mut u8, to: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    unsafe { copy(from, to, len) }
}

/// [`super::copy`]
///
/// # Safety
/// `from` is mapped readable and `to` writable for `len` bytes, and so are the aligned words that have
/// their first and last bytes: where there is memory, there are pages.
#[inline(always)]
pub unsafe fn copy(from: *mut u8, to: *mut u8, len: usize) {
    if !(from as usize).is_multiple_of(4) && (to as usize).is_multiple_of(8) {
        // SAFETY: the caller's promise.
        return unsafe { copy_shifted(from, to, len) };
    }
    // Both ends are aligned as their worse one is.
    let (words, halves) = parts((from as usize | to as usize) as *mut u8, len);
    for i in (0..words).step_by(8) {
        // SAFETY: inside the caller's ranges, and aligned as `parts` says.
        unsafe { word(to.add(i)).store(word(from.add(i)).load(Relaxed), Relaxed) };
    }
    for i in (words..halves).step_by(4) {
        // SAFETY: as above.
        unsafe { half(to.add(i)).store(half(from.add(i)).load(Relaxed), Relaxed) };
    }
    for i in halves..len {
        // SAFETY: as above.
        unsafe { byte(to.add(i)).store(byte(from.add(i)).load(Relaxed), Relaxed) };
    }
}
