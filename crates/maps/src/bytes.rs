//! Copies between the cage and the host.
//!
//! Programs and user space read and write the cage's memory at any time, from any thread. These
//! functions therefore touch it only by instructions of the machine's own that take any alignment
//! (`unaligned`), or through relaxed atomics (whole words where both ends are aligned, as Linux does for
//! map values), so that a race gives mixed bytes and nothing worse.

#[cfg(any(test, miri, not(target_arch = "x86_64")))]
mod aligned;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod unaligned;

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
use aligned as machine;
#[cfg(all(target_arch = "x86_64", not(miri)))]
use unaligned as machine;

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
    // SAFETY: the caller's promise.
    unsafe { machine::read(from.as_ptr(), to) }
}

/// Writes a key by words that need not lie in memory before.
///
/// # Safety
/// `to` is mapped writable for `N` bytes and aligned to 8.
#[inline(always)]
pub unsafe fn write_key<const N: usize>(to: NonNull<u8>, key: &[u8; N]) {
    for (i, chunk) in key.chunks(8).enumerate() {
        let mut value = [0; 8];
        value[..chunk.len()].copy_from_slice(chunk);
        // SAFETY: inside the caller's range.
        unsafe {
            put_word(
                to.as_ptr().add(8 * i),
                u64::from_le_bytes(value),
                chunk.len(),
            )
        };
    }
}

/// Copies into the cage.
///
/// # Safety
/// `to` is mapped writable for `from.len()` bytes.
#[inline]
pub unsafe fn write(to: NonNull<u8>, from: &[u8]) {
    // SAFETY: the caller's promise.
    unsafe { machine::write(to.as_ptr(), from) }
}

/// Copies within the cage; the places do not overlap.
///
/// # Safety
/// `from` is mapped readable and `to` writable for `len` bytes, and so are the aligned words that have
/// their first and last bytes: where there is memory, there are pages.
#[inline(always)]
pub unsafe fn copy(from: NonNull<u8>, to: NonNull<u8>, len: usize) {
    // SAFETY: the caller's promise.
    unsafe { machine::copy(from.as_ptr(), to.as_ptr(), len) }
}

/// [`copy`] of bytes that were not just written, by pieces as wide as the machine has them.
///
/// # Safety
/// As for [`copy`].
#[inline(always)]
pub unsafe fn copy_settled(from: NonNull<u8>, to: NonNull<u8>, len: usize) {
    // SAFETY: the caller's promise.
    unsafe { machine::copy_settled(from.as_ptr(), to.as_ptr(), len) }
}

/// A byte.
///
/// # Safety
/// `from` is mapped readable for it.
#[inline(always)]
pub unsafe fn read_u8(from: NonNull<u8>) -> u8 {
    // SAFETY: the caller's promise.
    unsafe { byte(from.as_ptr()) }.load(Relaxed)
}

/// Writes four bytes, at any alignment.
///
/// # Safety
/// `to` is mapped writable for them.
#[inline(always)]
pub unsafe fn write_u32(to: NonNull<u8>, value: u32) {
    // SAFETY: the caller's promise.
    unsafe { machine::store4(to.as_ptr(), value) }
}

/// Two bytes, at any alignment.
///
/// # Safety
/// `from` is mapped readable for them.
#[inline(always)]
pub unsafe fn read_u16(from: NonNull<u8>) -> u16 {
    // SAFETY: the caller's promise.
    unsafe { machine::load2(from.as_ptr()) }
}

/// Writes two bytes, at any alignment.
///
/// # Safety
/// `to` is mapped writable for them.
#[inline(always)]
pub unsafe fn write_u16(to: NonNull<u8>, value: u16) {
    // SAFETY: the caller's promise.
    unsafe { machine::store2(to.as_ptr(), value) }
}

/// Four bytes, at any alignment.
///
/// # Safety
/// `from` is mapped readable for them.
#[inline(always)]
pub unsafe fn read_u32(from: NonNull<u8>) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { machine::load4(from.as_ptr()) }
}

