//! [`Inspect`]: listing and looking into what the running kernel holds.

mod kallsyms;
mod links;
mod pins;
mod programs;

pub(crate) use pins::explain as explain_path;
pub use pins::no_place_for_pins;

use std::fs;

use panal_uapi::{
    Command, Errno,
    attr::{BtfInfoBytes, EnableStats, GetId, GetInfo, ObjPin},
    inspect::{Batch, BtfInfo, Inspect, LinkInfo, ObjectKind, OpenFlags, Pin, ProgCode, ProgInfo},
    kernel::{Failure, Fd},
};

use crate::{
    LinuxKernel, batch, maps,
    sys::{bpf, c_string, failure, into_fd},
};

/// `BPF_STATS_RUN_TIME`
const BPF_STATS_RUN_TIME: u32 = 0;

/// What a command that needs privileges wants.
fn privilege(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM => "Linux asks for CAP_SYS_ADMIN here: run it as root",
        Errno::ENOSYS => "the running kernel has no bpf(2)",
        _ => "",
    }
}

/// `BPF_OBJ_GET_INFO_BY_FD` into these bytes.
///
/// # Safety
/// Every address within `info` points to memory of the size that stands beside it.
unsafe fn info_into(object: &Fd, info: &mut [u8]) -> Result<(), Failure> {
    let attr = GetInfo {
        bpf_fd: object.number(),
        info_len: info.len() as u32,
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: `info` has `info_len` bytes; what it points to is the caller's promise.
    unsafe { bpf(Command::ObjGetInfoByFd, &mut attr.to_bytes()) }
        .map(drop)
        .map_err(|e| failure(Command::ObjGetInfoByFd, e, privilege(e)))
}

/// Text that ends at a zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The lines of name, colon and value of a descriptor's fdinfo.
pub(crate) struct FdInfo(String);

impl FdInfo {
    pub fn of(fd: &Fd) -> FdInfo {
        let path = format!("/proc/self/fdinfo/{}", fd.number());
        FdInfo(fs::read_to_string(path).unwrap_or_default())
    }

    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        let mut lines = self.0.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(key, _)| *key == name)?;
        value.trim().parse().ok()
    }
}

impl Inspect for LinuxKernel {
    fn next_id(&self, kind: ObjectKind, after: u32) -> Result<Option<u32>, Failure> {
        let command = kind.next_id_command();
        let attr = GetId {
            id: after,
            ..GetId::default()
        };
        let mut bytes = attr.to_bytes();
        // The token of newer kernels is left off: older ones refuse a longer attribute.
        // SAFETY: the attribute holds no addresses.
        match unsafe { bpf(command, &mut bytes[..12]) } {
            Ok(_) => Ok(GetId::from_bytes(&bytes).map(|answer| answer.next_id)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(failure(command, errno, privilege(errno))),
        }
    }

    fn open_id(&self, kind: ObjectKind, id: u32, flags: OpenFlags) -> Result<Option<Fd>, Failure> {
        let command = kind.open_command();
        let attr = GetId {
            id,
            open_flags: flags.bits(),
            ..GetId::default()
        };
        // SAFETY: the attribute holds no addresses.
        match unsafe { bpf(command, &mut attr.to_bytes()[..12]) } {
            Ok(fd) => Ok(Some(into_fd(fd))),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(failure(
                command,
                errno,
                format!("{} {id}: {}", kind.name(), privilege(errno)),
            )),
        }
    }

    fn kind_of(&self, object: &Fd) -> Result<ObjectKind, Failure> {
        pins::kind_of(object.number())
            .ok_or_else(|| failure(Command::ObjGetInfoByFd, Errno::EINVAL, "no object of BPF"))
    }

    fn prog_info(&self, prog: &Fd) -> Result<ProgInfo, Failure> {
        programs::info(prog)
    }

    fn prog_code(&self, prog: &Fd) -> Result<ProgCode, Failure> {
        programs::code(self, prog)
    }

    fn link_info(&self, link: &Fd) -> Result<LinkInfo, Failure> {
        links::info(link)
    }

    fn btf_info(&self, btf: &Fd) -> Result<BtfInfo, Failure> {
        let mut name = vec![0u8; 64];
        let ask = BtfInfoBytes {
            name: name.as_mut_ptr() as u64,
            name_len: name.len() as u32,
            ..BtfInfoBytes::default()
        };
        let mut bytes = ask.to_bytes();
        // SAFETY: the name has the length that is told.
        unsafe { info_into(btf, &mut bytes) }?;
        let raw = BtfInfoBytes::from_bytes(&bytes).unwrap_or_default();
        Ok(BtfInfo {
            id: raw.id,
            name: text(&name),
            size: raw.btf_size,
            kernel: raw.kernel_btf != 0,
        })
    }

    fn btf_bytes(&self, btf: &Fd) -> Result<Vec<u8>, Failure> {
        let size = self.btf_info(btf)?.size as usize;
        let mut data = vec![0u8; size];
        let ask = BtfInfoBytes {
            btf: data.as_mut_ptr() as u64,
            btf_size: size as u32,
            ..BtfInfoBytes::default()
        };
        // SAFETY: the data has the size that is told.
        unsafe { info_into(btf, &mut ask.to_bytes()) }?;
        Ok(data)
    }

    fn map_lookup_and_delete(
        &self,
        map: &Fd,
        key: &[u8],
        flags: u64,
    ) -> Result<Option<Vec<u8>>, Failure> {
        maps::lookup_and_delete(map, key, flags)
    }

    fn map_lookup_batch(
        &self,
        map: &Fd,
        from: Option<&[u8]>,
        count: u32,
        delete: bool,
    ) -> Result<Batch, Failure> {
        batch::lookup(map, from, count, delete)
    }

    fn map_update_batch(
        &self,
        map: &Fd,
        keys: &[u8],
        values: &[u8],
        flags: u64,
    ) -> Result<u32, Failure> {
        batch::update(map, keys, values, flags)
    }

    fn map_delete_batch(&self, map: &Fd, keys: &[u8]) -> Result<u32, Failure> {
        batch::delete(map, keys)
    }

    fn enable_stats(&self) -> Result<Fd, Failure> {
        let attr = EnableStats {
            kind: BPF_STATS_RUN_TIME,
        };
        // SAFETY: the attribute holds no addresses.
        unsafe { bpf(Command::EnableStats, &mut attr.to_bytes()) }
            .map(into_fd)
            .map_err(|e| failure(Command::EnableStats, e, privilege(e)))
    }

    fn get_pinned_as(&self, path: &str, flags: OpenFlags) -> Result<Option<Fd>, Failure> {
        let wrong = |e| failure(Command::ObjGet, e, pins::explain(path, e));
        let name = c_string(path).map_err(wrong)?;
        let attr = ObjPin {
            pathname: name.as_ptr() as u64,
            file_flags: flags.bits(),
            ..ObjPin::default()
        };
        // SAFETY: the path is a C string that outlives the call.
        match unsafe { bpf(Command::ObjGet, &mut attr.to_bytes()[..16]) } {
            Ok(fd) => Ok(Some(into_fd(fd))),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(wrong(errno)),
        }
    }

    fn unpin(&self, path: &str) -> Result<bool, Failure> {
        pins::unpin(self, path)
    }

    fn pins(&self) -> Result<Vec<Pin>, Failure> {
        Ok(pins::all(self))
    }
}
