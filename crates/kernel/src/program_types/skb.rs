//! Programs over packets of the stack: `struct __sk_buff`.

use std::sync::atomic::{AtomicU64, Ordering};

use panal_isa::Size;
use panal_uapi::{
    AttachType, Errno, ProgType,
    kernel::{AttachTarget, Failure, TestRun, TestRunResult},
};
use panal_vm::ContextAccess;

use super::{Behaviour, refuse};
use crate::{
    attach::{Direction, HookPoint},
    cpu::Session,
    helpers::call::{Call, entry},
    kernel::Shared,
    objects::Program,
    packet::{ETH_HLEN, FRAME, Kind, Packet, TAILROOM},
    socket_mirror::SocketMirror,
};

pub(crate) const SCHED: Behaviour = Behaviour {
    context_access,
    test_run: Some(test_run),
    hook_point: sched_hook,
};
pub(crate) const SOCKET_FILTER: Behaviour = Behaviour {
    context_access,
    test_run: Some(test_run),
    hook_point: socket_hook,
};
pub(crate) const CGROUP_SKB: Behaviour = Behaviour {
    context_access,
    test_run: Some(test_run),
    hook_point: cgroup_hook,
};

/// Bytes of `struct __sk_buff`.
pub(crate) const SIZE: usize = 192;

// Offsets in `struct __sk_buff`.
pub(crate) const LEN: usize = 0;
pub(crate) const PKT_TYPE: usize = 4;
const MARK: usize = 8;
const QUEUE_MAPPING: usize = 12;
pub(crate) const PROTOCOL: usize = 16;
pub(crate) const VLAN_PRESENT: usize = 20;
pub(crate) const VLAN_TCI: usize = 24;
pub(crate) const VLAN_PROTO: usize = 28;
const PRIORITY: usize = 32;
pub(crate) const INGRESS_IFINDEX: usize = 36;
pub(crate) const IFINDEX: usize = 40;
const TC_INDEX: usize = 44;
const CB: usize = 48;
pub(crate) const HASH: usize = 68;
const TC_CLASSID: usize = 72;
const DATA: usize = 76;
const DATA_END: usize = 80;
const FAMILY: usize = 88;
const REMOTE_IP4: usize = 92;
const LOCAL_IP4: usize = 96;
const REMOTE_IP6: usize = 100;
const LOCAL_IP6: usize = 116;
const DATA_META: usize = 140;
pub(crate) const SK: usize = 168;
pub(crate) const TSTAMP: usize = 152;
const WIRE_LEN: usize = 160;
const GSO_SEGS: usize = 164;
const GSO_SIZE: usize = 176;
pub(crate) const TSTAMP_TYPE: usize = 180;
const HWTSTAMP: usize = 184;

/// What a test run may set, as ranges of bytes.
const SETTABLE: [(usize, usize); 9] = [
    (MARK, 4),
    (PRIORITY, 4),
    (INGRESS_IFINDEX, 4),
    (IFINDEX, 4),
    (CB, 20),
    (TSTAMP, 8),
    (WIRE_LEN, 8),
    (GSO_SIZE, 4),
    (HWTSTAMP, 8),
];

/// `NET_SKB_PAD`
const PAD: usize = 64;

/// `GSO_LEGACY_MAX_SIZE`
const WIRE_MOST: u32 = 65_536;
/// `GSO_MAX_SEGS`
const SEGMENTS_MOST: u32 = 65_535;

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

pub(super) fn context_access(offset: u32, _: Size, write: bool) -> Option<ContextAccess> {
    let index = match offset as usize {
        DATA => 0,
        DATA_END => 1,
        DATA_META => 2,
        // The kernel has sixteen bits for them.
        TC_INDEX | TC_CLASSID if write => {
            return Some(ContextAccess::Direct {
                offset,
                size: Size::H,
                shift: 0,
            });
        }
        QUEUE_MAPPING if write => return Some(ContextAccess::Computed(entry!(set_queue))),
        _ => return None,
    };
    Some(ContextAccess::Pointer {
        offset: (SIZE + 8 * index) as u32,
    })
}

/// `NO_QUEUE_MAPPING`
const NO_QUEUE: u64 = 0xffff;

/// `queue_mapping` of the context is written: what is no queue changes nothing.
fn set_queue(call: &mut Call<'_>) -> Result<(), Errno> {
    let [context, queue] = [call.arg(0), call.arg(1)];
    if queue < NO_QUEUE {
        let field = context.wrapping_add(QUEUE_MAPPING as u64);
        call.write(field, &(queue as u32).to_ne_bytes())?;
    }
    Ok(())
}

