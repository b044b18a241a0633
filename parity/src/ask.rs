//! Asks a kernel about a program: its verdict and, when it accepts, the result on given packets.

use panal_btf::{Builder, Kind, KindTag, Linkage, TypeId};
use panal_isa::{AluOp, CallTarget, Code, Imm64, Instruction, Operand, Reg, Size, Slot, Width};
use panal_uapi::{
    AttachType, Errno, MapType, ProgType,
    kernel::{
        Failure, Fd, FuncInfo, Kernel, LoadError, Loaded, MapFlags, MapSpec, ProgFlags, ProgSpec,
        TestRun,
    },
};

use crate::{
    generate::WIDE_MAPS,
    objects::last_words,
    program::{Flattened, KFUNCS, Program, Role},
};

/// Errors and figures only (`BPF_LOG_STATS`): a log of every instruction costs most of the time.
const QUIET: u32 = 4;
/// Every instruction.
const LOUD: u32 = 2;

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
    /// The context afterwards, as far as both kernels tell it.
    pub context: Vec<u8>,
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
    /// What another run on the same packet did otherwise, a line each.
    pub fn differences(&self, panal: &Outcome, packet: usize) -> Vec<String> {
        let mut all = Vec::new();
        let mut differ = |what: &str, linux: String, panal: String| {
            if linux != panal {
                all.push(format!(
                    "packet {packet}: {what}: linux {linux}, panal {panal}"
                ));
            }
        };
        let returned = |outcome: &Outcome| format!("{:#x}", outcome.retval);
        differ("returned", returned(self), returned(panal));
        let from = first_difference(&self.data, &panal.data);
        differ(
            "data",
            excerpt(&self.data, from),
            excerpt(&panal.data, from),
        );
        let from = first_difference(&self.context, &panal.context);
        differ(
            "context",
            excerpt(&self.context, from),
            excerpt(&panal.context, from),
        );
        for (map, (linux, panal)) in self.maps.iter().zip(&panal.maps).enumerate() {
            let only = |of: &Elements, other: &Elements| {
                let few: Vec<_> = of.iter().filter(|e| !other.contains(e)).take(4).collect();
                format!("{} elements, among them {few:02x?}", of.len())
            };
            if linux != panal {
                let what = format!("map {map} of those it uses");
                differ(&what, only(linux, panal), only(panal, linux));
            }
        }
        all
    }
}

fn first_difference(linux: &[u8], panal: &[u8]) -> usize {
    let same = linux.iter().zip(panal).take_while(|(a, b)| a == b);
    same.count()
}

/// Some bytes from a place on, and how many there are in all.
fn excerpt(bytes: &[u8], from: usize) -> String {
    let some = bytes.get(from..bytes.len().min(from + 16));
    format!(
        "{} bytes, from {from} on {:02x?}",
        bytes.len(),
        some.unwrap_or_default()
    )
}

/// The packets that a program is run on.
pub fn packets() -> Vec<Vec<u8>> {
    let pattern = |len: usize, step: usize| (0..len).map(|i| (i * step + 1) as u8).collect();
    // UDP over IPv4, 10.0.0.1 to 10.0.0.2.
    let mut udp: Vec<u8> = pattern(60, 251);
    udp[12..14].copy_from_slice(&[8, 0]);
    udp[14..24].copy_from_slice(&[0x45, 0, 0, 46, 0, 1, 0, 0, 64, 17]);
    udp[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    vec![vec![0; 64], pattern(64, 7), udp]
}

/// A kernel with the generator's maps, types and kernel functions.
pub struct Judge<'k> {
    kernel: &'k dyn Kernel,
    maps: Vec<Fd>,
    /// What empties the queues into a map's value.
    drains: Vec<Option<Fd>>,
    drained: Fd,
    btf: Fd,
    funcs: Funcs,
    /// The kernel functions of [`KFUNCS`] in the kernel's own types; 0 where it has none.
    kfuncs: Vec<i32>,
}

/// The types of functions, by role.
struct Funcs {
    main: TypeId,
    own: TypeId,
    global: TypeId,
}

/// Functions of three roles; those that nobody names need no parameters.
fn types() -> Result<(Vec<u8>, Funcs), String> {
    let mut builder = Builder::new();
    let long = builder.signed("long", 8);
    let ret = long;
    let params = Box::new([]);
    let proto = builder.add("", Kind::FuncProto { ret, params });
    let linkage = Linkage::Global;
    let main = builder.add("entry", Kind::Func { proto, linkage });
    let linkage = Linkage::Static;
    let own = builder.add("own", Kind::Func { proto, linkage });
    let five = ["a", "b", "c", "d", "e"].map(|name| (name, long));
    let global = builder.func("global", long, &five);
    let bytes = builder.to_bytes().map_err(|e| e.to_string())?;
    Ok((bytes, Funcs { main, own, global }))
}

