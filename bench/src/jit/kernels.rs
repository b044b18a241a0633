//! Programs on the two kernels, by test runs.

use std::{fs, sync::OnceLock, time::Instant};

use panal_kernel::{Budget, Engine, PanalKernel};
use panal_linux::LinuxKernel;
use panal_loader::{Loaded, Open};
use panal_object::Object;
use panal_uapi::{
    MapType, ProgType,
    kernel::{Fd, Kernel, ProgSpec, TestRun},
};

use super::{
    engines::{Fault, Missing, Runner, Sample},
    programs::Program,
};
use crate::command::root;

/// A program in a kernel of its own, without a budget, as Linux runs it.
pub fn panal(program: &Program, engine: Engine) -> Result<Box<dyn Runner>, Missing> {
    let kernel = PanalKernel::builder()
        .engine(engine)
        .budget(Budget::UNLIMITED)
        .build()
        .map_err(|e| Missing::Failed(e.to_string()))?;
    on(program, kernel).map_err(Missing::Failed)
}

/// A program in the running kernel.
pub fn linux(program: &Program) -> Result<Box<dyn Runner>, Missing> {
    if let Some(why) = linux_refuses() {
        return Err(Missing::Skipped(why.to_owned()));
    }
    on(program, LinuxKernel::new()).map_err(Missing::Failed)
}

/// Why the running kernel cannot be measured: bpf(2) does not work, or programs are interpreted.
pub fn linux_refuses() -> Option<&'static str> {
    static ANSWER: OnceLock<Option<String>> = OnceLock::new();
    let ask = || {
        let enabled = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").unwrap_or_default();
        if enabled.trim() == "0" {
            return Some("net.core.bpf_jit_enable is 0".to_owned());
        }
        // r0 = 0; exit
        let code = vec![
            panal_isa::Slot::from_bytes([0xb7, 0, 0, 0, 0, 0, 0, 0]),
            panal_isa::Slot::from_bytes([0x95, 0, 0, 0, 0, 0, 0, 0]),
        ];
        let spec = ProgSpec::new("probe", ProgType::SchedCls, code);
        let loaded = LinuxKernel::new().prog_load(&spec);
        loaded.err().map(|e| format!("bpf(2) does not work: {e:?}"))
    };
    ANSWER.get_or_init(ask).as_deref()
}

/// A loaded program with all that must live as long.
struct OnKernel<K> {
    kernel: K,
    program: Fd,
    test: TestRun,
    /// Emptied after each row of runs.
    rings: Vec<Fd>,
    /// The least nanoseconds that a single run took with all around it.
    around: f64,
    _maps: Vec<Fd>,
}

/// A program in a kernel of one's own.
pub fn on<K: Kernel + 'static>(program: &Program, kernel: K) -> Result<Box<dyn Runner>, String> {
    let path = root().join(program.object());
    let bytes = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let object = Object::parse(&bytes).map_err(|e| e.to_string())?;
    let mut open = Open::new(object, program.name).map_err(|e| e.to_string())?;
    open.only(program.name).map_err(|e| e.to_string())?;
    let loaded = open
        .prepare(&kernel)
        .and_then(|prepared| prepared.load())
        .map_err(|e| e.to_string())?;
    match program.within {
        Some("examples/firewall") => rules(&loaded)?,
        Some(_) => fill(&loaded)?,
        None => {}
    }
    let fd = loaded.program(program.name).map_err(|e| e.to_string())?;
    let fd = fd.fd.clone();
    let of_type = |wanted: MapType| {
        let maps = loaded.maps().iter();
        maps.filter(move |m| m.plan.map_type == wanted)
            .map(|m| m.fd.clone())
    };
    let rings = of_type(MapType::Ringbuf).collect();
    let maps = loaded.maps().iter().map(|m| m.fd.clone()).collect();
    drop(loaded);
    Ok(Box::new(OnKernel {
        kernel,
        program: fd,
        test: TestRun {
            data_in: program.input.bytes(),
            ..TestRun::default()
        },
        rings,
        around: f64::MAX,
        _maps: maps,
    }))
}

/// Rules for the firewall under which the packet takes the longest way and passes: it is not blocked,
/// below its limit, to no service, from no back end.
fn rules(loaded: &Loaded<'_>) -> Result<(), String> {
    let put = |map: &str, key: &[u8], value: &[u8]| {
        let map = loaded.map(map).map_err(|e| e.to_string())?;
        let done = loaded.kernel().map_update(&map.fd, key, value, 0);
        done.map_err(|e| e.to_string())
    };
    for net in 0..64u8 {
        put("blocklist4", &[24, 0, 0, 0, 203, 0, net, 0], &[0; 8])?;
    }
    let (rate, burst) = (1_000_000_000u64, 1_000_000u64);
    let limit = [rate.to_ne_bytes(), burst.to_ne_bytes()].concat();
    put("limits", &[0; 4], &limit)?;
    let mut service = [0; 20];
    service[10..19].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 1, 0, 80, 6]);
    put("services", &service, &[0, 0, 0, 0, 1, 0, 0, 0])
}

/// The elements that programs with one operation look for: keys of 32 bits, 0 to 255.
fn fill(loaded: &Loaded<'_>) -> Result<(), String> {
    let kernel = loaded.kernel();
    for map in loaded.maps().iter().filter(|m| m.plan.key_size == 4) {
        let one = kernel.map_lookup(&map.fd, &[0; 4], 0);
        let per_cpu = matches!(
            map.plan.map_type,
            MapType::PercpuArray | MapType::PercpuHash
        );
        let copies = if per_cpu { kernel.cpus() as usize } else { 1 };
        let size = one
            .map_err(|e| e.to_string())?
            .map_or(map.plan.value_size as usize * copies, |value| value.len());
        for key in 0..256u32 {
            let done = kernel.map_update(&map.fd, &key.to_ne_bytes(), &vec![1; size], 0);
            done.map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

impl<K: Kernel> Runner for OnKernel<K> {
    fn run(&mut self, repeat: u32) -> Result<Sample, Fault> {
        self.test.repeat = repeat;
        let begin = Instant::now();
        let result = self
            .kernel
            .prog_test_run(&self.program, &self.test)
            .map_err(|e| e.to_string())?;
        let around = begin.elapsed().as_nanos() as f64;
        if repeat == 1 {
            self.around = self.around.min(around);
        }
        if let Some(why) = result.stopped.or(result.interpreted) {
            return Err(why.into());
        }
        if let Some(why) = result.not_optimised {
            return Err(format!("not optimised: {why}").into());
        }
        for ring in &self.rings {
            let consumed = self.kernel.ring_buffer_consume(ring, &mut |_| {});
            consumed.map_err(|e| e.to_string())?;
        }
        // Both kernels round down to whole nanoseconds: the time around many short runs is finer.
        let told = result.duration_ns as f64;
        let finer = (around - self.around) / f64::from(repeat);
        Ok(Sample {
            ns: finer.clamp(told, told + 0.99),
            value: result.retval,
            steps: result.steps,
        })
    }
}
