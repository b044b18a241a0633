//! Changing a packet's shape (`struct __sk_buff`): length, headers, VLAN tags.

use panal_uapi::Errno;

use super::{
    call::{Call, implement},
    skb::{IPV4, IPV6},
};
use crate::{
    packet::Packet,
    program_types::skb::{PROTOCOL, VLAN_PRESENT, VLAN_PROTO, VLAN_TCI},
};

implement! {
    BPF_FUNC_skb_change_tail => skb_change_tail;
    BPF_FUNC_skb_change_head => skb_change_head;
    BPF_FUNC_skb_change_proto => skb_change_proto;
    BPF_FUNC_skb_adjust_room => skb_adjust_room;
    BPF_FUNC_skb_vlan_push => skb_vlan_push;
    BPF_FUNC_skb_vlan_pop => skb_vlan_pop;
}

/// Longest packet that a program can make (`SKB_MAX_ALLOC` with pages of 4 KiB).
const LONGEST: usize = 16 * 1024 - 320;

/// Most that `bpf_skb_adjust_room` adds or takes.
const ROOM_MOST: u32 = 0xfff;

const BPF_ADJ_ROOM_NET: u32 = 0;
const BPF_ADJ_ROOM_MAC: u32 = 1;

const FIXED_GSO: u64 = 1 << 0;
const ENCAP_L3_IPV4: u64 = 1 << 1;
const ENCAP_L3_IPV6: u64 = 1 << 2;
const ENCAP_L4_GRE: u64 = 1 << 3;
const ENCAP_L4_UDP: u64 = 1 << 4;
const NO_CSUM_RESET: u64 = 1 << 5;
const ENCAP_L2_ETH: u64 = 1 << 6;
const DECAP_L3_IPV4: u64 = 1 << 7;
const DECAP_L3_IPV6: u64 = 1 << 8;
const ENCAP_L2_LEN_SHIFT: u32 = 56;
const DECAP_L3: u64 = DECAP_L3_IPV4 | DECAP_L3_IPV6;
const ENCAP_L3: u64 = ENCAP_L3_IPV4 | ENCAP_L3_IPV6;
const ROOM_FLAGS: u64 = FIXED_GSO
    | ENCAP_L3
    | ENCAP_L4_GRE
    | ENCAP_L4_UDP
    | NO_CSUM_RESET
    | ENCAP_L2_ETH
    | DECAP_L3
    | 0xff << ENCAP_L2_LEN_SHIFT;

const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_8021AD: u16 = 0x88a8;
const VLAN_HLEN: usize = 4;
/// Where a VLAN tag stands in a frame: after both addresses.
const VLAN_AT: usize = 12;

fn skb_change_tail(call: &mut Call<'_>) -> Result<(), Errno> {
    let (len, flags) = (call.arg32(1) as usize, call.arg(2));
    let packet = call.packet()?;
    if flags != 0 || len > LONGEST || len < packet.least_len() {
        return Err(Errno::EINVAL);
    }
    packet.set_len(len)
}

fn skb_change_head(call: &mut Call<'_>) -> Result<(), Errno> {
    let (room, flags) = (call.arg32(1) as usize, call.arg(2));
    let packet = call.packet()?;
    if flags != 0 || packet.len() + room > LONGEST {
        return Err(Errno::EINVAL);
    }
    packet.grow_head(room)
}

fn set_protocol(packet: &Packet, protocol: u32) {
    packet.set_field(PROTOCOL, protocol);
}

/// Makes the network header 20 bytes longer or shorter; the program rewrites it.
fn skb_change_proto(call: &mut Call<'_>) -> Result<(), Errno> {
    const DIFFERENCE: usize = 20;
    let (to, flags) = (u32::from(call.arg(1) as u16), call.arg(2));
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let packet = call.packet()?;
    let at = usize::try_from(packet.network_offset()).map_err(|_| Errno::ENOTSUPP)?;
    match (packet.field(PROTOCOL), to) {
        (IPV4, IPV6) => packet.insert(at, DIFFERENCE)?,
        (IPV6, IPV4) => packet.remove(at, DIFFERENCE)?,
        _ => return Err(Errno::ENOTSUPP),
    }
    set_protocol(packet, to);
    super::skb::forget_hash(packet);
    Ok(())
}

