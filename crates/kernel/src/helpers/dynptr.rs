//! Dynptrs: 16 bytes on a program's stack that stand for memory whose size is known at run time only.
//!
//! A dynptr holds an address, a size whose upper bits tell its kind and whether it is read-only, and
//! an offset, as `struct bpf_dynptr_kern` does.

use panal_maps::RingBuf;
use panal_uapi::Errno;

use super::{
    call::{Call, implement},
    ringbuf::{commit, hold},
};

implement! {
    BPF_FUNC_dynptr_from_mem => dynptr_from_mem;
    BPF_FUNC_dynptr_read => dynptr_read;
    BPF_FUNC_dynptr_write => dynptr_write;
    BPF_FUNC_dynptr_data => dynptr_data;
    BPF_FUNC_ringbuf_reserve_dynptr => ringbuf_reserve_dynptr;
    BPF_FUNC_ringbuf_submit_dynptr => ringbuf_submit_dynptr;
    BPF_FUNC_ringbuf_discard_dynptr => ringbuf_discard_dynptr;
}

/// Bytes of a dynptr.
pub(super) const SIZE: usize = 16;

/// Largest memory behind a dynptr (`DYNPTR_MAX_SIZE`).
const MOST: u64 = (1 << 24) - 1;

const KIND_SHIFT: u32 = 28;
const READ_ONLY: u32 = 1 << 31;
const LOCAL: u32 = 1;
const RINGBUF: u32 = 2;

/// A dynptr as it was read.
pub(crate) struct Dynptr {
    pub data: u64,
    pub size: u32,
    pub offset: u32,
    pub read_only: bool,
}

impl Dynptr {
    pub fn read(call: &Call<'_>, at: u64) -> Result<Self, Errno> {
        let mut raw = [0; SIZE];
        call.read(at, &mut raw)?;
        let [
            d0,
            d1,
            d2,
            d3,
            d4,
            d5,
            d6,
            d7,
            s0,
            s1,
            s2,
            s3,
            o0,
            o1,
            o2,
            o3,
        ] = raw;
        let word = u32::from_ne_bytes([s0, s1, s2, s3]);
        Ok(Dynptr {
            data: u64::from_ne_bytes([d0, d1, d2, d3, d4, d5, d6, d7]),
            size: word & MOST as u32,
            offset: u32::from_ne_bytes([o0, o1, o2, o3]),
            read_only: word & READ_ONLY != 0,
        })
    }

    /// Writes a dynptr for memory that the program may read and write while the dynptr lives.
    pub fn store_local(call: &Call<'_>, to: u64, data: u64, size: u32) -> Result<(), Errno> {
        store(call, to, data, size, LOCAL)
    }

    /// The address of `len` bytes at `offset`; `E2BIG` beyond the end.
    fn at(&self, offset: u32, len: u64) -> Result<u64, Errno> {
        let size = u64::from(self.size);
        if len > size || u64::from(offset) > size - len {
            return Err(Errno::E2BIG);
        }
        Ok(self
            .data
            .wrapping_add(self.offset.into())
            .wrapping_add(offset.into()))
    }
}

fn store(call: &Call<'_>, to: u64, data: u64, size: u32, kind: u32) -> Result<(), Errno> {
    let mut raw = [0; SIZE];
    raw[..8].copy_from_slice(&data.to_ne_bytes());
    raw[8..12].copy_from_slice(&(size | kind << KIND_SHIFT).to_ne_bytes());
    call.write(to, &raw)
}

fn dynptr_from_mem(call: &mut Call<'_>) -> Result<(), Errno> {
    let (data, size, flags, to) = (call.arg(0), call.arg32(1), call.arg(2), call.arg(3));
    if u64::from(size) > MOST || flags != 0 {
        call.zero(to, SIZE)?;
        return Err(if flags != 0 {
            Errno::EINVAL
        } else {
            Errno::E2BIG
        });
    }
    store(call, to, data, size, LOCAL)
}

fn dynptr_read(call: &mut Call<'_>) -> Result<(), Errno> {
    let (to, len, from, offset, flags) = (
        call.arg(0),
        call.arg(1),
        call.arg(2),
        call.arg32(3),
        call.arg(4),
    );
    let dynptr = Dynptr::read(call, from)?;
    if dynptr.data == 0 || flags != 0 {
        return Err(Errno::EINVAL);
    }
    let bytes = call.read_vec(dynptr.at(offset, len)?, len as usize)?;
    call.write(to, &bytes)
}

fn dynptr_write(call: &mut Call<'_>) -> Result<(), Errno> {
    let (to, offset, from, len, flags) = (
        call.arg(0),
        call.arg32(1),
        call.arg(2),
        call.arg(3),
        call.arg(4),
    );
    let dynptr = Dynptr::read(call, to)?;
    if dynptr.data == 0 || dynptr.read_only || flags != 0 {
        return Err(Errno::EINVAL);
    }
    let at = dynptr.at(offset, len)?;
    let bytes = call.read_vec(from, len as usize)?;
    call.write(at, &bytes)
}

fn dynptr_data(call: &mut Call<'_>) -> Result<u64, Errno> {
    let dynptr = Dynptr::read(call, call.arg(0))?;
    if dynptr.data == 0 || dynptr.read_only {
        return Ok(0);
    }
    Ok(dynptr.at(call.arg32(1), call.arg(2)).unwrap_or(0))
}

fn ringbuf_reserve_dynptr(call: &mut Call<'_>) -> Result<(), Errno> {
    let (size, flags, to) = (call.arg32(1), call.arg(2), call.arg(3));
    call.zero(to, SIZE)?;
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    if u64::from(size) > MOST {
        return Err(Errno::E2BIG);
    }
    let ring: &RingBuf = call.map_as(0)?;
    let record = ring.reserve(size.into()).ok_or(Errno::EINVAL)?;
    let address = hold(call, record);
    store(call, to, address, size, RINGBUF)
}

fn finish(call: &mut Call<'_>, discard: bool) -> Result<(), Errno> {
    let at = call.arg(0);
    let dynptr = Dynptr::read(call, at)?;
    if dynptr.data != 0 {
        commit(call, dynptr.data, call.arg(1), discard);
        call.zero(at, SIZE)?;
    }
    Ok(())
}

fn ringbuf_submit_dynptr(call: &mut Call<'_>) -> Result<(), Errno> {
    finish(call, false)
}

fn ringbuf_discard_dynptr(call: &mut Call<'_>) -> Result<(), Errno> {
    finish(call, true)
}