fn map_spec(name: &str, map_type: MapType, sizes: [u32; 3]) -> MapSpec {
    let [key, value, entries] = sizes;
    MapSpec::new(map_type, key, value, entries)
        .named(name)
        .with_flags(MapFlags::needed_by(map_type))
}

/// The generator's map of this index.
fn create(kernel: &dyn Kernel, index: usize) -> Result<Fd, Failure> {
    let shape = WIDE_MAPS[index];
    let sizes = [shape.key_size, shape.value_size, shape.max_entries];
    kernel.map_create(&map_spec(&format!("map{index}"), shape.map_type, sizes))
}

fn prog_spec(prog_type: ProgType, code: Vec<Slot>) -> ProgSpec {
    ProgSpec {
        attach_type: match prog_type {
            ProgType::Xdp => Some(AttachType::Xdp),
            ProgType::CgroupSkb => Some(AttachType::CgroupInetIngress),
            _ => None,
        },
        flags: if prog_type == ProgType::Syscall {
            ProgFlags::SLEEPABLE
        } else {
            ProgFlags::empty()
        },
        log_level: QUIET,
        ..ProgSpec::new("generated", prog_type, code)
    }
}

fn is_queue(map_type: MapType) -> bool {
    matches!(map_type, MapType::Queue | MapType::Stack)
}

fn is_percpu(map_type: MapType) -> bool {
    matches!(map_type, MapType::PercpuArray | MapType::PercpuHash)
}

/// A socket filter that takes eight values from a queue into the only value of another map.
fn drain(queue: &Fd, into: &Fd) -> Vec<Slot> {
    let mov = |dst, src| Instruction::Alu {
        width: Width::W64,
        op: AluOp::Mov,
        dst,
        src,
    };
    let fd = into.number();
    let mut code = vec![Instruction::LoadImm64 {
        dst: Reg::R7,
        imm: Imm64::MapValue { fd, offset: 0 },
    }];
    for offset in (0..64).step_by(8) {
        code.extend([
            mov(Reg::R2, Operand::Reg(Reg::R7)),
            Instruction::Alu {
                width: Width::W64,
                op: AluOp::Add,
                dst: Reg::R2,
                src: Operand::Imm(offset),
            },
            Instruction::LoadImm64 {
                dst: Reg::R1,
                imm: Imm64::MapFd(queue.number()),
            },
            Instruction::Call(CallTarget::Helper(88)),
            Instruction::Load {
                size: Size::DW,
                signed: false,
                dst: Reg::R1,
                base: Reg::R7,
                offset: 64,
            },
            Instruction::Alu {
                width: Width::W64,
                op: AluOp::Add,
                dst: Reg::R1,
                src: Operand::Reg(Reg::R0),
            },
            // How many were there shows in the sum of the results.
            Instruction::Store {
                size: Size::DW,
                base: Reg::R7,
                offset: 64,
                src: Operand::Reg(Reg::R1),
            },
        ]);
    }
    code.extend([mov(Reg::R0, Operand::Imm(0)), Instruction::Exit]);
    Code::from_instructions(code).slots().to_vec()
}

impl<'k> Judge<'k> {
    /// Creates the maps.
    pub fn new(kernel: &'k dyn Kernel) -> Result<Self, String> {
        let drained = kernel
            .map_create(&map_spec("drained", MapType::Array, [4, 72, 1]))
            .map_err(|e| e.to_string())?;
        let (mut maps, mut drains) = (Vec::new(), Vec::new());
        for (index, shape) in WIDE_MAPS.iter().enumerate() {
            let map = create(kernel, index).map_err(|e| format!("{}: {e}", shape.map_type))?;
            drains.push(if is_queue(shape.map_type) {
                let spec = prog_spec(ProgType::SocketFilter, drain(&map, &drained));
                let loaded = kernel.prog_load(&spec);
                Some(loaded.map_err(|e| format!("{e:?}"))?.fd)
            } else {
                None
            });
            maps.push(map);
        }
        let (bytes, funcs) = types()?;
        let kernel_types = kernel.btf().map_err(|e| e.to_string())?;
        let kfunc = |name: &&str| {
            let id = kernel_types.find(name, KindTag::Func);
            id.map_or(0, |id| id.0 as i32)
        };
        Ok(Judge {
            kernel,
            maps,
            drains,
            drained,
            btf: kernel.btf_load(&bytes).map_err(|e| e.to_string())?,
            funcs,
            kfuncs: KFUNCS.iter().map(kfunc).collect(),
        })
    }

