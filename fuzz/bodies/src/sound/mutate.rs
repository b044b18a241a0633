//! Changes to instructions, chosen by bytes.

use panal_isa::Slot;

/// Numbers at which checks go wrong.
const NUMBERS: [i32; 24] = [
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    15,
    16,
    24,
    31,
    32,
    63,
    64,
    65,
    127,
    255,
    0x7fff,
    0xffff,
    i32::MAX,
    -1,
    -8,
    -64,
    i32::MIN,
];

/// Takes five bytes a change: two for the instruction, one for what, two for the value. Most
/// results are refused; all are well-formed as far as their length goes.
pub(super) fn apply(slots: &mut [Slot], changes: &[u8]) {
    for change in changes.chunks_exact(5).take(16) {
        if slots.is_empty() {
            return;
        }
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % slots.len();
        let value = i16::from_le_bytes([change[3], change[4]]);
        let number = NUMBERS[value.unsigned_abs() as usize % NUMBERS.len()];
        let other = slots[value.unsigned_abs() as usize % slots.len()];
        let slot = &mut slots[at];
        match change[2] % 12 {
            0 => slot.imm = number,
            1 => slot.imm = slot.imm.wrapping_add(i32::from(value % 9)),
            2 => slot.offset = slot.offset.wrapping_add(value % 9),
            3 => slot.offset = number as i16,
            // Another register of the same role.
            4 => slot.registers = slot.registers & 0xf0 | (value as u8 % 11),
            5 => slot.registers = slot.registers & 0x0f | (value as u8 % 11) << 4,
            // Another operation of the same class.
            6 => slot.opcode = slot.opcode & 0x0f | (value as u8 & 0xf0),
            // The other width or class.
            7 => slot.opcode ^= value as u8 & 0x07,
            // Another size or the other operand.
            8 => slot.opcode ^= value as u8 & 0x18,
            // Left out: `goto +0`.
            9 => {
                *slot = Slot {
                    opcode: 0x05,
                    ..Slot::default()
                }
            }
            10 => *slot = other,
            _ => slot.imm = i32::from(value),
        }
    }
}
