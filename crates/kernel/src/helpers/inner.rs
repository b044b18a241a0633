//! Helpers on inner maps: which map it is, its handle tells; of what kind it is and how large its keys are is
//! known when a program is loaded. Arrays are looked into by machine code itself.

use panal_maps::{HashKind, HashMap, Map, MapDef, hash_kind as kind};
use panal_uapi::{Errno, MapType, helpers::id};
use panal_vm::{HelperFn, Run};

use super::{
    call::IntoReturn,
    known::{address, key_at, of_size},
};
use crate::host::Host;

/// A function of a size of keys that inner maps may have here.
macro_rules! of_key_size {
    ($size:expr, $function:ident) => {
        of_size!($size, $function; 4 8 12 16 20 24 32 40)
    };
}

/// How programs call a helper on inner maps like this one.
pub(crate) fn of(helper: u32, inner: &MapDef) -> Option<HelperFn> {
    if inner.map_type != MapType::Hash {
        return None;
    }
    match helper {
        id::BPF_FUNC_map_lookup_elem => of_key_size!(inner.key_size, lookup),
        id::BPF_FUNC_map_update_elem if inner.fields.is_empty() => {
            of_key_size!(inner.key_size, update)
        }
        _ => None,
    }
}

/// The map of a handle and its key.
type Named<'r, const KEY: usize> = (&'r HashMap, [u8; KEY], &'r Run);

/// What a program names by a handle and a key's address; `None` for another map than it was proven to
/// be: the program was not proven.
///
/// # Safety
/// `run` is the run that calls, and is on its CPU; its host is a [`Host`].
#[inline(always)]
unsafe fn named<'r, const KEY: usize>(
    handle: u64,
    key: u64,
    run: *mut Run,
) -> Option<Named<'r, KEY>> {
    // SAFETY: the caller's promise. What the host says of the kernel never changes.
    unsafe {
        let kernel = (*(*run).host.cast::<Host<'r>>()).kernel;
        let map = kernel.handles.hash(handle)?;
        let is_it = map.kind() == HashKind::Plain && map.base().def().key_size == KEY as u32;
        let run = &*run;
        let key = is_it.then(|| key_at(run, key))??;
        Some((map, key, run))
    }
}

/// # Safety
/// As for every [`HelperFn`]; the run is on its CPU, and its host is a [`Host`].
unsafe extern "C" fn lookup<const KEY: usize>(
    handle: u64,
    key: u64,
    _: u64,
    _: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise; the kind was compared.
    let value = unsafe {
        named::<KEY>(handle, key, run)
            .and_then(|(map, key, run)| map.value_of::<KEY, { kind::PLAIN }>(&key, run.cpu))
    };
    value.map_or(0, address)
}

/// # Safety
/// As for [`lookup`].
unsafe extern "C" fn update<const KEY: usize>(
    handle: u64,
    key: u64,
    value: u64,
    flags: u64,
    _: u64,
    run: *mut Run,
) -> u64 {
    // SAFETY: the caller's promise; the kind was compared, the value is in the cage.
    let result = unsafe {
        match named::<KEY>(handle, key, run) {
            Some((map, key, run)) if map.is_quick() => {
                match run.pointer(value, map.base().def().value_size.into()) {
                    Some(value) => map.put::<KEY, { kind::PLAIN }>(&key, value, flags, run.cpu),
                    None => Err(Errno::EFAULT),
                }
            }
            _ => Err(Errno::EINVAL),
        }
    };
    result.into_return()
}
