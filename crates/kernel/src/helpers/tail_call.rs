//! Tail calls: finding the program to go on with.

use panal_maps::{Map, ObjectArray};
use panal_vm::{Executable, Run};

use crate::{host::Host, objects::Program};

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

/// # Safety
/// The calling thread is on a CPU and stays there while it uses the program.
unsafe fn find(map: &dyn Map, index: u32) -> Option<&Program> {
    let array = map.as_any().downcast_ref::<ObjectArray>()?;
    // SAFETY: the caller's promise.
    unsafe { array.get_unchecked(index) }?.get()
}
