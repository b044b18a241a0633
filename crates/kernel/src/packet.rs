//! The packet of a run: its bytes in the cage, and the context that describes them.
//!
//! The context has the uapi's own layout (`struct xdp_md`, `struct __sk_buff`), followed by the real
//! pointers, whose 32-bit stand-ins in that layout programs never read: see [`crate::program_types`].

use std::{
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
};

use panal_maps::{Block, bytes};
use panal_uapi::Errno;

use crate::helpers::tunnel::Tunnel;

use crate::skb_room::Room;

/// `ETH_HLEN`
pub(crate) const ETH_HLEN: usize = 14;

/// Room before a packet, as XDP has it (`XDP_PACKET_HEADROOM`).
pub(crate) const HEADROOM: usize = 256;

/// What Linux keeps at the end of a page for `struct skb_shared_info`.
pub(crate) const TAILROOM: usize = 320;

/// Bytes of the page that Linux puts a frame into.
pub(crate) const FRAME: usize = 4096;

/// Longest packet.
pub(crate) const LONGEST: usize = 262_144;

/// Bytes that XDP keeps at the start of the headroom (`struct xdp_frame`).
const XDP_FRAME_HEADER: usize = 40;

/// Most bytes of XDP metadata.
const METADATA_MOST: usize = 252;

/// Bytes of a packet's buffer in the cage: the packet, and as much again of room for growth as
/// headers may need.
pub(crate) const BUFFER: usize = HEADROOM + LONGEST + FRAME;

/// Where a program sent its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Redirect {
    /// To a device.
    Device {
        /// Number of the device.
        index: u32,
        /// Into it rather than out of it.
        ingress: bool,
    },
    /// To a device's peer in another namespace.
    Peer(u32),
    /// Out of a device, to a neighbour that is still to be resolved.
    Neighbour(u32),
    /// To an entry of a map.
    Map {
        /// Id of the map.
        map: u32,
        /// Key in it; `None` for every entry.
        key: Option<u32>,
        /// The device that the entry names, for maps of devices.
        device: Option<u32>,
    },
}

/// A copy of a packet that a program sent (`bpf_clone_redirect`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentCopy {
    /// Number of the device.
    pub device: u32,
    /// Into it rather than out of it.
    pub ingress: bool,
    /// The bytes as they were then.
    pub data: Vec<u8>,
}

/// What kind of context describes the packet, and where the real pointers stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Xdp,
    Skb,
}

/// The packet of a run. Offsets count from the start of the buffer.
pub(crate) struct Packet {
    pub kind: Kind,
    buffer: Block,
    context: Block,
    /// First byte of the packet as the program sees it.
    data: usize,
    /// One past the last.
    end: usize,
    /// First byte of the metadata; `data` when there is none.
    meta: usize,
    /// How far the end may move.
    limit: usize,
    /// Where the Ethernet header begins (skb).
    mac: usize,
    /// Where the network header begins (skb).
    pub network: usize,
    /// The buffer that Linux would keep it in (skb).
    room: Room,
    pub redirect: Option<Redirect>,
    pub clones: Vec<SentCopy>,
    /// What a tunnel's device is to put it into.
    pub tunnel: Option<Tunnel>,
    /// Whether the hash in the context is one, even if it is 0 (skb).
    pub hashed: bool,
}

impl Packet {
    pub fn new(buffer: Block, context: Block) -> Self {
        Packet {
            kind: Kind::Xdp,
            buffer,
            context,
            data: HEADROOM,
            end: HEADROOM,
            meta: HEADROOM,
            limit: HEADROOM,
            mac: HEADROOM,
            network: HEADROOM,
            room: Room::new(0),
            redirect: None,
            clones: Vec::new(),
            tunnel: None,
            hashed: false,
        }
    }

