//! The kernel's printf for programs: which conversions there are and what they print.

use std::{
    fmt::Write,
    net::{Ipv4Addr, Ipv6Addr},
};

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
    /// Reads a string; its length with the zero.
    fn string(&mut self, space: Space, address: u64, out: &mut [u8]) -> Result<usize, Errno>;
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

/// Formats. `EINVAL` for a malformed format or one that asks for more arguments than there are.
pub(super) fn format(
    format: &[u8],
    args: &[u64],
    memory: &mut dyn Memory,
) -> Result<Vec<u8>, Errno> {
    let mut out = Vec::with_capacity(format.len() + 32);
    let mut args = args.iter().copied();
    let mut rest = format.iter().copied().peekable();
    while let Some(b) = rest.next() {
        let is_space = matches!(b, b'\t'..=b'\r' | b' ');
        if !b.is_ascii() || !(is_space || b.is_ascii_graphic()) {
            return Err(Errno::EINVAL);
        }
        if b != b'%' {
            out.push(b);
            continue;
        }
        if rest.next_if_eq(&b'%').is_some() {
            out.push(b'%');
            continue;
        }
        let value = args.next().ok_or(Errno::EINVAL)?;
        convert(&mut rest, value, &mut out, memory)?;
    }
    Ok(out)
}

fn convert(
    rest: &mut std::iter::Peekable<impl Iterator<Item = u8>>,
    value: u64,
    out: &mut Vec<u8>,
    memory: &mut dyn Memory,
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

fn string(shape: &Shape, space: Space, at: u64, out: &mut Vec<u8>, memory: &mut dyn Memory) {
    let mut text = [0; LONGEST_STRING];
    // What cannot be read prints as nothing.
    let len = memory.string(space, at, &mut text).unwrap_or(1);
    pad(shape, &text[..len.saturating_sub(1)], out);
}

fn pointer(
    shape: &Shape,
    rest: &mut std::iter::Peekable<impl Iterator<Item = u8>>,
    value: u64,
    out: &mut Vec<u8>,
    memory: &mut dyn Memory,
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
            let text = match rest.next() {
                Some(b'4') => {
                    let mut ip = [0; 4];
                    memory.bytes(value, &mut ip).unwrap_or_default();
                    if dotted {
                        Ipv4Addr::from(ip).to_string()
                    } else {
                        format!("{:03}.{:03}.{:03}.{:03}", ip[0], ip[1], ip[2], ip[3])
                    }
                }
                Some(b'6') => {
                    let mut ip = [0; 16];
                    memory.bytes(value, &mut ip).unwrap_or_default();
                    ipv6(ip, dotted)
                }
                _ => return Err(Errno::EINVAL),
            };
            pad(shape, text.as_bytes(), out);
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

fn ipv6(ip: [u8; 16], colons: bool) -> String {
    let mut text = String::new();
    for (i, pair) in ip.chunks_exact(2).enumerate() {
        if colons && i > 0 {
            text.push(':');
        }
        let _ = write!(text, "{:02x}{:02x}", pair[0], pair[1]);
    }
    debug_assert_eq!(Ipv6Addr::from(ip).segments().len(), 8);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake;

    impl Memory for Fake {
        fn string(&mut self, space: Space, address: u64, out: &mut [u8]) -> Result<usize, Errno> {
            let text: &[u8] = match (space, address) {
                (Space::Kernel, 1) => b"kernel\0",
                (Space::User, 1) => b"user\0",
                _ => return Err(Errno::EFAULT),
            };
            out[..text.len()].copy_from_slice(text);
            Ok(text.len())
        }

        fn bytes(&mut self, _: u64, out: &mut [u8]) -> Result<(), Errno> {
            for (i, b) in out.iter_mut().enumerate() {
                *b = i as u8 + 1;
            }
            Ok(())
        }
    }

    fn print(text: &str, args: &[u64]) -> Result<String, Errno> {
        format(text.as_bytes(), args, &mut Fake).map(|b| String::from_utf8(b).unwrap())
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
        assert_eq!(format(b"\xc3\xa9", &[], &mut Fake), Err(Errno::EINVAL));
    }
}
