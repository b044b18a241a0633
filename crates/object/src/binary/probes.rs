//! The notes that `<sys/sdt.h>` leaves of its probes: section `.note.stapsdt`.

use alloc::{boxed::Box, vec::Vec};

use object::{
    Endianness,
    read::elf::{FileHeader, SectionHeader, SectionTable},
};

use super::{BinaryError, Loads};

/// Owner and type of such a note.
const OWNER: &[u8] = b"stapsdt";
const NT_STAPSDT: u32 = 3;

/// A place where a program tells that something happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Who defined it, usually the program or library.
    pub provider: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Where its arguments are, as the assembler saw them: see [`super::probe_arguments`].
    pub arguments: Box<str>,
    /// The instruction, as the linker numbered it.
    pub address: u64,
    /// The instruction, in bytes from the start of the file.
    pub offset: u64,
    /// A counter that is raised while somebody listens, in bytes from the start of the file; the
    /// program skips the probe while it is 0.
    pub semaphore: Option<u64>,
}

/// Reads every note.
pub(super) fn read<E: FileHeader<Endian = Endianness>>(
    sections: &SectionTable<'_, E>,
    endian: Endianness,
    bytes: &[u8],
    loads: &Loads,
) -> Result<Vec<Probe>, BinaryError> {
    let outside = |_| BinaryError::Damaged("notes of probes lie outside of the file");
    let Some((_, section)) = sections.section_by_name(endian, b".note.stapsdt") else {
        return Ok(Vec::new());
    };
    // Tools that move a file's code (prelink) leave notes as they were; this section tells by how
    // much.
    let base = sections
        .section_by_name(endian, b".stapsdt.base")
        .map(|(_, base)| base.sh_addr(endian).into());
    let Some(mut notes) = section.notes(endian, bytes).map_err(outside)? else {
        return Ok(Vec::new());
    };
    let mut probes = Vec::new();
    while let Some(note) = notes.next().map_err(outside)? {
        if note.name() != OWNER || note.n_type(endian).0 != NT_STAPSDT {
            continue;
        }
        let wide = core::mem::size_of::<E::Word>() == 8;
        probes.extend(probe(note.desc(), endian, wide, base, loads)?);
    }
    Ok(probes)
}

/// Three addresses and three texts. Nothing for a probe whose code is not loaded.
fn probe(
    desc: &[u8],
    endian: Endianness,
    wide: bool,
    base: Option<u64>,
    loads: &Loads,
) -> Result<Option<Probe>, BinaryError> {
    let short = || BinaryError::Damaged("the note of a probe is cut short");
    let mut rest = desc;
    let mut address = || -> Option<u64> {
        let (bytes, after) = rest.split_at_checked(if wide { 8 } else { 4 })?;
        rest = after;
        let mut number = [0; 8];
        match endian {
            Endianness::Little => number[..bytes.len()].copy_from_slice(bytes),
            Endianness::Big => number[8 - bytes.len()..].copy_from_slice(bytes),
        }
        Some(match endian {
            Endianness::Little => u64::from_le_bytes(number),
            Endianness::Big => u64::from_be_bytes(number),
        })
    };
    let mut address = || address().ok_or_else(short);
    let (place, was, semaphore) = (address()?, address()?, address()?);
    let mut text = || -> Option<&str> {
        let end = rest.iter().position(|byte| *byte == 0)?;
        let text = core::str::from_utf8(&rest[..end]).ok()?;
        rest = &rest[end + 1..];
        Some(text)
    };
    let mut text = || text().ok_or_else(short);
    let (provider, name, arguments) = (text()?, text()?, text()?);
    let moved = base.map_or(0, |base| base.wrapping_sub(was));
    let place = place.wrapping_add(moved);
    let Some(offset) = loads.offset(place) else {
        return Ok(None);
    };
    let semaphore =
        match semaphore {
            0 => None,
            address => Some(loads.offset(address.wrapping_add(moved)).ok_or(
                BinaryError::Damaged("the semaphore of a probe is not among what the file holds"),
            )?),
        };
    Ok(Some(Probe {
        provider: provider.into(),
        name: name.into(),
        arguments: arguments.into(),
        address: place,
        offset,
        semaphore,
    }))
}
