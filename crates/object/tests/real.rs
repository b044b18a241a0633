//! Objects that others wrote open: Debian's xdp-tools and libbpf-tools.
#![allow(missing_docs)]

#[path = "common/real.rs"]
mod real;

use panal_object::Object;

#[test]
fn every_object_of_xdp_tools_opens() {
    let objects = real::xdp_tools();
    if objects.is_empty() {
        println!("skipped: xdp-tools is not installed ({})", real::XDP_TOOLS);
    }
    for (name, bytes) in objects {
        let object = Object::parse(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(object.programs().count() > 0, "{name}");
    }
}

#[test]
fn every_object_within_libbpf_tools_opens() {
    let objects = real::libbpf_tools();
    match objects.len() {
        0 => println!("skipped: libbpf-tools is not installed"),
        count => println!("{count} objects"),
    }
    for (name, bytes) in objects {
        let object = Object::parse(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(object.btf().is_some(), "{name}");
    }
}
