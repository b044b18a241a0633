//! `panal prog|map|link|btf`: one source on Linux, where bpftool must tell the same, and on an
//! instance of Panal's kernel.
#![cfg(target_os = "linux")]

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

const PANAL: &str = env!("CARGO_BIN_EXE_panal");

/// A process that is ended when the test is.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("panal-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a scratch directory");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A kernel that is asked, and where pins go.
struct Setting {
    scratch: Scratch,
    holder: Ended,
    linux: bool,
}

fn firewall() -> String {
    object("examples/firewall.bpf.o")
}

fn object(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name);
    path.display().to_string()
}

impl Setting {
    /// An instance of Panal's kernel.
    fn panal(name: &str) -> Setting {
        let scratch = Scratch::new(name);
        let mut child = Command::new(PANAL)
            .arg("serve")
            .env("XDG_RUNTIME_DIR", &scratch.0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("panal serve starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), format!("instance {}", child.id()));
        Setting {
            scratch,
            holder: Ended(child),
            linux: false,
        }
    }

    /// Linux, with a BPF file system in a mount namespace that ends with the test.
    fn linux(name: &str) -> Result<Setting, String> {
        let scratch = Scratch::new(name);
        let mount = format!(
            "mount -t bpf bpf {} && echo ready && exec sleep 600",
            scratch.0.display()
        );
        let mut child = Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", &mount])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("unshare: {e}"))?;
        let mut line = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out)
            .read_line(&mut line)
            .map_err(|e| e.to_string())?;
        let setting = Setting {
            scratch,
            holder: Ended(child),
            linux: true,
        };
        if line.trim() != "ready" {
            return Err("no right to mount a BPF file system".into());
        }
        if !setting.run(&["prog", "show"]).status.success() {
            return Err("no right to bpf(2)".into());
        }
        Ok(setting)
    }

    fn command(&self, program: &str) -> Command {
        if !self.linux {
            return Command::new(program);
        }
        let mut command = Command::new("nsenter");
        let pid = self.holder.0.id().to_string();
        command.args(["-t", &pid, "-m", program]);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let kernel = if self.linux { "linux" } else { "panal" };
        self.command(PANAL)
            .args(arguments)
            .args(["--kernel", kernel])
            .env("XDG_RUNTIME_DIR", &self.scratch.0)
            .output()
            .expect("panal runs")
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ok(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).expect("JSON")
    }

    /// Fails with exit code 2 and this in its message.
    fn refused(&self, arguments: &[&str], expected: &str) {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(expected), "{arguments:?}: {errors}");
    }

    fn path(&self, name: &str) -> String {
        match self.linux {
            true => format!("{}/{name}", self.scratch.0.display()),
            false => format!("/sys/fs/bpf/{name}"),
        }
    }
}

/// The settings that this machine has.
fn settings(name: &str) -> Vec<Setting> {
    let mut all = vec![Setting::panal(&format!("{name}-own"))];
    match Setting::linux(&format!("{name}-linux")) {
        Ok(setting) => all.push(setting),
        Err(why) => println!("skipped: Linux's half ({why})"),
    }
    all
}

#[test]
fn a_program_is_loaded_listed_and_its_maps_changed() {
    let mut seen = Vec::new();
    for on in settings("workflow") {
        let (prog, maps) = (on.path("fw"), on.path("maps"));
        on.ok(&["prog", "load", &firewall(), &prog, "pinmaps", &maps]);
        let shown = on.json(&["prog", "show", "pinned", &prog]);
        let list = format!("{maps}/blocklist4");
        let update = [
            "map",
            "update",
            "pinned",
            &list,
            "key",
            "203.0.113.0/24",
            "value",
            "0",
        ];
        on.ok(&update);
        on.refused(&[&update[..], &["noexist"]].concat(), "EEXIST");
        let dumped = on.json(&["map", "dump", "pinned", &list]);
        assert_eq!(dumped.as_array().map(Vec::len), Some(1), "{dumped}");
        on.refused(&["prog", "load", &firewall(), &prog], "EEXIST");
        on.refused(
            &["map", "lookup", "pinned", &list, "key", "1", "2"],
            "bytes given",
        );
        on.refused(&["map", "show", "pinned", &prog], "a prog is pinned there");
        on.refused(&["prog", "show", "id", "4000000000"], "ENOENT");
        on.ok(&["map", "delete", "pinned", &list, "key", "203.0.113.0/24"]);
        on.refused(&["map", "getnext", "pinned", &list], "ENOENT");
        on.ok(&["prog", "unpin", &prog]);
        on.refused(&["prog", "show", "pinned", &prog], "");
        let fields = ["type", "name", "tag", "gpl_compatible"];
        seen.push((fields.map(|field| shown[field].clone()), dumped));
    }
    for other in &seen[1..] {
        assert_eq!(&seen[0], other);
    }
}

