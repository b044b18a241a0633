//! Copies between the cage and the host.
//!
//! Programs and user space read and write the cage's memory at any time, from any thread. These
//! functions therefore touch it only through relaxed atomics (whole words where both ends are
//! aligned, as Linux does for map values), so that a race gives mixed bytes and nothing worse.

use std::{
    ptr::NonNull,
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
};

/// # Safety
/// `p` is mapped for a byte.
#[inline(always)]
unsafe fn byte<'a>(p: *mut u8) -> &'a AtomicU8 {
    // SAFETY: the caller's promise; every byte is aligned.
    unsafe { AtomicU8::from_ptr(p) }
}

/// # Safety
/// `p` is mapped for four bytes and aligned to them.
#[inline(always)]
unsafe fn half<'a>(p: *mut u8) -> &'a AtomicU32 {
    // SAFETY: the caller's promise.
    unsafe { AtomicU32::from_ptr(p.cast()) }
}

/// # Safety
/// `p` is mapped for a word and aligned to it.
#[inline(always)]
unsafe fn word<'a>(p: *mut u8) -> &'a AtomicU64 {
    // SAFETY: the caller's promise.
    unsafe { AtomicU64::from_ptr(p.cast()) }
}

/// Where the parts of a copy of `len` bytes end that are made by words, and by halves of words
/// after them: as the alignment allows. A number that was written at once and is read byte by byte
/// would wait for the store.
#[inline(always)]
fn parts(p: *mut u8, len: usize) -> (usize, usize) {
    if (p as usize).is_multiple_of(8) {
        (len & !7, len & !3)
    } else if (p as usize).is_multiple_of(4) {
        (0, len & !3)
    } else {
        (0, 0)
    }
}

/// Copies out of the cage.
///
/// # Safety
/// `from` is mapped readable for `to.len()` bytes.
#[inline]
pub unsafe fn read(from: NonNull<u8>, to: &mut [u8]) {
    let from = from.as_ptr();
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

/// A key out of the cage that a program has just written there, as often in halves of words as in
/// whole ones: read in halves, it need not wait for the stores.
///
/// # Safety
/// `from` is mapped readable for `N` bytes.
#[inline(always)]
pub unsafe fn read_key<const N: usize>(from: NonNull<u8>) -> [u8; N] {
    let mut key = [0; N];
    let at = from.as_ptr();
    if N.is_multiple_of(4) && (at as usize).is_multiple_of(4) {
        for (i, chunk) in key.chunks_exact_mut(4).enumerate() {
            // SAFETY: inside the caller's range, and aligned.
            let value = unsafe { half(at.add(4 * i)).load(Relaxed) };
            chunk.copy_from_slice(&value.to_ne_bytes());
        }
    } else {
        // SAFETY: the caller's promise.
        unsafe { read(from, &mut key) };
    }
    key
}

/// Copies into the cage.
///
/// # Safety
/// `to` is mapped writable for `from.len()` bytes.
#[inline]
pub unsafe fn write(to: NonNull<u8>, from: &[u8]) {
    let to = to.as_ptr();
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

/// Copies within the cage.
///
/// # Safety
/// `from` is mapped readable and `to` writable for `len` bytes.
#[inline(always)]
pub unsafe fn copy(from: NonNull<u8>, to: NonNull<u8>, len: usize) {
    let (from, to) = (from.as_ptr(), to.as_ptr());
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

/// Writes zeros.
///
/// # Safety
/// `to` is mapped writable for `len` bytes.
pub unsafe fn zero(to: NonNull<u8>, len: usize) {
    let to = to.as_ptr();
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

/// Whether the cage's bytes equal `other`.
///
/// # Safety
/// `at` is mapped readable for `other.len()` bytes.
#[inline(always)]
pub unsafe fn equal(at: NonNull<u8>, other: &[u8]) -> bool {
    let at = at.as_ptr();
    let (words, halves) = parts(at, other.len());
    for (i, chunk) in other[..words].chunks_exact(8).enumerate() {
        let mut value = [0; 8];
        value.copy_from_slice(chunk);
        // SAFETY: inside the caller's range, and aligned as `parts` says.
        if unsafe { word(at.add(8 * i)).load(Relaxed) } != u64::from_ne_bytes(value) {
            return false;
        }
    }
    for (i, chunk) in other[words..halves].chunks_exact(4).enumerate() {
        let mut value = [0; 4];
        value.copy_from_slice(chunk);
        // SAFETY: as above.
        if unsafe { half(at.add(words + 4 * i)).load(Relaxed) } != u32::from_ne_bytes(value) {
            return false;
        }
    }
    for (i, b) in other[halves..].iter().enumerate() {
        // SAFETY: as above.
        if unsafe { byte(at.add(halves + i)).load(Relaxed) } != *b {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_at_every_alignment_and_length() {
        let source: Vec<u8> = (0..64).collect();
        for align in 0..9 {
            for len in 0..40 {
                let mut memory = vec![0xffu8; 64];
                // SAFETY: 64 bytes are there, `align + len` is at most 48.
                unsafe {
                    let p = NonNull::new(memory.as_mut_ptr().add(align)).unwrap();
                    write(p, &source[..len]);
                    assert!(equal(p, &source[..len]));
                    let mut back = vec![0; len];
                    read(p, &mut back);
                    assert_eq!(back, &source[..len]);
                    for shift in 0..9 {
                        let mut other = vec![0xffu8; 64];
                        copy(p, NonNull::new(other.as_mut_ptr().add(shift)).unwrap(), len);
                        assert_eq!(&other[shift..shift + len], &source[..len]);
                        assert!(other[shift + len..].iter().all(|&b| b == 0xff));
                    }
                    if len > 0 {
                        let mut other = source[..len].to_vec();
                        other[len - 1] ^= 1;
                        assert!(!equal(p, &other));
                    }
                    zero(p, len);
                }
                assert!(memory[align..align + len].iter().all(|&b| b == 0));
                assert!(
                    memory[..align]
                        .iter()
                        .chain(&memory[align + len..])
                        .all(|&b| b == 0xff)
                );
            }
        }
    }
}
