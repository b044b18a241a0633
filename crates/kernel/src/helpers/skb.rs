//! Reading and writing a packet (`struct __sk_buff`): bytes, hash, type, time.

use panal_isa::Size;
use panal_uapi::Errno;
use panal_vm::{HelperFn, Run};

use super::call::{Call, implement};
use crate::packet::Packet;
use crate::program_types::skb::{HASH, PKT_TYPE, PROTOCOL, TSTAMP, TSTAMP_TYPE};

implement! {
    BPF_FUNC_skb_load_bytes => skb_load_bytes;
    BPF_FUNC_skb_load_bytes_relative => skb_load_bytes_relative;
    BPF_FUNC_skb_store_bytes => skb_store_bytes;
    BPF_FUNC_skb_pull_data => skb_pull_data;
    BPF_FUNC_skb_change_type => skb_change_type;
    BPF_FUNC_skb_ecn_set_ce => skb_ecn_set_ce;
    BPF_FUNC_skb_set_tstamp => skb_set_tstamp;
    BPF_FUNC_get_hash_recalc => get_hash_recalc;
    BPF_FUNC_set_hash => set_hash;
    BPF_FUNC_set_hash_invalid => set_hash_invalid;
    BPF_FUNC_get_route_realm => get_route_realm;
}

const BPF_F_RECOMPUTE_CSUM: u64 = 1 << 0;
const BPF_F_INVALIDATE_HASH: u64 = 1 << 1;
const STORE_FLAGS: u64 = BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH;

/// Where the context has the hash that [`get_hash_recalc`] gives, unless it is 0.
pub(super) const HASH_AT: u32 = HASH as u32;

/// Ethernet types, as the context has them: in network order.
pub(super) const IPV4: u32 = 0x0800u16.to_be() as u32;
pub(super) const IPV6: u32 = 0x86ddu16.to_be() as u32;

#[cold]
#[inline(never)]
fn load(
    mut call: Call<'_>,
    read: impl FnOnce(&Packet, &mut [u8]) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let (to, len) = (call.arg(2), call.arg32(3) as usize);
    if !call.is_inside(to, len as u64) {
        return Err(Errno::EFAULT);
    }
    if len > crate::packet::LONGEST {
        call.zero(to, len)?;
        return Err(Errno::EFAULT);
    }
    let mut small = [0; 256];
    let mut large;
    let buffer = match small.get_mut(..len) {
        Some(buffer) => buffer,
        None => {
            large = vec![0; len];
            &mut large[..]
        }
    };
    let result = read(call.packet()?, buffer);
    if result.is_err() {
        buffer.fill(0);
    }
    call.write(to, buffer)?;
    result
}

fn skb_load_bytes(call: &mut Call<'_>) -> Result<(), Errno> {
    let (offset, to, len) = (call.arg32(1), call.arg(2), call.arg32(3) as usize);
    if let Some(from) = call.packet()?.place(offset, len)
        && call.copy_settled(from, to, len)
    {
        return Ok(());
    }
    load(*call, |packet, buffer| {
        if offset > i32::MAX as u32 {
            return Err(Errno::EFAULT);
        }
        packet.read(offset as usize, buffer)
    })
}

fn skb_load_bytes_relative(call: &mut Call<'_>) -> Result<(), Errno> {
    let (offset, to, len, from) = (
        call.arg32(1),
        call.arg(2),
        call.arg32(3) as usize,
        call.arg32(4),
    );
    let packet = call.packet()?;
    let start = match from {
        _ if offset > 0xffff => None,
        0 => Some(packet.mac_offset()),
        1 => Some(packet.network_offset()),
        _ => None,
    };
    let at = start.map(|start| start + i64::from(offset));
    if let Some(from) = at.and_then(|at| packet.place_of_header(at, len))
        && call.copy_settled(from, to, len)
    {
        return Ok(());
    }
    load(*call, |packet, buffer| {
        packet.read_headers(at.ok_or(Errno::EFAULT)?, buffer)
    })
}

