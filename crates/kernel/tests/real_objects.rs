//! Objects of Debian's xdp-tools and of the examples, loaded as a user does, on packets of many
//! kinds: verdicts and counters are Linux's, packet by packet.

use std::{fs, io, path::Path};

use panal_kernel::{
    PanalKernel,
    hooks::packets::{CaptureError, Frame, Options, Processed, Sink, Source, Summary},
};
use panal_loader::{Loaded, LoadedMap, Open};
use panal_testkit::Random;
use panal_uapi::kernel::{Kernel, TestRun};

/// The ports of the packets.
const PORTS: [u16; 4] = [53, 80, 443, 8080];

/// A small generator of numbers: the same packets each time.
/// A frame as they come: IPv4, IPv6, VLAN tags, ARP; TCP, UDP, ICMP; fragments; cut short.
fn packet(random: &mut Random) -> Vec<u8> {
    let mut frame = vec![
        0x02,
        0,
        0,
        0,
        0,
        random.below(3) as u8,
        0x02,
        0,
        0,
        0,
        1,
        random.below(3) as u8,
    ];
    for _ in 0..random.below(3) {
        frame.extend([0x81, 0x00, 0, random.below(4) as u8]);
    }
    let protocol = [6, 17, 1][random.below(3)];
    match random.below(8) {
        0 => frame.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4]),
        1..4 => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, protocol, 64]);
            for _ in 0..2 {
                frame.extend([0xfd; 15]);
                frame.push(random.below(4) as u8);
            }
        }
        _ => {
            let fragment = if random.below(8) == 0 { 0x20 } else { 0 };
            frame.extend([
                0x08, 0x00, 0x45, 0, 0, 40, 0, 1, fragment, 0, 64, protocol, 0, 0,
            ]);
            for _ in 0..2 {
                frame.extend([10, 0, 0, random.below(4) as u8]);
            }
        }
    }
    for _ in 0..2 {
        let port = PORTS[random.below(4)];
        frame.extend(port.to_be_bytes());
    }
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0, 16, 0, 0, 0, 0]);
    if random.below(6) == 0 {
        frame.truncate(14 + random.below(40));
    }
    frame.resize(frame.len().max(14), 0);
    frame
}

fn packets(count: usize) -> Vec<Vec<u8>> {
    let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
    (0..count).map(|_| packet(&mut random)).collect()
}

fn open(path: &Path) -> Option<Open> {
    let Ok(bytes) = fs::read(path) else {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    };
    let mut open = Open::parse(&bytes, "test").unwrap();
    open.without_pins();
    Some(open)
}

/// xdp-filter's lists: what is denied (or allowed) by source or destination and protocol.
fn fill(loaded: &Loaded<'_>) {
    const SOURCE: u64 = 1;
    const DESTINATION: u64 = 2;
    const TCP: u64 = 4;
    const UDP: u64 = 8;
    let kernel = loaded.kernel();
    let mut ipv6 = vec![0xfd; 15];
    ipv6.push(1);
    let port = |number: u16| u32::from(number.to_be()).to_ne_bytes().to_vec();
    let entries: [(&str, Vec<u8>, u64); 6] = [
        ("filter_ports", port(53), UDP | DESTINATION),
        ("filter_ports", port(80), TCP | SOURCE | DESTINATION),
        ("filter_ipv4", vec![10, 0, 0, 2], SOURCE),
        ("filter_ipv4", vec![10, 0, 0, 3], SOURCE | DESTINATION),
        ("filter_ipv6", ipv6, DESTINATION),
        ("filter_ethernet", vec![2, 0, 0, 0, 1, 2], SOURCE),
    ];
    for (name, key, flags) in entries {
        let map = loaded.map(name).unwrap();
        let copies = kernel.cpus() as usize;
        let value = flags.to_ne_bytes().repeat(copies);
        kernel.map_update(&map.fd, &key, &value, 0).unwrap();
    }
}

/// The lists' and counters' contents, per-CPU values added up word by word; of ports, those that
/// occur.
fn contents(loaded: &Loaded<'_>) -> Vec<(String, Vec<u8>, Vec<u64>)> {
    let kernel = loaded.kernel();
    let mut all = Vec::new();
    for map in loaded.maps() {
        let name = &*map.plan.name;
        if !name.starts_with("filter_") && name != "xdp_stats_map" {
            continue;
        }
        let words = kernel.map_info(&map.fd).unwrap().value_size as usize / 8;
        for key in keys(kernel, map) {
            let Some(value) = kernel.map_lookup(&map.fd, &key, 0).unwrap() else {
                continue;
            };
            let mut sums = vec![0u64; words];
            for (i, word) in value.as_chunks().0.iter().enumerate() {
                sums[i % words] = sums[i % words].wrapping_add(u64::from_ne_bytes(*word));
            }
            all.push((name.to_owned(), key, sums));
        }
    }
    all.sort();
    all
}

fn keys(kernel: &dyn Kernel, map: &LoadedMap) -> Vec<Vec<u8>> {
    if &*map.plan.name == "filter_ports" {
        return PORTS
            .iter()
            .map(|port| u32::from(port.to_be()).to_ne_bytes().to_vec())
            .collect();
    }
    let mut keys: Vec<Vec<u8>> = Vec::new();
    while let Some(next) = kernel
        .map_next_key(&map.fd, keys.last().map(Vec::as_slice))
        .unwrap()
    {
        keys.push(next);
    }
    keys
}

