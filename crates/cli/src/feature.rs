//! `panal feature`: what a kernel has, in bpftool's manner.

use std::{collections::BTreeMap, io::Write};

use panal_profile::{Answer, Features};
use panal_uapi::{MapType, ProgType, helpers, instructions::InstructionGroup};
use serde_json::{Map, Value, json};

use crate::{
    DONE,
    args::{Execution, Feature, KernelName},
    error::Problem,
    kernels,
    output::{self, BAD, GOOD, HEADING, Painted, QUIET},
    text::clean,
};

/// Runs the command; the exit code.
pub fn run(arguments: &Feature) -> Result<u8, Problem> {
    let kernel = kernels::open(arguments.kernel, Execution::default())?;
    let running = arguments.kernel == KernelName::Linux;
    let mut features = panal_profile::probe(kernel.as_ref(), running);
    if !running {
        only_implemented(&mut features);
    }
    let mut out = output::stdout();
    if arguments.json {
        output::json_line(&mut out, &json(&features))?;
    } else {
        print(&mut out, &features)?;
    }
    output::finish(out)?;
    Ok(DONE)
}

/// Panal's verifier knows every helper; here it matters which can be run.
fn only_implemented(features: &mut Features) {
    let runs = |name: &String| {
        helpers::by_name(name).is_some_and(|helper| panal_kernel::is_implemented(helper.id))
    };
    for names in features.helpers.values_mut().flatten() {
        names.retain(runs);
    }
}

/// In order of number, as the kernel has them.
fn in_order<T>(
    names: impl Iterator<Item = &'static str>,
    answers: &BTreeMap<String, T>,
) -> impl Iterator<Item = (&'static str, &T)> {
    names.filter_map(|name| Some((name, answers.get(name)?)))
}

fn prog_types() -> impl Iterator<Item = &'static str> {
    ProgType::ALL.iter().map(|t| t.short_name())
}

fn map_types() -> impl Iterator<Item = &'static str> {
    MapType::ALL.iter().map(|t| t.short_name())
}

fn groups() -> impl Iterator<Item = &'static str> {
    InstructionGroup::all().map(InstructionGroup::name)
}

/// bpftool's JSON, and more.
pub fn json(features: &Features) -> Value {
    let object = |entries: Vec<(String, Value)>| Value::Object(entries.into_iter().collect());
    let have = |kind: &str, answers: Vec<(&'static str, &Answer)>| {
        let entry =
            |(name, answer): (&str, &Answer)| (format!("have_{name}{kind}"), json!(answer.known()));
        object(answers.into_iter().map(entry).collect())
    };
    let plain = |answers: &BTreeMap<String, Answer>| {
        let entry = |(name, answer): (&String, &Answer)| (name.clone(), json!(answer.known()));
        object(answers.iter().map(entry).collect())
    };
    let helpers = in_order(prog_types(), &features.helpers).map(|(name, said)| {
        let list = said.as_ref().ok().map(|names| {
            let full = names.iter().map(|n| format!("bpf_{n}"));
            full.collect::<Vec<_>>()
        });
        (format!("{name}_available_helpers"), json!(list))
    });
    let mut system = Map::new();
    for (name, value) in &features.sysctls {
        let short = name.rsplit('/').next().unwrap_or(name);
        system.insert(short.to_owned(), json!(value));
    }
    for (name, value) in features.config.iter().flatten() {
        system.insert(name.clone(), json!(value));
    }
    let known = |answers: &BTreeMap<String, Answer>, name: &str| {
        json!(answers.get(name).and_then(Answer::known))
    };
    json!({
        "kernel": features.kernel,
        "version": features.version,
        "capabilities": features.capabilities().to_string(),
        "system_config": system,
        "syscall_config": {"have_bpf_syscall": has_syscall(features)},
        "program_types":
            have("_prog_type", in_order(prog_types(), &features.program_types).collect()),
        "map_types": have("_map_type", in_order(map_types(), &features.map_types).collect()),
        "helpers": object(helpers.collect()),
        "misc": {
            "have_large_insn_limit": known(&features.verifier, "large_insn_limit"),
            "have_bounded_loops": known(&features.verifier, "bounded_loops"),
            "have_v2_isa_extension": known(&features.instructions, "v2"),
            "have_v3_isa_extension": known(&features.instructions, "v3"),
            "have_v4_isa_extension": known(&features.instructions, "v4"),
        },
        "instructions": plain(&features.instructions),
        "attach_types": plain(&features.attach_types),
        "links": plain(&features.links),
        "kernel_functions": features.kernel_functions.iter().map(|(name, function)| json!({
            "name": name,
            "available": function.here.known(),
            "flags": function.flags,
        })).collect::<Vec<_>>(),
        "reasons": features.reasons(),
    })
}

