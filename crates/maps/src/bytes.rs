//! Copies between the cage and the host.
//!
//! Programs and user space read and write the cage's memory at any time, from any thread. These
//! functions therefore touch it only through relaxed atomics (whole words where both ends are
//! aligned, as Linux does for map values), so that a race gives mixed bytes and nothing worse.

use std::{
    cmp::Ordering,
    ptr::NonNull,
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
};

/// The lowest and the highest bit of each byte of a word.
const LOWEST: u64 = 0x0101_0101_0101_0101;
const HIGHEST: u64 = LOWEST << 7;

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
        // Joined to words here: who compares them must not wait for stores of halves either.
        let mut words = key.chunks_exact_mut(8);
        for (i, chunk) in words.by_ref().enumerate() {
            // SAFETY: inside the caller's range, and aligned.
            let (first, second) = unsafe {
                let at = at.add(8 * i);
                (half(at).load(Relaxed), half(at.add(4)).load(Relaxed))
            };
            let joined = u64::from(first.to_le()) | u64::from(second.to_le()) << 32;
            chunk.copy_from_slice(&joined.to_le_bytes());
        }
        let rest = words.into_remainder();
        if rest.len() == 4 {
            // SAFETY: as above.
            let value = unsafe { half(at.add(N - 4)).load(Relaxed) };
            rest.copy_from_slice(&value.to_ne_bytes());
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

/// Eight bytes from any place on, the first lowest; `len` of them count.
///
/// # Safety
/// `from` is mapped readable for `len` bytes, 1 to 8, and the aligned words that have them are mapped
/// whole.
#[inline(always)]
unsafe fn word_from(from: *mut u8, len: usize) -> u64 {
    let over = from as usize % 8;
    let shift = 8 * over as u32;
    // SAFETY: aligned, and the words have bytes of the range.
    unsafe {
        let first = from.sub(over);
        let low = u64::from_le(word(first).load(Relaxed)) >> shift;
        match over + len > 8 {
            true => low | u64::from_le(word(first.add(8)).load(Relaxed)) << (64 - shift),
            false => low,
        }
    }
}

/// Up to eight bytes from any place on, as they lie in memory, with zeros behind them.
///
/// # Safety
/// As for [`copy`]'s source; `len` is 1 to 8.
#[inline(always)]
pub unsafe fn read_word(from: NonNull<u8>, len: usize) -> [u8; 8] {
    // SAFETY: the caller's promise.
    let word = unsafe { word_from(from.as_ptr(), len) };
    (word & (u64::MAX >> (64 - 8 * len))).to_le_bytes()
}

/// Writes the first `len` bytes of a word, at most 8, in pieces as large as may be.
///
/// # Safety
/// `to` is mapped writable for `len` bytes and aligned to 8.
#[inline(always)]
unsafe fn put_word(to: *mut u8, value: u64, len: usize) {
    let mut at = 0;
    // SAFETY: inside the caller's range, and aligned.
    unsafe {
        if len >= 8 {
            return word(to).store(value.to_le(), Relaxed);
        }
        if len & 4 != 0 {
            half(to).store((value as u32).to_le(), Relaxed);
            at = 4;
        }
        while at < len {
            byte(to.add(at)).store((value >> (8 * at)) as u8, Relaxed);
            at += 1;
        }
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

/// Copies a string within the cage, at most `most` bytes of it: how many bytes it has, its zero
/// counted; `None` where none of them is zero.
///
/// # Safety
/// As for [`copy`], with `most` for the length.
#[inline]
pub unsafe fn copy_string(from: NonNull<u8>, to: NonNull<u8>, most: usize) -> Option<usize> {
    let (from, to) = (from.as_ptr(), to.as_ptr());
    if !(to as usize).is_multiple_of(8) {
        for at in 0..most {
            // SAFETY: inside the caller's ranges.
            let value = unsafe { byte(from.add(at)).load(Relaxed) };
            // SAFETY: as above.
            unsafe { byte(to.add(at)).store(value, Relaxed) };
            if value == 0 {
                return Some(at + 1);
            }
        }
        return None;
    }
    for at in (0..most).step_by(8) {
        let part = (most - at).min(8);
        // SAFETY: inside the caller's ranges.
        let value = unsafe { word_from(from.add(at), part) };
        let zeros = value.wrapping_sub(LOWEST) & !value & HIGHEST;
        // The lowest mark is right, those above it may not be.
        let length = zeros.trailing_zeros() as usize / 8 + 1;
        // SAFETY: as above.
        unsafe { put_word(to.add(at), value, part.min(length)) };
        if length <= part {
            return Some(at + length);
        }
    }
    None
}

/// The order of two strings of the cage, of which at most `most` bytes count; `None` where these are
/// equal and none is zero.
///
/// # Safety
/// Both are mapped readable for `most` bytes.
#[inline]
pub unsafe fn compare_strings(a: NonNull<u8>, b: NonNull<u8>, most: usize) -> Option<Ordering> {
    for at in 0..most {
        // SAFETY: inside the caller's ranges.
        let (a, b) = unsafe {
            let (a, b) = (a.add(at).as_ptr(), b.add(at).as_ptr());
            (byte(a).load(Relaxed), byte(b).load(Relaxed))
        };
        if a != b || a == 0 {
            return Some(a.cmp(&b));
        }
    }
    None
}

/// Copies within the cage.
///
/// # Safety
/// `from` is mapped readable and `to` writable for `len` bytes, and so are the aligned words that have
/// their first and last bytes: where there is memory, there are pages.
#[inline(always)]
pub unsafe fn copy(from: NonNull<u8>, to: NonNull<u8>, len: usize) {
    let (from, to) = (from.as_ptr(), to.as_ptr());
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
    fn strings_at_every_alignment_and_length() {
        for (align, shift) in (0..9).flat_map(|a| (0..9).map(move |s| (a, s))) {
            for len in 0..20 {
                let mut memory = [0xffu8; 64];
                let text: Vec<u8> = (0..len as u8).map(|i| 0x80 >> (i % 8)).collect();
                memory[align..align + len].copy_from_slice(&text);
                memory[align + len] = 0;
                for most in 0..24 {
                    let mut to = Words([0xee; 64]);
                    let mut from = Words(memory);
                    // SAFETY: 64 bytes are there on both sides.
                    let copied = unsafe {
                        let from = NonNull::new(from.0.as_mut_ptr().add(align)).unwrap();
                        let to = NonNull::new(to.0.as_mut_ptr().add(shift)).unwrap();
                        copy_string(from, to, most)
                    };
                    assert_eq!(copied, (most > len).then_some(len + 1));
                    let written = copied.unwrap_or(most);
                    let expected = &memory[align..align + written];
                    assert_eq!(&to.0[shift..shift + written], expected);
                    assert!(to.0[shift + written..].iter().all(|&b| b == 0xee));
                }
            }
        }
    }

    #[test]
    fn strings_are_compared_up_to_their_zero() {
        let compare = |a: &[u8], b: &[u8], most| {
            let of = |bytes: &[u8]| NonNull::new(bytes.as_ptr().cast_mut()).unwrap();
            // SAFETY: `most` bytes are there, and are only read.
            unsafe { compare_strings(of(a), of(b), most) }
        };
        assert_eq!(compare(b"abc\0zz", b"abc\0yy", 6), Some(Ordering::Equal));
        assert_eq!(compare(b"abd", b"abc", 3), Some(Ordering::Greater));
        assert_eq!(compare(b"ab\0", b"abc", 3), Some(Ordering::Less));
        assert_eq!(compare(b"abd", b"abc", 2), None);
    }

    #[repr(align(8))]
    struct Words([u8; 64]);

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
