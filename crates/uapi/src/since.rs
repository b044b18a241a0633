//! Since when Linux has its program types, map types and attach types.

use crate::{AttachType, MapType, ProgType};

impl ProgType {
    /// The first version of Linux that has it.
    pub const fn since(self) -> (u8, u8) {
        use ProgType::*;
        match self {
            Unspec | SocketFilter => (3, 19),
            Kprobe | SchedCls | SchedAct => (4, 1),
            Tracepoint => (4, 7),
            Xdp => (4, 8),
            PerfEvent => (4, 9),
            CgroupSkb | CgroupSock | LwtIn | LwtOut | LwtXmit => (4, 10),
            SockOps => (4, 13),
            SkSkb => (4, 14),
            CgroupDevice => (4, 15),
            SkMsg | RawTracepoint | CgroupSockAddr => (4, 17),
            LwtSeg6local | LircMode2 => (4, 18),
            SkReuseport => (4, 19),
            FlowDissector => (4, 20),
            CgroupSysctl | RawTracepointWritable => (5, 2),
            CgroupSockopt => (5, 3),
            Tracing => (5, 5),
            StructOps | Ext => (5, 6),
            Lsm => (5, 7),
            SkLookup => (5, 9),
            Syscall => (5, 14),
            Netfilter => (6, 4),
        }
    }
}

impl MapType {
    /// The first version of Linux that has it.
    pub const fn since(self) -> (u8, u8) {
        use MapType::*;
        match self {
            Unspec | Hash | Array => (3, 19),
            ProgArray => (4, 2),
            PerfEventArray => (4, 3),
            PercpuHash | PercpuArray | StackTrace => (4, 6),
            CgroupArray => (4, 8),
            LruHash | LruPercpuHash => (4, 10),
            LpmTrie => (4, 11),
            ArrayOfMaps | HashOfMaps => (4, 12),
            Devmap | Sockmap => (4, 14),
            Cpumap => (4, 15),
            Xskmap | Sockhash => (4, 18),
            CgroupStorage | ReuseportSockarray => (4, 19),
            PercpuCgroupStorage | Queue | Stack => (4, 20),
            SkStorage => (5, 2),
            DevmapHash => (5, 4),
            StructOps => (5, 6),
            Ringbuf => (5, 8),
            InodeStorage => (5, 10),
            TaskStorage => (5, 11),
            BloomFilter => (5, 16),
            UserRingbuf => (6, 1),
            CgrpStorage => (6, 2),
            Arena => (6, 9),
        }
    }
}

impl AttachType {
    /// The first version of Linux that has it.
    pub const fn since(self) -> (u8, u8) {
        use AttachType::*;
        match self {
            CgroupInetIngress | CgroupInetEgress | CgroupInetSockCreate => (4, 10),
            CgroupSockOps => (4, 13),
            SkSkbStreamParser | SkSkbStreamVerdict => (4, 14),
            CgroupDevice => (4, 15),
            SkMsgVerdict | CgroupInet4Bind | CgroupInet6Bind | CgroupInet4Connect
            | CgroupInet6Connect | CgroupInet4PostBind | CgroupInet6PostBind => (4, 17),
            CgroupUdp4Sendmsg | CgroupUdp6Sendmsg | LircMode2 => (4, 18),
            FlowDissector => (4, 20),
            CgroupSysctl | CgroupUdp4Recvmsg | CgroupUdp6Recvmsg => (5, 2),
            CgroupGetsockopt | CgroupSetsockopt => (5, 3),
            TraceRawTp | TraceFentry | TraceFexit => (5, 5),
            ModifyReturn | LsmMac => (5, 7),
            TraceIter
            | CgroupInet4Getpeername
            | CgroupInet6Getpeername
            | CgroupInet4Getsockname
            | CgroupInet6Getsockname
            | XdpDevmap => (5, 8),
            CgroupInetSockRelease | XdpCpumap | SkLookup | Xdp => (5, 9),
            SkSkbVerdict => (5, 13),
            SkReuseportSelect | SkReuseportSelectOrMigrate => (5, 14),
            PerfEvent => (5, 15),
            TraceKprobeMulti => (5, 18),
            LsmCgroup => (6, 0),
            StructOps | Netfilter => (6, 4),
            TcxIngress | TcxEgress | TraceUprobeMulti => (6, 6),
            CgroupUnixConnect
            | CgroupUnixSendmsg
            | CgroupUnixRecvmsg
            | CgroupUnixGetpeername
            | CgroupUnixGetsockname
            | NetkitPrimary
            | NetkitPeer => (6, 7),
            TraceKprobeSession => (6, 10),
            TraceUprobeSession => (6, 13),
        }
    }
}
