//! Arguments of `panal prog|map|link|btf`.
// These are help texts, in which brackets mean that a word may be left out.
#![allow(rustdoc::broken_intra_doc_links)]

use clap::{Args, Subcommand};

use super::{KernelName, ProgRun};

/// Which kernels are asked.
#[derive(Args, Clone)]
pub struct Where {
    /// Which kernel is asked: all running instances of Panal's, or Linux
    #[arg(long, value_enum, default_value_t = KernelName::Panal, value_name = "KERNEL")]
    pub kernel: KernelName,
    /// Only the instance of Panal's kernel in this process
    #[arg(long, value_name = "PID")]
    pub instance: Option<u32>,
}

/// How the answer is printed.
#[derive(Args, Clone)]
pub struct Format {
    /// Print JSON with bpftool's keys
    #[arg(short = 'j', long = "json")]
    json: bool,
    /// Print JSON on several lines
    #[arg(short = 'p', long)]
    pub pretty: bool,
}

impl Format {
    /// On one line, if at all.
    pub fn new(json: bool) -> Self {
        Format {
            json,
            pretty: false,
        }
    }

    /// Whether JSON is printed.
    pub fn json(&self) -> bool {
        self.json || self.pretty
    }
}

/// A command on objects: words as bpftool has them.
#[derive(Args, Clone)]
pub struct Objects {
    /// What the command is about, in bpftool's words
    #[arg(value_name = "WORD")]
    pub words: Vec<String>,
    #[command(flatten)]
    pub place: Where,
    #[command(flatten)]
    pub format: Format,
    /// Also show where objects are pinned
    #[arg(short = 'f', long)]
    pub bpffs: bool,
}

pub const PROG_EXAMPLES: &str = "PROG is one of: id N, name NAME, tag TAG, pinned PATH.

Examples:
  panal prog show                                     # of every running panal of yours
  panal prog show --kernel linux --json
  panal prog load xdp.bpf.o /sys/fs/bpf/firewall --kernel linux
  panal prog dump xlated name firewall
  panal prog run id 12 data_in packet.bin repeat 1000";

#[derive(Subcommand)]
pub enum ProgCommand {
    /// Run one program on given data, and tell what it returned and how long it took
    Run(Box<ProgRun>),
    /// List programs: [PROG]
    #[command(visible_alias = "list")]
    Show(Objects),
    /// Print a program's code: xlated|jited PROG [file FILE] [opcodes] [linum]
    Dump(Objects),
    /// Load an object and pin its first program: OBJ PATH [type TYPE] [map idx N|name NAME MAP] [pinmaps DIR]
    Load(Objects),
    /// Load an object and pin all its programs below a directory: OBJ DIR, then as load
    Loadall(Objects),
    /// Pin a program: PROG PATH
    Pin(Objects),
    /// Remove a program's pin: PATH
    Unpin(Objects),
}

pub const MAP_EXAMPLES: &str =
    "MAP is one of: id N, name NAME, pinned PATH. Keys and values are bytes (1 0 0 0), hexadecimal
after `hex` (hex 01 00 00 00), or one text that is read by the map's types (10.0.0.0/8, {port: 80}).

Examples:
  panal map show
  panal map dump name limits --json
  panal map update name blocklist4 key 203.0.113.0/24 value 0
  panal map update id 3 key 1 0 0 0 value hex ff 00 00 00 noexist --kernel linux
  panal map create /sys/fs/bpf/q type queue value 4 entries 16 name q --kernel linux";

#[derive(Subcommand)]
pub enum MapCommand {
    /// List maps: [MAP]
    #[command(visible_alias = "list")]
    Show(Objects),
    /// Make a map and pin it: PATH type TYPE key N value N entries N name NAME [flags F] [inner_map MAP]
    Create(Objects),
    /// Print all elements: MAP
    Dump(Objects),
    /// Print one element: MAP key KEY
    Lookup(Objects),
    /// Set an element: MAP key KEY value VALUE [any|exist|noexist]
    Update(Objects),
    /// Delete an element: MAP key KEY
    Delete(Objects),
    /// Print the key after a key: MAP [key KEY]
    Getnext(Objects),
    /// Print what a queue or stack would give next: MAP
    Peek(Objects),
    /// Put a value on a stack: MAP value VALUE
    Push(Objects),
    /// Take a value from a stack: MAP
    Pop(Objects),
    /// Put a value into a queue: MAP value VALUE
    Enqueue(Objects),
    /// Take a value from a queue: MAP
    Dequeue(Objects),
    /// Keep user space from writing a map: MAP
    Freeze(Objects),
    /// Pin a map: MAP PATH
    Pin(Objects),
    /// Remove a map's pin: PATH
    Unpin(Objects),
}

pub const LINK_EXAMPLES: &str = "LINK is one of: id N, pinned PATH.

Examples:
  panal link show
  panal link detach id 4 --kernel linux";

#[derive(Subcommand)]
pub enum LinkCommand {
    /// List links: [LINK]
    #[command(visible_alias = "list")]
    Show(Objects),
    /// Detach a link's program: LINK
    Detach(Objects),
    /// Pin a link: LINK PATH
    Pin(Objects),
    /// Remove a link's pin: PATH
    Unpin(Objects),
}

pub const BTF_EXAMPLES: &str = "BTF is `id N`.

Examples:
  panal btf show
  panal btf dump file prog.bpf.o format c
  panal btf dump id 1 format c --kernel linux > vmlinux.h
  panal btf dump map name limits kv";

#[derive(Subcommand)]
pub enum BtfCommand {
    /// List types that are loaded: [BTF]
    #[command(visible_alias = "list")]
    Show(Objects),
    /// Print types: BTF|prog PROG|map MAP [key|value|kv]|file FILE [format raw|c]
    Dump(Objects),
}
