//! What a packet is to be put into by a tunnel's device: `struct bpf_tunnel_key`, and options.

use panal_uapi::Errno;

use super::call::{Call, implement};

implement! {
    BPF_FUNC_skb_get_tunnel_key => skb_get_tunnel_key;
    BPF_FUNC_skb_set_tunnel_key => skb_set_tunnel_key;
    BPF_FUNC_skb_get_tunnel_opt => skb_get_tunnel_opt;
    BPF_FUNC_skb_set_tunnel_opt => skb_set_tunnel_opt;
}

/// A packet's tunnel, as a program set it.
#[derive(Clone, Debug)]
pub(crate) struct Tunnel {
    /// With all that the flags decide done.
    key: [u8; KEY],
    ipv6: bool,
    /// `IP_TUNNEL_*` bits, as programs see them.
    flags: u16,
    options: Vec<u8>,
}

/// Bytes of `struct bpf_tunnel_key`.
const KEY: usize = 44;
/// Where it ended in earlier versions of the uapi.
const OLD_KEYS: [usize; 4] = [28, 24, 22, REMOTE + 4];

const REMOTE: usize = 4;
const EXT: usize = 22;
const LABEL: usize = 24;
const LOCAL: usize = 28;
/// Bits of a flow label (RFC 8200).
const LABEL_MASK: u32 = 0xf_ffff;

const BPF_F_TUNINFO_IPV6: u64 = 1 << 0;
const BPF_F_TUNINFO_FLAGS: u64 = 1 << 4;
const BPF_F_ZERO_CSUM_TX: u64 = 1 << 1;
const BPF_F_DONT_FRAGMENT: u64 = 1 << 2;
const BPF_F_SEQ_NUMBER: u64 = 1 << 3;
const BPF_F_NO_TUNNEL_KEY: u64 = 1 << 4;

const CSUM: u16 = 1 << 0;
const HAS_KEY: u16 = 1 << 2;
const SEQ: u16 = 1 << 3;
const DONT_FRAGMENT: u16 = 1 << 8;
const NOCACHE: u16 = 1 << 13;

/// Longest options (`IP_TUNNEL_OPTS_MAX`).
const OPTIONS_MOST: usize = 255;

fn set(call: &mut Call<'_>) -> Result<(), Errno> {
    let (from, size, flags) = (call.arg(1), call.arg32(2) as usize, call.arg(3));
    let known = BPF_F_TUNINFO_IPV6
        | BPF_F_ZERO_CSUM_TX
        | BPF_F_DONT_FRAGMENT
        | BPF_F_SEQ_NUMBER
        | BPF_F_NO_TUNNEL_KEY;
    if flags & !known != 0 || !(size == KEY || OLD_KEYS.contains(&size)) {
        return Err(Errno::EINVAL);
    }
    let mut key = [0; KEY];
    call.read(from, &mut key[..size])?;
    let ipv6 = flags & BPF_F_TUNINFO_IPV6 != 0;
    let has_label = key[LABEL..LOCAL] != [0; 4];
    if (!ipv6 && has_label) || key[EXT..LABEL] != [0; 2] {
        return Err(Errno::EINVAL);
    }
    if ipv6 {
        let label = u32::from_ne_bytes([key[24], key[25], key[26], key[27]]) & LABEL_MASK;
        key[LABEL..LOCAL].copy_from_slice(&label.to_ne_bytes());
    } else {
        key[REMOTE + 4..REMOTE + 16].fill(0);
        key[LOCAL + 4..].fill(0);
    }
    let mut bits = HAS_KEY | CSUM | NOCACHE;
    for (flag, set, clear) in [
        (BPF_F_DONT_FRAGMENT, DONT_FRAGMENT, 0),
        (BPF_F_ZERO_CSUM_TX, 0, CSUM),
        (BPF_F_SEQ_NUMBER, SEQ, 0),
        (BPF_F_NO_TUNNEL_KEY, 0, HAS_KEY),
    ] {
        if flags & flag != 0 {
            bits = (bits | set) & !clear;
        }
    }
    call.packet()?.tunnel = Some(Tunnel {
        key,
        ipv6,
        flags: bits,
        options: Vec::new(),
    });
    Ok(())
}

fn skb_set_tunnel_key(call: &mut Call<'_>) -> Result<(), Errno> {
    set(call)
}

/// What a program gets: seen from the other end, local and remote are exchanged.
fn get(call: &mut Call<'_>, size: usize, flags: u64) -> Result<[u8; KEY], Errno> {
    let tunnel = call.packet()?.tunnel.clone().ok_or(Errno::EINVAL)?;
    if flags & !(BPF_F_TUNINFO_IPV6 | BPF_F_TUNINFO_FLAGS) != 0 {
        return Err(Errno::EINVAL);
    }
    if tunnel.ipv6 != (flags & BPF_F_TUNINFO_IPV6 != 0) {
        return Err(Errno::EPROTO);
    }
    let shortest = size == REMOTE + 4 && tunnel.ipv6;
    if !(size == KEY || OLD_KEYS.contains(&size)) || shortest {
        return Err(Errno::EINVAL);
    }
    let mut key = tunnel.key;
    key[REMOTE..REMOTE + 16].copy_from_slice(&tunnel.key[LOCAL..]);
    key[LOCAL..].copy_from_slice(&tunnel.key[REMOTE..REMOTE + 16]);
    if flags & BPF_F_TUNINFO_FLAGS != 0 {
        key[EXT..LABEL].copy_from_slice(&tunnel.flags.to_be_bytes());
    }
    Ok(key)
}

fn skb_get_tunnel_key(call: &mut Call<'_>) -> Result<(), Errno> {
    let (to, size, flags) = (call.arg(1), call.arg32(2) as usize, call.arg(3));
    match get(call, size, flags) {
        Ok(key) => call.write(to, &key[..size]),
        Err(errno) => {
            call.zero(to, size)?;
            Err(errno)
        }
    }
}

fn skb_set_tunnel_opt(call: &mut Call<'_>) -> Result<(), Errno> {
    let (from, size) = (call.arg(1), call.arg32(2) as usize);
    if call.packet()?.tunnel.is_none() || !size.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    if size > OPTIONS_MOST {
        return Err(Errno::ENOMEM);
    }
    let options = call.read_vec(from, size)?;
    if let Some(tunnel) = &mut call.packet()?.tunnel {
        tunnel.options = options;
    }
    Ok(())
}

fn skb_get_tunnel_opt(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (to, size) = (call.arg(1), call.arg32(2) as usize);
    let tunnel = call.packet()?.tunnel.as_ref();
    let options = tunnel.map_or(Vec::new(), |tunnel| tunnel.options.clone());
    call.zero(to, size)?;
    if options.is_empty() {
        return Err(Errno::ENOENT);
    }
    if size < options.len() {
        return Err(Errno::ENOMEM);
    }
    call.write(to, &options)?;
    Ok(options.len() as u64)
}