/// Whether bpf(2) answered anything.
fn has_syscall(features: &Features) -> bool {
    let mut answers = features
        .program_types
        .values()
        .chain(features.map_types.values());
    answers.any(|answer| answer.known().is_some())
}

/// A heading of a section that is not the first.
fn heading(out: &mut impl Write, text: &str) -> Result<(), Problem> {
    Ok(writeln!(out, "\n{}", Painted(HEADING, text))?)
}

fn answer(out: &mut impl Write, what: &str, answer: &Answer) -> Result<(), Problem> {
    let what = clean(what);
    match answer {
        Answer::Known(true) => {
            writeln!(out, "{what} is {}", Painted(GOOD, "available"))?;
        }
        Answer::Known(false) => {
            writeln!(out, "{what} is {}", Painted(BAD, "NOT available"))?;
        }
        Answer::Unknown(why) => {
            writeln!(
                out,
                "{what}: {} {}",
                Painted(QUIET, "could not tell:"),
                clean(why)
            )?;
        }
    }
    Ok(())
}

/// As text.
pub fn print(out: &mut impl Write, features: &Features) -> Result<(), Problem> {
    let kernel = clean(&features.kernel);
    let capabilities = features.capabilities();
    writeln!(out, "{kernel}, asked with {capabilities}")?;
    if !features.sysctls.is_empty() || features.config.is_some() {
        heading(out, "System configuration")?;
        for (name, value) in &features.sysctls {
            let value = value.map_or("cannot be read".into(), |v| v.to_string());
            writeln!(out, "{} is {value}", clean(name))?;
        }
        for (name, value) in features.config.iter().flatten() {
            let value = value.as_deref().unwrap_or("not set");
            writeln!(out, "{} is {}", clean(name), clean(value))?;
        }
        if features.config.is_none() {
            writeln!(out, "the kernel's configuration is not kept here")?;
        }
    }
    let syscall = Answer::Known(has_syscall(features));
    heading(out, "System calls")?;
    answer(out, "bpf()", &syscall)?;
    heading(out, "Program types")?;
    for (name, said) in in_order(prog_types(), &features.program_types) {
        answer(out, &format!("program type {name}"), said)?;
    }
    heading(out, "Map types")?;
    for (name, said) in in_order(map_types(), &features.map_types) {
        answer(out, &format!("map type {name}"), said)?;
    }
    heading(out, "Instructions and verifier")?;
    for (name, said) in in_order(groups(), &features.instructions) {
        let what = InstructionGroup::from_name(name).map_or("", InstructionGroup::what);
        answer(out, &format!("{name} ({what})"), said)?;
    }
    for (name, said) in &features.verifier {
        answer(out, name, said)?;
    }
    heading(out, "Helpers")?;
    for (name, said) in in_order(prog_types(), &features.helpers) {
        match said {
            Ok(names) if names.is_empty() => writeln!(out, "{name}: none")?,
            Ok(names) => {
                writeln!(out, "{name}: {}", names.len())?;
                for helper in names {
                    writeln!(out, "  bpf_{}", clean(helper))?;
                }
            }
            Err(why) => writeln!(out, "{name}: could not tell: {}", clean(why))?,
        }
    }
    heading(out, "Attach types")?;
    for (name, said) in &features.attach_types {
        answer(out, name, said)?;
    }
    heading(out, "Links")?;
    for (name, said) in &features.links {
        answer(out, name, said)?;
    }
    heading(out, "Kernel functions")?;
    for (name, function) in &features.kernel_functions {
        let flags = function.flags.join(" ");
        let name = if flags.is_empty() {
            name.clone()
        } else {
            format!("{name} ({flags})")
        };
        answer(out, &name, &function.here)?;
    }
    Ok(())
}
