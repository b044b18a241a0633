//! What the tests' commands do: this test binary, started again with the name of an actor.

use std::{
    ffi::CString,
    io::Read,
    os::fd::AsRawFd,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// Plays an actor if the arguments name one: `tree actor NAME ARG...`.
pub fn play() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [actor, name, rest @ ..] = args.as_slice() else {
        return;
    };
    if actor != "actor" {
        return;
    }
    let arg = |n: usize| rest.get(n).cloned().unwrap_or_default();
    let code = match name.as_str() {
        "opens" => opens(&arg(0), arg(1).parse().expect("count")),
        "storm" => storm(arg(0).parse().expect("rounds")),
        "exec-from-thread" => exec_from_thread(),
        "stop-and-go" => stop_and_go(),
        "race" => race(&arg(0), &arg(1), &arg(2), arg(3).parse().expect("count")),
        "matrix" => crate::matrix::play(&arg(0)),
        "connect" => connect(arg(0).parse().expect("port")),
        "io_uring" => io_uring(),
        "bad-close" => bad_close(arg(0).parse().expect("count")),
        "supervise" => crate::support::run(&crate::support::sh(&arg(0)), Default::default())
            .0
            .code(),
        "chroot" => chroot(&arg(0)),
        other => panic!("no actor {other}"),
    };
    std::process::exit(code);
}

/// Opens a path so many times, and prints the nanoseconds for one.
fn opens(path: &str, count: u32) -> i32 {
    let path = CString::new(path).expect("path");
    let start = std::time::Instant::now();
    for _ in 0..count {
        // SAFETY: a valid string; the descriptor is closed at once.
        unsafe {
            let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            if fd >= 0 {
                libc::close(fd);
            }
        }
    }
    println!("{}", start.elapsed().as_nanos() / u128::from(count.max(1)));
    0
}

/// Four threads that fork children, which make threads: each opens /dev/null once.
fn storm(rounds: u32) -> i32 {
    let open = || drop(std::fs::File::open("/dev/null").expect("open"));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                for round in 0..rounds {
                    open();
                    // SAFETY: the child only opens, waits and ends.
                    match unsafe { libc::fork() } {
                        0 => {
                            open();
                            // SAFETY: ends the child without running anything else.
                            unsafe { libc::_exit((round % 7) as i32) }
                        }
                        pid => {
                            let mut status = 0;
                            // SAFETY: waits for our child.
                            unsafe { libc::waitpid(pid, &mut status, 0) };
                            assert_eq!(libc::WEXITSTATUS(status), (round % 7) as i32);
                        }
                    }
                    thread::spawn(open).join().expect("join");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().expect("join"));
    0
}

/// A thread that is not the leader executes `sh`, while others run.
fn exec_from_thread() -> i32 {
    for _ in 0..3 {
        thread::spawn(|| {
            loop {
                drop(std::fs::File::open("/dev/null"));
            }
        });
    }
    thread::spawn(|| {
        use std::os::unix::process::CommandExt;
        let _ = std::process::Command::new("/bin/sh")
            .args(["-c", "exit 5"])
            .exec();
    });
    loop {
        thread::park();
    }
}

/// Stops its child, wakes it, and returns what it said at its end. Not by SIGTSTP, which Linux drops
/// where the process group is orphaned, as under CI.
fn stop_and_go() -> i32 {
    let mut child = std::process::Command::new("/bin/sh")
        .args(["-c", "echo ready; read line; exit 6"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("sh");
    let mut ready = [0; 6];
    child
        .stdout
        .as_mut()
        .expect("out")
        .read_exact(&mut ready)
        .expect("ready");
    let pid = child.id() as i32;
    let mut status = 0;
    // SAFETY: signals and waits for our own child.
    unsafe {
        libc::kill(pid, libc::SIGSTOP);
        assert_eq!(libc::waitpid(pid, &mut status, libc::WUNTRACED), pid);
        assert!(libc::WIFSTOPPED(status));
        assert_eq!(libc::WSTOPSIG(status), libc::SIGSTOP);
        libc::kill(pid, libc::SIGCONT);
        assert_eq!(libc::waitpid(pid, &mut status, libc::WCONTINUED), pid);
        assert!(libc::WIFCONTINUED(status));
    }
    drop(child.stdin.take());
    child.wait().expect("wait").code().unwrap_or(99)
}

/// One thread swaps a symbolic link between an allowed and a forbidden file; the other opens it.
/// Returns 1 if the forbidden file's text was ever read, 2 if the allowed one never was.
fn race(link: &str, allowed: &str, forbidden: &str, count: u32) -> i32 {
    static DONE: AtomicBool = AtomicBool::new(false);
    let swapper = {
        let (link, targets) = (link.to_owned(), [allowed.to_owned(), forbidden.to_owned()]);
        thread::spawn(move || {
            let fresh = format!("{link}.new");
            let mut turn = 0;
            while !DONE.load(Ordering::Relaxed) {
                std::os::unix::fs::symlink(&targets[turn % 2], &fresh).expect("symlink");
                std::fs::rename(&fresh, &link).expect("rename");
                turn += 1;
            }
        })
    };
    // The text in memory is swapped, too: the oldest trick against checks of arguments.
    let (mut seen_allowed, mut leaked) = (0u32, 0u32);
    let path = CString::new(link).expect("path");
    for _ in 0..count {
        // SAFETY: a valid string; the descriptor is ours.
        let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY) };
        if fd < 0 {
            continue;
        }
        // SAFETY: as above.
        let mut file: std::fs::File = unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) };
        let mut text = String::new();
        file.read_to_string(&mut text).expect("read");
        assert_eq!(file.as_raw_fd(), fd);
        match text.as_str() {
            "allowed" => seen_allowed += 1,
            _ => leaked += 1,
        }
    }
    DONE.store(true, Ordering::Relaxed);
    swapper.join().expect("join");
    println!("allowed {seen_allowed}, leaked {leaked}");
    match (leaked, seen_allowed) {
        (0, 0) => 2,
        (0, _) => 0,
        _ => 1,
    }
}

/// Connects to a port here; returns the errno.
fn connect(port: u16) -> i32 {
    match std::net::TcpStream::connect(("127.0.0.1", port)) {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(99),
    }
}

/// Tries to set an io_uring up; returns the errno.
fn io_uring() -> i32 {
    // SAFETY: no parameters: refused in any case.
    match unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, 0) } {
        0.. => 0,
        _ => std::io::Error::last_os_error().raw_os_error().unwrap_or(99),
    }
}

/// Changes its root directory, and opens files by all kinds of paths; the number of the first that
/// it cannot read, or 0.
fn chroot(root: &str) -> i32 {
    std::os::unix::fs::chroot(root).expect("root");
    std::env::set_current_dir("/").expect("directory");
    let paths = [
        "/file",
        "file",
        "/../file",
        "../../file",
        "/link",
        "link",
        "directory/up",
    ];
    for (n, path) in paths.iter().enumerate() {
        if std::fs::read_to_string(path).ok().as_deref() != Some("inside") {
            return n as i32 + 1;
        }
    }
    match std::fs::File::open("/etc/passwd") {
        Ok(_) => 100,
        Err(_) => 0,
    }
}

/// Closes a descriptor that is not open.
fn bad_close(count: u32) -> i32 {
    for _ in 0..count {
        // SAFETY: nobody owns this number.
        unsafe { libc::close(1234) };
    }
    0
}
