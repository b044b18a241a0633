//! Numbers and strings: parsing and comparing.

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

/// A number as text: how many bytes it takes, its sign, its magnitude.
fn parse(text: &[u8], flags: u64) -> Result<(usize, bool, u64), Errno> {
    let mut base = match flags {
        0 | 8 | 10 | 16 => flags,
        _ => return Err(Errno::EINVAL),
    };
    let is_space = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | 0xa0);
    let mut at = text.iter().position(|b| !is_space(b)).unwrap_or(text.len());
    let negative = text.get(at) == Some(&b'-');
    at += usize::from(negative);
    let rest = text.get(at..).unwrap_or_default();
    let rest = &rest[..rest.len().min(LONGEST)];
    if rest.is_empty() {
        return Err(Errno::EINVAL);
    }
    let hex = matches!(rest, [b'0', b'x' | b'X', ..]);
    if base == 0 {
        base = match rest {
            [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => 16,
            [b'0', ..] => 8,
            _ => 10,
        };
    }
    let digits_at = if base == 16 && hex { 2 } else { 0 };
    let mut value = 0u64;
    let mut len = 0;
    for &b in &rest[digits_at..] {
        let digit = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            b'A'..=b'F' => b - b'A' + 10,
            _ => break,
        };
        if u64::from(digit) >= base {
            break;
        }
        value = value
            .checked_mul(base)
            .and_then(|v| v.checked_add(digit.into()))
            .ok_or(Errno::ERANGE)?;
        len += 1;
    }
    if len == 0 {
        return Err(Errno::EINVAL);
    }
    Ok((at + digits_at + len, negative, value))
}

fn signed(negative: bool, magnitude: u64) -> Result<i64, Errno> {
    if negative {
        0i64.checked_sub_unsigned(magnitude).ok_or(Errno::ERANGE)
    } else {
        i64::try_from(magnitude).map_err(|_| Errno::ERANGE)
    }
}

/// Linux clears the result before it parses.
fn parse_argument(call: &mut Call<'_>) -> Result<(usize, bool, u64), Errno> {
    call.write_word(call.arg(3), 0)?;
    let (text, len, flags) = (call.arg(0), call.arg(1) as usize, call.arg(2));
    call.with_copy(text, len, |text| parse(text, flags))?
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

    #[test]
    fn numbers_as_linux_reads_them() {
        assert_eq!(parse(b"42", 0), Ok((2, false, 42)));
        assert_eq!(parse(b"  -7x", 0), Ok((4, true, 7)));
        assert_eq!(parse(b"0x1f", 0), Ok((4, false, 31)));
        assert_eq!(parse(b"0x1f", 16), Ok((4, false, 31)));
        assert_eq!(parse(b"017", 0), Ok((3, false, 15)));
        assert_eq!(parse(b"0xg", 0), Ok((1, false, 0)));
        assert_eq!(parse(b"12", 7), Err(Errno::EINVAL));
        assert_eq!(parse(b"", 10), Err(Errno::EINVAL));
        assert_eq!(parse(b" -", 10), Err(Errno::EINVAL));
        assert_eq!(parse(b"abc", 10), Err(Errno::EINVAL));
        assert_eq!(parse(b"18446744073709551616", 10), Err(Errno::ERANGE));
        assert_eq!(signed(true, 1 << 63), Ok(i64::MIN));
        assert_eq!(signed(false, 1 << 63), Err(Errno::ERANGE));
    }
}
