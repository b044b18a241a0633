//! Programs on the packets of a capture.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Write},
    path::Path,
    sync::Arc,
};

use panal_kernel::{
    PanalKernel, Program, Redirect,
    hooks::packets::{Capture, Options, PacketsError, PcapWriter, Processed, Sink, Summary},
};
use panal_object::{Element, Origin};
use panal_uapi::ProgType;
use serde_json::{Value, json};

use super::Running;
use crate::{
    error::Problem,
    files, load,
    object::choices,
    output::{BAD, HEADING, Painted},
    progress::Progress,
    text::clean,
};

/// After how many packets records are printed: a ring buffer of a page or two holds as many.
const BATCH: u64 = 32;

/// Runs every packet of `input` through the program, and writes those that live on to `output`.
pub fn run(
    kernel: &PanalKernel,
    running: &mut Running<'_>,
    input: &Path,
    output: Option<&Path>,
    json: bool,
) -> Result<(), Problem> {
    let program = entry(kernel, running)?;
    let file = File::open(input).map_err(|error| Problem::file(input, "read", &error))?;
    if let Some(output) = output {
        refuse_same(input, output)?;
    }
    let named = |error: PacketsError| Problem::Asked(format!("{}: {error}", input.display()));
    let mut capture = Capture::open(BufReader::with_capacity(1 << 18, file))
        .map_err(|error| named(error.into()))?;
    let writer = output.map(create).transpose()?;
    let mut summary = Summary::default();
    let mut sink = Packets {
        running,
        writer,
        seen: 0,
        progress: Progress::start(),
        input,
    };
    let result = kernel.run_packets(
        &[program],
        &Options::default(),
        &mut capture,
        &mut sink,
        &mut summary,
    );
    let Packets {
        running,
        writer,
        mut progress,
        ..
    } = sink;
    progress.clear();
    let written = writer.map_or(Ok(()), |writer| {
        writer.finish().and_then(|mut file| file.flush())
    });
    running.drain();
    match json {
        true => writeln!(running.out, "{}", summary_json(&summary))?,
        false => print(&summary, &mut running.out)?,
    }
    running.out.flush()?;
    let failed = |error: &io::Error| match output {
        Some(output) => Problem::file(output, "write", error),
        None => Problem::Output(crate::error::reason(error)),
    };
    match result {
        Ok(()) => written.map_err(|error| failed(&error)),
        Err(PacketsError::Sink { source, .. }) => Err(failed(&source)),
        Err(error) => Err(named(error)),
    }
}

/// The program that packets come to first: the only one, or the one that was chosen.
fn entry(kernel: &PanalKernel, running: &Running<'_>) -> Result<Arc<Program>, Problem> {
    let object = running.loaded.object();
    let by_tail_call = |id| {
        object.maps().iter().any(|map| match &map.origin {
            Origin::Defined(elements) => elements.iter().any(|(_, e)| *e == Element::Program(id)),
            _ => false,
        })
    };
    let loaded = || {
        running
            .loaded
            .programs()
            .iter()
            .filter(|p| takes_packets(p.plan.prog_type))
    };
    let entries: Vec<_> = loaded().filter(|p| !by_tail_call(p.plan.id)).collect();
    let file = &running.file;
    let found = match (&entries[..], &running.chosen) {
        (_, Some(name)) => loaded().find(|program| program.plan.name == *name),
        ([only], None) => Some(*only),
        ([], None) => None,
        (several, None) => {
            let names = choices(several.iter().map(|program| program.plan.name.as_str()));
            let text =
                format!("{file}: several programs take packets: choose one by --program{names}");
            return Err(Problem::Asked(text));
        }
    };
    let Some(program) = found else {
        let names = choices(
            running
                .loaded
                .programs()
                .iter()
                .map(|p| p.plan.name.as_str()),
        );
        let text = format!("{file}: no program takes packets (xdp, tc, socket, cgroup_skb){names}");
        return Err(Problem::Asked(text));
    };
    kernel.program(&program.fd).map_err(|failure| {
        let what = format!("running {}", program.plan.name);
        load::problem(file, panal_loader::Error::Kernel { what, failure })
    })
}

/// Whether programs of this type run on packets.
pub fn takes_packets(ty: Option<ProgType>) -> bool {
    use ProgType::{CgroupSkb, SchedAct, SchedCls, SocketFilter, Xdp};
    matches!(
        ty,
        Some(Xdp | SchedCls | SchedAct | SocketFilter | CgroupSkb)
    )
}

