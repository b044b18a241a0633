//! Internet checksums (RFC 1071, RFC 1624).

use panal_maps::bytes;
use panal_uapi::Errno;

use super::call::{COPY_MOST, Call, implement};

implement! {
    BPF_FUNC_csum_diff => csum_diff;
    BPF_FUNC_csum_update => csum_update;
    BPF_FUNC_csum_level => csum_level;
    BPF_FUNC_l3_csum_replace => l3_csum_replace;
    BPF_FUNC_l4_csum_replace => l4_csum_replace;
}

const BPF_F_HDR_FIELD_MASK: u64 = 0xf;
const BPF_F_PSEUDO_HDR: u64 = 1 << 4;
const BPF_F_MARK_MANGLED_0: u64 = 1 << 5;
const BPF_F_MARK_ENFORCE: u64 = 1 << 6;
const BPF_F_IPV6: u64 = 1 << 7;

/// What Linux's checksum code writes for 0 in UDP, where 0 means no checksum.
const CSUM_MANGLED_0: u16 = 0xffff;

/// Adds with the carry going around.
pub(super) fn add(a: u32, b: u32) -> u32 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u32::from(carry)
}

/// Folds a sum to 16 bits, not inverted.
pub(super) fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Sum of memory of the cage, piece by piece; pieces are of even length. Zero has two forms in this
/// arithmetic, and only zeros alone have the first: Linux's sums have the same.
#[inline(always)]
fn sum_at(call: &Call<'_>, at: u64, len: usize, seed: u32) -> Result<u32, Errno> {
    if len > SUM_PIECE {
        return long_sum_at(call, at, len, seed);
    }
    // Of no bytes, there may be no address either.
    if len == 0 {
        return Ok(seed);
    }
    let from = call.inside(at, len)?;
    // SAFETY: inside the cage, all of which is mapped.
    let total = unsafe { bytes::sum(from, len, seed.into()) };
    Ok(add((total >> 32) as u32, total as u32))
}

/// Bytes that are summed up between two looks at whether the run has to end.
const SUM_PIECE: usize = 4096;

#[inline(never)]
fn long_sum_at(call: &Call<'_>, at: u64, len: usize, seed: u32) -> Result<u32, Errno> {
    if len > COPY_MOST {
        return Err(Errno::ENOMEM);
    }
    let mut total = seed;
    for offset in (0..len).step_by(SUM_PIECE) {
        if offset > 0 && call.interrupted() {
            return Err(Errno::EINTR);
        }
        let part = SUM_PIECE.min(len - offset);
        total = sum_at(call, at.wrapping_add(offset as u64), part, total)?;
    }
    Ok(total)
}

fn csum_diff(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (from, from_size, to, to_size, seed) = (
        call.arg(0),
        call.arg32(1) as usize,
        call.arg(2),
        call.arg32(3) as usize,
        call.arg32(4),
    );
    let diff = match (from_size, to_size) {
        (0, _) => sum_at(call, to, to_size, seed)?,
        (_, 0) => !sum_at(call, from, from_size, !seed)?,
        _ => {
            let to = sum_at(call, to, to_size, seed)?;
            add(to, !sum_at(call, from, from_size, 0)?)
        }
    };
    Ok(fold(diff).into())
}

/// Packets here never carry a complete checksum of the device.
fn csum_update(_: &mut Call<'_>) -> Result<u64, Errno> {
    Err(Errno::ENOTSUPP)
}

