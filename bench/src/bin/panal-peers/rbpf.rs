//! rbpf's machine code, which trusts its input: addresses are the host's.

use rbpf::EbpfVmRaw;

use crate::{
    Peer,
    form::{self, Form},
};

struct Rbpf {
    vm: EbpfVmRaw<'static>,
    input: *mut [u8],
}

/// Compiles a program. What it needs lives as long as the process.
pub fn make(form: Form, packet: &[u8]) -> Result<Box<dyn Peer>, String> {
    let data = Vec::leak(form.data());
    let code = form.code_with_data_at(data.as_mut_ptr().expose_provenance() as u64);
    let code = Vec::leak(form::bytes(&code));
    let mut vm = EbpfVmRaw::new(Some(code)).map_err(|e| e.to_string())?;
    vm.jit_compile().map_err(|e| e.to_string())?;
    let input = Box::into_raw(form::input(packet).into_boxed_slice());
    Ok(Box::new(Rbpf { vm, input }))
}

impl Peer for Rbpf {
    fn run(&mut self, count: u32) -> Result<u64, String> {
        let mut value = 0;
        for _ in 0..count {
            // SAFETY: the input is never freed, and nobody else has it. The program is one of the
            // benchmarks, which Panal's verifier accepts with the same memory; should rbpf translate it
            // wrongly, this process alone has the damage.
            value = unsafe { self.vm.execute_program_jit(&mut *self.input) }
                .map_err(|e| e.to_string())?;
        }
        Ok(value)
    }
}