/// Packets carry no checksum of the device, so there is none to keep right.
fn skb_store_bytes(call: &mut Call<'_>) -> Result<(), Errno> {
    let (offset, from, len, flags) = (call.arg32(1), call.arg(2), call.arg32(3), call.arg(4));
    if flags & !STORE_FLAGS == 0
        && let Some(to) = call.packet()?.place(offset, len as usize)
        && call.copy_inside(from, to, len as usize)
    {
        if flags & BPF_F_INVALIDATE_HASH != 0 {
            forget_hash(call.packet()?);
        }
        return Ok(());
    }
    store_by_copy(*call)
}

#[cold]
fn store_by_copy(mut call: Call<'_>) -> Result<(), Errno> {
    let (offset, from, len, flags) = (call.arg32(1), call.arg(2), call.arg32(3), call.arg(4));
    let bytes = call.read_vec(from, len as usize)?;
    store_bytes(call.packet()?, offset as usize, &bytes, flags)
}

pub(super) fn store_bytes(
    packet: &mut Packet,
    offset: usize,
    bytes: &[u8],
    flags: u64,
) -> Result<(), Errno> {
    if flags & !STORE_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    if offset > i32::MAX as usize {
        return Err(Errno::EFAULT);
    }
    packet.write(offset, bytes)?;
    if flags & BPF_F_INVALIDATE_HASH != 0 {
        forget_hash(packet);
    }
    Ok(())
}

/// All of a packet is accessible here; only a length beyond it fails.
fn skb_pull_data(call: &mut Call<'_>) -> Result<(), Errno> {
    let len = call.arg32(1) as usize;
    if len > call.packet()?.len() {
        Err(Errno::ENOMEM)
    } else {
        Ok(())
    }
}

/// `PACKET_HOST` to `PACKET_OTHERHOST` can be exchanged for each other.
fn skb_change_type(call: &mut Call<'_>) -> Result<(), Errno> {
    const PACKET_OTHERHOST: u32 = 3;
    let to = call.arg32(1);
    let packet = call.packet()?;
    if packet.field(PKT_TYPE) > PACKET_OTHERHOST || to > PACKET_OTHERHOST {
        return Err(Errno::EINVAL);
    }
    packet.set_field(PKT_TYPE, to);
    Ok(())
}

/// Sets the mark of congestion (RFC 3168) where the packet's ends know of it: 1 if it is set now.
fn skb_ecn_set_ce(call: &mut Call<'_>) -> Result<u64, Errno> {
    const CE: u8 = 3;
    let packet = call.packet()?;
    let Ok(network) = usize::try_from(packet.network_offset()) else {
        return Ok(0);
    };
    match packet.field(PROTOCOL) {
        IPV4 => {
            let mut header = [0; 20];
            if packet.read(network, &mut header).is_err() {
                return Ok(0);
            }
            match header[1] & 3 {
                0 => return Ok(0),
                CE => return Ok(1),
                _ => {}
            }
            let old = u16::from_be_bytes([header[0], header[1]]);
            let check = u16::from_be_bytes([header[10], header[11]]);
            let new = old | u16::from(CE);
            let check =
                !super::checksum::fold(u32::from(!check) + u32::from(!old) + u32::from(new));
            packet.write(network, &new.to_be_bytes())?;
            packet.write(network + 10, &check.to_be_bytes())?;
            Ok(1)
        }
        IPV6 => {
            let mut header = [0; 40];
            if packet.read(network, &mut header).is_err() {
                return Ok(0);
            }
            match header[1] >> 4 & 3 {
                0 => return Ok(0),
                CE => return Ok(1),
                _ => {}
            }
            packet.write(network + 1, &[header[1] | CE << 4])?;
            Ok(1)
        }
        _ => Ok(0),
    }
}

fn skb_set_tstamp(call: &mut Call<'_>) -> Result<(), Errno> {
    let (time, kind) = (call.arg(1), call.arg32(2));
    let packet = call.packet()?;
    if !matches!(packet.field(PROTOCOL), IPV4 | IPV6) {
        return Err(Errno::EOPNOTSUPP);
    }
    // BPF_SKB_CLOCK_REALTIME may be 0, _MONOTONIC and _TAI may not.
    if kind > 2 || (kind > 0 && time == 0) {
        return Err(Errno::EINVAL);
    }
    packet.set_context_bytes(TSTAMP, &time.to_ne_bytes());
    packet.set_context_bytes(TSTAMP_TYPE, &[kind as u8]);
    Ok(())
}

