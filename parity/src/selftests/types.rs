//! The types of Linux 6.12, out of Debian's kernel package: downloaded and unpacked at the time of
//! the run, never kept in the project.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use object::{Object as _, ObjectSection as _};
use panal_btf::Btf;
use panal_parity::build::root;

/// The package that always depends on the newest image of its kind: the one for virtual machines, a
/// third of the usual one's size, with the same verifier.
const META_PACKAGE: &str = "linux-image-6.12-cloud-amd64";
/// A file with a 6.12 kernel's BTF that is used instead.
const VARIABLE: &str = "PANAL_LINUX_6_12_BTF";

/// The types of Linux 6.12.
pub fn linux_6_12() -> Result<Btf, String> {
    let bytes = match std::env::var_os(VARIABLE) {
        Some(path) => read(Path::new(&path))?,
        None => kept()?,
    };
    Btf::parse(&bytes).map_err(|e| format!("the types of Linux 6.12: {e}"))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// The BTF that an earlier run unpacked, or a new one.
fn kept() -> Result<Vec<u8>, String> {
    let path = root()?.join("linux-6.12.btf");
    if let Ok(bytes) = fs::read(&path) {
        return Ok(bytes);
    }
    let folder = root()?.join("package");
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let image = kernel_image(&download(&folder)?)?;
    let bytes = btf_of(&unpack(&image)?)?;
    fs::write(&path, &bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    // The package is large and has served.
    let _ = fs::remove_dir_all(&folder);
    Ok(bytes)
}

fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stderr(Stdio::null())
        .output()
        .map_err(|e| format!("{name}: {e}"))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{name} failed"))
    }
}

/// The package file, downloaded by apt-get.
fn download(folder: &Path) -> Result<PathBuf, String> {
    let depends = output(Command::new("apt-cache").args(["depends", META_PACKAGE]))?;
    let depends = String::from_utf8_lossy(&depends);
    let package = depends
        .split_whitespace()
        .find(|word| word.starts_with("linux-image-6.12."))
        .ok_or_else(|| format!("apt-get knows no {META_PACKAGE}"))?;
    output(
        Command::new("apt-get")
            .args(["download", "-qq", package])
            .current_dir(folder),
    )?;
    let files = fs::read_dir(folder).map_err(|e| e.to_string())?;
    files
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|e| e == "deb"))
        .ok_or_else(|| format!("apt-get downloaded nothing for {package}"))
}

/// `/boot/vmlinuz-*` of the package.
fn kernel_image(package: &Path) -> Result<Vec<u8>, String> {
    let mut dpkg = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("dpkg-deb: {e}"))?;
    let tar = dpkg.stdout.take().ok_or("dpkg-deb has no output")?;
    let image = output(
        Command::new("tar")
            .args(["-xO", "--wildcards", "./boot/vmlinuz-*"])
            .stdin(tar),
    );
    dpkg.wait().map_err(|e| format!("dpkg-deb: {e}"))?;
    image
}

/// The kernel proper out of a bzImage: `setup_sects`, `payload_offset` and `payload_length` of
/// Linux's x86 boot protocol tell where it lies.
fn unpack(image: &[u8]) -> Result<Vec<u8>, String> {
    let no_image = || "the package's kernel is no bzImage".to_owned();
    let word = |at: usize| -> Option<usize> {
        let bytes = image.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes) as usize)
    };
    if image.get(0x202..0x206) != Some(b"HdrS") {
        return Err(no_image());
    }
    let sectors = usize::from(*image.get(0x1f1).ok_or_else(no_image)?);
    let setup = (sectors.max(1) + 1) * 512;
    let (offset, len) = word(0x248).zip(word(0x24c)).ok_or_else(no_image)?;
    let payload = image
        .get(setup + offset..setup + offset + len)
        .ok_or_else(no_image)?;
    let mut kernel = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(payload)
        .map_err(|e| format!("the package's kernel is not packed by zstd: {e}"))?
        .read_to_end(&mut kernel)
        .map_err(|e| format!("the package's kernel: {e}"))?;
    Ok(kernel)
}

fn btf_of(kernel: &[u8]) -> Result<Vec<u8>, String> {
    let file = object::File::parse(kernel).map_err(|e| format!("the package's kernel: {e}"))?;
    let section = file
        .section_by_name(".BTF")
        .ok_or("the package's kernel has no types")?;
    let bytes = section.data().map_err(|e| e.to_string())?;
    Ok(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use panal_btf::KindTag;

    use super::*;

    /// Downloaded once; later runs find what was kept.
    #[test]
    fn the_types_come_out_of_debian_s_package() {
        let btf = match linux_6_12() {
            Ok(btf) => btf,
            Err(why) => return println!("skipped: {why}"),
        };
        for (name, kind) in [
            ("task_struct", KindTag::Struct),
            ("bpf_prog_load", KindTag::Func),
            // Came with Linux 6.11.
            ("bpf_iter_bits_new", KindTag::Func),
        ] {
            assert!(btf.find(name, kind).is_some(), "{name}");
        }
        // Came with Linux 6.15.
        assert!(btf.find("bpf_res_spin_lock", KindTag::Func).is_none());
    }

    /// A bzImage of one sector of setup, whose payload lies at this offset and is this long.
    fn image(offset: u32, len: u32, payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248..0x24c].copy_from_slice(&offset.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&len.to_le_bytes());
        image.extend(payload);
        image
    }

    #[test]
    fn what_is_no_kernel_is_told() {
        for (bytes, says) in [
            (Vec::new(), "no bzImage"),
            (vec![0; 4096], "no bzImage"),
            (image(0, 5000, b"short"), "no bzImage"),
            (image(u32::MAX, u32::MAX, b""), "no bzImage"),
            (image(0, 5, b"short"), "zstd"),
        ] {
            let error = unpack(&bytes).expect_err(says);
            assert!(error.contains(says), "{error}");
        }
        for bytes in [&b""[..], b"\x7fELF", &[0; 4096]] {
            assert!(btf_of(bytes).is_err());
        }
    }
}
