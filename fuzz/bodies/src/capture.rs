//! Captures: hostile pcap and pcapng files give packets and at most one error, and what was read can
//! be written and read again.

use panal_kernel::hooks::packets::{Capture, MAX_PACKET, PcapWriter, Source};

/// Bytes as a capture file.
pub fn capture(data: &[u8]) {
    let Ok(mut capture) = Capture::open(data) else {
        return;
    };
    let mut writer = PcapWriter::new(Vec::new()).expect("memory takes all");
    let mut lengths = Vec::new();
    let mut writable = true;
    loop {
        match capture.next() {
            Ok(Some(frame)) => {
                assert!(frame.data.len() <= MAX_PACKET as usize);
                assert!(frame.data.len() <= data.len());
                // Times after 2106 do not fit into pcap.
                writable &= writer.write(&frame).is_ok();
                lengths.push(frame.data.len());
            }
            Ok(None) => break,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                break;
            }
        }
    }
    if !writable {
        return;
    }
    let file = writer.finish().expect("memory takes all");
    let mut again = Capture::open(file.as_slice()).expect("what was written is a capture");
    for len in lengths {
        let frame = again.next().expect("undamaged").expect("as many");
        assert_eq!(frame.data.len(), len);
    }
    assert!(matches!(again.next(), Ok(None)));
}
