//! Policy: what is denied does not happen, what is allowed happens as if nobody had asked, and no
//! race gets around it.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use libtest_mimic::{Failed, Trial};
use panal_kernel::hooks::{
    Command, ExitStatus,
    tree::{Change, Demand, Guards, Request, supervise},
};
use panal_uapi::Errno;

use crate::{
    matrix,
    support::{Event, Policy, Recorder, actor, copy_binary, demand, ordinary, scratch, sh},
};

pub fn tests() -> Vec<Trial> {
    let test = |name: &str, body: fn()| {
        Trial::test(format!("policy::{name}"), move || {
            body();
            Ok::<(), Failed>(())
        })
    };
    vec![
        test(
            "what_is_allowed_happens_as_without_supervision",
            same_as_without,
        ),
        test("denied_opens_fail_and_make_nothing", denied_opens),
        test("denied_connections_fail", denied_connections),
        test("an_address_can_be_changed", redirected),
        test("a_path_that_is_swapped_does_not_leak", race),
        test("a_fifo_waits_without_stopping_the_others", fifo),
        test("return_values_of_guarded_calls_are_told", told),
        test("a_root_directory_of_its_own_is_kept", own_root),
        test("denied_changes_of_names_do_not_happen", changes),
        test("ways_around_are_closed", bypasses),
        test("the_supervisor_cannot_be_opened", supervisor),
    ]
}

const ALL: Guards = Guards {
    change: true,
    open: true,
    connect: true,
    bind: true,
};

fn guarded(command: &Command, guards: Guards, policy: Policy) -> (ExitStatus, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::with(policy));
    let demand = Demand {
        guards,
        ..Demand::default()
    };
    let status = supervise(command, recorder.clone(), demand, &mut || {}).expect("supervised");
    (status, recorder)
}

/// A directory with a subdirectory that any user may write.
fn place(name: &str) -> String {
    scratch(name).to_str().expect("utf-8").to_owned()
}

fn same_as_without() {
    let place = place("matrix");
    let output = |supervised: bool| {
        let root = format!("{place}/root");
        matrix::prepare(root.as_ref());
        let out = format!("{place}/out-{supervised}");
        fs::write(&out, "").expect("write");
        fs::set_permissions(&out, PermissionsExt::from_mode(0o666)).expect("mode");
        let binary = format!("{place}/binary");
        copy_binary(binary.as_ref());
        let command = ordinary(Command::new("/bin/sh").args([
            "-c",
            &format!("echo input | {binary} actor matrix {root} >{out} 2>&1"),
        ]));
        let guards = if supervised { ALL } else { Guards::default() };
        let (status, _) = guarded(&command, guards, Box::new(|_| Ok(())));
        let text = fs::read_to_string(&out).expect("output");
        assert_eq!(status, ExitStatus::Code(0), "{text}");
        text
    };
    let (without, with) = (output(false), output(true));
    assert!(without.lines().count() > 100, "{without}");
    let different: Vec<_> = without
        .lines()
        .zip(with.lines())
        .filter(|(a, b)| a != b)
        .collect();
    assert!(different.is_empty(), "{different:#?}");
    assert_eq!(without, with);
}

/// Denies with this errno every path that begins so.
fn deny_under(prefix: &str, errno: Errno) -> Policy {
    let prefix = prefix.to_owned();
    Box::new(move |request| match request {
        Request::Open(open) if open.path.starts_with(prefix.as_bytes()) => Err(errno),
        _ => Ok(()),
    })
}

