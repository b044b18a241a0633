//! Lowering of each kind of instruction but memory accesses.

use panal_isa::{
    AluOp, ByteOrder, CallTarget, Condition, Imm64, Instruction, Operand, PacketMode, Reg, Size,
    Width,
};
use panal_uapi::helpers::{
    Traits,
    id::{
        BPF_FUNC_for_each_map_elem, BPF_FUNC_loop, BPF_FUNC_map_lookup_elem,
        BPF_FUNC_map_lookup_percpu_elem, BPF_FUNC_map_update_elem, BPF_FUNC_tail_call,
    },
};
use panal_verifier::BranchFact;

use super::{
    LowerError,
    emit::Emitter,
    inline::{of_run, on, with},
    map_of,
    memory::load_code,
};
use crate::{
    ContextAccess, Executable, HelperFn, IndexedValues, Inline, KfuncLink, RunWord,
    key::Key,
    op::{Code, NO_REGISTER, Op, alu, branch},
};

/// Bytes of an array's value that code copies by itself.
const COPIED_MOST: u32 = 32;
/// Arguments that a call has at most.
const MOST_ARGUMENTS: u8 = 5;

/// The number of a register.
pub(super) fn number(reg: Reg) -> u8 {
    reg.number()
}

/// An immediate as a 64-bit operand: sign-extended, or cut to 32 bits for narrow operations.
fn extend(imm: i32, width: Width) -> u64 {
    match width {
        Width::W64 => i64::from(imm) as u64,
        Width::W32 => u64::from(imm as u32),
    }
}