    /// Puts a frame into the buffer, its first `meta` bytes being metadata, and clears the context.
    /// `E2BIG` when it is too long.
    pub fn load(&mut self, kind: Kind, frame: &[u8], meta: usize) -> Result<(), Errno> {
        let len = frame.len().checked_sub(meta).ok_or(Errno::EINVAL)?;
        if len > LONGEST || meta > HEADROOM {
            return Err(Errno::E2BIG);
        }
        self.kind = kind;
        self.data = HEADROOM;
        self.meta = HEADROOM - meta;
        self.end = HEADROOM + len;
        self.limit = (FRAME - TAILROOM).max(self.end);
        if kind == Kind::Skb {
            self.limit = BUFFER;
        }
        self.mac = self.data;
        self.network = self.data + ETH_HLEN.min(len);
        self.room = Room::new(len);
        self.redirect = None;
        self.clones.clear();
        self.tunnel = None;
        self.hashed = false;
        // What an earlier packet left in the headroom is nobody's to see.
        self.put(0, &[0; HEADROOM][..self.meta]);
        self.put(self.meta, frame);
        let context = self.context_pointer();
        // SAFETY: the block is the packet's own.
        unsafe { bytes::zero(context, self.context.len()) };
        Ok(())
    }

    /// Moves the start to the network header: what programs above the link layer see.
    pub fn pull_link_header(&mut self) {
        let data = self.network.min(self.end);
        self.room.pull(data.saturating_sub(self.data));
        self.data = data;
        self.meta = self.data;
    }

    /// Moves the start back to the link header.
    pub fn push_link_header(&mut self) {
        let data = self.mac.min(self.data);
        // What was pulled before is there.
        let _ = self.room.push(self.data - data);
        self.data = data;
        self.meta = self.data;
    }

    /// Address of the context.
    pub fn context(&self) -> u64 {
        self.context.address()
    }

    /// Address of the places in the context where the packet's begin and its end stand.
    pub fn bounds_at(&self) -> u64 {
        self.context() + crate::program_types::pointers_at(self.kind) as u64
    }

    fn context_pointer(&self) -> NonNull<u8> {
        self.context.pointer()
    }

    /// A 32-bit field of the context; `None` outside, and where none can be.
    #[inline(always)]
    fn context_word(&self, offset: usize) -> Option<&AtomicU32> {
        let inside = offset.checked_add(4)? <= self.context.len() && offset.is_multiple_of(4);
        // SAFETY: inside the block, which is aligned to more than four bytes and, like all of the cage, is
        // used by others through atomics alone.
        inside.then(|| unsafe {
            AtomicU32::from_ptr(self.context_pointer().as_ptr().add(offset).cast())
        })
    }

