//! [`Inspect`]: listing and looking into what the kernel holds.

use std::{sync::Arc, time::SystemTime};

use panal_btf::TypeId;
use panal_isa::Slot;
use panal_uapi::{
    AttachType, Errno, ProgType,
    inspect::{
        Batch, BtfInfo, Inspect, JitedFunction, LinkInfo, LinkTarget, LinkType, ObjectKind,
        OpenFlags, PerfTarget, Pin, ProgCode, ProgInfo,
    },
    kernel::{Failure, Fd},
};

use super::{batch, fail, maps};
use crate::{
    Direction, HookPoint, PanalKernel,
    fds::Object,
    maps::UserMap,
    objects::{Attachment, Program, StatsHold, Target},
};

const INFO: &str = "BPF_OBJ_GET_INFO_BY_FD";

/// Memory is counted by pages, as on Linux.
const PAGE: u64 = 4096;

/// The cgroup that the process tree under Panal is.
const CGROUP: u64 = 1;

/// `BPF_LD | BPF_IMM | BPF_DW`, and what stands for a map in it.
const LOAD_IMM64: u8 = 0x18;
const PSEUDO_MAP_FD: u8 = 1;
const PSEUDO_MAP_VALUE: u8 = 2;
const PSEUDO_MAP_IDX: u8 = 5;
const PSEUDO_MAP_IDX_VALUE: u8 = 6;

fn kind(object: &Object) -> Option<ObjectKind> {
    match object {
        Object::Program(_) => Some(ObjectKind::Program),
        Object::Map(_) => Some(ObjectKind::Map),
        Object::Link(_) => Some(ObjectKind::Link),
        Object::Btf(_) => Some(ObjectKind::Btf),
        Object::Stats(_) => None,
    }
}

fn id(object: &Object) -> u32 {
    match object {
        Object::Program(program) => program.id,
        Object::Map(map) => map.map().id(),
        Object::Link(link) => link.id(),
        Object::Btf(btf) => btf.id,
        Object::Stats(_) => 0,
    }
}

/// Nanoseconds since the machine started.
fn since_boot(moment: SystemTime) -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
    let ago = moment.elapsed().map_or(0, |ago| ago.as_nanos() as u64);
    now.saturating_sub(ago)
}

impl Program {
    /// The instructions as Linux shows them: maps by their ids.
    fn shown_code(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.code.len() * Slot::SIZE);
        for slot in &self.code {
            let mut slot = *slot;
            let kind = match slot.src() {
                PSEUDO_MAP_IDX => Some(PSEUDO_MAP_FD),
                PSEUDO_MAP_IDX_VALUE => Some(PSEUDO_MAP_VALUE),
                _ => None,
            };
            let map = usize::try_from(slot.imm)
                .ok()
                .and_then(|i| self.maps.get(i));
            if let (LOAD_IMM64, Some(kind), Some(map)) = (slot.opcode, kind, map) {
                slot.registers = slot.registers & 0x0f | kind << 4;
                slot.imm = map.id() as i32;
            }
            out.extend_from_slice(&slot.to_bytes());
        }
        out
    }

    fn machine_code_len(&self) -> u32 {
        self.executable().map_or(0, machine_code_len)
    }

    fn info(&self) -> ProgInfo {
        let xlated = self.code.len() * Slot::SIZE;
        let (attach_btf_obj_id, attach_btf_id) = match &self.target {
            None => (0, TypeId::VOID),
            Some(Target::Kernel(id)) => (0, *id),
            Some(Target::Program(program, id)) => {
                (program.btf.as_ref().map_or(0, |btf| btf.id), *id)
            }
        };
        let jited = self.machine_code_len();
        ProgInfo {
            id: self.id,
            prog_type: self.prog_type.number(),
            name: self.name.clone(),
            tag: self.tag,
            jited_len: jited,
            xlated_len: xlated as u32,
            load_time: since_boot(self.loaded_at),
            created_by_uid: rustix::process::getuid().as_raw(),
            map_ids: self.maps.iter().map(|map| map.id()).collect(),
            ifindex: 0,
            gpl_compatible: self.gpl,
            btf_id: self.btf.as_ref().map_or(0, |btf| btf.id),
            run_time_ns: self.run_time_ns(),
            run_cnt: self.runs(),
            recursion_misses: 0,
            verified_insns: u32::try_from(self.stats.processed).unwrap_or(u32::MAX),
            attach_btf_obj_id,
            attach_btf_id,
            memlock: (xlated as u64 + u64::from(jited)).next_multiple_of(PAGE),
            attach_type: self.attach_type,
            flags: self.flags,
        }
    }
}

