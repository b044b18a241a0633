//! Values of the kernel's configuration for `__kconfig` variables.

use panal_object::{Extern, ExternKind, KconfigValue, Object};
use panal_uapi::kernel::Kernel;

use crate::Error;

/// `enum libbpf_tristate`: no, yes, module.
const TRI_NO: u8 = 0;
const TRI_YES: u8 = 1;
const TRI_MODULE: u8 = 2;
/// `KERNEL_VERSION(5, 15, 0)`: the first with `bpf_get_attach_cookie` for every probe.
const HAS_COOKIE: u32 = 5 << 16 | 15 << 8;

/// The bytes of the map that holds all configuration values of an object.
pub(crate) fn contents(object: &Object, size: u32, kernel: &dyn Kernel) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; size as usize];
    for external in object.externs() {
        let ExternKind::Kconfig {
            offset,
            size,
            value,
            ..
        } = external.kind
        else {
            continue;
        };
        let start = offset as usize;
        let Some(target) = bytes.get_mut(start..start + size as usize) else {
            continue;
        };
        match text(external, kernel) {
            Some(text) => write(target, value, &text).map_err(|fault| Error::Kconfig {
                name: external.name.to_string(),
                value: text,
                fault,
            })?,
            None if external.weak => {}
            None => {
                return Err(Error::Extern {
                    what: "configuration value",
                    name: external.name.to_string(),
                    kernel: kernel.name(),
                });
            }
        }
    }
    Ok(bytes)
}

/// The value as the kernel's configuration writes it, or as the loader knows it.
fn text(external: &Extern, kernel: &dyn Kernel) -> Option<String> {
    let flag = |set| Some(if set { "1".to_owned() } else { "0".to_owned() });
    match &*external.name {
        "LINUX_KERNEL_VERSION" => Some(kernel.version().to_string()),
        "LINUX_HAS_SYSCALL_WRAPPER" => flag(
            kernel
                .symbol(&crate::target::syscall_function("bpf"))
                .is_some(),
        ),
        "LINUX_HAS_BPF_COOKIE" => flag(kernel.version() >= HAS_COOKIE),
        name => kernel.config(name),
    }
}

fn write(target: &mut [u8], ty: KconfigValue, text: &str) -> Result<(), &'static str> {
    match text.as_bytes() {
        [letter @ (b'y' | b'n' | b'm')] => write_letter(target, ty, *letter),
        [b'"', inner @ .., b'"'] if ty == KconfigValue::Text => {
            let room = target.len() - 1;
            let inner = &inner[..inner.len().min(room)];
            target.fill(0);
            target[..inner.len()].copy_from_slice(inner);
            Ok(())
        }
        [b'"', ..] => Err("text, but the variable is no array of char"),
        _ => write_number(target, ty, text),
    }
}

fn write_letter(target: &mut [u8], ty: KconfigValue, letter: u8) -> Result<(), &'static str> {
    let value = match (ty, letter) {
        (KconfigValue::Char, letter) => letter,
        (KconfigValue::Bool, b'm') => return Err("a bool has no module; use enum libbpf_tristate"),
        (KconfigValue::Bool | KconfigValue::Tristate, b'y') => TRI_YES,
        (KconfigValue::Bool | KconfigValue::Tristate, b'n') => TRI_NO,
        (KconfigValue::Tristate, b'm') => TRI_MODULE,
        _ => return Err("the variable must be a bool, char or enum libbpf_tristate"),
    };
    target.fill(0);
    target[0] = value;
    Ok(())
}

fn write_number(target: &mut [u8], ty: KconfigValue, text: &str) -> Result<(), &'static str> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let magnitude = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    let magnitude = magnitude.map_err(|_| "neither a letter, nor text in quotes, nor a number")?;
    let number = if negative {
        -i128::from(magnitude)
    } else {
        i128::from(magnitude)
    };
    let bits = target.len() as u32 * 8;
    let range = match ty {
        KconfigValue::Integer { signed: true } => -(1i128 << (bits - 1))..=(1 << (bits - 1)) - 1,
        KconfigValue::Integer { signed: false } => 0..=(1i128 << bits) - 1,
        KconfigValue::Char => -128..=255,
        KconfigValue::Bool => 0..=1,
        KconfigValue::Tristate | KconfigValue::Text => return Err("the variable is no integer"),
    };
    if !range.contains(&number) {
        return Err("does not fit the variable");
    }
    target.copy_from_slice(&number.to_le_bytes()[..target.len()]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(size: usize, ty: KconfigValue, text: &str) -> Result<Vec<u8>, &'static str> {
        let mut bytes = vec![0xff; size];
        write(&mut bytes, ty, text)?;
        Ok(bytes)
    }

    #[test]
    fn values_take_the_form_of_their_variable() {
        use KconfigValue::*;
        assert_eq!(written(1, Bool, "y"), Ok(vec![1]));
        assert_eq!(written(1, Char, "m"), Ok(vec![b'm']));
        assert_eq!(written(4, Tristate, "m"), Ok(vec![2, 0, 0, 0]));
        assert_eq!(
            written(4, Integer { signed: false }, "0x10"),
            Ok(vec![16, 0, 0, 0])
        );
        assert_eq!(
            written(2, Integer { signed: true }, "-2"),
            Ok(vec![0xfe, 0xff])
        );
        assert_eq!(
            written(8, Integer { signed: false }, "18446744073709551615"),
            Ok(vec![255; 8])
        );
        assert_eq!(written(6, Text, "\"ab\""), Ok(vec![b'a', b'b', 0, 0, 0, 0]));
        assert_eq!(written(3, Text, "\"abcdef\""), Ok(vec![b'a', b'b', 0]));
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        use KconfigValue::*;
        for (size, ty, text) in [
            (1, Bool, "m"),
            (4, Integer { signed: true }, "y"),
            (4, Integer { signed: false }, "-1"),
            (2, Integer { signed: false }, "65536"),
            (4, Tristate, "7"),
            (4, Integer { signed: true }, "\"7\""),
            (4, Text, "7"),
            (4, Text, "\"open"),
            (4, Integer { signed: true }, ""),
        ] {
            assert!(written(size, ty, text).is_err(), "{ty:?} {text}");
        }
    }
}
