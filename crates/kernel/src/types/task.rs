//! Tasks, their credentials and memory, and what is told at their birth, exec and death.

use super::{
    describe::{ConstChar, Ptr, kernel_structs, opaque_structs},
    file::File,
};

opaque_structs! {
    CssSet = "css_set",
    FilesStruct = "files_struct",
    SignalStruct = "signal_struct",
}

kernel_structs! {
    /// A user id of the kernel.
    struct KUid = "" { val: u32 [ "uid_t" ] }

    /// A group id of the kernel.
    struct KGid = "" { val: u32 [ "gid_t" ] }

    /// A set of capabilities.
    struct KernelCap = "" { val: u64 [ "u64" ] }

    /// Who a task acts as.
    struct Cred = "cred" {
        uid: KUid [ "kuid_t" ],
        gid: KGid [ "kgid_t" ],
        suid: KUid [ "kuid_t" ],
        sgid: KGid [ "kgid_t" ],
        euid: KUid [ "kuid_t" ],
        egid: KGid [ "kgid_t" ],
        fsuid: KUid [ "kuid_t" ],
        fsgid: KGid [ "kgid_t" ],
        securebits: u32,
        cap_inheritable: KernelCap [ "kernel_cap_t" ],
        cap_permitted: KernelCap [ "kernel_cap_t" ],
        cap_effective: KernelCap [ "kernel_cap_t" ],
        cap_bset: KernelCap [ "kernel_cap_t" ],
        cap_ambient: KernelCap [ "kernel_cap_t" ],
    }

    /// What namespaces have in common.
    struct NsCommon = "ns_common" { inum: u32 }

    /// A mount namespace.
    struct MntNamespace = "mnt_namespace" { ns: NsCommon }

    /// A process-id namespace.
    struct PidNamespace = "pid_namespace" { level: u32, ns: NsCommon }

    /// A network namespace.
    struct Net = "net" { ns: NsCommon }

    /// The namespaces of a task.
    struct NsProxy = "nsproxy" {
        mnt_ns: Ptr<MntNamespace>,
        pid_ns_for_children: Ptr<PidNamespace>,
        net_ns: Ptr<Net>,
    }

    /// A process's memory, as far as its executable and its arguments go.
    struct MmStruct = "mm_struct" {
        exe_file: Ptr<File>,
        arg_start: u64,
        arg_end: u64,
        env_start: u64,
        env_end: u64,
    }

    /// A thread.
    struct TaskStruct = "task_struct" {
        __state: u32,
        flags: u32,
        pid: i32 [ "pid_t" ],
        tgid: i32 [ "pid_t" ],
        exit_code: i32,
        exit_signal: i32,
        prio: i32,
        sessionid: u32,
        start_time: u64 [ "u64" ],
        start_boottime: u64 [ "u64" ],
        real_parent: Ptr<TaskStruct>,
        parent: Ptr<TaskStruct>,
        group_leader: Ptr<TaskStruct>,
        mm: Ptr<MmStruct>,
        real_cred: Ptr<Cred>,
        cred: Ptr<Cred>,
        comm: [i8; 16],
        nsproxy: Ptr<NsProxy>,
        files: Ptr<FilesStruct>,
        signal: Ptr<SignalStruct>,
        cgroups: Ptr<CssSet>,
    }

    /// A program about to be executed.
    struct LinuxBinprm = "linux_binprm" {
        mm: Ptr<MmStruct>,
        file: Ptr<File>,
        cred: Ptr<Cred>,
        argc: i32,
        envc: i32,
        filename: Ptr<ConstChar>,
        interp: Ptr<ConstChar>,
    }
}
