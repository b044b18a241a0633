//! Where the arguments of a probe are: `-4@%eax 8@-16(%rbp) 4@$5`, as an x86-64 assembler writes
//! operands.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

/// An argument of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeArgument {
    /// Bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// Whether it has a sign.
    pub signed: bool,
    /// Where it is.
    pub place: ProbePlace,
}

/// Where an argument is. Registers are named by their place in `struct pt_regs`, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbePlace {
    /// Nowhere: it is a number.
    Constant(i64),
    /// In a register.
    Register(u16),
    /// In memory.
    Memory {
        /// The register that holds an address.
        base: u16,
        /// A register that is added to it, and by how much it is shifted.
        index: Option<(u16, u8)>,
        /// A number that is added to it.
        offset: i64,
    },
}

/// An argument that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its argument `{0}` is not in a place that can be read")]
pub struct ArgumentError(pub String);

/// Reads the arguments of a probe of an x86-64 program.
pub fn probe_arguments(text: &str) -> Result<Vec<ProbeArgument>, ArgumentError> {
    let wrong = |word: &str| ArgumentError(word.to_owned());
    text.split_ascii_whitespace()
        .map(|word| argument(word).ok_or_else(|| wrong(word)))
        .collect()
}

fn argument(word: &str) -> Option<ProbeArgument> {
    let (size, place) = word.split_once('@')?;
    let (signed, size) = match size.strip_prefix('-') {
        Some(size) => (true, size),
        None => (false, size),
    };
    let size: u8 = size.parse().ok().filter(|s| matches!(s, 1 | 2 | 4 | 8))?;
    Some(ProbeArgument {
        size,
        signed,
        place: self::place(place)?,
    })
}

fn place(text: &str) -> Option<ProbePlace> {
    if let Some(constant) = text.strip_prefix('$') {
        return number(constant).map(ProbePlace::Constant);
    }
    let Some((offset, inner)) = text.split_once('(') else {
        return register(text).map(ProbePlace::Register);
    };
    let offset = if offset.is_empty() {
        0
    } else {
        number(offset)?
    };
    let mut parts = inner.strip_suffix(')')?.split(',');
    let base = register(parts.next()?)?;
    let index = match (parts.next(), parts.next()) {
        (None, _) => None,
        (Some(index), scale) => {
            let shift = match scale.map(str::trim) {
                None | Some("1") => 0,
                Some("2") => 1,
                Some("4") => 2,
                Some("8") => 3,
                Some(_) => return None,
            };
            Some((register(index)?, shift))
        }
    };
    parts.next().is_none().then_some(ProbePlace::Memory {
        base,
        index,
        offset,
    })
}

fn number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()? as i64,
        // From i64::MIN up to u64::MAX, as bits.
        None => digits.parse::<u64>().ok()? as i64,
    };
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

/// Places in `struct pt_regs`, with the names of the register's parts.
const REGISTERS: [(u16, &[&str]); 17] = [
    (0, &["r15", "r15d", "r15w", "r15b"]),
    (8, &["r14", "r14d", "r14w", "r14b"]),
    (16, &["r13", "r13d", "r13w", "r13b"]),
    (24, &["r12", "r12d", "r12w", "r12b"]),
    (32, &["rbp", "ebp", "bp", "bpl"]),
    (40, &["rbx", "ebx", "bx", "bl"]),
    (48, &["r11", "r11d", "r11w", "r11b"]),
    (56, &["r10", "r10d", "r10w", "r10b"]),
    (64, &["r9", "r9d", "r9w", "r9b"]),
    (72, &["r8", "r8d", "r8w", "r8b"]),
    (80, &["rax", "eax", "ax", "al"]),
    (88, &["rcx", "ecx", "cx", "cl"]),
    (96, &["rdx", "edx", "dx", "dl"]),
    (104, &["rsi", "esi", "si", "sil"]),
    (112, &["rdi", "edi", "di", "dil"]),
    (128, &["rip"]),
    (152, &["rsp", "esp", "sp", "spl"]),
];

fn register(text: &str) -> Option<u16> {
    let name = text.trim().strip_prefix('%')?;
    REGISTERS
        .iter()
        .find(|(_, names)| names.contains(&name))
        .map(|(place, _)| *place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn operands_are_read() {
        use ProbePlace::*;
        let memory = |base, index, offset| Memory {
            base,
            index,
            offset,
        };
        for (text, size, signed, place) in [
            ("-4@%eax", 4, true, Register(80)),
            ("8@%r15", 8, false, Register(0)),
            ("1@%dil", 1, false, Register(112)),
            ("-4@$-9", 4, true, Constant(-9)),
            ("8@$18446744073709551615", 8, false, Constant(-1)),
            ("-4@-1204(%rbp)", 4, true, memory(32, None, -1204)),
            ("2@(%rsp)", 2, false, memory(152, None, 0)),
            ("8@8(%rax,%rdx,4)", 8, false, memory(80, Some((96, 2)), 8)),
            ("8@(%rax,%rdx)", 8, false, memory(80, Some((96, 0)), 0)),
        ] {
            let expected = ProbeArgument {
                size,
                signed,
                place,
            };
            assert_eq!(probe_arguments(text), Ok([expected].into()), "{text}");
        }
        assert_eq!(probe_arguments(""), Ok(Vec::new()));
        assert_eq!(probe_arguments("4@%eax 4@%ebx").map(|a| a.len()), Ok(2));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for text in [
            "8f@%xmm0",
            "4@counter(%rip",
            "3@%eax",
            "4@%xmm1",
            "4%eax",
            "4@(%rax,%rbx,3)",
        ] {
            let error = probe_arguments(text).map(|a| a.len());
            assert_eq!(error, Err(ArgumentError(text.to_string())));
        }
    }
}
