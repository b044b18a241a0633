//! The object's types: read, then completed with what only the linker's tables know.

use alloc::{sync::Arc, vec::Vec};

use panal_btf::{Btf, Builder, Kind, Linkage, SecVar, WriteError};

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

/// Fills in the sizes of sections and the offsets of their variables, which the compiler leaves to
/// relocations, and marks hidden functions as static: nobody but their callers sees them.
pub(super) fn complete(layout: &Layout<'_, '_>) -> Result<Option<Arc<Btf>>, Error> {
    let Some(btf) = &layout.btf else {
        return Ok(None);
    };
    let mut builder = Builder::from(&**btf);
    for (section, elf) in layout.elf.sections.iter().enumerate() {
        if !elf.is_code && elf.size != 0 {
            complete_section(layout, btf, section, &mut builder);
        }
    }
    for function in &layout.functions {
        let ty = function.ty.filter(|_| !function.global);
        if let Some(ty) = ty.and_then(|id| builder.get_mut(id))
            && let Kind::Func { linkage, .. } = &mut ty.kind
        {
            *linkage = Linkage::Static;
        }
    }
    match builder.finish() {
        Ok(btf) => Ok(Some(Arc::new(btf))),
        Err(WriteError::Invalid(fault)) => {
            Err(Error::new(Place::section(SECTION), Fault::Btf(fault)))
        }
        Err(_) => {
            let fault = Fault::Elf("its sections and symbols do not fit the types");
            Err(Error::new(Place::section(SECTION), fault))
        }
    }
}

fn complete_section(layout: &Layout<'_, '_>, btf: &Btf, section: usize, builder: &mut Builder) {
    let name = &layout.names[section];
    let Some((id, _, vars)) = btf.section(name) else {
        return;
    };
    let end = layout.elf.sections[section].size;
    let mut placed: Vec<SecVar> = vars
        .iter()
        .map(|var| place(layout, btf, section, end, *var))
        .collect();
    placed.sort_by_key(|var| var.offset);
    if let Some(ty) = builder.get_mut(id)
        && let Kind::DataSec { size, vars } = &mut ty.kind
        && let Ok(end) = u32::try_from(end)
    {
        *size = end;
        *vars = placed.into_boxed_slice();
    }
}

/// A variable at the place that its symbol gives it.
fn place(layout: &Layout<'_, '_>, btf: &Btf, section: usize, end: u64, var: SecVar) -> SecVar {
    match layout.variable(section, btf.name(var.ty)) {
        Some(symbol) if symbol.value < end => SecVar {
            offset: symbol.value as u32,
            ..var
        },
        _ => var,
    }
}
