//! Program types and attach types.

use crate::numbers::uapi_enum;

uapi_enum! {
    /// What a program may do and where it may be attached (`enum bpf_prog_type`).
    pub enum ProgType: u32 {
        Unspec = 0, "BPF_PROG_TYPE_UNSPEC", "unspec";
        SocketFilter = 1, "BPF_PROG_TYPE_SOCKET_FILTER", "socket_filter";
        Kprobe = 2, "BPF_PROG_TYPE_KPROBE", "kprobe";
        SchedCls = 3, "BPF_PROG_TYPE_SCHED_CLS", "sched_cls";
        SchedAct = 4, "BPF_PROG_TYPE_SCHED_ACT", "sched_act";
        Tracepoint = 5, "BPF_PROG_TYPE_TRACEPOINT", "tracepoint";
        Xdp = 6, "BPF_PROG_TYPE_XDP", "xdp";
        PerfEvent = 7, "BPF_PROG_TYPE_PERF_EVENT", "perf_event";
        CgroupSkb = 8, "BPF_PROG_TYPE_CGROUP_SKB", "cgroup_skb";
        CgroupSock = 9, "BPF_PROG_TYPE_CGROUP_SOCK", "cgroup_sock";
        LwtIn = 10, "BPF_PROG_TYPE_LWT_IN", "lwt_in";
        LwtOut = 11, "BPF_PROG_TYPE_LWT_OUT", "lwt_out";
        LwtXmit = 12, "BPF_PROG_TYPE_LWT_XMIT", "lwt_xmit";
        SockOps = 13, "BPF_PROG_TYPE_SOCK_OPS", "sock_ops";
        SkSkb = 14, "BPF_PROG_TYPE_SK_SKB", "sk_skb";
        CgroupDevice = 15, "BPF_PROG_TYPE_CGROUP_DEVICE", "cgroup_device";
        SkMsg = 16, "BPF_PROG_TYPE_SK_MSG", "sk_msg";
        RawTracepoint = 17, "BPF_PROG_TYPE_RAW_TRACEPOINT", "raw_tracepoint";
        CgroupSockAddr = 18, "BPF_PROG_TYPE_CGROUP_SOCK_ADDR", "cgroup_sock_addr";
        LwtSeg6local = 19, "BPF_PROG_TYPE_LWT_SEG6LOCAL", "lwt_seg6local";
        LircMode2 = 20, "BPF_PROG_TYPE_LIRC_MODE2", "lirc_mode2";
        SkReuseport = 21, "BPF_PROG_TYPE_SK_REUSEPORT", "sk_reuseport";
        FlowDissector = 22, "BPF_PROG_TYPE_FLOW_DISSECTOR", "flow_dissector";
        CgroupSysctl = 23, "BPF_PROG_TYPE_CGROUP_SYSCTL", "cgroup_sysctl";
        RawTracepointWritable = 24, "BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE", "raw_tracepoint_writable";
        CgroupSockopt = 25, "BPF_PROG_TYPE_CGROUP_SOCKOPT", "cgroup_sockopt";
        Tracing = 26, "BPF_PROG_TYPE_TRACING", "tracing";
        StructOps = 27, "BPF_PROG_TYPE_STRUCT_OPS", "struct_ops";
        Ext = 28, "BPF_PROG_TYPE_EXT", "ext";
        Lsm = 29, "BPF_PROG_TYPE_LSM", "lsm";
        SkLookup = 30, "BPF_PROG_TYPE_SK_LOOKUP", "sk_lookup";
        Syscall = 31, "BPF_PROG_TYPE_SYSCALL", "syscall";
        Netfilter = 32, "BPF_PROG_TYPE_NETFILTER", "netfilter";
    }
}

