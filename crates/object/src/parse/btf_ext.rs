//! `.BTF.ext`: the types of functions, source lines and CO-RE relocations, handed to each function.

use alloc::{string::ToString, sync::Arc};

use hashbrown::HashMap;
use panal_btf::{Btf, BtfExt, ExtSection};
use panal_isa::Slot;

use super::layout::{Holds, Layout};
use crate::{
    error::{Error, Fault, Place},
    function::{CoreRecord, Line},
    object::FunctionId,
};

const SECTION: &str = ".BTF.ext";

/// All source text together has at most so many bytes: lines may share their bytes in the file, so
/// a small file could ask for much memory.
const MAX_TEXT: usize = 64 << 20;

/// Reads the records, if there are any.
pub(super) fn attach(layout: &mut Layout<'_, '_>) -> Result<(), Error> {
    let (Some(btf), Some((_, section))) = (layout.btf.clone(), layout.elf.named(SECTION).next())
    else {
        return Ok(());
    };
    let fail = |text| Error::new(Place::section(SECTION), Fault::BtfExt(text));
    let ext = BtfExt::parse(section.data, &btf).map_err(|e| fail(e.to_string()))?;
    for (id, slot, record) in located(layout, &ext.functions, |r| r.offset) {
        if slot == 0 {
            layout.functions[id.index()].ty = Some(record.ty);
        }
    }
    let mut texts = Texts {
        btf: &btf,
        known: HashMap::new(),
        total: 0,
    };
    for (id, slot, record) in located(layout, &ext.lines, |r| r.offset) {
        let text = texts.get(record.text).zip(texts.get(record.file));
        let Some((text, file)) = text else {
            return Err(fail("too much source text".to_string()));
        };
        let line = Line {
            slot,
            file,
            text,
            line: record.line,
            column: record.column,
        };
        layout.functions[id.index()].lines.push(line);
    }
    for (id, slot, record) in located(layout, &ext.relocations, |r| r.offset) {
        let record = CoreRecord {
            slot,
            relocation: record.clone(),
        };
        layout.functions[id.index()].core.push(record);
    }
    for function in &mut layout.functions {
        function.lines.sort_by_key(|l| l.slot);
        function.lines.dedup_by_key(|l| l.slot);
        function.core.sort_by_key(|c| c.slot);
    }
    Ok(())
}

/// Each record with its function and the slot within.
fn located<'r, T>(
    layout: &Layout<'_, '_>,
    sections: &'r [ExtSection<T>],
    offset: impl Fn(&T) -> u32,
) -> alloc::vec::Vec<(FunctionId, u32, &'r T)> {
    let mut found = alloc::vec::Vec::new();
    for section in sections {
        let index = (0..layout.names.len())
            .find(|&i| layout.holds[i] == Holds::Code && *layout.names[i] == *section.name);
        let Some(ranges) = index.map(|i| &layout.ranges[i]) else {
            continue;
        };
        for record in &section.records {
            let offset = u64::from(offset(record));
            let after = ranges.partition_point(|(start, ..)| *start <= offset);
            if let Some((start, end, id)) = after.checked_sub(1).map(|i| ranges[i])
                && offset < end
            {
                found.push((id, ((offset - start) / Slot::SIZE as u64) as u32, record));
            }
        }
    }
    found
}

/// Source text, each string once.
struct Texts<'b> {
    btf: &'b Btf,
    known: HashMap<u32, Arc<str>>,
    total: usize,
}

impl Texts<'_> {
    /// `None` when there is too much.
    fn get(&mut self, offset: u32) -> Option<Arc<str>> {
        if let Some(text) = self.known.get(&offset) {
            return Some(text.clone());
        }
        let text = self.btf.string(offset).unwrap_or_default();
        self.total += text.len();
        if self.total > MAX_TEXT {
            return None;
        }
        let text: Arc<str> = Arc::from(text.as_ref());
        self.known.insert(offset, text.clone());
        Some(text)
    }
}
