//! Every instruction and its edges: the interpreter against RFC 9669, and both against Linux.

mod common;

use common::{
    Home,
    cases::{cases, slots},
    linux::Linux,
};

#[test]
fn the_interpreter_does_what_the_rfc_says() {
    let home = Home::new();
    let cases = cases();
    assert!(cases.len() > 900, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let got = home.execute(&slots(case, &case.text));
        if got != Ok(case.expected) {
            wrong.push(format!(
                "{}: {got:x?}, expected {:#x}",
                case.name, case.expected
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]
#[test]
fn machine_code_does_what_the_rfc_says() {
    let home = Home::new();
    let host = panal_vm::JitOptions::host();
    let mut wrong = Vec::new();
    for (bmi2, optimise, budget, cage) in [
        (host.bmi2, false, true, None),
        (false, false, true, None),
        (host.bmi2, false, false, None),
        (host.bmi2, true, true, None),
        (false, true, false, None),
        (host.bmi2, false, true, home.shape()),
        (false, false, false, home.shape()),
    ] {
        let options = panal_vm::JitOptions {
            bmi2,
            optimise,
            budget,
            cage,
            ..panal_vm::JitOptions::host()
        };
        for case in &cases() {
            let got = home.execute_compiled(&slots(case, &case.text), options);
            if got != Ok(case.expected) {
                let (name, expected) = (&case.name, case.expected);
                wrong.push(format!(
                    "{name} ({options:?}): {got:x?}, expected {expected:#x}"
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Linux returns 32 bits: each program runs a second time with the upper half moved down.
#[test]
fn linux_agrees_with_the_expectations() {
    let linux = match Linux::new() {
        Ok(linux) => linux,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let mut wrong = Vec::new();
    for case in &cases() {
        let upper = case.text.replacen("exit\n", "r0 >>= 32\nexit\n", 1);
        for (text, expected) in [
            (&case.text, case.expected as u32),
            (&upper, (case.expected >> 32) as u32),
        ] {
            let got = linux.run(&slots(case, text));
            if got != Ok(expected) {
                wrong.push(format!("{}: {got:x?}, expected {expected:#x}", case.name));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
