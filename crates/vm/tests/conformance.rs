//! The plugin of the bpf_conformance suite keeps to the suite's protocol, on every engine.

#[path = "../examples/conformance/plugin.rs"]
mod plugin;

use panal_isa::assemble::assemble;

fn hex(bytes: impl IntoIterator<Item = u8>) -> String {
    // As the suite writes them: pairs with two spaces between.
    bytes.into_iter().map(|b| format!("{b:02x}  ")).collect()
}

fn program(text: &str) -> String {
    let code = assemble(text, &mut ()).unwrap();
    hex(code.slots.iter().flat_map(|slot| slot.to_bytes()))
}

fn run(memory: &[u8], options: &str, program: &str) -> Result<u64, String> {
    plugin::run(&[hex(memory.iter().copied()), options.to_owned()], program)
}

fn engines() -> Vec<&'static str> {
    let mut engines = vec!["", "--engine interp"];
    if cfg!(all(
        any(target_arch = "x86_64", target_arch = "aarch64"),
        unix
    )) {
        engines.extend(["--engine jit", "--engine opt", "--engine cage"]);
    }
    engines
}

#[test]
fn programs_get_their_memory_and_give_their_value() {
    let text = "r0 = *(u32 *)(r1 + 4)\nr0 <<= 8\nr0 |= r2\nexit";
    for engine in engines() {
        let memory = [0, 0, 0, 0, 0x11, 0x22, 0x33, 0x44];
        assert_eq!(
            run(&memory, engine, &program(text)),
            Ok(0x44_3322_1108),
            "{engine}"
        );
        let nothing = "r0 = r1\nr0 += r2\nexit";
        assert_eq!(run(&[], engine, &program(nothing)), Ok(0), "{engine}");
        let called = "r1 = 1\ncall 5\nif r0 > 1 goto +1\nr1 = 0\nr0 = 2\nexit";
        assert_eq!(run(&[], engine, &program(called)), Ok(2), "{engine}");
        let nested = "r6 = 7\ncall f\nr0 += r6\nexit\nf:\nr6 = 1\nr0 = 35\nexit";
        assert_eq!(run(&[], engine, &program(nested)), Ok(42), "{engine}");
    }
}

#[test]
fn what_is_unknown_is_refused() {
    for engine in engines() {
        for bad in [
            // Opcodes that RFC 9669 does not define, fields that must be zero, half a wide immediate.
            "06 00 00 00 00 00 00 00",
            "8f 00 00 00 00 00 00 00",
            "07 0b 00 00 01 00 00 00 95 00 00 00 00 00 00 00",
            "95 01 00 00 00 00 00 00",
            "18 00 00 00 01 00 00 00",
            "dc 00 00 00 11 00 00 00 95 00 00 00 00 00 00 00",
            "95 00 00",
            "9",
            "zz",
            "",
        ] {
            assert!(run(&[], engine, bad).is_err(), "{engine} {bad}");
        }
        // Helpers that are not there.
        assert!(run(&[], engine, &program("call 77\nexit")).is_err());
    }
    assert!(run(&[], "--engine fast", &program("r0 = 0\nexit")).is_err());
    assert!(run(&[], "--trace", &program("r0 = 0\nexit")).is_err());
}

#[test]
fn what_leaves_its_memory_is_stopped() {
    for engine in engines()
        .into_iter()
        .filter(|e| !e.contains("jit") && !e.contains("opt"))
    {
        let wild = program("r1 = 0x7fff00001000 ll\nr0 = *(u64 *)(r1 + 0)\nexit");
        let why = run(&[1, 2], engine, &wild).unwrap_err();
        assert!(why.contains("not the program's"), "{why}");
    }
}
