//! The running Linux kernel's maps by bpf(2).

use panal_maps::MapDef;
use panal_uapi::MapType;

use super::{Answer, Op, Subject};

pub struct Linux {
    fd: i32,
    key_size: usize,
    value_size: usize,
}

type Attr = [u8; 128];

fn bpf(command: i32, attr: &mut Attr) -> Result<i32, i32> {
    // SAFETY: the attribute is exclusively borrowed; the buffers that it points to outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), attr.len()) };
    if result < 0 {
        return Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0));
    }
    Ok(result as i32)
}

fn put(attr: &mut Attr, offset: usize, bytes: &[u8]) {
    attr[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// CPUs that per-CPU values have.
pub fn possible_cpus() -> u32 {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = text
        .trim()
        .rsplit(['-', ','])
        .next()
        .and_then(|n| n.parse::<u32>().ok());
    last.map_or(1, |n| n + 1)
}

/// Why the kernel cannot be asked, if it cannot.
pub fn unavailable() -> Option<String> {
    match Linux::new(&MapDef::new(MapType::Hash, 4, 4, 1), 1) {
        Ok(_) => None,
        Err(errno) => Some(format!("BPF_MAP_CREATE: errno {errno}")),
    }
}

impl Linux {
    pub fn new(def: &MapDef, cpus: u32) -> Result<Linux, i32> {
        let mut attr = [0; 128];
        for (i, word) in [
            def.map_type.number(),
            def.key_size,
            def.value_size,
            def.max_entries,
            def.flags.bits(),
        ]
        .iter()
        .enumerate()
        {
            put(&mut attr, 4 * i, &word.to_ne_bytes());
        }
        put(&mut attr, 64, &def.extra.to_ne_bytes());
        let inner = match def.map_type {
            MapType::ArrayOfMaps | MapType::HashOfMaps => {
                Some(Linux::new(&MapDef::new(MapType::Array, 4, 4, 1), cpus)?)
            }
            _ => None,
        };
        if let Some(inner) = &inner {
            put(&mut attr, 20, &(inner.fd as u32).to_ne_bytes());
        }
        let fd = bpf(0, &mut attr)?;
        let percpu = matches!(
            def.map_type,
            MapType::PercpuArray | MapType::PercpuHash | MapType::LruPercpuHash
        );
        let value_size = if percpu {
            (def.value_size as usize).next_multiple_of(8) * cpus as usize
        } else {
            def.value_size as usize
        };
        Ok(Linux {
            fd,
            key_size: def.key_size as usize,
            value_size,
        })
    }

    fn element(&self, command: i32, key: Option<&[u8]>, value: u64, flags: u64) -> Result<(), i32> {
        let mut attr = [0; 128];
        put(&mut attr, 0, &(self.fd as u32).to_ne_bytes());
        let key = key.filter(|k| !k.is_empty());
        put(
            &mut attr,
            8,
            &key.map_or(0, |k| k.as_ptr() as u64).to_ne_bytes(),
        );
        put(&mut attr, 16, &value.to_ne_bytes());
        put(&mut attr, 24, &flags.to_ne_bytes());
        bpf(command, &mut attr).map(|_| ())
    }
}

impl Subject for Linux {
    fn apply(&self, op: &Op) -> Answer {
        let mut out = vec![0u8; self.value_size.max(self.key_size)];
        let at = out.as_mut_ptr() as u64;
        match op {
            Op::Lookup(key) => {
                self.element(1, Some(key), at, 0)?;
                out.truncate(self.value_size);
            }
            Op::Update(key, value, flags) => {
                self.element(2, Some(key), value.as_ptr() as u64, *flags)?;
                out.clear();
            }
            Op::Delete(key) => {
                self.element(3, Some(key), 0, 0)?;
                out.clear();
            }
            Op::Next(key) => {
                self.element(4, key.as_deref(), at, 0)?;
                out.truncate(self.key_size);
            }
            Op::Take(key) => {
                self.element(21, Some(key), at, 0)?;
                out.truncate(self.value_size);
            }
        }
        Ok(out)
    }
}

impl Drop for Linux {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours.
        unsafe { libc::close(self.fd) };
    }
}
