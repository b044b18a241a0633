//! What is compared and what is not, a program each.

use panal_isa::assemble;

use super::*;

fn of_input_as(text: &str, prog_type: ProgType, careful: bool) -> bool {
    let assembled = assemble(text, &mut ()).unwrap_or_else(|e| panic!("{text}: {e}"));
    let code = Code::decode(&assembled.slots).expect("code");
    of_input(&code, &[0], prog_type, careful)
}

fn compared(text: &str) -> bool {
    of_input_as(text, ProgType::SchedCls, false)
}

#[test]
fn what_shows_an_address_is_not_compared() {
    for text in [
        // returned, whole and in part
        "r0 = r10\nexit",
        "w0 = w1\nexit",
        "*(u64 *)(r10 - 8) = r10\nw0 = *(u32 *)(r10 - 8)\nexit",
        // put into a map's value
        "r2 = map[idx:3][0]+0 ll\n*(u64 *)(r2 + 0) = r2\nr0 = 0\nexit",
        "r2 = map[idx:3][0]+0 ll\nr3 = r2\nlock *(u64 *)(r2 + 0) += r3\nr0 = 0\nexit",
        // the way of a branch
        "r0 = 0\nif r10 > 7 goto +0\nexit",
        // the difference of two
        "r2 = map[idx:3][0]+0 ll\nr0 = r10\nr0 -= r2\nexit",
        // given to a helper as a number
        "r4 = r1\nr2 = r10\nr1 = map[idx:1] ll\nr3 = r2\ncall 2\nr0 = 0\nexit",
        // the stack below holds one when it is lent out
        "*(u64 *)(r10 - 64) = r1\nr2 = r10\nr2 += -64\nr3 = 8\nr4 = 0\nr1 = map[idx:8] ll\n\
         call 130\nr0 = 0\nexit",
    ] {
        assert!(!compared(text), "{text}");
    }
}

#[test]
fn what_nobody_wrote_is_not_compared() {
    assert!(!compared("r0 = *(u64 *)(r10 - 8)\nexit"));
    let half = "*(u32 *)(r10 - 8) = 0\nr0 = *(u64 *)(r10 - 8)\nexit";
    assert!(!compared(half));
    assert!(!compared("r0 = r7\nexit"));
    // On one of two ways.
    let way = "r0 = *(u32 *)(r1 + 0)\nif r0 > 7 goto +1\n*(u64 *)(r10 - 8) = 1\n\
               r0 = *(u64 *)(r10 - 8)\nexit";
    assert!(!compared(way));
}

#[test]
fn fields_that_kernels_fill_otherwise_are_not_compared() {
    assert!(compared("r0 = *(u32 *)(r1 + 0)\nexit"));
    // ifindex
    assert!(!compared("r0 = *(u32 *)(r1 + 40)\nexit"));
    assert!(!of_input_as(
        "r0 = *(u32 *)(r1 + 12)\nexit",
        ProgType::Xdp,
        true
    ));
}

#[test]
fn what_the_input_determines_is_compared() {
    for text in [
        "r0 = 7\nexit",
        // an address that is spilled, read back and used
        "r2 = map[idx:3][0]+8 ll\n*(u64 *)(r10 - 8) = r2\nr3 = *(u64 *)(r10 - 8)\n\
         r0 = *(u64 *)(r3 + 0)\nexit",
        // a packet checked against its end
        "r2 = *(u32 *)(r1 + 76)\nr3 = *(u32 *)(r1 + 80)\nr4 = r2\nr4 += 4\nr0 = 0\n\
         if r4 > r3 goto +1\nr0 = *(u32 *)(r2 + 0)\nexit",
        // a null check
        "*(u32 *)(r10 - 4) = 1\n*(u32 *)(r10 - 8) = 1\n\
         *(u64 *)(r10 - 16) = 0\n*(u64 *)(r10 - 24) = 0\n*(u64 *)(r10 - 32) = 0\n\
         *(u64 *)(r10 - 40) = 0\n*(u64 *)(r10 - 48) = 0\n*(u64 *)(r10 - 56) = 0\n\
         *(u64 *)(r10 - 64) = 0\nr2 = r10\nr2 += -8\nr1 = map[idx:0] ll\ncall 1\n\
         if r0 == 0 goto +2\nr0 = *(u64 *)(r0 + 0)\nexit\nr0 = 0\nexit",
        // nonsense where no path goes
        "r0 = 5\nif r0 != 5 goto +1\nexit\nr0 += r7\nexit",
        // a place in the frame that a mask bounds
        "r2 = *(u32 *)(r1 + 0)\nr2 &= 7\n*(u64 *)(r10 - 8) = 0\nr3 = r10\nr3 += -8\n\
         r3 += r2\nr0 = *(u8 *)(r3 + 0)\nexit",
    ] {
        assert!(compared(text), "{text}");
    }
}

#[test]
fn packets_that_grow_in_loops_are_not_compared() {
    let grow = "r6 = r1\nr7 = 0\nagain:\nr1 = r6\nr2 = 30\nr3 = 0\ncall 43\nr0 = 0\n";
    assert!(compared(&format!("{grow}exit")));
    assert!(!compared(&format!(
        "{grow}r7 += 1\nif r7 < 60 goto again\nexit"
    )));
}

#[test]
fn packet_data_from_before_a_change_is_not_compared() {
    let text = |call: &str| {
        format!(
            "r6 = r1\nr7 = *(u32 *)(r1 + 76)\nr8 = *(u32 *)(r1 + 80)\nr2 = 40\nr3 = 0\n{call}\n\
             r0 = 0\nif r7 > r8 goto +0\nexit"
        )
    };
    assert!(compared(&text("r4 = 0")));
    assert!(!compared(&text("call 38")));
}
