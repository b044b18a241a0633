//! solana-sbpf's machine code as it is shipped: every access goes through a table of regions.
//!
//! Its dialect (version 3) sign-extends 32-bit results where eBPF zero-extends them, so it gets programs
//! compiled for the instruction set's version 2, which has no 32-bit arithmetic.

use std::{ptr::NonNull, sync::Arc};

use solana_sbpf::{
    aligned_memory::AlignedMemory,
    ebpf,
    elf::Executable,
    error::ProgramResult,
    memory_region::{MemoryMapping, MemoryRegion},
    program::{BuiltinProgram, FunctionRegistry, SBPFVersion},
    verifier::RequisiteVerifier,
    vm::{CallFrame, Config, ContextObject, EbpfVm, ExecutionMode},
};

use crate::{
    Peer,
    form::{self, Form},
};

const VERSION: SBPFVersion = SBPFVersion::V3;

/// What a run has: memory, and as many instructions as it likes.
struct Context(MemoryMapping);

impl ContextObject for Context {
    fn consume(&mut self, _: u64) {}

    fn get_remaining(&self) -> u64 {
        i64::MAX as u64
    }

    fn active_mapping_ptr(&mut self) -> NonNull<MemoryMapping> {
        NonNull::from_mut(&mut self.0)
    }
}

struct Sbpf {
    executable: Executable<Context>,
    loader: Arc<BuiltinProgram<Context>>,
    context: Context,
    stack: usize,
}

/// Verifies and compiles a program. What it needs lives as long as the process.
pub fn make(form: Form, packet: &[u8]) -> Result<Box<dyn Peer>, String> {
    let loader = Arc::new(BuiltinProgram::new_loader(Config::default()));
    let code = form::bytes(&form.code_with_data_at(ebpf::MM_HEAP_START));
    let registry = FunctionRegistry::default();
    let executable = Executable::from_text_bytes(&code, loader.clone(), VERSION, registry)
        .map_err(|e| e.to_string())?;
    executable
        .verify::<RequisiteVerifier>()
        .map_err(|e| e.to_string())?;
    executable.jit_compile().map_err(|e| e.to_string())?;
    let size = executable.get_config().stack_size();
    let stack = Box::leak(Box::new(
        AlignedMemory::<{ ebpf::HOST_ALIGN }>::zero_filled(size),
    ));
    let data: Vec<u8> = form.data().iter().flat_map(|w| w.to_ne_bytes()).collect();
    let data = Vec::leak(data);
    let input = Vec::leak(form::input(packet));
    let regions = vec![
        executable.get_ro_region(),
        MemoryRegion::new(stack, ebpf::MM_STACK_START),
        MemoryRegion::new(&raw mut *data, ebpf::MM_HEAP_START),
        MemoryRegion::new(&raw mut *input, ebpf::MM_INPUT_START),
    ];
    // SAFETY: every region is never freed, or lives as long as the executable beside the mapping.
    let mapping = unsafe { MemoryMapping::new(regions, executable.get_config(), VERSION) };
    Ok(Box::new(Sbpf {
        context: Context(mapping.map_err(|e| e.to_string())?),
        executable,
        loader,
        stack: size,
    }))
}

impl Peer for Sbpf {
    fn run(&mut self, count: u32) -> Result<u64, String> {
        let depth = self.executable.get_config().max_call_depth;
        let mut frames = vec![CallFrame::default(); depth];
        let mut vm = EbpfVm::new(self.loader.clone(), VERSION, &mut self.context, self.stack);
        let mut value = 0;
        for _ in 0..count {
            vm.registers[1] = ebpf::MM_INPUT_START;
            let mut mode = ExecutionMode::Jit;
            match vm
                .execute_program(&self.executable, &mut mode, &mut frames)
                .1
            {
                ProgramResult::Ok(returned) => value = returned,
                ProgramResult::Err(why) => return Err(why.to_string()),
            }
        }
        Ok(value)
    }
}
