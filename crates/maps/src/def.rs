//! What a map is asked to be, and the checks that several types share.

use std::{ptr::NonNull, sync::Arc};

use panal_uapi::{Errno, MapType, kernel::MapFlags, kernel::update};

use crate::{Cage, Cpus, OutOfCage, RingDirectory, bytes};

/// What maps are made from: one per kernel.
#[derive(Clone, Debug)]
pub struct MapHost {
    /// Where values live.
    pub cage: Arc<Cage>,
    /// Who reads them.
    pub cpus: Arc<Cpus>,
    /// Where ring buffers lie, so that a record leads to its buffer.
    pub rings: Arc<RingDirectory>,
}

impl MapHost {
    /// A host for maps in this cage.
    pub fn new(cage: Arc<Cage>, cpus: Arc<Cpus>) -> MapHost {
        let rings = Arc::new(RingDirectory::new(&cage));
        MapHost { cage, cpus, rings }
    }
}

/// A part of a value that no copy touches: a spin lock, a timer, a kptr, … It reads as zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialField {
    /// Bytes into the value.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

/// A map's definition: `BPF_MAP_CREATE` as far as the map itself is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapDef {
    /// What it is.
    pub map_type: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Capacity in elements (bytes for ring buffers).
    pub max_entries: u32,
    /// Flags.
    pub flags: MapFlags,
    /// `map_extra`
    pub extra: u64,
    /// Special fields of the value, by BTF; sorted by offset, not overlapping.
    pub fields: Vec<SpecialField>,
    /// Where the value's `struct bpf_spin_lock` stands; it is among `fields` too.
    pub spin_lock: Option<u32>,
}

impl MapDef {
    /// A definition without flags and special fields.
    pub fn new(map_type: MapType, key_size: u32, value_size: u32, max_entries: u32) -> MapDef {
        MapDef {
            map_type,
            key_size,
            value_size,
            max_entries,
            flags: MapFlags::empty(),
            extra: 0,
            fields: Vec::new(),
            spin_lock: None,
        }
    }

    /// The same with these flags.
    pub fn with_flags(mut self, flags: MapFlags) -> MapDef {
        self.flags = flags;
        self
    }

    /// Bytes from one value to the next: the size rounded up to 8.
    pub fn value_stride(&self) -> usize {
        (self.value_size as usize).next_multiple_of(8)
    }

    /// Copies a value in, but for the special fields.
    ///
    /// # Safety
    /// `to` is mapped writable for the value's size.
    pub(crate) unsafe fn copy_in(&self, to: NonNull<u8>, value: &[u8]) {
        let value = &value[..value.len().min(self.value_size as usize)];
        if self.fields.is_empty() {
            // SAFETY: the caller's promise.
            return unsafe { bytes::write(to, value) };
        }
        for (start, end) in self.plain_ranges() {
            if let Some(part) = value.get(start..end) {
                // SAFETY: the range lies within the value.
                unsafe { bytes::write(to.add(start), part) };
            }
        }
    }

    /// Copies a value out; special fields read as zeros.
    ///
    /// # Safety
    /// `from` is mapped readable for the value's size.
    pub(crate) unsafe fn copy_out(&self, from: NonNull<u8>, out: &mut [u8]) {
        let size = out.len().min(self.value_size as usize);
        let out = &mut out[..size];
        // SAFETY: the caller's promise.
        unsafe { bytes::read(from, out) };
        for field in &self.fields {
            let (start, end) = (
                field.offset as usize,
                field.offset as usize + field.size as usize,
            );
            if let Some(part) = out.get_mut(start..end.min(size)) {
                part.fill(0);
            }
        }
    }

    fn plain_ranges(&self) -> impl Iterator<Item = (usize, usize)> {
        let ends = self
            .fields
            .iter()
            .map(|f| f.offset as usize)
            .chain([self.value_size as usize]);
        let starts = std::iter::once(0).chain(
            self.fields
                .iter()
                .map(|f| f.offset as usize + f.size as usize),
        );
        starts.zip(ends).filter(|(start, end)| start < end)
    }
}

/// Why a map was not created: Linux's errno, and whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{errno}: {detail}")]
pub struct CreateError {
    /// Linux's errno.
    pub errno: Errno,
    /// What was wrong.
    pub detail: String,
}

impl CreateError {
    /// An error of this number.
    pub fn new(errno: Errno, detail: impl Into<String>) -> CreateError {
        CreateError {
            errno,
            detail: detail.into(),
        }
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> CreateError {
        CreateError::new(Errno::EINVAL, detail)
    }

    pub(crate) fn no_memory() -> CreateError {
        CreateError::new(Errno::ENOMEM, "out of memory")
    }
}

impl From<OutOfCage> for CreateError {
    fn from(e: OutOfCage) -> CreateError {
        CreateError::new(Errno::ENOMEM, e.to_string())
    }
}

/// Largest value that a CPU's share of a per-CPU map may have (`PCPU_MIN_UNIT_SIZE`).
pub(crate) const PERCPU_VALUE_MOST: u32 = 32 << 10;

/// Flags that say who may read and write.
pub(crate) const ACCESS_FLAGS: MapFlags = MapFlags::RDONLY
    .union(MapFlags::WRONLY)
    .union(MapFlags::RDONLY_PROG)
    .union(MapFlags::WRONLY_PROG);

/// Refuses flags outside `allowed`, and contradictions.
pub(crate) fn check_flags(def: &MapDef, allowed: MapFlags) -> Result<(), CreateError> {
    let bad = def.flags.bits() & !allowed.bits();
    if bad != 0 {
        return Err(CreateError::invalid(format!(
            "flags {bad:#x} mean nothing to a map of type {}",
            def.map_type
        )));
    }
    check_contradictions(def)
}

/// Refuses maps that user space, or programs, could neither read nor write.
pub(crate) fn check_contradictions(def: &MapDef) -> Result<(), CreateError> {
    if def.flags.contains(MapFlags::RDONLY | MapFlags::WRONLY) {
        return Err(CreateError::invalid(
            "BPF_F_RDONLY and BPF_F_WRONLY exclude each other",
        ));
    }
    if def
        .flags
        .contains(MapFlags::RDONLY_PROG | MapFlags::WRONLY_PROG)
    {
        return Err(CreateError::invalid(
            "BPF_F_RDONLY_PROG and BPF_F_WRONLY_PROG exclude each other",
        ));
    }
    Ok(())
}

/// Refuses zero sizes.
pub(crate) fn check_not_zero(sizes: &[(&str, u32)]) -> Result<(), CreateError> {
    match sizes.iter().find(|(_, size)| *size == 0) {
        Some((what, _)) => Err(CreateError::invalid(format!("{what} is 0"))),
        None => Ok(()),
    }
}

/// Checks the flags of an update and returns them without `BPF_F_LOCK`, which needs a lock in the
/// value.
pub(crate) fn update_flags(def: &MapDef, flags: u64) -> Result<u64, Errno> {
    let plain = flags & !update::BPF_F_LOCK;
    if plain > update::BPF_EXIST || (flags != plain && def.spin_lock.is_none()) {
        Err(Errno::EINVAL)
    } else {
        Ok(plain)
    }
}
