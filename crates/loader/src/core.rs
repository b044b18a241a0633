//! CO-RE: adapts the instructions of a program to the kernel's types.

use panal_btf::core_relo::Relocator;
use panal_object::Object;

use crate::{Error, assemble::Assembled};

/// Applies the relocations of every function of a program.
pub(crate) fn relocate(
    object: &Object,
    program: &str,
    assembled: &mut Assembled,
    relocator: &mut Relocator<'_>,
) -> Result<(), Error> {
    for (id, start) in &assembled.pieces {
        let function = object.function(*id);
        for record in &function.core {
            let fail = |fault| Error::Core {
                program: program.to_owned(),
                function: function.name.to_string(),
                slot: record.slot,
                fault,
            };
            let resolution = relocator
                .resolve(&record.relocation)
                .map_err(|e| fail(e.to_string()))?;
            resolution
                .patch(&mut assembled.code, (start + record.slot) as usize)
                .map_err(|e| fail(format!("{}: {e}", relocator.describe(&record.relocation))))?;
        }
    }
    Ok(())
}
