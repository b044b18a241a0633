//! Helpers that every program may use: CPU, randomness, locks.

use std::{cell::Cell, ptr::NonNull};

use panal_maps::lock;
use panal_uapi::Errno;

use super::call::{Call, implement};
use crate::held::Resource;

implement! {
    BPF_FUNC_get_prandom_u32 => get_prandom_u32;
    BPF_FUNC_get_smp_processor_id => get_smp_processor_id;
    BPF_FUNC_get_numa_node_id => get_numa_node_id;
    BPF_FUNC_spin_lock => spin_lock;
    BPF_FUNC_spin_unlock => spin_unlock;
}

/// Each thread has its own sequence (xorshift64*), seeded by its address and the clock.
fn get_prandom_u32(_: &mut Call<'_>) -> u64 {
    thread_local!(static STATE: Cell<u64> = const { Cell::new(0) });
    STATE.with(|state| {
        let mut x = state.get();
        if x == 0 {
            x = super::time::monotonic() ^ (state as *const Cell<u64> as u64).rotate_left(32) | 1;
        }
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        state.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    })
}

fn get_smp_processor_id(call: &mut Call<'_>) -> u64 {
    call.cpu().into()
}

/// All of Panal's CPUs are one node.
fn get_numa_node_id(_: &mut Call<'_>) -> u64 {
    0
}

/// The lock's four bytes.
fn lock_at(call: &Call<'_>) -> Result<NonNull<u8>, Errno> {
    let address = call.arg(0);
    if !call.is_inside(address, 4) || !address.is_multiple_of(4) {
        return Err(Errno::EFAULT);
    }
    NonNull::new(address as *mut u8).ok_or(Errno::EFAULT)
}

fn spin_lock(call: &mut Call<'_>) -> Result<(), Errno> {
    let at = lock_at(call)?;
    // SAFETY: four aligned bytes of the cage, all of which is mapped.
    if !unsafe { lock::lock_unless(at, || call.interrupted()) } {
        return Err(Errno::EINTR);
    }
    call.host().held.take(Resource::Lock(at));
    Ok(())
}

fn spin_unlock(call: &mut Call<'_>) -> Result<(), Errno> {
    let at = lock_at(call)?;
    // What the program does not hold stays as it is: another program may.
    if call.host().held.give(Resource::Lock(at)) {
        // SAFETY: as above.
        unsafe { lock::unlock(at) };
    }
    Ok(())
}