fn sched_hook(_: &Shared, program: &Program, target: &AttachTarget) -> Option<HookPoint> {
    let direction = match program.attach_type() {
        Some(AttachType::TcxEgress | AttachType::NetkitPeer) => Direction::Egress,
        _ => Direction::Ingress,
    };
    match target {
        AttachTarget::Interface { index, .. } => Some(HookPoint::Packets {
            port: *index,
            direction,
        }),
        _ => None,
    }
}

fn socket_hook(_: &Shared, _: &Program, target: &AttachTarget) -> Option<HookPoint> {
    match target {
        AttachTarget::Interface { index, .. } => Some(HookPoint::Packets {
            port: *index,
            direction: Direction::Ingress,
        }),
        _ => None,
    }
}

fn cgroup_hook(_: &Shared, program: &Program, target: &AttachTarget) -> Option<HookPoint> {
    match (target, program.attach_type()) {
        (AttachTarget::Interface { index, .. }, Some(AttachType::CgroupInetEgress)) => {
            Some(HookPoint::Packets {
                port: *index,
                direction: Direction::Egress,
            })
        }
        (AttachTarget::Interface { index, .. }, _) => Some(HookPoint::Packets {
            port: *index,
            direction: Direction::Ingress,
        }),
        _ => None,
    }
}

/// Whether programs of this type see the Ethernet header at the packet's start in a test run.
fn sees_link_header(prog_type: ProgType) -> bool {
    matches!(prog_type, ProgType::SchedCls | ProgType::SchedAct)
}

/// Fills the fields that the packet itself determines. The link header is at its start.
pub(crate) fn describe(packet: &Packet, device: u32) {
    let mut header = [0; ETH_HLEN];
    let _ = packet.read(0, &mut header);
    let [d0, d1, d2, d3, d4, d5, ..] = header;
    let destination = [d0, d1, d2, d3, d4, d5];
    let kind = match destination {
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => 1, // PACKET_BROADCAST
        [first, ..] if first & 1 != 0 => 2,        // PACKET_MULTICAST
        _ => 0,                                    // PACKET_HOST
    };
    packet.set_field(PKT_TYPE, kind);
    describe_protocol(packet);
    packet.set_field(IFINDEX, device);
    packet.set_field(WIRE_LEN, packet.len() as u32);
}

/// A test run's packet comes by the loopback, whose address is zero: others are another host's.
fn describe_destination(packet: &Packet) {
    const PACKET_HOST: u32 = 0;
    const PACKET_OTHERHOST: u32 = 3;
    let mut destination = [0; 6];
    let _ = packet.read(0, &mut destination);
    if packet.field(PKT_TYPE) == PACKET_HOST && destination != [0; 6] {
        packet.set_field(PKT_TYPE, PACKET_OTHERHOST);
    }
}

/// Fills the protocol that the link header names.
pub(crate) fn describe_protocol(packet: &Packet) {
    let mut header = [0; ETH_HLEN];
    let _ = packet.read(0, &mut header);
    let [.., p0, p1] = header;
    let number = u16::from_be_bytes([p0, p1]);
    // Below 1536 it is a length: IEEE 802.2 (ETH_P_802_2).
    let protocol = if number >= 0x0600 { number } else { 4 };
    packet.set_field(PROTOCOL, protocol.to_be().into());
}

/// Fills the addresses that Linux's test run takes from the packet as those of its socket; the
/// socket.
fn describe_socket(packet: &Packet, cookie: u64) -> Result<SocketMirror, Failure> {
    let mut socket = SocketMirror::new(cookie);
    let short = |_| refuse(Errno::EINVAL, "the packet is shorter than its IP header");
    match u16::from_be(packet.field(PROTOCOL) as u16) {
        ETH_P_IP => {
            let mut header = [0; 20];
            packet.read(ETH_HLEN, &mut header).map_err(short)?;
            packet.set_field(FAMILY, AF_INET);
            packet.set_context_bytes(LOCAL_IP4, &header[12..16]);
            packet.set_context_bytes(REMOTE_IP4, &header[16..20]);
            socket = socket.with_addresses(AF_INET, &header[12..16], &header[16..20]);
        }
        ETH_P_IPV6 => {
            let mut header = [0; 40];
            packet.read(ETH_HLEN, &mut header).map_err(short)?;
            packet.set_field(FAMILY, AF_INET6);
            packet.set_context_bytes(LOCAL_IP6, &header[8..24]);
            packet.set_context_bytes(REMOTE_IP6, &header[24..40]);
            socket = socket.with_addresses(AF_INET6, &header[8..24], &header[24..40]);
        }
        _ => {}
    }
    Ok(socket)
}