uapi_enum! {
    /// Where exactly a program is attached (`enum bpf_attach_type`).
    pub enum AttachType: u32 {
        CgroupInetIngress = 0, "BPF_CGROUP_INET_INGRESS", "cgroup_inet_ingress";
        CgroupInetEgress = 1, "BPF_CGROUP_INET_EGRESS", "cgroup_inet_egress";
        CgroupInetSockCreate = 2, "BPF_CGROUP_INET_SOCK_CREATE", "cgroup_inet_sock_create";
        CgroupSockOps = 3, "BPF_CGROUP_SOCK_OPS", "cgroup_sock_ops";
        SkSkbStreamParser = 4, "BPF_SK_SKB_STREAM_PARSER", "sk_skb_stream_parser";
        SkSkbStreamVerdict = 5, "BPF_SK_SKB_STREAM_VERDICT", "sk_skb_stream_verdict";
        CgroupDevice = 6, "BPF_CGROUP_DEVICE", "cgroup_device";
        SkMsgVerdict = 7, "BPF_SK_MSG_VERDICT", "sk_msg_verdict";
        CgroupInet4Bind = 8, "BPF_CGROUP_INET4_BIND", "cgroup_inet4_bind";
        CgroupInet6Bind = 9, "BPF_CGROUP_INET6_BIND", "cgroup_inet6_bind";
        CgroupInet4Connect = 10, "BPF_CGROUP_INET4_CONNECT", "cgroup_inet4_connect";
        CgroupInet6Connect = 11, "BPF_CGROUP_INET6_CONNECT", "cgroup_inet6_connect";
        CgroupInet4PostBind = 12, "BPF_CGROUP_INET4_POST_BIND", "cgroup_inet4_post_bind";
        CgroupInet6PostBind = 13, "BPF_CGROUP_INET6_POST_BIND", "cgroup_inet6_post_bind";
        CgroupUdp4Sendmsg = 14, "BPF_CGROUP_UDP4_SENDMSG", "cgroup_udp4_sendmsg";
        CgroupUdp6Sendmsg = 15, "BPF_CGROUP_UDP6_SENDMSG", "cgroup_udp6_sendmsg";
        LircMode2 = 16, "BPF_LIRC_MODE2", "lirc_mode2";
        FlowDissector = 17, "BPF_FLOW_DISSECTOR", "flow_dissector";
        CgroupSysctl = 18, "BPF_CGROUP_SYSCTL", "cgroup_sysctl";
        CgroupUdp4Recvmsg = 19, "BPF_CGROUP_UDP4_RECVMSG", "cgroup_udp4_recvmsg";
        CgroupUdp6Recvmsg = 20, "BPF_CGROUP_UDP6_RECVMSG", "cgroup_udp6_recvmsg";
        CgroupGetsockopt = 21, "BPF_CGROUP_GETSOCKOPT", "cgroup_getsockopt";
        CgroupSetsockopt = 22, "BPF_CGROUP_SETSOCKOPT", "cgroup_setsockopt";
        TraceRawTp = 23, "BPF_TRACE_RAW_TP", "trace_raw_tp";
        TraceFentry = 24, "BPF_TRACE_FENTRY", "trace_fentry";
        TraceFexit = 25, "BPF_TRACE_FEXIT", "trace_fexit";
        ModifyReturn = 26, "BPF_MODIFY_RETURN", "modify_return";
        LsmMac = 27, "BPF_LSM_MAC", "lsm_mac";
        TraceIter = 28, "BPF_TRACE_ITER", "trace_iter";
        CgroupInet4Getpeername = 29, "BPF_CGROUP_INET4_GETPEERNAME", "cgroup_inet4_getpeername";
        CgroupInet6Getpeername = 30, "BPF_CGROUP_INET6_GETPEERNAME", "cgroup_inet6_getpeername";
        CgroupInet4Getsockname = 31, "BPF_CGROUP_INET4_GETSOCKNAME", "cgroup_inet4_getsockname";
        CgroupInet6Getsockname = 32, "BPF_CGROUP_INET6_GETSOCKNAME", "cgroup_inet6_getsockname";
        XdpDevmap = 33, "BPF_XDP_DEVMAP", "xdp_devmap";
        CgroupInetSockRelease = 34, "BPF_CGROUP_INET_SOCK_RELEASE", "cgroup_inet_sock_release";
        XdpCpumap = 35, "BPF_XDP_CPUMAP", "xdp_cpumap";
        SkLookup = 36, "BPF_SK_LOOKUP", "sk_lookup";
        Xdp = 37, "BPF_XDP", "xdp";
        SkSkbVerdict = 38, "BPF_SK_SKB_VERDICT", "sk_skb_verdict";
        SkReuseportSelect = 39, "BPF_SK_REUSEPORT_SELECT", "sk_reuseport_select";
        SkReuseportSelectOrMigrate = 40, "BPF_SK_REUSEPORT_SELECT_OR_MIGRATE", "sk_reuseport_select_or_migrate";
        PerfEvent = 41, "BPF_PERF_EVENT", "perf_event";
        TraceKprobeMulti = 42, "BPF_TRACE_KPROBE_MULTI", "trace_kprobe_multi";
        LsmCgroup = 43, "BPF_LSM_CGROUP", "lsm_cgroup";
        StructOps = 44, "BPF_STRUCT_OPS", "struct_ops";
        Netfilter = 45, "BPF_NETFILTER", "netfilter";
        TcxIngress = 46, "BPF_TCX_INGRESS", "tcx_ingress";
        TcxEgress = 47, "BPF_TCX_EGRESS", "tcx_egress";
        TraceUprobeMulti = 48, "BPF_TRACE_UPROBE_MULTI", "trace_uprobe_multi";
        CgroupUnixConnect = 49, "BPF_CGROUP_UNIX_CONNECT", "cgroup_unix_connect";
        CgroupUnixSendmsg = 50, "BPF_CGROUP_UNIX_SENDMSG", "cgroup_unix_sendmsg";
        CgroupUnixRecvmsg = 51, "BPF_CGROUP_UNIX_RECVMSG", "cgroup_unix_recvmsg";
        CgroupUnixGetpeername = 52, "BPF_CGROUP_UNIX_GETPEERNAME", "cgroup_unix_getpeername";
        CgroupUnixGetsockname = 53, "BPF_CGROUP_UNIX_GETSOCKNAME", "cgroup_unix_getsockname";
        NetkitPrimary = 54, "BPF_NETKIT_PRIMARY", "netkit_primary";
        NetkitPeer = 55, "BPF_NETKIT_PEER", "netkit_peer";
        TraceKprobeSession = 56, "BPF_TRACE_KPROBE_SESSION", "trace_kprobe_session";
        TraceUprobeSession = 57, "BPF_TRACE_UPROBE_SESSION", "trace_uprobe_session";
    }
}
