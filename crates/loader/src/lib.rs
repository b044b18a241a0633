//! Opens an object, relocates it, creates its maps, loads its programs, attaches them.
//!
//! Each step is a type that only the step before makes:
//!
//! ```text
//! Object ──Open::new──▶ Open ──prepare──▶ Prepared ──load──▶ Loaded ──attach──▶ Fd of a link
//! ```
//!
//! On [`Open`], programs are chosen, maps resized and global variables set. [`Prepared`] has its
//! maps in the kernel and can load one program at a time, which is what a verifier's report wants;
//! [`Loaded`] has all that were chosen.
#![forbid(unsafe_code)]

mod assemble;
mod attach;
mod core;
mod error;
mod externs;
mod kconfig;
mod loaded;
mod maps;
mod open;
mod place;
mod places;
mod prepare;
mod scope;
mod struct_ops;
mod target;
mod types;
mod usdt;
mod user;

pub use attach::{Placement, Sampling};
pub use error::{Blame, Error, Rejected};
pub use loaded::{Loaded, LoadedMap, LoadedProgram};
pub use open::{MapPlan, Open, ProgramPlan};
pub use place::Place;
pub use places::{NetfilterHook, Places, Way};
pub use prepare::Prepared;
pub use scope::Scope;
