//! The wire format: one slot of eight bytes.

/// One slot of a program, as the compiler wrote it (RFC 9669 section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Slot {
    /// Class, operation and source or size and mode.
    pub opcode: u8,
    /// Destination register in the low nibble, source register in the high one.
    pub registers: u8,
    /// Signed offset: of memory, or of a jump in slots.
    pub offset: i16,
    /// Signed immediate.
    pub imm: i32,
}

impl Slot {
    /// Size of a slot in bytes.
    pub const SIZE: usize = 8;

    /// Reads a slot in little-endian order, as `clang -target bpfel` writes it.
    pub const fn from_bytes(b: [u8; 8]) -> Self {
        Slot {
            opcode: b[0],
            registers: b[1],
            offset: i16::from_le_bytes([b[2], b[3]]),
            imm: i32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        }
    }

    /// Writes a slot in little-endian order.
    pub const fn to_bytes(self) -> [u8; 8] {
        let o = self.offset.to_le_bytes();
        let i = self.imm.to_le_bytes();
        [
            self.opcode,
            self.registers,
            o[0],
            o[1],
            i[0],
            i[1],
            i[2],
            i[3],
        ]
    }

    /// The destination register's number, 0 to 15: not yet checked.
    pub const fn dst(self) -> u8 {
        self.registers & 0x0f
    }

    /// The source register's number (or pseudo-source selector), 0 to 15: not yet checked.
    pub const fn src(self) -> u8 {
        self.registers >> 4
    }
}
