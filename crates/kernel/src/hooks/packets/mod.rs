//! Packets from captures through programs: XDP, tc, socket filters, cgroup skb programs.

mod capture;
mod pcap;
mod pcapng;
mod run;
mod verdict;

pub use capture::{Capture, CaptureError, ETHERNET, Frame, MAX_PACKET, Source};
pub use pcap::PcapWriter;
pub use run::{Discard, Options, PacketsError, Processed, Sink, Summary};
pub use verdict::Verdict;
