//! The classic pcap format (draft-ietf-opsawg-pcap): both byte orders, micro- and nanoseconds.

use std::io::{self, Read, Write};

use super::capture::{CaptureError, ETHERNET, Frame, Input, MAX_PACKET, Meta};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;

/// What the magic number says.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    big_endian: bool,
    nanoseconds: bool,
}

impl Kind {
    pub fn of(magic: [u8; 4]) -> Option<Kind> {
        [false, true]
            .into_iter()
            .find_map(|big_endian| match read_u32(big_endian, magic) {
                MICROSECONDS => Some(Kind {
                    big_endian,
                    nanoseconds: false,
                }),
                NANOSECONDS => Some(Kind {
                    big_endian,
                    nanoseconds: true,
                }),
                _ => None,
            })
    }

    fn u32_at(self, bytes: &[u8], at: usize) -> u32 {
        bytes
            .get(at..at + 4)
            .and_then(|b| b.try_into().ok())
            .map_or(0, |b| read_u32(self.big_endian, b))
    }
}

fn read_u32(big_endian: bool, bytes: [u8; 4]) -> u32 {
    if big_endian {
        u32::from_be_bytes(bytes)
    } else {
        u32::from_le_bytes(bytes)
    }
}

/// The file's header.
pub(super) struct Header {
    kind: Kind,
    pub snaplen: u32,
}

impl Header {
    /// Reads what follows the magic number.
    pub fn read<R: Read>(kind: Kind, input: &mut Input<R>) -> Result<Self, CaptureError> {
        let mut rest = [0; 20];
        input.header(&mut rest)?;
        let version = kind.u32_at(&rest, 0);
        let (first, second) = (version as u16, (version >> 16) as u16);
        let (major, minor) = if kind.big_endian {
            (second, first)
        } else {
            (first, second)
        };
        if major != 2 {
            return Err(CaptureError::Version(major, minor));
        }
        // The upper bits tell of frame check sequences and do not belong to the type.
        let link_type = kind.u32_at(&rest, 16) & 0xffff;
        if link_type != ETHERNET {
            return Err(CaptureError::LinkType { link_type });
        }
        Ok(Header {
            kind,
            snaplen: kind.u32_at(&rest, 12),
        })
    }

    /// Reads the next packet.
    pub fn next<R: Read>(
        &mut self,
        input: &mut Input<R>,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Meta>, CaptureError> {
        let mut record = [0; 16];
        let got = input.fill(&mut record)?;
        if got == 0 {
            return Ok(None);
        }
        if got < record.len() {
            let missing = (record.len() - got) as u64;
            return Err(CaptureError::Truncated {
                packet: input.packet,
                missing,
            });
        }
        let seconds = u64::from(self.kind.u32_at(&record, 0));
        let fraction = u64::from(self.kind.u32_at(&record, 4));
        let captured = self.kind.u32_at(&record, 8);
        let original_len = self.kind.u32_at(&record, 12);
        input.packet(captured, buffer)?;
        if captured > original_len {
            return Err(CaptureError::Lengths {
                packet: input.packet,
                captured,
                original: original_len,
            });
        }
        let scale = if self.kind.nanoseconds { 1 } else { 1000 };
        Ok(Some(Meta {
            time_ns: seconds * 1_000_000_000 + fraction * scale,
            original_len,
        }))
    }
}

/// Writes a capture: nanoseconds, the machine's usual little-endian order, Ethernet.
pub struct PcapWriter<W> {
    writer: W,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the header.
    pub fn new(mut writer: W) -> io::Result<Self> {
        let mut header = [0; 24];
        header[0..4].copy_from_slice(&NANOSECONDS.to_le_bytes());
        header[4..6].copy_from_slice(&2u16.to_le_bytes());
        header[6..8].copy_from_slice(&4u16.to_le_bytes());
        header[16..20].copy_from_slice(&MAX_PACKET.to_le_bytes());
        header[20..24].copy_from_slice(&ETHERNET.to_le_bytes());
        writer.write_all(&header)?;
        Ok(PcapWriter { writer })
    }

    /// Writes a packet.
    pub fn write(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "packet too long for pcap");
        let captured = u32::try_from(frame.data.len()).map_err(|_| too_long())?;
        let seconds = u32::try_from(frame.time_ns / 1_000_000_000).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "packet's time does not fit into pcap",
            )
        })?;
        let fraction = (frame.time_ns % 1_000_000_000) as u32;
        let mut record = [0; 16];
        record[0..4].copy_from_slice(&seconds.to_le_bytes());
        record[4..8].copy_from_slice(&fraction.to_le_bytes());
        record[8..12].copy_from_slice(&captured.to_le_bytes());
        record[12..16].copy_from_slice(&frame.original_len.max(captured).to_le_bytes());
        self.writer.write_all(&record)?;
        self.writer.write_all(frame.data)
    }

    /// Hands out the writer, flushed.
    pub fn finish(mut self) -> io::Result<W> {
        self.writer.flush()?;
        Ok(self.writer)
    }
}
