//! Ring buffers and perf events: records for user space.

use std::ptr::NonNull;

use panal_maps::{PerfEventArray, RingBuf, UserRingBuf};
use panal_uapi::Errno;
use panal_vm::{Run, dynptr};

use super::{
    call::{Call, IntoReturn, implement},
    dynptr::Dynptr,
    map::{call_back, callback},
};
use crate::held::Resource;

implement! {
    BPF_FUNC_ringbuf_output => ringbuf_output;
    BPF_FUNC_ringbuf_reserve => ringbuf_reserve;
    BPF_FUNC_ringbuf_submit => ringbuf_submit;
    BPF_FUNC_ringbuf_discard => ringbuf_discard;
    BPF_FUNC_ringbuf_query => ringbuf_query;
    BPF_FUNC_user_ringbuf_drain => user_ringbuf_drain;
    BPF_FUNC_perf_event_output => perf_event_output;
}

fn ringbuf_output(call: &mut Call<'_>) -> Result<(), Errno> {
    let ring: &RingBuf = call.map_as(0)?;
    let record = call.read_vec(call.arg(1), call.arg(2) as usize)?;
    ring.output(&record, call.arg(3))
}

fn ringbuf_reserve(call: &mut Call<'_>) -> Result<u64, Errno> {
    let ring: &RingBuf = call.map_as(0)?;
    let (size, flags) = (call.arg(1), call.arg(2));
    if flags != 0 {
        return Ok(0);
    }
    let Some(record) = ring.reserve(size) else {
        return Ok(0);
    };
    Ok(hold(call, record))
}

/// [`ringbuf_reserve`] in a ring that is known.
///
/// # Safety
/// `ring` is the address of a [`RingBuf`] that the program holds as long as it lives; the rest as for
/// every [`panal_vm::HelperFn`].
pub(super) unsafe extern "C" fn reserve_in(
    ring: u64,
    size: u64,
    flags: u64,
    _: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise.
    let (ring, mut call) = unsafe { (&*(ring as *const RingBuf), Call::new([0; 5], run)) };
    if flags != 0 {
        return 0;
    }
    ring.reserve(size)
        .map_or(0, |record| hold(&mut call, record))
}

/// [`ringbuf_output`] to a ring that is known.
///
/// # Safety
/// As for [`reserve_in`].
pub(super) unsafe extern "C" fn output_to(
    ring: u64,
    record: u64,
    size: u64,
    flags: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise.
    let (ring, call) = unsafe { (&*(ring as *const RingBuf), Call::new([0; 5], run)) };
    if size > OUTPUT_AT_ONCE {
        let copied = call.read_vec(record, size as usize);
        let sent = copied.and_then(|record| ring.output(&record, flags));
        return sent.into_return();
    }
    let record = match call.inside(record, size as usize) {
        Ok(record) => record,
        Err(errno) => return errno.as_return(),
    };
    // SAFETY: in the cage, all of which is mapped.
    unsafe { ring.output_from(record, size as u32, flags) }.into_return()
}

/// Most bytes that are copied without a look at whether the run has to end.
const OUTPUT_AT_ONCE: u64 = 64 << 10;

/// Notes that the program writes a record; its address.
#[inline(always)]
pub(super) fn hold(call: &mut Call<'_>, record: NonNull<u8>) -> u64 {
    let address = record.as_ptr() as u64;
    call.host().held.take(Resource::Record(address));
    address
}

/// Submits or discards the record at an address, if the program is writing it.
#[inline(always)]
pub(super) fn commit(call: &mut Call<'_>, address: u64, flags: u64, discard: bool) {
    if !call.host().held.give(Resource::Record(address)) {
        return;
    }
    let rings = &call.host().kernel.map_host.rings;
    // SAFETY: helpers run on a CPU. What is no record is left alone.
    unsafe { rings.commit(address, flags, discard) };
}

#[inline(always)]
fn ringbuf_submit(call: &mut Call<'_>) {
    commit(call, call.arg(0), call.arg(1), false);
}

#[inline(always)]
fn ringbuf_discard(call: &mut Call<'_>) {
    commit(call, call.arg(0), call.arg(1), true);
}

/// [`ringbuf_query`] of a ring that is known.
///
/// # Safety
/// As for [`reserve_in`].
pub(super) unsafe extern "C" fn query_of(
    ring: u64,
    what: u64,
    _: u64,
    _: u64,
    _: u64,
    _: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { (*(ring as *const RingBuf)).query(what) }
}

fn ringbuf_query(call: &mut Call<'_>) -> Result<u64, Errno> {
    let ring: &RingBuf = call.map_as(0)?;
    Ok(ring.query(call.arg(1)))
}

/// Each record is shown to the program's function as a dynptr, which lies in words of the run's.
fn user_ringbuf_drain(call: &mut Call<'_>) -> Result<u64, Errno> {
    let ring: &UserRingBuf = call.map_as(0)?;
    let (function, context, flags) = (call.arg(1), call.arg(2), call.arg(3));
    let dynptr_at = call.host().index_word;
    call.host().index_word += dynptr::BYTES;
    let function = callback(call, function);
    let taken = ring.drain(flags, &mut |sample| {
        if Dynptr::store_local(call, dynptr_at, sample.address, sample.len).is_err() {
            return false;
        }
        call_back(call, &function, [dynptr_at, context, 0, 0, 0]) == Some(0)
    });
    call.host().index_word -= dynptr::BYTES;
    taken
}

/// The lower half of the flags is the index, all ones for the current CPU; above stands how many
/// bytes of the packet follow the sample.
fn perf_event_output(call: &mut Call<'_>) -> Result<(), Errno> {
    const INDEX_MASK: u64 = 0xffff_ffff;
    const CURRENT_CPU: u64 = INDEX_MASK;
    const PACKET_LEN_SHIFT: u32 = 32;
    const PACKET_LEN_MASK: u64 = 0xf_ffff << PACKET_LEN_SHIFT;
    let flags = call.arg(2);
    if flags & !(INDEX_MASK | PACKET_LEN_MASK) != 0 {
        return Err(Errno::EINVAL);
    }
    let events: &PerfEventArray = call.map_as(1)?;
    let packet_len = ((flags & PACKET_LEN_MASK) >> PACKET_LEN_SHIFT) as usize;
    if packet_len > 0 && packet_len > call.packet()?.len() {
        return Err(Errno::EFAULT);
    }
    let index = match flags & INDEX_MASK {
        CURRENT_CPU => call.cpu(),
        index => index as u32,
    };
    let (from, len) = (call.arg(3), call.arg(4) as usize);
    events.output_with(index, len + packet_len, |to| {
        let (sample, packet_bytes) = to.split_at_mut(len);
        call.read(from, sample)?;
        match packet_len {
            0 => Ok(()),
            _ => call.packet()?.read(0, packet_bytes),
        }
    })
}
