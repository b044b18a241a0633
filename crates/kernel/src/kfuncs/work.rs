//! Work in map values: called soon, by a thread of the kernel's.

use panal_btf::TypeId;
use panal_uapi::Errno;

use super::{Called, Kfunc, int};
use crate::{
    helpers::{
        call::{Call, entry},
        time::monotonic,
        timer::kernel_map,
    },
    types::{
        Ptr,
        describe::{Types, Void},
    },
};

pub(super) const TABLE: &[Kfunc] = &[
    Kfunc {
        name: "bpf_wq_init",
        function: Called(entry!(init_int)),
        prototype: |types| {
            let parameters = vec![
                ("wq", work(types)),
                ("p__map", types.of::<Ptr<Void>>()),
                ("flags", types.of::<u32>()),
            ];
            (parameters, types.of::<i32>())
        },
    },
    Kfunc {
        name: "bpf_wq_set_callback_impl",
        function: Called(entry!(set_callback_int)),
        prototype: |types| {
            let (pointer, number) = (types.of::<Ptr<Void>>(), types.of::<Ptr<i32>>());
            let int = types.of::<i32>();
            let called = types.prototype(
                int,
                &[("map", pointer), ("key", number), ("value", pointer)],
            );
            let parameters = vec![
                ("wq", work(types)),
                ("callback_fn", types.pointer(called)),
                ("flags", types.of::<u32>()),
                ("aux__prog", pointer),
            ];
            (parameters, int)
        },
    },
    Kfunc {
        name: "bpf_wq_start",
        function: Called(entry!(start_int)),
        prototype: |types| {
            let parameters = vec![("wq", work(types)), ("flags", types.of::<u32>())];
            (parameters, types.of::<i32>())
        },
    },
];

fn work(types: &mut Types) -> TypeId {
    let word = types.uapi_int("__u64", 8);
    let words = types.array(word, 2);
    let work = types.once("bpf_wq", |types| {
        types.structure("bpf_wq", 16, &[("__opaque", words, 0)])
    });
    types.pointer(work)
}

/// The kernel's number for the work, which stands in it.
fn number(call: &Call<'_>) -> Result<u64, Errno> {
    let mut word = [0; 8];
    call.read(call.arg(0), &mut word)?;
    Ok(u64::from_ne_bytes(word))
}

fn init_int(call: &mut Call<'_>) -> u64 {
    int(init(call))
}

fn init(call: &mut Call<'_>) -> Result<(), Errno> {
    let (at, handle, flags) = (call.arg(0), call.arg(1), call.arg32(2));
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let map = kernel_map(call, handle)?;
    let offset = map.work().ok_or(Errno::EINVAL)?;
    let works = &call.kernel().works;
    if works.is_made(at, number(call)?) {
        return Err(Errno::EBUSY);
    }
    if !map.is_used() {
        return Err(Errno::EPERM);
    }
    let number = works.make(at, offset, &map)?;
    call.write(at, &number.to_ne_bytes())
}

fn set_callback_int(call: &mut Call<'_>) -> u64 {
    int(set_callback(call))
}

fn set_callback(call: &mut Call<'_>) -> Result<(), Errno> {
    let (at, function, flags) = (call.arg(0), call.arg(1), call.arg32(2));
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let (number, running) = (number(call)?, call.host().running);
    let kernel = call.kernel();
    let program = || kernel.programs.get(running);
    let callback = (running, function);
    kernel.works.set_callback(at, number, callback, program)
}

fn start_int(call: &mut Call<'_>) -> u64 {
    int(start(call))
}

fn start(call: &mut Call<'_>) -> Result<(), Errno> {
    let (at, flags) = (call.arg(0), call.arg32(1));
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let number = number(call)?;
    call.kernel().works.start(at, number, monotonic())
}
