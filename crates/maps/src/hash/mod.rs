//! Hash maps: where elements live ([`pool`]), how they are found ([`table`]), which one has to go
//! ([`recency`]), the map types made of these ([`map`]), and what machine code calls ([`quick`]).

mod function;
mod map;
mod pool;
mod quick;
mod recency;
mod table;

pub(crate) use function::Hasher;
pub use map::HashMap;
pub(crate) use pool::{Pool, Shape};
pub use quick::{HashKind, kind};
