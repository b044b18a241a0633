//! Accesses that do not lie in the cage, by every instruction that has an address.

use panal_uapi::ProgType;

use crate::arena::Arena;

/// Every template of an access, its address in `r1` plus `OFF`, and its bytes.
const ACCESSES: &[(&str, u64)] = &[
    ("w0 = *(u8 *)(r1 + OFF)", 1),
    ("w0 = *(u16 *)(r1 + OFF)", 2),
    ("w0 = *(u32 *)(r1 + OFF)", 4),
    ("r0 = *(u64 *)(r1 + OFF)", 8),
    ("r1 = *(u64 *)(r1 + OFF)", 8),
    ("r0 = *(s8 *)(r1 + OFF)", 1),
    ("r0 = *(s16 *)(r1 + OFF)", 2),
    ("r0 = *(s32 *)(r1 + OFF)", 4),
    ("*(u8 *)(r1 + OFF) = w2", 1),
    ("*(u16 *)(r1 + OFF) = w2", 2),
    ("*(u32 *)(r1 + OFF) = w2", 4),
    ("*(u64 *)(r1 + OFF) = r2", 8),
    ("*(u8 *)(r1 + OFF) = 7", 1),
    ("*(u16 *)(r1 + OFF) = 7", 2),
    ("*(u32 *)(r1 + OFF) = 7", 4),
    ("*(u64 *)(r1 + OFF) = 7", 8),
    ("lock *(u32 *)(r1 + OFF) += w2", 4),
    ("lock *(u64 *)(r1 + OFF) += r2", 8),
    ("lock *(u64 *)(r1 + OFF) |= r2", 8),
    ("lock *(u64 *)(r1 + OFF) &= r2", 8),
    ("lock *(u64 *)(r1 + OFF) ^= r2", 8),
    ("r2 = atomic_fetch_add((u64 *)(r1 + OFF), r2)", 8),
    ("r2 = atomic_fetch_or((u64 *)(r1 + OFF), r2)", 8),
    ("w2 = atomic_fetch_and((u32 *)(r1 + OFF), w2)", 4),
    ("r2 = atomic_fetch_xor((u64 *)(r1 + OFF), r2)", 8),
    ("r2 = xchg_64(r1 + OFF, r2)", 8),
    ("r0 = cmpxchg_64(r1 + OFF, r0, r2)", 8),
    ("w0 = load_acquire((u8 *)(r1 + OFF))", 1),
    ("r0 = load_acquire((u64 *)(r1 + OFF))", 8),
    ("store_release((u16 *)(r1 + OFF), w2)", 2),
    ("store_release((u64 *)(r1 + OFF), r2)", 8),
];

/// Ways to come to an address in `r1`.
const WAYS: &[&str] = &[
    "r1 = ADDRESS ll",
    "r3 = ADDRESS ll\nr1 = r3",
    // The sum and the load as one instruction.
    "r3 = ADDRESS ll\nr4 = 0\nr1 = r3\nr1 += r4",
    "r3 = 0\nr4 = ADDRESS ll\nr1 = r3\nr1 += r4",
    // A frame pointer first, which is known to be good.
    "r1 = r10\nr1 -= r10\nr3 = ADDRESS ll\nr1 += r3",
    "r1 = r10\nr0 = *(u64 *)(r1 - 8)\nr1 = ADDRESS ll",
    // Good on one way to the access only.
    "r1 = ADDRESS ll\nif r2 == 1 goto +1\nr1 = r10",
    "*(u64 *)(r10 - 16) = 0\nr3 = ADDRESS ll\n*(u64 *)(r10 - 16) = r3\nr1 = *(u64 *)(r10 - 16)",
];

pub fn wild(arena: &mut Arena) {
    let (cage, size) = (arena.cage(), arena.kernel.cage().1);
    let end = cage + size;
    let guard = 1 << 20;
    let mut addresses = vec![
        0,
        1,
        4096,
        u64::MAX,
        u64::MAX - 7,
        1 << 63,
        0xffff_8000_0000_0000,
        0xffff_ffff_8100_0000,
        0x0000_8000_0000_0000,
        0x1234_0000_0000_0000,
        cage & 0xffff_ffff,
        cage ^ size << 2,
        cage ^ 1 << 47,
        cage ^ 1 << 63,
        cage.wrapping_sub(2 * size),
        end + guard,
        end + 2 * size - 8,
        cage - guard - 65_536,
    ];
    addresses.extend(arena.targets());
    // A program's own machine code, and its operations.
    let program = arena.load(ProgType::SocketFilter, "r0 = 0\nexit");
    if let Some(executable) = program.executable() {
        addresses.push(std::ptr::from_ref(executable) as u64);
        addresses.extend(executable.machine_code().map(|code| code.as_ptr() as u64));
    }
    for address in addresses {
        for (access, _) in ACCESSES {
            for way in WAYS {
                for off in [0i64, -32_768, 32_760] {
                    let off = off.to_string();
                    let way = way.replace("ADDRESS", &format!("{address:#x}"));
                    let access = access.replace("+ OFF", &format!("+ {off}"));
                    let access = access.replace("+ -", "- ");
                    arena.stops(
                        &format!("r0 = 0\nr2 = 1\n{way}\n{access}\nexit"),
                        "not the program's",
                    );
                }
            }
        }
    }
    edges(arena, cage, end);
}

