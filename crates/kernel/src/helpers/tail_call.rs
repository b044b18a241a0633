//! Tail calls: finding the program to go on with.

use std::sync::Arc;

use panal_maps::{Map, Object, ObjectArray};
use panal_uapi::MapType;
use panal_vm::{Executable, Run, TailCallFn};

use crate::{host::Host, maps, objects::Program};

/// The program at an index of a prog array; null when there is none.
///
/// # Safety
/// As [`panal_vm::TailCallFn`]: `run` is the run that calls, and its host is a [`Host`].
pub(crate) unsafe extern "C" fn target(
    _context: u64,
    map: u64,
    index: u64,
    run: *mut Run,
) -> *const Executable {
    // SAFETY: the caller's promise; nobody uses the host during the call. Runs are on a CPU until
    // they end, so map, object and program live that long.
    let (host, program) = unsafe {
        let host = &mut *(*run).host.cast::<Host<'_>>();
        let map = host.kernel.handles.get(map);
        (host, map.and_then(|map| find(map, index as u32)))
    };
    let Some((program, executable)) =
        program.and_then(|program| Some((program, program.executable.as_ref()?)))
    else {
        return std::ptr::null();
    };
    host.running = program.id;
    executable
}

/// How programs call those of an array that is known, which they hold as long as they live.
pub(crate) fn known(map: &maps::Map) -> Option<(TailCallFn, u64)> {
    if map.map_type() != MapType::ProgArray {
        return None;
    }
    let array: &ObjectArray = map.core().as_any().downcast_ref()?;
    Some((target_in, std::ptr::from_ref(array) as u64))
}

/// An entry of a prog array: with the address of what runs.
pub(crate) fn entry(program: Arc<Program>) -> Object {
    let executable = program.executable.as_ref();
    Object {
        id: program.id,
        address: executable.map_or(0, |executable| std::ptr::from_ref(executable) as u64),
        payload: program,
    }
}

/// [`target`] in an array that is known.
///
/// # Safety
/// `array` is the address of an [`ObjectArray`] that has nothing but what [`entry`] makes, and that the
/// program holds as long as it lives; the rest as for [`target`].
unsafe extern "C" fn target_in(
    _context: u64,
    array: u64,
    index: u64,
    run: *mut Run,
) -> *const Executable {
    // SAFETY: the caller's promise. The run is on a CPU until it ends: the object lives that long, and
    // with it the program that has the executable.
    unsafe {
        let array = &*(array as *const ObjectArray);
        let object = array.get_unchecked(index as u32);
        let Some(object) = object.filter(|object| object.address != 0) else {
            return std::ptr::null();
        };
        (*(*run).host.cast::<Host<'_>>()).running = object.id;
        object.address as *const Executable
    }
}

/// # Safety
/// The calling thread is on a CPU and stays there while it uses the program.
unsafe fn find(map: &dyn Map, index: u32) -> Option<&Program> {
    let array = map.as_any().downcast_ref::<ObjectArray>()?;
    // SAFETY: the caller's promise.
    unsafe { array.get_unchecked(index) }?.get()
}
