//! The emulated CPU: the harness, built by a cross compiler, under qemu.

extern crate std;

use std::{
    path::{Path, PathBuf},
    process::Command,
    string::String,
    sync::atomic::{AtomicUsize, Ordering},
    vec::Vec,
};

/// Where the harness has its row of branches (`--section-start`).
const GATES: u64 = 0x100_0000;
/// Where it has the cage.
pub const CAGE: u64 = 0x20_0000_0000;
const PAGE: usize = 4096;

/// The functions of the harness, in the order of its branches.
const NAMES: [&str; 11] = [
    "refill",
    "tail_target",
    "stop_fault",
    "stop_misaligned",
    "stop_stack",
    "stop_unreachable",
    "repeat",
    "mix",
    "field",
    "place",
    "packet",
];

/// The address of a function of the harness.
pub fn gate(name: &str) -> u64 {
    let index = NAMES.iter().position(|known| *known == name);
    GATES + 4 * index.expect("a function of the harness") as u64
}

/// Offsets into the cage.
pub struct Memory {
    pub cage_size: u64,
    pub stack: u64,
    pub stack_size: u64,
    /// What programs get by `r1`.
    pub given: u64,
    pub given_size: u64,
}

/// A program to be run.
pub struct Code {
    pub bytes: Vec<u8>,
    /// Steps.
    pub budget: u64,
    /// Where its tail calls lead.
    pub tail: Option<Vec<u8>>,
}

/// The compiled harness, in a directory of its own.
pub struct Emulator {
    directory: PathBuf,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Emulator {
    /// Builds the harness for runs of this layout, or says why it cannot.
    pub fn new(layout: &[(&str, usize)]) -> Result<Emulator, String> {
        let compiler = "aarch64-linux-gnu-gcc";
        for tool in [compiler, "qemu-aarch64"] {
            let found = Command::new(tool).arg("--version").output();
            found.map_err(|_| std::format!("no {tool}"))?;
        }
        if !Path::new("/usr/aarch64-linux-gnu/lib/libc.a").exists() {
            return Err("no C library for aarch64 (libc6-dev-arm64-cross)".into());
        }
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = std::format!("panal-aarch64-{}-{count}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a temporary directory");
        let emulator = Emulator { directory };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aarch64/harness.c");
        let mut command = Command::new(compiler);
        command.args(["-std=gnu11", "-O2", "-static"]);
        command.args(["-Wall", "-Wextra", "-Werror"]);
        command.arg(std::format!("-Wl,--section-start=.gates={GATES:#x}"));
        for (name, offset) in layout {
            command.arg(std::format!("-DRUN_{name}={offset}"));
        }
        command.arg("-o").arg(emulator.directory.join("harness"));
        let output = command.arg(source).output().expect("the compiler starts");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "the harness: {errors}");
        Ok(emulator)
    }

    /// Runs programs, in order: how each ended, and a hash of its memory. Fewer when one brought the
    /// harness down.
    pub fn run(&self, memory: &Memory, codes: &[Code]) -> Vec<(String, u64)> {
        let toc = (7 + 3 * codes.len()) * 8;
        let mut file = std::vec![0u8; toc.next_multiple_of(PAGE)];
        let mut words = std::vec![
            codes.len() as u64,
            CAGE,
            memory.cage_size,
            CAGE + memory.stack,
            memory.stack_size,
            CAGE + memory.given,
            memory.given_size,
        ];
        let add = |bytes: &[u8], file: &mut Vec<u8>| {
            let at = file.len() as u64;
            file.extend_from_slice(bytes);
            file.resize(file.len().next_multiple_of(PAGE), 0);
            at
        };
        for code in codes {
            let tail = code.tail.as_ref().map_or(0, |tail| add(tail, &mut file));
            words.extend([add(&code.bytes, &mut file), code.budget, tail]);
        }
        for (place, word) in file.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let path = self.directory.join("code");
        std::fs::write(&path, file).expect("a temporary file");
        let mut command = Command::new("qemu-aarch64");
        // A CPU of the first version: what the templates assume and no more.
        command.args(["-cpu", "cortex-a53"]);
        command.arg(self.directory.join("harness")).arg(path);
        let output = command.output().expect("qemu-aarch64 starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .map(|line| {
                let (how, memory) = line.rsplit_once(' ').expect("a hash");
                (how.into(), u64::from_str_radix(memory, 16).expect("hex"))
            })
            .collect()
    }
}