/// A word, at any alignment.
///
/// # Safety
/// `from` is mapped readable for it.
#[inline(always)]
pub unsafe fn read_u64(from: NonNull<u8>) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { machine::load8(from.as_ptr()) }
}

/// Writes a word, at any alignment.
///
/// # Safety
/// `to` is mapped writable for it.
#[inline(always)]
pub unsafe fn write_u64(to: NonNull<u8>, word: u64) {
    // SAFETY: the caller's promise.
    unsafe { machine::store8(to.as_ptr(), word) }
}

/// Two words that stand side by side, as they were written: at once.
///
/// # Safety
/// `from` is mapped readable for 16 bytes.
#[inline(always)]
pub unsafe fn read_pair(from: NonNull<u8>) -> [u64; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        [
            machine::load8(from.as_ptr()),
            machine::load8(from.as_ptr().add(8)),
        ]
    }
}

/// Writes two words side by side.
///
/// # Safety
/// `to` is mapped writable for 16 bytes.
#[inline(always)]
pub unsafe fn write_pair(to: NonNull<u8>, [first, second]: [u64; 2]) {
    // SAFETY: the caller's promise.
    unsafe {
        machine::store8(to.as_ptr(), first);
        machine::store8(to.as_ptr().add(8), second);
    }
}

/// A sum with the carry going around.
#[inline(always)]
fn carried(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u64::from(carry)
}