/// Verdict and packet afterwards, for each packet.
fn run_all(loaded: &Loaded<'_>, frames: &[Vec<u8>]) -> Vec<(u32, Vec<u8>)> {
    let program = &loaded.programs()[0].fd;
    frames
        .iter()
        .map(|frame| {
            let run = TestRun {
                data_in: frame.clone(),
                ..TestRun::default()
            };
            let result = loaded.kernel().prog_test_run(program, &run).unwrap();
            assert_eq!(result.stopped, None);
            (result.retval, result.data_out)
        })
        .collect()
}

struct Frames<'a>(std::slice::Iter<'a, Vec<u8>>, u64);

impl Source for Frames<'_> {
    fn next(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        self.1 += 1;
        Ok(self.0.next().map(|data| Frame {
            number: self.1,
            time_ns: self.1,
            original_len: data.len() as u32,
            data,
        }))
    }
}

/// Remembers return values.
struct Verdicts(Vec<u32>);

impl Sink for Verdicts {
    fn packet(&mut self, packet: &Processed<'_>) -> io::Result<()> {
        self.0.push(packet.retval);
        Ok(())
    }
}

#[test]
fn xdp_filter_decides_and_counts_as_on_linux() {
    let linux = panal_testkit::linux()
        .inspect_err(|why| println!("skipped: Linux's half ({why})"))
        .ok();
    let panal = PanalKernel::new().unwrap();
    // A test run of XDP takes Linux many milliseconds.
    let frames = packets(60);
    for name in ["xdpfilt_alw_all.o", "xdpfilt_dny_all.o"] {
        let path = Path::new("/usr/lib/x86_64-linux-gnu/bpf").join(name);
        let Some(object) = open(&path) else { return };
        let loaded = object.prepare(&panal).unwrap().load().unwrap();
        fill(&loaded);
        let verdicts = run_all(&loaded, &frames);
        let dropped = verdicts.iter().filter(|(verdict, _)| *verdict == 1).count();
        assert!((5..55).contains(&dropped), "{name}: {dropped} dropped");

        // The same packets as a capture give the same verdicts.
        let program = panal.program(&loaded.programs()[0].fd).unwrap();
        let mut sink = Verdicts(Vec::new());
        let mut source = Frames(frames.iter(), 0);
        let mut summary = Summary::default();
        panal
            .run_packets(
                &[program],
                &Options::default(),
                &mut source,
                &mut sink,
                &mut summary,
            )
            .unwrap();
        assert!(
            sink.0
                .iter()
                .copied()
                .eq(verdicts.iter().map(|(verdict, _)| *verdict))
        );

        if let Some(linux) = &linux {
            // Panal's counters have seen every packet twice: begin anew.
            let fresh = open(&path)
                .unwrap()
                .prepare(&panal)
                .unwrap()
                .load()
                .unwrap();
            fill(&fresh);
            run_all(&fresh, &frames);
            let there = open(&path)
                .unwrap()
                .prepare(&*linux.kernel)
                .unwrap()
                .load()
                .unwrap();
            fill(&there);
            assert_eq!(run_all(&there, &frames), verdicts, "{name}");
            assert_eq!(contents(&there), contents(&fresh), "{name}");
        }
    }
}

/// An open-coded iterator: the kernel functions are found by name and run.
const SUM: &str = r#"
    #define SEC(name) __attribute__((section(name), used))
    #define KFUNC extern __attribute__((section(".ksyms")))
    struct __sk_buff;
    struct bpf_iter_num { unsigned long long opaque[1]; } __attribute__((aligned(8)));
    KFUNC int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end);
    KFUNC int *bpf_iter_num_next(struct bpf_iter_num *it);
    KFUNC void bpf_iter_num_destroy(struct bpf_iter_num *it);
    char LICENSE[] SEC("license") = "GPL";
    SEC("tc") int sum(struct __sk_buff *ctx)
    {
        struct bpf_iter_num it;
        int *v, total = 0;
        bpf_iter_num_new(&it, 3, 10);
        while ((v = bpf_iter_num_next(&it)))
            total += *v;
        bpf_iter_num_destroy(&it);
        return total;
    }
"#;

fn compile(source: &str) -> Option<Vec<u8>> {
    use std::process::{Command, Stdio};
    let mut clang = Command::new("clang-22")
        .args([
            "-g", "-O2", "-target", "bpf", "-mcpu=v3", "-x", "c", "-c", "-", "-o", "-",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    io::Write::write_all(&mut clang.stdin.take()?, source.as_bytes()).ok()?;
    let output = clang.wait_with_output().ok()?;
    assert!(
        output.status.success(),
        "clang-22 refuses the test's source"
    );
    Some(output.stdout)
}

#[test]
fn loops_over_numbers_run() {
    let Some(object) = compile(SUM) else {
        eprintln!("skipped: no clang-22");
        return;
    };
    panal_testkit::on_both(|kernel| {
        let open = Open::parse(&object, "sum").unwrap();
        let loaded = open.prepare(kernel).unwrap().load().unwrap();
        let run = TestRun {
            data_in: vec![0; 14],
            ..TestRun::default()
        };
        let result = kernel
            .prog_test_run(&loaded.programs()[0].fd, &run)
            .unwrap();
        assert_eq!(result.retval, (3..10).sum::<u32>(), "{}", kernel.name());
    });
}