    /// Reads a 32-bit field of the context.
    #[inline(always)]
    pub fn field(&self, offset: usize) -> u32 {
        self.context_word(offset)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Reads bytes of the context; zeros outside.
    pub fn context_bytes(&self, offset: usize, out: &mut [u8]) {
        out.fill(0);
        if offset
            .checked_add(out.len())
            .is_some_and(|end| end <= self.context.len())
        {
            // SAFETY: inside the block.
            unsafe { bytes::read(self.context_pointer().add(offset), out) }
        }
    }

    /// Writes bytes of the context; nothing outside.
    #[inline]
    pub fn set_context_bytes(&self, offset: usize, from: &[u8]) {
        if offset
            .checked_add(from.len())
            .is_some_and(|end| end <= self.context.len())
        {
            // SAFETY: inside the block.
            unsafe { bytes::write(self.context_pointer().add(offset), from) }
        }
    }

    /// Writes a 32-bit field of the context.
    #[inline(always)]
    pub fn set_field(&self, offset: usize, value: u32) {
        if let Some(word) = self.context_word(offset) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Tells the context where the packet is. Needed after every change of its bounds.
    #[inline]
    pub fn sync(&self) {
        self.show_bounds(self.kind);
        if self.kind == Kind::Skb {
            self.set_field(crate::program_types::SKB_LEN, self.len() as u32);
        }
    }

    /// The same of what contexts of all kinds have.
    #[inline(always)]
    fn show_bounds(&self, kind: Kind) {
        let base = self.buffer.address();
        let [data, end, meta] = [self.data, self.end, self.meta].map(|at| base + at as u64);
        let at = crate::program_types::pointers_at(kind);
        debug_assert!(at + 24 <= self.context.len());
        // SAFETY: the block has room for the largest context, whose last words these are.
        unsafe {
            let at = self.context_pointer().add(at);
            bytes::write_pair(at, [data, end]);
            bytes::write_u64(at.add(16), meta);
        }
    }

    /// Bytes of the packet.
    pub fn len(&self) -> usize {
        self.end - self.data
    }

    /// Address of the packet's first byte.
    pub fn address(&self) -> u64 {
        self.buffer.address() + self.data as u64
    }

    /// Address and bytes of metadata and packet together.
    pub fn extent(&self) -> (u64, u64) {
        (
            self.buffer.address() + self.meta as u64,
            (self.end - self.meta) as u64,
        )
    }

    /// Bytes of metadata before it.
    pub fn meta_len(&self) -> usize {
        self.data - self.meta
    }

    /// Where the network header begins, counted from the packet's start.
    pub fn network_offset(&self) -> i64 {
        self.network as i64 - self.data as i64
    }

    /// Fewest bytes that Linux cuts a packet to (`__bpf_skb_min_len`).
    pub fn least_len(&self) -> usize {
        match self.room.transport_offset() {
            0 => usize::try_from(self.network_offset()).unwrap_or(0),
            transport => transport,
        }
    }

    /// Where the link header begins, counted from the packet's start.
    pub fn mac_offset(&self) -> i64 {
        self.mac as i64 - self.data as i64
    }

    #[inline]
    fn put(&mut self, at: usize, from: &[u8]) {
        debug_assert!(at + from.len() <= self.buffer.len());
        // SAFETY: callers keep the range inside the buffer.
        unsafe { bytes::write(self.buffer.pointer().add(at), from) }
    }

    #[inline]
    fn take(&self, at: usize, out: &mut [u8]) {
        debug_assert!(at + out.len() <= self.buffer.len());
        // SAFETY: callers keep the range inside the buffer.
        unsafe { bytes::read(self.buffer.pointer().add(at), out) }
    }

    /// Moves bytes within the buffer, over each other or not. Headers are short.
    fn slide(&mut self, from: usize, to: usize, len: usize) {
        let mut short = [0; 128];
        let mut long;
        let bytes = match short.get_mut(..len) {
            Some(short) => short,
            None => {
                long = vec![0; len];
                &mut long[..]
            }
        };
        self.take(from, bytes);
        self.put(to, bytes);
    }

    #[inline(always)]
    fn range(&self, offset: i64, len: usize, from: usize) -> Option<usize> {
        let at = usize::try_from((self.data as i64).checked_add(offset)?).ok()?;
        (at >= from && at.checked_add(len)? <= self.end).then_some(at)
    }

    /// Address of bytes of the packet; `None` outside.
    #[inline]
    pub fn place(&self, offset: u32, len: usize) -> Option<u64> {
        let at = self.range(offset.into(), len, self.data)?;
        (offset <= i32::MAX as u32).then(|| self.buffer.address() + at as u64)
    }

    /// Address of bytes that may lie before the packet's start, from the link header on; `None` outside.
    #[inline]
    pub fn place_of_header(&self, offset: i64, len: usize) -> Option<u64> {
        let at = self.range(offset, len, self.mac.min(self.data))?;
        Some(self.buffer.address() + at as u64)
    }

    /// Reads bytes of the packet; `EFAULT` outside.
    #[inline]
    pub fn read(&self, offset: usize, out: &mut [u8]) -> Result<(), Errno> {
        self.read_signed(offset as i64, out, self.data)
    }

    /// Reads bytes that may lie before the packet's start, from the link header on.
    pub fn read_headers(&self, offset: i64, out: &mut [u8]) -> Result<(), Errno> {
        self.read_signed(offset, out, self.mac.min(self.data))
    }

    fn read_signed(&self, offset: i64, out: &mut [u8], from: usize) -> Result<(), Errno> {
        let at = self.range(offset, out.len(), from).ok_or(Errno::EFAULT)?;
        self.take(at, out);
        Ok(())
    }

    /// Two bytes of the packet as they stand in memory; `EFAULT` outside.
    #[inline(always)]
    pub fn u16_at(&self, offset: usize) -> Result<u16, Errno> {
        let at = self.range(offset as i64, 2, self.data);
        let at = self.buffer_at(at.ok_or(Errno::EFAULT)?);
        // SAFETY: inside the buffer.
        Ok(unsafe { bytes::read_u16(at) })
    }

    /// Writes two bytes of the packet; `EFAULT` outside.
    #[inline(always)]
    pub fn set_u16(&mut self, offset: usize, value: u16) -> Result<(), Errno> {
        let at = self.range(offset as i64, 2, self.data);
        let at = self.buffer_at(at.ok_or(Errno::EFAULT)?);
        // SAFETY: inside the buffer.
        unsafe { bytes::write_u16(at, value) };
        Ok(())
    }

    #[inline(always)]
    fn buffer_at(&self, at: usize) -> NonNull<u8> {
        debug_assert!(at <= self.buffer.len());
        // SAFETY: callers keep it inside the buffer.
        unsafe { self.buffer.pointer().add(at) }
    }

    /// Writes bytes of the packet; `EFAULT` outside.
    #[inline]
    pub fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), Errno> {
        let at = self
            .range(offset as i64, from.len(), self.data)
            .ok_or(Errno::EFAULT)?;
        self.put(at, from);
        Ok(())
    }

    /// The packet.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.bytes_into(&mut out);
        out
    }

