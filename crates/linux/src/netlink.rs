//! Netlink: requests to the routing subsystem (rtnetlink(7)), written by hand.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use panal_uapi::Errno;

use crate::sys::last_errno;

pub const NLM_F_EXCL: u16 = 0x200;
pub const NLM_F_CREATE: u16 = 0x400;
pub const NLM_F_DUMP: u16 = 0x300;
pub const NLM_F_ECHO: u16 = 0x8;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
/// The request is not repeated in the answer, which has attributes after it.
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLA_F_NESTED: u16 = 0x8000;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSGERR_ATTR_MSG: u16 = 1;
const NETLINK_CAP_ACK: i32 = 10;
const NETLINK_EXT_ACK: i32 = 11;
/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;
/// What one read takes: the kernel's own limit of a part of a dump.
const BUFFER: usize = 32 << 10;

/// A request under construction.
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// Begins a request with the fixed part of its kind.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend_from_slice(fixed);
        Message { bytes }
    }

    /// Appends an attribute.
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let len = (4 + value.len()) as u16;
        self.bytes.extend_from_slice(&len.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    /// Appends an attribute that is a string with its zero.
    pub fn string(self, kind: u16, value: &str) -> Self {
        self.attribute(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// Appends an attribute that holds attributes.
    pub fn nested(mut self, kind: u16, inside: impl FnOnce(Message) -> Message) -> Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes
            .extend_from_slice(&(kind | NLA_F_NESTED).to_ne_bytes());
        let mut all = inside(self);
        let len = (all.bytes.len() - start) as u16;
        all.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        all
    }

    fn pad(&mut self) {
        let padded = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(padded, 0);
    }

    /// The request as it is sent.
    pub fn finish(mut self) -> Vec<u8> {
        let len = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&len.to_ne_bytes());
        self.bytes
    }
}

/// Why a request was not done.
#[derive(Debug)]
pub struct Refusal {
    pub errno: Errno,
    /// The kernel's own words; may be empty.
    pub words: String,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Refusal {
            errno,
            words: String::new(),
        }
    }
}

/// A socket of the routing subsystem, in the network namespace of the thread that opened it.
pub struct Socket(OwnedFd);

impl Socket {
    pub fn open() -> Result<Self, Errno> {
        // SAFETY: the call takes numbers only.
        let fd = unsafe {
            libc::socket(
                libc::AF_NETLINK,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC,
                libc::NETLINK_ROUTE,
            )
        };
        if fd < 0 {
            return Err(last_errno());
        }
        // SAFETY: a descriptor that the call just made, owned by nobody else.
        let socket = Socket(unsafe { OwnedFd::from_raw_fd(fd) });
        for option in [NETLINK_CAP_ACK, NETLINK_EXT_ACK] {
            // Kernels without them only say less.
            let on = 1i32;
            // SAFETY: the option's value is one int, as told.
            unsafe {
                libc::setsockopt(
                    fd,
                    libc::SOL_NETLINK,
                    option,
                    (&raw const on).cast(),
                    size_of::<i32>() as libc::socklen_t,
                )
            };
        }
        Ok(socket)
    }

    /// Its number.
    pub fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Sends a request, and hands what is answered (kind, contents) to `each` until the kernel is
    /// done.
    pub fn request(&self, request: &[u8], mut each: impl FnMut(u16, &[u8])) -> Result<(), Refusal> {
        let mut words = String::new();
        let done = self.exchange(request, &mut |kind, flags, contents| match kind {
            NLMSG_ERROR => words = message(flags, contents),
            _ => each(kind, contents),
        });
        done.map_err(|errno| Refusal { errno, words })
    }

