//! Loading: what opens is relocated against its own types and handed to a kernel that takes
//! everything; what is handed over is well-formed.

#[path = "../../../crates/loader/tests/common/mod.rs"]
mod common;

use panal_isa::Slot;
use panal_loader::Open;
use panal_uapi::kernel::ProgSpec;

/// Bytes as an object file, to be loaded.
pub fn loader(data: &[u8]) {
    let Ok(mut open) = Open::parse(data, "fuzzed.bpf.o") else {
        return;
    };
    open.without_pins();
    let types = open.object().btf().cloned().unwrap_or_default();
    let kernel = common::Recorder::new(types);
    let Ok(prepared) = open.prepare(&kernel) else {
        return;
    };
    for plan in prepared.open().programs() {
        if let Ok(spec) = prepared.spec(plan) {
            check(&spec);
        }
    }
}

/// Records of functions and lines stand in order and within the code.
fn check(spec: &ProgSpec) {
    let slots = spec.code.len() as u32;
    assert!(spec.funcs.iter().all(|f| f.slot < slots));
    assert!(spec.lines.iter().all(|l| l.slot < slots));
    assert!(spec.funcs.is_sorted_by_key(|f| f.slot));
    assert!(spec.lines.is_sorted_by_key(|l| l.slot));
    assert!(slots > 0 && spec.code.iter().all(|s: &Slot| s.dst() < 16));
}
