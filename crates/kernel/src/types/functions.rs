//! The kernel's functions and events that programs attach to by BTF.
//!
//! `lsm/NAME` attaches to a function `bpf_lsm_NAME`, `tp_btf/NAME` to a typedef `btf_trace_NAME`
//! whose prototype gives the arguments after a first `void *`.

use panal_btf::TypeId;

use super::{
    describe::{Ptr, Types, Void},
    file::{Dentry, File, Path},
    packet::{BpfMap, BpfProg, NetDevice, XdpCpumapStats},
    socket::{SockAddr, Socket},
    task::{LinuxBinprm, TaskStruct},
    trace::PtRegs,
};

/// What describes a type.
type Described = fn(&mut Types) -> TypeId;

/// One way to describe a parameter.
type Parameter = (&'static str, Described);

fn pointer<T: super::describe::Describe>(types: &mut Types) -> TypeId {
    types.of::<Ptr<T>>()
}

fn constant<T: super::describe::Describe>(types: &mut Types) -> TypeId {
    let target = types.of::<T>();
    let target = types.constant(target);
    types.pointer(target)
}

fn int(types: &mut Types) -> TypeId {
    types.of::<i32>()
}

fn unsigned(types: &mut Types) -> TypeId {
    types.of::<u32>()
}

fn long(types: &mut Types) -> TypeId {
    types.of::<i64>()
}

fn boolean(types: &mut Types) -> TypeId {
    types.boolean()
}

fn mode(types: &mut Types) -> TypeId {
    let short = types.of::<u16>();
    types.typedef("umode_t", short)
}

fn pid(types: &mut Types) -> TypeId {
    let int = types.of::<i32>();
    types.typedef("pid_t", int)
}

fn map_type(types: &mut Types) -> TypeId {
    super::constants::map_type(types)
}

/// Security hooks: what is asked before a task does something. Each returns 0 or a negated errno.
const LSM: &[(&str, &[Parameter])] = &[
    ("file_open", &[("file", pointer::<File>)]),
    ("bprm_check_security", &[("bprm", pointer::<LinuxBinprm>)]),
    (
        "socket_connect",
        &[
            ("sock", pointer::<Socket>),
            ("address", pointer::<SockAddr>),
            ("addrlen", int),
        ],
    ),
    (
        "socket_bind",
        &[
            ("sock", pointer::<Socket>),
            ("address", pointer::<SockAddr>),
            ("addrlen", int),
        ],
    ),
    (
        "path_unlink",
        &[("dir", constant::<Path>), ("dentry", pointer::<Dentry>)],
    ),
    (
        "path_mkdir",
        &[
            ("dir", constant::<Path>),
            ("dentry", pointer::<Dentry>),
            ("mode", mode),
        ],
    ),
    (
        "path_rmdir",
        &[("dir", constant::<Path>), ("dentry", pointer::<Dentry>)],
    ),
    (
        "path_rename",
        &[
            ("old_dir", constant::<Path>),
            ("old_dentry", pointer::<Dentry>),
            ("new_dir", constant::<Path>),
            ("new_dentry", pointer::<Dentry>),
            ("flags", unsigned),
        ],
    ),
    (
        "path_link",
        &[
            ("old_dentry", pointer::<Dentry>),
            ("new_dir", constant::<Path>),
            ("new_dentry", pointer::<Dentry>),
        ],
    ),
    (
        "path_symlink",
        &[
            ("dir", constant::<Path>),
            ("dentry", pointer::<Dentry>),
            ("old_name", constant::<i8>),
        ],
    ),
    ("path_truncate", &[("path", constant::<Path>)]),
];

/// Events, without the first `void *`.
const TRACEPOINTS: &[(&str, &[Described])] = &[
    ("sys_enter", &[pointer::<PtRegs>, long]),
    ("sys_exit", &[pointer::<PtRegs>, long]),
    (
        "sched_process_fork",
        &[pointer::<TaskStruct>, pointer::<TaskStruct>],
    ),
    (
        "sched_process_exec",
        &[pointer::<TaskStruct>, pid, pointer::<LinuxBinprm>],
    ),
    ("sched_process_exit", &[pointer::<TaskStruct>, boolean]),
    (
        "xdp_exception",
        &[constant::<NetDevice>, constant::<BpfProg>, unsigned],
    ),
    ("xdp_bulk_tx", &[constant::<NetDevice>, int, int, int]),
    ("xdp_redirect", REDIRECT),
    ("xdp_redirect_err", REDIRECT),
    (
        "xdp_cpumap_kthread",
        &[int, unsigned, unsigned, int, pointer::<XdpCpumapStats>],
    ),
    ("xdp_cpumap_enqueue", &[int, unsigned, unsigned, int]),
    (
        "xdp_devmap_xmit",
        &[constant::<NetDevice>, constant::<NetDevice>, int, int, int],
    ),
];

const REDIRECT: &[fn(&mut Types) -> TypeId] = &[
    constant::<NetDevice>,
    constant::<BpfProg>,
    constant::<Void>,
    int,
    map_type,
    unsigned,
    unsigned,
];

/// Describes all of them.
pub(super) fn describe(types: &mut Types) {
    types.of::<Ptr<BpfMap>>();
    let int = types.of::<i32>();
    for (name, parameters) in LSM {
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, describe)| (*name, describe(types)))
            .collect();
        types.function(&format!("bpf_lsm_{name}"), int, &parameters);
    }
    for (name, arguments) in TRACEPOINTS {
        let mut parameters = vec![("", types.of::<Ptr<Void>>())];
        parameters.extend(arguments.iter().map(|describe| ("", describe(types))));
        let proto = types.prototype(TypeId::VOID, &parameters);
        let pointer = types.pointer(proto);
        types.typedef(&format!("btf_trace_{name}"), pointer);
    }
}
