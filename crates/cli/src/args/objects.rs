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
    /// What the command is about, in bpftool's words, as the usage has them
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
    /// List programs
    #[command(override_usage = "panal prog show [PROG] [OPTIONS]", after_help = PROG_EXAMPLES)]
    #[command(visible_alias = "list")]
    Show(Objects),
    /// Print a program's code
    #[command(
        override_usage = "panal prog dump xlated|jited PROG [file FILE] [opcodes] [linum] [OPTIONS]",
        after_help = PROG_EXAMPLES
    )]
    Dump(Objects),
    /// Load an object and pin its first program
    #[command(
        override_usage = "panal prog load OBJ PATH [type TYPE] [map idx N|name NAME MAP] [pinmaps DIR] [OPTIONS]",
        after_help = PROG_EXAMPLES
    )]
    Load(Objects),
    /// Load an object and pin all its programs below a directory
    #[command(
        override_usage = "panal prog loadall OBJ DIR [type TYPE] [map idx N|name NAME MAP] [pinmaps DIR] [OPTIONS]",
        after_help = PROG_EXAMPLES
    )]
    Loadall(Objects),
    /// Pin a program
    #[command(override_usage = "panal prog pin PROG PATH [OPTIONS]", after_help = PROG_EXAMPLES)]
    Pin(Objects),
    /// Remove a program's pin
    #[command(override_usage = "panal prog unpin PATH [OPTIONS]", after_help = PROG_EXAMPLES)]
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
    /// List maps
    #[command(override_usage = "panal map show [MAP] [OPTIONS]", after_help = MAP_EXAMPLES)]
    #[command(visible_alias = "list")]
    Show(Objects),
    /// Make a map and pin it
    #[command(
        override_usage = "panal map create PATH type TYPE key N value N entries N name NAME [flags F] [inner_map MAP] [OPTIONS]",
        after_help = MAP_EXAMPLES
    )]
    Create(Objects),
    /// Print all elements
    #[command(override_usage = "panal map dump MAP [OPTIONS]", after_help = MAP_EXAMPLES)]
    Dump(Objects),
    /// Print one element
    #[command(override_usage = "panal map lookup MAP key KEY [OPTIONS]", after_help = MAP_EXAMPLES)]
    Lookup(Objects),
    /// Set an element
    #[command(
        override_usage = "panal map update MAP key KEY value VALUE [any|exist|noexist] [OPTIONS]",
        after_help = MAP_EXAMPLES
    )]
    Update(Objects),
    /// Delete an element
    #[command(override_usage = "panal map delete MAP key KEY [OPTIONS]", after_help = MAP_EXAMPLES)]
    Delete(Objects),
    /// Print the key after a key
    #[command(
        override_usage = "panal map getnext MAP [key KEY] [OPTIONS]",
        after_help = MAP_EXAMPLES
    )]
    Getnext(Objects),
    /// Print what a queue or stack would give next
    #[command(override_usage = "panal map peek MAP [OPTIONS]", after_help = MAP_EXAMPLES)]
    Peek(Objects),
    /// Put a value on a stack
    #[command(
        override_usage = "panal map push MAP value VALUE [OPTIONS]",
        after_help = MAP_EXAMPLES
    )]
    Push(Objects),
    /// Take a value from a stack
    #[command(override_usage = "panal map pop MAP [OPTIONS]", after_help = MAP_EXAMPLES)]
    Pop(Objects),
    /// Put a value into a queue
    #[command(
        override_usage = "panal map enqueue MAP value VALUE [OPTIONS]",
        after_help = MAP_EXAMPLES
    )]
    Enqueue(Objects),
    /// Take a value from a queue
    #[command(override_usage = "panal map dequeue MAP [OPTIONS]", after_help = MAP_EXAMPLES)]
    Dequeue(Objects),
    /// Keep user space from writing a map
    #[command(override_usage = "panal map freeze MAP [OPTIONS]", after_help = MAP_EXAMPLES)]
    Freeze(Objects),
    /// Pin a map
    #[command(override_usage = "panal map pin MAP PATH [OPTIONS]", after_help = MAP_EXAMPLES)]
    Pin(Objects),
    /// Remove a map's pin
    #[command(override_usage = "panal map unpin PATH [OPTIONS]", after_help = MAP_EXAMPLES)]
    Unpin(Objects),
}

pub const LINK_EXAMPLES: &str = "LINK is one of: id N, pinned PATH.

Examples:
  panal link show
  panal link detach id 4 --kernel linux";

#[derive(Subcommand)]
pub enum LinkCommand {
    /// List links
    #[command(override_usage = "panal link show [LINK] [OPTIONS]", after_help = LINK_EXAMPLES)]
    #[command(visible_alias = "list")]
    Show(Objects),
    /// Detach a link's program
    #[command(override_usage = "panal link detach LINK [OPTIONS]", after_help = LINK_EXAMPLES)]
    Detach(Objects),
    /// Pin a link
    #[command(override_usage = "panal link pin LINK PATH [OPTIONS]", after_help = LINK_EXAMPLES)]
    Pin(Objects),
    /// Remove a link's pin
    #[command(override_usage = "panal link unpin PATH [OPTIONS]", after_help = LINK_EXAMPLES)]
    Unpin(Objects),
}

pub const BTF_EXAMPLES: &str =
    "BTF is `id N`; PROG and MAP are as `panal prog` and `panal map` have them.

Examples:
  panal btf show
  panal btf dump file prog.bpf.o format c
  panal btf dump id 1 format c --kernel linux > vmlinux.h
  panal btf dump map name limits kv";

#[derive(Subcommand)]
pub enum BtfCommand {
    /// List types that are loaded
    #[command(override_usage = "panal btf show [BTF] [OPTIONS]", after_help = BTF_EXAMPLES)]
    #[command(visible_alias = "list")]
    Show(Objects),
    /// Print types
    #[command(
        override_usage = "panal btf dump BTF|prog PROG|map MAP [key|value|kv]|file FILE [format raw|c] [OPTIONS]",
        after_help = BTF_EXAMPLES
    )]
    Dump(Objects),
}
