//! Objects: ids, names, references, pins, freezing, tail calls, threads.

use std::sync::atomic::{AtomicU32, Ordering};

use panal_kernel::{Budget, Engine, PanalKernel};
use panal_testkit::{
    Subject, kernels, on_both,
    setup::{Maps, load_text, loaded, map, program},
};
use panal_uapi::{
    Errno, MapType, ProgType,
    inspect::{Inspect, ObjectKind, OpenFlags},
    kernel::{Kernel, LoadError, MapFlags, ProgSpec, TestRun},
};

#[test]
fn ids_grow_and_objects_live_as_long_as_they_are_held() {
    let kernel = PanalKernel::new().unwrap();
    let a = kernel
        .map_create(&map("a", MapType::Array, 4, 4, 1))
        .unwrap();
    let b = kernel
        .map_create(&map("b", MapType::Array, 4, 4, 1))
        .unwrap();
    let (a_id, b_id) = (
        kernel.map_info(&a).unwrap().id,
        kernel.map_info(&b).unwrap().id,
    );
    assert!(a_id < b_id);
    drop(b);
    assert!(kernel.map_by_id(b_id).is_none());
    assert_eq!(kernel.maps().len(), 1);
    let c = kernel
        .map_create(&map("c", MapType::Array, 4, 4, 1))
        .unwrap();
    assert!(kernel.map_info(&c).unwrap().id > b_id);
}

#[test]
fn descriptors_are_the_smallest_free_numbers() {
    let kernel = PanalKernel::new().unwrap();
    let spec = map("m", MapType::Array, 4, 4, 1);
    let [a, b, c] = [(); 3].map(|()| kernel.map_create(&spec).unwrap());
    assert_eq!([a.number(), b.number(), c.number()], [3, 4, 5]);
    drop(b);
    assert_eq!(kernel.map_create(&spec).unwrap().number(), 4);
}

/// Runs a test with a directory for pins on each kernel: on Linux, a BPF file system that this thread
/// alone sees, and that goes with it.
fn with_place(test: impl Fn(&Subject, &str) + Sync) {
    for subject in kernels() {
        if !subject.is_linux() {
            test(&subject, "/sys/fs/bpf/objects");
            continue;
        }
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("panal-objects-{}-{count}", std::process::id());
        let place = std::env::temp_dir().join(name);
        std::fs::create_dir(&place).expect("a directory");
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| match mount_for_this_thread(&place) {
                Ok(()) => test(&subject, place.to_str().expect("UTF-8")),
                Err(why) => println!("skipped: linux: {why}"),
            });
            let result = thread.join();
            std::fs::remove_dir(&place).expect("an empty directory");
            if let Err(panic) = result {
                std::panic::resume_unwind(panic);
            }
        });
    }
}

#[cfg(target_os = "linux")]
fn mount_for_this_thread(place: &std::path::Path) -> std::io::Result<()> {
    use std::ffi::{CStr, CString};
    let done = |result: libc::c_int| match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    let mount = |source: &CStr, to: &CStr, kind: Option<&CStr>, flags| {
        let kind = kind.map_or(std::ptr::null(), CStr::as_ptr);
        // SAFETY: the texts outlive the call, which changes this thread's mounts alone.
        done(unsafe { libc::mount(source.as_ptr(), to.as_ptr(), kind, flags, std::ptr::null()) })
    };
    // SAFETY: gives this thread mounts of its own.
    done(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    mount(c"none", c"/", None, libc::MS_REC | libc::MS_PRIVATE)?;
    let place = CString::new(place.as_os_str().as_encoded_bytes())?;
    mount(c"bpf", &place, Some(c"bpf"), 0)
}

#[cfg(not(target_os = "linux"))]
fn mount_for_this_thread(_: &std::path::Path) -> std::io::Result<()> {
    unreachable!("Linux is not asked here")
}

#[test]
fn what_is_pinned_lives_on() {
    with_place(|subject, place| {
        let kernel = &*subject.kernel;
        let path = |name: &str| format!("{place}/{name}");
        let spec = map("pinned", MapType::Array, 4, 4, 1);
        let [a, b] = [(); 2].map(|()| kernel.map_create(&spec).unwrap());
        let [a_id, b_id] = [&a, &b].map(|map| kernel.map_info(map).unwrap().id);
        kernel.pin(&a, &path("a")).unwrap();
        drop((a, b));
        let open = |id| kernel.open_id(ObjectKind::Map, id, OpenFlags::empty());
        assert!(open(b_id).unwrap().is_none(), "{}", subject.name);
        let again = kernel.get_pinned(&path("a")).unwrap().unwrap();
        assert_eq!(kernel.map_info(&again).unwrap().id, a_id);
        assert!(kernel.get_pinned(&path("b")).unwrap().is_none());
        drop(again);
        assert!(kernel.unpin(&path("a")).unwrap());
        assert!(!kernel.unpin(&path("a")).unwrap());
        // On Linux, an inode's last reader is waited for.
        let gone = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            open(a_id).unwrap().is_none()
        });
        assert!(gone, "{}", subject.name);
    });
}

