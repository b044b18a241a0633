//! What the plugin does: arguments and a program in, a number out.

use panal_isa::Code;
use panal_maps::{Cage, bytes};
use panal_vm::{CageShape, Executable, HelperFn, JitOptions, Linkage, Run};

/// Steps of a run: the suite's longest takes a few million.
const BUDGET: u64 = 1 << 32;

/// What runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    /// The interpreter.
    Interp,
    /// Machine code that trusts the program, as one does a proven one.
    Jit,
    /// Machine code by the optimiser.
    Opt,
    /// Machine code in a cage.
    Cage,
}

/// Runs a program given in hex, with the plugin's arguments.
///
/// # Errors
/// Arguments that are none, a program with an unknown encoding, one that was stopped.
pub fn run(arguments: &[String], program: &str) -> Result<u64, String> {
    let (memory, engine) = parse(arguments)?;
    let code = Code::from_bytes(&hex(program)?).map_err(|e| format!("the program: {e}"))?;
    if code.is_empty() {
        return Err("the program is empty".to_owned());
    }
    execute(&code, &memory, engine)
}

/// The runner gives all options as one argument, an empty one when there are none.
fn parse(arguments: &[String]) -> Result<(Vec<u8>, Engine), String> {
    let mut memory = Vec::new();
    let mut engine = Engine::Interp;
    let mut words = arguments.iter().enumerate().flat_map(|(n, argument)| {
        let is_memory = n == 0 && !argument.trim_start().starts_with('-');
        let words: Vec<(bool, &str)> = match is_memory {
            true => vec![(true, argument.as_str())],
            false => argument.split_whitespace().map(|w| (false, w)).collect(),
        };
        words
    });
    while let Some((is_memory, word)) = words.next() {
        match word {
            _ if is_memory => memory = hex(word)?,
            "--engine" => {
                engine = match words.next() {
                    Some((_, "interp")) => Engine::Interp,
                    Some((_, "jit")) => Engine::Jit,
                    Some((_, "opt")) => Engine::Opt,
                    Some((_, "cage")) => Engine::Cage,
                    _ => return Err("--engine: interp, jit, opt or cage".to_owned()),
                };
            }
            other => return Err(format!("unknown option `{other}`: there is --engine")),
        }
    }
    Ok((memory, engine))
}

/// Bytes as pairs of hex digits, with or without spaces between.
fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).map(|d| d as u8).ok_or(c))
        .collect::<Result<_, char>>()
        .map_err(|c| format!("`{c}` is no hex digit"))?;
    if !digits.len().is_multiple_of(2) {
        return Err("an odd number of hex digits".to_owned());
    }
    Ok(digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect())
}

fn execute(code: &Code, memory: &[u8], engine: Engine) -> Result<u64, String> {
    let cage = Cage::largest().map_err(|e| e.to_string())?;
    let full = |_| "no room in the cage".to_owned();
    let block = cage.allocate(memory.len().max(1), 16).map_err(full)?;
    let stack = cage.allocate(Run::STACK_SIZE as usize, 16).map_err(full)?;
    // SAFETY: the block is ours and as long as the memory.
    unsafe { bytes::write(block.pointer(), memory) };
    // SAFETY: the one helper takes no pointer.
    let program = unsafe { Executable::from_unproven("conformance", code.slots(), &Kernel) };
    let mut program = program.map_err(|e| e.to_string())?;
    compile(&mut program, engine, &cage)?;
    // SAFETY: cage and stack live until the end of this function.
    let mut run = unsafe {
        Run::new(
            cage.base(),
            cage.size(),
            stack.address(),
            stack.len() as u64,
        )
    };
    run.budget = BUDGET;
    let address = if memory.is_empty() {
        0
    } else {
        block.address()
    };
    let arguments = [address, memory.len() as u64, 0, 0, 0];
    program
        .run_compiled_with(&mut run, arguments)
        .map_err(|stop| stop.to_string())
}

fn compile(program: &mut Executable, engine: Engine, cage: &Cage) -> Result<(), String> {
    let options = match engine {
        Engine::Interp => return Ok(()),
        Engine::Jit | Engine::Opt => {
            // SAFETY: whoever chooses this engine vouches for the program; the suite's own ones stay
            // in their memory. `--engine cage` needs no such trust.
            unsafe { program.trust() };
            JitOptions {
                optimise: matches!(engine, Engine::Opt),
                ..JitOptions::host()
            }
        }
        Engine::Cage => JitOptions {
            cage: CageShape::new(cage.base(), cage.size()),
            ..JitOptions::host()
        },
    };
    program.compile(options).map_err(|e| e.to_string())
}

/// A kernel with a clock and nothing else.
struct Kernel;

/// `bpf_ktime_get_ns`: a few of the suite's programs call it for the sake of the call.
unsafe extern "C" fn clock(_: u64, _: u64, _: u64, _: u64, _: u64, _: *mut Run) -> u64 {
    std::time::UNIX_EPOCH
        .elapsed()
        .map_or(1, |d| d.as_nanos() as u64)
}

impl Linkage for Kernel {
    fn helper(&self, id: u32) -> Option<HelperFn> {
        (id == panal_uapi::helpers::id::BPF_FUNC_ktime_get_ns).then_some(clock as HelperFn)
    }
}
