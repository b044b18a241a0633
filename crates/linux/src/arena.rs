//! Arenas: mapped as long as we hold them. The kernel wants to know where user space sees an arena
//! before it loads programs that use it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use panal_uapi::{
    Command, Errno,
    kernel::{CloseFd, Failure, Fd, MapSpec},
};

use crate::{
    maps,
    sys::{Borrowed, Mapping, failure},
};

const PAGE: usize = 4096;
/// `BPF_F_SEGV_ON_FAULT`: user space touches allocated pages only.
const SEGV_ON_FAULT: u32 = 1 << 17;

/// A descriptor with its mapping.
struct Held {
    // Unmapped before the descriptor closes.
    mapping: Mutex<Mapping>,
    _map: Fd,
    segv_on_fault: bool,
}

impl CloseFd for Held {
    fn close(&self, _: i32) {}
}

/// The arenas that are mapped, by descriptor.
#[derive(Default)]
pub struct Arenas(Mutex<HashMap<i32, Weak<Held>>>);

impl Arenas {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<i32, Weak<Held>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates an arena and maps it. Where something else lies at its address it is an arena all the
    /// same, into which we cannot write.
    pub fn create(&self, spec: &MapSpec) -> Result<Fd, Failure> {
        let map = maps::create(spec)?;
        let len = spec.max_entries as usize * PAGE;
        let file = Borrowed(map.number());
        let mapping = match usize::try_from(spec.extra) {
            Ok(0) | Err(_) => Mapping::new(&file, len, 0, true),
            Ok(address) => Mapping::at(&file, len, address),
        };
        let Ok(mapping) = mapping else {
            return Ok(map);
        };
        let number = map.number();
        let held = Arc::new(Held {
            mapping: Mutex::new(mapping),
            _map: map,
            segv_on_fault: spec.flags.bits() & SEGV_ON_FAULT != 0,
        });
        let mut all = self.lock();
        all.retain(|_, held| held.strong_count() > 0);
        all.insert(number, Arc::downgrade(&held));
        Ok(Fd::new(number, held))
    }

    /// Writes bytes into a mapped arena; the kernel allocates the pages that are touched.
    pub fn write(&self, map: &Fd, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        let fail = |errno, why: &str| Err(failure(Command::MapUpdateElem, errno, why));
        let held = self.lock().get(&map.number()).and_then(Weak::upgrade);
        let Some(held) = held else {
            return fail(Errno::EINVAL, "the arena is not mapped here");
        };
        if held.segv_on_fault {
            return fail(
                Errno::EFAULT,
                "an arena with BPF_F_SEGV_ON_FAULT has no memory until a program allocates it",
            );
        }
        let mapping = held.mapping.lock().unwrap_or_else(PoisonError::into_inner);
        let end = offset.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > mapping.len() as u64) {
            return fail(Errno::EFAULT, "beyond the arena's end");
        }
        // SAFETY: the range is mapped writable; programs may write it at the same time, as they may
        // any memory that they share with user space.
        unsafe {
            let to = mapping.as_ptr().add(offset as usize);
            to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        Ok(())
    }
}
