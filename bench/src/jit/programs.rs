//! The programs that every engine runs, and what they run on.

/// A program: a function of an object.
#[derive(Clone, Copy)]
pub struct Program {
    pub name: &'static str,
    /// Its object, if that has another name.
    pub within: Option<&'static str>,
    /// What it is about, in the words of the table.
    pub subject: &'static str,
    pub group: Group,
    pub input: Input,
    /// Whether its value depends on how often it ran.
    pub drifts: bool,
    /// Why it has no native counterpart.
    pub not_native: Option<&'static str>,
}

/// How a program counts in the means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// In all.
    Plain,
    /// Calls within the program, where Linux pays for its mitigations: not in "without the calls".
    Calls,
    /// What helpers and maps do counts more than machine code.
    Maps,
}

/// What a program runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Bytes of every value.
    Bytes,
    /// Words, numbers and strings.
    Text,
    /// Characters of one to three bytes.
    Utf8,
    /// Frames of 60 bytes, one after another.
    Frames,
    /// One TCP packet.
    Packet,
}

const HELPERS: Option<&str> = Some("its helpers have no native counterpart");

const fn plain(name: &'static str, subject: &'static str, input: Input) -> Program {
    Program {
        name,
        within: None,
        subject,
        group: Group::Plain,
        input,
        drifts: false,
        not_native: None,
    }
}

const fn calls(name: &'static str, subject: &'static str) -> Program {
    Program {
        group: Group::Calls,
        ..plain(name, subject, Input::Bytes)
    }
}

const fn maps(name: &'static str, subject: &'static str, input: Input) -> Program {
    Program {
        group: Group::Maps,
        not_native: HELPERS,
        ..plain(name, subject, input)
    }
}

/// What entering a program costs, for each type of programs; taken off their figures.
pub const EMPTY: &[Program] = &[
    plain("empty", "entry", Input::Bytes),
    maps("empty_xdp", "entry, XDP", Input::Packet),
];

/// A program that does one thing in a loop.
pub const fn operation(name: &'static str) -> Program {
    Program {
        within: Some("bench/programs/micro"),
        ..maps(name, "", Input::Bytes)
    }
}

/// In the order of the table.
pub const PROGRAMS: &[Program] = &[
    plain("arith", "xorshift generator", Input::Bytes),
    plain("bits", "bit tricks", Input::Bytes),
    plain("divide", "greatest common divisor", Input::Bytes),
    plain("hash", "64-bit mixing hash", Input::Bytes),
    plain("jhash", "Jenkins hash", Input::Bytes),
    plain("siphash", "SipHash-2-4", Input::Bytes),
    plain("murmur", "MurmurHash3", Input::Bytes),
    plain("fnv", "FNV-1a", Input::Bytes),
    plain("crc", "CRC-32 by table", Input::Bytes),
    plain("checksum", "Internet checksum", Input::Bytes),
    plain("headers", "Ethernet, IP, TCP headers", Input::Frames),
    plain("parse", "type, length, value walk", Input::Bytes),
    plain("decimal", "decimal numbers", Input::Text),
    plain("machine", "state machine by table", Input::Text),
    plain("utf8", "UTF-8 decoding", Input::Utf8),
    plain("find", "string search", Input::Text),
    plain("compare", "string compare", Input::Text),
    plain("base64", "base64", Input::Bytes),
    plain("hex", "hexadecimal", Input::Bytes),
    plain("cases", "switch", Input::Bytes),
    plain("sort", "bubble sort in a map", Input::Bytes),
    plain("stack", "sort on the stack", Input::Bytes),
    plain("search", "binary search", Input::Bytes),
    plain("matrix", "matrix product", Input::Bytes),
    plain(
        "options",
        "VLAN tags, IPv6 extensions, TCP options",
        Input::Frames,
    ),
    plain("bucket", "token buckets", Input::Bytes),
    plain("histogram", "histogram of logarithms", Input::Bytes),
    plain("format", "numbers to text", Input::Bytes),
    plain("varint", "LEB128 and zigzag", Input::Bytes),
    plain("memory", "copies, comparisons, zeros", Input::Bytes),
    plain("bloom", "Bloom filter", Input::Bytes),
    plain("probing", "open addressing", Input::Bytes),
    plain("sha256", "SHA-256", Input::Bytes),
    plain("chacha", "ChaCha20", Input::Bytes),
    plain("aes", "block cipher by bytes", Input::Bytes),
    plain("convolve", "picture smoothed", Input::Bytes),
    plain("heap", "heap sort", Input::Bytes),
    plain("glob", "patterns with stars", Input::Text),
    plain("distance", "edit distance", Input::Bytes),
    plain("adpcm", "signed numbers, IMA ADPCM", Input::Bytes),
    plain("fields", "bit fields", Input::Bytes),
    plain("bytecode", "bytecode by a switch", Input::Bytes),
    plain("nat", "packets rewritten", Input::Frames),
    calls("calls", "calls, two deep"),
    calls("chain", "calls, six deep, five arguments"),
    calls("globals", "global subprograms"),
    Program {
        group: Group::Maps,
        ..plain("array", "array lookups", Input::Bytes)
    },
    maps("hashmap", "hash lookups", Input::Bytes),
    maps("percpu", "per-CPU counters", Input::Bytes),
    Program {
        drifts: true,
        ..maps("maps", "array and hash, updates", Input::Bytes)
    },
    maps("events", "ring buffer", Input::Bytes),
    maps("elements", "bpf_for_each_map_elem", Input::Bytes),
    maps("iterator", "bpf_for, nested", Input::Bytes),
    maps("flows", "flows in an LRU map", Input::Bytes),
    maps("routes", "longest prefix", Input::Bytes),
    maps("queues", "queue and stack", Input::Bytes),
    maps("locked", "spin lock", Input::Bytes),
    maps("probes", "probe reads", Input::Bytes),
    maps("strings", "strings of the kernel", Input::Bytes),
    maps("loadbytes", "bpf_skb_load_bytes", Input::Bytes),
    maps("csums", "bpf_csum_diff", Input::Bytes),
    maps("conntrack", "keys of 40 bytes, values of 64", Input::Bytes),
    maps("shares", "per-CPU updates", Input::Bytes),
    maps("slices", "bpf_dynptr_slice", Input::Bytes),
    maps("tables", "maps in a map", Input::Bytes),
    Program {
        drifts: true,
        ..maps("nested", "hashes in a map, maps in a hash", Input::Bytes)
    },
    maps("counters", "array and per-CPU updates", Input::Bytes),
    maps("routes6", "longest prefix, IPv6", Input::Bytes),
    maps("rewrite", "bpf_skb_store_bytes, checksums", Input::Frames),
    maps("legacy", "loads of classic BPF", Input::Frames),
    maps("texts", "bpf_snprintf, numbers, strings", Input::Bytes),
    Program {
        within: Some("examples/firewall"),
        ..maps("firewall", "the example firewall (XDP)", Input::Packet)
    },
];

