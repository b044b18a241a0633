//! The running Linux kernel as a judge: maps and programs through bpf(2).

use panal_isa::Slot;
use panal_uapi::{AttachType, MapType, ProgType};

/// A program type, where it is attached, and flags.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub prog_type: ProgType,
    pub attach_type: Option<AttachType>,
    pub flags: u32,
    /// `attach_btf_id`; 0: none.
    pub btf_id: u32,
}

fn bpf<T>(command: i32, attr: &mut T) -> Result<i32, i32> {
    // SAFETY: the attribute and all that it points to live until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr as *mut T, size_of::<T>()) };
    if result < 0 {
        return Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(-1));
    }
    Ok(result as i32)
}

/// `BPF_MAP_CREATE`; the descriptor.
pub fn create_map(
    map_type: MapType,
    key: u32,
    value: u32,
    entries: u32,
    flags: u32,
) -> Option<i32> {
    let mut attr = [map_type.number(), key, value, entries, flags];
    bpf(0, &mut attr).ok()
}

/// Closes a descriptor of ours.
pub fn close(fd: i32) {
    // SAFETY: the descriptor was opened here and is used no more.
    unsafe { libc::close(fd) };
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
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

/// `BPF_PROG_LOAD`: errno (0 when it is accepted) and log.
pub fn load(kind: Kind, slots: &[Slot]) -> (i32, String) {
    let code: Vec<u8> = slots.iter().flat_map(|slot| slot.to_bytes()).collect();
    let mut log = vec![0u8; 1 << 18];
    let mut attr = ProgLoad {
        prog_type: kind.prog_type.number(),
        insn_cnt: slots.len() as u32,
        insns: code.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log_level: 1,
        log_size: log.len() as u32,
        log_buf: log.as_mut_ptr() as u64,
        prog_flags: kind.flags,
        expected_attach_type: kind.attach_type.map_or(0, AttachType::number),
        attach_btf_id: kind.btf_id,
        ..ProgLoad::default()
    };
    let errno = match bpf(5, &mut attr) {
        Ok(fd) => {
            close(fd);
            0
        }
        Err(errno) => errno,
    };
    let end = log.iter().position(|&b| b == 0).unwrap_or(log.len());
    (errno, String::from_utf8_lossy(&log[..end]).into_owned())
}

/// Whether this is the kernel whose verdicts the cases record; says why not.
pub fn available() -> Result<(), String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_err(|e| format!("not Linux: {e}"))?;
    if !release.starts_with("6.18.") {
        return Err(format!(
            "the cases are of Linux 6.18, this is {}",
            release.trim()
        ));
    }
    let fd = create_map(MapType::Array, 4, 4, 1, 0).ok_or("bpf(2) is not for us here")?;
    close(fd);
    Ok(())
}
