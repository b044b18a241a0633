//! Captured packets, read one after another in constant memory: pcap and pcapng.

use std::io::{self, Read};

use super::{pcap, pcapng};

/// Most bytes of one packet that are believed: libpcap's own limit.
pub const MAX_PACKET: u32 = 262_144;

/// `LINKTYPE_ETHERNET`
pub const ETHERNET: u32 = 1;

/// What is wrong with a capture file. `packet` counts from 1; everything before it was handed out.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Neither pcap nor pcapng.
    #[error("not a packet capture: it begins with {0:02x?}, and neither pcap nor pcapng does")]
    Format([u8; 4]),
    /// Shorter than its own header.
    #[error("the capture is cut short within its header")]
    ShortHeader,
    /// A version that was never published.
    #[error("pcap version {0}.{1} is not known (2.4 is)")]
    Version(u16, u16),
    /// Frames of another kind than Ethernet.
    #[error("frames of link type {link_type}{}: only Ethernet (1) can be run through programs", name(*.link_type))]
    LinkType {
        /// `LINKTYPE_*`
        link_type: u32,
    },
    /// The file ends within a packet.
    #[error("the capture is cut short within packet {packet}: {missing} bytes are missing")]
    Truncated {
        /// The packet.
        packet: u64,
        /// How many bytes are missing, at least.
        missing: u64,
    },
    /// A length that cannot be.
    #[error(
        "packet {packet} claims {len} bytes; at most {MAX_PACKET} are allowed: the capture is damaged"
    )]
    TooLong {
        /// The packet.
        packet: u64,
        /// What it claims.
        len: u64,
    },
    /// More bytes captured than were on the wire.
    #[error(
        "packet {packet} claims {captured} captured bytes of {original}: the capture is damaged"
    )]
    Lengths {
        /// The packet.
        packet: u64,
        /// Captured.
        captured: u32,
        /// On the wire.
        original: u32,
    },
    /// A pcapng block that is malformed.
    #[error("damaged pcapng block before packet {packet}: {what}")]
    Block {
        /// The packet that would have come next.
        packet: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The file could not be read.
    #[error("reading packet {packet}: {source}")]
    Read {
        /// The packet that would have come next.
        packet: u64,
        /// Why.
        source: io::Error,
    },
}

fn name(link_type: u32) -> &'static str {
    match link_type {
        0 => " (BSD loopback)",
        101 => " (raw IP)",
        105 => " (IEEE 802.11)",
        113 => " (Linux cooked)",
        127 => " (radiotap)",
        276 => " (Linux cooked v2)",
        _ => "",
    }
}

/// One captured packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its number in the capture, from 1.
    pub number: u64,
    /// When, in nanoseconds since 1970.
    pub time_ns: u64,
    /// Its length on the wire; more than `data` holds when the capture cut it.
    pub original_len: u32,
    /// What was captured, from the Ethernet header on.
    pub data: &'a [u8],
}

/// Where packets come from.
pub trait Source {
    /// The next packet; `None` at the end.
    fn next(&mut self) -> Result<Option<Frame<'_>>, CaptureError>;
}

/// A capture file that is being read.
pub struct Capture<R> {
    input: Input<R>,
    format: Format,
    buffer: Vec<u8>,
}

enum Format {
    Pcap(pcap::Header),
    Pcapng(pcapng::State),
}

impl<R: Read> Capture<R> {
    /// Reads the header. Give it a reader with a buffer.
    pub fn open(reader: R) -> Result<Self, CaptureError> {
        let mut input = Input { reader, packet: 1 };
        let mut magic = [0; 4];
        let got = input.fill(&mut magic)?;
        if got == 0 {
            return Err(CaptureError::ShortHeader);
        }
        let format = if magic == pcapng::SECTION.to_le_bytes() {
            Format::Pcapng(pcapng::State::open(&mut input)?)
        } else if let Some(kind) = pcap::Kind::of(magic) {
            Format::Pcap(pcap::Header::read(kind, &mut input)?)
        } else {
            return Err(CaptureError::Format(magic));
        };
        Ok(Capture {
            input,
            format,
            buffer: Vec::new(),
        })
    }

    /// Most bytes of a packet that the capture kept, as its header says; 0 when it does not say.
    pub fn snaplen(&self) -> u32 {
        match &self.format {
            Format::Pcap(header) => header.snaplen,
            Format::Pcapng(_) => 0,
        }
    }
}

impl<R: Read> Source for Capture<R> {
    fn next(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        let found = match &mut self.format {
            Format::Pcap(header) => header.next(&mut self.input, &mut self.buffer)?,
            Format::Pcapng(state) => state.next(&mut self.input, &mut self.buffer)?,
        };
        let number = self.input.packet;
        let Some(Meta {
            time_ns,
            original_len,
        }) = found
        else {
            return Ok(None);
        };
        self.input.packet += 1;
        Ok(Some(Frame {
            number,
            time_ns,
            original_len,
            data: &self.buffer,
        }))
    }
}

/// What a format tells of a packet whose bytes it put into the buffer.
pub(super) struct Meta {
    pub time_ns: u64,
    pub original_len: u32,
}

/// A reader that knows which packet it is at.
pub(super) struct Input<R> {
    reader: R,
    pub packet: u64,
}

impl<R: Read> Input<R> {
    /// Reads as much as there is, up to the buffer's length.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, CaptureError> {
        let mut done = 0;
        while done < buffer.len() {
            match self.reader.read(&mut buffer[done..]) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(CaptureError::Read {
                        packet: self.packet,
                        source,
                    });
                }
            }
        }
        Ok(done)
    }

    /// Reads all of the buffer, within a packet.
    pub fn exact(&mut self, buffer: &mut [u8]) -> Result<(), CaptureError> {
        let got = self.fill(buffer)?;
        if got == buffer.len() {
            return Ok(());
        }
        let missing = (buffer.len() - got) as u64;
        Err(CaptureError::Truncated {
            packet: self.packet,
            missing,
        })
    }

    /// Reads all of the buffer, within a header.
    pub fn header(&mut self, buffer: &mut [u8]) -> Result<(), CaptureError> {
        if self.fill(buffer)? == buffer.len() {
            Ok(())
        } else {
            Err(CaptureError::ShortHeader)
        }
    }

    /// Reads a packet's bytes.
    pub fn packet(&mut self, len: u32, buffer: &mut Vec<u8>) -> Result<(), CaptureError> {
        if len > MAX_PACKET {
            return Err(CaptureError::TooLong {
                packet: self.packet,
                len: len.into(),
            });
        }
        buffer.resize(len as usize, 0);
        self.exact(buffer)
    }
}
