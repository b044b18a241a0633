//! What a traced system call costs: the same load bare, under strace, under Panal.

use std::{
    fs::File,
    process::{Command, ExitCode},
    time::Duration,
};

use crate::{
    command::{best_of, is_here, panal, root},
    table::Table,
};

/// System calls of the load.
const CALLS: u32 = 20_000;
/// How this program is told to be the load.
const LOAD: &str = "--open-load";

/// When the arguments ask for it, is the load: opens a file `n` times and leaves.
pub fn load_of(args: &[String]) -> Option<ExitCode> {
    let [flag, count] = args else { return None };
    if flag != LOAD {
        return None;
    }
    for _ in 0..count.parse::<u32>().unwrap_or(0) {
        let _ = File::open("/dev/null");
    }
    Some(ExitCode::SUCCESS)
}

fn load(count: u32) -> Result<Vec<String>, String> {
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    Ok(vec![
        me.to_string_lossy().into_owned(),
        LOAD.into(),
        count.to_string(),
    ])
}

fn under(tool: &[&str], count: u32) -> Result<Command, String> {
    let words: Vec<String> = tool
        .iter()
        .map(|w| (*w).to_owned())
        .chain(load(count)?)
        .collect();
    let (program, rest) = words.split_first().ok_or("nothing to run")?;
    let mut command = Command::new(program);
    command.args(rest);
    Ok(command)
}

/// Nanoseconds a call: the time of many calls less the time of none, shared out.
fn per_call(with: Duration, without: Duration) -> f64 {
    with.saturating_sub(without).as_nanos() as f64 / f64::from(CALLS)
}

/// Prints the table.
pub fn run() -> Result<(), String> {
    let panal = panal()?.to_string_lossy().into_owned();
    let example = |name: &str| {
        root()
            .join("examples")
            .join(name)
            .to_string_lossy()
            .into_owned()
    };
    let opensnoop = example("opensnoop.bpf.o");
    let latency = example("syscall_latency.bpf.o");
    let mut tools: Vec<(&str, Vec<&str>)> = vec![("nothing", vec![])];
    if is_here("strace") {
        let strace = vec!["strace", "-f", "-e", "trace=openat", "-o", "/dev/null"];
        tools.push(("strace -e trace=openat", strace));
        let filtered = vec![
            "strace",
            "-f",
            "--seccomp-bpf",
            "-e",
            "trace=openat",
            "-o",
            "/dev/null",
        ];
        tools.push(("strace --seccomp-bpf -e trace=openat", filtered));
    } else {
        println!("strace is not installed: no ratio\n");
    }
    tools.push(("panal run opensnoop", vec![&panal, "run", &opensnoop, "--"]));
    tools.push((
        "panal run syscall_latency",
        vec![&panal, "run", &latency, "--"],
    ));

    let mut commands = Vec::new();
    for (_, tool) in &tools {
        commands.push(under(tool, CALLS)?);
        commands.push(under(tool, 0)?);
    }
    let mut borrowed: Vec<&mut Command> = commands.iter_mut().collect();
    let times = best_of(3, &mut borrowed)?;

    let strace = tools
        .iter()
        .position(|(name, _)| name.starts_with("strace"));
    let cost = |i: usize| per_call(times[2 * i], times[2 * i + 1]);
    let mut table = Table::new(&["under", "ns a call", "of strace", "start-up, ms"]);
    for (i, (name, _)) in tools.iter().enumerate() {
        let ratio = strace.map_or("-".into(), |s| format!("{:.2}", cost(i) / cost(s)));
        let start = times[2 * i + 1].as_secs_f64() * 1e3;
        table.row(&[
            (*name).into(),
            format!("{:.0}", cost(i)),
            ratio,
            format!("{start:.1}"),
        ]);
    }
    table.print();
    println!("\n{CALLS} calls of openat; best of 3 rounds, taken in turn");
    Ok(())
}
