//! The running Linux kernel by bpf(2), where it may be asked.

use panal_isa::Slot;

/// Loads and test-runs socket filters.
pub struct Linux;

/// Calls bpf(2) with this attribute.
fn bpf(command: i32, attr: &mut [u8; 128]) -> Result<i32, i32> {
    // SAFETY: the attribute is exclusively borrowed; the buffers that it points to outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), attr.len()) };
    if result < 0 {
        return Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0));
    }
    Ok(result as i32)
}

fn put(attr: &mut [u8; 128], offset: usize, bytes: &[u8]) {
    attr[offset..offset + bytes.len()].copy_from_slice(bytes);
}

impl Linux {
    /// The kernel, or why it cannot be asked.
    pub fn new() -> Result<Linux, String> {
        use panal_isa::{AluOp, Code, Instruction, Operand, Reg, Width};
        let code = Code::from_instructions([
            Instruction::Alu {
                width: Width::W64,
                op: AluOp::Mov,
                dst: Reg::R0,
                src: Operand::Imm(7),
            },
            Instruction::Exit,
        ]);
        match Linux.run(code.slots()) {
            Ok(7) => Ok(Linux),
            Ok(other) => Err(format!("a program that returns 7 returned {other}")),
            Err(e) => Err(e),
        }
    }

    /// Runs a program as a socket filter: the low 32 bits of its return value.
    pub fn run(&self, slots: &[Slot]) -> Result<u32, String> {
        let bytes: Vec<u8> = slots.iter().flat_map(|s| s.to_bytes()).collect();
        let license = *b"GPL\0";
        let mut log = vec![0u8; 1 << 16];
        let mut attr = [0; 128];
        put(&mut attr, 0, &1u32.to_ne_bytes()); // BPF_PROG_TYPE_SOCKET_FILTER
        put(&mut attr, 4, &(slots.len() as u32).to_ne_bytes());
        put(&mut attr, 8, &(bytes.as_ptr() as u64).to_ne_bytes());
        put(&mut attr, 16, &(license.as_ptr() as u64).to_ne_bytes());
        put(&mut attr, 24, &1u32.to_ne_bytes());
        put(&mut attr, 28, &(log.len() as u32).to_ne_bytes());
        put(&mut attr, 32, &(log.as_mut_ptr() as u64).to_ne_bytes());
        let fd = bpf(5, &mut attr).map_err(|errno| {
            let text = String::from_utf8_lossy(&log);
            let last = text
                .trim_end_matches('\0')
                .trim_end()
                .lines()
                .rev()
                .nth(1)
                .unwrap_or("");
            format!("BPF_PROG_LOAD: errno {errno} {last}")
        })?;
        let packet = [0u8; 64];
        let mut attr = [0; 128];
        put(&mut attr, 0, &(fd as u32).to_ne_bytes());
        put(&mut attr, 8, &(packet.len() as u32).to_ne_bytes());
        put(&mut attr, 16, &(packet.as_ptr() as u64).to_ne_bytes());
        let result = bpf(10, &mut attr);
        // SAFETY: the descriptor is ours.
        unsafe { libc::close(fd) };
        result.map_err(|errno| format!("BPF_PROG_TEST_RUN: errno {errno}"))?;
        Ok(u32::from_ne_bytes([attr[4], attr[5], attr[6], attr[7]]))
    }
}
