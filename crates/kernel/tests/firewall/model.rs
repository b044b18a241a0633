//! The firewall's rules, followed slowly, and packets for them with checksums summed anew.

use std::{collections::HashMap, net::IpAddr};

use panal_loader::Loaded;
use panal_testkit::Random;
use panal_uapi::kernel::Kernel;

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const SECOND: u64 = 1_000_000_000;
/// Packets a second and burst of every source.
pub const RATE: u64 = 20;
pub const BURST: u64 = 10;

/// A small generator of numbers (splitmix64): the same run each time.
fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn bytes_of(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

/// 16 bytes, an IPv4 address behind `::ffff:0:0`.
pub fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(a) => a.to_ipv6_mapped().octets(),
        IpAddr::V6(a) => a.octets(),
    }
}

/// Sum of 16-bit words, complemented (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u64 = bytes
        .chunks(2)
        .map(|c| u64::from(c[0]) << 8 | u64::from(c.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A TCP or UDP packet before it is written down.
#[derive(Clone)]
pub struct Packet {
    pub src: IpAddr,
    dst: IpAddr,
    proto: u8,
    sport: u16,
    dport: u16,
    payload: Vec<u8>,
    /// UDP over IPv4 may go without a checksum.
    summed: bool,
}

impl Packet {
    /// The frame, with all checksums.
    pub fn frame(&self) -> Vec<u8> {
        let mut transport = Vec::new();
        transport.extend(self.sport.to_be_bytes());
        transport.extend(self.dport.to_be_bytes());
        let check_at = match self.proto {
            TCP => {
                transport.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0x20, 0, 0, 0, 0, 0]);
                16
            }
            _ => {
                let len = 8 + self.payload.len() as u16;
                transport.extend(len.to_be_bytes());
                transport.extend([0, 0]);
                6
            }
        };
        transport.extend(&self.payload);
        let (src, dst) = (bytes_of(self.src), bytes_of(self.dst));
        if self.summed {
            let mut pseudo = [src.as_slice(), &dst].concat();
            pseudo.extend((transport.len() as u32).to_be_bytes());
            pseudo.extend([0, 0, 0, self.proto]);
            pseudo.extend(&transport);
            let sum = match checksum(&pseudo) {
                0 if self.proto == UDP => 0xffff,
                sum => sum,
            };
            transport[check_at..check_at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2];
        if self.src.is_ipv4() {
            frame.extend([0x08, 0x00]);
            let mut header = vec![0x45, 0];
            header.extend((20 + transport.len() as u16).to_be_bytes());
            header.extend([0x12, 0x34, 0x40, 0, 64, self.proto, 0, 0]);
            header.extend(src);
            header.extend(dst);
            let sum = checksum(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            frame.extend(header);
        } else {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend((transport.len() as u16).to_be_bytes());
            frame.extend([self.proto, 64]);
            frame.extend(src);
            frame.extend(dst);
        }
        frame.extend(transport);
        frame
    }
}

/// What becomes of a packet; the names of the program's counters in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Passed,
    Blocked,
    Limited,
    Forwarded,
    Returned,
    Malformed,
}

pub type Endpoint = (IpAddr, u16);

/// The rules, followed slowly.
#[derive(Default)]
pub struct Model {
    /// Whether sources have a limit.
    limited: bool,
    blocked: Vec<(IpAddr, u32)>,
    services: HashMap<(IpAddr, u16, u8), Vec<Endpoint>>,
    /// By source: billionths of a packet, time.
    buckets: HashMap<IpAddr, (u64, u64)>,
    /// By back end, client and protocol: the service.
    replies: HashMap<(Endpoint, Endpoint, u8), Endpoint>,
}

impl Model {
    fn is_blocked(&self, source: IpAddr) -> bool {
        let bits = bytes_of(source);
        self.blocked.iter().any(|(prefix, len)| {
            let prefix = bytes_of(*prefix);
            let bit = |bytes: &[u8], i: usize| bytes[i / 8] >> (7 - i % 8) & 1;
            prefix.len() == bits.len()
                && (0..*len as usize).all(|i| bit(&prefix, i) == bit(&bits, i))
        })
    }

    fn is_over_limit(&mut self, source: IpAddr, now: u64) -> bool {
        let full = u128::from(BURST * SECOND);
        let Some((tokens, last)) = self.buckets.get_mut(&source) else {
            self.buckets.insert(source, ((BURST - 1) * SECOND, now));
            return false;
        };
        let filled = u128::from(*tokens) + u128::from(now - *last) * u128::from(RATE);
        *tokens = filled.min(full) as u64;
        *last = now;
        if *tokens < SECOND {
            return true;
        }
        *tokens -= SECOND;
        false
    }

    /// The program's choice among back ends: FNV-1 over words as they lie in the packet.
    fn hash(packet: &Packet) -> u32 {
        let src = mapped(packet.src);
        let words = src
            .as_chunks::<4>()
            .0
            .iter()
            .map(|w| u32::from_ne_bytes(*w));
        let ports = [packet.sport, packet.dport].map(|p| u32::from(p.to_be()));
        let h = words.chain(ports).fold(0x811c_9dc5u32, |h, word| {
            (h ^ word).wrapping_mul(0x0100_0193)
        });
        h ^ h >> 15
    }

    pub fn packet(&mut self, packet: &Packet, now: u64) -> (Outcome, Packet) {
        let mut out = packet.clone();
        if self.is_blocked(packet.src) {
            return (Outcome::Blocked, out);
        }
        if self.limited && self.is_over_limit(packet.src, now) {
            return (Outcome::Limited, out);
        }
        let client = (packet.src, packet.sport);
        let service = (packet.dst, packet.dport);
        if let Some(pool) = self.services.get(&(packet.dst, packet.dport, packet.proto)) {
            let backend = pool[Model::hash(packet) as usize % pool.len()];
            self.replies
                .insert((backend, client, packet.proto), service);
            (out.dst, out.dport) = backend;
            return (Outcome::Forwarded, out);
        }
        match self.replies.get(&(client, service, packet.proto)) {
            Some(front) => {
                (out.src, out.sport) = *front;
                (Outcome::Returned, out)
            }
            None => (Outcome::Passed, out),
        }
    }
}

/// The rules of model and program alike.
pub fn rules(kernel: &dyn Kernel, loaded: &Loaded<'_>, limited: bool) -> Model {
    let mut model = Model {
        limited,
        ..Model::default()
    };
    let put = |map: &str, key: &[u8], value: &[u8]| {
        let fd = &loaded.map(map).unwrap().fd;
        kernel.map_update(fd, key, value, 0).unwrap();
    };
    for (prefix, len) in [
        ("203.0.113.0", 24),
        ("198.51.100.64", 26),
        ("2001:db8:bad::", 48),
    ] {
        let address = ip(prefix);
        let key = [u32::to_ne_bytes(len).to_vec(), bytes_of(address)].concat();
        let map = if address.is_ipv4() {
            "blocklist4"
        } else {
            "blocklist6"
        };
        put(map, &key, &[0; 8]);
        model.blocked.push((address, len));
    }
    put(
        "limits",
        &[0; 4],
        &[
            if limited { RATE } else { 0 }.to_ne_bytes(),
            BURST.to_ne_bytes(),
        ]
        .concat(),
    );
    let pools = [
        (
            ("192.0.2.1", 80, TCP),
            vec![("10.0.0.1", 8080), ("10.0.0.2", 8081), ("10.0.0.3", 80)],
        ),
        (("192.0.2.1", 53, UDP), vec![("10.0.0.9", 5353)]),
        (
            ("2001:db8::1", 443, TCP),
            vec![("fd00::1", 8443), ("fd00::2", 443)],
        ),
        (
            ("2001:db8::1", 53, UDP),
            vec![("fd00::53", 53), ("fd00::54", 5300)],
        ),
    ];
    let mut first = 0u32;
    for ((address, port, proto), pool) in pools {
        let address = ip(address);
        let key = [&mapped(address)[..], &u16::to_be_bytes(port), &[proto, 0]].concat();
        let value = [first.to_ne_bytes(), (pool.len() as u32).to_ne_bytes()].concat();
        put("services", &key, &value);
        let pool: Vec<Endpoint> = pool.iter().map(|(a, p)| (ip(a), *p)).collect();
        for (address, port) in &pool {
            let value = [&mapped(*address)[..], &port.to_be_bytes(), &[0, 0]].concat();
            put("backends", &first.to_ne_bytes(), &value);
            first += 1;
        }
        model.services.insert((address, port, proto), pool);
    }
    model
}

/// Packets of clients, back ends and strangers.
pub fn generate(random: &mut Random, model: &Model) -> Packet {
    let v4 = random.next().is_multiple_of(2);
    let clients4 = [
        "198.51.100.7",
        "198.51.100.70",
        "203.0.113.9",
        "192.0.2.77",
        "100.64.0.1",
    ];
    let clients6 = [
        "2001:db8:1::7",
        "2001:db8:bad::1",
        "2001:db8:bad:ffff::2",
        "2001:db8:2::2",
    ];
    let (client, service) = match v4 {
        true => (ip(random.of(&clients4)), ip("192.0.2.1")),
        false => (ip(random.of(&clients6)), ip("2001:db8::1")),
    };
    let proto = random.of(&[TCP, UDP]);
    let payload = (0..random.next() % 40)
        .map(|_| random.next() as u8)
        .collect();
    let mut packet = Packet {
        src: client,
        dst: service,
        proto,
        sport: 40_000 + (random.next() % 5) as u16,
        dport: random.of(&[80, 53, 443, 22]),
        payload,
        summed: !(v4 && proto == UDP && random.next().is_multiple_of(4)),
    };
    // Back ends answer, and talk on their own.
    if random.next().is_multiple_of(3) {
        let mut pools: Vec<_> = model.services.iter().collect();
        pools.sort();
        let ((front, _, proto), pool) = random.of(&pools);
        let backend = random.of(pool);
        if front.is_ipv4() == v4 {
            (packet.src, packet.sport) = backend;
            (packet.dst, packet.dport) = (client, 40_000 + (random.next() % 5) as u16);
            packet.proto = *proto;
            packet.summed = true;
        }
    }
    packet
}
