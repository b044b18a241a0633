//! A checking kernel stops a run at the first access that leaves a live object, and no sooner.

use panal_kernel::PanalKernel;
use panal_testkit::setup::{self, Maps};
use panal_uapi::{
    MapType, ProgType,
    kernel::{Kernel, TestRun},
};

/// Runs a program that nobody proved over a map of three values of 12 bytes; why it was stopped.
fn run(kernel: &PanalKernel, body: &str) -> Option<String> {
    let map = kernel
        .map_create(&setup::map("m", MapType::Array, 4, 12, 3))
        .unwrap();
    let text = format!(
        "r6 = r1\n*(u32 *)(r10 - 4) = 1\nr2 = r10\nr2 += -4\nr1 = map[m] ll\n\
         call bpf_map_lookup_elem\nif r0 == 0 goto out\n{body}\nout:\nr0 = 0\nexit"
    );
    let maps = Maps::from_iter([("m", map)]);
    let spec = setup::program(ProgType::SocketFilter, &text, &maps);
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
