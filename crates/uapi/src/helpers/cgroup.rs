//! Control groups: ids, membership, return values and sysctls of cgroup hooks.

use super::signature::{Return::*, args::*, sig};
use super::table::helpers;
use crate::ProgType;

helpers! {
    BPF_FUNC_get_cgroup_classid = 17, (4, 3), "The net_cls class of the task.",
        sig(&[], Integer),
        for [
            ProgType::SchedCls, ProgType::SchedAct, ProgType::LwtIn, ProgType::LwtOut,
            ProgType::LwtXmit, ProgType::LwtSeg6local,
        ] => sig(&[CTX], Integer);
    BPF_FUNC_skb_under_cgroup = 33, (4, 8), "Whether the packet's socket is below a cgroup.",
        sig(&[CTX, MAP, ANY], Integer);
    BPF_FUNC_current_task_under_cgroup = 37, (4, 9), "Whether the current task is below a cgroup.",
        sig(&[MAP, ANY], Integer);
    BPF_FUNC_skb_cgroup_id = 79, (4, 18), "Id of the cgroup of the packet's socket.",
        sig(&[CTX], Integer);
    BPF_FUNC_get_current_cgroup_id = 80, (4, 18), "Id of the current task's cgroup.",
        sig(&[], Integer);
    BPF_FUNC_skb_ancestor_cgroup_id = 83, (4, 19), "Id of an ancestor of the cgroup of the packet's socket.",
        sig(&[CTX, ANY], Integer);
    BPF_FUNC_sysctl_get_name = 101, (5, 2), "Name of the sysctl that is accessed.",
        sig(&[CTX, MEM_RW, SIZE, ANY], Integer);
    BPF_FUNC_sysctl_get_current_value = 102, (5, 2), "Value of the sysctl.",
        sig(&[CTX, MEM_OUT, SIZE], Integer);
    BPF_FUNC_sysctl_get_new_value = 103, (5, 2), "Value that is being written to the sysctl.",
        sig(&[CTX, MEM_OUT, SIZE], Integer);
    BPF_FUNC_sysctl_set_new_value = 104, (5, 2), "Replaces the value that is being written.",
        sig(&[CTX, MEM_RO, SIZE], Integer);
    BPF_FUNC_get_current_ancestor_cgroup_id = 123, (5, 7), "Id of an ancestor of the current task's cgroup.",
        sig(&[ANY], Integer);
    BPF_FUNC_sk_cgroup_id = 128, (5, 8), "Id of a socket's cgroup.",
        sig(&[SK], Integer);
    BPF_FUNC_sk_ancestor_cgroup_id = 129, (5, 8), "Id of an ancestor of a socket's cgroup.",
        sig(&[SK, ANY], Integer);
    BPF_FUNC_skb_cgroup_classid = 151, (5, 10), "The net_cls class of the packet's socket.",
        sig(&[CTX], Integer);
    BPF_FUNC_get_retval = 186, (5, 18), "What the hooked call will return so far.",
        sig(&[], Integer);
    BPF_FUNC_set_retval = 187, (5, 18), "Sets what the hooked call will return.",
        sig(&[ANY], Integer);
}
