//! The buffer that Linux would keep a packet in (`struct sk_buff`): how much room it has, and what
//! making more does to it. Programs see that in which calls fail.

use panal_uapi::Errno;

use crate::packet::TAILROOM;

/// Bytes before a packet at first (`NET_SKB_PAD`), and the unit in which more are made.
const PAD: usize = 64;

/// Smallest buffer that Linux makes when it makes a new one (`SKB_SMALL_HEAD_CACHE_SIZE`).
const SMALL: usize = 640;

/// Largest (`KMALLOC_MAX_SIZE`).
const LARGEST: usize = 4 << 20;

/// `transport_header` of a packet that has none.
const NO_TRANSPORT: u16 = u16::MAX;

/// Where a packet lies in its buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Bytes before the packet.
    head: usize,
    /// Bytes for room and packet.
    size: usize,
    /// Where the transport header is believed, counted from the buffer's start.
    transport: u16,
}

impl Room {
    /// A packet as a test run brings it.
    pub fn new(len: usize) -> Room {
        Room {
            head: PAD,
            size: (PAD + len + TAILROOM).next_power_of_two() - TAILROOM,
            transport: NO_TRANSPORT,
        }
    }

    /// So many bytes are put before the packet.
    pub fn push(&mut self, len: usize) -> Result<(), Errno> {
        if let Some(missing) = len.checked_sub(self.head).filter(|n| *n > 0) {
            let more = missing.next_multiple_of(PAD);
            self.expand(more)?;
            self.head += more;
            // Every header's place moves along, one that was never set included: from then on
            // there is a transport header.
            self.transport = self.transport.wrapping_add(more as u16);
        }
        self.head -= len;
        Ok(())
    }

    /// So many bytes are taken from the packet's start.
    pub fn pull(&mut self, len: usize) {
        self.head += len;
    }

    /// The packet's end moves.
    pub fn set_len(&mut self, len: usize) -> Result<(), Errno> {
        match (self.head + len).checked_sub(self.size) {
            Some(missing) if missing > 0 => self.expand(missing),
            _ => Ok(()),
        }
    }

    /// A new buffer, larger by so much at least. Linux uses all that its allocator gives, powers of
    /// two: each new one is twice as large, whatever is asked.
    fn expand(&mut self, by: usize) -> Result<(), Errno> {
        let wanted = (self.size + by).next_multiple_of(PAD) + TAILROOM;
        let given = if wanted <= SMALL {
            SMALL
        } else {
            wanted.next_power_of_two()
        };
        if given > LARGEST {
            return Err(Errno::ENOMEM);
        }
        self.size = given - TAILROOM;
        Ok(())
    }

    /// Where the transport header is believed, counted from the packet's start; 0 when there is none
    /// or it is before.
    pub fn transport_offset(&self) -> usize {
        match self.transport {
            NO_TRANSPORT => 0,
            at => usize::from(at).saturating_sub(self.head),
        }
    }
}
