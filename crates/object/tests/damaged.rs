//! Damaged files: an error that says where, never a panic.
#![allow(missing_docs)]

use std::{fs, path::Path};

use panal_object::{Blame, Fault, Object};

fn objects() -> Vec<(String, Vec<u8>)> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects");
    let mut found = Vec::new();
    for dir in [own.as_path(), Path::new("/usr/lib/x86_64-linux-gnu/bpf")] {
        let Ok(files) = fs::read_dir(dir) else {
            continue;
        };
        for file in files {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|e| e == "o") {
                found.push((path.display().to_string(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// A small generator of numbers (splitmix64): the same run each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[test]
fn truncated_files_are_refused_or_complete() {
    for (name, bytes) in objects() {
        // The section table stands at the end: without it nothing can be read.
        let step = (bytes.len() / 200).max(1);
        for length in (0..bytes.len()).step_by(step) {
            let error = Object::parse(&bytes[..length]).expect_err(&name);
            assert_eq!(
                error.blame(),
                Blame::File,
                "{name} cut to {length}: {error}"
            );
            assert!(!error.to_string().is_empty());
        }
    }
}

#[test]
fn flipped_bits_never_panic() {
    let mut random = Random(7);
    for (name, bytes) in objects() {
        let mut accepted = 0;
        for _ in 0..400 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + random.next() % 3 {
                let at = random.next() as usize % damaged.len();
                damaged[at] ^= 1 << (random.next() % 8);
            }
            match Object::parse(&damaged) {
                Ok(_) => accepted += 1,
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
        assert!(accepted < 400, "{name}: no damage was noticed");
    }
}

#[test]
fn other_files_are_named_for_what_they_are() {
    let fault = |bytes: &[u8]| Object::parse(bytes).unwrap_err().fault;
    assert_eq!(fault(b""), Fault::NotElf);
    assert_eq!(fault(b"#!/bin/sh\n"), Fault::NotElf);
    assert_eq!(fault(b"BC\xc0\xde----"), Fault::Bitcode);
    assert_eq!(fault(b"\x7fELF\x01\x01\x01"), Fault::Class32);
    let own = fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(matches!(
        fault(&own),
        Fault::Machine(_) | Fault::NotRelocatable(_)
    ));
}
