//! Packets from captures through programs: XDP, tc, socket filters, cgroup skb programs.

mod capture;
mod pcap;
mod pcapng;

pub use capture::{Capture, CaptureError, ETHERNET, Frame, MAX_PACKET, Source};
pub use pcap::PcapWriter;