    /// What the kernel is called.
    pub fn name(&self) -> String {
        self.kernel.name()
    }

    /// Verdict, and results when `run` is wanted.
    pub fn ask(&self, program: &Program, run: bool) -> Answer {
        let Some(flattened) = program.flattened() else {
            return Answer::Failed("jumps too far".into());
        };
        let used = used_maps(&flattened.code);
        match self.load(program, &flattened, QUIET) {
            Ok(_) if !run => Answer::Accepted(Vec::new()),
            Ok(prog) => match self.run_all(&prog.fd, program.prog_type, &used) {
                Ok(outcomes) => Answer::Accepted(outcomes),
                Err(why) => Answer::Failed(why),
            },
            // Not a verdict: the kernel says so itself.
            Err(LoadError::Rejected { log, .. }) if log.contains("verifier bug:") => {
                Answer::Failed(last_words(&log))
            }
            Err(LoadError::Rejected { errno, log, .. }) => {
                Answer::Rejected(errno, last_words(&log))
            }
            Err(LoadError::Failed(failure)) => Answer::Failed(failure.to_string()),
        }
    }

    /// The verifier's log of every instruction.
    pub fn log(&self, program: &Program) -> Option<String> {
        match self.load(program, &program.flattened()?, LOUD) {
            Ok(Loaded { log, .. }) | Err(LoadError::Rejected { log, .. }) => Some(log),
            Err(LoadError::Failed(_)) => None,
        }
    }

    /// Whether the kernel proves that no run comes to the instruction at this slot: it accepts what
    /// is allowed nowhere there.
    pub fn proves_dead(&self, program: &Program, slot: usize) -> bool {
        let Some(mut flattened) = program.flattened() else {
            return false;
        };
        let code = flattened.code.iter().map(|(at, instruction)| {
            if at == slot && instruction.slots() == 1 {
                // Above the frame.
                Instruction::Store {
                    size: Size::DW,
                    base: Reg::R10,
                    offset: 0,
                    src: Operand::Imm(0),
                }
            } else {
                *instruction
            }
        });
        let code = Code::from_instructions(code);
        let changed = code.slots() != flattened.code.slots();
        flattened.code = code;
        changed && self.load(program, &flattened, QUIET).is_ok()
    }

    fn load(
        &self,
        program: &Program,
        flattened: &Flattened,
        log_level: u32,
    ) -> Result<Loaded, LoadError> {
        let used = used_maps(&flattened.code);
        let mut own_maps = Vec::new();
        for &index in &used {
            // An array of programs belongs to the type of its first user for good.
            own_maps.push(match WIDE_MAPS[index].map_type {
                MapType::ProgArray => Some(create(self.kernel, index).map_err(LoadError::Failed)?),
                _ => None,
            });
        }
        let map = |index: u32| {
            let at = used.iter().position(|&map| map == index as usize)?;
            own_maps[at].as_ref().or(self.maps.get(index as usize))
        };
        let fd = |index: u32| map(index).map_or(-1, Fd::number);
        let mut spec = prog_spec(program.prog_type, self.linked(&flattened.code, &fd));
        spec.log_level = log_level;
        if program.functions.len() > 1 {
            spec.btf = Some(self.btf.clone());
            let roles = flattened.starts.iter().zip(&program.roles);
            spec.funcs = roles
                .map(|(&start, role)| FuncInfo {
                    slot: start as u32,
                    ty: match role {
                        Role::Main => self.funcs.main,
                        Role::Static | Role::Callback => self.funcs.own,
                        Role::Global => self.funcs.global,
                    },
                })
                .collect();
        }
        self.kernel.prog_load(&spec)
    }