    /// The packet, into a buffer that is used again.
    pub fn bytes_into(&self, out: &mut Vec<u8>) {
        out.resize(self.len(), 0);
        self.take(self.data, out);
    }

    /// The frame from its link header on, into a buffer that is used again.
    pub fn frame_into(&self, out: &mut Vec<u8>) {
        let from = if self.kind == Kind::Skb {
            self.mac.min(self.data)
        } else {
            self.data
        };
        out.resize(self.end - from, 0);
        self.take(from, out);
    }

    /// Metadata and packet.
    pub fn bytes_with_meta(&self) -> Vec<u8> {
        let mut out = vec![0; self.end - self.meta];
        self.take(self.meta, &mut out);
        out
    }

    /// Moves the start of an XDP frame.
    #[inline]
    pub fn adjust_head(&mut self, delta: i32) -> Result<(), Errno> {
        let meta_len = self.meta_len();
        let data = self.data as i64 + i64::from(delta);
        let most = self.end as i64 - ETH_HLEN as i64;
        if data < (XDP_FRAME_HEADER + meta_len) as i64 || data > most {
            return Err(Errno::EINVAL);
        }
        let old = self.meta;
        self.data = data as usize;
        self.meta = self.data - meta_len;
        if meta_len > 0 {
            self.slide(old, self.meta, meta_len);
        }
        self.mac = self.data;
        self.show_bounds(Kind::Xdp);
        Ok(())
    }

    /// Moves the end of an XDP frame; new bytes are zero.
    #[inline]
    pub fn adjust_tail(&mut self, delta: i32) -> Result<(), Errno> {
        let end = self.end as i64 + i64::from(delta);
        if end > self.limit as i64 || end < (self.data + ETH_HLEN) as i64 {
            return Err(Errno::EINVAL);
        }
        self.set_end(end as usize);
        Ok(())
    }

