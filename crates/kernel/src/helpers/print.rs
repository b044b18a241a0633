//! Printing: to the trace pipe, and into a buffer.

use panal_uapi::Errno;

use super::{
    call::{Call, implement},
    format::{self, MOST_ARGUMENTS, Memory, Space},
};
use crate::trace_log::TraceLine;

implement! {
    BPF_FUNC_trace_printk => trace_printk;
    BPF_FUNC_trace_vprintk => trace_vprintk;
    BPF_FUNC_snprintf => snprintf;
}

/// Longest line of the trace pipe.
const LINE_MOST: usize = 1024;

/// Longest format that is looked at.
const FORMAT_MOST: usize = 4096;

struct CallMemory<'a, 'c>(&'a mut Call<'c>);

impl Memory for CallMemory<'_, '_> {
    fn string(&mut self, space: Space, address: u64, out: &mut [u8]) -> Result<usize, Errno> {
        match space {
            Space::Kernel => super::probe::kernel_string(self.0, address, out),
            Space::User => self.0.host().task.read_string(address, out),
        }
    }

    fn bytes(&mut self, address: u64, out: &mut [u8]) -> Result<(), Errno> {
        self.0.read(address, out)
    }
}

/// A format that ends with a zero within its size.
fn bounded_format(call: &Call<'_>, at: u64, size: usize) -> Result<Vec<u8>, Errno> {
    let mut text = call.read_vec(at, size.min(FORMAT_MOST))?;
    let end = text.iter().position(|&b| b == 0).ok_or(Errno::EINVAL)?;
    text.truncate(end);
    Ok(text)
}

/// Bytes of most formats, at most.
const FORMAT_USUAL: usize = 256;

/// Uses a format that ends with a zero somewhere in its map.
fn with_constant_format<T>(
    call: &mut Call<'_>,
    at: u64,
    act: impl FnOnce(&mut Call<'_>, &[u8]) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut text = [0; FORMAT_USUAL];
    let len = super::probe::kernel_string(call, at, &mut text)?;
    if len < text.len() {
        return act(call, &text[..len.saturating_sub(1)]);
    }
    let text = long_format(call, at)?;
    act(call, &text)
}

fn long_format(call: &Call<'_>, at: u64) -> Result<Vec<u8>, Errno> {
    let mut text = vec![0; FORMAT_MOST];
    let len = super::probe::kernel_string(call, at, &mut text)?;
    text.truncate(len.saturating_sub(1));
    Ok(text)
}

/// Uses a format's arguments.
fn arguments(
    call: &Call<'_>,
    at: u64,
    size: usize,
    room: &mut [u64; MOST_ARGUMENTS],
) -> Result<usize, Errno> {
    if !size.is_multiple_of(8) || size > MOST_ARGUMENTS * 8 || (size > 0 && at == 0) {
        return Err(Errno::EINVAL);
    }
    let count = size / 8;
    for (i, argument) in room[..count].iter_mut().enumerate() {
        *argument = call.word(at.wrapping_add(8 * i as u64))?;
    }
    Ok(count)
}

fn print(call: &mut Call<'_>, text: &[u8], args: &[u64]) -> Result<u64, Errno> {
    let mut line = format::format(text, args, &mut CallMemory(call))?;
    line.truncate(LINE_MOST - 1);
    let len = line.len() as u64;
    let cpu = call.cpu();
    let host = call.host();
    let comm = host.task.comm();
    let comm_len = comm.iter().position(|&b| b == 0).unwrap_or(comm.len());
    let text = String::from_utf8_lossy(&line);
    host.kernel.trace_log.push(TraceLine {
        comm: String::from_utf8_lossy(&comm[..comm_len]).into_owned(),
        tid: host.task.tid(),
        cpu,
        time_ns: super::time::monotonic(),
        text: text.strip_suffix('\n').unwrap_or(&text).to_owned(),
    });
    Ok(len)
}

fn trace_printk(call: &mut Call<'_>) -> Result<u64, Errno> {
    let text = bounded_format(call, call.arg(0), call.arg32(1) as usize)?;
    let args = [call.arg(2), call.arg(3), call.arg(4)];
    print(call, &text, &args)
}

fn trace_vprintk(call: &mut Call<'_>) -> Result<u64, Errno> {
    let text = bounded_format(call, call.arg(0), call.arg32(1) as usize)?;
    let mut args = [0; MOST_ARGUMENTS];
    let count = arguments(call, call.arg(2), call.arg32(3) as usize, &mut args)?;
    print(call, &text, &args[..count])
}

/// Returns the full length with its zero, however much of it the buffer holds.
fn snprintf(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (to, size) = (call.arg(0), call.arg32(1) as usize);
    let mut args = [0; MOST_ARGUMENTS];
    let count = arguments(call, call.arg(3), call.arg32(4) as usize, &mut args)?;
    let mut full = with_constant_format(call, call.arg(2), |call, text| {
        format::format(text, &args[..count], &mut CallMemory(call))
    })?;
    if let Some(room) = size.checked_sub(1) {
        let len = full.len() as u64 + 1;
        full.truncate(room);
        full.push(0);
        call.write(to, &full)?;
        return Ok(len);
    }
    Ok(full.len() as u64 + 1)
}
