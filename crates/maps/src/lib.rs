//! Every map type, in memory that programs may touch.
//!
//! [`Cage`] is that memory, [`Cpus`] says who runs where and when removed objects may die,
//! [`create_map`] makes a [`Map`] from a [`MapDef`], and [`syscall`] is what bpf(2) adds.

mod arena;
mod array;
mod bloom;
mod cage;
mod cpus;
mod create;
mod def;
mod described;
mod free_pages;
mod handles;
mod hash;
mod lpm_trie;
mod map;
mod map_in_map;
mod object;
mod object_array;
mod object_hash;
mod perf;
mod queue;
mod redirect;
mod ring_pages;
mod socket_map;
mod space;
mod stack_trace;
mod storage;
mod user_ringbuf;
mod wait;
mod zeroed;

pub mod bytes;
pub mod lock;
pub mod ringbuf;
pub mod syscall;

pub use arena::{Arena, PAGE as ARENA_PAGE};
pub use array::{Array, PercpuArray};
pub use bloom::BloomFilter;
pub use cage::{Block, Cage, CageError, OutOfCage};
pub use cpus::{Cpus, OnCpu};
pub use create::{create_map, is_supported};
pub use def::{CreateError, MapDef, MapHost, SpecialField};
pub use described::describe_map;
pub use handles::Handles;
pub use hash::{HashKind, HashMap, kind as hash_kind};
pub use lpm_trie::LpmTrie;
pub use map::{DirectValues, ElementKey, Map, MapBase};
pub use map_in_map::fits_template;
pub use object::Object;
pub use object_array::ObjectArray;
pub use object_hash::ObjectHash;
pub use perf::PerfEventArray;
pub use queue::Queue;
pub use redirect::RedirectArray;
pub use ringbuf::{RingBuf, RingDirectory};
pub use stack_trace::{StackTrace, flags as stack_trace_flags};
pub use storage::Storage;
pub use user_ringbuf::{Sample, UserRingBuf};
