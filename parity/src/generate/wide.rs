//! What only a whole kernel can run: more helpers and maps, callbacks, iterators, `may_goto`.

use super::*;
use crate::program::Role;

/// Offsets of the maps that only whole kernels have, in [`WIDE_MAPS`].
const QUEUES: [usize; 2] = [5, 6];
const RING: usize = 8;
const PROGRAMS: usize = 10;
/// The maps whose elements have keys.
pub(super) const KEYED: &[usize] = &[0, 1, 2, 3, 4, 7, 9, 11];
/// Below the scratch area: where iterators live, one for each depth.
const ITERATORS: i16 = -SCRATCH - 8;
/// Below the iterators: where a dynptr lives.
const DYNPTR: i16 = -SCRATCH - 64;
/// Bytes of a caller's stack that it lends.
pub(super) const LENT: i16 = 48;

/// Fields of `struct __sk_buff` that both kernels fill alike: to read, to write.
const SKB_READ: &[i16] = &[0, 4, 8, 12, 16, 20, 24, 32, 44, 48, 52, 56, 60, 64];
const SKB_WRITE: &[i16] = &[8, 32, 44, 48, 52, 56, 60, 64];

fn packet_fields(prog_type: ProgType) -> Option<(i16, i16)> {
    match prog_type {
        ProgType::Xdp => Some((0, 4)),
        ProgType::SchedCls
        | ProgType::SchedAct
        | ProgType::CgroupSkb
        | ProgType::LwtIn
        | ProgType::LwtXmit => Some((76, 80)),
        _ => None,
    }
}

fn is_skb(prog_type: ProgType) -> bool {
    !matches!(
        prog_type,
        ProgType::Xdp | ProgType::Syscall | ProgType::RawTracepoint
    )
}

/// What both kernels give alike in these bytes of a context: a number (false), or where the packet
/// begins or ends (true).
pub fn context_field(prog_type: ProgType, size: Size, offset: i64) -> Option<bool> {
    let len = i64::from(size.bytes());
    if let Some((data, data_end)) = packet_fields(prog_type)
        && size == Size::W
        && [data, data_end].map(i64::from).contains(&offset)
    {
        return Some(true);
    }
    let known = match prog_type {
        ProgType::Syscall | ProgType::RawTracepoint => offset >= 0 && offset + len <= 40,
        // Linux keeps some of these fields narrower than programs see them, and reads them again for
        // bytes that are not at a field's start.
        _ if is_skb(prog_type) => (offset..offset + len)
            .step_by(4)
            .all(|word| SKB_READ.iter().any(|field| i64::from(*field) == word)),
        _ => false,
    };
    known.then_some(false)
}

