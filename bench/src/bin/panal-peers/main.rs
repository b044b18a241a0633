//! Runs a program on another eBPF runtime: `panal-peers RUNTIME OBJECT PACKET`. Then, for each line with a
//! count on standard input, that many runs, and a line with nanoseconds in all and the last value.
//!
//! A process of its own: what a runtime does wrong ends it alone.

mod async_ebpf;
mod form;
mod rbpf;
mod sbpf;

use std::{
    fs,
    io::{BufRead, Write},
    process::ExitCode,
    time::Instant,
};

use form::Form;

/// A program on a runtime.
trait Peer {
    /// Runs it so many times, and gives the last value.
    fn run(&mut self, count: u32) -> Result<u64, String>;
}

/// Each with the name that the benchmark calls it by.
type Make = fn(&[u8], &[u8]) -> Result<Box<dyn Peer>, String>;

const RUNTIMES: &[(&str, Make)] = &[
    ("rbpf", |object, packet| {
        rbpf::make(Form::open(object)?, packet)
    }),
    ("solana-sbpf", |object, packet| {
        sbpf::make(Form::open(object)?, packet)
    }),
    ("async-ebpf", |object, _| async_ebpf::make(object)),
];

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("refused {}", why.replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [runtime, object, packet] = &args[..] else {
        return Err("usage: panal-peers RUNTIME OBJECT PACKET".to_owned());
    };
    let found = RUNTIMES.iter().find(|(name, _)| name == runtime);
    let (_, make) = found.ok_or(format!("no runtime is called {runtime}"))?;
    let read = |path: &String| fs::read(path).map_err(|e| format!("{path}: {e}"));
    let mut peer = make(&read(object)?, &read(packet)?)?;
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|e| e.to_string())?;
        let count = line
            .trim()
            .parse()
            .map_err(|_| format!("{line} is no count"))?;
        let begin = Instant::now();
        let value = peer.run(count)?;
        let took = begin.elapsed().as_nanos();
        println!("{took} {}", value as u32);
        std::io::stdout().flush().map_err(|e| e.to_string())?;
    }
    Ok(())
}
