//! Programs on a network interface by link, and packet sockets for socket filters.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use panal_uapi::{
    AttachType, Errno, ProgType,
    kernel::{Failure, Fd, Order, XdpMode},
};

use super::{link, ordered_link, socket};
use crate::{
    programs,
    sys::{from_owned, last_errno},
};

/// Bits of XDP's flags, for links and for netlink.
pub fn xdp_flags(mode: XdpMode) -> u32 {
    match mode {
        XdpMode::Auto => 0,
        XdpMode::Generic => 1 << 1,
        XdpMode::Native => 1 << 2,
        XdpMode::Offload => 1 << 3,
    }
}

pub fn attach(
    prog: &Fd,
    attach_type: Option<AttachType>,
    index: u32,
    mode: XdpMode,
    order: Order,
) -> Result<Fd, Failure> {
    let what = format!("interface {index}");
    match (programs::prog_type(prog)?, attach_type) {
        (ProgType::SocketFilter, _) => packet_socket(prog, index),
        (ProgType::Xdp, _) => {
            let attach_type = attach_type.or(Some(AttachType::Xdp));
            link(prog, index as i32, attach_type, xdp_flags(mode), &what)
        }
        _ => ordered_link(prog, index as i32, attach_type, order, &what),
    }
}

/// A socket to which the packets of an interface come, with the program as its filter. Nobody reads
/// from it: the program sees packets also when its queue is full.
fn packet_socket(prog: &Fd, index: u32) -> Result<Fd, Failure> {
    let wrong = |what: &str, errno: Errno| Failure {
        command: "AF_PACKET",
        errno,
        detail: format!("{what} interface {index}"),
    };
    // Without a protocol nothing comes before the filter is there.
    // SAFETY: the call takes numbers only.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(wrong("a packet socket for", last_errno()));
    }
    // SAFETY: a descriptor that the call just made, owned by nobody else.
    let packets = unsafe { OwnedFd::from_raw_fd(fd) };
    // The smallest buffer is the best, as nobody reads.
    let _ = socket::set(fd, libc::SO_RCVBUF, 0);
    socket::set(fd, libc::SO_ATTACH_BPF, prog.number())
        .map_err(|e| socket::failure("SO_ATTACH_BPF", e, "on a packet socket"))?;
    // SAFETY: all-zero is a valid address of this plain structure.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index as i32;
    // SAFETY: the address has the size that is told.
    let bound = unsafe {
        libc::bind(
            packets.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    match bound {
        0 => Ok(from_owned(packets)),
        _ => Err(wrong("binding a packet socket to", last_errno())),
    }
}
