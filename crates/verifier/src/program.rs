//! The decoded program and its subprograms.

use alloc::{borrow::Cow, string::String, sync::Arc, vec::Vec};

use hashbrown::HashMap;
use panal_btf::{Kind, KindTag, Linkage, TypeId};
use panal_isa::{CallTarget, Code, Field, Imm64, Instruction, Slot};
use panal_uapi::{helpers, instructions::InstructionGroup, profile::at_least};

use crate::{
    calls::CallTraits,
    error::{Check, Reject, reject},
    request::Request,
};

const TAIL_CALL: u32 = helpers::id::BPF_FUNC_tail_call;

/// A subprogram while verifying.
#[derive(Clone, Debug, Default)]
pub struct Subprog {
    /// First slot.
    pub start: usize,
    /// One past the last slot.
    pub end: usize,
    /// Its name, where types tell.
    pub name: Arc<str>,
    /// Its `BTF_KIND_FUNC`, where types tell.
    pub ty: Option<TypeId>,
    /// Whether it is global: verified on its own.
    pub global: bool,
    /// Whether a helper calls it back.
    pub callback: bool,
    /// Whether it runs later, on its own (timers, workqueues).
    pub async_callback: bool,
    /// Whether it is the handler of exceptions (`exception_callback:` tag).
    pub exception_handler: bool,
    /// Bytes of stack that it uses, as the search found them.
    pub stack_depth: u32,
    /// Whether it makes a tail call.
    pub has_tail_call: bool,
    /// Whether it, or what it calls, makes a tail call.
    pub tail_call_reachable: bool,
    /// Whether it, or what it calls, may move the packet.
    pub changes_packet: bool,
    /// Whether it, or what it calls, may sleep.
    pub may_sleep: bool,
    /// Whether it uses legacy packet loads.
    pub has_packet_load: bool,
    /// Whether something calls it (global ones only).
    pub called: bool,
}

/// The decoded program.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// As handed in.
    pub slots: Vec<Slot>,
    /// Decoded; `None` at the second slot of a 64-bit immediate load.
    pub instructions: Vec<Option<Instruction>>,
    /// In order of their first slot.
    pub subprograms: Vec<Subprog>,
    /// Index of the subprogram, by slot.
    pub subprogram_of: Vec<u32>,
    /// Calls, described once, by slot.
    pub calls: HashMap<u32, CallTraits>,
    /// Index of the exception handler's subprogram.
    pub exception_handler: Option<u32>,
    /// Instructions with reserved fields in use, which no path may reach: by slot, in order.
    faults: Vec<(usize, Reject)>,
}

impl Program {
    /// Decodes, finds subprograms, and checks that jumps stay within them.
    pub(crate) fn new(request: &Request<'_>) -> Check<Program> {
        let (slots, faults) = without_reserved_fields(request.code);
        let code = Code::decode(&slots).map_err(|e| decode_error(&e))?;
        if code.is_empty() {
            return Err(reject!(ControlFlow, EINVAL, "no instructions"));
        }
        check_instructions(request, &code)?;
        let mut program = Program {
            slots: request.code.to_vec(),
            instructions: code.into_by_slot(),
            faults,
            ..Program::default()
        };
        program.find_subprograms(request)?;
        program.name_subprograms(request)?;
        program.check_jumps()?;
        Ok(program)
    }

    /// What can be said of the call at a slot.
    pub fn call(&self, slot: usize) -> Option<&CallTraits> {
        self.calls.get(&(slot as u32))
    }

    /// What is wrong with the instruction at a slot, once a path reaches it.
    ///
    /// # Errors
    /// It uses a reserved field.
    pub fn check_reached(&self, slot: usize) -> Check {
        if self.faults.is_empty() {
            return Ok(());
        }
        match self.faults.binary_search_by_key(&slot, |fault| fault.0) {
            Ok(at) => Err(self.faults[at].1.clone()),
            Err(_) => Ok(()),
        }
    }

