//! Constant strings in read-only maps, and format strings.

use panal_isa::Reg;
use panal_uapi::kernel::MapFlags;

use crate::{
    access::{AccessKind, helper_range},
    env::Env,
    error::{Check, reject},
    state::{RegKind, State},
};

/// The register points to a NUL-terminated string in a frozen map that programs cannot write.
pub fn check_constant(env: &mut Env<'_>, st: &mut State, reg: Reg) -> Check {
    constant(env, st, reg).map(|_| ())
}

/// The same; gives the bytes before the NUL.
fn constant<'a>(env: &mut Env<'a>, st: &mut State, reg: Reg) -> Check<&'a [u8]> {
    let (state, n) = (*st.reg(reg), reg.number());
    let RegKind::MapValue { map, .. } = state.kind else {
        return Err(reject!(
            WrongType,
            EINVAL,
            "R{n} does not point to a readonly map'"
        ));
    };
    let desc = env.map(map).desc;
    let bytes = match &desc.frozen {
        Some(bytes) if desc.flags.contains(MapFlags::RDONLY_PROG) => &**bytes,
        _ => {
            return Err(
                reject!(WrongType, EACCES, "R{n} does not point to a readonly map'")
                    .help("make the string a `static const char[]`, so that it lies in .rodata"),
            );
        }
    };
    let Some(var) = state.num.as_const() else {
        return Err(reject!(
            WrongType,
            EACCES,
            "R{n} is not a constant address'"
        ));
    };
    let start = i64::from(state.off).wrapping_add(var as i64);
    let rest = usize::try_from(start)
        .ok()
        .and_then(|start| bytes.get(start..));
    let Some(rest) = rest else {
        // Out of the value: the bounds check says so in Linux's words.
        helper_range::check(env, st, reg, 1, AccessKind::Read, false, None)?;
        return Err(reject!(
            OutOfBounds,
            EACCES,
            "direct value access on string failed"
        ));
    };
    match rest.iter().position(|&byte| byte == 0) {
        Some(end) => Ok(&rest[..end]),
        None => Err(reject!(WrongType, EINVAL, "string is not zero-terminated")),
    }
}

/// The arguments of `bpf_snprintf`: as many words as the format asks for.
pub fn check_snprintf(env: &mut Env<'_>, st: &mut State) -> Check {
    let format = constant(env, st, Reg::R3)?;
    let length = st.reg(Reg::R5).num.bits.value;
    if !length.is_multiple_of(8) {
        return Err(reject!(WrongType, EINVAL, "Invalid format string")
            .because("the arguments of bpf_snprintf are 8 bytes each"));
    }
    if is_format(format, length / 8) {
        Ok(())
    } else {
        Err(reject!(WrongType, EINVAL, "Invalid format string"))
    }
}

/// Whether it is a format that `bpf_snprintf` understands, with at most this many arguments.
fn is_format(format: &[u8], arguments: u64) -> bool {
    let at = |i: usize| format.get(i).copied().unwrap_or(0);
    let ends = |c: u8| c == 0 || c.is_ascii_whitespace() || c == 0x0b || c.is_ascii_punctuation();
    let (mut i, mut used) = (0, 0);
    while i < format.len() {
        let c = at(i);
        if !(c.is_ascii_graphic() || c == b' ' || c.is_ascii_whitespace() || c == 0x0b) {
            return false;
        }
        if c != b'%' {
            i += 1;
            continue;
        }
        if at(i + 1) == b'%' {
            i += 2;
            continue;
        }
        if used >= arguments {
            return false;
        }
        i += 1;
        while matches!(at(i), b'0' | b'+' | b'-' | b' ') {
            i += 1;
        }
        while at(i).is_ascii_digit() {
            i += 1;
        }
        match at(i) {
            b'p' if matches!(at(i + 1), b'k' | b'u') && at(i + 2) == b's' => {
                i += 2;
                if !ends(at(i + 1)) {
                    return false;
                }
            }
            b'p' if ends(at(i + 1)) => {}
            b'p' if matches!(at(i + 1), b'K' | b'x' | b's' | b'S' | b'B') => i += 1,
            b'p' if matches!(at(i + 1), b'i' | b'I') && matches!(at(i + 2), b'4' | b'6') => i += 2,
            b's' if ends(at(i + 1)) => {}
            b'c' => {}
            _ => {
                for _ in 0..2 {
                    i += usize::from(at(i) == b'l');
                }
                if !matches!(at(i), b'i' | b'd' | b'u' | b'x' | b'X') {
                    return false;
                }
            }
        }
        i += 1;
        used += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::is_format;

    #[test]
    fn formats_as_the_kernel_reads_them() {
        for (format, arguments, good) in [
            ("%d %u %x %llx", 4, true),
            ("%d %d", 1, false),
            ("100%%", 0, true),
            ("%pI4 %pi6 %pks %pus %pK", 5, true),
            ("%pI5", 1, false),
            ("%05d%-3lu", 2, true),
            ("%s%s", 2, true),
            ("%sx", 1, false),
            ("%f", 1, false),
            ("%", 1, false),
            ("\u{1}", 0, false),
        ] {
            assert_eq!(is_format(format.as_bytes(), arguments), good, "{format}");
        }
    }
}
