//! Values of a struct as the cells of a table: a column for each member.

use std::net::{Ipv4Addr, Ipv6Addr};

use panal_btf::{Btf, Kind, TypeId, value::Value};

use crate::text::clean;

/// Unnamed members within unnamed members are followed this far.
const DEPTH: u32 = 8;
/// More columns than this make no table.
const MOST_COLUMNS: usize = 64;

/// A member of the struct.
pub struct Column {
    pub name: String,
    kind: Kinds,
    /// Bytes from the start of the struct; meaningless for bitfields.
    offset: usize,
    width: usize,
}

/// The typedef that marks numbers of system calls.
const SYSCALL: &str = "syscall_nr";

/// How a member is shown, where its type says more than its bytes.
#[derive(Clone, Copy, PartialEq)]
enum Kinds {
    Plain,
    /// `__be16`: a number in network order.
    Network16,
    /// `__be32`: an IPv4 address.
    Ipv4,
    Ipv6,
    Ethernet,
    /// `syscall_nr`: the number of a system call.
    Syscall,
}

/// The columns of a struct; `None` when the type is none, or too large for a table.
pub fn columns(btf: &Btf, id: TypeId) -> Option<Vec<Column>> {
    let mut columns = Vec::new();
    collect(btf, id, 0, DEPTH, &mut columns)?;
    (!columns.is_empty()).then_some(columns)
}

fn collect(btf: &Btf, id: TypeId, base: u32, depth: u32, out: &mut Vec<Column>) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    for member in btf.resolve(id).1.kind.members()? {
        let bits = base.checked_add(member.bit_offset)?;
        if member.name.is_empty() {
            // Padding has neither name nor members.
            if btf.resolve(member.ty).1.kind.members().is_some() {
                collect(btf, member.ty, bits, depth, out)?;
            }
            continue;
        }
        if out.len() == MOST_COLUMNS {
            return None;
        }
        let kind = if member.bits == 0 {
            kind(btf, member.ty)
        } else {
            Kinds::Plain
        };
        let width = width(btf, member.ty, kind).max(member.name.chars().count());
        let name = clean(&member.name).to_uppercase();
        out.push(Column {
            name,
            kind,
            offset: (bits / 8) as usize,
            width,
        });
    }
    Some(())
}

/// Whether a type is called as numbers of system calls are.
pub fn is_syscall(btf: &Btf, id: TypeId) -> bool {
    kind(btf, id) == Kinds::Syscall
}

/// The name of a system call, as its tracepoints have it; the number if it has none.
pub fn syscall(number: u32) -> String {
    syscall_name(number).map_or_else(|| number.to_string(), str::to_owned)
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn syscall_name(number: u32) -> Option<&'static str> {
    panal_kernel::hooks::tree::syscall_table::name(number)
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn syscall_name(_: u32) -> Option<&'static str> {
    None
}

fn kind(btf: &Btf, id: TypeId) -> Kinds {
    match typedef(btf, id) {
        "__be16" => return Kinds::Network16,
        "__be32" => return Kinds::Ipv4,
        SYSCALL => return Kinds::Syscall,
        _ => {}
    }
    let ty = btf.resolve(id).1;
    match &ty.kind {
        Kind::Struct { size: 16, .. } if &*ty.name == "in6_addr" => Kinds::Ipv6,
        Kind::Array { element, len, .. } if btf.size_of(*element) == Some(1) => {
            let text = matches!(btf.resolve(*element).1.kind, Kind::Int { encoding, .. } if encoding.signed || encoding.char);
            match (text, len) {
                (false, 6) => Kinds::Ethernet,
                (false, 16) => Kinds::Ipv6,
                _ => Kinds::Plain,
            }
        }
        _ => Kinds::Plain,
    }
}

/// The first typedef's name on the way to what a type is.
fn typedef(btf: &Btf, id: TypeId) -> &str {
    let mut id = id;
    loop {
        match btf.kind(id) {
            Kind::Typedef(inner)
                if matches!(btf.name(id), "__be16" | "__be32" | SYSCALL)
                    || btf.kind(*inner).modified().is_none() =>
            {
                return btf.name(id);
            }
            kind => match kind.modified() {
                Some(inner) => id = inner,
                None => return "",
            },
        }
    }
}

/// How wide a column is likely to be needed.
fn width(btf: &Btf, id: TypeId, kind: Kinds) -> usize {
    match kind {
        Kinds::Network16 => 6,
        Kinds::Ipv4 => 15,
        Kinds::Ipv6 => 24,
        Kinds::Ethernet => 17,
        Kinds::Syscall => 16,
        Kinds::Plain => match (&btf.resolve(id).1.kind, btf.size_of(id).unwrap_or(0)) {
            (Kind::Array { .. }, size) => (size as usize).min(16),
            (Kind::Enum { .. }, _) => 12,
            (_, 0..=1) => 4,
            (_, 2) => 6,
            (_, 3..=4) => 8,
            _ => 14,
        },
    }
}

/// The heading of a table.
pub fn heading(columns: &[Column]) -> String {
    row(columns, columns.iter().map(|column| column.name.clone()))
}

/// One value as a row of the table. `bytes` are those that the value was decoded from.
pub fn cells(columns: &[Column], value: &Value, bytes: &[u8]) -> String {
    row(
        columns,
        columns.iter().map(|column| cell(column, value, bytes)),
    )
}

fn row(columns: &[Column], cells: impl Iterator<Item = String>) -> String {
    let mut line = String::new();
    for (column, cell) in columns.iter().zip(cells) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&cell);
        let missing = column.width.saturating_sub(cell.chars().count());
        line.extend(std::iter::repeat_n(' ', missing));
    }
    line.truncate(line.trim_end().len());
    line
}

fn cell(column: &Column, value: &Value, bytes: &[u8]) -> String {
    let bytes = bytes.get(column.offset..).unwrap_or(&[]);
    let special = match column.kind {
        Kinds::Plain => None,
        Kinds::Syscall => bytes.first_chunk().map(|b| syscall(u32::from_ne_bytes(*b))),
        Kinds::Network16 => bytes
            .first_chunk()
            .map(|b| u16::from_be_bytes(*b).to_string()),
        Kinds::Ipv4 => bytes
            .first_chunk::<4>()
            .map(|b| Ipv4Addr::from(*b).to_string()),
        Kinds::Ipv6 => bytes
            .first_chunk::<16>()
            .map(|b| Ipv6Addr::from(*b).to_string()),
        Kinds::Ethernet => bytes
            .first_chunk::<6>()
            .map(|b| b.map(|b| format!("{b:02x}")).join(":")),
    };
    special.unwrap_or_else(|| match member(value, &column.name) {
        Some(Value::Text(text)) => clean(text).into_owned(),
        Some(other) => clean(&other.to_string()).into_owned(),
        None => "?".to_owned(),
    })
}

/// The member whose name in capitals is this one.
fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Struct(members) => {
            let found = members
                .iter()
                .find(|(own, _)| clean(own).to_uppercase() == name);
            found.map(|(_, value)| value)
        }
        _ => None,
    }
}
