//! Numbers and strings: parsing and comparing.

use std::ops::Range;

use panal_maps::bytes;
use panal_uapi::Errno;

use super::call::{Call, PIECE, implement};

implement! {
    BPF_FUNC_strtol => strtol;
    BPF_FUNC_strtoul => strtoul;
    BPF_FUNC_strncmp => strncmp;
}

/// Longest number that Linux looks at.
const LONGEST: usize = 63;

/// A number as text, by its bytes where they lie: how many bytes it takes, its sign, its magnitude.
#[inline(always)]
fn parse(len: usize, byte: impl Fn(usize) -> u8, flags: u64) -> Result<(usize, bool, u64), Errno> {
    if !matches!(flags, 0 | 8 | 10 | 16) {
        return Err(Errno::EINVAL);
    }
    let at = |at: usize| if at < len { byte(at) } else { 0 };
    let is_space = |b: u8| matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | 0xa0);
    let mut begin = 0;
    while is_space(at(begin)) {
        begin += 1;
    }
    let negative = at(begin) == b'-';
    begin += usize::from(negative);
    let end = len.min(begin + LONGEST);
    if begin >= end {
        return Err(Errno::EINVAL);
    }
    let mut base = flags;
    if at(begin) == b'0' && matches!(flags, 0 | 16) {
        let hex = begin + 1 < end && matches!(at(begin + 1), b'x' | b'X');
        if base == 0 {
            let is_number = hex && begin + 2 < end && at(begin + 2).is_ascii_hexdigit();
            base = if is_number { 16 } else { 8 };
        }
        if hex && base == 16 {
            begin += 2;
        }
    }
    let digits = begin..end;
    let (count, value) = match base {
        16 => magnitude::<16>(digits, byte),
        8 => magnitude::<8>(digits, byte),
        _ => magnitude::<10>(digits, byte),
    }?;
    Ok((begin + count, negative, value))
}

/// The digits from a place on: how many, and the number that they are.
#[inline(always)]
fn magnitude<const BASE: u64>(
    places: Range<usize>,
    byte: impl Fn(usize) -> u8,
) -> Result<(usize, u64), Errno> {
    let (mut value, mut count) = (0u64, 0);
    for at in places {
        let b = byte(at);
        let digit = match b.wrapping_sub(b'0') {
            digit @ 0..10 => digit,
            _ if BASE <= 10 => break,
            _ => match (b | 0x20).wrapping_sub(b'a') {
                letter @ 0..6 => letter + 10,
                _ => break,
            },
        };
        if u64::from(digit) >= BASE {
            break;
        }
        let next = value.checked_mul(BASE);
        value = next
            .and_then(|value| value.checked_add(digit.into()))
            .ok_or(Errno::ERANGE)?;
        count += 1;
    }
    match count {
        0 => Err(Errno::EINVAL),
        _ => Ok((count, value)),
    }
}

fn signed(negative: bool, magnitude: u64) -> Result<i64, Errno> {
    if negative {
        0i64.checked_sub_unsigned(magnitude).ok_or(Errno::ERANGE)
    } else {
        i64::try_from(magnitude).map_err(|_| Errno::ERANGE)
    }
}

/// Linux clears the result before it parses.
#[inline(always)]
fn parse_argument(call: &mut Call<'_>) -> Result<(usize, bool, u64), Errno> {
    let (text, len, flags) = (call.arg(0), call.arg(1) as usize, call.arg(2));
    if len == 0 {
        call.write_word(call.arg(3), 0)?;
        return Err(Errno::EINVAL);
    }
    let text = call.inside(text, len)?;
    call.write_word(call.arg(3), 0)?;
    // No more than spaces and the longest number are looked at, but there may be many spaces.
    // SAFETY: inside the cage, all of which is mapped; `parse` asks for bytes below the length.
    parse(len, |at| unsafe { bytes::read_u8(text.add(at)) }, flags)
}

fn strtol(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (used, negative, magnitude) = parse_argument(call)?;
    let value = signed(negative, magnitude)?;
    call.write_word(call.arg(3), value as u64)?;
    Ok(used as u64)
}

fn strtoul(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (used, negative, value) = parse_argument(call)?;
    if negative {
        return Err(Errno::EINVAL);
    }
    call.write_word(call.arg(3), value)?;
    Ok(used as u64)
}

/// -1, 0 or 1, as the kernel's `strncmp`. The constant string ends somewhere in its map's value:
/// nothing beyond its zero is looked at.
fn strncmp(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (left, size, constant) = (call.arg(0), u64::from(call.arg32(1)), call.arg(2));
    if size > 0 && !call.is_inside(left, size) {
        return Err(Errno::EFAULT);
    }
    let size = size.min(call.room_from(constant)) as usize;
    if size <= PIECE {
        let (left, right) = (call.inside(left, size)?, call.inside(constant, size)?);
        // SAFETY: both are inside the cage, all of which is mapped.
        let order = unsafe { bytes::compare_strings(left, right, size) };
        return Ok(order.map_or(0, |order| order as i64 as u64));
    }
    compare_long(*call, size)
}

/// [`strncmp`] by pieces.
#[cold]
fn compare_long(call: Call<'_>, size: usize) -> Result<u64, Errno> {
    let (left, constant) = (call.arg(0), call.arg(2));
    for from in (0..size).step_by(PIECE) {
        if from > 0 && call.interrupted() {
            break;
        }
        let part = PIECE.min(size - from);
        let left = call.inside(left + from as u64, part)?;
        let right = call.inside(constant + from as u64, part)?;
        // SAFETY: both are inside the cage, all of which is mapped.
        if let Some(order) = unsafe { bytes::compare_strings(left, right, part) } {
            return Ok(order as i64 as u64);
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8], flags: u64) -> Result<(usize, bool, u64), Errno> {
        super::parse(text.len(), |at| text[at], flags)
    }

    #[test]
    fn numbers_as_linux_reads_them() {
        assert_eq!(parse(b"42", 0), Ok((2, false, 42)));
        assert_eq!(parse(b"  -7x", 0), Ok((4, true, 7)));
        assert_eq!(parse(b"0x1f", 0), Ok((4, false, 31)));
        assert_eq!(parse(b"0x1f", 16), Ok((4, false, 31)));
        assert_eq!(parse(b"017", 0), Ok((3, false, 15)));
        assert_eq!(parse(b"0xg", 0), Ok((1, false, 0)));
        assert_eq!(parse(b"0x", 0), Ok((1, false, 0)));
        assert_eq!(parse(b"0x1F", 10), Ok((1, false, 0)));
        assert_eq!(parse(b"0x", 16), Err(Errno::EINVAL));
        assert_eq!(parse(b"fF", 16), Ok((2, false, 255)));
        assert_eq!(parse(b"79", 8), Ok((1, false, 7)));
        assert_eq!(parse(b"12", 7), Err(Errno::EINVAL));
        assert_eq!(parse(b"", 10), Err(Errno::EINVAL));
        assert_eq!(parse(b" -", 10), Err(Errno::EINVAL));
        assert_eq!(parse(b"abc", 10), Err(Errno::EINVAL));
        assert_eq!(parse(b"18446744073709551616", 10), Err(Errno::ERANGE));
        assert_eq!(signed(true, 1 << 63), Ok(i64::MIN));
        assert_eq!(signed(false, 1 << 63), Err(Errno::ERANGE));
    }
}
