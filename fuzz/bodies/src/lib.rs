//! What the fuzz targets do: one function of hostile bytes for each, that panics when a promise is
//! broken.
//!
//! To add a target: a module here with its function, a line in [`BODIES`], a file in
//! `fuzz_targets/` with its `[[bin]]`, and seeds in `corpus/NAME/`. The test in `tests/bounded.rs`
//! checks that none is forgotten, replays the corpus and mutates it for a while.

mod btf;
mod capture;
mod isa;
mod loader;
mod object;
mod profile;
mod sound;
mod verified;

pub use btf::{btf, core_relo};
pub use capture::capture;
pub use isa::isa;
pub use loader::loader;
pub use object::object;
pub use profile::profile;
pub use sound::{caged, compiled, ranges, sound};
pub use verified::verified;

/// A target's function.
pub type Body = fn(&[u8]);

/// Every target by name.
pub const BODIES: &[(&str, Body)] = &[
    ("isa", isa),
    ("btf", btf),
    ("core_relo", core_relo),
    ("object", object),
    ("capture", capture),
    ("profile", profile),
    ("loader", loader),
    ("sound", sound),
    ("ranges", ranges),
    ("verified", verified),
    ("caged", caged),
    ("compiled", compiled),
];
