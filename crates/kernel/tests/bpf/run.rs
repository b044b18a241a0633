//! Runs a case on a kernel, through the contract alone.

use std::{collections::HashMap, sync::Arc};

use panal_btf::{Builder, Kind, Linkage};
use panal_isa::{Assembled, Imm64, assemble, assemble::Symbols};
use panal_uapi::{
    MapType, ProgType, helpers,
    kernel::{
        Failure, Fd, FuncInfo, Kernel, LoadError, MapFlags, MapSpec, ProgFlags, ProgSpec, TestRun,
        TestRunResult,
    },
};

use crate::{
    case::{Case, Expect},
    mapping::Mapping,
};

/// Finds the descriptor by which a map's memory is mapped.
pub type FileOf = Box<dyn Fn(&Fd) -> Option<i32> + Send + Sync>;

/// A kernel under test.
pub struct Subject {
    pub kernel: Arc<dyn Kernel>,
    pub file: FileOf,
}

impl Subject {
    fn mapping(&self, map: &Fd, offset: usize, len: usize) -> Result<Mapping, String> {
        let file = (self.file)(map).ok_or("the map has no file")?;
        Mapping::new(file, offset, len)
    }
}

struct Names<'a>(&'a HashMap<String, Fd>);

impl Symbols for Names<'_> {
    fn map(&mut self, name: &str) -> Option<Imm64> {
        self.0.get(name).map(|fd| Imm64::MapFd(fd.number()))
    }

    fn helper(&mut self, name: &str) -> Option<u32> {
        helpers::by_name(name).map(|helper| helper.id)
    }
}

fn map_spec(name: &str, map_type: MapType, sizes: [u32; 3]) -> MapSpec {
    let flags = if map_type == MapType::LpmTrie {
        MapFlags::NO_PREALLOC
    } else {
        MapFlags::empty()
    };
    MapSpec {
        name: name.to_owned(),
        map_type,
        key_size: sizes[0],
        value_size: sizes[1],
        max_entries: sizes[2],
        flags,
        extra: 0,
        numa_node: 0,
        inner: None,
        btf: None,
        vmlinux_value_type: None,
    }
}

/// Whether a kernel lets us create a map at all.
pub fn usable(kernel: &dyn Kernel) -> Result<(), String> {
    let spec = map_spec("probe", MapType::Hash, [4, 8, 1]);
    kernel
        .map_create(&spec)
        .map(|_| ())
        .map_err(|e| e.to_string())
}

/// Loads, runs and compares; what differs is the error.
pub fn run(subject: &Subject, case: &Case) -> Result<(), String> {
    let kernel = &*subject.kernel;
    let mut maps = HashMap::new();
    for line in &case.maps {
        let sizes = [line.key_size, line.value_size, line.max_entries];
        let fd = kernel
            .map_create(&map_spec(&line.name, line.map_type, sizes))
            .map_err(|e| e.to_string())?;
        maps.insert(line.name.clone(), fd);
    }
    for (name, key, value) in &case.puts {
        kernel
            .map_update(&maps[name], key, value, 0)
            .map_err(|e| e.to_string())?;
    }
    for (name, record) in &case.sends {
        match kernel.user_ring_buffer_write(&maps[name], record) {
            Ok(true) => {}
            other => return Err(format!("sending to {name}: {other:?}")),
        }
    }
    for (name, at, bytes) in &case.pokes {
        subject.mapping(&maps[name], *at, bytes.len())?.write(bytes);
    }
    let result = load_and_run(kernel, case, &maps)?;
    for expectation in &case.expectations {
        check(subject, &maps, &result, expectation)?;
    }
    Ok(())
}

/// Types of the functions, which Linux wants where one is called back.
fn describe(
    kernel: &dyn Kernel,
    text: &str,
    assembled: &Assembled,
) -> Result<(Option<Fd>, Vec<FuncInfo>), String> {
    if !text.contains("subprog[") {
        return Ok((None, Vec::new()));
    }
    let mut builder = Builder::new();
    let int = builder.signed("int", 4);
    let mut functions = vec![(0, "entry")];
    for (label, &slot) in &assembled.labels {
        if text.contains(&format!("subprog[{label}]")) {
            functions.push((slot as u32, label));
        }
    }
    functions.sort_unstable();
    let mut funcs = Vec::new();
    for (slot, name) in functions {
        let proto = builder.add(
            "",
            Kind::FuncProto {
                ret: int,
                params: Box::new([]),
            },
        );
        let linkage = if slot == 0 {
            Linkage::Global
        } else {
            Linkage::Static
        };
        let ty = builder.add(name, Kind::Func { proto, linkage });
        funcs.push(FuncInfo { slot, ty });
    }
    let bytes = builder.to_bytes().map_err(|e| e.to_string())?;
    let fd = kernel.btf_load(&bytes).map_err(|e| e.to_string())?;
    Ok((Some(fd), funcs))
}

