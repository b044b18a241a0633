//! Loops over numbers: `bpf_for`.
//!
//! The iterator is eight bytes on the program's stack: the current number and the end.

use std::sync::atomic::Ordering::Relaxed;

use panal_btf::TypeId;
use panal_uapi::Errno;
use panal_vm::Inline;

use super::{Kfunc, int};
use crate::{
    helpers::call::{Call, entry},
    types::{Ptr, describe::Types},
};

pub(super) const TABLE: &[Kfunc] = &[
    Kfunc {
        name: "bpf_iter_num_new",
        function: entry!(new_int),
        prototype: |types| {
            let (iterator, int) = (iterator(types), types.of::<i32>());
            (vec![("it", iterator), ("start", int), ("end", int)], int)
        },
    },
    Kfunc {
        name: "bpf_iter_num_next",
        function: entry!(next),
        prototype: |types| (vec![("it", iterator(types))], types.of::<Ptr<i32>>()),
    },
    Kfunc {
        name: "bpf_iter_num_destroy",
        function: entry!(destroy),
        prototype: |types| (vec![("it", iterator(types))], TypeId::VOID),
    },
];

/// What code does in place of a call.
pub(super) fn inline(name: &str) -> Option<Inline> {
    match name {
        "bpf_iter_num_new" => Some(Inline::NumbersNew),
        "bpf_iter_num_next" => Some(Inline::NumbersNext),
        "bpf_iter_num_destroy" => Some(Inline::NumbersDestroy),
        _ => None,
    }
}

/// Most numbers of a loop (`BPF_MAX_LOOPS`).
const MOST: i64 = 8 * 1024 * 1024;

fn iterator(types: &mut Types) -> TypeId {
    let word = types.uapi_int("__u64", 8);
    let words = types.array(word, 1);
    let iterator = types.once("bpf_iter_num", |types| {
        types.structure("bpf_iter_num", 8, &[("__opaque", words, 0)])
    });
    types.pointer(iterator)
}

/// The number in front of the next one, and the end, as they lie in memory.
#[inline(always)]
fn word_of(current: i32, end: i32) -> u64 {
    let [a, b, c, d] = current.to_ne_bytes();
    let [e, f, g, h] = end.to_ne_bytes();
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

#[inline(always)]
fn store(call: &Call<'_>, current: i32, end: i32) -> Result<(), Errno> {
    call.word(0)?.store(word_of(current, end), Relaxed);
    Ok(())
}

fn new(call: &mut Call<'_>) -> Result<(), Errno> {
    let (start, end) = (call.arg32(1) as i32, call.arg32(2) as i32);
    let count = i64::from(end) - i64::from(start);
    if !(0..=MOST).contains(&count) {
        store(call, 0, 0)?;
        return Err(if count < 0 {
            Errno::EINVAL
        } else {
            Errno::E2BIG
        });
    }
    // An empty loop may begin at the least number of all: it has nothing before it.
    if count == 0 {
        store(call, 0, 0)
    } else {
        store(call, start.wrapping_sub(1), end)
    }
}

fn new_int(call: &mut Call<'_>) -> u64 {
    int(new(call))
}

#[inline(always)]
fn next(call: &mut Call<'_>) -> Result<u64, Errno> {
    let word = call.word(0)?;
    let [a, b, c, d, e, f, g, h] = word.load(Relaxed).to_ne_bytes();
    let (current, end) = (
        i32::from_ne_bytes([a, b, c, d]),
        i32::from_ne_bytes([e, f, g, h]),
    );
    let following = current.wrapping_add(1);
    if following >= end {
        word.store(0, Relaxed);
        return Ok(0);
    }
    word.store(word_of(following, end), Relaxed);
    Ok(call.arg(0))
}

fn destroy(call: &mut Call<'_>) -> Result<(), Errno> {
    store(call, 0, 0)
}
