//! The abstract domains of numbers: known bits ([`Tnum`]), and intervals in four readings of the
//! same bits ([`Scalar`]).

mod scalar;
mod tnum;

pub use scalar::Scalar;
pub use tnum::Tnum;