/// Around both ends: stopped, or harmless in a guard zone.
fn edges(arena: &mut Arena, cage: u64, end: u64) {
    for (access, bytes) in ACCESSES {
        for edge in [cage, end] {
            for distance in -9i64..9 {
                let address = edge.wrapping_add_signed(distance);
                let access = access.replace(" + OFF", " + 0");
                let text = format!("r0 = 0\nr2 = 1\nr1 = {address:#x} ll\n{access}\nexit");
                let inside = address >= cage && address + bytes <= end;
                let outside = address + bytes <= cage || address >= end;
                let outcome = arena.attack(&text);
                let plain = access.starts_with("*(") || access.contains(" = *(");
                let aligned = plain || address.is_multiple_of(*bytes);
                if inside && aligned {
                    assert!(outcome.is_ok(), "{outcome:?}\n{text}");
                }
                if outside {
                    assert!(outcome.is_err(), "{outcome:?}\n{text}");
                }
            }
        }
    }
}

/// Pointers that are good at first and walk away.
pub fn walks(arena: &mut Arena) {
    let steps = [
        1i64,
        8,
        4096,
        32_767,
        65_536,
        524_288,
        0x7fff_ffff,
        -1,
        -8,
        -32_768,
        -524_289,
        -0x8000_0000,
    ];
    for step in steps {
        for (access, _) in ACCESSES
            .iter()
            .filter(|(a, _)| a.starts_with("*(") || a.contains("= *("))
        {
            let access = access.replace("+ OFF", "+ 0");
            // Small steps take long to leave: they begin at the edge.
            let begin = match step {
                s if s.abs() >= 4096 => "r1 = r10".to_owned(),
                s if s > 0 => format!(
                    "r1 = {:#x} ll",
                    arena.kernel.cage().0 + arena.kernel.cage().1 - 4096
                ),
                _ => format!("r1 = {:#x} ll", arena.kernel.cage().0 + 4096),
            };
            let access = access.replace("r1 = *(", "r0 = *(");
            for again in ["goto again", "if r2 != 0 goto again"] {
                let text =
                    format!("r2 = 1\n{begin}\nagain:\n{access}\nr1 += {step}\n{again}\nexit");
                let outcome = arena.attack(&text);
                assert!(outcome.is_err(), "{outcome:?}\n{text}");
            }
            // The same by subtraction, and within one straight piece of code.
            if step != -0x8000_0000 {
                let minus = -step;
                let text = format!("r2 = 1\n{begin}\nagain:\n{access}\nr1 -= {minus}\ngoto again");
                assert!(arena.attack(&text).is_err(), "{text}");
            }
            let piece = format!("r1 += {step}\n{access}\n").repeat(200);
            let _ = arena.attack(&format!("r2 = 1\n{begin}\n{piece}exit"));
        }
    }
    // A callee, a helper or a loop changes what was good before.
    let bad = format!("{:#x}", arena.targets()[0]);
    for text in [
        format!(
            "r1 = r10\nr0 = *(u64 *)(r1 - 8)\ncall f\n*(u64 *)(r1 - 8) = 1\nexit\nf:\nr1 = {bad} ll\nr0 = 0\nexit"
        ),
        format!(
            "r6 = r10\nr0 = *(u64 *)(r6 - 8)\nr7 = 0\nagain:\n*(u64 *)(r6 - 8) = 1\nr6 = {bad} ll\ngoto again"
        ),
        "r1 = r10\nr0 = *(u64 *)(r1 - 8)\ncall 7\n*(u64 *)(r1 - 8) = 1\nexit".to_owned(),
        format!(
            "r6 = r10\nr0 = *(u64 *)(r6 - 8)\nif r0 == 77 goto other\nr6 = {bad} ll\nother:\n*(u64 *)(r6 - 8) = 1\nexit"
        ),
        format!(
            "r6 = r10\nr3 = {bad} ll\nr0 = *(u64 *)(r6 - 8)\nr6 = xchg_64(r10 - 8, r6)\n*(u64 *)(r6 - 8) = 1\nexit"
        ),
        format!(
            "r3 = {bad} ll\n*(u64 *)(r10 - 8) = r3\nr6 = r10\nr0 = *(u64 *)(r6 - 8)\nr6 = xchg_64(r10 - 8, r6)\n*(u64 *)(r6 - 8) = 1\nexit"
        ),
    ] {
        arena.stops(&text, "not the program's");
    }
}
