//! Packets of a capture through programs.

use std::io;

use panal_kernel::{
    PanalKernel, Redirect,
    hooks::packets::{
        Capture, CaptureError, Frame, Options, PacketsError, PcapWriter, Processed, Sink, Source,
        Summary, Verdict,
    },
};
use panal_testkit::setup::{Maps, load_for, load_text, map};
use panal_uapi::{
    AttachType, MapType, ProgType,
    kernel::{AttachTarget, Kernel, Order, XdpMode},
};

/// Frames from memory, a second apart.
struct Frames(Vec<Vec<u8>>, usize);

impl Frames {
    fn new(frames: &[&[u8]]) -> Self {
        Frames(frames.iter().map(|f| f.to_vec()).collect(), 0)
    }
}

impl Source for Frames {
    fn next(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        let number = self.1 as u64 + 1;
        let frame = self.0.get(self.1).map(|data| Frame {
            number,
            time_ns: number * 1_000_000_000,
            original_len: data.len() as u32,
            data,
        });
        self.1 += 1;
        Ok(frame)
    }
}

/// Remembers everything.
#[derive(Default)]
struct Seen(Vec<(Verdict, Vec<u8>, Option<Redirect>, bool)>);

impl Sink for Seen {
    fn packet(&mut self, packet: &Processed<'_>) -> io::Result<()> {
        let data = packet.frame.data.to_vec();
        self.0
            .push((packet.verdict, data, packet.redirect, packet.changed));
        Ok(())
    }
}

/// An Ethernet frame whose first byte is `first`, with 20 more bytes.
fn frame(first: u8, ethertype: u16) -> Vec<u8> {
    let mut out = vec![first; 12];
    out.extend(ethertype.to_be_bytes());
    out.extend([0x45; 20]);
    out
}

#[test]
fn xdp_verdicts_are_counted_and_carried_out() {
    let kernel = PanalKernel::new().unwrap();
    // The first byte is the verdict; transmitted frames get their first byte changed.
    let text = "
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = r2
        r4 += 14
        if r4 > r3 goto drop
        r0 = *(u8 *)(r2 + 0)
        if r0 == 3 goto transmit
        if r0 == 4 goto redirect
        exit
    transmit:
        r5 = 0xee
        *(u8 *)(r2 + 0) = r5
        exit
    redirect:
        r1 = 7
        r2 = 0
        call bpf_redirect
        exit
    drop:
        r0 = 1
        exit";
    let (_fd, program) = load_text(&kernel, ProgType::Xdp, text, &Maps::new());
    let frames: Vec<Vec<u8>> = (0..6).map(|verdict| frame(verdict, 0x0800)).collect();
    let mut all: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    all.push(b"short");
    let (mut seen, mut summary) = (Seen::default(), Summary::default());
    kernel
        .run_packets(
            &[program],
            &Options::default(),
            &mut Frames::new(&all),
            &mut seen,
            &mut summary,
        )
        .unwrap();
    let verdicts: Vec<Verdict> = seen.0.iter().map(|(verdict, ..)| *verdict).collect();
    use Verdict::*;
    assert_eq!(
        verdicts,
        [Aborted, Drop, Pass, Transmit, Redirect, Aborted, Pass]
    );
    assert_eq!(seen.0[3].1[0], 0xee);
    assert!(seen.0[3].3 && !seen.0[2].3);
    let destination = panal_kernel::Redirect::Device {
        index: 7,
        ingress: false,
    };
    assert_eq!(seen.0[4].2, Some(destination));
    assert_eq!((summary.packets, summary.short, summary.changed), (7, 1, 1));
    assert_eq!(summary.redirects[&destination], 1);
    for (name, count) in [
        ("XDP_ABORTED", 1),
        ("XDP_DROP", 1),
        ("XDP_PASS", 1),
        ("XDP_TX", 1),
        ("XDP_REDIRECT", 1),
        ("invalid", 1),
    ] {
        assert_eq!(summary.verdicts[name], count, "{name}");
    }
}

