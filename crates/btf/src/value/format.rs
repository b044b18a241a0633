//! Values as text and as JSON.

use core::fmt::{self, Display, Write};

use super::Value;

/// For people: `{pid: 1, comm: "cat", addr: [10, 0, 0, 1]}`; enumerators by name, addresses in
/// hexadecimal.
impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Void => f.write_str("void"),
            Value::Unsigned(n) => write!(f, "{n}"),
            Value::Signed(n) => write!(f, "{n}"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Float(x) => write!(f, "{x}"),
            Value::Pointer(p) => write!(f, "{p:#x}"),
            Value::Enum {
                name: Some(name), ..
            } => f.write_str(name),
            Value::Enum { name: None, value } => write!(f, "{value}"),
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Array(values) => {
                f.write_char('[')?;
                for (i, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if i == 0 { "" } else { ", " })?;
                }
                f.write_char(']')
            }
            Value::Struct(members) => {
                f.write_char('{')?;
                for (i, (name, value)) in members.iter().enumerate() {
                    write!(f, "{}{name}: {value}", if i == 0 { "" } else { ", " })?;
                }
                f.write_char('}')
            }
        }
    }
}

/// Formats a value as JSON. Integers beyond 2^53, which most readers would round, stay numbers;
/// addresses are strings in hexadecimal; floats that JSON does not have are `null`.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a>(pub &'a Value);

impl Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Void => f.write_str("null"),
            Value::Float(x) if !x.is_finite() => f.write_str("null"),
            Value::Pointer(p) => write!(f, "\"{p:#x}\""),
            Value::Enum {
                name: Some(name), ..
            } => quoted(f, name),
            Value::Text(text) => quoted(f, text),
            Value::Array(values) => {
                f.write_char('[')?;
                for (i, value) in values.iter().enumerate() {
                    write!(f, "{}{}", if i == 0 { "" } else { "," }, Json(value))?;
                }
                f.write_char(']')
            }
            Value::Struct(members) => {
                f.write_char('{')?;
                for (i, (name, value)) in members.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { "," })?;
                    quoted(f, name)?;
                    write!(f, ":{}", Json(value))?;
                }
                f.write_char('}')
            }
            plain => write!(f, "{plain}"),
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if u32::from(c) < 0x20 => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}