    /// The code with this kernel's maps and functions.
    fn linked(&self, code: &Code, fd: &dyn Fn(u32) -> i32) -> Vec<Slot> {
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
            Instruction::Call(CallTarget::Kfunc { id, object }) => {
                let id = self.kfuncs.get(id as usize).copied().unwrap_or(0);
                Instruction::Call(CallTarget::Kfunc { id, object })
            }
            other => other,
        });
        Code::from_instructions(instructions).slots().to_vec()
    }

    fn run_all(
        &self,
        prog: &Fd,
        prog_type: ProgType,
        used: &[usize],
    ) -> Result<Vec<Outcome>, String> {
        packets()
            .into_iter()
            .map(|packet| self.run(prog, prog_type, used, packet))
            .collect()
    }

    fn run(
        &self,
        prog: &Fd,
        prog_type: ProgType,
        used: &[usize],
        input: Vec<u8>,
    ) -> Result<Outcome, String> {
        for &map in used {
            self.clear(map)?;
        }
        let request = match prog_type {
            ProgType::Syscall | ProgType::RawTracepoint => TestRun {
                ctx_in: input[..56].to_vec(),
                ..TestRun::default()
            },
            _ => TestRun {
                data_in: input,
                repeat: 1,
                ..TestRun::default()
            },
        };
        let result = self
            .kernel
            .prog_test_run(prog, &request)
            .map_err(|e| format!("test run: {e}"))?;
        if let Some(why) = result.stopped {
            return Err(format!("stopped: {why}"));
        }
        let maps = used
            .iter()
            .map(|&map| self.contents(map))
            .collect::<Result<_, _>>()?;
        let context = match prog_type {
            ProgType::Syscall => result.ctx_out,
            _ => Vec::new(),
        };
        Ok(Outcome {
            retval: result.retval,
            data: result.data_out,
            context,
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

    fn clear(&self, index: usize) -> Result<(), String> {
        let (map, shape) = (&self.maps[index], WIDE_MAPS[index]);
        match shape.map_type {
            MapType::ProgArray => {}
            MapType::Ringbuf | MapType::Queue | MapType::Stack => {
                self.contents(index)?;
            }
            MapType::Array | MapType::PercpuArray => {
                let percpu = is_percpu(shape.map_type);
                let times = if percpu { self.kernel.cpus() } else { 1 };
                let zero = vec![0; (shape.value_size * times) as usize];
                for key in 0..shape.max_entries {
                    self.kernel
                        .map_update(map, &key.to_le_bytes(), &zero, 0)
                        .map_err(|e| e.to_string())?;
                }
            }
            _ => {
                for key in self.keys(map)? {
                    self.kernel
                        .map_delete(map, &key)
                        .map_err(|e| e.to_string())?;
                }
            }
        }
        Ok(())
    }

    /// A map's elements in order; queues and ring buffers are empty afterwards.
    fn contents(&self, index: usize) -> Result<Elements, String> {
        let (map, shape) = (&self.maps[index], WIDE_MAPS[index]);
        let mut all = Vec::new();
        match shape.map_type {
            MapType::ProgArray => return Ok(all),
            MapType::Ringbuf => {
                let mut sink = |record: &[u8]| all.push((Vec::new(), record.to_vec()));
                self.kernel
                    .ring_buffer_consume(map, &mut sink)
                    .map_err(|e| e.to_string())?;
                return Ok(all);
            }
            _ => {}
        }
        if let Some(drain) = &self.drains[index] {
            let key = [0; 4];
            self.kernel
                .map_update(&self.drained, &key, &[0; 72], 0)
                .map_err(|e| e.to_string())?;
            let run = TestRun {
                data_in: vec![0; 64],
                ..TestRun::default()
            };
            self.kernel
                .prog_test_run(drain, &run)
                .map_err(|e| e.to_string())?;
            let value = self.kernel.map_lookup(&self.drained, &key, 0);
            let value = value.map_err(|e| e.to_string())?.unwrap_or_default();
            return Ok(vec![(key.to_vec(), value)]);
        }
        for key in self.keys(map)? {
            if let Some(value) = self
                .kernel
                .map_lookup(map, &key, 0)
                .map_err(|e| e.to_string())?
            {
                let value = if is_percpu(shape.map_type) {
                    written(&value, shape.value_size as usize)
                } else {
                    value
                };
                all.push((key, value));
            }
        }
        all.sort();
        Ok(all)
    }
}

/// The values of CPUs that were written, in no CPU's order: kernels choose where they run.
fn written(values: &[u8], size: usize) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = values
        .chunks(size.next_multiple_of(8))
        .filter(|value| value.iter().any(|byte| *byte != 0))
        .collect();
    parts.sort_unstable();
    parts.concat()
}

/// The maps that code mentions, by index.
fn used_maps(code: &Code) -> Vec<usize> {
    let mut used: Vec<usize> = code
        .iter()
        .filter_map(|(_, instruction)| match *instruction {
            Instruction::LoadImm64 {
                imm: Imm64::MapIndex(index) | Imm64::MapIndexValue { index, .. },
                ..
            } => Some(index as usize),
            _ => None,
        })
        .collect();
    used.sort_unstable();
    used.dedup();
    used
}