/// A hash of addresses, protocol and ports: equal for the packets of a flow, never 0.
fn flow_hash(packet: &Packet) -> u32 {
    let mut key = [0u8; 37];
    let network = packet.network_offset();
    let mut transport = None;
    match packet.field(PROTOCOL) {
        IPV4 => {
            let mut header = [0; 20];
            if packet.read_headers(network, &mut header).is_ok() {
                key[..8].copy_from_slice(&header[12..20]);
                key[32] = header[9];
                let is_first = u16::from_be_bytes([header[6], header[7]]) & 0x3fff == 0;
                transport = is_first.then_some(i64::from(header[0] & 15) * 4);
            }
        }
        IPV6 => {
            let mut header = [0; 40];
            if packet.read_headers(network, &mut header).is_ok() {
                key[..32].copy_from_slice(&header[8..40]);
                key[32] = header[6];
                transport = Some(40);
            }
        }
        _ => {
            let _ = packet.read_headers(packet.mac_offset(), &mut key[..14]);
        }
    }
    if let Some(at) = transport.filter(|_| matches!(key[32], 6 | 17 | 132)) {
        let mut ports = [0; 4];
        if packet.read_headers(network + at, &mut ports).is_ok() {
            key[33..].copy_from_slice(&ports);
        }
    }
    // FNV-1a: any mixing will do, the kernel's own is seeded at random.
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, &b| {
        (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
    });
    ((hash ^ hash >> 32) as u32).max(1)
}

/// What was known of the flow is so no more (`skb_clear_hash`).
pub(super) fn forget_hash(packet: &mut Packet) {
    packet.set_field(HASH, 0);
    packet.hashed = false;
}

fn get_hash_recalc(call: &mut Call<'_>) -> Result<u64, Errno> {
    let packet = call.packet()?;
    if !packet.hashed && packet.field(HASH) == 0 {
        packet.set_field(HASH, flow_hash(packet));
    }
    Ok(packet.field(HASH).into())
}

fn set_hash(call: &mut Call<'_>) -> Result<(), Errno> {
    let hash = call.arg32(1);
    let packet = call.packet()?;
    packet.set_field(HASH, hash);
    packet.hashed = true;
    Ok(())
}

fn set_hash_invalid(call: &mut Call<'_>) -> Result<(), Errno> {
    forget_hash(call.packet()?);
    Ok(())
}

/// No route was looked up for the packet.
fn get_route_realm(_: &mut Call<'_>) -> u64 {
    0
}

/// The legacy loads of packet bytes (RFC 9669 section 5.5): called with the context and the offset.
/// Offsets from `SKF_NET_OFF` and `SKF_LL_OFF` on begin at the network and the link header.
pub(super) fn packet_load(size: Size) -> HelperFn {
    macro_rules! load {
        ($bytes:literal) => {{
            unsafe extern "C" fn entry(
                r1: u64,
                r2: u64,
                _: u64,
                _: u64,
                _: u64,
                run: *mut Run,
            ) -> u64 {
                // SAFETY: the caller's promise, handed on.
                let mut call = unsafe { Call::new([r1, r2, 0, 0, 0], run) };
                let mut value = [0; 8];
                match read_legacy(&mut call, &mut value[8 - $bytes..]) {
                    Ok(()) => u64::from_be_bytes(value),
                    Err(errno) => errno.as_return(),
                }
            }
            entry
        }};
    }
    match size {
        Size::B => load!(1),
        Size::H => load!(2),
        Size::W | Size::DW => load!(4),
    }
}

fn read_legacy(call: &mut Call<'_>, out: &mut [u8]) -> Result<(), Errno> {
    const SKF_NET_OFF: i64 = -0x10_0000;
    const SKF_LL_OFF: i64 = -0x20_0000;
    let offset = i64::from(call.arg32(1) as i32);
    let packet = call.packet()?;
    let at = match offset {
        0.. => offset,
        SKF_NET_OFF..0 => offset - SKF_NET_OFF + packet.network_offset(),
        SKF_LL_OFF..SKF_NET_OFF => offset - SKF_LL_OFF + packet.mac_offset(),
        _ => return Err(Errno::EFAULT),
    };
    packet.read_headers(at, out)
}