impl Generator<'_> {
    pub(super) fn wider(&mut self) -> Option<Item> {
        match self.rng.below(18) {
            0 => self.delete(),
            1 => self.packet_bytes(),
            2 => self.csum_diff(),
            3 => self.csum_replace(),
            4 => self.resize(),
            5 => self.parse_number(),
            6 => self.ring_output(),
            7 => self.ring_reserve(),
            8 => self.queue(),
            9 | 10 => self.iterate(),
            11 | 12 => self.may_loop(),
            13 => self.ordered(),
            14 => self.tail_call(),
            15 => self.dynptr(),
            _ => self.context(),
        }
    }

    /// Where in a context data and its end stand, if programs of this type see a packet.
    pub(super) fn packet_fields(&self) -> Option<(i16, i16)> {
        packet_fields(self.prog_type)
    }

    /// Whether programs of this type may write to a packet.
    pub(super) fn packet_writable(&self) -> bool {
        !matches!(
            self.prog_type,
            ProgType::SocketFilter | ProgType::CgroupSkb | ProgType::LwtIn
        )
    }

    fn is_skb(&self) -> bool {
        is_skb(self.prog_type)
    }

    fn is_sched(&self) -> bool {
        matches!(self.prog_type, ProgType::SchedCls | ProgType::SchedAct)
    }

    /// `r = address of so many bytes of the scratch area`
    fn lend(&mut self, r: Reg, len: i16) -> Vec<Item> {
        let places = (SCRATCH - 8 - len) / 8;
        let offset = -SCRATCH + 8 * self.rng.below(places as usize + 1) as i16;
        on_stack(r, offset)
    }

    /// `r = a number from 0 to the mask`, of which nothing else is known
    fn bounded(&mut self, r: Reg, mask: i32) -> Vec<Item> {
        match self.number() {
            Some(number) if self.rng.one_in(2) => vec![
                mov(r, Operand::Reg(number)),
                alu(AluOp::And, r, Operand::Imm(mask)),
            ],
            _ => vec![mov(
                r,
                Operand::Imm(self.rng.below(mask as usize + 1) as i32),
            )],
        }
    }

    fn call_helper(&mut self, mut parts: Vec<Item>, id: u32) -> Option<Item> {
        parts.push(helper(id));
        self.clobber();
        Some(Item::Group(parts))
    }

    /// Pointers to packet data are worth nothing any more.
    fn forget_packets(&mut self) {
        for kind in &mut self.kinds {
            if matches!(kind, Kind::Packet(_)) {
                *kind = Kind::Nothing;
            }
        }
    }

    /// A key in the scratch area, as a map wants it.
    fn key(&mut self, map: usize, r: Reg) -> Vec<Item> {
        let at = -SCRATCH;
        let store = |size, offset, value| {
            Item::Op(Instruction::Store {
                size,
                base: Reg::R10,
                offset,
                src: Operand::Imm(value),
            })
        };
        let number = self.rng.below(6) as i32;
        let mut parts = match (WIDE_MAPS[map].map_type, WIDE_MAPS[map].key_size) {
            (MapType::LpmTrie, _) => vec![
                store(Size::W, at, self.rng.pick(&[0, 1, 8, 9, 24, 32])),
                store(
                    Size::W,
                    at + 4,
                    self.rng
                        .pick(&[0, 0x01, 0x0101, 0x0a, 0x8000_0001u32 as i32]),
                ),
            ],
            (_, 8) => vec![store(Size::DW, at, number)],
            _ => vec![store(Size::W, at, number)],
        };
        parts.extend(on_stack(r, at));
        parts
    }

    fn delete(&mut self) -> Option<Item> {
        let map = self.rng.pick(KEYED);
        let mut parts = self.key(map, Reg::R2);
        parts.push(Item::Map { dst: Reg::R1, map });
        self.call_helper(parts, BPF_FUNC_map_delete_elem)
    }

    /// A lookup or update in one of the wider maps.
    pub(super) fn wide_lookup(&mut self, keep: Reg) -> Item {
        let map = self.rng.pick(KEYED);
        let mut parts = Vec::new();
        if self.rng.one_in(2) {
            parts.extend(self.key(map, Reg::R2));
            parts.push(Item::Map { dst: Reg::R1, map });
            parts.extend(on_stack(Reg::R3, -SCRATCH + 8));
            parts.push(mov(Reg::R4, Operand::Imm(self.rng.pick(&[0, 0, 1, 2]))));
            parts.push(helper(BPF_FUNC_map_update_elem));
            self.clobber();
            parts.push(self.fold());
        }
        parts.extend(self.key(map, Reg::R2));
        parts.push(Item::Map { dst: Reg::R1, map });
        parts.push(helper(BPF_FUNC_map_lookup_elem));
        self.clobber();
        parts.push(Item::Leave(is_zero(Reg::R0)));
        parts.push(mov(keep, Operand::Reg(Reg::R0)));
        self.set(Reg::R0, Kind::Value(map, 0));
        self.set(keep, Kind::Value(map, 0));
        Item::Group(parts)
    }

    /// `bpf_skb_load_bytes`, `bpf_skb_store_bytes` and their XDP relatives.
    fn packet_bytes(&mut self) -> Option<Item> {
        if !self.main {
            return None;
        }
        let store = self.rng.one_in(2);
        let id = match (self.prog_type, store) {
            (ProgType::Xdp, false) => BPF_FUNC_xdp_load_bytes,
            (ProgType::Xdp, true) => BPF_FUNC_xdp_store_bytes,
            (_, true) if self.is_sched() => BPF_FUNC_skb_store_bytes,
            (_, false) if self.is_skb() => BPF_FUNC_skb_load_bytes,
            _ => return None,
        };
        let mut parts = self.bounded(Reg::R2, 63);
        let len = self.rng.pick(&[1, 2, 4, 6, 8, 16]);
        parts.extend(self.lend(Reg::R3, len));
        parts.push(mov(Reg::R4, Operand::Imm(i32::from(len))));
        if id == BPF_FUNC_skb_store_bytes {
            parts.push(mov(Reg::R5, Operand::Imm(self.rng.pick(&[0, 0, 1, 2]))));
        }
        parts.push(mov(Reg::R1, Operand::Reg(Reg::R6)));
        if store {
            self.forget_packets();
        }
        self.call_helper(parts, id)
    }

    fn csum_diff(&mut self) -> Option<Item> {
        if !self.is_sched() && !matches!(self.prog_type, ProgType::Xdp | ProgType::LwtXmit) {
            return None;
        }
        let mut parts = vec![mov(Reg::R5, self.operand())];
        let from = self.rng.pick(&[0, 4, 8, 16, 20]);
        let to = self.rng.pick(&[4, 8, 16, 24]);
        parts.extend(if from == 0 {
            vec![mov(Reg::R1, Operand::Imm(0))]
        } else {
            self.lend(Reg::R1, 24)
        });
        parts.push(mov(Reg::R2, Operand::Imm(from)));
        parts.extend(self.lend(Reg::R3, 24));
        parts.push(mov(Reg::R4, Operand::Imm(to)));
        self.call_helper(parts, BPF_FUNC_csum_diff)
    }

    fn csum_replace(&mut self) -> Option<Item> {
        if !self.main || !self.is_sched() {
            return None;
        }
        let flags = self.rng.pick(&[0, 2, 4, 0x12, 0x20, 0x40]);
        let mut parts = vec![mov(Reg::R3, self.operand())];
        parts.push(mov(Reg::R4, Operand::Imm(self.imm())));
        parts.push(mov(
            Reg::R2,
            Operand::Imm(self.rng.pick(&[24, 36, 40, 50, 62])),
        ));
        parts.push(mov(Reg::R5, Operand::Imm(flags)));
        parts.push(mov(Reg::R1, Operand::Reg(Reg::R6)));
        self.forget_packets();
        let id = self
            .rng
            .pick(&[BPF_FUNC_l3_csum_replace, BPF_FUNC_l4_csum_replace]);
        self.call_helper(parts, id)
    }

    /// Makes the packet longer or shorter.
    fn resize(&mut self) -> Option<Item> {
        if !self.main {
            return None;
        }
        let (id, r2, r3) = match self.prog_type {
            ProgType::Xdp => match self.rng.below(3) {
                0 => (
                    BPF_FUNC_xdp_adjust_head,
                    self.rng.pick(&[-16, -4, 0, 4, 14, 20, 60]),
                    0,
                ),
                1 => (
                    BPF_FUNC_xdp_adjust_tail,
                    self.rng.pick(&[-50, -20, -1, 0, 1, 16, 64]),
                    0,
                ),
                _ => (
                    BPF_FUNC_xdp_adjust_meta,
                    self.rng.pick(&[-32, -8, -4, -2, 0, 4]),
                    0,
                ),
            },
            _ if self.is_sched() => match self.rng.below(5) {
                0 => (
                    BPF_FUNC_skb_pull_data,
                    self.rng.pick(&[0, 14, 34, 60, 200]),
                    0,
                ),
                1 => (
                    BPF_FUNC_skb_change_tail,
                    self.rng.pick(&[14, 20, 40, 64, 100]),
                    0,
                ),
                2 => (
                    BPF_FUNC_skb_vlan_push,
                    self.rng.pick(&[0x81, 0xa888, 0]),
                    self.rng.pick(&[0, 1, 100, 0xfff]),
                ),
                3 => (BPF_FUNC_skb_vlan_pop, 0, 0),
                _ => (BPF_FUNC_skb_change_head, self.rng.pick(&[0, 4, 14, 30]), 0),
            },
            _ => return None,
        };
        let parts = vec![
            mov(Reg::R1, Operand::Reg(Reg::R6)),
            mov(Reg::R2, Operand::Imm(r2)),
            mov(Reg::R3, Operand::Imm(r3)),
        ];
        self.forget_packets();
        self.call_helper(parts, id)
    }

    /// `bpf_strtol`, `bpf_strtoul` over a few characters.
    fn parse_number(&mut self) -> Option<Item> {
        const TEXT: &[i32] = &[
            0x3433_3231,
            0x3132_2d20,
            0x3130_7830,
            0x3939_3939,
            0x0a37_3635,
            0x66_6630,
        ];
        let text = -SCRATCH;
        let mut parts: Vec<Item> = [text, text + 4]
            .into_iter()
            .map(|offset| {
                Item::Op(Instruction::Store {
                    size: Size::W,
                    base: Reg::R10,
                    offset,
                    src: Operand::Imm(self.rng.pick(TEXT)),
                })
            })
            .collect();
        parts.extend(on_stack(Reg::R1, text));
        parts.push(mov(Reg::R2, Operand::Imm(self.rng.pick(&[1, 3, 4, 8]))));
        parts.push(mov(
            Reg::R3,
            Operand::Imm(self.rng.pick(&[0, 8, 10, 16, 3])),
        ));
        parts.extend(on_stack(Reg::R4, text + 16));
        let id = self.rng.pick(&[BPF_FUNC_strtol, BPF_FUNC_strtoul]);
        self.call_helper(parts, id)
    }

    fn ring_output(&mut self) -> Option<Item> {
        let len = self.rng.pick(&[1, 4, 8, 20, 48]);
        let mut parts = self.lend(Reg::R2, len);
        parts.push(mov(Reg::R3, Operand::Imm(i32::from(len))));
        parts.push(mov(Reg::R4, Operand::Imm(self.rng.pick(&[0, 1, 2]))));
        parts.push(Item::Map {
            dst: Reg::R1,
            map: RING,
        });
        self.call_helper(parts, BPF_FUNC_ringbuf_output)
    }

    /// A record reserved, written whole, and submitted or discarded.
    fn ring_reserve(&mut self) -> Option<Item> {
        let keep = self.kept()?;
        let words = self.rng.pick(&[1, 2]);
        let mut parts = vec![
            Item::Map {
                dst: Reg::R1,
                map: RING,
            },
            mov(Reg::R2, Operand::Imm(8 * words)),
            mov(Reg::R3, Operand::Imm(0)),
            helper(BPF_FUNC_ringbuf_reserve),
            Item::Leave(is_zero(Reg::R0)),
            mov(keep, Operand::Reg(Reg::R0)),
        ];
        self.clobber();
        self.set(Reg::R0, Kind::Nothing);
        self.set(keep, Kind::Nothing);
        for word in 0..words {
            parts.push(Item::Op(Instruction::Store {
                size: Size::DW,
                base: keep,
                offset: 8 * word as i16,
                src: self.operand(),
            }));
        }
        parts.push(mov(Reg::R1, Operand::Reg(keep)));
        parts.push(mov(Reg::R2, Operand::Imm(0)));
        parts.push(helper(self.rng.pick(&[
            BPF_FUNC_ringbuf_submit,
            BPF_FUNC_ringbuf_submit,
            BPF_FUNC_ringbuf_discard,
        ])));
        // Neither gives a result.
        self.clobber();
        self.set(Reg::R0, Kind::Nothing);
        Some(Item::Whole(parts))
    }

    /// `bpf_map_push_elem`, `bpf_map_pop_elem`, `bpf_map_peek_elem`
    fn queue(&mut self) -> Option<Item> {
        let map = self.rng.pick(&QUEUES);
        let mut parts = self.lend(Reg::R2, 8);
        parts.push(Item::Map { dst: Reg::R1, map });
        let id = self.rng.pick(&[
            BPF_FUNC_map_push_elem,
            BPF_FUNC_map_push_elem,
            BPF_FUNC_map_pop_elem,
            BPF_FUNC_map_peek_elem,
        ]);
        if id == BPF_FUNC_map_push_elem {
            parts.push(mov(Reg::R3, Operand::Imm(self.rng.pick(&[0, 0, 2]))));
        }
        self.call_helper(parts, id)
    }

    /// A register that survives calls, for this part alone.
    fn kept(&mut self) -> Option<Reg> {
        let keep = reg(self.rng.pick(&[7, 8, 9]));
        (!self.counters.contains(&keep)).then_some(keep)
    }

    /// A loop's body, whose numbers are numbers again at its end.
    pub(super) fn settled(&mut self) -> Vec<Item> {
        let mut start = self.kinds;
        let mut body = self.nested(4);
        let after = std::mem::replace(&mut self.kinds, start);
        self.join(&after);
        if self.kinds != start {
            start = self.kinds;
            body = self.nested(4);
        } else {
            self.kinds = after;
        }
        for number in 0..10 {
            let r = reg(number);
            if start[r.index()] == Kind::Number && self.kind(r) != Kind::Number {
                body.push(mov(r, Operand::Imm(self.imm())));
                self.set(r, Kind::Number);
            }
        }
        self.join(&start);
        body
    }

    fn iterate(&mut self) -> Option<Item> {
        if self.depth >= 3 || self.iterators >= 2 {
            return None;
        }
        self.clobber();
        let slot = ITERATORS - 8 * self.iterators;
        self.iterators += 1;
        let times = self.rng.below(8) as i32;
        let body = self.settled();
        self.iterators -= 1;
        self.clobber();
        self.set(Reg::R0, Kind::Nothing);
        // An early end of the body comes here too, with whatever registers held then.
        for number in [7, 8, 9] {
            if !self.counters.contains(&reg(number)) {
                self.set(reg(number), Kind::Nothing);
            }
        }
        Some(Item::Iterate { slot, times, body })
    }

    fn may_loop(&mut self) -> Option<Item> {
        if self.depth >= 3 || self.counters.len() >= 2 {
            return None;
        }
        let counter = self.kept()?;
        self.set(counter, Kind::Number);
        self.counters.push(counter);
        let times = 1 + self.rng.below(8) as i32;
        let body = self.settled();
        self.counters.pop();
        Some(Item::MayLoop {
            counter,
            times,
            body,
        })
    }

    /// A load with acquire, a store with release.
    fn ordered(&mut self) -> Option<Item> {
        let size = self.rng.pick(&Size::ALL);
        let offset = self.stack_offset(size);
        let load = self.rng.one_in(2);
        let (op, src) = if load {
            (AtomicOp::LoadAcquire, self.target())
        } else {
            (AtomicOp::StoreRelease, self.number()?)
        };
        if load {
            self.set(src, Kind::Number);
        }
        Some(Item::Op(Instruction::Atomic {
            op,
            size,
            base: Reg::R10,
            offset,
            src,
        }))
    }

    /// A tail call to where no program is.
    fn tail_call(&mut self) -> Option<Item> {
        if !self.main {
            return None;
        }
        let mut parts = self.bounded(Reg::R3, 7);
        parts.push(mov(Reg::R1, Operand::Reg(Reg::R6)));
        parts.push(Item::Map {
            dst: Reg::R2,
            map: PROGRAMS,
        });
        parts.push(helper(BPF_FUNC_tail_call));
        self.clobber();
        self.set(Reg::R0, Kind::Nothing);
        Some(Item::Group(parts))
    }

    /// A dynptr over a map's value: read, written, looked into.
    fn dynptr(&mut self) -> Option<Item> {
        let base = (7..10)
            .map(reg)
            .find(|r| matches!(self.kind(*r), Kind::Value(..)))?;
        let Kind::Value(map, at) = self.kind(base) else {
            return None;
        };
        let size = i32::from(WIDE_MAPS[map].value_size as i16 - at);
        if size <= 0 || at < 0 {
            return None;
        }
        let mut parts = vec![
            mov(Reg::R1, Operand::Reg(base)),
            mov(Reg::R2, Operand::Imm(size)),
            mov(Reg::R3, Operand::Imm(0)),
        ];
        parts.extend(on_stack(Reg::R4, DYNPTR));
        parts.push(helper(BPF_FUNC_dynptr_from_mem));
        self.clobber();
        parts.push(self.fold());
        let offset = self.bounded(Reg::R2, 15);
        let len = self.rng.pick(&[1i16, 4, 8, 16]);
        if self.rng.one_in(2) {
            parts.extend(offset);
            parts.extend(self.lend(Reg::R3, len));
            parts.push(mov(Reg::R4, Operand::Imm(i32::from(len))));
            parts.push(mov(Reg::R5, Operand::Imm(0)));
            parts.extend(on_stack(Reg::R1, DYNPTR));
            parts.push(helper(BPF_FUNC_dynptr_write));
        } else {
            let offset = self.bounded(Reg::R4, 15);
            parts.extend(offset);
            parts.extend(self.lend(Reg::R1, len));
            parts.push(mov(Reg::R2, Operand::Imm(i32::from(len))));
            parts.push(mov(Reg::R5, Operand::Imm(0)));
            parts.extend(on_stack(Reg::R3, DYNPTR));
            parts.push(helper(BPF_FUNC_dynptr_read));
        }
        self.clobber();
        Some(Item::Group(parts))
    }

    /// An access to the context that both kernels answer alike.
    fn context(&mut self) -> Option<Item> {
        if !self.main {
            return None;
        }
        let store = self.rng.one_in(3);
        let (size, offset) = match self.prog_type {
            ProgType::Xdp => return None,
            ProgType::RawTracepoint if store => return None,
            ProgType::RawTracepoint => (Size::DW, 8 * self.rng.below(5) as i16),
            ProgType::Syscall => {
                let size = self.rng.pick(&Size::ALL);
                (
                    size,
                    (self.rng.below(40 / size.bytes() as usize) as i16) * size.bytes() as i16,
                )
            }
            _ if store => (Size::W, self.rng.pick(SKB_WRITE)),
            _ => (Size::W, self.rng.pick(SKB_READ)),
        };
        if store {
            let src = self.number()?;
            return Some(Item::Op(Instruction::Store {
                size,
                base: Reg::R6,
                offset,
                src: Operand::Reg(src),
            }));
        }
        let dst = self.target();
        self.set(dst, Kind::Number);
        Some(load(size, dst, Reg::R6, offset))
    }

    /// The arguments of a function as it wants them, and the call or the helper that calls it back.
    pub(super) fn call_wide(&mut self, function: usize) -> Item {
        let signature = self.signatures[function - 1];
        let mut parts = Vec::new();
        if signature.role == Role::Callback {
            let each = matches!(signature.args[2], Kind::Value(..));
            let first = if let Kind::Value(map, _) = signature.args[2] {
                vec![Item::Map { dst: Reg::R1, map }]
            } else {
                self.bounded(Reg::R1, 15)
            };
            parts.extend(first);
            parts.push(Item::Function {
                dst: Reg::R2,
                function,
            });
            parts.extend(on_stack(Reg::R3, -SCRATCH));
            parts.push(mov(Reg::R4, Operand::Imm(0)));
            parts.push(helper(if each {
                BPF_FUNC_for_each_map_elem
            } else {
                BPF_FUNC_loop
            }));
            self.clobber();
            return Item::Group(parts);
        }
        for (index, wanted) in signature.args.iter().enumerate() {
            let r = reg(index as u8 + 1);
            match wanted {
                Kind::Context => parts.push(mov(r, Operand::Reg(Reg::R6))),
                Kind::Memory(_) => parts.extend(on_stack(r, -SCRATCH)),
                _ if self.kind(r) != Kind::Number => {
                    parts.push(mov(r, Operand::Imm(self.imm())));
                }
                _ => {}
            }
        }
        parts.push(Item::Call(function));
        self.clobber();
        Item::Group(parts)
    }

    /// What a new function is, and what it is given.
    pub(super) fn signature(rng: &mut Rng) -> Signature {
        let mut args = [Kind::Number; 5];
        let role = rng.pick(&[Role::Static, Role::Static, Role::Global, Role::Callback]);
        match role {
            Role::Static => {
                if rng.one_in(2) {
                    args[0] = Kind::Context;
                }
                if rng.one_in(2) {
                    args[1] = Kind::Memory(LENT);
                }
            }
            Role::Callback if rng.one_in(3) => {
                let map = rng.pick(&[0, 3]);
                args = [
                    Kind::Nothing,
                    Kind::Nothing,
                    Kind::Value(map, 0),
                    Kind::Memory(LENT),
                    Kind::Nothing,
                ];
            }
            Role::Callback => {
                args = [
                    Kind::Number,
                    Kind::Memory(LENT),
                    Kind::Nothing,
                    Kind::Nothing,
                    Kind::Nothing,
                ];
            }
            Role::Global | Role::Main => {}
        }
        Signature { role, args }
    }
}

/// `r = frame pointer + offset`
fn on_stack(r: Reg, offset: i16) -> Vec<Item> {
    vec![
        mov(r, Operand::Reg(Reg::R10)),
        alu(AluOp::Add, r, Operand::Imm(i32::from(offset))),
    ]
}

fn is_zero(r: Reg) -> Test {
    Test {
        width: Width::W64,
        cond: Condition::Eq,
        dst: r,
        src: Operand::Imm(0),
    }
}
