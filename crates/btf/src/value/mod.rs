//! Bytes as values of a type, and back: for tables of events, dumps of maps, and keys and values
//! given as text.

mod decode;
mod encode;
mod format;
mod literal;

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};

pub use decode::DecodeError;
pub use encode::{EncodeError, encode_untyped};
pub use format::Json;
pub use literal::{Literal, LiteralError};

use crate::{
    table::Btf,
    types::{Kind, TypeId},
};

/// A value of a type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of nothing: `void`, and types without a size.
    Void,
    /// An unsigned integer.
    Unsigned(u128),
    /// A signed integer.
    Signed(i128),
    /// A `bool`; other values than 0 and 1 are [`Value::Unsigned`].
    Bool(bool),
    /// A floating-point number of 4 or 8 bytes; others are [`Value::Unsigned`].
    Float(f64),
    /// An address.
    Pointer(u64),
    /// Of an enumeration.
    Enum {
        /// The enumerator of this value, if there is one.
        name: Option<Arc<str>>,
        /// The value itself.
        value: i128,
    },
    /// An array of `char` up to its first NUL; what is not UTF-8 is replaced.
    Text(String),
    /// Elements in order.
    Array(Vec<Value>),
    /// Members of a struct or union in order; those of unnamed ones stand among them.
    Struct(Vec<(Arc<str>, Value)>),
}

impl Value {
    /// The member of this name.
    pub fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Struct(members) => members
                .iter()
                .find(|(member, _)| **member == *name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The number, if it is one: integers, booleans, enumerators, addresses.
    pub fn as_number(&self) -> Option<i128> {
        match *self {
            Value::Unsigned(n) => i128::try_from(n).ok(),
            Value::Signed(n) => Some(n),
            Value::Bool(b) => Some(b.into()),
            Value::Pointer(p) => Some(p.into()),
            Value::Enum { value, .. } => Some(value),
            _ => None,
        }
    }
}

impl Btf {
    /// Whether a type is called as Linux calls numbers in network byte order.
    pub(crate) fn is_network_order(&self, id: TypeId) -> bool {
        let mut id = id;
        loop {
            let kind = self.kind(id);
            let named = matches!(self.name(id), "__be16" | "__be32" | "__be64");
            match kind.modified() {
                Some(_) if named && matches!(kind, Kind::Typedef(_)) => return true,
                Some(next) => id = next,
                None => return false,
            }
        }
    }
}

/// The element type's name of arrays that hold text.
const CHAR: &str = "char";

/// Where in a type something went wrong: `.member[3]`.
pub(crate) type Path = Box<str>;
