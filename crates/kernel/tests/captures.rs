//! Captures: what is read is what was written, and damage is named with its packet.

use std::io::Cursor;

use panal_kernel::hooks::packets::{Capture, CaptureError, Frame, PcapWriter, Source};

/// A classic header as the format's document gives it.
fn pcap(magic: u32, big_endian: bool, link_type: u32) -> Vec<u8> {
    let words = [magic, 0, 0, 0, 65_535, link_type];
    let mut out: Vec<u8> = words.iter().flat_map(|&w| put(big_endian, w)).collect();
    let (major, minor) = (2u16, 4u16);
    let halves = if big_endian {
        [major.to_be_bytes(), minor.to_be_bytes()]
    } else {
        [major.to_le_bytes(), minor.to_le_bytes()]
    };
    out[4..8].copy_from_slice(&halves.concat());
    out
}

fn put(big_endian: bool, word: u32) -> [u8; 4] {
    if big_endian {
        word.to_be_bytes()
    } else {
        word.to_le_bytes()
    }
}

fn record(big_endian: bool, fields: [u32; 4], data: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = fields.iter().flat_map(|&w| put(big_endian, w)).collect();
    out.extend_from_slice(data);
    out
}

/// Time, length on the wire, bytes.
type Packet = (u64, u32, Vec<u8>);

fn read_all(file: &[u8]) -> (Vec<Packet>, Option<CaptureError>) {
    let mut packets = Vec::new();
    let mut capture = match Capture::open(file) {
        Ok(capture) => capture,
        Err(error) => return (packets, Some(error)),
    };
    loop {
        match capture.next() {
            Ok(Some(frame)) => {
                assert_eq!(frame.number, packets.len() as u64 + 1);
                packets.push((frame.time_ns, frame.original_len, frame.data.to_vec()));
            }
            Ok(None) => return (packets, None),
            Err(error) => return (packets, Some(error)),
        }
    }
}

#[test]
fn both_byte_orders_and_both_resolutions() {
    for big_endian in [false, true] {
        for (magic, scale) in [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)] {
            let mut file = pcap(magic, big_endian, 1);
            file.extend(record(big_endian, [7, 5, 3, 60], b"abc"));
            file.extend(record(big_endian, [8, 0, 0, 0], b""));
            let (packets, error) = read_all(&file);
            assert!(error.is_none(), "{error:?}");
            let first = (7_000_000_000 + 5 * scale, 60, b"abc".to_vec());
            assert_eq!(packets, [first, (8_000_000_000, 0, Vec::new())]);
        }
    }
}

#[test]
fn what_is_written_is_read() {
    let mut writer = PcapWriter::new(Cursor::new(Vec::new())).unwrap();
    let frames: Vec<Packet> = (0..50u32)
        .map(|i| {
            (
                1_700_000_000_123_456_789 + u64::from(i),
                100 + i,
                vec![i as u8; i as usize],
            )
        })
        .collect();
    for (i, (time_ns, original_len, data)) in frames.iter().enumerate() {
        let frame = Frame {
            number: i as u64 + 1,
            time_ns: *time_ns,
            original_len: *original_len,
            data,
        };
        writer.write(&frame).unwrap();
    }
    let file = writer.finish().unwrap().into_inner();
    let (packets, error) = read_all(&file);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(packets, frames);
}

#[test]
fn a_cut_capture_names_its_packet_after_those_before() {
    let mut file = pcap(0xa1b2_c3d4, false, 1);
    for i in 0..3 {
        file.extend(record(false, [i, 0, 20, 20], &[i as u8; 20]));
    }
    for cut in 1..20 {
        let (packets, error) = read_all(&file[..file.len() - cut]);
        assert_eq!(packets.len(), 2, "cut by {cut}");
        let Some(CaptureError::Truncated { packet: 3, missing }) = error else {
            panic!("cut by {cut}: {error:?}");
        };
        assert_eq!(missing, cut as u64);
    }
    let (packets, error) = read_all(&file[..file.len() - 30]);
    assert_eq!(packets.len(), 2);
    assert!(matches!(
        error,
        Some(CaptureError::Truncated { packet: 3, .. })
    ));
}

