//! Programs that attach to kernel functions by BTF, iterators, and programs that replace functions.

use super::base::{TRACING, grant, with_base};
use super::context::When;
use super::{Context, Grant, KfuncHook, PacketAccess, ProgramType, Returns, Sleepable};
use crate::helpers::{HelperSet, id::*};
use crate::{AttachType, ProgType};

/// Objects by BTF.
pub(super) const TYPED: HelperSet = HelperSet::of(&[
    BPF_FUNC_get_socket_cookie,
    BPF_FUNC_sk_storage_get,
    BPF_FUNC_sk_storage_delete,
    BPF_FUNC_skb_output,
    BPF_FUNC_xdp_output,
    BPF_FUNC_d_path,
    BPF_FUNC_sock_from_file,
    BPF_FUNC_xdp_get_buff_len,
    BPF_FUNC_skc_to_tcp6_sock,
    BPF_FUNC_skc_to_tcp_sock,
    BPF_FUNC_skc_to_tcp_timewait_sock,
    BPF_FUNC_skc_to_tcp_request_sock,
    BPF_FUNC_skc_to_udp6_sock,
    BPF_FUNC_skc_to_unix_sock,
    BPF_FUNC_skc_to_mptcp_sock,
]);

/// For trampolines.
pub(super) const FUNCTION: HelperSet = HelperSet::of(&[
    BPF_FUNC_get_func_arg,
    BPF_FUNC_get_func_ret,
    BPF_FUNC_get_func_arg_cnt,
]);

/// For iterators.
const ITERATOR: HelperSet = HelperSet::of(&[
    BPF_FUNC_seq_printf,
    BPF_FUNC_seq_write,
    BPF_FUNC_seq_printf_btf,
]);

/// For iterators over TCP and Unix sockets; which they are, the verifier asks the hook.
const SOCKET_ITERATOR: HelperSet = HelperSet::of(&[BPF_FUNC_setsockopt, BPF_FUNC_getsockopt]);

const COOKIE: HelperSet = HelperSet::of(&[BPF_FUNC_get_attach_cookie]);

const TRAMPOLINE: When = When::At(&[
    AttachType::TraceFentry,
    AttachType::TraceFexit,
    AttachType::ModifyReturn,
]);

const RESULTS: &[(When, Returns)] = &[
    (
        When::At(&[AttachType::TraceFentry, AttachType::TraceFexit]),
        Returns::Range(0, 0),
    ),
    (When::At(&[AttachType::TraceIter]), Returns::Range(0, 1)),
];

pub(super) const TRACE: ProgramType = ProgramType {
    prog_type: ProgType::Tracing,
    context: Context::Arguments,
    helpers: with_base!(
        grant(TRACING.without(COOKIE)),
        Grant {
            helpers: COOKIE,
            when: When::NotAt(&[AttachType::TraceIter])
        },
        grant(TYPED),
        Grant {
            helpers: FUNCTION,
            when: TRAMPOLINE
        },
        Grant {
            helpers: ITERATOR.union(SOCKET_ITERATOR),
            when: When::At(&[AttachType::TraceIter])
        },
    ),
    returns: RESULTS,
    sleepable: Sleepable::Possible,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: Some(KfuncHook::Tracing),
};

/// A program that replaces a function follows the rules of the function's program.
pub(super) const EXT: ProgramType = ProgramType {
    prog_type: ProgType::Ext,
    context: Context::OfTarget,
    helpers: &[],
    returns: &[],
    sleepable: Sleepable::Possible,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: None,
};
