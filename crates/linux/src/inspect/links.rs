//! What Linux tells of a link: `struct bpf_link_info`, whose second half depends on its type.

use panal_uapi::{
    inspect::{IterTarget, LinkInfo, LinkTarget, LinkType, PerfTarget},
    kernel::{Failure, Fd},
};

use super::{info_into, text};

/// Bytes of `struct bpf_link_info`; the part that depends on the type begins at [`UNION`].
const SIZE: usize = 64;
const UNION: usize = 16;

/// Bytes for a name or path that the kernel writes beside.
const NAME: usize = 4096;

/// `BPF_F_UPROBE_MULTI_RETURN` and the like have one bit; so many functions a link has at most.
const MOST: u32 = 1 << 20;

/// The structure, as bytes to be read and written by offset.
struct Raw([u8; SIZE]);

impl Raw {
    fn u32(&self, at: usize) -> u32 {
        let bytes = self.0.get(at..at + 4).and_then(|b| b.try_into().ok());
        bytes.map_or(0, u32::from_ne_bytes)
    }

    fn u64(&self, at: usize) -> u64 {
        let bytes = self.0.get(at..at + 8).and_then(|b| b.try_into().ok());
        bytes.map_or(0, u64::from_ne_bytes)
    }

    fn set_u32(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    fn set_u64(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }

    fn ask(link: &Fd) -> Result<Raw, Failure> {
        let mut raw = Raw([0; SIZE]);
        // SAFETY: no addresses.
        unsafe { info_into(link, &mut raw.0) }?;
        Ok(raw)
    }

    /// Asks again with a buffer for a name, whose address and length stand at these offsets.
    fn ask_name(
        link: &Fd,
        at: usize,
        len_at: usize,
        kind: Option<u32>,
    ) -> Result<(Raw, String), Failure> {
        let mut name = vec![0u8; NAME];
        let mut raw = Raw([0; SIZE]);
        raw.set_u64(at, name.as_mut_ptr() as u64);
        raw.set_u32(len_at, NAME as u32);
        if let Some(kind) = kind {
            raw.set_u32(UNION, kind);
        }
        // SAFETY: the name has the length that is told.
        unsafe { info_into(link, &mut raw.0) }?;
        Ok((raw, text(&name)))
    }
}

pub fn info(link: &Fd) -> Result<LinkInfo, Failure> {
    let raw = Raw::ask(link)?;
    let (link_type, id, prog_id) = (raw.u32(0), raw.u32(4), raw.u32(8));
    let target = match LinkType::from_number(link_type) {
        Some(link_type) => target(link, link_type, &raw)?,
        None => LinkTarget::Unknown,
    };
    Ok(LinkInfo {
        id,
        prog_id,
        link_type,
        target,
    })
}

fn target(link: &Fd, link_type: LinkType, raw: &Raw) -> Result<LinkTarget, Failure> {
    let (first, second) = (raw.u32(UNION), raw.u32(UNION + 4));
    Ok(match link_type {
        LinkType::Unspec => LinkTarget::Unknown,
        LinkType::RawTracepoint => {
            let (raw, name) = Raw::ask_name(link, 16, 24, None)?;
            LinkTarget::RawTracepoint {
                name,
                cookie: raw.u64(32),
            }
        }
        LinkType::Tracing => LinkTarget::Tracing {
            attach_type: first,
            target_obj_id: second,
            target_btf_id: raw.u32(24),
            cookie: raw.u64(32),
        },
        LinkType::Cgroup => LinkTarget::Cgroup {
            cgroup_id: raw.u64(16),
            attach_type: raw.u32(24),
        },
        LinkType::Iter => iter(link)?,
        LinkType::Netns => LinkTarget::Netns {
            netns_ino: first,
            attach_type: second,
        },
        LinkType::Xdp => LinkTarget::Xdp { ifindex: first },
        LinkType::PerfEvent => LinkTarget::PerfEvent(perf_event(link, first)?),
        LinkType::KprobeMulti => kprobe_multi(link, raw.u32(24))?,
        LinkType::StructOps => LinkTarget::StructOps { map_id: first },
        LinkType::Netfilter => LinkTarget::Netfilter {
            pf: first,
            hooknum: second,
            priority: raw.u32(24) as i32,
            flags: raw.u32(28),
        },
        LinkType::Tcx => LinkTarget::Tcx {
            ifindex: first,
            attach_type: second,
        },
        LinkType::UprobeMulti => uprobe_multi(link, raw.u32(52))?,
        LinkType::Netkit => LinkTarget::Netkit {
            ifindex: first,
            attach_type: second,
        },
        LinkType::Sockmap => LinkTarget::Sockmap {
            map_id: first,
            attach_type: second,
        },
    })
}

fn iter(link: &Fd) -> Result<LinkTarget, Failure> {
    let (raw, target_name) = Raw::ask_name(link, 16, 24, None)?;
    let what = match target_name.as_str() {
        "bpf_map_elem" | "bpf_sk_storage_map" | "sockmap" => IterTarget::Map {
            map_id: raw.u32(28),
        },
        "cgroup" => IterTarget::Cgroup {
            cgroup_id: raw.u64(32),
            order: raw.u32(40),
        },
        "task" | "task_file" | "task_vma" => IterTarget::Task {
            tid: raw.u32(32),
            pid: raw.u32(36),
        },
        _ => IterTarget::Plain,
    };
    Ok(LinkTarget::Iter { target_name, what })
}

/// `enum bpf_perf_event_type`
mod perf {
    pub const UPROBE: u32 = 1;
    pub const URETPROBE: u32 = 2;
    pub const KPROBE: u32 = 3;
    pub const KRETPROBE: u32 = 4;
    pub const TRACEPOINT: u32 = 5;
    pub const EVENT: u32 = 6;
}

fn perf_event(link: &Fd, kind: u32) -> Result<PerfTarget, Failure> {
    // All but plain events have a name at the same place.
    let named = |len_at| Raw::ask_name(link, 24, len_at, Some(kind));
    Ok(match kind {
        perf::UPROBE | perf::URETPROBE => {
            let (raw, file) = named(32)?;
            PerfTarget::Uprobe {
                file,
                offset: raw.u32(36),
                on_return: kind == perf::URETPROBE,
                cookie: raw.u64(40),
                ref_ctr_offset: raw.u64(48),
            }
        }
        perf::KPROBE | perf::KRETPROBE => {
            let (raw, function) = named(32)?;
            PerfTarget::Kprobe {
                function,
                offset: raw.u32(36),
                address: raw.u64(40),
                missed: raw.u64(48),
                on_return: kind == perf::KRETPROBE,
                cookie: raw.u64(56),
            }
        }
        perf::TRACEPOINT => {
            let (raw, name) = named(32)?;
            PerfTarget::Tracepoint {
                name,
                cookie: raw.u64(40),
            }
        }
        perf::EVENT => {
            let raw = Raw::ask(link)?;
            PerfTarget::Event {
                config: raw.u64(24),
                event_type: raw.u32(32),
                cookie: raw.u64(40),
            }
        }
        _ => PerfTarget::Unspecified,
    })
}

fn kprobe_multi(link: &Fd, count: u32) -> Result<LinkTarget, Failure> {
    let count = count.min(MOST);
    let mut addresses = vec![0u64; count as usize];
    let mut cookies = vec![0u64; count as usize];
    let mut raw = Raw([0; SIZE]);
    raw.set_u32(24, count);
    if count > 0 {
        raw.set_u64(16, addresses.as_mut_ptr() as u64);
        raw.set_u64(40, cookies.as_mut_ptr() as u64);
    }
    // SAFETY: both arrays have `count` elements of 8 bytes.
    unsafe { info_into(link, &mut raw.0) }?;
    Ok(LinkTarget::KprobeMulti {
        flags: raw.u32(28),
        missed: raw.u64(32),
        addresses,
        cookies,
    })
}

fn uprobe_multi(link: &Fd, count: u32) -> Result<LinkTarget, Failure> {
    let count = count.min(MOST);
    let array = || vec![0u64; count as usize];
    let (mut offsets, mut ref_ctr_offsets, mut cookies) = (array(), array(), array());
    let mut path = vec![0u8; NAME];
    let mut raw = Raw([0; SIZE]);
    raw.set_u64(16, path.as_mut_ptr() as u64);
    raw.set_u32(48, NAME as u32);
    raw.set_u32(52, count);
    if count > 0 {
        raw.set_u64(24, offsets.as_mut_ptr() as u64);
        raw.set_u64(32, ref_ctr_offsets.as_mut_ptr() as u64);
        raw.set_u64(40, cookies.as_mut_ptr() as u64);
    }
    // SAFETY: the path has the length, the arrays the count that is told.
    unsafe { info_into(link, &mut raw.0) }?;
    Ok(LinkTarget::UprobeMulti {
        path: text(&path),
        pid: raw.u32(60),
        flags: raw.u32(56),
        offsets,
        ref_ctr_offsets,
        cookies,
    })
}
