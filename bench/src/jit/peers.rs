//! Other runtimes, each program in a process (`panal-peers`): what they do wrong must not end the benchmark.

use std::{path::PathBuf, process::Command};

use super::{
    compiler::{self, clang, folder, harness},
    engines::{Missing, Runner},
    process::Process,
    programs::Program,
};
use crate::command::root;

/// How a runtime wants its programs.
#[derive(Clone, Copy)]
pub struct Peer {
    /// Its crate.
    pub name: &'static str,
    /// The version of the instruction set that it runs right.
    pub cpu: &'static str,
    /// How it is run, for the document.
    pub how: &'static str,
    /// Whether the packet is part of the object, because it takes none so large.
    pub packet_within: bool,
}

pub const ALL: &[Peer] = &[RBPF, SBPF, ASYNC_EBPF];

pub const RBPF: Peer = Peer {
    name: "rbpf",
    cpu: "v3",
    how: "`jit_compile`, which checks no access",
    packet_within: false,
};

/// Its dialect sign-extends 32-bit results, so it gets programs without 32-bit arithmetic.
pub const SBPF: Peer = Peer {
    name: "solana-sbpf",
    cpu: "v2",
    how: "SBPF v3 with the crate's own settings and verifier; its dialect sign-extends 32-bit results, so it \
          gets programs compiled by -mcpu=v2",
    packet_within: false,
};

pub const ASYNC_EBPF: Peer = Peer {
    name: "async-ebpf",
    cpu: "v3",
    how: "`run_mut`; it takes 512 bytes of input at most, so the packet is global data",
    packet_within: true,
};

/// Compiles a program in the peer's form and starts it.
pub fn make(peer: Peer, program: &Program) -> Result<Box<dyn Runner>, Missing> {
    compiler::check(program)?;
    let me = std::env::current_exe().map_err(|e| Missing::Failed(e.to_string()))?;
    let runner = me.with_file_name("panal-peers");
    if !runner.exists() {
        return Err(Missing::Skipped("panal-peers is not built".to_owned()));
    }
    start(peer, program, runner)
        .map(|process| Box::new(process) as Box<dyn Runner>)
        .map_err(Missing::Failed)
}

fn start(peer: Peer, program: &Program, runner: PathBuf) -> Result<Process, String> {
    let folder = folder()?;
    let packet = compiler::packet(program, &folder)?;
    let object = folder.join(format!("{}.{}.o", program.name, peer.name));
    let source = root().join(program.source());
    clang(&object, |c| {
        if peer.packet_within {
            c.arg("-DPACKET_WITHIN");
        }
        c.args(["-g", "-target", "bpf"])
            .arg(format!("-mcpu={}", peer.cpu))
            .arg(format!(
                "-I/usr/include/{}-linux-gnu",
                std::env::consts::ARCH
            ))
            .arg(format!("-DPROGRAM={}", program.name))
            .arg(format!("-DSOURCE=\"{}\"", source.display()))
            .arg(format!("-DPACKET=\"{}\"", packet.display()))
            .arg("-c")
            .arg(harness().join("peer.c"))
    })?;
    Process::start(
        Command::new(runner)
            .arg(peer.name)
            .arg(&object)
            .arg(&packet),
    )
}