fn check_encapsulation(flags: u64, grow: usize) -> Result<(), Errno> {
    let both = |bits: u64| flags & bits == bits;
    let inner_mac = (flags >> ENCAP_L2_LEN_SHIFT) as usize;
    if both(ENCAP_L3)
        || both(ENCAP_L4_GRE | ENCAP_L4_UDP)
        || (flags & ENCAP_L2_ETH != 0 && inner_mac < crate::packet::ETH_HLEN)
        || inner_mac > grow
    {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

fn skb_adjust_room(call: &mut Call<'_>) -> Result<(), Errno> {
    let (diff, mode, flags) = (call.arg32(1) as i32, call.arg32(2), call.arg(3));
    if flags & !ROOM_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    if diff.unsigned_abs() > ROOM_MOST {
        return Err(Errno::EFAULT);
    }
    let packet = call.packet()?;
    let protocol = packet.field(PROTOCOL);
    let base = match protocol {
        IPV4 => 20,
        IPV6 => 40,
        _ => return Err(Errno::ENOTSUPP),
    };
    let network = usize::try_from(packet.network_offset()).map_err(|_| Errno::ENOTSUPP)?;
    let at = match mode {
        BPF_ADJ_ROOM_NET => network + base,
        BPF_ADJ_ROOM_MAC => network,
        _ => return Err(Errno::ENOTSUPP),
    };
    let shrink = diff < 0;
    let least = match flags & DECAP_L3 {
        0 => base,
        _ if !shrink => return Err(Errno::EINVAL),
        DECAP_L3_IPV4 => 20,
        DECAP_L3_IPV6 => 40,
        _ => return Err(Errno::EINVAL),
    };
    let diff = diff.unsigned_abs() as usize;
    let rest = packet.len().saturating_sub(network);
    if shrink {
        if diff >= rest || rest - diff < least {
            return Err(Errno::ENOTSUPP);
        }
        if flags & !(FIXED_GSO | DECAP_L3 | NO_CSUM_RESET) != 0 {
            return Err(Errno::EINVAL);
        }
        packet.remove(at, diff)?;
    } else {
        if packet.len() + diff > LONGEST {
            return Err(Errno::ENOTSUPP);
        }
        if flags & ENCAP_L3 != 0 {
            check_encapsulation(flags, diff)?;
        }
        packet.insert(at, diff)?;
    }
    if flags & (DECAP_L3_IPV6 | ENCAP_L3_IPV6) != 0 {
        set_protocol(packet, IPV6);
    } else if flags & (DECAP_L3_IPV4 | ENCAP_L3_IPV4) != 0 {
        set_protocol(packet, IPV4);
    }
    Ok(())
}

/// The innermost tag lives beside the packet, as on Linux; one that is there already moves into it.
fn skb_vlan_push(call: &mut Call<'_>) -> Result<(), Errno> {
    let (protocol, tci) = (u16::from_be(call.arg(1) as u16), call.arg(2) as u16);
    let protocol = if matches!(protocol, ETH_P_8021Q | ETH_P_8021AD) {
        protocol
    } else {
        ETH_P_8021Q
    };
    let packet = call.packet()?;
    if packet.field(VLAN_PRESENT) != 0 {
        insert_tag(packet)?;
    }
    packet.set_field(VLAN_PRESENT, 1);
    packet.set_field(VLAN_TCI, tci.into());
    packet.set_field(VLAN_PROTO, protocol.to_be().into());
    Ok(())
}

/// Moves the tag beside the packet into it.
pub(crate) fn insert_tag(packet: &mut Packet) -> Result<(), Errno> {
    if packet.mac_offset() != 0 || packet.len() < crate::packet::ETH_HLEN {
        return Err(Errno::EINVAL);
    }
    let (protocol, tci) = (
        packet.field(VLAN_PROTO) as u16,
        packet.field(VLAN_TCI) as u16,
    );
    packet.insert(VLAN_AT, VLAN_HLEN)?;
    // As on Linux, the tag counts as the network header's beginning.
    packet.network -= VLAN_HLEN;
    let mut tag = [0; VLAN_HLEN];
    tag[..2].copy_from_slice(&protocol.to_ne_bytes());
    tag[2..].copy_from_slice(&tci.to_be_bytes());
    packet.write(VLAN_AT, &tag)?;
    set_protocol(packet, protocol.into());
    forget_tag(packet);
    Ok(())
}

/// Moves the outermost tag of the packet beside it; false when it has none.
pub(crate) fn take_tag(packet: &mut Packet) -> Result<bool, Errno> {
    let mut header = [0; VLAN_AT + VLAN_HLEN + 2];
    if packet.mac_offset() != 0 || packet.read(0, &mut header).is_err() {
        return Ok(false);
    }
    let protocol = u16::from_be_bytes([header[12], header[13]]);
    if !matches!(protocol, ETH_P_8021Q | ETH_P_8021AD) {
        return Ok(false);
    }
    let tci = u16::from_be_bytes([header[14], header[15]]);
    packet.remove(VLAN_AT, VLAN_HLEN)?;
    if packet.network_offset() < crate::packet::ETH_HLEN as i64 {
        packet.network += VLAN_HLEN;
    }
    packet.set_field(VLAN_PRESENT, 1);
    packet.set_field(VLAN_TCI, tci.into());
    packet.set_field(VLAN_PROTO, protocol.to_be().into());
    set_protocol(packet, u16::from_ne_bytes([header[16], header[17]]).into());
    Ok(true)
}

fn forget_tag(packet: &Packet) {
    for field in [VLAN_PRESENT, VLAN_TCI, VLAN_PROTO] {
        packet.set_field(field, 0);
    }
}

fn skb_vlan_pop(call: &mut Call<'_>) -> Result<(), Errno> {
    let packet = call.packet()?;
    if packet.field(VLAN_PRESENT) == 0 && !take_tag(packet)? {
        return Ok(());
    }
    forget_tag(packet);
    // A second tag in the packet becomes the one beside it.
    take_tag(packet)?;
    Ok(())
}
