//! Objects of the kernel as programs of any profile see them: fields are put where the profile's
//! types have them.

use panal_btf::{Btf, KindTag, TypeId};

/// An object whose fields are set by name; all others are zero.
pub(crate) struct Object<'t> {
    types: &'t Btf,
    ty: TypeId,
    bytes: Vec<u8>,
}

/// Largest object: beyond it, the types are not a kernel's.
const MOST: u32 = 1 << 16;

impl<'t> Object<'t> {
    /// A struct by its name; `None` if there is none.
    pub fn new(types: &'t Btf, name: &str) -> Option<Self> {
        let ty = types.find(name, KindTag::Struct)?;
        let size = types.size_of(ty).filter(|&size| size <= MOST)?;
        Some(Object {
            types,
            ty,
            bytes: vec![0; size as usize],
        })
    }

    /// Sets an integer or a pointer; `None` if there is no such field of at most eight bytes.
    pub fn set(&mut self, field: &str, value: u64) -> Option<()> {
        let place = self.types.member(self.ty, field)?;
        let size = self.types.size_of(place.ty)? as usize;
        let start = place.bit_offset as usize / 8;
        if place.bits != 0 || !place.bit_offset.is_multiple_of(8) {
            return None;
        }
        let value = value.to_le_bytes();
        let to = self.bytes.get_mut(start..start.checked_add(size)?)?;
        to.copy_from_slice(value.get(..size)?);
        if cfg!(target_endian = "big") {
            to.reverse();
        }
        Some(())
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
