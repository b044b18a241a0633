//! The helpers of Linux 6.18 as data: numbers, names, signatures, since when. The verifier checks
//! calls by them, kernels implement them, the command line lists them.
//!
//! One table per subject; to add a helper is to add one item to one of them. Which program types may
//! call which helper stands in [`crate::program_types`].

mod cgroup;
mod core;
mod csum;
mod dynptr;
mod lirc;
mod lsm;
mod lwt;
mod map;
mod map_types;
mod msg;
mod print;
mod redirect;
mod ringbuf;
mod route;
mod set;
mod signature;
mod skb;
mod sock_ops;
mod socket;
mod storage;
mod syncookie;
mod syscall;
mod table;
mod task;
mod time;
mod trace;
mod tunnel;
mod xdp;

pub use map_types::{can_be_walked, fits_map, is_socket_map_change};
pub use set::HelperSet;
pub use signature::{Arg, ArgFlags, ArgKind, DynptrKind, Helper, Return, Signature, Traits};
pub use table::COUNT;

macro_rules! groups {
    ($($module:ident),* $(,)?) => {
        static INDEX: [Option<&Helper>; COUNT] = table::index(&[$($module::HELPERS),*]);

        /// Numbers of the helpers, by their names in Linux's `bpf.h`.
        pub mod id {
            $(pub use super::$module::id::*;)*
        }
    };
}

groups!(
    cgroup, core, csum, dynptr, lirc, lsm, lwt, map, msg, print, redirect, ringbuf, route, skb,
    sock_ops, socket, storage, syncookie, syscall, task, time, trace, tunnel, xdp,
);

/// The helper of this number.
pub fn by_id(id: u32) -> Option<&'static Helper> {
    INDEX.get(id as usize).copied().flatten()
}

/// The helper of this name, with or without `bpf_`.
pub fn by_name(name: &str) -> Option<&'static Helper> {
    let name = name.strip_prefix("bpf_").unwrap_or(name);
    all().find(|helper| helper.name == name)
}

/// All helpers in order of number.
pub fn all() -> impl Iterator<Item = &'static Helper> {
    INDEX.iter().copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_taken_once_and_names_are_unique() {
        let mut names: alloc::vec::Vec<_> = all().map(|helper| helper.name).collect();
        assert_eq!(names.len(), COUNT - 1);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COUNT - 1);
    }

    #[test]
    fn sizes_follow_their_memory() {
        for helper in all() {
            let variants = helper.variants.iter().map(|(_, signature)| signature);
            for signature in ::core::iter::once(&helper.signature).chain(variants) {
                assert!(signature.args.len() <= 5, "{}", helper.name);
                for (i, arg) in signature.args.iter().enumerate() {
                    let sized = matches!(arg.kind, ArgKind::MemSize | ArgKind::MemSizeOrZero);
                    let after_memory = i > 0 && signature.args[i - 1].kind == ArgKind::Mem;
                    assert_eq!(sized, after_memory, "{} argument {}", helper.name, i + 1);
                }
            }
        }
    }
}
