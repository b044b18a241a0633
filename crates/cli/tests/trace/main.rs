//! Every way of tracing in user space, and what goes through iterators and buffers: programs that
//! `panal run --kernel linux` attaches run on what a command does.
//!
//! A binary of its own, because it is also the program in which probes are set: `panal-probed`.

#[cfg(target_os = "linux")]
mod buffers;
#[cfg(target_os = "linux")]
#[path = "../common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
mod iterators;
#[cfg(target_os = "linux")]
mod probed;
#[cfg(target_os = "linux")]
mod probes;

#[cfg(target_os = "linux")]
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [_, "actor", rest @ ..] = &words[..] {
        probed::act(rest.first().is_some_and(|word| *word == "wait"));
        return;
    }
    let tests = [probes::tests(), iterators::tests(), buffers::tests()];
    let tests = tests.into_iter().flatten().collect();
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), tests).exit();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: this system is not Linux");
}
