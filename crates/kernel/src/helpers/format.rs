//! The kernel's printf for programs: which conversions there are and what they print.

use panal_uapi::Errno;

/// Most arguments (`MAX_BPRINTF_VARARGS`).
pub(super) const MOST_ARGUMENTS: usize = 12;

/// Longest string that `%s` prints.
const LONGEST_STRING: usize = 512;

/// Whose memory a string lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    Kernel,
    User,
}

/// How to read what pointers point to.
pub(super) trait Memory {
    /// Appends a string, of at most so many bytes, without its zero.
    fn string(
        &mut self,
        space: Space,
        address: u64,
        most: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Errno>;
    /// Reads bytes of the kernel.
    fn bytes(&mut self, address: u64, out: &mut [u8]) -> Result<(), Errno>;
}

/// Flags and width of a conversion.
#[derive(Default)]
struct Shape {
    minus: bool,
    plus: bool,
    space: bool,
    zero: bool,
    width: usize,
}

/// Widest field that is padded to.
const WIDEST: usize = 1024;

/// Whether a byte may stand in a format.
#[inline(always)]
fn is_text(b: u8) -> bool {
    matches!(b, b'\t'..=b'\r' | b' '..=b'~')
}

/// Formats, behind what is there already. `EINVAL` for a malformed format or one that asks for more
/// arguments than there are.
pub(super) fn format(
    format: &[u8],
    args: &[u64],
    memory: &mut impl Memory,
    out: &mut Vec<u8>,
) -> Result<(), Errno> {
    let mut args = args.iter().copied();
    let mut rest = format;
    while let Some(&first) = rest.first() {
        if first != b'%' {
            let plain = rest.iter().position(|&b| b == b'%' || !is_text(b));
            let (text, after) = rest.split_at(plain.unwrap_or(rest.len()));
            if text.is_empty() {
                return Err(Errno::EINVAL);
            }
            out.extend_from_slice(text);
            rest = after;
            continue;
        }
        rest = &rest[1..];
        if let [b'%', after @ ..] = rest {
            out.push(b'%');
            rest = after;
            continue;
        }
        let value = args.next().ok_or(Errno::EINVAL)?;
        let mut bytes = rest.iter().copied().peekable();
        // What most conversions are.
        match *rest {
            [kind @ (b'd' | b'u' | b'x'), ..] => {
                number(&Shape::default(), kind, false, value, out)?;
                rest = &rest[1..];
            }
            _ => {
                convert(&mut bytes, value, out, memory)?;
                rest = &rest[rest.len() - bytes.len()..];
            }
        }
    }
    Ok(())
}

fn convert(
    rest: &mut std::iter::Peekable<impl Iterator<Item = u8>>,
    value: u64,
    out: &mut Vec<u8>,
    memory: &mut impl Memory,
) -> Result<(), Errno> {
    let mut shape = Shape::default();
    while let Some(flag) = rest.next_if(|b| matches!(b, b'0' | b'+' | b'-' | b' ')) {
        match flag {
            b'0' => shape.zero = true,
            b'+' => shape.plus = true,
            b'-' => shape.minus = true,
            _ => shape.space = true,
        }
    }
    while let Some(digit) = rest.next_if(u8::is_ascii_digit) {
        shape.width = (shape.width * 10 + usize::from(digit - b'0')).min(WIDEST);
    }
    match rest.next().ok_or(Errno::EINVAL)? {
        b's' => string(&shape, Space::Kernel, value, out, memory),
        b'c' => pad(&shape, &[value as u8], out),
        b'p' => pointer(&shape, rest, value, out, memory)?,
        first => {
            let mut long = false;
            let mut last = first;
            for _ in 0..2 {
                if last == b'l' {
                    long = true;
                    last = rest.next().ok_or(Errno::EINVAL)?;
                }
            }
            number(&shape, last, long, value, out)?;
        }
    }
    Ok(())
}

fn pad(shape: &Shape, text: &[u8], out: &mut Vec<u8>) {
    let missing = shape.width.saturating_sub(text.len());
    if !shape.minus {
        out.extend(std::iter::repeat_n(b' ', missing));
    }
    out.extend_from_slice(text);
    if shape.minus {
        out.extend(std::iter::repeat_n(b' ', missing));
    }
}

#[inline]
fn number(shape: &Shape, kind: u8, long: bool, value: u64, out: &mut Vec<u8>) -> Result<(), Errno> {
    let unsigned = if long { value } else { u64::from(value as u32) };
    let signed = if long {
        value as i64
    } else {
        i64::from(value as i32)
    };
    let mut room = [0; DIGITS_MOST];
    let (sign, digits) = match kind {
        b'd' | b'i' => {
            let sign: &[u8] = match signed {
                ..0 => b"-",
                _ if shape.plus => b"+",
                _ if shape.space => b" ",
                _ => b"",
            };
            (sign, digits::<10>(signed.unsigned_abs(), b'a', &mut room))
        }
        b'u' => (&b""[..], digits::<10>(unsigned, b'a', &mut room)),
        b'x' => (&b""[..], digits::<16>(unsigned, b'a', &mut room)),
        b'X' => (&b""[..], digits::<16>(unsigned, b'A', &mut room)),
        _ => return Err(Errno::EINVAL),
    };
    let missing = shape.width.saturating_sub(sign.len() + digits.len());
    let fill = |out: &mut Vec<u8>, with| out.extend(std::iter::repeat_n(with, missing));
    if !shape.minus && !shape.zero {
        fill(out, b' ');
    }
    out.extend_from_slice(sign);
    if !shape.minus && shape.zero {
        fill(out, b'0');
    }
    out.extend_from_slice(digits);
    if shape.minus {
        fill(out, b' ');
    }
    Ok(())
}

/// Most digits of a number.
const DIGITS_MOST: usize = 20;

/// A number's digits in a base; those from ten on are letters from this one on.
fn digits<const BASE: u64>(mut value: u64, ten: u8, room: &mut [u8; DIGITS_MOST]) -> &[u8] {
    let mut at = room.len();
    while let Some(before) = at.checked_sub(1) {
        at = before;
        room[at] = match (value % BASE) as u8 {
            digit @ 0..10 => b'0' + digit,
            digit => ten + (digit - 10),
        };
        value /= BASE;
        if value == 0 {
            break;
        }
    }
    &room[at..]
}

fn string(shape: &Shape, space: Space, at: u64, out: &mut Vec<u8>, memory: &mut impl Memory) {
    let from = out.len();
    // What cannot be read prints as nothing.
    if memory.string(space, at, LONGEST_STRING - 1, out).is_err() {
        out.truncate(from);
    }
    let missing = shape.width.saturating_sub(out.len() - from);
    out.extend(std::iter::repeat_n(b' ', missing));
    if !shape.minus {
        out[from..].rotate_right(missing);
    }
}

fn pointer(
    shape: &Shape,
    rest: &mut std::iter::Peekable<impl Iterator<Item = u8>>,
    value: u64,
    out: &mut Vec<u8>,
    memory: &mut impl Memory,
) -> Result<(), Errno> {
    match rest.peek() {
        Some(b'k' | b'u') => {
            let space = if rest.next() == Some(b'k') {
                Space::Kernel
            } else {
                Space::User
            };
            if rest.next() != Some(b's') {
                return Err(Errno::EINVAL);
            }
            string(shape, space, value, out, memory);
        }
        Some(b'i' | b'I') => {
            let dotted = rest.next() == Some(b'I');
            let mut room = [0; IP_LONGEST];
            let text = match rest.next() {
                Some(b'4') => {
                    let mut ip = [0; 4];
                    memory.bytes(value, &mut ip).unwrap_or_default();
                    ipv4(ip, dotted, &mut room)
                }
                Some(b'6') => {
                    let mut ip = [0; 16];
                    memory.bytes(value, &mut ip).unwrap_or_default();
                    ipv6(ip, dotted, &mut room)
                }
                _ => return Err(Errno::EINVAL),
            };
            pad(shape, text, out);
        }
        // Symbols: there are none to name, so the address is printed.
        Some(b's' | b'S' | b'B') => {
            rest.next();
            pad(shape, format!("0x{value:x}").as_bytes(), out);
        }
        Some(b'x') => {
            rest.next();
            let text = match shape.width {
                0 => format!("{value:016x}"),
                width if shape.zero && !shape.minus => format!("{value:0width$x}"),
                _ => format!("{value:x}"),
            };
            pad(shape, text.as_bytes(), out);
        }
        Some(b'K') => {
            rest.next();
            pad(shape, format!("{value:016x}").as_bytes(), out);
        }
        None => pad(shape, format!("{value:016x}").as_bytes(), out),
        Some(b) if b.is_ascii_whitespace() || b.is_ascii_punctuation() => {
            pad(shape, format!("{value:016x}").as_bytes(), out);
        }
        Some(_) => return Err(Errno::EINVAL),
    }
    Ok(())
}

/// Most bytes of an address as text: eight groups of four digits, seven colons.
const IP_LONGEST: usize = 39;

/// Four numbers; of three digits each, unless `plain`.
fn ipv4(ip: [u8; 4], plain: bool, room: &mut [u8; IP_LONGEST]) -> &[u8] {
    let mut len = 0;
    for (i, number) in ip.into_iter().enumerate() {
        if i > 0 {
            room[len] = b'.';
            len += 1;
        }
        let digits = [number / 100, number / 10 % 10, number % 10];
        let skipped = match number {
            _ if !plain => 0,
            0..10 => 2,
            10..100 => 1,
            100.. => 0,
        };
        for digit in &digits[skipped..] {
            room[len] = b'0' + digit;
            len += 1;
        }
    }
    &room[..len]
}

/// Eight groups of four digits, apart by colons or not at all.
fn ipv6(ip: [u8; 16], colons: bool, room: &mut [u8; IP_LONGEST]) -> &[u8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut len = 0;
    for (i, byte) in ip.into_iter().enumerate() {
        if colons && i > 0 && i % 2 == 0 {
            room[len] = b':';
            len += 1;
        }
        for digit in [byte >> 4, byte & 15] {
            room[len] = DIGITS[usize::from(digit)];
            len += 1;
        }
    }
    &room[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake;

    impl Memory for Fake {
        fn string(
            &mut self,
            space: Space,
            address: u64,
            _: usize,
            out: &mut Vec<u8>,
        ) -> Result<(), Errno> {
            let text: &[u8] = match (space, address) {
                (Space::Kernel, 1) => b"kernel",
                (Space::User, 1) => b"user",
                _ => return Err(Errno::EFAULT),
            };
            out.extend_from_slice(text);
            Ok(())
        }

        fn bytes(&mut self, _: u64, out: &mut [u8]) -> Result<(), Errno> {
            for (i, b) in out.iter_mut().enumerate() {
                *b = i as u8 + 1;
            }
            Ok(())
        }
    }

    fn print(text: &str, args: &[u64]) -> Result<String, Errno> {
        let mut out = Vec::new();
        format(text.as_bytes(), args, &mut Fake, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn conversions() {
        for (text, args, expected) in [
            ("plain 100%%", &[][..], "plain 100%"),
            ("%d %i %u", &[u64::MAX, 7, u64::MAX], "-1 7 4294967295"),
            (
                "%ld %lld %lu",
                &[u64::MAX, 1 << 40, 5],
                "-1 1099511627776 5",
            ),
            (
                "%x %X %llx",
                &[0xabc, 0xabc, u64::MAX],
                "abc ABC ffffffffffffffff",
            ),
            (
                "[%5d] [%-5d] [%05d] [%+d]",
                &[42, 42, 42, 42],
                "[   42] [42   ] [00042] [+42]",
            ),
            ("[%05d]", &[(-42i64) as u64], "[-0042]"),
            ("%s %pks %pus|%s", &[1, 1, 1, 9], "kernel kernel user|"),
            ("[%7s] [%-7s]", &[1, 1], "[ kernel] [kernel ]"),
            ("%c%c", &[b'o' as u64, b'k' as u64], "ok"),
            ("%pI4 %pi4", &[0, 0], "1.2.3.4 001.002.003.004"),
            ("%pI6", &[0], "0102:0304:0506:0708:090a:0b0c:0d0e:0f10"),
            (
                "%px %p.",
                &[0x1f, 0x1f],
                "000000000000001f 000000000000001f.",
            ),
        ] {
            assert_eq!(print(text, args).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn malformed_formats() {
        for (text, args) in [
            ("%d", &[][..]),
            ("%", &[1]),
            ("%f", &[1]),
            ("%lf", &[1]),
            ("%l", &[1]),
            ("%pk", &[1]),
            ("%pi5", &[1]),
            ("%pz", &[1]),
            ("\x01", &[]),
        ] {
            assert_eq!(print(text, args), Err(Errno::EINVAL), "{text}");
        }
        let umlaut = format(b"\xc3\xa9", &[], &mut Fake, &mut Vec::new());
        assert_eq!(umlaut, Err(Errno::EINVAL));
    }
}
