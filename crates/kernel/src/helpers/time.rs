//! Clocks.

use panal_uapi::Errno;
use rustix::time::{ClockId, clock_gettime};

use super::call::{Call, implement};

implement! {
    BPF_FUNC_ktime_get_ns => ktime_get_ns;
    BPF_FUNC_ktime_get_boot_ns => ktime_get_boot_ns;
    BPF_FUNC_ktime_get_coarse_ns => ktime_get_coarse_ns;
    BPF_FUNC_ktime_get_tai_ns => ktime_get_tai_ns;
    BPF_FUNC_jiffies64 => jiffies64;
}

/// Ticks a second (`CONFIG_HZ`).
pub(crate) const HZ: u64 = 250;

/// Where Linux starts counting ticks: five minutes before 32 bits overflow.
const INITIAL_JIFFIES: u64 = (300 * HZ as u32).wrapping_neg() as u64;

fn nanoseconds(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    (now.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(now.tv_nsec as u64)
}

/// Nanoseconds between two ticks.
pub(crate) const TICK: u64 = 1_000_000_000 / HZ;

/// Jiffies at a time of the monotonic clock.
pub(crate) fn jiffies(now: u64) -> u64 {
    INITIAL_JIFFIES + now / TICK
}

/// Nanoseconds of the monotonic clock.
pub(crate) fn monotonic() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

#[inline(always)]
fn ktime_get_ns(call: &mut Call<'_>) -> u64 {
    call.host().clock.unwrap_or_else(monotonic)
}

#[cfg(target_os = "linux")]
fn ktime_get_boot_ns(call: &mut Call<'_>) -> u64 {
    call.host()
        .clock
        .unwrap_or_else(|| nanoseconds(ClockId::Boottime))
}

#[cfg(not(target_os = "linux"))]
fn ktime_get_boot_ns(call: &mut Call<'_>) -> u64 {
    call.host().clock.unwrap_or_else(monotonic)
}

#[cfg(target_os = "linux")]
fn ktime_get_coarse_ns(call: &mut Call<'_>) -> u64 {
    call.host()
        .clock
        .unwrap_or_else(|| nanoseconds(ClockId::MonotonicCoarse))
}

#[cfg(not(target_os = "linux"))]
fn ktime_get_coarse_ns(call: &mut Call<'_>) -> u64 {
    call.host().clock.unwrap_or_else(monotonic)
}

#[cfg(target_os = "linux")]
fn ktime_get_tai_ns(call: &mut Call<'_>) -> Result<u64, Errno> {
    if let Some(now) = call.host().clock {
        return Ok(now);
    }
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a timespec of this function's own.
    if unsafe { libc::clock_gettime(libc::CLOCK_TAI, &raw mut now) } != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    Ok((now.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(now.tv_nsec as u64))
}

#[cfg(not(target_os = "linux"))]
fn ktime_get_tai_ns(call: &mut Call<'_>) -> Result<u64, Errno> {
    call.host().clock.ok_or(Errno::EOPNOTSUPP)
}

/// Ticks are what the coarse clock shows.
fn jiffies64(call: &mut Call<'_>) -> u64 {
    jiffies(ktime_get_coarse_ns(call))
}
