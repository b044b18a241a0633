//! The file: a magic number, a format version, then the answers as JSON and the kernel's types as BTF,
//! each deflated, with sizes and checksums. Every byte may be hostile.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `PANALPRF` |
//! | 8..12 | format version, 1 |
//! | 12..36 | of the answers, then of the types: stored size, size, FNV-1a (each 4 bytes) |
//! | 36.. | the answers, the types |
//!
//! Numbers are little endian. A file without types stores 0 bytes of them.

use std::sync::Arc;

use miniz_oxide::{deflate::compress_to_vec_zlib, inflate::decompress_to_vec_zlib_with_limit};
use panal_btf::{Btf, BtfError};
use panal_uapi::profile::{BPF_MAXINSNS, Limits, Profile};

use crate::Features;

/// How a file begins.
pub const MAGIC: [u8; 8] = *b"PANALPRF";
/// The format that is written.
const FORMAT: u32 = 1;
/// Where the answers begin.
const HEADER: usize = 36;
/// Most bytes of answers that are unpacked; a kernel's are some 100 KB.
const MOST_FACTS: usize = 8 << 20;
/// Most bytes of types that are unpacked; a kernel's are some 5 MB.
const MOST_TYPES: usize = 128 << 20;
/// How hard to pack: the time of a capture matters, too.
const LEVEL: u8 = 6;

/// A kernel as it was captured.
#[derive(Clone, Debug)]
pub struct Captured {
    /// Its answers.
    pub features: Features,
    /// Its types, as it told them; empty where it told none.
    pub btf: Vec<u8>,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Another kind of file.
    #[error("not a profile: it does not begin with PANALPRF")]
    Magic,
    /// From another version of Panal.
    #[error("profile format {0}; this version of Panal reads format {FORMAT}")]
    Format(u32),
    /// It ends too early, or goes on too long.
    #[error("{what}: the file has {has} bytes, its header says {says}")]
    Size {
        /// Which part.
        what: &'static str,
        /// Bytes that are there.
        has: usize,
        /// Bytes that should be.
        says: u64,
    },
    /// A part cannot be unpacked, or is not what was packed.
    #[error("{0}: damaged")]
    Damaged(&'static str),
    /// A part is larger than any kernel's.
    #[error("{what}: {says} bytes are more than any kernel has")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size.
        says: u32,
    },
    /// The answers are not as expected.
    #[error("answers: {0}")]
    Facts(#[from] serde_json::Error),
    /// The types are not valid.
    #[error("types: {0}")]
    Types(#[from] BtfError),
}

/// A part as the header describes it.
struct Part {
    what: &'static str,
    stored: u32,
    size: u32,
    sum: u32,
}

impl Captured {
    /// As a file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FileError> {
        let facts = serde_json::to_vec(&self.features)?;
        let mut header = Vec::from(MAGIC);
        header.extend(FORMAT.to_le_bytes());
        let mut body = Vec::new();
        for (what, bytes) in [("answers", &facts), ("types", &self.btf)] {
            let packed = match bytes.len() {
                0 => Vec::new(),
                _ => compress_to_vec_zlib(bytes, LEVEL),
            };
            let size = |len: usize| {
                u32::try_from(len).map_err(|_| FileError::TooLarge {
                    what,
                    says: u32::MAX,
                })
            };
            header.extend(size(packed.len())?.to_le_bytes());
            header.extend(size(bytes.len())?.to_le_bytes());
            header.extend(fnv(bytes).to_le_bytes());
            body.extend(packed);
        }
        header.extend(body);
        Ok(header)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Anything but what [`Captured::to_bytes`] writes.
    pub fn parse(bytes: &[u8]) -> Result<Captured, FileError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(FileError::Magic);
        }
        let header = |at: usize| -> Result<u32, FileError> {
            let word = bytes.get(at..at + 4).and_then(|w| w.try_into().ok());
            word.map(u32::from_le_bytes).ok_or(FileError::Size {
                what: "header",
                has: bytes.len(),
                says: HEADER as u64,
            })
        };
        let format = header(8)?;
        if format != FORMAT {
            return Err(FileError::Format(format));
        }
        let part = |what, at| -> Result<Part, FileError> {
            Ok(Part {
                what,
                stored: header(at)?,
                size: header(at + 4)?,
                sum: header(at + 8)?,
            })
        };
        let (facts, types) = (part("answers", 12)?, part("types", 24)?);
        let says = HEADER as u64 + u64::from(facts.stored) + u64::from(types.stored);
        if says != bytes.len() as u64 {
            return Err(FileError::Size {
                what: "parts",
                has: bytes.len(),
                says,
            });
        }
        let (packed_facts, packed_types) = bytes[HEADER..].split_at(facts.stored as usize);
        let features = facts.unpack(packed_facts, MOST_FACTS)?;
        Ok(Captured {
            features: Features::from_json(&features)?,
            btf: types.unpack(packed_types, MOST_TYPES)?,
        })
    }

