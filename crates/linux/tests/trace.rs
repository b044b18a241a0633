//! Every way of attaching a tracing program: it fires while the link is held, and not after.
#![cfg(target_os = "linux")]

mod common;

use std::hint::black_box;

use common::{alone, bpftool, fdinfo, lacks, linux, load};
use panal_linux::LinuxKernel;
use panal_loader::{Error, Loaded, Placement, Sampling};
use panal_uapi::kernel::{Kernel, PerfEvent, SampleRate, TestRun};

const OBJECT: &str = "trace.bpf.o";

/// What user probes are set in.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn panal_probed(a: u64, b: u64) -> u64 {
    black_box(a) * 100 + black_box(b)
}

/// Another, for probes in many functions.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn panal_probed_too(a: u64) -> u64 {
    black_box(a) + 1000
}

fn getpriority() -> i32 {
    // SAFETY: the call takes numbers only.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, std::process::id()) }
}

/// Count and last value of a kind, by the order in the object's `enum kind`.
fn hits(loaded: &Loaded<'_>, kind: u32) -> (u64, u64) {
    let map = loaded.map("hits").expect("the map");
    let value = loaded
        .kernel()
        .map_lookup(&map.fd, &kind.to_ne_bytes(), 0)
        .expect("readable")
        .expect("an element of the array");
    let word = |at: usize| u64::from_ne_bytes(value[at..at + 8].try_into().expect("8 bytes"));
    (word(0), word(8))
}

/// The number of an enumerator in the object's types.
fn kind(loaded: &Loaded<'_>, name: &str) -> u32 {
    let btf = loaded.object().btf().expect("types");
    let (_, enumeration) = btf
        .iter()
        .find(|(_, ty)| &*ty.name == "kind")
        .expect("enum kind");
    let panal_btf::Kind::Enum { values, .. } = &enumeration.kind else {
        panic!("kind is no enum");
    };
    let value = values.iter().find(|value| &*value.name == name);
    value.expect("the enumerator").value as u32
}

/// Loads and attaches a program, fires it, detaches it. `expected` is how often it must have run
/// for each time, and what it must have seen.
fn fires(
    program: &str,
    kind_name: &str,
    placement: &Placement,
    fire: &dyn Fn(),
    expected: (u64, Option<u64>),
) {
    let _alone = alone();
    let Some(kernel) = linux() else { return };
    let attempt = load(&kernel, OBJECT, program).and_then(|loaded| {
        let link = loaded.attach_at(&loaded.programs()[0], placement)?;
        Ok((loaded, link))
    });
    let (loaded, link) = match attempt {
        Ok(done) => done,
        Err(error) => match lacks(&error) {
            Some(failure) => return println!("skipped: {failure}"),
            None => panic!("{program}: {error}"),
        },
    };
    let kind = kind(&loaded, kind_name);
    assert_eq!(hits(&loaded, kind).0, 0, "{program} ran too early");
    seen_by_bpftool(&kernel, &loaded, true);
    fire();
    fire();
    let (count, value) = hits(&loaded, kind);
    match expected {
        (0, _) => assert!(count > 0, "{program} never ran"),
        (each, _) => assert_eq!(count, 2 * each, "{program}"),
    }
    if let (_, Some(expected)) = expected {
        assert_eq!(value, expected, "{program}");
    }
    drop(link);
    // Somebody else's bpftool may hold the link for a moment while it lists all there are.
    let detached = (0..100).any(|_| {
        let before = hits(&loaded, kind).0;
        fire();
        hits(&loaded, kind).0 == before
    });
    assert!(detached, "{program} is still attached");
    seen_by_bpftool(&kernel, &loaded, false);
}

/// bpftool lists a link of the program while there is one.
fn seen_by_bpftool(_: &LinuxKernel, loaded: &Loaded<'_>, attached: bool) {
    let Some(links) = bpftool(&["link", "show"]) else {
        return println!("skipped: bpftool is not installed");
    };
    let id = fdinfo(&loaded.programs()[0].fd, "prog_id").expect("an id");
    let listed = links.contains(&format!("\"prog_id\":{id},"))
        || links.contains(&format!("\"prog_id\":{id}}}"));
    assert_eq!(listed, attached, "program {id} in {links}");
}

const HERE: Placement = Placement {
    pid: None,
    sampling: None,
    iterate: None,
};

fn this_process() -> Placement {
    Placement {
        pid: Some(std::process::id()),
        ..HERE
    }
}

#[test]
fn tracepoints() {
    let pid = u64::from(std::process::id());
    let call = || _ = getpriority();
    fires("on_tracepoint", "TRACEPOINT", &HERE, &call, (1, Some(pid)));
}

#[test]
fn raw_tracepoints() {
    let call = || _ = getpriority();
    let number = libc::SYS_getpriority as u64;
    let expected = (1, Some(number));
    fires(
        "on_raw_tracepoint",
        "RAW_TRACEPOINT",
        &HERE,
        &call,
        expected,
    );
    fires("on_tp_btf", "TP_BTF", &HERE, &call, expected);
}

