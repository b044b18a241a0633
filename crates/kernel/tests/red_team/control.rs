//! Stack, functions, jumps.

use panal_uapi::ProgType;

use crate::arena::Arena;

pub fn stack(arena: &mut Arena) {
    // All of the frame and far beyond, upwards and downwards: return addresses are not there.
    for (from, to) in [(-512i32, 0), (0, 4096), (-32_768, -512), (0, 32_760)] {
        let mut text = String::from("r2 = 0x4141414141414141 ll\n");
        for off in (from..to).step_by(8).take(4000) {
            text += &format!("*(u64 *)(r10 {off:+}) = r2\n")
                .replace("+", "+ ")
                .replace("(r10 -", "(r10 - ");
        }
        text += "r0 = 7\nexit";
        let outcome = arena.attack(&text);
        assert_eq!(outcome, Ok(7), "{from} {to}");
        // From a subprogram: its caller's frame and saved registers lie above.
        let called = format!("r6 = 5\ncall f\nr0 += r6\nexit\nf:\n{text}");
        assert_eq!(arena.attack(&called), Ok(12), "{from} {to}");
    }
    for text in [
        "call f\nexit\nf:\ncall f\nexit",
        "call f\nexit\nf:\ncall g\nexit\ng:\ncall f\nexit",
        "call f\ncall f\nexit\nf:\ncall f\ncall f\nexit",
    ] {
        arena.stops(text, "no stack left");
    }
    // Callbacks within callbacks.
    let text = "f:\nr1 = 2\nr2 = subprog[f] ll\nr3 = 0\nr4 = 0\ncall 181\nr0 = 0\nexit";
    let outcome = arena.attack(&format!("call f\nexit\n{text}"));
    assert!(outcome.is_err(), "{outcome:?}");
}

pub fn functions(arena: &mut Arena) {
    // Out of the program, and into another function: no code is there for a jump.
    for text in [
        "goto +1000\nexit",
        "goto -1000\nexit",
        "r0 = 0",
        "r6 = 1\ncall f\ngoto +2\nexit\nf:\nr7 = 2\nr8 = 3\nr0 = 0\nexit",
        "r6 = 1\ncall f\nr0 = 0\nf:\nr7 = 2\nexit",
        "call f\nexit\nf:\nr7 = 1\nr8 = 2\ngoto -5",
    ] {
        arena.stops(text, "no path reaches");
    }
    // Function values that are none.
    let values = [
        "0",
        "2",
        "3",
        "255",
        "-1",
        "0x7fffffffffff",
        "0xffffffff",
        "0x100000001",
    ];
    for value in values {
        for (helper, before) in [(181, "r1 = 3\n"), (164, "r1 = map[array] ll\n")] {
            let text =
                format!("{before}r2 = {value} ll\nr3 = 0\nr4 = 0\ncall {helper}\nr0 = 0\nexit");
            arena.stops(&text, "no function of the program");
        }
    }
    for target in arena.targets() {
        arena.stops(
            &format!("r1 = 1\nr2 = {target:#x} ll\nr3 = 0\nr4 = 0\ncall 181\nexit"),
            "no function",
        );
    }
    // Functions as data, and data as functions.
    arena.stops(
        "r1 = subprog[f] ll\nr0 = *(u64 *)(r1 + 0)\nexit\nf:\nr0 = 0\nexit",
        "not the program's",
    );
    // The main program as its own callback, and a callback that is a subprogram too.
    arena.stops(
        "r1 = 1\nr2 = 1\nr3 = 0\nr4 = 0\ncall 181\nr0 = 0\nexit",
        "no stack left",
    );
    // Tail calls by no map, another map, any index.
    for map in [
        "r2 = 0",
        "r2 = -1",
        "r2 = r10",
        "r2 = map[array] ll",
        "r2 = map[programs] ll",
        "r2 = 0x123456789abc ll",
    ] {
        for index in ["0", "3", "4", "-1", "0x7fffffff"] {
            let text = format!("{map}\nr3 = {index}\ncall 12\nr0 = 5\nexit");
            assert_eq!(arena.attack(&text), Ok(5), "{text}");
        }
    }
}

/// The host's addresses are in no register that a program can read.
pub fn registers(arena: &mut Arena) {
    let cage = arena.kernel.cage();
    for register in [0, 2, 3, 4, 5, 6, 7, 8, 9] {
        for before in [
            "",
            "call 7\n",
            "call 5\n",
            "r1 = r10\ncall f\n",
            "r2 = 0\nr3 = 0\ncall 12\n",
        ] {
            if register == 0 && !before.is_empty() {
                continue;
            }
            for shift in [0, 32] {
                let text =
                    format!("{before}r0 = r{register}\nr0 >>= {shift}\nexit\nf:\nr0 = 0\nexit");
                assert_eq!(arena.attack(&text), Ok(0), "{text}");
            }
        }
    }
    let context = arena.attack("r0 = r1\nr0 >>= 32\nexit").expect("a number");
    assert_eq!(
        u64::from(context),
        cage.0 >> 32,
        "the context lies in the cage"
    );
    // The frame pointer is not for writing.
    for text in [
        "r10 = 0\nexit",
        "r10 += 8\nexit",
        "r10 = *(u64 *)(r1 + 0)\nexit",
        "r10 = xchg_64(r1 + 0, r10)\nexit",
    ] {
        let refused = arena.try_load(ProgType::SocketFilter, arena.slots(text));
        assert!(refused.is_err(), "{text}");
    }
}
