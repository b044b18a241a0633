//! Copies between the cage and the host.
//!
//! Programs and user space read and write the cage's memory at any time, from any thread. These
//! functions therefore touch it only through relaxed atomics (whole words where both ends are
//! aligned, as Linux does for map values), so that a race gives mixed bytes and nothing worse.

use std::{
    ptr::NonNull,
    sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
};

/// # Safety
/// `p` is mapped for a byte.
unsafe fn byte<'a>(p: *mut u8) -> &'a AtomicU8 {
    // SAFETY: the caller's promise; every byte is aligned.
    unsafe { AtomicU8::from_ptr(p) }
}

/// # Safety
/// `p` is mapped for a word and aligned to it.
unsafe fn word<'a>(p: *mut u8) -> &'a AtomicU64 {
    // SAFETY: the caller's promise.
    unsafe { AtomicU64::from_ptr(p.cast()) }
}

/// How many leading bytes of `len` can be copied as words.
fn words(p: *mut u8, len: usize) -> usize {
    if (p as usize).is_multiple_of(8) {
        len & !7
    } else {
        0
    }
}

/// Copies out of the cage.
///
/// # Safety
/// `from` is mapped readable for `to.len()` bytes.
pub unsafe fn read(from: NonNull<u8>, to: &mut [u8]) {
    let from = from.as_ptr();
    let split = words(from, to.len());
    let (head, tail) = to.split_at_mut(split);
    for (i, chunk) in head.chunks_exact_mut(8).enumerate() {
        // SAFETY: inside the caller's range; aligned, since `from` is.
        let value = unsafe { word(from.add(8 * i)).load(Relaxed) };
        chunk.copy_from_slice(&value.to_ne_bytes());
    }
    for (i, b) in tail.iter_mut().enumerate() {
        // SAFETY: inside the caller's range.
        *b = unsafe { byte(from.add(split + i)).load(Relaxed) };
    }
}

/// Copies into the cage.
///
/// # Safety
/// `to` is mapped writable for `from.len()` bytes.
pub unsafe fn write(to: NonNull<u8>, from: &[u8]) {
    let to = to.as_ptr();
    let split = words(to, from.len());
    let (head, tail) = from.split_at(split);
    for (i, chunk) in head.chunks_exact(8).enumerate() {
        let mut value = [0; 8];
        value.copy_from_slice(chunk);
        // SAFETY: inside the caller's range; aligned, since `to` is.
        unsafe { word(to.add(8 * i)).store(u64::from_ne_bytes(value), Relaxed) };
    }
    for (i, b) in tail.iter().enumerate() {
        // SAFETY: inside the caller's range.
        unsafe { byte(to.add(split + i)).store(*b, Relaxed) };
    }
}

/// Writes zeros.
///
/// # Safety
/// `to` is mapped writable for `len` bytes.
pub unsafe fn zero(to: NonNull<u8>, len: usize) {
    let to = to.as_ptr();
    let split = words(to, len);
    for i in (0..split).step_by(8) {
        // SAFETY: inside the caller's range; aligned, since `to` is.
        unsafe { word(to.add(i)).store(0, Relaxed) };
    }
    for i in split..len {
        // SAFETY: inside the caller's range.
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
    let split = words(at, other.len());
    let (head, tail) = other.split_at(split);
    for (i, chunk) in head.chunks_exact(8).enumerate() {
        let mut value = [0; 8];
        value.copy_from_slice(chunk);
        // SAFETY: inside the caller's range; aligned, since `at` is.
        if unsafe { word(at.add(8 * i)).load(Relaxed) } != u64::from_ne_bytes(value) {
            return false;
        }
    }
    for (i, b) in tail.iter().enumerate() {
        // SAFETY: inside the caller's range.
        if unsafe { byte(at.add(split + i)).load(Relaxed) } != *b {
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
