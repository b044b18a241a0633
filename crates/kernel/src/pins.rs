//! Pins: names that keep objects alive, with the look of a BPF file system.
//!
//! Panal's kernel lives and dies with its process, so the paths exist only in memory: nothing is
//! created on disk, and directories need not be made beforehand.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use panal_uapi::Errno;

use crate::fds::Object;

/// Longest path, as on Linux (`PATH_MAX` less the final zero).
const PATH_LIMIT: usize = 4095;

/// Longest name of one component (`NAME_MAX`).
const NAME_LIMIT: usize = 255;

/// Pinned objects by path.
#[derive(Default)]
pub(crate) struct Pins {
    objects: Mutex<BTreeMap<String, Object>>,
}

impl Pins {
    /// Pins an object: `EEXIST` when the name is taken, `EINVAL` for a BTF, which cannot be pinned.
    pub(crate) fn pin(&self, path: &str, object: Object) -> Result<(), Errno> {
        if matches!(object, Object::Btf(_) | Object::Stats(_)) {
            return Err(Errno::EINVAL);
        }
        let path = normalise(path)?;
        // Linux's BPF file system keeps names with a dot for itself.
        if path
            .rsplit('/')
            .next()
            .is_some_and(|name| name.contains('.'))
        {
            return Err(Errno::EPERM);
        }
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let below = format!("{path}/");
        let is_directory = objects
            .range(below.clone()..)
            .next()
            .is_some_and(|(p, _)| p.starts_with(&below));
        if is_directory || objects.contains_key(&path) {
            return Err(Errno::EEXIST);
        }
        for (end, _) in path.match_indices('/').skip(1) {
            if objects.contains_key(&path[..end]) {
                return Err(Errno::ENOTDIR);
            }
        }
        objects.insert(path, object);
        Ok(())
    }

    /// What is pinned at a path.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Object>, Errno> {
        let path = normalise(path)?;
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(objects.get(&path).cloned())
    }

    /// Removes a pin; false when there was none.
    pub(crate) fn unpin(&self, path: &str) -> Result<bool, Errno> {
        let path = normalise(path)?;
        let object = {
            let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
            objects.remove(&path)
        };
        Ok(object.is_some())
    }

    /// Everything that is pinned, by path.
    pub(crate) fn all(&self) -> Vec<(String, Object)> {
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let all = objects.iter();
        all.map(|(path, object)| (path.clone(), object.clone()))
            .collect()
    }

    /// Every path.
    pub(crate) fn paths(&self) -> Vec<String> {
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.keys().cloned().collect()
    }
}

/// An absolute path without empty components; relative ones begin at the usual mount point.
fn normalise(path: &str) -> Result<String, Errno> {
    if path.is_empty() || path.contains('\0') {
        return Err(Errno::ENOENT);
    }
    if path.len() > PATH_LIMIT {
        return Err(Errno::ENAMETOOLONG);
    }
    let mut out = String::with_capacity(path.len() + 16);
    if !path.starts_with('/') {
        out.push_str("/sys/fs/bpf");
    }
    for name in path
        .split('/')
        .filter(|name| !name.is_empty() && *name != ".")
    {
        if name == ".." {
            let end = out.rfind('/').unwrap_or(0);
            out.truncate(end);
            continue;
        }
        if name.len() > NAME_LIMIT {
            return Err(Errno::ENAMETOOLONG);
        }
        out.push('/');
        out.push_str(name);
    }
    if out.is_empty() {
        Err(Errno::EISDIR)
    } else {
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_mean_the_same_are_the_same() {
        let same = [
            "/sys/fs/bpf/a/b",
            "a/b",
            "/sys//fs/bpf/./a/b/",
            "/sys/fs/bpf/x/../a/b",
        ];
        for path in same {
            assert_eq!(normalise(path).as_deref(), Ok("/sys/fs/bpf/a/b"), "{path}");
        }
        assert_eq!(normalise(""), Err(Errno::ENOENT));
        assert_eq!(normalise("/.."), Err(Errno::EISDIR));
        assert_eq!(normalise(&"x".repeat(300)), Err(Errno::ENAMETOOLONG));
    }
}