#[test]
fn tc_sees_tags_beside_the_packet_and_they_go_back() {
    let kernel = PanalKernel::new().unwrap();
    // Tag 5 becomes tag 6; packets without a tag are dropped.
    let text = "
        r6 = r1
        r2 = *(u32 *)(r1 + 20)
        if r2 == 0 goto drop
        r7 = *(u32 *)(r1 + 24)
        r2 = *(u32 *)(r1 + 16)
        if r2 != 8 goto drop
        call bpf_skb_vlan_pop
        r7 += 1
        r1 = r6
        r2 = 0x81
        r3 = r7
        call bpf_skb_vlan_push
        r0 = 0
        exit
    drop:
        r0 = 2
        exit";
    let (_fd, program) = load_text(&kernel, ProgType::SchedCls, text, &Maps::new());
    let plain = frame(0, 0x0800);
    let mut tagged = plain.clone();
    tagged.splice(12..12, [0x81, 0x00, 0, 5]);
    let (mut seen, mut summary) = (Seen::default(), Summary::default());
    kernel
        .run_packets(
            &[program],
            &Options::default(),
            &mut Frames::new(&[&plain, &tagged]),
            &mut seen,
            &mut summary,
        )
        .unwrap();
    assert_eq!(seen.0[0].0, Verdict::Drop);
    let mut expected = tagged;
    expected[15] = 6;
    assert_eq!((seen.0[1].0, &seen.0[1].1), (Verdict::Pass, &expected));
}

#[test]
fn programs_follow_one_another_while_they_pass() {
    let kernel = PanalKernel::new().unwrap();
    let maps = Maps::new();
    let xdp = "
        r6 = r1
        r2 = -4
        call bpf_xdp_adjust_tail
        r0 = 2
        exit";
    let (_x, xdp) = load_text(&kernel, ProgType::Xdp, xdp, &maps);
    // The socket keeps as many bytes as the link layer left, less ten.
    let filter = "
        r0 = *(u32 *)(r1 + 0)
        r0 += -10
        exit";
    let (_f, filter) = load_text(&kernel, ProgType::SocketFilter, filter, &maps);
    let cgroup = "
        r0 = *(u32 *)(r1 + 0)
        if r0 == 16 goto pass
        r0 = 0
        exit
    pass:
        r0 = 1
        exit";
    let kind = (ProgType::CgroupSkb, AttachType::CgroupInetIngress);
    let (_c, cgroup) = load_for(&kernel, kind.0, kind.1, cgroup, &maps);
    let packet = frame(1, 0x0800);
    let (mut seen, mut summary) = (Seen::default(), Summary::default());
    let programs = [xdp, cgroup, filter];
    let mut frames = Frames::new(&[&packet]);
    kernel
        .run_packets(
            &programs,
            &Options::default(),
            &mut frames,
            &mut seen,
            &mut summary,
        )
        .unwrap();
    assert_eq!(seen.0[0].0, Verdict::Pass);
    assert_eq!(seen.0[0].1, packet[..20]);
    assert_eq!(summary.verdicts["keep"], 1);
}

#[test]
fn the_clock_is_the_captures_unless_it_is_not_wanted() {
    let kernel = PanalKernel::new().unwrap();
    let mut maps = Maps::new();
    maps.insert(
        "m",
        kernel
            .map_create(&map("m", MapType::Array, 4, 8, 1))
            .unwrap(),
    );
    let text = "
        call bpf_ktime_get_ns
        r6 = r0
        r1 = 0
        *(u32 *)(r10 - 4) = r1
        r2 = r10
        r2 += -4
        r1 = map[m] ll
        call bpf_map_lookup_elem
        if r0 == 0 goto out
        *(u64 *)(r0 + 0) = r6
    out:
        r0 = 2
        exit";
    let (_fd, program) = load_text(&kernel, ProgType::Xdp, text, &maps);
    let packet = frame(1, 0x0800);
    let last = |capture_clock| {
        let options = Options {
            capture_clock,
            ..Options::default()
        };
        let mut frames = Frames::new(&[packet.as_slice(); 3]);
        let (mut seen, mut summary) = (Seen::default(), Summary::default());
        kernel
            .run_packets(
                std::slice::from_ref(&program),
                &options,
                &mut frames,
                &mut seen,
                &mut summary,
            )
            .unwrap();
        let value = kernel.map_lookup(&maps["m"], &[0; 4], 0).unwrap().unwrap();
        u64::from_ne_bytes(value.try_into().unwrap())
    };
    assert_eq!(last(true), 3_000_000_000);
    assert_ne!(last(false), 3_000_000_000);
}

