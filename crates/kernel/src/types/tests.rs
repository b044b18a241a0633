//! The kernel's own types, checked against the Rust types and against real objects.

use panal_btf::{Kind, TypeId};

use super::*;

fn named(btf: &Btf, name: &str, wanted: fn(&Kind) -> bool) -> Option<TypeId> {
    btf.iter()
        .find(|(_, ty)| &*ty.name == name && wanted(&ty.kind))
        .map(|(id, _)| id)
}

#[test]
fn structures_have_the_layout_of_the_rust_types() {
    let btf = btf();
    let id = named(&btf, "task_struct", |k| matches!(k, Kind::Struct { .. })).expect("task_struct");
    let Kind::Struct { size, members } = btf.kind(id) else {
        unreachable!()
    };
    assert_eq!(*size as usize, size_of::<task::TaskStruct>());
    let at = |name: &str| {
        members
            .iter()
            .find(|m| &*m.name == name)
            .map(|m| m.bit_offset / 8)
    };
    assert_eq!(
        at("comm"),
        Some(std::mem::offset_of!(task::TaskStruct, comm) as u32)
    );
    assert_eq!(
        at("real_parent"),
        Some(std::mem::offset_of!(task::TaskStruct, real_parent) as u32)
    );
}

#[test]
fn records_are_laid_out_as_linux_lays_them_out() {
    use std::mem::offset_of;
    assert_eq!(offset_of!(trace::RawSysEnter, id), 8);
    assert_eq!(offset_of!(trace::RawSysEnter, args), 16);
    assert_eq!(size_of::<trace::RawSysEnter>(), 64);
    assert_eq!(offset_of!(trace::RawSysExit, ret), 16);
    assert_eq!(offset_of!(trace::SyscallTraceEnter, args), 16);
    assert_eq!(offset_of!(trace::SyscallTraceExit, ret), 16);
    assert_eq!(offset_of!(trace::SchedProcessExit, pid), 24);
    assert_eq!(offset_of!(socket::SockAddrIn, sin_addr), 4);
    assert_eq!(size_of::<socket::SockAddrIn6>(), 28);
    assert_eq!(size_of::<packet::IpHdr>(), 20);
    assert_eq!(size_of::<packet::TcpHdr>(), 20);
    assert_eq!(size_of::<packet::Ipv6Hdr>(), 40);
    assert_eq!(size_of::<trace::PtRegs>(), 168);
}

#[test]
fn names_are_unique_within_their_kind() {
    let btf = btf();
    let mut seen = std::collections::HashSet::new();
    for (_, ty) in btf.iter().filter(|(_, ty)| !ty.name.is_empty()) {
        let space = match ty.kind {
            Kind::Struct { .. } | Kind::Union { .. } | Kind::Enum { .. } => "tag",
            Kind::Typedef(_) | Kind::Int { .. } => "type",
            Kind::Func { .. } => "function",
            _ => continue,
        };
        assert!(
            seen.insert((space, ty.name.clone())),
            "{space} {} twice",
            ty.name
        );
    }
}

#[test]
fn attach_targets_are_there() {
    let btf = btf();
    for name in [
        "bpf_lsm_file_open",
        "bpf_lsm_socket_connect",
        "bpf_lsm_bprm_check_security",
    ] {
        assert!(
            named(&btf, name, |k| matches!(k, Kind::Func { .. })).is_some(),
            "{name}"
        );
    }
    for name in [
        "btf_trace_sys_enter",
        "btf_trace_xdp_exception",
        "btf_trace_xdp_devmap_xmit",
    ] {
        assert!(
            named(&btf, name, |k| matches!(k, Kind::Typedef(_))).is_some(),
            "{name}"
        );
    }
}

#[test]
fn the_examples_header_is_the_kernels_own() {
    let committed = include_str!("../../../../examples/vmlinux.h");
    let printed = btf().to_c().expect("printable");
    assert!(committed == printed, "run `cargo xtask examples`");
}
