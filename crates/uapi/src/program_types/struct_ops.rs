//! Implementations of kernel interfaces: congestion control, schedulers.

use super::base::{grant, with_base};
use super::{Context, KfuncHook, PacketAccess, ProgramType, Sleepable};
use crate::ProgType;
use crate::helpers::{HelperSet, id::*};

pub(super) const STRUCT_OPS: ProgramType = ProgramType {
    prog_type: ProgType::StructOps,
    context: Context::Arguments,
    helpers: with_base!(grant(HelperSet::of(&[
        BPF_FUNC_setsockopt,
        BPF_FUNC_getsockopt,
        BPF_FUNC_sk_storage_get,
        BPF_FUNC_sk_storage_delete,
        BPF_FUNC_tcp_send_ack,
        BPF_FUNC_ktime_get_coarse_ns,
    ])),),
    returns: &[],
    sleepable: Sleepable::Possible,
    packet: PacketAccess::None,
    packet_loads: false,
    kfuncs: Some(KfuncHook::StructOps),
};
