//! Objects that others wrote are relocated against the running kernel's types.
#![allow(missing_docs)]

mod common;
#[path = "../../object/tests/common/real.rs"]
mod real;

use std::{fs, sync::Arc};

use common::Recorder;
use panal_btf::Btf;
use panal_loader::{Error, Open};

#[test]
fn every_real_object_is_relocated_for_the_running_kernel() {
    let Ok(bytes) = fs::read("/sys/kernel/btf/vmlinux") else {
        println!("skipped: no /sys/kernel/btf/vmlinux");
        return;
    };
    let types = Arc::new(Btf::parse(&bytes).unwrap());
    let (mut objects, mut relocated, mut untargeted) = (0, 0, 0);
    for (name, bytes) in real::objects() {
        let mut kernel = Recorder::new(types.clone());
        kernel.symbols.insert("bpf_prog_active".to_owned(), 0x1000);
        kernel.config.insert("CONFIG_HZ", "250");
        let mut open = Open::parse(&bytes, &name).unwrap_or_else(|e| panic!("{name}: {e}"));
        open.without_pins();
        let prepared = open
            .prepare(&kernel)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        objects += 1;
        for plan in prepared.open().programs() {
            match prepared.spec(plan) {
                Ok(spec) => {
                    assert!(!spec.code.is_empty());
                    relocated += 1;
                }
                // The function that a program is for is not in this kernel.
                Err(Error::NoTarget { .. }) => untargeted += 1,
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }
    println!("{objects} objects: {relocated} programs relocated, {untargeted} without target");
    assert!(relocated > untargeted || objects == 0);
}
