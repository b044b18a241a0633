//! Sockets as programs of the network see them: `struct bpf_sock`, which here is the kernel's own
//! layout, with the number behind it by which the kernel knows the socket.

/// Bytes of `struct bpf_sock`.
const SIZE: usize = 80;

/// Where the socket's cookie stands, after the structure.
pub(crate) const COOKIE: usize = SIZE;

// Offsets in `struct bpf_sock`.
const FAMILY: usize = 4;
const TYPE: usize = 8;
const PROTOCOL: usize = 12;
const SRC_IP4: usize = 24;
const SRC_IP6: usize = 28;
const DST_IP4: usize = 52;
const DST_IP6: usize = 56;
const STATE: usize = 72;
const RX_QUEUE_MAPPING: usize = 76;

/// `TCP_CLOSE`: what a socket is that has not begun anything.
const CLOSED: u32 = 7;

/// A socket.
pub(crate) struct SocketMirror([u8; SIZE + 8]);

impl SocketMirror {
    /// One that has done nothing yet.
    pub fn new(cookie: u64) -> Self {
        let mut socket = SocketMirror([0; SIZE + 8]);
        socket.put(STATE, &CLOSED.to_ne_bytes());
        socket.put(RX_QUEUE_MAPPING, &u32::MAX.to_ne_bytes());
        socket.put(COOKIE, &cookie.to_ne_bytes());
        socket
    }

    /// Of this kind (`AF_*`, `SOCK_*`, `IPPROTO_*`).
    pub fn with_kind(mut self, family: u32, kind: u32, protocol: u32) -> Self {
        self.put(FAMILY, &family.to_ne_bytes());
        self.put(TYPE, &kind.to_ne_bytes());
        self.put(PROTOCOL, &protocol.to_ne_bytes());
        self
    }

    /// With these addresses, of four bytes each or of sixteen.
    pub fn with_addresses(mut self, family: u32, source: &[u8], destination: &[u8]) -> Self {
        self.put(FAMILY, &family.to_ne_bytes());
        let (from, to) = match source.len() {
            4 => (SRC_IP4, DST_IP4),
            _ => (SRC_IP6, DST_IP6),
        };
        self.put(from, source);
        self.put(to, destination);
        self
    }

    /// As it lies in memory.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(to) = self.0.get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
        }
    }
}
