//! Hash maps: where elements live ([`pool`]), how they are found ([`table`]), which one has to go
//! ([`recency`]), and the map types made of these ([`map`]).

mod function;
mod map;
mod pool;
mod recency;
mod table;

pub(crate) use function::Hasher;
pub use map::HashMap;
pub(crate) use pool::{Pool, Shape};