#[test]
fn damage_is_told_apart() {
    assert!(matches!(read_all(b"").1, Some(CaptureError::ShortHeader)));
    assert!(matches!(
        read_all(b"GIF89a").1,
        Some(CaptureError::Format(_))
    ));
    let raw_ip = pcap(0xa1b2_c3d4, false, 101);
    assert!(matches!(
        read_all(&raw_ip).1,
        Some(CaptureError::LinkType { link_type: 101 })
    ));
    assert!(matches!(
        read_all(&raw_ip[..20]).1,
        Some(CaptureError::ShortHeader)
    ));

    let mut absurd = pcap(0xa1b2_c3d4, false, 1);
    absurd.extend(record(false, [0, 0, 0xffff_fff0, 0xffff_fff0], b""));
    assert!(matches!(
        read_all(&absurd).1,
        Some(CaptureError::TooLong { packet: 1, .. })
    ));

    let mut more = pcap(0xa1b2_c3d4, false, 1);
    more.extend(record(false, [0, 0, 4, 3], b"abcd"));
    assert!(matches!(
        read_all(&more).1,
        Some(CaptureError::Lengths { packet: 1, .. })
    ));
}

/// A block of pcapng: type, body padded to four bytes, and the length on both sides.
fn block(big_endian: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let len = (padded + 12) as u32;
    let mut out = [put(big_endian, kind), put(big_endian, len)].concat();
    out.extend_from_slice(body);
    out.resize(padded + 8, 0);
    out.extend(put(big_endian, len));
    out
}

fn words(big_endian: bool, words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|&w| put(big_endian, w)).collect()
}

#[test]
fn pcapng_of_both_byte_orders() {
    let mut file = Vec::new();
    for big in [false, true] {
        let version = if big { 0x0001_0000 } else { 1 };
        file.extend(block(
            big,
            0x0a0d_0d0a,
            &words(big, &[0x1a2b_3c4d, version, !0, !0]),
        ));
        // Microseconds by default, then nanoseconds by an option.
        let link = if big { 1 << 16 } else { 1 };
        file.extend(block(big, 1, &words(big, &[link, 0])));
        let mut with_option = words(big, &[link, 0]);
        with_option.extend(if big { [0, 9, 0, 1] } else { [9, 0, 1, 0] });
        with_option.extend([9, 0, 0, 0, 0, 0, 0, 0]);
        file.extend(block(big, 1, &with_option));
        // A block of a kind that nobody knows.
        file.extend(block(big, 0x4000_0001, b"whatever"));
        for interface in [0, 1] {
            let mut packet = words(big, &[interface, 0, 5_000_000, 3, 60]);
            packet.extend(b"abc");
            file.extend(block(big, 6, &packet));
        }
    }
    let (packets, error) = read_all(&file);
    assert!(error.is_none(), "{error:?}");
    let expected = [
        (5_000_000_000, 60, b"abc".to_vec()),
        (5_000_000, 60, b"abc".to_vec()),
        (5_000_000_000, 60, b"abc".to_vec()),
        (5_000_000, 60, b"abc".to_vec()),
    ];
    assert_eq!(packets, expected);
    let (packets, error) = read_all(&file[..file.len() - 5]);
    assert_eq!(packets.len(), 3);
    assert!(matches!(
        error,
        Some(CaptureError::Truncated { packet: 4, .. })
    ));
}

#[test]
fn any_byte_may_be_wrong() {
    let mut file = block(false, 0x0a0d_0d0a, &words(false, &[0x1a2b_3c4d, 1, !0, !0]));
    file.extend(block(false, 1, &words(false, &[1, 0])));
    let mut packet = words(false, &[0, 0, 5_000_000, 3, 60]);
    packet.extend(b"abc");
    file.extend(block(false, 6, &packet));
    let mut classic = pcap(0xa1b2_c3d4, false, 1);
    classic.extend(record(false, [7, 5, 3, 60], b"abc"));
    for original in [file, classic] {
        for at in 0..original.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = original.clone();
                damaged[at] ^= flip;
                // Whatever comes out: no panic, and no more packets than there are.
                assert!(read_all(&damaged).0.len() <= 1);
            }
        }
    }
}
