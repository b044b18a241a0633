//! An actor that opens, connects and binds in every way, and prints what came of each: with a
//! policy that allows everything, the same must be printed as without supervision.

use std::{
    ffi::CString,
    fmt::Write,
    fs,
    io::{Read, Write as _},
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::Path,
};

/// Makes what the matrix opens.
pub fn prepare(root: &Path) {
    let _ = fs::remove_dir_all(root);
    let make = |name: &str| {
        fs::create_dir_all(root.join(name)).expect("directory");
        fs::set_permissions(root.join(name), PermissionsExt::from_mode(0o777)).expect("mode");
    };
    make("");
    make("directory");
    make("directory/deeper");
    fs::write(root.join("file"), "text of file").expect("write");
    fs::write(root.join("directory/inner"), "text of inner").expect("write");
    fs::write(root.join("secret"), "not yours").expect("write");
    fs::set_permissions(root.join("secret"), PermissionsExt::from_mode(0o000)).expect("mode");
    fs::create_dir(root.join("closed")).expect("directory");
    fs::write(root.join("closed/file"), "not yours").expect("write");
    fs::set_permissions(root.join("closed"), PermissionsExt::from_mode(0o700)).expect("mode");
    fs::set_permissions(root.join("file"), PermissionsExt::from_mode(0o666)).expect("mode");
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, root.join(name)).expect("symlink");
    };
    link("file", "link");
    link("nowhere", "dangling");
    link("loop", "loop");
    link("directory", "to-directory");
    link("../file", "directory/up");
    link("/proc/self/comm", "own-comm");
    link("/proc/self/cwd/file", "through-cwd");
    link("/dev/stdin", "input");
}

