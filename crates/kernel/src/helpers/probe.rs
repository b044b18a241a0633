//! Reads of memory that may not be there: another task's, or the kernel's.
//!
//! Kernel memory is the cage: what programs and hooks put there. User memory is the current task's,
//! read by the event's source. A read that fails gives `EFAULT` and zeros, never a signal.

use panal_maps::bytes;
use panal_uapi::Errno;

use super::call::{COPY_MOST, Call, PIECE, implement};
use crate::task::read_string_by_pages;

implement! {
    BPF_FUNC_probe_read => probe_read;
    BPF_FUNC_probe_read_str => probe_read_str;
    BPF_FUNC_probe_read_user => probe_read_user;
    BPF_FUNC_probe_read_user_str => probe_read_user_str;
    BPF_FUNC_probe_read_kernel => probe_read_kernel;
    BPF_FUNC_probe_read_kernel_str => probe_read_kernel_str;
    BPF_FUNC_probe_write_user => probe_write_user;
    BPF_FUNC_copy_from_user => copy_from_user;
    BPF_FUNC_copy_from_user_task => copy_from_user_task;
}

/// Bytes that fit on the host's own stack; larger reads use the heap.
const SMALL: usize = 512;

/// Longest string that is looked for.
const STRING_MOST: usize = 1 << 20;

fn with_buffer<T>(len: usize, act: impl FnOnce(&mut [u8]) -> T) -> T {
    if len <= SMALL {
        act(&mut [0; SMALL][..len])
    } else {
        act(&mut vec![0; len])
    }
}

/// What most reads of kernel memory are: both ends in the cage, and not so much that a run could not
/// wait for it. False where nothing was done.
#[inline(always)]
fn copied_inside(call: &Call<'_>) -> bool {
    call.copy_inside(call.arg(2), call.arg(0), call.arg32(1) as usize)
}

/// The same for a string: its length, or that of the destination that it fills.
fn string_inside(call: &Call<'_>) -> Option<u64> {
    let (to, size, from) = (call.arg(0), call.arg32(1) as usize, call.arg(2));
    let most = call.room_from(from).min(size as u64) as usize;
    if most == 0 || size > PIECE {
        return None;
    }
    let (source, target) = (call.inside(from, most).ok()?, call.inside(to, size).ok()?);
    // SAFETY: both ends are inside the cage, all of which is mapped.
    match unsafe { bytes::copy_string(source, target, most) } {
        Some(length) => Some(length as u64),
        None if most == size => {
            call.write(to + size as u64 - 1, &[0]).ok()?;
            Some(size as u64)
        }
        None => None,
    }
}

