//! Files of captured kernels: hostile bytes are an error, and what is read is written the same.

use std::sync::Arc;

use panal_btf::Btf;
use panal_profile::{Captured, Features};

/// The bytes as a file, and as the answers within one.
pub fn profile(data: &[u8]) {
    if let Ok(captured) = Captured::parse(data) {
        again(&captured);
    }
    if let Ok(features) = Features::from_json(data) {
        again(&Captured {
            features,
            btf: data.to_vec(),
        });
    }
}

fn again(captured: &Captured) {
    let bytes = captured.to_bytes().expect("what was read can be written");
    let read = Captured::parse(&bytes).expect("what was written can be read");
    assert_eq!(read.features, captured.features);
    assert_eq!(read.btf, captured.btf);
    // Types may be hostile, too; the rest of a profile follows from any answers.
    let _ = read.profile("fuzz", &Arc::new(Btf::default()));
    let _ = read.features.reasons();
}
