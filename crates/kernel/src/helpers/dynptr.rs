//! Dynptrs: 16 bytes on a program's stack that stand for memory whose size is known at run time only.
//!
//! A dynptr holds an address, a size whose upper bits tell its kind and whether it is read-only, and
//! an offset, as [`panal_vm::dynptr`] says.

use panal_maps::RingBuf;
use panal_uapi::Errno;
use panal_vm::dynptr::{PACKET, READ_ONLY, SIZE_MASK};

use crate::packet::{self, Packet};

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

/// Largest memory behind a dynptr (`DYNPTR_MAX_SIZE`).
const MOST: u64 = SIZE_MASK as u64;

/// Where the kind stands in what tells the size.
const KIND_SHIFT: u32 = 28;
const KIND_MASK: u32 = 7;
const LOCAL: u32 = 1;
const RINGBUF: u32 = 2;
/// Kinds of packets have the bit that says so.
const SKB: u32 = PACKET >> KIND_SHIFT;
const XDP: u32 = SKB | 1;

/// What a dynptr stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Memory at the dynptr's address.
    Memory,
    /// The packet of the run, counted from where it begins at the time.
    Packet,
}

/// A dynptr as it was read.
#[derive(Clone, Copy)]
pub(crate) struct Dynptr {
    /// Address of the memory; of a packet's, any but 0. 0: null.
    pub data: u64,
    pub size: u32,
    pub offset: u32,
    pub read_only: bool,
    kind: u32,
}

impl Dynptr {
    #[inline(always)]
    pub fn read(call: &Call<'_>, at: u64) -> Result<Self, Errno> {
        let [data, rest] = call.read_pair(at)?;
        let (word, offset) = (rest as u32, (rest >> 32) as u32);
        Ok(Dynptr {
            data,
            size: word & SIZE_MASK,
            offset,
            read_only: word & READ_ONLY != 0,
            kind: word >> KIND_SHIFT & KIND_MASK,
        })
    }

    /// What one for packets of a kind says of itself, beside its size.
    pub fn marks_of(kind: packet::Kind, read_only: bool) -> u32 {
        let number = match kind {
            packet::Kind::Skb => SKB,
            packet::Kind::Xdp => XDP,
        };
        number << KIND_SHIFT | if read_only { READ_ONLY } else { 0 }
    }

    /// One for the packet of the run, of its length now.
    pub fn of_packet(packet: &Packet, read_only: bool) -> Self {
        Dynptr {
            data: packet.bounds_at(),
            size: packet.len() as u32,
            offset: 0,
            read_only,
            kind: Self::marks_of(packet.kind, false) >> KIND_SHIFT,
        }
    }

    /// Writes it to its place on the program's stack.
    #[inline(always)]
    pub fn write(&self, call: &Call<'_>, to: u64) -> Result<(), Errno> {
        let word = self.size | self.kind << KIND_SHIFT | if self.read_only { READ_ONLY } else { 0 };
        let rest = u64::from(word) | u64::from(self.offset) << 32;
        call.write_pair(to, [self.data, rest])
    }

    /// Writes null.
    #[inline(always)]
    pub fn write_null(call: &Call<'_>, to: u64) -> Result<(), Errno> {
        call.write_pair(to, [0; 2])
    }

    fn place(&self) -> Place {
        match self.kind & SKB {
            0 => Place::Memory,
            _ => Place::Packet,
        }
    }

    /// `E2BIG` for what lies beyond the end.
    #[inline(always)]
    pub fn check(&self, offset: u32, len: u64) -> Result<(), Errno> {
        let size = u64::from(self.size);
        if len > size || u64::from(offset) > size - len {
            Err(Errno::E2BIG)
        } else {
            Ok(())
        }
    }

    /// Copies bytes out.
    pub fn load(&self, call: &mut Call<'_>, offset: u32, len: u64) -> Result<Vec<u8>, Errno> {
        if self.data == 0 {
            return Err(Errno::EINVAL);
        }
        self.check(offset, len)?;
        match self.place() {
            Place::Memory => call.read_vec(self.address(offset), len as usize),
            Place::Packet => {
                let mut bytes = vec![0; len as usize];
                let from = self.offset as usize + offset as usize;
                let beyond = self.beyond_packet();
                call.packet()?.read(from, &mut bytes).map_err(|_| beyond)?;
                Ok(bytes)
            }
        }
    }

