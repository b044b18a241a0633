//! Pins: files of BPF file systems.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use panal_uapi::{
    Command, Errno,
    inspect::{Inspect, ObjectKind, OpenFlags, Pin},
    kernel::{Failure, Fd, Kernel},
};

use crate::{LinuxKernel, sys::failure};

/// Deepest that directories are walked.
const DEPTH: u32 = 32;

/// What a descriptor of this process is of.
pub fn kind_of(number: i32) -> Option<ObjectKind> {
    let link = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
    Some(match link.to_str()?.trim_start_matches("anon_inode:") {
        "bpf-prog" => ObjectKind::Program,
        "bpf-map" => ObjectKind::Map,
        "bpf_link" | "[bpf_link]" | "bpf-link" => ObjectKind::Link,
        "btf" | "[btf]" => ObjectKind::Btf,
        _ => return None,
    })
}

/// Why a path cannot be pinned at or opened, and what to do.
pub fn explain(path: &str, errno: Errno) -> String {
    let parent = Path::new(path)
        .parent()
        .filter(|p| !p.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    match errno {
        Errno::EEXIST => format!("{path} exists already: choose another path, or remove it first"),
        Errno::ENOENT | Errno::EPERM | Errno::EACCES | Errno::EROFS if !in_bpf_fs(path) => {
            outside(path)
        }
        Errno::ENOENT => format!("{path}: the directory {} does not exist", parent.display()),
        Errno::EACCES if Path::new(path).is_dir() => {
            format!("{path} is a directory of pins, not one of them")
        }
        Errno::EPERM | Errno::EACCES => format!(
            "{path}: no right to it, or a name with a dot, which the BPF file system does not take"
        ),
        Errno::EINVAL => format!("{path}: not something that is pinned there"),
        _ => path.to_owned(),
    }
}

/// Why nothing can be pinned at a path and what to do, if it is in no BPF file system.
pub fn no_place_for_pins(path: &str) -> Option<String> {
    (!in_bpf_fs(path)).then(|| outside(path))
}

fn outside(path: &str) -> String {
    match mounts(|kind| kind == "bpf").next() {
        None => format!(
            "{path} is not in a BPF file system, and none is mounted: \
             mount -t bpf bpf /sys/fs/bpf, and pin below it"
        ),
        Some(mount) => format!(
            "{path} is not in a BPF file system; one is mounted at {}",
            mount.display()
        ),
    }
}

/// `BPF_FS_MAGIC`, as /proc/self/mounts tells it: `bpf`. What does not exist yet is where its
/// directory is; of what the caller may not look at, the answer is yes: the rights are to blame.
fn in_bpf_fs(path: &str) -> bool {
    let nearest = Path::new(path)
        .ancestors()
        .map(|path| match path.as_os_str().is_empty() {
            true => Path::new(".").canonicalize(),
            false => path.canonicalize(),
        })
        .find(|real| !matches!(real, Err(e) if e.kind() == io::ErrorKind::NotFound));
    let Some(Ok(real)) = nearest else {
        return true;
    };
    let device = |path: &Path| fs::metadata(path).ok().map(|m| m.dev());
    mounts(|kind| kind == "bpf")
        .any(|mount| real.starts_with(&mount) && device(&mount) == device(&real))
}

/// Where file systems of a type are mounted.
fn mounts(wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = PathBuf> {
    let text = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let found: Vec<PathBuf> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (_, path, kind) = (words.next()?, words.next()?, words.next()?);
            wanted(kind).then(|| PathBuf::from(unescape(path)))
        })
        .collect();
    found.into_iter()
}

/// Mount tables write spaces and the like as `\040`.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let digits = rest.get(at + 1..at + 4);
        match digits.and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(byte) => {
                out.push(byte as char);
                rest = &rest[at + 4..];
            }
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Everything pinned that the caller may open.
pub fn all(kernel: &LinuxKernel) -> Vec<Pin> {
    let mut pins = Vec::new();
    for mount in mounts(|kind| kind == "bpf") {
        walk(kernel, &mount, DEPTH, &mut pins);
    }
    pins.sort_by(|a, b| a.path.cmp(&b.path));
    pins.dedup();
    pins
}

fn walk(kernel: &LinuxKernel, directory: &Path, depth: u32, pins: &mut Vec<Pin>) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(kernel, &path, depth, pins),
            Ok(kind) if kind.is_file() => pins.extend(pin(kernel, &path)),
            _ => {}
        }
    }
}

fn pin(kernel: &LinuxKernel, path: &Path) -> Option<Pin> {
    let path = path.to_str()?;
    let fd = open(kernel, path).ok()??;
    let kind = kernel.kind_of(&fd).ok()?;
    Some(Pin {
        path: path.to_owned(),
        kind,
        id: id(kernel, kind, &fd)?,
    })
}

/// Opens a pin with the least rights: only maps can be had for reading alone, and links not at all.
fn open(kernel: &LinuxKernel, path: &str) -> Result<Option<Fd>, Failure> {
    match kernel.get_pinned_as(path, OpenFlags::RDONLY) {
        Err(failure) if failure.errno == Errno::EINVAL => {
            kernel.get_pinned_as(path, OpenFlags::empty())
        }
        opened => opened,
    }
}

fn id(kernel: &LinuxKernel, kind: ObjectKind, fd: &Fd) -> Option<u32> {
    match kind {
        ObjectKind::Program => kernel.prog_info(fd).ok().map(|i| i.id),
        ObjectKind::Map => kernel.map_info(fd).ok().map(|i| i.id),
        ObjectKind::Link => kernel.link_info(fd).ok().map(|i| i.id),
        ObjectKind::Btf => kernel.btf_info(fd).ok().map(|i| i.id),
    }
}

/// Removes a pin, and nothing but a pin.
pub fn unpin(kernel: &LinuxKernel, path: &str) -> Result<bool, Failure> {
    if open(kernel, path)?.is_none() {
        return Ok(false);
    }
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => {
            let errno = Errno(e.raw_os_error().unwrap_or(libc::EIO));
            Err(failure(Command::ObjPin, errno, format!("removing {path}")))
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_of_the_mount_table_are_read() {
        assert_eq!(super::unescape(r"/mnt/a\040b\134c"), r"/mnt/a b\c");
        assert_eq!(super::unescape(r"/plain\"), r"/plain\");
    }
}
