//! Storage that belongs to an object: a task, an inode, a socket.
//!
//! The kernel's objects are made anew for each event, so what they stand for is the owner: a thread
//! by id and start, an inode by number and device, a socket by its cookie.

use std::mem::offset_of;

use panal_maps::Storage;
use panal_uapi::Errno;
use panal_vm::Run;

use super::call::{Call, IntoReturn, implement};
use crate::types::{
    file::{Inode, SuperBlock},
    task::TaskStruct,
};

implement! {
    BPF_FUNC_task_storage_get => task_storage_get;
    BPF_FUNC_task_storage_delete => task_storage_delete;
    BPF_FUNC_inode_storage_get => inode_storage_get;
    BPF_FUNC_inode_storage_delete => inode_storage_delete;
    BPF_FUNC_sk_storage_get => sk_storage_get;
    BPF_FUNC_sk_storage_delete => sk_storage_delete;
    BPF_FUNC_get_local_storage => get_local_storage;
}

/// `BPF_LOCAL_STORAGE_GET_F_CREATE`
const CREATE: u64 = 1;

/// The one cgroup that there is: the process tree under Panal.
const CGROUP: u64 = 1;

fn u32_at(call: &Call<'_>, address: u64) -> Option<u32> {
    call.half_word(address).ok()
}

fn u64_at(call: &Call<'_>, address: u64) -> Option<u64> {
    call.word(address).ok()
}

/// The thread behind a `task_struct`: its id, and its start, since ids are used again.
fn task_owner(call: &mut Call<'_>, task: u64) -> Option<u64> {
    if task == 0 {
        return None;
    }
    let tid = u32_at(call, task.wrapping_add(offset_of!(TaskStruct, pid) as u64))?;
    let start = u64_at(
        call,
        task.wrapping_add(offset_of!(TaskStruct, start_time) as u64),
    )?;
    Some((start ^ start >> 32) << 32 | u64::from(tid))
}

/// The inode behind an `inode`: its number and its device, which has the upper bits.
fn inode_owner(call: &mut Call<'_>, inode: u64) -> Option<u64> {
    if inode == 0 {
        return None;
    }
    let number = u64_at(call, inode.wrapping_add(offset_of!(Inode, i_ino) as u64))?;
    let sb = u64_at(call, inode.wrapping_add(offset_of!(Inode, i_sb) as u64))?;
    let device = u32_at(call, sb.wrapping_add(offset_of!(SuperBlock, s_dev) as u64)).unwrap_or(0);
    Some(number ^ u64::from(device) << 40)
}

fn get(
    call: &mut Call<'_>,
    owner: impl Fn(&mut Call<'_>, u64) -> Option<u64>,
) -> Result<u64, Errno> {
    let storage = call.map_as(0)?;
    get_in(call, storage, owner)
}

#[inline(always)]
fn get_in(
    call: &mut Call<'_>,
    storage: &Storage,
    owner: impl Fn(&mut Call<'_>, u64) -> Option<u64>,
) -> Result<u64, Errno> {
    let (object, initial, flags) = (call.arg(1), call.arg(2), call.arg(3));
    let Some(owner) = owner(call, object).filter(|_| flags & !CREATE == 0) else {
        return Ok(0);
    };
    let cpu = call.cpu();
    let value = if flags & CREATE == 0 {
        storage.get(owner, cpu)
    } else if initial == 0 {
        storage.get_or_create(owner, None, cpu)
    } else {
        let size = panal_maps::Map::base(storage).def().value_size as usize;
        let initial = call.read_vec(initial, size)?;
        storage.get_or_create(owner, Some(&initial), cpu)
    };
    Ok(value.map_or(0, |value| value.as_ptr() as u64))
}

fn delete(
    call: &mut Call<'_>,
    owner: impl Fn(&mut Call<'_>, u64) -> Option<u64>,
) -> Result<(), Errno> {
    let storage: &Storage = call.map_as(0)?;
    let object = call.arg(1);
    let owner = owner(call, object).ok_or(Errno::EINVAL)?;
    storage.remove(owner)
}

fn task_storage_get(call: &mut Call<'_>) -> Result<u64, Errno> {
    get(call, task_owner)
}

fn task_storage_delete(call: &mut Call<'_>) -> Result<(), Errno> {
    delete(call, task_owner)
}

fn inode_storage_get(call: &mut Call<'_>) -> Result<u64, Errno> {
    get(call, inode_owner)
}

fn inode_storage_delete(call: &mut Call<'_>) -> Result<(), Errno> {
    delete(call, inode_owner)
}

fn sk_storage_get(call: &mut Call<'_>) -> Result<u64, Errno> {
    get(call, super::socket::cookie)
}

fn sk_storage_delete(call: &mut Call<'_>) -> Result<(), Errno> {
    delete(call, super::socket::cookie)
}

/// [`get_in`] for a call from a map that is known.
///
/// # Safety
/// `map` is the address of a [`Storage`], which the program holds as long as it lives; the run is a
/// helper's.
#[inline(always)]
unsafe fn get_in_known(
    map: u64,
    args: [u64; 5],
    run: *mut Run,
    owner: impl Fn(&mut Call<'_>, u64) -> Option<u64>,
) -> u64 {
    // SAFETY: the caller's promise.
    let (storage, mut call) = unsafe { (&*(map as *const Storage), Call::new(args, run)) };
    get_in(&mut call, storage, owner).into_return()
}

/// [`sk_storage_get`] from a map that is known.
///
/// # Safety
/// `map` is the address of a [`Storage`], which the program holds as long as it lives; the rest as for
/// every [`panal_vm::HelperFn`].
pub(super) unsafe extern "C" fn of_socket_in(
    map: u64,
    socket: u64,
    initial: u64,
    flags: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        get_in_known(
            map,
            [0, socket, initial, flags, 0],
            run,
            super::socket::cookie,
        )
    }
}

/// [`task_storage_get`] from a map that is known.
///
/// # Safety
/// As for [`of_socket_in`].
pub(super) unsafe extern "C" fn of_task_in(
    map: u64,
    task: u64,
    initial: u64,
    flags: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { get_in_known(map, [0, task, initial, flags, 0], run, task_owner) }
}

/// [`get_local_storage`] from a map that is known.
///
/// # Safety
/// As for [`of_socket_in`].
pub(super) unsafe extern "C" fn of_cgroup_in(
    map: u64,
    _: u64,
    _: u64,
    _: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise.
    let value = unsafe { (*(map as *const Storage)).get_or_create(CGROUP, None, (*run).cpu) };
    value.map_or(0, |value| value.as_ptr() as u64)
}

fn get_local_storage(call: &mut Call<'_>) -> Result<u64, Errno> {
    let storage: &Storage = call.map_as(0)?;
    let value = storage.get_or_create(CGROUP, None, call.cpu());
    Ok(value.map_or(0, |value| value.as_ptr() as u64))
}
