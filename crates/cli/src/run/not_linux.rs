//! `panal run --kernel linux` where there is no Linux.

use panal_loader::Open;

use crate::{args::Run, error::Problem};

/// Says so.
pub fn run(_: Open, _: &str, _: &Run) -> Result<u8, Problem> {
    Err(crate::kernels::not_linux())
}