fn machine_code_len(executable: &panal_vm::Executable) -> u32 {
    executable.machine_code_len().map_or(0, |len| len as u32)
}

fn machine_code(executable: &panal_vm::Executable) -> Vec<u8> {
    executable
        .machine_code()
        .map_or_else(Vec::new, <[u8]>::to_vec)
}

/// A hook point in the words of `struct bpf_link_info`.
fn link_target(attachment: &Attachment) -> (LinkType, LinkTarget) {
    let program = &attachment.program;
    let cookie = attachment.cookie;
    let tracing = || {
        let target_btf_id = match &program.target {
            Some(Target::Kernel(id) | Target::Program(_, id)) => id.0,
            None => 0,
        };
        let target = LinkTarget::Tracing {
            attach_type: program.attach_type.map_or(0, AttachType::number),
            target_obj_id: 0,
            target_btf_id,
            cookie,
        };
        (LinkType::Tracing, target)
    };
    let perf = |target| (LinkType::PerfEvent, LinkTarget::PerfEvent(target));
    match &attachment.point {
        HookPoint::Tracepoint { name, .. } => perf(PerfTarget::Tracepoint {
            name: name.clone(),
            cookie,
        }),
        HookPoint::RawTracepoint(name) if program.prog_type != ProgType::Tracing => {
            let name = name.clone();
            (
                LinkType::RawTracepoint,
                LinkTarget::RawTracepoint { name, cookie },
            )
        }
        HookPoint::Function { name, moment } if program.prog_type == ProgType::Kprobe => {
            perf(PerfTarget::Kprobe {
                function: name.clone(),
                offset: 0,
                address: 0,
                missed: 0,
                on_return: *moment != crate::Moment::Entry,
                cookie,
            })
        }
        HookPoint::RawTracepoint(_) | HookPoint::Lsm(_) | HookPoint::Function { .. } => tracing(),
        HookPoint::Packets { port, direction } => match direction {
            Direction::Xdp => (LinkType::Xdp, LinkTarget::Xdp { ifindex: *port }),
            Direction::Ingress | Direction::Egress => {
                let attach_type = match direction {
                    Direction::Egress => AttachType::TcxEgress,
                    _ => AttachType::TcxIngress,
                };
                let target = LinkTarget::Tcx {
                    ifindex: *port,
                    attach_type: attach_type.number(),
                };
                (LinkType::Tcx, target)
            }
        },
        HookPoint::Cgroup(attach_type) => {
            let target = LinkTarget::Cgroup {
                cgroup_id: CGROUP,
                attach_type: attach_type.number(),
            };
            (LinkType::Cgroup, target)
        }
    }
}

impl PanalKernel {
    fn object(&self, fd: &Fd, command: &'static str) -> Result<Object, Failure> {
        let found = self.shared.fds.get(fd.number());
        found.map_err(|e| fail(command, e, "the descriptor is not open"))
    }
}

impl Inspect for PanalKernel {
    fn next_id(&self, kind: ObjectKind, after: u32) -> Result<Option<u32>, Failure> {
        Ok(match kind {
            ObjectKind::Program => self.shared.programs.after(after),
            ObjectKind::Map => self.shared.maps.after(after),
            ObjectKind::Link => self.shared.links.after(after),
            ObjectKind::Btf => self.shared.btfs.after(after),
        })
    }

    fn open_id(&self, kind: ObjectKind, id: u32, flags: OpenFlags) -> Result<Option<Fd>, Failure> {
        let command = kind.open_command().uapi_name();
        let object = match kind {
            ObjectKind::Program => self.shared.programs.get(id).map(Object::Program),
            ObjectKind::Map => {
                let map = self.shared.maps.get(id);
                map.map(|map| Object::Map(UserMap::with_flags(map, flags)))
            }
            ObjectKind::Link => self.shared.links.get(id).map(Object::Link),
            ObjectKind::Btf => self.shared.btfs.get(id).map(Object::Btf),
        };
        object.map(|object| self.open(command, object)).transpose()
    }

