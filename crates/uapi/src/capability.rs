//! Capabilities of a loader, and what needs them.

use core::fmt;

use bitflags::bitflags;

use crate::{MapType, ProgType};

bitflags! {
    /// The loader's capabilities (capabilities(7)), as far as bpf(2) asks for them. `CAP_SYS_ADMIN`
    /// stands for all of them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Capabilities: u8 {
        /// `CAP_BPF`: types, calls, loops, every map type but those of networking.
        const BPF = 1 << 0;
        /// `CAP_PERFMON`: programs may see addresses, speculation is not contained, tracing.
        const PERFMON = 1 << 1;
        /// `CAP_NET_ADMIN`: program and map types of networking.
        const NET_ADMIN = 1 << 2;
    }
}

impl fmt::Display for Capabilities {
    /// `CAP_BPF and CAP_PERFMON`; `no capability`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no capability");
        }
        for (index, (name, _)) in self.iter_names().enumerate() {
            let and = if index == 0 { "" } else { " and " };
            write!(f, "{and}CAP_{name}")?;
        }
        Ok(())
    }
}

impl Capabilities {
    /// What it takes to load a program of a type.
    pub fn to_load(prog_type: ProgType) -> Capabilities {
        use ProgType as P;
        match prog_type {
            P::SocketFilter | P::CgroupSkb => Capabilities::empty(),
            P::SchedCls
            | P::SchedAct
            | P::Xdp
            | P::LwtIn
            | P::LwtOut
            | P::LwtXmit
            | P::LwtSeg6local
            | P::SkSkb
            | P::SkMsg
            | P::FlowDissector
            | P::CgroupDevice
            | P::CgroupSock
            | P::CgroupSockAddr
            | P::CgroupSockopt
            | P::CgroupSysctl
            | P::SockOps
            | P::Ext
            | P::Netfilter => Capabilities::BPF | Capabilities::NET_ADMIN,
            P::Kprobe
            | P::Tracepoint
            | P::PerfEvent
            | P::RawTracepoint
            | P::RawTracepointWritable
            | P::Tracing
            | P::Lsm
            | P::StructOps => Capabilities::BPF | Capabilities::PERFMON,
            _ => Capabilities::BPF,
        }
    }

    /// What it takes to create a map of a type.
    pub fn to_create(map_type: MapType) -> Capabilities {
        use MapType as M;
        match map_type {
            M::Array
            | M::PercpuArray
            | M::ProgArray
            | M::PerfEventArray
            | M::CgroupArray
            | M::ArrayOfMaps
            | M::Hash
            | M::PercpuHash
            | M::HashOfMaps
            | M::Ringbuf
            | M::UserRingbuf
            | M::CgroupStorage
            | M::PercpuCgroupStorage => Capabilities::empty(),
            M::Sockmap | M::Sockhash | M::Devmap | M::DevmapHash | M::Xskmap => {
                Capabilities::NET_ADMIN
            }
            _ => Capabilities::BPF,
        }
    }
}