impl Program {
    /// Its object, within the project.
    pub fn object(&self) -> String {
        match self.within {
            Some(path) => format!("{path}.bpf.o"),
            None => format!("bench/programs/{}.bpf.o", self.name),
        }
    }

    /// Which of [`EMPTY`] is its type's.
    pub fn empty(&self) -> usize {
        usize::from(self.name == "firewall")
    }

    /// Its C source, within the project.
    pub fn source(&self) -> String {
        self.object().replace(".bpf.o", ".bpf.c")
    }
}

const PACKET: usize = 1000;

impl Input {
    /// Its bytes, the same each time.
    pub fn bytes(self) -> Vec<u8> {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        match self {
            Input::Bytes => (0..PACKET).map(|i| (i * 7 + 1) as u8).collect(),
            Input::Text => text(&mut random),
            Input::Utf8 => utf8(&mut random),
            Input::Frames => (0..16).flat_map(|n| frame(n, &mut random)).collect(),
            Input::Packet => frame(1, &mut random),
        }
    }
}

/// A xorshift generator: input must not depend on the day.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

fn text(random: &mut Random) -> Vec<u8> {
    // A name that `compare` looks for stands first, as a string of C.
    let mut text = b"content-type\0".to_vec();
    while text.len() < PACKET {
        match random.below(8) {
            0 => text.extend(b"GET "),
            1 => text.extend(format!("\"{}\" ", random.below(1000)).bytes()),
            2..=4 => text.extend(format!("{} ", random.below(1_000_000)).bytes()),
            _ => {
                let letters = (0..=random.below(9)).map(|_| b'a' + random.below(26) as u8);
                text.extend(letters.collect::<Vec<_>>());
                text.push(b" ,;\n"[random.below(4) as usize]);
            }
        }
    }
    text.truncate(PACKET);
    text
}

fn utf8(random: &mut Random) -> Vec<u8> {
    let mut text = String::new();
    while text.len() < PACKET - 4 {
        let (first, count) =
            [(0x20, 0x5f), (0x20, 0x5f), (0xc0, 0x180), (0x4e00, 0x1000)][random.below(4) as usize];
        text.extend(char::from_u32(first + random.below(count) as u32));
    }
    text.into_bytes()
}

/// A frame of 60 bytes: TCP or UDP over IPv4 or IPv6, sometimes with a VLAN tag.
fn frame(number: u64, random: &mut Random) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..60).map(|_| random.below(256) as u8).collect();
    let mut at = 12;
    if number % 5 == 3 {
        frame[at..at + 4].copy_from_slice(&[0x81, 0, 0, 7]);
        at += 4;
    }
    let transport = if number % 3 == 2 { 17 } else { 6 };
    if number % 4 == 2 {
        frame[at..at + 3].copy_from_slice(&[0x86, 0xdd, 0x60]);
        frame[at + 8] = transport;
    } else {
        frame[at..at + 3].copy_from_slice(&[0x08, 0x00, 0x45]);
        frame[at + 2 + 6..at + 2 + 8].copy_from_slice(&[0, 0]);
        frame[at + 2 + 9] = transport;
    }
    frame
}
