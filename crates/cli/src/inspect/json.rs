//! JSON whose members stay in the order in which they are written, as bpftool's do.

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(yes) => serializer.serialize_bool(*yes),
            Json::Signed(n) => serializer.serialize_i64(*n),
            Json::Unsigned(n) => serializer.serialize_u64(*n),
            Json::Float(n) => serializer.serialize_f64(*n),
            Json::Text(text) => serializer.serialize_str(text),
            Json::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Json::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

macro_rules! from {
    ($($ty:ty => $variant:ident as $as:ty;)*) => {$(
        impl From<$ty> for Json {
            fn from(value: $ty) -> Json {
                Json::$variant(value as $as)
            }
        }
    )*};
}
from! {
    bool => Bool as bool;
    i32 => Signed as i64;
    i64 => Signed as i64;
    u8 => Unsigned as u64;
    u32 => Unsigned as u64;
    u64 => Unsigned as u64;
    usize => Unsigned as u64;
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Json {
        Json::Text(text)
    }
}

impl<T: Into<Json>> FromIterator<T> for Json {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Json {
        Json::List(items.into_iter().map(Into::into).collect())
    }
}

/// Members of an object, one after another.
#[derive(Clone, Debug, Default)]
pub struct Members(Vec<(String, Json)>);

impl Members {
    /// Adds a member.
    pub fn put(&mut self, name: &str, value: impl Into<Json>) -> &mut Self {
        self.0.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a member where there is something to tell.
    pub fn put_some(&mut self, name: &str, value: Option<impl Into<Json>>) -> &mut Self {
        if let Some(value) = value {
            self.put(name, value);
        }
        self
    }

    /// The object.
    pub fn done(self) -> Json {
        Json::Object(self.0)
    }
}

/// Bytes as bpftool writes them: `["0x01","0xff"]`.
pub fn bytes(bytes: &[u8]) -> Json {
    bytes.iter().map(|byte| format!("0x{byte:02x}")).collect()
}
