//! Unpacks and compiles the selftests of Linux 6.12.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use panal_btf::Btf;

const SOURCE: &str = "/usr/src/linux-source-6.12.tar.xz";
const COMPILER: &str = "clang-22";
const HELPER_DEFINITIONS: &str = "/usr/include/bpf/bpf_helper_defs.h";
/// What is taken from the package.
const PARTS: &[&str] = &[
    "linux-source-6.12/tools/testing/selftests/bpf",
    "linux-source-6.12/tools/lib/bpf",
    "linux-source-6.12/tools/include",
];

/// Objects that were compiled, and sources that could not be.
pub struct Built {
    /// Paths of the objects.
    pub objects: Vec<PathBuf>,
    /// Names, with the compiler's first error.
    pub failed: Vec<String>,
}

/// Where sources are unpacked and objects are written.
///
/// # Errors
/// The folder cannot be made.
pub fn root() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("no parent folder")?
        .join("target/selftests");
    fs::create_dir_all(&root).map_err(|e| format!("{}: {e}", root.display()))?;
    Ok(root)
}

/// Compiles `verifier_*.c`, or the programs of the names given, against the types of a kernel.
/// `kernel` names the folder of the objects.
///
/// # Errors
/// Sources or compiler are not there, or the folder cannot be written.
pub fn build(kernel: &str, types: &Btf, names: &[String]) -> Result<Built, String> {
    if !Path::new(SOURCE).exists() {
        return Err(format!(
            "{SOURCE} is not installed (Debian's linux-source-6.12)"
        ));
    }
    if Command::new(COMPILER).arg("--version").output().is_err() {
        return Err(format!("{COMPILER} is not installed"));
    }
    let source = unpack(&root()?)?;
    let root = root()?.join(kernel);
    fs::create_dir_all(&root).map_err(|e| format!("{}: {e}", root.display()))?;
    header(types, &root)?;
    libbpf_headers(&source, &root)?;
    let mut built = Built {
        objects: Vec::new(),
        failed: Vec::new(),
    };
    for path in sources(&source.join("tools/testing/selftests/bpf/progs"), names)? {
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let object = root.join(format!("{stem}.bpf.o"));
        match compile(&path, &object, &source, &root) {
            Ok(()) => built.objects.push(object),
            Err(why) => built.failed.push(format!("{stem}: {why}")),
        }
    }
    Ok(built)
}

fn unpack(root: &Path) -> Result<PathBuf, String> {
    let source = root.join("linux-source-6.12");
    if source.join("tools/include").exists() {
        return Ok(source);
    }
    let status = Command::new("tar")
        .args(["-xf", SOURCE, "-C"])
        .arg(root)
        .args(PARTS)
        .status()
        .map_err(|e| format!("tar: {e}"))?;
    if status.success() {
        Ok(source)
    } else {
        Err(format!("tar cannot unpack {SOURCE}"))
    }
}

/// libbpf's headers of the same version, where the sources look for them; the generated one is the
/// installed library's.
fn libbpf_headers(source: &Path, root: &Path) -> Result<(), String> {
    let to = root.join("bpf");
    fs::create_dir_all(&to).map_err(|e| e.to_string())?;
    let from = source.join("tools/lib/bpf");
    let entries = fs::read_dir(&from).map_err(|e| format!("{}: {e}", from.display()))?;
    let headers = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "h"))
        .chain([PathBuf::from(HELPER_DEFINITIONS)]);
    for header in headers {
        let name = header.file_name().unwrap_or_default();
        fs::copy(&header, to.join(name)).map_err(|e| format!("{}: {e}", header.display()))?;
    }
    Ok(())
}

/// The kernel's types as C, printed by our own printer.
fn header(types: &Btf, root: &Path) -> Result<(), String> {
    let text = types
        .to_c()
        .map_err(|e| format!("the kernel's types as C: {e}"))?;
    fs::write(root.join("vmlinux.h"), text).map_err(|e| e.to_string())
}

fn sources(folder: &Path, names: &[String]) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let stem = name.trim_end_matches(".c");
            name.ends_with(".c")
                && match names {
                    [] => name.starts_with("verifier_"),
                    names => names.iter().any(|n| n == stem),
                }
        })
        .collect();
    found.sort();
    Ok(found)
}

fn compile(path: &Path, object: &Path, source: &Path, root: &Path) -> Result<(), String> {
    let output = Command::new(COMPILER)
        .args([
            "-O2",
            "-g",
            "-target",
            "bpf",
            "-mcpu=v3",
            "-D__TARGET_ARCH_x86",
            "-w",
        ])
        .arg("-I")
        .arg(root)
        .arg("-I")
        .arg(source.join("tools/testing/selftests/bpf"))
        .arg("-I")
        .arg(source.join("tools/testing/selftests/bpf/progs"))
        .arg("-I")
        .arg(source.join("tools/include/uapi"))
        .arg("-I")
        .arg(source.join("tools/include"))
        .args(["-idirafter", "/usr/include/x86_64-linux-gnu", "-c"])
        .arg(path)
        .arg("-o")
        .arg(object)
        .output()
        .map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(stderr
        .lines()
        .find(|l| l.contains("error"))
        .unwrap_or("does not compile")
        .to_owned())
}
