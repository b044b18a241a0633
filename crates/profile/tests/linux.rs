//! What the running Linux says, against bpftool and against Panal under the profile of it.

use std::{process::Command, sync::Arc, time::Instant};

use panal_kernel::PanalKernel;
use panal_linux::LinuxKernel;
use panal_profile::{Answer, Captured, Features, probe};
use panal_uapi::kernel::Kernel;
use serde_json::Value;

/// The running kernel's answers; `None`, and said, where it cannot be asked.
fn linux() -> Option<Features> {
    let started = Instant::now();
    let features = probe(&LinuxKernel::new(), true);
    if features.program_types.get("socket_filter") != Some(&Answer::YES) {
        println!("skipped: bpf(2) does not let this process load programs");
        return None;
    }
    let took = started.elapsed().as_secs_f64();
    println!("asked in {took:.1} s");
    Some(features)
}

/// bpftool tries fentry for the type, where other programs of it can be loaded.
const BPFTOOL_IS_STRICTER: [&str; 1] = ["tracing"];
/// bpftool does not ask about these.
const BPFTOOL_SKIPS: [&str; 4] = [
    "bpf_trace_printk",
    "bpf_trace_vprintk",
    "bpf_probe_write_user",
    "bpf_override_return",
];

#[test]
fn answers_are_those_of_bpftool() {
    let Some(features) = linux() else { return };
    let output = Command::new("bpftool")
        .args(["-j", "feature", "probe"])
        .output();
    let Ok(output) = output else {
        return println!("skipped: bpftool is not installed");
    };
    let theirs: Value = serde_json::from_slice(&output.stdout).expect("bpftool prints JSON");
    let mut compared = 0;
    for (section, suffix, ours) in [
        ("program_types", "_prog_type", &features.program_types),
        ("map_types", "_map_type", &features.map_types),
    ] {
        for (name, answer) in ours {
            let theirs = theirs[section][format!("have_{name}{suffix}")].as_bool();
            let (Some(theirs), Some(answer)) = (theirs, answer.known()) else {
                continue;
            };
            if BPFTOOL_IS_STRICTER.contains(&name.as_str()) {
                continue;
            }
            assert_eq!(answer, theirs, "{section} {name}");
            compared += 1;
        }
    }
    // bpftool knows only the words of the kernels before it, and takes a no of newer ones for a yes:
    // so its yes says little, its no much.
    for (name, said) in &features.helpers {
        let list = theirs["helpers"][format!("{name}_available_helpers")].as_array();
        let (Some(list), Ok(said)) = (list.filter(|l| !l.is_empty()), said) else {
            continue;
        };
        let newest = ["bpf_cgrp_storage_get", "bpf_cgrp_storage_delete"];
        for helper in said {
            let helper = format!("bpf_{helper}");
            let skipped = BPFTOOL_SKIPS.contains(&helper.as_str());
            let known = list.iter().any(|h| h.as_str() == Some(&helper));
            let newer = newest.contains(&helper.as_str()) || is_newer(&helper);
            assert!(known || skipped || newer, "{name} may call {helper}");
            compared += 1;
        }
    }
    let misc = &theirs["misc"];
    for (theirs, ours) in [
        (
            "have_large_insn_limit",
            &features.verifier["large_insn_limit"],
        ),
        ("have_bounded_loops", &features.verifier["bounded_loops"]),
        ("have_v2_isa_extension", &features.instructions["v2"]),
        ("have_v3_isa_extension", &features.instructions["v3"]),
    ] {
        assert_eq!(misc[theirs].as_bool(), ours.known(), "{theirs}");
        compared += 1;
    }
    assert!(compared > 1000, "only {compared} answers were compared");
}

/// Helpers that came after the bpftool that is installed.
fn is_newer(name: &str) -> bool {
    let since = panal_uapi::helpers::by_name(name).map_or((0, 0), |h| h.since);
    since >= (6, 1)
}

/// What is asked of Panal under a captured profile is answered as Linux did.
#[test]
fn panal_under_the_profile_answers_as_linux() {
    let Some(features) = linux() else { return };
    let captured = Captured {
        features: features.clone(),
        btf: std::fs::read("/sys/kernel/btf/vmlinux").unwrap_or_default(),
    };
    let bytes = captured.to_bytes().unwrap();
    let captured = Captured::parse(&bytes).unwrap();
    let profile = captured.profile("captured", &Arc::default()).unwrap();
    let panal = PanalKernel::builder()
        .profile(profile)
        .verify_only(true)
        .build()
        .unwrap();
    assert_eq!(panal.version(), features.version);
    let ours = probe(&panal, false);
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (name, said) in &features.helpers {
        let (Ok(theirs), Ok(ours)) = (said, &ours.helpers[name]) else {
            continue;
        };
        compared += 211;
        for helper in theirs.iter().filter(|h| !ours.contains(h)) {
            wrong.push(format!("{name}: Linux has {helper}"));
        }
        for helper in ours.iter().filter(|h| !theirs.contains(h)) {
            wrong.push(format!("{name}: Linux has no {helper}"));
        }
    }
    for (what, theirs, ours) in [
        ("program type", &features.program_types, &ours.program_types),
        ("map type", &features.map_types, &ours.map_types),
        ("instructions", &features.instructions, &ours.instructions),
        ("verifier", &features.verifier, &ours.verifier),
    ] {
        for (name, answer) in theirs {
            if let (Some(a), Some(b)) = (answer.known(), ours[name].known()) {
                compared += 1;
                if a != b {
                    wrong.push(format!("{what} {name}: Linux {a}, Panal {b}"));
                }
            }
        }
    }
    for (name, function) in &features.kernel_functions {
        if let (Some(a), Some(b)) = (
            function.here.known(),
            ours.kernel_functions.get(name).and_then(|f| f.here.known()),
        ) {
            compared += 1;
            // Functions that Panal's tables do not know are refused.
            let known = panal_uapi::kfuncs::by_name(name).is_some();
            if known && a != b {
                wrong.push(format!("{name}: Linux {a}, Panal {b}"));
            }
        }
    }
    println!(
        "{compared} answers compared, a file of {} bytes",
        bytes.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