    /// Moves the end within the buffer; new bytes are zero.
    #[inline]
    fn set_end(&mut self, end: usize) {
        if let Some(grown) = end.checked_sub(self.end) {
            // SAFETY: callers keep the end within the buffer.
            unsafe { bytes::zero(self.buffer.pointer().add(self.end), grown) };
        }
        self.end = end;
        self.sync();
    }

    /// Moves the start of an XDP frame's metadata.
    #[inline]
    pub fn adjust_meta(&mut self, delta: i32) -> Result<(), Errno> {
        let meta = self.meta as i64 + i64::from(delta);
        if meta < XDP_FRAME_HEADER as i64 || meta > self.data as i64 {
            return Err(Errno::EINVAL);
        }
        let len = self.data - meta as usize;
        if !len.is_multiple_of(4) || len > METADATA_MOST {
            return Err(Errno::EACCES);
        }
        self.meta = meta as usize;
        self.show_bounds(Kind::Xdp);
        Ok(())
    }

    /// Sets the length of a packet (skb): cut, or grown by zeros.
    pub fn set_len(&mut self, len: usize) -> Result<(), Errno> {
        let end = self
            .data
            .checked_add(len)
            .filter(|&end| end <= BUFFER)
            .ok_or(Errno::ENOMEM)?;
        self.room.set_len(len)?;
        self.set_end(end);
        Ok(())
    }

    /// Adds zeros before the packet; there the link header begins from now on (skb).
    pub fn grow_head(&mut self, len: usize) -> Result<(), Errno> {
        self.room.push(len)?;
        if self.data < len {
            self.shift(len.max(HEADROOM))?;
        }
        self.data -= len;
        self.mac = self.data;
        self.meta = self.data;
        // SAFETY: the room was made above.
        unsafe { bytes::zero(self.buffer.pointer().add(self.data), len) };
        self.sync();
        Ok(())
    }

    /// Opens a gap of zeros `at` bytes into the packet by moving what stands before it (skb). The
    /// network header moves along unless the gap opens before it.
    pub fn insert(&mut self, at: usize, len: usize) -> Result<(), Errno> {
        if at > self.len() {
            return Err(Errno::EFAULT);
        }
        self.room.push(len)?;
        // Headers move into the headroom; a packet that has none left moves as a whole.
        let first = self.mac.min(self.data);
        if first < len {
            self.shift(len.max(HEADROOM))?;
        }
        let first = self.mac.min(self.data);
        let head = self.data + at - first;
        if at as i64 >= self.network_offset() {
            self.network -= len;
        }
        self.mac -= len;
        self.data -= len;
        self.slide(first, first - len, head);
        let gap = self.data + at;
        // SAFETY: the gap lies where the head's end stood before.
        unsafe { bytes::zero(self.buffer.pointer().add(gap), len) };
        self.meta = self.data;
        self.sync();
        Ok(())
    }

    /// Moves everything towards the buffer's end, to make headroom.
    fn shift(&mut self, by: usize) -> Result<(), Errno> {
        let first = self.mac.min(self.data);
        if self.end + by > BUFFER {
            return Err(Errno::ENOMEM);
        }
        let all = self.end - first;
        for offset in [
            &mut self.data,
            &mut self.end,
            &mut self.mac,
            &mut self.network,
        ] {
            *offset += by;
        }
        self.meta = self.data;
        self.slide(first, first + by, all);
        Ok(())
    }

    /// Takes `len` bytes out, `at` bytes into the packet, by moving what stands before them (skb).
    pub fn remove(&mut self, at: usize, len: usize) -> Result<(), Errno> {
        if at.checked_add(len).is_none_or(|end| end > self.len()) {
            return Err(Errno::EFAULT);
        }
        let first = self.mac.min(self.data);
        self.slide(first, first + len, self.data + at - first);
        if at as i64 >= self.network_offset() {
            self.network += len;
        }
        self.mac += len;
        self.room.pull(len);
        self.data += len;
        self.meta = self.data;
        self.sync();
        Ok(())
    }
}