#[test]
fn a_writable_tracepoint_changes_what_the_kernel_does() {
    let _alone = alone();
    let Some(kernel) = linux() else { return };
    let writer = load(&kernel, OBJECT, "on_raw_tracepoint_writable").expect("loads");
    // Any program can be run; the test run itself passes the tracepoint at its end.
    let run = || {
        let loaded = load(&kernel, "iterators.bpf.o", "passes")?;
        let packet = TestRun {
            data_in: vec![0; 64],
            ..TestRun::default()
        };
        let result = kernel.prog_test_run(&loaded.programs()[0].fd, &packet);
        Ok::<_, Error>(result.map(|r| r.retval))
    };
    assert_eq!(run().expect("loads"), Ok(2));
    let link = writer.attach(&writer.programs()[0]).expect("attaches");
    let refused = run().expect("loads").expect_err("the program said ENOSPC");
    assert_eq!(refused.errno.name(), Some("ENOSPC"));
    drop(link);
    assert_eq!(run().expect("loads"), Ok(2));
}

#[test]
fn user_probes_in_a_program() {
    let call = || _ = black_box(panal_probed(4, 2));
    let here = this_process();
    fires("on_uprobe", "UPROBE", &here, &call, (1, Some(4)));
    fires(
        "on_uprobe_sleepable",
        "UPROBE_SLEEPABLE",
        &here,
        &call,
        (1, Some(2)),
    );
    fires("on_uretprobe", "URETPROBE", &here, &call, (1, Some(402)));
    // At entry and at return.
    fires(
        "on_uprobe_session",
        "UPROBE_SESSION",
        &here,
        &call,
        (2, None),
    );
}

#[test]
fn user_probes_in_a_library() {
    let call = || _ = getpriority();
    let pid = u64::from(std::process::id());
    let expected = (1, Some(pid));
    fires(
        "on_uprobe_library",
        "UPROBE_LIBRARY",
        &this_process(),
        &call,
        expected,
    );
}

#[test]
fn user_probes_in_many_functions() {
    let call = || {
        black_box(panal_probed(4, 2));
        black_box(panal_probed_too(7));
    };
    let here = this_process();
    fires(
        "on_uprobe_multi",
        "UPROBE_MULTI",
        &here,
        &call,
        (2, Some(7)),
    );
    fires(
        "on_uretprobe_multi",
        "URETPROBE_MULTI",
        &here,
        &call,
        (2, Some(1007)),
    );
}

#[test]
fn samples() {
    let pid = Some(std::process::id());
    let spin = || {
        let end = std::time::Instant::now() + std::time::Duration::from_millis(100);
        while std::time::Instant::now() < end {
            black_box(panal_probed(1, 1));
        }
    };
    let sampling = |kind, config, rate| Placement {
        sampling: Some(Sampling {
            event: PerfEvent { kind, config },
            rate,
            pid,
        }),
        ..HERE
    };
    let expected = (0, pid.map(u64::from));
    let frequency = SampleRate::Frequency(1000);
    let cpu_clock = sampling(1, 0, frequency);
    fires("on_sample", "SAMPLING", &cpu_clock, &spin, expected);
    let cycles = sampling(0, 0, SampleRate::Period(1_000_000));
    fires("on_sample", "SAMPLING", &cycles, &spin, expected);
    // Every page of a new mapping that is touched is a fault.
    let touch = || {
        const LEN: usize = 64 * 4096;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, written within its bounds and unmapped.
        unsafe {
            let pages = libc::mmap(std::ptr::null_mut(), LEN, protection, private, -1, 0);
            assert_ne!(pages, libc::MAP_FAILED);
            for page in (0..LEN).step_by(4096) {
                pages.cast::<u8>().add(page).write_volatile(1);
            }
            libc::munmap(pages, LEN);
        }
    };
    let faults = sampling(1, 2, SampleRate::Period(1));
    fires("on_sample", "SAMPLING", &faults, &touch, expected);
}

#[test]
fn kernel_functions() {
    let call = || _ = getpriority();
    for (program, kind, each) in [
        ("on_kprobe", "KPROBE", 1),
        ("on_kretprobe", "KRETPROBE", 1),
        ("on_kprobe_multi", "KPROBE_MULTI", 1),
        ("on_kprobe_session", "KPROBE_SESSION", 2),
        ("on_fentry", "FENTRY", 1),
        ("on_fexit", "FEXIT", 1),
    ] {
        fires(program, kind, &HERE, &call, (each, None));
    }
}

#[test]
fn security_hooks() {
    // SAFETY: the call takes a number only.
    let call = || _ = unsafe { libc::sched_getscheduler(0) };
    fires("on_lsm", "LSM", &HERE, &call, (1, None));
}