#[test]
fn everything_before_the_damage_was_done() {
    let kernel = PanalKernel::new().unwrap();
    let (_fd, program) = load_text(&kernel, ProgType::Xdp, "r0 = 2\nexit", &Maps::new());
    let mut writer = PcapWriter::new(Vec::new()).unwrap();
    let mut frames = Frames::new(&[&frame(1, 0x0800), &frame(2, 0x0800)]);
    while let Some(frame) = frames.next().unwrap() {
        writer.write(&frame).unwrap();
    }
    let whole = writer.finish().unwrap();
    let mut capture = Capture::open(&whole[..whole.len() - 1]).unwrap();
    let mut out = PcapWriter::new(Vec::new()).unwrap();
    let mut summary = Summary::default();
    let error = kernel
        .run_packets(
            &[program],
            &Options::default(),
            &mut capture,
            &mut out,
            &mut summary,
        )
        .unwrap_err();
    let PacketsError::Capture(CaptureError::Truncated {
        packet: 2,
        missing: 1,
    }) = error
    else {
        panic!("{error}");
    };
    assert_eq!(summary.packets, 1);
    // What came out is what went in, up to there.
    assert_eq!(out.finish().unwrap()[24..], whole[24..24 + 16 + 34]);
}

#[test]
fn programs_that_have_nothing_to_do_with_packets_are_refused() {
    let kernel = PanalKernel::new().unwrap();
    let (_fd, program) = load_text(&kernel, ProgType::Tracepoint, "r0 = 0\nexit", &Maps::new());
    let mut summary = Summary::default();
    let error = kernel
        .run_packets(
            &[program],
            &Options::default(),
            &mut Frames::new(&[]),
            &mut Seen::default(),
            &mut summary,
        )
        .unwrap_err();
    assert!(matches!(error, PacketsError::ProgramType { .. }), "{error}");
}

#[test]
fn a_ports_programs_are_those_attached_as_long_as_their_links_live() {
    let kernel = PanalKernel::new().unwrap();
    let maps = Maps::new();
    let (xdp, _) = load_text(&kernel, ProgType::Xdp, "r0 = 2\nexit", &maps);
    let (tc, _) = load_text(&kernel, ProgType::SchedCls, "r0 = 0\nexit", &maps);
    let target = AttachTarget::Interface {
        index: 3,
        mode: XdpMode::Auto,
        order: Order::Appended,
    };
    let tc_link = kernel.attach(&tc, &target).unwrap();
    let xdp_link = kernel.attach(&xdp, &target).unwrap();
    let types = |port| {
        let programs = kernel.port_programs(port);
        programs.iter().map(|p| p.prog_type()).collect::<Vec<_>>()
    };
    assert_eq!(types(3), [ProgType::Xdp, ProgType::SchedCls]);
    assert!(types(4).is_empty());
    let clone = xdp_link.clone();
    drop(xdp_link);
    assert_eq!(types(3).len(), 2);
    drop(clone);
    assert_eq!(types(3), [ProgType::SchedCls]);
    kernel.pin(&tc_link, "links/tc").unwrap();
    drop(tc_link);
    assert_eq!(types(3).len(), 1);
    assert_eq!(kernel.unpin("links/tc"), Ok(true));
    assert!(types(3).is_empty());
}
