//! Objects that others wrote, where they are installed.
#![allow(dead_code)]

use std::{fs, path::Path};

/// Where Debian's xdp-tools puts its objects.
pub const XDP_TOOLS: &str = "/usr/lib/x86_64-linux-gnu/bpf";

/// The objects of xdp-tools, and those embedded in the programs of libbpf-tools: where from, bytes.
pub fn objects() -> Vec<(String, Vec<u8>)> {
    let mut found = xdp_tools();
    found.extend(libbpf_tools());
    found
}

/// The objects of xdp-tools.
pub fn xdp_tools() -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(XDP_TOOLS).into_iter().flatten();
    files
        .map(|file| file.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect()
}

/// The objects embedded in the programs of libbpf-tools.
pub fn libbpf_tools() -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for file in fs::read_dir("/usr/sbin").into_iter().flatten() {
        let path = file.unwrap().path();
        for object in embedded(&program(&path)) {
            found.push((path.display().to_string(), object.to_vec()));
        }
    }
    found
}

/// The bytes of a program of its own: links have been seen under their first name.
fn program(path: &Path) -> Vec<u8> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() && (64..4 << 20).contains(&meta.len()) => {
            fs::read(path).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// ELF files of BPF within another file, each to the end of its section table.
fn embedded(bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let magic = [0x7f, b'E', b'L', b'F', 2, 1];
    let mut at = 1.min(bytes.len());
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
