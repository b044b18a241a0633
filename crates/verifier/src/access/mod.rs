//! Accesses to memory, by kind of pointer.
//!
//! [`context`] and [`btf`] follow declarative data; the rest is arithmetic on bounds.

pub mod arguments;
pub mod attach;
pub mod btf;
mod btf_safe;
pub mod context;
pub mod helper_range;
pub mod interfaces;
pub mod memory;
pub mod stack;

/// What is done to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// Read.
    Read,
    /// Write.
    Write,
}

impl AccessKind {
    /// Whether it is a write.
    pub const fn is_write(self) -> bool {
        matches!(self, AccessKind::Write)
    }

    /// `read` or `write`
    pub const fn name(self) -> &'static str {
        if self.is_write() { "write" } else { "read" }
    }
}

/// Kinds of pointers whose loads and stores a kernel rewrites: one instruction can be rewritten in
/// only one way, so all paths must bring the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewriteKind {
    /// The context.
    Context,
    /// A socket.
    Socket,
    /// `struct sock_common`
    SockCommon,
    /// `struct bpf_tcp_sock`
    TcpSock,
    /// `struct bpf_xdp_sock`
    XdpSock,
    /// A kernel object: the load may fault.
    Btf,
    /// The same, surely valid: the load is plain.
    BtfTrusted,
    /// The arena.
    Arena,
    /// Anything else: the instruction stays as it is.
    Plain,
}