fn denied_opens() {
    let place = place("denied");
    fs::write(format!("{place}/file"), "text").expect("write");
    let link = format!("{place}-link");
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(&place, &link).expect("symlink");
    let script = format!(
        "cat {place}/file && exit 1
        cat {link}/file && exit 2
        cd {place}; cat file && exit 3
        (: >new) && exit 4
        (: >>file) && exit 5
        cat /proc/self/cwd/file && exit 6
        cat /etc/passwd >/dev/null || exit 7
        exit 0"
    );
    let policy = deny_under(&place, Errno::EPERM);
    let (status, _) = guarded(&sh(&format!("({script}) 2>/dev/null")), ALL, policy);
    assert_eq!(status, ExitStatus::Code(0));
    assert!(!fs::exists(format!("{place}/new")).expect("exists"));
    let policy = deny_under(&place, Errno(libc::ETXTBSY));
    let script = format!("cat {place}/file 2>&1 | grep -q 'Text file busy'");
    assert_eq!(guarded(&sh(&script), ALL, policy).0, ExitStatus::Code(0));
    fs::remove_file(&link).expect("remove");
}

fn denied_connections() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("address").port();
    let try_it = |policy: Policy| guarded(&actor(&["connect", &port.to_string()]), ALL, policy).0;
    assert_eq!(try_it(Box::new(|_| Ok(()))), ExitStatus::Code(0));
    let denied = try_it(Box::new(|request| match request {
        Request::Connect(_) => Err(Errno::ENETUNREACH),
        _ => Ok(()),
    }));
    assert_eq!(denied, ExitStatus::Code(libc::ENETUNREACH));
}

fn redirected() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("address").port();
    let policy: Policy = Box::new(move |request| {
        if let Request::Connect(connect) = request {
            connect.address[2..4].copy_from_slice(&port.to_be_bytes());
        }
        Ok(())
    });
    // Nobody listens at port 1.
    assert_eq!(
        guarded(&actor(&["connect", "1"]), ALL, policy).0,
        ExitStatus::Code(0)
    );
}

fn race() {
    let place = place("race");
    let (allowed, forbidden) = (format!("{place}/allowed"), format!("{place}/forbidden"));
    fs::write(&allowed, "allowed").expect("write");
    fs::write(&forbidden, "forbidden").expect("write");
    let link = format!("{place}/link");
    std::os::unix::fs::symlink(&allowed, &link).expect("symlink");
    let command = actor(&["race", &link, &allowed, &forbidden, "20000"]);
    let (status, _) = guarded(&command, ALL, deny_under(&forbidden, Errno::EACCES));
    assert_eq!(status, ExitStatus::Code(0), "1: leaked, 2: never opened");
}

fn fifo() {
    let place = place("fifo");
    let script = format!(
        "cd {place}; mkfifo pipe; cat pipe & cat /etc/passwd >/dev/null; echo through >pipe; wait"
    );
    let out = format!("{place}/out");
    let script = format!("({script}) >{out}");
    let (status, _) = guarded(&sh(&script), ALL, Box::new(|_| Ok(())));
    assert_eq!(status, ExitStatus::Code(0));
    assert_eq!(fs::read_to_string(out).expect("output"), "through\n");
}

fn told() {
    let recorder = Arc::new(Recorder::with(Box::new(|request| match request {
        Request::Open(open) if open.path == b"/etc/hostname" => Err(Errno::EPERM),
        _ => Ok(()),
    })));
    let demand = Demand {
        guards: ALL,
        ..demand(&["openat"], &["openat"])
    };
    let command = sh("cat /etc/passwd /etc/hostname >/dev/null 2>&1");
    supervise(&command, recorder.clone(), demand, &mut || {}).expect("supervised");
    let events = recorder.events();
    let value = |wanted: &str| {
        let at = events
            .iter()
            .position(|e| matches!(e, Event::Enter { path: Some(p), .. } if p == wanted))
            .expect("entered");
        match events[at + 1] {
            Event::Exit { value, .. } => value,
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(value("/etc/passwd"), 3);
    assert_eq!(value("/etc/hostname"), -i64::from(libc::EPERM));
}

fn own_root() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root may change its root directory");
        return;
    }
    let place = place("chroot");
    fs::write(format!("{place}/file"), "inside").expect("write");
    fs::create_dir(format!("{place}/directory")).expect("directory");
    for (to, name) in [("/file", "link"), ("/../../file", "directory/up")] {
        std::os::unix::fs::symlink(to, format!("{place}/{name}")).expect("symlink");
    }
    let paths = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = paths.clone();
    let binary = std::env::current_exe().expect("own path");
    let command = Command::new(binary).args(["actor", "chroot", &place]);
    let policy: Policy = Box::new(move |request| {
        if let Request::Open(open) = request {
            seen.lock()
                .expect("lock")
                .push(String::from_utf8_lossy(open.path).into_owned());
        }
        Ok(())
    });
    assert_eq!(guarded(&command, ALL, policy).0, ExitStatus::Code(0));
    let inside = paths
        .lock()
        .expect("lock")
        .iter()
        .filter(|path| *path == "/file")
        .count();
    assert_eq!(inside, 7, "a policy sees paths as the task does");
}

