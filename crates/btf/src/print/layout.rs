//! Bodies of structs, unions and enumerations, with what it takes for a compiler to lay them out
//! as the BTF says: `packed`, and unnamed bitfields in gaps.

use alloc::string::String;
use core::fmt::Write;

use super::{PrintError, Printer, Space};
use crate::types::{Kind, Member, TypeId};

/// Gaps of more bytes are filled by an array.
const MAX_UNNAMED_PAD: u64 = 64;

impl Printer<'_> {
    /// `struct NAME { ... }`, the lines after the first indented by `level` tabs.
    pub(super) fn definition(&mut self, id: TypeId, level: u32) -> Result<String, PrintError> {
        let btf = self.btf;
        let ty = btf.get_or_void(id);
        let (word, size, members) = match &ty.kind {
            Kind::Struct { size, members } => ("struct", *size, members),
            Kind::Union { size, members } => ("union", *size, members),
            _ => return Err(PrintError::TooDeep(id)),
        };
        let union = word == "union";
        let packed = btf.is_packed(id);
        let mut text = String::from(word);
        if !ty.name.is_empty() {
            text.push(' ');
            text.push_str(&self.name(id));
        }
        text.push_str(" {\n");
        let mut end: u64 = 0;
        for (index, member) in members.iter().enumerate() {
            let place = self.place(member, packed);
            let start = u64::from(member.bit_offset);
            let from = if union { 0 } else { end };
            if place.natural(from) != start {
                let gap = start.checked_sub(from);
                gap.ok_or(PrintError::Layout { id, member: index })?;
                self.pad(&mut text, from, start, level + 1)?;
            }
            if place.natural(start) != start || union && start != 0 {
                return Err(PrintError::Layout { id, member: index });
            }
            let declaration = self.declare(member.ty, (*member.name).into(), level + 1)?;
            indent(&mut text, level + 1);
            text.push_str(&declaration);
            if member.bits != 0 {
                // Writing to a String cannot fail.
                let _ = write!(text, ": {}", member.bits);
            }
            text.push_str(";\n");
            end = if union {
                end.max(place.bits)
            } else {
                start + place.bits
            };
            self.count(text.len() / 64)?;
        }
        let align = if packed {
            8
        } else {
            u64::from(btf.align_of(id).unwrap_or(1)) * 8
        };
        let size = u64::from(size) * 8;
        let natural = end.next_multiple_of(align);
        if natural > size {
            return Err(PrintError::Layout {
                id,
                member: members.len().saturating_sub(1),
            });
        }
        if natural < size {
            self.pad(&mut text, if union { 0 } else { end }, size, level + 1)?;
        }
        indent(&mut text, level);
        text.push('}');
        if packed {
            text.push_str(" __attribute__((packed))");
        }
        self.count(text.len())?;
        Ok(text)
    }

    /// Where C puts a member.
    fn place(&self, member: &Member, packed: bool) -> Place {
        let bits = u64::from(self.btf.size_of(member.ty).unwrap_or(0)) * 8;
        let align = u64::from(self.btf.align_of(member.ty).unwrap_or(1)).max(1) * 8;
        match member.bits {
            0 => Place {
                bits,
                unit: if packed { 8 } else { align },
                bitfield: false,
            },
            width => {
                let unit = if packed { u64::MAX } else { bits.max(1) };
                Place {
                    bits: width.into(),
                    unit,
                    bitfield: true,
                }
            }
        }
    }

    /// Fills the bits from `from` to `to` with what does not change the alignment.
    fn pad(&mut self, text: &mut String, from: u64, to: u64, level: u32) -> Result<(), PrintError> {
        let mut at = from;
        while at < to {
            let left = to - at;
            // The largest unit that begins here, and ends no later.
            let unit = [64, 32, 16]
                .into_iter()
                .find(|unit| at.is_multiple_of(*unit) && left >= *unit);
            let (word, bits) = match unit {
                Some(64) if left / 8 > MAX_UNNAMED_PAD => {
                    let bytes = left / 8;
                    self.pads += 1;
                    indent(text, level);
                    let _ = writeln!(text, "char __pad_{}[{bytes}];", self.pads);
                    at += bytes * 8;
                    continue;
                }
                Some(64) => ("long", 64),
                Some(32) => ("int", 32),
                Some(16) => ("short", 16),
                _ => ("char", (8 - at % 8).min(left)),
            };
            indent(text, level);
            let _ = writeln!(text, "{word}: {bits};");
            at += bits;
        }
        self.count(0)
    }

    /// `enum NAME { ... }`.
    pub(super) fn enumeration(&mut self, id: TypeId, level: u32) -> Result<String, PrintError> {
        let btf = self.btf;
        let ty = btf.get_or_void(id);
        let Kind::Enum {
            size,
            signed,
            values,
            ..
        } = &ty.kind
        else {
            return Err(PrintError::TooDeep(id));
        };
        let mut text = String::from("enum");
        if !ty.name.is_empty() {
            text.push(' ');
            text.push_str(&self.name(id));
        }
        if values.is_empty() {
            return Ok(text);
        }
        text.push_str(" {\n");
        for value in values {
            let name = self.unique(&value.name, Space::Ordinary);
            let name = name.as_deref().unwrap_or(&value.name);
            indent(&mut text, level + 1);
            // Writing to a String cannot fail.
            let _ = match (signed, size) {
                // The least number has no literal.
                (true, 8) if value.value == i64::MIN => {
                    writeln!(text, "{name} = -9223372036854775807LL - 1,")
                }
                (true, 8) => writeln!(text, "{name} = {}LL,", value.value),
                (false, 8) => writeln!(text, "{name} = {}ULL,", value.value as u64),
                (true, _) => writeln!(text, "{name} = {},", value.value),
                (false, _) => writeln!(text, "{name} = {},", value.value as u64),
            };
        }
        indent(&mut text, level);
        text.push('}');
        text.push_str(match size {
            1 => " __attribute__((mode(QI)))",
            2 => " __attribute__((mode(HI)))",
            8 => " __attribute__((mode(DI)))",
            _ => "",
        });
        self.count(text.len())?;
        Ok(text)
    }
}

struct Place {
    /// How many it takes.
    bits: u64,
    /// A member begins at a multiple of this; a bitfield does not cross one.
    unit: u64,
    bitfield: bool,
}

impl Place {
    /// The first bit from `at` on where C would put it.
    fn natural(&self, at: u64) -> u64 {
        match self.bitfield {
            true if at % self.unit + self.bits <= self.unit => at,
            _ => at.next_multiple_of(self.unit),
        }
    }
}

fn indent(text: &mut String, level: u32) {
    for _ in 0..level {
        text.push('\t');
    }
}
