//! Every place of the network and of cgroups: a program that `panal run --kernel linux` attaches
//! there runs, bpftool sees it there, and afterwards it is gone.
//!
//! A binary of its own, because it is also what causes the events.

#[cfg(target_os = "linux")]
mod actors;
#[cfg(target_os = "linux")]
mod cases;
#[cfg(target_os = "linux")]
#[path = "../common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
mod ends;
#[cfg(target_os = "linux")]
mod problems;
#[cfg(target_os = "linux")]
mod world;

#[cfg(target_os = "linux")]
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [_, "actor", name, rest @ ..] = &words[..] {
        actors::act(name, rest.first().copied());
        return;
    }
    let tests = [cases::tests(), ends::tests(), problems::tests()];
    let tests = tests.into_iter().flatten().collect();
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), tests).exit();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: this system is not Linux");
}
