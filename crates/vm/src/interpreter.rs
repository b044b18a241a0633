//! The interpreter: the reference for what a lowered program does (RFC 9669).
//!
//! Confined: an address is used only after it was compared with the cage's bounds, or when it is
//! in the current frame at an offset that the lowering checked. Loads and stores are single
//! machine accesses; programs on other threads and user space may race with them, as on Linux.

mod atomics;
mod calls;
mod values;

use core::ffi::c_void;

use panal_uapi::profile::BPF_MAX_LOOPS;

use crate::{
    Attempt, Executable, Guard, Observer, Run, Step, Stop,
    op::{Code, FILE, NO_REGISTER, Op},
    run::Engine,
};
use calls::{Frame, Frames, MAX_FRAMES};
use values::*;

/// Budgets are counted in bytes of operations inside, so that no division is needed.
const UNIT: u64 = size_of::<Op>() as u64;

/// Where a run begins.
pub(crate) struct Entry {
    /// Index of the function.
    pub function: u32,
    /// Top of its frame.
    pub frame: u64,
    /// `r1` to `r5`.
    pub args: [u64; 5],
}

/// What a callback needs of the interpreter that called the helper.
struct State<G, O> {
    executable: *const Executable,
    guard: *mut G,
    observer: *mut O,
}

/// # Safety
/// `state` is the [`State`] of an interpreter that waits for a helper, `run` its run.
unsafe fn call_back<G: Guard, O: Observer>(
    state: *mut c_void,
    run: *mut Run,
    function: u64,
    args: [u64; 5],
) -> Result<u64, Stop> {
    // SAFETY: the caller's promise; the interpreter that waits does not use guard and observer.
    unsafe {
        let state = &*state.cast::<State<G, O>>();
        let executable = &*state.executable;
        let index = executable
            .function(function)
            .ok_or(Stop::NoFunction(function))?;
        if (*run).depth >= calls::MAX_DEPTH {
            return Err(Stop::Stack {
                slot: executable.functions[index as usize].slot,
            });
        }
        let entry = Entry {
            function: index,
            frame: (*run).stack_top,
            args,
        };
        (*run).depth += 1;
        let result = interpret(
            executable,
            entry,
            run,
            &mut *state.guard,
            &mut *state.observer,
        );
        (*run).depth -= 1;
        result
    }
}

/// Runs a function of a lowered program.
///
/// # Safety
/// `run` is live and was made as [`Run::new`] demands; `entry.frame` lies on its stack.
pub(crate) unsafe fn interpret<G: Guard, O: Observer>(
    executable: &Executable,
    entry: Entry,
    run: *mut Run,
    guard: &mut G,
    observer: &mut O,
) -> Result<u64, Stop> {
    let mut state = State {
        executable,
        guard: &raw mut *guard,
        observer: &raw mut *observer,
    };
    // SAFETY: the caller's promise.
    let before = unsafe {
        let engine = Engine {
            call: call_back::<G, O>,
            ready: None,
            state: (&raw mut state).cast(),
        };
        (*run).engine.replace(engine)
    };
    // SAFETY: the caller's promise.
    unsafe {
        let result = execute::<G, O>(&mut state, entry, run);
        (*run).engine = before;
        result
    }
}

/// More fuel when a slice is used up, or why the run ends.
///
/// # Safety
/// `run` is live.
#[cold]
unsafe fn refill(run: *mut Run, fuel: u64, cost: u64, slot: u32) -> Result<u64, Stop> {
    // SAFETY: the caller's promise.
    let run = unsafe { &mut *run };
    run.fuel = (fuel / UNIT) as i64;
    run.refill(cost / UNIT, slot)?;
    Ok(run.fuel as u64 * UNIT)
}