/// The sum of words of eight bytes, begun with a number, with every carry going around; what follows the
/// last whole word counts as a half, and a half with zeros behind it. It is 0 only where all are 0, and in
/// the order of bytes of the machine.
///
/// # Safety
/// As for [`copy`]'s source.
#[inline(always)]
pub unsafe fn sum(from: NonNull<u8>, len: usize, seed: u64) -> u64 {
    let from = from.as_ptr();
    let (mut sum, mut other, mut at) = (seed, 0, 0);
    // SAFETY: all words lie within the caller's range.
    unsafe {
        // Two sums, neither of which waits for the other.
        while at + 64 <= len {
            sum = machine::add_words(from.add(at), sum);
            other = machine::add_words(from.add(at + 32), other);
            at += 64;
        }
        if at + 32 <= len {
            other = machine::add_words(from.add(at), other);
            at += 32;
        }
        while at + 8 <= len {
            sum = carried(sum, machine::load8(from.add(at)));
            at += 8;
        }
        // As programs write it: a half that was just written is there at once.
        if at + 4 <= len {
            sum = carried(sum, machine::load4(from.add(at)).into());
            at += 4;
        }
        if at < len {
            let last = read_word(NonNull::new_unchecked(from.add(at)), len - at);
            sum = carried(sum, u64::from_ne_bytes(last));
        }
    }
    carried(sum, other)
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

/// Eight bytes from any place on, the first lowest; `len` of them count.
///
/// # Safety
/// `from` is mapped readable for `len` bytes, 1 to 8, and the aligned words that have them are mapped
/// whole.
#[inline(always)]
unsafe fn word_from(from: *mut u8, len: usize) -> u64 {
    if len == 8 {
        // SAFETY: the caller's promise.
        return u64::from_le(unsafe { machine::load8(from) });
    }
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
/// As for [`copy`]'s source, of both.
#[inline]
pub unsafe fn compare_strings(a: NonNull<u8>, b: NonNull<u8>, most: usize) -> Option<Ordering> {
    for at in (0..most).step_by(8) {
        let part = (most - at).min(8);
        // SAFETY: inside the caller's ranges.
        let (a, b) = unsafe {
            let (a, b) = (a.add(at).as_ptr(), b.add(at).as_ptr());
            (word_from(a, part), word_from(b, part))
        };
        // The lowest mark of a zero is right, those above it may not be.
        let zeros = a.wrapping_sub(LOWEST) & !a & HIGHEST;
        let marks = (zeros | (a ^ b)) & (u64::MAX >> (64 - 8 * part));
        if marks != 0 {
            let shift = marks.trailing_zeros() & !7;
            return Some(((a >> shift) as u8).cmp(&((b >> shift) as u8)));
        }
    }
    None
}

/// Writes zeros.
///
/// # Safety
/// `to` is mapped writable for `len` bytes.
#[inline]
pub unsafe fn zero(to: NonNull<u8>, len: usize) {
    // SAFETY: the caller's promise.
    unsafe { machine::zero(to.as_ptr(), len) }
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

/// Whether the cage's bytes are a key, by words that need not lie in memory before, and without a branch
/// for each of them.
///
/// # Safety
/// `at` is mapped readable for `N` bytes, rounded up to whole words, and aligned to 8.
#[inline(always)]
pub unsafe fn is_key<const N: usize>(at: NonNull<u8>, key: &[u8; N]) -> bool {
    let mut differ = 0;
    for (i, chunk) in key.chunks(8).enumerate() {
        let mut value = [0; 8];
        value[..chunk.len()].copy_from_slice(chunk);
        // SAFETY: inside the caller's range.
        let found = unsafe { word(at.as_ptr().add(8 * i)).load(Relaxed) };
        let counts = u64::MAX >> (64 - 8 * chunk.len());
        differ |= (u64::from_le(found) ^ u64::from_le_bytes(value)) & counts;
    }
    differ == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_is_told<const N: usize>() {
        let mut memory = Words([0xee; 64]);
        let at = NonNull::new(memory.0.as_mut_ptr()).unwrap();
        let key: [u8; N] = std::array::from_fn(|i| i as u8 + 1);
        // SAFETY: 64 bytes, aligned.
        unsafe {
            write_key(at, &key);
            assert!(is_key(at, &key), "{N} bytes");
            for bit in 0..8 * N {
                let mut other = key;
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(!is_key(at, &other), "{N} bytes, bit {bit}");
            }
        }
    }

    #[test]
    fn keys_are_told_apart_by_every_bit() {
        key_is_told::<1>();
        key_is_told::<3>();
        key_is_told::<4>();
        key_is_told::<8>();
        key_is_told::<13>();
        key_is_told::<16>();
        key_is_told::<20>();
        key_is_told::<40>();
        key_is_told::<63>();
    }

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
        assert_eq!(compare(b"", b"", 0), None);
        let long = b"0123456789abcdef\xff0";
        for at in 0..18 {
            for most in 0..18 {
                let mut other = *long;
                other[at] = b'!';
                let greater = (at < most).then_some(Ordering::Greater);
                assert_eq!(compare(long, &other, most), greater);
                assert_eq!(compare(&other, long, most), greater.map(Ordering::reverse));
                let mut ended = *long;
                ended[at] = 0;
                let equal = (at < most).then_some(Ordering::Equal);
                assert_eq!(compare(&ended, &ended.clone(), most), equal);
            }
        }
    }

    #[test]
    fn long_copies_and_sums_at_every_alignment() {
        let source: Vec<u8> = (0..700u32).map(|i| (i * 7 + 3) as u8).collect();
        for len in (0..80).chain(250..300).chain([600]) {
            for align in 0..9 {
                let mut target = vec![0xffu8; 640];
                // SAFETY: both have room for `align + len`, and for words around it.
                let (total, other) = unsafe {
                    let from = NonNull::new(source.as_ptr().cast_mut().add(align + 8)).unwrap();
                    let to = NonNull::new(target.as_mut_ptr().add(8 - align % 8)).unwrap();
                    if align % 2 == 0 {
                        copy(from, to, len);
                    } else {
                        copy_settled(from, to, len);
                    }
                    let other = (0..len / 32).fold(0, |sum, i| {
                        aligned::add_words(from.as_ptr().add(32 * i), sum)
                    });
                    (sum(from, len, 9), other)
                };
                let begin = 8 - align % 8;
                assert_eq!(
                    &target[begin..begin + len],
                    &source[align + 8..align + 8 + len]
                );
                assert!(target[begin + len..].iter().all(|&b| b == 0xff));
                // In halves: the same where the sum is folded to one.
                let halves = source[align + 8..align + 8 + len].chunks(4).map(|chunk| {
                    let mut half = [0; 4];
                    half[..chunk.len()].copy_from_slice(chunk);
                    u64::from(u32::from_ne_bytes(half))
                });
                let most = u64::from(u32::MAX);
                let slow = |sum, half| (sum + half) % most;
                assert_eq!(total % most, halves.clone().fold(9, slow), "{len} {align}");
                assert_eq!(other % most, halves.take(len / 32 * 8).fold(0, slow));
            }
        }
        // SAFETY: 64 bytes are there.
        let sum = |bytes: &mut [u8; 72], seed| unsafe {
            sum(NonNull::new(bytes.as_mut_ptr()).unwrap(), 64, seed)
        };
        assert_eq!(sum(&mut [0; 72], 0), 0);
        assert_eq!(sum(&mut [0xff; 72], 0), u64::MAX);
        assert_eq!(sum(&mut [0xff; 72], u64::MAX), u64::MAX);
    }

    #[test]
    fn words_side_by_side() {
        let mut memory = Words([0xee; 64]);
        let words = [0x0102_0304_0506_0708, !0];
        for at in 0..9 {
            // SAFETY: 64 bytes are there.
            unsafe {
                let place = NonNull::new(memory.0.as_mut_ptr().add(8 + at)).unwrap();
                write_pair(place, words);
                assert_eq!(read_pair(place), words);
                let apart = [0, 8].map(|i| aligned::load8(place.as_ptr().add(i)));
                assert_eq!(apart, words);
                aligned::store8(place.as_ptr(), 7);
                assert_eq!(read_pair(place), [7, !0]);
                write_u64(place, 0x0102_0304_0506_0708);
                assert_eq!(read_u32(place), aligned::load4(place.as_ptr()));
                assert_eq!(read_u16(place), aligned::load2(place.as_ptr()));
                if at == 0 {
                    write_key(place, b"abcdefghijklm");
                    assert_eq!(&memory.0[8..22], b"abcdefghijklm\xff");
                }
                write_u32(place, 0x0102_0304);
                let first = 0x0102_0304u32.to_ne_bytes()[0];
                assert_eq!((read_u32(place), read_u8(place)), (0x0102_0304, first));
                aligned::store4(place.as_ptr(), 0x4030_2010);
                assert_eq!(read_u32(place), 0x4030_2010);
                write_u16(place, 0x1234);
                assert_eq!(read_u16(place), 0x1234);
                aligned::store2(place.as_ptr(), 0x4321);
                assert_eq!(read_u16(place), 0x4321);
            }
        }
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
                    // What machines without such instructions have.
                    back.fill(0);
                    aligned::read(p.as_ptr(), &mut back);
                    assert_eq!(back, &source[..len]);
                    aligned::write(p.as_ptr(), &source[1..=len]);
                    assert!(equal(p, &source[1..=len]));
                    aligned::write(p.as_ptr(), &source[..len]);
                    for shift in 0..9 {
                        let mut other = vec![0xffu8; 64];
                        aligned::copy_settled(p.as_ptr(), other.as_mut_ptr().add(shift), len);
                        assert_eq!(&other[shift..shift + len], &source[..len]);
                        assert!(other[shift + len..].iter().all(|&b| b == 0xff));
                    }
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
                    let mut slow = source.clone();
                    aligned::zero(slow.as_mut_ptr().add(align), len);
                    assert!(slow[align..align + len].iter().all(|&b| b == 0));
                    assert_eq!(slow[align + len..], source[align + len..]);
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