    /// The same without an answer in words, and without allocating.
    pub fn exchange(
        &self,
        request: &[u8],
        each: &mut dyn FnMut(u16, u16, &[u8]),
    ) -> Result<(), Errno> {
        // SAFETY: the buffer has the length that is told.
        let sent =
            unsafe { libc::send(self.descriptor(), request.as_ptr().cast(), request.len(), 0) };
        if sent < 0 {
            return Err(last_errno());
        }
        let mut buffer = [0u8; BUFFER];
        loop {
            // SAFETY: the buffer has the length that is told.
            let received = unsafe {
                libc::recv(
                    self.descriptor(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    0,
                )
            };
            if received < 0 {
                match last_errno() {
                    Errno::EINTR => continue,
                    errno => return Err(errno),
                }
            }
            let mut rest = &buffer[..received as usize];
            while let Some((kind, flags, contents, after)) = split(rest) {
                rest = after;
                let code = contents.get(..4).and_then(|b| b.try_into().ok());
                match (kind, code.map(i32::from_ne_bytes)) {
                    (NLMSG_ERROR | NLMSG_DONE, None | Some(0)) => return Ok(()),
                    (NLMSG_ERROR | NLMSG_DONE, Some(code)) if code < 0 => {
                        each(kind, flags, contents);
                        return Err(Errno(-code));
                    }
                    (NLMSG_DONE, _) => return Ok(()),
                    _ => each(kind, flags, contents),
                }
            }
        }
    }
}

/// The first message of some: kind, flags, contents, and what follows.
fn split(bytes: &[u8]) -> Option<(u16, u16, &[u8], &[u8])> {
    let (header, _) = bytes.split_at_checked(HEADER)?;
    let len = u32::from_ne_bytes(header[..4].try_into().ok()?) as usize;
    let half = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
    let contents = bytes.get(HEADER..len)?;
    let after = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    Some((half(4), half(6), contents, after))
}

/// An attribute's value, by kind.
pub fn find_attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (head, _) = bytes.split_at_checked(4)?;
        let len = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & !NLA_F_NESTED;
        let value = bytes.get(4..len)?;
        if kind == wanted {
            return Some(value);
        }
        bytes = bytes.get(len.next_multiple_of(4)..)?;
    }
}

/// The kernel's words in an error (`struct nlmsgerr` with attributes).
fn message(flags: u16, contents: &[u8]) -> String {
    if flags & NLM_F_ACK_TLVS == 0 {
        return String::new();
    }
    let request = contents
        .get(4..8)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_ne_bytes) as usize;
    let repeated = match flags & NLM_F_CAPPED {
        0 => request.next_multiple_of(4),
        _ => HEADER,
    };
    let text = contents
        .get(4usize.saturating_add(repeated)..)
        .and_then(|attributes| find_attribute(attributes, NLMSGERR_ATTR_MSG))
        .unwrap_or_default();
    String::from_utf8_lossy(text)
        .trim_end_matches('\0')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_nested_ones_counted() {
        let bytes = Message::new(19, 0, &[7; 4])
            .nested(43, |m| m.attribute(1, &[9]).string(2, "ab"))
            .finish();
        assert_eq!(bytes.len(), 16 + 4 + 4 + 8 + 8);
        assert_eq!(u32::from_ne_bytes(bytes[..4].try_into().unwrap()), 40);
        let nested = find_attribute(&bytes[20..], 43).expect("there");
        assert_eq!(find_attribute(nested, 2), Some(&b"ab\0"[..]));
        assert_eq!(find_attribute(nested, 3), None);
    }

    #[test]
    fn damaged_answers_end_the_search() {
        assert_eq!(find_attribute(&[200, 0, 1, 0], 1), None);
        assert_eq!(find_attribute(&[0, 0, 1, 0, 0, 0, 0, 0], 2), None);
        assert!(split(&[1; 12]).is_none());
        assert!(split(&[255; 24]).is_none());
    }

    #[test]
    fn the_kernel_says_why_in_words() {
        let socket = Socket::open().expect("everybody may");
        // An interface that cannot be: RTM_GETLINK.
        let request = Message::new(
            18,
            0,
            &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0],
        );
        let refusal = socket.request(&request.finish(), |_, _| {}).unwrap_err();
        assert_eq!(refusal.errno, Errno::ENODEV);
    }
}
