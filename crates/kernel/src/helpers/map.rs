//! Maps.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use panal_maps::{DirectValues, ElementKey};
use panal_uapi::{Errno, profile::BPF_MAX_LOOPS};
use panal_vm::{Callback, Run};

use super::call::{Call, implement};

implement! {
    BPF_FUNC_map_lookup_elem => map_lookup_elem;
    BPF_FUNC_map_update_elem => map_update_elem;
    BPF_FUNC_map_delete_elem => map_delete_elem;
    BPF_FUNC_map_push_elem => map_push_elem;
    BPF_FUNC_map_pop_elem => map_pop_elem;
    BPF_FUNC_map_peek_elem => map_peek_elem;
    BPF_FUNC_map_lookup_percpu_elem => map_lookup_percpu_elem;
    BPF_FUNC_for_each_map_elem => for_each_map_elem;
    BPF_FUNC_loop => r#loop;
}

/// A key, compiled for the usual sizes by themselves.
#[inline(always)]
fn with_key<T>(
    call: &Call<'_>,
    address: u64,
    size: usize,
    act: impl FnOnce(&[u8]) -> T,
) -> Result<T, Errno> {
    match size {
        4 => Ok(act(&call.read_array::<4>(address)?)),
        8 => Ok(act(&call.read_array::<8>(address)?)),
        16 => Ok(act(&call.read_array::<16>(address)?)),
        _ => call.with_copy(address, size, |key| act(key)),
    }
}

#[inline(always)]
fn map_lookup_elem(call: &mut Call<'_>) -> Result<u64, Errno> {
    // SAFETY: helpers run on a CPU, which the session holds until the run has ended.
    let values = unsafe { call.kernel().handles.direct(call.arg(0)) };
    // A key that lies anyhow is copied first.
    match (values, call.half(1)) {
        (Some(values), Ok(key)) => Ok(element(call, values, key.load(Relaxed))),
        _ => look_up(call),
    }
}

/// By itself, so that the short way needs no registers that outlive a call.
#[inline(never)]
fn look_up(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (map, cpu) = (call.map(0)?, call.cpu());
    let size = map.base().def().key_size as usize;
    let found = with_key(call, call.arg(1), size, |key| map.lookup(key, cpu));
    Ok(found
        .ok()
        .flatten()
        .map_or(0, |value| value.as_ptr() as u64))
}

/// The value of an array that is known by its handle only: an inner map.
#[inline(always)]
fn element(call: &Call<'_>, values: &DirectValues, index: u32) -> u64 {
    if index >= values.count {
        return 0;
    }
    let own = u64::from(call.cpu()) * u64::from(values.plane);
    values.first + own + u64::from(index) * u64::from(values.stride)
}

fn map_lookup_percpu_elem(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (map, cpu) = (call.map(0)?, call.arg32(2));
    let size = map.base().def().key_size as usize;
    let found = with_key(call, call.arg(1), size, |key| map.lookup_percpu(key, cpu));
    Ok(found
        .ok()
        .flatten()
        .map_or(0, |value| value.as_ptr() as u64))
}

fn map_update_elem(call: &mut Call<'_>) -> Result<(), Errno> {
    let (map, cpu, flags) = (call.map(0)?, call.cpu(), call.arg(3));
    let def = map.base().def();
    let (key_size, value_size) = (def.key_size as usize, def.value_size as usize);
    call.with_copy(call.arg(1), key_size, |key| {
        call.with_copy(call.arg(2), value_size, |value| {
            replacing(call, map, key, || map.update(key, value, flags, cpu))
        })?
    })?
}

/// Changes an element; its timers go if that worked.
fn replacing(
    call: &Call<'_>,
    map: &dyn panal_maps::Map,
    key: &[u8],
    act: impl FnOnce() -> Result<(), Errno>,
) -> Result<(), Errno> {
    if map.base().def().fields.is_empty() {
        return act();
    }
    let kernel = call.kernel();
    let works = || kernel.works.replacing(map, key, act);
    kernel.timers.replacing(map, key, works)
}

fn map_delete_elem(call: &mut Call<'_>) -> Result<(), Errno> {
    let map = call.map(0)?;
    let size = map.base().def().key_size as usize;
    call.with_copy(call.arg(1), size, |key| {
        replacing(call, map, key, || map.delete(key))
    })?
}

fn map_push_elem(call: &mut Call<'_>) -> Result<(), Errno> {
    let (map, flags) = (call.map(0)?, call.arg(2));
    let size = map.base().def().value_size as usize;
    call.with_copy(call.arg(1), size, |value| map.push(value, flags))?
}

/// Pops or peeks into a copy of the program's buffer, which a bloom filter reads.
fn take(
    call: &mut Call<'_>,
    take: impl FnOnce(&dyn panal_maps::Map, &mut [u8]) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let map = call.map(0)?;
    let to = call.arg(1);
    call.with_copy(to, map.base().def().value_size as usize, |value| {
        let result = take(map, value);
        call.write(to, value)?;
        result
    })?
}

fn map_pop_elem(call: &mut Call<'_>) -> Result<(), Errno> {
    take(call, |map, value| map.pop(value))
}

fn map_peek_elem(call: &mut Call<'_>) -> Result<(), Errno> {
    take(call, |map, value| map.peek(value))
}

/// A function of the program that a helper calls.
pub(super) fn callback(call: &mut Call<'_>, function: u64) -> Callback {
    // SAFETY: the run is the one that called.
    unsafe { Run::callback(call.run(), function) }
}

/// Calls it. `None` when the run was stopped in it.
#[inline]
pub(super) fn call_back(_: &mut Call<'_>, function: &Callback, args: [u64; 5]) -> Option<u64> {
    // SAFETY: the helper that asked for the function is still at work, and the verifier checked the
    // function for these arguments. No other reference to the run or its host is used until it
    // returns: the call is borrowed exclusively.
    unsafe { function.call(args) }
}

fn for_each_map_elem(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (map, cpu) = (call.map(0)?, call.cpu());
    let (handle, function, context, flags) = (call.arg(0), call.arg(1), call.arg(2), call.arg(3));
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    // An index has no place in the cage of its own: it is shown in a word of the run's. Nested calls
    // use the words after it.
    let index_at = call.host().index_word;
    let shown = call.inside(index_at, 4)?;
    // SAFETY: inside the cage, which outlives the call and is used by atomics alone; words are aligned.
    let shown = unsafe { AtomicU32::from_ptr(shown.as_ptr().cast()) };
    call.host().index_word += 8;
    let function = callback(call, function);
    let visited = map.for_each(cpu, &mut |key, value| {
        let key = match key {
            ElementKey::InCage(key) => key.as_ptr() as u64,
            ElementKey::Index(index) => {
                shown.store(index, Relaxed);
                index_at
            }
        };
        let args = [handle, key, value.as_ptr() as u64, context, 0];
        call_back(call, &function, args) == Some(0)
    });
    call.host().index_word -= 8;
    visited
}

fn r#loop(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (rounds, function, context, flags) = (call.arg32(0), call.arg(1), call.arg(2), call.arg(3));
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    if rounds > BPF_MAX_LOOPS {
        return Err(Errno::E2BIG);
    }
    let function = callback(call, function);
    for round in 0..rounds {
        match call_back(call, &function, [round.into(), context, 0, 0, 0]) {
            Some(0) => {}
            _ => return Ok((round + 1).into()),
        }
    }
    Ok(rounds.into())
}
