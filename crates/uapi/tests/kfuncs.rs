//! Compares the table of kfuncs with the running kernel's BTF.

mod linux;

use panal_btf::{Btf, Kind};
use panal_uapi::kfuncs;

#[test]
fn every_kfunc_of_the_kernel_is_listed() {
    if let Err(why) = linux::available() {
        eprintln!("skipped: {why}");
        return;
    }
    let bytes = match std::fs::read("/sys/kernel/btf/vmlinux") {
        Ok(bytes) => bytes,
        Err(e) => {
            eprintln!("skipped: no kernel BTF: {e}");
            return;
        }
    };
    let btf = Btf::parse(&bytes).expect("the kernel's own BTF");
    let missing: Vec<&str> = btf
        .iter()
        .filter_map(|(_, ty)| match ty.kind {
            Kind::DeclTag { ty: target, .. } if &*ty.name == "bpf_kfunc" => Some(btf.name(target)),
            _ => None,
        })
        .filter(|name| kfuncs::by_name(name).is_none())
        .collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}