#[test]
fn pins_are_refused_alike() {
    with_place(|subject, place| {
        let kernel = &*subject.kernel;
        let path = |name: &str| format!("{place}/{name}");
        let spec = map("pinned", MapType::Array, 4, 4, 1);
        let m = kernel.map_create(&spec).unwrap();
        let pin = |name: &str| kernel.pin(&m, &path(name)).map_err(|e| e.errno);
        // Panal's directories are there when something is in them.
        if subject.is_linux() {
            std::fs::create_dir(path("dir")).unwrap();
        }
        assert_eq!(pin("dir/m"), Ok(()), "{}", subject.name);
        assert_eq!(pin("dir/m"), Err(Errno::EEXIST), "{}", subject.name);
        assert_eq!(pin("dir"), Err(Errno::EEXIST), "{}", subject.name);
        assert_eq!(pin("dir/m/n"), Err(Errno::ENOTDIR), "{}", subject.name);
        assert_eq!(pin("a.b"), Err(Errno::EPERM), "{}", subject.name);
        let empty = kernel.pin(&m, "").map_err(|e| e.errno);
        assert_eq!(empty, Err(Errno::ENOENT), "{}", subject.name);
    });
}

#[test]
fn long_names_are_cut() {
    on_both(|kernel| {
        let spec = map("a_very_long_name.1", MapType::Array, 4, 4, 1);
        let m = kernel.map_create(&spec).unwrap();
        let name = kernel.map_info(&m).unwrap().name;
        assert_eq!(name, "a_very_long_nam");
        let spec = ProgSpec {
            name: "a_very_long_name.1".to_owned(),
            ..program(ProgType::SocketFilter, "r0 = 0\nexit", &Maps::new())
        };
        let loaded = kernel.prog_load(&spec).unwrap();
        (name, kernel.prog_info(&loaded.fd).unwrap().name)
    });
}

/// Linux's client mends names instead: so do libbpf and bpftool.
#[test]
fn names_are_checked() {
    let kernel = PanalKernel::new().unwrap();
    let bad = kernel.map_create(&map("no spaces", MapType::Array, 4, 4, 1));
    assert_eq!(bad.unwrap_err().errno, Errno::EINVAL);
}

#[test]
fn what_is_frozen_user_space_cannot_write_but_programs_can() {
    on_both(|kernel| {
        let spec = map("m", MapType::Array, 4, 8, 1);
        let m = kernel.map_create(&spec).unwrap();
        let maps = Maps::from_iter([("m", m.clone())]);
        kernel.map_update(&m, &[0; 4], &[1; 8], 0).unwrap();
        kernel.map_freeze(&m).unwrap();
        let again = kernel.map_freeze(&m).map_err(|e| e.errno);
        let written = kernel.map_update(&m, &[0; 4], &[2; 8], 0);
        assert!(kernel.map_info(&m).unwrap().frozen);
        let text = "
            r1 = map[m][0] + 0 ll
            r2 = 7
            *(u64 *)(r1 + 0) = r2
            r0 = 0
            exit";
        let fd = loaded(kernel, ProgType::SocketFilter, text, &maps);
        let run = TestRun {
            data_in: vec![0; 14],
            ..TestRun::default()
        };
        kernel.prog_test_run(&fd, &run).unwrap();
        let value = kernel.map_lookup(&m, &[0; 4], 0).unwrap().unwrap();
        assert_eq!(value, 7u64.to_ne_bytes());
        (again, written.map_err(|e| e.errno), value)
    });
}

#[test]
fn a_descriptor_that_is_no_map_is_told() {
    const NOBODYS: i32 = 9_999;
    on_both(|kernel| {
        let text = "r1 = 0 ll\nr0 = 0\nexit";
        let mut spec = program(ProgType::SocketFilter, text, &Maps::new());
        spec.code[0].registers |= 1 << 4;
        spec.code[0].imm = NOBODYS;
        let (errno, words) = match kernel.prog_load(&spec) {
            Err(LoadError::Rejected { errno, log, .. }) => (errno, log),
            Err(LoadError::Failed(failure)) => (failure.errno, failure.detail),
            Ok(_) => panic!("loaded"),
        };
        assert_eq!(errno, Errno::EBADF);
        let told = format!("fd {NOBODYS} is not pointing to valid bpf_map");
        let says_so = words.contains(&told) || kernel.name().starts_with("linux");
        assert!(says_so, "{}: {words}", kernel.name());
    });
}

