//! Process trees under supervision: what is heard is what happened.
//!
//! A binary of its own, because it is also what the tests supervise.

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod actors;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod events;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod examples;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod matrix;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod observe;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod policy;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod support;

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn main() {
    // Whoever started us may ignore them, as supervisors in other tests do; commands shall not.
    for signal in [libc::SIGINT, libc::SIGQUIT] {
        // SAFETY: the default runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    actors::play();
    let arguments = libtest_mimic::Arguments::from_args();
    let tests = observe::tests()
        .into_iter()
        .chain(policy::tests())
        .chain(examples::tests())
        .chain(events::tests())
        .collect();
    libtest_mimic::run(&arguments, tests).exit();
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn main() {
    println!("skipped: process trees are supervised on Linux only");
}
