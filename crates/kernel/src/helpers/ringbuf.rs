//! Ring buffers and perf events: records for user space.

use std::ptr::NonNull;

use panal_maps::{PerfEventArray, RingBuf, UserRingBuf};
use panal_uapi::Errno;

use super::{
    call::{Call, implement},
    dynptr::{Dynptr, SIZE as DYNPTR_SIZE},
    map::call_back,
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

/// Notes that the program writes a record; its address.
pub(super) fn hold(call: &mut Call<'_>, record: NonNull<u8>) -> u64 {
    let address = record.as_ptr() as u64;
    call.host().held.take(Resource::Record(address));
    address
}

/// Submits or discards the record at an address, if the program is writing it.
pub(super) fn commit(call: &mut Call<'_>, address: u64, flags: u64, discard: bool) {
    if !call.host().held.give(Resource::Record(address)) {
        return;
    }
    let rings = &call.host().kernel.map_host.rings;
    // SAFETY: helpers run on a CPU. What is no record is left alone.
    unsafe { rings.commit(address, flags, discard) };
}

fn ringbuf_submit(call: &mut Call<'_>) {
    commit(call, call.arg(0), call.arg(1), false);
}

fn ringbuf_discard(call: &mut Call<'_>) {
    commit(call, call.arg(0), call.arg(1), true);
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
    call.host().index_word += DYNPTR_SIZE as u64;
    let taken = ring.drain(flags, &mut |sample| {
        if Dynptr::store_local(call, dynptr_at, sample.address, sample.len).is_err() {
            return false;
        }
        call_back(call, function, [dynptr_at, context, 0, 0, 0]) == Some(0)
    });
    call.host().index_word -= DYNPTR_SIZE as u64;
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
    let mut packet_bytes = Vec::new();
    if packet_len > 0 {
        let packet = call.packet()?;
        if packet_len > packet.len() {
            return Err(Errno::EFAULT);
        }
        packet_bytes.resize(packet_len, 0);
        packet.read(0, &mut packet_bytes)?;
    }
    let index = match flags & INDEX_MASK {
        CURRENT_CPU => call.cpu(),
        index => index as u32,
    };
    let sample = call.read_vec(call.arg(3), call.arg(4) as usize)?;
    events.output(index, &[&sample, &packet_bytes])
}
