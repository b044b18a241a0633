//! USDT probes: arguments in every kind of place, and semaphores.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod common;

use std::{
    arch::asm,
    sync::atomic::{AtomicU16, Ordering},
};

use common::{alone, lacks, linux, load};
use panal_loader::{Error, Loaded, Placement};
use panal_uapi::kernel::Fd;

/// Raised by the kernel while somebody listens to the probe.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".probes")]
static PANAL_LISTENED: AtomicU16 = AtomicU16::new(0);

/// A probe with a note as `<sys/sdt.h>` leaves it, but for the base, which only prelink needs.
macro_rules! probe {
    ($name:literal, $semaphore:literal, $arguments:literal $(, $($operand:tt)*)?) => {
        asm!(
            "990: nop",
            ".pushsection .note.stapsdt,\"\",\"note\"",
            ".balign 4",
            ".4byte 992f-991f, 994f-993f, 3",
            "991: .asciz \"stapsdt\"",
            "992: .balign 4",
            "993: .8byte 990b, 0",
            concat!(".8byte ", $semaphore),
            ".asciz \"panal\"",
            concat!(".asciz \"", $name, "\""),
            concat!(".asciz \"", $arguments, "\""),
            "994: .balign 4",
            ".popsection",
            $($($operand)*)?
        )
    };
}

#[repr(C)]
struct Memory {
    bytes: [i8; 8],
    words: [i32; 4],
}

#[inline(never)]
fn with_arguments(memory: &Memory) {
    // SAFETY: the instruction does nothing; the probe's program reads what the operands name.
    unsafe {
        probe!(
            "arguments",
            "0",
            "-4@\\044-9 8@%rdi -1@%dl 1@%cl -1@3(%rsi) -4@12(%rsi) 2@(%rsi) 8@\\04418446744073709551615",
            in("rdi") 0x1122_3344_5566_7788_u64,
            in("rdx") 0xff80_u64,
            in("rcx") 0xff80_u64,
            in("rsi") memory,
        );
    }
}

#[inline(never)]
fn with_listeners() {
    if PANAL_LISTENED.load(Ordering::Relaxed) > 0 {
        // SAFETY: as above.
        unsafe { probe!("listened", "PANAL_LISTENED", "") };
    }
}

fn here() -> Placement {
    Placement {
        pid: Some(std::process::id()),
        ..Placement::default()
    }
}

fn attach<'k>(
    kernel: &'k panal_linux::LinuxKernel,
    program: &str,
) -> Result<(Loaded<'k>, Fd), Error> {
    let loaded = load(kernel, "usdt.bpf.o", program)?;
    let link = loaded.attach_at(&loaded.programs()[0], &here())?;
    Ok((loaded, link))
}

/// The words of `struct seen`: how often, how many arguments, the arguments.
fn seen(loaded: &Loaded<'_>, which: u32) -> Vec<i64> {
    let map = loaded.map("seen").expect("the map");
    let value = loaded
        .kernel()
        .map_lookup(&map.fd, &which.to_ne_bytes(), 0)
        .expect("readable")
        .expect("an element");
    let words = value.chunks_exact(8);
    words
        .map(|w| i64::from_ne_bytes(w.try_into().expect("8 bytes")))
        .collect()
}

#[test]
fn arguments_are_read_where_they_are() {
    let _alone = alone();
    let Some(kernel) = linux() else { return };
    let (loaded, link) = match attach(&kernel, "on_arguments") {
        Ok(attached) => attached,
        Err(error) if lacks(&error).is_some() => return println!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    };
    let memory = Memory {
        bytes: [-2, -1, 0, -4, 0, 0, 0, 0],
        words: [1, -7, 3, 4],
    };
    with_arguments(&memory);
    with_arguments(&memory);
    let expected = [
        2,
        8,
        -9,
        0x1122_3344_5566_7788,
        -128,
        0x80,
        -4,
        -7,
        // Two bytes, -2 and -1, without a sign.
        0xfffe,
        -1,
    ];
    assert_eq!(seen(&loaded, 0), expected);
    drop(link);
    // Somebody else's bpftool may hold the link for a moment while it lists all there are.
    let detached = (0..100).any(|_| {
        let before = seen(&loaded, 0)[0];
        with_arguments(&memory);
        std::thread::sleep(std::time::Duration::from_millis(10));
        seen(&loaded, 0)[0] == before
    });
    assert!(detached, "still attached");
}

#[test]
fn a_semaphore_is_raised_while_somebody_listens() {
    let _alone = alone();
    let Some(kernel) = linux() else { return };
    let listeners = || PANAL_LISTENED.load(Ordering::Relaxed);
    assert_eq!(listeners(), 0);
    with_listeners();
    let (loaded, link) = match attach(&kernel, "on_listened") {
        Ok(attached) => attached,
        Err(error) if lacks(&error).is_some() => return println!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    };
    assert_eq!(listeners(), 1);
    with_listeners();
    assert_eq!(seen(&loaded, 1)[..2], [1, 0]);
    drop(link);
    let lowered = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        listeners() == 0
    });
    assert!(lowered, "still raised");
}

#[test]
fn a_probe_that_is_not_there_is_named() {
    let _alone = alone();
    let Some(kernel) = linux() else { return };
    let error = attach(&kernel, "on_missing")
        .map(drop)
        .expect_err("no such probe");
    let text = error.to_string();
    assert!(
        text.ends_with("it has no USDT probe panal:missing"),
        "{text}"
    );
}