/// Writing into the file that is being read would destroy it.
fn refuse_same(input: &Path, output: &Path) -> Result<(), Problem> {
    let same = match (input.canonicalize(), output.canonicalize()) {
        (Ok(input), Ok(output)) => input == output,
        _ => false,
    };
    match same {
        true => Err(Problem::Asked(format!(
            "{}: --pcap and --out are the same file",
            output.display()
        ))),
        false => Ok(()),
    }
}

fn create(path: &Path) -> Result<PcapWriter<BufWriter<File>>, Problem> {
    let failed = |error| Problem::file(path, "write", &error);
    let file = files::create(path)?;
    PcapWriter::new(BufWriter::with_capacity(1 << 18, file)).map_err(failed)
}

/// Where packets go, and what is done on the way: records are printed, progress is told.
struct Packets<'r, 'k> {
    running: &'r mut Running<'k>,
    writer: Option<PcapWriter<BufWriter<File>>>,
    seen: u64,
    progress: Progress,
    input: &'r Path,
}

impl Sink for Packets<'_, '_> {
    fn packet(&mut self, packet: &Processed<'_>) -> io::Result<()> {
        self.seen += 1;
        if self.seen.is_multiple_of(BATCH) {
            self.running.drain();
        }
        if self.seen.is_multiple_of(1024) {
            self.progress.say(format_args!(
                "{}: {} packets",
                self.input.display(),
                self.seen
            ));
        }
        match &mut self.writer {
            Some(writer) => writer.packet(packet),
            None => Ok(()),
        }
    }
}

/// Where a packet was sent.
fn destination(redirect: &Redirect) -> String {
    let way = |ingress: &bool| if *ingress { "into" } else { "out of" };
    match redirect {
        Redirect::Device { index, ingress } => format!("{} device {index}", way(ingress)),
        Redirect::Peer(index) => format!("peer of device {index}"),
        Redirect::Neighbour(index) => format!("neighbour at device {index}"),
        Redirect::Map { map, key, device } => {
            let key = key.map_or("all entries".to_owned(), |key| format!("entry {key}"));
            let device = device.map_or(String::new(), |device| format!(" (device {device})"));
            format!("{key} of map {map}{device}")
        }
    }
}

fn print(summary: &Summary, out: &mut impl Write) -> Result<(), Problem> {
    let Summary { packets, bytes, .. } = summary;
    writeln!(
        out,
        "{}",
        Painted(HEADING, format_args!("{packets} packets, {bytes} bytes"))
    )?;
    for (name, count) in &summary.verdicts {
        let share = *count as f64 * 100.0 / (*packets).max(1) as f64;
        writeln!(out, "  {name:<18} {count:>10}  {share:5.1} %")?;
    }
    let remarks = [
        (summary.changed, "changed"),
        (summary.copies, "copies sent"),
        (summary.cut, "cut short by the capture"),
        (summary.short, "too short for an Ethernet header, passed"),
    ];
    for (count, what) in remarks.into_iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "  {what}: {count}")?;
    }
    for (redirect, count) in &summary.redirects {
        writeln!(out, "  sent {}: {count}", destination(redirect))?;
    }
    if let Some((packet, why)) = &summary.first_stop {
        let (count, why) = (summary.stopped, clean(why));
        writeln!(
            out,
            "  {}: {count}, first at packet {packet}: {why}",
            Painted(BAD, "stopped")
        )?;
    }
    Ok(())
}

fn summary_json(summary: &Summary) -> Value {
    let redirects: Vec<Value> = summary
        .redirects
        .iter()
        .map(|(redirect, count)| json!({"to": destination(redirect), "packets": count}))
        .collect();
    let stop = summary
        .first_stop
        .as_ref()
        .map(|(packet, why)| json!({"packet": packet, "why": why}));
    json!({
        "packets": summary.packets,
        "bytes": summary.bytes,
        "verdicts": summary.verdicts,
        "changed": summary.changed,
        "copies": summary.copies,
        "cut": summary.cut,
        "short": summary.short,
        "redirects": redirects,
        "stopped": summary.stopped,
        "first_stop": stop,
        "steps": summary.steps,
    })
}
