//! The pcapng format (draft-ietf-opsawg-pcapng): sections of either byte order, interfaces with
//! their clocks, enhanced, simple and the old packet blocks; other blocks are passed over.

use std::io::Read;

use super::capture::{CaptureError, ETHERNET, Input, MAX_PACKET, Meta};

/// Type of a section header block, the same in both byte orders.
pub(super) const SECTION: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const INTERFACE: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const OPTION_RESOLUTION: u16 = 9;
const OPTION_OFFSET: u16 = 14;

/// Longest block that is kept in memory: a packet with generous options.
const LONGEST: u32 = MAX_PACKET + 65_536;

/// Most interfaces of a section that are remembered.
const MOST_INTERFACES: usize = 4096;

#[derive(Clone, Copy)]
struct Interface {
    link_type: u32,
    snaplen: u32,
    /// Ticks per second as a power: of two if the first is true, else of ten.
    resolution: (bool, u8),
    offset_seconds: i64,
}

impl Interface {
    fn nanoseconds(&self, ticks: u64) -> u64 {
        let (binary, power) = self.resolution;
        let ticks = u128::from(ticks);
        let ns = if binary {
            (ticks * 1_000_000_000) >> power.min(64)
        } else if power <= 9 {
            ticks * 10u128.pow(u32::from(9 - power))
        } else {
            ticks / 10u128.pow(u32::from(power - 9).min(30))
        };
        let ns = i128::try_from(ns).unwrap_or(i128::MAX);
        let shifted = ns.saturating_add(i128::from(self.offset_seconds) * 1_000_000_000);
        u64::try_from(shifted.max(0)).unwrap_or(u64::MAX)
    }
}

/// Where in a capture the reader is.
pub(super) struct State {
    big_endian: bool,
    interfaces: Vec<Interface>,
    block: Vec<u8>,
}

impl State {
    /// Reads the first section header, whose type was read already.
    pub fn open<R: Read>(input: &mut Input<R>) -> Result<Self, CaptureError> {
        let mut state = State {
            big_endian: false,
            interfaces: Vec::new(),
            block: Vec::new(),
        };
        let mut len = [0; 4];
        input.header(&mut len)?;
        state.section(input, len)?;
        Ok(state)
    }

    /// A section header: from here on another byte order may rule, and other interfaces.
    fn section<R: Read>(&mut self, input: &mut Input<R>, len: [u8; 4]) -> Result<(), CaptureError> {
        let mut order = [0; 4];
        input.header(&mut order)?;
        self.big_endian = match u32::from_le_bytes(order) {
            BYTE_ORDER => false,
            order if order.swap_bytes() == BYTE_ORDER => true,
            _ => return Err(damaged(input, "no byte-order mark in the section header")),
        };
        self.interfaces.clear();
        let len = self.u32_of(len);
        if !(28..=LONGEST).contains(&len) || !len.is_multiple_of(4) {
            return Err(damaged(input, "impossible length of the section header"));
        }
        self.block.resize(len as usize - 12, 0);
        let mut block = std::mem::take(&mut self.block);
        let read = input.header(&mut block);
        self.block = block;
        read
    }

