//! Packets through programs: from a source, in order, into a sink.

use std::{collections::BTreeMap, io, sync::Arc};

use panal_uapi::{ProgType, kernel::Failure};

use super::{
    capture::{CaptureError, Frame, Source},
    verdict::{Meaning, STOPPED, Verdict, meanings},
};
use crate::{
    PanalKernel, Program,
    cpu::Session,
    helpers::skb_shape::{insert_tag, take_tag},
    packet::{ETH_HLEN, Kind, Redirect, SentCopy},
    program_types::{skb, xdp},
};

/// After how many packets the CPU is given up for a moment, so that freed memory can go.
const BATCH: u64 = 1024;

/// Most different destinations that are counted.
const DESTINATIONS_MOST: usize = 1024;

/// How packets are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of the port that packets arrive at (`ingress_ifindex`).
    pub port: u32,
    /// Whether the clock that programs see (`bpf_ktime_get_ns` and its like) shows the packets' own
    /// times, so that rates and timeouts are those of the capture and runs can be repeated. Else it
    /// is the real one.
    pub capture_clock: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            port: 1,
            capture_clock: true,
        }
    }
}

/// A packet after its programs.
#[derive(Clone, Copy, Debug)]
pub struct Processed<'a> {
    /// The frame as it is now. Its length on the wire changed as its captured length did.
    pub frame: Frame<'a>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// The return value of the program that decided.
    pub retval: u32,
    /// Where it was sent to.
    pub redirect: Option<Redirect>,
    /// Whether its bytes changed.
    pub changed: bool,
    /// Whether it is a copy that a program sent (`bpf_clone_redirect`).
    pub is_copy: bool,
}

/// Where packets go afterwards, dropped ones too.
pub trait Sink {
    /// Takes a packet.
    fn packet(&mut self, packet: &Processed<'_>) -> io::Result<()>;
}

/// Forgets packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Sink for Discard {
    fn packet(&mut self, _: &Processed<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the packets that live on.
impl<W: io::Write> Sink for super::PcapWriter<W> {
    fn packet(&mut self, packet: &Processed<'_>) -> io::Result<()> {
        if packet.verdict.is_forwarded() {
            self.write(&packet.frame)
        } else {
            Ok(())
        }
    }
}

/// What happened to all packets so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Packets read.
    pub packets: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// Packets that the capture had cut: programs saw only what was captured.
    pub cut: u64,
    /// Packets too short for an Ethernet header: no program saw them, they pass.
    pub short: u64,
    /// How many packets got which return value, by its name.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// Packets that live on with changed bytes.
    pub changed: u64,
    /// Copies that programs sent.
    pub copies: u64,
    /// Where packets were sent to.
    pub redirects: BTreeMap<Redirect, u64>,
    /// Runs that were stopped, and the first reason with its packet's number.
    pub stopped: u64,
    /// The first run that was stopped: packet number and reason.
    pub first_stop: Option<(u64, String)>,
    /// Steps that programs took.
    pub steps: u64,
}

/// Why packets stopped flowing. The summary tells what was done until then.
#[derive(Debug, thiserror::Error)]
pub enum PacketsError {
    /// The capture.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The sink.
    #[error("writing packet {packet}: {source}")]
    Sink {
        /// The packet.
        packet: u64,
        /// Why.
        source: io::Error,
    },
    /// A program that has nothing to do with packets.
    #[error(
        "program {name} is of type {prog_type}: packets can be run through xdp, sched_cls, sched_act, socket_filter and cgroup_skb programs"
    )]
    ProgramType {
        /// Its name.
        name: String,
        /// Its type.
        prog_type: ProgType,
    },
    /// The kernel could not run it.
    #[error(transparent)]
    Kernel(#[from] Failure),
}

/// A program, and what its return values mean.
struct Stage {
    program: Arc<Program>,
    meaning: fn(u32) -> Meaning,
}

/// What the programs made of a packet.
struct Decided {
    meaning: Meaning,
    retval: u32,
    redirect: Option<Redirect>,
    copies: Vec<SentCopy>,
}

impl PanalKernel {
    /// Runs every packet of `source` through `programs`, one after another as long as they let it
    /// pass, and hands it to `sink`. Memory use does not depend on how many packets there are.
    pub fn run_packets(
        &self,
        programs: &[Arc<Program>],
        options: &Options,
        source: &mut dyn Source,
        sink: &mut dyn Sink,
        summary: &mut Summary,
    ) -> Result<(), PacketsError> {
        let stages = programs.iter().map(stage).collect::<Result<Vec<_>, _>>()?;
        let mut output = Vec::new();
        let mut now = 0;
        loop {
            let mut session = self.session()?;
            for _ in 0..BATCH {
                let Some(frame) = source.next()? else {
                    return Ok(());
                };
                if options.capture_clock {
                    now = frame.time_ns.max(now);
                    session.set_clock(Some(now));
                }
                count(summary, &frame);
                if frame.data.len() < ETH_HLEN {
                    summary.short += 1;
                    give(sink, pass(frame))?;
                    continue;
                }
                let decided = decide(&mut session, &stages, options, &frame, summary)?;
                finish(&mut session, &frame, decided, &mut output, sink, summary)?;
            }
        }
    }
}

fn stage(program: &Arc<Program>) -> Result<Stage, PacketsError> {
    crate::bpf::runnable(program)?;
    let meaning = meanings(program.prog_type()).ok_or_else(|| PacketsError::ProgramType {
        name: program.name().to_owned(),
        prog_type: program.prog_type(),
    })?;
    Ok(Stage {
        program: program.clone(),
        meaning,
    })
}

fn count(summary: &mut Summary, frame: &Frame<'_>) {
    summary.packets += 1;
    summary.bytes += frame.data.len() as u64;
    summary.cut += u64::from((frame.data.len() as u64) < u64::from(frame.original_len));
}

