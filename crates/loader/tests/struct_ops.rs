//! struct_ops variables in a kernel whose type differs from the object's.
#![allow(missing_docs)]

mod common;

use std::{fs, path::Path, sync::Arc};

use common::Recorder;
use panal_btf::{Btf, Builder, Kind, KindTag, TypeId};
use panal_loader::{Blame, Error, Open};
use panal_uapi::{
    AttachType, MapType,
    kernel::{AttachTarget, LoadTarget},
};

/// The object's `congestion_ops`: ssthresh, init, name, flags.
fn open() -> Open {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../object/tests/objects")
        .join("struct_ops.bpf.o");
    Open::parse(&fs::read(path).unwrap(), "struct_ops.bpf.o").unwrap()
}

type Types = (TypeId, TypeId, TypeId);

/// A kernel with these members of the interface, made of a function pointer, a name of this many
/// bytes and a number.
fn kernel(name: u32, members: impl Fn(Types) -> Vec<(&'static str, TypeId, u32)>) -> Recorder {
    let mut builder = Builder::new();
    let number = builder.unsigned("unsigned int", 4);
    let char = builder.signed("char", 1);
    let array = Kind::Array {
        element: char,
        index: number,
        len: name,
    };
    let array = builder.add("", array);
    let proto = Kind::FuncProto {
        ret: number,
        params: Box::new([]),
    };
    let proto = builder.add("", proto);
    let function = builder.ptr(proto);
    let members = members((function, array, number));
    let ops = builder.structure("congestion_ops", 64, &members);
    let common = builder.structure("bpf_struct_ops_common_value", 8, &[]);
    builder.structure(
        "bpf_struct_ops_congestion_ops",
        128,
        &[("common", common, 0), ("data", ops, 64)],
    );
    Recorder::new(Arc::new(Btf::parse(&builder.to_bytes().unwrap()).unwrap()))
}

#[test]
fn members_go_where_the_kernel_has_them() {
    let kernel = kernel(16, |(function, name, number)| {
        vec![
            ("new", number, 0),
            ("flags", number, 4),
            ("init", function, 8),
            ("ssthresh", function, 16),
            ("name", name, 24),
        ]
    });
    let loaded = open().prepare(&kernel).unwrap().load().unwrap();
    let (_, spec) = kernel.map("quick");
    let id = |name| kernel.btf.find(name, KindTag::Struct);
    assert_eq!(spec.map_type, MapType::StructOps);
    assert_eq!((spec.value_size, spec.max_entries), (128, 1));
    assert_eq!(spec.flags.bits(), 1 << 13, "BPF_F_LINK");
    assert_eq!(spec.vmlinux_value_type, id("bpf_struct_ops_congestion_ops"));
    for (name, member) in [("init", 2), ("ssthresh", 3)] {
        let asked = kernel.asked.lock().unwrap();
        let spec = asked.programs.iter().find(|spec| spec.name == name);
        let spec = spec.unwrap();
        assert_eq!(spec.attach_type.map(AttachType::number), Some(member));
        let Some(LoadTarget::KernelBtf(tied)) = spec.target else {
            panic!("{:?}", spec.target)
        };
        assert_eq!(Some(tied), id("congestion_ops"));
    }
    let map = loaded.struct_ops().next().unwrap();
    loaded.register(map).unwrap();
    let written = kernel.written("quick");
    let [(key, value)] = &written[..] else {
        panic!("{written:?}")
    };
    let mut expected = vec![0; 128];
    expected[68] = 6;
    for (at, name) in [(72, "init"), (80, "ssthresh")] {
        let fd = i64::from(loaded.program(name).unwrap().fd.number());
        expected[at..at + 8].copy_from_slice(&fd.to_ne_bytes());
    }
    expected[88..93].copy_from_slice(b"quick");
    assert_eq!((&key[..], value), (&[0; 4][..], &expected));
    assert_eq!(
        kernel.asked.lock().unwrap().attached,
        [AttachTarget::StructOps]
    );
}

/// Why the object is not loaded.
fn refused(kernel: &Recorder) -> Error {
    let prepared = open().prepare(kernel).unwrap();
    prepared.load().err().expect("it does not fit")
}

#[test]
fn what_does_not_fit_is_told_by_member() {
    let refusals = [
        (
            kernel(12, |(f, n, u)| {
                vec![
                    ("init", f, 0),
                    ("ssthresh", f, 8),
                    ("name", n, 16),
                    ("flags", u, 28),
                ]
            }),
            "member congestion_ops.name: 16 bytes in the object, 12 in the kernel",
        ),
        (
            kernel(16, |(f, n, _)| {
                vec![("init", f, 0), ("ssthresh", f, 8), ("name", n, 16)]
            }),
            "member congestion_ops.flags: recorder does not have it",
        ),
        (
            kernel(16, |(f, n, u)| {
                vec![
                    ("init", f, 0),
                    ("ssthresh", u, 8),
                    ("name", n, 16),
                    ("flags", u, 32),
                ]
            }),
            "member congestion_ops.ssthresh: Ptr in the object, Int in the kernel",
        ),
    ];
    for (kernel, why) in refusals {
        let error = refused(&kernel);
        assert_eq!(error.to_string(), format!("map quick: {why}"));
        assert_eq!(error.blame(), Blame::Source);
        assert!(kernel.asked.lock().unwrap().maps.is_empty());
    }
}

#[test]
fn a_kernel_without_the_interface_is_named() {
    let error = refused(&Recorder::new(Arc::default()));
    assert_eq!(
        error.to_string(),
        "struct_ops variable quick: recorder has no interface congestion_ops"
    );
    assert_eq!(error.blame(), Blame::Kernel);
}
