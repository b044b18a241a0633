//! Where attacks happen: a kernel, maps, and canaries around.

use panal_isa::{Slot, assemble};
use panal_kernel::{Budget, Engine, PanalKernel, Program};
use panal_testkit::setup::{self, Maps, Names};
use panal_uapi::{
    MapType, ProgType,
    kernel::{Kernel, ProgSpec, TestRun, TestRunResult},
};

/// Steps of a run when the attack says nothing else.
const STEPS: u64 = 16 << 20;
/// Bytes of each canary.
const CANARY: usize = 1 << 16;

static DATA: [u64; 512] = [0x5a5a_5a5a_5a5a_5a5a; 512];

/// What happened to a run.
pub type Outcome = Result<u32, String>;

/// A kernel under attack.
pub struct Arena {
    pub kernel: PanalKernel,
    pub maps: Maps,
    engine: Engine,
    baseline: bool,
    canaries: Vec<Vec<u8>>,
    attacks: u64,
}

impl Arena {
    /// A kernel with this engine, caged; `None` where there is none.
    pub fn new(engine: Engine, baseline: bool) -> Option<Arena> {
        let budget = Budget {
            steps: Some(STEPS),
            time: None,
        };
        Self::with(engine, baseline, budget)
    }

    /// The same with a budget of one's own.
    fn with(engine: Engine, baseline: bool, budget: Budget) -> Option<Arena> {
        let kernel = PanalKernel::builder()
            .engine(engine)
            .baseline(baseline)
            .caged(true)
            .cpus(2)
            .budget(budget)
            .build()
            .expect("a kernel");
        let mut maps = Maps::new();
        for spec in [
            setup::map("array", MapType::Array, 4, 64, 16),
            setup::map("hash", MapType::Hash, 8, 16, 64),
            setup::map("percpu", MapType::PercpuArray, 4, 16, 4),
            setup::map("ring", MapType::Ringbuf, 0, 0, 4096),
            setup::map("queue", MapType::Queue, 0, 8, 8),
            setup::map("programs", MapType::ProgArray, 4, 4, 4),
        ] {
            let fd = kernel.map_create(&spec).expect("a map");
            maps.insert(spec.name, fd);
        }
        let arena = Arena {
            kernel,
            maps,
            engine,
            baseline,
            canaries: (0..4).map(|_| vec![0xc5; CANARY]).collect(),
            attacks: 0,
        };
        let peaceful = arena.load(ProgType::SocketFilter, "r0 = 0\nexit");
        let missing = engine == Engine::MachineCode && peaceful.interpreted().is_some();
        (!missing).then_some(arena)
    }

    /// The same kernel's like with another budget.
    pub fn again(&self, budget: Budget) -> Arena {
        Arena::with(self.engine, self.baseline, budget).expect("it was there before")
    }

    pub fn attacks(&self) -> u64 {
        self.attacks
    }

    /// Addresses of the host's that an attack would like to reach.
    pub fn targets(&self) -> Vec<u64> {
        let local = 0u64;
        let function: fn(Engine, bool) -> Option<Arena> = Arena::new;
        let mut targets: Vec<u64> = self
            .canaries
            .iter()
            .map(|c| c.as_ptr() as u64 + 4096)
            .collect();
        targets.extend([
            DATA.as_ptr() as u64 + 64,
            &raw const local as u64,
            function as usize as u64,
        ]);
        targets
    }

    pub fn slots(&self, text: &str) -> Vec<Slot> {
        assemble(text, &mut Names::new(&self.maps))
            .unwrap_or_else(|e| panic!("{text}: {e}"))
            .slots
    }

    pub fn load(&self, prog_type: ProgType, text: &str) -> std::sync::Arc<Program> {
        let code = self.slots(text);
        self.try_load(prog_type, code)
            .unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    /// Loads without a proof; why the lowering refuses it.
    pub fn try_load(
        &self,
        prog_type: ProgType,
        code: Vec<Slot>,
    ) -> Result<std::sync::Arc<Program>, String> {
        let spec = ProgSpec::new("attack", prog_type, code);
        // SAFETY: this is what the second wall is for.
        unsafe { self.kernel.load_unproven(&spec) }.map_err(|e| format!("{e:?}"))
    }

    pub fn start(&mut self, program: &Program) -> TestRunResult {
        let input = TestRun {
            data_in: vec![1; 64],
            ..TestRun::default()
        };
        self.attacks += 1;
        self.kernel.test_run(program, &input).expect("a test run")
    }

    /// Runs a socket filter; what happened.
    pub fn attack(&mut self, text: &str) -> Outcome {
        let program = self.load(ProgType::SocketFilter, text);
        self.started(&program, text)
    }

    /// Runs a program; what happened. The host is as before.
    pub fn started(&mut self, program: &Program, text: &str) -> Outcome {
        assert!(
            program.interpreted().is_none() || self.engine == Engine::Interpreter,
            "{text}"
        );
        let result = self.start(program);
        for canary in &self.canaries {
            assert!(
                canary.iter().all(|&b| b == 0xc5),
                "a canary is dead: {text}"
            );
        }
        assert!(
            DATA.iter().all(|&w| w == 0x5a5a_5a5a_5a5a_5a5a),
            "data is changed: {text}"
        );
        match result.stopped {
            Some(why) => Err(why),
            None => Ok(result.retval),
        }
    }

    /// What an attack must end with: a reason that has these words.
    pub fn stops(&mut self, text: &str, words: &str) {
        let outcome = self.attack(text);
        assert!(
            outcome.as_ref().is_err_and(|why| why.contains(words)),
            "{outcome:?} where `{words}` was expected:\n{text}"
        );
    }

    /// Where the cage begins, by a program's own account of its frame.
    pub fn cage(&mut self) -> u64 {
        let (base, size) = self.kernel.cage();
        let high = self.attack("r0 = r10\nr0 >>= 32\nexit").expect("a number");
        let low = self.attack("r0 = r10\nexit").expect("a number");
        let frame = u64::from(high) << 32 | u64::from(low);
        assert_eq!(frame & !(size - 1), base);
        base
    }
}

/// A map as a ring buffer, if it is one.
pub fn ringbuf(map: &panal_kernel::Map) -> Option<&panal_maps::RingBuf> {
    map.core().as_any().downcast_ref()
}
