//! What crosses the socket.

use std::io::{self, BufRead, Read};

use panal_btf::TypeId;
use panal_uapi::{
    AttachType, Errno, MapType, ProgType,
    inspect::ObjectKind,
    kernel::{Failure, FuncInfo, LineInfo, MapFlags, ProgFlags, TestRun, VerifierStats},
    report::Rejection,
};
use serde::{Deserialize, Serialize};

/// Longest line, either way: the largest BTF, or a batch of elements, with room to spare.
pub const LINE_MOST: u64 = 64 << 20;

/// The version of the protocol; both sides must have the same.
pub const VERSION: u32 = 1;

/// A request. Descriptors are the server's numbers.
#[derive(Serialize, Deserialize)]
pub enum Request {
    /// The protocol's version; the kernel's name, version and CPUs.
    Hello(u32),
    Close(i32),
    KernelBtf,
    Config(String),
    Symbol(String),
    NextId(ObjectKind, u32),
    OpenId(ObjectKind, u32, u32),
    KindOf(i32),
    ProgInfo(i32),
    ProgCode(i32),
    MapInfo(i32),
    LinkInfo(i32),
    BtfInfo(i32),
    BtfBytes(i32),
    BtfLoad(Vec<u8>),
    MapCreate(Box<NewMap>),
    Lookup(i32, Vec<u8>, u64),
    Update(i32, Vec<u8>, Vec<u8>, u64),
    Delete(i32, Vec<u8>),
    NextKey(i32, Option<Vec<u8>>),
    Freeze(i32),
    LookupAndDelete(i32, Vec<u8>, u64),
    LookupBatch(i32, Option<Vec<u8>>, u32, bool),
    UpdateBatch(i32, Vec<u8>, Vec<u8>, u64),
    DeleteBatch(i32, Vec<u8>),
    EnableStats,
    Pin(i32, String),
    GetPinned(String, u32),
    Unpin(String),
    Pins,
    ProgLoad(Box<NewProgram>),
    TestRun(i32, TestRun),
    LinkUpdate(i32, i32, Option<i32>),
    LinkDetach(i32),
}

/// `MapSpec` with numbers for descriptors.
#[derive(Serialize, Deserialize)]
pub struct NewMap {
    pub name: String,
    pub map_type: MapType,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub flags: MapFlags,
    pub extra: u64,
    pub numa_node: u32,
    pub inner: Option<i32>,
    pub btf: Option<(i32, TypeId, TypeId)>,
    pub vmlinux_value_type: Option<TypeId>,
}

/// `ProgSpec` with numbers for descriptors.
#[derive(Serialize, Deserialize)]
pub struct NewProgram {
    pub name: String,
    pub prog_type: ProgType,
    pub attach_type: Option<AttachType>,
    pub code: Vec<u8>,
    pub license: String,
    pub kern_version: u32,
    pub flags: ProgFlags,
    /// The program, where the target is one's function; its type's id.
    pub target: Option<(Option<i32>, TypeId)>,
    pub btf: Option<i32>,
    pub funcs: Vec<FuncInfo>,
    pub lines: Vec<LineInfo>,
    pub fd_array: Vec<i32>,
    pub bind_maps: Vec<i32>,
    pub log_level: u32,
}

/// What a program's load gave.
#[derive(Serialize, Deserialize)]
pub enum Load {
    Loaded {
        fd: i32,
        log: String,
        stats: Option<VerifierStats>,
    },
    Rejected {
        errno: Errno,
        rejection: Option<Box<Rejection>>,
        log: String,
        stats: Option<VerifierStats>,
    },
}

/// `Failure` as it crosses.
#[derive(Serialize, Deserialize)]
pub struct Refusal {
    pub command: String,
    pub errno: Errno,
    pub detail: String,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal {
            command: failure.command.to_owned(),
            errno: failure.errno,
            detail: failure.detail,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let all = panal_uapi::Command::ALL.iter().map(|c| c.uapi_name());
        let mut names = all.chain(["run", "start"]);
        let known = names.find(|name| *name == refusal.command);
        Failure {
            command: known.unwrap_or("bpf"),
            errno: refusal.errno,
            detail: refusal.detail,
        }
    }
}

/// Reads a line; `None` at the end. Longer ones than [`LINE_MOST`] are an error.
pub fn read_line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.take(LINE_MOST).read_until(b'\n', &mut line)?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a line without an end",
        )),
    }
}
