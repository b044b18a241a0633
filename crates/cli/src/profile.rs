//! `panal profile`: what the running kernel has, in a file.

use std::{fs, path::Path, time::Instant};

use panal_profile::Captured;

use crate::{
    DONE,
    args::{Execution, KernelName, ProfileCommand},
    error::Problem,
    feature, files, kernels, output,
    text::clean,
    verdict::duration,
};

const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";

/// Runs the command; the exit code.
pub fn run(command: &ProfileCommand) -> Result<u8, Problem> {
    match command {
        ProfileCommand::Capture {
            file,
            without_types,
        } => capture(file, *without_types),
        ProfileCommand::Show { file, json } => show(file, *json),
    }
}

fn capture(file: &Path, without_types: bool) -> Result<u8, Problem> {
    let started = Instant::now();
    files::check_output(file)?;
    let kernel = kernels::open(KernelName::Linux, Execution::default())?;
    let btf = if without_types {
        Vec::new()
    } else {
        files::read_file(Path::new(KERNEL_TYPES))?
    };
    let features = panal_profile::probe(kernel.as_ref(), true);
    kernels::warn_of_rights(&file.display().to_string(), &features);
    let unknown = features.reasons().len();
    let captured = Captured { features, btf };
    let wrong = |error| Problem::Asked(format!("{}: {error}", file.display()));
    let bytes = captured.to_bytes().map_err(wrong)?;
    fs::write(file, &bytes).map_err(|e| Problem::file(file, "write", &e))?;
    output::note(&format_args!(
        "{}: {} of {}, types of {} bytes, in {}; {unknown} questions without an answer",
        file.display(),
        size(bytes.len()),
        captured.features.kernel,
        captured.btf.len(),
        duration(started.elapsed())
    ));
    Ok(DONE)
}

fn size(bytes: usize) -> String {
    format!("{} KB", bytes.div_ceil(1000))
}

fn show(file: &Path, json: bool) -> Result<u8, Problem> {
    let bytes = files::read_file(file)?;
    let captured = Captured::parse(&bytes)
        .map_err(|error| Problem::Asked(format!("{}: {error}", file.display())))?;
    let mut out = output::stdout();
    if json {
        let mut value = feature::json(&captured.features);
        value["profile"] = serde_json::json!({
            "file_size": bytes.len(),
            "btf_size": captured.btf.len(),
        });
        output::json_line(&mut out, &value)?;
    } else {
        use std::io::Write;
        let name = file.display().to_string();
        writeln!(
            out,
            "{}: {}, types of {} bytes\n",
            clean(&name),
            size(bytes.len()),
            captured.btf.len()
        )?;
        feature::print(&mut out, &captured.features)?;
    }
    output::finish(out)?;
    Ok(DONE)
}