fn changes() {
    let place = place("changes");
    let make = format!(
        "cd {place} && mkdir -p yes no && chmod 777 yes no && for d in yes no; do
            echo x >$d/file; echo y >$d/other; mkdir $d/empty; chmod 777 $d/*; done"
    );
    let made = std::process::Command::new("/bin/sh")
        .args(["-c", &make])
        .status();
    assert!(made.expect("sh").success());
    let script = format!(
        "cd {place}
        rm -f no/file && exit 1
        rmdir no/empty && exit 2
        mkdir no/new && exit 3
        mv no/other no/moved && exit 4
        mv yes/other no/moved && exit 5
        mv no/other yes/moved && exit 6
        ln no/other yes/hard && exit 10
        ln yes/other no/hard && exit 11
        ln -s x no/soft && exit 12
        ln yes/other yes/hard && ln -s x yes/soft && rm yes/hard yes/soft || exit 13
        rm -f yes/file && mv yes/other yes/moved && rmdir yes/empty && mkdir yes/new || exit 7
        [ -f no/file -a -f no/other -a -d no/empty -a ! -e no/new -a ! -e no/moved ] || exit 8
        [ ! -e yes/file -a -f yes/moved -a ! -e yes/empty -a -d yes/new ] || exit 9
        exit 0"
    );
    let forbidden = format!("{place}/no").into_bytes();
    let policy: Policy = Box::new(move |request| {
        let Request::Change(change) = request else {
            return Ok(());
        };
        let denied = match change {
            Change::Unlink(name) | Change::RemoveDirectory(name) => name.directory == forbidden,
            Change::MakeDirectory(name, _) => name.directory == forbidden,
            Change::Rename { from, to, .. } => {
                from.directory == forbidden || to.directory == forbidden
            }
            Change::Link { from, to } => from.directory == forbidden || to.directory == forbidden,
            Change::Symlink(name, _) => name.directory == forbidden,
            Change::Truncate { path, .. } => path.starts_with(&forbidden),
        };
        if denied { Err(Errno::EPERM) } else { Ok(()) }
    });
    let (status, _) = guarded(&sh(&format!("({script}) 2>/dev/null")), ALL, policy);
    assert_eq!(status, ExitStatus::Code(0));
}

fn bypasses() {
    let status = |guards| guarded(&actor(&["io_uring"]), guards, Box::new(|_| Ok(()))).0;
    assert_eq!(status(ALL), ExitStatus::Code(libc::EPERM));
    assert_ne!(status(Guards::default()), ExitStatus::Code(libc::EPERM));
}

fn supervisor() {
    let own = std::process::id();
    let script = format!(
        "for f in mem environ fd/1 root/etc/passwd cwd exe maps task/{own}/mem; do
            cat /proc/{own}/$f >/dev/null && exit 1
        done
        head -1 /proc/{own}/status >/dev/null || exit 2"
    );
    let (status, _) = guarded(
        &sh(&format!("({script}) 2>/dev/null")),
        ALL,
        Box::new(|_| Ok(())),
    );
    assert_eq!(status, ExitStatus::Code(0));
}
