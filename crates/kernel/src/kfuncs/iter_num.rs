//! Loops over numbers: `bpf_for`.
//!
//! The iterator is eight bytes on the program's stack: the current number and the end.

use panal_btf::TypeId;
use panal_uapi::Errno;

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

fn store(call: &Call<'_>, current: i32, end: i32) -> Result<(), Errno> {
    let mut raw = [0; 8];
    raw[..4].copy_from_slice(&current.to_ne_bytes());
    raw[4..].copy_from_slice(&end.to_ne_bytes());
    call.write(call.arg(0), &raw)
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

fn next(call: &mut Call<'_>) -> Result<u64, Errno> {
    let mut raw = [0; 8];
    call.read(call.arg(0), &mut raw)?;
    let [a, b, c, d, e, f, g, h] = raw;
    let (current, end) = (
        i32::from_ne_bytes([a, b, c, d]),
        i32::from_ne_bytes([e, f, g, h]),
    );
    let following = current.wrapping_add(1);
    if following >= end {
        store(call, 0, 0)?;
        return Ok(0);
    }
    store(call, following, end)?;
    Ok(call.arg(0))
}

fn destroy(call: &mut Call<'_>) -> Result<(), Errno> {
    store(call, 0, 0)
}
