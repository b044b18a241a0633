//! Asks a kernel about a program: its verdict and, when it accepts, the result on given packets.

use panal_isa::{Code, Imm64, Instruction};
use panal_uapi::{
    AttachType, Errno, ProgType,
    kernel::{Fd, Kernel, LoadError, MapFlags, MapSpec, ProgFlags, ProgSpec, TestRun},
};

use crate::{generate::MAPS, objects::last_words, program::Program};

/// What a kernel says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Accepted; one outcome for each packet.
    Accepted(Vec<Outcome>),
    /// Rejected, with the errno and the log's last words.
    Rejected(Errno, String),
    /// Could not try.
    Failed(String),
}

/// A map's elements: keys and values.
pub type Elements = Vec<(Vec<u8>, Vec<u8>)>;

/// What a run gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub retval: u32,
    pub data: Vec<u8>,
    /// Every map's elements in order of key.
    pub maps: Vec<Elements>,
}

impl Answer {
    /// On one line.
    pub fn brief(&self) -> String {
        match self {
            Answer::Accepted(outcomes) => {
                let values: Vec<String> = outcomes
                    .iter()
                    .map(|o| format!("{:#x}", o.retval))
                    .collect();
                format!("accepted, returns {}", values.join(", "))
            }
            Answer::Rejected(errno, why) => format!("rejected, {errno}: {why}"),
            Answer::Failed(why) => format!("could not try: {why}"),
        }
    }
}

impl Outcome {
    /// Prints what another run on the same packet did otherwise.
    pub fn print_differences(&self, panal: &Outcome, packet: usize) {
        if self.retval != panal.retval {
            println!(
                "packet {packet}: linux {:#x}, panal {:#x}",
                self.retval, panal.retval
            );
        }
        if self.data != panal.data {
            println!(
                "packet {packet}: data\n  linux {:02x?}\n  panal {:02x?}",
                self.data, panal.data
            );
        }
        for (map, (linux, panal)) in self.maps.iter().zip(&panal.maps).enumerate() {
            if linux != panal {
                println!("packet {packet}: map {map}\n  linux {linux:02x?}\n  panal {panal:02x?}");
            }
        }
    }
}

/// The packets that a program is run on.
pub fn packets() -> Vec<Vec<u8>> {
    let pattern = |len: usize, step: usize| (0..len).map(|i| (i * step + 1) as u8).collect();
    vec![vec![0; 64], pattern(64, 7), pattern(60, 251)]
}

/// A kernel with the generator's maps.
pub struct Judge<'k> {
    kernel: &'k dyn Kernel,
    maps: Vec<Fd>,
}

impl<'k> Judge<'k> {
    /// Creates the maps.
    pub fn new(kernel: &'k dyn Kernel) -> Result<Self, String> {
        let mut maps = Vec::new();
        for (index, shape) in MAPS.iter().enumerate() {
            let spec = MapSpec {
                name: format!("map{index}"),
                map_type: shape.map_type,
                key_size: shape.key_size,
                value_size: shape.value_size,
                max_entries: shape.max_entries,
                flags: MapFlags::empty(),
                extra: 0,
                numa_node: 0,
                inner: None,
                btf: None,
                vmlinux_value_type: None,
            };
            maps.push(kernel.map_create(&spec).map_err(|e| e.to_string())?);
        }
        Ok(Judge { kernel, maps })
    }

    /// What the kernel is called.
    pub fn name(&self) -> String {
        self.kernel.name()
    }

    /// Verdict, and results when `run` is wanted.
    pub fn ask(&self, program: &Program, run: bool) -> Answer {
        let Some(code) = program.flatten() else {
            return Answer::Failed("jumps too far".into());
        };
        let spec = ProgSpec {
            name: "generated".into(),
            prog_type: program.prog_type,
            attach_type: (program.prog_type == ProgType::Xdp).then_some(AttachType::Xdp),
            code: self.with_maps(&code),
            license: "GPL".into(),
            kern_version: 0,
            flags: ProgFlags::empty(),
            target: None,
            btf: None,
            funcs: Vec::new(),
            lines: Vec::new(),
            fd_array: Vec::new(),
            bind_maps: Vec::new(),
            log_level: 1,
        };
        match self.kernel.prog_load(&spec) {
            Ok(_) if !run => Answer::Accepted(Vec::new()),
            Ok(loaded) => match self.run_all(&loaded.fd) {
                Ok(outcomes) => Answer::Accepted(outcomes),
                Err(why) => Answer::Failed(why),
            },
            Err(LoadError::Rejected { errno, log, .. }) => {
                Answer::Rejected(errno, last_words(&log))
            }
            Err(LoadError::Failed(failure)) => Answer::Failed(failure.to_string()),
        }
    }

    fn with_maps(&self, code: &Code) -> Vec<panal_isa::Slot> {
        let fd = |index: u32| self.maps.get(index as usize).map_or(-1, Fd::number);
        let instructions = code.iter().map(|(_, instruction)| match *instruction {
            Instruction::LoadImm64 {
                dst,
                imm: Imm64::MapIndex(index),
            } => Instruction::LoadImm64 {
                dst,
                imm: Imm64::MapFd(fd(index)),
            },
            Instruction::LoadImm64 {
                dst,
                imm: Imm64::MapIndexValue { index, offset },
            } => Instruction::LoadImm64 {
                dst,
                imm: Imm64::MapValue {
                    fd: fd(index),
                    offset,
                },
            },
            other => other,
        });
        Code::from_instructions(instructions).slots().to_vec()
    }

    fn run_all(&self, prog: &Fd) -> Result<Vec<Outcome>, String> {
        packets()
            .into_iter()
            .map(|packet| self.run(prog, packet))
            .collect()
    }

    fn run(&self, prog: &Fd, data_in: Vec<u8>) -> Result<Outcome, String> {
        self.clear_maps()?;
        let request = TestRun {
            data_in,
            repeat: 1,
            ..TestRun::default()
        };
        let result = self
            .kernel
            .prog_test_run(prog, &request)
            .map_err(|e| format!("test run: {e}"))?;
        if let Some(why) = result.stopped {
            return Err(format!("stopped: {why}"));
        }
        let maps = self
            .maps
            .iter()
            .map(|map| self.contents(map))
            .collect::<Result<_, _>>()?;
        Ok(Outcome {
            retval: result.retval,
            data: result.data_out,
            maps,
        })
    }

    fn keys(&self, map: &Fd) -> Result<Vec<Vec<u8>>, String> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        while let Some(key) = self
            .kernel
            .map_next_key(map, keys.last().map(Vec::as_slice))
            .map_err(|e| e.to_string())?
        {
            keys.push(key);
        }
        Ok(keys)
    }

    fn clear_maps(&self) -> Result<(), String> {
        for (map, shape) in self.maps.iter().zip(MAPS) {
            for key in self.keys(map)? {
                let done = if shape.map_type == panal_uapi::MapType::Array {
                    let zero = vec![0; shape.value_size as usize];
                    self.kernel.map_update(map, &key, &zero, 0)
                } else {
                    self.kernel.map_delete(map, &key).map(drop)
                };
                done.map_err(|e| e.to_string())?;
            }
        }
        Ok(())
    }

    fn contents(&self, map: &Fd) -> Result<Elements, String> {
        let mut all = Vec::new();
        for key in self.keys(map)? {
            if let Some(value) = self
                .kernel
                .map_lookup(map, &key, 0)
                .map_err(|e| e.to_string())?
            {
                all.push((key, value));
            }
        }
        all.sort();
        Ok(all)
    }
}