    /// Copies bytes in. Flags are those of `bpf_skb_store_bytes`, for packets of that kind.
    pub fn store(
        &self,
        call: &mut Call<'_>,
        offset: u32,
        bytes: &[u8],
        flags: u64,
    ) -> Result<(), Errno> {
        if self.data == 0 || self.read_only {
            return Err(Errno::EINVAL);
        }
        self.check(offset, bytes.len() as u64)?;
        if self.kind != SKB && flags != 0 {
            return Err(Errno::EINVAL);
        }
        match self.place() {
            Place::Memory => call.write(self.address(offset), bytes),
            Place::Packet => {
                let at = self.offset as usize + offset as usize;
                if self.kind == SKB {
                    return super::skb::store_bytes(call.packet()?, at, bytes, flags);
                }
                let beyond = self.beyond_packet();
                call.packet()?.write(at, bytes).map_err(|_| beyond)
            }
        }
    }

    /// Address of bytes that can be accessed directly; `None` where there are none.
    #[inline(always)]
    pub fn slice(&self, call: &mut Call<'_>, offset: u32, len: u64) -> Option<u64> {
        if self.data == 0 {
            return None;
        }
        self.check(offset, len).ok()?;
        match self.place() {
            Place::Memory => Some(self.address(offset)),
            Place::Packet => {
                let at = u64::from(self.offset) + u64::from(offset);
                let packet = call.packet().ok()?;
                let inside = at.checked_add(len)? <= packet.len() as u64;
                inside.then(|| packet.address() + at)
            }
        }
    }

    fn address(&self, offset: u32) -> u64 {
        self.data
            .wrapping_add(self.offset.into())
            .wrapping_add(offset.into())
    }

    /// The packet has become shorter than the dynptr says.
    fn beyond_packet(&self) -> Errno {
        if self.kind == XDP {
            Errno::EINVAL
        } else {
            Errno::EFAULT
        }
    }

    /// Writes a dynptr for memory that the program may read and write while the dynptr lives.
    pub fn store_local(call: &Call<'_>, to: u64, data: u64, size: u32) -> Result<(), Errno> {
        Dynptr::of_memory(data, size, LOCAL).write(call, to)
    }

    fn of_memory(data: u64, size: u32, kind: u32) -> Self {
        Dynptr {
            data,
            size,
            offset: 0,
            read_only: false,
            kind,
        }
    }
}

fn dynptr_from_mem(call: &mut Call<'_>) -> Result<(), Errno> {
    let (data, size, flags, to) = (call.arg(0), call.arg32(1), call.arg(2), call.arg(3));
    if u64::from(size) > MOST || flags != 0 {
        Dynptr::write_null(call, to)?;
        return Err(if flags != 0 {
            Errno::EINVAL
        } else {
            Errno::E2BIG
        });
    }
    Dynptr::store_local(call, to, data, size)
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
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    if let Some(from) = dynptr.slice(call, offset, len)
        && call.copy_inside(from, to, len as usize)
    {
        return Ok(());
    }
    let bytes = dynptr.load(call, offset, len)?;
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
    if dynptr.data == 0 || dynptr.read_only {
        return Err(Errno::EINVAL);
    }
    dynptr.check(offset, len)?;
    if flags == 0
        && let Some(to) = dynptr.slice(call, offset, len)
        && call.copy_inside(from, to, len as usize)
    {
        return Ok(());
    }
    let bytes = call.read_vec(from, len as usize)?;
    dynptr.store(call, offset, &bytes, flags)
}

fn dynptr_data(call: &mut Call<'_>) -> Result<u64, Errno> {
    let dynptr = Dynptr::read(call, call.arg(0))?;
    if dynptr.read_only || dynptr.place() != Place::Memory {
        return Ok(0);
    }
    let (offset, len) = (call.arg32(1), call.arg(2));
    Ok(dynptr.slice(call, offset, len).unwrap_or(0))
}

fn ringbuf_reserve_dynptr(call: &mut Call<'_>) -> Result<(), Errno> {
    let (size, flags, to) = (call.arg32(1), call.arg(2), call.arg(3));
    Dynptr::write_null(call, to)?;
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    if u64::from(size) > MOST {
        return Err(Errno::E2BIG);
    }
    let ring: &RingBuf = call.map_as(0)?;
    let record = ring.reserve(size.into()).ok_or(Errno::EINVAL)?;
    let address = hold(call, record);
    Dynptr::of_memory(address, size, RINGBUF).write(call, to)
}

fn finish(call: &mut Call<'_>, discard: bool) -> Result<(), Errno> {
    let at = call.arg(0);
    let dynptr = Dynptr::read(call, at)?;
    if dynptr.data != 0 {
        commit(call, dynptr.data, call.arg(1), discard);
        Dynptr::write_null(call, at)?;
    }
    Ok(())
}

fn ringbuf_submit_dynptr(call: &mut Call<'_>) -> Result<(), Errno> {
    finish(call, false)
}

fn ringbuf_discard_dynptr(call: &mut Call<'_>) -> Result<(), Errno> {
    finish(call, true)
}
