//! Programs: BTF and program load with the verifier's log, test runs.

use std::{collections::HashMap, time::Instant};

use panal_uapi::{
    AttachType, Command, Errno, ProgType,
    attr::{
        BtfLoad, FuncInfoBytes, GetId, GetInfo, LineInfoBytes, ProgBindMap, ProgInfoBytes,
        ProgLoad, ProgTestRun, object_name,
    },
    kernel::{
        Failure, Fd, LoadError, LoadTarget, Loaded, ProgSpec, TestRun, TestRunResult, VerifierStats,
    },
    profile::{BPF_MAXINSNS, Limits},
};

use crate::{
    rights,
    sys::{bpf, c_string, failure, into_fd},
};

/// Logs start with this many bytes and grow to what the kernel asks for.
const LOG_START: usize = 1 << 16;
/// The kernel's own limit of a log buffer (`UINT_MAX >> 2`).
const LOG_LIMIT: usize = (u32::MAX >> 2) as usize;

/// `BPF_BTF_LOAD`
pub fn btf_load(bytes: &[u8]) -> Result<Fd, Failure> {
    let mut log = vec![0u8; LOG_START];
    let attr = BtfLoad {
        btf: bytes.as_ptr() as u64,
        btf_size: bytes.len() as u32,
        ..BtfLoad::default()
    };
    // SAFETY: `btf` points to `btf_size` readable bytes.
    let first = unsafe { bpf(Command::BtfLoad, &mut attr.to_bytes()) };
    let errno = match first {
        Ok(fd) => return Ok(into_fd(fd)),
        Err(errno) => errno,
    };
    // Again, to learn why.
    let attr = BtfLoad {
        btf_log_buf: log.as_mut_ptr() as u64,
        btf_log_size: log.len() as u32,
        btf_log_level: 1,
        ..attr
    };
    // SAFETY: as above, and the log buffer has the size that is told.
    if let Ok(fd) = unsafe { bpf(Command::BtfLoad, &mut attr.to_bytes()) } {
        return Ok(into_fd(fd));
    }
    let text = log_text(&log);
    let last = text.lines().last().unwrap_or_default().to_owned();
    Err(failure(Command::BtfLoad, errno, last))
}

/// The string table of a BTF, to find strings' offsets for line info.
pub fn string_offsets(btf: &[u8]) -> HashMap<Vec<u8>, u32> {
    let word = |at: usize| {
        btf.get(at..at + 4)
            .and_then(|b| b.try_into().ok())
            .map_or(0, u32::from_ne_bytes) as usize
    };
    let (header, offset, len) = (word(4), word(16), word(20));
    let start = header.saturating_add(offset);
    let strings = btf
        .get(start..start.saturating_add(len))
        .unwrap_or_default();
    let mut found = HashMap::new();
    let mut at = 0;
    for string in strings.split(|b| *b == 0) {
        found.entry(string.to_vec()).or_insert(at as u32);
        at += string.len() + 1;
    }
    found
}

