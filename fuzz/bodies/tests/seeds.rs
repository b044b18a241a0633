//! Seeds that stand for good input are good: a corpus of refused files would test little.

use std::path::Path;

fn seed(path: &str) -> Vec<u8> {
    std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../corpus")
            .join(path),
    )
    .unwrap()
}

#[test]
fn objects_are_accepted() {
    for name in ["object/rich.o", "object/maps.o"] {
        if let Err(e) = panal_object::Object::parse(&seed(name)) {
            panic!("{name}: {e}");
        }
    }
}

#[test]
fn types_are_accepted() {
    for name in ["btf/local.bin", "btf/target.bin"] {
        if let Err(e) = panal_btf::Btf::parse(&seed(name)) {
            panic!("{name}: {e}");
        }
    }
}