fn load_and_run(
    kernel: &dyn Kernel,
    case: &Case,
    maps: &HashMap<String, Fd>,
) -> Result<Result<TestRunResult, Failure>, String> {
    let assembled = assemble(&case.program, &mut Names(maps)).map_err(|e| e.to_string())?;
    let (btf, funcs) = describe(kernel, &case.program, &assembled)?;
    let spec = ProgSpec {
        name: "case".to_owned(),
        prog_type: case.prog_type.unwrap_or(ProgType::Unspec),
        attach_type: case.attach_type,
        code: assembled.slots,
        license: "GPL".to_owned(),
        kern_version: 0,
        flags: if case.prog_type == Some(ProgType::Syscall) {
            ProgFlags::SLEEPABLE
        } else {
            ProgFlags::empty()
        },
        target: None,
        btf,
        funcs,
        lines: Vec::new(),
        fd_array: Vec::new(),
        bind_maps: Vec::new(),
        log_level: 1,
    };
    let loaded = kernel.prog_load(&spec).map_err(|e| match e {
        LoadError::Rejected {
            errno,
            log,
            rejection,
            ..
        } => format!(
            "rejected with {errno}: {}\n{log}",
            rejection.map(|r| r.message).unwrap_or_default()
        ),
        LoadError::Failed(failure) => failure.to_string(),
    })?;
    let run = TestRun {
        data_in: case.packet.clone(),
        ctx_in: case.context.clone(),
        repeat: case.repeat,
        flags: 0,
        cpu: 0,
    };
    Ok(kernel.prog_test_run(&loaded.fd, &run))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn check(
    subject: &Subject,
    maps: &HashMap<String, Fd>,
    result: &Result<TestRunResult, Failure>,
    expectation: &Expect,
) -> Result<(), String> {
    if let Expect::Fails(errno) = expectation {
        return match result {
            Err(failure) if failure.errno.name() == Some(errno.as_str()) => Ok(()),
            other => Err(format!("expected {errno}, got {other:?}")),
        };
    }
    let result = result.as_ref().map_err(|e| e.to_string())?;
    if let Some(why) = &result.stopped {
        return Err(format!("stopped: {why}"));
    }
    let kernel = &*subject.kernel;
    let same = |what: &str, got: &[u8], wanted: &[u8]| {
        if got == wanted {
            return Ok(());
        }
        Err(format!(
            "{what}\n  got    {}\n  wanted {}",
            hex(got),
            hex(wanted)
        ))
    };
    match expectation {
        Expect::Return(wanted) if result.retval == *wanted => Ok(()),
        Expect::Return(wanted) => Err(format!(
            "returned {} ({:#x}), wanted {} ({wanted:#x})",
            result.retval as i32, result.retval, *wanted as i32
        )),
        Expect::Packet(wanted) => same("packet", &result.data_out, wanted),
        Expect::Context(wanted) => {
            let got = &result.ctx_out[..result.ctx_out.len().min(wanted.len())];
            same("context", got, wanted)
        }
        Expect::Value(name, key, wanted) => {
            let found = kernel
                .map_lookup(&maps[name], key, 0)
                .map_err(|e| e.to_string())?;
            same("value", &found.ok_or("no such key")?, wanted)
        }
        Expect::NoKey(name, key) => {
            match kernel
                .map_lookup(&maps[name], key, 0)
                .map_err(|e| e.to_string())?
            {
                None => Ok(()),
                Some(value) => Err(format!("key {} has {}", hex(key), hex(&value))),
            }
        }
        Expect::Bytes(name, at, wanted) => {
            let mapping = subject.mapping(&maps[name], *at, wanted.len())?;
            same("bytes", &mapping.read(), wanted)
        }
        Expect::Fails(_) => Ok(()),
    }
}
