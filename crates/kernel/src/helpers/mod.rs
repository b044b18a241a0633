//! The helpers: one file per subject, tied to their numbers by the tables in those files.
//!
//! Signatures stand in [`panal_uapi::helpers`]; here is what they do. A helper that is missing here
//! can be verified and not run.

pub(crate) mod call;
mod checksum;
mod core;
pub(crate) mod dynptr;
mod format;
pub(crate) mod inner;
pub(crate) mod known;
mod map;
mod numbers;
pub(crate) mod print;
pub(crate) mod probe;
mod redirect;
mod ringbuf;
mod skb;
pub(crate) mod skb_shape;
mod socket;
mod storage;
pub(crate) mod tail_call;
mod task;
pub(crate) mod time;
pub(crate) mod timer;
mod trace;
pub(crate) mod tunnel;
mod xdp;

use std::sync::OnceLock;

use panal_uapi::ProgType;
use panal_vm::{HelperFn, Inline, RunWord};

use crate::{packet::Kind, program_types, socket_mirror};
use call::Implementation;
pub(crate) use time::HZ;

const TABLES: &[&[Implementation]] = &[
    checksum::TABLE,
    core::TABLE,
    dynptr::TABLE,
    map::TABLE,
    numbers::TABLE,
    print::TABLE,
    probe::TABLE,
    redirect::TABLE,
    ringbuf::TABLE,
    skb::TABLE,
    skb_shape::TABLE,
    socket::TABLE,
    storage::TABLE,
    task::TABLE,
    time::TABLE,
    timer::TABLE,
    trace::TABLE,
    tunnel::TABLE,
    xdp::TABLE,
];

type Index = [Option<HelperFn>; panal_uapi::helpers::COUNT];

/// The implementation of a helper, if there is one.
pub(crate) fn implementation(id: u32) -> Option<HelperFn> {
    static INDEX: OnceLock<Index> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let mut index: Index = [None; panal_uapi::helpers::COUNT];
        for helper in TABLES.iter().copied().flatten() {
            index[helper.id as usize] = Some(helper.function);
        }
        index
    });
    index.get(id as usize).copied().flatten()
}

/// What a helper does, where code need not call it for that.
pub(crate) fn inline(id: u32, prog_type: ProgType) -> Option<Inline> {
    use panal_uapi::helpers::id;
    Some(match id {
        id::BPF_FUNC_get_smp_processor_id => Inline::OfRun(RunWord::Cpu),
        id::BPF_FUNC_get_current_pid_tgid => Inline::OfRun(RunWord::PidTgid),
        id::BPF_FUNC_get_current_task | id::BPF_FUNC_get_current_task_btf => {
            Inline::OfRun(RunWord::Task)
        }
        id::BPF_FUNC_jiffies64 => Inline::Ticks,
        // All of Panal's CPUs are one node.
        id::BPF_FUNC_get_numa_node_id => Inline::Constant(0),
        id::BPF_FUNC_dynptr_data => Inline::DynptrData,
        id::BPF_FUNC_get_hash_recalc => Inline::Field { at: skb::HASH_AT },
        id::BPF_FUNC_get_socket_cookie
            if program_types::context_kind(prog_type) == Some(Kind::Skb) =>
        {
            Inline::Behind {
                pointer: program_types::skb::SK as u32,
                at: socket_mirror::COOKIE as u32,
            }
        }
        id::BPF_FUNC_xdp_get_buff_len => Inline::PacketLen {
            bounds: program_types::pointers_at(Kind::Xdp) as u32,
        },
        _ => return None,
    })
}

/// What does the loads of packet bytes that classic BPF left behind.
pub(crate) fn packet_load(size: panal_isa::Size) -> Option<HelperFn> {
    Some(skb::packet_load(size))
}

/// Whether this kernel can run a helper. Tail calls are the engine's own work.
pub fn is_implemented(id: u32) -> bool {
    id == panal_uapi::helpers::id::BPF_FUNC_tail_call || implementation(id).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_implementation_has_the_name_of_its_number_and_stands_once() {
        let mut seen = std::collections::HashSet::new();
        for helper in TABLES.iter().copied().flatten() {
            let signature = panal_uapi::helpers::by_id(helper.id).expect("a signature");
            assert_eq!(helper.name, signature.name, "{}", helper.id);
            assert!(seen.insert(helper.id), "{} stands twice", helper.name);
        }
    }
}
