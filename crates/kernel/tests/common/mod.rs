//! What several tests share.
#![allow(dead_code)] // each test uses its share

use std::{collections::HashMap, sync::Arc};

use panal_isa::{Imm64, assemble, assemble::Symbols};
use panal_kernel::{PanalKernel, Program};
use panal_uapi::{
    AttachType, MapType, ProgType, helpers,
    kernel::{Fd, Kernel, LoadError, MapFlags, MapSpec, ProgFlags, ProgSpec},
};

/// Maps by the names that program texts use.
pub type Maps = HashMap<&'static str, Fd>;

struct Names<'a>(&'a Maps);

impl Symbols for Names<'_> {
    fn map(&mut self, name: &str) -> Option<Imm64> {
        self.0.get(name).map(|fd| Imm64::MapFd(fd.number()))
    }

    fn helper(&mut self, name: &str) -> Option<u32> {
        helpers::by_name(name).map(|helper| helper.id)
    }
}

/// A map's definition, without flags and types.
pub fn map(name: &str, map_type: MapType, key: u32, value: u32, entries: u32) -> MapSpec {
    MapSpec {
        name: name.to_owned(),
        map_type,
        key_size: key,
        value_size: value,
        max_entries: entries,
        flags: MapFlags::empty(),
        extra: 0,
        numa_node: 0,
        inner: None,
        btf: None,
        vmlinux_value_type: None,
    }
}

/// A program's definition from its text.
pub fn program(prog_type: ProgType, text: &str, maps: &Maps) -> ProgSpec {
    let code = assemble(text, &mut Names(maps)).unwrap_or_else(|e| panic!("{e}\n{text}"));
    ProgSpec {
        name: "test".to_owned(),
        prog_type,
        attach_type: None,
        code: code.slots,
        license: "GPL".to_owned(),
        kern_version: 0,
        flags: ProgFlags::empty(),
        target: None,
        btf: None,
        funcs: Vec::new(),
        lines: Vec::new(),
        fd_array: Vec::new(),
        bind_maps: Vec::new(),
        log_level: 1,
    }
}

/// Loads a program that must be accepted.
pub fn load(kernel: &PanalKernel, spec: &ProgSpec) -> (Fd, Arc<Program>) {
    match kernel.prog_load(spec) {
        Ok(loaded) => {
            let program = kernel.program(&loaded.fd).unwrap();
            (loaded.fd, program)
        }
        Err(LoadError::Rejected { log, .. }) => panic!("rejected:\n{log}"),
        Err(LoadError::Failed(failure)) => panic!("{failure}"),
    }
}

/// Loads a program from its text.
pub fn load_text(
    kernel: &PanalKernel,
    prog_type: ProgType,
    text: &str,
    maps: &Maps,
) -> (Fd, Arc<Program>) {
    load(kernel, &program(prog_type, text, maps))
}

/// The same for an attach type.
pub fn load_for(
    kernel: &PanalKernel,
    prog_type: ProgType,
    attach_type: AttachType,
    text: &str,
    maps: &Maps,
) -> (Fd, Arc<Program>) {
    let spec = ProgSpec {
        attach_type: Some(attach_type),
        ..program(prog_type, text, maps)
    };
    load(kernel, &spec)
}
