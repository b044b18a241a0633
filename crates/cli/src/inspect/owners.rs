//! Which processes hold an object of Linux: /proc tells of those that the caller may look into.

use std::{collections::BTreeMap, fs, path::Path};

use panal_uapi::inspect::ObjectKind;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    pub pid: u32,
    pub comm: String,
}

/// Owners by kind and id.
#[derive(Default)]
pub struct Owners(BTreeMap<(ObjectKind, u32), Vec<Owner>>);

impl Owners {
    /// Looks through /proc once; the command's own descriptors do not count.
    pub fn read() -> Owners {
        let mut owners = Owners::default();
        let own = std::process::id();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid: Option<u32> = entry.file_name().to_str().and_then(|n| n.parse().ok());
            if let Some(pid) = pid.filter(|pid| *pid != own) {
                owners.add(pid, &entry.path());
            }
        }
        for list in owners.0.values_mut() {
            list.sort();
            list.dedup();
        }
        owners
    }

    fn add(&mut self, pid: u32, process: &Path) {
        let mut comm = None;
        for fd in fs::read_dir(process.join("fd"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let Some(object) = object(process, &fd.path()) else {
                continue;
            };
            let comm = comm.get_or_insert_with(|| {
                let text = fs::read_to_string(process.join("comm")).unwrap_or_default();
                text.trim_end().to_owned()
            });
            let comm = comm.clone();
            self.0.entry(object).or_default().push(Owner { pid, comm });
        }
    }

    /// Who holds an object.
    pub fn of(&self, kind: ObjectKind, id: u32) -> &[Owner] {
        self.0.get(&(kind, id)).map_or(&[], Vec::as_slice)
    }
}

/// The object that a descriptor is of, by its fdinfo.
fn object(process: &Path, fd: &Path) -> Option<(ObjectKind, u32)> {
    let link = fs::read_link(fd).ok()?;
    let (kind, key) = match link.to_str()?.strip_prefix("anon_inode:")? {
        "bpf-prog" => (ObjectKind::Program, "prog_id"),
        "bpf-map" => (ObjectKind::Map, "map_id"),
        "bpf_link" | "[bpf_link]" | "bpf-link" => (ObjectKind::Link, "link_id"),
        "btf" | "[btf]" => (ObjectKind::Btf, "btf_id"),
        _ => return None,
    };
    let info = fs::read_to_string(process.join("fdinfo").join(fd.file_name()?)).ok()?;
    let mut pairs = info.lines().filter_map(|line| line.split_once(':'));
    let (_, id) = pairs.find(|(name, _)| *name == key)?;
    Some((kind, id.trim().parse().ok()?))
}