    fn kind_of(&self, object: &Fd) -> Result<ObjectKind, Failure> {
        kind(&self.object(object, INFO)?)
            .ok_or_else(|| fail(INFO, Errno::EINVAL, "no object with an id"))
    }

    fn prog_info(&self, prog: &Fd) -> Result<ProgInfo, Failure> {
        Ok(self.program(prog)?.info())
    }

    fn prog_code(&self, prog: &Fd) -> Result<ProgCode, Failure> {
        let program = self.program(prog)?;
        let jited = program.executable().map_or_else(Vec::new, machine_code);
        let function = JitedFunction {
            address: 0,
            len: jited.len() as u32,
        };
        Ok(ProgCode {
            xlated: program.shown_code(),
            jited_functions: if jited.is_empty() {
                Vec::new()
            } else {
                vec![function]
            },
            jited,
            funcs: program.funcs.clone(),
            lines: program.lines.clone(),
            jited_lines: Vec::new(),
            calls: Vec::new(),
        })
    }

    fn link_info(&self, link: &Fd) -> Result<LinkInfo, Failure> {
        let link = self.link(link)?;
        let attachment = link.last_attachment();
        let (link_type, target) = link_target(&attachment);
        Ok(LinkInfo {
            id: link.id(),
            prog_id: attachment.program.id,
            link_type: link_type.number(),
            target,
        })
    }

    fn btf_info(&self, btf: &Fd) -> Result<BtfInfo, Failure> {
        let btf = self.btf_object(btf)?;
        Ok(BtfInfo {
            id: btf.id,
            name: String::new(),
            size: btf.bytes.len() as u32,
            kernel: false,
        })
    }

    fn btf_bytes(&self, btf: &Fd) -> Result<Vec<u8>, Failure> {
        Ok(self.btf_object(btf)?.bytes.to_vec())
    }

    fn map_lookup_and_delete(
        &self,
        map: &Fd,
        key: &[u8],
        flags: u64,
    ) -> Result<Option<Vec<u8>>, Failure> {
        maps::lookup_and_delete(self, map, key, flags)
    }

    fn map_lookup_batch(
        &self,
        map: &Fd,
        from: Option<&[u8]>,
        count: u32,
        delete: bool,
    ) -> Result<Batch, Failure> {
        batch::lookup(self, map, from, count, delete)
    }

    fn map_update_batch(
        &self,
        map: &Fd,
        keys: &[u8],
        values: &[u8],
        flags: u64,
    ) -> Result<u32, Failure> {
        batch::update_all(self, map, keys, values, flags)
    }

    fn map_delete_batch(&self, map: &Fd, keys: &[u8]) -> Result<u32, Failure> {
        batch::delete(self, map, keys)
    }

    fn enable_stats(&self) -> Result<Fd, Failure> {
        let hold = StatsHold::new(self.shared.stats.clone());
        self.open("BPF_ENABLE_STATS", Object::Stats(Arc::new(hold)))
    }

    fn get_pinned_as(&self, path: &str, flags: OpenFlags) -> Result<Option<Fd>, Failure> {
        const COMMAND: &str = "BPF_OBJ_GET";
        let found = self.shared.pins.get(path);
        let object = match found.map_err(|e| fail(COMMAND, e, path))? {
            Some(Object::Map(map)) => {
                Some(Object::Map(UserMap::with_flags(map.map().clone(), flags)))
            }
            other => other,
        };
        object.map(|object| self.open(COMMAND, object)).transpose()
    }

    fn unpin(&self, path: &str) -> Result<bool, Failure> {
        let removed = self.shared.pins.unpin(path);
        removed.map_err(|e| fail("BPF_OBJ_PIN", e, format!("removing {path}")))
    }

    fn pins(&self) -> Result<Vec<Pin>, Failure> {
        let all = self.shared.pins.all().into_iter();
        let pin = |(path, object): (String, Object)| {
            Some(Pin {
                path,
                kind: kind(&object)?,
                id: id(&object),
            })
        };
        Ok(all.filter_map(pin).collect())
    }
}

impl PanalKernel {
    fn btf_object(&self, btf: &Fd) -> Result<Arc<crate::BtfObject>, Failure> {
        let found = self.shared.fds.btf(btf.number());
        found.map_err(|e| fail(INFO, e, format!("descriptor {} is no BTF", btf.number())))
    }
}
