//! How dynptrs lie in memory: 16 bytes on a program's stack, as `struct bpf_dynptr_kern` has them, which
//! helpers and machine code look into.

/// Bytes of a dynptr.
pub const BYTES: u64 = 16;
/// Where the address of the memory stands; 0: the dynptr is null. Of a packet, it is the address of two
/// words: where the packet begins at the time, and where it ends.
pub const DATA: i32 = 0;
/// Where the size stands, of 32 bits, with what else is known of the dynptr in its upper bits.
pub const SIZE: i32 = 8;
/// Where the offset into the memory stands, of 32 bits.
pub const OFFSET: i32 = 12;
/// Bytes from where a packet's begin stands to where its end does.
pub const END: i32 = 8;
/// The bits of the size (`DYNPTR_SIZE_MASK`).
pub const SIZE_MASK: u32 = 0xff_ffff;
/// Programs may not write the memory (`DYNPTR_RDONLY_BIT`).
pub const READ_ONLY: u32 = 1 << 31;
/// It is a packet.
pub const PACKET: u32 = 1 << 30;