/// Copies what a test run sets, and refuses what it may not set.
fn apply_context(packet: &Packet, ctx: &[u8]) -> Result<(), Failure> {
    if ctx
        .get(SIZE..)
        .is_some_and(|rest| rest.iter().any(|&b| b != 0))
    {
        return Err(refuse(
            Errno::E2BIG,
            "ctx_in is larger than struct __sk_buff and not zero there",
        ));
    }
    let mut full = [0; SIZE];
    let len = ctx.len().min(SIZE);
    full[..len].copy_from_slice(&ctx[..len]);
    let settable = |i: usize| {
        SETTABLE
            .iter()
            .any(|&(at, len)| (at..at + len).contains(&i))
    };
    if let Some(i) = (0..SIZE).find(|&i| full[i] != 0 && !settable(i)) {
        return Err(refuse(
            Errno::EINVAL,
            format!("ctx_in: the field at byte {i} cannot be set"),
        ));
    }
    let word = |at: usize| u32::from_ne_bytes([full[at], full[at + 1], full[at + 2], full[at + 3]]);
    let wire = word(WIRE_LEN);
    if wire != 0 && ((wire as usize) < packet.len() || wire > WIRE_MOST) {
        return Err(refuse(
            Errno::EINVAL,
            "ctx_in: wire_len below the packet's length or above 65536",
        ));
    }
    if word(GSO_SEGS) > SEGMENTS_MOST {
        return Err(refuse(Errno::EINVAL, "ctx_in: gso_segs above 65535"));
    }
    if word(IFINDEX) > 1 {
        return Err(refuse(
            Errno::ENODEV,
            "ctx_in: ifindex: only device 1 exists in a test run",
        ));
    }
    for (at, len) in SETTABLE {
        if at != IFINDEX && !(at == WIRE_LEN && wire == 0) {
            packet.set_context_bytes(at, &full[at..at + len]);
        }
    }
    if wire == 0 {
        packet.set_context_bytes(GSO_SEGS, &full[GSO_SEGS..GSO_SEGS + 4]);
    }
    Ok(())
}

/// The socket of a test run is nobody's before and after it.
fn next_cookie() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    // Far from the cookies of Linux's sockets, which policies see.
    const FIRST: u64 = 1 << 62;
    FIRST + LAST.fetch_add(1, Ordering::Relaxed)
}

pub(super) fn test_run(
    session: &mut Session<'_>,
    program: &Program,
    run: &TestRun,
) -> Result<TestRunResult, Failure> {
    const CHECKSUM_COMPLETE: u32 = 1 << 2;
    if run.flags & CHECKSUM_COMPLETE != 0 {
        return Err(refuse(
            Errno::EOPNOTSUPP,
            "packets here carry no complete checksum",
        ));
    }
    if run.flags != 0 || run.cpu != 0 {
        return Err(refuse(
            Errno::EINVAL,
            "flags and CPU mean nothing to this program type",
        ));
    }
    let most = FRAME - PAD - TAILROOM;
    if !(ETH_HLEN..=most).contains(&run.data_in.len()) {
        return Err(refuse(
            Errno::EINVAL,
            format!("a packet has {ETH_HLEN} to {most} bytes here"),
        ));
    }
    session
        .load_packet(Kind::Skb, &run.data_in, 0)
        .map_err(|errno| refuse(errno, "the packet does not fit"))?;
    let packet = session.packet();
    describe(packet, 1);
    describe_destination(packet);
    let cookie = next_cookie();
    let socket = describe_socket(packet, cookie)?;
    let with_link = sees_link_header(program.prog_type());
    if !with_link {
        packet.pull_link_header();
        packet.set_field(WIRE_LEN, packet.len() as u32);
    }
    apply_context(packet, &run.ctx_in)?;
    packet.sync();
    session.clear();
    let socket = session.place(socket.bytes(), 8).unwrap_or(0);
    session
        .packet()
        .set_context_bytes(SK, &socket.to_ne_bytes());
    let mut result = session.repeat(program, run.repeat);
    session.clear();
    session.forget_socket(cookie);
    let packet = session.packet();
    result.data_out = packet.bytes();
    if !with_link {
        // As Linux: an empty link header stands before what the program saw.
        result.data_out.splice(0..0, [0; ETH_HLEN]);
    }
    if !run.ctx_in.is_empty() {
        result.ctx_out = context_out(packet, &run.ctx_in);
    }
    Ok(result)
}

/// The context afterwards: what was given, with the fields that Linux reports.
fn context_out(packet: &Packet, ctx_in: &[u8]) -> Vec<u8> {
    let mut out = vec![0; SIZE];
    let len = ctx_in.len().min(SIZE);
    out[..len].copy_from_slice(&ctx_in[..len]);
    for (at, len) in SETTABLE.into_iter().filter(|&(at, _)| at != GSO_SIZE) {
        packet.context_bytes(at, &mut out[at..at + len]);
    }
    out
}
