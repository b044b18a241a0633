//! Outside tools that the tests ask: clang, bpftool and the like. All are optional: a test that
//! misses its tool says "skipped: why".

use std::{path::Path, process::Command};

use crate::run::{Done, run as execute};

/// A tool, how to recognise it, and which Debian package brings it.
struct Tool {
    /// A program on PATH, or an absolute path.
    probe: &'static str,
    package: &'static str,
    purpose: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        probe: "clang-22",
        package: "clang-22",
        purpose: "compiles the examples and test programs",
    },
    Tool {
        probe: "llvm-objdump-22",
        package: "llvm-22",
        purpose: "checks the disassembler and assembler",
    },
    Tool {
        probe: "clang-19",
        package: "clang-19",
        purpose: "checks objects of an older compiler",
    },
    Tool {
        probe: "bpftool",
        package: "bpftool",
        purpose: "checks BTF and what Linux loaded",
    },
    Tool {
        probe: "/usr/include/bpf/bpf_helpers.h",
        package: "libbpf-dev",
        purpose: "headers of the examples",
    },
    Tool {
        probe: "/usr/sbin/opensnoop",
        package: "libbpf-tools",
        purpose: "real objects to load",
    },
    Tool {
        probe: "xdp-filter",
        package: "xdp-tools",
        purpose: "real objects to load and run",
    },
    Tool {
        probe: "strace",
        package: "strace",
        purpose: "checks traced system calls, and the cost of tracing",
    },
    Tool {
        probe: "tcpdump",
        package: "tcpdump",
        purpose: "reads pcap files that we write",
    },
    Tool {
        probe: "qemu-aarch64",
        package: "qemu-user",
        purpose: "runs machine code for aarch64",
    },
    Tool {
        probe: "aarch64-linux-gnu-gcc",
        package: "gcc-aarch64-linux-gnu",
        purpose: "builds what machine code for aarch64 is run by",
    },
    Tool {
        probe: "/usr/aarch64-linux-gnu/lib/libc.a",
        package: "libc6-dev-arm64-cross",
        purpose: "builds what machine code for aarch64 is run by",
    },
];

/// `cargo xtask tools`
pub fn run(args: &[String]) -> Done {
    provide(!args.iter().any(|a| a == "--no-install"))?;
    for tool in TOOLS {
        let state = if is_here(tool) { "here" } else { "missing" };
        println!("{state:8} {:14} {}", tool.package, tool.purpose);
    }
    Ok(())
}

/// The selftests' sources: large, so only those who ask for them get them.
const SELFTESTS: Tool = Tool {
    probe: "/usr/src/linux-source-6.12.tar.xz",
    package: "linux-source-6.12",
    purpose: "the verifier's selftests, compiled and asked about",
};

/// Installs what is missing where that is possible, names it otherwise.
pub fn provide(install: bool) -> Done {
    provide_all(install, TOOLS.iter().collect())
}

/// The same, with the selftests' sources.
pub fn provide_selftests() -> Done {
    provide_all(true, TOOLS.iter().chain([&SELFTESTS]).collect())
}

fn provide_all(install: bool, wanted: Vec<&Tool>) -> Done {
    let missing: Vec<&Tool> = wanted.into_iter().filter(|t| !is_here(t)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|t| t.package).collect();
    if install && may_install() {
        // Not every distribution has every package: install one by one, go on without.
        let _ = execute(Command::new("apt-get").args(["update", "-qq"]));
        for package in packages {
            let mut apt = Command::new("apt-get");
            apt.args(["install", "-y", "-qq", "--no-install-recommends", package]);
            apt.env("DEBIAN_FRONTEND", "noninteractive")
                .stdout(std::process::Stdio::null());
            if let Err(why) = execute(&mut apt) {
                eprintln!("xtask: {why}; the tests that need {package} will be skipped");
            }
        }
    } else {
        eprintln!(
            "xtask: missing, so some tests will be skipped: {}",
            packages.join(" ")
        );
        eprintln!(
            "xtask: on Debian: sudo apt-get install {}",
            packages.join(" ")
        );
    }
    Ok(())
}

fn is_here(tool: &Tool) -> bool {
    if tool.probe.starts_with('/') {
        return Path::new(tool.probe).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(tool.probe).is_file())
}

/// apt-get, and the right to use it without asking.
fn may_install() -> bool {
    let apt = Path::new("/usr/bin/apt-get").exists();
    let id = Command::new("id").arg("-u").output();
    apt && id.is_ok_and(|o| o.stdout.trim_ascii() == b"0")
}