    /// As the kernel that a program is verified for, by a loader with every capability. `types` are used where the file has none.
    ///
    /// # Errors
    /// Types that are not valid.
    pub fn profile(&self, name: &str, types: &Arc<Btf>) -> Result<Profile, FileError> {
        let btf = match self.btf.as_slice() {
            [] => types.clone(),
            bytes => Arc::new(Btf::parse(bytes)?),
        };
        let mut limits = Limits::LINUX;
        if self.features.verifier.get("large_insn_limit") == Some(&crate::Answer::NO) {
            limits.instructions = BPF_MAXINSNS;
        }
        Ok(Profile {
            limits,
            offers: self.features.offers(),
            ..Profile::new(name, self.features.version, btf)
        }
        .with_cpus(self.features.cpus))
    }
}

impl Part {
    fn unpack(&self, packed: &[u8], most: usize) -> Result<Vec<u8>, FileError> {
        if self.size as usize > most {
            return Err(FileError::TooLarge {
                what: self.what,
                says: self.size,
            });
        }
        let bytes = match packed {
            [] => Vec::new(),
            packed => decompress_to_vec_zlib_with_limit(packed, self.size as usize)
                .map_err(|_| FileError::Damaged(self.what))?,
        };
        if bytes.len() != self.size as usize || fnv(&bytes) != self.sum {
            return Err(FileError::Damaged(self.what));
        }
        Ok(bytes)
    }
}

/// FNV-1a, 32 bits: against accidents, not against malice.
fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Answer;

    fn captured() -> Captured {
        let mut features = Features {
            kernel: "linux 5.4.0".into(),
            version: 5 << 16 | 4 << 8,
            ..Features::default()
        };
        features.program_types.insert("xdp".into(), Answer::YES);
        let why = Answer::Unknown("refused".into());
        features.program_types.insert("lsm".into(), why);
        features
            .helpers
            .insert("xdp".into(), Ok(vec!["redirect".into()]));
        Captured {
            features,
            btf: vec![7; 1000],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let captured = captured();
        let read = Captured::parse(&captured.to_bytes().unwrap()).unwrap();
        assert_eq!(read.features, captured.features);
        assert_eq!(read.btf, captured.btf);
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_an_error() {
        let bytes = captured().to_bytes().unwrap();
        for len in 0..bytes.len() {
            assert!(Captured::parse(&bytes[..len]).is_err(), "cut at {len}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            assert!(Captured::parse(&changed).is_err(), "byte {at} changed");
        }
    }

    #[test]
    fn a_file_that_claims_gigabytes_is_refused_before_it_is_unpacked() {
        let mut bytes = captured().to_bytes().unwrap();
        bytes[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = Captured::parse(&bytes).unwrap_err();
        assert!(matches!(error, FileError::TooLarge { what: "types", .. }));
    }
}
