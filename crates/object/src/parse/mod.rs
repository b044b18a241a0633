//! From the ELF tables to an [`Object`]: one step per file.

mod btf_ext;
mod data;
mod externs;
mod functions;
mod layout;
mod legacy_maps;
mod maps;
mod relocations;
mod struct_ops;
mod types;

use alloc::sync::Arc;

use crate::{
    elf::{Elf, Section},
    error::{Error, Fault, Place},
    object::Object,
};
use layout::Layout;

/// Reads an object file.
pub(crate) fn object(bytes: &[u8]) -> Result<Object, Error> {
    let elf = Elf::parse(bytes)?;
    let license = elf
        .named("license")
        .next()
        .map(|(_, s)| license(s))
        .transpose()?;
    let version = elf
        .named("version")
        .next()
        .map(|(_, s)| version(s))
        .transpose()?;
    let btf = types::read(&elf)?;
    let mut layout = Layout::new(&elf, btf);

    functions::collect(&mut layout)?;
    data::collect(&mut layout)?;
    maps::collect(&mut layout)?;
    data::collect_arena(&mut layout)?;
    legacy_maps::collect(&mut layout)?;
    struct_ops::collect(&mut layout)?;
    externs::collect(&mut layout)?;

    relocations::code(&mut layout)?;
    functions::assign_roles(&mut layout);
    maps::initialise(&mut layout)?;
    struct_ops::initialise(&mut layout)?;
    btf_ext::attach(&mut layout)?;
    let btf = types::complete(&layout)?;

    Ok(Object {
        license,
        version,
        functions: layout.functions,
        maps: layout.maps,
        externs: layout.externs,
        btf,
        remarks: layout.remarks,
    })
}

fn license(section: &Section<'_>) -> Result<Arc<str>, Error> {
    let text = section.data.split(|&b| b == 0).next().unwrap_or_default();
    match core::str::from_utf8(text) {
        Ok(text) => Ok(Arc::from(text)),
        Err(_) => Err(Error::new(Place::section(section.name), Fault::License)),
    }
}

fn version(section: &Section<'_>) -> Result<u32, Error> {
    match section.data.first_chunk() {
        Some(bytes) if section.data.len() == 4 => Ok(u32::from_le_bytes(*bytes)),
        _ => Err(Error::new(
            Place::section(section.name),
            Fault::Version(section.size),
        )),
    }
}