/// Prints the matrix.
pub fn play(root: &str) -> i32 {
    std::env::set_current_dir(root).expect("directory");
    let mut out = String::new();
    opens(&mut out, root);
    flags(&mut out);
    directories(&mut out);
    openat2(&mut out);
    many(&mut out);
    names(&mut out);
    sockets(&mut out);
    print!("{out}");
    0
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// One open, and all that can be seen of its outcome.
fn one(out: &mut String, dirfd: i32, path: &str, flags: i32, mode: u32) {
    let c_path = CString::new(path).expect("path");
    // SAFETY: a valid string; the descriptor is closed below.
    let fd = unsafe { libc::openat(dirfd, c_path.as_ptr(), flags, mode) };
    let _ = write!(out, "{path} {flags:o} {mode:o}: ");
    describe(out, fd);
}

fn describe(out: &mut String, fd: i32) {
    if fd < 0 {
        let _ = writeln!(out, "errno {}", errno());
        return;
    }
    // SAFETY: a descriptor of ours and a buffer of the length told.
    unsafe {
        let mut info: libc::stat = std::mem::zeroed();
        libc::fstat(fd, &mut info);
        let mut text = [0u8; 16];
        let got = libc::read(fd, text.as_mut_ptr().cast(), text.len());
        let text = text.get(..got.max(0) as usize).unwrap_or_default();
        let _ = writeln!(
            out,
            "fd {fd} mode {:o} size {} flags {:o} cloexec {} text {:?}",
            info.st_mode,
            info.st_size,
            // The supervisor opens the file that it found: there is no link to follow or not.
            libc::fcntl(fd, libc::F_GETFL) & !libc::O_NOFOLLOW,
            libc::fcntl(fd, libc::F_GETFD),
            String::from_utf8_lossy(text),
        );
        libc::close(fd);
    }
}

fn opens(out: &mut String, root: &str) {
    for path in [
        "file",
        "./file",
        "directory/../file",
        "link",
        "dangling",
        "loop",
        "nothing",
        "",
        "directory",
        "directory/",
        "file/",
        "file/x",
        "nothing/x",
        "to-directory/inner",
        "to-directory/",
        "directory/up",
        "directory/deeper/../../link",
        "secret",
        "closed/file",
        "own-comm",
        "through-cwd",
        "input",
        "/",
        "//",
        "/..",
        "/dev/null",
        "/dev/zero",
        "/dev/stdin",
        "/dev/fd/0",
        "/proc/self/comm",
        "/proc/thread-self/comm",
        "/proc/self/fd/0",
        "/proc/self/fd/77",
        "/proc/self/exe",
        "/proc/self/root/dev/null",
        "/proc/1/comm",
        "/proc/mounts",
        "/proc/self/../self/comm",
        "/proc/nothing",
        "/proc/self/task/self",
        "/etc/mtab",
        "/proc/self/ns/user",
    ] {
        one(out, libc::AT_FDCWD, path, libc::O_RDONLY, 0);
    }
    one(
        out,
        libc::AT_FDCWD,
        &format!("{root}/file"),
        libc::O_RDONLY,
        0,
    );
    one(out, libc::AT_FDCWD, &"x".repeat(256), libc::O_RDONLY, 0);
    one(out, libc::AT_FDCWD, &"x/".repeat(2047), libc::O_RDONLY, 0);
    one(out, libc::AT_FDCWD, &"x/".repeat(2048), libc::O_RDONLY, 0);
    one(
        out,
        libc::AT_FDCWD,
        &format!("{}file", "./".repeat(2045)),
        libc::O_RDONLY,
        0,
    );
    // SAFETY: no string at all.
    let fd = unsafe { libc::open(8 as *const libc::c_char, 0) };
    describe(out, fd);
}

fn flags(out: &mut String) {
    use libc::*;
    for (path, flags) in [
        ("file", O_WRONLY),
        ("file", O_RDWR | O_CLOEXEC),
        ("file", O_RDWR | O_APPEND | O_NONBLOCK),
        ("file", O_RDONLY | O_DIRECTORY),
        ("file", O_PATH),
        ("file", O_PATH | O_DIRECTORY),
        ("file", O_RDONLY | O_DIRECT),
        ("file", O_CREAT | O_RDONLY),
        ("file", O_CREAT | O_EXCL | O_RDWR),
        ("link", O_NOFOLLOW),
        ("link", O_PATH | O_NOFOLLOW),
        ("link", O_CREAT | O_EXCL),
        ("link/", O_NOFOLLOW),
        ("to-directory", O_NOFOLLOW | O_DIRECTORY),
        ("to-directory/inner", O_NOFOLLOW),
        ("dangling", O_CREAT | O_EXCL | O_RDWR),
        ("loop", O_CREAT | O_RDWR),
        ("new", O_CREAT | O_EXCL | O_RDWR),
        ("new", O_CREAT | O_EXCL | O_RDWR),
        ("nothing/new", O_CREAT | O_RDWR),
        ("new-directory/", O_CREAT | O_RDWR),
        ("directory", O_WRONLY),
        ("directory", O_CREAT | O_RDONLY),
        ("directory", O_TMPFILE | O_RDWR),
        ("directory", O_TMPFILE | O_RDONLY),
        ("file", O_TMPFILE | O_RDWR),
        ("secret", O_WRONLY | O_TRUNC),
        ("secret", O_PATH),
        ("closed/new", O_CREAT | O_RDWR),
        ("/proc/self/comm", O_RDWR),
        ("/proc/self/fd/0", O_RDONLY | O_NOFOLLOW),
        ("/proc/self/fd/0", O_PATH | O_NOFOLLOW),
        ("/dev/tty", O_RDWR | O_NOCTTY),
        ("dangling", O_CREAT | O_RDWR),
        ("nowhere", O_RDONLY),
        ("file", O_RDWR | O_TRUNC),
    ] {
        one(out, AT_FDCWD, path, flags, 0o666);
    }
    for (umask, mode) in [(0o022, 0o777), (0o077, 0o666), (0, 0o4751), (0o777, 0o777)] {
        // SAFETY: sets our umask.
        unsafe { umask_set(umask) };
        one(
            out,
            AT_FDCWD,
            &format!("masked-{umask:o}"),
            O_CREAT | O_EXCL | O_WRONLY,
            mode,
        );
        let path = CString::new(format!("creat-{umask:o}")).expect("path");
        // SAFETY: a valid string.
        let fd = unsafe { creat(path.as_ptr(), mode) };
        describe(out, fd);
    }
    // SAFETY: sets our umask.
    unsafe { umask_set(0o022) };
}

/// Sets the umask.
///
/// # Safety
/// None needed: the process is ours alone.
unsafe fn umask_set(mask: u32) {
    // SAFETY: has no preconditions.
    unsafe { libc::umask(mask) };
}

fn directories(out: &mut String) {
    let directory = fs::File::open("directory").expect("directory");
    let file = fs::File::open("file").expect("file");
    for (fd, path) in [
        (directory.as_raw_fd(), "inner"),
        (directory.as_raw_fd(), "../file"),
        (directory.as_raw_fd(), "up"),
        (directory.as_raw_fd(), "."),
        (directory.as_raw_fd(), "/dev/null"),
        (file.as_raw_fd(), "inner"),
        (file.as_raw_fd(), "/dev/null"),
        (9999, "inner"),
        (9999, "/dev/null"),
        (-7, "inner"),
    ] {
        one(out, fd, path, libc::O_RDONLY, 0);
    }
}

fn openat2(out: &mut String) {
    // With O_PATH, openat2 is not there under a policy: see docs/policy.md.
    let mut try_one = |path: &str, flags: u64, mode: u64, resolve: u64, size: usize| {
        let c_path = CString::new(path).expect("path");
        let how = [flags, mode, resolve, 0, 0];
        // SAFETY: `how` is longer than any size told.
        let open = || unsafe {
            libc::syscall(
                libc::SYS_openat2,
                libc::AT_FDCWD,
                c_path.as_ptr(),
                how.as_ptr(),
                size,
            )
        };
        // "The caller may choose to retry" (openat2(2)): the kernel gives up on `..` where anybody
        // renames anything meanwhile, as other tests do.
        let mut fd = open();
        for _ in 0..1000 {
            if fd >= 0 || errno() != libc::EAGAIN {
                break;
            }
            fd = open();
        }
        let _ = write!(
            out,
            "openat2 {path} {flags:o} {mode:o} {resolve:x} {size}: "
        );
        describe(out, fd as i32);
    };
    for resolve in [
        0,
        libc::RESOLVE_BENEATH,
        libc::RESOLVE_IN_ROOT,
        libc::RESOLVE_NO_SYMLINKS,
    ] {
        for path in [
            "file",
            "link",
            "/file",
            "directory/up",
            "directory/../file",
            "../file",
        ] {
            try_one(path, 0, 0, resolve, 24);
        }
    }
    try_one("file", 0, 0, libc::RESOLVE_NO_XDEV, 24);
    try_one("/dev/null", 0, 0, libc::RESOLVE_NO_XDEV, 24);
    try_one("file", 0, 0, 0, 16);
    try_one("file", 0, 0, 0, 40);
    try_one("file", 0, 0o644, 0, 24);
    try_one("file", 0, 0, 1 << 40, 24);
    try_one("file", 1 << 40, 0, 0, 24);
    try_one(
        "fresh",
        (libc::O_CREAT | libc::O_RDWR) as u64,
        0o640,
        libc::RESOLVE_BENEATH,
        24,
    );
    try_one("file", (libc::O_CREAT | libc::O_RDWR) as u64, 0o640, 0, 24);
}

/// Every change of names, and what it leaves.
fn names(out: &mut String) {
    let c = |path: &str| CString::new(path).expect("path");
    let mut done = |what: &str, path: &str, result: libc::c_int| {
        let why = if result == 0 { 0 } else { errno() };
        let _ = writeln!(out, "{what} {path}: {why}");
    };
    // SAFETY: valid strings throughout.
    unsafe {
        for (path, mode) in [
            ("fresh-directory", 0o777),
            ("fresh-directory", 0o777),
            ("slash-directory/", 0o700),
            ("nothing/new", 0o777),
            ("file", 0o777),
            ("dangling", 0o777),
            (".", 0o777),
            ("..", 0o777),
            ("/", 0o777),
            ("", 0o777),
            ("closed/new", 0o777),
            ("file/new", 0o777),
            ("to-directory/made", 0o750),
            ("./dotted/.", 0o777),
            ("loop/x", 0o777),
        ] {
            done("mkdir", path, libc::mkdir(c(path).as_ptr(), mode));
        }
        let rename = |a: &str, b: &str| libc::rename(c(a).as_ptr(), c(b).as_ptr());
        for (a, b) in [
            ("fresh-directory", "renamed-directory"),
            ("masked-22", "renamed-file"),
            ("nothing", "x"),
            ("file", "nothing/x"),
            ("renamed-file", "directory"),
            ("renamed-directory", "file"),
            ("directory", "directory/deeper/x"),
            (".", "x"),
            ("renamed-file", "renamed-directory/"),
            ("link", "renamed-link"),
            ("renamed-link", "link"),
            ("file", "file"),
            ("closed/file", "x"),
            ("", "x"),
            ("renamed-directory/", "again-directory/"),
        ] {
            done("rename", &format!("{a} {b}"), rename(a, b));
        }
        let noreplace = libc::RENAME_NOREPLACE;
        let here = libc::AT_FDCWD;
        let (a, b) = (c("renamed-file"), c("file"));
        let result = libc::syscall(
            libc::SYS_renameat2,
            here,
            a.as_ptr(),
            here,
            b.as_ptr(),
            noreplace,
        );
        done("renameat2", "noreplace", result as libc::c_int);
        for path in [
            "renamed-file",
            "renamed-file",
            "directory",
            "dangling",
            "link/",
            "file/",
            ".",
            "..",
            "/",
            "",
            "closed/file",
            "nothing/x",
            "again-directory/",
            "x/../link",
        ] {
            done("unlink", path, libc::unlink(c(path).as_ptr()));
        }
        for path in [
            "again-directory",
            "slash-directory/",
            "directory",
            "file",
            "to-directory",
            ".",
            "..",
            "/",
            "",
            "nothing",
            "directory/.",
            "directory/..",
            "closed",
        ] {
            done("rmdir", path, libc::rmdir(c(path).as_ptr()));
        }
        for (a, b) in [
            ("file", "hard"),
            ("file", "hard"),
            ("dangling", "hard-link"),
            ("directory", "hard-directory"),
            ("nothing", "x"),
            ("file", "nothing/x"),
            ("file", "hard/"),
            ("file", "."),
            ("file", ""),
            ("", "x"),
            ("closed/file", "x"),
            ("/proc/self/exe", "x"),
        ] {
            let (old, new) = (c(a), c(b));
            for flags in [0, libc::AT_SYMLINK_FOLLOW, 1] {
                let result = libc::linkat(here, old.as_ptr(), here, new.as_ptr(), flags);
                done("linkat", &format!("{a} {b} {flags}"), result);
            }
            let result = libc::symlink(old.as_ptr(), new.as_ptr());
            done("symlink", &format!("{a} {b}"), result);
        }
        let unlinkat = libc::unlinkat(here, c("file").as_ptr(), 0x1000);
        done("unlinkat", "flags", unlinkat);
        for (path, length) in [
            ("file", 5),
            ("file", -1),
            ("directory", 0),
            ("nothing", 0),
            ("secret", 0),
            ("", 0),
        ] {
            done("truncate", path, libc::truncate(c(path).as_ptr(), length));
        }
    }
    let mut left: Vec<_> = fs::read_dir(".")
        .expect("directory")
        .map(|e| e.expect("entry"))
        .map(|e| {
            let meta = e.path().symlink_metadata().expect("stat");
            format!("{:?} {:o}", e.file_name(), meta.permissions().mode())
        })
        .collect();
    left.sort();
    let _ = writeln!(out, "{left:#?}");
}

/// As many descriptors as the limit allows, and one more.
fn many(out: &mut String) {
    let limit = libc::rlimit {
        rlim_cur: 16,
        rlim_max: 16,
    };
    // SAFETY: sets our limit; opens until none is left.
    unsafe {
        let mut before: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut before);
        let less = libc::rlimit {
            rlim_max: before.rlim_max,
            ..limit
        };
        libc::setrlimit(libc::RLIMIT_NOFILE, &less);
        let mut open = Vec::new();
        loop {
            match libc::open(c"file".as_ptr(), libc::O_RDONLY) {
                fd if fd >= 0 => open.push(fd),
                _ => break,
            }
        }
        let _ = writeln!(out, "{open:?} then errno {}", errno());
        open.iter().for_each(|fd| {
            libc::close(*fd);
        });
        libc::setrlimit(libc::RLIMIT_NOFILE, &before);
    }
}