fn log_text(log: &[u8]) -> String {
    let text = log.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// `BPF_PROG_LOAD`. `strings` are the offsets of the program's BTF strings.
pub fn load(spec: &ProgSpec, strings: Option<&HashMap<Vec<u8>, u32>>) -> Result<Loaded, LoadError> {
    let name_error = |errno| LoadError::Failed(failure(Command::ProgLoad, errno, "licence"));
    let license = c_string(&spec.license).map_err(name_error)?;
    let code: Vec<u8> = spec.code.iter().flat_map(|slot| slot.to_bytes()).collect();
    let funcs: Vec<u8> = spec
        .funcs
        .iter()
        .flat_map(|f| {
            FuncInfoBytes {
                insn_off: f.slot,
                type_id: f.ty.0,
            }
            .to_bytes()
        })
        .collect();
    let lines = line_records(spec, strings);
    let line_count = lines.len() / 16;
    let fd_array: Vec<u8> = spec
        .fd_array
        .iter()
        .flat_map(|fd| fd.number().to_ne_bytes())
        .collect();
    let mut attr = ProgLoad {
        prog_type: spec.prog_type.number(),
        insn_cnt: spec.code.len() as u32,
        insns: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
        kern_version: spec.kern_version,
        prog_flags: spec.flags.bits(),
        prog_name: object_name(&spec.name),
        expected_attach_type: spec.attach_type.map_or(0, |t| t.number()),
        ..ProgLoad::default()
    };
    if let Some(btf) = &spec.btf {
        attr.prog_btf_fd = btf.number();
        if !spec.funcs.is_empty() {
            attr.func_info_rec_size = 8;
            attr.func_info = funcs.as_ptr() as u64;
            attr.func_info_cnt = spec.funcs.len() as u32;
        }
        if line_count > 0 {
            attr.line_info_rec_size = 16;
            attr.line_info = lines.as_ptr() as u64;
            attr.line_info_cnt = line_count as u32;
        }
    }
    match &spec.target {
        Some(LoadTarget::KernelBtf(id)) => attr.attach_btf_id = id.0,
        Some(LoadTarget::Program(fd, id)) => {
            attr.attach_prog_fd = fd.number();
            attr.attach_btf_id = id.0;
        }
        None => {}
    }
    if !fd_array.is_empty() {
        attr.fd_array = fd_array.as_ptr() as u64;
    }
    let loaded = load_with_log(&mut attr, spec.log_level)?;
    for map in &spec.bind_maps {
        let bind = ProgBindMap {
            prog_fd: loaded.fd.number(),
            map_fd: map.number(),
            flags: 0,
        };
        // SAFETY: the attribute holds no addresses.
        unsafe { bpf(Command::ProgBindMap, &mut bind.to_bytes()) }
            .map_err(|e| LoadError::Failed(failure(Command::ProgBindMap, e, "")))?;
    }
    Ok(loaded)
}

fn line_records(spec: &ProgSpec, strings: Option<&HashMap<Vec<u8>, u32>>) -> Vec<u8> {
    let Some(strings) = strings else {
        return Vec::new();
    };
    let offset = |text: &str| strings.get(text.as_bytes()).copied().unwrap_or(0);
    spec.lines
        .iter()
        .flat_map(|l| {
            LineInfoBytes {
                insn_off: l.slot,
                file_name_off: offset(&l.file),
                line_off: offset(&l.text),
                line_col: l.line << 10 | (l.column & 0x3ff),
            }
            .to_bytes()
        })
        .collect()
}

/// Loads with a log buffer that grows until the log fits; at level 0 asks for a log only after a
/// failure.
fn load_with_log(attr: &mut ProgLoad, level: u32) -> Result<Loaded, LoadError> {
    let start = Instant::now();
    if level == 0 {
        // SAFETY: the addresses in `attr` are those of vectors that `load` holds.
        match unsafe { bpf(Command::ProgLoad, &mut attr.to_bytes()) } {
            Ok(fd) => {
                return Ok(Loaded {
                    fd: into_fd(fd),
                    log: String::new(),
                    stats: None,
                });
            }
            Err(errno) if !may_be_verdict(errno) => return Err(not_tried(errno, attr)),
            Err(_) => {}
        }
    }
    let mut log = vec![0u8; LOG_START];
    loop {
        attr.log_level = if level == 0 { 1 } else { level };
        attr.log_buf = log.as_mut_ptr() as u64;
        attr.log_size = log.len() as u32;
        let mut bytes = attr.to_bytes();
        // SAFETY: as above, and the log buffer has the size that is told.
        let result = unsafe { bpf(Command::ProgLoad, &mut bytes) };
        let time_ns = start.elapsed().as_nanos() as u64;
        match result {
            Err(Errno::ENOSPC) if log.len() < LOG_LIMIT => {
                let wanted = ProgLoad::from_bytes(&bytes).map_or(0, |a| a.log_true_size as usize);
                let next = wanted.max(log.len().saturating_mul(4)).min(LOG_LIMIT);
                log = vec![0u8; next];
            }
            Ok(fd) => {
                let log = log_text(&log);
                let stats = summary(&log, time_ns);
                return Ok(Loaded {
                    fd: into_fd(fd),
                    log,
                    stats,
                });
            }
            Err(errno) => {
                let log = log_text(&log);
                if errno == Errno::E2BIG && log.is_empty() {
                    let most = most_instructions();
                    let count = attr.insn_cnt as usize;
                    if count > most {
                        return Err(LoadError::too_long(count, most));
                    }
                }
                if log.is_empty() || !may_be_verdict(errno) {
                    return Err(not_tried(errno, attr));
                }
                let stats = summary(&log, time_ns);
                return Err(LoadError::Rejected {
                    errno,
                    rejection: None,
                    log,
                    stats,
                });
            }
        }
    }
}

/// `BPF_COMPLEXITY_LIMIT_INSNS`, or `BPF_MAXINSNS` for those who have no rights.
fn most_instructions() -> usize {
    let most = match rights::BPF.is_held() || rights::SYS_ADMIN.is_held() {
        true => Limits::LINUX.instructions,
        false => BPF_MAXINSNS,
    };
    most as usize
}

/// Whether the verifier may have said no: everything else failed before it was asked.
fn may_be_verdict(errno: Errno) -> bool {
    !matches!(errno, Errno::EBADF | Errno::ENOMEM | Errno::ENOSYS)
}

/// Why the verifier was not asked, beyond the errno.
fn not_tried(errno: Errno, attr: &ProgLoad) -> LoadError {
    let detail = match errno {
        Errno::EPERM => forbidden(attr),
        Errno::EINVAL => "Linux refused the request before verifying the program: does the \
             running kernel have this program type and attach type?"
            .to_owned(),
        Errno::ENOMEM => "no memory for the program or its log".to_owned(),
        Errno::ENOSYS => "the running kernel has no bpf(2)".to_owned(),
        _ => String::new(),
    };
    LoadError::Failed(failure(Command::ProgLoad, errno, detail))
}

/// Which right is missing to load such a program; or that none is.
fn forbidden(attr: &ProgLoad) -> String {
    let prog_type = ProgType::from_number(attr.prog_type);
    if let Some(missing) = rights::missing_for_bpf(rights::of_program(prog_type)) {
        return missing;
    }
    let kind = attr.expected_attach_type;
    // Of struct_ops it is the number of a member.
    let named = kind != 0 && prog_type != Some(ProgType::StructOps);
    let kind = AttachType::from_number(kind).filter(|_| named);
    let kind = kind.map_or_else(
        || prog_type.map_or_else(String::new, |ty| ty.to_string()),
        |kind| kind.to_string(),
    );
    format!(
        "this process has the capabilities that Linux asks for, yet the running kernel refuses \
         {kind} programs before it looks at them: a security policy (LSM, lockdown) forbids them \
         here, whatever they do"
    )
}

/// Reads `processed N insns (limit ...) ... total_states N peak_states N` and `stack depth N`.
fn summary(log: &str, time_ns: u64) -> Option<VerifierStats> {
    let line = log.lines().rev().find(|l| l.starts_with("processed "))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |name: &str| -> Option<u64> {
        let at = words.iter().position(|w| *w == name)?;
        words.get(at + 1)?.parse().ok()
    };
    let depth = log
        .lines()
        .rev()
        .find_map(|l| l.strip_prefix("stack depth "))
        .map(|d| {
            d.split('+')
                .filter_map(|n| n.trim().parse::<u32>().ok())
                .sum()
        });
    Some(VerifierStats {
        processed: after("processed")?,
        total_states: after("total_states").unwrap_or(0),
        peak_states: after("peak_states").unwrap_or(0),
        stack_depth: depth.unwrap_or(0),
        time_ns,
    })
}

/// `BPF_PROG_TEST_RUN`
pub fn test_run(prog: &Fd, run: &TestRun) -> Result<TestRunResult, Failure> {
    // Room for what a program may add in front or behind.
    let mut data_out = vec![
        0u8;
        if run.data_in.is_empty() {
            0
        } else {
            run.data_in.len() + 4096
        }
    ];
    let mut ctx_out = vec![0u8; run.ctx_in.len()];
    let address = |bytes: &[u8]| {
        if bytes.is_empty() {
            0
        } else {
            bytes.as_ptr() as u64
        }
    };
    let attr = ProgTestRun {
        prog_fd: prog.number(),
        data_size_in: run.data_in.len() as u32,
        data_size_out: data_out.len() as u32,
        data_in: address(&run.data_in),
        data_out: if data_out.is_empty() {
            0
        } else {
            data_out.as_mut_ptr() as u64
        },
        repeat: run.repeat,
        ctx_size_in: run.ctx_in.len() as u32,
        ctx_size_out: ctx_out.len() as u32,
        ctx_in: address(&run.ctx_in),
        ctx_out: if ctx_out.is_empty() {
            0
        } else {
            ctx_out.as_mut_ptr() as u64
        },
        flags: run.flags,
        cpu: run.cpu,
        ..ProgTestRun::default()
    };
    let mut bytes = attr.to_bytes();
    // SAFETY: every address is that of a vector of the size that stands beside it.
    let done = unsafe { bpf(Command::ProgTestRun, &mut bytes) };
    match done {
        Ok(_) => {}
        Err(Errno::EINVAL) if run.data_in.is_empty() && run.repeat <= 1 => {
            return test_run_in_place(prog, run);
        }
        Err(e) => return Err(failure(Command::ProgTestRun, e, test_run_hint(e))),
    }
    let after = ProgTestRun::from_bytes(&bytes).unwrap_or_default();
    data_out.truncate(after.data_size_out as usize);
    ctx_out.truncate(after.ctx_size_out as usize);
    Ok(TestRunResult {
        retval: after.retval,
        duration_ns: u64::from(after.duration),
        data_out,
        ctx_out,
        steps: None,
        stopped: None,
        engine: None,
        interpreted: None,
        not_optimised: None,
    })
}

/// `BPF_OBJ_GET_INFO_BY_FD`: what the kernel tells of a program without lists.
fn info(prog: &Fd) -> Result<ProgInfoBytes, Failure> {
    let mut told = ProgInfoBytes::default().to_bytes();
    let attr = GetInfo {
        bpf_fd: prog.number(),
        info_len: told.len() as u32,
        info: told.as_mut_ptr() as u64,
    };
    // SAFETY: `info` points to `info_len` writable bytes.
    unsafe { bpf(Command::ObjGetInfoByFd, &mut attr.to_bytes()) }
        .map_err(|e| failure(Command::ObjGetInfoByFd, e, "of a program"))?;
    Ok(ProgInfoBytes::from_bytes(&told).unwrap_or_default())
}

/// A program's type.
pub fn prog_type(prog: &Fd) -> Result<ProgType, Failure> {
    let number = info(prog)?.prog_type;
    ProgType::from_number(number).ok_or_else(|| {
        let text = format!("program type {number} is unknown");
        failure(Command::ObjGetInfoByFd, Errno::EINVAL, text)
    })
}

/// A program's name.
pub fn name(prog: &Fd) -> Result<String, Failure> {
    let name = info(prog)?.name;
    Ok(log_text(&name))
}

/// `BPF_PROG_GET_FD_BY_ID`
pub fn by_id(id: u32) -> Result<Fd, Failure> {
    let attr = GetId {
        id,
        ..GetId::default()
    };
    // SAFETY: the attribute holds no addresses.
    unsafe { bpf(Command::ProgGetFdById, &mut attr.to_bytes()) }
        .map(into_fd)
        .map_err(|e| failure(Command::ProgGetFdById, e, format!("program {id}")))
}

/// A run of a program that takes a context and nothing else, and changes it where it is: `syscall`
/// and raw tracepoint programs. Linux refuses everything else that could be asked for.
fn test_run_in_place(prog: &Fd, run: &TestRun) -> Result<TestRunResult, Failure> {
    let mut context = run.ctx_in.clone();
    let attr = ProgTestRun {
        prog_fd: prog.number(),
        ctx_size_in: context.len() as u32,
        ctx_in: match context.is_empty() {
            true => 0,
            false => context.as_mut_ptr() as u64,
        },
        flags: run.flags,
        cpu: run.cpu,
        ..ProgTestRun::default()
    };
    let mut bytes = attr.to_bytes();
    let start = Instant::now();
    // SAFETY: the one address is that of a vector of the size that stands beside it; Linux may
    // write there.
    unsafe { bpf(Command::ProgTestRun, &mut bytes) }
        .map_err(|e| failure(Command::ProgTestRun, e, test_run_hint(e)))?;
    let after = ProgTestRun::from_bytes(&bytes).unwrap_or_default();
    Ok(TestRunResult {
        retval: after.retval,
        // Linux does not tell: with the system call.
        duration_ns: start.elapsed().as_nanos() as u64,
        ctx_out: context,
        ..TestRunResult::default()
    })
}

fn test_run_hint(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOTSUPP => "Linux has no test run for this program type",
        Errno::EINVAL => {
            "Linux refused the input: packets need 14 bytes at least, contexts their \
             exact layout, and some program types take no data"
        }
        _ => "",
    }
}
