//! What probes are set in.

use std::{hint::black_box, io};

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

/// A USDT probe, with a note as `<sys/sdt.h>` leaves it, but for the base, which only prelink needs.
#[inline(never)]
fn called() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction does nothing; the rest is a note in the file.
    unsafe {
        std::arch::asm!(
            "990: nop",
            ".pushsection .note.stapsdt,\"\",\"note\"",
            ".balign 4",
            ".4byte 992f-991f, 994f-993f, 3",
            "991: .asciz \"stapsdt\"",
            "992: .balign 4",
            "993: .8byte 990b, 0, 0",
            ".asciz \"panal\"",
            ".asciz \"called\"",
            ".asciz \"\"",
            "994: .balign 4",
            ".popsection",
        );
    }
}

/// Calls the first function and passes the probe twice, the second function once; after a line of
/// standard input, if it is to `wait`.
pub fn act(wait: bool) {
    if wait {
        let mut line = String::new();
        io::stdin().read_line(&mut line).expect("a line");
    }
    for _ in 0..2 {
        black_box(panal_probed(4, 2));
        called();
    }
    black_box(panal_probed_too(7));
}