/// Reads to the destination, which is zero when anything is missing.
fn copy(
    call: &mut Call<'_>,
    read: impl Fn(&mut Call<'_>, u64, &mut [u8]) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let (to, size, from) = (call.arg(0), call.arg32(1) as usize, call.arg(2));
    if !call.is_inside(to, size as u64) {
        return Err(Errno::EFAULT);
    }
    if size > COPY_MOST {
        return Err(Errno::ENOMEM);
    }
    let result = with_buffer(size.min(PIECE), |buffer| {
        for offset in (0..size.max(1)).step_by(PIECE) {
            if offset > 0 && call.interrupted() {
                return Err(Errno::EINTR);
            }
            let piece = &mut buffer[..PIECE.min(size - offset)];
            read(call, from.wrapping_add(offset as u64), piece)?;
            call.write(to + offset as u64, piece)?;
        }
        Ok(())
    });
    if result.is_err() {
        call.zero(to, size)?;
    }
    result
}

fn copy_string(
    call: &mut Call<'_>,
    read: impl Fn(&mut Call<'_>, u64, &mut [u8]) -> Result<usize, Errno>,
) -> Result<u64, Errno> {
    let (to, size, from) = (call.arg(0), call.arg32(1) as usize, call.arg(2));
    if !call.is_inside(to, size as u64) {
        return Err(Errno::EFAULT);
    }
    with_buffer(size.min(STRING_MOST), |buffer| {
        match read(call, from, buffer) {
            Ok(len) => {
                call.write(to, &buffer[..len])?;
                Ok(len as u64)
            }
            Err(errno) => {
                call.zero(to, size)?;
                Err(errno)
            }
        }
    })
}

fn user(call: &mut Call<'_>, from: u64, buffer: &mut [u8]) -> Result<(), Errno> {
    call.host().task.read(from, buffer)
}

fn user_string(call: &mut Call<'_>, from: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    call.host().task.read_string(from, buffer)
}

pub(crate) fn kernel(call: &mut Call<'_>, from: u64, buffer: &mut [u8]) -> Result<(), Errno> {
    let read = call.read(from, buffer);
    read.map_err(|_| not_kernel_memory(from))
}

/// What Linux says of an address that no kernel memory has: user space's, and those that are none,
/// are not even looked at.
fn not_kernel_memory(address: u64) -> Errno {
    const KERNEL_STARTS: u64 = 0xffff_8000_0000_0000;
    match address < KERNEL_STARTS {
        true => Errno::ERANGE,
        false => Errno::EFAULT,
    }
}

/// A string of the kernel's memory, its zero counted.
pub(super) fn kernel_string(call: &Call<'_>, from: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    read_string_by_pages(|address, part| call.read(address, part), from, buffer)
}

/// Kernel memory where it is that, else the task's: the old helpers do not say which they mean.
fn either(call: &mut Call<'_>, from: u64, buffer: &mut [u8]) -> Result<(), Errno> {
    kernel(call, from, buffer).or_else(|_| user(call, from, buffer))
}

fn either_string(call: &mut Call<'_>, from: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    if call.is_inside(from, 1) {
        kernel_string(call, from, buffer)
    } else {
        user_string(call, from, buffer)
    }
}

fn probe_read(call: &mut Call<'_>) -> Result<(), Errno> {
    if copied_inside(call) {
        return Ok(());
    }
    copy(call, either)
}

fn probe_read_user(call: &mut Call<'_>) -> Result<(), Errno> {
    copy(call, user)
}

fn probe_read_kernel(call: &mut Call<'_>) -> Result<(), Errno> {
    if copied_inside(call) {
        return Ok(());
    }
    copy(call, kernel)
}

fn copy_from_user(call: &mut Call<'_>) -> Result<(), Errno> {
    copy(call, user)
}

/// Only the current task's memory is at hand.
fn copy_from_user_task(call: &mut Call<'_>) -> Result<(), Errno> {
    if call.arg(4) != 0 {
        return Err(Errno::EINVAL);
    }
    let task = call.arg(3);
    let is_current = task != 0 && task == call.host().task.object();
    copy(call, |call, from, buffer| {
        if is_current {
            user(call, from, buffer)
        } else {
            Err(Errno::EFAULT)
        }
    })
}

fn probe_read_str(call: &mut Call<'_>) -> Result<u64, Errno> {
    if let Some(length) = string_inside(call) {
        return Ok(length);
    }
    copy_string(call, either_string)
}

fn probe_read_user_str(call: &mut Call<'_>) -> Result<u64, Errno> {
    copy_string(call, user_string)
}

fn probe_read_kernel_str(call: &mut Call<'_>) -> Result<u64, Errno> {
    if let Some(length) = string_inside(call) {
        return Ok(length);
    }
    copy_string(call, |call, from, buffer| {
        let read = kernel_string(call, from, buffer);
        read.map_err(|_| not_kernel_memory(from))
    })
}

fn probe_write_user(call: &mut Call<'_>) -> Result<(), Errno> {
    let (to, from, size) = (call.arg(0), call.arg(1), call.arg32(2) as usize);
    let bytes = call.read_vec(from, size)?;
    call.host().task.write(to, &bytes)
}