#[test]
fn tail_calls_end_after_thirty_three_and_arrays_empty_with_their_last_user() {
    let kernel = PanalKernel::new().unwrap();
    let mut maps = Maps::new();
    maps.insert(
        "p",
        kernel
            .map_create(&map("p", MapType::ProgArray, 4, 4, 2))
            .unwrap(),
    );
    maps.insert(
        "n",
        kernel
            .map_create(&map("n", MapType::Array, 4, 8, 1))
            .unwrap(),
    );
    // Counts itself, then calls itself.
    let text = "
        r6 = r1
        r1 = 0
        *(u32 *)(r10 - 4) = r1
        r2 = r10
        r2 += -4
        r1 = map[n] ll
        call bpf_map_lookup_elem
        if r0 == 0 goto out
        r1 = 1
        lock *(u64 *)(r0 + 0) += r1
    out:
        r1 = r6
        r2 = map[p] ll
        r3 = 1
        call bpf_tail_call
        r0 = 5
        exit";
    let (fd, program) = load_text(&kernel, ProgType::SocketFilter, text, &maps);
    kernel
        .map_update(&maps["p"], &[1, 0, 0, 0], &fd.number().to_ne_bytes(), 0)
        .unwrap();
    let id = kernel
        .map_lookup(&maps["p"], &[1, 0, 0, 0], 0)
        .unwrap()
        .unwrap();
    assert_eq!(id, program.id().to_ne_bytes());
    let run = TestRun {
        data_in: vec![0; 14],
        ..TestRun::default()
    };
    assert_eq!(kernel.prog_test_run(&fd, &run).unwrap().retval, 5);
    let count = kernel.map_lookup(&maps["n"], &[0; 4], 0).unwrap().unwrap();
    assert_eq!(count, 34u64.to_ne_bytes());

    let (xdp, _) = load_text(&kernel, ProgType::Xdp, "r0 = 2\nexit", &Maps::new());
    let other = kernel.map_update(&maps["p"], &[0; 4], &xdp.number().to_ne_bytes(), 0);
    assert_eq!(other.unwrap_err().errno, Errno::EINVAL);

    let prog_id = program.id();
    drop((fd, program));
    assert!(
        kernel.program_by_id(prog_id).is_some(),
        "its array holds it"
    );
    drop(maps);
    let gone = (0..100).any(|_| {
        kernel.session().map(drop).unwrap();
        kernel.program_by_id(prog_id).is_none()
    });
    assert!(gone, "program and array hold each other for ever");
}

#[test]
fn threads_run_at_once_on_cpus_of_their_own() {
    const THREADS: u64 = 4;
    const RUNS: u64 = 2000;
    let kernel = PanalKernel::builder().cpus(3).build().unwrap();
    let mut maps = Maps::new();
    for (name, map_type) in [("s", MapType::Array), ("p", MapType::PercpuArray)] {
        maps.insert(
            name,
            kernel.map_create(&map(name, map_type, 4, 8, 1)).unwrap(),
        );
    }
    // One counter that all share, atomically; one for each CPU, without.
    let text = "
        r1 = 0
        *(u32 *)(r10 - 4) = r1
        r2 = r10
        r2 += -4
        r1 = map[s] ll
        call bpf_map_lookup_elem
        if r0 == 0 goto out
        r1 = 1
        lock *(u64 *)(r0 + 0) += r1
        r2 = r10
        r2 += -4
        r1 = map[p] ll
        call bpf_map_lookup_elem
        if r0 == 0 goto out
        r1 = *(u64 *)(r0 + 0)
        r1 += 1
        *(u64 *)(r0 + 0) = r1
    out:
        r0 = 0
        exit";
    let (_fd, program) = load_text(&kernel, ProgType::SocketFilter, text, &maps);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let run = TestRun {
                    data_in: vec![0; 14],
                    ..TestRun::default()
                };
                for _ in 0..RUNS {
                    kernel.test_run(&program, &run).unwrap();
                }
            });
        }
    });
    let shared = kernel.map_lookup(&maps["s"], &[0; 4], 0).unwrap().unwrap();
    assert_eq!(shared, (THREADS * RUNS).to_ne_bytes());
    let each = kernel.map_lookup(&maps["p"], &[0; 4], 0).unwrap().unwrap();
    assert_eq!(each.len(), 24);
    let sum: u64 = each
        .as_chunks()
        .0
        .iter()
        .map(|value| u64::from_ne_bytes(*value))
        .sum();
    assert_eq!(sum, THREADS * RUNS);
    assert_eq!(program.runs(), THREADS * RUNS);
}

