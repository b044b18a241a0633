//! Objects that others wrote, where they are installed: Debian's xdp-tools and those embedded in
//! the programs of libbpf-tools.
#![allow(missing_docs)]

use std::{fs, path::Path};

use panal_object::Object;

#[test]
fn every_object_of_xdp_tools_opens() {
    let dir = Path::new("/usr/lib/x86_64-linux-gnu/bpf");
    let Ok(files) = fs::read_dir(dir) else {
        println!("skipped: xdp-tools is not installed ({})", dir.display());
        return;
    };
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        let object = Object::parse(&fs::read(&path).unwrap())
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(object.programs().count() > 0, "{}", path.display());
        count += 1;
    }
    println!("{count} objects");
}

/// ELF files of BPF within another file, each to the end of its section table.
fn embedded(bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let magic = [0x7f, b'E', b'L', b'F', 2, 1];
    let mut at = 1;
    while let Some(next) = bytes[at..].windows(6).position(|w| w == magic) {
        let object = &bytes[at + next..];
        at += next + 6;
        let word = |range: std::ops::Range<usize>| {
            let mut number = [0; 8];
            let bytes = object.get(range)?;
            number[..bytes.len()].copy_from_slice(bytes);
            Some(u64::from_le_bytes(number) as usize)
        };
        let (machine, start, size, count) =
            (word(18..20), word(40..48), word(58..60), word(60..62));
        if machine != Some(247) {
            continue;
        }
        let end = start
            .zip(size)
            .zip(count)
            .map(|((start, size), count)| start + size * count);
        if let Some(object) = end.and_then(|end| object.get(..end)) {
            found.push(object);
        }
    }
    found
}

#[test]
fn every_object_within_libbpf_tools_opens() {
    let mut count = 0;
    for file in fs::read_dir("/usr/sbin").into_iter().flatten() {
        let path = file.unwrap().path();
        let is_file = fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() < 4 << 20);
        let Some(bytes) = is_file.then(|| fs::read(&path).ok()).flatten() else {
            continue;
        };
        for object in if bytes.len() > 64 {
            embedded(&bytes)
        } else {
            Vec::new()
        } {
            let object =
                Object::parse(object).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert!(object.btf().is_some(), "{}", path.display());
            count += 1;
        }
    }
    match count {
        0 => println!("skipped: libbpf-tools is not installed"),
        count => println!("{count} objects"),
    }
}
