//! A checking kernel stops a run at the first access that leaves a live object, and no sooner.

use panal_isa::{Imm64, assemble, assemble::Maps};
use panal_kernel::PanalKernel;
use panal_uapi::{
    MapType, ProgType, helpers,
    kernel::{Kernel, MapFlags, MapSpec, ProgFlags, ProgSpec, TestRun},
};

/// Runs a program that nobody proved over a map of three values of 12 bytes; why it was stopped.
fn run(kernel: &PanalKernel, body: &str) -> Option<String> {
    let map = kernel
        .map_create(&MapSpec {
            name: "m".into(),
            map_type: MapType::Array,
            key_size: 4,
            value_size: 12,
            max_entries: 3,
            flags: MapFlags::empty(),
            extra: 0,
            numa_node: 0,
            inner: None,
            btf: None,
            vmlinux_value_type: None,
        })
        .unwrap();
    let lookup = helpers::by_name("bpf_map_lookup_elem").unwrap().id;
    let text = format!(
        "r6 = r1\n*(u32 *)(r10 - 4) = 1\nr2 = r10\nr2 += -4\nr1 = map[m] ll\ncall {lookup}\n\
         if r0 == 0 goto out\n{body}\nout:\nr0 = 0\nexit"
    );
    let code = assemble(&text, &mut Maps(|_: &str| Some(Imm64::MapFd(map.number())))).unwrap();
    let spec = ProgSpec {
        name: "test".into(),
        prog_type: ProgType::SocketFilter,
        attach_type: None,
        code: code.slots,
        license: "GPL".into(),
        kern_version: 0,
        flags: ProgFlags::empty(),
        target: None,
        btf: None,
        funcs: Vec::new(),
        lines: Vec::new(),
        fd_array: Vec::new(),
        bind_maps: Vec::new(),
        log_level: 0,
    };
    // SAFETY: the one helper called gets the map's own handle.
    let program = unsafe { kernel.load_unproven(&spec) }.unwrap();
    let input = TestRun {
        data_in: vec![1; 64],
        ..TestRun::default()
    };
    kernel.test_run(&program, &input).unwrap().stopped
}

#[test]
fn accesses_are_held_to_live_objects() {
    let checked = PanalKernel::builder().checked(true).build().unwrap();
    let usual = PanalKernel::new().unwrap();
    for (body, allowed) in [
        ("r1 = *(u64 *)(r0 + 0)", true),
        ("r1 = *(u32 *)(r0 + 8)", true),
        ("*(u8 *)(r0 + 11) = 1", true),
        ("*(u8 *)(r0 + 12) = 1", false),
        ("r1 = *(u64 *)(r0 + 8)", false),
        ("r1 = *(u8 *)(r0 - 1)", false),
        ("r1 = *(u64 *)(r10 - 512)", true),
        ("r2 = r10\nr2 += -513\nr1 = *(u8 *)(r2 + 0)", false),
        ("r1 = *(u32 *)(r6 + 0)", true),
        ("r1 = *(u32 *)(r6 - 8)", false),
        ("r1 = map[m] ll\nr1 = *(u32 *)(r1 + 0)", true),
        ("r1 = map[m] ll\n*(u32 *)(r1 + 0) = 1", false),
    ] {
        let stopped = run(&checked, body);
        assert_eq!(stopped.is_none(), allowed, "{body}: {stopped:?}");
        // All of it lies in the cage: the usual kernel lets it pass, harmlessly.
        let stopped = run(&usual, body);
        assert!(stopped.is_none(), "{body}: {stopped:?}");
    }
}
