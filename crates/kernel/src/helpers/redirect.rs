//! Sending packets elsewhere. Where a packet went is recorded in the run; the hook acts on it.

use panal_maps::{HashMap, ObjectArray, RedirectArray, bytes, hash_kind};
use panal_uapi::{Errno, MapType};
use panal_vm::{HelperFn, Run};

use super::call::{Call, IntoReturn, implement};
use crate::{
    maps::Map,
    packet::{Kind, Redirect, SentCopy},
};

implement! {
    BPF_FUNC_redirect => redirect;
    BPF_FUNC_redirect_map => redirect_map;
    BPF_FUNC_redirect_peer => redirect_peer;
    BPF_FUNC_redirect_neigh => redirect_neigh;
    BPF_FUNC_clone_redirect => clone_redirect;
    BPF_FUNC_fib_lookup => fib_lookup;
    BPF_FUNC_check_mtu => check_mtu;
}

const BPF_F_INGRESS: u64 = 1;

/// `XDP_ABORTED`
const XDP_ABORTED: u64 = 0;
/// `XDP_REDIRECT`
const XDP_REDIRECT: u64 = 4;
/// `TC_ACT_SHOT`
const TC_ACT_SHOT: u64 = 2;
/// `TC_ACT_REDIRECT`
const TC_ACT_REDIRECT: u64 = 7;

fn redirect(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (index, flags) = (call.arg32(0), call.arg(1));
    let packet = call.packet()?;
    let (allowed, refused, done) = match packet.kind {
        Kind::Xdp => (0, XDP_ABORTED, XDP_REDIRECT),
        Kind::Skb => (BPF_F_INGRESS, TC_ACT_SHOT, TC_ACT_REDIRECT),
    };
    if flags & !allowed != 0 {
        return Ok(refused);
    }
    let ingress = flags & BPF_F_INGRESS != 0;
    packet.redirect = Some(Redirect::Device { index, ingress });
    Ok(done)
}

/// What is returned where there is no entry, in the flags of `bpf_redirect_map`.
const ACTION_MASK: u64 = XDP_ABORTED | 1 | 2 | 3;
const BROADCAST: u64 = 1 << 3;
const EXCLUDE_INGRESS: u64 = 1 << 4;

/// [`redirect_map`] by a map that is known, of this type.
///
/// # Safety
/// `map` is the address of a [`Map`] whose core is a `T`, which the program holds as long as it lives;
/// the rest as for every [`panal_vm::HelperFn`].
pub(super) unsafe extern "C" fn to_target_in<T: Targets>(
    map: u64,
    key: u64,
    flags: u64,
    _: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise.
    let map = unsafe { &*(map as *const Map) };
    // SAFETY: as above.
    let mut call = unsafe { Call::new([map.handle, key, flags, 0, 0], run) };
    if flags & !ACTION_MASK != 0 {
        return redirect_map(&mut call).into_return();
    }
    // SAFETY: the caller's promise: that is what it is.
    let targets = unsafe { &*std::ptr::from_ref(&**map.core()).cast::<T>() };
    let index = key as u32;
    let (Some(value), Ok(packet)) = (targets.target(index), call.packet()) else {
        return flags;
    };
    let of_devices = matches!(map.map_type(), MapType::Devmap | MapType::DevmapHash);
    packet.redirect = Some(Redirect::Map {
        map: map.id(),
        key: Some(index),
        device: of_devices.then_some(value),
    });
    XDP_REDIRECT
}

/// The function for redirections by a map that is known.
pub(super) fn by(map: &Map) -> Option<HelperFn> {
    let core = map.core().as_any();
    Some(match map.map_type() {
        MapType::DevmapHash if core.is::<HashMap>() => to_target_in::<HashMap>,
        MapType::Xskmap if core.is::<ObjectArray>() => to_target_in::<ObjectArray>,
        _ if core.is::<RedirectArray>() => to_target_in::<RedirectArray>,
        _ => return None,
    })
}

/// Where packets may be sent by an index.
pub(super) trait Targets {
    /// The number of a target's device, or something else where it is none.
    fn target(&self, index: u32) -> Option<u32>;
}

impl Targets for RedirectArray {
    #[inline]
    fn target(&self, index: u32) -> Option<u32> {
        self.value_at(index)
    }
}

/// `BPF_MAP_TYPE_DEVMAP_HASH`
impl Targets for HashMap {
    #[inline]
    fn target(&self, index: u32) -> Option<u32> {
        let key = index.to_ne_bytes();
        // SAFETY: the keys of these maps have four bytes, and nothing is there for a CPU alone; helpers
        // run on one. Values have four bytes at least.
        unsafe {
            let value = self.value_of::<4, { hash_kind::PLAIN }>(&key, 0)?;
            Some(bytes::read_u32(value))
        }
    }
}

/// `BPF_MAP_TYPE_XSKMAP`
impl Targets for ObjectArray {
    #[inline]
    fn target(&self, index: u32) -> Option<u32> {
        // SAFETY: helpers run on a CPU, and the object is used no longer.
        unsafe { self.get_unchecked(index) }.map(|object| object.id)
    }
}

