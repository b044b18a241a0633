//! `BPF_MAP_TYPE_STACK_TRACE`: stacks by a number that their contents give.

use std::{
    any::Any,
    ptr::NonNull,
    sync::{Mutex, PoisonError},
};

use panal_uapi::{Errno, kernel::MapFlags};

use crate::{
    CreateError, Map, MapBase, MapDef,
    def::{check_flags, check_not_zero},
    hash::Hasher,
};

/// Most frames of a stack (`sysctl_perf_event_max_stack`).
const FRAMES_MOST: u32 = 127;

/// Flags of `bpf_get_stackid`.
pub mod flags {
    /// `BPF_F_FAST_STACK_CMP`: equal hashes are equal stacks.
    pub const FAST_STACK_CMP: u64 = 1 << 9;
    /// `BPF_F_REUSE_STACKID`: another stack in the place goes.
    pub const REUSE_STACKID: u64 = 1 << 10;
}

struct Stack {
    hash: u64,
    frames: Box<[u8]>,
}

/// A map of stacks.
pub struct StackTrace {
    base: MapBase,
    stacks: Box<[Mutex<Option<Stack>>]>,
    hasher: Hasher,
}

impl StackTrace {
    /// Creates one (`stack_map_alloc`).
    pub fn new(def: &MapDef) -> Result<StackTrace, CreateError> {
        check_flags(
            def,
            MapFlags::NUMA_NODE | MapFlags::RDONLY | MapFlags::WRONLY | MapFlags::STACK_BUILD_ID,
        )?;
        check_not_zero(&[("max_entries", def.max_entries)])?;
        let frame = if def.flags.contains(MapFlags::STACK_BUILD_ID) {
            32
        } else {
            8
        };
        if def.key_size != 4
            || def.value_size < 8
            || !def.value_size.is_multiple_of(frame)
            || def.value_size / frame > FRAMES_MOST
        {
            return Err(CreateError::invalid(format!(
                "a stack map has keys of 4 bytes and values of 1 to {FRAMES_MOST} frames of {frame}"
            )));
        }
        if def.max_entries > 1 << 24 {
            return Err(CreateError::new(Errno::E2BIG, "more stacks than memory"));
        }
        let count = def.max_entries.next_power_of_two() as usize;
        Ok(StackTrace {
            base: MapBase::new(def.clone()),
            stacks: (0..count).map(|_| Mutex::new(None)).collect(),
            hasher: Hasher::with_seed(0),
        })
    }

    fn slot(&self, id: u32) -> Option<std::sync::MutexGuard<'_, Option<Stack>>> {
        let slot = self.stacks.get(id as usize)?;
        Some(slot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `bpf_get_stackid`: keeps a stack (frames of eight bytes, innermost first) and returns its
    /// id. `EEXIST` when another stack has that id.
    pub fn store(&self, frames: &[u8], flags: u64) -> Result<u32, Errno> {
        let len = frames.len().min(self.base.def().value_size as usize);
        let frames = &frames[..len];
        let hash = self.hasher.hash(frames);
        let id = (hash & (self.stacks.len() as u64 - 1)) as u32;
        let mut slot = self.slot(id).ok_or(Errno::EINVAL)?;
        if let Some(stack) = &*slot {
            let fast = flags & flags::FAST_STACK_CMP != 0;
            if stack.hash == hash && (fast || *stack.frames == *frames) {
                return Ok(id);
            }
            if flags & flags::REUSE_STACKID == 0 {
                return Err(Errno::EEXIST);
            }
        }
        *slot = Some(Stack {
            hash,
            frames: frames.into(),
        });
        Ok(id)
    }

    fn key(&self, key: &[u8]) -> Result<u32, Errno> {
        key.try_into()
            .map(u32::from_ne_bytes)
            .map_err(|_| Errno::EINVAL)
    }
}

impl Map for StackTrace {
    fn base(&self) -> &MapBase {
        &self.base
    }

    fn lookup(&self, _key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        None
    }

    fn update(&self, _key: &[u8], _value: &[u8], _flags: u64, _cpu: u32) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        let mut slot = self.slot(self.key(key)?).ok_or(Errno::E2BIG)?;
        slot.take().map(|_| ()).ok_or(Errno::ENOENT)
    }

    fn user_lookup(&self, key: &[u8], out: &mut [u8]) -> Result<(), Errno> {
        let slot = self.slot(self.key(key)?).ok_or(Errno::ENOENT)?;
        let stack = slot.as_ref().ok_or(Errno::ENOENT)?;
        out.fill(0);
        let len = out.len().min(stack.frames.len());
        out[..len].copy_from_slice(&stack.frames[..len]);
        Ok(())
    }

    fn user_lookup_and_delete(&self, key: &[u8], out: &mut [u8]) -> Result<(), Errno> {
        self.user_lookup(key, out)?;
        self.delete(key)
    }

    fn next_key(&self, key: Option<&[u8]>, out: &mut [u8]) -> Result<(), Errno> {
        let first = match key.map(|key| self.key(key)).transpose()? {
            // A key that is not there begins anew.
            Some(id) if self.slot(id).is_some_and(|slot| slot.is_some()) => id + 1,
            _ => 0,
        };
        let next = (first..self.stacks.len() as u32)
            .find(|&id| self.slot(id).is_some_and(|slot| slot.is_some()))
            .ok_or(Errno::ENOENT)?;
        out.get_mut(..4)
            .ok_or(Errno::EINVAL)?
            .copy_from_slice(&next.to_ne_bytes());
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory(&self) -> u64 {
        u64::from(self.base.def().value_size) * self.stacks.len() as u64
    }
}
