//! Opens an object, relocates it, creates its maps, loads its programs, attaches them.
#![forbid(unsafe_code)]
