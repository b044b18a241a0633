//! Numbers of the opcode byte and the pseudo-source selectors (RFC 9669 sections 3 to 5).

pub const CLASS_LD: u8 = 0x00;
pub const CLASS_LDX: u8 = 0x01;
pub const CLASS_ST: u8 = 0x02;
pub const CLASS_STX: u8 = 0x03;
pub const CLASS_ALU: u8 = 0x04;
pub const CLASS_JMP: u8 = 0x05;
pub const CLASS_JMP32: u8 = 0x06;
pub const CLASS_ALU64: u8 = 0x07;

/// The source bit of arithmetic and jumps: register rather than immediate.
pub const SRC_X: u8 = 0x08;

pub const ALU_NEG: u8 = 0x80;
pub const ALU_MOV: u8 = 0xb0;
pub const ALU_END: u8 = 0xd0;

pub const JMP_JA: u8 = 0x00;
pub const JMP_CALL: u8 = 0x80;
pub const JMP_EXIT: u8 = 0x90;
/// Not in RFC 9669: `may_goto` and its kin (`BPF_JCOND`).
pub const JMP_JCOND: u8 = 0xe0;

pub const MODE_ABS: u8 = 0x20;
pub const MODE_IND: u8 = 0x40;
pub const MODE_MEM: u8 = 0x60;
pub const MODE_MEMSX: u8 = 0x80;
pub const MODE_ATOMIC: u8 = 0xc0;

/// `BPF_LD | BPF_IMM | BPF_DW`
pub const LD_IMM64: u8 = 0x18;

pub const ATOMIC_FETCH: i32 = 0x01;
pub const ATOMIC_ADD: i32 = 0x00;
pub const ATOMIC_OR: i32 = 0x40;
pub const ATOMIC_AND: i32 = 0x50;
pub const ATOMIC_XOR: i32 = 0xa0;
pub const ATOMIC_XCHG: i32 = 0xe1;
pub const ATOMIC_CMPXCHG: i32 = 0xf1;
/// Not in RFC 9669: `BPF_LOAD_ACQ`.
pub const ATOMIC_LOAD_ACQ: i32 = 0x100;
/// Not in RFC 9669: `BPF_STORE_REL`.
pub const ATOMIC_STORE_REL: i32 = 0x110;

pub const PSEUDO_MAP_FD: u8 = 1;
pub const PSEUDO_MAP_VALUE: u8 = 2;
pub const PSEUDO_BTF_ID: u8 = 3;
pub const PSEUDO_FUNC: u8 = 4;
pub const PSEUDO_MAP_IDX: u8 = 5;
pub const PSEUDO_MAP_IDX_VALUE: u8 = 6;

pub const CALL_HELPER: u8 = 0;
pub const CALL_LOCAL: u8 = 1;
pub const CALL_KFUNC: u8 = 2;

/// Offset of signed division and remainder.
pub const OFFSET_SIGNED: i16 = 1;
/// Offset of `mov` that makes it an address space cast.
pub const OFFSET_ADDR_SPACE_CAST: i16 = 1;
