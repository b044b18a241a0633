//! The running Linux kernel as an oracle: loads tiny programs through bpf(2).

#![allow(dead_code)] // not every test uses all of it

use std::ffi::CString;

use panal_uapi::{AttachType, ProgType};

/// A load's outcome: errno (0 for success) and log.
pub struct Verdict {
    pub errno: i32,
    pub log: String,
}

/// One instruction.
pub fn insn(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> [u8; 8] {
    let [o0, o1] = off.to_le_bytes();
    let [i0, i1, i2, i3] = imm.to_le_bytes();
    [op, dst | src << 4, o0, o1, i0, i1, i2, i3]
}

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

/// What is loaded.
pub struct Load<'a> {
    pub prog_type: ProgType,
    pub attach_type: Option<AttachType>,
    pub flags: u32,
    pub code: &'a [[u8; 8]],
    pub log_level: u32,
}

/// Loads and closes again.
pub fn load(request: &Load<'_>) -> Verdict {
    let license = CString::new("GPL").expect("no nul");
    let mut log = vec![0u8; if request.log_level == 0 { 0 } else { 1 << 16 }];
    let mut attr = ProgLoad {
        prog_type: request.prog_type.number(),
        insn_cnt: request.code.len() as u32,
        insns: request.code.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: request.log_level,
        log_size: log.len() as u32,
        log_buf: if log.is_empty() {
            0
        } else {
            log.as_mut_ptr() as u64
        },
        prog_flags: request.flags,
        expected_attach_type: request.attach_type.map_or(0, AttachType::number),
        ..ProgLoad::default()
    };
    const BPF_PROG_LOAD: i32 = 5;
    // SAFETY: the attribute and all that it points to live until the call returns.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_LOAD,
            &raw mut attr,
            size_of::<ProgLoad>(),
        )
    };
    let errno = if fd >= 0 {
        // SAFETY: the descriptor is ours.
        unsafe { libc::close(fd as i32) };
        0
    } else {
        std::io::Error::last_os_error().raw_os_error().unwrap_or(-1)
    };
    let end = log.iter().position(|&b| b == 0).unwrap_or(log.len());
    Verdict {
        errno,
        log: String::from_utf8_lossy(&log[..end]).into_owned(),
    }
}

/// Whether the tables can be compared with this kernel; says why not.
pub fn available() -> Result<(), String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_err(|e| format!("not Linux: {e}"))?;
    if !release.starts_with("6.18.") {
        return Err(format!(
            "the tables are of Linux 6.18, this is {}",
            release.trim()
        ));
    }
    let code = [insn(0xb7, 0, 0, 0, 0), insn(0x95, 0, 0, 0, 0)];
    let verdict = load(&Load {
        prog_type: ProgType::Xdp,
        attach_type: None,
        flags: 0,
        code: &code,
        log_level: 0,
    });
    match verdict.errno {
        0 => Ok(()),
        errno => Err(format!(
            "bpf(2) does not load programs here (errno {errno})"
        )),
    }
}
