//! XDP frames: their bounds and bytes.

use panal_uapi::Errno;

use super::call::{Call, implement};

implement! {
    BPF_FUNC_xdp_adjust_head => xdp_adjust_head;
    BPF_FUNC_xdp_adjust_meta => xdp_adjust_meta;
    BPF_FUNC_xdp_adjust_tail => xdp_adjust_tail;
    BPF_FUNC_xdp_get_buff_len => xdp_get_buff_len;
    BPF_FUNC_xdp_load_bytes => xdp_load_bytes;
    BPF_FUNC_xdp_store_bytes => xdp_store_bytes;
}

fn xdp_adjust_head(call: &mut Call<'_>) -> Result<(), Errno> {
    let delta = call.arg32(1) as i32;
    call.packet()?.adjust_head(delta)
}

fn xdp_adjust_meta(call: &mut Call<'_>) -> Result<(), Errno> {
    let delta = call.arg32(1) as i32;
    call.packet()?.adjust_meta(delta)
}

fn xdp_adjust_tail(call: &mut Call<'_>) -> Result<(), Errno> {
    let delta = call.arg32(1) as i32;
    call.packet()?.adjust_tail(delta)
}

fn xdp_get_buff_len(call: &mut Call<'_>) -> Result<u64, Errno> {
    Ok(call.packet()?.len() as u64)
}

/// Most bytes that a program copies at once.
const MOST: u32 = 0xffff;

/// Offset and length, which Linux bounds to 16 bits; `EINVAL` beyond the frame.
fn bounds(call: &mut Call<'_>) -> Result<(usize, usize), Errno> {
    let (offset, len) = (call.arg32(1), call.arg32(3));
    if offset > MOST || len > MOST {
        return Err(Errno::EFAULT);
    }
    let (offset, len) = (offset as usize, len as usize);
    if offset + len > call.packet()?.len() {
        Err(Errno::EINVAL)
    } else {
        Ok((offset, len))
    }
}

fn xdp_load_bytes(call: &mut Call<'_>) -> Result<(), Errno> {
    let (offset, len) = bounds(call)?;
    let to = call.arg(2);
    if let Some(from) = call.packet()?.place(offset as u32, len)
        && call.copy_settled(from, to, len)
    {
        return Ok(());
    }
    load_by_copy(*call, offset, len)
}

#[cold]
fn load_by_copy(mut call: Call<'_>, offset: usize, len: usize) -> Result<(), Errno> {
    let mut bytes = vec![0; len];
    call.packet()?.read(offset, &mut bytes)?;
    call.write(call.arg(2), &bytes)
}

fn xdp_store_bytes(call: &mut Call<'_>) -> Result<(), Errno> {
    let (offset, len) = bounds(call)?;
    let from = call.arg(2);
    if let Some(to) = call.packet()?.place(offset as u32, len)
        && call.copy_inside(from, to, len)
    {
        return Ok(());
    }
    store_by_copy(*call, offset, len)
}

#[cold]
fn store_by_copy(mut call: Call<'_>, offset: usize, len: usize) -> Result<(), Errno> {
    let bytes = call.read_vec(call.arg(2), len)?;
    call.packet()?.write(offset, &bytes)
}
