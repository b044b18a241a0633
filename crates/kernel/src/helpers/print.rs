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
    fn string(
        &mut self,
        space: Space,
        address: u64,
        most: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        match space {
            Space::Kernel => append_string(self.0, address, most, out),
            Space::User => {
                let from = out.len();
                out.resize(from + most + 1, 0);
                let read = self.0.host().task.read_string(address, &mut out[from..]);
                out.truncate(from + read.map_or(0, |len| len.saturating_sub(1)));
                read.map(drop)
            }
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

/// Appends a string of the kernel's memory, of at most so many bytes, without its zero.
fn append_string(call: &Call<'_>, at: u64, most: usize, out: &mut Vec<u8>) -> Result<(), Errno> {
    /// Bytes that are read at once: most strings are short.
    const PART: usize = 32;
    let mut part = [0; PART];
    for done in (0..most).step_by(PART) {
        let at = at.wrapping_add(done as u64);
        let len = PART.min(most - done).min(call.room_from(at) as usize);
        if len == 0 {
            return Err(Errno::EFAULT);
        }
        call.read(at, &mut part[..len])?;
        if let Some(zero) = part[..len].iter().position(|&b| b == 0) {
            out.extend_from_slice(&part[..zero]);
            return Ok(());
        }
        out.extend_from_slice(&part[..len]);
    }
    Ok(())
}

/// A session's room for texts that are made.
#[derive(Default)]
pub(crate) struct Texts {
    format: Vec<u8>,
    text: Vec<u8>,
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
    let mut line = Vec::new();
    format::format(text, args, &mut CallMemory(call), &mut line)?;
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
    // Nobody else is in the kernel meanwhile that would want them.
    let mut texts = std::mem::take(call.host().texts);
    let done = snprintf_by(call, &mut texts);
    *call.host().texts = texts;
    done
}

fn snprintf_by(call: &mut Call<'_>, texts: &mut Texts) -> Result<u64, Errno> {
    let (to, size) = (call.arg(0), call.arg32(1) as usize);
    let mut args = [0; MOST_ARGUMENTS];
    let count = arguments(call, call.arg(3), call.arg32(4) as usize, &mut args)?;
    let Texts { format, text } = texts;
    format.clear();
    text.clear();
    append_string(call, call.arg(2), FORMAT_MOST - 1, format)?;
    format::format(format, &args[..count], &mut CallMemory(call), text)?;
    let len = text.len() as u64 + 1;
    if let Some(room) = size.checked_sub(1) {
        text.truncate(room);
        text.push(0);
        call.write(to, text)?;
    }
    Ok(len)
}