/// The entry is looked up now; when it is not there, the lower bits of the flags are returned.
fn redirect_map(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (handle, key, flags) = (call.arg(0), call.arg(1), call.arg(2));
    let map = call.map(0)?;
    let of_devices = matches!(
        map.base().def().map_type,
        MapType::Devmap | MapType::DevmapHash
    );
    let allowed = if of_devices {
        ACTION_MASK | BROADCAST | EXCLUDE_INGRESS
    } else {
        ACTION_MASK
    };
    if flags & !allowed != 0 {
        return Ok(XDP_ABORTED);
    }
    if of_devices && flags & BROADCAST != 0 {
        call.packet()?.redirect = Some(Redirect::Map {
            map: map_id(call, handle)?,
            key: None,
            device: None,
        });
        return Ok(XDP_REDIRECT);
    }
    let cpu = call.cpu();
    let index = key as u32;
    let value = if let Some(targets) = map.as_any().downcast_ref::<RedirectArray>() {
        targets.value_at(index)
    } else if map.base().def().map_type == MapType::Xskmap {
        let sockets = map.as_any().downcast_ref::<ObjectArray>();
        sockets.and_then(|sockets| sockets.target(index))
    } else {
        let value = map.lookup(&index.to_ne_bytes(), cpu);
        value.and_then(|at| {
            let mut word = [0; 4];
            call.read(at.as_ptr() as u64, &mut word).ok()?;
            Some(u32::from_ne_bytes(word))
        })
    };
    let Some(value) = value else {
        return Ok(flags & ACTION_MASK);
    };
    let device = of_devices.then_some(value);
    call.packet()?.redirect = Some(Redirect::Map {
        map: map_id(call, handle)?,
        key: Some(index),
        device,
    });
    Ok(XDP_REDIRECT)
}

/// The id that the map's header in the cage shows.
fn map_id(call: &Call<'_>, handle: u64) -> Result<u32, Errno> {
    let id = call.read_array(handle.wrapping_add(crate::maps::HEADER_ID))?;
    Ok(u32::from_ne_bytes(id))
}

fn redirect_peer(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (index, flags) = (call.arg32(0), call.arg(1));
    if flags != 0 {
        return Ok(TC_ACT_SHOT);
    }
    call.packet()?.redirect = Some(Redirect::Peer(index));
    Ok(TC_ACT_REDIRECT)
}

fn redirect_neigh(call: &mut Call<'_>) -> Result<u64, Errno> {
    /// Bytes of `struct bpf_redir_neigh` up to the end of the address.
    const PARAMETERS: u32 = 20;
    let (index, size, flags) = (call.arg32(0), call.arg32(2), call.arg(3));
    if flags != 0 || (size != 0 && size < PARAMETERS) {
        return Ok(TC_ACT_SHOT);
    }
    call.packet()?.redirect = Some(Redirect::Neighbour(index));
    Ok(TC_ACT_REDIRECT)
}

fn clone_redirect(call: &mut Call<'_>) -> Result<(), Errno> {
    /// More copies than this of one packet are a program out of hand.
    const MOST: usize = 256;
    let (device, flags) = (call.arg32(1), call.arg(2));
    if flags & !BPF_F_INGRESS != 0 {
        return Err(Errno::EINVAL);
    }
    let packet = call.packet()?;
    if packet.clones.len() >= MOST {
        return Err(Errno::ENOBUFS);
    }
    let mut data = Vec::new();
    packet.frame_into(&mut data);
    packet.clones.push(SentCopy {
        device,
        ingress: flags & BPF_F_INGRESS != 0,
        data,
    });
    Ok(())
}

/// There is no routing table here: well-formed questions get the answer of a host that does not
/// know the way (`BPF_FIB_LKUP_RET_NOT_FWDED`).
fn fib_lookup(call: &mut Call<'_>) -> Result<u64, Errno> {
    const PARAMETERS: usize = 64;
    const FLAGS: u32 = 0x3f;
    const AF_INET: u8 = 2;
    const AF_INET6: u8 = 10;
    const NOT_FORWARDED: u64 = 4;
    let (at, len, flags) = (call.arg(1), call.arg32(2), call.arg32(3));
    if (len as usize) < PARAMETERS || flags & !FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    // SAFETY: inside the cage, all of which is mapped.
    let family = unsafe { bytes::read_u8(call.inside(at, PARAMETERS)?) };
    match family {
        AF_INET | AF_INET6 => Ok(NOT_FORWARDED),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// Every device here has Ethernet's usual MTU.
const MTU: u32 = 1500;

fn check_mtu(call: &mut Call<'_>) -> Result<u64, Errno> {
    const SEGMENTS: u64 = 1;
    const SUCCESS: u64 = 0;
    const FRAGMENTATION_NEEDED: u64 = 1;
    let (at, diff, flags) = (call.arg(2), call.arg32(3) as i32, call.arg(4));
    let at = call.inside(at, 4)?;
    // SAFETY: inside the cage, all of which is mapped.
    let l3_len = unsafe { bytes::read_u32(at) };
    let packet = call.packet()?;
    let allowed = if packet.kind == Kind::Skb {
        SEGMENTS
    } else {
        0
    };
    if flags & !allowed != 0 || (flags & SEGMENTS != 0 && (diff != 0 || l3_len != 0)) {
        return Err(Errno::EINVAL);
    }
    let header = crate::packet::ETH_HLEN as i64;
    let len = if l3_len != 0 {
        i64::from(l3_len) + header
    } else {
        packet.len() as i64
    };
    let fits = len + i64::from(diff) <= i64::from(MTU) + header;
    // SAFETY: as above.
    unsafe { bytes::write_u32(at, MTU) };
    Ok(if fits { SUCCESS } else { FRAGMENTATION_NEEDED })
}