    fn find_subprograms(&mut self, request: &Request<'_>) -> Check {
        let mut starts = alloc::vec![0usize];
        for (slot, instruction) in self.instructions.iter().enumerate() {
            let Some(instruction) = instruction else {
                continue;
            };
            let Some(offset) = instruction.function_offset() else {
                continue;
            };
            let target = (slot as i64) + 1 + i64::from(offset);
            if target < 0 || target as usize >= self.len() {
                return Err(reject!(ControlFlow, EINVAL, "call to invalid destination"));
            }
            starts.push(target as usize);
        }
        if let Some(start) = exception_handler_start(request)? {
            starts.push(start);
        }
        starts.sort_unstable();
        starts.dedup();
        if starts.len() > request.profile.limits.subprograms as usize {
            let (most, count) = (request.profile.limits.subprograms, starts.len());
            return Err(reject!(TooComplex, E2BIG, "too many subprograms")
                .because(alloc::format!(
                    "the program consists of {count} functions: at most {most} are allowed"
                ))
                .help(
                    "let the compiler build small functions into their callers \
                     (`static __always_inline`), or go on in another program with bpf_tail_call()",
                )
                .at(starts[most as usize]));
        }
        self.subprogram_of = alloc::vec![0; self.len()];
        for (index, &start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(self.len());
            self.subprogram_of[start..end].fill(index as u32);
            self.subprograms.push(Subprog {
                start,
                end,
                ..Subprog::default()
            });
        }
        if let Some(start) = exception_handler_start(request)? {
            self.exception_handler = self.starting_at(start);
        }
        if let Some(index) = self.exception_handler {
            self.subprograms[index as usize].exception_handler = true;
            self.subprograms[index as usize].callback = true;
        }
        Ok(())
    }

    fn name_subprograms(&mut self, request: &Request<'_>) -> Check {
        self.subprograms[0].name = Arc::from(request.name);
        let Some(types) = request.types else {
            return Ok(());
        };
        if types.funcs.is_empty() {
            return Ok(());
        }
        if types.funcs.len() != self.subprograms.len() {
            return Err(reject!(
                Types,
                EINVAL,
                "number of funcs in func_info doesn't match number of subprogs"
            ));
        }
        for (sub, info) in self.subprograms.iter_mut().zip(types.funcs) {
            if info.slot as usize != sub.start {
                return Err(reject!(
                    Types,
                    EINVAL,
                    "func_info BTF section doesn't match subprog layout in BPF program"
                ));
            }
            let Some(ty) = types.btf.get(info.ty) else {
                return Err(reject!(
                    Types,
                    EINVAL,
                    "invalid type id {} in func info",
                    info.ty.0
                ));
            };
            let Kind::Func { linkage, .. } = ty.kind else {
                return Err(reject!(
                    Types,
                    EINVAL,
                    "invalid type id {} in func info",
                    info.ty.0
                ));
            };
            sub.name = ty.name.clone();
            sub.ty = Some(info.ty);
            sub.global = linkage == Linkage::Global;
        }
        Ok(())
    }

    fn check_jumps(&mut self) -> Check {
        for index in 0..self.subprograms.len() {
            let (start, end) = (self.subprograms[index].start, self.subprograms[index].end);
            let mut last = start;
            for slot in start..end {
                let Some(&instruction) = self.get(slot) else {
                    continue;
                };
                last = slot;
                match instruction {
                    Instruction::PacketLoad { .. } => {
                        self.subprograms[index].has_packet_load = true;
                    }
                    Instruction::Call(CallTarget::Helper(TAIL_CALL)) => {
                        self.subprograms[index].has_tail_call = true;
                    }
                    _ => {}
                }
                let Some(offset) = instruction.jump_offset() else {
                    continue;
                };
                let target = slot as i64 + 1 + i64::from(offset);
                if target < start as i64 || target >= end as i64 {
                    return Err(reject!(
                        ControlFlow,
                        EINVAL,
                        "jump out of range from insn {slot} to {target}"
                    ));
                }
            }
            let ends_well = matches!(
                self.get(last),
                Some(Instruction::Exit | Instruction::Jump { .. })
            ) || self.is_throw(last);
            if !ends_well || self.get(last).map_or(1, Instruction::slots) + last != end {
                return Err(
                    reject!(ControlFlow, EINVAL, "last insn is not an exit or jmp")
                        .because("control can fall off the end of the function")
                        .help("end every path with `exit`, or with a jump"),
                );
            }
        }
        Ok(())
    }

    /// Whether `bpf_throw` is called here.
    pub fn is_throw(&self, slot: usize) -> bool {
        self.call(slot).is_some_and(|c| c.no_return)
    }

