//! Probes in user space: from the names in a section to places in a file.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use panal_object::binary::{Binary, Probe};
use panal_uapi::kernel::UserSite;

/// A program or library that was found and read.
pub(crate) struct UserBinary {
    /// Where it was found.
    pub path: String,
    binary: Binary,
}

impl UserBinary {
    /// Finds and reads it. A name without a slash is looked for as a library where the dynamic
    /// linker looks, or else as a program in `PATH`.
    pub fn open(name: &str) -> Result<UserBinary, String> {
        let path = find(name)?;
        let wrong = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
        let bytes = fs::read(&path).map_err(|e| wrong(&e))?;
        let binary = Binary::parse(&bytes).map_err(|e| wrong(&e))?;
        let path = path
            .to_str()
            .ok_or_else(|| wrong(&"the path is not UTF-8"))?
            .to_owned();
        Ok(UserBinary { path, binary })
    }

    /// The place `offset` bytes into a function, or into the file when it has no name.
    pub fn site(&self, function: &str, offset: u64) -> Result<UserSite, String> {
        let start = match function.is_empty() {
            true => 0,
            false => self
                .binary
                .find(function)
                .map_err(|e| format!("{}: {e}", self.path))?,
        };
        Ok(UserSite {
            offset: start.wrapping_add(offset),
            ..UserSite::default()
        })
    }

    /// The functions whose names match a pattern with `*` and `?`, each once.
    pub fn sites(&self, pattern: &str) -> Result<Vec<UserSite>, String> {
        let functions = self.binary.functions().iter();
        let mut offsets: Vec<u64> = functions
            .filter(|f| !f.chooses && panal_uapi::section::matches(pattern, &f.name))
            .map(|f| f.offset)
            .collect();
        offsets.sort_unstable();
        offsets.dedup();
        if offsets.is_empty() {
            return Err(format!("{}: no function matches {pattern}", self.path));
        }
        let site = |offset| UserSite {
            offset,
            ..UserSite::default()
        };
        Ok(offsets.into_iter().map(site).collect())
    }

    /// The places of a statically defined probe.
    pub fn probes(&self, provider: &str, name: &str) -> Result<Vec<&Probe>, String> {
        let probes = self.binary.probes();
        let found: Vec<_> = probes
            .iter()
            .filter(|p| &*p.provider == provider && &*p.name == name)
            .collect();
        match (found.is_empty(), probes.is_empty()) {
            (false, _) => Ok(found),
            (true, true) => Err(format!("{}: it has no USDT probes at all", self.path)),
            (true, false) => Err(format!(
                "{}: it has no USDT probe {provider}:{name}",
                self.path
            )),
        }
    }
}

/// Where libraries are, beside what `LD_LIBRARY_PATH` says.
const LIBRARIES: &[&str] = &["/usr/lib64", "/lib64", "/usr/lib", "/lib"];
/// Where programs are, beside what `PATH` says.
const PROGRAMS: &[&str] = &["/usr/bin", "/usr/sbin"];

fn find(name: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let is_library = name.ends_with(".so") || name.contains(".so.");
    let (variable, usual) = match is_library {
        true => ("LD_LIBRARY_PATH", LIBRARIES),
        false => ("PATH", PROGRAMS),
    };
    let told = env::var_os(variable).unwrap_or_default();
    // Debian keeps libraries by architecture.
    let multiarch = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    let directories = env::split_paths(&told)
        .chain(is_library.then(|| PathBuf::from(multiarch)))
        .chain(usual.iter().map(PathBuf::from));
    directories
        .filter(|directory| directory != Path::new(OsStr::new("")))
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            let what = if is_library { "library" } else { "program" };
            format!("{name}: there is no such {what} in {variable} nor where they usually are")
        })
}