fn pass(frame: Frame<'_>) -> Processed<'_> {
    Processed {
        frame,
        verdict: Verdict::Pass,
        retval: 0,
        redirect: None,
        changed: false,
        is_copy: false,
    }
}

fn give(sink: &mut dyn Sink, packet: Processed<'_>) -> Result<(), PacketsError> {
    let number = packet.frame.number;
    sink.packet(&packet).map_err(|source| PacketsError::Sink {
        packet: number,
        source,
    })
}

/// Puts the packet before a program as its type sees it.
fn load(
    session: &mut Session<'_>,
    prog_type: ProgType,
    options: &Options,
    time_ns: u64,
    frame: &[u8],
) -> Result<(), Failure> {
    let kind = if prog_type == ProgType::Xdp {
        Kind::Xdp
    } else {
        Kind::Skb
    };
    let too_long = |errno| Failure {
        command: "run",
        errno,
        detail: format!("a packet of {} bytes does not fit", frame.len()),
    };
    session.load_packet(kind, frame, 0).map_err(too_long)?;
    let packet = session.packet();
    match kind {
        Kind::Xdp => packet.set_field(xdp::INGRESS_IFINDEX, options.port),
        Kind::Skb => {
            skb::describe(packet, options.port);
            packet.set_field(skb::INGRESS_IFINDEX, options.port);
            packet.set_context_bytes(skb::TSTAMP, &time_ns.to_ne_bytes());
            // The stack takes the outermost VLAN tag off before any program sees the packet.
            if take_tag(packet).map_err(too_long)? {
                skb::describe_protocol(packet);
            }
            if prog_type == ProgType::CgroupSkb {
                packet.pull_link_header();
            }
        }
    }
    packet.sync();
    Ok(())
}

fn decide(
    session: &mut Session<'_>,
    stages: &[Stage],
    options: &Options,
    frame: &Frame<'_>,
    summary: &mut Summary,
) -> Result<Decided, PacketsError> {
    let mut decided = Decided {
        meaning: Meaning {
            verdict: Verdict::Pass,
            name: "pass",
            keep: None,
        },
        retval: 0,
        redirect: None,
        copies: Vec::new(),
    };
    let mut between = Vec::new();
    for (i, stage) in stages.iter().enumerate() {
        if i > 0 {
            take_out(session, &mut between)?;
        }
        let data = if i == 0 { frame.data } else { &between };
        load(
            session,
            stage.program.prog_type(),
            options,
            frame.time_ns,
            data,
        )?;
        let ran = session.run_packet(&stage.program);
        summary.steps += ran.steps;
        match ran.outcome {
            Ok(value) => {
                decided.retval = value as u32;
                decided.meaning = (stage.meaning)(decided.retval);
            }
            Err(stop) => {
                summary.stopped += 1;
                summary
                    .first_stop
                    .get_or_insert_with(|| (frame.number, stop.to_string()));
                decided.meaning = STOPPED;
            }
        }
        let packet = session.packet();
        decided.copies.append(&mut packet.clones);
        decided.redirect = packet
            .redirect
            .filter(|_| decided.meaning.verdict == Verdict::Redirect);
        if decided.meaning.verdict != Verdict::Pass {
            break;
        }
    }
    Ok(decided)
}

/// The frame as it would be on the wire: a tag beside it goes back into it.
fn take_out(session: &mut Session<'_>, out: &mut Vec<u8>) -> Result<(), PacketsError> {
    let packet = session.packet();
    if packet.kind == Kind::Skb && packet.field(skb::VLAN_PRESENT) != 0 {
        packet.push_link_header();
        // A packet without room for a tag leaves without it.
        let _ = insert_tag(packet);
    }
    packet.frame_into(out);
    Ok(())
}

fn finish(
    session: &mut Session<'_>,
    frame: &Frame<'_>,
    decided: Decided,
    output: &mut Vec<u8>,
    sink: &mut dyn Sink,
    summary: &mut Summary,
) -> Result<(), PacketsError> {
    let Decided {
        meaning,
        retval,
        redirect,
        copies,
    } = decided;
    *summary.verdicts.entry(meaning.name).or_default() += 1;
    for copy in &copies {
        summary.copies += 1;
        let redirect = Redirect::Device {
            index: copy.device,
            ingress: copy.ingress,
        };
        note(summary, redirect);
        let packet = Processed {
            frame: Frame {
                data: &copy.data,
                original_len: copy.data.len() as u32,
                ..*frame
            },
            verdict: Verdict::Redirect,
            retval,
            redirect: Some(redirect),
            changed: copy.data != frame.data,
            is_copy: true,
        };
        give(sink, packet)?;
    }
    if let Some(redirect) = redirect {
        note(summary, redirect);
    }
    let mut processed = Processed {
        verdict: meaning.verdict,
        retval,
        redirect,
        ..pass(*frame)
    };
    if meaning.verdict.is_forwarded() {
        take_out(session, output)?;
        if let Some(keep) = meaning.keep {
            output.truncate(keep as usize);
        }
        processed.changed = output != frame.data;
        summary.changed += u64::from(processed.changed);
        let missing = u64::from(frame.original_len).saturating_sub(frame.data.len() as u64);
        processed.frame.data = output;
        processed.frame.original_len =
            u32::try_from(output.len() as u64 + missing).unwrap_or(u32::MAX);
    }
    give(sink, processed)
}

fn note(summary: &mut Summary, redirect: Redirect) {
    let known = summary.redirects.len();
    match summary.redirects.get_mut(&redirect) {
        Some(count) => *count += 1,
        None if known < DESTINATIONS_MOST => {
            summary.redirects.insert(redirect, 1);
        }
        None => {}
    }
}