    /// How many slots there are.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.instructions.len()
    }

    /// The instruction at a slot.
    pub fn get(&self, slot: usize) -> Option<&Instruction> {
        self.instructions.get(slot)?.as_ref()
    }

    /// The subprogram that begins at a slot.
    pub fn starting_at(&self, slot: usize) -> Option<u32> {
        let index = self
            .subprograms
            .binary_search_by_key(&slot, |s| s.start)
            .ok()?;
        Some(index as u32)
    }

    /// The subprogram that a slot belongs to.
    pub fn containing(&self, slot: usize) -> u32 {
        self.subprogram_of.get(slot).copied().unwrap_or(0)
    }

    /// Subprogram that a call or a load of its address at `slot` means.
    pub fn callee(&self, slot: usize) -> Option<u32> {
        let offset = self.get(slot)?.function_offset()?;
        let target = slot as i64 + 1 + i64::from(offset);
        self.starting_at(usize::try_from(target).ok()?)
    }

    /// What is called at a slot.
    pub fn call_target(&self, slot: usize) -> Option<CallTarget> {
        match self.get(slot)? {
            Instruction::Call(target) => Some(*target),
            _ => None,
        }
    }

    /// Where a jump at `slot` goes.
    pub fn jump_target(&self, slot: usize) -> Option<usize> {
        let offset = self.get(slot)?.jump_offset()?;
        usize::try_from(slot as i64 + 1 + i64::from(offset)).ok()
    }

    /// Slots that may follow within the subprogram: (next, jump target).
    pub fn successors(&self, slot: usize) -> (Option<usize>, Option<usize>) {
        match self.get(slot) {
            None | Some(Instruction::Exit) => (None, None),
            Some(Instruction::Jump { .. }) => (None, self.jump_target(slot)),
            Some(Instruction::Branch { .. } | Instruction::MayGoto { .. }) => {
                (Some(slot + 1), self.jump_target(slot))
            }
            // What follows an exception counts as reached, but there may be nothing.
            Some(Instruction::Call(_)) if self.is_throw(slot) && self.ends_subprogram(slot) => {
                (None, None)
            }
            Some(i) => (Some(slot + i.slots()), None),
        }
    }

    /// Whether `bpf_tail_call` is called here.
    pub fn is_tail_call(&self, slot: usize) -> bool {
        matches!(
            self.get(slot),
            Some(Instruction::Call(CallTarget::Helper(TAIL_CALL)))
        )
    }

    fn ends_subprogram(&self, slot: usize) -> bool {
        self.subprograms.iter().any(|s| s.end == slot + 1)
    }

    /// Whether a 64-bit immediate load takes a subprogram's address.
    pub fn loads_function(&self, slot: usize) -> bool {
        matches!(
            self.get(slot),
            Some(Instruction::LoadImm64 {
                imm: Imm64::Func(_),
                ..
            })
        )
    }
}

/// The function that the main program's `exception_callback:NAME` tag names.
fn exception_handler_start(request: &Request<'_>) -> Check<Option<usize>> {
    let Some(types) = request.types else {
        return Ok(None);
    };
    let Some(main) = types.funcs.first() else {
        return Ok(None);
    };
    let mut found = None;
    for (_, ty) in types.btf.iter() {
        let Kind::DeclTag {
            ty: tagged,
            component: -1,
            ..
        } = ty.kind
        else {
            continue;
        };
        let Some(name) = ty.name.strip_prefix("exception_callback:") else {
            continue;
        };
        if tagged != main.ty {
            continue;
        }
        if found.is_some() {
            return Err(reject!(
                Types,
                EEXIST,
                "multiple exception callback tags for main subprog"
            ));
        }
        found = Some(name);
    }
    let Some(name) = found else { return Ok(None) };
    let refuse = |words: String| Err(reject!(Types, EINVAL, "{words}"));
    let Some(function) = types.btf.find(name, KindTag::Func) else {
        return Err(reject!(
            Types,
            ENOENT,
            "exception callback '{name}' could not be found in BTF"
        ));
    };
    let Kind::Func {
        linkage: Linkage::Global,
        ..
    } = types.btf.kind(function)
    else {
        return refuse(alloc::format!(
            "exception callback '{name}' must have global linkage"
        ));
    };
    match types.funcs.iter().rfind(|info| info.ty == function) {
        Some(info) if info.slot == 0 => {
            refuse("invalid exception callback insn_off in func_info: 0".into())
        }
        Some(info) => Ok(Some(info.slot as usize)),
        None => refuse("exception callback type id not found in func_info".into()),
    }
}

/// Refuses instructions that the kernel does not have, as it would.
fn check_instructions(request: &Request<'_>, code: &Code) -> Check {
    let profile = request.profile;
    let lacking =
        |(_, i): &(usize, &Instruction)| !profile.has_instructions(InstructionGroup::of(i));
    let Some((slot, instruction)) = code.iter().find(lacking) else {
        return Ok(());
    };
    let group = InstructionGroup::of(instruction);
    let (major, minor) = group.since();
    let raw = request.code.get(slot).copied().unwrap_or_default();
    let words = words_before(profile.version, raw);
    Err(
        reject!(InvalidInstruction, EINVAL, "{words}").because(alloc::format!(
            "slot {slot}: `{instruction}`: {} has no {}; Linux {major}.{minor} brought them",
            profile.name,
            group.what()
        )),
    )
}

