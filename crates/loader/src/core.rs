//! CO-RE: adapts the instructions of a program to the kernel's types.

use panal_btf::core_relo::{Patched, Relocator};
use panal_object::Object;

use crate::{Error, assemble::Assembled};

/// Applies the relocations of every function of a program. What the kernel does not have poisons
/// its instruction; the slots of those are returned with a description.
pub(crate) fn relocate(
    object: &Object,
    program: &str,
    assembled: &mut Assembled,
    relocator: &mut Relocator<'_>,
) -> Result<Vec<(u32, String)>, Error> {
    let mut poisoned = Vec::new();
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
            let slot = start + record.slot;
            let patched = resolution
                .patch(&mut assembled.code, slot as usize)
                .map_err(|e| fail(format!("{}: {e}", relocator.describe(&record.relocation))))?;
            if patched == Patched::Poisoned {
                poisoned.push((slot, relocator.describe(&record.relocation)));
            }
        }
    }
    Ok(poisoned)
}