#[test]
fn a_run_ends_with_its_budget() {
    let kernel = PanalKernel::builder()
        .budget(Budget {
            steps: Some(1000),
            time: None,
        })
        .build()
        .unwrap();
    let text = "
        r1 = 100000
    again:
        r1 += -1
        if r1 != 0 goto again
        r0 = 0
        exit";
    let (fd, _) = load_text(&kernel, ProgType::SocketFilter, text, &Maps::new());
    let run = TestRun {
        data_in: vec![0; 14],
        ..TestRun::default()
    };
    let result = kernel.prog_test_run(&fd, &run).unwrap();
    assert!(result.stopped.unwrap().contains("budget"));
}

/// Hardened systems refuse executable memory; this process asks for it, so it is one of its own.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn without_executable_memory_programs_are_interpreted_and_it_is_said() {
    const CHILD: &str = "PANAL_TEST_MDWE";
    if std::env::var(CHILD).is_err() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "without_executable_memory_programs_are_interpreted_and_it_is_said",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        if errors.contains("skipped") {
            eprintln!("{errors}");
        }
        return;
    }
    const PR_SET_MDWE: libc::c_int = 65;
    const PR_MDWE_REFUSE_EXEC_GAIN: libc::c_ulong = 1;
    // SAFETY: changes what mappings this process may make, and nothing else.
    if unsafe { libc::prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) } != 0 {
        return eprintln!("skipped: Linux has no PR_SET_MDWE");
    }
    for caged in [false, true] {
        let builder = PanalKernel::builder().engine(Engine::MachineCode);
        let kernel = builder.caged(caged).build().unwrap();
        let text = "r0 = 42\nexit";
        let (fd, _) = load_text(&kernel, ProgType::SocketFilter, text, &Maps::new());
        let why = kernel
            .program(&fd)
            .unwrap()
            .interpreted()
            .map(str::to_owned);
        assert!(why.is_some_and(|why| why.contains("executable memory")));
        let run = TestRun {
            data_in: vec![0; 14],
            ..TestRun::default()
        };
        let result = kernel.prog_test_run(&fd, &run).unwrap();
        assert_eq!(result.retval, 42);
        assert!(result.interpreted.is_some());
    }
}

#[test]
fn a_helper_that_is_missing_is_named_and_only_running_is_refused() {
    let text = "
        r1 = 0
        call bpf_send_signal
        r0 = 0
        exit";
    let spec = program(ProgType::Tracepoint, text, &Maps::new());
    let kernel = PanalKernel::new().unwrap();
    let LoadError::Failed(failure) = kernel.prog_load(&spec).unwrap_err() else {
        panic!("rejected")
    };
    assert!(failure.detail.contains("bpf_send_signal"), "{failure}");
    let verifier = PanalKernel::builder().verify_only(true).build().unwrap();
    let loaded = verifier.prog_load(&spec).unwrap();
    let error = verifier
        .prog_test_run(&loaded.fd, &TestRun::default())
        .unwrap_err();
    assert_eq!(error.errno, Errno::EOPNOTSUPP);
}

#[test]
fn ring_buffer_records_reach_user_space() {
    on_both(ring_buffer_records);
}

fn ring_buffer_records(kernel: &dyn Inspect) {
    let spec = map("r", MapType::Ringbuf, 0, 0, 4096);
    let maps = Maps::from_iter([("r", kernel.map_create(&spec).unwrap())]);
    let text = "
        r6 = *(u32 *)(r1 + 8)
        r1 = map[r] ll
        r2 = 16
        r3 = 0
        call bpf_ringbuf_reserve
        if r0 == 0 goto out
        *(u64 *)(r0 + 0) = r6
        r1 = 7
        *(u64 *)(r0 + 8) = r1
        r1 = r0
        r2 = 0
        call bpf_ringbuf_submit
    out:
        r0 = 0
        exit";
    let fd = loaded(kernel, ProgType::SchedCls, text, &maps);
    let mut expected = Vec::new();
    for mark in 0..600u64 {
        let mut ctx_in = vec![0; 192];
        ctx_in[8..12].copy_from_slice(&(mark as u32).to_ne_bytes());
        let run = TestRun {
            data_in: vec![0; 14],
            ctx_in,
            ..TestRun::default()
        };
        kernel.prog_test_run(&fd, &run).unwrap();
        expected.push([mark.to_ne_bytes(), 7u64.to_ne_bytes()].concat());
        if mark % 100 == 99 {
            let mut records = Vec::new();
            let count = kernel
                .ring_buffer_consume(&maps["r"], &mut |record| records.push(record.to_vec()))
                .unwrap();
            assert_eq!((count, &records), (100, &expected));
            expected.clear();
        }
    }
    let flags = MapFlags::empty();
    assert_eq!(kernel.map_info(&maps["r"]).unwrap().flags, flags);
}