/// What a kernel says of an encoding that it does not know yet.
fn words_before(version: u32, raw: Slot) -> String {
    let op = raw.opcode;
    let (class, size, mode) = (op & 7, op & 0x18, op & 0xe0);
    match (class, mode) {
        (1, 0x80) => alloc::format!("unknown opcode {op:02x}"),
        // Only words and double words could be atomic.
        (3, 0xc0) if size == 0x08 || size == 0x10 => alloc::format!("unknown opcode {op:02x}"),
        (3, 0xc0) if at_least(version, (5, 12)) => {
            alloc::format!("BPF_ATOMIC uses invalid atomic opcode {:02x}", raw.imm)
        }
        (3, 0xc0) => "BPF_XADD uses reserved fields".into(),
        (0, _) => "invalid bpf_ld_imm64 insn".into(),
        _ => reserved_fields(class, op).into(),
    }
}

/// Linux looks at reserved fields of arithmetic, jumps and stores only where a path comes by: they
/// are cleared here, and held against the program when one does.
fn without_reserved_fields(code: &[Slot]) -> (Cow<'_, [Slot]>, Vec<(usize, Reject)>) {
    use panal_isa::DecodeErrorKind as K;
    const LOAD_IMM64: u8 = 0x18;
    const EXIT: u8 = 0x95;
    let mut slots = Cow::Borrowed(code);
    let mut faults = Vec::new();
    let mut at = 0;
    while at < slots.len() {
        if slots[at].opcode == LOAD_IMM64 {
            at += 2;
            continue;
        }
        // Loads and atomics have theirs looked at before any path is walked.
        let is_static = matches!(slots[at].opcode & 7, 0 | 1 | 3);
        while let (false, Err(error)) = (is_static, Instruction::decode(&slots, at)) {
            let K::ReservedField { field, .. } = error.kind else {
                break;
            };
            // Nobody looks at the offset of an exit.
            let ignored = slots[at].opcode == EXIT && field == Field::Offset;
            if !ignored && faults.last().is_none_or(|&(slot, _)| slot != at) {
                faults.push((at, decode_error(&error)));
            }
            let slot = &mut slots.to_mut()[at];
            match field {
                Field::Dst => slot.registers &= 0xf0,
                Field::Src => slot.registers &= 0x0f,
                Field::Offset => slot.offset = 0,
                Field::Imm => slot.imm = 0,
                Field::Opcode => break,
            }
        }
        at += 1;
    }
    (slots, faults)
}

/// Linux's words for what is no instruction.
fn decode_error(e: &panal_isa::DecodeError) -> crate::error::Reject {
    use panal_isa::DecodeErrorKind as K;
    let reserved = reserved_fields(e.raw.opcode & 7, e.raw.opcode);
    match e.kind {
        K::BadRegister { number, .. } => {
            reject!(InvalidInstruction, EINVAL, "R{number} is invalid")
        }
        K::TruncatedLoadImm64 | K::BadSecondSlot { .. } => {
            reject!(InvalidInstruction, EINVAL, "invalid bpf_ld_imm64 insn")
        }
        K::UnknownOpcode(op) => {
            reject!(InvalidInstruction, EINVAL, "unknown opcode {op:02x}")
        }
        _ => reject!(InvalidInstruction, EINVAL, "{reserved}"),
    }
    .because(alloc::format!("instruction {}: {}", e.slot, e.kind))
}

/// Linux's words for fields of an instruction that ought to be zero.
fn reserved_fields(class: u8, opcode: u8) -> &'static str {
    match class {
        0 => "BPF_LD uses reserved fields",
        1 => "BPF_LDX uses reserved fields",
        2 => "BPF_ST uses reserved fields",
        3 => "BPF_STX uses reserved fields",
        4 | 7 => match opcode & 0xf0 {
            0x80 => "BPF_NEG uses reserved fields",
            0xd0 => "BPF_END uses reserved fields",
            0xb0 => "BPF_MOV uses reserved fields",
            _ => "BPF_ALU uses reserved fields",
        },
        _ => match opcode & 0xf0 {
            0x00 => "BPF_JA uses reserved fields",
            0x80 => "BPF_CALL uses reserved fields",
            0x90 => "BPF_EXIT uses reserved fields",
            _ => "BPF_JMP/JMP32 uses reserved fields",
        },
    }
}