/// The loop.
///
/// # Safety
/// As for [`interpret`]; `state` is the one that the run's engine points to.
#[allow(clippy::int_plus_one)] // one comparison for every size
unsafe fn execute<G: Guard, O: Observer>(
    state: *mut State<G, O>,
    entry: Entry,
    run: *mut Run,
) -> Result<u64, Stop> {
    // SAFETY: for the whole body:
    // - operations: `pc` points into the current executable's operations. Jumps lead to other
    //   operations of it, as the lowering computed; the last operation is a trap, so that `pc`
    //   never runs off the end.
    // - registers: the lowering writes numbers below `FILE`.
    // - memory: `check!` compares with the cage, which is mapped; frame accesses lie between the
    //   frame pointer and the frame's end, which `Local` and the entry compared with the stack.
    // - functions in operations were put there by the lowering from values of the same type.
    unsafe {
        let mut executable: &Executable = &*(*state).executable;
        let (base, size) = ((*run).cage_base, (*run).cage_size);
        let function = executable.functions[entry.function as usize];
        let mut frame = entry.frame;
        if frame.wrapping_sub((*run).stack) < u64::from(function.frame) {
            return Err(Stop::Stack {
                slot: function.slot,
            });
        }
        let mut frame_size = u64::from(function.frame);
        let mut frames = Frames::new();
        let mut may_goto = BPF_MAX_LOOPS;
        let mut registers = [0u64; FILE];
        registers[1..6].copy_from_slice(&entry.args);
        registers[10] = frame;
        let mut fuel = (*run).fuel.max(0) as u64 * UNIT;
        let mut ops: *const Op = executable.ops.as_ptr();
        let mut pc = ops.add(function.start as usize);
        // Where the current straight piece of code began: what is charged at its end.
        let mut block = pc;

        macro_rules! slot {
            () => {
                executable
                    .slots
                    .get((pc.byte_offset_from(ops) as usize / size_of::<Op>()).wrapping_sub(1))
                    .copied()
                    .unwrap_or(0)
            };
        }
        macro_rules! r {
            ($number:expr) => {
                *registers.get_unchecked_mut($number as usize)
            };
        }
        macro_rules! stop {
            ($stop:expr) => {{
                (*run).fuel = (fuel / UNIT) as i64;
                return Err($stop);
            }};
        }
        macro_rules! charge {
            () => {
                let cost = pc.byte_offset_from(block) as u64;
                if fuel < cost {
                    fuel = refill(run, fuel, cost, slot!())?;
                }
                fuel -= cost;
            };
        }
        macro_rules! jump {
            ($op:ident) => {{
                charge!();
                pc = pc.offset($op.off as isize);
                block = pc;
            }};
        }
        macro_rules! branch {
            ($op:ident, $condition:expr) => {
                if $condition {
                    jump!($op);
                }
            };
        }
        // Binary operations: `a` is the destination, `b` the other operand.
        macro_rules! alu {
            ($op:ident, $b:expr, $function:expr) => {{
                let b = $b;
                r!($op.dst) = $function(r!($op.dst), b);
            }};
        }
        macro_rules! alu32 {
            ($op:ident, $b:expr, $function:expr) => {{
                let b = $b as u32;
                r!($op.dst) = u64::from($function(r!($op.dst) as u32, b));
            }};
        }
        macro_rules! fault {
            ($address:expr, $size:expr, $write:expr) => {
                stop!(Stop::Fault {
                    slot: slot!(),
                    address: $address,
                    size: $size,
                    write: $write
                })
            };
        }
        macro_rules! allowed {
            ($address:ident, $size:expr, $write:expr) => {{
                let inside = $address.wrapping_sub(base) <= size - $size;
                inside
                    && (!G::ACTIVE || {
                        let attempt = Attempt {
                            slot: slot!(),
                            address: $address,
                            size: $size as u32,
                            write: $write,
                        };
                        (*(*state).guard).allows(&*run, frame - frame_size, &attempt)
                    })
            }};
        }
        macro_rules! check {
            ($address:ident, $size:expr, $write:expr) => {
                if !allowed!($address, $size, $write) {
                    fault!($address, $size as u32, $write);
                }
            };
        }
        macro_rules! load {
            ($op:ident, $ty:ty, $extend:ty) => {{
                let address = r!($op.src).wrapping_add($op.off as i64 as u64);
                check!(address, size_of::<$ty>() as u64, false);
                r!($op.dst) = (address as *const $ty).read_unaligned() as $extend as u64;
            }};
        }
        macro_rules! probe {
            ($op:ident, $ty:ty, $extend:ty) => {{
                let address = r!($op.src).wrapping_add($op.off as i64 as u64);
                r!($op.dst) = if allowed!(address, size_of::<$ty>() as u64, false) {
                    (address as *const $ty).read_unaligned() as $extend as u64
                } else {
                    0
                };
            }};
        }
        macro_rules! frame_load {
            ($op:ident, $ty:ty, $extend:ty) => {{
                let address = frame.wrapping_add($op.off as i64 as u64);
                r!($op.dst) = (address as *const $ty).read_unaligned() as $extend as u64;
            }};
        }
        macro_rules! store {
            ($op:ident, $ty:ty, $value:expr) => {{
                let address = r!($op.dst).wrapping_add($op.off as i64 as u64);
                check!(address, size_of::<$ty>() as u64, true);
                (address as *mut $ty).write_unaligned($value as $ty);
            }};
        }
        macro_rules! frame_store {
            ($op:ident, $ty:ty, $value:expr) => {{
                let address = frame.wrapping_add($op.off as i64 as u64);
                (address as *mut $ty).write_unaligned($value as $ty);
            }};
        }
        macro_rules! aligned {
            ($address:ident, $size:expr) => {
                if !$address.is_multiple_of($size) {
                    stop!(Stop::Misaligned {
                        slot: slot!(),
                        address: $address,
                        size: $size as u32
                    });
                }
            };
        }
        macro_rules! acquire {
            ($op:ident, $atomic:ty, $size:expr) => {{
                let address = r!($op.src).wrapping_add($op.off as i64 as u64);
                check!(address, $size, false);
                aligned!(address, $size);
                let cell = <$atomic>::from_ptr(address as *mut _);
                r!($op.dst) = u64::from(cell.load(core::sync::atomic::Ordering::Acquire));
            }};
        }
        macro_rules! release {
            ($op:ident, $atomic:ty, $size:expr) => {{
                let address = r!($op.dst).wrapping_add($op.off as i64 as u64);
                check!(address, $size, true);
                aligned!(address, $size);
                let cell = <$atomic>::from_ptr(address as *mut _);
                cell.store(r!($op.src) as _, core::sync::atomic::Ordering::Release);
            }};
        }
        // Calls a function of the kernel: it may look at the budget, call back, or stop the run.
        macro_rules! outside {
            ($call:expr) => {{
                charge!();
                block = pc;
                (*run).fuel = (fuel / UNIT) as i64;
                (*run).stack_top = frame - frame_size;
                let result = $call;
                if let Some(stop) = (*run).ended() {
                    return Err(stop);
                }
                fuel = (*run).fuel.max(0) as u64 * UNIT;
                result
            }};
        }

        // What a call leaves behind is nobody's business: the same on all engines.
        macro_rules! given_away {
            () => {
                registers[1..6].fill(0);
            };
        }

        // Returns from the current function.
        macro_rules! leave {
            () => {{
                charge!();
                let Some(caller) = frames.pop() else {
                    (*run).fuel = (fuel / UNIT) as i64;
                    return Ok(registers[0]);
                };
                registers[6..10].copy_from_slice(&caller.saved);
                frame = caller.frame;
                frame_size = caller.frame_size;
                registers[10] = frame;
                may_goto = caller.may_goto;
                pc = caller.pc;
                block = pc;
                if !core::ptr::eq(executable, caller.executable) {
                    executable = &*caller.executable;
                    (*state).executable = executable;
                    ops = executable.ops.as_ptr();
                }
            }};
        }

        loop {
            let op = &*pc;
            pc = pc.add(1);
            if O::ACTIVE {
                let step = Step {
                    program: executable.name(),
                    slot: slot!(),
                    registers: &*registers.as_ptr().cast(),
                    frame: frames.count() as u32 + (*run).depth,
                };
                if !(*(*state).observer).step(&step) {
                    stop!(Stop::Observer { slot: slot!() });
                }
            }
            match op.code {
                Code::Add64K => alu!(op, op.imm, u64::wrapping_add),
                Code::Add64X => alu!(op, r!(op.src), u64::wrapping_add),
                Code::Add32K => alu32!(op, op.imm, u32::wrapping_add),
                Code::Add32X => alu32!(op, r!(op.src), u32::wrapping_add),
                Code::Sub64K => alu!(op, op.imm, u64::wrapping_sub),
                Code::Sub64X => alu!(op, r!(op.src), u64::wrapping_sub),
                Code::Sub32K => alu32!(op, op.imm, u32::wrapping_sub),
                Code::Sub32X => alu32!(op, r!(op.src), u32::wrapping_sub),
                Code::Mul64K => alu!(op, op.imm, u64::wrapping_mul),
                Code::Mul64X => alu!(op, r!(op.src), u64::wrapping_mul),
                Code::Mul32K => alu32!(op, op.imm, u32::wrapping_mul),
                Code::Mul32X => alu32!(op, r!(op.src), u32::wrapping_mul),
                Code::Div64K => alu!(op, op.imm, div64),
                Code::Div64X => alu!(op, r!(op.src), div64),
                Code::Div32K => alu32!(op, op.imm, div32),
                Code::Div32X => alu32!(op, r!(op.src), div32),
                Code::SDiv64K => alu!(op, op.imm, sdiv64),
                Code::SDiv64X => alu!(op, r!(op.src), sdiv64),
                Code::SDiv32K => alu32!(op, op.imm, sdiv32),
                Code::SDiv32X => alu32!(op, r!(op.src), sdiv32),
                Code::Mod64K => alu!(op, op.imm, mod64),
                Code::Mod64X => alu!(op, r!(op.src), mod64),
                Code::Mod32K => alu32!(op, op.imm, mod32),
                Code::Mod32X => alu32!(op, r!(op.src), mod32),
                Code::SMod64K => alu!(op, op.imm, smod64),
                Code::SMod64X => alu!(op, r!(op.src), smod64),
                Code::SMod32K => alu32!(op, op.imm, smod32),
                Code::SMod32X => alu32!(op, r!(op.src), smod32),
                Code::Or64K => r!(op.dst) |= op.imm,
                Code::Or64X => r!(op.dst) |= r!(op.src),
                Code::Or32K => alu32!(op, op.imm, |a, b| a | b),
                Code::Or32X => alu32!(op, r!(op.src), |a, b| a | b),
                Code::And64K => r!(op.dst) &= op.imm,
                Code::And64X => r!(op.dst) &= r!(op.src),
                Code::And32K => alu32!(op, op.imm, |a, b| a & b),
                Code::And32X => alu32!(op, r!(op.src), |a, b| a & b),
                Code::Xor64K => r!(op.dst) ^= op.imm,
                Code::Xor64X => alu!(op, r!(op.src), |a, b| a ^ b),
                Code::Xor32K => alu32!(op, op.imm, |a, b| a ^ b),
                Code::Xor32X => alu32!(op, r!(op.src), |a, b| a ^ b),
                Code::Lsh64K => alu!(op, op.imm as u32, u64::wrapping_shl),
                Code::Lsh64X => alu!(op, r!(op.src) as u32, u64::wrapping_shl),
                Code::Lsh32K => alu32!(op, op.imm, u32::wrapping_shl),
                Code::Lsh32X => alu32!(op, r!(op.src), u32::wrapping_shl),
                Code::Rsh64K => alu!(op, op.imm as u32, u64::wrapping_shr),
                Code::Rsh64X => alu!(op, r!(op.src) as u32, u64::wrapping_shr),
                Code::Rsh32K => alu32!(op, op.imm, u32::wrapping_shr),
                Code::Rsh32X => alu32!(op, r!(op.src), u32::wrapping_shr),
                Code::Arsh64K => alu!(op, op.imm as u32, arsh64),
                Code::Arsh64X => alu!(op, r!(op.src) as u32, arsh64),
                Code::Arsh32K => alu32!(op, op.imm, arsh32),
                Code::Arsh32X => alu32!(op, r!(op.src), arsh32),
                Code::Mov64K => r!(op.dst) = op.imm,
                Code::Mov64X => r!(op.dst) = r!(op.src),
                Code::Mov32K => r!(op.dst) = u64::from(op.imm as u32),
                Code::Mov32X => r!(op.dst) = u64::from(r!(op.src) as u32),
                Code::Neg64 => r!(op.dst) = r!(op.dst).wrapping_neg(),
                Code::Neg32 => r!(op.dst) = u64::from((r!(op.dst) as u32).wrapping_neg()),
                Code::Sx8To64 => r!(op.dst) = r!(op.src) as i8 as u64,
                Code::Sx16To64 => r!(op.dst) = r!(op.src) as i16 as u64,
                Code::Sx32To64 => r!(op.dst) = r!(op.src) as i32 as u64,
                Code::Sx8To32 => r!(op.dst) = u64::from(r!(op.src) as i8 as u32),
                Code::Sx16To32 => r!(op.dst) = u64::from(r!(op.src) as i16 as u32),
                Code::Zext16 => r!(op.dst) = u64::from(r!(op.dst) as u16),
                Code::Zext32 => r!(op.dst) = u64::from(r!(op.dst) as u32),
                Code::Swap16 => r!(op.dst) = u64::from((r!(op.dst) as u16).swap_bytes()),
                Code::Swap32 => r!(op.dst) = u64::from((r!(op.dst) as u32).swap_bytes()),
                Code::Swap64 => r!(op.dst) = r!(op.dst).swap_bytes(),
                Code::JEq64K => branch!(op, r!(op.dst) == op.imm),
                Code::JEq64X => branch!(op, r!(op.dst) == r!(op.src)),
                Code::JEq32K => branch!(op, r!(op.dst) as u32 == op.imm as u32),
                Code::JEq32X => branch!(op, r!(op.dst) as u32 == r!(op.src) as u32),
                Code::JNe64K => branch!(op, r!(op.dst) != op.imm),
                Code::JNe64X => branch!(op, r!(op.dst) != r!(op.src)),
                Code::JNe32K => branch!(op, r!(op.dst) as u32 != op.imm as u32),
                Code::JNe32X => branch!(op, r!(op.dst) as u32 != r!(op.src) as u32),
                Code::JSet64K => branch!(op, r!(op.dst) & op.imm != 0),
                Code::JSet64X => branch!(op, r!(op.dst) & r!(op.src) != 0),
                Code::JSet32K => branch!(op, (r!(op.dst) & op.imm) as u32 != 0),
                Code::JSet32X => branch!(op, (r!(op.dst) & r!(op.src)) as u32 != 0),
                Code::JGt64K => branch!(op, r!(op.dst) > op.imm),
                Code::JGt64X => branch!(op, r!(op.dst) > r!(op.src)),
                Code::JGt32K => branch!(op, r!(op.dst) as u32 > op.imm as u32),
                Code::JGt32X => branch!(op, r!(op.dst) as u32 > r!(op.src) as u32),
                Code::JGe64K => branch!(op, r!(op.dst) >= op.imm),
                Code::JGe64X => branch!(op, r!(op.dst) >= r!(op.src)),
                Code::JGe32K => branch!(op, r!(op.dst) as u32 >= op.imm as u32),
                Code::JGe32X => branch!(op, r!(op.dst) as u32 >= r!(op.src) as u32),
                Code::JLt64K => branch!(op, r!(op.dst) < op.imm),
                Code::JLt64X => branch!(op, r!(op.dst) < r!(op.src)),
                Code::JLt32K => branch!(op, (r!(op.dst) as u32) < op.imm as u32),
                Code::JLt32X => branch!(op, (r!(op.dst) as u32) < r!(op.src) as u32),
                Code::JLe64K => branch!(op, r!(op.dst) <= op.imm),
                Code::JLe64X => branch!(op, r!(op.dst) <= r!(op.src)),
                Code::JLe32K => branch!(op, r!(op.dst) as u32 <= op.imm as u32),
                Code::JLe32X => branch!(op, r!(op.dst) as u32 <= r!(op.src) as u32),
                Code::JSGt64K => branch!(op, r!(op.dst) as i64 > op.imm as i64),
                Code::JSGt64X => branch!(op, r!(op.dst) as i64 > r!(op.src) as i64),
                Code::JSGt32K => branch!(op, r!(op.dst) as i32 > op.imm as i32),
                Code::JSGt32X => branch!(op, r!(op.dst) as i32 > r!(op.src) as i32),
                Code::JSGe64K => branch!(op, r!(op.dst) as i64 >= op.imm as i64),
                Code::JSGe64X => branch!(op, r!(op.dst) as i64 >= r!(op.src) as i64),
                Code::JSGe32K => branch!(op, r!(op.dst) as i32 >= op.imm as i32),
                Code::JSGe32X => branch!(op, r!(op.dst) as i32 >= r!(op.src) as i32),
                Code::JSLt64K => branch!(op, (r!(op.dst) as i64) < op.imm as i64),
                Code::JSLt64X => branch!(op, (r!(op.dst) as i64) < r!(op.src) as i64),
                Code::JSLt32K => branch!(op, (r!(op.dst) as i32) < op.imm as i32),
                Code::JSLt32X => branch!(op, (r!(op.dst) as i32) < r!(op.src) as i32),
                Code::JSLe64K => branch!(op, r!(op.dst) as i64 <= op.imm as i64),
                Code::JSLe64X => branch!(op, r!(op.dst) as i64 <= r!(op.src) as i64),
                Code::JSLe32K => branch!(op, r!(op.dst) as i32 <= op.imm as i32),
                Code::JSLe32X => branch!(op, r!(op.dst) as i32 <= r!(op.src) as i32),
                Code::Jump => jump!(op),
                Code::MayGoto => {
                    if may_goto == 0 {
                        jump!(op);
                    } else {
                        may_goto -= 1;
                    }
                }
                Code::Ld8 => load!(op, u8, u64),
                Code::Ld16 => load!(op, u16, u64),
                Code::Ld32 => load!(op, u32, u64),
                Code::Ld64 => load!(op, u64, u64),
                Code::LdS8 => load!(op, i8, i64),
                Code::LdS16 => load!(op, i16, i64),
                Code::LdS32 => load!(op, i32, i64),
                Code::Probe8 => probe!(op, u8, u64),
                Code::Probe16 => probe!(op, u16, u64),
                Code::Probe32 => probe!(op, u32, u64),
                Code::Probe64 => probe!(op, u64, u64),
                Code::ProbeS8 => probe!(op, i8, i64),
                Code::ProbeS16 => probe!(op, i16, i64),
                Code::ProbeS32 => probe!(op, i32, i64),
                Code::LdFrame8 => frame_load!(op, u8, u64),
                Code::LdFrame16 => frame_load!(op, u16, u64),
                Code::LdFrame32 => frame_load!(op, u32, u64),
                Code::LdFrame64 => frame_load!(op, u64, u64),
                Code::LdFrameS8 => frame_load!(op, i8, i64),
                Code::LdFrameS16 => frame_load!(op, i16, i64),
                Code::LdFrameS32 => frame_load!(op, i32, i64),
                Code::St8K => store!(op, u8, op.imm),
                Code::St16K => store!(op, u16, op.imm),
                Code::St32K => store!(op, u32, op.imm),
                Code::St64K => store!(op, u64, op.imm),
                Code::St8X => store!(op, u8, r!(op.src)),
                Code::St16X => store!(op, u16, r!(op.src)),
                Code::St32X => store!(op, u32, r!(op.src)),
                Code::St64X => store!(op, u64, r!(op.src)),
                Code::StFrame8K => frame_store!(op, u8, op.imm),
                Code::StFrame16K => frame_store!(op, u16, op.imm),
                Code::StFrame32K => frame_store!(op, u32, op.imm),
                Code::StFrame64K => frame_store!(op, u64, op.imm),
                Code::StFrame8X => frame_store!(op, u8, r!(op.src)),
                Code::StFrame16X => frame_store!(op, u16, r!(op.src)),
                Code::StFrame32X => frame_store!(op, u32, r!(op.src)),
                Code::StFrame64X => frame_store!(op, u64, r!(op.src)),
                Code::Atomic32 => {
                    let address = r!(op.dst).wrapping_add(op.off as i64 as u64);
                    check!(address, 4, true);
                    aligned!(address, 4);
                    atomics::on32(address, op, &mut registers);
                }
                Code::Atomic64 => {
                    let address = r!(op.dst).wrapping_add(op.off as i64 as u64);
                    check!(address, 8, true);
                    aligned!(address, 8);
                    atomics::on64(address, op, &mut registers);
                }
                Code::LdAcq8 => acquire!(op, core::sync::atomic::AtomicU8, 1),
                Code::LdAcq16 => acquire!(op, core::sync::atomic::AtomicU16, 2),
                Code::LdAcq32 => acquire!(op, core::sync::atomic::AtomicU32, 4),
                Code::LdAcq64 => acquire!(op, core::sync::atomic::AtomicU64, 8),
                Code::StRel8 => release!(op, core::sync::atomic::AtomicU8, 1),
                Code::StRel16 => release!(op, core::sync::atomic::AtomicU16, 2),
                Code::StRel32 => release!(op, core::sync::atomic::AtomicU32, 4),
                Code::StRel64 => release!(op, core::sync::atomic::AtomicU64, 8),
                Code::Computed => {
                    let function = calls::helper(op.imm);
                    let at = r!(op.src).wrapping_add(op.off as i64 as u64);
                    r!(op.dst) = outside!(function(at, 0, 0, 0, 0, run));
                }
                Code::ComputedStore => {
                    let function = calls::helper(op.imm);
                    let at = r!(op.dst).wrapping_add(op.off as i64 as u64);
                    outside!(function(at, r!(op.src), 0, 0, 0, run));
                }
                Code::ArenaPlace => {
                    let function = calls::helper(op.imm);
                    let off = op.off as i64 as u64;
                    r!(op.dst) = outside!(function(r!(op.src), r!(op.dst), off, 0, 0, run));
                }
                Code::PacketLoad => {
                    let function = calls::helper(op.imm);
                    let index = if op.src == NO_REGISTER {
                        0
                    } else {
                        r!(op.src) as u32
                    };
                    let at = (op.off as u32).wrapping_add(index) as i32 as i64 as u64;
                    let value = outside!(function(registers[6], at, 0, 0, 0, run));
                    given_away!();
                    if (value as i64) < 0 {
                        // Outside the packet: the function returns 0.
                        registers[0] = 0;
                        leave!();
                    } else {
                        registers[0] = value;
                    }
                }
                Code::CastKernel => r!(op.dst) = u64::from(r!(op.src) as u32),
                Code::CastUser => {
                    let low = u64::from(r!(op.src) as u32);
                    r!(op.dst) = if low == 0 { 0 } else { op.imm | low };
                }
                Code::Helper => {
                    let function = calls::helper(op.imm);
                    registers[0] = outside!(function(
                        registers[1],
                        registers[2],
                        registers[3],
                        registers[4],
                        registers[5],
                        run
                    ));
                    given_away!();
                }
                Code::OfRun => r!(op.dst) = (*run).word(op.of_run()),
                Code::ArrayLookup => {
                    let array = executable.arrays.get_unchecked(op.imm as usize);
                    let address = registers[2];
                    check!(address, 4, false);
                    let index = (address as *const u32).read_unaligned();
                    registers[0] = if index < array.count {
                        let plane = u64::from((*run).cpu) * u64::from(array.plane);
                        array.first + plane + u64::from(index) * u64::from(array.stride)
                    } else {
                        0
                    };
                }
                Code::Local => {
                    let (own, callee) = (op.imm as u32, op.imm >> 32);
                    let room = frame.wrapping_sub((*run).stack);
                    if frames.count() == MAX_FRAMES || room < u64::from(own) + callee {
                        stop!(Stop::Stack { slot: slot!() });
                    }
                    charge!();
                    frames.push(Frame {
                        executable,
                        pc,
                        frame,
                        frame_size,
                        saved: [registers[6], registers[7], registers[8], registers[9]],
                        may_goto,
                    });
                    frame -= u64::from(own);
                    frame_size = callee;
                    registers[10] = frame;
                    may_goto = BPF_MAX_LOOPS;
                    pc = pc.offset(op.off as isize);
                    block = pc;
                }
                Code::TailCall => {
                    let find = calls::tail_call(op.imm);
                    if (*run).tail_calls > 0 {
                        let target = outside!(find(registers[1], registers[2], registers[3], run));
                        if let Some(target) = target.as_ref() {
                            (*run).tail_calls -= 1;
                            let main = target.functions[0];
                            if frame.wrapping_sub((*run).stack) < u64::from(main.frame) {
                                stop!(Stop::Stack { slot: slot!() });
                            }
                            executable = target;
                            (*state).executable = target;
                            frame_size = u64::from(main.frame);
                            may_goto = BPF_MAX_LOOPS;
                            ops = target.ops.as_ptr();
                            pc = ops.add(main.start as usize);
                            block = pc;
                            registers[2..6].fill(0);
                            registers[0] = 0;
                            continue;
                        }
                    }
                    registers[0] = 0;
                    given_away!();
                }
                Code::Exit => leave!(),
                Code::Trap => stop!(Stop::Unreachable { slot: slot!() }),
            }
        }
    }
}