fn sockets(out: &mut String) {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let mut stream = TcpStream::connect(address).expect("connect");
    let (mut other, from) = listener.accept().expect("accept");
    assert_eq!(stream.local_addr().expect("local"), from);
    stream.write_all(b"hello").expect("write");
    let mut text = [0; 5];
    other.read_exact(&mut text).expect("read");
    let _ = writeln!(out, "tcp {:?}", String::from_utf8_lossy(&text));
    let again = TcpListener::bind(address)
        .map(drop)
        .map_err(|e| e.raw_os_error());
    let _ = writeln!(out, "bound twice {again:?}");
    drop((listener, stream, other));
    let refused = TcpStream::connect(address)
        .map(drop)
        .map_err(|e| e.raw_os_error());
    let _ = writeln!(out, "closed {refused:?}");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let _ = writeln!(
        out,
        "udp {:?}",
        udp.connect("127.0.0.1:9").map_err(|e| e.raw_os_error())
    );
    let unix = UnixListener::bind("directory/socket").expect("bind");
    let twice = UnixListener::bind("directory/socket")
        .map(drop)
        .map_err(|e| e.raw_os_error());
    let _ = writeln!(out, "unix bound twice {twice:?}");
    let mut stream = UnixStream::connect("directory/socket").expect("connect");
    let (mut other, _) = unix.accept().expect("accept");
    stream.write_all(b"hello").expect("write");
    other.read_exact(&mut text).expect("read");
    let _ = writeln!(out, "unix {:?}", String::from_utf8_lossy(&text));
    for path in ["nothing", "file", "directory", "dangling", "closed/file"] {
        let e = UnixStream::connect(path)
            .map(drop)
            .map_err(|e| e.raw_os_error());
        let _ = writeln!(out, "unix {path} {e:?}");
        let e = UnixDatagram::bind(path)
            .map(drop)
            .map_err(|e| e.raw_os_error());
        let _ = writeln!(out, "unix bind {path} {e:?}");
    }
    let file = fs::File::open("file").expect("file");
    // SAFETY: addresses of the lengths told, or nonsense that Linux refuses.
    unsafe {
        let name = [0u8; 16];
        for (fd, length) in [
            (file.as_raw_fd(), 16u32),
            (9999, 16),
            (-1, 16),
            (udp.as_raw_fd(), 1),
            (udp.as_raw_fd(), 129),
            (udp.as_raw_fd(), u32::MAX),
        ] {
            let result = libc::connect(fd, name.as_ptr().cast(), length);
            let fd = if fd > 8 && fd != 9999 { 8 } else { fd };
            let _ = writeln!(out, "connect {fd} {length}: {result} {}", errno());
        }
        let fault = libc::connect(udp.as_raw_fd(), 8 as *const libc::sockaddr, 16);
        let _ = writeln!(out, "fault {fault} {}", errno());
    }
}
