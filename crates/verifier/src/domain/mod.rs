//! The abstract domains of numbers: known bits ([`Tnum`]), and intervals in four readings of the
//! same bits ([`Scalar`]).

mod arith;
mod compare;
mod extend;
mod scalar;
mod tnum;

pub use compare::{branch_taken, refine, refine_itself};
pub use scalar::Scalar;
pub use tnum::Tnum;

#[cfg(test)]
mod tests;
