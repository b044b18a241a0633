//! `.BTF.ext`: the types of functions, source lines and CO-RE relocations, handed to each function.

use super::layout::Layout;
use crate::error::Error;

pub(super) fn attach(_layout: &mut Layout<'_, '_>) -> Result<(), Error> {
    Ok(())
}