impl Emitter<'_> {
    pub fn instruction(&mut self, instruction: &Instruction) -> Result<(), LowerError> {
        match *instruction {
            Instruction::Alu {
                width,
                op,
                dst,
                src,
            } => {
                let width = if self.fact().narrow {
                    Width::W32
                } else {
                    width
                };
                self.arithmetic(width, op, dst, src);
            }
            Instruction::Neg { width, dst } => {
                let code = if width == Width::W64 {
                    Code::Neg64
                } else {
                    Code::Neg32
                };
                self.emit(Op {
                    dst: number(dst),
                    ..Op::new(code)
                });
            }
            Instruction::MovSx {
                width,
                from,
                dst,
                src,
            } => {
                self.sign_extend(width, from, number(dst), number(src));
            }
            Instruction::AddrSpaceCast { dst, src, to, from } => {
                let arena = self.linkage.arena().ok_or(self.missing("an arena"))?;
                let (code, imm) = match (to, from) {
                    (0, 1) => (Code::CastKernel, 0),
                    (1, 0) => match arena.user_base {
                        Some(base) => (Code::CastUser, base >> 32 << 32),
                        None => (Code::Mov64X, 0),
                    },
                    _ => return Err(self.unresolved("address spaces other than 0 and 1")),
                };
                self.emit(Op {
                    dst: number(dst),
                    src: number(src),
                    imm,
                    ..Op::new(code)
                });
            }
            Instruction::Endian { order, size, dst } => self.endian(order, size, number(dst)),
            Instruction::LoadImm64 { dst, imm } => {
                let imm = self.wide(&imm)?;
                self.emit(Op {
                    dst: number(dst),
                    imm,
                    ..Op::new(Code::Mov64K)
                });
            }
            Instruction::Load { .. } | Instruction::Store { .. } | Instruction::Atomic { .. } => {
                self.memory(instruction)?;
            }
            Instruction::PacketLoad { size, mode, imm } => self.packet_load(size, mode, imm)?,
            Instruction::Jump { offset, .. } => {
                self.emit_jump(Op::new(Code::Jump), i64::from(offset));
            }
            Instruction::Branch {
                width,
                cond,
                dst,
                src,
                offset,
            } => {
                self.conditional(width, cond, dst, src, offset);
            }
            Instruction::MayGoto { offset } => {
                self.emit_jump(Op::new(Code::MayGoto), i64::from(offset));
            }
            Instruction::Call(target) => self.call(target)?,
            Instruction::Exit => self.emit(Op::new(Code::Exit)),
        }
        Ok(())
    }

    fn arithmetic(&mut self, width: Width, op: AluOp, dst: Reg, src: Operand) {
        let dst = number(dst);
        let op = match src {
            Operand::Reg(src) => Op {
                dst,
                src: number(src),
                ..Op::new(alu(op, width, false))
            },
            Operand::Imm(imm) => {
                let mut imm = extend(imm, width);
                if matches!(op, AluOp::Lsh | AluOp::Rsh | AluOp::Arsh) {
                    imm &= if width == Width::W64 { 63 } else { 31 };
                }
                Op {
                    dst,
                    imm,
                    ..Op::new(alu(op, width, true))
                }
            }
        };
        self.emit(op);
    }

    pub(super) fn sign_extend(&mut self, width: Width, from: Size, dst: u8, src: u8) {
        let code = match (from, width) {
            (Size::B, Width::W64) => Code::Sx8To64,
            (Size::H, Width::W64) => Code::Sx16To64,
            (Size::W, Width::W64) => Code::Sx32To64,
            (Size::B, Width::W32) => Code::Sx8To32,
            (Size::H, Width::W32) => Code::Sx16To32,
            (Size::W, Width::W32) => Code::Mov32X,
            (Size::DW, _) => Code::Mov64X,
        };
        self.emit(Op {
            dst,
            src,
            ..Op::new(code)
        });
    }

    fn endian(&mut self, order: ByteOrder, size: Size, dst: u8) {
        let swap = match order {
            ByteOrder::Swap => true,
            ByteOrder::Little => cfg!(target_endian = "big"),
            ByteOrder::Big => cfg!(target_endian = "little"),
        };
        let code = match (size, swap) {
            (Size::H, true) => Code::Swap16,
            (Size::W, true) => Code::Swap32,
            (Size::DW, true) => Code::Swap64,
            (Size::H, false) => Code::Zext16,
            (Size::W, false) => Code::Zext32,
            // Nothing to do, but the slot keeps an operation for observers.
            (Size::B | Size::DW, _) => Code::Mov64X,
        };
        self.emit(Op {
            dst,
            src: dst,
            ..Op::new(code)
        });
    }

    /// The number that a 64-bit immediate becomes.
    fn wide(&self, imm: &Imm64) -> Result<u64, LowerError> {
        let slot = self.slot;
        let link = |map| self.linkage.map(map).ok_or(LowerError::Map { slot, map });
        match *imm {
            Imm64::Value(value) => Ok(value),
            Imm64::MapIndex(index) => Ok(link(index)?.handle),
            Imm64::MapIndexValue { index, offset } => match link(index)?.values {
                0 => Err(LowerError::Map { slot, map: index }),
                values => Ok(values.wrapping_add(u64::from(offset))),
            },
            Imm64::BtfVar { id, object: 0 } => self
                .linkage
                .variable(id)
                .ok_or(LowerError::Variable { slot, id }),
            Imm64::BtfVar { .. } => Err(self.unresolved("a variable of a module")),
            Imm64::Func(offset) => {
                // Relative to the next instruction as the kernel counts: one slot on.
                let target = i64::from(slot) + 1 + i64::from(offset);
                match self.function_at(target) {
                    Some(index) => Ok(Executable::function_value(index)),
                    None => Err(self.unresolved("a function that begins nowhere")),
                }
            }
            Imm64::MapFd(_) | Imm64::MapValue { .. } => {
                debug_assert!(map_of(imm).is_none());
                Err(self.unresolved("a map's descriptor that the kernel did not resolve"))
            }
        }
    }

    fn packet_load(&mut self, size: Size, mode: PacketMode, imm: i32) -> Result<(), LowerError> {
        let function = self
            .linkage
            .packet_load(size)
            .ok_or(self.missing("packet access"))?;
        let src = match mode {
            PacketMode::Absolute => NO_REGISTER,
            PacketMode::Indirect(reg) => number(reg),
        };
        let slow = Op {
            src,
            off: imm,
            imm: address(function),
            ..Op::new(Code::PacketLoad)
        };
        match self.packet_bounds() {
            Some(bounds) if imm >= 0 => self.packet_load_inside(size, slow, bounds),
            _ => self.emit(slow),
        }
        Ok(())
    }

    /// Where the context says where the packet begins; where it ends stands behind that.
    fn packet_bounds(&self) -> Option<i32> {
        /// Offsets of `data` and `data_end` in `struct __sk_buff`.
        const PACKET: [u32; 2] = [76, 80];
        let [begin, end] =
            PACKET.map(
                |field| match self.linkage.context_access(field, Size::W, false)? {
                    ContextAccess::Pointer { offset } => i32::try_from(offset).ok(),
                    _ => None,
                },
            );
        begin.filter(|begin| end == Some(begin + 8))
    }

    /// A load of packet bytes from 0 on: without a call where they are there. The context is in `r6`;
    /// `r0` to `r5` are given away, but the call may have one of them as its offset.
    fn packet_load_inside(&mut self, size: Size, slow: Op, bounds: i32) {
        let mut free = (1..=5).filter(|&r| r != slow.src);
        let [Some(at), Some(place), Some(end)] = [free.next(), free.next(), free.next()] else {
            return self.emit(slow);
        };
        let swap = match size {
            Size::B => None,
            Size::H => Some(Code::Swap16),
            Size::W | Size::DW => Some(Code::Swap32),
        };
        let swap = swap.filter(|_| cfg!(target_endian = "little"));
        let bytes = size.bytes().min(4);
        let rest = 3 + i32::from(swap.is_some());
        if slow.src == NO_REGISTER {
            self.emit(with(Code::Mov64K, at, slow.off as u64));
        } else {
            self.emit(on(Code::Mov32X, at, slow.src));
            self.emit(with(Code::Add32K, at, slow.off as u64));
            self.emit(with(Code::JSLt32K, at, 0).at(rest + 5));
        }
        self.emit(on(Code::Ld64, place, 6).at(bounds));
        self.emit(on(Code::Ld64, end, 6).at(bounds + 8));
        self.emit(on(Code::Add64X, place, at));
        self.emit(on(Code::Mov64X, at, place));
        self.emit(with(Code::Add64K, at, bytes.into()));
        self.emit(on(Code::JGt64X, at, end).at(rest - 1));
        let size = if bytes == 4 { Size::W } else { size };
        self.emit(on(load_code(size, false), 0, place));
        if let Some(swap) = swap {
            self.emit(on(swap, 0, 0));
        }
        self.emit(Op::new(Code::Jump).at(1));
        self.emit(slow);
    }

    fn conditional(&mut self, width: Width, cond: Condition, dst: Reg, src: Operand, offset: i16) {
        let offset = i64::from(offset);
        match self.fact().branch {
            BranchFact::Always => return self.emit_jump(Op::new(Code::Jump), offset),
            BranchFact::Never => return,
            BranchFact::Both => {}
        }
        let dst = number(dst);
        let op = match src {
            Operand::Reg(src) => Op {
                dst,
                src: number(src),
                ..Op::new(branch(cond, width, false))
            },
            Operand::Imm(imm) => Op {
                dst,
                imm: extend(imm, width),
                ..Op::new(branch(cond, width, true))
            },
        };
        self.emit_jump(op, offset);
    }

    /// How many arguments a helper has at most, by the signatures that the verifier goes by.
    fn arguments(&self, id: u32) -> u8 {
        let known = self.source.proven.then(|| panal_uapi::helpers::by_id(id));
        let Some(helper) = known.flatten() else {
            return MOST_ARGUMENTS;
        };
        let variants = helper.variants.iter().map(|(_, signature)| signature);
        let signatures = variants.chain([&helper.signature]);
        if signatures
            .clone()
            .any(|s| s.traits.contains(Traits::READS_MORE))
        {
            return MOST_ARGUMENTS;
        }
        let most = signatures.map(|s| s.args.len() as u8).max();
        most.unwrap_or(MOST_ARGUMENTS)
    }

    fn call(&mut self, target: CallTarget) -> Result<(), LowerError> {
        let slot = self.slot;
        match target {
            CallTarget::Helper(id) if id == BPF_FUNC_tail_call => {
                let known = self.call_fact().and_then(|call| call.map);
                let known = known.and_then(|map| self.linkage.tail_call_in(map));
                let function = match known {
                    Some((function, data)) => {
                        self.emit(with(Code::Mov64K, 2, data));
                        function
                    }
                    None => self.linkage.tail_call().ok_or(self.missing("tail calls"))?,
                };
                let imm = function as usize as u64;
                self.emit(Op {
                    imm,
                    ..Op::new(Code::TailCall)
                });
            }
            CallTarget::Helper(id) => {
                if self.inline(id) || self.map_helper(id) {
                    return Ok(());
                }
                let function = self
                    .linkage
                    .helper(id)
                    .ok_or(LowerError::Helper { slot, id })?;
                if id == BPF_FUNC_loop {
                    self.note_loop();
                }
                let calls_back = !self.source.proven || calls_back(id);
                self.call_kernel(function, self.arguments(id), calls_back);
            }
            CallTarget::Kfunc { id, object: 0 } => {
                let missing = LowerError::Kfunc { slot, id };
                let btf_id = u32::try_from(id).map_err(|_| missing)?;
                match self.linkage.kfunc(btf_id).ok_or(missing)? {
                    KfuncLink::Inline(inline) => self.written_out(inline),
                    KfuncLink::Called(function) => self.call_kernel(function, MOST_ARGUMENTS, true),
                    KfuncLink::Leaf(function) => {
                        self.call_kernel(function, MOST_ARGUMENTS, !self.source.proven);
                    }
                }
            }
            CallTarget::Kfunc { id, .. } => return Err(LowerError::Kfunc { slot, id }),
            CallTarget::Local(offset) => {
                let target = i64::from(slot) + 1 + i64::from(offset);
                let Some(callee) = self.function_at(target) else {
                    return Err(self.unresolved("a call to where no function begins"));
                };
                let callee = u64::from(self.functions[callee as usize].frame);
                let imm = u64::from(self.function().frame) | callee << 32;
                self.emit_jump(
                    Op {
                        imm,
                        ..Op::new(Code::Local)
                    },
                    i64::from(offset),
                );
            }
            CallTarget::Reg(_) => {
                return Err(self.unresolved("a call through a register"));
            }
        }
        Ok(())
    }

    /// A call of the kernel's. `calls_back`: it may call functions of the program.
    pub(super) fn call_kernel(&mut self, function: HelperFn, arguments: u8, calls_back: bool) {
        self.emit(Op {
            src: arguments,
            off: calls_back.into(),
            imm: address(function),
            ..Op::new(Code::Helper)
        });
    }

    /// A helper that needs no call; false if it does, at least at times.
    fn inline(&mut self, id: u32) -> bool {
        match self.linkage.inline(id) {
            Some(Inline::Field { at }) => {
                self.field_or_call(at);
                false
            }
            Some(inline) => {
                self.written_out(inline);
                true
            }
            None => false,
        }
    }

    /// A helper on a known map: a lookup without a call where an index is all that is needed, or a
    /// function of the map's own. False if it is something else.
    fn map_helper(&mut self, id: u32) -> bool {
        let Some(call) = self.call_fact() else {
            return false;
        };
        if let Some(outer) = call.outer {
            return self.inner_helper(id, outer);
        }
        let Some(map) = call.map else {
            return false;
        };
        if id == BPF_FUNC_map_lookup_elem
            && let Some(handles) = self.linkage.map(map).and_then(|link| link.handles)
        {
            self.array_lookup(handles, call.key);
            self.handle_at();
            return true;
        }
        if id == BPF_FUNC_map_lookup_elem
            && let Some(values) = self.linkage.map(map).and_then(|link| link.indexed)
        {
            self.array_lookup(values, call.key);
            return true;
        }
        if id == BPF_FUNC_map_lookup_percpu_elem
            && let Some(link) = self.linkage.map(map)
            && let Some(values) = link.indexed.filter(|_| link.cpus != 0)
        {
            self.element_on(values, link.cpus);
            return true;
        }
        if id == BPF_FUNC_for_each_map_elem
            && let Some(callback) = call.callback
            && let Some(callback) = self.function_at(callback.into())
            && let Some(bpf_loop) = self.linkage.helper(BPF_FUNC_loop)
        {
            return self.each_element(map, callback, bpf_loop);
        }
        let Some(helper) = self.linkage.map_helper(id, map) else {
            return false;
        };
        if id == BPF_FUNC_map_update_elem
            && let Some(link) = self.linkage.map(map)
            && let (Some(values), Some(size)) = (link.indexed, link.plain)
            && size <= COPIED_MOST
        {
            self.element_update(values, size, 2);
            self.emit(with(Code::Mov64K, 1, helper.data));
            self.call_kernel(helper.function, self.arguments(id), false);
            return true;
        }
        let by_value = helper.by_value.zip(call.key_place);
        let by_value = by_value.filter(|(value, place)| self.is_in_frame(*place, value.size));
        if by_value.is_none()
            && let Some(place) = call.key_place
            && let Some(link) = self.linkage.map(map)
            && self.is_in_frame(place, link.key)
        {
            self.join_key(place, link.key);
        }
        self.emit(with(Code::Mov64K, 1, helper.data));
        let arguments = self.arguments(id);
        if let Some((value, place)) = by_value {
            let op = self.here();
            let key = Key::new(op, value, place, arguments, self.written());
            self.keys.extend(key);
        }
        self.call_kernel(helper.function, arguments, false);
        true
    }

    /// The same on an inner map of a known one.
    fn inner_helper(&mut self, id: u32, outer: u32) -> bool {
        if id == BPF_FUNC_map_lookup_elem
            && let Some(inner) = self.linkage.map(outer).and_then(|link| link.inner)
        {
            self.inner_array_lookup(inner);
            return true;
        }
        let Some(function) = self.linkage.inner_helper(id, outer) else {
            return false;
        };
        self.call_kernel(function, self.arguments(id), false);
        true
    }

    fn is_in_frame(&self, place: i32, size: u32) -> bool {
        let frame = self.function().frame as i32;
        place >= -frame && place <= 0 && i64::from(place) + i64::from(size) <= 0
    }

    fn array_lookup(&mut self, values: IndexedValues, key: Option<u64>) {
        if let Some(key) = key {
            return self.array_element(values, key);
        }
        let known = self.arrays.iter().position(|a| *a == values);
        let index = known.unwrap_or_else(|| {
            self.arrays.push(values);
            self.arrays.len() - 1
        });
        self.emit(Op {
            imm: index as u64,
            ..Op::new(Code::ArrayLookup)
        });
    }

    /// The address of the value of a key that is known.
    fn array_element(&mut self, values: IndexedValues, key: u64) {
        let at = key.wrapping_mul(values.stride.into());
        let inside = key < values.count.into();
        let first = if inside {
            values.first.wrapping_add(at)
        } else {
            0
        };
        let op = |code, imm| Op {
            imm,
            ..Op::new(code)
        };
        if !inside || values.plane == 0 {
            return self.emit(op(Code::Mov64K, first));
        }
        self.emit(of_run(0, RunWord::Cpu));
        self.emit(op(Code::Mul64K, values.plane.into()));
        // r1 to r5 are given away by the call that this was.
        self.emit(Op {
            dst: 1,
            ..op(Code::Mov64K, first)
        });
        self.emit(Op {
            src: 1,
            ..Op::new(Code::Add64X)
        });
    }

    /// Notes whose rounds the next operation makes, a call of `bpf_loop`, where that is known.
    fn note_loop(&mut self) {
        let callback = self.call_fact().and_then(|call| call.callback);
        if let Some(function) = callback.and_then(|slot| self.function_at(slot.into())) {
            let here = self.here();
            self.loops.push((here, function));
        }
    }

    pub(super) fn missing(&self, what: &'static str) -> LowerError {
        LowerError::Missing {
            slot: self.slot,
            what,
        }
    }

    pub(super) fn unresolved(&self, what: &'static str) -> LowerError {
        LowerError::Unresolved {
            slot: self.slot,
            what,
        }
    }
}

/// Whether a helper calls functions of the program before it returns, as far as anybody knows.
fn calls_back(id: u32) -> bool {
    let helper = panal_uapi::helpers::by_id(id);
    helper.is_none_or(|h| h.signature.traits.contains(Traits::SYNC_CALLBACK))
}

/// A function as an operation holds it.
pub(super) fn address(function: HelperFn) -> u64 {
    function as usize as u64
}
