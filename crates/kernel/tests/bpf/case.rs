//! Text cases: a program, what it is given, what is expected.
//!
//! ```text
//! == name
//! like NAME                    type, maps and program of an earlier case of the file
//! type xdp                     program type
//! attach cgroup_inet_ingress   expected attach type
//! map m hash 4 8 16            name, type, key size, value size, entries
//! put m 01000000 0000000000000000
//! send m 0011                  a record into a user ring buffer
//! poke m 4096 0800             bytes of a map's file, from an offset
//! in 0011 60*00                packet
//! ctx 00000000                 context
//! repeat 3
//! prog
//!   r0 = 2
//!   exit
//! end
//! ret 2                        low 32 bits of what it returns, signed or unsigned
//! out 0011 60*00               packet afterwards
//! ctxout 0000
//! get m 01000000 0000000000000000
//! none m 02000000              no such key afterwards
//! peek m 0 1000                bytes of the map's file afterwards
//! fails EINVAL                 the test run is refused with this errno
//! only panal                   why Linux is not asked
//! ```

use panal_uapi::{AttachType, MapType, ProgType};

#[derive(Clone, Debug)]
pub struct MapLine {
    pub name: String,
    pub map_type: MapType,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
}

#[derive(Clone, Debug)]
pub enum Expect {
    Return(u32),
    Packet(Vec<u8>),
    Context(Vec<u8>),
    Value(String, Vec<u8>, Vec<u8>),
    NoKey(String, Vec<u8>),
    Bytes(String, usize, Vec<u8>),
    Fails(String),
}

#[derive(Clone, Debug, Default)]
pub struct Case {
    pub name: String,
    pub prog_type: Option<ProgType>,
    pub attach_type: Option<AttachType>,
    pub maps: Vec<MapLine>,
    pub puts: Vec<(String, Vec<u8>, Vec<u8>)>,
    pub sends: Vec<(String, Vec<u8>)>,
    pub pokes: Vec<(String, usize, Vec<u8>)>,
    pub packet: Vec<u8>,
    pub context: Vec<u8>,
    pub repeat: u32,
    pub program: String,
    pub expectations: Vec<Expect>,
    pub only_panal: Option<String>,
}

fn hex(words: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in words {
        let (count, digits) = match word.split_once('*') {
            Some((count, digits)) => (count.parse().expect("a count"), digits),
            None => (1, *word),
        };
        assert!(digits.len().is_multiple_of(2), "odd hex {word:?}");
        let bytes: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).expect("hex digits"))
            .collect();
        for _ in 0..count {
            out.extend_from_slice(&bytes);
        }
    }
    out
}

fn number(word: &str) -> i64 {
    match word.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).expect("hex number"),
        None => word.parse().expect("a number"),
    }
}

/// Reads a file of cases.
pub fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some(name) = line.strip_prefix("== ") {
            cases.push(Case {
                name: name.to_owned(),
                ..Case::default()
            });
            continue;
        }
        if words.is_empty() || line.starts_with('#') {
            continue;
        }
        let (case, earlier) = cases.split_last_mut().expect("a case begins with ==");
        match *words {
            ["like", ref words @ ..] => {
                let name = words.join(" ");
                let earlier = earlier.iter().find(|case| case.name == name);
                let earlier = earlier
                    .unwrap_or_else(|| panic!("no case {name:?} before"))
                    .clone();
                case.prog_type = earlier.prog_type;
                case.attach_type = earlier.attach_type;
                case.maps = earlier.maps;
                case.program = earlier.program;
            }
            ["type", name] => case.prog_type = ProgType::from_name(name),
            ["attach", name] => case.attach_type = AttachType::from_name(name),
            ["map", name, kind, key, value, entries] => case.maps.push(MapLine {
                name: name.to_owned(),
                map_type: MapType::from_name(kind).expect("a map type"),
                key_size: number(key) as u32,
                value_size: number(value) as u32,
                max_entries: number(entries) as u32,
            }),
            ["put", name, key, ref value @ ..] => {
                case.puts.push((name.to_owned(), hex(&[key]), hex(value)));
            }
            ["send", name, ref words @ ..] => case.sends.push((name.to_owned(), hex(words))),
            ["poke", name, at, ref words @ ..] => {
                case.pokes
                    .push((name.to_owned(), number(at) as usize, hex(words)));
            }
            ["in", ref words @ ..] => case.packet = hex(words),
            ["ctx", ref words @ ..] => case.context = hex(words),
            ["repeat", n] => case.repeat = number(n) as u32,
            ["prog"] => {
                for line in lines.by_ref().take_while(|line| line.trim() != "end") {
                    case.program.push_str(line);
                    case.program.push('\n');
                }
            }
            ["ret", n] => case.expectations.push(Expect::Return(number(n) as u32)),
            ["out", ref words @ ..] => case.expectations.push(Expect::Packet(hex(words))),
            ["ctxout", ref words @ ..] => case.expectations.push(Expect::Context(hex(words))),
            ["get", name, key, ref value @ ..] => {
                case.expectations
                    .push(Expect::Value(name.to_owned(), hex(&[key]), hex(value)))
            }
            ["none", name, key] => {
                case.expectations
                    .push(Expect::NoKey(name.to_owned(), hex(&[key])));
            }
            ["peek", name, at, ref words @ ..] => {
                let at = number(at) as usize;
                case.expectations
                    .push(Expect::Bytes(name.to_owned(), at, hex(words)));
            }
            ["fails", errno] => case.expectations.push(Expect::Fails(errno.to_owned())),
            ["only", "panal", ref why @ ..] => case.only_panal = Some(why.join(" ")),
            _ => panic!("case {}: {line:?}", case.name),
        }
    }
    cases
}