    /// Reads on until a packet is found.
    pub fn next<R: Read>(
        &mut self,
        input: &mut Input<R>,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Meta>, CaptureError> {
        loop {
            let mut head = [0; 8];
            let got = input.fill(&mut head)?;
            if got == 0 {
                return Ok(None);
            }
            if got < head.len() {
                let missing = (head.len() - got) as u64;
                return Err(CaptureError::Truncated {
                    packet: input.packet,
                    missing,
                });
            }
            let [a, b, c, d, e, f, g, h] = head;
            let (kind, len) = (self.u32_of([a, b, c, d]), [e, f, g, h]);
            if kind == SECTION {
                self.section(input, len)?;
                continue;
            }
            let len = self.u32_of(len);
            if len < 12 || !len.is_multiple_of(4) {
                return Err(damaged(input, "impossible block length"));
            }
            if len > LONGEST {
                return Err(CaptureError::TooLong {
                    packet: input.packet,
                    len: len.into(),
                });
            }
            self.block.resize(len as usize - 8, 0);
            let mut block = std::mem::take(&mut self.block);
            let read = input.exact(&mut block);
            self.block = block;
            read?;
            if self.u32_at(self.block.len() - 4) != Some(len) {
                return Err(damaged(input, "the two lengths of a block differ"));
            }
            self.block.truncate(len as usize - 12);
            let found = match kind {
                INTERFACE => {
                    self.interface(input)?;
                    None
                }
                ENHANCED_PACKET => Some(self.packet(input, self.u32_at(0), buffer)?),
                OLD_PACKET => Some(self.packet(input, self.u16_at(0).map(u32::from), buffer)?),
                SIMPLE_PACKET => Some(self.simple_packet(input, buffer)?),
                _ => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    fn interface<R>(&mut self, input: &Input<R>) -> Result<(), CaptureError> {
        let (Some(link_type), Some(snaplen)) = (self.u16_at(0), self.u32_at(4)) else {
            return Err(damaged(input, "an interface block that is too short"));
        };
        if self.interfaces.len() >= MOST_INTERFACES {
            return Err(damaged(input, "too many interfaces"));
        }
        let mut interface = Interface {
            link_type: link_type.into(),
            snaplen,
            resolution: (false, 6),
            offset_seconds: 0,
        };
        let mut at = 8;
        while let (Some(code), Some(len)) = (self.u16_at(at), self.u16_at(at + 2)) {
            let len = usize::from(len);
            let Some(value) = self.block.get(at + 4..at + 4 + len) else {
                break;
            };
            match (code, value) {
                (0, _) => break,
                (OPTION_RESOLUTION, [b]) => interface.resolution = (b & 0x80 != 0, b & 0x7f),
                (OPTION_OFFSET, _) => {
                    let (Some(x), Some(y)) = (self.u32_at(at + 4), self.u32_at(at + 8)) else {
                        break;
                    };
                    let (low, high) = if self.big_endian { (y, x) } else { (x, y) };
                    interface.offset_seconds = (u64::from(high) << 32 | u64::from(low)) as i64;
                }
                _ => {}
            }
            at += 4 + len.next_multiple_of(4);
        }
        self.interfaces.push(interface);
        Ok(())
    }

    /// An enhanced packet block, or the old one, whose interface number has but 16 bits.
    fn packet<R>(
        &self,
        input: &Input<R>,
        interface: Option<u32>,
        buffer: &mut Vec<u8>,
    ) -> Result<Meta, CaptureError> {
        const DATA: usize = 20;
        let short = || damaged(input, "a packet block that is too short");
        let interface = interface.ok_or_else(short)?;
        let [Some(high), Some(low), Some(captured), Some(original_len)] =
            [4, 8, 12, 16].map(|at| self.u32_at(at))
        else {
            return Err(short());
        };
        let interface = self.ethernet(input, interface as usize)?;
        let time_ns = interface.nanoseconds(u64::from(high) << 32 | u64::from(low));
        if captured > original_len {
            return Err(CaptureError::Lengths {
                packet: input.packet,
                captured,
                original: original_len,
            });
        }
        let data = DATA
            .checked_add(captured as usize)
            .and_then(|end| self.block.get(DATA..end))
            .ok_or_else(short)?;
        buffer.clear();
        buffer.extend_from_slice(data);
        Ok(Meta {
            time_ns,
            original_len,
        })
    }

    fn simple_packet<R>(
        &self,
        input: &Input<R>,
        buffer: &mut Vec<u8>,
    ) -> Result<Meta, CaptureError> {
        let short = || damaged(input, "a packet block that is too short");
        let original_len = self.u32_at(0).ok_or_else(short)?;
        let interface = self.ethernet(input, 0)?;
        let kept = if interface.snaplen == 0 {
            original_len
        } else {
            original_len.min(interface.snaplen)
        };
        let end = (kept as usize).checked_add(4).ok_or_else(short)?;
        let data = self.block.get(4..end).ok_or_else(short)?;
        buffer.clear();
        buffer.extend_from_slice(data);
        Ok(Meta {
            time_ns: 0,
            original_len,
        })
    }

    fn ethernet<R>(&self, input: &Input<R>, number: usize) -> Result<&Interface, CaptureError> {
        let interface = self
            .interfaces
            .get(number)
            .ok_or_else(|| damaged(input, "a packet of an interface that was not described"))?;
        match interface.link_type {
            ETHERNET => Ok(interface),
            link_type => Err(CaptureError::LinkType { link_type }),
        }
    }

    fn u16_at(&self, at: usize) -> Option<u16> {
        let b = self.block.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.big_endian {
            u16::from_be_bytes(b)
        } else {
            u16::from_le_bytes(b)
        })
    }

    fn u32_at(&self, at: usize) -> Option<u32> {
        let b = self.block.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(self.u32_of(b))
    }

    fn u32_of(&self, b: [u8; 4]) -> u32 {
        if self.big_endian {
            u32::from_be_bytes(b)
        } else {
            u32::from_le_bytes(b)
        }
    }
}

fn damaged<R>(input: &Input<R>, what: &'static str) -> CaptureError {
    CaptureError::Block {
        packet: input.packet,
        what,
    }
}
