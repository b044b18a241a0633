//! Storage that belongs to a socket, inode, task or cgroup.

use super::signature::{Return::*, args::*, sig};
use super::table::helpers;
use crate::ProgType;

helpers! {
    BPF_FUNC_get_local_storage = 81, (4, 19), "The program's storage in its cgroup.",
        sig(&[MAP, ANY], MapValue);
    BPF_FUNC_sk_storage_get = 107, (5, 2), "A socket's storage, made when asked, or null.",
        sig(&[MAP, SK, VALUE.or_null(), ANY], MapValueOrNull),
        for [ProgType::CgroupSock] => sig(&[MAP, CTX, VALUE.or_null(), ANY], MapValueOrNull),
        for [ProgType::Tracing, ProgType::Syscall] =>
            sig(&[MAP, btf("sock_common").or_null(), VALUE.or_null(), ANY], MapValueOrNull);
    BPF_FUNC_sk_storage_delete = 108, (5, 2), "Removes a socket's storage.",
        sig(&[MAP, SK], Integer),
        for [ProgType::Tracing, ProgType::Syscall] =>
            sig(&[MAP, btf("sock_common").or_null()], Integer);
    BPF_FUNC_inode_storage_get = 145, (5, 10), "An inode's storage, made when asked, or null.",
        sig(&[MAP, btf("inode").or_null(), VALUE.or_null(), ANY], MapValueOrNull);
    BPF_FUNC_inode_storage_delete = 146, (5, 10), "Removes an inode's storage.",
        sig(&[MAP, btf("inode").or_null()], Integer);
    BPF_FUNC_task_storage_get = 156, (5, 11), "A task's storage, made when asked, or null.",
        sig(&[MAP, TASK.or_null(), VALUE.or_null(), ANY], MapValueOrNull);
    BPF_FUNC_task_storage_delete = 157, (5, 11), "Removes a task's storage.",
        sig(&[MAP, TASK.or_null()], Integer);
    BPF_FUNC_cgrp_storage_get = 210, (6, 2), "A cgroup's storage, made when asked, or null.",
        sig(&[MAP, btf("cgroup").or_null(), VALUE.or_null(), ANY], MapValueOrNull);
    BPF_FUNC_cgrp_storage_delete = 211, (6, 2), "Removes a cgroup's storage.",
        sig(&[MAP, btf("cgroup").or_null()], Integer);
}
