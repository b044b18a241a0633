//! Timers in map values: made, armed, cancelled by programs; called by the kernel's own thread.

use std::sync::Arc;

use panal_uapi::Errno;
use rustix::time::{ClockId, clock_gettime};

use super::{
    call::{Call, implement},
    time::monotonic,
};
use crate::maps::{HEADER_ID, Map};

implement! {
    BPF_FUNC_timer_init => timer_init;
    BPF_FUNC_timer_set_callback => timer_set_callback;
    BPF_FUNC_timer_start => timer_start;
    BPF_FUNC_timer_cancel => timer_cancel;
}

const CLOCK_REALTIME: u64 = 0;
const CLOCK_MONOTONIC: u64 = 1;
const CLOCK_BOOTTIME: u64 = 7;

const BPF_F_TIMER_ABS: u64 = 1 << 0;
const BPF_F_TIMER_CPU_PIN: u64 = 1 << 1;

/// Where a timer has the kernel's number for it, and its clock.
const NUMBER: u64 = 0;
const CLOCK: u64 = 8;

fn word(call: &Call<'_>, address: u64) -> Result<u64, Errno> {
    call.word(address)
}

fn number(call: &Call<'_>) -> Result<u64, Errno> {
    word(call, call.arg(0).wrapping_add(NUMBER))
}

/// The map that a handle stands for, as the kernel knows it.
pub(crate) fn kernel_map(call: &mut Call<'_>, handle: u64) -> Result<Arc<Map>, Errno> {
    let mut id = [0; 4];
    call.read(handle.wrapping_add(HEADER_ID), &mut id)?;
    let map = call.host().kernel.maps.get(u32::from_ne_bytes(id));
    map.filter(|map| map.handle == handle).ok_or(Errno::EINVAL)
}

fn timer_init(call: &mut Call<'_>) -> Result<(), Errno> {
    let (at, handle, flags) = (call.arg(0), call.arg(1), call.arg(2));
    if !matches!(flags, CLOCK_REALTIME | CLOCK_MONOTONIC | CLOCK_BOOTTIME) {
        return Err(Errno::EINVAL);
    }
    let timers = &call.kernel().timers;
    if timers.is_made(at, number(call)?) {
        return Err(Errno::EBUSY);
    }
    let map = kernel_map(call, handle)?;
    let offset = map.timer().ok_or(Errno::EINVAL)?;
    if !map.is_used() {
        return Err(Errno::EPERM);
    }
    let number = timers.make(at, offset, &map)?;
    call.write(at.wrapping_add(NUMBER), &number.to_ne_bytes())?;
    call.write(at.wrapping_add(CLOCK), &flags.to_ne_bytes())
}

fn timer_set_callback(call: &mut Call<'_>) -> Result<(), Errno> {
    let (at, function, number) = (call.arg(0), call.arg(1), number(call)?);
    let (kernel, running) = (call.kernel(), call.host().running);
    let program = || kernel.programs.get(running);
    let callback = (running, function);
    kernel.timers.set_callback(at, number, callback, program)
}

/// What a clock shows that counts for timers.
fn now(clock: u64) -> u64 {
    let clock = match clock {
        CLOCK_REALTIME => ClockId::Realtime,
        #[cfg(target_os = "linux")]
        CLOCK_BOOTTIME => ClockId::Boottime,
        _ => ClockId::Monotonic,
    };
    let now = clock_gettime(clock);
    (now.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(now.tv_nsec as u64)
}

fn timer_start(call: &mut Call<'_>) -> Result<(), Errno> {
    let (at, time, flags) = (call.arg(0), call.arg(1), call.arg(2));
    if flags & !(BPF_F_TIMER_ABS | BPF_F_TIMER_CPU_PIN) != 0 {
        return Err(Errno::EINVAL);
    }
    let number = number(call)?;
    let wait = match flags & BPF_F_TIMER_ABS {
        0 => time,
        // Where programs' clocks show another time than the real one, all of them do.
        _ => match call.host().clock {
            Some(now) => time.saturating_sub(now),
            None => time.saturating_sub(now(word(call, at.wrapping_add(CLOCK))?)),
        },
    };
    let due = monotonic().saturating_add(wait);
    call.host().kernel.timers.start(at, number, due)
}

fn timer_cancel(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (at, number) = (call.arg(0), number(call)?);
    let was_armed = call
        .kernel()
        .timers
        .cancel(at, number, || call.interrupted())?;
    Ok(was_armed.into())
}