#[test]
fn queues_and_full_maps_answer_alike() {
    for on in settings("queues") {
        let queue = on.path("q");
        let create = |path: &str, kind: &str, key: &str| {
            let words = [
                "map", "create", path, "type", kind, "key", key, "value", "4",
            ];
            on.ok(&[&words[..], &["entries", "1", "name", "made"]].concat());
        };
        create(&queue, "queue", "0");
        on.ok(&[
            "map", "enqueue", "pinned", &queue, "value", "1", "2", "3", "4",
        ]);
        on.refused(
            &["map", "push", "pinned", &queue, "value", "1", "2", "3", "4"],
            "E2BIG",
        );
        assert_eq!(
            on.ok(&["map", "peek", "pinned", &queue]),
            "value: 01 02 03 04\n"
        );
        assert_eq!(
            on.ok(&["map", "dequeue", "pinned", &queue]),
            "value: 01 02 03 04\n"
        );
        on.refused(&["map", "pop", "pinned", &queue], "");
        let hash = on.path("h");
        create(&hash, "hash", "4");
        let set = |key: &str| {
            ["map", "update", "pinned", &hash, "key", key, "value", "7"].map(str::to_owned)
        };
        let set = |key: &str| set(key).to_vec();
        let words = set("1");
        on.ok(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let words = set("2");
        on.refused(
            &words.iter().map(String::as_str).collect::<Vec<_>>(),
            "E2BIG",
        );
        on.ok(&["map", "freeze", "pinned", &hash]);
        on.refused(
            &words.iter().map(String::as_str).collect::<Vec<_>>(),
            "frozen",
        );
    }
}

/// Two maps and two programs of the same name.
fn twins(on: &Setting) {
    for (number, value) in [("1", "5"), ("2", "6")] {
        let path = on.path(&format!("twin{number}"));
        let create = [
            "map", "create", &path, "type", "hash", "key", "4", "value", "4", "entries", "4",
            "name", "twins",
        ];
        on.ok(&create);
        on.ok(&[
            "map", "update", "pinned", &path, "key", "1", "0", "0", "0", "value", value, "0", "0",
            "0",
        ]);
        on.ok(&[
            "prog",
            "load",
            &object("bench/programs/sort.bpf.o"),
            &on.path(&format!("prog{number}")),
        ]);
    }
}

#[test]
fn all_of_a_name_are_dumped_with_headings() {
    for on in settings("twins") {
        twins(&on);
        let text = on.ok(&["map", "dump", "name", "twins"]);
        for part in [
            "  name twins  flags 0x0",
            "value: 05 00 00 00",
            "value: 06 00 00 00",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(text.matches("Found 1 element\n").count(), 2, "{text}");
        // One document, not one for each map.
        let json = on.json(&["map", "dump", "name", "twins"]);
        let elements = |at: usize| json[at]["elements"][0]["value"][0].clone();
        assert_eq!(
            (elements(0), elements(1)),
            ("0x05".into(), "0x06".into()),
            "{json}"
        );
        let json = on.json(&["prog", "dump", "xlated", "name", "sort"]);
        for at in 0..2 {
            assert_eq!(json[at]["name"], "sort");
            assert!(
                json[at]["insns"].as_array().is_some_and(|i| !i.is_empty()),
                "{json}"
            );
        }
        let text = on.ok(&["prog", "dump", "xlated", "name", "sort"]);
        assert_eq!(text.matches("  name sort  tag ").count(), 2, "{text}");
        let file = on.scratch.0.join("out").display().to_string();
        let words = ["prog", "dump", "xlated", "name", "sort", "file", &file];
        on.refused(&words, "2 programs with name sort, and one file");
        let words = [
            "map", "update", "name", "twins", "key", "1", "0", "0", "0", "value", "1",
        ];
        on.refused(&words, "2 maps with name twins");
    }
}

/// The current directory completes a path, as it does on Linux: an instance has another one.
#[test]
fn a_relative_path_begins_at_the_current_directory() {
    for on in settings("relative") {
        let folder = &on.scratch.0;
        let run = |arguments: &[&str]| {
            let kernel = if on.linux { "linux" } else { "panal" };
            let mut command = on.command(PANAL);
            if on.linux {
                // Within the mount namespace, where the file system is.
                let script = format!("cd {} && exec \"$@\"", folder.display());
                command = on.command("sh");
                command.args(["-c", &script, "sh", PANAL]);
            }
            let output = command
                .args(arguments)
                .args(["--kernel", kernel])
                .env("XDG_RUNTIME_DIR", folder)
                .current_dir(folder)
                .output()
                .expect("panal runs");
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{arguments:?}: {errors}");
            String::from_utf8(output.stdout).expect("text")
        };
        let object = firewall();
        run(&["prog", "load", &object, "relative_fw"]);
        let whole = folder.join("relative_fw").display().to_string();
        let shown = on.json(&["prog", "show", "pinned", &whole]);
        assert_eq!(shown["name"], "firewall");
        let listed = run(&["prog", "show", "pinned", "./relative_fw", "--bpffs"]);
        assert!(listed.contains(&format!("pinned {whole}")), "{listed}");
        run(&["prog", "unpin", "relative_fw"]);
        on.refused(&["prog", "show", "pinned", &whole], "");
    }
}

#[test]
fn what_is_no_pin_is_named() {
    let on = match Setting::linux("nopins") {
        Ok(on) => on,
        Err(why) => return println!("skipped: {why}"),
    };
    let folder = on.scratch.0.display().to_string();
    let outside = "is not in a BPF file system; one is mounted at ";
    on.refused(&["map", "show", "pinned", "/etc/passwd"], outside);
    on.refused(&["prog", "show", "pinned", "/etc"], outside);
    on.refused(&["prog", "unpin", "/etc/passwd"], outside);
    on.refused(&["prog", "load", &firewall(), "/proc/fw"], outside);
    on.refused(&["prog", "loadall", &firewall(), "/proc/fw/all"], outside);
    on.refused(&["prog", "show", "pinned", &folder], "a directory of pins");
    let (deep, dotted) = (on.path("no/fw"), on.path("a.b"));
    on.refused(&["prog", "load", &firewall(), &deep], "does not exist");
    on.refused(&["prog", "load", &firewall(), &dotted], "a name with a dot");
}

#[test]
fn programs_that_are_off_by_default_are_told_of() {
    let probes = object("crates/cli/tests/objects/probes.bpf.o");
    for on in settings("optional") {
        let path = on.path("probes");
        on.refused(
            &["prog", "loadall", &probes, &path],
            "all 11 programs are off by default (sections `?…`)",
        );
    }
}

#[test]
fn an_error_is_told_once() {
    for on in settings("once") {
        let output = on.run(&["map", "dump", "id", "4000000000", "--json"]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let told: Value = serde_json::from_slice(&output.stdout).expect("one document");
        assert!(
            told["error"].as_str().is_some_and(|e| e.contains("ENOENT")),
            "{told}"
        );
    }
}

#[test]
fn data_goes_through_standard_input_and_output() {
    for on in settings("streams") {
        let prog = on.path("fw");
        on.ok(&["prog", "load", &firewall(), &prog]);
        let packet: Vec<u8> = (b'a'..=b'z').cycle().take(60).collect();
        let run = |options: &[&str]| {
            let kernel = if on.linux { "linux" } else { "panal" };
            let mut child = on
                .command(PANAL)
                .args(["prog", "run", "pinned", &prog])
                .args(options)
                .args(["--kernel", kernel])
                .env("XDG_RUNTIME_DIR", &on.scratch.0)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("panal runs");
            let mut input = child.stdin.take().expect("piped");
            input.write_all(&packet).expect("written");
            drop(input);
            let output = child.wait_with_output().expect("panal ends");
            assert!(output.status.success(), "{options:?}");
            String::from_utf8(output.stdout).expect("text")
        };
        let text = run(&["data_in", "-", "data_out", "-"]);
        let first = "0000000\t6162 6364 6566 6768 696a 6b6c 6d6e 6f70 | abcdefgh ijklmnop";
        assert_eq!(text.lines().next(), Some(first));
        assert!(text.contains("\nReturn value: "), "{text}");
        let text = run(&["data_in", "-", "data_out", "-", "--json"]);
        let json: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            json["data_out"].as_array().map(Vec::len),
            Some(60),
            "{json}"
        );
        assert_eq!(json["data_out"][1], b'b');
        // The options of the other form mean the same.
        let text = run(&["--data-in", "-", "--repeat", "3"]);
        assert!(text.contains("duration (average): "), "{text}");
    }
}

/// The items of a list. C may have a space after a star; who holds an object changes by the moment,
/// and older versions of bpftool do not tell.
fn plain(value: &Value) -> Vec<Value> {
    let mut items = match value {
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    };
    for item in items.iter_mut().filter_map(Value::as_object_mut) {
        item.remove("pids");
        if let Some(insns) = item.get_mut("insns") {
            *insns = plain(insns).into();
        }
        if let Some(Value::String(text)) = item.get_mut("proto") {
            *text = text.replace("* ", "*");
        }
    }
    items
}

#[test]
fn linux_is_shown_as_by_bpftool() {
    let on = match Setting::linux("bpftool") {
        Ok(on) => on,
        Err(why) => return println!("skipped: {why}"),
    };
    if Command::new("bpftool").arg("version").output().is_err() {
        return println!("skipped: no bpftool");
    }
    let (prog, maps) = (on.path("fw"), on.path("maps"));
    on.ok(&["prog", "load", &firewall(), &prog, "pinmaps", &maps]);
    let list = format!("{maps}/blocklist4");
    on.ok(&[
        "map",
        "update",
        "pinned",
        &list,
        "key",
        "203.0.113.0/24",
        "value",
        "5",
    ]);
    let same = |words: &[&str]| {
        let theirs = on.command("bpftool").arg("-j").args(words).output();
        let theirs = theirs.expect("bpftool runs");
        let theirs: Value = serde_json::from_slice(&theirs.stdout).expect("bpftool's JSON");
        let (ours, theirs) = (plain(&on.json(words)), plain(&theirs));
        for (own, other) in ours.iter().zip(&theirs) {
            assert_eq!(own, other, "{words:?}");
        }
        assert_eq!(ours.len(), theirs.len(), "{words:?}");
    };
    same(&["prog", "show", "pinned", &prog]);
    same(&["prog", "dump", "xlated", "pinned", &prog]);
    same(&["prog", "dump", "xlated", "pinned", &prog, "opcodes"]);
    same(&["map", "show", "pinned", &list]);
    same(&["map", "dump", "pinned", &list]);
    same(&["map", "getnext", "pinned", &list]);
    twins(&on);
    same(&["map", "dump", "name", "twins"]);
    same(&["prog", "dump", "xlated", "name", "sort"]);
    let shown = on.json(&["prog", "show", "pinned", &prog]);
    let btf = shown["btf_id"].to_string();
    same(&["btf", "dump", "id", &btf]);
}

#[test]
fn an_instance_survives_what_is_no_request_and_leaves_no_trace() {
    let on = Setting::panal("hostile");
    let pid = on.holder.0.id();
    let socket = on.scratch.0.join(format!("panal/{pid}.sock"));
    for bytes in [
        &b"\n"[..],
        b"{}\n",
        b"\xff\xfe\n",
        b"{\"Lookup\":[-1,[],0]}\n",
        b"{\"Hello\":99}\n",
        b"no end",
        b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n",
    ] {
        let mut stream = UnixStream::connect(&socket).expect("connects");
        stream.write_all(bytes).expect("takes bytes");
    }
    assert_eq!(on.ok(&["prog", "show"]), "");
    assert_eq!(on.json(&["map", "show"]), serde_json::json!([]));
    let Setting {
        scratch, holder, ..
    } = on;
    drop(holder);
    let output = Command::new(PANAL)
        .args(["prog", "show", "--json"])
        .env("XDG_RUNTIME_DIR", &scratch.0)
        .output()
        .expect("panal runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[]\n");
    assert!(
        !socket.exists(),
        "what a killed instance left behind is removed"
    );
}