/// No checksum counts as verified here, so there is no level to change.
fn csum_level(call: &mut Call<'_>) -> Result<u64, Errno> {
    match call.arg(1) {
        // BPF_CSUM_LEVEL_QUERY to BPF_CSUM_LEVEL_RESET
        0 => Err(Errno::EACCES),
        1..=3 => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// The checksum after a field changed (RFC 1624, equation 3). Zero has two forms in this
/// arithmetic: the upper ones of the inverted checksum choose the one that Linux gets.
fn replaced(check: u16, from: u32, to: u32) -> u16 {
    changed_by(check, add(!from, to))
}

/// The same where the difference is known already.
fn changed_by(check: u16, diff: u32) -> u16 {
    !fold(add(diff, !u32::from(check)))
}

/// The same where a field of 16 bits changed, in 16-bit arithmetic.
fn replaced_16(check: u16, from: u16, to: u16) -> u16 {
    let add = |a: u16, b: u16| {
        let (sum, carry) = a.overflowing_add(b);
        sum + u16::from(carry)
    };
    !add(add(!check, !from), to)
}

fn apply(check: u16, size: u64, from: u64, to: u64) -> Result<u16, Errno> {
    match size {
        0 if from == 0 => Ok(changed_by(check, to as u32)),
        2 => Ok(replaced_16(check, from as u16, to as u16)),
        4 => Ok(replaced(check, from as u32, to as u32)),
        _ => Err(Errno::EINVAL),
    }
}

fn l3_csum_replace(call: &mut Call<'_>) -> Result<(), Errno> {
    let (offset, from, to, flags) = (call.arg32(1), call.arg(2), call.arg(3), call.arg(4));
    if flags & !BPF_F_HDR_FIELD_MASK != 0 {
        return Err(Errno::EINVAL);
    }
    if offset > 0xffff || offset & 1 != 0 {
        return Err(Errno::EFAULT);
    }
    let packet = call.packet()?;
    let old = packet.u16_at(offset as usize)?;
    let check = apply(old, flags & BPF_F_HDR_FIELD_MASK, from, to)?;
    packet.set_u16(offset as usize, check)
}

fn l4_csum_replace(call: &mut Call<'_>) -> Result<(), Errno> {
    let (offset, from, to, flags) = (call.arg32(1), call.arg(2), call.arg(3), call.arg(4));
    let known = BPF_F_HDR_FIELD_MASK
        | BPF_F_PSEUDO_HDR
        | BPF_F_MARK_MANGLED_0
        | BPF_F_MARK_ENFORCE
        | BPF_F_IPV6;
    if flags & !known != 0 {
        return Err(Errno::EINVAL);
    }
    if offset > 0xffff || offset & 1 != 0 {
        return Err(Errno::EFAULT);
    }
    let may_be_absent = flags & BPF_F_MARK_MANGLED_0 != 0 && flags & BPF_F_MARK_ENFORCE == 0;
    let packet = call.packet()?;
    let old = packet.u16_at(offset as usize)?;
    if may_be_absent && old == 0 {
        return Ok(());
    }
    let size = flags & BPF_F_HDR_FIELD_MASK;
    if size == 0 && from != 0 {
        return Err(Errno::EINVAL);
    }
    let mut check = apply(old, size, from, to)?;
    if flags & BPF_F_MARK_MANGLED_0 != 0 && check == 0 {
        check = CSUM_MANGLED_0;
    }
    packet.set_u16(offset as usize, check)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sum of 16-bit words as they stand in memory; an odd last byte counts as if a zero followed.
    fn sum(bytes: &[u8]) -> u32 {
        let mut chunks = bytes.chunks_exact(2);
        let mut total = 0u64;
        for chunk in &mut chunks {
            total += u64::from(u16::from_ne_bytes([chunk[0], chunk[1]]));
        }
        if let [last] = chunks.remainder() {
            total += u64::from(u16::from_ne_bytes([*last, 0]));
        }
        let folded = (total & 0xffff_ffff) + (total >> 32);
        ((folded & 0xffff_ffff) + (folded >> 32)) as u32
    }

    /// An IPv4 header's checksum, computed the slow way.
    fn header_checksum(header: &[u8]) -> u16 {
        let mut total = 0u32;
        for pair in header.chunks(2) {
            total += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
        }
        while total > 0xffff {
            total = (total & 0xffff) + (total >> 16);
        }
        !(total as u16)
    }

    #[test]
    fn replacing_fields_keeps_a_header_valid() {
        let mut header =
            *b"\x45\x00\x00\x54\x12\x34\x40\x00\x40\x01\x00\x00\xc0\xa8\x00\x01\xc0\xa8\x00\xc7";
        let check = header_checksum(&header);
        header[10..12].copy_from_slice(&check.to_be_bytes());
        let field = |h: &[u8; 20], at: usize| u32::from_ne_bytes(h[at..at + 4].try_into().unwrap());
        let old = u16::from_ne_bytes([header[10], header[11]]);

        let mut changed = header;
        changed[12..16].copy_from_slice(&[10, 255, 255, 254]);
        changed[10..12].fill(0);
        let expected = header_checksum(&changed).to_be();
        assert_eq!(
            apply(
                old,
                4,
                field(&header, 12).into(),
                field(&changed, 12).into()
            ),
            Ok(expected)
        );

        let diff = add(sum(&changed[12..16]), !sum(&header[12..16]));
        assert_eq!(apply(old, 0, 0, fold(diff).into()), Ok(expected));

        let mut ttl = header;
        ttl[8] = 63;
        ttl[10..12].fill(0);
        let half = |h: &[u8; 20]| u64::from(u16::from_ne_bytes([h[8], h[9]]));
        assert_eq!(
            apply(old, 2, half(&header), half(&ttl)),
            Ok(header_checksum(&ttl).to_be())
        );
        assert_eq!(apply(old, 8, 0, 0), Err(Errno::EINVAL));
    }
}
